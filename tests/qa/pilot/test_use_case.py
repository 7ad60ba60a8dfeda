"""A use case from a pilot: read back as it was written, and no margin that cannot be resolved."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import yaml

from qa.errors import UsageError
from qa.gates.margins import Margin
from qa.gates.use_case import Level, Review, UseCase, from_config
from qa.pilot import Size, plan, use_case
from qa.results import Results

SPREAD = {"psnr": 1.0, "ssim": 0.01, "gmsd": 1.0}


def arms():
    """Sixty pictures, two seeds; harms around zero with these spreads."""
    rng = np.random.default_rng(5)
    rows = [
        (f"p{i:02d}", s, metric, 10 + rng.normal(0, spread), 10.0)
        for i in range(60)
        for s in (0, 1)
        for metric, spread in SPREAD.items()
    ]
    frame = pd.DataFrame(rows, columns=["sample", "seed", "metric", "value", "base"])
    frame["why"] = ""
    base = frame.assign(value=frame["base"])
    return Results("new", frame, {}, {}), Results("old", base, {}, {})


USE = UseCase(
    "mine",
    {"psnr": Margin(0.01, "half of what a viewer sees"), "ssim": Margin(0.5, "large"),
     "gmsd": Margin(0.001, "watched"), "lpips_vgg": Margin(0.01, "not measured here")},
    ("psnr", "ssim", "lpips_vgg"),
    breakage={"psnr": Level(3.0, "plainly visible")},
    catastrophe=Level(0.01, "one in a hundred"),
    cost={"latency": Margin(0.05, "budget", relative=True)},
    budget=2.0,
    review=Review(("overall", "text"), Level(0.1, "one pair in ten")),
)  # fmt: skip


def test_a_margin_below_what_the_size_resolves_is_refused_by_name():
    pilot = plan(*arms(), USE)
    with pytest.raises(UsageError) as caught:
        use_case(pilot)
    assert "psnr (margin 0.01, smallest" in str(caught.value)
    assert "ssim" not in str(caught.value)
    assert "gmsd" not in str(caught.value), "a secondary metric gates nothing"
    assert "--allow-underpowered" in str(caught.value)
    enough = pilot.needs[0].needed[2][0]
    assert use_case(plan(*arms(), USE, Size(pictures=enough)))["margins"]["psnr"]["margin"] == 0.01
    with pytest.raises(UsageError):
        use_case(plan(*arms(), USE, Size(pictures=enough - 1)))


def test_allowed_it_is_marked_and_read_back():
    written = use_case(plan(*arms(), USE), allow_underpowered=True)
    found = from_config(yaml.safe_load(yaml.safe_dump(written)), "mine")
    assert {name: margin.underpowered for name, margin in found.margins.items()} == {
        "psnr": True,
        "ssim": False,
        "gmsd": False,
    }
    assert found.primary == ("psnr", "ssim")
    assert {name: margin.value for name, margin in found.margins.items()} == {
        "psnr": 0.01,
        "ssim": 0.5,
        "gmsd": 0.001,
    }
    assert (found.breakage, found.catastrophe, found.budget) == (
        {"psnr": USE.breakage["psnr"]},
        USE.catastrophe,
        2.0,
    )
    assert found.cost["latency"] == USE.cost["latency"]
    assert found.review == USE.review


def test_every_reason_keeps_its_words_and_gains_the_pilots():
    written = use_case(plan(*arms(), USE), allow_underpowered=True)
    why = written["margins"]["psnr"]["why"]
    assert why.startswith("half of what a viewer sees; pilot of 60 x 2: 60 x 2 resolve ")
    assert "pictures for 80 %" in why


def test_a_run_alone_writes_no_margins():
    pilot = plan(arms()[0], None, USE)
    with pytest.raises(UsageError, match="A run alone is no pilot"):
        use_case(pilot, allow_underpowered=True)
