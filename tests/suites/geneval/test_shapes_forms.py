"""What counts as a shape: the four themselves, and no other form."""

import math

import numpy as np
import pytest

from qa.drawings.figures import COLOURS, OUTLINES, SHAPES
from suites.geneval.shapes import likeness, next_best, pieces

THRESHOLD = 0.3


def forms():
    """Name → what holds at (x, y), float of -1 to 1 with y downwards; none is one of the shapes."""
    return {
        "ellipse": lambda x, y: (x / 1) ** 2 + (y / 0.6) ** 2 < 1,
        "bar": lambda x, y: (abs(x) < 1) & (abs(y) < 0.6),
        "ring": lambda x, y: (np.hypot(x, y) < 1) & (np.hypot(x, y) > 0.5),
        "cross": lambda x, y: (np.minimum(abs(x), abs(y)) < 1 / 3) & (abs(x) < 1) & (abs(y) < 1),
        "half": lambda x, y: (np.hypot(x, y) < 1) & (y < 0),
        "corner": lambda x, y: (np.maximum(abs(x), abs(y)) < 1) & ((x < 0) | (y > 0)),
        "diamond": lambda x, y: abs(x) + abs(y) < 1,
        "triangle on its head": lambda x, y: (y < 1 - 2 * abs(x)) & (y > -1),
        "square, turned": lambda x, y: (abs(x + y / 3) < 0.7) & (abs(y - x / 3) < 0.7),
        "two discs": lambda x, y: np.hypot(abs(x) - 0.45, y) < 0.55,
        "four points": lambda x, y: np.sqrt(abs(x)) + np.sqrt(abs(y)) < 1,
    }


def shown(holds, side=24, colour=COLOURS["red"], size=64):
    """uint8 [S,S,3]: a form in the middle of a white picture, its edges averaged."""
    fine = 4
    at = ((np.arange(size * fine) + 0.5) / fine - size / 2) / (side / 2)
    covered = holds(*np.meshgrid(at, at)).astype(float)
    covered = covered.reshape(size, fine, size, fine).mean(axis=(1, 3))[..., None]
    return np.rint(255 * (1 - covered) + covered * np.array(colour)).astype(np.uint8)


def best(image):
    """(shape, score) of the one piece of a picture."""
    (piece,) = pieces(image)
    return next(iter(piece.scores.items()))


@pytest.mark.parametrize("name", list(forms()))
@pytest.mark.parametrize("side", [16, 24, 40])
def test_other_forms_are_no_shape(name, side):
    """The four shapes themselves are, when they are made in the same way."""
    assert best(shown(forms()[name], side))[1] < THRESHOLD


@pytest.mark.parametrize("side", [14, 24, 40])
def test_the_shapes_are_shapes(side):
    disc = shown(lambda x, y: np.hypot(x, y) < 1, side)
    square = shown(lambda x, y: np.maximum(abs(x), abs(y)) < 1, side)
    triangle = shown(lambda x, y: (y > 2 * abs(x) - 1) & (y < 1), side)
    for shape, image in (("circle", disc), ("square", square), ("triangle", triangle)):
        found, score = best(image)
        assert found == shape
        assert score > 0.8


def wobbly(rng, amount):
    """A blob: the radius of a disc of 1 plus waves, `amount` is their standard deviation."""
    waves = [(k, *rng.normal(0, amount / math.sqrt(6), 2)) for k in range(2, 8)]

    def holds(x, y):
        angle = np.arctan2(y, x)
        radius = 1 + sum(a * np.cos(k * angle) + b * np.sin(k * angle) for k, a, b in waves)
        return np.hypot(x, y) < 0.75 * np.clip(radius, 0.2, 1.9)

    return holds


def test_the_less_a_blob_is_a_circle_the_less_it_counts():
    rng = np.random.default_rng(7)
    means, counted = [], []
    for amount in (0.02, 0.08, 0.2, 0.35):
        scores = [
            max(next(iter(piece.scores.values())) for piece in pieces(shown(wobbly(rng, amount))))
            for _ in range(20)
        ]
        means.append(np.mean(scores))
        counted.append(np.mean(np.array(scores) > THRESHOLD))
    assert means == sorted(means, reverse=True)
    assert counted[0] == 1
    assert counted[-1] <= 0.05
    assert means[-1] < 0.1 < 0.7 < means[0]


def test_an_oval_is_less_of_a_circle_the_longer_it_is():
    scores = [
        best(shown(lambda x, y, a=a: (x / a) ** 2 + (y * a) ** 2 < 0.8, 32))[1]
        for a in (1.0, 1.05, 1.1, 1.2)
    ]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.85
    assert scores[-1] == 0


def test_likeness_of_circle_and_square_is_that_of_the_book():
    """A square of area 1 leaves four caps of a circle of area 1 out."""
    radius = 1 / math.sqrt(math.pi)
    half = math.acos(0.5 / radius)
    shared = 1 - 4 * radius**2 * (half - math.sin(half) * math.cos(half))
    assert next_best("square") == pytest.approx(shared / (2 - shared), abs=0.005)
    assert next_best("circle") == pytest.approx(next_best("square"), abs=0.005)


def test_likeness_of_a_shape_to_itself_is_one_and_to_a_half_a_third():
    square = np.ones((60, 60), bool)
    assert likeness("square", square) == pytest.approx(1, abs=0.002)
    bar = np.ones((120, 30), bool)  # covers the middle half of the square of its area
    assert likeness("square", bar) == pytest.approx(1 / 3, abs=0.005)
    assert all(next_best(shape) < 0.84 for shape in SHAPES)
    assert set(OUTLINES) == {"triangle", "star"}


def test_figures_that_touch_are_two_where_their_colours_differ():
    def image(first, second):
        picture = np.full((64, 64, 3), 255, np.uint8)
        picture[20:40, 12:32], picture[20:40, 32:52] = COLOURS[first], COLOURS[second]
        return picture

    apart = pieces(image("red", "blue"))
    assert [next(iter(piece.scores)) for piece in apart] == ["square", "square"]
    assert min(piece.scores["square"] for piece in apart) > 0.8
    assert best(image("red", "red"))[1] < THRESHOLD


def test_a_speck_is_no_figure():
    picture = np.full((64, 64, 3), 255, np.uint8)
    picture[30:33, 30:33] = COLOURS["red"]
    assert pieces(picture) == []
    picture[28:34, 28:34] = COLOURS["red"]
    assert best(picture)[0] == "square"
