"""The golden files, and what a single wrong fact does to them."""

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import tiny_pid
import torch
from safetensors.torch import save_file
from torch.nn import functional

from decoders.golden import read
from decoders.kernels.rotary import naive as rotary
from decoders.pid import adapter, blocks, check, layers, network, samplers

NETWORKS = tiny_pid.goldens("pid")
TEACHERS = tiny_pid.goldens("pid_teacher")
BASE, TEACHER = "v15_16ch.safetensors", "teacher_v15_16ch_s5_c5_f6.safetensors"


@pytest.mark.parametrize("name", NETWORKS)
def test_network_and_student(name):
    found = check.check(tiny_pid.golden("pid", name))
    assert set(found) == {"network", "student"}
    assert found["network"] <= check.TOLERANCES["network"]
    assert found["student"] <= check.TOLERANCES["student"]


@pytest.mark.parametrize("name", TEACHERS)
def test_teacher(name):
    found = check.check(tiny_pid.golden("pid_teacher", name))
    assert found["teacher"] <= check.TOLERANCES["teacher"]


def test_the_teachers_times():
    golden = read(tiny_pid.golden("pid_teacher", TEACHER))
    assert torch.equal(samplers.teacher_times(5, 6.0), golden.tensors["times"])


def plain_rotate(x, angles):
    """RoPE on halves instead of adjacent pairs."""
    a, b = x.chunk(2, -1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)


def swapped(x, weight, eps, times=None, plus=None, dtype=None, f=layers.norm_modulate):
    if times is not None:
        times, plus = 1 + plus, times - 1
    return f(x, weight, eps, times, plus, dtype=dtype)


def without_one(x, weight, eps, times=None, plus=None, dtype=None, f=layers.norm_modulate):
    times = None if times is None else times - 1
    return f(x, weight, eps, times, plus, dtype=dtype)


def transposed(rows, columns, head, reference, device):
    angles = image_angles(columns, rows, head, reference, device)
    return angles.unflatten(0, (columns, rows)).transpose(0, 1).flatten(0, 1)


image_angles, text_angles = network.image_angles, network.text_angles
interpolate, sinusoids = adapter.interpolate, network._sinusoids

