"""DPG-Bench's prompts as samples."""

from __future__ import annotations

from collections import Counter

import pytest
from dpg_toys import asset, question, questions_file

from qa.errors import UsageError
from qa.seeds import content
from suites.dpg.suite import ASKS, DPG, source


@pytest.fixture
def prompts(tmp_path):
    folder = tmp_path / "prompts"
    folder.mkdir()
    for name in ("0", "partiprompts97", "whoops_5"):
        (folder / f"{name}.txt").write_text(f"prompt {name}\n")
    return folder


def test_four_takes_of_each_prompt(prompts):
    suite = DPG(str(prompts))
    samples = suite.samples()
    assert suite.name == "dpg-prompts"
    assert [s.id for s in samples][:5] == ["0/0", "0/1", "0/2", "0/3", "partiprompts97/0"]
    third = samples[6]
    assert (third.take, third.group, third.prompt) == (2, "partiprompts97", "prompt partiprompts97")
    assert (third.asks[ASKS], third.tags, third.image) == (
        "partiprompts97",
        ("partiprompts",),
        None,
    )
    assert len({content(sample) for sample in samples}) == 12
    assert len(DPG(str(prompts), pictures=1, name="mine").samples()) == 3


def test_where_a_prompt_comes_from():
    names = (
        "12",
        "partiprompts97",
        "whoops_5",
        "COCOval2014000000417946",
        "localized_narratives_9",
    )
    assert [source(name) for name in names] == [
        "numeric", "partiprompts", "whoops", "COCOval", "localized_narratives"
    ]  # fmt: skip


def test_prompts_of_a_csv(tmp_path):
    file = questions_file(tmp_path, [question("a", 1, text="a cat"), question("b", 1, text="")])
    with pytest.raises(UsageError, match="1 of 2 items"):
        DPG(str(file))
    file = questions_file(tmp_path, [question("a", 1, text="a cat"), question("a", 2)])
    assert [s.prompt for s in DPG(str(file), pictures=2).samples()] == ["a cat", "a cat"]


def test_what_cannot_work(tmp_path, prompts):
    with pytest.raises(UsageError, match="holds no prompts"):
        DPG(str(tmp_path))
    with pytest.raises(UsageError, match="Cannot read"):
        DPG(str(tmp_path / "none.csv"))
    with pytest.raises(UsageError, match="asks for nothing"):
        DPG(str(prompts), pictures=0)


def test_the_official_prompts(monkeypatch):
    asset("dpg_bench", "prompts")
    suite = DPG()
    samples = suite.samples()
    assert (suite.name, len(samples)) == ("dpg", 4 * 1065)
    words = [len(s.prompt.split()) for s in samples]
    assert round(sum(words) / len(words)) == 67
    assert Counter(s.tags[0] for s in samples[::4]) == {
        "partiprompts": 324, "numeric": 299, "COCOval": 100, "countbench": 40, "diffusiondb": 40,
        "drawtext": 40, "midjourney": 40, "posescript": 40, "stanford": 40, "vrd": 40, "whoops": 40,
        "localized": 22,
    }  # fmt: skip
