"""`qa compare`: the verdicts of `qa judge`, the worst exit code, and nothing else touched."""

from __future__ import annotations

import json
import shutil

import pytest
from arms import arm
from toyruns import make_pictures, toy_overrides

from qa.cli import run
from qa.files import read_json, sha256, write_json
from qa.summary import ORDER


@pytest.fixture
def runs(workdir, pictures):
    """Run folders `base`, a worse one `worse`, and `noisy` between the two."""
    for name, noise in (("base", 0.0), ("worse", 0.2), ("noisy", 0.0506)):
        run(["run", *toy_overrides(pictures, "Sampler", f"+decoder.noise={noise}", f"out={name}")])
    return workdir


@pytest.fixture
def tables(workdir):
    """Bare tables of PSNR: what A holds against each of them is in its name."""
    near, far = {"spread": 0.01}, {"spread": 0.01}
    kinds = {
        "a": arm(0.0, **near), "pass": arm(0.0, draw=1, **near), "improved": arm(1.0, **far),
        "fail": arm(-1.0, **far), "inconclusive": arm(0.0, 2.0, draw=2), "invalid": arm(seeds=3),
    }  # fmt: skip
    for name, results in kinds.items():
        results.scores.to_csv(workdir / f"{name}.csv", index=False)
    return workdir


def printed(capsys, *arguments):
    capsys.readouterr()
    code = run([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def contents(folder):
    return {file: sha256(file) for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("more", [(), ("--policy", "release"), ("--use-case", "creative")])
def test_every_verdict_is_that_of_qa_judge(runs, capsys, more):
    code, document = printed(capsys, "compare", "worse", "base", "noisy", *more)
    alone = [
        printed(capsys, "judge", "worse", "--baseline", base, *more)[1]
        for base in ("base", "noisy")
    ]
    assert document["verdicts"] == alone
    assert document["verdicts"] != alone[::-1]  # can fail
    assert code == document["exit_code"] == max(verdict["exit_code"] for verdict in alone)


def test_verdicts_of_tables_are_those_of_qa_judge_too(tables, capsys):
    document = printed(capsys, "compare", "a.csv", "fail.csv", "pass.csv")[1]
    for verdict, base in zip(document["verdicts"], ("fail.csv", "pass.csv"), strict=True):
        assert verdict == printed(capsys, "judge", "a.csv", "--baseline", base)[1]


CODES = {"fail": 3, "invalid": 5, "inconclusive": 4, "pass": 0, "improved": 0}


@pytest.mark.parametrize("first", CODES)
@pytest.mark.parametrize("second", CODES)
def test_the_worst_verdict_decides_in_the_order_of_the_states(tables, capsys, first, second):
    if first == second:
        shutil.copy(f"{first}.csv", "again.csv")
    other = "again" if first == second else second
    code, document = printed(capsys, "compare", "a.csv", f"{first}.csv", f"{other}.csv")
    states = [verdict["state"] for verdict in document["verdicts"]]
    assert [state.split("-")[0].lower() for state in states] == [first, second]
    worst = min(states, key=ORDER.index)
    assert (document["state"], code) == (worst, CODES[worst.lower()])


def test_one_baseline_is_enough_and_none_is_not(tables, capsys):
    code, document = printed(capsys, "compare", "a.csv", "fail.csv")
    assert (code, [row["letter"] for row in document["arms"]]) == (3, ["A", "B"])
    with pytest.raises(SystemExit, match="2"):
        run(["compare", "a.csv"])


@pytest.mark.parametrize(
    "bases", [("a.csv",), ("fail.csv", "./fail.csv"), ("fail.csv", "fail.csv")]
)
def test_the_same_run_twice_is_refused(tables, capsys, bases):
    assert run(["compare", "a.csv", *bases]) == 2
    assert "is there twice" in capsys.readouterr().err


def test_as_many_arms_as_there_are_letters(tables, capsys):
    for number in range(26):
        shutil.copy("pass.csv", f"p{number}.csv")
    names = [f"p{number}.csv" for number in range(26)]
    document = printed(capsys, "compare", "a.csv", *names[:25])[1]
    assert [row["letter"] for row in document["arms"]][-1] == "Z"
    assert run(["compare", "a.csv", *names]) == 2
    assert "27 arms are too many" in capsys.readouterr().err


def test_nothing_is_written_but_the_page(runs, capsys):
    before = contents(runs)
    assert run(["compare", "worse", "base", "noisy"]) == 3
    after = contents(runs)
    page = runs / "worse" / "compare.html"
    assert after.keys() - before.keys() == {page}
    assert all(after[file] == before[file] for file in before)
    assert "report  worse/compare.html" in capsys.readouterr().out
    page.unlink()
    assert run(["compare", "worse", "base", "--json"]) == 3
    assert contents(runs) == before
    assert run(["compare", "worse", "base", "--out", "pages/x.html"]) == 3
    assert contents(runs).keys() - before.keys() == {runs / "pages" / "x.html"}


def test_tables_have_a_page_where_they_are_asked_for_one(tables, capsys):
    before = contents(tables)
    run(["compare", "a.csv", "fail.csv", "invalid.csv"])
    assert contents(tables) == before
    out = capsys.readouterr().out
    assert "report" not in out
    assert "seeds: [0, 1] in the candidate, [0, 1, 2] in the baseline" in " ".join(out.split())
    run(["compare", "a.csv", "fail.csv", "--out", "x.html"])
    assert "Worst pictures" not in (tables / "x.html").read_text()


def test_runs_of_another_suite_or_other_seeds_are_shown_as_invalid(runs, capsys):
    others = make_pictures(runs / "others", 7)
    run(["run", *toy_overrides(others, "Sampler", "suite.name=more", "out=other")])
    pictures = runs / "pictures"
    run(["run", *toy_overrides(pictures, "Sampler", "seeds=3", "out=seeds")])
    shutil.copytree("base", "print")
    record = read_json(runs / "print" / "record.json")
    record["facts"]["psnr"]["fingerprint"] = "0" * 16
    write_json(runs / "print" / "record.json", record)
    code, document = printed(capsys, "compare", "noisy", "base", "other", "seeds", "print")
    states = [verdict["state"] for verdict in document["verdicts"]]
    assert states[1:] == ["INVALID"] * 3
    assert states[0] != "INVALID"
    base, other, seeds, prints = document["arms"][1:]
    assert base["incomparable"] == []
    assert base["mismatched"] == {}
    assert other["incomparable"][0].startswith("samples")
    assert seeds["incomparable"][0].startswith("seeds")
    assert (prints["incomparable"], list(prints["mismatched"])) == ([], ["psnr"])
    assert code == document["exit_code"]
    assert run(["compare", "noisy", "other", "seeds", "print"]) == 5
    assert "fingerprint of psnr" in " ".join(capsys.readouterr().out.split())
    assert (runs / "noisy" / "compare.html").is_file()
