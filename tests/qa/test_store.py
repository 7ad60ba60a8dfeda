"""The run folder: atomic writes, safe names, reading back."""

from __future__ import annotations

import errno
import os
import string
import subprocess
import weakref
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa import files, scores, tables
from qa.errors import QaError, UsageError
from qa.reduce import reduce
from qa.scores import SCORES
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


@pytest.fixture
def stored(tmp_path):
    """Units of one picture and two metrics, kept in some order and reduced in the plan's."""

    def make(name, order, metrics=("psnr", "ssim"), shift=0.0):
        run = RunFolder(tmp_path / name)
        for sample in order:
            decoded = Decoded(sample, 0, None, None, 0, 0.0, None, "no picture")
            scores = [Score(sample, 0, metric, ord(sample) + shift) for metric in metrics[::-1]]
            run.store(UnitResult(f"u-{sample}", (decoded,), tuple(scores), {}))
        reduce(run, [f"u-{sample}" for sample in sorted(order)], set(metrics))
        return run

    return make


def contents(run):
    files = [run.decoded_file, *run.scores_folder.files()]
    return {str(file.relative_to(run.path)): file.read_bytes() for file in files}


def test_tables_do_not_depend_on_the_order_in_which_units_finished(stored, monkeypatch):
    monkeypatch.setattr(tables, "GROUP", 2)
    monkeypatch.setattr(scores, "LARGEST", 4)
    one, two = stored("one", "abcdefg"), stored("two", "gcaebfd")
    assert contents(one) == contents(two)
    assert one.scores_folder.parts() == {"psnr": [4, 3], "ssim": [4, 3]}
    assert contents(stored("other", "abcdefg", shift=1e-9)) != contents(one), "negative control"


def test_units_out_of_order_are_refused(stored):
    run = stored("one", "ab")
    with pytest.raises(ValueError, match="'a' comes after 'b'"):
        reduce(run, ["u-b", "u-a"], {"psnr"})


def test_pandas_reads_all_metrics_or_one(stored, monkeypatch):
    monkeypatch.setattr(tables, "GROUP", 2)
    monkeypatch.setattr(scores, "LARGEST", 4)
    run = stored("run", "abcdefg", ("psnr", "a metric/ü"))
    whole = pd.read_parquet(run.scores_folder.path)
    assert set(whole.columns) == set(SCORES)
    assert set(whole["metric"]) == {"psnr", "a metric/ü"}
    assert len(whole) == len(run.scores()) == 14
    one = run.scores_folder.of("a metric/ü")
    assert one["sample"].tolist() == list("abcdefg")
    assert one["value"].tolist() == [float(ord(name)) for name in "abcdefg"]
    assert run.scores_folder.of("psnr", ["c", "z", "a"])["sample"].tolist() == ["a", "c"]
    assert not len(run.scores_folder.of("absent"))


def test_only_the_metric_that_is_asked_for_is_read(stored):
    run = stored("run", "ab")
    (file,) = (file for file in run.scores_folder.files() if "ssim" in str(file))
    file.write_bytes(b"nothing")
    assert len(run.scores_folder.of("psnr")) == 2
    with pytest.raises(QaError, match="Cannot read"):
        run.scores()  # negative control: a reader of all of them notices


@pytest.mark.parametrize(
    ("damage", "said"),
    [(lambda file: file.unlink(), "There is no part-00000.parquet of psnr"),
     (lambda file: file.write_bytes(file.read_bytes()[:-9]), "Cannot read"),
     (lambda file: pd.read_parquet(file)[["sample", "seed", "value", "why"]][:1].to_parquet(file),
      "It has 1 rows and not 2"),
     (lambda file: (pd.read_parquet(file)[["sample", "seed", "value", "why"]]
                    .assign(value=[[1.0]] * 2).to_parquet(file)), "Unsupported cast"),
     (lambda file: pd.DataFrame({"colour": ["red"] * 2}).to_parquet(file), "It has no column")],
)  # fmt: skip
def test_a_damaged_part_is_said(stored, damage, said):
    run = stored("run", "ab")
    assert len(run.scores_folder.of("psnr")) == 2, "negative control"
    damage(run.scores_folder.part_file("psnr", 0))
    with pytest.raises(QaError) as caught:
        run.scores_folder.of("psnr")
    assert said in f"{caught.value.what} {caught.value.why}"
    assert "again" in caught.value.fix


