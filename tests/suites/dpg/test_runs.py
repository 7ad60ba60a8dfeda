"""Runs of DPG-Bench from prompts and pictures to a score, and what they leave."""

from __future__ import annotations

import json

import pytest
import torch
from dpg_toys import (
    KINDS,
    grey,
    question,
    questions_file,
)
from judge_server import Act, serving

from qa import images
from qa.chat.hidden import HIDDEN
from qa.errors import UsageError
from qa.run import evaluate

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
    summary = json.loads((done.folder.path / "panels.json").read_text())["dpg"]
    assert (summary["score"], summary["complete"], summary["missing"]) == (None, False, 4)


def test_a_secret_in_the_url_starts_no_run(bench, workdir):
    with pytest.raises(UsageError, match="an address with a name, password") as error:
        bench(url="http://user:open-sesame@127.0.0.1:1/v1")
    assert "key= names" in error.value.fix
    assert "sesame" not in str(error.value)
    assert not (workdir / "runs").exists()


ECHO = "Incorrect API key provided: Bearer open/sesame and again open/sesame"


@pytest.mark.parametrize(
    "act",
    [Act(status=401, body=ECHO), Act(status=500, body=ECHO), Act(body=ECHO),
     Act(body=json.dumps({"model": ECHO, "choices": [{}]})),
     Act(status=307, headers={"Location": f"http://127.0.0.1:1/?{ECHO}"})],
    ids=["401", "500", "no JSON", "model", "redirect"],
)  # fmt: skip
def test_a_key_that_the_server_repeats_is_nowhere_in_the_run(bench, workdir, monkeypatch, act):
    monkeypatch.setenv("OPENAI_API_KEY", "open/sesame")
    with serving(lambda number, text, body: act if number else None) as server:
        done = bench("metric.dpg.judge.retries=0", url=server.url)
    assert server.headers[1]["Authorization"] == "Bearer open/sesame"
    assert scores(done).keys()
    written = [file for file in workdir.rglob("*") if file.is_file()]
    assert any(HIDDEN.encode() in file.read_bytes() for file in written)  # it was repeated
    assert not [file for file in written if b"sesame" in file.read_bytes()]


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
