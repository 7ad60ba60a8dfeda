"""Laws of the drawn pictures: same seed same picture, and text exactly where it is said to be."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from qa.drawings import KINDS, Drawing, draw
from qa.drawings.canvas import MONO, SANS, SERIF, WHITE, Canvas, Pen
from qa.types import TextRegion

FACES = [f"{family}{style}" for family in (SANS, SERIF, MONO) for style in ("", "-Bold")]
WRITTEN = ("page", "sign", "chart")  # kinds that hold text


def digest(drawing: Drawing) -> str:
    content = drawing.image.tobytes() + repr(drawing.texts).encode()
    return hashlib.sha256(content).hexdigest()


def area(box: tuple[int, int, int, int]) -> tuple[slice, slice]:
    x0, y0, x1, y1 = box
    return slice(y0, y1), slice(x0, x1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [64, 128, 256, 300])
def test_a_drawing_is_a_square_uint8_picture(kind: str, size: int) -> None:
    drawing = draw(kind, 5, size)
    assert drawing.image.shape == (size, size, 3)
    assert drawing.image.dtype == np.uint8
    assert drawing.kind == kind
    assert np.ptp(drawing.image) > 20


@pytest.mark.parametrize("kind", KINDS)
def test_equal_arguments_give_equal_drawings(kind: str) -> None:
    for seed in range(4):
        np.random.seed(seed)
        assert digest(draw(kind, seed)) == digest(draw(kind, seed))


@pytest.mark.parametrize("kind", KINDS)
def test_different_seeds_give_different_drawings(kind: str) -> None:
    assert len({digest(draw(kind, seed)) for seed in range(30)}) == 30


def test_a_fresh_process_draws_the_same_and_loads_no_heavy_library() -> None:
    code = (
        "import sys, hashlib; from qa.drawings import draw; d = draw('page', 3);"
        "heavy = {'torch', 'matplotlib', 'scipy', 'skimage'} & set(sys.modules);"
        "content = d.image.tobytes() + repr(d.texts).encode();"
        "print(hashlib.sha256(content).hexdigest(), len(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [digest(draw("page", 3)), "0"]


@pytest.mark.parametrize("kind", WRITTEN)
@pytest.mark.parametrize("size", [128, 256])
def test_ink_is_inside_its_box_and_nowhere_else(
    kind: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(12):
        written = draw(kind, seed, size)
        with monkeypatch.context() as patch:
            patch.setattr(Canvas, "_ink", lambda *_: None)
            blank = draw(kind, seed, size)
        assert blank.texts == written.texts
        changed = (written.image != blank.image).any(-1)
        for text in written.texts:
            assert changed[area(text.box)].any(), text
            changed[area(text.box)] = False
        assert not changed.any()


@pytest.mark.parametrize("kind", WRITTEN)
def test_text_can_be_told_from_what_is_behind_it(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(20):
        written = draw(kind, seed)
        with monkeypatch.context() as patch:
            patch.setattr(Canvas, "_ink", lambda *_: None)
            blank = draw(kind, seed)
        contrast = np.abs(written.image.astype(int) - blank.image).max(-1)
        for text in written.texts:
            assert contrast[area(text.box)].max() > 90, text


@pytest.mark.parametrize("kind", WRITTEN)
def test_boxes_are_inside_the_picture_and_apart(kind: str) -> None:
    for seed in range(12):
        covered = np.zeros((256, 256), int)
        for text in draw(kind, seed).texts:
            x0, y0, x1, y1 = text.box
            assert 0 <= x0 < x1 <= 256
            assert 0 <= y0 < y1 <= 256
            covered[area(text.box)] += 1
        assert covered.max() == 1


def test_pages_hold_names_years_and_amounts_in_many_sizes() -> None:
    texts = [text for seed in range(40) for text in draw("page", seed).texts]
    assert len(texts) > 40 * 10
    assert sum(any(c.isdigit() for c in t.text) for t in texts) > 200
    heights = {t.box[3] - t.box[1] for t in texts}
    assert min(heights) <= 7
    assert max(heights) >= 24


@pytest.mark.parametrize("face", FACES)
def test_a_capital_is_as_high_as_its_pen_says(face: str) -> None:
    for cap in range(6, 25):
        canvas = Canvas(np.random.default_rng(0), 64)
        assert canvas.write("H", 8, 48, Pen(face, cap, (0, 0, 0)))
        (text,) = canvas.texts
        assert abs(text.box[3] - text.box[1] - cap) <= 1
        assert text.box[3] == 48


def test_the_box_of_a_line_is_the_extent_of_its_ink() -> None:
    canvas = Canvas(np.random.default_rng(0), 128)
    assert canvas.write("Jagged 1998", 64, 70, Pen(SERIF, 9, (0, 0, 0)), "m")
    rows, columns = np.nonzero((np.array(canvas.image) != WHITE).any(-1))
    extent = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert canvas.texts == [TextRegion("Jagged 1998", tuple(int(v) for v in extent))]


def test_text_that_does_not_fit_is_neither_drawn_nor_recorded() -> None:
    canvas = Canvas(np.random.default_rng(0), 64)
    pen = Pen(SANS, 9, (0, 0, 0))
    assert not canvas.write("wider than the picture", 0, 30, pen)
    assert not canvas.write("above", 4, 3, pen)
    assert not canvas.write(" ", 4, 30, pen)
    assert (np.array(canvas.image) == WHITE).all()
    assert canvas.write("one", 4, 30, pen)
    before = np.array(canvas.image)
    assert not canvas.write("two", 10, 33, pen)
    assert np.array_equal(before, np.array(canvas.image))
    assert [t.text for t in canvas.texts] == ["one"]


def test_a_fitted_pen_is_no_wider_than_asked() -> None:
    pen = Pen(SANS, 24, (0, 0, 0))
    fitted = pen.fit("Station Road", 120)
    assert 100 < fitted.width("Station Road") <= 124
    assert pen.fit("A", 120) == pen


def test_wrong_arguments_say_what_would_be_right() -> None:
    with pytest.raises(ValueError, match="choose one of page, sign"):
        draw("photo", 0)
    with pytest.raises(ValueError, match="at least 32"):
        draw("page", 0, 16)
