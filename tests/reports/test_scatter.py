"""The scatter: where a picture stands, which side is worse, what is counted."""

import re

import pytest
import verdicts
from pages import Page
from runfolders import build, gate, judged

from reports import html, scatter
from reports.axes import Axis, covering
from reports.harm import Cell, Column
from reports.scatter import scatters

NASTY = "<img src=x onerror=alert(1)>"
PSNR, LPIPS = Column("psnr", "higher", "dB", 1.0), Column("lpips", "lower", "", 0.01)


def arms(metric, values):
    """Cells of (baseline, candidate) from sample → (baseline, candidate)."""
    both = zip(*values.values(), strict=True)
    return [dict(zip(((s, metric) for s in values), map(Cell, arm), strict=True)) for arm in both]


def plot(column, values, **changes):
    theirs, ours = arms(column.metric, values)
    row = verdicts.gate(column.metric, better=column.better, unit=column.unit, **changes)
    (found,) = scatters(verdicts.verdict("PASS", row), [column], ours, theirs)
    return found, {point.sample: point for point in found.points}


def test_a_picture_that_did_not_change_stands_on_the_line():
    _, at = plot(PSNR, {"a": (20.0, 20.0), "b": (30.0, 29.5), "c": (40.0, 40.0)})
    for name in "ac":
        assert at[name].x + at[name].y == pytest.approx(100, abs=0.02)
    assert at["b"].x + at["b"].y > 100.02  # below the line, as screens count
    assert at["a"].x < at["b"].x < at["c"].x


@pytest.mark.parametrize(("column", "below"), [(PSNR, True), (LPIPS, False)])
def test_the_worse_side_follows_the_direction(column, below):
    """Harm is worse(candidate) - worse(baseline), so its sign names the side."""
    worse = (3.0, 2.0) if below else (2.0, 3.0)
    found, at = plot(column, {"worse": worse, "better": worse[::-1]}, margin=0.5)
    assert found.worse_below is below
    assert (at["worse"].x + at["worse"].y > 100) is below
    assert (at["worse"].kind, at["better"].kind) == ("beyond", "better")


def test_kinds_are_split_at_the_margin_and_counted():
    values = {
        "same": (30, 30),
        "at": (30, 29),
        "past": (30, 28.9),
        "up": (30, 31.1),
        "up at": (30, 31),
    }
    found, at = plot(PSNR, values, margin=1.0)
    assert {name: point.kind for name, point in at.items()} == {
        "same": "within", "at": "within", "past": "beyond", "up": "better", "up at": "within",
    }  # fmt: skip
    assert found.counts == {"within": 3, "better": 1, "beyond": 1}
    assert found.compared == 5
    assert found.points[-1].sample == "past", "what is beyond the margin is drawn on top"
    assert plot(PSNR, values, margin=None)[0].counts["beyond"] == 0


def test_the_dashed_lines_are_one_margin_away():
    found, at = plot(PSNR, {"a": (20.0, 20.0), "b": (40.0, 38.0)}, margin=2.0)
    # b lies on the margin: its place must solve the line's equation.
    (x1, y1), (x2, y2) = found.edges[0]
    assert at["b"].y == pytest.approx(y1 + (y2 - y1) * (at["b"].x - x1) / (x2 - x1), abs=0.05)
    assert len(found.edges) == 2
    assert all(0 <= part <= 100 for line in found.edges for end in line for part in end)
    assert plot(PSNR, {"a": (20.0, 20.0)}, margin=1e6)[0].edges == ()


def test_missing_values_are_counted_and_what_does_not_apply_is_not():
    theirs, ours = arms("psnr", {"a": (20, 19), "b": (None, 19), "c": (20, None), "d": (20, None)})
    ours["d", "psnr"] = Cell(None, "not applicable: no words", aside=True)
    (found,) = scatters(verdicts.verdict("PASS"), [PSNR], ours, theirs)
    assert (found.compared, found.missing) == (1, 2)


def test_no_plot_without_a_baseline_or_without_a_pair():
    _, ours = arms("psnr", {"a": (20, 19)})
    assert scatters(verdicts.verdict("PASS"), [PSNR], ours, {}) == ()
    assert scatters(verdicts.verdict("PASS"), [PSNR], ours, {("a", "psnr"): Cell(None)}) == ()


def test_gated_metrics_only_primary_ones_first_and_few():
    names = [f"m{number}" for number in range(6)]
    columns = [Column(name, "lower", "", 1.0) for name in names]
    rows = [verdicts.secondary("m0"), *(verdicts.gate(name) for name in names[1:5])]
    cells = {("a", name): Cell(1.0) for name in names}
    verdict = verdicts.verdict("PASS", *rows, verdicts.gate("m5", gate="cost"))
    assert [s.metric for s in scatters(verdict, columns, cells, cells)] == ["m1", "m2", "m3", "m4"]
    verdict["gates"] = rows[:3]
    assert [s.metric for s in scatters(verdict, columns, cells, cells)] == ["m1", "m2", "m0"]


def test_points_are_bounded_and_the_worst_are_among_them(monkeypatch):
    monkeypatch.setattr(scatter, "POINTS", 10)
    values = {f"p{number:02d}": (50.0, 50.0 - number) for number in range(40)}
    found, at = plot(PSNR, values, margin=30.5)
    assert len(found.points) == 10
    assert {"p35", "p36", "p37", "p38", "p39"} <= set(at)
    assert len({name for name in at if name < "p35"}) == 5
    assert found.counts == {"within": 31, "better": 0, "beyond": 9}, "all count, drawn or not"
    assert plot(PSNR, dict(reversed(values.items())), margin=30.5)[0] == found


def test_axes_cover_all_values_with_round_numbers():
    for low, high in [
        (0, 1),
        (-3.7, 12.2),
        (0.9911, 0.9987),
        (1e6, 3e6),
        (30, 30),
        (0, 0),
        (-5, -5),
    ]:
        axis = covering([low, high])
        assert 0 < axis.at(low) <= axis.at(high) < 100
        assert axis.at(low) == pytest.approx(100 - axis.down(low))
        ticks = axis.ticks()
        assert 2 <= len(ticks) <= 6
        assert all(0 <= tick.at <= 100 for tick in ticks)
        for tick in ticks:
            value = float(tick.text.replace("−", "-"))
            assert axis.at(value) == pytest.approx(tick.at, abs=0.02), (
                "a label says where it stands"
            )
    assert [tick.text for tick in Axis(0.0, 1.0).ticks()] == [
        "0.0",
        "0.2",
        "0.4",
        "0.6",
        "0.8",
        "1.0",
    ]


SECTION = re.compile(r'<h3 id="scatter">.*?<h3 id="table">', re.DOTALL)


def test_the_page_names_the_numbers_and_each_point(tmp_path):
    ids = ["a", "b", NASTY]
    run, base = build(tmp_path / "run", ids, bias=2.0), build(tmp_path / "base", ids)
    judged(run, "FAIL", [gate("psnr", "FAIL", ["b"])])
    part = Page(SECTION.search(html.render(run, base))[0])
    label = next(s["aria-label"] for s in part.all("svg") if "field" in s.get("class", ""))
    assert "3 pictures: 3 worse by more than the margin of 1.0 dB, 0 within it" in label
    marks = [rect for rect in part.all("rect") if "data-sample" in rect]
    assert {rect["data-sample"] for rect in marks} == set(ids)
    assert {rect["class"] for rect in marks} == {"s-beyond"}
    assert "b 29.5 → 27.5 dB, harm 2.0" in part.text
    assert not part.all("img")
    assert not SECTION.search(html.render(run))  # no baseline at hand
