"""The gallery: which pictures it shows, why, and never more than it may."""

import re

import pytest
import verdicts
from pages import Page
from runfolders import build, gate, judged

from reports import gallery, harm, html
from reports.cards import Album
from reports.gallery import BEST, MOST, NEAR, RANDOM, WORST, deciding
from reports.harm import Cell, Column
from reports.pictures import Inliner
from reports.scatter import drawn_by_lot

NASTY = "<img src=x onerror=alert(1)>"
PSNR, LPIPS = Column("psnr", "higher", "dB", 1.0), Column("lpips", "lower", "", 0.01)


def album(run, seeds=2):
    return Album(run, None, Inliner(0), seeds, {}, run.path, {})


def made(run, cells, verdict, columns=(PSNR, LPIPS)):
    """The gallery of a run with these cells, and its groups as lists of samples in their order."""
    samples = {row["id"]: row for row in run.samples()}
    rows = harm.table(sorted(samples), cells, columns)
    found = gallery.gallery(verdict, rows, columns, samples, album(run))
    return found, {group.key: members(found, group.key) for group in found.groups}


def members(found, key):
    ranked = {item.ranks[key]: item.sample["id"] for item in found.items if key in item.ranks}
    return [ranked[place] for place in range(1, len(ranked) + 1)]


def spread(count):
    """Harm in psnr from -1 in steps of a tenth; the first picture is the best."""
    names = [f"p{number:03d}" for number in range(count)]
    harms = {name: number / 10 - 1 for number, name in enumerate(names)}
    cells = {(name, "psnr"): Cell(30 - h, "", 1, h) for name, h in harms.items()}
    return names, harms, cells


@pytest.fixture
def many(tmp_path):
    names, harms, cells = spread(60)
    return build(tmp_path / "run", names, size=8), names, harms, cells


def test_groups_are_the_two_ends_of_the_table_and_those_near_the_margin(many):
    run, names, harms, cells = many
    _, groups = made(run, cells, verdicts.verdict("FAIL", verdicts.gate("psnr", "FAIL")), [PSNR])
    assert list(groups) == [WORST, NEAR, BEST, RANDOM]
    assert groups[WORST] == names[::-1][:MOST]
    assert groups[BEST] == names[:MOST]
    away = [abs(harms[name] - 1.0) for name in groups[NEAR]]
    assert away == sorted(away)
    assert max(away) <= min(abs(harms[name] - 1.0) for name in set(names) - set(groups[NEAR]))
    assert harms[groups[NEAR][0]] == pytest.approx(1.0)


def test_the_lot_depends_on_the_plan_and_on_nothing_else(many):
    run, names, _, cells = many
    verdict = verdicts.verdict("FAIL", verdicts.gate("psnr", "FAIL"))
    first = made(run, cells, verdict, [PSNR])[1][RANDOM]
    assert made(run, cells, verdict, [PSNR])[1][RANDOM] == first
    verdict["candidate"]["plan"] = "another"
    assert made(run, cells, verdict, [PSNR])[1][RANDOM] != first
    assert drawn_by_lot(names, "p") == drawn_by_lot(reversed(names), "p")
    assert sorted(drawn_by_lot(names, "p")) == names


def test_the_lot_favours_nobody():
    """Each of 40 ids is among the first ten of 400 lots about 100 times."""
    names = [f"p{number:03d}" for number in range(40)]
    times = dict.fromkeys(names, 0)
    for seed in range(400):
        for name in drawn_by_lot(names, str(seed))[:10]:
            times[name] += 1
    # Binomial with n = 400 and p = 1/4: five standard deviations are 43.
    assert all(57 <= count <= 143 for count in times.values())


def test_the_gate_that_decides_counts_and_has_a_margin_and_pictures():
    columns = [PSNR, LPIPS]
    passed, failed = verdicts.gate("psnr"), verdicts.gate("lpips", "FAIL")
    assert deciding([passed, failed], columns) is failed
    aside = verdicts.secondary("lpips", "FAIL")
    assert deciding([passed, aside], columns) is passed
    others = [
        verdicts.gate("fid", "FAIL"),  # no column: a metric of sets
        verdicts.gate("psnr", "FAIL", gate="anchor"),
        verdicts.gate("lpips", "FAIL", margin=None),
    ]
    assert deciding([*others, passed], columns) is passed
    assert deciding(others, columns) is None


def test_without_a_baseline_values_rank_and_nothing_is_near_a_margin(tmp_path):
    values = {"a": 20.0, "b": 10.0, "c": 30.0, "d": 15.0}
    run = build(tmp_path / "run", list(values), size=8)
    cells = {(name, "psnr"): Cell(value) for name, value in values.items()}
    found, groups = made(run, cells, verdicts.verdict("MEASURED") | {"gates": []}, [PSNR])
    assert list(groups) == [WORST, BEST, RANDOM]
    assert groups[WORST] == ["b", "d"]
    assert groups[BEST] == ["c", "a"], "half of the pictures each"
    assert found.decides is None
    assert [item.charges[0].cell.value for item in found.items] == [10.0, 15.0, 30.0, 20.0]


def test_what_is_missing_is_among_the_worst_and_never_among_the_best(tmp_path):
    run = build(tmp_path / "run", ["a", "b", "c"], size=8, failed={("b", 0), ("b", 1)})
    cells = {
        ("a", "psnr"): Cell(20.0, harm=3.0),
        ("b", "psnr"): Cell(None, "2 of 2 seeds: lost"),
        ("c", "psnr"): Cell(30.0, harm=0.0),
    }
    found, groups = made(run, cells, verdicts.verdict("FAIL"), [PSNR])
    assert groups[WORST] == ["b", "a"]
    assert groups[BEST] == ["c", "a"]
    assert groups[NEAR] == ["c", "a"]  # |0 - 1| < |3 - 1|
    lost = next(item for item in found.items if item.sample["id"] == "b")
    assert (lost.picture, lost.link, lost.why) == (None, None, "2 of 2 seeds: lost")


