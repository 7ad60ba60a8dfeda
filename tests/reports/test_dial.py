"""The page of a dial: one safe, bounded, deterministic file that says what was found."""

from __future__ import annotations

import json
import re

import dials
import pytest
import verdicts
from pages import Page

from qa.errors import QaError
from reports.dial import MAX_ROWS, render, table, write


def drawn(page, kind):
    return page.all("g", **{"class": f"d-{kind}"})


def page(document):
    return Page(render(document))


@pytest.mark.parametrize("state", ["CONFIRMED", "FAIL", "INCONCLUSIVE", "INVALID"])
def test_every_outcome_renders(state):
    found = page(dials.dial(state, confirmation=dials.confirmation(state)))
    assert found.all("section")[0]["class"] == f"verdict {state}"
    assert f"Exit code {dials.dial(state)['exit_code']}" in found.text
    assert "sigma=0.1 keeps every limit." in found.text
    assert "CONFIRMED: sigma" not in found.text, "its state stands above the sentence"


def test_the_front_has_a_mark_of_its_own_shape_for_each_kind_of_setting():
    document = dials.dial()
    text = render(document)
    found = Page(text)
    plots = len(document["fidelity"])
    for what in ("reference", "picked", "broken"):
        assert len(drawn(found, what)) == plots
    shapes = {
        what: re.search(rf'<svg class="d-{what}"[^>]*>(.*?)</svg>', text, re.DOTALL)[1].strip()
        for what in ("reference", "picked", "kept", "broken")
    }
    assert len(set(shapes.values())) == 4, "shapes differ, not only colours"
    nothing = page(dials.dial(picked=None, confirmation=None))
    assert not drawn(nothing, "picked")
    assert len(drawn(nothing, "kept")) == plots


def test_every_setting_is_in_the_table_with_its_harms_and_its_gain():
    found = page(dials.dial())
    heads = [th["data-key"] for th in found.all("th") if "data-key" in th]
    assert heads == ["default", "sigma=0.1", "sigma=0.4"]
    assert "0.10 [0.05, 0.15]" in found.text
    assert "4.0 [3.0, 5.0]" in found.text, "a harm of -4 [-5, -3] is a gain"
    assert "0.25" in found.text
    classes = [tr["class"] for tr in found.all("tr") if "class" in tr]
    assert classes == ["reference", "picked", "broken"]


def test_a_limit_that_is_not_kept_is_marked_where_it_stands():
    found = page(dials.dial())
    marks = [span for span in found.all("span") if span.get("role") == "img"]
    assert [mark["aria-label"] for mark in marks] == ["not kept: FAIL"] * 2  # psnr and gmsd
    assert not [s for s in page(dials.dial("CONFIRMED", *dials.dial()["settings"][:2])).all("span")
                if s.get("role") == "img"]  # fmt: skip


def test_why_a_setting_is_out_is_said_where_no_mark_shows_it():
    row = dials.setting("x", 0.1, 1.0, feasible=False, why="one of 24 pictures broke")
    assert "one of 24 pictures broke" in page(dials.dial("FAIL", dials.reference(), row)).text
    assert "psnr is not kept" not in page(dials.dial()).text


def test_the_confirmation_is_drawn_with_both_values_and_what_was_seen_when_choosing():
    rows = [dials.row("psnr", "INCONCLUSIVE", 0.15, low=-0.1, high=0.4, why="cannot tell"),
            dials.row("piqe", "INCONCLUSIVE", None, why="no value")]  # fmt: skip
    made = dials.confirmation("INCONCLUSIVE", *rows, needs=90)
    found = page(dials.dial("INCONCLUSIVE", confirmation=made, written=None, use=None))
    assert "cannot tell" in found.text
    assert "90 pictures in this half would settle it" in found.text
    assert "when chosen: 0.10" in found.text
    assert "31.00 → 30.90" in found.text
    assert "qa run decoder=pid_mini" not in found.text
    without = page(dials.dial("FAIL", confirmation=None, picked=None, written=None, use=None))
    assert "when chosen" not in without.text
    assert 'href="#confirmation"' not in render(dials.dial(confirmation=None))


