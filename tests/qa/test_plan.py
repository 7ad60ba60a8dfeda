"""Units: an id says everything that shapes a picture, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import toys

from qa import plan
from qa.plan import code_digest, content, make_plan
from qa.types import Knobs, Sample

SAMPLES = [Sample("b", sha256="2"), Sample("a", sha256="1", prompt="a cat")]
INPUTS = {"decoder": "d", "latents": "l", "code": "c", "numerics": {"threads": 2}}


def ids(samples=SAMPLES, seeds=2, knobs=None, limit=None, **inputs):
    made = make_plan(
        samples, seeds=seeds, knobs=knobs or Knobs(), limit=limit, inputs=INPUTS | inputs
    )
    return [unit.id for unit in made.units], made.digest


def test_the_order_of_samples_changes_nothing():
    assert ids() == ids(SAMPLES[::-1])


@pytest.mark.parametrize(
    "change",
    [
        {"decoder": "other"},
        {"latents": None},
        {"code": "other"},
        {"numerics": {"threads": 1}},
        {"seeds": 3},
        {"knobs": Knobs(sigma=0.1)},
        {"knobs": Knobs(steps=2)},
        {"samples": [replace(s, sha256="9") for s in SAMPLES]},
        {"samples": [replace(s, prompt="a dog") for s in SAMPLES]},
        {"samples": [replace(s, id=s.id + "x") for s in SAMPLES]},
    ],
)
def test_every_input_of_a_picture_changes_every_id(change):
    before, after = ids()[0], ids(**change)[0]
    assert not set(before) & set(after)


def test_what_shapes_no_picture_changes_no_id():
    assert ids([replace(s, tags=("x",)) for s in SAMPLES]) == ids()


def test_a_limit_keeps_the_first_samples_and_is_marked():
    whole = make_plan(SAMPLES, seeds=2, knobs=Knobs(), inputs=INPUTS)
    cut = make_plan(SAMPLES, seeds=2, knobs=Knobs(), inputs=INPUTS, limit=1)
    assert [u.sample.id for u in cut.units] == ["a"]
    assert cut.limited
    assert not whole.limited
    assert cut.units[0].id == whole.units[0].id, "a later full run continues a limited one's units"
    assert cut.digest != whole.digest
    assert not make_plan(SAMPLES, seeds=2, knobs=Knobs(), inputs=INPUTS, limit=2).limited


def test_noise_content_is_what_the_sample_shows_not_its_name():
    assert content(Sample("a", sha256="1")) == content(Sample("b", sha256="1"))
    assert content(Sample("a", sha256="1")) != content(Sample("a", sha256="2"))
    assert content(Sample("a", prompt="x")) != content(Sample("a", prompt="y"))


def test_the_source_of_a_part_counts(tmp_path, monkeypatch):
    before = code_digest([toys.Sampler()])
    assert before == code_digest([toys.Sampler(0.5)]), "arguments belong to the part's digest"
    copy = tmp_path / "toys.py"
    copy.write_text(Path(toys.__file__).read_text() + "\n# changed\n")
    monkeypatch.setattr(toys, "__file__", str(copy))
    assert code_digest([toys.Sampler()]) != before


def test_the_source_of_the_pipeline_counts(monkeypatch):
    before = code_digest([])
    monkeypatch.setattr(plan, "PIPELINE", plan.PIPELINE[1:])
    assert code_digest([]) != before
