"""R5 on the shipped autoencoder: what another layout, thread count or precision does to it."""

from __future__ import annotations

import pytest
import torch

from decoders.vae import VAEDecoder
from qa import numerics
from qa.config import compose
from qa.repro.check import check
from qa.repro.options import ROOT
from qa.repro.varied import channels_last

MINI = ["decoder=vae_mini", "metric=[psnr]", "limit=2", "pictures=1", "seeds=1", "repeats=1",
        "levels=[R5]", "numerics.threads=1", "suite=folder", "suite.name=toy"]  # fmt: skip


@pytest.fixture
def repro(workdir, pictures):
    def run(*more):
        return check(compose([*MINI, f"suite.path={pictures}", *more], root=ROOT))

    return run


def test_another_layout_or_thread_count_is_rounding_and_its_stage_is_named(repro):
    found = repro("vary=[channels_last,threads:2]")
    row = found.document["levels"]["R5"]
    assert row["verdict"] == "PASS"
    measured = row["measured"]["channels_last"]
    if measured["exact"]:
        pytest.skip("on this machine channels_last changes no bit")
    assert 0 < measured["max_abs"] < 1e-4
    assert measured["levels"] <= 1
    assert measured["shift"]["psnr"] < 0.1
    divergence = row["divergence"]
    assert divergence["stage"].startswith("network.model.decoder.")
    assert divergence["index"] is not None
    assert divergence["max_ulp"] >= 1
    assert sum(divergence["ulps"].values()) == divergence["differing"]
    for name in divergence["heatmaps"]:
        assert (found.folder / name).is_file()


def test_the_tolerance_is_twice_the_largest_difference(repro):
    found = repro("vary=[dtype:bfloat16]")
    row = found.document["levels"]["R5"]
    measured = row["measured"]["dtype:bfloat16"]
    (tolerance,) = found.document["tolerances"]
    assert (tolerance["level"], tolerance["axis"]) == ("R5", "dtype:bfloat16")
    assert tolerance["limits"]["max_abs"] == 2 * measured["max_abs"] > 0
    assert tolerance["limits"]["levels"] == 2 * measured["levels"]


def test_a_setting_that_changes_nothing_is_equal_to_the_bit(repro):
    row = repro("vary=[sdpa:math]").document["levels"]["R5"]
    assert (row["verdict"], row["exact"], row["why"]) == ("PASS", True, "equal to the bit")


@pytest.mark.parametrize("word", ["threads:1", "tf32", "kernels:triton", "steps:graph"])
def test_a_variation_that_varies_nothing_shows_nothing(repro, word):
    """The run has one thread already; the CPU knows neither TF32 nor kernels nor graphs."""
    found = repro("device=cpu", f"vary=[{word}]")
    row = found.document["levels"]["R5"]
    assert row["verdict"] == "INVALID"
    assert f"{word} changes nothing here" in row["why"]
    assert found.exit_code == 5


def test_steps_that_the_decoder_does_not_have_show_nothing(repro, monkeypatch):
    """The autoencoder decodes at once: nothing of it can be compiled by `numerics.steps`."""
    row = repro("vary=[steps:compile]").document["levels"]["R5"]
    assert row["verdict"] == "INVALID"
    assert "steps:compile changes nothing here" in row["why"]
    decode = VAEDecoder.decode

    def stepping(self, requests):
        numerics.TALLY["steps"] += numerics.steps() != "eager"
        return decode(self, requests)

    monkeypatch.setattr(VAEDecoder, "decode", stepping)
    row = repro("vary=[steps:compile]").document["levels"]["R5"]
    assert (row["verdict"], row["why"]) == ("PASS", "equal to the bit")


def test_another_model_is_no_variation(repro):
    """Negative control: what R4t lets through is rounding only."""
    found = repro("decoder=flat", "vary=['decoder.level=0.52']")
    row = found.document["levels"]["R5"]
    assert row["verdict"] == "FAIL"
    assert "agree to one level" in row["why"]
    assert found.exit_code == 3


def test_the_layout_is_put_back():
    decoder = VAEDecoder("MiniVAE", "mini", device="cpu")
    weights = [p for p in decoder.network.model.parameters() if p.ndim == 4]
    before = [p.clone() for p in weights]
    with channels_last(decoder):
        large = max(weights, key=lambda p: p.numel())
        assert large.is_contiguous(memory_format=torch.channels_last)
    for now, then in zip(weights, before, strict=True):
        assert now.is_contiguous()
        assert torch.equal(now, then)


def test_a_decoder_without_a_network_has_no_layout(repro):
    found = repro("decoder=flat", "vary=[channels_last]")
    row = found.document["levels"]["R5"]
    assert row["verdict"] == "INVALID"
    assert "holds no network" in row["why"]
