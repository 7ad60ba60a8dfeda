"""Error maps, crops and the budget of inlined pictures."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from reports.forest import REACH, forest
from reports.pictures import (
    FULL,
    LARGEST,
    RAMP,
    SHARE,
    WHOLE,
    Box,
    Inliner,
    error,
    heat,
    read,
    size_of,
    worst_window,
)
from reports.wording import decimals, interval, metric_digits, number, visible


def test_the_error_is_the_largest_of_the_channels():
    reference = np.full((4, 5, 3), 100, np.uint8)
    candidate = reference.copy()
    candidate[1, 2] = (90, 103, 240)
    levels = error(candidate, reference)
    assert levels[1, 2] == 140
    assert levels.sum() == 140
    assert error(candidate, reference[:3]) is None


def test_the_colour_scale_is_fixed_and_gets_lighter():
    levels = np.arange(256, dtype=np.uint8)[None]
    colours = heat(levels, side=999)[0]
    assert tuple(colours[0]) == RAMP[0]
    assert (colours[FULL:] == RAMP[-1]).all()
    lightness = colours[: FULL + 1] @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) > 0).all()


def test_shrinking_keeps_a_single_wrong_pixel():
    levels = np.zeros((801, 1000), np.uint8)
    levels[777, 123] = FULL
    small = heat(levels, side=100)
    assert max(small.shape) <= 100
    assert (small == RAMP[-1]).all(axis=2).sum() == 1


@pytest.mark.parametrize("at", [(0, 0), (100, 130), (199, 149), (64, 0)])
def test_the_worst_window_holds_the_worst_place(at):
    y, x = at
    levels = np.zeros((200, 150), np.uint8)
    levels[y, x] = 200
    box = worst_window(levels)
    assert (box.width, box.height) == (64, 64)
    assert box.x <= x < box.x + 64
    assert box.y <= y < box.y + 64
    assert box.cut(levels).max() == 200


def test_a_picture_smaller_than_the_window_is_shown_whole():
    assert worst_window(np.ones((10, 70), np.uint8)) == Box(0, 0, 64, 10)


def test_the_budget_is_kept_and_exact_pictures_are_exact():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (64, 48, 3), dtype=np.uint8)
    inliner = Inliner(2)
    assert inliner.put(None) is None
    exact = inliner.put(picture, exact=True)
    data = base64.b64decode(exact.source.partition(",")[2])
    assert (np.asarray(Image.open(io.BytesIO(data))) == picture).all()
    small = inliner.put(picture, side=16)
    assert (small.width, small.height) == (12, 16)
    assert inliner.put(picture) is None


def test_bytes_are_bounded_for_each_picture_and_for_all():
    noise = np.random.default_rng(0).integers(0, 256, (WHOLE, WHOLE // 2, 3), dtype=np.uint8)
    inliner = Inliner(9)
    shown = inliner.put(noise, WHOLE)
    assert len(shown.source) <= SHARE
    assert shown.height < WHOLE
    assert shown.height == pytest.approx(2 * shown.width, abs=2)
    smooth = inliner.put(np.full_like(noise, 90), WHOLE)
    assert (smooth.width, smooth.height) == (WHOLE // 2, WHOLE)
    assert inliner.room == Inliner(9).room - len(shown.source) - len(smooth.source)
    exact = Inliner(9, room=len(smooth.source))
    assert exact.put(noise, WHOLE) is None
    assert exact.put(np.full_like(noise, 90), WHOLE) == smooth, "a smaller one still fits"
    assert exact.put(np.full_like(noise, 90), WHOLE) is None


def giant(file, width, height):
    """A PNG of one bit a pixel, all black: whole, and small as a file."""
    file.write_bytes(b"\x89PNG\r\n\x1a\n")
    row = bytes(1 + -(-width // 8))
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    with file.open("ab") as out:
        for kind, data in ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b"")):
            check = struct.pack(">I", zlib.crc32(kind + data))
            out.write(struct.pack(">I", len(data)) + kind + data + check)
    return file


@pytest.mark.parametrize("side", [8200, 10_000, 14_000])
def test_a_small_file_of_a_giant_picture_is_not_opened(tmp_path, side):
    """Beyond the limit; beyond Pillow's, which warns; beyond twice that, which is its error."""
    file = giant(tmp_path / "a.png", side, side)
    assert file.stat().st_size < 50_000
    assert side * side > LARGEST
    assert read(tmp_path, file) is size_of(tmp_path, file) is None


