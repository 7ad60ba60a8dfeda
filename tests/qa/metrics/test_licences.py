"""Which metrics a commercial run may use."""

import pytest

from qa.errors import UsageError
from qa.metrics.licences import commercial, refused
from qa.types import MetricFacts


def facts(licence):
    return MetricFacts("m", "higher", "", "a paper", licence, {"version": 1})


FREE = ("Apache-2.0 (torchmetrics); BSD-3-Clause (network)", "MIT", "BSD-2-Clause",
        "Apache-2.0 (own code)")  # fmt: skip
NOT_FREE = (
    "PolyForm-Noncommercial-1.0.0 (pyiqa): not for commercial use", "MIT; CC BY-NC 4.0 (weights)",
    "NTU S-Lab 1.0: non-commercial", "NON-COMMERCIAL, for research", "research only",
    "not stated", "", "Not stated (a model)",
)  # fmt: skip


@pytest.mark.parametrize("licence", FREE)
def test_allowed(licence):
    assert commercial(facts(licence))
    assert refused(facts(licence), "commercial") is None


@pytest.mark.parametrize("licence", NOT_FREE)
def test_refused_only_in_a_commercial_run(licence):
    assert not commercial(facts(licence))
    assert refused(facts(licence), "research") is None
    assert "license_profile=commercial" in refused(facts(licence), "commercial")


def test_unknown_profile():
    with pytest.raises(UsageError, match="research or commercial"):
        refused(facts("MIT"), "private")


@pytest.mark.parametrize(
    ("name", "free"),
    [("psnr", True), ("niqe", True), ("arniqa", True), ("clip_iqa", True), ("vlm_judge", False),
     ("piqe", False), ("brisque", False)],
)  # fmt: skip
def test_of_our_metrics(all_cases, name, free):
    assert commercial(all_cases[name].metric.facts) is free
