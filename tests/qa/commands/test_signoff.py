"""`qa signoff`: from a refusal by its own fix to a signature, the page and the tracker after it."""

from __future__ import annotations

import json
import re
import shlex
import sys
from types import SimpleNamespace

import pytest
import signing
from signing import judged, make_run, tree
from toyruns import toy_overrides
from verdicts import HOSTILE, gate, waived

from qa.cli import run as qa
from qa.files import read_json, write_bytes, write_json

GATE = ["gate=[regression]"]


@pytest.fixture
def seen():
    """What the toy tracker saw, export by export."""
    signing.Tracker.seen.clear()
    return signing.Tracker.seen


@pytest.fixture
def signable(workdir, seen, monkeypatch):
    """A run that passed, with the toy tracker and without a page."""
    signing.believe(monkeypatch)
    return tracked_by("Tracker", make_run(workdir / "run"))


def tracked_by(name, run):
    config = f"baselines: baselines\ntracking: {{_target_: signing.{name}}}\n"
    write_bytes(run.config_file, config.encode())
    return run


@pytest.fixture
def page(monkeypatch):
    """In place of the real page: says who signed."""

    def write(folder, pictures, **_):
        write_bytes(folder.report_file, folder.signoff_file.read_bytes())
        write.calls.append((folder.path.name, pictures))
        return folder.report_file

    write.calls = []
    monkeypatch.setitem(sys.modules, "reports.html", SimpleNamespace(write=write))
    return write


def test_a_signature_is_printed_and_kept(signable, capsys):
    assert qa(["signoff", "run", "--decision", "ship", "--by", "Ann", "--why", "for 4.1"]) == 0
    out = capsys.readouterr().out
    (entry,) = read_json(signable.signoff_file)["entries"]
    assert (entry["decision"], entry["by"], entry["why"]) == ("SHIP", "Ann", "for 4.1")
    assert out.splitlines() == [
        f"SHIP  signed by Ann, {entry['date']}",
        "why     for 4.1",
        f"verdict PASS, {entry['verdict']}",
        "record  run/signoff.json",
        "mlflow  shelf 1",
    ]


def test_json_prints_the_entry_alone(signable, capsys):
    assert qa(["signoff", "run", "--decision", "hold", "--why", "later", "--json"]) == 0
    assert [json.loads(capsys.readouterr().out)] == read_json(signable.signoff_file)["entries"]


def test_the_waivers_that_it_relies_on_are_printed(workdir, monkeypatch, capsys):
    signing.believe(monkeypatch)
    row = waived()
    row["waiver"]["until"] = "2999-01-31"
    tracked_by("Tracker", make_run(workdir / "run", judged("PASS", gate(), row)))
    assert qa(["signoff", "run", "--decision", "ship-with-waivers"]) == 0
    out = capsys.readouterr().out
    assert "waiver  gmsd waived until 2999-01-31 by Ada: known, mended in 2.1" in out


