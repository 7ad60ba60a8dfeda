"""The processes of a pool while they work: hired, fed, watched, replaced.

Every worker has at most two blocks, one in work and one waiting, so that it is never idle and the
driver never holds more than it has room for. What goes wrong is told apart by who can mend it:

    a worker is lost      its process died, its machine went, memory ran out, the GPU failed, or it
                          gave no sign for too long: another is hired, its units go on (`Ledger`)
    an error of ours      a full disk, a setting that does not work: the run stops and says so
    a picture that fails  is no error here: the worker stored it as a failure
"""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qa.errors import DeviceFailed, QaError, said
from qa.executors import parcels
from qa.executors.depot import Depot
from qa.executors.ledger import Block, Ledger
from qa.executors.seat import Done, Order, Place
from qa.types import Unit
from qa.worker import Worker

AHEAD = 2
"""Blocks of one worker: one in work, one waiting."""
TICK = 1.0
"""Seconds after which a wait looks at the clock."""
GOODBYE = 10.0
"""Seconds for workers to remove their scratch files."""
STARTUP = 3600.0
"""Seconds that a worker has to get ready, or longer: it waits for a machine, loads weights."""
BARREN = 3
"""So many times in a row one worker may be lost before it finishes anything."""


@dataclass(frozen=True)
class Terms:
    """How a crew is kept."""

    workers: int
    patience: float
    """Seconds without a finished unit, of a worker that has work."""


@dataclass
class Member:
    """One worker and what it was handed."""

    number: int
    handle: Any
    starting: Any
    """Reference to its `Place`, or None once it is ready."""
    heard: float
    """When it gave its last sign, by a clock that never jumps."""
    blocks: deque[tuple[Any, Block]] = field(default_factory=deque)
    """(stream of `Done`, block), in order of work."""
    place: Place | None = None

    @property
    def busy(self) -> bool:
        """Whether it has units to finish."""
        return any(block.units for _, block in self.blocks)


@dataclass
class Tally:
    """What the workers of one number did, one after the other."""

    host: str = ""
    """Where the last of them was."""
    pictures: int = 0
    seconds: float = 0.0
    """From when a worker was ready to its last sign, of all of them."""
    lost: int = 0
    barren: int = 0
    """How often in a row one was lost before it finished anything."""


