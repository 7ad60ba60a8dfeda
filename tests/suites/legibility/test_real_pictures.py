"""Pictures with transcripts, read on known boxes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from qa import images
from suites.legibility.rapid import RapidOCR
from suites.legibility.readers import cut
from suites.legibility.words import bare, edits


@pytest.fixture(scope="module")
def data() -> Path:
    root = os.environ.get("QA_ASSETS")
    if root is None:
        pytest.skip("QA_ASSETS names no folder with data/ocr_photos and data/pid_assets")
    return Path(root) / "data"


@pytest.fixture(scope="module")
def reader() -> RapidOCR:
    return RapidOCR()


def picture(file: Path) -> np.ndarray:
    return images.read(file).permute(1, 2, 0).numpy()


def lines(page: np.ndarray, top: int = 0, bottom: int | None = None, least: int = 1):
    """Boxes of dark lines on white: rows with `least` dark pixels, at least three of them."""
    ink = page.min(axis=2) < 150
    rows = ink[top:bottom].sum(axis=1) >= least
    edges = np.flatnonzero(np.diff(np.r_[False, rows, False].astype(int))) + top
    found = []
    for y0, y1 in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        columns = np.flatnonzero(ink[y0:y1].any(axis=0))
        if y1 - y0 >= 3:
            found.append((int(columns[0]), y0, int(columns[-1]) + 1, y1))
    return found


def error_rate(reader: RapidOCR, page: np.ndarray, boxes, texts) -> float:
    assert len(boxes) == len(texts)
    readings = reader.read([cut(page, box) for box in boxes])
    pairs = [(bare(t), bare(r.text)) for t, r in zip(texts, readings, strict=True)]
    return sum(edits(*pair).distance for pair in pairs) / sum(len(t) for t, _ in pairs)


def shrunk(page: np.ndarray, by: float) -> np.ndarray:
    """Bicubic, smaller and large again."""
    from PIL import Image

    image = Image.fromarray(page)
    small = image.resize((round(image.width / by), round(image.height / by)), Image.BICUBIC)
    return np.asarray(small.resize(image.size, Image.BICUBIC))


def test_the_page_of_a_paper(data, reader):
    """13 lines with capitals of 7 pixels, read right but for a fraction that is set as one."""
    page = picture(data / "pid_assets" / "gan_pdf.png")
    texts = (data / "pid_assets" / "gan_pdf_abstract_gt.txt").read_text().splitlines()
    boxes = lines(page, 200, 358)
    assert error_rate(reader, page, boxes, texts) < 0.005
    rates = [error_rate(reader, shrunk(page, by), boxes, texts) for by in (1.5, 2, 3)]
    assert rates == sorted(rates)
    assert rates[0] < 0.015
    assert rates[-1] > 0.3  # negative control: the damage is seen


@pytest.mark.parametrize(
    ("name", "transcript", "allowed"),
    [("tesseract_phototest.tif", "tesseract_phototest.gold.txt", 0.005),
     ("tesseract_eurotext.tif", "tesseract_eurotext.txt", 0.01)],
)  # fmt: skip
def test_scans(data, reader, name, transcript, allowed):
    page = picture(data / "ocr_photos" / name)
    texts = (data / "ocr_photos" / transcript).read_text(encoding="utf-8").splitlines()
    texts = [text for text in texts if text.strip()]
    assert error_rate(reader, page, lines(page, least=6), texts) < allowed


def test_photographs_of_receipts(data, reader):
    """Their transcripts have errors of their own (a letter's case, a currency)."""
    folder = data / "ocr_photos"
    rates = []
    for row in (folder / "mmocr_wildreceipt_data.txt").read_text().splitlines():
        told = json.loads(row)
        number = Path(told["file_name"]).stem
        page = picture(folder / f"mmocr_wildreceipt_{number}.jpeg")
        boxes, texts = [], []
        for word in filter(lambda word: word["text"], told["annotations"]):
            xs, ys = word["box"][::2], word["box"][1::2]
            boxes.append(tuple(int(v) for v in (min(xs), min(ys), max(xs), max(ys))))
            texts.append(word["text"])
        rates.append(error_rate(reader, page, boxes, texts))
    assert max(rates) < 0.06
