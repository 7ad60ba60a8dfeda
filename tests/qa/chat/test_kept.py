"""Answers on disk: each by what was seen, the question and the settings."""

from __future__ import annotations

import json

import pytest

from qa.chat.kept import Kept


def test_answers_come_back_and_each_setting_has_its_own(tmp_path):
    kept = Kept(tmp_path, {"model": "a"})
    assert kept.empty
    kept.add("0" * 64, "Is it?", "yes")
    kept.add("0" * 64, "Was it?", {"said": "no", "yes": 0.0})
    again = Kept(tmp_path, {"model": "a"})
    assert again.read("0" * 64) == {"Is it?": "yes", "Was it?": {"said": "no", "yes": 0.0}}
    assert again.read("1" * 64) == {}
    assert not again.empty
    other = Kept(tmp_path, {"model": "b"})
    assert other.empty
    assert other.read("0" * 64) == {}
    (settings,) = tmp_path.rglob("settings.json")
    assert json.loads(settings.read_text()) == {"model": "a"}


@pytest.mark.parametrize("damaged", ["", "{", "[1]", "null", "3", '"text"', "[" * 10**5])
def test_a_damaged_file_holds_no_answer(tmp_path, damaged):
    kept = Kept(tmp_path, {})
    kept.add("0" * 64, "Is it?", "yes")
    (file,) = tmp_path.glob("*/00/*.json")
    file.write_text(damaged)
    assert kept.read("0" * 64) == {}
    kept.add("0" * 64, "Was it?", "no")
    assert kept.read("0" * 64) == {"Was it?": "no"}
