"""Which picture is worst: direction, missing values and order."""

from dataclasses import replace

import pandas as pd
import pytest

from reports.harm import Cell, Column, Pick, columns, per_picture, picks, table, with_harm

BETTER = {"psnr": "higher", "lpips": "lower"}


def scores(*rows):
    return pd.DataFrame(rows, columns=["sample", "seed", "metric", "value", "why"])


def test_the_mean_is_over_seeds_and_the_worst_seed_follows_the_direction():
    cells = per_picture(
        scores(
            ("a", 0, "psnr", 30.0, ""), ("a", 1, "psnr", 20.0, ""),
            ("a", 0, "lpips", 0.4, ""), ("a", 1, "lpips", 0.2, ""),
        ),
        BETTER,
    )  # fmt: skip
    assert cells["a", "psnr"] == Cell(25.0, "", 1)
    assert cells["a", "lpips"].value == pytest.approx(0.3)
    assert cells["a", "lpips"].seed == 0


def test_a_missing_seed_leaves_no_mean():
    rows = [("a", 0, "psnr", 30.0, ""), ("a", 1, "psnr", None, "failed"), ("b", 0, "psnr", 9.0, "")]
    cells = per_picture(scores(*rows), BETTER)
    assert cells["a", "psnr"] == Cell(None, "1 of 2 seeds: failed", 0)
    assert cells["b", "psnr"] == Cell(None, "1 of 2 seeds: no row", 0)


@pytest.mark.parametrize(("metric", "expected"), [("psnr", 3.0), ("lpips", -3.0)])
def test_harm_is_positive_where_the_candidate_is_worse(metric, expected):
    ours = {("a", metric): Cell(10.0)}
    theirs = {("a", metric): Cell(13.0)}
    assert with_harm(ours, theirs, BETTER)["a", metric].harm == expected


def test_no_harm_without_both_values_or_a_direction():
    ours = {("a", "psnr"): Cell(None), ("b", "psnr"): Cell(1.0), ("a", "odd"): Cell(1.0)}
    theirs = {("a", "psnr"): Cell(2.0), ("a", "odd"): Cell(1.0)}
    assert {cell.harm for cell in with_harm(ours, theirs, BETTER).values()} == {None}


def test_rows_come_missing_first_then_by_harm_in_margins():
    two = (Column("psnr", "higher", "dB", 1.0), Column("lpips", "lower", "", 0.01))
    cells = {
        ("slight", "psnr"): Cell(30.0, harm=2.0), ("slight", "lpips"): Cell(0.1, harm=0.0),
        ("heavy", "psnr"): Cell(30.0, harm=0.0), ("heavy", "lpips"): Cell(0.1, harm=0.05),
        ("gone", "psnr"): Cell(None), ("gone", "lpips"): Cell(0.1, harm=0.0),
    }  # fmt: skip
    rows = table(["slight", "heavy", "gone"], cells, two)
    assert [row.sample for row in rows] == ["gone", "heavy", "slight"]
    assert rows[1].harm == pytest.approx(5.0)
    alone = table(["slight", "heavy"], cells, (two[0], replace(two[1], gated=False)))
    assert [row.harm for row in alone] == [2.0, 0.0], "what has no gate ranks nothing"


def gate(metric, state, *worst):
    return {
        "metric": metric, "state": state, "better": BETTER[metric], "unit": "", "margin": 1.0,
        "estimate": 1.0, "worst": [{"sample": name, "harm": 1.0} for name in worst],
    }  # fmt: skip


def test_failing_gates_choose_the_pictures_before_passing_ones():
    line = (Column("psnr", "higher", "dB", 1.0),)
    rows = table(["a", "b", "c", "d"], {}, line)
    gates = [gate("lpips", "PASS", "d"), gate("psnr", "FAIL", "b", "a", "b", "not in the run")]
    assert picks(gates, rows, line, 9) == [
        Pick("b", "psnr", 1.0), Pick("a", "psnr", 1.0), Pick("d", "lpips", 1.0)]  # fmt: skip
    assert len(picks(gates, rows, line, 2)) == 2


def test_without_gates_the_lowest_values_are_shown():
    line = (Column("psnr", "higher", "dB", 1.0), Column("lpips", "lower", "", 1.0))
    cells = {
        ("a", "psnr"): Cell(10.0), ("a", "lpips"): Cell(0.1),
        ("b", "psnr"): Cell(20.0), ("b", "lpips"): Cell(0.9),
    }  # fmt: skip
    chosen = picks([], table(["a", "b"], cells, line), line, 5)
    assert chosen == [Pick("a", "psnr"), Pick("b", "lpips")]


def test_gated_metrics_become_the_first_columns_and_empty_ones_none():
    row = {"better": "lower", "unit": "", "count": 3}
    verdict = {
        "gates": [gate("lpips", "PASS"), gate("psnr", "FAIL")],
        "metrics": [row | {"metric": "mae"}, row | {"metric": "none", "count": 0}],
    }
    assert [column.metric for column in columns(verdict, 9)] == ["psnr", "lpips", "mae"]
    assert [column.gated for column in columns(verdict, 9)] == [True, True, False]
    assert len(columns(verdict, 2)) == 2
