"""`qa repro` on the command line."""

from __future__ import annotations

import argparse
import json

import pytest

from qa.commands import repro

pytestmark = pytest.mark.usefixtures("workdir")


@pytest.fixture
def qa(toy):
    """Carry out `qa repro` of a decoder of `toys` or `planted`; returns the exit code."""

    def run(decoder, *words):
        parser = argparse.ArgumentParser()
        repro.arguments(parser.add_subparsers())
        overrides = [*toy("Sampler", f"decoder._target_={decoder}"), "levels=[R1,R4]"]
        options = parser.parse_args(["repro", *overrides, *words])
        return options.do(options)

    return run


@pytest.mark.slow
def test_the_table_has_every_level_and_the_level_reached(qa, capsys):
    assert qa("toys.Sampler", "levels=[R0,R1]") == 0
    told = capsys.readouterr().out
    for level in (f"R{number}" for number in range(8)):
        assert level in told
    assert "equal to the bit" in told
    assert "reached R1" in told


def test_the_table_says_where_two_decodes_part(qa, capsys):
    assert qa("planted.Restless") == 3
    told = " ".join(capsys.readouterr().out.split())
    assert (
        "R1: p00 seed 0 parts at pixels [3, 48, 64], first at [1, 2, 3]: 1 values, up to 1 ulp"
        in (told)
    )
    assert "r1-stage.png" in told


def test_rounding_in_batches_is_shown_as_r4t(qa, capsys):
    assert qa("planted.Batching") == 0
    assert "R4t" in capsys.readouterr().out


def test_machines_read_json(qa, capsys):
    assert qa("toys.Sampler", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "decoder-qa/repro/1"
    assert document["levels"]["R4"]["exact"] is True


def test_a_dry_run_lists_what_would_be_checked(qa, capsys, tmp_path):
    assert qa("toys.Sampler", "levels=null", "vary=[threads:1]", "--dry-run") == 0
    told = capsys.readouterr().out
    assert "R5  other kernels and settings" in told
    assert "threads:1" in told
    assert not (tmp_path / "runs").exists()


def test_the_configuration_can_be_printed(qa, capsys):
    assert qa("toys.Sampler", "--cfg") == 0
    assert "pictures: 2" in capsys.readouterr().out
