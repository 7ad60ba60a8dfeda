"""docs/precision.md holds every metric's numbers (`tests/precision.py`)."""

import os
from pathlib import Path

import precision
import pytest

CONF = Path(__file__).parents[3] / "conf" / "metric"
SAME_CODE = {
    "fid_random": "fid", "patch_fid_random": "fid", "patch_fid": "fid", "fid_infinity": "fid",
    "musiq_ava": "musiq", "musiq_spaq": "musiq", "musiq_paq2piq": "musiq",
    "maniqa_tiled": "maniqa",
}  # fmt: skip
"""Metrics that differ from another one in weights or in where they look."""
BY_HAND = {"reencode"}
"""Nobody else has it; its own test has derived values."""
TOO_SLOW = {"maniqa"}
"""Half a gigabyte of drawn weights; compared by hand."""


def test_page(battery, case):
    reference, pictures = battery.ladder(case)
    values, others = case.metric(pictures, reference), battery.expected(case, pictures, reference)
    difference = max(abs(a - b) for a, b in zip(values, others, strict=True))
    name, tolerance = case.metric.facts.name, case.tolerance
    precision.confirm(name, values[2], others[2], tolerance, case.oracle_name, difference)


@pytest.mark.skipif(bool(os.environ.get("GENERATE")), reason="the page is being written")
def test_no_metric_is_missing():
    known = {
        file.stem for file in CONF.glob("*.yaml") if "_target_: suites." not in file.read_text()
    }
    on_page = {name.split()[0] for name in precision.written()}
    assert on_page - known == set()
    assert known - on_page == set(SAME_CODE) | BY_HAND | TOO_SLOW
    assert set(SAME_CODE.values()) <= on_page | TOO_SLOW


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "PAGE", tmp_path / "page.md")
    monkeypatch.setenv("GENERATE", "1")
    precision.confirm("one", 1.0, 1.0 + 1e-9, 1e-6, "a library")
    precision.confirm("another", 2.0, 2.0, 1e-6, "a library")
    monkeypatch.delenv("GENERATE")


def test_what_was_written_is_confirmed(page):
    precision.confirm("one", 1.0, 1.0, 1e-6, "a library")
    assert list(precision.written()) == ["another", "one"]


@pytest.mark.parametrize(
    ("name", "ours", "theirs", "tolerance", "other"),
    [
        ("one", 1.0, 1.1, 1e-6, "a library"),  # they differ
        ("one", 1.1, 1.1, 1e-6, "a library"),  # both differ from the page
        ("one", 1.0, 1.0, 1e-5, "a library"),  # a loosened tolerance
        ("one", 1.0, 1.0, 1e-6, "another library"),
        ("none", 1.0, 1.0, 1e-6, "a library"),
    ],
)
def test_the_comparison_can_fail(page, name, ours, theirs, tolerance, other):
    with pytest.raises(AssertionError):
        precision.confirm(name, ours, theirs, tolerance, other)
