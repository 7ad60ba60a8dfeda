"""Tesseract as a second witness: another engine, trained on other data, that fails differently.

One process reads all crops of a call: their files are named in a list, and its table (TSV) has a
page for each. Crops are enlarged first (it wants capitals of 20 pixels and more) and get a margin.

Its network guesses with a word list: on blurred text it writes words that are not there. Without
the list (`words=False`) it reads letters only. The list cannot be switched off, so the model file
is written again without it:

    int32 n │ int64 offset x n (-1: no such part) │ parts in order
    parts 18, 19, 20: automata of punctuation, words and numbers of the network
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qa import assets
from qa.errors import QaError, Unavailable
from qa.files import digest, sha256, write_bytes
from suites.legibility.readers import Crop, Reading

WORD_LISTS = (18, 19, 20)
UPSCALE = 3
MARGIN = 10
"""Pixels around an enlarged crop, of its own edge."""
ARGUMENTS = ("--oem", "1", "--psm", "7")
"""The network only; one line of text."""


class Tesseract:
    """A Reader of the program `tesseract`, with a language that is installed with it."""

    licence = "Apache-2.0"

    def __init__(
        self, language: str = "eng", words: bool = True, program: str = "tesseract"
    ) -> None:
        """`words`: with its word list. Unavailable without the program or the language."""
        found = shutil.which(program)
        if found is None:
            raise Unavailable(
                f"There is no program {program!r} on this machine.",
                "The second witness is Tesseract, which no package of Python brings.",
                "install tesseract-ocr and tesseract-ocr-eng, or leave the second reader away",
            )
        self._program, self._language = found, language
        version = self._run(["--version"]).split("\n")[0].removeprefix("tesseract ").strip()
        model = self._model()
        if not words:
            model = _kept_without_words(model)
        self._folder = model.parent
        self.label = f"Tesseract {version} {language}, {'with' if words else 'no'} word list"
        self.digest = digest([sha256(model), version, UPSCALE, MARGIN, ARGUMENTS])

    def read(self, crops: Sequence[Crop]) -> list[Reading]:
        """One reading for each crop, in order."""
        if not crops:
            return []
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            files = [_write(folder / f"{place}.png", crop) for place, crop in enumerate(crops)]
            (folder / "list.txt").write_text("".join(f"{file}\n" for file in files))
            table = self._run(
                [
                    str(folder / "list.txt"), "stdout", "--tessdata-dir", str(self._folder),
                    "-l", self._language, *ARGUMENTS, "-c", "tessedit_create_tsv=1",
                ]
            )  # fmt: skip
        return parse(table, len(crops))

    def _model(self) -> Path:
        """The language's model file, in the folder that the program names."""
        head = self._run(["--list-langs"]).split("\n")[0]
        folder = Path(head.partition('"')[2].partition('"')[0])
        model = folder / f"{self._language}.traineddata"
        if not model.is_file():
            raise Unavailable(
                f"Tesseract has no model of the language {self._language!r}.",
                f"Looked for {model.name} where it keeps its models.",
                f"install tesseract-ocr-{self._language}",
            )
        return model

    def _run(self, arguments: Sequence[str]) -> str:
        # One thread: it would otherwise take every core, for crops of one word each.
        environment = os.environ | {"OMP_THREAD_LIMIT": "1"}
        done = subprocess.run(
            [self._program, *arguments], capture_output=True, text=True, env=environment
        )
        if done.returncode != 0:
            lines = done.stderr.strip().split("\n")
            raise QaError(
                f"Tesseract ended with {done.returncode}.", lines[-1], "tesseract --version"
            )
        return done.stdout or done.stderr


def parse(table: str, pages: int) -> list[Reading]:
    """Tesseract's TSV of so many pages → a reading of each; the mean confidence of its words."""
    words: list[list[tuple[str, float]]] = [[] for _ in range(pages)]
    for row in csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE):
        text = (row["text"] or "").strip()
        if row["level"] == "5" and text:
            words[int(row["page_num"]) - 1].append((text, float(row["conf"]) / 100))
    return [
        Reading(" ".join(text for text, _ in page), float(np.mean([c for _, c in page])))
        if page
        else Reading("", 0.0)
        for page in words
    ]


def without_words(model: bytes) -> bytes:
    """A model file → the same without the automata of words, numbers and punctuation.

    ValueError for a file of another form.
    """
    (count,) = struct.unpack_from("<i", model)
    if not max(WORD_LISTS) < count < 1000:
        raise ValueError(f"{count} parts are not those of a model of this form")
    offsets = list(struct.unpack_from(f"<{count}q", model, 4))
    starts = sorted(offset for offset in offsets if offset >= 0)
    ends = dict(zip(starts, [*starts[1:], len(model)], strict=True))
    kept = {
        place: model[offset : ends[offset]]
        for place, offset in enumerate(offsets)
        if offset >= 0 and place not in WORD_LISTS
    }
    table, start = [-1] * count, 4 + 8 * count
    for place, part in kept.items():
        table[place] = start
        start += len(part)
    return struct.pack(f"<i{count}q", count, *table) + b"".join(kept.values())


def _kept_without_words(model: Path) -> Path:
    """The model without its word list, written once into the cache."""
    folder = assets.store().cache / "tesseract" / f"{sha256(model)[:16]}-no-words"
    file = folder / model.name
    if not file.is_file():
        write_bytes(file, without_words(model.read_bytes()))
    return file


def _write(file: Path, crop: Crop) -> Path:
    from PIL import Image

    height, width = crop.shape[:2]
    image = Image.fromarray(crop).resize(
        (width * UPSCALE, height * UPSCALE), Image.Resampling.BICUBIC
    )
    sides = ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0))
    Image.fromarray(np.pad(np.asarray(image), sides, mode="edge")).save(file, compress_level=1)
    return file
