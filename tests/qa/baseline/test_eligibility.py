"""What may not become a baseline; each refusal says why and what to do."""

import pytest
from approvals import CPU, GPU, LATER, TERMS, TODAY, make_run, make_verdict, row

from qa import baseline
from qa.errors import UsageError
from qa.files import read_json, write_json


@pytest.fixture(autouse=True)
def place(workdir, monkeypatch):
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ann")
    return workdir


def promote(run, **more):
    return baseline.promote(run, today=TODAY, **more)


def present(environment=CPU):
    """Content of the baseline of a class."""
    lines = read_json(baseline.pointer("photos"))["baselines"]
    return next(line["content"] for line in lines if line["environment"] == environment)


def look(pictures):
    return {"number": 1, "of": 2, "pictures": pictures, "planned": 6, "alpha": 0.02, "spent": 0.02}


NOT_WHOLE = {
    "limited": ({"limited": True}, "limited run", "without limit="),
    "partial look": ({"look": look(3)}, "look 1 of 2, with 3 of 6", "extend=6"),
    "unfinished": ({"finished": None}, "not finished", "it continues"),
    "unavailable": ({"unavailable": {"dists": "qa assets fetch x"}}, "lacks a metric: dists", "x"),
}


@pytest.mark.parametrize("case", NOT_WHOLE)
def test_a_run_that_is_not_whole(place, case):
    record, why, fix = NOT_WHOLE[case]
    run = make_run(place / "run", **record)
    assert why in baseline.ineligible(run)
    with pytest.raises(UsageError) as refused:
        promote(run)
    assert "cannot become a baseline" in refused.value.what
    assert why in refused.value.why
    assert fix in refused.value.fix
    whole = make_run(place / "whole", **({"look": look(6)} if "look" in record else {}))
    assert baseline.ineligible(whole) == "", "negative control"


@pytest.mark.parametrize(
    "name", ["verdict.json", "scores/_parts.json", "config.yaml", "samples.jsonl"]
)
def test_a_run_that_lacks_a_file(place, name):
    run = make_run(place / "run")
    assert baseline.ineligible(run) == ""
    (run.path / name).unlink()
    assert baseline.ineligible(run) == "It is not finished."


def test_a_run_of_several_environment_classes(place):
    run = make_run(place / "run")
    record = run.record()
    for also, said in (([], ""), (["d" * 12], "several environment classes: also in " + "d" * 12)):
        write_json(
            run.record_file, record | {"environment": {**record["environment"], "also": also}}
        )
        assert said in baseline.ineligible(run)
        assert bool(baseline.ineligible(run)) == bool(also)


def test_a_run_without_values(place):
    assert baseline.ineligible(make_run(place / "none", (None, None))) == "Its psnr has no value."
    one = make_run(place / "one", (30.0, None, 31.0))
    assert baseline.ineligible(one) == "1 of 3 pictures have no psnr, e.g. 'p1'."
    # A metric that nothing judges may be silent about some pictures: not each of them has text.
    one.config_file.write_text("use_case: {margins: {}}\n")
    assert baseline.ineligible(one) == ""


def test_a_failed_picture(place):
    run = make_run(place / "run")
    table = run.decoded()
    table.loc[1, ["file", "why"]] = [None, "out of memory"]
    table.to_parquet(run.decoded_file)
    assert baseline.ineligible(run) == "1 of its pictures are missing."


def candidate(place, state, *gates, problems=(), against=None, environment=CPU):
    content = present() if against is None else against
    verdict = make_verdict(state, *gates, against=content, problems=problems)
    return make_run(place / "next", (29.0,) * 3, verdict=verdict, environment=environment)


def test_the_states_that_may_follow(place):
    for index, state in enumerate(("IMPROVED", "PASS", "PASS-DRIFT", "INCONCLUSIVE")):
        folder = place / str(index)
        folder.mkdir()
        baseline.promote(make_run(folder / "first"), folder, today=TODAY)
        (line,) = read_json(baseline.pointer("photos", folder))["baselines"]
        run = candidate(folder, state, row(state), against=line["content"])
        baseline.promote(run, folder, today=TODAY)
        found = baseline.find("photos", folder).results.folder
        assert found.path.resolve() == run.path, state


