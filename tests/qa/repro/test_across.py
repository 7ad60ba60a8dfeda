"""R6 and R7: another environment class, and statistics."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from stored import put_scores

from qa.config import compose
from qa.errors import UsageError
from qa.repro.check import check
from qa.repro.options import ROOT
from qa.run import evaluate
from qa.store import RunFolder

pytestmark = pytest.mark.usefixtures("workdir")
LEVELS6, LEVELS7 = "levels=[R6]", "levels=[R7]"


@pytest.fixture
def repro(toy):
    def run(*more):
        return check(compose([*toy(), *more], root=ROOT))

    return run


@pytest.fixture
def foreign(toy):
    """A run of the same decoder that says it comes from a machine of another class."""
    run = evaluate(*toy("Sampler", "out=runs/foreign"))
    record = json.loads(run.folder.record_file.read_text())
    record["environment"]["class"] = "f" * 12
    record["environment"]["decides"]["hardware"] = "Z80"
    run.folder.record_file.write_text(json.dumps(record))
    return run.folder


def test_equal_pictures_of_another_class_hold_and_leave_a_tolerance(repro, foreign):
    found = repro(LEVELS6, f"against={foreign.path}")
    row = found.document["levels"]["R6"]
    assert (row["verdict"], row["exact"]) == ("PASS", True), row["why"]
    assert "hardware: " in row["why"]
    assert "against Z80" in row["why"]
    (tolerance,) = found.document["tolerances"]
    assert "f" * 12 in tolerance["environments"]
    assert tolerance["limits"]["levels"] == 0


def test_an_unfinished_run_is_compared_with_nothing(repro, foreign):
    record = json.loads(foreign.record_file.read_text())
    foreign.record_file.write_text(json.dumps(record | {"finished": None}))
    with pytest.raises(UsageError, match="is not finished"):
        repro(LEVELS6, f"against={foreign.path}")


def test_pictures_that_are_further_apart_fail(repro, foreign):
    file = foreign.picture_file("p00", 0)
    picture = np.asarray(Image.open(file)).copy()
    picture[:20, :20] += 9
    Image.fromarray(picture).save(file)
    found = repro(LEVELS6, f"against={foreign.path}")
    assert found.document["levels"]["R6"]["verdict"] == "FAIL"
    assert found.exit_code == 3


def test_a_small_difference_gives_a_tolerance_of_twice_its_size(repro, foreign):
    file = foreign.picture_file("p01", 1)
    picture = np.asarray(Image.open(file)).copy()
    picture[3, 4, 1] ^= 1
    Image.fromarray(picture).save(file)
    found = repro(LEVELS6, f"against={foreign.path}")
    assert found.document["levels"]["R6"]["verdict"] == "PASS"
    assert found.document["tolerances"][0]["limits"]["levels"] == 2


def test_the_tolerance_is_stored_with_the_baseline_when_asked(repro, foreign):
    repro(LEVELS6, f"against={foreign.path}", "store=true")
    pointer = json.loads(Path("baselines/toy.json").read_text())
    (stored,) = pointer["tolerances"]
    assert "f" * 12 in stored["environments"]


def test_a_run_of_the_same_class_is_no_other_class(repro, toy):
    run = evaluate(*toy("Sampler", "out=runs/here"))
    row = repro(LEVELS6, f"against={run.folder.path}").document["levels"]["R6"]
    assert row["verdict"] == "INVALID"
    assert "both are of one environment class" in row["why"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (["+decoder.noise=0.3"], "decoder: another configuration"),
        (["knobs.sigma=0.1"], "knobs: "),
    ],
)
def test_other_inputs_are_named(repro, foreign, change, why):
    row = repro(LEVELS6, f"against={foreign.path}", *change).document["levels"]["R6"]
    assert row["verdict"] == "INVALID"
    assert why in row["why"]


def test_other_noise_is_named(repro, foreign):
    table = pd.read_parquet(foreign.decoded_file)
    table["noise"] = "0" * 64
    table.to_parquet(foreign.decoded_file)
    row = repro(LEVELS6, f"against={foreign.path}").document["levels"]["R6"]
    assert row["verdict"] == "INVALID"
    assert row["why"] == "noise: other numbers were drawn for p00 seed 0"


def spread(folder: RunFolder, pictures: int, shift: float) -> None:
    """Make the run one of many pictures whose scores moved by `shift` dB, give or take 0.01."""
    rows = [{"id": f"s{i:03}", "sha256": "x", "prompt": None, "tags": [], "regions": [],
             "height": 8, "width": 8, "problem": None} for i in range(pictures)]  # fmt: skip
    folder.write_samples(rows)
    rng = np.random.default_rng(0)
    level = 30 + rng.normal(size=pictures)
    moved = level + shift + 0.01 * np.random.default_rng(1).normal(size=pictures) * (shift != 0)
    scores = [{"sample": row["id"], "seed": seed, "metric": "psnr", "value": value, "why": ""}
              for row, value in zip(rows, moved, strict=True) for seed in (0, 1)]  # fmt: skip
    put_scores(folder, pd.DataFrame(scores))


@pytest.mark.parametrize(
    ("count", "shift", "verdict"),
    [(120, 0.01, "PASS"), (120, 0.06, "FAIL"), (99, 0.01, "INVALID")],
)
def test_a_quarter_of_the_margin_over_a_hundred_pictures(
    repro, toy, foreign, count, shift, verdict
):
    """The margin of PSNR is set to 0.2 dB: R7 takes 0.05 in both directions."""
    margin = "use_case.margins.psnr.margin=0.2"
    here = evaluate(*toy("Sampler", "out=runs/here", margin)).folder
    spread(here, count, 0.0)
    spread(foreign, count, shift)
    row = repro(LEVELS7, f"against={foreign.path}", margin).document["levels"]["R7"]
    assert row["verdict"] == verdict, row["why"]
    if verdict != "INVALID":
        assert row["measured"]["psnr"]["mean"] == pytest.approx(shift, abs=0.005)
        assert row["measured"]["psnr"]["limit"] == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("change", "told"),
    [("inputs", "other inputs"), ("environment", "another environment class")],
)
def test_scores_of_other_code_or_machines_say_nothing(repro, toy, foreign, change, told):
    """The newest run that fits is taken, so one that does not fit is none; named, it is refused."""
    here = evaluate(*toy("Sampler", "out=runs/here")).folder
    record = here.record()
    record[change] |= {"digest": "0" * 64, "class": "0" * 12}
    here.record_file.write_text(json.dumps(record))
    row = repro(LEVELS7, f"against={foreign.path}").document["levels"]["R7"]
    assert (row["verdict"], "qa run" in row["why"]) == ("INVALID", True)
    row = repro(LEVELS7, f"against={foreign.path}", "run=runs/here").document["levels"]["R7"]
    assert row["verdict"] == "INVALID"
    assert row["why"].endswith(f" has {told}")


def test_without_a_run_of_its_own_r7_says_how_to_make_one(repro, foreign, toy):
    row = repro(LEVELS7, f"against={foreign.path}").document["levels"]["R7"]
    assert row["verdict"] == "INVALID"
    assert "qa run" in row["why"]