def test_a_picture_within_the_limit_is_opened(tmp_path):
    assert size_of(tmp_path, giant(tmp_path / "a.png", 8192, 8192)) == (8192, 8192)
    small = giant(tmp_path / "b.png", 1000, 3)
    assert (read(tmp_path, small) == np.zeros((3, 1000, 3))).all()


@pytest.mark.parametrize("kind", ["EPS", "TIFF", "PNG"])
def test_what_is_named_png_has_to_be_one(tmp_path, kind):
    file = tmp_path / "a.png"
    Image.new("RGB", (4, 3)).save(file, kind)
    found = read(tmp_path, file), size_of(tmp_path, file)
    assert [one is None for one in found] == [kind != "PNG"] * 2


def gate(**changes):
    return {"estimate": 0.5, "low": 0.2, "high": 0.8, "margin": 1.0, "state": "PASS"} | changes


def test_every_row_of_the_forest_is_scaled_by_its_own_margin():
    wide = gate(estimate=50, low=20, high=80, margin=100)
    first, second = forest([gate(), wide]).marks
    assert (first.estimate, first.low, first.edge) == (second.estimate, second.low, second.edge)
    assert forest([gate()]).zero < first.low < first.estimate < first.high < first.edge < 100


def test_what_lies_outside_the_plot_says_so():
    far = gate(estimate=40.0, low=2.0, high=78.0)
    mark = forest([far]).marks[0]
    assert (mark.beyond_low, mark.beyond_high, mark.outside) == (False, True, "right")
    assert mark.estimate == mark.high < 100
    assert len(forest([far]).ticks) == REACH + 2
    inside = forest([gate()]).marks[0]
    assert (inside.beyond_low, inside.beyond_high, inside.outside) == (False, False, "")


def test_gates_without_numbers_have_no_marks():
    mark = forest([gate(estimate=None, low=None, high=None, margin=None)]).marks[0]
    assert (mark.estimate, mark.low, mark.high, mark.edge) == (None, None, None, None)
    assert forest([]).marks == ()


@pytest.mark.parametrize(
    ("scales", "expected"),
    [((0.17, 1.0), 2), ((1.5, 0.5), 1), ((0.004,), 3), ((0.0012,), 4), ((), 3), ((250,), 0)],
)
def test_every_scale_is_resolved(scales, expected):
    assert decimals(*scales) == expected


@pytest.mark.parametrize(
    ("mean", "half", "expected"),
    [(111.858628, 1e-14, 2), (29.93, 7.0, 1), (0.848, 0.14, 3), (25.1, 0.17, 2), (0.0, 0.0, 3)],
)
def test_a_mean_shows_three_to_five_digits(mean, half, expected):
    assert metric_digits({"mean": mean, "low": mean - half, "high": mean + half}) == expected


def test_numbers_have_no_negative_zero_and_missing_ones_are_dashes():
    assert number(-0.0001, 2) == "0.00"
    assert number(None) == number(float("nan")) == "–"
    assert interval(-1, 2, 0) == "[-1, 2]"
    assert interval(None, 2) == ""


def test_invisible_characters_are_spelled_out_and_scripts_are_kept():
    assert visible("a\u202eb\x00\ud83d") == "a<U+202E>b<U+0000><U+D83D>"
    kept = "日本語 عربى é 👩\u200d🔬 line\n"
    assert visible(kept) == kept
