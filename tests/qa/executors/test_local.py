"""The local executor: scores depend on neither the cores nor the number of workers."""

from types import SimpleNamespace

import pytest
import torch

from qa import numerics
from qa.executors.local import LocalExecutor
from qa.numerics import Numerics, applied

PICTURE = torch.randn(1 << 22, generator=torch.Generator().manual_seed(0))
UNITS = [SimpleNamespace(id=str(i), seeds=(0,)) for i in range(6)]


class Summing:
    """A worker whose score is a sum in float32, which threads split."""

    def __init__(self):
        self.decoded, self.scores = [], []

    def load(self, unit):
        return unit

    def decode(self, loaded, batch):
        self.decoded.append(float(PICTURE.sum()))
        return loaded

    def finish(self, unit):
        self.scores.append(float(PICTURE.sum()))
        return unit


def carried_out(threads: int, workers: int | None) -> Summing:
    worker = Summing()
    with applied(Numerics(threads=threads)):
        assert len(list(LocalExecutor(workers=workers).run(worker, UNITS))) == len(UNITS)
    return worker


@pytest.mark.parametrize("workers", [None, 1, 3])
def test_a_score_depends_on_neither_cores_nor_workers(workers):
    on_one = carried_out(1, 1)
    on_three = carried_out(3, workers)
    assert set(on_three.scores) == set(on_one.scores)
    assert on_three.decoded[0] != on_one.decoded[0], "decoders use every core, and sums show it"


@pytest.mark.parametrize(("threads", "workers"), [(1, 1), (3, 3), (12, 8)])
def test_there_are_as_many_workers_as_cores_but_at_most_eight(threads, workers, monkeypatch):
    asked = []
    pool = numerics.one_core_each
    monkeypatch.setattr(
        numerics, "one_core_each", lambda count, name: asked.append(count) or pool(count, name)
    )
    carried_out(threads, None)
    assert asked == [workers]
