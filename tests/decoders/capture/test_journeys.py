"""From a prompt to a picture: a tiny diffusion model is stopped, and a tiny PiD finishes.

`qa latents` and the runs after it are commands as a user types them. What the decoder is asked is
compared with diffusers' own scheduler.
"""

import json
from pathlib import Path

import pandas as pd
import pytest
import tiny_pid
import torch
from tiny_pipelines import COLUMNS, ROWS, STEPS

import decoders.pid.decoder
from decoders.latents import StoredLatents
from qa.cli import run
from qa.files import read_json
from qa.types import Sample

K = 2
CONF = Path(__file__).parents[2] / "conf"
QUIET = ["tracking=none", "report=null", "seeds=1", "baseline=none", "device=cpu",
         f"hydra.searchpath=[file://{CONF}]", "metric=[brightness]"]  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def suite(workdir):
    lines = [{"id": "cat", "prompt": "a red cat"}, {"id": "deep/dog", "prompt": "the blue dog"}]
    Path("prompts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return ["suite=folder", "suite.path=prompts.jsonl"]


@pytest.fixture
def asked(monkeypatch):
    """Every request that PiD gets."""
    seen, decode = [], decoders.pid.decoder.PiD.decode
    monkeypatch.setattr(
        decoders.pid.decoder.PiD, "decode", lambda self, r: (seen.extend(r), decode(self, r))[1]
    )
    return seen


def captured(family, folder, suite):
    return run([
        "latents", f"pipeline={family}", f"pipeline.source={folder}", *suite, "device=cpu",
        f"pipeline.steps={STEPS}", f"pipeline.height={ROWS}", f"pipeline.width={COLUMNS}",
        "pipeline.dtype=float32", f"capture=[{K},x0]", "out=L",
    ])  # fmt: skip


def pid(name, tmp_path, monkeypatch):
    """Overrides of a tiny checkpoint of that name."""
    row = tiny_pid.row(name)
    tiny_pid.register(monkeypatch, row)
    file = tiny_pid.save(tmp_path / f"{name}.pth", row)
    return [f"decoder={name}", f"decoder.path={file}", "decoder.untrained_sizes=true",
            "text=none", "text.width=12", "text.tokens=7"]  # fmt: skip


def measured(overrides, folder, suite, out):
    """The record and the decoded pictures' digests of a run over stored latents."""
    stored = ["latents=stored", f"latents.path={folder}"]
    assert run(["run", *overrides, *suite, *stored, *QUIET, f"out={out}"]) == 0
    table = pd.read_parquet(f"{out}/decoded.parquet")
    assert table["file"].notna().all(), table["why"].unique()
    return read_json(Path(out, "record.json")), list(table["digest"])


def sigmas(family, folder):
    """The scheduler's levels for STEPS steps, from diffusers' own run."""
    import diffusers

    pipe = diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    pipe(prompt="a cat", height=ROWS, width=COLUMNS, num_inference_steps=STEPS,
         generator=generator, output_type="latent")  # fmt: skip
    return pipe.scheduler.sigmas.tolist()


def test_flux_is_stopped_and_pid_or_its_own_autoencoder_decodes(
    saved, suite, asked, tmp_path, monkeypatch
):
    folder = saved("flux")
    assert captured("flux", folder, suite) == 0
    overrides = pid("pid_flux_2k", tmp_path, monkeypatch)
    early, pictures = measured(overrides, "L/step2", suite, "early")
    level = sigmas("flux", folder)[K]
    stored = StoredLatents("L/step2")
    assert {request.sample for request in asked} == {"cat", "deep/dog"}
    for request in asked:
        assert request.sigma == pytest.approx(level, abs=1e-7)
        assert 0 < request.sigma < 1
        assert torch.equal(request.latent, stored.latent(Sample(request.sample), None).tensor)
        assert request.prompt == stored.header(request.sample).prompt
        assert (request.height, request.width) == (4 * ROWS, 4 * COLUMNS)

    plain = ["decoder=flux1", f"decoder.source={folder}"]
    own, _ = measured(plain, "L/step2", suite, "own")
    assert early["latents_digest"] == own["latents_digest"] == stored.digest
    assert early["suite_digest"] == own["suite_digest"]

    asked.clear()
    end, finished = measured(overrides, "L/x0", suite, "end")
    assert {request.sigma for request in asked} == {0.0}
    assert end["latents_digest"] != early["latents_digest"]
    assert not set(pictures) & set(finished)


def test_sdxl_reaches_pid_with_the_converted_level(saved, suite, asked, tmp_path, monkeypatch):
    folder = saved("sdxl")
    assert captured("sdxl", folder, suite) == 0
    overrides = pid("pid_sdxl_2kto4k", tmp_path, monkeypatch)
    measured(overrides, "L/step2", suite, "early")
    s = sigmas("sdxl", folder)[K]
    assert len(asked) == 2
    for request in asked:
        assert request.sigma == pytest.approx(s / (1 + s**2) ** 0.5, abs=1e-7)
        assert request.sigma != pytest.approx(s, abs=0.01), "its own level is another number"
        assert (request.height, request.width) == (4 * ROWS, 4 * COLUMNS)
