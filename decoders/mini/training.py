"""What the recipes of the small networks share: steps, averaged weights, checkpoints, a command.

A recipe is a `Training`: a model, optimisers and the loss of a step. Everything that is random in a
step is drawn from (seed, step), so a run can be cut off and resumed, and two runs with the same
number of steps give equal weights on the same machine:

    loss(step) ─► clipped gradients ─► optimisers at rate(step) ─► average ← weights

The average is exponential and starts fast; it is what a recipe measures and writes, rounded to
float16 as it will be read back.
"""

import argparse
import copy
import hashlib
import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

CPU = torch.device("cpu")
M = TypeVar("M", bound=nn.Module)


class Training(ABC, Generic[M]):
    """A model, its average, its optimisers and the step they are at.

    Groups of an optimiser may have a `scale`, a factor on the rate. `keep` is how much of the
    average a step leaves.
    """

    def __init__(
        self,
        model: M,
        optimizers: Sequence[torch.optim.Optimizer],
        steps: int,
        device: torch.device,
        keep: float,
    ) -> None:
        self.model, self.optimizers = model, list(optimizers)
        self.steps, self.device, self.keep = steps, device, keep
        self.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self.step, self.seconds = 0, 0.0

    @abstractmethod
    def loss(self) -> Tensor:
        """The loss of the step that `self.step` is at."""

    @abstractmethod
    def rate(self) -> float:
        """The learning rate of that step."""

    def advance(self) -> float:
        """One step; its loss."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.rate() * group.get("scale", 1.0)
        loss = self.loss()
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        keep = min(self.keep, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.average[name].lerp_(value, 1 - keep)
        return loss.item()

    def averaged(self) -> M:
        """The averaged model, as it will be read back: rounded to float16."""
        model = copy.deepcopy(self.model)
        model.load_state_dict({k: v.half().float() for k, v in self.average.items()})
        return model.eval().requires_grad_(False)

    def generator(self) -> torch.Generator:
        """Randomness of this step, on the CPU."""
        return torch.Generator().manual_seed(self.seed * 10**9 + self.step)

    @property
    @abstractmethod
    def seed(self) -> int:
        """Of the run."""

    def state(self) -> dict[str, Any]:
        """All that a run needs to go on."""
        return {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "seconds": self.seconds,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self.model.load_state_dict(state["model"])
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self.average, self.step, self.seconds = state["average"], state["step"], state["seconds"]

    def save(self, path: Path) -> None:
        torch.save(self.state(), path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def resume(self, path: Path) -> None:
        self.restore(torch.load(path, map_location=self.device, weights_only=True))


def train(
    training: Training[M],
    out: Path,
    show: Callable[[M, Path], str],
    checkpoint_minutes: float = 5.0,
) -> None:
    """Advance to the last step; every few minutes a checkpoint, and a line that `show` returns.

    `show` gets the averaged model and the folder, in which it may leave pictures.
    """
    start, saved, losses = time.monotonic(), time.monotonic(), []
    before, first = training.seconds, training.step
    while training.step < training.steps:
        losses.append(training.advance())
        training.seconds = before + time.monotonic() - start
        if training.step % 100 == 0:
            speed = (training.seconds - before) / (training.step - first)
            print(f"step {training.step} of {training.steps} {speed:.3f} s/step "
                  f"loss {np.mean(losses[-100:]):.4f}", flush=True)  # fmt: skip
        if time.monotonic() - saved > 60 * checkpoint_minutes:
            saved = time.monotonic()
            training.save(out / "checkpoint.pt")
            print(show(training.averaged(), out), flush=True)
    training.save(out / "checkpoint.pt")


def write_card(file: Path, training: Training[Any], recipe: Any, **more: Any) -> None:
    """The numbers of a card, beside the weights in FILE: hash, how they came about, and `more`."""
    known = {
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "steps": training.step,
        "minutes": round(training.seconds / 60, 1),
        "recipe": recipe,
        **more,
    }
    file.with_suffix(".json").write_text(json.dumps(known, indent=2) + "\n")


def arguments(description: str, steps: int) -> argparse.Namespace:
    """The command line of a recipe; makes the folder and sets the number of threads.

    `device` is a torch.device in what is returned.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and numbers")
    parser.add_argument("--steps", type=int, default=steps, help="length of the run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    parser.add_argument("--export", action="store_true", help="write weights of OUT/checkpoint.pt")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    options.device = torch.device(auto if options.device == "auto" else options.device)
    options.out.mkdir(parents=True, exist_ok=True)
    return options
