"""The words that the report shows: the worst first, cut out of the stored pictures."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qa.store import RunFolder
from reports import words


def word(read: str, state: str, confidence: float = 0.95, place: int = 0, **more) -> dict:
    base = {"expected": "cold", "box": [20 * place, 4, 20 * place + 16, 14], "kind": "word",
            "cap": 8.4, "state": state}  # fmt: skip
    if state == "left out":
        return base | {"clean": read}
    return base | {"read": read, "confidence": confidence, "alike": False, "plausible": True,
                   **more}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    columns = np.broadcast_to(np.arange(80, dtype=np.uint8)[None, :, None], (20, 80, 3))
    files = [folder.reference_file("a"), *(folder.picture_file("a", seed) for seed in (0, 1))]
    for offset, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(columns + np.uint8(100 * min(offset, 1))).save(file)
    return folder


def note(*found: dict, seed: int = 0, sample: str = "a") -> dict:
    return {"sample": sample, "seed": seed, "words": list(found)}


def pixels(inlined) -> np.ndarray:
    data = base64.b64decode(inlined.source.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_the_worst_come_first_and_what_is_right_does_not_come(run):
    found = words.worst(
        run,
        [
            note(
                word("cold", "correct"), word("", "unreadable", 0.0), word("cald", "uncertain"),
                word("co1d", "wrong", alike=True), word("gold", "wrong", 0.91),
                word("bold", "wrong", 0.99), word("sold", "uncertain", invented=True),
                word("told", "left out"),
            )
        ],
    )  # fmt: skip
    assert [one.read for one in found] == ["sold", "bold", "gold", "co1d", "cald", ""]
    assert found[0].said == "uncertain, invented: both readers agree"
    assert found[1].said == "confidently wrong, other letters, plausible"
    assert found[3].said.startswith("confidently wrong, look-alike")
    assert found[1].detail == "8 px word, confidence 0.99"
    assert len(words.worst(run, [note(word("gold", "wrong"), word("", "unreadable"))], 1)) == 1


def test_crops_are_the_words_of_both_pictures(run):
    (shown,) = words.worst(run, [note(word("gold", "wrong", place=2), seed=1)])
    expected = np.arange(40 - 2, 56 + 2)
    assert (pixels(shown.reference)[0, :, 0] == expected).all()
    assert (pixels(shown.candidate)[0, :, 0] == expected + 100).all()
    assert pixels(shown.reference).shape == (14, 20, 3)
    assert (shown.sample, shown.seed, shown.scale) == ("a", 1, 3)


def test_equal_readings_of_seeds_are_shown_once(run):
    told = [note(word("gold", "wrong"), seed=seed) for seed in (0, 1)]
    assert [one.seed for one in words.worst(run, told)] == [0]
    told[1]["words"][0]["read"] = "bold"
    assert len(words.worst(run, told)) == 2


def test_a_picture_that_is_gone_is_left_out(run):
    run.picture_file("a", 1).unlink()
    told = [note(word("gold", "wrong"), seed=1), note(word("bold", "wrong"), seed=0)]
    assert [one.read for one in words.worst(run, told)] == ["bold"]
    assert words.worst(run, []) == []
