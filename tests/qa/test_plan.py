"""Units: an id says everything that shapes a picture, and nothing else."""

from __future__ import annotations

import hashlib
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
import toys

from qa import plan
from qa.files import digest
from qa.plan import PIPELINE, code_digest, look_at, look_order, make_plan
from qa.seeds import content, noise
from qa.types import Knobs, Sample, TextRegion

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
    assert cut.units[0].id == whole.units[0].id, "a unit does not know of its neighbours"
    assert cut.digest != whole.digest
    assert not make_plan(SAMPLES, seeds=2, knobs=Knobs(), inputs=INPUTS, limit=2).limited


def test_noise_content_is_what_the_sample_shows_not_its_name():
    assert content(Sample("a", sha256="1")) == content(Sample("b", sha256="1"))
    assert content(Sample("a", sha256="1")) != content(Sample("a", sha256="2"))
    assert content(Sample("a", prompt="x")) != content(Sample("a", prompt="y"))


def test_the_source_and_the_settings_of_a_foreign_part_count(tmp_path, monkeypatch):
    part = {"_target_": "toys.Sampler"}
    before = code_digest([part])
    assert before == code_digest([part])
    assert before != code_digest([part | {"noise": 0.5}])
    nested = {"_target_": "decoders.faults.Shifted", "decoder": part}
    assert code_digest([nested]) != code_digest([{"_target_": "decoders.faults.Shifted"}])
    copy = tmp_path / "toys.py"
    copy.write_text(Path(toys.__file__).read_text() + "\n# changed\n")
    monkeypatch.setattr(toys, "__file__", str(copy))
    assert code_digest([part]) != before


def test_the_source_of_the_pipeline_counts(monkeypatch):
    before = code_digest([])
    real = plan.sha256
    monkeypatch.setattr(
        plan, "sha256", lambda file: "changed" if file.name == "seeds.py" else real(file)
    )
    assert code_digest([]) != before


def test_a_look_keeps_the_first_by_digest_and_the_whole_plans_identity():
    samples = [Sample(f"p{i}", sha256=str(i)) for i in range(9)]
    whole = make_plan(samples, seeds=2, knobs=Knobs(), inputs=INPUTS)
    first = look_at([3, 9], None, 9, "pr")
    cut = make_plan(samples, seeds=2, knobs=Knobs(), inputs=INPUTS, look=first)
    assert [u.sample.id for u in cut.units] == sorted(look_order(s.id for s in samples)[:3])
    assert (cut.digest, cut.suite_digest) == (whole.digest, whole.suite_digest)
    assert not cut.limited
    assert {u.id for u in cut.units} < {u.id for u in whole.units}
    last = look_at([3, 9], 9, 9, "pr")
    assert make_plan(samples, seeds=2, knobs=Knobs(), inputs=INPUTS, look=last).units == whole.units


def test_the_order_of_looks_does_not_follow_names():
    names = [f"p{i:03d}" for i in range(100)]
    order = look_order(names)
    assert sorted(order) == names
    assert order != names
    assert order == look_order(names[::-1])


def test_what_noise_is_drawn_from_is_part_of_the_pipeline():
    """A change there changes pictures, so it has to change the ids of units."""
    assert {content.__module__, noise.__module__} <= set(PIPELINE)


def test_a_take_is_part_of_a_units_identity_and_questions_are_not():
    def plan(**known):
        sample = Sample("a", None, None, "x", **known)
        return make_plan([sample], seeds=2, knobs=Knobs(), inputs=INPUTS)

    assert plan(take=0).digest == plan().digest
    assert plan(take=1).digest != plan().digest
    asked = plan(asks={"cat": 2})
    assert asked.digest == plan().digest
    assert asked.suite_digest == plan().suite_digest
    others = [plan(), asked, plan(tags=("t",)), plan(regions=(TextRegion("b", (0, 0, 1, 1)),))]
    assert len({each.asks_digest for each in others}) == 4


def test_looks_take_the_samples_of_a_group_together():
    names = [f"{prompt:02d}/{take}" for prompt in range(20) for take in range(4)]
    groups = {name: name[:2] for name in names}
    order = look_order(names, groups)
    assert sorted(order) == sorted(names)
    for size in range(4, 80, 4):
        assert len({groups[name] for name in order[:size]}) == size // 4
    prompts = list(dict.fromkeys(groups[name] for name in order))
    assert prompts == sorted(prompts, key=lambda p: hashlib.sha256(p.encode()).hexdigest())
    assert look_order(names) == look_order(names, dict.fromkeys(names, ""))
    assert look_order(names, groups) != look_order(names)


def drawn(count):
    return [
        Sample(f"picture {n:06d}", sha256=f"{n:064x}", group=f"g{n // 2}") for n in range(count)
    ]


def test_digests_over_all_units_are_those_of_their_list():
    made = make_plan(SAMPLES, seeds=2, knobs=Knobs(), inputs=INPUTS)
    assert made.digest == digest([unit.id for unit in made.units])
    assert plan._digest([]) == digest([])
    assert plan._digest(iter([["a", None], {"b": 1}])) == digest([["a", None], {"b": 1}])
    assert plan._digest(["a,b"]) != plan._digest(["a", "b"]), "negative control"


def test_a_unit_of_a_large_plan_takes_few_bytes():
    samples, count = drawn(20_000), 20_000
    tracemalloc.start()
    try:
        made = make_plan(samples, seeds=8, knobs=Knobs(), inputs=INPUTS)
        kept, peak = (size / count for size in tracemalloc.get_traced_memory())
        look = look_at([count // 2, count], None, count, "pr")
        tracemalloc.reset_peak()
        make_plan(samples, seeds=8, knobs=Knobs(), inputs=INPUTS, look=look)
        looked = tracemalloc.get_traced_memory()[1] / count - kept
        listed = [[list(unit.seeds), digest(unit.id)] for unit in made.units]  # negative control
        held = tracemalloc.get_traced_memory()[0] / count
    finally:
        tracemalloc.stop()
    assert len(listed) == count
    assert kept <= peak < 250, "an id, a unit, its places in the lists; no text of all ids"
    assert looked < 700
    assert held > 250
