"""The run folder: atomic writes, safe names, reading back."""

from __future__ import annotations

import errno
import json
import os
import string
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa import files
from qa.errors import QaError, UsageError
from qa.store import RunFolder, UnitResult, file_name
from qa.types import Decoded, Score


def result(unit: str, sample: str, value: float | None = 1.0) -> UnitResult:
    decoded = Decoded(sample, 0, None, None, 0, 0.0, None, "no picture")
    return UnitResult(unit, (decoded,), (Score(sample, 0, "psnr", value),), {"psnr": "abc"})


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    file = tmp_path / "a" / "b.json"
    files.write_json(file, {"x": 1})

    def fail_halfway():
        with files.atomic(file) as temporary:
            temporary.write_text("half")
            raise ValueError("planted")

    with pytest.raises(ValueError, match="planted"):
        fail_halfway()
    assert files.read_json(file) == {"x": 1}
    assert os.listdir(file.parent) == ["b.json"]


@pytest.mark.parametrize(
    ("code", "said"),
    [(errno.ENOSPC, "The disk is full"), (errno.EDQUOT, "The disk is full"),
     (errno.EROFS, "Cannot write"), (errno.EACCES, "Cannot write")],
)  # fmt: skip
def test_the_systems_refusals_become_advice(tmp_path, code, said):
    with pytest.raises(QaError, match=said) as caught, files.atomic(tmp_path / "a"):
        raise OSError(code, os.strerror(code))
    assert caught.value.exit_code == 1
    assert caught.value.fix
    assert not list(tmp_path.iterdir())


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_really_full_disk(tiny_disk):
    files.write_bytes(tiny_disk / "first", b"x" * 10_000)
    with pytest.raises(QaError, match="The disk is full"):
        files.write_bytes(tiny_disk / "second", b"x" * 100_000)
    assert os.listdir(tiny_disk) == ["first"]


def test_numbers_that_json_cannot_hold_are_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"x": float("nan")})


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_sample_names_are_safe_and_distinct(one, two):
    for name in (one, two):
        safe = file_name(name)
        assert safe not in {"", ".", ".."}
        assert "/" not in safe
        assert "\x00" not in safe
        assert len(safe.encode()) <= 255
        assert set(safe) <= set(string.ascii_letters + string.digits + "._-%() ,+[]=@")
    assert (file_name(one) == file_name(two)) == (one == two)


def test_a_stored_unit_comes_back(tmp_path):
    run = RunFolder(tmp_path)
    run.store(result("u1", "a"))
    assert run.finished("u1") == result("u1", "a")


@pytest.mark.parametrize("damage", ["cut", "other unit", "lost picture", "absent"])
def test_a_unit_that_is_not_whole_is_not_finished(tmp_path, damage):
    run = RunFolder(tmp_path)
    run.store(result("u1", "a"))
    file = run.unit_file("u1")
    data = json.loads(file.read_text())
    if damage == "cut":
        file.write_text(file.read_text()[:-20])
    elif damage == "other unit":
        file.write_text(json.dumps(data | {"unit": "u2"}))
    elif damage == "lost picture":
        data["decoded"][0]["file"] = "images/a/seed0.png"
        file.write_text(json.dumps(data))
    else:
        file.unlink()
    assert run.finished("u1") is None


def test_tables_do_not_depend_on_the_order_of_units(tmp_path):
    for name, order in (("one", "ab"), ("two", "ba")):
        run = RunFolder(tmp_path / name)
        for sample in order:
            run.store(result(f"u-{sample}", sample))
        run.reduce([f"u-{sample}" for sample in order], {"psnr"})
    files = [(tmp_path / name / "scores.parquet").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]


def test_missing_values_stay_missing(tmp_path):
    run = RunFolder(tmp_path)
    run.store(result("u", "a", None))
    run.reduce(["u"], {"psnr"})
    assert run.scores()["value"].isna().all()


def test_reducing_an_unfinished_run_is_refused(tmp_path):
    run = RunFolder(tmp_path)
    run.store(result("u1", "a"))
    with pytest.raises(QaError, match="1 of 2 units have no result"):
        run.reduce(["u1", "u2"], {"psnr"})


def test_what_is_no_run_is_said(tmp_path):
    with pytest.raises(UsageError, match="is not a run folder"):
        RunFolder.open(tmp_path)
    (tmp_path / "record.json").write_text("{")
    with pytest.raises(QaError, match="not valid JSON"):
        RunFolder.open(tmp_path).record()
    with pytest.raises(QaError, match="Cannot read"):
        RunFolder(Path(tmp_path)).scores()
