"""`qa bench` on the command line."""

from __future__ import annotations

import json

import pytest

from decoders.bench import measure, networks
from qa.cli import run

pytestmark = pytest.mark.usefixtures("workdir", "one_thread")

ASKED = ["bench", "systems=[vae_mini]", "sizes=[64]", "rounds=2", "operations=false",
         "device=cpu", "threads=1", "out=bench.json"]  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(measure, "SIDES", {"cpu": 64})
    monkeypatch.setattr(measure, "in_fresh_process", lambda asked: (2**20, False))


def test_it_measures_and_prints_a_table(capsys, tmp_path):
    assert run(ASKED) == 0
    told = capsys.readouterr().out
    assert "vae_mini  64" in told
    assert len(json.loads((tmp_path / "bench.json").read_text())["rows"]) == 1


def test_a_way_that_differs_fails_the_command(capsys, monkeypatch):
    call = networks.MiniVAE.call

    def wrong(self, model, step, given, way):
        return call(self, model, step, given, way) + (way.dtype != "float32")

    monkeypatch.setattr(networks.MiniVAE, "call", wrong)
    assert run([*ASKED, "dtype=[float32,bfloat16]", "--json"]) == 1
    told = capsys.readouterr()
    rows = json.loads(told.out)["rows"]
    assert {row["dtype"]: "seconds" in row for row in rows.values()} == {
        "float32": True, "bfloat16": False,
    }  # fmt: skip
    assert "not everything agreed" in told.err


def test_a_dry_run_lists_rows_and_measures_nothing(capsys, tmp_path):
    assert run([*ASKED, "--dry-run"]) == 0
    assert capsys.readouterr().out == "vae_mini 64 x1 float32/torch/eager/untiled\n"
    assert not (tmp_path / "bench.json").exists()


@pytest.mark.parametrize("word", ["system=[vae_mini]", "sizes=large", "systems=[nothing]"])
def test_what_does_not_fit_is_refused(word, capsys):
    assert run([*ASKED, word]) == 2
    assert "error:" in capsys.readouterr().err


def test_the_configuration_can_be_printed(capsys):
    assert run([*ASKED, "--cfg"]) == 0
    assert "profile: false" in capsys.readouterr().out
