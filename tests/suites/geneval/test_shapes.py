"""The detector of drawn figures: right on true drawings, and on nothing that is none."""

import cv2
import numpy as np
import pytest
from figure_artist import as_picture, judged, shipped_panel

from qa.drawings.figures import COLOURS, TAGS, draw_figures, draw_prompt
from qa.errors import QaError
from suites.geneval import shapes
from suites.geneval.detector import COLOURS as NAMES
from suites.geneval.shapes import DrawnColours, DrawnShapes, pieces

EACH = 70
"""Drawings of a tag: 420 in all."""
THRESHOLD = 0.3
SEEDS = range(12)


@pytest.fixture(scope="module")
def panel():
    found = shipped_panel()
    assert found.options.threshold == found.options.counting_threshold == THRESHOLD
    return found


def drawings(count, tags=TAGS):
    return [draw_figures(seed, tag) for tag in tags for seed in range(count)]


def share_right(panel, harmed, count=8):
    """Share of drawings that are judged right after `harmed`, of each tag as many."""
    return np.mean(
        [judged(panel, one.asks, harmed(one.image))[0] for one in drawings(count)], dtype=float
    )


def test_true_drawings_are_right(panel):
    wrong = [
        (one.prompt, reason)
        for one in drawings(EACH)
        for right, reason in [judged(panel, one.asks, one.image)]
        if not right
    ]
    assert wrong == []


def test_every_figure_is_found_where_it_is_and_nothing_else():
    classifier = DrawnColours()
    for one in drawings(12):
        picture = as_picture(one.image)
        found = DrawnShapes().detect(picture)
        assert sum(len(part.boxes) for part in found.values()) == len(one.figures)
        for figure in one.figures:
            part = found[figure.shape]
            scores = part.boxes[:, 4].tolist()
            assert scores == sorted(scores, reverse=True)
            assert scores[-1] > 2 * THRESHOLD
            far = abs(part.boxes[:, :4] - np.array(figure.box)).max(axis=1)
            assert far.min() < 1.5  # pixels: the tips of a small star are faint
            place = int(far.argmin())
            (name,) = classifier.colours(
                picture, figure.shape, part.boxes[[place]], part.masks[[place]]
            )
            assert name == figure.colour


@pytest.mark.parametrize("size", [100, 256])
def test_larger_drawings_are_as_right(panel, size):
    for tag in TAGS:
        for seed in range(3):
            one = draw_figures(seed, tag, size)
            assert judged(panel, one.asks, one.image) == (True, "")


def without(drawing, figure):
    """A drawing with one figure painted over."""
    image = drawing.image.copy()
    x0, y0, x1, y1 = figure.box
    image[y0:y1, x0:x1] = image[0, 0]
    return image


FAULTS = [
    ("a red circle", "a blue circle", "found 0 red; and 1 blue"),
    ("a red circle", "a red square", "expected circle>=1, found 0"),
    ("three stars", "four stars", "expected star<4, found 4"),
    ("four stars", "three stars", "expected star>=4, found 3"),
    ("a circle left of a square", "a circle right of a square", "circle left of target"),
    ("a circle above a square", "a square above a circle", "circle above target"),
    ("a red circle and a blue square", "a blue circle and a red square", "found 0 red; and 1 blue"),
    ("a circle and a square", "a circle and a star", "expected square>=1, found 0"),
]


@pytest.mark.parametrize(("asked", "drawn", "said"), FAULTS)
def test_a_planted_fault_is_wrong_in_every_picture(panel, asked, drawn, said):
    for seed in SEEDS:
        asks = draw_prompt(asked, seed).asks
        right, reason = judged(panel, asks, draw_prompt(drawn, seed).image)
        assert not right
        assert said in reason


def test_a_figure_that_is_missing_is_missed(panel):
    for tag in TAGS:
        for seed in SEEDS:
            one = draw_figures(seed, tag)
            for figure in one.figures:
                assert not judged(panel, one.asks, without(one, figure))[0], one.prompt


def noise(level):
    rng = np.random.default_rng(3)
    return lambda image: np.clip(np.rint(image + rng.normal(0, level, image.shape)), 0, 255).astype(
        np.uint8
    )


def blur(sigma):
    return lambda image: cv2.GaussianBlur(image, (0, 0), sigma)


def jpeg(quality):
    def harmed(image):
        _, file = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        return cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1]

    return harmed