MUTATIONS = {
    "RMS norm eps 1e-5": (layers, "EPS", 1e-5),
    "tanh GELU": (blocks, "gelu", lambda x: functional.gelu(x, approximate="tanh")),
    "ReLU for SiLU in the gated MLP": (layers, "silu", functional.relu),
    "no SiLU on time": (network, "silu", lambda x: x),
    "period 10000": (blocks, "MAX_PERIOD", 10_000.0),
    "span 15": (layers, "SPAN", 15.0),
    "theta 5000": (layers, "THETA", 5_000.0),
    "no NTK": (network, "image_angles", lambda r, c, h, _, d: image_angles(r, c, h, None, d)),
    "x and y swapped": (network, "image_angles", transposed),
    "no text RoPE": (network, "text_angles", lambda n, h, d: 0 * text_angles(n, h, d)),
    "text positions from 1": (network, "text_angles", lambda n, h, d: text_angles(n + 1, h, d)[1:]),
    "rotation of halves": (rotary, "rotate", plain_rotate),
    "rotation backwards": (rotary, "rotate", lambda x, a, f=rotary.rotate: f(x, -a)),
    "scale and shift swapped": (layers, "norm_modulate", swapped),
    "scale without 1": (layers, "norm_modulate", without_one),
    "bilinear latent": (
        adapter, "interpolate", lambda x, size, mode: interpolate(x, size, mode="bilinear")),
    "pixel positions off by one": (
        network, "_sinusoids", lambda n, s, d: sinusoids(n + 1, s, d)[1:]),
    "pixel positions cos first": (
        network, "_sinusoids", lambda n, s, d: sinusoids(n, s, d).roll(s // 2, -1)),
    "SDPA scale 1": (
        layers, "scaled_dot_product_attention",
        lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, scale=1.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_single_wrong_fact_is_seen(mutation, name, monkeypatch):
    path = tiny_pid.golden("pid", name)
    monkeypatch.setattr(*MUTATIONS[mutation])
    assert check.check(path)["network"] > 10 * check.TOLERANCES["network"]


def edit(model, mutation):
    """Faults that need the built network."""
    inside = model.lq_proj.latent_proj
    match mutation:
        case "GroupNorm eps 1e-3":
            for block in inside[3:]:
                block.block[0].eps = block.block[3].eps = 1e-3
        case "injection one block late":
            model.lq_proj.gate_modules = model.lq_proj.gate_modules[::-1]
        case "sigma with the other sign":
            gates = [*model.lq_proj.gate_modules, getattr(model, "pit_lq_gate", None)]
            for gate in filter(None, gates):
                gate.register_forward_pre_hook(lambda _, inputs: (*inputs[:2], -inputs[2]))
        case "temb not added":
            model.t_embedder.register_forward_hook(lambda m, a, out: out * 0)


FAULTS = ("GroupNorm eps 1e-3", "injection one block late",
          "sigma with the other sign", "temb not added")  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("mutation", FAULTS)
def test_a_wrong_module_is_seen(mutation, name, monkeypatch):
    path = tiny_pid.golden("pid", name)
    build = check.network

    def faulty(golden):
        model = build(golden)
        edit(model, mutation)
        return model

    monkeypatch.setattr(check, "network", faulty)
    assert check.check(path)["network"] > 10 * check.TOLERANCES["network"]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_other_padding_is_seen(name, monkeypatch):
    path = tiny_pid.golden("pid", name)
    sizes = check.config

    def other(official):
        config = sizes(official)
        padding = {"zeros": "replicate", "replicate": "zeros"}[config.adapter.padding]
        return replace(config, adapter=replace(config.adapter, padding=padding))

    monkeypatch.setattr(check, "config", other)
    assert check.check(path)["network"] > 10 * check.TOLERANCES["network"]


@pytest.mark.parametrize("times", [(1.0, 0.866, 0.634, 0.342, 0.0), (0.999, 0.75, 0.5, 0.25, 0.0)])
def test_other_times_are_seen(times, monkeypatch):
    path = tiny_pid.golden("pid", BASE)
    monkeypatch.setattr(samplers, "STUDENT_TIMES", times)
    assert check.check(path)["student"] > 10 * check.TOLERANCES["teacher"]


def test_other_times_of_the_teacher_are_seen(monkeypatch):
    path = tiny_pid.golden("pid_teacher", TEACHER)
    monkeypatch.setattr(samplers, "LEAST_BETA", 0.002)
    assert check.check(path)["teacher"] > 10 * check.TOLERANCES["teacher"]


# The command ------------------------------------------------------------------------------------


V1PT5 = ("lq_latent_unpatchify_factor", "lq_conv_padding_mode", "pit_lq_inject")
"""Arguments that a configuration of v1 may not have yet."""


def write_golden(folder, change=0.0, name="own", more=None):
    """A golden file of this very implementation; `change` is added to one value of its output,
    `more` are further tensors or others in the place of its own.
    """
    model = tiny_pid.network(tiny_pid.V15, patch=8)
    model.final_layer.linear.weight.mul_(0.1)  # rounding differs a little between processes
    official = {
        "in_channels": 3, "num_groups": 2, "hidden_size": 32, "pixel_hidden_size": 4,
        "pixel_attn_hidden_size": 24, "pixel_num_groups": 2, "patch_depth": 3, "pixel_depth": 2,
        "patch_size": 8, "txt_embed_dim": 12, "txt_max_length": 7, "lq_latent_channels": 16,
        "lq_hidden_dim": 12, "lq_latent_unpatchify_factor": 1, "lq_conv_padding_mode": "replicate",
        "lq_gate_type": "sigma_aware_per_token", "lq_interval": 2, "sr_scale": 4,
        "pit_lq_inject": True, "rope_ref_h": 64, "rope_ref_w": 64, "lq_num_res_blocks": 2,
        "latent_spatial_down_factor": 8,
    }  # fmt: skip
    g = torch.Generator().manual_seed(2)
    inputs = {
        "x": torch.randn(1, 3, 32, 64, generator=g), "t": torch.tensor([500.0]),
        "y": torch.randn(1, 6, 12, generator=g), "lq_latent": torch.randn(1, 16, 1, 2, generator=g),
        "degrade_sigma": torch.tensor([0.2]),
    }  # fmt: skip
    condition = model.condition(inputs["y"], 32, 64, inputs["lq_latent"], inputs["degrade_sigma"])
    with torch.no_grad():
        output = model(inputs["x"], inputs["t"], condition)
    output[0, 1, 2, 3] += change
    tensors = {f"weights.{key}": value for key, value in model.state_dict().items()}
    tensors |= {f"inputs.{key}": value for key, value in inputs.items()} | {"output": output}
    tensors["weights.lq_proj.lq_aux_rgb_head.0.weight"] = torch.ones(12)
    tensors |= more or {}
    path = folder / f"{name}.safetensors"
    save_file(tensors, path, metadata={"config": json.dumps(official), "made": "by hand"})
    return path


def run(*files):
    command = [sys.executable, "-m", "decoders.pid.check", *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_tells_good_from_bad(tmp_path):
    good, bad = write_golden(tmp_path), write_golden(tmp_path, 1e-3, "bad")
    done = run(good)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert done.stdout.startswith(f"ok    {good.name}  network ")
    done = run(good, bad)
    assert done.returncode == 1
    assert done.stdout.splitlines()[1].startswith(f"FAIL  {bad.name}  network 1.0e-03 (up to")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_golden_that_is_not_finite_fails(tmp_path, value):
    assert check.main([str(write_golden(tmp_path, value))]) == 1


def test_the_samplers_noise_may_be_stacked_and_must_be_there(tmp_path, capsys):
    noise = torch.randn(4, 1, 3, 32, 64, generator=torch.Generator().manual_seed(4))
    model = tiny_pid.network(tiny_pid.V15, patch=8)
    model.final_layer.linear.weight.mul_(0.1)
    inputs = read(write_golden(tmp_path)).tensors
    condition = model.condition(
        inputs["inputs.y"], 32, 64, inputs["inputs.lq_latent"], inputs["inputs.degrade_sigma"]
    )
    with torch.no_grad():
        sampled = samplers.student(lambda x, t: model(x, t, condition), list(noise)).clamp(-1, 1)
    wrong = sampled.clone()
    wrong[0, 0, 0, 0] += 0.5
    stacked = {"sampler.noise": noise, "sampler.output": sampled}
    apart = {f"sampler.noise.{k}": noise[k] for k in range(4)} | {"sampler.output": sampled}
    cases = {
        "stacked": (stacked, "ok"), "apart": (apart, "ok"),
        "wrong": (stacked | {"sampler.output": wrong}, "FAIL"),
        "without": ({"sampler.output": sampled}, "FAIL"),
        "half": ({"sampler.noise": noise}, "FAIL"),
    }  # fmt: skip
    for name, (more, verdict) in cases.items():
        code = check.main([str(write_golden(tmp_path, 0.0, name, more))])
        said = capsys.readouterr().out
        assert said.startswith(verdict), said
        assert code == (verdict == "FAIL")
        assert ("student" in said) == (name not in ("without", "half"))


@pytest.mark.parametrize(
    "more",
    [
        {"inputs.y": torch.zeros(1, 6, 13)},
        {"inputs.lq_latent": torch.zeros(1, 15, 1, 2)},
        {"inputs.x": torch.zeros(1, 3, 33, 64)},
        {"output": torch.zeros(1, 3, 32, 32)},
        {"weights.final_layer.norm.weight": torch.ones(5)},
    ],
    ids=lambda more: next(iter(more)),
)
def test_half_a_golden_file_is_one_line_and_the_next_is_still_checked(tmp_path, more, capsys):
    broken, good = write_golden(tmp_path, 0.0, "broken", more), write_golden(tmp_path)
    assert check.main([str(broken), str(good)]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"FAIL  {broken.name}  no golden file of PiD: ")
    assert second.startswith(f"ok    {good.name}")


@pytest.mark.parametrize("key", ["num_groups", "sr_scale", "rope_ref_h", "lq_interval"])
def test_a_nought_in_the_configuration_is_one_line(tmp_path, key, capsys):
    golden = read(write_golden(tmp_path))
    broken = tmp_path / "broken.safetensors"
    official = {**golden.metadata["config"], key: 0}
    save_file(dict(golden.tensors), broken, metadata={"config": json.dumps(official)})
    assert check.main([str(broken)]) == 1
    assert capsys.readouterr().out.count("\n") == 1


def test_a_teachers_own_neighbour_comes_before_a_namesake(tmp_path, capsys):
    teacher = tiny_pid.golden("pid_teacher", TEACHER)
    base = tiny_pid.golden("pid", BASE)
    for folder in ("spoiled", "good"):
        (tmp_path / folder).mkdir()
        shutil.copy(base, tmp_path / folder / BASE)
    own = shutil.copy(teacher, tmp_path / "good" / TEACHER)
    tensors = dict(read(base).tensors)
    tensors["weights.final_layer.linear.bias"] = tensors["weights.final_layer.linear.bias"] + 1
    namesake = tmp_path / "spoiled" / BASE
    save_file(tensors, namesake, metadata={"config": json.dumps(read(base).metadata["config"])})
    assert check.main([str(namesake), str(own)]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("FAIL")
    assert second.startswith("ok")
    check.main([str(namesake), str(tmp_path / "good" / BASE)])
    first, second = capsys.readouterr().out.splitlines()
    assert str(namesake) in first, "equal names are told apart"


def test_what_is_no_golden_file_fails_with_a_reason(tmp_path, capsys):
    text = tmp_path / "a.safetensors"
    text.write_text("nothing")
    other = tmp_path / "b.safetensors"
    save_file({"a": torch.zeros(1)}, other)
    assert check.main([str(text), str(other), str(tmp_path / "absent")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("FAIL") and "no golden file of PiD" in line for line in lines)
    assert check.main([]) == 2


def test_a_teacher_finds_its_network_beside_it_or_says_that_it_does_not(tmp_path, capsys):
    teacher = tiny_pid.golden("pid_teacher", TEACHER)
    base = tiny_pid.golden("pid", BASE)
    alone = shutil.copy(teacher, tmp_path / teacher.name)
    assert check.main([str(alone)]) == 1
    assert "v15_16ch.safetensors is not given and not beside it" in capsys.readouterr().out
    assert check.main([str(alone), str(base)]) == 0
    (tmp_path / "nets").mkdir()
    (tmp_path / "teachers").mkdir()
    shutil.copy(base, tmp_path / "nets" / base.name)
    assert check.main([str(shutil.move(alone, tmp_path / "teachers" / teacher.name))]) == 0


def test_a_network_that_is_not_released_is_refused(tmp_path):
    golden = read(write_golden(tmp_path))
    for name, value in (("lq_gate_type", "plain"), ("rope_mode", "linear")):
        with pytest.raises(ValueError, match=name):
            check.config({**golden.metadata["config"], name: value})
    assert (
        check.config({**golden.metadata["config"], "rope_mode": "original"}).rope_reference is None
    )