@pytest.mark.parametrize(("state", "code"), [("FAIL", 3), ("INCONCLUSIVE", 4), ("INVALID", 5)])
def test_a_refusal_ends_with_the_verdicts_exit_code(workdir, seen, page, capsys, state, code):
    run = tracked_by("Tracker", make_run(workdir / "run", judged(state, gate(state=state))))
    write_bytes(run.report_file, b"old")
    before = tree(run.path)
    assert qa(["signoff", "run", "--decision", "ship"]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("refused: ")
    assert "\n  fix: " in printed.err
    assert tree(run.path) == before
    assert (seen, page.calls) == ([], []), "nobody is told of what was refused"


def test_a_page_is_written_again_before_the_run_is_copied(signable, seen, page):
    assert qa(["signoff", "run", "--decision", "ship", "--by", "Ann"]) == 0
    assert page.calls == [], "a run that had no page gets none"
    write_bytes(signable.report_file, b"old")
    assert qa(["signoff", "run", "--decision", "hold", "--by", "Bea", "--why", "later"]) == 0
    assert page.calls == [("run", None)]
    assert b"Bea" in signable.report_file.read_bytes()
    assert [list(files).count("signoff.json") for files in seen] == [1, 1]
    assert "report.html" not in seen[0]
    assert seen[1]["report.html"] == seen[1]["signoff.json"]


@pytest.mark.filterwarnings("default::RuntimeWarning")
def test_a_tracker_that_is_down_costs_no_signature(signable, capsys):
    tracked_by("Down", signable)
    assert qa(["signoff", "run", "--decision", "ship"]) == 0
    printed = capsys.readouterr()
    assert "warning: Not tracked: The shelf is down." in printed.err
    assert "qa export" in printed.err
    assert "mlflow" not in printed.out
    assert len(read_json(signable.signoff_file)["entries"]) == 1


@pytest.mark.filterwarnings("default::RuntimeWarning")
def test_a_page_that_cannot_be_written_costs_no_signature(signable, capsys):
    write_bytes(signable.report_file, b"old")  # and the run has no samples that a page could show
    assert qa(["signoff", "run", "--decision", "ship"]) == 0
    assert "warning: The report was not written again: " in capsys.readouterr().err
    assert len(read_json(signable.signoff_file)["entries"]) == 1


def test_hostile_texts_cannot_move_what_a_terminal_shows(workdir, seen, capsys):
    tracked_by("Tracker", make_run(workdir / "run"))
    assert qa(["signoff", "run", "--decision", "hold", "--by", HOSTILE, "--why", HOSTILE]) == 0
    bad = judged("FAIL", gate(state="FAIL", why=HOSTILE))
    tracked_by("Tracker", make_run(workdir / "bad", bad))
    assert qa(["signoff", "bad", "--decision", "ship"]) == 3
    printed = capsys.readouterr()
    for text in (printed.out, printed.err):
        assert "<U+001B>[31m<U+202E>" in text
        assert not {"\x1b", "\u202e"} & set(text)


def test_what_is_asked_wrongly_ends_with_2(signable, capsys):
    assert qa(["signoff", "run", "--decision", "hold"]) == 2
    assert "add --why TEXT" in capsys.readouterr().err
    assert qa(["signoff", "nowhere", "--decision", "ship"]) == 2
    for words in (["run"], ["run", "--decision", "maybe"]):
        with pytest.raises(SystemExit) as ended:
            qa(["signoff", *words])
        assert ended.value.code == 2
    assert not signable.signoff_file.exists()


def test_the_fix_of_a_refusal_leads_to_a_signature(workdir, pictures, capsys):
    """Measured, promoted, made worse, refused, waived as the refusal says, judged, signed."""

    def measured(name, *more):
        overrides = toy_overrides(pictures, "Sampler", f"out={name}", "gate=[regression]", *more)
        return qa(["run", *overrides])

    def signed(name, decision, *more):
        capsys.readouterr()
        return qa(["signoff", name, "--decision", decision, *more])

    assert measured("base") == 0
    assert signed("base", "ship") == 5, "nothing was judged"
    assert qa(["baseline", "promote", "base"]) == 0
    assert measured("worse", "+decoder.noise=0.2") == 3
    assert signed("worse", "ship-with-waivers") == 3
    fix = capsys.readouterr().err
    approve, judge = re.search(r"by name: (.*), then (.*)", fix).groups()
    given = approve.replace("YYYY-MM-DD", "2999-01-01").replace("…", "known")
    assert qa(shlex.split(given)[1:]) == 0
    assert qa(shlex.split(judge)[1:]) == 0
    assert signed("worse", "ship") == 2, "the waiver has to be named in the decision"
    assert signed("worse", "ship-with-waivers") == 0
    assert "regression/psnr waived until 2999-01-01" in capsys.readouterr().out
    assert measured("same") == 0
    assert signed("same", "ship") == 0
    assert qa(["judge", "same", "--margin", "psnr=60", "--save"]) == 0
    assert signed("same", "ship") == 2
    assert "other margins" in capsys.readouterr().err


def test_the_same_command_again_decodes_nothing_and_leaves_the_signature(workdir, pictures):
    from qa.signoff import history
    from qa.store import RunFolder

    def measured(name, *more):
        return qa(["run", *toy_overrides(pictures, "Sampler", f"out={name}", *GATE, *more)])

    assert (measured("base"), qa(["baseline", "promote", "base"]), measured("same")) == (0, 0, 0)
    assert qa(["signoff", "same", "--decision", "ship"]) == 0
    run = RunFolder.open("same")
    before = run.record()
    write_json(run.record_file, before | {"finished": "2026-01-01T00:00:00+00:00"})
    assert measured("same") == 0
    assert run.record()["finished"] != "2026-01-01T00:00:00+00:00", "it was written again"
    assert history(run)[0].broken == ""
    write_json(run.record_file, before | {"licence": "another"})
    assert history(run)[0].broken == "record.json changed", "negative control"


def test_a_run_that_nobody_promoted_is_no_measure(workdir, pictures, capsys):
    def measured(name, *more):
        return qa(["run", *toy_overrides(pictures, "Sampler", f"out={name}", *GATE, *more)])

    assert measured("worse", "+decoder.noise=0.2") == 0
    assert measured("mine", "+decoder.noise=0.2", "baseline=worse") == 0
    assert qa(["signoff", "mine", "--decision", "ship"]) == 2
    told = capsys.readouterr().err
    assert "judged against a run that nobody promoted" in told
    assert "fix: qa baseline promote BASE, then qa judge mine --save" in told
    assert qa(["baseline", "promote", "worse"]) == 0
    assert qa(["judge", "mine", "--save"]) == 0
    assert qa(["signoff", "mine", "--decision", "ship"]) == 0


def test_a_run_that_is_measured_again_keeps_its_signature_as_history(workdir, pictures):
    from qa.signoff import history
    from qa.store import RunFolder

    again = ["run", *toy_overrides(pictures, "Sampler", "out=mine", "gate=[regression]")]
    assert qa(again) == 0
    assert qa(["baseline", "promote", "mine"]) == 0
    assert qa(["run", *toy_overrides(pictures, "Sampler", "out=same", "gate=[regression]")]) == 0
    assert qa(["signoff", "same", "--decision", "ship"]) == 0
    (first,) = history(RunFolder.open("same"))
    assert first.holds
    worse = toy_overrides(pictures, "Sampler", "out=same", "gate=[regression]", "metric=[gmsd]")
    assert qa(["run", *worse]) == 5, "the baseline has no such metric"
    (first,) = history(RunFolder.open("same"))
    assert (first.decision, first.broken) == ("SHIP", "verdict.json changed")
    assert qa(["signoff", "same", "--decision", "ship"]) == 5
    assert len(history(RunFolder.open("same"))) == 1


def test_a_look_that_failed_is_accepted_by_name_or_not_at_all(workdir, pictures, capsys):
    """The fix of that refusal leads to a signature, too; a later look that passes does not."""
    narrow = "use_case.margins.psnr.margin=0.0001"
    common = ["gate=[regression]", "looks=[4,6]", "+decoder.noise=0.0505", "out=lk", narrow]

    def looked(size):
        return qa(["run", *toy_overrides(pictures, "Sampler", *common, f"extend={size}")])

    def signed(decision):
        capsys.readouterr()
        return qa(["signoff", "lk", "--decision", decision])

    assert qa(["run", *toy_overrides(pictures, "Sampler", "out=base", narrow)]) == 0
    assert qa(["baseline", "promote", "base"]) == 0
    assert looked(4) == 3
    assert signed("ship-with-waivers") == 3
    assert qa(["baseline", "approve", "toy", "--gate", "psnr", "--reason", "known",
               "--until", "2999-01-01"]) == 0  # fmt: skip
    assert looked(6) == 0, "waived"
    assert signed("ship-with-waivers") == 2
    fix = capsys.readouterr().err
    assert "Look 1, at 4 pictures, FAILED (psnr)" in fix
    back = int(re.search(r"extend=(\d+), and again as it is now", fix)[1])
    assert looked(back) == 0
    assert looked(6) == 0
    assert signed("ship-with-waivers") == 0
