"""A run: nothing is timed that does not agree, nothing is lost that was measured."""

from __future__ import annotations

import json
import math

import pytest
import torch

from decoders import steps
from decoders.bench import document, networks, operations, parity, run, runner, systems
from decoders.bench.run import Options
from decoders.bench.ways import PLAIN
from qa.errors import UsageError

pytestmark = pytest.mark.usefixtures("workdir")

VAE = "vae_mini/64/1/float32/torch/eager/untiled"
HALF = "vae_mini/64/1/bfloat16/torch/eager/untiled"


def options(**more):
    settings = {"systems": ["vae_mini"], "sizes": [64], "rounds": 2, "operations": False}
    return Options(**{**settings, "device": "cpu", "threads": 1, "out": "bench.json", **more})


def test_a_system_is_compared_timed_and_kept(tmp_path):
    found, code = run.run(options(batch=[1, 2]))
    assert code == 0
    row = found["rows"][VAE]
    assert row["outcome"] == "measured"
    assert 0 < row["parity"]["difference"] < 1e-4  # to float64
    assert row["seconds"]["rounds"] == 2
    assert row["flops"] > 0
    assert row["share"] == pytest.approx(
        row["flops"] / row["seconds"]["median"] / row["ceiling_flops_per_second"]
    )
    assert row["above_bytes"] == 2**20 + 16 * 8 * 8 * 4  # and the latent
    pair = found["rows"][VAE.replace("/1/", "/2/")]
    assert pair["parity"]["equal_alone"] in (True, False)
    assert json.loads((tmp_path / "bench.json").read_text()) == found


def planted(monkeypatch, fault):
    """A decoder that computes something else in half precision."""
    call = networks.MiniVAE.call

    def wrong(self, model, step, given, way):
        pictures = call(self, model, step, given, way)
        return fault(pictures) if way != PLAIN else pictures

    monkeypatch.setattr(networks.MiniVAE, "call", wrong)


def shifted(pictures):
    return pictures.roll(1, -1)


def infinite(pictures):
    return pictures * math.inf


@pytest.mark.parametrize("fault", [shifted, infinite])
def test_what_differs_is_not_timed(monkeypatch, fault):
    asked = options(dtype=["float32", "bfloat16"])
    found, code = run.run(asked)
    assert (code, found["rows"][HALF]["outcome"]) == (0, "measured")
    planted(monkeypatch, fault)
    found, code = run.run(asked)
    assert code == 1
    row = found["rows"][HALF]
    assert "seconds" not in row
    assert row["parity"]["passed"] is False
    assert row["outcome"].startswith("differs by")
    assert "seconds" in found["rows"][VAE]
    json.loads((document.file_of({}, asked.out)).read_text())


def test_a_plain_way_that_is_wrong_takes_all_timings_with_it(monkeypatch):
    call = networks.MiniVAE.call

    def wrong(self, model, step, given, way):
        pictures = call(self, model, step, given, way)
        return pictures if given["latent"].dtype == torch.float64 else shifted(pictures)

    monkeypatch.setattr(networks.MiniVAE, "call", wrong)
    found, code = run.run(options(dtype=["float32", "bfloat16"]))
    assert code == 1
    for row in found["rows"].values():
        assert "seconds" not in row
        assert "differs from float64" in row["outcome"]


def test_a_constant_picture_says_nothing():
    flat = torch.ones(1, 3, 4, 4)
    assert parity.distance(flat, flat) == math.inf
    assert parity.distance(flat + 1, flat + torch.arange(4.0)) < math.inf