def test_a_verdict_against_something_else_is_none(place):
    promote(make_run(place / "first"))
    for against, said in (("", "It was not judged against"), ("e" * 64, "against eeeeeeeeeeee")):
        with pytest.raises(UsageError, match=said) as refused:
            promote(candidate(place, "PASS", row("PASS"), against=against))
        assert f"qa judge {place}/next --save" in refused.value.fix
    promote(candidate(place, "PASS", row("PASS")))  # negative control


def test_a_verdict_that_asked_less_than_the_run_was_to_be_asked(place):
    promote(make_run(place / "first"))
    by_hand = row("PASS", margin_why="given on the command line")
    for gate, said in (
        (by_hand, r"margins given by hand \(regression/psnr\)"),
        (row("PASS", metric="", gate="tail"), "compares no metric"),
    ):
        with pytest.raises(UsageError, match=said):
            promote(candidate(place, "PASS", gate))
    lax = make_verdict("PASS", row("PASS"), against=present()) | {"use_case": "preview"}
    with pytest.raises(UsageError, match="judged by use case preview"):
        promote(make_run(place / "lax", (29.0,) * 3, verdict=lax))
    promote(candidate(place, "PASS", row("PASS")))  # negative control


SOFTER = {
    "numbers": ({}, {"terms": TERMS | {"gates": ["regression"], "use_case": "8" * 64}},
                "other numbers under the name photo"),
    "by hand": ({}, {"terms": {"use_case": None, "gates": ["regression"]}}, "other numbers"),
    "older": ({}, {"terms": None}, "other numbers"),
    "policy": ({"policy": "release"}, {}, "judged by policy=pr"),
    "gates": ({"terms": TERMS | {"gates": {"regression": "e", "tail": "f"}}}, {},
              "lacks a gate it was to be asked: tail"),
    "record": ({"terms": None}, {}, "an earlier version wrote it"),
}  # fmt: skip
STRICTER = {
    "policy": ({}, {"policy": "release"}),
    "gates": ({}, {"terms": TERMS | {"gates": ["regression", "tail"]}}),
}


@pytest.mark.parametrize("case", SOFTER)
def test_a_verdict_by_softer_terms(place, case):
    record, changed, said = SOFTER[case]
    promote(make_run(place / "first"))
    verdict = make_verdict("PASS", row("PASS"), against=present()) | changed
    with pytest.raises(UsageError, match=said):
        promote(make_run(place / "next", (29.0,) * 3, verdict=verdict, **record))


@pytest.mark.parametrize("case", STRICTER)
def test_a_verdict_by_stricter_terms_is_welcome(place, case):
    record, changed = STRICTER[case]
    promote(make_run(place / "first"))
    verdict = make_verdict("PASS", row("PASS"), against=present()) | changed
    promote(make_run(place / "next", (29.0,) * 3, verdict=verdict, **record))


def looked(place, name, state="FAIL", against="b" * 64):
    """A run at its last look, whose first look said `state` against a baseline of that plan."""
    failed = [{"gate": "regression", "metric": "psnr"}] if state == "FAIL" else []
    entry = {"number": 1, "pictures": 2, "state": state, "against": against, "failed": failed}
    verdict = make_verdict("PASS", row("PASS"), against=present())
    verdict["baseline"]["plan"] = "b" * 64
    record = {"look": look(6) | {"history": [entry]}}
    return make_run(place / name, (29.0,) * 3, verdict=verdict, **record)


def test_a_look_that_failed_is_no_way_to_a_baseline(place):
    promote(make_run(place / "first"))
    run = looked(place, "next")
    with pytest.raises(UsageError, match="It FAILED at look 1, with 2 pictures"):
        promote(run)
    baseline.approve("photos", gate="psnr", reason="known", until="2026-12-01", today=TODAY)
    with pytest.raises(UsageError, match="It FAILED at look 1"):
        baseline.promote(run, today=TODAY.replace(month=12, day=2))
    promote(run)


@pytest.mark.parametrize("entry", [{"state": "INCONCLUSIVE"}, {"against": "c" * 64}])
def test_what_another_look_said_without_failing_stands_in_nobodys_way(place, entry):
    promote(make_run(place / "first"))
    promote(looked(place, "next", **entry))


