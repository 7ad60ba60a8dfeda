"""The capture step of a dial: latents that were left early, decoded by the shipped pid_mini.

A diffusion run that is stopped has noise left in its latent: here of pages, at the levels that two
steps would leave. What the page of the dial lists must say what that costs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from qa.capture import capture
from qa.dial.find import dial
from qa.gates.pairs import harm_interval
from qa.results import load

PAGES = ("suite=legibility", "suite.caps=[16]", "suite.words=8", "suite.pages=12")
LEFT = {"sigma0.2": "step26", "sigma0.4": "step24", "sigma0": "x0"}
"""Folder of a noise level → the step at which a run has so much left."""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A dial over the steps; one sampler step, so that nothing else takes time."""
    folder = tmp_path_factory.mktemp("capture")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("QA_CACHE", str(folder / "cache"))
        capture("decoder=pid_mini", *PAGES, "sigmas=[0,0.2,0.4]", "out=L", "device=cpu")
        for level, step in LEFT.items():
            Path("L", level).rename(Path("L", step))
        yield dial(
            "use_case=creative", "decoder=pid_mini", *PAGES, "seeds=1", "device=cpu",
            "latents=stored", "latents.path=L", "knobs.steps=1",
            "metric=[psnr,lowres_psnr,hf_energy]", "metric.lowres_psnr.by=2",
        )  # fmt: skip


@pytest.mark.usefixtures("one_thread")
def test_an_earlier_step_costs_fidelity_as_the_page_says(found):
    """Each step earlier loses PSNR, by intervals; a step is never decoded with more noise on it."""
    rows = {row["name"]: row for row in found.document["settings"]}
    assert set(rows) == {"steps=1", "capture=26 steps=1", "capture=24 steps=1",
                         "sigma=0.1 steps=1", "sigma=0.2 steps=1", "sigma=0.4 steps=1"}  # fmt: skip
    late, early = (rows[f"capture={step} steps=1"] for step in (26, 24))
    assert late["metrics"]["psnr"]["harm_low"] > 0
    arms = [load(found.folder.parent / row["run"]) for row in (early, late)]
    earlier, _ = harm_interval(*arms, "psnr", "higher", 0.9)
    assert earlier.low > 0
    page, limited = found.page.read_text(), early["metrics"]["lowres_psnr"]["harm"]
    assert "capture=24" in page
    assert any(f">{limited:.{digits}f}<" in page for digits in (1, 2, 3)), "a cell of its table"


@pytest.mark.usefixtures("one_thread")
def test_a_step_costs_what_its_noise_costs(found):
    """Negative control: noise of the same level, put on the whole latent, costs about as much."""
    rows = {row["name"]: row["metrics"]["psnr"] for row in found.document["settings"]}
    for step, sigma in ((26, 0.2), (24, 0.4)):
        captured, noisy = rows[f"capture={step} steps=1"], rows[f"sigma={sigma} steps=1"]
        assert captured["harm_low"] < noisy["harm_high"]
        assert noisy["harm_low"] < captured["harm_high"]
