"""signoff.json: what a signature covers, when it breaks, and what is refused as no signature."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import replace

import pytest
from reviews import answered, finished, planned
from signing import RECORD, TABLES, judged, make_run, tree
from toyruns import toy_overrides
from verdicts import gate

from qa import signature
from qa.cli import run as qa
from qa.errors import QaError, UsageError
from qa.files import write_bytes, write_json
from qa.signature import Signature, digests, history, signed
from qa.store import RunFolder

COVERED = ("record.json", *TABLES)


def new(run, **changes):
    """A signature for what the folder holds now."""
    verdict, evidence = digests(run)
    return replace(
        Signature("SHIP", "Ann", "", "2026-11-22T10:00:00+00:00", "SHIP", "PASS", verdict, evidence,
                  ()),
        **changes,
    )  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """A signed run."""
    made = make_run(tmp_path / "run")
    signature.add(made, new(made))
    return made


def test_nobody_signed_a_new_run(tmp_path):
    made = make_run(tmp_path / "run")
    assert signed(made) is None
    assert history(made) == ()


def test_it_holds_while_nothing_changes_and_wherever_the_folder_is(run, tmp_path):
    found = signed(run)
    assert (found.holds, found.broken, found.by) == (True, "", "Ann")
    assert found.verdict == hashlib.sha256(run.verdict_file.read_bytes()).hexdigest()
    assert set(found.evidence) == set(COVERED)
    assert found.document() == {**found.stored(), "holds": True, "broken": ""}
    shutil.move(run.path, tmp_path / "elsewhere")
    assert signed(type(run)(tmp_path / "elsewhere")).holds


def test_what_a_verdict_does_not_rest_on_may_change(run):
    for name in ("report.html", "usage.json", "images/a/seed0.png"):
        write_bytes(run.path / name, b"new")
    assert signed(run).holds


@pytest.mark.parametrize("name", ["verdict.json", *TABLES])
def test_any_change_of_a_file_that_was_signed_is_seen(run, name):
    """Of one byte, at the same size and time: what a cached digest would not see."""
    file = run.path / name
    before, facts = file.read_bytes(), file.stat()
    file.write_bytes(before[:-1] + b" ")
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert signed(run).broken == f"{name} changed"
    assert signed(run).document()["holds"] is False
    file.unlink()
    assert signed(run).broken == f"{name} is gone"
    file.write_bytes(before)
    assert signed(run).holds, "negative control"


@pytest.mark.parametrize("key", [*RECORD, "started", "command", "new"])
def test_a_record_breaks_it_unless_it_only_says_when_and_how_it_was_called(run, key):
    """The same command writes the record anew, and measures nothing."""
    record = run.record()
    write_json(run.record_file, {**record, key: "decoder-qa/record/1, another"})
    called = key in ("started", "finished", "command")
    assert signed(run).broken == ("" if called else "record.json changed")
    write_json(run.record_file, {name: record[name] for name in record if name != key})
    known = called or key == "new"
    assert signed(run).broken == ("" if known else "record.json changed")


@pytest.mark.parametrize("text", ["{", "[7]", "7", '{"plan": NaN}', "\xff"])
def test_a_record_that_is_none_breaks_it(run, text):
    run.record_file.write_bytes(text.encode("latin-1"))
    assert signed(run).broken == "record.json changed"
    run.record_file.unlink()
    assert signed(run).broken == "record.json is gone"


def test_evidence_that_comes_later_or_was_taken_out_of_the_list_is_seen(tmp_path):
    made = make_run(tmp_path / "run")
    made.panels_file.unlink()
    signature.add(made, new(made))
    assert signed(made).holds
    write_bytes(made.panels_file, b"{}")
    assert signed(made).broken == "panels.json is new"
    made.panels_file.unlink()
    content = json.loads(made.signoff_file.read_text())
    del content["entries"][0]["evidence"]["scores/_parts.json"]
    write_json(made.signoff_file, content)
    assert signed(made).broken == "scores/_parts.json is new"


def test_reviews_are_covered_answer_by_answer(tmp_path):
    run, base = finished(tmp_path / "run", 3, shade=1), finished(tmp_path / "base", 3)
    write_json(run.verdict_file, judged())
    folder = answered(planned(run, base), lambda *_: "first", raters=("Ann",))
    signature.add(run, new(run))
    assert signed(run).holds
    names = {"reviews/overall/plan.json", "reviews/overall/answers/person-Ann.jsonl"}
    assert names <= set(signed(run).evidence)
    write_bytes(folder.path / "notes.txt", b"no part of it")
    assert signed(run).holds, "control"
    answered(folder, lambda *_: "second", raters=("Ann",), pairs=[0])
    assert signed(run).broken == "reviews/overall/answers/person-Ann.jsonl changed"
    signature.add(run, new(run))
    answered(folder, lambda *_: "second", raters=("Ben",), pairs=[0])
    assert signed(run).broken == "reviews/overall/answers/person-Ben.jsonl is new"
    signature.add(run, new(run))
    planned(run, base, name="second")
    assert signed(run).broken == "reviews/second/plan.json is new"
    signature.add(run, new(run))
    folder.plan_file.unlink()
    assert signed(run).broken == "reviews/overall/plan.json is gone"


def test_answers_are_judged_before_they_are_signed(workdir, pictures, capsys):
    """A run that is promoted, compared, judged, signed and answered again, from the terminal."""
    qa(["run", *toy_overrides(pictures, "Sampler", "out=base")])
    qa(["baseline", "promote", "base", "--by", "Ann"])
    qa(["run", *toy_overrides(pictures, "Sampler", "+decoder.noise=0.0001", "out=new")])
    run, base = RunFolder(workdir / "new"), RunFolder(workdir / "base")
    folder = answered(planned(run, base), lambda *_: "first")
    sign = ["signoff", "new", "--decision", "ship", "--by", "Ann"]
    assert qa(sign) == 2  # the verdict passed, and says nothing of what people say
    said = "preference/overall is IMPROVED today, verdict.json says nothing of it"
    assert said in capsys.readouterr().err
    assert (qa(["judge", "new", "--save"]), qa(sign)) == (0, 0)
    assert signed(run).holds
    answered(folder, lambda *_: "second")
    assert not signed(run).holds
    capsys.readouterr()
    assert qa(sign) == 2
    assert "The scores give FAIL today" in capsys.readouterr().err
    assert len(history(run)) == 1
    shutil.rmtree(base.path)  # what was promoted is kept in the store
    assert qa(["judge", "new", "--save"]) == 3
    (row,) = [row for row in run.verdict()["gates"] if row["gate"] == "preference"]
    assert (row["state"], row["candidate"]) == ("FAIL", 0.0)


def test_another_verdict_leaves_the_signature_as_history(run):
    write_json(run.verdict_file, judged("FAIL", gate(state="FAIL")))
    assert signed(run).broken == "verdict.json changed"
    signature.add(run, new(run, decision="HOLD", proposed="HOLD", state="FAIL", why="mend it"))
    first, second = history(run)
    assert (first.decision, first.holds) == ("SHIP", False)
    assert (second.decision, second.holds) == ("HOLD", True)
    assert signed(run) == second


def test_adding_keeps_every_entry_as_it_was(run):
    (first,) = json.loads(run.signoff_file.read_text())["entries"]
    for name in ("Bea", "Cem"):
        signature.add(run, new(run, by=name))
    content = json.loads(run.signoff_file.read_text())
    assert content["schema"] == "decoder-qa/signoff/1"
    assert content["entries"][0] == first
    assert [entry["by"] for entry in content["entries"]] == ["Ann", "Bea", "Cem"]


def test_nobody_signs_while_another_process_works_on_the_run(run):
    before = tree(run.path)
    with run.held(), pytest.raises(UsageError, match="Another process"):
        signature.add(run, new(run))
    assert tree(run.path) == before


WAIVER = {"gate": "psnr", "by": "Ada", "why": "known", "until": "2027-01-31"}
CONCEDED = {"decision": "SHIP WITH WAIVERS", "proposed": "SHIP WITH WAIVERS"}


def test_waivers_are_kept_as_they_were(run):
    signature.add(run, new(run, **CONCEDED, waivers=(WAIVER,)))
    assert signed(run).waivers == (WAIVER,)


FORGED = {
    "no decision": {"decision": "YES"},
    "shipped over HOLD": {"proposed": "HOLD"},
    "shipped over waivers": {"proposed": "SHIP WITH WAIVERS"},
    "waivers without one": CONCEDED,
    "SHIP with waivers": {"waivers": [WAIVER]},
    "half a waiver": {**CONCEDED, "waivers": [{"gate": "psnr"}]},
    "a waiver without a day": {**CONCEDED, "waivers": [{**WAIVER, "until": "soon"}]},
    "a waiver that is a list": {**CONCEDED, "waivers": [["by", "gate", "until", "why"]]},
    "nobody": {"by": "  "},
    "a name of a thousand letters": {"by": "A" * 1000},
    "a name that is a number": {"by": 7},
    "HOLD without a reason": {"decision": "HOLD", "why": ""},
    "no date": {"date": "yesterday"},
    "a date without a zone": {"date": "2026-11-22T10:00:00"},
    "a date of another zone": {"date": "2026-11-22T10:00:00+02:00"},
    "a short digest": {"verdict": "abc"},
    "no digest": {"evidence": {"record.json": None}},
    "evidence without digests": {"evidence": ["record.json"]},
    "broken by hand": {"broken": "verdict.json changed"},
    "another key": {"colour": "red"},
}


@pytest.mark.parametrize("how", FORGED)
def test_what_qa_never_writes_is_no_signature(run, how):
    content = json.loads(run.signoff_file.read_text())
    content["entries"][0] |= FORGED[how]
    write_json(run.signoff_file, content)
    with pytest.raises(QaError, match="is not what `qa signoff` writes"):
        signed(run)
    with pytest.raises(QaError, match="is not what `qa signoff` writes"):
        signature.add(run, new(run))


@pytest.mark.parametrize("key", ["decision", "by", "date", "verdict", "evidence", "waivers"])
def test_an_entry_that_lacks_something_is_no_signature(run, key):
    content = json.loads(run.signoff_file.read_text())
    del content["entries"][0][key]
    write_json(run.signoff_file, content)
    with pytest.raises(QaError, match=key):
        signed(run)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"schema": "decoder-qa/signoff/2", "entries": [{}]}',
     '{"schema": "decoder-qa/signoff/1"}', '{"schema": "decoder-qa/signoff/1", "entries": []}',
     '{"schema": "decoder-qa/signoff/1", "entries": {}}',
     '{"schema": "decoder-qa/signoff/1", "entries": [7]}',
     '{"schema": "decoder-qa/signoff/1", "entries": [{}], "more": 1}', "\xff"],
)  # fmt: skip
def test_a_damaged_file_says_how_to_go_on(run, text):
    run.signoff_file.write_bytes(text.encode("latin-1"))
    with pytest.raises(QaError) as caught:
        signed(run)
    assert "restore it" in caught.value.fix