def test_a_charge_is_in_the_metric_that_ranks_and_in_the_one_it_is_near(tmp_path):
    run = build(tmp_path / "run", ["a"], size=8)
    cells = {("a", "psnr"): Cell(20.0, "", 0, 1.5), ("a", "lpips"): Cell(0.2, "", 1, 0.04)}
    rows = [verdicts.gate("psnr", "FAIL"), verdicts.gate("lpips", margin=0.01, better="lower")]
    found, _ = made(run, cells, verdicts.verdict("FAIL", *rows))
    (item,) = found.items
    assert [(charge.column.metric, charge.times) for charge in item.charges] == [
        ("lpips", pytest.approx(4.0)), ("psnr", pytest.approx(1.5)),
    ]  # fmt: skip
    assert item.link.seed == 1, "the worst seed of the first of them"
    aside = Column("mae", "lower", "", 1.0)  # no gate: its harm has nothing to be compared with
    cells["a", "mae"] = Cell(90.0, "", 0, 50.0)
    (item,) = made(run, cells, verdicts.verdict("FAIL", *rows), [PSNR, aside])[0].items
    assert [charge.column.metric for charge in item.charges] == ["psnr"]


def test_a_picture_of_several_groups_is_inlined_once(many):
    run, _, _, cells = many
    judged(run, "FAIL", [gate("psnr", "FAIL", [])])
    found, groups = made(run, cells, run.verdict(), [PSNR])
    shown = [item.sample["id"] for item in found.items]
    assert len(shown) == len(set(shown)) < sum(map(len, groups.values()))
    assert set(shown) == {name for names in groups.values() for name in names}
    assert all(item.picture for item in found.items)
    assert max(max(i.picture.width, i.picture.height) for i in found.items) <= gallery.SIDE


def test_the_gallery_is_bounded_and_counts_no_picture_of_the_cards(many, monkeypatch):
    run, _, _, cells = many
    verdict = verdicts.verdict("FAIL", verdicts.gate("psnr", "FAIL"))
    monkeypatch.setattr(gallery, "MOST", 3)
    found, groups = made(run, cells, verdict, [PSNR])
    assert {len(names) for names in groups.values()} == {3}
    assert len(found.items) <= 12
    assert all(item.picture for item in found.items)  # the album of `made` has no room at all


def test_tags_are_counted_once_a_picture_and_the_most_frequent_are_kept(monkeypatch):
    rows = [{"tags": ["b", "a", "b"]}, {"tags": ["b", ""]}, {"tags": ["c"]}, {"tags": ["c"]}]
    assert gallery._tags(gallery.tagged(rows)) == (("a", 1), ("b", 2), ("c", 2))
    monkeypatch.setattr(gallery, "MAX_TAGS", 2)
    assert gallery._tags(gallery.tagged(rows)) == (("b", 2), ("c", 2))


GRID = re.compile(r'<ul class="g-grid early".*?</ul>', re.DOTALL)


def test_the_page_shows_every_group_without_a_script(tmp_path):
    ids = ["a", "photo/worst", NASTY]
    run = build(tmp_path / "run", ids)
    base = build(tmp_path / "base", ids, bias=-2.0)
    judged(run, "FAIL", [gate("psnr", "FAIL", ids[1:])])
    text = html.render(run, base)
    grid = Page(GRID.search(text)[0])
    assert [li["data-sample"] for li in grid.all("li")] == list(dict.fromkeys(
        li["data-sample"] for li in grid.all("li")))  # fmt: skip
    assert {li["data-sample"] for li in grid.all("li")} == set(ids)
    assert [image["alt"] for image in grid.all("img") if NASTY in image["alt"]] == [
        f"{NASTY}, seed 1"
    ]
    assert not [image for image in grid.all("img") if "onerror" in image]
    assert "2.0 × margin" in grid.text  # harm 2 dB of a margin of 1 dB
    assert grid.text.count("harm 2.0 dB") == 3
    groups = {key for li in grid.all("li") for key in li if key != "data-sample"}
    assert groups == {"data-worst", "data-near", "data-best", "data-random"}


def test_the_links_of_the_gallery_lead_to_pictures(tmp_path):
    from urllib.parse import unquote

    run = judged(build(tmp_path / "run", ["a b", NASTY]), "MEASURED")
    links = Page(GRID.search(html.render(run))[0]).all("a")
    assert len(links) == 2
    assert all((run.path / unquote(link["href"])).is_file() for link in links)


def test_the_table_is_bounded_and_says_so(tmp_path, monkeypatch):
    run = judged(build(tmp_path / "run", list("abcde"), size=8), "MEASURED")
    said = "of 5 pictures; the folder scores of the run has all"
    assert said not in Page(html.render(run)).text
    monkeypatch.setattr(html, "MAX_LINES", 2)
    page = Page(html.render(run))
    assert [th["data-key"] for th in page.all("th") if "data-key" in th] == ["e", "d"]
    assert f"These are the first 2 {said}" in page.text
    assert "5 pictures, 2 of them listed" in page.text


def test_a_run_without_pictures_has_a_table_and_no_gallery(tmp_path):
    run = judged(build(tmp_path / "run", ["a"], size=8), "MEASURED")
    run.write_samples([])
    text = html.render(run)
    assert not GRID.search(text)
    assert "All pictures" in Page(text).text
