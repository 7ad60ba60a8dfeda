"""How long a crew waits for whom, by a clock and processes of our own."""

from types import SimpleNamespace

import pytest

from qa.errors import QaError
from qa.executors import crew
from qa.executors.crew import STARTUP, STILLBORN, Crew, Terms
from qa.executors.ledger import Ledger
from qa.executors.seat import Done, Place
from qa.types import Sample, Unit

PATIENCE = 15.0
UNIT = Unit("u0", Sample("s0"), (0,))


class FakeRay:
    """One worker at a time, ready after `start` seconds, its unit done after `work` more."""

    exceptions = SimpleNamespace(RayTaskError=RuntimeError, RayError=OSError)

    def __init__(self, start: list[float], work: list[float]) -> None:
        """Seconds of the first worker, the second, and so on; the last go for all others too."""
        self.now, self.hired, self.killed = 0.0, 0, 0
        self.start, self.work = start, work
        self.due: dict[object, float] = {}

    def hire(self):
        turn, self.hired = self.hired, self.hired + 1

        def promised(times: list[float], answers):
            self.due[answers] = self.now + times[min(turn, len(times) - 1)]
            return answers

        ready, finished = Answer(Place("here", True)), Answer(Done(UNIT.id, None))
        prepare = SimpleNamespace(remote=lambda _: promised(self.start, ready))
        done = SimpleNamespace(remote=lambda *_: promised(self.work, finished))
        return SimpleNamespace(prepare=prepare, work=SimpleNamespace(options=lambda **_: done))

    def wait(self, streams, num_returns, timeout):
        self.now += timeout
        return [s for s in streams if self.due[s] <= self.now], []

    def get(self, answer):
        return answer.value if isinstance(answer, Answer) else answer

    def kill(self, handle, no_restart):
        self.killed += 1


class Answer:
    """What a worker says, and the stream that says it."""

    def __init__(self, value) -> None:
        self.value = value

    def __next__(self):
        return self.value


def worked(monkeypatch, start: list[float], work: list[float]) -> FakeRay:
    ray = FakeRay(start, work)
    monkeypatch.setattr(crew, "time", SimpleNamespace(monotonic=lambda: ray.now))
    terms, ledger = Terms(1, PATIENCE), Ledger([UNIT], 1, 3, 1)
    assert list(Crew(ray, ray.hire, terms, ledger, None, None).work()) == [UNIT]
    return ray


def test_a_slow_start_is_no_hang(monkeypatch):
    assert worked(monkeypatch, [STARTUP - 5], [PATIENCE - 5]).killed == 0


def test_a_start_that_never_ends_is_one(monkeypatch):
    with pytest.warns(RuntimeWarning, match="no sign for 3600 seconds"):
        ray = worked(monkeypatch, [STARTUP + 5, 1], [1])
    assert (ray.hired, ray.killed) == (2, 1)


def test_work_without_a_sign_is_one(monkeypatch):
    with pytest.warns(RuntimeWarning, match="no sign for 15 seconds"):
        ray = worked(monkeypatch, [1], [PATIENCE + 5, 1])
    assert (ray.hired, ray.killed) == (2, 1)


def test_workers_that_are_never_ready_stop_the_run(monkeypatch):
    ended = pytest.raises(QaError, match=f"{STILLBORN} in a row")
    with ended, pytest.warns(RuntimeWarning):
        worked(monkeypatch, [STARTUP + 5], [1])
