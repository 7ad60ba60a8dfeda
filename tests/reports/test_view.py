"""The view: what every form of a report draws on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from verdicts import gate, secondary, tail, verdict, waived

from qa import files
from qa.signature import Signature
from qa.stats.interval import t_quantile
from qa.stats.planning import power_from
from reports.limits import blind_spot
from reports.scope import Change, scope
from reports.view import Decision, of, power

SIGNED = Signature(
    "SHIP", "Ada", "", "2026-11-01T00:00:00+00:00", "SHIP", "PASS", "a" * 64, {}, ()
)  # fmt: skip


def test_the_power_is_the_share_of_such_comparisons_that_find_the_margin():
    count, deviation, margin, confidence = 24, 1.0, 0.5, 0.9
    quantile = t_quantile(0.95, count - 1)
    half = quantile * deviation / np.sqrt(count)
    told = power_from(-half, half, margin, count, confidence)
    rng = np.random.default_rng(5)
    means = margin + deviation / np.sqrt(count) * rng.standard_t(count - 1, 200_000)
    found = float((means - half > 0).mean())
    assert abs(found - told) < 4 * np.sqrt(told * (1 - told) / 200_000)
    assert power_from(-half, half, half, count, confidence) == pytest.approx(0.5)
    assert power_from(0, 2 * half, margin, count, confidence) == pytest.approx(told)


@pytest.mark.parametrize("bad", [(0, 0, 1, 9), (1, 0, 1, 9), (0, 1, 0, 9), (0, 1, 1, 1)])
def test_without_an_interval_there_is_no_power(bad):
    with pytest.raises(ValueError, match="no power"):
        power_from(*bad, 0.9)


def test_only_gates_that_compare_means_have_a_power():
    assert power(gate(), 0.9) == power_from(0.9123, 1.2511, 1.0, 24, 0.9)
    none = [tail(), gate(gate="threshold"), gate(low=None), gate(margin=None), gate(count=1),
            gate(gate="equivalence")]  # fmt: skip
    assert [power(row, 0.9) for row in none] == [None] * 6


def test_requirements_keep_their_numbers_while_the_worst_comes_first():
    rows = [gate("psnr"), gate("ssim", "FAIL"), secondary("gmsd")]
    sliced = gate("psnr[photo]", gate="slices", counts=False)
    seen = of(verdict("FAIL", rows[0], sliced, *rows[1:]), {})
    assert [(one.id, one.gate["metric"]) for one in seen.requirements] == [
        ("R2", "ssim"), ("R1", "psnr"), ("R3", "gmsd"),
    ]  # fmt: skip
    assert [row["metric"] for row in seen.family] == ["psnr", "ssim"]
    assert len(seen.slices) == 1


@pytest.mark.parametrize(
    ("state", "rows", "proposed"),
    [("PASS", [gate()], "SHIP"), ("PASS", [gate(), waived()], "SHIP WITH WAIVERS"),
     ("FAIL", [gate(state="FAIL")], "HOLD"), ("MEASURED", [], "HOLD")],
)  # fmt: skip
def test_the_gates_propose(state, rows, proposed):
    decision = of(verdict(state, gates=rows), {}).decision
    assert (decision.proposed, decision.said, decision.signed) == (proposed, proposed, False)


def test_a_signature_decides_only_while_it_holds():
    held = Decision("HOLD", "", replace(SIGNED, decision="HOLD", why="later"))
    assert (held.said, held.signed) == ("HOLD", True)
    signed = Decision("HOLD", "", SIGNED)
    assert (signed.said, signed.signed) == ("SHIP", True)
    broken = Decision("HOLD", "", replace(SIGNED, broken="verdict.json changed"))
    assert (broken.said, broken.signed) == ("HOLD", False)
    held = replace(SIGNED, decision="HOLD", why="later", broken="verdict.json changed")
    assert (Decision("SHIP", "", held).said, Decision("SHIP", "", held).signed) == ("HOLD", False)


def test_what_is_open_says_what_it_would_take():
    row = gate("psnr", "INCONCLUSIVE", needs=100, count=24)
    cost = [{"metric": "seconds_median", "value": 0.5}]
    (one,) = of(verdict("INCONCLUSIVE", row), {}, cost=cost).open
    seeds = verdict()["candidate"]["seeds"]
    assert (one.have, one.needs, one.seconds) == (24, 100, (100 - 24) * seeds * 0.5)
    (one,) = of(verdict("INCONCLUSIVE", {**row, "needs": None}), {}, cost=cost).open
    assert (one.needs, one.seconds) == (None, None)
    assert of(verdict("PASS", gate()), {}).open == ()


def test_failures_are_counted_by_reason():
    reasons = ("out of memory: 3 GB", "not finite", "out of memory: 4 GB")
    lost = [{"sample": str(k), "seed": 0, "why": why} for k, why in enumerate(reasons)]
    found = of(verdict("INVALID", failures=lost), {}).lost
    assert found == (("out of memory", 2), ("not finite", 1))


def test_every_metric_with_a_margin_has_a_known_blind_spot():
    names = set()
    for file in (Path(__file__).parents[2] / "conf" / "use_case").glob("*.yaml"):
        names |= set(yaml.safe_load(file.read_text(encoding="utf-8")).get("margins") or {})
    assert len(names) > 5
    assert {name for name in names if not blind_spot(name)} == set()
    assert blind_spot("something_else") == ""


def test_limits_name_what_was_not_looked_for():
    seen = " ".join(of(verdict("PASS", gate()), {"unavailable": {"dists": "no weights"}}).limits)
    for said in ("No tail gate", "No gate reads text", "asked for: dists", "psnr rewards blur"):
        assert said in seen
    read = " ".join(of(verdict("PASS", gate("wrong_words"), tail("PASS")), {}).limits)
    for said in ("No tail gate", "No gate reads text", "asked for"):
        assert said not in read


def test_a_tail_gate_that_does_not_count_is_no_look_at_rare_breakage():
    seen = " ".join(of(verdict("PASS", gate(), tail()), {}).limits)
    assert "The tail gate does not count, so rare breakage may be there: 0 of 24 broken" in seen


def test_chances_are_adjusted_gate_by_gate():
    rows = [gate("psnr", p_holm=0.2), gate("ssim", gate="anchor", p_holm=0.3), gate("gmsd")]
    seen = of(verdict("PASS", *rows), {}).family
    assert [(row["gate"], row["metric"]) for row in seen] == [
        ("anchor", "ssim"), ("regression", "gmsd"), ("regression", "psnr"),
    ]  # fmt: skip


def test_changes_since_the_baseline_are_all_that_differs(tmp_path):
    from runfolders import build, judged

    ours, theirs = (build(tmp_path / name, ["a"]) for name in ("ours", "theirs"))
    for run in (ours, theirs):
        run.config_file.write_text("seeds: 2\ndecoder:\n  strength: 1\nout: elsewhere\n")
        judged(run, "PASS", [gate()])
    assert scope(ours, theirs).changes == ()
    assert scope(ours, None).changes is None
    record = ours.record()
    record["environment"]["versions"]["torch"] = "2.12"
    record["facts"]["psnr"]["fingerprint"] = "f" * 64
    files.write_json(ours.record_file, record)
    ours.config_file.write_text("seeds: 2\ndecoder:\n  strength: 2\n  new: x\nout: here\n")
    before = theirs.record()["facts"]["psnr"]["fingerprint"][:12]
    assert set(scope(ours, theirs).changes) == {
        Change("version of torch", "2.11", "2.12"),
        Change("decoder.strength", "1", "2"),
        Change("decoder.new", "–", "x"),
        Change("protocol of psnr", before, "f" * 12),
    }


def test_licences_that_are_not_known_to_permit_commercial_use_are_marked(tmp_path):
    from runfolders import build

    run = build(tmp_path / "run", ["a"])
    record = run.record() | {"licence": "FLUX.1 [dev] Non-Commercial License"}
    record["latents_licence"] = "MIT"
    files.write_json(run.record_file, record)
    found = {one.of: one.restricted for one in scope(run, None).licences}
    others = {"latents": False, "metric lpips": False, "metric psnr": False}
    assert found == {"weights of the decoder": True, **others}
