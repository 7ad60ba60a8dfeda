"""The report's sections of panels: summaries of any form as tables, notes on the worst pictures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toyruns import toy_overrides

from qa import files, panels
from qa.run import evaluate
from qa.store import RunFolder
from reports import harm
from reports.html import render
from reports.page import leaves
from reports.panels import MAX_COLUMNS, MAX_NOTED, Grid, flat, said, sections, tables

SUMMARY = {
    "overall": 0.123456,
    "files": ["a", "b"],
    "tags": {"counting": 0.5, "colours": None},
    "by size": {"8 px": {"cer": 0.25, "words": 4}, "12 px": {"cer": 0.0, "ned": [0.5, 1.0]}},
    "runs": [{"n": 1}, {"n": 2}],
    "deep": {"a": {"b": {"c": True}}},
    "none": {},
}


def test_a_summary_becomes_values_and_tables():
    facts, grids = tables(SUMMARY)
    assert facts == (("overall", "0.123"), ("files", "a, b"), ("deep.a.b.c", "yes"))
    assert grids == (
        Grid("tags", ("",), (("counting", ("0.500",)), ("colours", ("–",)))),
        Grid("by size", ("cer", "words", "ned"),
             (("8 px", ("0.250", "4", "–")), ("12 px", ("0.000", "–", "0.500, 1.000")))),
        Grid("runs", ("n",), (("1", ("1",)), ("2", ("2",)))),
    )  # fmt: skip


def test_texts_are_bounded_and_lists_of_objects_are_flattened():
    assert len(said("x" * 10_000)) == 400
    note = {"reason": "no cat", "boxes": [{"cls": "cat", "at": [1, 2]}]}
    assert flat(note) == [("reason", "no cat"), ("boxes.1.cls", "cat"), ("boxes.1.at", "1, 2")]
    assert leaves({"a": 1}) == [("a", "1")]


def test_rates_have_three_decimals_and_nothing_else_loses_digits():
    rates = [0.0, 1.0, 0.4531693, 0.0047303, -0.25, -0.0]
    assert [said(rate) for rate in rates] == ["0.000", "1.000", "0.453", "0.005", "-0.250", "0.000"]
    assert [said(value) for value in (0.00047303, 123.456, 12345678.0, 192, True)] == [
        "0.000473", "123.5", "1.235e+07", "192", "yes"]  # fmt: skip
    assert said(float("nan")) == "nan"


def test_a_table_of_many_columns_and_few_rows_is_turned():
    keys = [f"share_{place}" for place in range(MAX_COLUMNS + 1)]
    rows = {name: {key: place for place, key in enumerate(keys)} for name in ("a", "b")}
    _, (grid,) = tables({"by_kind": rows})
    assert grid.columns == ("a", "b")
    assert grid.rows == tuple((key, (str(place),) * 2) for place, key in enumerate(keys))
    assert grid.turned().turned() == grid
    many = {str(name): rows["a"] for name in range(len(keys))}
    _, (square,) = tables({"x": many})
    assert square.columns == tuple(keys), "no narrower the other way round"
    narrow = {name: {key: 0 for key in keys[1:]} for name in ("a", "b")}
    assert tables({"x": narrow})[1][0].columns == tuple(keys[1:]), "negative control: it fits"


@pytest.fixture
def asking(pictures: Path) -> list[str]:
    return toy_overrides(pictures, "Sampler", "suite=asking", "metric=[shades]")


def test_the_page_shows_each_panel(workdir, asking):
    run = evaluate(*asking)
    page = render(run.folder)
    assert 'id="panel-1">Panel <bdi>shades</bdi>' in page
    assert 'href="#panel-1"' in page
    assert "The summary follows the panel's own rules" in page.replace("&#39;", "'")
    darkest = run.folder.panels()["shades"]["darkest"]
    assert f">{said(darkest)}<" in page
    assert page.count('class="smooth"') == MAX_NOTED == 12
    assert "not applicable: it asks for no shade" in page, "where the cell is pointed at"
    assert page == render(run.folder)
    without = evaluate(*asking, "metric=[psnr]", "out=plain")
    assert "panel-1" not in render(without.folder)


def test_the_worst_pictures_come_first(workdir, asking):
    run = evaluate(*asking)
    record = run.folder.record()
    cells = harm.per_picture(run.scores, {"light": "higher", "shade": "higher"})
    columns = [harm.Column("shade", "higher", "", 1.0), harm.Column("psnr", "higher", "dB", 1.0)]
    ids = [row["id"] for row in run.folder.samples()]
    (found,) = sections(run.folder, record, cells, columns, ids)
    known = {name: cell.value for (name, metric), cell in cells.items()
             if metric == "shade" and cell.value is not None}  # fmt: skip
    shown = [note.sample for note in found.notes if note.sample in known]
    assert shown == sorted(known, key=known.get), "the darkest first; psnr is none of its own"
    worst = found.notes[[note.sample for note in found.notes].index(shown[0])]
    assert worst.seed == cells[shown[0], "shade"].seed
    assert dict(worst.facts)["least"] == "128"


def test_what_does_not_apply_is_not_missing(workdir, asking):
    run = evaluate(*asking)
    cells = harm.per_picture(run.scores, {"light": "higher", "shade": "higher"})
    aside = cells["p02/0", "shade"]
    assert (aside.value, aside.aside) == (None, True)
    rows = harm.table(["p00/0", "p02/0"], cells, [harm.Column("shade", "higher", "", 1.0)])
    assert not any(row.missing for row in rows)
    lost = harm.Row("x", (harm.Cell(None, "failed"),), None)
    assert lost.missing, "negative control"


def test_hostile_notes_and_names_are_escaped(workdir, asking):
    run = evaluate(*asking)
    nasty = "<img src=x onerror=alert(1)>"
    note = {"sample": "p00/0", "seed": 0, nasty: nasty}
    panels.write_notes(run.folder, "shades", "p00/0", [note])
    files.write_json(run.folder.panels_file, {"shades": {nasty: {nasty: {nasty: nasty}}}})
    page = render(run.folder)
    assert nasty not in page
    assert "&lt;img src=x" in page


def test_keys_are_shown_as_words_and_plain_objects_as_a_list(workdir, asking):
    run = evaluate(*asking)
    counts = {f"of_kind_{place}": {"any_case": 0.5} for place in range(2)}
    summary = {"all": {"exact_any_case": 0.25}, "by_input_cap": counts, "left_out": 3}
    files.write_json(run.folder.panels_file, {"shades": summary})
    page = render(run.folder)
    panel = page[page.index('id="panel-1"') : page.index('id="metrics"')]
    for key in ("by input cap", "exact any case", "left out", "of kind 1", "any case"):
        assert f"<bdi>{key}</bdi>" in panel
    assert not re.search(r"by_input_cap|any_case|left_out|of_kind", panel)
    assert re.search(r"<dt><bdi>exact any case</bdi></dt><dd><bdi>0\.250</bdi>", panel)
    assert panel.count("<table") == 1, "the plain object is no table"


def test_legibility_shows_words_cut_out(tmp_path):
    run = RunFolder(tmp_path / "run")
    picture = np.full((20, 80, 3), 90, np.uint8)
    for file in (run.reference_file("a"), run.picture_file("a", 0)):
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(file)
    run.write_samples([{"id": "a"}])
    files.write_json(run.panels_file, {"legibility": {"all": {"words": 1}}})
    word = {"expected": "cold", "read": "gold", "box": [4, 4, 30, 14], "kind": "word", "cap": 8.4,
            "state": "wrong", "confidence": 0.95, "alike": False, "plausible": True}  # fmt: skip
    panels.write_notes(run, "legibility", "a", [{"sample": "a", "seed": 0, "words": [word]}])
    (found,) = sections(run, {"panels": {"legibility": ["cer"]}}, {}, [], ["a"])
    assert [(word.expected, word.read) for word in found.words] == [("cold", "gold")]
    assert found.notes == ()
