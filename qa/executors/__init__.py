"""Who runs the units, where, and in what order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from qa.types import Unit
from qa.worker import Worker


class Executor(Protocol):
    """Runs units in any order, anywhere, possibly twice: the worker stores each result whole."""

    def run(self, worker: Worker, units: Sequence[Unit]) -> Iterator[Unit]:
        """Yield each unit once its result is stored."""
        ...
