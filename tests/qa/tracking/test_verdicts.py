"""A verdict as tags and numbers."""

from tracked import JUDGED, ROW, VERDICT

from qa.tracking.values import MISSING, Numbers
from qa.tracking.verdicts import add_numbers, named, tags


def numbers(verdict):
    found = Numbers()
    add_numbers(verdict, found)
    return found


def test_every_gate_has_a_tag_and_its_numbers():
    found = numbers({**JUDGED, "metrics": []})
    by_gate = {
        name: (row["estimate"], row["low"], row["high"], row["margin"])
        for name, row in named(JUDGED["gates"])
        if row["estimate"] is not None
    }
    assert set(by_gate) == {"dists", "lpips", "ssim", "anchor/psnr", "psnr", "tail/catastrophe"}
    for name, values in by_gate.items():
        keys = [f"gate/{name}/{part}" for part in ("harm", "low", "high", "margin")]
        assert [found.found[key] for key in keys] == list(values)
    assert found.found["gate/psnr/p_holm"] == 3e-5
    assert found.found["gate/ssim/q"] == 0.4
    assert "gate/psnr/q" not in {**found.found, **found.missing}
    states = {k: v for k, v in tags(JUDGED).items() if k.startswith("qa.gate.")}
    assert states == {f"qa.gate.{name}": row["state"] for name, row in named(JUDGED["gates"])}


def test_reviews_are_named_by_question_and_voice():
    rows = [
        {**ROW, "gate": "preference", "metric": metric, "estimate": harm, "margin": 0.1}
        for metric, harm in (("overall", -0.25), ("overall:judge", 0.125), ("overall/monday", 0.0))
    ]
    found = numbers({"gates": rows}).found
    assert found["gate/preference/overall/harm"] == -0.25
    assert found["gate/preference/overall:judge/harm"] == 0.125
    assert found["gate/preference/overall/monday/harm"] == 0


def test_a_gate_without_numbers_has_a_tag_only():
    found = numbers({"gates": [JUDGED["gates"][-1]]})
    assert (found.found, found.missing) == ({}, {})
    assert tags(JUDGED)["qa.gate.reproducibility/level"] == "PASS"


def test_a_judged_number_that_is_not_there_says_why():
    row = {**ROW, "metric": "psnr", "margin": 0.2, "count": 1, "why": "no pictures"}
    found = numbers({"gates": [row]})
    assert found.found == {"gate/psnr/margin": 0.2, "gate/psnr/count": 1, "gate/psnr/missing": 0}
    assert found.missing == {
        MISSING + "gate/psnr/harm": "no pictures",
        MISSING + "gate/psnr/low": "one picture gives no interval",
        MISSING + "gate/psnr/high": "one picture gives no interval",
    }


def test_drift_looks_waivers_warnings_and_who_approved_the_baseline():
    found = numbers({**JUDGED, "metrics": [], "gates": []}).found
    assert found == {"drift/psnr/spent": 0.03, "drift/psnr/budget": 0.2, "look/pictures": 3,
                     "look/planned": 12, "look/alpha": 0.0221}  # fmt: skip
    expected = {
        "qa.policy": "release", "qa.look": "1 of 3: 3 of 12 pictures",
        "qa.waiver.lpips": "waived until 2031-01-31 by Ada: known since May",
        "qa.warnings": "the environment classes differ: threads",
        "qa.baseline": "base", "qa.baseline.plan": "b" * 64, "qa.baseline.content": "c" * 64,
        "qa.baseline.environment": "c1a55", "qa.baseline.by": "Ada",
        "qa.baseline.why": "release 3", "qa.baseline.until": "2031-06-30",
    }  # fmt: skip
    got = tags(JUDGED)
    assert {key: got.get(key) for key in expected} == expected


def test_what_does_not_apply_has_no_tag():
    got = tags({**VERDICT, "baseline": None})
    assert not [key for key in got if key.startswith(("qa.baseline.", "qa.waiver"))]
    assert (got["qa.baseline"], got["qa.look"], got["qa.warnings"]) == ("none",) * 3


def test_gates_of_other_kinds_and_twins_have_names_of_their_own():
    psnr = {"gate": "regression", "metric": "psnr"}
    rows = [psnr, psnr, psnr, {**psnr, "gate": "anchor"}, {"gate": "tail", "metric": "tail"}]
    names = ["psnr", "psnr-2", "psnr-3", "anchor/psnr", "tail"]
    assert [name for name, _ in named(rows)] == names
