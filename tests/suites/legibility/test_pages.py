"""Drawn pages and the suite of them."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from qa import images
from qa.errors import UsageError
from suites.legibility.lexicon import DRAWN, WORDS
from suites.legibility.pages import BACKGROUNDS, CAPS, FACES, KINDS, draw_page
from suites.legibility.readers import cut
from suites.legibility.suite import Legibility
from suites.legibility.words import ALIKE


def digest(page) -> str:
    return hashlib.sha256(
        page.image.tobytes() + repr((page.texts, page.kinds)).encode()
    ).hexdigest()


@pytest.mark.parametrize("cap", CAPS)
def test_a_page_is_a_function_of_its_number(cap):
    pages = [draw_page(cap, number) for number in range(5)]
    assert [digest(page) for page in pages] == [digest(draw_page(cap, n)) for n in range(5)]
    assert len({digest(page) for page in pages}) == 5
    for page in pages:
        assert page.image.shape == (256, 256, 3)
        assert len(page.texts) == len(page.kinds) >= (3 if cap == 24 else 5)
        assert page.kinds == tuple(KINDS[i % 3] for i in range(len(page.kinds)))


def test_tokens_are_of_their_kind():
    seen = {kind: set() for kind in KINDS}
    for cap in CAPS:
        for number in range(8):
            page = draw_page(cap, number)
            for text, kind in zip(page.texts, page.kinds, strict=True):
                seen[kind].add(text.text)
    assert seen["word"] <= DRAWN < WORDS
    assert not any("rn" in text for text in seen["word"] | seen["random"])
    assert not set("".join(seen["random"])) & set("".join(ALIKE))
    assert all(text == text.upper() or text == text.lower() for text in seen["random"])
    assert all(set(text) <= set("0123456789.:") for text in seen["number"])
    assert set("".join(seen["number"])) == set("0123456789.:")
    assert min(len(texts) for texts in seen.values()) > 50


@pytest.mark.parametrize("cap", CAPS)
def test_capitals_are_as_high_as_the_page_says(cap):
    heights = [
        text.box[3] - text.box[1]
        for number in range(10)
        for text in draw_page(cap, number).texts
        if text.text.isalnum() and text.text.isupper() and "Q" not in text.text
    ]
    assert heights
    assert np.median(heights) == pytest.approx(cap, abs=1)


@pytest.mark.parametrize("cap", CAPS)
def test_a_crop_holds_no_other_word(cap):
    for number in range(len(BACKGROUNDS)):
        page = draw_page(cap, number)
        covered = np.zeros((256, 256), int)
        for text in page.texts:
            x0, y0, x1, y1 = text.box
            covered[y0:y1, x0:x1] += 1
        for text in page.texts:
            x0, y0, x1, y1 = text.box
            own = (x1 - x0) * (y1 - y0)
            assert cut(np.dstack([covered] * 3), text.box)[..., 0].sum() == own


def test_fonts_and_backgrounds_take_turns():
    pages = [draw_page(12, number) for number in range(len(FACES) * len(BACKGROUNDS))]
    corners = {tuple(page.image[0, 0]) for page in pages}
    assert len(corners) > 5
    light = [page.image.mean() > 128 for page in pages]
    assert any(light)
    assert not all(light)


def test_a_page_needs_room():
    with pytest.raises(ValueError, match="no room for capitals of 24"):
        draw_page(24, 0, size=64)
    assert len(draw_page(6, 0, most=5).texts) == 5


def test_the_suite_knows_every_word(workdir):
    samples = Legibility().samples()
    assert [s.id for s in samples] == sorted(s.id for s in samples)
    assert len({s.sha256 for s in samples}) == len(samples) == 16 * len(CAPS)
    for sample in samples:
        assert images.digest(images.read(sample.image)) == sample.sha256
        words = sample.asks["words"]
        assert len(words) == len(sample.regions)
        assert sample.tags == (f"cap_{words[0]['cap']:02d}",)
        assert {word["kind"] for word in words} == set(KINDS)
    assert Legibility().samples() == samples


def test_the_suite_repairs_its_cache_and_keeps_sizes_apart(workdir):
    first = Legibility(pages=1, caps=[8]).samples()
    first[0].image.write_bytes(b"damaged")
    assert Legibility(pages=1, caps=[8]).samples() == first
    larger = Legibility(pages=1, caps=[8], size=320).samples()
    assert larger[0].sha256 != first[0].sha256
    assert images.digest(images.read(first[0].image)) == first[0].sha256


@pytest.mark.parametrize("settings", [{"pages": 0}, {"caps": []}, {"caps": [5]}, {"size": 200}])
def test_pages_that_cannot_be_drawn_are_refused(settings):
    with pytest.raises(UsageError, match="cannot be drawn"):
        Legibility(**settings)