class Crew:
    """A pool at work."""

    def __init__(
        self,
        ray: Any,
        hire: Callable[[], Any],
        terms: Terms,
        ledger: Ledger,
        worker: Worker,
        depot: Depot | None,
    ) -> None:
        """`hire` starts a `Seat` in a process of its own; `worker` is the driver's own."""
        self._ray, self._hire, self._terms, self._ledger = ray, hire, terms, ledger
        self._worker, self._depot = worker, depot
        self._members: dict[int, Member] = {}
        """By number; one that is not replaced any more is missing."""
        self._tallies = [Tally() for _ in range(terms.workers)]

    def work(self) -> Iterator[Unit]:
        """Yield each unit once its result is in the run folder."""
        self._members = {number: self._hired(number) for number in range(self._terms.workers)}
        while not self._ledger.finished:
            for member in self._members.values():
                self._feed(member)
            for member, stream in self._ready():
                yield from self._heard(member, stream)
            yield from self._overdue()

    def dismiss(self) -> None:
        """End every process; one that has no work left tidies up before."""
        members = self._members.values()
        free = [m.handle.close.remote() for m in members if m.starting is None and not m.busy]
        if free:
            self._ray.wait(free, num_returns=len(free), timeout=GOODBYE)
        for member in members:
            self._ray.kill(member.handle, no_restart=True)

    @property
    def lost(self) -> bool:
        """Whether any worker was lost, whatever it was writing."""
        return any(tally.lost for tally in self._tallies)

    def told(self) -> tuple[str, ...]:
        """A line for each worker: machine, pictures, rate, losses."""
        lines = []
        for number, tally in enumerate(self._tallies):
            rate = tally.pictures / tally.seconds if tally.seconds else 0.0
            place = f" on {tally.host}" if tally.host else ""
            lost = f", lost {tally.lost} times" if tally.lost else ""
            lines.append(f"worker {number}{place}  {tally.pictures} pictures, {rate:.2f}/s{lost}")
        return tuple(lines)

    def _hired(self, number: int) -> Member:
        handle = self._hire()
        starting = handle.prepare.remote(Path.cwd())
        return Member(number, handle, starting, time.monotonic())

    def _feed(self, member: Member) -> None:
        """Hand out blocks until the worker has one waiting."""
        while member.starting is None and len(member.blocks) < AHEAD:
            if any(block.alone for _, block in member.blocks):
                return
            ready = [m.number for m in self._members.values() if m.starting is None]
            block = self._ledger.hand_out(member.number, not member.blocks, ready)
            if block is None:
                return
            orders = [self._order(unit, member) for unit in block.units.values()]
            stream = member.handle.work.options(num_returns="streaming").remote(orders, block.alone)
            if not member.blocks:
                member.heard = time.monotonic()
            member.blocks.append((stream, block))

    def _order(self, unit: Unit, member: Member) -> Order:
        """A unit with the files that its worker cannot read itself."""
        assert member.place is not None
        if member.place.home:
            return Order(unit)
        folder, file = self._worker.folder, unit.sample.image
        before = parcels.pack(folder, unit) if folder.unit_file(unit.id).is_file() else None
        try:
            picture = None if file is None or unit.sample.problem else file.read_bytes()
        except OSError:  # the worker finds the same, and says it of this picture
            picture = None
        return Order(unit, picture, before)

    def _ready(self) -> list[tuple[Member, Any]]:
        """Whatever has something to say, with its worker; waits a moment for it."""
        owners = {}
        for member in self._members.values():
            if member.starting is not None:
                owners[member.starting] = member
            elif member.blocks:
                owners[member.blocks[0][0]] = member
        if not owners:
            return []
        found, _ = self._ray.wait(list(owners), num_returns=1, timeout=TICK)
        return [(owners[stream], stream) for stream in found]

    def _heard(self, member: Member, stream: Any) -> Iterator[Unit]:
        """Take one message of a worker: it is ready, a unit is done, a block ended, it is lost."""
        errors = self._ray.exceptions
        try:
            if stream is member.starting:
                self._begin(member, self._ray.get(stream))
            else:
                yield from self._took(member, self._ray.get(next(stream)))
        except StopIteration:
            _, block = member.blocks.popleft()
            if block.units:
                yield from self._lost(member, block, "It ended before its work was done.")
        except errors.RayTaskError as error:
            if not isinstance(error.cause, DeviceFailed):
                raise error.cause if isinstance(error.cause, QaError) else error from None
            yield from self._lost(member, None, said(error.cause))
        except errors.RayError as error:
            yield from self._lost(member, None, _short(error))

    def _begin(self, member: Member, place: Place) -> None:
        member.starting, member.place, member.heard = None, place, time.monotonic()
        self._tallies[member.number].host = place.host

    def _took(self, member: Member, done: Done) -> Iterator[Unit]:
        """A unit is done: its files are, or get, into the run folder."""
        _, block = member.blocks[0]
        unit = block.units[done.unit]
        if self._depot is not None:
            parcels.unpack(self._worker.folder, unit, self._depot.get(unit.id))
        elif done.parcel is not None:
            parcels.unpack(self._worker.folder, unit, done.parcel)
        self._ledger.finish(block, unit.id)
        now, tally = time.monotonic(), self._tallies[member.number]
        tally.barren, tally.pictures = 0, tally.pictures + len(unit.seeds)
        tally.seconds, member.heard = tally.seconds + now - member.heard, now
        yield unit

    def _overdue(self) -> Iterator[Unit]:
        """Replace workers that have work, or are to get ready, and gave no sign for too long."""
        for member in list(self._members.values()):
            starts = member.starting is not None
            limit = max(STARTUP, self._terms.patience) if starts else self._terms.patience
            if (starts or member.blocks) and time.monotonic() - member.heard > limit:
                yield from self._lost(member, None, f"It gave no sign for {limit:g} seconds.")

    def _lost(self, member: Member, ended: Block | None, cause: str) -> Iterator[Unit]:
        """A worker is gone, or has to go: another takes its place, its units go on."""
        self._ray.kill(member.handle, no_restart=True)
        blocks = [block for _, block in member.blocks]
        begun = ended or (blocks.pop(0) if blocks else None)
        for block in reversed(blocks):
            self._ledger.put_back(block)
        self._replace(member.number, cause, blameless=begun is not None and begun.alone)
        if begun is not None:
            guilty = self._ledger.lose(begun, member.number, cause)
            if guilty is not None:
                # Without the cause, which names machines and processes: results are equal anywhere.
                yield self._worker.give_up(guilty, "given up: its worker was lost every time")

    def _replace(self, number: int, cause: str, blameless: bool) -> None:
        """Hire another worker, unless one after the other is lost before it finishes anything.

        `blameless`: of a suspect, which may have killed it. QaError where nobody is left.
        """
        tally = self._tallies[number]
        tally.lost, tally.barren = tally.lost + 1, tally.barren + (not blameless)
        del self._members[number]
        if tally.barren < BARREN:
            self._members[number] = self._hired(number)
            follows = "Another takes its place."
        else:
            follows = f"That was so {BARREN} times before it finished anything: nobody does now."
        if not self._members:
            raise QaError(
                "No worker is left: each was lost again and again before it finished anything.",
                f"The last: {cause}",
                "see whether its machine has the memory, and a GPU that works; executor.workers=1 "
                "tries with one alone",
            )
        warnings.warn(f"Worker {number} was lost: {cause} {follows}", RuntimeWarning, stacklevel=2)


def _short(error: Exception) -> str:
    """Ray's account of a death in one line: its first, and the reason that it names."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reasons = [line for line in lines[1:] if line.startswith(("The actor", "The node", "Memory"))]
    return f"{type(error).__name__}: {' '.join([*lines[:1], *reasons[:1]])[:300]}"
