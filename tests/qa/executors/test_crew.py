"""How long a crew waits for whom, and whom it replaces, by a clock and processes of our own."""

from itertools import repeat
from types import SimpleNamespace

import pytest

from qa.errors import QaError
from qa.executors import crew
from qa.executors.crew import BARREN, STARTUP, Crew, Terms
from qa.executors.ledger import Ledger
from qa.executors.seat import Done, Place
from qa.types import Sample, Unit

PATIENCE = 15.0


class Ready:
    """A worker's answer that it is ready."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.due = seconds, None


class Stream:
    """A worker's answers about a block: a unit at a time."""

    def __init__(self, seconds: float, orders) -> None:
        self.seconds, self.due = seconds, None
        self.left = [order.unit.id for order in orders]

    def __next__(self):
        self.due = None
        if not self.left:
            raise StopIteration
        done = Done(self.left.pop(0))
        self.seconds *= bool(self.left)  # that a block ended is said at once
        return done


class FakeRay:
    """Workers that take so many seconds to be ready, and for a unit."""

    exceptions = SimpleNamespace(RayTaskError=RuntimeError, RayError=OSError)

    def __init__(self, start, work) -> None:
        """Seconds of the first worker that is hired, the second, and so on."""
        self.now, self.hired, self.killed, self.closed = 0.0, 0, 0, 0
        self.start, self.work = iter(start), iter(work)

    def hire(self):
        self.hired += 1
        start, work = next(self.start), next(self.work)
        answers = SimpleNamespace(remote=lambda orders, _: Stream(work, orders))
        return SimpleNamespace(
            prepare=SimpleNamespace(remote=lambda _: Ready(start)),
            work=SimpleNamespace(options=lambda **_: answers),
            close=SimpleNamespace(remote=self.close),
        )

    def close(self):
        self.closed += 1
        return Ready(0)

    def wait(self, answers, num_returns, timeout):
        for answer in answers:
            answer.due = self.now + answer.seconds if answer.due is None else answer.due
        self.now += timeout
        found = sorted((a for a in answers if a.due <= self.now), key=lambda a: a.due)
        return found[:num_returns], []

    def get(self, answer):
        return Place("here", True) if isinstance(answer, Ready) else answer

    def kill(self, handle, no_restart):
        self.killed += 1


def worked(monkeypatch, start, work, units: int = 1, workers: int = 1) -> FakeRay:
    """Play a run to its end."""
    ray = FakeRay(start, work)
    monkeypatch.setattr(crew, "time", SimpleNamespace(monotonic=lambda: ray.now))
    planned = [Unit(f"u{n:04d}", Sample(f"s{n:04d}"), (0,)) for n in range(units)]
    terms, ledger = Terms(workers, PATIENCE), Ledger(planned, 16, 3, workers)
    pool = Crew(ray, ray.hire, terms, ledger, None, None)
    try:
        assert sorted(unit.id for unit in pool.work()) == [unit.id for unit in planned]
    finally:
        ray.killed = 0  # those at the end are no losses
        pool.dismiss()
    return ray


def test_a_slow_start_is_no_hang(monkeypatch):
    assert worked(monkeypatch, [STARTUP - 5], [PATIENCE - 5]).hired == 1


def test_a_start_that_never_ends_is_one(monkeypatch):
    with pytest.warns(RuntimeWarning, match="no sign for 3600 seconds. Another takes its place"):
        assert worked(monkeypatch, [STARTUP + 5, 1], [1, 1]).hired == 2


def test_work_without_a_sign_is_one(monkeypatch):
    with pytest.warns(RuntimeWarning, match="no sign for 15 seconds. Another takes its place"):
        assert worked(monkeypatch, [1, 1], [PATIENCE + 5, 1]).hired == 2


def test_workers_that_are_never_ready_stop_the_run(monkeypatch):
    ended = pytest.raises(QaError, match="No worker is left")
    with ended, pytest.warns(RuntimeWarning):
        worked(monkeypatch, repeat(STARTUP + 5), repeat(1))


def test_one_that_never_gets_a_place_does_not_stop_the_others(monkeypatch):
    """Of two, the second always waits: an autoscaler at its limit, or a busy cluster."""
    start = [1, *repeat(STARTUP + 5, BARREN)]
    units = int((BARREN + 1) * STARTUP / 10)
    with pytest.warns(RuntimeWarning, match="Worker 1 was lost") as told:
        ray = worked(monkeypatch, start, repeat(10), units, workers=2)
    assert ray.hired == 1 + BARREN
    assert "nobody does now" in str(told[-1].message)


def test_one_that_finishes_something_is_always_replaced(monkeypatch):
    """Every worker does a block and a unit, then hangs: more often than a barren one may."""
    stints = 2 * BARREN

    class Tires(Stream):
        def __next__(self):
            done = super().__next__()
            self.seconds = PATIENCE + 5
            return done

    monkeypatch.setattr(f"{__name__}.Stream", Tires)
    with pytest.warns(RuntimeWarning, match="Another takes its place"):
        ray = worked(monkeypatch, repeat(1), repeat(1), units=stints)
    assert ray.hired > BARREN


def test_workers_tidy_up_at_the_end(monkeypatch):
    ray = worked(monkeypatch, repeat(1), repeat(1), units=40, workers=2)
    assert ray.closed == 2
