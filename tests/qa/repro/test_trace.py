"""Digests of stages: whose they are, alone and in a batch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from qa.config import compose
from qa.repro.bench import opened
from qa.repro.options import ROOT
from qa.repro.trace import Recorder, batched, label, networks, noted, traced, watched
from qa.stages import heard, mark


@pytest.fixture
def bench(workdir, toy):
    def make(decoder="planted.Batching", *more):
        words = [*toy("Sampler", f"decoder._target_={decoder}", "limit=4", *more)]
        config = compose(words, root=ROOT)
        return opened(config, {}, scratch=workdir / "scratch", folder=workdir, pictures=2)

    return make


def test_a_trace_has_every_stage_of_every_picture(bench):
    made = bench()
    trace = traced(made.worker(), made.units())
    assert list(trace.digests) == [
        "p00 seed 0", "p00 seed 1", "p01 seed 0", "p01 seed 1"
    ]  # fmt: skip
    for found in trace.digests.values():
        assert list(found) == ["latent", "noise/initial-noise", "pixels", "picture", "file"]
    assert len({found["pixels"] for found in trace.digests.values()}) == 4
    assert trace.digests["p00 seed 0"]["latent"] == trace.digests["p00 seed 1"]["latent"]


def test_modules_are_stages_where_they_are_watched(bench):
    made = bench()
    trace = traced(made.worker(), made.units()[:1], watch=True)
    (found,) = trace.digests.values()
    assert list(found)[2:5] == [
        "network.first AvgPool2d", "network.second Second", "network Network"
    ]  # fmt: skip
    after = traced(made.worker(), made.units()[:1])
    assert "network Network" not in after.digests["p00 seed 0"], "hooks end with the block"


def test_the_values_of_a_stage_are_kept_when_asked_for(bench):
    made = bench()
    stage = "network.first AvgPool2d"
    trace = traced(made.worker(), made.units(), watch=True, keep=stage)
    assert set(trace.kept) == set(trace.digests)
    assert torch.equal(trace.kept["p00 seed 0"][0], trace.pixels["p00 seed 0"])
    file = traced(made.worker(), made.units()[:1], keep="file").kept["p00 seed 0"]
    assert bytes(file[:4].tolist()) == b"\x89PNG"


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
@pytest.mark.parametrize("decoder", ["planted.Batching", "toys.Sampler"])
def test_in_a_batch_every_stage_is_given_to_its_picture(bench, decoder, batch):
    """One picture's requests are of one size: Batching then really stacks them."""
    more = ["+decoder.rounding=0.0"] if "Batching" in decoder else []
    made = bench(decoder, *more)
    made.pictures = 1
    units = made.units(seeds=5)
    alone = traced(made.worker(), units, watch=True)
    together = batched(made.worker(), units, batch, alone, watch=True)
    assert together.digests == alone.digests


def test_a_difference_within_a_batch_is_given_to_the_right_picture(bench):
    made = bench("planted.Batching", "+decoder.rounding=0.01")
    made.pictures = 1
    units = made.units(seeds=4)
    alone = traced(made.worker(), units, watch=True)
    together = batched(made.worker(), units, 2, alone, watch=True, keep="network Network")
    apart = {
        name: [stage for stage in found if together.digests[name][stage] != found[stage]]
        for name, found in alone.digests.items()
    }
    assert apart["p00 seed 0"] == apart["p00 seed 2"] == []
    changed = ["network.second Second", "network Network", "pixels", "picture", "file"]
    assert apart["p00 seed 1"] == apart["p00 seed 3"] == changed
    kept = together.kept["p00 seed 3"]
    assert torch.equal(kept[0], together.pixels["p00 seed 3"])


def test_a_failure_is_told_with_its_picture(bench):
    made = bench("toys.Breaks", "+decoder.sample=p01", "+decoder.how=raise")
    trace = traced(made.worker(), made.units())
    assert set(trace.pixels) == {"p00 seed 0", "p00 seed 1"}
    assert trace.failed["p01 seed 1"] == "RuntimeError: the sampler diverged"


def test_networks_are_found_through_wrappers_and_loops():
    inner = SimpleNamespace(network=SimpleNamespace(model=nn.Linear(1, 1)), name="x")
    outer = SimpleNamespace(decoder=inner, module=torch, kind=nn.Linear)
    inner.back = outer
    assert list(networks(outer)) == ["decoder.network.model"]


def test_calls_of_one_module_are_numbered():
    network = nn.Sequential(nn.ReLU())
    recorder = Recorder()
    with watched(SimpleNamespace(net=network)), heard(recorder):
        network(torch.ones(1)), network(torch.ones(1))
        mark("x-1", torch.ones(1))
    assert {name: len(calls) for name, calls in recorder.calls.items()} == {
        "net.0 ReLU": 2, "x-1": 1
    }  # fmt: skip


def test_operations_without_a_deterministic_form_are_noted():
    import warnings

    operations: set[str] = set()
    with noted(operations):
        warnings.warn("upsample_backward does not have a deterministic implementation, but",
                      stacklevel=1)  # fmt: skip
        warnings.warn("something else", stacklevel=1)
    assert operations == {"upsample_backward"}


def test_a_label_names_picture_and_seed(bench):
    assert [label(unit) for unit in bench().units(1)] == ["p00 seed 0", "p01 seed 0"]
