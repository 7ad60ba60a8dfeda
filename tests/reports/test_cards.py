"""What a card's stage holds: panes, the worst window of every seed, and what is left out."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from runfolders import build

from reports import cards, stage
from reports.harm import Cell, Pick
from reports.page import environment
from reports.pictures import Box, Inliner, read
from reports.spread import Spread

PICK = Pick("a", "psnr", 2.0)


def album(run, baseline=None, seeds=3, spreads=None):
    return cards.Album(
        run, baseline, Inliner(99), seeds, {("a", 0): "lost"}, run.path, spreads or {}
    )


def card(run, baseline=None, seeds=3, worst=1, **more):
    sample = {"id": "a", "prompt": None}
    return album(run, baseline, seeds).card(PICK, sample, Cell(1.0, "", worst), **more)


def pixels(inlined):
    data = base64.b64decode(inlined.source.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.fixture
def run(tmp_path):
    return build(tmp_path / "run", ["a"], seeds=3, size=100)


def test_panes_stand_in_one_order_and_lead_to_files_of_the_run(run, tmp_path):
    base = build(tmp_path / "base", ["a"], seeds=3, size=100)
    further = stage.Map("map", "flip: mean 1", "Map of flip", np.zeros((9, 9, 3), np.uint8))
    figures = card(run, base, maps=[further]).figures
    assert [one.kind for one in figures] == ["reference", "candidate", "baseline", "error", "map"]
    assert [one.title for one in figures][1:3] == ["Candidate, seed 1", "Baseline, seed 1"]
    assert [one.href for one in figures] == [
        "images/a/reference.png", "images/a/seed1.png", None, None, None,
    ]  # fmt: skip
    assert [one.scale and one.scale.gradient for one in figures][3:] == ["ramp", None]
    spread = {"a": Spread(np.zeros((9, 9, 3), np.uint8), 2, 1.0, 2.0)}
    drawn = album(run, spreads=spread).card(PICK, {"id": "a"}, None).figures
    assert drawn[-1].title == "Spread over 2 of 3 seeds: mean 1.0, largest 2 levels"
    assert drawn[-1].scale.gradient == "spread"


def test_the_window_has_the_exact_pixels_of_every_seed(run):
    window = card(run, values={0: 30.0, 2: 28.0}).window
    assert [tile.title for tile in window.tiles] == [
        "Reference", "Absolute error", "Seed 0", "Seed 1", "Seed 2",
    ]  # fmt: skip
    assert [tile.kind for tile in window.tiles] == ["reference", "error", "", "candidate", ""]
    assert [tile.value for tile in window.tiles] == [None, None, 30.0, None, 28.0]
    assert window.left_out == 0
    for tile, file in zip(
        [window.tiles[0], *window.tiles[2:]],
        [run.reference_file("a"), *(run.picture_file("a", seed) for seed in range(3))],
        strict=True,
    ):
        assert (pixels(tile.picture) == window.box.cut(read(run.path, file))).all()
    assert not (pixels(window.tiles[3].picture) == pixels(window.tiles[0].picture)).all()


@pytest.mark.parametrize(("worst", "shown"), [(1, range(8)), (9, [*range(7), 9])])
def test_of_many_seeds_eight_are_shown_and_the_worst_is_one(tmp_path, worst, shown):
    run = build(tmp_path / "run", ["a"], seeds=11, size=70)
    window = card(run, seeds=11, worst=worst).window
    assert [tile.seed for tile in window.tiles if tile.seed is not None] == list(shown)
    assert [tile.seed for tile in window.tiles if tile.kind == "candidate"] == [worst]
    assert window.left_out == 3


def test_a_seed_without_a_picture_keeps_its_place(run):
    run.picture_file("a", 0).unlink()
    Image.new("RGB", (50, 50)).save(run.picture_file("a", 2))
    tiles = card(run).window.tiles
    assert [tile.picture is None for tile in tiles] == [False, False, True, False, True]
    assert [tiles[place].why for place in (2, 4)] == [
        "file missing or damaged", "another size: 50×50",
    ]  # fmt: skip
    assert drawn(card(run)).count("another size: 50×50") == 1


def test_a_window_without_room_says_so(run):
    full = cards.Album(run, None, Inliner(4), 3, {}, run.path, {})
    tiles = full.card(PICK, {"id": "a"}, Cell(1.0, "", 1)).window.tiles
    assert [tile.picture is None for tile in tiles] == [False, True, True, True, True]
    assert {tile.why for tile in tiles[1:]} == {"no room in this file"}


def test_a_baseline_of_another_size_is_said(run, tmp_path):
    base = build(tmp_path / "base", ["a"], seeds=3, size=40)
    other = card(run, base)
    assert other.note == "The baseline has another size: 40×40, the candidate 100×100."
    (tile,) = (tile for tile in other.window.tiles if tile.kind == "baseline")
    assert (tile.picture, tile.why) == (None, "another size: 40×40")
    assert card(run, build(tmp_path / "same", ["a"], seeds=3, size=100)).note == ""


def test_without_references_every_seed_is_shown_whole_and_small(tmp_path):
    run = build(tmp_path / "run", ["a"], seeds=11, size=300, references=False)
    found = card(run, seeds=11, worst=9, values={9: 25.0})
    assert found.window is None
    assert [tile.seed for tile in found.seeds.tiles] == [*range(7), 9]
    assert found.seeds.left_out == 3
    assert {(tile.picture.width, tile.picture.height) for tile in found.seeds.tiles} == {(128, 128)}
    assert [tile.kind for tile in found.seeds.tiles] == [""] * 7 + ["candidate"]
    source = '{% import "_stage.html.j2" as stages %}{{ stages.seeds(card, 2) }}'
    text = environment().from_string(source).render(card=found)
    assert "8 of 11 seeds" in text
    assert "Seed 9, the worst" in text
    assert "data-kind" not in text, "stage.js would lay it upon the pane"
    assert card(build(tmp_path / "both", ["a"], size=100), seeds=2).seeds is None
    alone = build(tmp_path / "alone", ["a"], seeds=1, references=False)
    assert card(alone, seeds=1, worst=0).seeds is None, "the stage shows it"


def lead(found):
    """What stands above the worst pictures."""
    template = environment().get_template("_worst.html.j2")
    made = template.render(
        cards=found, gates=[], gate_of={}, digits={}, full=64, window=64, spread_said=""
    )
    return made.partition("</p>")[0]


def test_the_lead_explains_only_what_is_there(run, tmp_path):
    plain = build(tmp_path / "plain", ["a"], seeds=2, references=False)
    scale = stage.Scale("metric", "", ())
    map_ = stage.Map("map", "flip", "Map of flip", np.zeros((9, 9, 3), np.uint8), scale)
    said = {"error": "The error map", "map": "Maps of metrics go from 0"}

    def told(*found):
        return {kind for kind, text in said.items() if text in lead(found)}

    assert told(card(plain, seeds=2)) == told() == set()
    assert told(card(run)) == {"error"}
    assert told(card(plain, seeds=2), card(run, maps=[map_])) == {"error", "map"}


def test_what_cannot_be_compared_has_no_window_and_says_why(run):
    Image.new("RGB", (50, 40)).save(run.picture_file("a", 1))
    other = card(run)
    assert other.window is None
    assert other.note == "The sizes differ: reference 100×100, candidate 50×40."
    run.reference_file("a").unlink()
    assert card(run).note == "There is no reference picture to compare with."
    run.picture_file("a", 0).unlink()
    assert card(run, worst=0).note == "There is no picture of seed 0: lost"


def test_a_window_is_said_in_per_cent_of_any_size():
    found = stage.frame(Box(50, 10, 100, 20), np.zeros((40, 200, 3)))
    assert (found.x, found.y, found.width, found.height) == (25, 25, 50, 50)
    assert not found.whole
    assert stage.frame(Box(0, 0, 9, 7), np.zeros((7, 9))).whole


def test_values_of_seeds_are_those_of_the_picked_metric():
    scores = pd.DataFrame(
        [("a", 0, "psnr", 30), ("a", 1, "psnr", None), ("a", 0, "lpips", 5), ("b", 0, "psnr", 1)],
        columns=["sample", "seed", "metric", "value"],
    )
    assert cards.values_of_seeds(scores, PICK) == {0: 30.0}


def drawn(one):
    source = '{% import "_stage.html.j2" as stages %}{{ stages.stage(card, "worst-1", 2) }}'
    return environment().from_string(source).render(card=one)


def test_a_viewer_may_name_the_stored_picture(run):
    plain = card(run)
    assert "data-full" not in drawn(plain)
    first = stage.Figure("candidate", "x", plain.figures[0].picture, "x", full='/full?a="b"')
    served = cards.Card(PICK, {"id": "a"}, None, (first,), None, "", "")
    assert 'data-full="/full?a=&#34;b&#34;"' in drawn(served)


def test_one_pane_has_nothing_to_be_wiped_with(run):
    plain = card(run)
    alone = cards.Card(PICK, {"id": "a"}, None, plain.figures[:1], None, "", "")
    assert "Wipe" in drawn(plain)
    assert "Worst window" in drawn(plain)
    assert "Wipe" not in drawn(alone)
    assert "Worst window" not in drawn(alone)


def test_a_window_that_is_the_whole_picture_is_not_marked(tmp_path):
    small = build(tmp_path / "run", ["a"], seeds=3, size=40)
    text = drawn(card(small))
    assert 'class="mark"' not in text
    assert "Worst window</button>" not in text
    assert 'class="mark"' in drawn(card(build(tmp_path / "large", ["a"], seeds=3, size=100)))
