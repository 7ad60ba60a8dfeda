"""The panel, and runs with it from prompts and pictures to a score."""

from __future__ import annotations

import json

import pytest
import torch
from dpg_toys import (
    KINDS,
    PANELS,
    answers_file,
    grey,
    question,
    questions_file,
    toy_answers,
    toy_item,
)
from judge_server import Act, serving

from qa import images
from qa.errors import UsageError
from qa.run import evaluate
from qa.types import NOT_APPLICABLE, Sample
from suites.dpg.judges.replay import Replay
from suites.dpg.panel import DPGPanel
from suites.dpg.suite import ASKS


@pytest.fixture
def made(tmp_path):
    def panel(answers=None, rows=None, **more):
        questions = questions_file(tmp_path, rows or toy_item())
        told = answers_file(tmp_path, answers or toy_answers())
        return DPGPanel(Replay(str(told)), str(questions), **more)

    return panel


def takes(item="toy", count=4):
    return [
        Sample(f"{item}/{k}", prompt="", asks={ASKS: item}, group=item, take=k)
        for k in range(count)
    ]


def look(panel, samples):
    """Values by sample, and all notes as a run stores them."""
    values, notes = [], []
    for sample in samples:
        found = panel(sample, grey(0)[None], None)
        values += found.values["dpg"]
        notes += [{**note, "sample": sample.id, "seed": 0} for note in found.notes]
    json.dumps(notes, allow_nan=False)
    return values, notes


@pytest.mark.parametrize(
    ("rule", "panels"),
    [("ella_cascade", [0.2, 0.4, 1.0, 0.2]), ("dsg_raw", [0.4, 0.4, 1.0, 0.2])],
)
def test_the_toy(made, rule, panels):
    panel = made(rule=rule)
    panel.check(takes())
    values, notes = look(panel, takes())
    assert values == pytest.approx(panels)
    summary = panel.summary(notes)
    assert summary["score"] == pytest.approx(sum(panels) / 4)
    assert summary["L2"]["entity - whole"] == sum(each[0] for each in PANELS) / 4
    assert (summary["items"], summary["panels"], summary["unanswered"]) == (1, 4, 0)
    assert summary["questions_sha256"] == panel.facts["dpg"].protocol["questions_sha256"]
    assert summary["judge"].startswith("recorded answers")
    assert [row["counted"] for row in notes[0]["answers"]] == (
        [0, 0, 0, 1, 0] if rule == "ella_cascade" else [0, 0, 1, 1, 0]
    )


def test_a_missing_answer_is_a_missing_value(made):
    panel = made(toy_answers()[:-1])
    values, notes = look(panel, takes())
    assert values[:3] == pytest.approx([0.2, 0.4, 1.0])
    assert values[3] == "no answer to 1 of 5 questions (5): it was not recorded"
    assert panel.summary(notes)["unanswered"] == 1
    assert panel.summary(notes)["score"] is None


def test_what_the_official_script_drops_is_no_part_of_its_population(made):
    rows, answers = toy_item("a") + toy_item("b"), toy_answers("a") + toy_answers("b")
    panel = made(answers, rows, compat="official_bugs")
    values, notes = look(panel, takes("a") + takes("b"))
    assert all(value.startswith(NOT_APPLICABLE) for value in values[:4])
    assert values[4:] == pytest.approx([0.2, 0.4, 1.0, 0.2])
    assert panel.summary(notes)["score"] == pytest.approx(0.45)
    fixed, _ = look(made(answers, rows), takes("a"))
    assert fixed == pytest.approx([0.2, 0.4, 1.0, 0.2])


def test_an_item_of_which_the_official_script_knows_nothing(made):
    """Its only question is in the first row."""
    rows = [question("a", 1), *toy_item()]
    panel = made(rows=rows, compat="official_bugs")
    panel.check(takes("a") + takes())
    values, notes = look(panel, takes("a", 1) + takes())
    assert values[0].startswith(NOT_APPLICABLE)
    assert panel.summary(notes)["items"] == 1


def test_samples_that_are_no_items(made):
    with pytest.raises(UsageError, match="1 of 5 samples are no items") as error:
        made().check([*takes(), Sample("x")])
    assert error.value.fix == "suite=dpg"
    with pytest.raises(UsageError, match="no questions on 1 of 2 items"):
        made().check(takes() + takes("other"))
    with pytest.raises(UsageError, match="no recorded answers"):
        made(rows=toy_item() + toy_item("other")).check(takes() + takes("other"))


def test_the_protocol_says_all_that_changes_the_number(made):
    first = made().facts["dpg"]
    for other in (
        made(rule="none"), made(compat="last_panel"), made(rows=toy_item("toy")[:4]),
        made(toy_answers()[:-1]),
    ):  # fmt: skip
        assert other.facts["dpg"].protocol != first.protocol
    assert made().facts["dpg"] == first
    assert (first.of, first.paired, first.better) == ("sample", False, "higher")


def test_without_the_official_csv_nothing_is_decoded(monkeypatch, tmp_path):
    monkeypatch.setenv("QA_ASSETS", "")
    monkeypatch.setenv("QA_CACHE", str(tmp_path))
    monkeypatch.setenv("QA_OFFLINE", "1")
    with pytest.raises(UsageError, match=r"dpg_bench\.csv is not at hand") as error:
        DPGPanel(Replay(str(answers_file(tmp_path, toy_answers()))))
    assert type(error.value) is UsageError  # an unavailable metric would let the run go on
    assert "metric.dpg.questions=CSV" in error.value.fix


