"""`qa dial` as a user meets it."""

from __future__ import annotations

import json

import pytest
from dial_toys import Place

from qa.cli import run
from qa.errors import UsageError

FEW = ("use_case=document", "settings.sigma=[0,0.1]", "metric=[psnr,hf_energy]")


@pytest.fixture
def place(workdir):
    return Place(workdir, 4)


def test_it_prints_the_settings_the_confirmation_and_where_the_page_is(place, capsys):
    assert run(["dial", *place.asked(*FEW)]) == 0
    told = capsys.readouterr()
    assert "CONFIRMED  default, the reference, stays" in told.out
    assert "dial.html" in told.out
    assert "16/16" in told.err, "two pictures of two seeds, in four runs"
    assert (place.folder / "dials" / "toy-document.yaml").is_file()


def test_machines_read_json_and_the_page_can_be_left_away(place, capsys):
    assert run(["dial", "--json", *place.asked(*FEW, "page=null", "report=null")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "decoder-qa/dial/1"
    assert not list(place.folder.rglob("dial.html"))


def test_a_dry_run_says_what_would_be_tried_and_decodes_nothing(place, capsys):
    words = place.asked("use_case=document", "settings.sigma=[0,0.1]")
    assert run(["dial", "--dry-run", *words]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "plan  2 settings (grid) × 2 pictures × 2 seeds = 8 decodes, "
        "then 2 settings on the other half",
        "      default",
        "      sigma=0.1",
        "kept  psnr 0.2, lowres_psnr 0.2",
        "best  hf_energy",
    ]
    assert run(["dial", "--dry-run", *words, "search=optuna", "trials=1"]) == 0
    assert "2 settings (optuna, 1 trials among 2)" in capsys.readouterr().out
    assert not (place.folder / "runs").exists()


def test_the_configuration_is_a_runs_and_the_dials_own(place, capsys):
    assert run(["dial", "--cfg", *place.asked("use_case=document")]) == 0
    out = capsys.readouterr().out
    assert "search: grid" in out
    assert "report: null" in out
    assert run(["dial", "colour=red"]) == 2


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("half=selection", "half=selection has no place here"),
        ("dial=document", "dial=document has no place here"),
        ("looks=[2,4]", "has no place here"),
        ("search=luck", "search=luck trials=40 cannot work"),
        ("trials=0", "trials=0 cannot work"),
        ("limit=3", "3 pictures cannot be halved"),
        ("settings.colour=[1]", "colour"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_decoded(place, capsys, word, told):
    words = dict(w.split("=", 1) for w in [*place.asked(*FEW), word])
    assert run(["dial", *(f"{key}={value}" for key, value in words.items())]) == 2
    assert told in capsys.readouterr().err
    assert not (place.folder / "runs").exists()


def test_errors_of_a_run_are_errors_of_a_dial(place):
    from qa.dial.find import dial

    with pytest.raises(UsageError, match="changes nothing"):
        dial(*place.asked(*FEW), "knobs.cfg=2")