def test_too_little_memory_is_a_result(monkeypatch):
    def refuse(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(run, "_first", refuse)
    found, code = run.run(options())
    assert (code, found["rows"][VAE]["outcome"]) == (0, "out of memory")


def test_a_way_that_breaks_leaves_the_others(monkeypatch, capsys):
    first = run._first

    def broken(group, models, way, given, row):
        if way.dtype == "bfloat16":
            raise RuntimeError("no such instruction")
        return first(group, models, way, given, row)

    monkeypatch.setattr(run, "_first", broken)
    found, code = run.run(options(dtype=["float32", "bfloat16"]))
    assert code == 1
    assert found["rows"][HALF]["outcome"] == "failed: RuntimeError: no such instruction"
    assert found["rows"][VAE]["outcome"] == "measured"
    assert "Traceback" in capsys.readouterr().err


def test_a_later_run_keeps_the_rows_of_an_earlier_one():
    run.run(options())
    run.run(options(systems=["pid_mini"]))
    kept = document.stored(document.file_of({}, "bench.json"))
    assert {key.partition("/")[0] for key in kept["rows"]} == {"vae_mini", "pid_mini"}


def test_ways_are_those_that_change_something():
    def ways(system, **asked):
        found = run.plan(options(systems=[system], sizes=None, **asked), "cuda")
        return {str(way) for group in found for way in group.ways}

    everything = {"kernels": ["torch", "triton"], "steps": ["eager", "graph"]}
    assert ways("vae_mini", dtype=["float32"], **everything) == {"float32/torch/eager/untiled"}
    assert len(ways("pid_mini", dtype=["float32"], **everything)) == 4
    assert ways("flux_vae", dtype=["bfloat16"]) == {
        "bfloat16/torch/eager/untiled", "bfloat16/torch/eager/exact",
    }  # fmt: skip
    assert ways("flux_vae_encoder", dtype=["bfloat16"]) == ways("flux_vae", dtype=["bfloat16"])
    assert ways("pid_mini", dtype=["float16", "float32"]) == ways("pid_mini", dtype=["float32"])


@pytest.mark.parametrize("half", ["decoder", "encoder"])
def test_both_halves_of_the_autoencoder_in_stripes_agree_with_untiled(monkeypatch, half):
    few = networks.FLUX | {"block_out_channels": (8, 16, 16, 16), "norm_num_groups": 4}
    monkeypatch.setattr(networks, "FLUX", few)
    monkeypatch.setattr(run.measure, "in_fresh_process", lambda asked: (0, False))
    name = "flux_vae" if half == "decoder" else "flux_vae_encoder"
    found, code = run.run(options(systems=[name], sizes=[32]))
    assert code == 0
    assert {row["memory"] for row in found["rows"].values()} == {"untiled", "exact"}
    assert all("seconds" in row and row["flops"] > 0 for row in found["rows"].values())
    exact = networks.exact
    monkeypatch.setattr(exact, "decode", lambda model, z: model.decode(z).sample + 1)
    monkeypatch.setattr(exact, "encode", lambda model, x: model.encode(x).latent_dist.mean + 1)
    found, code = run.run(options(systems=[name], sizes=[32]))
    assert code == 1
    wrong = found["rows"][f"{name}/32/1/float32/torch/eager/exact"]
    assert wrong["outcome"].startswith("differs by")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"systems": ["nothing"]}, "no system nothing"),
        ({"sizes": [65]}, "can be measured"),
        ({"kernels": ["triton"]}, "can be measured"),
        ({"dtype": ["int8"]}, "dtype=int8 is unknown"),
        ({"batch": [0]}, "1 or more"),
    ],
)
def test_what_cannot_be_is_refused(asked, said):
    with pytest.raises(UsageError, match=said):
        run.run(options(**asked))


@pytest.mark.slow
def test_profiles_name_parts_and_operations():
    found, _ = run.run(options(systems=["l2p_mini"], profile=True))
    (row,) = found["rows"].values()
    assert 0 < row["parts"]["head"] < 1
    assert 0 < sum(one["share"] for one in row["top"]) <= 1.0001
    assert len(row["top"]) <= 10


def test_operations_are_compared_and_timed():
    found, code = run.run(options(systems=[], operations=True))
    assert code == 0
    assert {row["operation"] for row in found["operations"].values()} == set(operations.OPERATIONS)
    row = found["operations"]["gated_add/64/float32/torch"]
    assert row["bytes"] == 4 * (3 * 16 * 1536 + 1536)  # x, y, their result; the gate
    assert row["copy_share"] == pytest.approx(
        row["bytes"] / row["seconds"]["median"] / row["copy_bytes_per_second"]
    )


def test_a_kernel_that_differs_is_seen():
    twin = torch.randn(64, 64)
    assert operations.disagreement(twin + 1e-6, twin, "float32") == ""
    assert "differs by" in operations.disagreement(twin.roll(1), twin, "float32")
    assert "differs by" in operations.disagreement(twin * math.nan, twin, "float32")


