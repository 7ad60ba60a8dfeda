"""Train the small autoencoder of `decoders.mini.vae` from nothing, on one CPU core or a GPU.

    python -m decoders.mini.train_vae --out runs/vae_mini --steps 12000

Data: drawings of `qa.drawings` (a slowly replaced pool, so that few crops repeat) and random crops
of the photographs inside scikit-image's wheel, except three kept for measuring. Loss, with x the
pixels and y the reconstruction from a sampled latent, both in [-1,1]:

    |x-y| + 0.5 |grad x - grad y| + 0.5 |x-y at 1/4 size| + (x-y)^2 + 1e-5 KL

Every batch and every noise is drawn from (seed, step), so a run can be cut off and resumed, and two
runs with the same --steps give equal weights on the same machine. --minutes ends by the clock
instead: the learning rate then follows the time, and the number of steps depends on the machine.
"""

import argparse
import hashlib
import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from decoders.mini.pictures import CROPS, Crops, Pictures, held_out, psnr
from decoders.mini.vae import MiniVAE

EMA = 0.999
WARM_UP = 100
# Adam moves all 192 weights of a linear channel at once; at the full rate the two linear maps
# would shake more than the rest can learn (measured: 0 to 0.7 dB by class after 250 steps).
LINEAR_SCALE = 0.05


@dataclass(frozen=True)
class Recipe:
    """What defines a run; stored with its checkpoints."""

    seed: int = 0
    steps: int | None = None
    minutes: float | None = None
    pool: int = 1500
    rate: float = 1.5e-3
    widths: tuple[int, ...] = (48, 96, 128)
    crops: Crops = CROPS

    def progress(self, step: int, seconds: float) -> float:
        """Part of the run that is done, 0 to 1."""
        return step / self.steps if self.steps else seconds / (60 * (self.minutes or 1))


# -------------------------------------------------------------------------------------- training


def tensor(pictures: np.ndarray, device: torch.device) -> Tensor:
    """uint8 [N,H,W,3] -> float32 [N,3,H,W] in [0,1]."""
    return torch.tensor(pictures, device=device).permute(0, 3, 1, 2).float().div(255).contiguous()


