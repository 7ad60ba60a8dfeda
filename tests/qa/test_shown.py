"""Which repro.json speaks for a run: only one of the very inputs that made its pictures."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from qa import shown
from qa.config import compose
from qa.files import read_json, write_json
from qa.repro.check import check
from qa.repro.options import ROOT
from qa.run import evaluate

RECORD = {
    "decoder_digest": "d1",
    "environment": {"class": "one"},
    "inputs": {"digest": "i1", "code": "c1", "knobs": {"sigma": 0.0}},
}
DOCUMENT = {
    **RECORD, "schema": "decoder-qa/repro/1", "date": "2026-01-01", "reached": "R0",
    "levels": {"R0": {"verdict": "PASS"}},
}  # fmt: skip


@pytest.fixture
def words(toy, workdir, monkeypatch):
    """A decoder of the user's own whose class can be edited, judged by the level that it shows."""
    monkeypatch.syspath_prepend(workdir)

    def edited(base: str, *more: str) -> list[str]:
        source = f"from toys import {base}\n\n\nclass D({base}):\n    pass\n"
        (workdir / "mydec.py").write_text(source)
        sys.modules.pop("mydec", None)
        importlib.invalidate_caches()
        # Python tells by whole seconds whether what it compiled is still that file.
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        return toy("Sampler", "decoder._target_=mydec.D", *more)

    yield edited
    sys.modules.pop("mydec", None)


GATED = ("gate=[reproducibility]", "gate.reproducibility.level=R4")


def level(words: list[str], *more: str) -> tuple[str, str]:
    """State and reason of the gate on a run of these words."""
    (row,) = evaluate(*words, *GATED, *more).verdict["gates"]
    return row["state"], row["why"]


def test_what_was_shown_for_other_code_says_nothing(words):
    """Weights and settings stay; the edited class draws its noise once for a whole batch."""
    sound = words("Sampler")
    first = check(compose([*sound, "levels=[R4]"], root=ROOT)).document
    assert level(sound) == ("PASS", f"{first['reached'] or 'no level'} was reached")
    broken = words("Coupled")
    state, why = level(broken, "out=runs/broken")
    assert state == "INVALID"
    assert "measured for other inputs: code: " in why
    assert "measure it again: `qa repro`" in why
    second = check(compose([*broken, "levels=[R4]"], root=ROOT)).document
    assert first["decoder_digest"] == second["decoder_digest"]
    assert level(broken, "out=runs/broken")[0] == "FAIL"
    assert level(words("Sampler"))[0] == "PASS", "each speaks for its own code"


def test_inputs_are_those_of_the_run(words):
    decoder = words("Sampler")
    document = check(compose([*decoder, "levels=[R4]"], root=ROOT)).document
    inputs = evaluate(*decoder).folder.record()["inputs"]
    assert document["inputs"] == inputs
    assert {"code", "decoder", "knobs", "latents", "versions", "digest"} == set(inputs)
    assert "torch" in inputs["versions"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("knobs.sigma=0.1", "knobs.sigma: 0.0 against 0.1"),
        ("encoder._target_=toys.Kept", "latents: pool-1 against kept-1"),
    ],
)
def test_another_dial_and_other_latents_are_other_inputs(words, change, told):
    decoder = words("Sampler")
    check(compose([*decoder, "levels=[R4]"], root=ROOT))
    state, why = level(decoder, change)
    assert state == "INVALID"
    assert told in why


def there(name: str = "a", **changed) -> Path:
    file = Path("runs", name, "repro.json")
    write_json(file, {k: v for k, v in {**DOCUMENT, **changed}.items() if v is not None})
    return file


@pytest.mark.usefixtures("workdir")
class TestDocuments:
    """Made by hand."""

    def test_the_newest_that_fits_counts(self):
        there("old")
        new = there("new", date="2026-02-01")
        there("other", date="2026-03-01", inputs={"digest": "i2"})
        assert shown.fitting(shown.files("runs"), RECORD) == (new, read_json(new))

    @pytest.mark.parametrize(
        "changed",
        [{"levels": 3}, {"levels": {"R0": "PASS"}}, {"environment": "one"}, {"reached": None},
         {"schema": "other/1"}, {"date": None}, {"inputs": 3}],
    )  # fmt: skip
    def test_a_damaged_one_does_not(self, changed):
        there(**changed)
        assert shown.fitting(shown.files("runs"), RECORD) is None

    def test_one_that_does_not_say_its_inputs_is_to_be_measured_again(self):
        there(inputs=None)
        assert shown.fitting(shown.files("runs"), RECORD) is None
        told = shown.absent(shown.files("runs"), RECORD)
        assert told.startswith("a/repro.json does not say with which code and inputs")
        assert "measure it again: `qa repro`" in told

    def test_a_run_that_does_not_say_its_inputs_proves_nothing(self):
        there(inputs=None)
        record = {key: value for key, value in RECORD.items() if key != "inputs"}
        assert shown.fitting(shown.files("runs"), record) is None
        assert "give its `qa run` command again" in shown.absent(shown.files("runs"), record)

    def test_of_another_decoder_or_class_there_is_nothing(self):
        there(decoder_digest="other")
        there("b", environment={"class": "other"})
        assert "no repro.json shows a level" in shown.absent(shown.files("runs"), RECORD)
