"""What a page lists of a very large run, and that nothing else about it changes."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from pages import Page
from runfolders import build, gate, judged
from stored import put_scores

from qa.types import NOT_APPLICABLE
from reports import choosing, html
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