def test_what_was_written_and_how_to_use_it():
    found = page(dials.dial())
    assert "dials/pid_mini-document.yaml" in found.text
    assert "qa run decoder=pid_mini dial=document …" in found.text
    kept = page(dials.dial("FAIL", written=None, use=None, kept="dials/old.yaml"))
    assert "left as it was: dials/old.yaml" in kept.text
    assert "qa run" not in kept.text
    assert "qa dial use_case=document decoder=pid_mini" in found.text


def test_cost_stands_beside_the_reference_cost():
    assert "0.25 s per picture 0.50 × the reference's 0.50 s" in page(dials.dial()).text
    document = dials.dial()
    document["settings"][1]["seconds"] = None
    assert "s per picture" not in page(document).text


def test_missing_numbers_have_their_reason():
    rows = [dials.reference(), dials.setting("x", None, None, feasible=False, why="broken")]
    for figures in rows[1]["metrics"].values():
        figures["why"] = "3 of 24 pictures are missing"
    found = page(dials.dial("FAIL", *rows, picked=None, confirmation=None))
    assert found.text.count("3 of 24 pictures are missing") == 3
    assert "Not drawn, for want of a number: x" in found.text
    assert "Infinity" in [td.get("data-key") for td in found.all("td")]


def test_the_knobs_that_were_tried_and_the_pins_are_listed():
    lists = {"sigma": [0, 0.1], "steps": [None, 2], "cfg": [None], "shift": None}
    search = {"method": "optuna", "trials": 40, "possible": 540, "lists": lists}
    found = page(dials.dial(search=search))
    assert "0, 0.1" in found.text
    assert "as the reference, 2" in found.text
    assert "3 of 540 settings, 40 trials" in found.text
    assert "d" * 64 in found.text
    outside = dials.dial()
    outside["settings"][0]["outside"] = True
    assert "2 of 3 settings" in page(outside).text
    assert "another run, picture by picture" in page(outside).text
    assert "another run" not in found.text


def hostile():
    nasty = verdicts.HOSTILE + "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
    rows = [dials.reference(nasty), dials.setting(nasty + "2", 0.1, 1.0, why=nasty)]
    return dials.dial(
        "CONFIRMED", *rows, picked=nasty + "2", summary=nasty, why=nasty, suite=nasty,
        decoder=nasty, use_case=nasty, notes=[nasty], command=[nasty], written=nasty, use=[nasty],
        pins={nasty: nasty},
    )  # fmt: skip


def test_markup_in_names_is_only_text():
    text = render(hostile())
    found = Page(text)
    assert not found.all("img")
    assert len(found.all("script")) == 1
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert Page("<img src=x>").all("img"), "negative control"


def test_the_page_needs_nothing_from_outside():
    text = render(dials.dial())
    assert not re.search(r"https?://|<script[^>]+src|<link|@import|url\(|<iframe", text)
    policy = next(meta["content"] for meta in Page(text).all("meta") if "http-equiv" in meta)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r'<[^>]+\s(style|onclick|onerror|onload)="', text)


def test_size_is_bounded_for_many_settings():
    rows = [dials.reference(), *(dials.setting(f"s{k}", 0.1, 1.0) for k in range(MAX_ROWS + 50))]
    text = render(dials.dial("FAIL", *rows, picked=None))
    assert f"The first {MAX_ROWS} of {MAX_ROWS + 51} are listed" in text
    assert len(text) < 2_000_000
    assert "are listed; dial.json" not in render(dials.dial())


def test_the_page_is_written_beside_its_document_and_equal_ones_give_equal_bytes(tmp_path):
    document = dials.dial()
    (tmp_path / "dial.json").write_text(json.dumps(document))
    file = write(tmp_path)
    assert file == tmp_path / "dial.html"
    first = file.read_bytes()
    assert f"<bdi>{tmp_path.name}</bdi>".encode() in first
    assert write(tmp_path).read_bytes() == first
    (tmp_path / "dial.json").write_text(json.dumps(document | {"summary": "something else"}))
    assert write(tmp_path).read_bytes() != first


def test_another_document_is_refused(tmp_path):
    (tmp_path / "dial.json").write_text(json.dumps(verdicts.verdict()))
    with pytest.raises(QaError, match="no document of a dial"):
        write(tmp_path)
    assert not (tmp_path / "dial.html").exists()


def test_no_torch_is_imported():
    import subprocess
    import sys

    code = "import sys, reports.dial; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert callable(table)
