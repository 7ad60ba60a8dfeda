"""Judging early and extending: registered, charged, and the same folder all the way."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from stored import put_scores
from toyruns import make_pictures, toy_overrides

from qa import baseline
from qa.cli import run as command
from qa.config import compose
from qa.errors import UsageError
from qa.job import prepare
from qa.plan import look_at, look_order
from qa.run import evaluate, measure
from qa.stats import spending

LOOKS = "looks=[4,8,16]"
PICTURES = 16
WIDE = "use_case.margins.psnr.margin=60"


@pytest.fixture
def many(workdir) -> Path:
    return make_pictures(workdir / "many", PICTURES)


def toy(pictures: Path, *more: str) -> list[str]:
    return toy_overrides(pictures, "Sampler", *more)


def ids(run) -> set[str]:
    return {row["id"] for row in run.folder.samples()}


def test_a_look_takes_the_first_by_digest_and_the_folder_stays(many):
    names = [f"p{i:02d}.png" for i in range(PICTURES)]
    first = evaluate(*toy(many, LOOKS))
    chosen = ids(first)
    everything = ids(evaluate(*toy(many, "out=whole")))
    order = sorted(everything, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    assert chosen == set(order[:4])
    assert len(names) == len(everything)
    second = evaluate(*toy(many, LOOKS, "extend=8"))
    assert second.folder.path == first.folder.path
    assert ids(second) == set(order[:8])
    assert chosen < ids(second)


def test_extending_decodes_only_what_is_new(many):
    evaluate(*toy(many, LOOKS))
    job = prepare(compose(toy(many, LOOKS, "extend=8")))
    measure(job)
    assert sum(job.decoder.calls) == 4 * 2, "four more pictures with two seeds each"


def test_each_look_judges_at_its_own_level(many):
    evaluate(*toy(many, "out=base"))
    found = {}
    for policy, scheme in (("pr", "pocock"), ("release", "obrien-fleming")):
        levels = spending([4, 8, 16], scheme)
        for place, size in enumerate((4, 8, 16)):
            more = ("+decoder.noise=0.06", "baseline=base", f"policy={policy}", f"out={policy}")
            run = evaluate(*toy(many, LOOKS, f"extend={size}", *more))
            look = run.verdict["look"]
            assert look["alpha"] == levels[place]
            # The first look spends its own level, the last completes the five percent.
            spent = {4: levels[0], 16: 0.05}.get(size, look["spent"])
            assert look["spent"] == pytest.approx(spent, rel=1e-6)
            assert levels[place] <= look["spent"] + 1e-12
            assert (look["number"], look["of"], look["pictures"]) == (place + 1, 3, size)
            assert (look["planned"], look["sizes"]) == (PICTURES, [4, 8, 16])
            assert run.verdict["confidence"] == 1 - 2 * levels[place]
            assert look["next"] == {4: 8, 8: 16, 16: None}[size]
            assert run.verdict["gates"][0]["count"] == size
            assert run.verdict["problems"] == []
            found[policy, size] = run.verdict["gates"][0]
    assert found["pr", 4]["estimate"] == found["release", 4]["estimate"]
    # O'Brien-Fleming hardly spends anything on the first look: its interval is far wider.
    width = {key: row["high"] - row["low"] for key, row in found.items()}
    assert width["release", 4] > width["pr", 4]
    assert width["release", 16] < width["pr", 16]


def test_an_inconclusive_look_names_the_next_and_keeps_what_it_said(many):
    evaluate(*toy(many, "out=base"))
    # Noise of the same strength that is drawn otherwise: some pictures gain, some lose.
    tiny = "use_case.margins.psnr.margin=0.0000001"
    again = toy_overrides(many, "Coupled", LOOKS, "baseline=base", "out=close", tiny)
    first = evaluate(*again)
    assert first.verdict["state"] == "INCONCLUSIVE"
    assert "extend=8 takes the next" in first.verdict["summary"]
    second = evaluate(*again, "extend=8")
    assert second.verdict["look"]["history"] == [
        {"number": 1, "pictures": 4, "state": "INCONCLUSIVE"}
    ]
    kept = second.folder.record()["look"]["history"]
    assert [(entry["number"], entry["state"]) for entry in kept] == [
        (1, "INCONCLUSIVE"), (2, second.verdict["state"]),
    ]  # fmt: skip


def test_the_same_command_gives_the_same_bytes_whatever_came_after(many):
    evaluate(*toy(many, "out=base"))
    again = toy(many, LOOKS, "+decoder.noise=0.2", "baseline=base", "out=twice", WIDE)
    before = evaluate(*again).folder.verdict_file.read_bytes()
    extended = evaluate(*again, "extend=8")
    assert "had already decided" in extended.verdict["warnings"][0]
    assert evaluate(*again).folder.verdict_file.read_bytes() == before


def test_looks_are_registered_before_the_first_picture(many):
    evaluate(*toy(many, LOOKS, "out=mine"))
    for changed in (["looks=[4,16]"], ["looks=null"], [LOOKS, "policy=release"]):
        with pytest.raises(UsageError, match=r"was started with looks=\[4, 8, 16\]"):
            evaluate(*toy(many, "out=mine", *changed))
    evaluate(*toy(many, "out=other"))
    with pytest.raises(UsageError, match="was started with a single look"):
        evaluate(*toy(many, LOOKS, "out=other"))


@pytest.fixture
def promoted(many):
    """A promoted run `base`, and the toy of it that is a little worse, in `lk`."""
    evaluate(*toy(many, "out=base"))
    assert command(["baseline", "promote", "base", "--reason", "first"]) == 0
    return toy(many, LOOKS, "+decoder.noise=0.0505", "out=lk", "gate=[regression]")


def at_look(overrides, size, *more):
    return evaluate(*overrides, f"extend={size}", *more)


def test_a_failed_look_is_never_forgotten(promoted, capsys):
    """Going back, judging by other margins and leaving the baseline out all lost it once."""
    narrow = "use_case.margins.psnr.margin=0.0001"
    at_look(promoted, 4, narrow)
    assert at_look(promoted, 8, narrow).verdict["state"] == "FAIL"
    before = at_look(promoted, 8, narrow).folder.verdict_file.read_bytes()
    at_look(promoted, 4, narrow)
    assert at_look(promoted, 8, narrow, "baseline=none").verdict["state"] == "MEASURED"
    assert command(["judge", "lk", "--margin", "psnr=60", "--save"]) == 0
    assert at_look(promoted, 8, narrow).folder.verdict_file.read_bytes() == before
    last = at_look(promoted, 16, narrow)
    history = last.verdict["look"]["history"]
    assert [entry["number"] for entry in history] == [1, 2]
    assert history[1] == {"number": 2, "pictures": 8, "state": "FAIL"}
    baseline.approve("toy", gate="psnr", reason="known", until="2999-01-01")
    assert at_look(promoted, 16, narrow).verdict["state"] == "PASS"
    pointer = Path("baselines/toy.json")
    waived = pointer.read_text()
    lines = [line for line in waived.splitlines() if "2999-01-01" not in line]
    pointer.write_text("\n".join(lines))
    softened = last.folder.verdict()
    for row in softened["gates"]:
        row["state"], row["counts"] = "PASS", True
    last.folder.verdict_file.write_text(json.dumps(softened))
    capsys.readouterr()
    assert command(["baseline", "promote", "lk", "--reason", "x"]) == 2
    assert "It FAILED at look 2, with 8 pictures" in capsys.readouterr().err
    pointer.write_text(waived)
    assert command(["baseline", "promote", "lk", "--reason", "x"]) == 0, "somebody accepted it"


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ("use_case.margins.psnr.margin=60", "use case"),
        ("use_case=preview", "use case"),
        ("metric=[psnr,ssim]", "primary metrics"),
        ("gate=[regression,tail]", "gates"),
    ],
)
def test_what_a_look_is_judged_by_is_registered(promoted, changed, what):
    at_look(promoted, 4)
    with pytest.raises(UsageError, match=f"lk was started with another (choice of )?{what}"):
        at_look(promoted, 8, changed)
    at_look(promoted, 8, "baseline=none")  # negative control: what is no term


def test_a_partial_look_is_no_baseline_and_the_last_one_is(many):
    evaluate(*toy(many, LOOKS, "out=mine"))
    with pytest.raises(UsageError):
        baseline.promote(prepare(compose(toy(many, LOOKS, "out=mine"))).folder, reason="first")
    evaluate(*toy(many, LOOKS, "out=mine", "extend=16"))
    assert command(["baseline", "promote", "mine", "--reason", "whole"]) == 0


def test_a_run_that_goes_on_in_another_environment_says_so(many, monkeypatch):
    first = evaluate(*toy(many, LOOKS)).folder.record()["environment"]
    same = evaluate(*toy(many, LOOKS, "extend=8")).folder.record()["environment"]
    assert (first["also"], same["also"]) == ([], []), "negative control"
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    other = evaluate(*toy(many, LOOKS, "extend=16")).folder
    found = other.record()["environment"]
    assert found["class"] != first["class"]
    assert found["also"] == [first["class"]]
    assert "several environment classes" in baseline.ineligible(other)
    monkeypatch.delenv("MKL_CBWR")
    back = evaluate(*toy(many, LOOKS, "extend=16")).folder.record()["environment"]
    assert (back["class"], back["also"]) == (first["class"], [found["class"]])


def test_pictures_that_were_not_registered_are_noticed(many):
    """A look whose pictures somebody chose: a run over four files, dressed up as a look."""
    whole = evaluate(*toy(many, "out=whole"))
    order = look_order(ids(whole))
    for name in order[4:]:
        (many / name).unlink() if (many / name).exists() else (many / f"{name}.png").unlink()
    few = evaluate(*toy(many, "out=few"))
    record = few.folder.record()
    look = {"number": 1, "of": 2, "pictures": 4, "planned": 16, "sizes": [4, 16],
            "scheme": "pocock", "alpha": 0.03, "spent": 0.03, "history": []}  # fmt: skip
    dressed = {"look": look, "suite_digest": whole.folder.record()["suite_digest"]}
    few.folder.record_file.write_text(json.dumps(record | dressed))
    assert command(["judge", "few", "--baseline", "whole"]) != 5
    rows = few.folder.samples()
    frame = few.scores
    stranger = order[9]
    for row in rows:
        row["id"] = stranger if row["id"] == order[0] else row["id"]
    few.folder.write_samples(rows)
    put_scores(few.folder, frame.replace({"sample": {order[0]: stranger}}))
    assert command(["judge", "few", "--baseline", "whole"]) == 5


@pytest.mark.parametrize(
    ("sizes", "extend"),
    [([8, 4], None), ([4, 4], None), ([1, 4], None), ([4, 17], None), ([], None), ([4, 8], 5),
     (None, 8)],
)  # fmt: skip
def test_looks_that_cannot_work(sizes, extend):
    with pytest.raises(UsageError):
        look_at(sizes, extend, 16, "pr")


def test_a_limited_run_has_no_looks(many):
    with pytest.raises(UsageError, match="no looks"):
        prepare(compose(toy(many, LOOKS, "limit=3")))
    assert look_at(None, None, 16, "pr") is None
    only = look_at([16], None, 16, "pr")
    assert only is not None
    assert only.alpha == 0.05, "one look has the whole level"


def test_a_first_look_that_could_decide_nothing_is_refused():
    """Its level would round to none, and its interval would have no ends."""
    with pytest.raises(UsageError, match="24 of 1000 pictures could decide nothing"):
        look_at([24, 1000], None, 1000, "release")
    assert look_at([100, 1000], None, 1000, "release").alpha > 1e-12
    assert look_at([24, 1000], None, 1000, "pr").alpha > 0.02
