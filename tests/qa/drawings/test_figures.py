"""Laws of the drawn figures: what is said is drawn, by GenEval's own rules, and nothing else is."""

import hashlib
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest

from qa.drawings.figures import (
    COLOURS,
    COUNTS,
    RELATIONS,
    SHAPES,
    TAGS,
    WORDS,
    Figures,
    asks_of,
    draw_figures,
    draw_prompt,
    is_held_out,
    prompts,
)
from suites.geneval.detector import COLOURS as KNOWN
from suites.geneval.rows import RELATIONS as JUDGED
from suites.geneval.rows import check_row
from suites.geneval.rules import Judgement, judge
from suites.geneval.score import TAGS as SCORED

GAP = 3
LEAST = 12
PROMPTS = [prompt for tag in TAGS for prompt in prompts(tag)]
EVERY_NINTH = PROMPTS[::9]


def judged(drawing: Figures, row: dict | None = None) -> Judgement:
    """The rules' answer to boxes and colours that the drawing says it has."""
    boxes = {
        shape: np.array([[*f.box, 1] for f in drawing.figures if f.shape == shape]).reshape(-1, 5)
        for shape in SHAPES
    }
    colours = {s: [f.colour for f in drawing.figures if f.shape == s] for s in SHAPES}
    return judge(row or drawing.asks, boxes, lambda cls, at: [colours[cls][k] for k in at])


def ink(drawing: Figures) -> np.ndarray:
    """Pixels that are not ground, bool [S,S]."""
    return (drawing.image != drawing.image[0, 0]).any(-1)


