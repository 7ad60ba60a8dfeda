"""Heights of capitals, told from boxes, and their buckets."""

from __future__ import annotations

import numpy as np
import pytest

from qa.drawings.canvas import MONO, SANS, SERIF, Canvas, Pen
from suites.legibility.sizes import EDGES, bucket, cap_height


@pytest.mark.parametrize("face", [SANS, SERIF, MONO])
@pytest.mark.parametrize("text", ["HOTEL", "sea", "happy", "Exit,", "12:45", "quay", "road", "run"])
def test_a_drawn_text_gives_its_cap_height_away(face, text):
    for cap in (8, 12, 24):
        canvas = Canvas(np.random.default_rng(0), 256)
        assert canvas.write(text, 20, 100, Pen(face, cap, (0, 0, 0)))
        (region,) = canvas.texts
        found = cap_height(text, region.box[3] - region.box[1])
        assert found == pytest.approx(cap, abs=max(1.4, 0.12 * cap))


def test_the_letters_matter():
    """Negative control: one rule for all texts would be wrong by a third."""
    assert cap_height("sea", 6) == pytest.approx(8)
    assert cap_height("HOTEL", 6) == 6
    assert cap_height("happy", 13) == pytest.approx(10)
    assert cap_height("", 5) == 5


def test_buckets_hold_their_lower_edge():
    assert [bucket(cap) for cap in (3.9, 4, 5.9, 6, 8, 23.9, 24, 90)] == [
        "below 04", "04-06", "04-06", "06-08", "08-10", "16-24", "24 and more", "24 and more"
    ]  # fmt: skip
    names = [bucket(edge) for edge in (*EDGES,)]
    assert names == sorted(names)
