"""What lies beside a run speaks for it only where it was made with the same system."""

from __future__ import annotations

import re

import dials
import pytest
from runfolders import build, gate, judged

from qa.files import write_json
from reports import evidence, html

DIVERGENCE = {
    "level": "R4", "picture": "a", "stage": "x0", "index": [0, 1, 2], "shape": [3, 8, 8],
    "differing": 17, "max_ulp": 3, "ulps": {"1": 14, "3-4": 3}, "max_abs": 2.5e-7, "why": "",
    "heatmaps": [],
}  # fmt: skip


@pytest.fixture
def run(tmp_path):
    folder = judged(
        build(tmp_path / "runs" / "run", ["a", "b"]), "PASS", [gate("psnr", "PASS", [])]
    )
    inputs = {"digest": "i1", "code": "c1"}
    changed = {"decoder_digest": "d1", "inputs": inputs, "knobs": {"sigma": 0.2, "steps": None}}
    dial = {"file": "d.yaml", "use_case": "document", "suite": "pages"}
    write_json(folder.record_file, folder.record() | changed | {"dial": dial})
    return folder


def repro(run, **changes):
    record = run.record()
    levels = {
        "R3": {"verdict": "PASS", "exact": True, "claim": "order", "compared": "2 orders",
               "why": ""},
        "R4": {"verdict": "FAIL", "exact": False, "claim": "batches", "compared": "1, 2, 4",
               "why": "not equal"},
    }  # fmt: skip
    document = {
        "schema": "decoder-qa/repro/1", "date": "2026-01-01", "reached": "R3", "levels": levels,
        "divergence": DIVERGENCE, "environment": record["environment"],
        "decoder_digest": record["decoder_digest"], "inputs": record["inputs"],
    } | changes  # fmt: skip
    write_json(run.path.parent / "repro-x" / "repro.json", document)


def test_a_level_is_told_with_what_was_compared_and_where_it_parts(run):
    assert "no repro.json" in evidence.reproducibility(run).why
    repro(run)
    found = evidence.reproducibility(run)
    assert (found.reached, found.file, found.why) == ("R3", "repro-x/repro.json", "")
    assert [(level.name, level.verdict, level.said) for level in found.levels] == [
        ("R3", "PASS", "equal to the bit; 2 orders"), ("R4", "FAIL", "1, 2, 4; not equal"),
    ]  # fmt: skip
    assert found.divergence == (
        "R4: a first differs at x0 [0, 1, 2], 17 values, at most 3 units in the last place, "
        "2.5e-07 at most"
    )
    page = html.render(run)
    assert "Level reached: <b>R3</b>" in page
    assert "17 values, at most 3 units in the last place" in page


def test_a_level_of_another_system_is_no_evidence(run):
    repro(run, inputs={"digest": "i2", "code": "c2"})
    found = evidence.reproducibility(run)
    assert found.levels == ()
    assert "c2" in found.why
    assert "No level is shown for this run" in html.render(run)


def dialled(run, **changes):
    picked = dials.setting("sigma=0.2", 0.05, 3.0, front=True, knobs={"sigma": 0.2})
    others = [dials.reference(), dials.setting("sigma=0.4", 0.5, 6.0, knobs={"sigma": 0.4})]
    known = {"decoder": run.record()["decoder"], "pins": {"decoder_digest": "d1"}}
    rows = [others[0], picked, others[1]]
    document = dials.dial("CONFIRMED", *rows, picked="sigma=0.2", **known) | changes
    write_json(run.path.parent / "dial-x" / "dial.json", document)


def marks(page):
    return re.findall(r'<g class="d-(\w+)">', page)


def test_the_front_of_the_dial_stands_in_the_report_of_a_run_with_its_setting(run):
    assert marks(html.render(run)) == []
    dialled(run)
    page = html.render(run)
    assert sorted(marks(page)) == ["broken", "picked", "reference"]
    assert 'href="#dial"' in page


@pytest.mark.parametrize(
    "other",
    [{"decoder": "another"}, {"use_case": "photo"}, {"pins": {"decoder_digest": "d2"}},
     {"picked": "sigma=0.4"}, {"picked": None}, {"settings": None}],
)  # fmt: skip
def test_another_dial_is_not_shown(run, other):
    dialled(run, **other)
    assert evidence.dial(run) is None
    assert marks(html.render(run)) == []
