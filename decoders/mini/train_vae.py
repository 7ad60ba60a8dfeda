"""Train the small autoencoder of `decoders.mini.vae` from nothing, on one CPU core or a GPU.

    python -m decoders.mini.train_vae --out runs/vae_mini --steps 12000

Data: drawings of `qa.drawings` (a slowly replaced pool, so that few crops repeat) and random crops
of the photographs inside scikit-image's wheel, except three kept for measuring. Loss, with x the
pixels and y the reconstruction from a sampled latent, both in [-1,1]:

    |x-y| + 0.5 |grad x - grad y| + 0.5 |x-y at 1/4 size| + (x-y)^2 + 1e-5 KL

"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from decoders.mini.pictures import CROPS, Crops, Pictures, held_out, psnr
from decoders.mini.training import Training, arguments, command, train, write_card
from decoders.mini.vae import MiniVAE

EMA = 0.999
WARM_UP = 100
# Adam moves all 192 weights of a linear channel at once; at the full rate the two linear maps
# would shake more than the rest can learn (measured: 0 to 0.7 dB by class after 250 steps).
LINEAR_SCALE = 0.05


@dataclass(frozen=True)
class Recipe:
    """What defines a run; stored with its card."""

    seed: int = 0
    steps: int = 10_000
    pool: int = 1500
    rate: float = 1.5e-3
    widths: tuple[int, ...] = (48, 96, 128)
    crops: Crops = CROPS


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


class VAETraining(Training[MiniVAE]):
    """The recipe above."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.pictures = Pictures(recipe.seed, recipe.pool, recipe.crops)
        model = MiniVAE(recipe.widths)
        model.start_from(
            np.concatenate([_blocks(self.pictures.batch(i, stream=1)) for i in range(64)])
        )
        # Little noise at first: the latent must not lose what the closed form carries.
        torch.nn.init.constant_(model.encoder[-1][-1].bias[16:], -8.0)
        model.to(device)
        named = list(model.named_parameters())
        linear = [p for n, p in named if n.startswith("linear")]
        rest = [p for n, p in named if not n.startswith("linear")]
        groups = [{"params": rest}, {"params": linear, "scale": LINEAR_SCALE}]
        optimizer = torch.optim.AdamW(groups, recipe.rate, betas=(0.9, 0.99), weight_decay=1e-4)
        super().__init__(model, [optimizer], recipe.steps, device, EMA)

    @property
    def seed(self) -> int:
        return self.recipe.seed

    def loss(self) -> Tensor:
        x = tensor(self.pictures.batch(self.step), self.device)
        shape = (len(x), 16, x.shape[2] // 8, x.shape[3] // 8)
        noise = torch.randn(shape, generator=self.generator()).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16):
            y, mean, logvar = self.model(x, noise)
        return loss_of(x, y, mean, logvar)

    def rate(self) -> float:
        cosine = 0.5 + 0.5 * math.cos(math.pi * self.step / self.steps)
        return self.recipe.rate * (0.02 + 0.98 * cosine) * min(1.0, (self.step + 1) / WARM_UP)


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


def show(model: MiniVAE, out: Path) -> str:
    """PSNR in dB by class of picture, over two of each."""
    quality = measure(model, model.linear_in.weight.device, held_out(2))
    return str({kind: row["psnr"] for kind, row in quality.items()})


def main() -> None:
    """Read the command line, train, write weights and measured quality."""
    options = arguments("Train the small autoencoder.", Recipe.steps)
    training = VAETraining(Recipe(options.seed, options.steps), options.device)
    if options.resume or options.export:
        training.resume(options.out / "checkpoint.pt")
    if not options.export:
        train(training, options.out, show)
    average, file = training.averaged(), options.out / "vae_mini.safetensors"
    average.save(file, steps=str(training.step), license="Apache-2.0")
    quality = measure(average, options.device, held_out())
    write_card(file, training, asdict(training.recipe), held_out=quality)


if __name__ == "__main__":
    command(main)
