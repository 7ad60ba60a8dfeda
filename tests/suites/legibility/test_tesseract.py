"""Tesseract: its table, its model without words, and, where it is installed, its readings."""

from __future__ import annotations

import shutil
import struct

import numpy as np
import pytest

from qa.errors import QaError, Unavailable
from qa.types import TextRegion
from suites.legibility.pages import draw_page
from suites.legibility.readers import Reading, cut
from suites.legibility.tesseract import WORD_LISTS, Tesseract, parse, without_words

HEAD = (
    "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext"
)


def line(level: int, page: int, conf: float = -1, text: str = "") -> str:
    return f"{level}\t{page}\t1\t1\t1\t1\t0\t0\t9\t9\t{conf}\t{text}"


def test_its_table_has_a_page_for_each_crop():
    table = "\n".join(
        [HEAD, line(1, 1), line(5, 1, 96, "Exit"), line(5, 1, 90, '"12'), line(1, 2),
         line(5, 2, 95, " "), line(1, 3), line(5, 3, 33, "x")]
    )  # fmt: skip
    first, second, third = parse(table, 3)
    assert first == Reading('Exit "12', pytest.approx(0.93))
    assert second == Reading("", 0.0)
    assert third == Reading("x", pytest.approx(0.33))


def model(parts: dict[int, bytes], count: int = 24) -> bytes:
    table, body, start = [-1] * count, b"", 4 + 8 * count
    for place, part in parts.items():
        table[place] = start + len(body)
        body += part
    return struct.pack(f"<i{count}q", count, *table) + body


PARTS = {0: b"config", 17: b"network", 18: b"points", 19: b"words!", 20: b"123", 21: b"letters",
         23: b"5.0"}  # fmt: skip


def test_a_model_without_words_is_the_rest_of_it():
    rest = {place: part for place, part in PARTS.items() if place not in WORD_LISTS}
    assert without_words(model(PARTS)) == model(rest)
    assert without_words(model(rest)) == model(rest)
    backwards = dict(reversed(PARTS.items()))  # parts may lie in any order
    assert without_words(model(backwards)) == model(rest)
    with pytest.raises(ValueError, match="not those of a model"):
        without_words(b"\xff\xff\xff\x7f" + bytes(400))


def test_without_the_program_it_says_what_to_install():
    with pytest.raises(Unavailable, match="no program 'nowhere-at-all'"):
        Tesseract(program="nowhere-at-all")


@pytest.fixture
def installed(workdir) -> type[Tesseract]:
    if shutil.which("tesseract") is None:
        pytest.skip("the program tesseract is not installed")
    return Tesseract


def crops_of(page) -> tuple[list[TextRegion], list[np.ndarray]]:
    return list(page.texts), [cut(page.image, text.box) for text in page.texts]


def test_it_reads_drawn_words(installed):
    texts, crops = crops_of(draw_page(16, 0))
    both = [installed(), installed(words=False)]
    assert both[0].digest != both[1].digest
    assert "no word list" in both[1].label
    for reader in both:
        found = reader.read(crops)
        right = sum(r.text == t.text for r, t in zip(found, texts, strict=True))
        assert right >= 0.6 * len(texts)
        assert reader.read(crops[:1]) == found[:1], "crops do not depend on their neighbours"
        assert all(0 <= r.confidence <= 1 for r in found)
    assert both[0].read([]) == []


def test_its_word_list_makes_words_of_damaged_text(installed):
    texts, crops = crops_of(draw_page(10, 0))
    damaged = [np.repeat(np.repeat(c[1::3, 1::3], 3, axis=0), 3, axis=1) for c in crops]
    listed, bare = (installed(words=words).read(damaged) for words in (True, False))
    assert listed != bare
    assert sum(r.text == t.text for r, t in zip(listed, texts, strict=True)) < len(texts) / 2


def test_a_language_that_is_not_there(installed):
    with pytest.raises(Unavailable, match="no model of the language 'xxx'"):
        installed(language="xxx")


def test_a_failing_program_is_an_error(installed, monkeypatch):
    reader = installed()
    monkeypatch.setattr(reader, "_language", "xxx")
    with pytest.raises(QaError, match="Tesseract ended with"):
        reader.read([np.zeros((9, 9, 3), np.uint8)])
