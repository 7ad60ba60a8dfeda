"""What a page lists of a very large run, and that nothing else about it changes."""

from __future__ import annotations

import re
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from pages import Page
from runfolders import build, gate, judged
from stored import put_scores

from qa import files
from qa.results import Results
from qa.types import NOT_APPLICABLE
from reports import choosing, harm, html
from reports.listing import listing
from reports.picking import picking

IDS = [f"p{number:03d}" for number in range(60)]
SAID = re.compile(r"(\d+) of 60 pictures are listed: (.*?)\. The table")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run and its baseline of 60 pictures; some lack a value, to some a metric does not apply."""
    folder = tmp_path_factory.mktemp("large")
    run, base = (build(folder / name, IDS, size=8, references=False) for name in ("run", "base"))
    rng = np.random.default_rng(0)
    for arm in (run, base):
        scores = arm.scores()
        psnr = scores["metric"] == "psnr"
        scores.loc[psnr, "value"] += rng.normal(0, 1, psnr.sum())
        if arm is run:
            scores.loc[scores["sample"].isin(["p007", "p030"]) & psnr, "value"] = None
            aside = scores["sample"].isin(["p011", "p012"]) & ~psnr
            scores.loc[aside, "value"] = None
            scores.loc[aside, "why"] = NOT_APPLICABLE + "none"
        put_scores(arm, scores)
    gates = [gate("psnr", "FAIL", ["p059"]), gate("lpips", "PASS", [])]
    return judged(run, "FAIL", gates), base


@pytest.fixture
def few(monkeypatch):
    """As if 24 pictures were all that a page can list."""
    monkeypatch.setattr(choosing, "LISTED", 24)
    monkeypatch.setattr(choosing, "WORST", 10)
    monkeypatch.setattr(choosing, "NEAR", 5)
    monkeypatch.setattr(choosing, "BEST", 4)


@pytest.fixture
def small(monkeypatch):
    """Groups, a table and plots that show less than is listed."""
    monkeypatch.setattr("reports.gallery.MOST", 3)
    monkeypatch.setattr(html, "MAX_LINES", 8)
    monkeypatch.setattr("reports.scatter.POINTS", 12)


@pytest.mark.parametrize("against", [True, False])
def test_the_page_is_the_one_of_all_pictures(runs, few, small, monkeypatch, against):
    run, base = runs[0], runs[1] if against else None
    large = html.render(run, base)
    found = picking(run, base)
    assert (len(found.rows), found.total) == (24, 60)
    said = SAID.search(Page(large).text)
    monkeypatch.setattr(choosing, "LISTED", 60)
    whole = html.render(run, base)
    assert not SAID.search(Page(whole).text)
    start = large.index(f'<p class="lead"><bdi>{found.whole.said}')
    assert large[:start] + large[large.index("</p>\n", start) + 5 :] == whole
    assert said[1] == "24"
    numbers = [int(part.split()[0]) for part in said[2].split(", ")]
    assert sum(numbers) == 24


def test_ranks_are_those_of_the_table(runs, few, monkeypatch):
    chosen = [row.sample for row in picking(*runs).rows]
    monkeypatch.setattr(choosing, "LISTED", 60)
    every = [row.sample for row in picking(*runs).rows]
    assert every[:10] == chosen[:10]
    assert {"p007", "p030"} == set(every[:2]), "what is missing comes first"
    assert [name for name in every if name in set(chosen)] == chosen
    assert every[:24] != chosen, "negative control: it is not only the worst"


def test_what_is_listed_follows_from_the_run_and_its_plan_alone(runs, few):
    one, two = picking(*runs).whole, picking(*runs).whole
    assert one.listed == two.listed == sorted(one.listed)
    verdict = runs[0].verdict()
    columns = picking(*runs).columns
    arms = [choosing.arm(run, IDS) for run in runs]
    other = verdict | {"candidate": verdict["candidate"] | {"plan": "cd"}}
    assert choosing.whole(other, columns, *arms).listed != one.listed


def test_the_viewer_lists_as_many_and_says_so(runs, few, monkeypatch):
    run, base = runs
    found = listing(run, (base,))
    assert len(found.entries) == len(found.samples) == 24
    assert found.said.startswith("24 of 60 pictures are listed")
    assert found.lines(found.entries[0].sample["id"], 0)
    run.verdict_file.rename(run.verdict_file.with_suffix(".away"))
    assert len(listing(run).entries) == 24, "nor does it need a verdict"
    run.verdict_file.with_suffix(".away").rename(run.verdict_file)
    monkeypatch.setattr(choosing, "LISTED", 60)
    assert listing(run, (base,)).said == ""


def test_a_picture_that_only_the_baseline_lacks_is_no_candidate(runs, few):
    run, base = runs
    scores = base.scores()
    lost = scores[~scores["sample"].isin(["p001", "p002"])]
    put_scores(base, lost)
    try:
        assert len(picking(run, base).rows) == 24
    finally:
        put_scores(base, pd.DataFrame(scores))


@pytest.mark.parametrize("change", ["picture", "protocol"])
def test_the_viewer_chooses_by_what_its_table_compares(runs, few, monkeypatch, tmp_path, change):
    run, base = runs[0], build(tmp_path / "base", IDS, size=8, references=False)
    record, rows, scores = base.record(), base.samples(), base.scores()
    others = set(IDS[20:40]) if change == "picture" else set(IDS)
    wrong = scores["sample"].isin(others) & (scores["metric"] == "psnr")
    scores.loc[wrong, "value"] += np.random.default_rng(1).uniform(50, 90, wrong.sum())
    put_scores(base, scores)
    if change == "picture":
        base.write_samples(row | {"prompt": "x"} if row["id"] in others else row for row in rows)
    else:
        record["facts"]["psnr"]["fingerprint"] = "another"
        files.write_json(base.record_file, record)
    chosen = [entry.sample["id"] for entry in listing(run, (base,)).entries]
    monkeypatch.setattr(choosing, "LISTED", 60)
    every = [entry.sample["id"] for entry in listing(run, (base,)).entries]
    assert (len(chosen), len(every)) == (24, 60)
    assert every[:10] == chosen[:10]
    assert [name for name in every if name in set(chosen)] == chosen


def test_a_base_that_shares_what_is_not_listed_shares_something(runs, few, tmp_path):
    run = runs[0]
    run.verdict_file.rename(run.verdict_file.with_suffix(".away"))
    try:  # nothing is gated: that a picture can be compared does not list it
        listed = {row["id"] for row in listing(run).samples}
        one = next(name for name in IDS if name not in listed)
        base = build(tmp_path / "base", [one], size=8, references=False)
        found = listing(run, (base,))
    finally:
        run.verdict_file.with_suffix(".away").rename(run.verdict_file)
    assert {row["id"] for row in found.samples} == listed
    assert found.bases[0].shared == {one}


def test_a_verdict_may_name_more_than_a_page_lists(runs, few):
    verdict, arms = runs[0].verdict(), [choosing.arm(run, IDS) for run in runs]
    columns = harm.columns(verdict, None)
    first, second = IDS[::-1][:30], IDS[10:12]
    verdict["gates"] = [gate("psnr", "FAIL", first), gate("lpips", "PASS", second)]
    found = choosing.whole(verdict, columns, *arms)
    assert found.listed == sorted([*first[:22], *second]), "the worst of each gate"
    assert found.said == "24 of 60 pictures are listed: 24 that the verdict names."
    verdict["gates"] = [gate("psnr", "FAIL", ["nobody", *second])]
    said = choosing.whole(verdict, columns, *arms).said
    assert said.startswith("24 of 60 pictures are listed: 2 that the verdict names, 10 worst, ")


def test_one_long_id_does_not_make_all_ids_long(few):
    ids = [f"p{number:03d}" for number in range(500)] + ["q" * 100_000]
    rows = [(name, 0, "psnr", float(place), "") for place, name in enumerate(ids)]
    scores = pd.DataFrame(rows, columns=["sample", "seed", "metric", "value", "why"])
    run = Results("table", scores, {}, {})
    gates = [gate("psnr", "FAIL", ["p400", ids[-1]])]
    verdict = {"gates": gates, "metrics": [], "candidate": {"plan": "ab"}}
    tracemalloc.start()
    try:
        found = choosing.whole(verdict, harm.columns(verdict, None), run, None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert {"p400", ids[-1]} < set(found.listed)
    assert peak < 4 * len(ids) * len(ids[-1]) / 10, "an array of texts has room for the longest"
