"""Pictures as a judge gets to see them."""

from __future__ import annotations

import pytest
from battery import drawing
from dpg_toys import grey

from qa.chat.sight import shrunk


def test_pictures_are_reduced_within_their_limit():
    picture = drawing(60, 90)
    assert shrunk(picture, 60 * 90) is picture
    small = shrunk(picture, 1000)
    assert small.shape[1] * small.shape[2] <= 1000
    assert small.shape[2] / small.shape[1] == pytest.approx(1.5, abs=0.06)
    assert abs(float(small.float().mean()) - float(picture.float().mean())) < 2
    assert shrunk(grey(9, 5), 1).shape == (3, 1, 1)
