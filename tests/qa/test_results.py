"""Scores of a run are read one metric at a time, and say the same as a table of all of them."""

from __future__ import annotations

import pandas as pd
import pytest
from approvals import make_run
from stored import part, put_scores

from qa.errors import QaError
from qa.gates.comparable import restricted
from qa.gates.margins import Margin
from qa.judge import judge
from qa.results import Results, load


@pytest.fixture
def run(tmp_path):
    """A run of two metrics; the second has a gap and a picture to which it does not apply."""
    made = make_run(tmp_path / "run")
    rows = made.scores()
    other = rows.assign(metric="ssim", value=[0.5, None, None], why=["", "lost", ""])
    other.loc[2, "why"] = "not applicable: nothing to see"
    put_scores(made, pd.concat([rows, other]))
    return made


def test_a_run_and_its_table_are_judged_alike(run, tmp_path):
    run.scores().to_csv(tmp_path / "table.csv", index=False)
    stored, table = load(run.path), load(tmp_path / "table.csv")
    assert stored.scores is None
    assert table.scores is not None
    for metric in ("psnr", "ssim"):
        found = [arm.by_seed(metric).to_dict() for arm in (stored, table)]
        assert str(found[0]) == str(found[1])
        assert stored.inapplicable(metric) == table.inapplicable(metric)
    assert stored.inapplicable("ssim") == {"p2"}
    assert stored.metrics == ["psnr", "ssim"]
    assert stored.by_picture("absent").isna().all()


def test_one_metric_is_in_memory_and_no_other_is_read(run):
    part(run, "ssim").write_bytes(b"nothing")
    found = load(run.path)
    assert found.by_picture("psnr").tolist() == [30.0, 31.0, 32.0]
    verdict = judge(replaced(found, "psnr"), replaced(found, "psnr"), {"psnr": Margin(0.2)})
    assert verdict["state"] == "PASS"
    with pytest.raises(QaError, match="Cannot read"):  # negative control: all of them
        judge(found, found, {"psnr": Margin(0.2)})
    found.by_picture("psnr")
    assert list(found._latest) == ["psnr"]


def replaced(found: Results, metric: str) -> Results:
    """The arm as a table of one metric."""
    return Results(found.name, found.rows(metric).assign(metric=metric), {}, found.digests)


def test_an_arm_cut_to_some_pictures_reads_nothing_anew(run):
    whole = load(run.path)
    assert whole.by_picture("psnr").tolist() == [30.0, 31.0, 32.0]
    part(run, "psnr").unlink()
    cut = restricted(whole, ["p1"])
    assert cut.by_picture("psnr").to_dict() == {"p1": 31.0}
    assert cut.rows("psnr")["sample"].tolist() == ["p1"]
    with pytest.raises(QaError, match="There is no part-00000"):  # negative control
        load(run.path)


def test_scores_of_samples_that_are_not_listed_are_refused(run):
    run.write_samples(row for row in run.samples() if row["id"] != "p1")
    with pytest.raises(QaError, match="scores of 'p1', which the run does not list"):
        load(run.path).by_picture("psnr")


@pytest.mark.parametrize(
    "change",
    ["sha256", {"sha256": 5}, {"sha256": 0}, {"sha256": ["f"]}, {"group": 5}, {"group": {}},
     {"tags": "photo"}, {"tags": {"a": 1}}, {"tags": [5]}, {"tags": 5}],
)  # fmt: skip
def test_samples_of_another_kind_are_refused(run, change):
    rows = run.samples()
    if change == "sha256":
        del rows[1]["sha256"]
    else:
        rows[1] |= change
    run.write_samples(rows)
    with pytest.raises(QaError, match="not what this version writes") as raised:
        load(run.path)
    told = "'p1' has no sha256" if change == "sha256" else f"Line 2: {next(iter(change))}"
    assert told in str(raised.value)


def test_samples_keep_what_they_have(run):
    marks = {"p0": None, "p1": "a" * 64, "p2": ""}
    more = [{}, {"group": "g", "tags": ["photo", "night"]}, {"group": None, "tags": []}]
    run.write_samples(
        {"id": name, "sha256": mark} | rest
        for (name, mark), rest in zip(marks.items(), more, strict=True)
    )
    found = load(run.path)
    assert found.digests == marks
    assert (found.groups, found.slices) == ({"p1": "g"}, {"p1": "photo"})


def test_values_that_cannot_be_reckoned_with_are_missing_in_a_run_too(run):
    rows = run.scores()
    rows.loc[(rows["sample"] == "p1") & (rows["metric"] == "psnr"), "value"] = 1e300
    put_scores(run, rows)
    found = load(run.path)
    assert found.by_picture("psnr").isna().tolist() == [False, True, False]
    assert "beyond 1e+100" in found.rows("psnr")["why"].tolist()[1]
    put_scores(run, pd.concat([rows, rows[:1]]))
    with pytest.raises(QaError, match="several rows"):
        load(run.path).rows(rows["metric"][0])
