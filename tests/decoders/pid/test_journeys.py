"""PiD through `qa run`: from pictures, from stored latents, and without its weights."""

import json
from pathlib import Path

import pytest
import tiny_pid
import tiny_vaes
import torch

import qa
from decoders.latents import write
from decoders.pid.decoder import PiD
from decoders.text import NoText
from decoders.text.stored import write as write_text
from qa import images
from qa.cli import run
from qa.errors import UsageError
from qa.images import digest, quantise
from qa.seeds import content
from qa.types import DecodeRequest, Sample

CONF = Path(__file__).parents[2] / "conf"
UNPAIRED = (f"hydra.searchpath=[file://{CONF}]", "metric=[brightness]")
QUIET = ("tracking=none", "report=null", "seeds=2", "metric=[psnr]")


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Overrides for a tiny pid_flux_2k with a tiny FLUX.1 autoencoder."""
    row = tiny_pid.row()
    tiny_pid.register(monkeypatch, row)
    file = tiny_pid.save(tmp_path / "pid.pth", row)
    tiny_vaes.build(tiny_vaes.FLUX1).save_pretrained(tmp_path / "vae")
    return [
        "decoder=pid_flux_2k", f"decoder.path={file}", "decoder.untrained_sizes=true",
        "text=none", "text.width=12", "text.tokens=7",
        f"encoder.encoder.source={tmp_path / 'vae'}", "encoder.encoder.subfolder=null",
    ]  # fmt: skip


def test_from_pictures(tiny, pictures, workdir):
    """The picture is encoded at a quarter of its size and decoded at its own."""
    suite = ("suite=folder", f"suite.path={pictures}", *QUIET)
    done = qa.evaluate(*tiny, *suite)
    assert done.exit_code == 0
    decoded = done.folder.decoded()
    assert len(decoded) == 12
    assert decoded["file"].notna().all(), decoded["why"].unique()
    assert decoded["digest"].nunique() == 12
    notes = dict(zip(decoded["sample"], decoded["note"], strict=True))
    untrained = "64x64 pixels are outside the sizes pid_flux_2k was trained on."
    assert notes["p00"] == f"decoded as 64x64, cropped to 64x48; {untrained}"
    assert notes["p02"] == untrained  # 64x64 is a whole number of cells
    record = done.folder.record()
    assert "NON-COMMERCIAL" in record["licence"]
    assert any("none (zeros" in note for note in record["notes"])
    assert record["command"][:2] == ["qa", "run"]

    again = qa.evaluate(*tiny, *suite, "out=again", "executor.batch=5")
    assert list(again.folder.decoded()["digest"]) == list(decoded["digest"])
    noisy = qa.evaluate(*tiny, *suite, "knobs.sigma=0.4")
    assert not set(noisy.folder.decoded()["digest"]) & set(decoded["digest"])


def test_from_stored_latents_with_their_sigma(tiny, workdir, tmp_path):
    """One latent folder feeds PiD and the plain autoencoder, so their pictures are paired."""
    latent = torch.randn(16, 2, 3, generator=torch.Generator().manual_seed(0))
    write(tmp_path / "latents" / "a.safetensors", latent, space="flux1", sigma=0.35)
    manifest = tmp_path / "prompts.jsonl"
    manifest.write_text(json.dumps({"id": "a", "prompt": "a red cat"}))
    stored = [
        "latents=stored", f"latents.path={tmp_path / 'latents'}",
        "suite=folder", f"suite.path={manifest}", *QUIET, *UNPAIRED,
    ]  # fmt: skip
    done = qa.evaluate(*tiny, *stored)
    decoded = done.folder.decoded()
    assert decoded["file"].notna().all(), decoded["why"].unique()

    decoder = PiD(
        "pid_flux_2k", NoText(12, 7), path=str(tmp_path / "pid.pth"), untrained_sizes=True,
        device="cpu",
    )  # fmt: skip
    key = content(Sample("a", prompt="a red cat"))
    asked = DecodeRequest("a", 1, key, 64, 96, latent, 0.35, "a red cat")
    with torch.inference_mode():
        (pixels,) = decoder.decode([asked])
        (clean,) = decoder.decode([DecodeRequest("a", 1, key, 64, 96, latent, 0.0, "a red cat")])
    assert decoded["digest"][1] == digest(quantise(pixels).picture)
    assert decoded["digest"][1] != digest(quantise(clean).picture)

    plain = qa.evaluate(
        "decoder=flux1", f"decoder.source={tmp_path / 'vae'}", "decoder.subfolder=null", *stored
    )
    assert plain.folder.decoded()["file"].notna().all()
    assert done.folder.record()["latents_digest"] == plain.folder.record()["latents_digest"]


def test_a_size_is_part_of_what_a_picture_is(tmp_path, monkeypatch, workdir):
    """Text to pictures: another size means other units, not the pictures of the first run."""
    row = tiny_pid.row("pixeldit_2kto4k")
    tiny_pid.register(monkeypatch, row)
    file = tiny_pid.save(tmp_path / "base.pth", row)
    manifest = tmp_path / "prompts.jsonl"
    manifest.write_text(json.dumps({"id": "a", "prompt": "a red cat"}))
    base = [
        "decoder=pixeldit_2kto4k", f"decoder.path={file}", "decoder.untrained_sizes=true",
        "text=none", "text.width=12", "text.tokens=7", "knobs.steps=1",
        "suite=folder", f"suite.path={manifest}", *QUIET, *UNPAIRED,
    ]  # fmt: skip
    small = qa.evaluate(*base, "decoder.size=[32,64]")
    large = qa.evaluate(*base, "decoder.size=[64,64]")
    assert small.folder.path != large.folder.path
    pictures = [
        images.read(done.folder.path / done.folder.decoded()["file"][0]) for done in (small, large)
    ]
    assert [tuple(picture.shape) for picture in pictures] == [(3, 32, 64), (3, 64, 64)]
    with pytest.raises(UsageError, match="It draws pictures of its own"):
        qa.evaluate(*base, "decoder.size=[32,64]", "metric=[psnr]")


def test_a_suite_that_does_not_fit_is_refused_before_decoding(tiny, tmp_path, pictures, workdir):
    manifest = tmp_path / "prompts.jsonl"
    manifest.write_text(json.dumps({"id": "a", "prompt": "a red cat"}))
    with pytest.raises(UsageError, match="None of the samples has a picture"):
        qa.evaluate(*tiny, "suite=folder", f"suite.path={manifest}", *QUIET)
    stored = [f"text.path={tmp_path / 'text'}", "text=stored"]
    write_text(tmp_path / "text" / "a.safetensors", torch.zeros(7, 12), prompt="x", encoder="e")
    words = [o for o in tiny if not o.startswith("text")]
    with pytest.raises(UsageError, match="6 of 6 samples have no prompt"):
        qa.evaluate(*words, *stored, "suite=folder", f"suite.path={pictures}", *QUIET)


def test_steps_that_do_not_exist_are_refused_before_decoding(tiny, pictures, workdir):
    with pytest.raises(UsageError, match="5 steps: the student has 1 to 4"):
        qa.evaluate(*tiny, "suite=folder", f"suite.path={pictures}", "knobs.steps=5", *QUIET)
    assert not list(workdir.glob("runs/*"))


def test_an_encoder_at_full_size_is_refused(tiny, pictures, workdir, tmp_path):
    plain = [o for o in tiny if not o.startswith("encoder.")]
    swap = [
        "~encoder.by", "~encoder.encoder", "encoder._target_=decoders.vae.VAEEncoder",
        "+encoder.family=AutoencoderKL", "+encoder.space=flux1",
        f"+encoder.source={tmp_path / 'vae'}",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="4 times larger"):
        qa.evaluate(*plain, *swap, "suite=folder", f"suite.path={pictures}", *QUIET)


def test_without_weights_everything_needed_is_said(pictures, workdir, capsys, monkeypatch):
    monkeypatch.delenv("QA_ASSETS", raising=False)
    code = run(["run", "decoder=pid_flux_2k", "suite=folder", f"suite.path={pictures}"])
    assert code == 2
    said = capsys.readouterr().err
    for part in (
        "needs 3 assets", "vae-zimage  0.17 GB  Apache-2.0",
        "pid_flux_2k.pth  about 2.72 GB  NVIDIA",
        "NON-COMMERCIAL", "text-gemma-2-2b-it  about 5.23 GB  Gemma Terms of Use",
        "nvidia/PiD at main: checkpoints/PiD_res2k_sr4x_official_flux_distill_4step/model_ema_bf16",
        "fix: qa assets fetch vae-zimage pid_flux_2k.pth text-gemma-2-2b-it",
    ):  # fmt: skip
        assert part in said, part
    assert not list(workdir.glob("runs/*"))
