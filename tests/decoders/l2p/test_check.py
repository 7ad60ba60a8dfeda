"""Golden files: the one at hand, and those that an independent float64 reference writes.

Each fact of the reference, made wrong, must be seen by the same comparison.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from l2p_reference import SIGMA, Facts, answer, inputs_of, shapes_of, tiny, velocity, write_golden
from safetensors.torch import save_file

from decoders.golden import read
from decoders.l2p import check

TOLERANCE = check.TOLERANCES["velocity"]
VARIANTS = ("1k", "4k", "8k", "10k")
WRONG = {
    "theta": 10000.0, "text_start": 0, "scale_power": 0.0, "chunks": (1, 0, 3, 2), "eps": 1e-2,
    "sign": 1,
}  # fmt: skip
"""Wrong values of facts that are no yes or no."""
NEEDS_IMAGE_PADDING = {"x_pad", "image_padding_after_text"}


def wrong(name: str) -> Facts:
    value = getattr(Facts(), name)
    return replace(Facts(), **{name: WRONG.get(name, not value)})


def goldens() -> list[Path]:
    roots = [Path(root) for root in os.environ.get("QA_ASSETS", "").split(os.pathsep) if root]
    return sorted({file for root in roots for file in root.rglob("l2p_*_T*.safetensors")})


@pytest.fixture
def golden() -> Path:
    if not goldens():
        pytest.skip("QA_ASSETS names no folder with golden files of L2P")
    return goldens()[0]


def test_the_golden_files_at_hand(golden, capsys):
    assert check.main([str(file) for file in goldens()]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(goldens())
    assert all(line.startswith("ok    l2p_") for line in lines)


def test_the_reference_agrees_with_the_golden_file_too(golden):
    assert of_golden(golden, Facts()) < TOLERANCE


@pytest.mark.parametrize(
    "name", [f.name for f in fields(Facts) if f.name not in NEEDS_IMAGE_PADDING]
)
def test_no_wrong_fact_agrees_with_the_golden_file(golden, name):
    assert of_golden(golden, wrong(name)) > 10 * TOLERANCE


def of_golden(file: Path, facts: Facts) -> float:
    golden = read(file)
    image, text = golden.tensors["inputs.image"], golden.tensors["inputs.text"]
    config = check.config_of(golden.metadata, image)
    weights = {key: check.weight(key, shape) for key, shape in golden.metadata["shapes"].items()}
    found = velocity(config, weights, image, golden.metadata["sigma"], text, facts)
    return (found - golden.tensors["output"]).abs().max().item()


@pytest.mark.parametrize("variant", VARIANTS)
def test_golden_files_of_every_variant(tmp_path, variant, capsys):
    file = write_golden(tmp_path / f"{variant}.safetensors", tiny(variant))
    assert check.main([file]) == 0
    assert re.fullmatch(
        rf"ok    {variant}\.safetensors  velocity \d\.\de-\d+ \(up to 0\.0002\)\n",
        capsys.readouterr().out,
    )


@pytest.mark.parametrize("name", [field.name for field in fields(Facts)])
def test_every_wrong_fact_is_seen(tmp_path, name):
    """3 x 5 patches and 33 tokens of text, so both kinds of padding are there."""
    file = write_golden(tmp_path / "wrong.safetensors", tiny("4k"), wrong(name))
    assert check.main([file]) == 1
    assert check.check(Path(file))["velocity"] > 10 * TOLERANCE


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("damage", [2 * TOLERANCE, float("nan")])
def test_one_corrupted_value_fails(tmp_path, variant, damage, capsys):
    config, file = tiny(variant), tmp_path / "a.safetensors"
    output = answer(config, Facts()).clone()
    output[1, 3, 5] += damage
    write_golden(file, config, output=output)
    assert check.main([str(file)]) == 1
    assert capsys.readouterr().out.startswith("FAIL  a.safetensors  velocity ")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"variant": "2k"}, "KeyError: '2k'"),
        ({"patch": "64"}, "Missing: all_x_embedder.64-1.weight"),
        ({"sigma": "much"}, "could not convert"),
        ({"shapes": "{}"}, "KeyError: 'local_decoder.enc1.0.weight'"),
        ({"config": json.dumps({"dim": 48})}, "KeyError: 'n_heads'"),
        ({"config": "no JSON"}, "TypeError"),
        ({"inputs.text": torch.zeros(4, 9)}, "text features have shape"),
        ({"inputs.image": torch.zeros(3, 48, 48)}, "no multiple of 32"),
        ({"output": torch.zeros(1)}, "the output is [3, 64, 128], the file has [1]"),
    ],
)
def test_a_file_that_is_no_golden_file_gives_one_line(tmp_path, change, says, capsys):
    file = write_golden(tmp_path / "a.safetensors", tiny("1k"), **change)
    assert check.main([file]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("FAIL  a.safetensors  no golden file of L2P: ")
    assert says in line


@pytest.mark.parametrize("content", ["absent", "text", "empty golden"])
def test_a_file_that_cannot_be_read_gives_one_line(tmp_path, content, capsys):
    file = tmp_path / "a.safetensors"
    if content == "text":
        file.write_text("not weights")
    elif content == "empty golden":
        save_file({"output": torch.zeros(1)}, file)
    assert check.main([str(file)]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert "no golden file" in line


def test_one_bad_file_does_not_hide_the_others(tmp_path, capsys):
    good = write_golden(tmp_path / "good.safetensors", tiny("1k"))
    bad = write_golden(tmp_path / "bad.safetensors", tiny("1k"), wrong("sign"))
    assert check.main([bad, good]) == 1
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["FAIL", "bad.safetensors"],
        ["ok", "good.safetensors"],
    ]


def test_the_command_needs_a_file():
    done = subprocess.run(
        [sys.executable, "-m", "decoders.l2p.check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "usage: python -m decoders." in done.stderr


def test_weights_follow_the_documented_rule():
    key = "layers.0.attention.to_q.weight"
    w = torch.randn(4, 50, generator=torch.Generator().manual_seed(0x1D2B8D4B))
    assert not torch.equal(check.weight(key, (4, 50)), w)
    assert check.weight(key, (400, 50)).std().item() == pytest.approx(1.4 / 50**0.5, rel=0.02)
    assert check.weight("a.norm_q.weight", (20000,)).mean().item() == pytest.approx(1, abs=0.01)
    assert check.weight("cap_embedder.0.weight", (20000,)).std().item() == pytest.approx(
        0.3, rel=0.02
    )
    assert check.weight("a.bias", (20000,)).std().item() == pytest.approx(0.1, rel=0.02)


def test_the_tiny_networks_tell_widths_apart():
    """Otherwise a swapped width would pass."""
    for variant in VARIANTS:
        shapes = shapes_of(tiny(variant))
        widths = [shape[0] for key, shape in shapes.items() if key.endswith(".0.weight")]
        assert len(set(widths)) > len(tiny(variant).levels)
    assert inputs_of(tiny("4k"))[0].shape == (3, 192, 320)
    assert SIGMA * 1000 == 312.5