def test_a_failed_gate_needs_a_waiver_of_today(place):
    promote(make_run(place / "first"))
    run = candidate(place, "FAIL", row("FAIL"), row("FAIL", metric="", gate="tail"))
    with pytest.raises(UsageError, match="It FAILED: regression/psnr, tail") as refused:
        promote(run)
    assert "qa baseline approve photos --gate regression/psnr" in refused.value.fix
    baseline.approve("photos", gate="psnr", reason="known", until="2026-12-01", today=TODAY)
    with pytest.raises(UsageError, match="It FAILED: tail"):
        promote(run)
    baseline.approve("photos", gate="tail", reason="known", until=LATER, today=TODAY)
    with pytest.raises(UsageError, match=r"It FAILED: regression/psnr\."):
        baseline.promote(run, today=TODAY.replace(month=12, day=2))
    promote(run)


def test_a_waiver_in_the_verdict_is_not_believed_after_its_day(place):
    """The verdict says that the row does not count; the pointer says why no longer."""
    promote(make_run(place / "first"))
    told = row("FAIL", counts=False, waiver={"gate": "psnr", "until": "2026-11-01"})
    with pytest.raises(UsageError, match="It FAILED"):
        promote(candidate(place, "PASS", told))
    promote(candidate(place, "PASS", row("FAIL", counts=False, role="secondary")))


def test_a_waiver_belongs_to_the_baseline_it_was_given_against(place):
    promote(make_run(place / "first"))
    baseline.approve("photos", gate="psnr", reason="known", until=LATER, today=TODAY)
    promote(candidate(place, "PASS", row("PASS")))
    again = make_verdict("FAIL", row("FAIL"), against=present())
    with pytest.raises(UsageError, match="It FAILED"):
        promote(make_run(place / "third", (28.0,) * 3, verdict=again))


def test_what_cannot_be_compared_begins_anew_or_not_at_all(place):
    promote(make_run(place / "first"))
    problems = ("seeds: [0, 1] in the candidate, [0] in the baseline",)
    run = candidate(place, "INVALID", row("INVALID", None), problems=problems)
    with pytest.raises(UsageError, match=r"cannot be compared.*seeds: \[0, 1\]") as refused:
        promote(run)
    assert "--anchor --reason WHY" in refused.value.fix
    with pytest.raises(UsageError, match="new anchor"):
        promote(run, anchor=True)
    promote(run, anchor=True, reason="two seeds from now on")
    assert baseline.find("photos").anchor.by_picture("psnr").tolist() == [29.0] * 3


def test_a_new_beginning_is_no_way_around_a_failure(place):
    promote(make_run(place / "first"))
    with pytest.raises(UsageError, match="It FAILED"):
        promote(candidate(place, "FAIL", row("FAIL")), anchor=True, reason="let me in")


@pytest.mark.parametrize("problems", [(), ("nothing can be said",)])
def test_every_invalid_row_may_be_waived(place, problems):
    promote(make_run(place / "first"))
    run = candidate(place, "INVALID", row("INVALID", None), problems=problems)
    with pytest.raises(UsageError, match="cannot be compared"):
        promote(run)
    baseline.approve("photos", gate="psnr", reason="known", until=LATER, today=TODAY)
    promote(run)
    assert baseline.find("photos").drift == {}


def test_nothing_compared_is_not_waived_by_having_no_rows(place):
    promote(make_run(place / "first"))
    with pytest.raises(UsageError, match="nothing was compared"):
        promote(candidate(place, "INVALID", problems=("nothing was compared",)))


def test_the_first_of_a_class_needs_no_verdict_but_must_not_have_failed(place):
    promote(make_run(place / "first"))
    failed = candidate(place, "FAIL", row("FAIL"), environment=GPU)
    with pytest.raises(UsageError, match="It FAILED"):
        promote(failed)
    elsewhere = candidate(place, "FAIL", row("FAIL"), against="e" * 64, environment=GPU)
    promote(elsewhere)
    assert baseline.find("photos", environment=GPU).environment == GPU
    assert baseline.find("photos", environment=CPU).environment == CPU
