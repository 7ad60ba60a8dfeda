"""Cutting words out, and reading equal crops once."""

from __future__ import annotations

import numpy as np
import pytest

from suites.legibility.readers import LEAST, Reading, cut, read_once


def picture(height: int = 40, width: int = 60) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, rows + columns], axis=2).astype(np.uint8)


def test_a_crop_is_the_box_and_a_margin():
    whole = picture()
    assert np.array_equal(cut(whole, (10, 8, 30, 18)), whole[6:20, 8:32])
    assert np.array_equal(cut(whole, (10, 5, 30, 35)), whole[1:39, 6:34])  # 0.15 x 30 = 4.5 → 4


def test_the_margin_ends_at_the_edge():
    whole = picture()
    assert cut(whole, (0, 0, 60, 40)).shape == (40, 60, 3)
    assert np.array_equal(cut(whole, (-3, 30, 5, 44)), whole[30 - LEAST :, : 5 + LEAST])


@pytest.mark.parametrize("box", [(60, 0, 70, 10), (0, -9, 10, 0), (5, 5, 5, 9), (9, 5, 5, 9)])
def test_a_box_outside_of_the_picture_is_refused(box):
    with pytest.raises(ValueError, match="does not lie in the picture of 60x40"):
        cut(picture(), box)


class Counting:
    """Reads the first level of a crop, and counts."""

    label, digest, licence = "counting", "0" * 64, "test"

    def __init__(self):
        self.read_so_far = 0

    def read(self, crops):
        self.read_so_far += len(crops)
        return [Reading(str(crop[0, 0, 0]), 1.0) for crop in crops]


def test_equal_crops_are_read_once_and_all_are_answered():
    crops = [np.full((4, 6, 3), level, np.uint8) for level in (7, 9, 7, 7, 9)]
    crops.append(np.full((6, 4, 3), 7, np.uint8))  # the same bytes in another shape
    reader = Counting()
    assert [r.text for r in read_once(reader, crops)] == ["7", "9", "7", "7", "9", "7"]
    assert reader.read_so_far == 3
    assert read_once(reader, []) == []
