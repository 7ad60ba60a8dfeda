"""What the recipes of the small networks share: steps, averaged weights, checkpoints, a command.

A recipe is a `Training`: a model, optimisers and the loss of a step. Everything that is random in a
step is drawn from (seed, step), so a run can be cut off and resumed, and two runs with the same
number of steps give equal weights on the same machine:

    loss(step) ─► clipped gradients ─► optimisers at rate(step) ─► average ← weights

The average is exponential and starts fast: after the n-th step it keeps min(keep, (1+n)/(10+n)) of
itself. It is what a recipe measures and writes, rounded to float16 as it will be read back.

A checkpoint holds the recipe it came from, so that no run goes on from, and no card tells of, the
steps of another.
"""

import argparse
import copy
import hashlib
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from qa import untrusted
from qa.errors import QaError, UsageError

CPU = torch.device("cpu")
KEPT = "checkpoint.pt"
"""The checkpoint, in the folder of a run."""
M = TypeVar("M", bound=nn.Module)


class Training(ABC, Generic[M]):
    """A model, its average, its optimisers and the step they are at.

    Groups of an optimiser may have a `scale`, a factor on the rate. `keep` is how much of the
    average a step leaves once it no longer starts fast.
    """

    recipe: Any
    """Dataclass of all that defines a run, `seed` and `steps` among it."""

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
            "recipe": asdict(self.recipe),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`.

        UsageError: it is of another recipe, but for the length of the run; or beyond that length.
        """
        check_recipe(asdict(self.recipe), state.get("recipe"))
        if state["step"] > self.steps:
            raise UsageError(
                f"The checkpoint is at step {state['step']} of a run of {self.steps} steps.",
                "Steps cannot be taken back.",
                f"--steps {state['step']} or more, or another folder by --out",
            )
        self.model.load_state_dict(state["model"])
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self.average, self.step, self.seconds = state["average"], state["step"], state["seconds"]

    def save(self, path: Path) -> None:
        torch.save(self.state(), path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def resume(self, path: Path) -> None:
        self.restore(read_checkpoint(path, self.device))


def read_checkpoint(path: Path, device: torch.device = CPU) -> dict[str, Any]:
    """The `state` in a file. UsageError: there is no such file."""
    if not path.is_file():
        raise UsageError(
            f"There is no {path}.",
            "--resume and --export go on from what an earlier run left there.",
            "name that run's folder by --out, or leave --resume and --export out",
        )
    try:
        state: dict[str, Any] = untrusted.read_checkpoint(path, device)
    except ValueError as error:
        raise QaError(
            f"{path} is no checkpoint of a recipe.",
            f"{error}.",
            "go on from another one, or begin anew",
        ) from error
    return state


def check_recipe(own: Mapping[str, Any], kept: Mapping[str, Any] | None) -> None:
    """UsageError: a checkpoint's recipe differs in more than `steps`. Old ones hold none."""
    if kept is None:
        return
    names = sorted({*own, *kept} - {"steps"})
    other = [name for name in names if own.get(name) != kept.get(name)]
    if not other:
        return
    differ = ", ".join(f"{name} {kept.get(name)} and not {own.get(name)}" for name in other)
    raise UsageError(
        f"The checkpoint is of another recipe: {differ}.",
        "Going on would mix two runs, and the card would tell of neither.",
        f"--seed {kept['seed']}" if other == ["seed"] else "train into another folder by --out",
    )


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
            training.save(out / KEPT)
            print(show(training.averaged(), out), flush=True)
    training.save(out / KEPT)


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

    `device` is a torch.device in what is returned. `steps` is the length of the run: where the
    command line does not say it, and always for --export, the one that the checkpoint tells.
    UsageError: no thread to compute with, or no checkpoint to go on from.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and numbers")
    parser.add_argument("--steps", type=int, help=f"length of the run, {steps} unless told")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    parser.add_argument("--export", action="store_true", help="write weights of OUT/checkpoint.pt")
    options = parser.parse_args()
    if options.threads < 1:
        raise UsageError(
            f"--threads {options.threads} leaves nothing to compute with.",
            "At least one thread is needed.",
            "--threads 1",
        )
    again = options.resume or options.export
    kept = read_checkpoint(options.out / KEPT).get("recipe", {}) if again else {}
    if options.export or options.steps is None:
        options.steps = kept.get("steps", options.steps or steps)
    torch.set_num_threads(options.threads)
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    options.device = torch.device(auto if options.device == "auto" else options.device)
    options.out.mkdir(parents=True, exist_ok=True)
    return options


def command(main: Callable[[], None]) -> None:
    """Run `main`; a QaError ends the process as one paragraph without a traceback."""
    try:
        main()
    except QaError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
