"""Panels on their way through a run: one look, several values, notes, and what has none."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toyruns import toy_overrides
from toys import Shades

from qa import baseline, images, panels
from qa.config import compose
from qa.documents import sealed
from qa.errors import QaError, UsageError
from qa.gates.margins import Margin
from qa.job import prepare
from qa.judge import judge
from qa.results import load
from qa.run import Evaluation, conclude, evaluate, measure
from qa.types import NOT_APPLICABLE, Found, Sample

WITHOUT_SHADE = {"p02/0", "p02/1", "p05/0", "p05/1"}
Words = Callable[..., list[str]]


@pytest.fixture
def asking(pictures: Path) -> Words:
    """Overrides of a run over six pictures, two takes and two seeds of each, judged by a panel."""

    def overrides(*more: str, decoder: str = "Sampler") -> list[str]:
        own = ("suite=asking", "metric=[shades]", *more)
        return toy_overrides(pictures, decoder, *own)

    return overrides


def panel_files(run: Evaluation) -> dict[str, str]:
    """Digests of everything that a panel leaves, and of what is made of it."""
    path = run.folder.path
    names = ("panels.json", "verdict.json")
    files = [*sorted((path / "notes").rglob("*.json")), *(path / name for name in names)]
    files += run.folder.scores_folder.files()
    return {str(f.relative_to(path)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def level(run: Evaluation, sample: str, seed: int) -> float:
    """Mean level of a stored picture, apart from the run."""
    return images.read(run.folder.picture_file(sample, seed)).double().mean().item()


def test_one_look_gives_every_value_and_a_note(workdir, asking):
    job = prepare(compose(asking()))
    measure(job)
    run = conclude(job)
    assert job.panels["shades"].calls == [2] * 12, "both seeds of a sample, once"
    assert sorted(run.scores["metric"].unique()) == ["light", "shade"]
    for row in run.scores.itertuples():
        expected = level(run, row.sample, row.seed)
        if row.metric == "light":
            assert row.value == float(expected >= 128)
        elif row.sample in WITHOUT_SHADE:
            assert row.why == f"{NOT_APPLICABLE}it asks for no shade"
        else:
            assert row.value == pytest.approx(expected, rel=1e-12)
    values = run.scores.set_index("metric")["value"]
    assert set(values["light"]) == {0.0, 1.0}, "or the test shows little"
    assert values["shade"].isna().sum() == 8
    notes = panels.all_notes(run.folder, "shades", [row["id"] for row in run.folder.samples()])
    assert [(note["sample"], note["seed"]) for note in notes] == [
        (f"p{place:02d}/{take}", seed) for place in range(6) for take in (0, 1) for seed in (0, 1)
    ]
    assert notes[5]["level"] == pytest.approx(level(run, "p01/0", 1), rel=1e-12)
    darkest = min(note["level"] for note in notes)
    assert run.folder.panels() == {"shades": {"pictures": 24, "darkest": darkest, "missing": 0}}


def test_the_record_and_the_samples_say_what_was_asked(workdir, asking):
    run = evaluate(*asking())
    record = run.folder.record()
    assert record["panels"] == {"shades": ["light", "shade"]}
    assert record["facts"]["light"]["of"] == "sample"
    row = run.folder.samples()[5]
    assert (row["id"], row["group"], row["take"]) == ("p02/1", "p02", 1)
    assert row["asks"] == {"least": 128.0, "shade": False}
    found = load(run.folder.path)
    assert found.groups["p02/1"] == "p02"
    assert (found.slices["p02/1"], found.slices["p03/0"]) == ("even", "odd")


def test_groups_are_counted_and_what_cannot_be_is_no_part(workdir, asking):
    run = evaluate(*asking())
    rows = {row["metric"]: row for row in run.verdict["metrics"]}
    assert [(rows[n]["count"], rows[n]["missing"]) for n in ("light", "shade")] == [(6, 0), (4, 0)]
    assert rows["shade"]["why"] == ""
    means = load(run.folder.path).by_group("shade")
    assert list(means.index) == ["p00/0", "p01/0", "p03/0", "p04/0"]
    expected = [level(run, f"p00/{take}", seed) for take in (0, 1) for seed in (0, 1)]
    assert means["p00/0"] == pytest.approx(sum(expected) / 4, rel=1e-12)


@pytest.mark.parametrize("how", ["executor.batch=1", "executor.batch=5", "executor.workers=1"])
def test_how_it_is_carried_out_changes_no_byte(workdir, asking, how):
    expected = panel_files(evaluate(*asking("out=one")))
    # Notes, summaries, verdict, two metrics and the list of their parts.
    assert len(expected) == 12 + 2 + 3
    assert panel_files(evaluate(*asking("out=two", how))) == expected


def test_the_order_of_units_changes_no_byte(workdir, asking):
    expected = panel_files(evaluate(*asking("out=one")))
    job = prepare(compose(asking("out=two")))
    units = list(job.plan.units)
    random.Random(3).shuffle(units)
    for part in (units[:5], units[5:]):
        list(job.executor.run(job.worker, part))
    measure(job)
    assert panel_files(conclude(job)) == expected


def test_a_panel_is_added_without_decoding_and_finished_work_stays(workdir, asking):
    first = evaluate(*asking("metric=[psnr]"))
    assert not first.folder.panels_file.exists()
    job = prepare(compose(asking("metric=[psnr,shades]")))
    measure(job)
    assert job.decoder.calls == []
    done = conclude(job)
    assert sorted(done.scores["metric"].unique()) == ["light", "psnr", "shade"]
    again = prepare(compose(asking("metric=[psnr,shades]")))
    measure(again)
    assert again.panels["shades"].calls == [], "what is not applicable is not tried again"
    assert panel_files(conclude(again)) == panel_files(done)
    without = evaluate(*asking("metric=[psnr]"))
    assert not without.folder.panels_file.exists(), "an earlier run's summary does not stay"


@pytest.mark.parametrize("damage", [None, b"", b"{}", b"[1]", sealed({}), sealed({"notes": [{}]})])
def test_lost_notes_are_taken_again(workdir, asking, damage):
    run = evaluate(*asking())
    before = panel_files(run)
    file = panels.notes_file(run.folder, "shades", "p00/0")
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    job = prepare(compose(asking()))
    measure(job)
    assert job.decoder.calls == []
    assert job.panels["shades"].calls == [2], "only that sample"
    assert panel_files(conclude(job)) == before


def test_another_protocol_is_another_look(workdir, asking):
    evaluate(*asking())
    job = prepare(compose(asking("+metric.shades.version=2")))
    measure(job)
    assert job.decoder.calls == []
    assert len(job.panels["shades"].calls) == 12


def test_other_questions_need_no_new_picture_and_do_not_compare(workdir, asking):
    first = load(evaluate(*asking()).folder.path)
    job = prepare(compose(asking("+suite.least=120")))
    assert job.folder.path == first.folder.path, "the same pictures"
    measure(job)
    assert job.decoder.calls == []
    assert len(job.panels["shades"].calls) == 12
    run = conclude(job)
    for note in panels.all_notes(run.folder, "shades", ["p00/0", "p01/1"]):
        assert note["least"] == 120
    now = load(run.folder.path)
    verdict = judge(now, first, {"light": Margin(0.5)})
    assert verdict["state"] == "INVALID"
    assert verdict["problems"][0].startswith("questions of light: ")
    assert judge(now, now, {"light": Margin(0.5)})["state"] == "PASS"


def test_a_broken_panel_costs_its_own_values_only(workdir, asking):
    words = ("metric=[psnr,shades]", "+metric.shades.breaks=p01/0")
    run = evaluate(*asking(*words))
    lost = run.scores[run.scores["value"].isna() & (run.scores["metric"] == "light")]
    assert set(lost["sample"]) == {"p01/0"}
    assert set(lost["why"]) == {"RuntimeError: the panel broke"}
    assert run.scores[run.scores["metric"] == "psnr"]["value"].notna().all()
    told = run.folder.panels()["shades"]
    assert (told["missing"], told["darkest"]) == (2, None), "the panel knows what was planned"
    assert not panels.notes_file(run.folder, "shades", "p01/0").exists()
    rows = {row["metric"]: row for row in run.verdict["metrics"]}
    assert (rows["light"]["count"], rows["light"]["missing"]) == (5, 1), "the whole group"
    mended = evaluate(*asking("metric=[psnr,shades]"))
    assert mended.folder.panels()["shades"]["missing"] == 0
    assert mended.scores[mended.scores["metric"] == "light"]["value"].notna().all()


def test_a_failed_decode_leaves_no_note_and_is_missing(workdir, asking):
    run = evaluate(*asking("+decoder.sample=p02/1", "+decoder.how=raise", decoder="Breaks"))
    assert run.verdict["state"] == "INVALID"
    rows = {row["metric"]: row for row in run.verdict["metrics"]}
    assert rows["shade"]["missing"] == 1, "it does not say that the metric does not apply"
    told = run.folder.panels()["shades"]
    assert (told["missing"], told["darkest"]) == (2, None)


def test_notes_do_not_outlive_their_pictures(workdir, asking, monkeypatch):
    job = prepare(compose(asking()))
    measure(job)
    before = conclude(job)
    sample = before.folder.samples()[0]["id"]
    for seed in (0, 1):
        before.folder.picture_file(sample, seed).write_bytes(b"damaged")
    again = prepare(compose(asking("metric=[shades,psnr]")))
    monkeypatch.setattr(again.decoder, "decode", lambda requests: 1 / 0)
    measure(again)
    assert panels.read_notes(conclude(again).folder, "shades", sample) == []


def test_a_suite_that_asks_for_nothing_is_refused_at_once(workdir, toy):
    with pytest.raises(UsageError, match=r"shades cannot score this suite.*'p00' asks for no"):
        prepare(compose(toy("Sampler", "metric=[shades]")))
    assert not Path("runs").exists()


def test_a_metric_has_one_source(workdir, asking):
    with pytest.raises(UsageError, match="shades measures light, and so does another choice"):
        panels.facts_of({"light": Shades()}, {"shades": Shades()})
    words = ["metric=[shades]", "+metric.twin._target_=toys.Shades"]
    with pytest.raises(UsageError, match="The panel twin measures light"):
        prepare(compose(asking(*words)))


def test_a_part_that_is_half_a_panel_is_refused(workdir, asking, monkeypatch):
    monkeypatch.delattr("toys.Shades.summary")
    with pytest.raises(UsageError, match="Shades has no summary"):
        prepare(compose(asking()))


class Odd(Shades):
    """Gives what it is told to."""

    def __init__(self, found: Found) -> None:
        super().__init__()
        self.found = found

    def __call__(self, sample, pictures, reference):
        return self.found


GOOD = Found({"light": [1.0, 0.0], "shade": [1.0, "too dark"]}, [{}, {}])


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (Found({"light": [1.0, 0.0]}, [{}, {}]), "gave values of light instead of light, shade"),
        (Found({**GOOD.values, "more": [1.0, 0.0]}, [{}, {}]), "instead of light, shade"),
        (Found({"light": [1.0], "shade": [1.0, 2.0]}, [{}, {}]), r"\[1, 2\] values and notes"),
        (Found(GOOD.values, [{}]), r"\[1, 2\] values and notes for 2 pictures"),
        (Found(GOOD.values, [{}, {"x": torch.ones(1)}]), "not JSON serializable"),
        (Found(GOOD.values, [{}, {"x": float("nan")}]), "not JSON compliant"),
    ],
)
def test_what_a_panel_may_not_return_is_the_reason(found, why):
    pictures = {seed: torch.zeros(3, 2, 2, dtype=torch.uint8) for seed in (0, 3)}
    values, notes = panels.look(Odd(GOOD), Sample("a"), pictures, None)
    assert values == {"light": {0: 1.0, 3: 0.0}, "shade": {0: 1.0, 3: "too dark"}}
    assert notes == [{"sample": "a", "seed": 0}, {"sample": "a", "seed": 3}]
    values, notes = panels.look(Odd(found), Sample("a"), pictures, None)
    assert notes is None
    assert set(values) == {"light", "shade"}
    assert all(isinstance(said, str) and re.search(why, said) for said in values.values())


def test_a_value_that_is_no_number_is_said():
    found = Found({"light": [float("nan"), ""], "shade": [float("inf"), 1]}, [{}, {}])
    pictures = {seed: torch.zeros(3, 2, 2, dtype=torch.uint8) for seed in (0, 1)}
    values, _ = panels.look(Odd(found), Sample("a"), pictures, None)
    assert values["light"] == {0: "the value is nan", 1: "there is no value"}
    assert values["shade"] == {0: "the value is inf", 1: 1.0}


def test_a_summary_that_fails_is_said_and_loses_nothing(workdir, asking, monkeypatch):
    monkeypatch.setattr("toys.Shades.summary", lambda self, notes, planned: 1 / 0)
    run = evaluate(*asking())
    why = "ZeroDivisionError: division by zero"
    assert run.folder.panels() == {"shades": {"why": why, "missing": 0}}
    assert run.scores["value"].notna().sum() == 24 + 16


@pytest.mark.parametrize("text", ["[]", "null", '{"shades": 1}'])
def test_a_damaged_summary_is_said(workdir, asking, text):
    folder = evaluate(*asking()).folder
    folder.panels_file.write_text(text)
    with pytest.raises(QaError, match="is not what this version writes"):
        folder.panels()


def test_a_baseline_keeps_groups_and_questions(workdir, asking):
    run = evaluate(*asking("use_case.primary=[light]", "+use_case.margins.light.margin=0.2"))
    baseline.promote(run.folder)
    found = baseline.find("toy").results
    own = load(run.folder.path)
    assert (found.groups, found.slices) == (own.groups, own.slices)
    assert judge(own, found, {"light": Margin(0.2)})["gates"][0]["count"] == 6


def test_takes_of_a_picture_are_no_copies_and_have_noise_of_their_own(workdir, asking):
    run = evaluate(*asking())
    decoded = run.folder.decoded()
    assert decoded["digest"].nunique() == 24
    assert decoded["noise"].nunique() == 24
    own = load(run.folder.path)
    verdict = judge(own, own, {"light": Margin(0.5)})
    assert not any("copies" in said for said in verdict["warnings"])
    apart = replace(own, groups={})
    copied = judge(apart, apart, {"light": Margin(0.5)})["warnings"]
    assert any("6 pictures are copies of others" in said for said in copied)


def test_looks_take_whole_groups(workdir, asking):
    job = prepare(compose(asking("looks=[6,12]")))
    assert len({unit.sample.group for unit in job.plan.units}) == 3


def test_slices_are_shown_and_decide_nothing(workdir, asking):
    words = ["use_case.primary=[shade]", "+use_case.margins.shade={margin: 4, why: test}",
             "gate=[regression,slices]", "+metric.shades.version=1"]  # fmt: skip
    evaluate(*asking("out=base", *words))
    run = evaluate(*asking("out=dark", "baseline=base", "+decoder.noise=0.06", *words))
    rows = {(row["gate"], row["metric"]): row for row in run.verdict["gates"]}
    kinds = ["shade[even]", "shade[mean of slices]", "shade[odd]"]
    assert sorted(rows) == [("regression", "shade"), *(("slices", kind) for kind in kinds)]
    means = {tag: rows["slices", f"shade[{tag}]"]["estimate"] for tag in ("even", "odd")}
    assert rows["slices", kinds[1]]["estimate"] == pytest.approx(sum(means.values()) / 2)
    assert not any(rows["slices", kind]["counts"] for kind in kinds)
    assert rows["slices", "shade[odd]"]["count"] == 2, "p01 and p03; p05 asks for no shade"
    assert json.loads(run.folder.verdict_file.read_text()) == run.verdict


def test_sets_count_groups(workdir, asking):
    run = evaluate(*asking("metric=[shades,colour_gap]"))
    (row,) = run.folder.sets()
    assert (row["pictures"], row["rows"]) == (6, 12 * 4)
    candidate, reference = load(run.folder.path).feature_sets("colour_gap")
    assert sorted(set(candidate.pictures)) == sorted(set(reference.pictures)) == list(range(6))
    assert len(candidate.values) == 12 * 2 * 4
    apart = replace(load(run.folder.path), groups={}).feature_sets("colour_gap")[0]
    assert len(set(apart.pictures)) == 12
    assert (apart.values == candidate.values).all()
