"""Train the small L2P of `decoders.mini.l2p` from nothing, on one CPU core or a GPU.

    python -m decoders.mini.train_l2p --out runs/l2p_mini --steps 16000
    python -m decoders.mini.train_l2p --out runs/l2p_mini --export     what its checkpoint has

Data: drawings of `qa.drawings.figures`, each seen once, from all prompts that are not held out.
With x the picture in [-1,1], e noise and s the noise level of `decoders.l2p.sampler`:

    u uniform      s = 3u / (1 + 2u)      loss = | v((1-s) x + s e, s, prompt) - (e - x) |^2

Beside it the rows after two thirds of the layers have to name what is in each patch: ground, or one
of the shapes in one of the colours (cross-entropy, weight 0.1). A star and a circle differ in few
pixels, so the velocity alone takes long to tell them apart; the linear layer that names them is not
kept. (Representation alignment, arXiv 2410.06940, does this with a pretrained network's features.)

One prompt in ten is left out, which teaches the empty prompt. Matrices inside blocks learn by Muon
(orthogonalised momentum), the rest by AdamW. The rate stays up and falls over the last quarter of
the run; what is written is an average over steps, so that weights are of use at any time.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from decoders.l2p.sampler import Velocity, guided, sample, schedule
from decoders.mini.drawn import KINDS, MIX, Drawn, held_out
from decoders.mini.l2p import CHECKPOINT, to_file
from decoders.mini.l2p_batch import Model
from decoders.mini.training import KEPT, Training, arguments, command, train, write_card
from qa import images
from qa.drawings.figures import WORDS, is_held_out, prompts

EMA = 0.9995
WARM_UP = 200
DECAY = 0.25
"""Last part of the run, over which the rate falls to nothing."""
NAMING = 0.1
"""Weight of the cross-entropy beside the velocity loss."""


@dataclass(frozen=True)
class Recipe:
    """What defines a run; stored with its checkpoints."""

    seed: int = 0
    steps: int = 16000
    batch: int = 32
    rate: float = 2e-3


class L2PTraining(Training[Model]):
    """The recipe above."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.drawn = recipe, Drawn(recipe.seed, recipe.batch)
        model = Model(WORDS, KINDS).to(device)
        super().__init__(model, optimizers(model, recipe.rate), recipe.steps, device, EMA)

    @property
    def seed(self) -> int:
        return self.recipe.seed

    def loss(self) -> Tensor:
        x, said, kinds = self.drawn.batch(self.step)
        x, kinds = x.to(self.device), kinds.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16):
            velocity, named = self.model.losses(x, said, kinds, self.generator())
        return velocity.mean() + NAMING * named.mean()

    def rate(self) -> float:
        left = max(0.0, 1 - self.step / self.steps)
        return self.recipe.rate * min(1.0, (self.step + 1) / WARM_UP, left / DECAY)


def optimizers(model: Model, rate: float) -> list[torch.optim.Optimizer]:
    """AdamW, and Muon for the matrices inside blocks; one rate suits both."""
    inner = ("attention.to_", "feed_forward.")
    named = list(model.named_parameters())
    matrices = [p for name, p in named if any(part in name for part in inner)]
    rest = [p for name, p in named if not any(part in name for part in inner)]
    return [
        torch.optim.AdamW(rest, rate, betas=(0.9, 0.99), weight_decay=1e-4),
        torch.optim.Muon(matrices, rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
    ]


# ------------------------------------------------------------------------------------- measuring


@torch.inference_mode()
def measure(model: Model, count: int = 32) -> dict[str, float]:
    """Mean velocity loss by tag over `count` held-out drawings of each; smaller is better.

    float32, every prompt told.
    """
    found = {}
    for tag in MIX:
        x, said, kinds = held_out(tag, count)
        device = model.table.device
        generator = torch.Generator().manual_seed(len(tag))
        losses, _ = model.losses(x.to(device), said, kinds.to(device), generator)
        found[tag] = round(losses.mean().item(), 5)
    return found


@torch.inference_mode()
def draw(model: Model, asked: Sequence[str], seed: int) -> np.ndarray:
    """One picture for each prompt, uint8 [N,64,64,3], with the checkpoint's own knobs."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((len(asked), 3, *CHECKPOINT.size), generator=generator)

    def towards(said: Sequence[str]) -> Velocity:
        return lambda x, s: model(x, s.to(x.device).expand(len(x)), said)[0]

    velocity = guided(towards(asked), towards([""] * len(asked)), CHECKPOINT.cfg)
    sigmas = schedule(CHECKPOINT.steps, CHECKPOINT.shift)
    pixels = (sample(noise.to(model.table.device), velocity, sigmas) + 1) / 2
    return np.stack([images.quantise(one).picture.permute(1, 2, 0).numpy() for one in pixels])


def sheet(model: Model, path: Path, rows: int = 4) -> None:
    """A picture of samples: a column for each prompt, the last three held out; a row per seed."""
    unseen = [p for tag in ("position", "color_attr") for p in prompts(tag) if is_held_out(p)]
    asked = ["a red circle", "a green square", "a blue triangle", "a yellow star", "two circles",
             "three squares", "four triangles", "a circle and a star", "a star above a square",
             "a red circle and a blue square", *unseen[:8:3]]  # fmt: skip
    lines = [np.concatenate(list(draw(model, asked, seed)), axis=1) for seed in range(rows)]
    Image.fromarray(np.concatenate(lines)).save(path)


def show(model: Model, out: Path) -> str:
    """Losses by tag; the sheet goes to OUT/samples.png."""
    sheet(model, out / "samples.png")
    return str(measure(model))


def export(training: L2PTraining, out: Path) -> None:
    """Write the averaged weights, and the facts and losses that are known of them."""
    file, model = out / CHECKPOINT.file, training.averaged()
    facts = {"steps": str(training.step), "license": CHECKPOINT.licence}
    to_file(file, model.network.state_dict(), model.table, WORDS, **facts)
    write_card(file, training, asdict(training.recipe), held_out=measure(model))


def main() -> None:
    """Read the command line, train, write weights and measured losses."""
    options = arguments("Train the small L2P.", Recipe.steps)
    training = L2PTraining(Recipe(options.seed, options.steps), options.device)
    if options.resume or options.export:
        training.resume(options.out / KEPT)
    if not options.export:
        train(training, options.out, show)
    export(training, options.out)


if __name__ == "__main__":
    command(main)
