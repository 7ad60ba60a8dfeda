"""Which pictures a report shows large: the run is told the very ones that the page then shows."""

import re
import shutil

import pytest

from qa import files
from qa.run import evaluate
from reports.harm import Cell
from reports.html import render
from reports.picking import MAX_CARDS, picked, picking, worst_seed


def on_the_page(text):
    """Sample and seed of every picture that stands large, in order."""
    found = re.findall(r'alt="Candidate, seed (\d+): ([^"]*)"', text)
    return [(sample, int(seed)) for seed, sample in found]


def test_without_a_baseline_the_lowest_scores(workdir, toy):
    run = evaluate(*toy()).folder
    scores = run.scores()
    assert len(picked(run)) == MAX_CARDS < scores["sample"].nunique()
    means = scores.groupby("sample")["value"].mean().sort_values()
    assert [sample for sample, _ in picked(run)] == list(means.index[:MAX_CARDS])
    for sample, seed in picked(run):
        values = scores[scores["sample"] == sample].set_index("seed")["value"]
        assert seed == values.idxmin()
    assert on_the_page(render(run)) == picked(run)


def test_with_a_baseline_what_its_gates_name_whoever_has_its_pictures(workdir, toy):
    base = evaluate(*toy("Sampler", "out=base", "+decoder.noise=0.0")).folder
    run = evaluate(*toy("Sampler", "baseline=base", "use_case=photo")).folder
    gates = run.verdict()["gates"]
    assert picked(run)[0][0] == gates[0]["worst"][0]["sample"]
    assert on_the_page(render(run, base)) == on_the_page(render(run)) == picked(run)
    assert picking(run, base).picks == picking(run).picks
    verdict = run.verdict()
    for gate in verdict["gates"]:
        gate["worst"] = gate["worst"][::-1]
    files.write_json(run.verdict_file, verdict)
    assert picked(run)[0][0] == gates[0]["worst"][-1]["sample"] != gates[0]["worst"][0]["sample"]
    assert on_the_page(render(run)) == picked(run)


def test_pictures_that_failed_have_another_seed_or_the_first(workdir, toy):
    run = evaluate(*toy("Breaks", "+decoder.sample=p00", "+decoder.how=raise")).folder
    large = on_the_page(render(run))
    assert [one for one in picked(run) if one[0] != "p00"] == large
    assert worst_seed(run, "p01", Cell(1.0, seed=1), 2) == 1
    assert worst_seed(run, "p01", None, 2) == 0
    run.picture_file("p01", 0).unlink()
    assert worst_seed(run, "p01", None, 2) == 1
    assert worst_seed(run, "p00", None, 2) == 0


@pytest.mark.parametrize("table", [True, False])
def test_nothing_is_picked_where_nothing_was_scored(workdir, toy, table):
    run = evaluate(*toy()).folder
    if not table:
        shutil.rmtree(run.scores_folder.path)
    verdict = run.verdict() | {"metrics": [], "gates": []}
    files.write_json(run.verdict_file, verdict)
    assert picked(run) == []


def test_a_run_draws_the_maps_that_its_page_shows(workdir, toy):
    pytest.importorskip("flip_evaluator", reason="a package that is not everywhere")
    run = evaluate(*toy("Sampler", "metric=[psnr,flip]", "report=reports.html.write")).folder
    drawn = {(file.parent.name, file.name) for file in run.path.glob("maps/*/*.png")}
    assert drawn == {(sample, f"seed{seed}.flip.png") for sample, seed in picked(run)}
    page = run.report_file.read_text(encoding="utf-8")
    shown = re.findall(r'alt="Map of ([^,"]*), flip: mean ([^,"]*), largest', page)
    assert [sample for sample, _ in shown] == [sample for sample, _ in picked(run)]
    values = run.scores().set_index(["metric", "sample", "seed"])["value"]["flip"]
    assert [mean for _, mean in shown] == [f"{values[one]:.3g}" for one in picked(run)]
    assert "Map of" not in render(evaluate(*toy("Sampler", "out=without")).folder)
