"""The trend over baselines: what is followed, what is joined, what is said."""

import re
from itertools import pairwise

import pytest
import verdicts
from pages import Page
from runfolders import build

from qa import files
from reports import html
from reports.trend import trends

RECORD = {"suite_digest": "s"}


def entry(number, mean, *, anchor=False, suite="s", protocol="f", metrics=("psnr",), **changes):
    row = {"mean": mean, "low": mean - 1, "high": mean + 1, "fingerprint": protocol}
    return {
        "content": f"{number}" * 64, "run": f"run {number}", "plan": f"plan {number}",
        "suite_digest": suite, "promoted": f"2026-0{number}-03T10:00:00+00:00",
        "why": f"release {number}", "anchor": anchor, "metrics": dict.fromkeys(metrics, row),
    } | changes  # fmt: skip


def verdict(against, mean=24.0, *gates):
    row = {
        "metric": "psnr", "better": "higher", "unit": "dB", "fingerprint": "f", "of": "picture",
        "mean": mean, "low": mean - 1, "high": mean + 1, "count": 24, "missing": 0, "why": "",
    }  # fmt: skip
    found = verdicts.verdict("PASS", *(gates or [verdicts.gate()]), metrics=[row])
    found["baseline"]["plan"] = against
    return found


HISTORY = [entry(1, 20.0, anchor=True), entry(2, 22.0), entry(3, 23.0)]


def test_baselines_come_in_order_and_this_run_last():
    (found,) = trends(verdict("plan 3"), RECORD, HISTORY)
    assert [mark.value for mark in found.marks] == ["20.0", "22.0", "23.0", "24.0"]
    assert [mark.kind for mark in found.marks] == ["anchor", "baseline", "baseline", "run"]
    assert [mark.day for mark in found.marks] == ["2026-01-03", "2026-02-03", "2026-03-03", ""]
    assert found.marks[0].range == "[19.0, 21.0]"
    xs, ys = [mark.x for mark in found.marks], [mark.y for mark in found.marks]
    assert xs == sorted(xs)
    assert ys == sorted(ys, reverse=True), "higher values stand higher"
    # Equal steps in value are equal steps on the screen: 20 → 22 is twice 22 → 23.
    assert ys[0] - ys[1] == pytest.approx(2 * (ys[1] - ys[2]), abs=0.05)
    assert all(mark.high < mark.y < mark.low for mark in found.marks)
    assert found.lines == tuple(pairwise(found.marks))
    assert found.apart == 0


def test_a_run_that_became_a_baseline_does_not_stand_there_twice():
    (found,) = trends(verdict("plan 2", 23.0), RECORD, HISTORY)
    assert [mark.value for mark in found.marks] == ["20.0", "22.0", "23.0"]
    again = [*HISTORY[:2], entry(2, 22.5), HISTORY[2]]  # promoted again: another content
    (found,) = trends(verdict("plan 2", 23.0), RECORD, again)
    assert [mark.value for mark in found.marks] == ["20.0", "22.0", "22.5", "23.0"]


def test_no_trend_without_two_points_or_without_the_baseline_of_the_verdict():
    assert trends(verdict("plan 3"), RECORD, []) == ()
    assert trends(verdict("a run by its path"), RECORD, HISTORY) == ()
    assert trends(verdict("plan 1"), RECORD, [entry(1, 20.0, metrics=("lpips",))]) == ()
    assert trends(verdict("plan 1") | {"baseline": None}, RECORD, HISTORY) == ()
    assert len(trends(verdict("plan 1"), RECORD, HISTORY)) == 1  # a pair is enough


def test_only_primary_metrics_with_a_mean_are_shown():
    rows = (verdicts.gate(), verdicts.gate("psnr", gate="anchor"), verdicts.gate("lpips"))
    assert [t.metric for t in trends(verdict("plan 3", 24.0, *rows), RECORD, HISTORY)] == ["psnr"]
    assert trends(verdict("plan 3", 24.0, verdicts.secondary("psnr")), RECORD, HISTORY) == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"protocol": "old"}, "another protocol"),
        ({"suite": "old"}, "other pictures"),
        ({"protocol": "old", "suite": "old"}, "another protocol and other pictures"),
    ],
)
def test_values_that_may_not_be_compared_are_not_joined(changes, said):
    history = [entry(1, 20.0, **changes), entry(2, 22.0, **changes), entry(3, 23.0)]
    (found,) = trends(verdict("plan 3"), RECORD, history)
    assert [mark.apart for mark in found.marks] == [said, said, "", ""]
    first, second, third, last = found.marks
    assert found.lines == ((first, second), (third, last))
    assert found.apart == 2


def test_dates_leave_each_other_room():
    history = [entry(n, 20.0 + n, anchor=n in (1, 5)) for n in range(1, 10)]
    (found,) = trends(verdict("plan 9"), RECORD, history)
    places = [mark.x for mark in found.marks if mark.label]
    assert all(b - a >= 16 for a, b in pairwise(places))
    assert (found.marks[0].label, found.marks[-1].label) == ("2026-01-03", "this run")
    assert found.marks[4].label == "2026-05-03", "an anchor goes before others"
    few = trends(verdict("plan 3"), RECORD, HISTORY)[0]
    assert all(mark.label for mark in few.marks)


def test_a_value_without_an_interval_still_has_its_mark():
    history = [entry(1, 20.0)]
    history[0]["metrics"]["psnr"] |= {"low": None, "high": None}
    (found,) = trends(verdict("plan 1"), RECORD, history)
    assert (found.marks[0].low, found.marks[0].high, found.marks[0].range) == (None, None, "")


def test_the_page_shows_marks_and_numbers(tmp_path):
    run = build(tmp_path / "run", ["a"], size=8)
    files.write_json(run.verdict_file, verdict("plan 3"))
    files.write_json(run.record_file, run.record() | RECORD)
    history = [*HISTORY[:2], entry(3, 23.0, why="<b>bold</b>", protocol="old")]
    text = html.render(run, history=history)
    part = Page(re.search(r'<h2 id="trend">.*?</figure>', text, re.DOTALL)[0])
    label = next(svg["aria-label"] for svg in part.all("svg") if "role" in svg)
    assert "psnr over 3 baselines, from 20.0 to 24.0 in this run" in label
    for said in ("<b>bold</b>", "another protocol", "release 1", "2026-02-03", "[21.0, 23.0]"):
        assert said in part.text
    assert "1 hollow mark has values" in part.text
    assert "Trend over baselines" not in Page(html.render(run)).text
    assert 'href="#trend"' in text
    assert 'href="#trend"' not in html.render(run)