def loss_of(x: Tensor, y: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """The loss above; x and y [N,3,H,W] in [0,1], mean and logvar [N,16,h,w]."""
    error = 2 * (y - x)
    slope = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    coarse = F.avg_pool2d(error, 4).abs().mean()
    kl = 0.5 * (mean.square() + logvar.exp() - logvar - 1).mean()
    return error.abs().mean() + 0.5 * slope + 0.5 * coarse + error.square().mean() + 1e-5 * kl


class Training:
    """A model, its average, its optimiser and the step they are at."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device = recipe, device
        self.pictures = Pictures(recipe.seed, recipe.pool, recipe.crops)
        self.model = MiniVAE(recipe.widths)
        first = np.concatenate([_blocks(self.pictures.batch(i, stream=1)) for i in range(64)])
        self.model.start_from(first)
        # Little noise at first: the latent must not lose what the closed form carries.
        torch.nn.init.constant_(self.model.encoder[-1][-1].bias[16:], -8.0)
        self.model.to(device)
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        named = list(self.model.named_parameters())
        linear = [p for n, p in named if n.startswith("linear")]
        rest = [p for n, p in named if not n.startswith("linear")]
        groups = [{"params": rest, "scale": 1.0}, {"params": linear, "scale": LINEAR_SCALE}]
        self.optimizer = torch.optim.AdamW(
            groups, recipe.rate, betas=(0.9, 0.99), weight_decay=1e-4
        )
        self.step, self.seconds = 0, 0.0

    def advance(self) -> float:
        """One step; the loss."""
        rate = self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        x = tensor(self.pictures.batch(self.step), self.device)
        generator = torch.Generator().manual_seed(self.recipe.seed * 10**9 + self.step)
        shape = (len(x), 16, x.shape[2] // 8, x.shape[3] // 8)
        noise = torch.randn(shape, generator=generator).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16):
            y, mean, logvar = self.model(x, noise)
        loss = loss_of(x, y, mean, logvar)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(EMA, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.average[name].lerp_(value, 1 - keep)
        return loss.item()

    def _rate(self) -> float:
        done = min(1.0, self.recipe.progress(self.step, self.seconds))
        cosine = 0.5 + 0.5 * math.cos(math.pi * done)
        return self.recipe.rate * (0.02 + 0.98 * cosine) * min(1.0, (self.step + 1) / WARM_UP)

    def averaged(self) -> MiniVAE:
        """The averaged model, as it will be read back: rounded to float16."""
        model = MiniVAE(self.recipe.widths)
        model.load_state_dict({k: v.cpu().half().float() for k, v in self.average.items()})
        return model.to(self.device).eval().requires_grad_(False)

    def save(self, path: Path) -> None:
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        place = {"average": self.average, "step": self.step, "seconds": self.seconds}
        torch.save(state | place, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def resume(self, path: Path) -> None:
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average, self.step, self.seconds = state["average"], state["step"], state["seconds"]


def _blocks(pictures: np.ndarray) -> np.ndarray:
    """uint8 [N,S,S,3] -> its 8x8 blocks, float32 [K,3,8,8] in [0,1]."""
    count, side = pictures.shape[:2]
    tiles = pictures.reshape(count, side // 8, 8, side // 8, 8, 3).transpose(0, 1, 3, 5, 2, 4)
    return tiles.reshape(-1, 3, 8, 8).astype(np.float32) / 255


# ------------------------------------------------------------------------------------- measuring


@torch.no_grad()
def reconstruct(model: MiniVAE, picture: np.ndarray, device: torch.device) -> np.ndarray:
    """uint8 [H,W,3] -> the same through mean latent and back, clamped and rounded to uint8."""
    pixels = model.decode(model.encode(tensor(picture[None], device))[0])[0]
    return pixels.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy()


def measure(
    model: MiniVAE, device: torch.device, pictures: dict[str, list[np.ndarray]]
) -> dict[str, dict[str, float]]:
    """Mean, smallest and number of per-picture PSNR (dB) for each class of pictures."""
    result = {}
    for kind, members in pictures.items():
        values = [psnr(p, reconstruct(model, p, device)) for p in members]
        mean, least = round(float(np.mean(values)), 3), round(min(values), 3)
        result[kind] = {"psnr": mean, "psnr_min": least, "count": len(values)}
    return result


def train(training: Training, out: Path, checkpoint_minutes: float = 5.0) -> None:
    """Advance until the recipe is done; a checkpoint and a line of numbers every few minutes."""
    recipe, start, saved, losses = training.recipe, time.monotonic(), time.monotonic(), []
    before = training.seconds
    while recipe.progress(training.step, training.seconds) < 1:
        losses.append(training.advance())
        training.seconds = before + time.monotonic() - start
        if training.step % 100 == 0:
            done = recipe.progress(training.step, training.seconds)
            speed = training.seconds / training.step
            print(f"step {training.step} done {done:.3f} {speed:.3f} s/step "
                  f"loss {np.mean(losses[-100:]):.4f}", flush=True)  # fmt: skip
        if time.monotonic() - saved > 60 * checkpoint_minutes:
            saved = time.monotonic()
            training.save(out / "checkpoint.pt")
            quality = measure(training.averaged(), training.device, held_out(2))
            print({kind: row["psnr"] for kind, row in quality.items()}, flush=True)


def publish(training: Training, out: Path) -> None:
    """Write the averaged weights and what they measure."""
    path, model = out / "vae_mini.safetensors", training.averaged()
    model.save(path, steps=str(training.step), license="Apache-2.0")
    facts = {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "steps": training.step,
        "minutes": round(training.seconds / 60, 1),
        "recipe": asdict(training.recipe),
        "held_out": measure(model, training.device, held_out()),
    }
    (out / "vae_mini.json").write_text(json.dumps(facts, indent=2) + "\n")


def main() -> None:
    """Read the command line, train, write weights and measured quality."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and numbers")
    parser.add_argument("--steps", type=int, help="length of the run; makes it reproducible")
    parser.add_argument("--minutes", type=float, help="length of the run by the clock")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    args = parser.parse_args()
    if (args.steps is None) == (args.minutes is None):
        parser.error("give either --steps or --minutes")
    torch.set_num_threads(args.threads)
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(auto if args.device == "auto" else args.device)
    recipe = Recipe(args.seed, args.steps, args.minutes)
    args.out.mkdir(parents=True, exist_ok=True)
    training = Training(recipe, device)
    if args.resume:
        training.resume(args.out / "checkpoint.pt")
    train(training, args.out)
    training.save(args.out / "checkpoint.pt")
    publish(training, args.out)


if __name__ == "__main__":
    main()
