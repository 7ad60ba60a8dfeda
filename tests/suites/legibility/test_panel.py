"""The panel, with readers that read grey levels: each level stands for a text and a confidence."""

from __future__ import annotations

import json

import pytest
import torch

from qa.errors import UsageError
from qa.types import NOT_APPLICABLE, Sample, TextRegion
from suites.legibility.panel import LEFT_OUT, Legibility
from suites.legibility.readers import Reading

EXPECTED = ("cold", "1998", "modern", "harbor")
RIGHT = {10 + place: Reading(text, 0.99) for place, text in enumerate(EXPECTED)}
"""Level → what is read on the reference."""


class Levels:
    """A reader of the level in the middle of a crop."""

    licence = "test"

    def __init__(self, known: dict[int, Reading], label: str = "levels"):
        self.known, self.label, self.digest = known, label, "ab" * 32
        self.asked: list[int] = []

    def read(self, crops):
        levels = [int(crop[crop.shape[0] // 2, crop.shape[1] // 2, 0]) for crop in crops]
        self.asked += levels
        return [self.known[level] for level in levels]


def sample(texts=EXPECTED, **more) -> Sample:
    regions = tuple(
        TextRegion(text, (20 * place, 4, 20 * place + 16, 14)) for place, text in enumerate(texts)
    )
    return Sample("page", regions=regions, **more)


def picture(*levels: int) -> torch.Tensor:
    """uint8 [3,20,80]: the words' boxes filled with these levels."""
    made = torch.full((3, 20, 80), 255, dtype=torch.uint8)
    for place, level in enumerate(levels):
        made[:, 4:14, 20 * place : 20 * place + 16] = level
    return made


REFERENCE = picture(10, 11, 12, 13)


def judge(reader, *pictures, second=None, asked=None, **settings):
    panel = Legibility(reader, second, **settings)
    return panel, panel(asked or sample(), torch.stack(pictures), REFERENCE)


def test_a_perfect_picture_is_read_right():
    panel, found = judge(Levels(RIGHT), REFERENCE, REFERENCE)
    assert found.values == {
        "wrong_words": [0, 0], "unreadable_words": [0, 0], "exact_words": [1, 1], "cer": [0, 0],
        "counted_words": [4, 4],
    }  # fmt: skip
    assert set(panel.facts) == set(found.values)
    for name, facts in panel.facts.items():
        assert (facts.name, facts.of, facts.better) == (name, "sample", Legibility.better[name])


def test_each_state_is_counted_and_noted():
    known = RIGHT | {
        20: Reading("gold", 0.97),  # wrong, another word
        21: Reading("1996", 0.8),  # uncertain
        22: Reading("modem", 0.95),  # wrong, look-alike
        23: Reading("x", 0.2),  # unreadable
    }
    _, found = judge(Levels(known), picture(20, 21, 22, 23), picture(10, 11, 22, 13))
    assert found.values["wrong_words"] == [0.5, 0.25]
    assert found.values["unreadable_words"] == [0.25, 0]
    assert found.values["exact_words"] == [0, 0.75]
    # cold → gold: 1; 1998 → 1996: 1; modern → modem: 2; harbor → x: 6; of 4 + 4 + 6 + 6 letters
    assert found.values["cer"] == [pytest.approx(10 / 20), pytest.approx(2 / 20)]
    words = found.notes[0]["words"]
    assert [word["state"] for word in words] == ["wrong", "uncertain", "wrong", "unreadable"]
    assert [word["alike"] for word in words] == [False, False, True, False]
    assert [word["plausible"] for word in words] == [True, True, False, False]
    assert words[1] | {"cap": None} == {
        "expected": "1998", "box": [20, 4, 36, 14], "kind": "number", "cap": None, "read": "1996",
        "confidence": 0.8, "state": "uncertain", "alike": False, "plausible": True,
    }  # fmt: skip
    json.dumps(found.notes, allow_nan=False)


def test_bounds_of_confidence_move_words_between_states():
    known = RIGHT | {20: Reading("gold", 0.8)}
    for settings, states in (
        ({}, (0, 0)),
        ({"high": 0.75}, (0.25, 0)),
        ({"low": 0.85}, (0, 0.25)),
    ):
        _, found = judge(Levels(known), picture(20, 11, 12, 13), **settings)
        assert (found.values["wrong_words"][0], found.values["unreadable_words"][0]) == states


def test_only_words_that_are_read_right_on_the_reference_count():
    """A word that the reader always misses is no fault of a decoder."""
    weak = RIGHT | {11: Reading("1988", 0.99), 20: Reading("gold", 0.97)}
    reader = Levels(weak)
    _, found = judge(reader, picture(20, 11, 12, 13))
    assert found.values["wrong_words"] == [pytest.approx(1 / 3)]
    assert found.values["counted_words"] == [3]
    left = found.notes[0]["words"][1]
    assert (left["state"], left["clean"]) == (LEFT_OUT, "1988")
    assert "read" not in left
    assert reader.asked.count(11) == 1, "it is not read again"


def test_pictures_without_text_to_count_have_no_values():
    _, silent = judge(Levels(RIGHT), REFERENCE, asked=Sample("photo"))
    assert set(silent.values["cer"]) == {f"{NOT_APPLICABLE}the picture has no known text"}
    assert silent.notes == [{"words": []}]
    lost = {level: Reading("", 0.0) for level in RIGHT}
    _, unread = judge(Levels(lost), REFERENCE, REFERENCE)
    for values in unread.values.values():
        assert [value.startswith(NOT_APPLICABLE) for value in values] == [True, True]
        assert "none of its words" in values[0]
    assert {word["state"] for word in unread.notes[0]["words"]} == {LEFT_OUT}


SECOND = RIGHT | {20: Reading("gold", 0.8), 21: Reading("1998", 0.8), 22: Reading("modem", 0.8)}


def test_invented_needs_two_witnesses_of_the_same_word():
    first = RIGHT | {20: Reading("gold", 0.97), 21: Reading("1996", 0.97), 22: Reading("modem", 1)}
    second = Levels(SECOND, "other")
    panel, found = judge(Levels(first), picture(20, 21, 22, 13), second=second)
    assert found.values["wrong_words"] == [0.75]
    assert found.values["invented_words"] == [0.5]  # gold and modem; 1998 was read right by one
    words = found.notes[0]["words"]
    assert [word.get("invented") for word in words] == [True, False, True, None]
    assert words[1]["second"] == "1998"
    assert sorted(second.asked) == [10, 11, 12, 20, 21, 22], "only about words in doubt"
    assert "other" in str(panel.facts["invented_words"].protocol)


def test_a_witness_that_misreads_the_reference_is_none():
    first = RIGHT | {22: Reading("modem", 1.0)}
    blind = SECOND | {12: Reading("modem", 0.9)}  # it always reads rn as m
    _, found = judge(Levels(first), picture(10, 11, 22, 13), second=Levels(blind, "blind"))
    assert found.values["wrong_words"] == [0.25]
    assert found.values["invented_words"] == [0]


def test_equal_seeds_are_read_once():
    reader = Levels(RIGHT)
    judge(reader, REFERENCE, REFERENCE, REFERENCE)
    assert sorted(reader.asked) == sorted([10, 11, 12, 13] * 2)


def test_kinds_and_sizes_come_from_the_suite_where_it_has_them():
    told = [{"kind": "random", "cap": 8}] * 4
    _, found = judge(Levels(RIGHT), REFERENCE, asked=sample(asks={"words": told}))
    assert {(word["kind"], word["cap"]) for word in found.notes[0]["words"]} == {("random", 8)}
    _, guessed = judge(Levels(RIGHT), REFERENCE)
    assert [word["kind"] for word in guessed.notes[0]["words"]] == [
        "word",
        "number",
        "word",
        "word",
    ]
    assert guessed.notes[0]["words"][1]["cap"] == 10  # digits are as high as capitals


def test_what_cannot_be_measured_is_said():
    panel = Legibility(Levels(RIGHT))
    with pytest.raises(ValueError, match="never resizes"):
        panel(sample(), torch.stack([picture()[:, :, :60]]), REFERENCE)
    with pytest.raises(ValueError, match="there is none"):
        panel(sample(), torch.stack([picture()]), None)
    outside = Sample("page", regions=(TextRegion("far", (90, 0, 99, 9)),))
    with pytest.raises(ValueError, match="does not lie"):
        panel(outside, torch.stack([REFERENCE]), REFERENCE)


def test_suites_without_text_are_refused_before_anything_is_decoded(tmp_path):
    panel = Legibility(Levels(RIGHT))
    with pytest.raises(UsageError, match="which words stand where"):
        panel.check([Sample("photo", image=tmp_path / "a.png")])
    with pytest.raises(UsageError, match="has a reference picture"):
        panel.check([sample()])
    panel.check([Sample("photo"), sample(image=tmp_path / "a.png")])


@pytest.mark.parametrize("settings", [{"low": 0.9, "high": 0.5}, {"high": 1.1}, {"low": -0.1}])
def test_bounds_are_checked(settings):
    with pytest.raises(UsageError, match="bound confidences"):
        Legibility(Levels(RIGHT), **settings)
    with pytest.raises(UsageError, match="no scale"):
        Legibility(Levels(RIGHT), scale=0)


def test_facts_tell_settings_apart():
    from qa.metrics.facts import fingerprint

    panels = [
        Legibility(Levels(RIGHT)),
        Legibility(Levels(RIGHT), high=0.99),
        Legibility(Levels(RIGHT, "another")),
        Legibility(Levels(RIGHT), Levels(RIGHT, "second")),
    ]
    assert len({fingerprint(panel.facts["cer"]) for panel in panels}) == 4
    assert fingerprint(Legibility(Levels(RIGHT), scale=4).facts["cer"]) == fingerprint(
        panels[0].facts["cer"]
    ), "the scale only names groups"


def test_shares_say_so_and_of_what():
    panel = Legibility(Levels(RIGHT), Levels(RIGHT, "second"))
    told = {name: facts.protocol.get("of") for name, facts in panel.facts.items()}
    assert told.pop("counted_words") is None
    assert set(told.values()) == {"counted_words"}
    assert {panel.facts[name].protocol["values"] for name in told} == {"share"}


def test_the_configuration_says_what_the_class_does():
    import inspect
    from importlib.resources import files

    import yaml

    node = yaml.safe_load((files("qa.conf") / "metric" / "legibility.yaml").read_text())
    told = {name: node["legibility"][name] for name in ("second", "low", "high", "scale")}
    defaults = inspect.signature(Legibility).parameters
    assert told == {name: defaults[name].default for name in told}
