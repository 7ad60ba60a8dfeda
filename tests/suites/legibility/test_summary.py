"""Numbers over all words of a run."""

from __future__ import annotations

import pytest

from suites.legibility.summary import row, summary
from suites.legibility.words import looks_alike, plausible


def word(expected: str, read: str | None, state: str, cap: float = 8, kind: str = "word", **more):
    base = {"expected": expected, "box": [0, 0, 9, 9], "kind": kind, "cap": cap, "state": state}
    if read is None:
        return base | {"clean": "?"}
    return base | {
        "read": read, "confidence": 0.9, "alike": looks_alike(expected, read),
        "plausible": plausible(expected, read), **more,
    }  # fmt: skip


WORDS = [
    word("cold", "cold", "correct"),
    word("cold", "gold", "wrong"),
    word("modern", "modem", "wrong", cap=24),
    word("1998", "", "unreadable", kind="number"),
    word("Exit", "exit", "uncertain"),
    word("lost", None, "left out", cap=6),
]


def test_one_row_holds_all_numbers():
    found = row(WORDS)
    assert (found["words"], found["left_out"]) == (5, 1)
    states = {name: found[name] for name in ("correct", "unreadable", "wrong", "uncertain")}
    assert states == {"correct": 0.2, "unreadable": 0.2, "wrong": 0.4, "uncertain": 0.2}
    assert (found["homoglyph"], found["real"], found["plausible"]) == (0.2, 0.2, 0.2)
    assert found["exact_any_case"] == 0.4
    # cold→gold S; modern→modem one S, one D; 1998→"" four D; Exit→exit S; of 22 letters
    assert found["substituted"] == pytest.approx(3 / 22)
    assert found["deleted"] == pytest.approx(5 / 22)
    assert found["inserted"] == 0
    assert found["cer"] == pytest.approx(8 / 22)
    assert found["wer"] == pytest.approx(4 / 5)
    assert found["ned"] == pytest.approx((1 + 3 / 4 + 4 / 6 + 0 + 3 / 4) / 5)
    assert "invented" not in found


def test_invented_words_are_a_share_of_all():
    told = [*WORDS[:1], word("cold", "gold", "wrong", second="gold", invented=True)]
    assert row(told)["invented"] == 0.5


def test_a_group_in_which_nothing_counts_has_no_shares():
    assert row([WORDS[-1]]) == {"words": 0, "left_out": 1}
    assert row([]) == {"words": 0, "left_out": 0}


def test_groups_by_size_in_output_and_input_pixels_and_by_kind():
    notes = [
        {"sample": "a", "seed": 0, "words": WORDS[:3]},
        {"sample": "b", "seed": 0, "words": WORDS[3:]},
    ]
    found = summary(notes, scale=4)
    assert found["all"] == row(WORDS)
    output, inputs = found["by_output_cap"], found["by_input_cap"]
    assert {name: part["words"] for name, part in output.items()} == {
        "06-08": 0, "08-10": 4, "24 and more": 1
    }  # fmt: skip
    assert {name: part["words"] for name, part in inputs.items()} == {"below 04": 4, "06-08": 1}
    assert {name: part["words"] for name, part in found["by_kind"].items()} == {
        "number": 1, "word": 4
    }  # fmt: skip
    assert summary([], 1)["all"] == {"words": 0, "left_out": 0}
