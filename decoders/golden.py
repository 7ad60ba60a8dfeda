"""Golden files, and the commands that compare an installation with them.

A golden file is a safetensors file with the inputs and outputs of a tiny network; what its tensors
are called and how its metadata describes the network is each decoder's own affair
(`decoders.pid.check`, `decoders.l2p.check`). Metadata values that are JSON are parsed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from qa.errors import QaError

PROBLEMS = (
    OSError, SafetensorError, QaError, ValueError, KeyError, TypeError, AttributeError,
    IndexError, ArithmeticError, RuntimeError,
)  # fmt: skip
"""What a file that is no golden file, or only half of one, may lead to."""


@dataclass(frozen=True)
class Golden:
    """A golden file in memory."""

    path: Path
    metadata: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def read(path: Path) -> Golden:
    """The file; OSError or SafetensorError for one that cannot be read."""
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = {key: _parsed(text) for key, text in (file.metadata() or {}).items()}
    return Golden(path, metadata, tensors)


def difference(found: Tensor, wanted: Tensor) -> float:
    """Largest |difference|; infinite where one is not finite, ValueError for different shapes."""
    if found.shape != wanted.shape:
        raise ValueError(f"the output is {list(found.shape)}, the file has {list(wanted.shape)}")
    largest = float((found - wanted).abs().max())
    return largest if largest == largest else float("inf")  # NaN would compare as fine


def report(
    what: str,
    check: Callable[[Path, Sequence[Path]], Mapping[str, float]],
    tolerances: Mapping[str, float],
    arguments: Sequence[str],
) -> int:
    """Check every file and print one line for each; the exit code.

    `check(file, all files)` returns the largest differences by kind; each has a tolerance. 0: all
    within, 1: one is not, or is no golden file of `what`, 2: no file was given.
    """
    paths = [Path(argument) for argument in arguments]
    if not paths:
        print(f"usage: python -m decoders.{what.lower()}.check FILE...", file=sys.stderr)
        return 2
    names = [path.name for path in paths]

    def shown(path: Path) -> str:
        return path.name if path.name and names.count(path.name) == 1 else str(path)

    good = True
    for path in paths:
        try:
            found = check(path, paths)
            fine = bool(found) and all(value <= tolerances[kind] for kind, value in found.items())
            said = "  ".join(
                f"{kind} {value:.1e} (up to {tolerances[kind]:g})" for kind, value in found.items()
            )
        except PROBLEMS as error:
            why = str(error) if isinstance(error, QaError) else f"{type(error).__name__}: {error}"
            fine, said = False, f"no golden file of {what}: {' '.join(why.split())}"
        print(f"{'ok  ' if fine else 'FAIL'}  {shown(path)}  {said}")
        good &= fine
    return 0 if good else 1


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
