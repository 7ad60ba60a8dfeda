"""Latency and memory: paired, warm, relative, and only on the same hardware."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from arms import case, scored

from qa.errors import QaError
from qa.gates.cost import LEAST, Cost
from qa.gates.margins import Margin
from qa.gates.use_case import UseCase

USE = UseCase(
    "mine",
    {"psnr": Margin(0.2)},
    ("psnr",),
    cost={"latency": Margin(0.05, "budget", relative=True), "memory": Margin(0.05, relative=True)},
)
RECORD = {
    "environment": {
        "class": "one", "cpu": {"model": "Zen", "count": 8},
        "gpu": {"name": "H", "memory_bytes": 80, "driver": "1"},
    }
}  # fmt: skip
PICTURES = 100


@dataclass(frozen=True)
class Stored:
    """A run folder of which only the table of decodes is there."""

    table: pd.DataFrame | None

    def decoded(self, columns) -> pd.DataFrame:
        if self.table is None:
            raise QaError("gone")
        return self.table[list(columns)]


def timed(factor=1.0, peak=1e9, seeds=2, **columns):
    """An arm whose pictures take 1 to 2 s times `factor`; the first decode is cold and slow."""
    base = np.random.default_rng(0).uniform(1, 2, PICTURES)
    rows = [
        {"sample": f"p{i:03d}", "seed": s, "file": "x.png", "seconds": factor * base[i],
         "warm": True, "peak_bytes": peak}
        for i in range(PICTURES) for s in range(seeds)
    ]  # fmt: skip
    rows[0] |= {"warm": False, "seconds": 1000.0}
    arm = scored({"psnr": [[30.0]] * PICTURES}, record=RECORD)
    return replace(arm, stored=Stored(pd.DataFrame(rows).assign(**columns)))


def judged(candidate, baseline, policy="pr", use=USE):
    return {r["metric"]: r for r in Cost()(case(candidate, baseline, use, policy=policy))}


@pytest.mark.parametrize(
    ("factor", "state"), [(0.8, "IMPROVED"), (1.03, "PASS-DRIFT"), (1.2, "FAIL")]
)
def test_the_ratio_is_what_every_picture_says(factor, state):
    found = judged(timed(factor), timed())
    for metric in ("latency_median", "latency_p95"):
        assert found[metric]["state"] == state
        assert found[metric]["estimate"] == pytest.approx(factor - 1)
        # Every picture has the same ratio, so no draw of pictures has another median of it.
        assert found[metric]["low"] == pytest.approx(factor - 1)
        assert (found[metric]["margin"], found[metric]["margin_why"]) == (0.05, "budget")
    assert found["latency_median"]["unit"] == "s"


def test_scattered_times_widen_the_interval():
    noise = np.exp(np.random.default_rng(1).normal(0, 0.3, 2 * PICTURES))
    arm = timed()
    table = arm.stored.table
    noisy = replace(arm, stored=Stored(table.assign(seconds=table["seconds"] * noise)))
    found = judged(noisy, timed())["latency_median"]
    assert found["high"] - found["low"] > 0.03
    assert found["low"] < found["estimate"] < found["high"]


def test_cold_decodes_do_not_count():
    """Negative control: as warm ones they would decide the 95th percentile of few pictures."""
    cold, clean = timed(), timed()
    assert judged(cold, clean)["latency_p95"]["estimate"] == pytest.approx(0)
    table = cold.stored.table
    spoiled = table.assign(seconds=np.where(table["seed"] == 0, 1000.0, table["seconds"]))
    for warm, worse in ((table["seed"] == 1, False), (True, True)):
        arm = replace(cold, stored=Stored(spoiled.assign(warm=warm)))
        assert (judged(arm, clean)["latency_median"]["estimate"] > 1) == worse


@pytest.mark.parametrize(
    ("peak", "state"), [(0.9e9, "IMPROVED"), (1.04e9, "PASS-DRIFT"), (1.06e9, "FAIL")]
)
def test_memory_is_the_largest_peak(peak, state):
    found = judged(timed(peak=peak), timed())["memory"]
    assert found["state"] == state
    assert found["estimate"] == pytest.approx(peak / 1e9 - 1)


def test_where_no_device_tells_there_is_no_row_and_where_one_does_it_is_invalid():
    silent = timed(peak_bytes=np.nan)
    assert set(judged(silent, silent)) == {"latency_median", "latency_p95"}
    assert judged(timed(), silent)["memory"]["state"] == "INVALID"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"class": "other"}, "environment class other against one"),
        ({"cpu": {"model": "Zen 9", "count": 8}}, "cpu.model: Zen 9 against Zen"),
        ({"gpu": {"name": "B", "memory_bytes": 80}}, "gpu.name: B against H"),
        ({"gpu": {"name": "H", "memory_bytes": 80, "driver": "2"}}, None),
    ],
)
def test_times_of_other_hardware_are_no_evidence(change, said):
    other = replace(timed(), record={"environment": RECORD["environment"] | change})
    for policy in ("pr", "release"):
        found = judged(other, timed(), policy)
        states = {row["state"] for row in found.values()}
        if said is None:
            assert states <= {"PASS", "IMPROVED"}
            continue
        assert states == {"INVALID"}
        assert {row["counts"] for row in found.values()} == {policy == "release"}
        assert all(said in row["why"] for row in found.values())


def test_an_arm_without_times_is_invalid():
    bare = scored({"psnr": [[30.0]] * 4}, record=RECORD)
    for arm in (bare, replace(bare, stored=Stored(None))):
        found = judged(arm, timed())
        assert {row["state"] for row in found.values()} == {"INVALID"}
        assert "no decode times" in found["latency_median"]["why"]
    cold = timed(warm=False)
    assert "fewer than two pictures" in judged(cold, timed())["latency_p95"]["why"]


def test_costs_without_a_margin_are_not_judged():
    assert judged(timed(), timed(), use=replace(USE, cost={})) == {}


def test_a_missing_picture_is_not_fast():
    lost = ({"sample": "p003", "seed": 0, "why": "out of memory"},)
    for arms in (
        (replace(timed(), failures=lost), timed()),
        (timed(), replace(timed(), failures=lost)),
    ):
        rows = Cost()(case(*arms, USE, policy="release"))
        assert {(row["state"], row["counts"]) for row in rows} == {("INVALID", True)}
        assert all("'p003': out of memory" in row["why"] for row in rows)


def test_times_of_two_machines_in_one_arm_are_no_evidence():
    arm = timed()
    record = {"environment": {**RECORD["environment"], "also": ["two"]}}
    rows = Cost()(case(replace(arm, record=record), arm, USE, policy="release"))
    assert {row["why"] for row in rows} == {"an arm was measured in several environment classes"}


@pytest.mark.parametrize(("pictures", "state"), [(LEAST - 1, "INCONCLUSIVE"), (LEAST, "IMPROVED")])
def test_few_pictures_tell_nothing_about_time(pictures, state):
    def few(arm):
        table = arm.stored.table
        return replace(arm, stored=Stored(table.assign(warm=table["sample"] < f"p{pictures:03d}")))

    found = judged(few(timed(0.8)), few(timed()))["latency_p95"]
    assert (found["state"], found["count"]) == (state, pictures)
    assert found["needs"] == (LEAST if state == "INCONCLUSIVE" else None)
