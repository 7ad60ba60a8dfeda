"""Which units are handed out next, and what becomes of those whose worker was lost.

    waiting ──block──► in work ──► done
                          │ the worker is lost
                          ▼
                       suspects ──one at a time──► done
                          │ the worker is lost again, `retries` times
                          ▼
                       given up: a scored failure of that unit

A worker that dies says nothing about which of its units killed it. So they go on one by one, each
alone in its worker: the innocent finish, and the guilty unit is known by the next death. It may as
well be the worker's own fault, say a broken GPU: a suspect goes to a worker where nobody died of
it, as long as there is one.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from qa.errors import QaError
from qa.types import Unit

TOLERATED = 10
"""So many units may be given up before their number means that something else is wrong."""


@dataclass
class Block:
    """Units that one worker was handed together."""

    units: dict[str, Unit]
    """Those that are not done, by id, in the order of their work."""
    alone: bool


class Ledger:
    """The state of every unit of a run. Knows nothing of processes."""

    def __init__(self, units: Sequence[Unit], block: int, retries: int, workers: int) -> None:
        """At most `block` units are handed out together; `retries` workers may die of one alone.

        Towards the end blocks shrink, so that `workers` of them end at about the same time.
        """
        self._waiting, self._suspects = deque(units), deque[Unit]()
        self._size, self._retries, self._workers = block, retries, workers
        self._deaths = Counter[str]()
        self._died_at = defaultdict[str, set[int]](set)
        self._left = {unit.id for unit in units}
        self.done, self.given_up = 0, 0

    @property
    def finished(self) -> bool:
        """Whether every unit is done or given up."""
        return not self._left

    def hand_out(self, worker: int, idle: bool, ready: Collection[int]) -> Block | None:
        """Work for a worker that is `idle`, or that will be soon; None if there is none for it.

        `ready` are the numbers of all workers that could work now, this one too. One that is to
        take a suspect finishes what it has first.
        """
        for suspect in self._suspects:
            if worker not in self._died_at[suspect.id] or self._died_at[suspect.id] >= {*ready}:
                if not idle:
                    return None
                self._suspects.remove(suspect)
                return Block({suspect.id: suspect}, alone=True)
        fair = -(-len(self._waiting) // (4 * self._workers))
        count = min(self._size, fair)
        units = [self._waiting.popleft() for _ in range(count)]
        return Block({unit.id: unit for unit in units}, alone=False) if units else None

    def finish(self, block: Block, unit: str) -> Unit:
        """A unit of a block is done. KeyError if it was not in it."""
        self._left.discard(unit)
        self.done += 1
        return block.units.pop(unit)

    def put_back(self, block: Block) -> None:
        """A block that nobody began to work on waits again."""
        self._waiting.extendleft(reversed(block.units.values()))

    def lose(self, block: Block, worker: int, cause: str) -> Unit | None:
        """The worker of a block is lost; returns the unit to give up, if it was the unit's fault.

        QaError once so many are given up that the fault lies elsewhere.
        """
        for name in block.units:
            self._died_at[name].add(worker)
        if not block.alone:
            self._suspects.extend(block.units.values())
            return None
        unit = next(iter(block.units.values()), None)
        if unit is None:
            return None
        self._deaths[unit.id] += 1
        if self._deaths[unit.id] < self._retries:
            self._suspects.append(unit)
            return None
        self._left.discard(unit.id)
        self.given_up += 1
        if self.given_up > max(TOLERATED, self.done // 100):
            raise QaError(
                f"Workers die of one unit after another: {self.given_up} were given up.",
                f"{self.done} are done. The last death: {cause}",
                "see why workers die (memory of the machine, driver of the GPU), then run the same "
                "command again: it continues",
            )
        return unit
