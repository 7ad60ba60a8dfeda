"""The record of a finished unit: it is believed only if it is whole, even, and as it was stored."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from qa import files
from qa.documents import sealed
from qa.errors import QaError
from qa.reduce import reduce
from qa.store import RunFolder, UnitResult
from qa.types import Decoded, Score


def result(unit: str, sample: str) -> UnitResult:
    decoded = Decoded(sample, 0, None, None, 0, 0.0, None, "no picture")
    return UnitResult(unit, (decoded,), (Score(sample, 0, "psnr", 1.0),), {"psnr": "abc"})


def test_a_stored_unit_comes_back(tmp_path):
    run = RunFolder(tmp_path)
    run.store(result("u1", "a"))
    assert run.finished("u1") == result("u1", "a")


def changed(text: str, damage: str) -> bytes:
    """A record's file after a damage; of the later ones the check is right again."""
    data = json.loads(text)
    check = data.pop("check")
    assert check == files.digest(data)
    (made,), (score,) = data["decoded"], data["scores"]
    edits = {
        "other unit": {"unit": "u2"},
        "lost picture": {"decoded": [made | {"file": "images/a/seed0.png"}]},
        "no picture": {"decoded": [], "scores": []},
        "a picture twice": {"decoded": [made, made], "scores": []},
        "a score twice": {"scores": [score, score]},
        "a seed without a score": {"decoded": [made, made | {"seed": 1}]},
        "a score without a seed": {"scores": [score, score | {"seed": 1}]},
    }
    whole = {
        "cut": text[:-20],
        "one digit": text.replace('"value":1.0', '"value":2.0'),
        "another check": text.replace(check[:4], "0000"),
        "no check": files.canonical(data),
        "written otherwise": json.dumps(json.loads(text)),
    }
    return sealed(data | edits[damage]) if damage in edits else whole[damage].encode()


@pytest.mark.parametrize(
    "damage",
    ["cut", "one digit", "another check", "no check", "written otherwise", "other unit",
     "lost picture", "no picture", "a picture twice", "a score twice", "a seed without a score",
     "a score without a seed"],
)  # fmt: skip
def test_a_unit_that_is_not_whole_is_not_finished(tmp_path, damage):
    run = RunFolder(tmp_path)
    run.store(result("u1", "a"))
    file = run.unit_file("u1")
    before = file.read_text()
    file.write_bytes(changed(before, damage))
    assert file.read_text() != before
    assert run.finished("u1") is None


def test_a_unit_that_is_absent_is_not_finished(tmp_path):
    assert RunFolder(tmp_path).finished("u1") is None


def test_every_byte_of_a_record_counts(tmp_path):
    run = RunFolder(tmp_path)
    run.store(result("u1", "a"))
    file = run.unit_file("u1")
    data = file.read_bytes()
    for place in range(len(data)):
        turned = bytearray(data)
        turned[place] ^= 1 << place % 8
        file.write_bytes(turned)
        assert run.finished("u1") is None, data[: place + 1]
    file.write_bytes(data)
    assert run.finished("u1"), "the control"


def test_units_of_other_seeds_are_refused(tmp_path):
    run = RunFolder(tmp_path)
    for sample, seeds in (("a", (1, 0)), ("b", (0, 1)), ("c", (0,))):
        decoded = [Decoded(sample, seed, None, None, 0, 0.0, None, "lost") for seed in seeds]
        run.store(UnitResult(f"u-{sample}", tuple(decoded), (), {}))
    reduce(run, ["u-a", "u-b"], set())
    assert list(run.decoded(["seed"])["seed"]) == [0, 1, 0, 1]
    with pytest.raises(QaError, match=r"u-a has \[0, 1\], u-c has \[0\]"):
        reduce(run, ["u-a", "u-b", "u-c"], set())


@pytest.mark.parametrize(
    ("column", "value"), [("seconds", "fast"), ("clipped", 2**70), ("note", "\udcff"),
                          ("peak_bytes", [1])],
)  # fmt: skip
def test_a_value_that_no_table_can_hold_is_said(tmp_path, column, value):
    run = RunFolder(tmp_path)
    run.store(result("u1", "a"))
    reduce(run, ["u1"], {"psnr"})
    stored = run.finished("u1")
    odd = replace(stored.decoded[0], **{column: value})
    run.store(replace(stored, decoded=(odd,)))
    with pytest.raises(QaError, match=f"a value under '{column}' that cannot be there") as caught:
        reduce(run, ["u1"], {"psnr"})
    assert "delete the file" in caught.value.fix