def distance(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Pixels of ground between two boxes along the axis where they are farther apart."""
    return max(b[0] - a[2], a[0] - b[2], b[1] - a[3], a[1] - b[3])


def test_the_language_is_what_geneval_can_judge() -> None:
    assert tuple(TAGS) == tuple(SCORED)
    assert set(COLOURS) <= set(KNOWN)
    assert RELATIONS == JUDGED
    for prompt in PROMPTS:
        check_row(asks_of(prompt), SHAPES)


def test_how_many_prompts_there_are() -> None:
    """4 shapes, 6 colours, 3 counts, 4 relations; two figures have different shapes and colours."""
    pairs = 4 * 3
    assert {tag: len(prompts(tag)) for tag in TAGS} == {
        "single_object": 4, "two_object": pairs, "counting": 3 * 4, "colors": 6 * 4,
        "position": pairs * 4, "color_attr": pairs * 6 * 5,
    }  # fmt: skip
    assert len(set(PROMPTS)) == len(PROMPTS)


def test_the_vocabulary_is_every_word_and_no_other() -> None:
    assert {word for prompt in PROMPTS for word in prompt.split()} == set(WORDS)
    assert len(set(WORDS)) == len(WORDS)
    assert set(COUNTS) < set(WORDS)


@pytest.mark.parametrize(
    ("prompt", "row"),
    [
        ("three stars", {"tag": "counting", "include": [{"class": "star", "count": 3}],
                         "exclude": [{"class": "star", "count": 4}]}),
        ("a red circle", {"tag": "colors", "exclude": [],
                          "include": [{"class": "circle", "count": 1, "color": "red"}]}),
        ("a star above a square", {"tag": "position", "exclude": [], "include": [
            {"class": "square", "count": 1},
            {"class": "star", "count": 1, "position": ["above", 0]}]}),
        ("a blue star and a black circle", {"tag": "color_attr", "exclude": [], "include": [
            {"class": "star", "count": 1, "color": "blue"},
            {"class": "circle", "count": 1, "color": "black"}]}),
    ],
)  # fmt: skip
def test_rows_read_as_geneval_writes_them(prompt: str, row: dict) -> None:
    assert asks_of(prompt) == {**row, "prompt": prompt}


@pytest.mark.parametrize("size", [64, 96])
def test_every_drawing_is_true_by_the_rules(size: int) -> None:
    for place, prompt in enumerate(EVERY_NINTH):
        drawing = draw_prompt(prompt, place, size)
        assert judged(drawing).correct, (prompt, judged(drawing).reason)
        assert drawing.asks == asks_of(prompt)


@pytest.mark.parametrize(
    ("prompt", "other"),
    [
        ("a circle left of a star", "a star left of a circle"),
        ("a circle left of a star", "a circle above a star"),
        ("a circle below a star", "a circle above a star"),
        ("three circles", "two circles"),
        ("two circles", "three circles"),
        ("three circles", "three squares"),
        ("a red circle", "a blue circle"),
        ("a red circle and a blue star", "a blue circle and a red star"),
    ],
)
def test_no_drawing_fulfils_another_prompt(prompt: str, other: str) -> None:
    for seed in range(20):
        assert not judged(draw_prompt(prompt, seed), asks_of(other)).correct


@pytest.mark.parametrize("size", [64, 100])
def test_figures_fill_their_boxes_and_keep_their_distance(size: int) -> None:
    for seed in range(60):
        drawing = draw_figures(seed, size=size)
        left = ink(drawing)
        for figure in drawing.figures:
            x0, y0, x1, y1 = figure.box
            inside = left[y0:y1, x0:x1].copy()
            assert x1 - x0 == y1 - y0 >= LEAST * size // 64
            assert min(x0, y0, size - x1, size - y1) >= GAP
            assert all(side.any() for side in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
            left[y0:y1, x0:x1] = False
        assert not left.any(), drawing.prompt
        for a, b in combinations(drawing.figures, 2):
            assert distance(a.box, b.box) >= GAP


def test_figures_have_their_colour_and_the_share_of_their_box_that_geometry_gives() -> None:
    """pi/4, 1, 1/2; of a star with tips at 1 and notches at r, 5 r sin 36 over its box."""
    turn = np.pi / 5
    tall, wide = 1 + np.cos(turn), 2 * np.sin(2 * turn)
    share = {"circle": np.pi / 4, "square": 1, "triangle": 1 / 2,
             "star": 5 * 0.42 * np.sin(turn) / (tall * wide)}  # fmt: skip
    for shape in SHAPES:
        for colour, rgb in COLOURS.items():
            drawing = draw_prompt(f"a {colour} {shape}", 7)
            (figure,) = drawing.figures
            exact = (drawing.image == rgb).all(-1).sum()
            area = (figure.box[2] - figure.box[0]) ** 2
            assert exact <= ink(drawing).sum()
            ground, inked = drawing.image[0, 0].astype(float), np.array(rgb, float)
            along = (inked - ground) / ((inked - ground) ** 2).sum()
            covered = ((drawing.image - ground) @ along).sum()
            assert covered / area == pytest.approx(share[shape], abs=0.035)
            assert exact > 0.6 * covered


def test_colours_are_well_apart_from_each_other_and_from_the_ground() -> None:
    grounds = {tuple(draw_figures(seed).image[0, 0].tolist()) for seed in range(60)}
    assert len(grounds) == 4
    points = np.array([*COLOURS.values(), *grounds], float)
    gaps = np.linalg.norm(points[:6, None] - points[None], axis=-1)
    assert gaps[gaps > 0].min() > 100
    assert all(max(ground) - min(ground) <= 16 and min(ground) >= 230 for ground in grounds)


def test_a_drawing_follows_from_prompt_seed_and_size_alone() -> None:
    for seed in range(8):
        np.random.seed(seed)
        first, second = draw_figures(seed), draw_figures(seed)
        assert np.array_equal(first.image, second.image)
        assert (first.prompt, first.figures) == (second.prompt, second.figures)
        assert np.array_equal(first.image, draw_prompt(first.asks, seed).image)
    different = {draw_prompt("a red circle", seed).image.tobytes() for seed in range(30)}
    assert len(different) == 30


def test_a_fresh_process_draws_the_same_and_loads_no_heavy_library() -> None:
    code = (
        "import sys, hashlib; from qa.drawings.figures import draw_figures;"
        "heavy = {'torch', 'matplotlib', 'scipy', 'skimage'} & set(sys.modules);"
        "print(hashlib.sha256(draw_figures(3).image.tobytes()).hexdigest(), len(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = hashlib.sha256(draw_figures(3).image.tobytes()).hexdigest()
    assert done.stdout.split() == [here, "0"]


def test_a_tag_is_drawn_from_its_own_prompts_and_all_of_them_come() -> None:
    for tag in TAGS:
        found = {draw_figures(seed, tag).prompt for seed in range(40)}
        assert found <= set(prompts(tag))
        assert len(found) > 3
    assert {draw_figures(seed).tag for seed in range(60)} == set(TAGS)


def test_about_a_fifth_of_two_tags_is_held_out() -> None:
    shares = {tag: np.mean([is_held_out(p) for p in prompts(tag)]) for tag in TAGS}
    assert {tag for tag, share in shares.items() if share} == {"position", "color_attr"}
    assert 0.1 <= shares["position"] <= 0.3
    assert 0.15 <= shares["color_attr"] <= 0.25


def test_prompts_that_say_the_same_are_held_out_together() -> None:
    for a, b in combinations(SHAPES, 2):
        for here, there in (("left of", "right of"), ("above", "below")):
            said = [f"a {a} {here} a {b}", f"a {b} {there} a {a}"]
            assert len({is_held_out(prompt) for prompt in said}) == 1
        for c, d in combinations(COLOURS, 2):
            said = [f"a {c} {a} and a {d} {b}", f"a {d} {b} and a {c} {a}"]
            assert len({is_held_out(prompt) for prompt in said}) == 1
    turned = [(f"a {a} left of a {b}", f"a {b} left of a {a}") for a, b in combinations(SHAPES, 2)]
    assert any(is_held_out(one) != is_held_out(other) for one, other in turned)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw_prompt("a pink circle", 0), "no prompt of the closed language"),
        (lambda: is_held_out("two circles and a star"), "no prompt of the closed language"),
        (lambda: draw_figures(0, "colours"), "unknown tag 'colours'"),
        (lambda: prompts("colours"), "unknown tag 'colours'"),
        (lambda: draw_prompt("a red circle", 0, 63), "at least 64 pixels"),
    ],
)
def test_what_is_no_prompt_tag_or_size_is_refused(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call()
