"""The main witness on drawn words: exact where it must be, honest about what is damaged."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from qa.drawings.canvas import MONO, SANS, SERIF, WHITE, Canvas, Pen
from qa.types import Sample, TextRegion
from suites.legibility.pages import draw_page
from suites.legibility.panel import Legibility
from suites.legibility.rapid import RapidOCR
from suites.legibility.readers import cut


@pytest.fixture(scope="module")
def reader() -> RapidOCR:
    return RapidOCR()


def tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def blurred(picture: np.ndarray, by: float) -> np.ndarray:
    """Bicubic, smaller and large again."""
    image = Image.fromarray(picture)
    if by == 1:
        return picture
    small = image.resize((round(image.width / by), round(image.height / by)), Image.BICUBIC)
    return np.asarray(small.resize(image.size, Image.BICUBIC))


def test_words_and_numbers_of_twelve_pixels_and_more_are_read_exactly(reader):
    right = Counter()
    for cap, pages in ((12, 4), (16, 3), (24, 6)):
        for number in range(pages):
            page = draw_page(cap, number)
            told = [t for t, kind in zip(page.texts, page.kinds, strict=True) if kind != "random"]
            kinds = [kind for kind in page.kinds if kind != "random"]
            readings = reader.read([cut(page.image, text.box) for text in told])
            for text, kind, reading in zip(told, kinds, readings, strict=True):
                right[kind, reading.text == text.text] += 1
    for kind in ("word", "number"):
        total = right[kind, True] + right[kind, False]
        assert total >= 50
        assert right[kind, True] >= 0.99 * total, kind


def test_blur_makes_words_unreadable_step_by_step(reader):
    page = draw_page(8, 0)
    pictures = torch.stack([tensor(blurred(page.image, by)) for by in (1, 2, 3, 4, 6)])
    sample = Sample("page", regions=page.texts)
    found = Legibility(reader)(sample, pictures, tensor(page.image))
    shares = found.values["unreadable_words"]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] > 0.9
    assert found.values["exact_words"][0] == 1
    assert found.values["exact_words"][-1] == 0


TWINS = (
    ("harbor", "harpor"), ("1998", "1996"), ("bridge", "fridge"), ("garden", "warden"),
    ("384.61", "384.67"), ("winter", "winder"), ("dinner", "sinner"), ("theatre", "theatne"),
    ("12:45", "12:75"), ("water", "later"),
)  # fmt: skip
"""What should be there, and what a decoder draws instead: one glyph is another."""


def page_of(texts, face: str, cap: float = 16) -> tuple[np.ndarray, tuple[TextRegion, ...]]:
    canvas = Canvas(np.random.default_rng(0), 256)
    canvas.rect((0, 0, 256, 256), WHITE)
    for place, text in enumerate(texts):
        x, y = 10 + 122 * (place % 2), 30 + 46 * (place // 2)
        assert canvas.write(text, x, y, Pen(face, cap, (20, 20, 24)))
    return np.array(canvas.image), tuple(canvas.texts)


@pytest.mark.parametrize("face", [SANS, SERIF, MONO])
def test_a_planted_substitution_is_confidently_wrong_and_blur_is_not(reader, face):
    clean, regions = page_of([twin[0] for twin in TWINS], face)
    planted, drawn = page_of([twin[1] for twin in TWINS], face)
    sample = Sample("page", regions=regions)
    pictures = torch.stack([tensor(planted), tensor(blurred(clean, 8)), tensor(clean)])
    found = Legibility(reader)(sample, pictures, tensor(clean))
    wrong, unreadable = found.values["wrong_words"], found.values["unreadable_words"]
    assert wrong[0] >= 0.9
    assert unreadable[0] == 0
    assert unreadable[1] >= 0.8
    assert wrong[1] <= 0.1
    assert (wrong[2], unreadable[2]) == (0, 0)
    told = {word["expected"]: word for word in found.notes[0]["words"]}
    planted_numbers = [told["1998"], told["12:45"], told["384.61"]]
    assert all(word["plausible"] and not word["alike"] for word in planted_numbers)
    assert {word["read"] for word in told.values() if word["state"] == "wrong"} <= {
        region.text for region in drawn
    }


def test_a_crop_does_not_depend_on_its_neighbours(reader):
    page = draw_page(10, 1)
    crops = [cut(page.image, text.box) for text in page.texts]
    together = reader.read(crops)
    assert together == reader.read(crops)
    assert together[::-1] == reader.read(crops[::-1])
    assert [reader.read([crop])[0] for crop in crops[:4]] == together[:4]
    assert reader.read([]) == []


def test_nothing_is_made_smaller_unasked(reader):
    """The package shrinks what is longer than 2000 pixels: capitals of 10 would become 6."""
    text = " ".join(["harbor", "1998", "bridge", "384.61", "winter"] * 9)
    canvas = Canvas(np.random.default_rng(0), 3300)
    canvas.paste(np.full((3300, 3300, 3), 255, np.uint8))
    assert canvas.write(text, 10, 30, Pen(SANS, 10, (20, 20, 24)))
    crop = cut(np.array(canvas.image), canvas.texts[0].box)
    assert crop.shape[1] > 2000
    (reading,) = reader.read([crop])
    assert reading.text.replace(" ", "") == text.replace(" ", "")


def test_an_empty_crop_reads_as_nothing(reader):
    (reading,) = reader.read([np.full((20, 60, 3), 255, np.uint8)])
    assert reading.text == ""
    assert reading.confidence == 0


def test_it_says_what_it_is(reader):
    assert reader.label.startswith("RapidOCR ")
    assert len(reader.digest) == 64
    assert "Apache-2.0" in reader.licence
    assert RapidOCR().digest == reader.digest