@pytest.mark.parametrize(
    ("harm", "levels"),
    [(noise, (20, 60, 120)), (blur, (0.7, 1.8, 4.0)), (jpeg, (95, 50, 5))],
    ids=["noise", "blur", "jpeg"],
)
def test_little_harm_changes_nothing_and_more_of_it_more(panel, harm, levels):
    little, more, much = (share_right(panel, harm(level)) for level in levels)
    assert little >= 0.95
    assert little >= more >= much
    assert much < 0.5


def test_pale_figures_keep_their_form_and_lose_their_colour(panel):
    def pale(image):
        ground = image[0, 0].astype(float)
        return np.rint(ground + 0.45 * (image - ground)).astype(np.uint8)

    for one in drawings(6, ("two_object", "counting")):
        assert judged(panel, one.asks, pale(one.image))[0]
    red = draw_prompt("a red square", 1)
    assert "found 0 red; and 1 pink" in judged(panel, red.asks, pale(red.image))[1]


@pytest.mark.parametrize("level", [0, 24, 128, 255])
def test_an_empty_picture_holds_nothing(level):
    assert DrawnShapes().detect(as_picture(np.full((64, 64, 3), level, np.uint8))) == {}
    black = np.full((64, 64, 3), COLOURS["black"], np.uint8)
    assert pieces(black) == []


def test_specks_are_not_looked_at_one_by_one(monkeypatch):
    """Noise has thousands of them; only pieces of some size are gone through."""
    counts, seen = [], []
    count, look = shapes._pieces, shapes._piece
    monkeypatch.setattr(shapes, "_pieces", lambda k: counts.append(count(k)) or counts[-1])
    monkeypatch.setattr(shapes, "_piece", lambda *a: seen.append(look(*a)) or seen[-1])
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    noise[30:60, 30:60] = (200, 30, 30)
    assert sum(piece.mask[30:60, 30:60].mean() > 0.9 for piece in shapes.pieces(noise)) == 1
    assert counts[0][1] > 1000
    assert len(seen) < counts[0][1] / 20


def test_every_colour_is_named_and_needs_a_mask():
    classifier = DrawnColours()
    mask = np.zeros((1, 64, 64), bool)
    mask[:, 20:40, 20:40] = True
    box = np.array([[20, 20, 40, 40, 1]], np.float32)
    for name in NAMES:
        picture = np.full((64, 64, 3), 200, np.uint8)
        picture[mask[0]] = shapes.LEVELS[name]
        assert classifier.colours(as_picture(picture), "square", box, mask) == [name]
    assert {name: shapes.LEVELS[name] for name in COLOURS} == COLOURS
    with pytest.raises(ValueError, match="needs its mask"):
        classifier.colours(as_picture(picture), "square", box, None)


def test_the_edge_does_not_decide_the_colour():
    """A thin ring of ground inside the mask leaves its median as it was."""
    picture = np.full((64, 64, 3), 255, np.uint8)
    picture[30:34, 30:34] = COLOURS["green"]
    mask = np.zeros((1, 64, 64), bool)
    mask[:, 29:35, 29:35] = True  # 20 of its 36 pixels are ground
    found = DrawnColours().colours(as_picture(picture), "square", np.zeros((1, 5)), mask)
    assert found == ["green"]


def test_who_is_blind_is_told(monkeypatch):
    DrawnShapes().check()
    DrawnColours().check()
    monkeypatch.setattr(shapes, "FAINT", 500.0)
    with pytest.raises(QaError, match=r"self test.*found was nothing"):
        DrawnShapes().check()
    swapped = dict(zip(NAMES, reversed([shapes.LEVELS[name] for name in NAMES]), strict=True))
    monkeypatch.setattr(shapes, "LEVELS", swapped)
    with pytest.raises(QaError, match="self test"):
        DrawnColours().check()


def test_settings_are_in_the_digest(monkeypatch):
    before = DrawnShapes().digest, DrawnColours().digest
    assert before == (DrawnShapes().digest, DrawnColours().digest)
    monkeypatch.setattr(shapes, "FAINT", 65.0)
    monkeypatch.setattr(shapes, "LEVELS", {**shapes.LEVELS, "pink": (255, 140, 190)})
    assert DrawnShapes().digest != before[0]
    assert DrawnColours().digest != before[1]
