"""States, errors and distances of single words."""

from __future__ import annotations

import pytest

from suites.legibility.words import (
    STATES,
    Edits,
    bare,
    edits,
    kind,
    looks_alike,
    ned,
    plausible,
    state,
    wer,
)


@pytest.mark.parametrize(
    ("expected", "read", "found"),
    [
        ("kitten", "kitten", Edits(0, 0, 0)),
        ("1998", "1996", Edits(1, 0, 0)),
        ("word", "wod", Edits(0, 1, 0)),
        ("word", "words", Edits(0, 0, 1)),
        ("kitten", "sitting", Edits(2, 0, 1)),
        ("word", "", Edits(0, 4, 0)),
        ("", "abc", Edits(0, 0, 3)),
    ],
)
def test_substituted_deleted_and_inserted_characters(expected, read, found):
    assert edits(expected, read) == found
    assert edits(read, expected).distance == found.distance


def test_ned_is_one_minus_the_distance_over_the_longer_text():
    assert ned("kitten", "sitting") == pytest.approx(1 - 3 / 7)
    assert ned("Tiredness", "Treeneas") == pytest.approx(2 / 3)  # a pair that TokBench recorded
    assert ned("", "") == 1
    assert ned("abc", "") == 0
    assert ned("Word", "word") == 0.75  # case counts


def test_wer_counts_whole_words_over_all_texts():
    assert wer(["one two", "three"], ["one two", "three"]) == 0
    assert wer(["one two", "three"], ["one too", "three"]) == pytest.approx(1 / 3)
    assert wer(["one two", "three"], ["onetwo", ""]) == 1
    assert wer(["", "one"], ["", "one"]) == 0
    with pytest.raises(ValueError, match="no expected word"):
        wer([" "], ["a"])


@pytest.mark.parametrize(
    ("read", "confidence", "found"),
    [
        ("Exit 12", 0.1, "correct"),  # right is right, however doubtful
        ("Exit12", 0.99, "correct"),  # spaces are lost on small text
        ("", 0.99, "unreadable"),
        ("  ", 0.99, "unreadable"),
        ("Exxt", 0.49, "unreadable"),
        ("Exxt", 0.5, "uncertain"),
        ("Exxt", 0.89, "uncertain"),
        ("Exxt", 0.9, "wrong"),
        ("exit 12", 0.95, "wrong"),  # case counts
    ],
)
def test_the_first_state_that_holds(read, confidence, found):
    assert state("Exit 12", read, confidence, 0.5, 0.9) == found
    assert found in STATES


@pytest.mark.parametrize(
    ("expected", "read", "alike"),
    [
        ("Illness", "l11ness", True),
        ("O0o", "0OO", True),
        ("modern", "modem", True),
        ("BASE", "8A5E", True),
        ("Cox", "cOX", True),
        ("Very Wet", "veryWet", True),
        ("M6KN", "MGKN", True),
        ("1998", "1996", False),
        ("cold", "gold", False),
        ("word", "wor", False),
        ("word", "", False),
    ],
)
def test_glyphs_that_look_alike(expected, read, alike):
    assert looks_alike(expected, read) is alike
    assert looks_alike(read, expected) is alike


@pytest.mark.parametrize(
    ("expected", "read", "found"),
    [
        ("cold", "gold", True),
        ("cold", "Gold,", True),
        ("cold", "qold", False),
        ("cold", "", False),
        ("1998", "1996", True),
        ("12.50", "72.50", True),
        ("12.50", "12,50", False),
        ("1998", "199", False),
        ("A4-17", "B5-23", True),
        ("A4-17", "b5-23", False),
        ("1998", "house", False),
    ],
)
def test_what_nobody_would_doubt(expected, read, found):
    assert plausible(expected, read) is found


def test_kinds_and_spaces():
    kinds = {"harbor": "word", "Don't": "word", "12.50": "number", "14:05": "number", "A5": "mixed"}
    assert {text: kind(text) for text in kinds} == kinds
    assert [kind(text) for text in ("&", "€", "")] == ["sign"] * 3
    assert bare(" a b\tc\n") == "abc"


def test_composed_and_decomposed_letters_are_the_same_text():
    composed, decomposed = (
        "Caf\N{LATIN SMALL LETTER E WITH ACUTE}",
        "Cafe\N{COMBINING ACUTE ACCENT}",
    )
    assert composed != decomposed
    assert bare(decomposed) == composed
    assert state(decomposed, composed, 0.99, 0.5, 0.9) == "correct"
    assert state(decomposed, "Cafe", 0.99, 0.5, 0.9) == "wrong", "the accent still counts"


def test_short_and_inflected_words_are_words():
    told = (
        "a I the and of to is one two not words letters reading stops stopped stopping carries "
        "carried making boxes Don't days"
    )
    assert not [word for word in told.split() if not plausible("zzzz", word)]
    for nonsense in ("thw", "qold", "rnake", "stopd", "carrys", "xx", "lt", "ol"):
        assert not plausible("zzzz", nonsense)
