"""What `qa dial` makes of its words."""

from __future__ import annotations

import pytest
from dial_toys import Place
from omegaconf import OmegaConf

from qa.config import compose
from qa.dial import options
from qa.dial.bench import turned
from qa.gates import use_case
from qa.halves import CONFIRMATION, SELECTION
from qa.job import prepare
from qa.types import Knobs

PACKAGED = ("archive", "creative", "document", "photo", "preview")


@pytest.fixture
def place(workdir):
    return Place(workdir, 6)


def plain(place, *more):
    """Words that choose no metrics."""
    return [word for word in place.asked(*more) if not word.startswith("metric=")]


def metrics(words):
    return sorted(options.composed(words).tree.metric)


def test_without_metrics_what_the_use_cases_ask_for_is_measured_where_it_can_be(place):
    found = metrics(plain(place))
    assert set(found) == {
        "psnr", "ssim", "ms_ssim", "gmsd",
        "lowres_psnr", "colour_drift", "hf_energy", "patch_fid_random",
    }, "no picture of the folder says what is written in it, so no legibility"  # fmt: skip
    assert "legibility" in metrics(["suite=mini"])
    assert metrics(plain(place, "use_case=creative")) == found, "all use cases share their runs"


def test_named_metrics_are_just_these(place):
    assert metrics(place.asked("metric=[psnr,hf_energy]")) == ["hf_energy", "psnr"]


def test_a_metric_keeps_what_was_said_about_it(place):
    config = options.composed(plain(place, "metric.lowres_psnr.by=2"))
    assert config.tree.metric.lowres_psnr.by == 2


def test_what_a_suite_chooses_is_measured_too(place):
    words = [w for w in plain(place) if not w.startswith("suite")]
    config = options.composed([*words, "suite=choosing", f"suite.path={place.pictures}"])
    assert {"shades", "psnr", "patch_fid_random"} <= set(config.tree.metric)
    assert "ssim" not in config.tree.metric


def test_prompts_have_nothing_to_compare_with(workdir):
    (workdir / "prompts.jsonl").write_text('{"id": "a", "prompt": "a cat"}\n')
    words = ["suite=folder", "suite.path=prompts.jsonl"]
    found = metrics(words)
    assert not {"hf_energy", "patch_fid_random", "lowres_psnr"} & set(found)


def test_the_runs_configuration_is_an_ordinary_one(place):
    config = options.composed(place.asked("use_case=creative", "search=optuna", "trials=3"))
    run = compose(options.run_words(config))
    assert set(run.tree) == set(compose().tree)
    assert run.tree.report is None
    assert run.choices["tracking"] == "none"
    assert run.tree.baseline == "none"
    assert "settings.steps" not in " ".join(run.overrides)
    tracked = options.composed([*place.asked(), "tracking=mlflow"])
    assert compose(options.run_words(tracked)).choices["tracking"] == "mlflow"


@pytest.mark.parametrize("half", [SELECTION, CONFIRMATION])
def test_a_turned_job_is_what_its_own_words_prepare(place, half):
    job = prepare(compose(place.words("use_case=document", "limit=5")))
    ours = turned(job, Knobs(sigma=0.2, steps=2), half)
    theirs = prepare(compose(ours.config.overrides))
    assert ours.plan == theirs.plan
    assert ours.plan.limited
    assert ours.folder == theirs.folder
    assert ours.suite == theirs.suite == f"toy-{half}"
    assert OmegaConf.to_yaml(ours.config.tree) == OmegaConf.to_yaml(theirs.config.tree)
    assert ours.decoder is job.decoder


def test_latents_of_another_step_are_another_source(workdir):
    """Stored latents: `capture` is turned, and never together with sigma."""
    import torch

    from decoders.latents import write
    from qa.dial.settings import grid, lists

    Place(workdir, 4)
    for folder, sigma in (("step2", 0.3), ("x0", 0.0)):
        for index in range(4):
            write(workdir / "L" / folder / f"p{index:02d}.safetensors",
                  torch.full((16, 12, 12), float(index)), space="mini", sigma=sigma)  # fmt: skip
    words = ["suite=folder", "suite.path=pictures", "decoder=vae_mini", "latents=stored",
             "latents.path=L", "tracking=none", "report=null", "metric=[psnr]"]  # fmt: skip
    job = prepare(compose(words))
    tried = lists({"sigma": [0, 0.1]}, Knobs(), job.decoder, job.latents)
    assert grid(tried, Knobs()) == [Knobs(), Knobs(capture=2), Knobs(sigma=0.1)]
    early = turned(job, Knobs(capture=2), SELECTION)
    assert early.latents.digest != job.latents.digest
    assert early.plan == prepare(compose(early.config.overrides)).plan
    assert turned(job, Knobs(sigma=0.1), SELECTION).latents is job.latents


@pytest.mark.parametrize("name", PACKAGED)
def test_every_packaged_use_case_can_be_dialled(name):
    use = use_case.load(name)
    assert use.dial is not None
    assert set(use.dial.fidelity) <= set(use.margins)


def test_document_guards_what_creative_gives_up():
    strict, free = (set(use_case.load(name).dial.fidelity) for name in ("document", "creative"))
    assert {"psnr", "gmsd", "lowres_psnr", "wrong_words", "unreadable_words"} <= strict
    assert free == {"lowres_psnr", "colour_drift", "geneval", "dpg"}