def test_flops_are_those_of_the_specification():
    """PiD at 2048x2048: 45 TFLOP a step, computed by hand from its sizes."""
    from decoders.bench.systems import SYSTEMS

    assert SYSTEMS["pid_v1"].flops(2048) == pytest.approx(4 * 44.2e12 + 0.9e12, rel=0.01)


def test_a_copy_in_another_precision_shares_nothing():
    plain = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 2))
    half = runner.cast(plain, torch.bfloat16)
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in plain.parameters()} == {torch.float32}
    torch.testing.assert_close(half[0].weight.float(), plain[0].weight, rtol=2**-8, atol=0)


def test_every_system_can_do_its_usual_sizes():
    for system in systems.SYSTEMS.values():
        for sides in (*system.usual.values(), (system.small,)):
            assert all(system.problem(side) == "" for side in sides), system.name
        assert system.problem(system.cell + 1), system.name


def test_steps_are_run_as_asked_and_compared(monkeypatch):
    calls = []

    def compiled(fault):
        def wrap(step, device):
            return lambda x, t, condition: calls.append(t) or step(x, t, condition) + fault

        return wrap

    for fault, code in ((0.0, 0), (0.1, 1)):
        monkeypatch.setattr(steps, "compiled", compiled(fault))
        asked = options(systems=["pid_mini"], steps=["eager", "compile"])
        found, exit_code = run.run(asked)
        assert exit_code == code
        assert calls
        row = found["rows"]["pid_mini/64/1/float32/torch/compile/untiled"]
        assert ("seconds" in row) is (code == 0)


def test_a_half_is_timed_only_if_the_same_way_in_float32_agrees(monkeypatch):
    """Rounding to bfloat16 would hide this fault; float32 shows it."""
    call = networks.PiD.call

    def off(self, model, step, given, way):
        pictures = call(self, model, step, given, way)
        return pictures * (1 + 1e-3) if way.steps == "compile" else pictures

    monkeypatch.setattr(steps, "compiled", lambda step, device: step)
    asked = options(systems=["pid_mini"], dtype=["bfloat16"], steps=["eager", "compile"])
    found, code = run.run(asked)
    compiled = "pid_mini/64/1/bfloat16/torch/compile/untiled"
    assert (code, found["rows"][compiled]["outcome"]) == (0, "measured")
    monkeypatch.setattr(networks.PiD, "call", off)
    found, code = run.run(asked)
    assert code == 1
    assert found["rows"][compiled]["outcome"].startswith("in float32 it differs by")
    assert "seconds" not in found["rows"][compiled]
    assert "seconds" in found["rows"]["pid_mini/64/1/bfloat16/torch/eager/untiled"]


def test_what_is_left_of_another_picture_is_seen(monkeypatch):
    kept = []

    def stale(step, device):
        def run_with_the_first(x, t, condition):
            kept.append(condition)
            return step(x, t, kept[0])

        return run_with_the_first

    monkeypatch.setattr(steps, "compiled", stale)
    found, code = run.run(options(systems=["pid_mini"], steps=["compile"]))
    (row,) = found["rows"].values()
    assert code == 1
    assert row["outcome"].startswith("differs by")


def test_pictures_that_are_not_finite_at_their_size_are_not_timed(monkeypatch):
    call = networks.MiniVAE.call

    def broken(self, model, step, given, way):
        pictures = call(self, model, step, given, way)
        return pictures * math.nan if pictures.shape[-1] > 64 else pictures

    monkeypatch.setattr(networks.MiniVAE, "call", broken)
    found, code = run.run(options(sizes=[64, 128]))
    assert code == 1
    assert found["rows"][VAE]["outcome"] == "measured"
    assert "not finite" in found["rows"][VAE.replace("/64/", "/128/")]["outcome"]


def test_memory_that_lacks_in_turns_leaves_the_other_sizes(monkeypatch):
    turns = run.measure.taking_turns

    def refused(calls, rounds, clock):
        if refused.left:
            refused.left -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return turns(calls, rounds, clock)

    refused.left = 1
    monkeypatch.setattr(run.measure, "taking_turns", refused)
    found, code = run.run(options(sizes=[64, 128]))
    assert code == 0
    assert found["rows"][VAE]["outcome"] == "out of memory"
    assert "seconds" in found["rows"][VAE.replace("/64/", "/128/")]
