"""Who may sign what: every refusal, its exit code and its fix, and that it writes nothing."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from approvals import make_run as make_whole
from signing import RECORD, TERMS, believe, judged, looked, make_run, measured, tree
from verdicts import HOSTILE, gate, tail, verdict, waived

from qa import baseline
from qa.errors import QaError, UsageError
from qa.signoff import (
    DECISIONS,
    HOLD,
    SHIP,
    WITH_WAIVERS,
    Refused,
    history,
    proposed,
    sign,
    signed,
)  # fmt: skip

TODAY = date(2026, 11, 22)
PLAN = "cd" * 32
WAIVE = 'qa baseline approve mini --gate regression/psnr --reason "…" --until YYYY-MM-DD'


@pytest.fixture(autouse=True)
def _believed(monkeypatch):
    """What the scores say is asked in tests/qa/test_rejudged.py."""
    believe(monkeypatch)


def until(day, *rows):
    """A PASS against a baseline that was approved until `day`."""
    document = judged("PASS", *rows)
    return {**document, "baseline": {**document["baseline"], "until": day}}


FAILED = judged("FAIL", gate(state="FAIL", why="worse"), tail("FAIL") | {"counts": True}, gate("x"))
OPEN = judged("INCONCLUSIVE", gate(state="INCONCLUSIVE", needs=140, why="too few"))
AT_A_LOOK = OPEN | {"look": {"next": 48, "number": 1, "of": 2, "pictures": 24, "planned": 48}}
NO_BASELINE = judged("FAIL", gate(gate="threshold", state="FAIL"), baseline=None)
BARE = judged("PASS")
BARE["baseline"] = BARE["baseline"] | {"content": "", "by": "", "why": "", "until": None}
LAX = judged("PASS", terms={"use_case": None, "gates": ["regression"]})
REFUSED = {
    "FAIL": (FAILED, {}, 3, "2 of 3 gates that count FAILED: psnr, tail.\n  psnr FAIL: worse",
             f"{WAIVE} and qa baseline approve mini --gate tail/catastrophe"),
    "FAIL without a baseline": (NO_BASELINE, {}, 3, "threshold psnr", "qa baseline promote BASE"),
    "a suite with a space": (FAILED, {"suite": "my photos"}, 3, "FAILED", "approve 'my photos' "),
    "INCONCLUSIVE": (OPEN, {}, 4, "psnr INCONCLUSIVE: too few", "140 pictures would settle it"),
    "INCONCLUSIVE at a look": (AT_A_LOOK, {}, 4, "psnr", "with extend=48 takes the next look"),
    "INVALID": (judged("INVALID", problems=["seeds: 2 and 4"]), {}, 5, "seeds: 2 and 4", "measure"),
    "MEASURED": (measured(), {}, 5, "Nothing was judged", "qa baseline promote BASE"),
    "limited": (judged("PASS"), {"limited": True}, 2, "limited run", "without limit="),
    "half": (judged("PASS"), {"half": "confirmation"}, 2, "confirmation", "without half="),
    "a baseline that nobody promoted": (BARE, {}, 2, "a run that nobody promoted",
                                        "qa baseline promote BASE, then qa judge"),
    "other terms": (LAX, {}, 2, "other margins", "qa judge"),
    "a look that failed": (judged("PASS"), {"look": looked((1, "FAIL", PLAN))}, 2, "Look 1",
                           f"{WAIVE}, then the run's command with extend=8, and again"),
    "a waiver that is over": (judged("PASS", waived("psnr", until="x") | {"waiver": {
        "gate": "psnr", "by": "Ada", "why": "known", "until": "2026-11-21"}}), {}, 2,
        "The waiver of psnr expired on 2026-11-21", WAIVE),
    "a baseline that is over": (until("2026-11-21"), {}, 2, "approved until 2026-11-21",
                                "qa baseline promote BASE --until YYYY-MM-DD"),
}  # fmt: skip


def signing(run, decision, **more):
    return sign(run, decision, **{"by": "Ann", "today": TODAY, **more})


@pytest.mark.parametrize("decision", [SHIP, WITH_WAIVERS])
@pytest.mark.parametrize("case", REFUSED)
def test_neither_ship_is_signed_over_an_obstacle_and_nothing_is_written(tmp_path, case, decision):
    document, record, code, what, fix = REFUSED[case]
    run = make_run(tmp_path / "run", document, **record)
    before = tree(run.path)
    with pytest.raises(Refused) as caught:
        signing(run, decision)
    assert tree(run.path) == before
    assert caught.value.exit_code == code
    assert what in str(caught.value)
    assert fix in caught.value.fix


@pytest.mark.parametrize("case", REFUSED)
def test_holding_is_always_possible(tmp_path, case):
    document, record, *_ = REFUSED[case]
    run = make_run(tmp_path / "run", document, **record)
    found = signing(run, HOLD, why="awaiting a mend")
    assert (found.decision, found.why, found.waivers) == (HOLD, "awaiting a mend", ())
    assert found.state == document["state"]
    assert signed(run).holds


def test_the_last_day_of_a_waiver_and_of_a_baseline_counts(tmp_path):
    """Negative control of both that are over."""
    last = TODAY.isoformat()
    over = waived() | {"waiver": {"gate": "gmsd", "by": "Ada", "why": "known", "until": last}}
    run = make_run(tmp_path / "run", until(last, gate(), over))
    assert signing(run, WITH_WAIVERS).waivers == (over["waiver"],)
    with pytest.raises(Refused, match="expired"):
        signing(run, WITH_WAIVERS, today=TODAY + timedelta(1))


def test_a_decision_is_stored_with_what_it_is_about(tmp_path):
    run = make_run(tmp_path / "run", judged("PASS"))
    found = signing(run, SHIP, why=" for 4.1 ")
    content = json.loads(run.signoff_file.read_text(encoding="utf-8"))
    assert content == {"schema": "decoder-qa/signoff/1", "entries": [found.stored()]}
    assert found == signed(run)
    assert (found.decision, found.by, found.why) == (SHIP, "Ann", "for 4.1")
    assert (found.proposed, found.state) == (SHIP, "PASS")
    assert abs(datetime.fromisoformat(found.date) - datetime.now(UTC)) < timedelta(hours=1)


def test_ship_may_be_held_and_shipped_again(tmp_path):
    run = make_run(tmp_path / "run", judged("PASS"))
    signing(run, HOLD, why="not before Monday")
    signing(run, SHIP, by="Bea")
    assert [(one.decision, one.proposed) for one in history(run)] == [(HOLD, SHIP), (SHIP, SHIP)]


def test_waivers_are_relied_on_by_name_once_each(tmp_path):
    rows = [waived("psnr"), waived("gmsd"), waived("catastrophe") | {"gate": "tail"}]
    rows[2]["waiver"] = rows[1]["waiver"]  # one waiver of two rows
    run = make_run(tmp_path / "run", judged("PASS", gate("x"), *rows))
    with pytest.raises(Refused, match="waived: psnr, gmsd, tail") as caught:
        signing(run, SHIP)
    assert (caught.value.exit_code, caught.value.fix) == (2, "--decision ship-with-waivers")
    assert not run.signoff_file.exists()
    found = signing(run, WITH_WAIVERS)
    assert [waiver["gate"] for waiver in found.waivers] == ["psnr", "gmsd"]


def test_there_are_no_waivers_to_sign_with_where_nothing_is_waived(tmp_path):
    run = make_run(tmp_path / "run", judged("PASS"))
    with pytest.raises(Refused, match="Nothing is waived") as caught:
        signing(run, WITH_WAIVERS)
    assert (caught.value.exit_code, caught.value.fix) == (2, "--decision ship")
    assert not run.signoff_file.exists()


def test_a_waiver_of_one_gate_does_not_cover_another(tmp_path):
    run = make_run(tmp_path / "run", judged("FAIL", gate(state="FAIL"), waived()))
    with pytest.raises(Refused, match="1 of 1 gates that count FAILED: psnr") as caught:
        signing(run, WITH_WAIVERS)
    assert caught.value.exit_code == 3


def without(key):
    document = judged("PASS")
    del document[key]
    return document


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_not_proposed(tmp_path, case):
    """But for last days, on which no proposal depends."""
    document, record, *_ = REFUSED[case]
    lapses = case in ("a waiver that is over", "a baseline that is over")
    assert (proposed(document, {**RECORD, **record}).decision == HOLD) != lapses


def edited(**changes):
    """Somebody turned a FAIL into a PASS with an editor."""
    return judged("FAIL", gate(state="FAIL")) | changes


UNFIT = {
    "another schema": judged(schema="decoder-qa/verdict/1"),
    "no gates": without("gates"),
    "no candidate": without("candidate"),
    "of another run": judged(candidate={**verdict()["candidate"], "plan": "0" * 64}),
    "no terms": without("terms"),
    "edited": edited(state="PASS", exit_code=0),
    "edited exit code": edited(exit_code=0),
    "a state that no gate has": judged("PASS", gate(state="GREAT")),
    "gates that are no rows": judged(gates=[7]),
    "a waiver without a day": judged("PASS", waived() | {"waiver": {"gate": "gmsd"}}),
    "a waiver of nobody": judged("PASS", waived() | {"waiver": {**waived()["waiver"], "by": 7}}),
    "a last day that is none": until("soon"),
}


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("case", UNFIT)
def test_what_judging_never_wrote_is_not_signed(tmp_path, case, decision):
    run = make_run(tmp_path / "run", UNFIT[case])
    with pytest.raises(Refused, match=r"verdict\.json cannot be signed") as caught:
        signing(run, decision, why="because")
    assert caught.value.exit_code == 2
    assert "qa judge" in caught.value.fix
    assert not run.signoff_file.exists()
    assert proposed(UNFIT[case], RECORD).decision == HOLD


@pytest.mark.parametrize("decision", DECISIONS)
def test_a_run_without_a_whole_verdict_is_not_signed(tmp_path, decision):
    run = make_run(tmp_path / "run", finished=None)
    with pytest.raises(Refused, match="is not finished"):
        signing(run, decision, why="because")
    run = make_run(tmp_path / "run")
    run.verdict_file.write_text("{")
    with pytest.raises(Refused, match="cannot be signed"):
        signing(run, decision, why="because")
    run.verdict_file.unlink()
    with pytest.raises(Refused, match="is not judged"):
        signing(run, decision, why="because")
    assert not run.signoff_file.exists()


def test_a_record_without_terms_cannot_be_signed_and_one_with_them_can(tmp_path):
    with pytest.raises(Refused, match="an earlier version"):
        signing(make_run(tmp_path / "old", judged(), terms=None), SHIP)
    assert signing(make_run(tmp_path / "new", judged(), terms=TERMS), SHIP).decision == SHIP


def test_a_damaged_file_of_signatures_is_not_written_over(tmp_path):
    run = make_run(tmp_path / "run")
    run.signoff_file.write_text("{")
    with pytest.raises(QaError, match="is not what `qa signoff` writes"):
        signing(run, SHIP)
    assert run.signoff_file.read_text() == "{"


def test_a_verdict_that_is_written_meanwhile_is_not_what_was_signed(tmp_path, monkeypatch):
    """Digests are taken before the verdict is read; the other order would sign what nobody saw."""
    run = make_run(tmp_path / "run")
    read = type(run).verdict

    def judged_again(self):
        self.verdict_file.write_bytes(self.verdict_file.read_bytes() + b"\n")
        return read(self)

    monkeypatch.setattr(type(run), "verdict", judged_again)
    signing(run, SHIP)
    assert signed(run).broken == "verdict.json changed"


@pytest.mark.parametrize("text", [HOSTILE, "<script>alert(1)</script>", "שלום ‮ 👩‍🔬", "a" * 10_000])
def test_any_text_is_stored_as_it_is(tmp_path, text):
    run = make_run(tmp_path / "run")
    signing(run, HOLD, why=text, by=text[:150])
    assert signed(run).why == text.strip()
    assert signed(run).by == " ".join(text[:150].split())


@pytest.mark.parametrize(
    "asked",
    [{"why": "a" * 10_001}, {"by": "a" * 201}, {"by": "\udce9"}, {"by": ""},
     {"by": " \t"}, {"why": "\udce9"},
     {"decision": HOLD}, {"decision": HOLD, "why": " \n"}, {"decision": "ship"}],
)  # fmt: skip
def test_what_cannot_be_meant_is_a_usage_error(tmp_path, asked):
    run = make_run(tmp_path / "run")
    with pytest.raises(UsageError):
        signing(run, **{"decision": SHIP, **asked})
    assert not run.signoff_file.exists()


def test_the_signer_is_gits_user_unless_named(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Grace")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "g@example.org")
    assert sign(run, SHIP, today=TODAY).by == "Grace <g@example.org>"
    monkeypatch.delenv("GIT_AUTHOR_NAME")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="not known"):
        sign(run, SHIP, today=TODAY)
    assert len(history(run)) == 1


def test_a_signature_is_no_part_of_a_baseline(tmp_path):
    """A promoted run may be signed later and promoted again: its content stays the same."""
    run = make_whole(tmp_path / "run", verdict=judged("PASS"), plan=RECORD["plan"], terms=TERMS)
    pointer = baseline.promote(run, tmp_path / "baselines", by="Ann", today=TODAY)
    before = tree(tmp_path / "baselines")
    assert signing(run, SHIP).decision == SHIP
    assert baseline.promote(run, tmp_path / "baselines", by="Ann", today=TODAY) == pointer
    assert tree(tmp_path / "baselines") == before
    assert not any(name.endswith("signoff.json") for name in before)
    baseline.promote(run, tmp_path / "baselines", by="Bea", today=TODAY)
    assert tree(tmp_path / "baselines") != before, "negative control"
    assert signed(run).holds, "a promotion changes nothing in the run"
