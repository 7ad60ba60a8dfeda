"""Train the small PiD of `decoders.mini.pid` from nothing, on one CPU core or a GPU.

    python -m decoders.mini.train_pid --out runs/pid_mini --steps 20000
    python -m decoders.mini.train_pid --out runs/pid_mini --export     what its checkpoint has

Data: `decoders.mini.pages`, a pool of which one page is new at every step; crops of 128 pixels, and
the latents that `vae_mini` makes of whole pages at half their size. With x the crop in [-1,1], e
noise, t one of the student's times and y = x_t - t v the network's picture:

    x_t = (1-t) b + t e    loss = |y-x| + |grad y - grad x| / 2 + |y-x at half size| / 2 + (y-x)^2

Absolute differences keep edges sharp, but where the latent leaves a thin stroke in doubt they
prefer none; the square keeps it.

Every other step has t = 0.999, where only the latent speaks. The others have one of the later times
and begin, but for one in four of them, from the network's own first picture b instead of the crop,
which is what they will meet. Two latents in five carry noise, (1-σ) z + σ e with σ up to 0.8.

The start is closed-form (`pid_start`). Matrices learn by Muon, the rest by AdamW.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from decoders.mini.pages import SIDE, picture
from decoders.mini.pid import CHECKPOINT, SCALE, WEIGHTS, to_file
from decoders.mini.pid_start import scale_of, start
from decoders.mini.train_vae import tensor
from decoders.mini.training import CPU, KEPT, Training, arguments, command, train, write_card
from decoders.mini.vae import FACTOR, MiniVAE
from decoders.pid import samplers
from decoders.pid.network import Condition, PiDNetwork
from decoders.reduced import reduce
from qa import images
from qa.drawings import EVALUATION_SEEDS

CROP = 128
CELL = FACTOR * SCALE
EMA = 0.998
WARM_UP = 100
DECAY = 0.3
"""Last part of the run, over which the rate falls to nothing."""
NOISY, MOST_SIGMA = 0.4, 0.8
MATRICES = ("patch_blocks", "attn.", "compress", "adaLN", "s_embedder", "output_heads")


@dataclass(frozen=True)
class Recipe:
    """What defines a run; stored with its card."""

    seed: int = 0
    steps: int = 20_000
    batch: int = 12
    pool: int = 1200
    rate: float = 1.5e-3
    first: int = 60
    """Batches that the closed-form start is fitted on."""


class Pages:
    """Training crops with their latents; everything follows from (seed, step)."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.vae = MiniVAE.load(WEIGHTS.with_name("vae_mini.safetensors"), device)
        self._kept: dict[int, tuple[np.ndarray, Tensor]] = {}

    def batch(self, step: int, stream: int = 0) -> tuple[Tensor, Tensor]:
        """x float32 [B,3,128,128] in [-1,1] and z [B,16,8,8], on the device."""
        rng = np.random.default_rng((self.recipe.seed, stream, step))
        self._kept.pop(step - 1, None)
        crops, latents, cells = [], [], CROP // CELL
        for _ in range(self.recipe.batch):
            page, latent = self.page(step + int(rng.integers(self.recipe.pool)))
            row, column = rng.integers(SIDE // CELL - cells + 1, size=2)
            top, left = row * CELL, column * CELL
            crops.append(page[top : top + CROP, left : left + CROP])
            latents.append(latent[:, row : row + cells, column : column + cells])
        return tensor(np.stack(crops), self.device) * 2 - 1, torch.stack(latents)

    def page(self, number: int) -> tuple[np.ndarray, Tensor]:
        """uint8 [256,256,3] and its latent [16,16,16]; kept until its step has passed."""
        if number not in self._kept:
            page = picture(number % EVALUATION_SEEDS)
            self._kept[number] = page, encode(self.vae, [page])[0]
        return self._kept[number]


@torch.no_grad()
def encode(vae: MiniVAE, pages: Sequence[np.ndarray]) -> Tensor:
    """uint8 [H,W,3] each → latents [N,16,H/16,W/16] of the pages at half their size."""
    device = vae.linear_in.weight.device
    halves = [reduce(torch.from_numpy(page).permute(2, 0, 1), SCALE) for page in pages]
    return vae.encode(images.to_unit(torch.stack(halves).to(device)))[0]


class PiDTraining(Training[PiDNetwork]):
    """The recipe above. A run that goes on from a checkpoint needs no `fitted` start."""

    def __init__(self, recipe: Recipe, device: torch.device = CPU, fitted: bool = True) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.pages = recipe, Pages(recipe, device)
        network = PiDNetwork(CHECKPOINT.config()).to(device)
        if fitted:
            first = [self.pages.batch(0, stream=1 + k) for k in range(recipe.first)]
            x, z = (torch.cat(parts) for parts in zip(*first, strict=True))
            start(network, x, z, torch.Generator().manual_seed(recipe.seed))
        super().__init__(network, optimizers(network, recipe.rate), recipe.steps, device, EMA)

    @property
    def seed(self) -> int:
        return self.recipe.seed

    def rate(self) -> float:
        left = max(0.0, 1 - self.step / self.steps)
        return self.recipe.rate * min(1.0, (self.step + 1) / WARM_UP, left / DECAY)

    def loss(self) -> Tensor:
        x, z = self.pages.batch(self.step)
        generator = self.generator()
        sigma = corrupted(len(x), generator).to(self.device)
        level = sigma[:, None, None, None]
        z = (1 - level) * z + level * self._noise(z, generator)
        with torch.autocast(self.device.type, torch.bfloat16):
            condition = condition_of(self.model, z, sigma)
            base, t = x, torch.full((len(x),), samplers.STUDENT_TIMES[0])
            if self.step % 2:
                if self.step % 8 != 7:
                    with torch.no_grad():
                        noise = self._noise(x, generator)
                        base = predicted(self.model, noise, t, condition).clamp(-1.1, 1.1)
                t = later_times(len(x), generator)
            time = t.to(self.device)[:, None, None, None]
            mixed = (1 - time) * base + time * self._noise(x, generator)
            y = predicted(self.model, mixed, t, condition)
        return distance(y, x)

    def _noise(self, like: Tensor, generator: torch.Generator) -> Tensor:
        return torch.randn(like.shape, generator=generator).to(self.device)


def corrupted(count: int, generator: torch.Generator) -> Tensor:
    """Noise levels of latents [count]: mostly 0, else up to MOST_SIGMA."""
    chosen, level = torch.rand(2, count, generator=generator)
    return torch.where(chosen < NOISY, level * MOST_SIGMA, 0.0)


def later_times(count: int, generator: torch.Generator) -> Tensor:
    """Of the student's times [count], any but the first and the last."""
    times = torch.tensor(samplers.STUDENT_TIMES[1:-1])
    return times[torch.randint(len(times), (count,), generator=generator)]


def condition_of(network: PiDNetwork, z: Tensor, sigma: Tensor) -> Condition:
    """What the steps of pictures for latents z [B,16,h,w] share."""
    text = torch.zeros(len(z), 1, network.config.text_width, device=z.device)
    side = network.config.patch
    return network.condition(text, z.shape[2] * side, z.shape[3] * side, z, sigma)


def predicted(network: PiDNetwork, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
    """The picture x - t v that the network sees in x [B,3,H,W] at times t [B]; float32."""
    t = t.to(x.device)
    return x - t[:, None, None, None] * network(x, 1000 * t, condition).float()


def distance(y: Tensor, x: Tensor) -> Tensor:
    """The loss above, of pictures [B,3,H,W] in [-1,1]."""
    error = y - x
    slope = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    half = F.avg_pool2d(error, 2).abs().mean()
    return error.abs().mean() + slope / 2 + half / 2 + error.square().mean()


def optimizers(network: PiDNetwork, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for matrices between features, AdamW for the rest; each weight in its own units."""
    matrices: dict[float, list[Tensor]] = {}
    rest: dict[float, list[Tensor]] = {}
    for name, weight in network.named_parameters():
        inner = weight.ndim == 2 and any(part in name for part in MATRICES)
        (matrices if inner else rest).setdefault(scale_of(name), []).append(weight)

    def groups(kinds: dict[float, list[Tensor]]) -> list[dict[str, object]]:
        return [{"params": weights, "scale": scale} for scale, weights in kinds.items()]

    return [
        torch.optim.AdamW(groups(rest), rate, betas=(0.9, 0.99), weight_decay=1e-4),
        torch.optim.Muon(groups(matrices), rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
    ]


# ------------------------------------------------------------------------------------- measuring


@torch.no_grad()
def decode(network: PiDNetwork, z: Tensor, sigma: float, steps: int, seed: int) -> Tensor:
    """Latents [B,16,h,w] → pictures uint8 [B,3,16h,16w], as the decoder makes them."""
    generator, side = torch.Generator().manual_seed(seed), network.config.patch
    shape = (len(z), 3, z.shape[2] * side, z.shape[3] * side)
    noise = [torch.randn(shape, generator=generator).to(z.device) for _ in range(steps)]
    condition = condition_of(network, z, torch.full((len(z),), sigma, device=z.device))
    x0 = samplers.student(lambda x, t: network(x, t, condition), noise)
    return quantised((x0 + 1) / 2)


def cascade(vae: MiniVAE, z: Tensor) -> Tensor:
    """What the autoencoder and bicubic interpolation make of latents, uint8 [B,3,16h,16w]."""
    with torch.no_grad():
        larger = F.interpolate(vae.decode(z), scale_factor=SCALE, mode="bicubic")
    return quantised(larger)


def quantised(pixels: Tensor) -> Tensor:
    """float [B,3,H,W], nominal [0,1] → uint8 [B,3,H,W] on the CPU."""
    return torch.stack([images.quantise(one).picture for one in pixels])


def show(network: PiDNetwork, out: Path) -> str:
    """PSNR in dB of pages that were not trained on, beside the cascade's; leaves a sheet."""
    device = network.y_pos_embedding.device
    vae = MiniVAE.load(WEIGHTS.with_name("vae_mini.safetensors"), device)
    pages = [picture(EVALUATION_SEEDS + k) for k in range(8)]
    x = torch.from_numpy(np.stack(pages)).permute(0, 3, 1, 2)
    clean, lines, said = encode(vae, pages), [x], []
    for sigma in (0.0, 0.4):
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1)).to(device)
        z = (1 - sigma) * clean + sigma * noise
        rivals = {"cascade": cascade(vae, z), "4 steps": decode(network, z, sigma, 4, seed=0)}
        said += [f"{name} at {sigma}: {psnr(y, x):.2f} dB" for name, y in rivals.items()]
        lines += rivals.values()
    sheet = torch.cat([torch.cat(list(line), 2) for line in lines], 1)
    Image.fromarray(sheet.permute(1, 2, 0).cpu().numpy()).save(out / "samples.png")
    return ", ".join(said)


def psnr(y: Tensor, x: Tensor) -> float:
    """Mean over pictures of uint8 [B,3,H,W], in dB."""
    error = (y.double() - x.double()).square().mean((1, 2, 3))
    return float((10 * torch.log10(255**2 / error)).mean())


def main() -> None:
    """Read the command line, train, write weights and their card."""
    options = arguments("Train the small PiD.", Recipe.steps)
    again = options.resume or options.export
    recipe = Recipe(options.seed, options.steps)
    training = PiDTraining(recipe, options.device, fitted=not again)
    if again:
        training.resume(options.out / KEPT)
    if not options.export:
        train(training, options.out, show)
    average, file = training.averaged(), options.out / WEIGHTS.name
    to_file(file, average, steps=str(training.step), license=CHECKPOINT.licence)
    write_card(file, training, asdict(training.recipe))


if __name__ == "__main__":
    command(main)