def test_a_columns_type_is_not_the_files_to_say(stored):
    """Nothing guards what a file says of its types; the values behind it are the same."""
    run = stored("run", "ab")
    file, before = run.scores_folder.part_file("psnr", 0), run.scores_folder.of("psnr")
    said = tables.arrow(file, scores.PART)
    names = said["sample"].cast("binary")
    pq.write_table(said.set_column(0, "sample", names), file)
    assert pq.read_table(file)["sample"][0].as_py() == b"a", "the control"
    assert run.scores_folder.of("psnr").equals(before)


@pytest.mark.parametrize("text", ["[]", '{"psnr": 3}', '{"psnr": ["1"]}', '{"psnr": [true]}'])
def test_a_list_of_parts_of_another_form_is_said(stored, text):
    run = stored("run", "ab")
    run.scores_folder.parts_file.write_text(text)
    with pytest.raises(QaError, match="is not what this version writes"):
        run.scores_folder.parts()


def test_a_run_of_an_earlier_version_is_named_as_one(tmp_path):
    run = RunFolder(tmp_path)
    for name, read in (("samples.json", run.samples), ("scores.parquet", run.scores)):
        with pytest.raises(QaError) as absent:
            read()
        assert f"{name} is" not in absent.value.what
        (tmp_path / name).write_bytes(b"[]")
        with pytest.raises(QaError, match=f"{name} is not what this version writes") as caught:
            read()
        assert "run the same `qa run` command again" in caught.value.fix


def test_new_scores_come_whole_and_the_old_ones_are_gone_at_once(stored):
    run = stored("run", "ab")

    def stopped():
        with run.scores_folder.anew() as scores:
            scores.add("psnr", ("a", 0, 1.0, ""))
            assert not run.scores_folder.path.exists()
            raise ValueError("planted")

    with pytest.raises(ValueError, match="planted"):
        stopped()
    assert not run.scores_folder.path.exists()
    assert not list(run.path.glob(".part-*"))
    reduce(run, ["u-a", "u-b"], {"psnr"})
    assert run.scores_folder.parts() == {"psnr": [2]}


def test_what_a_killed_process_left_is_cleared(tmp_path):
    run = RunFolder(tmp_path)
    (tmp_path / ".part-scores" / "metric=psnr").mkdir(parents=True)
    (tmp_path / ".part-scores" / "metric=psnr" / "part-00000.parquet").write_bytes(b"half")
    run.store(result("u1", "a"))
    (run.unit_file("u1").parent / ".part-x.json").write_bytes(b"half")
    with run.held():
        assert sorted(file.name for file in tmp_path.rglob("*")) == [".lock", "u1", "u1.json",
                                                                     "units"]  # fmt: skip


class Endless(RunFolder):
    """A run whose results are made when they are asked for; `alive` counts those in memory."""

    alive: ClassVar[weakref.WeakSet] = weakref.WeakSet()
    most: ClassVar[list[int]] = [0]

    def finished(self, unit):
        sample = f"s{unit}"
        decoded = Decoded(sample, 0, None, "f" * 64, 0, 0.0, None, "no picture")
        found = UnitResult(unit, (decoded,), (Score(sample, 0, "psnr", 1.0),), {})
        self.alive.add(found)
        self.most[0] = max(self.most[0], len(self.alive))
        return found


def test_reducing_holds_a_few_results_only(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "GROUP", 100)
    monkeypatch.setattr(UnitResult, "__hash__", object.__hash__)
    run, units = Endless(tmp_path), [f"{number:05d}" for number in range(5000)]
    Endless.most[0] = 0
    reduce(run, units, {"psnr"})
    assert len(run.scores_folder.of("psnr")) == len(units)
    assert Endless.most[0] <= 3
    kept = [run.finished(unit) for unit in units]  # negative control
    assert Endless.most[0] >= len(kept)


def test_missing_values_stay_missing(tmp_path):
    run = RunFolder(tmp_path)
    run.store(result("u", "a", None))
    reduce(run, ["u"], {"psnr"})
    assert run.scores()["value"].isna().all()


def test_reducing_an_unfinished_run_is_refused(tmp_path):
    run = RunFolder(tmp_path)
    run.store(result("u1", "a"))
    with pytest.raises(QaError, match="1 of 2 units have no result"):
        reduce(run, ["u1", "u2"], {"psnr"})


def test_what_is_no_run_is_said(tmp_path):
    with pytest.raises(UsageError, match="is not a run folder"):
        RunFolder.open(tmp_path)
    (tmp_path / "record.json").write_text("{")
    with pytest.raises(QaError, match="not valid JSON"):
        RunFolder.open(tmp_path).record()
    with pytest.raises(QaError, match="Cannot read"):
        RunFolder(Path(tmp_path)).scores()
