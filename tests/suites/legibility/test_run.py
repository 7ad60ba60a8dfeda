"""Legibility in runs: a suite of its own, and any folder whose manifest names words."""

from __future__ import annotations

import json

import pytest

from qa.config import compose
from qa.errors import UsageError
from qa.job import prepare
from qa.run import evaluate
from qa.types import NOT_APPLICABLE
from suites.mini import Mini

QUIET = ("decoder=vae_mini", "baseline=none", "tracking=none", "seeds=1")


def test_the_suite_chooses_what_is_measured():
    config = compose(["suite=legibility"])
    assert list(config.group("metric")) == ["legibility"]
    assert list(config.group("gate")) == ["regression", "slices", "preference"]
    assert config.choices["use_case"] == "document"
    other = compose(["suite=legibility", "metric=[psnr,legibility]", "use_case=photo"])
    assert list(other.group("metric")) == ["psnr", "legibility"]
    assert other.choices["use_case"] == "photo"


@pytest.fixture
def manifest(workdir):
    """A drawn page whose words are named, and a photograph without any."""
    samples = {sample.id: sample for sample in Mini().samples()}
    page, photo = samples["sign_00"], samples["photo_coffee_a"]
    regions = [{"text": region.text, "box": region.box} for region in page.regions]
    rows = [
        {"id": "page", "image": str(page.image), "regions": regions},
        {"id": "photo", "image": str(photo.image)},
    ]
    file = workdir / "set.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


def test_a_folder_with_words_is_measured(manifest):
    folder = evaluate(
        "suite=folder", f"suite.path={manifest}", "metric=[psnr,legibility]", *QUIET
    ).folder
    scores = folder.scores().set_index(["sample", "metric"])
    assert scores.loc[("photo", "cer"), "why"].startswith(NOT_APPLICABLE)
    assert scores.loc[("page", "exact_words"), "value"] > 0.5
    assert scores.loc[("photo", "psnr"), "value"] > 20
    summary = folder.panels()["legibility"]
    words = json.loads(manifest.read_text().splitlines()[0])["regions"]
    assert summary["all"]["words"] + summary["all"]["left_out"] == len(words)
    assert "Panel <bdi>legibility</bdi>" in folder.report_file.read_text()


def test_a_corrected_transcript_is_measured_again(manifest):
    run = ("suite=folder", f"suite.path={manifest}", "metric=[legibility]", "report=null", *QUIET)
    before = evaluate(*run).folder
    assert before.panels()["legibility"]["all"]["left_out"] == 0
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    rows[0]["regions"][0]["text"] += "x"  # what is not written there is never read
    manifest.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    after = evaluate(*run).folder
    assert after.path == before.path
    assert after.panels()["legibility"]["all"]["left_out"] == 1


def test_a_suite_without_words_is_refused(pictures, workdir):
    config = compose(["suite=folder", f"suite.path={pictures}", "metric=[legibility]", *QUIET])
    with pytest.raises(UsageError, match="which words stand where"):
        prepare(config)