LEVELS = {"a": (20, 60, 120, 200), "b": (10, 90, 91, 140)}
THRESHOLDS = (15, 50, 100, 150)
CHAIN = {1: "0", 2: "1", 3: "2", 4: "0"}


def truth(level):
    """Question k is yes where the picture is brighter than its threshold; 3 needs 2 needs 1."""
    given = [level > threshold for threshold in THRESHOLDS]
    chain = [given[0], given[0] and given[1], all(given[:3]), given[3]]
    return sum(chain) / 4


@pytest.fixture
def bench(workdir):
    """Two prompts, a grid of four pictures each, and the questions on them."""
    for folder in ("prompts", "grids"):
        (workdir / folder).mkdir()
    rows = []
    for item, levels in LEVELS.items():
        (workdir / "prompts" / f"{item}.txt").write_text(f"a prompt {item}")
        tiles = [grey(level) for level in levels]
        whole = torch.cat([torch.cat(tiles[:2], 2), torch.cat(tiles[2:], 2)], 1)
        (workdir / "grids" / f"{item}.png").write_bytes(images.encode_png(whole))
        rows += [
            question(item, k, CHAIN[k], KINDS[k - 1],
                     question_natural_language=f"Is it brighter than {THRESHOLDS[k - 1]}?")
            for k in CHAIN
        ]  # fmt: skip
    csv = questions_file(workdir, rows)

    def run(*more, url=None):
        judge = [] if url is None else [
            f"metric.dpg.judge.url={url}", "metric.dpg.judge.model=tiny-judge",
            f"metric.dpg.questions={csv}", "metric.dpg.judge.pause=0",
        ]  # fmt: skip
        return evaluate(
            "suite=dpg", f"suite.prompts={workdir / 'prompts'}", "decoder=grids",
            f"decoder.path={workdir / 'grids'}", "tracking=none", "report=null", *judge, *more,
        )  # fmt: skip

    return run


def scores(done):
    table = done.folder.scores()
    return dict(zip(table["sample"], table["value"], strict=True))


def test_a_run_from_grids_with_a_served_judge(bench):
    with serving() as server:
        done = bench(url=server.url)
    expected = {f"{item}/{k}": truth(v) for item, row in LEVELS.items() for k, v in enumerate(row)}
    assert scores(done) == pytest.approx(expected)
    summary = json.loads((done.folder.path / "panels.json").read_text())["dpg"]
    assert summary["score"] == pytest.approx(sum(expected.values()) / 8)
    assert summary["items"] == 2
    assert summary["complete"]
    assert summary["subsets"].keys() == {"a", "b"}
    assert summary["judge"] == "tiny-judge"
    assert done.verdict["state"] == "MEASURED"
    # one look at each question of each picture, and one to try the server
    assert len(server.bodies) == 2 * 4 * 4 + 1


def test_a_judge_that_breaks_down_loses_nothing(bench):
    """Half of the answers are had; the same command asks for the other half only."""
    with serving(lambda number, text, body: None if number < 17 else Act(status=500)) as server:
        first = bench("metric.dpg.judge.retries=0", url=server.url)
    (metric,) = first.verdict["metrics"]
    lost = [value for value in scores(first).values() if value != value]
    assert 0 < len(lost) < 8
    assert "status 500" in metric["why"]
    with serving() as server:
        done = bench("metric.dpg.judge.retries=0", url=server.url)
    assert len(server.bodies) == 32 - 16 + 1
    expected = {f"{item}/{k}": truth(v) for item, row in LEVELS.items() for k, v in enumerate(row)}
    assert scores(done) == pytest.approx(expected)


def test_a_wrong_model_stops_the_run_before_it_starts(bench, workdir):
    with (
        serving(model="another") as server,
        pytest.raises(UsageError, match="Another model answers: another"),
    ):
        bench(url=server.url)
    assert not (workdir / "runs").exists()


def test_a_missing_picture_fails_the_run(bench, workdir):
    (workdir / "grids" / "b.png").unlink()
    with serving() as server:
        done = bench(url=server.url)
    assert done.verdict["state"] == "INVALID"
    assert {row["sample"] for row in done.verdict["failures"]} == {f"b/{k}" for k in range(4)}
    assert "found nothing" in done.verdict["failures"][0]["why"]


def test_a_judge_that_does_not_answer_passes_no_gate(bench):
    with serving() as server:
        before = bench("out=before", url=server.url)
        same = bench("out=same", f"baseline={before.folder.path}", url=server.url)
    assert same.verdict["state"] in ("PASS", "INCONCLUSIVE")
    with serving(lambda number, text, body: None if number == 0 else Act(status=500)) as server:
        after = bench(
            "out=after", f"baseline={before.folder.path}", "metric.dpg.judge.retries=0",
            "metric.dpg.judge.cache=empty", url=server.url,
        )  # fmt: skip
    assert after.verdict["state"] == "INVALID"


def test_without_a_judge_it_says_how_to_name_one(bench):
    with pytest.raises(UsageError, match="DPG-Bench has no judge") as error:
        bench()
    assert "metric.dpg.judge.url=" in error.value.fix
