"""Whole runs with the packaged decoder on files as users have them."""

from __future__ import annotations

import hashlib
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from qa import cli, images
from qa.run import evaluate


def scene(height: int, width: int) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    channels = [128 + 90 * np.sin(x / (9 + c) + y / (13 - c)) for c in range(3)]
    return Image.fromarray(np.stack(channels, 2).astype(np.uint8))


@pytest.fixture
def messy(tmp_path):
    """Every kind of file that the README promises, and three that are broken."""
    folder = tmp_path / "messy"
    (folder / "sub").mkdir(parents=True)
    scene(64, 96).save(folder / "rgb.png")
    scene(51, 77).save(folder / "odd.jpg", quality=95)
    scene(40, 40).save(folder / "sub" / "small.webp")
    scene(64, 64).convert("L").save(folder / "grey.png")
    rgba = scene(48, 56)
    rgba.putalpha(Image.linear_gradient("L").resize((56, 48)))
    rgba.save(folder / "rgba.png")
    deep = np.asarray(scene(32, 48))[:, :, ::-1].astype(np.uint16) * 257
    cv2.imwrite(str(folder / "deep.png"), deep)
    Image.fromarray(deep[:, :, 0]).save(folder / "deep_grey.png")
    exif = Image.Exif()
    exif[0x0112] = 8
    scene(40, 72).save(folder / "turned.jpg", exif=exif)
    scene(1, 1).save(folder / "dot.png")
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.png").write_bytes((folder / "rgb.png").read_bytes()[:300])
    (folder / "text.jpg").write_text("no picture")
    return folder


BROKEN = {"empty", "cut", "text"}


def test_any_folder_runs_and_broken_files_are_scored_failures(workdir, messy, capsys):
    code = cli.run(["run", "suite=folder", f"suite.path={messy}", "decoder=vae_mini", "seeds=1",
                    "metric=[psnr]", "tracking=none", "--json"])  # fmt: skip
    verdict = json.loads(capsys.readouterr().out)
    assert (code, verdict["state"]) == (5, "INVALID")
    assert {row["sample"] for row in verdict["failures"]} == BROKEN
    assert all(row["why"] for row in verdict["failures"])
    (psnr,) = verdict["metrics"]
    assert (psnr["count"], psnr["missing"]) == (9, 3)


def test_sizes_and_orientation_are_those_a_viewer_shows(workdir, messy):
    run = evaluate("suite=folder", f"suite.path={messy}", "decoder=vae_mini", "seeds=1",
                   "metric=[psnr]", "tracking=none", "report=null")  # fmt: skip
    sizes = {row["id"]: (row["height"], row["width"]) for row in run.folder.samples()}
    assert sizes["turned"] == (72, 40)
    assert sizes["odd"] == (51, 77)
    assert sizes["sub/small"] == (40, 40)
    for sample, size in sizes.items():
        if sample not in BROKEN:
            decoded = images.read(run.folder.picture_file(sample, 0))
            assert tuple(decoded.shape[1:]) == size
    scores = run.scores.set_index("sample")["value"]
    assert scores["rgb"] > 20, "the decoder really decodes"


def test_without_the_broken_files_it_is_measured(workdir, messy):
    for file in messy.iterdir():
        if file.stem in BROKEN:
            file.unlink()
    run = evaluate("suite=folder", f"suite.path={messy}", "decoder=vae_mini", "seeds=1",
                   "metric=[psnr]", "tracking=none", "report=null")  # fmt: skip
    assert run.exit_code == 0
    assert run.scores["value"].notna().all()


@pytest.mark.parametrize("batch", [2, 3, 5])
def test_the_packaged_decoder_does_not_depend_on_its_batch(workdir, messy, batch):
    """Latent noise makes the seeds differ; pictures of several sizes meet in one call."""

    def results(size: int) -> list[str]:
        run = evaluate("suite=folder", f"suite.path={messy}", "decoder=vae_mini", "seeds=2",
                       "knobs.sigma=0.2", "metric=[psnr]", "tracking=none", "report=null",
                       f"executor.batch={size}", f"out=batch{size}")  # fmt: skip
        verdict = run.folder.verdict_file.read_bytes()
        return [*run.folder.decoded()["digest"].dropna(), hashlib.sha256(verdict).hexdigest()]

    alone = results(1)
    assert len(set(alone)) == 9 * 2 + 1, "every picture and seed is another"
    assert results(batch) == alone


def test_planted_faults_fail_against_the_packaged_decoder(workdir, tmp_path):
    folder = tmp_path / "clean"
    folder.mkdir()
    for index in range(8):
        scene(48 + 8 * index, 64).save(folder / f"p{index}.png")
    common = ["suite=folder", f"suite.path={folder}", "seeds=1", "metric=[psnr,gmsd]",
              "tracking=none", "report=null"]  # fmt: skip
    evaluate(*common, "decoder=vae_mini", "out=base")
    for fault in ("shifted", "flat"):
        run = evaluate(*common, f"decoder={fault}", "baseline=base")
        assert run.exit_code == 3, fault
        failed = {gate["metric"] for gate in run.verdict["gates"] if gate["state"] == "FAIL"}
        assert "psnr" in failed


def test_a_latent_space_mismatch_names_both(workdir, messy, capsys):
    code = cli.run(["run", "suite=folder", f"suite.path={messy}", "decoder=flat",
                    "decoder.space=flux1"])  # fmt: skip
    said = capsys.readouterr().err
    assert code == 2
    assert "mini (16 channels, /8, z)" in said
    assert "flux1 (16 channels, /8, 0.3611*(z-0.1159))" in said


def test_stored_latents_take_the_encoders_place(workdir, tmp_path):
    from decoders.latents import write
    from qa.config import build, compose
    from qa.types import Sample

    folder = tmp_path / "clean"
    folder.mkdir()
    scene(48, 64).save(folder / "a.png")
    encoder = build(compose(["decoder=vae_mini"]).group("encoder"), "encoder")
    latent = encoder.latent(Sample("a"), images.read(folder / "a.png")).tensor
    write(tmp_path / "stored" / "a.safetensors", latent, space="mini")
    common = ["suite=folder", f"suite.path={folder}", "seeds=1", "metric=[psnr]",
              "tracking=none", "report=null", "decoder=vae_mini"]  # fmt: skip
    direct = evaluate(*common, "out=direct")
    stored = evaluate(*common, "latents=stored", f"latents.path={tmp_path / 'stored'}", "out=two")
    assert list(direct.folder.decoded()["digest"]) == list(stored.folder.decoded()["digest"])
