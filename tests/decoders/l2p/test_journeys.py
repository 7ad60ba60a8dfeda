"""L2P through `qa run`: prompts in, pictures and scores out, and what is refused before that."""

import json

import pytest
import tiny_l2p
import torch

import qa
from decoders.l2p.decoder import L2P
from decoders.latents import write
from qa.cli import run
from qa.errors import UsageError
from qa.images import digest, quantise
from qa.seeds import content
from qa.types import DecodeRequest, Sample

NO_TEXT = ("text._target_=decoders.text.NoText", "~text.path")
"""What text=none amounts to after text=stored."""
PROMPTS = {"cat": "a red cat", "dog": "two dogs", "none": ""}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Overrides for a tiny l2p_1k with stored text features and a metric without reference."""
    tiny_l2p.register(monkeypatch, tiny_l2p.row())
    file = tiny_l2p.save(tmp_path / "l2p.safetensors", tiny_l2p.row())
    text = tiny_l2p.store(tmp_path / "text", *PROMPTS.values())
    metrics = tmp_path / "conf" / "metric"
    metrics.mkdir(parents=True)
    (metrics / "brightness.yaml").write_text("brightness: {_target_: tiny_l2p.Brightness}")
    return [
        f"hydra.searchpath=[file://{metrics.parent}]",
        "decoder=l2p_1k", f"decoder.path={file}", "decoder.size=[64,128]", "decoder.dtype=float32",
        "text=stored", f"text.path={text}", "device=cpu",
        "metric=[brightness]", "tracking=none", "report=null", "seeds=2",
    ]  # fmt: skip


@pytest.fixture
def prompts(tmp_path):
    """Overrides for a suite of prompts without pictures."""
    lines = [json.dumps({"id": name, "prompt": prompt}) for name, prompt in PROMPTS.items()]
    (tmp_path / "prompts.jsonl").write_text("\n".join(lines))
    return ["suite=folder", f"suite.path={tmp_path / 'prompts.jsonl'}"]


def test_from_prompts_to_scores(tiny, prompts, workdir):
    done = qa.evaluate(*tiny, *prompts)
    assert done.exit_code == 0
    decoded, scores = done.folder.decoded(), done.folder.scores()
    assert len(decoded) == len(scores) == 6
    assert decoded["file"].notna().all(), decoded["why"].unique()
    assert decoded["digest"].nunique() == 6
    assert scores["value"].notna().all(), scores["why"].unique()
    assert scores["value"].nunique() == 6
    record = done.folder.record()
    assert "no licence file" in record["licence"]
    assert any("stored: letters (none)" in note for note in record["notes"])

    again = qa.evaluate(*tiny, *prompts, "out=again", "executor.batch=5")
    assert list(again.folder.decoded()["digest"]) == list(decoded["digest"])
    assert list(again.folder.scores()["value"]) == list(scores["value"])
    longer = qa.evaluate(*tiny, *prompts, "knobs.steps=3")
    assert not set(longer.folder.decoded()["digest"]) & set(decoded["digest"])


def test_a_run_draws_what_the_decoder_draws(tiny, prompts, workdir, tmp_path):
    decoded = qa.evaluate(*tiny, *prompts).folder.decoded()
    decoder = L2P(
        "l2p_1k", tiny_l2p.Letters(), path=str(tmp_path / "l2p.safetensors"), dtype="float32",
        device="cpu",
    )  # fmt: skip
    key = content(Sample("dog", prompt="two dogs"))
    for seed in (0, 1):
        asked = DecodeRequest("dog", seed, key, *tiny_l2p.SIZE, prompt="two dogs")
        with torch.inference_mode():
            (pixels,) = decoder.decode([asked])
        found = decoded[(decoded["sample"] == "dog") & (decoded["seed"] == seed)]["digest"].item()
        assert found == digest(quantise(pixels).picture)


def test_an_untrained_size_is_drawn_only_if_it_is_allowed(tiny, prompts, workdir):
    with pytest.raises(UsageError, match="was not trained on pictures of height 32 and width 256"):
        qa.evaluate(*tiny, *prompts, "decoder.size=[32,256]")
    assert not list(workdir.glob("runs/*"))
    allowed = qa.evaluate(
        *tiny, *prompts, "decoder.size=[32,256]", "decoder.untrained_sizes=true", "limit=1"
    )
    assert allowed.folder.decoded()["file"].notna().all()
    assert any(
        "256x32 pixels were not trained" in note for note in allowed.folder.record()["notes"]
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["metric=[psnr]"], "psnr cannot score "),
        (["metric=[brightness,psnr]"], "psnr cannot score "),
        (["latents=stored", "latents.path=latents"], "This decoder takes no latents."),
        (["knobs.steps=0"], "knobs.steps=0 cannot work."),
        (["knobs.shift=0"], "knobs.shift=0.0 cannot work."),
        (["knobs.cfg=nan"], "knobs.cfg=nan cannot work."),
        (["knobs.sigma=0.5"], "knobs.sigma=0.5 changes nothing."),
        (["decoder.size=[720,720]"], "cannot draw a picture of height 720 and width 720."),
        (["decoder.size=64"], "decoder.size=64 is no size."),
        (["decoder.negative=null"], "decoder.negative=None is no text."),
        ([*NO_TEXT], "fix: text=qwen3, or text=none text.width=10"),
        ([*NO_TEXT, "+text.width=10", "metric=[psnr]"], "psnr cannot score "),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_what_cannot_work_is_refused_before_decoding(tiny, prompts, change, says, workdir, capsys):
    latent = torch.zeros(16, 8, 16)
    write(workdir / "latents" / "cat.safetensors", latent, space="flux1", sigma=0.0)
    assert run(["run", *tiny, *prompts, *change]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said
    assert not list(workdir.glob("runs/*"))


def test_pictures_without_prompts_are_refused(tiny, pictures, workdir, capsys):
    assert run(["run", *tiny, "suite=folder", f"suite.path={pictures}"]) == 2
    assert "6 of 6 samples have no prompt." in capsys.readouterr().err
    assert not list(workdir.glob("runs/*"))


def test_without_weights_everything_needed_is_said(prompts, workdir, capsys, monkeypatch):
    monkeypatch.delenv("QA_ASSETS", raising=False)
    assert run(["run", "decoder=l2p_1k", "metric=[psnr]", *prompts]) == 2
    said = capsys.readouterr().err
    for part in (
        "needs 2 assets", "l2p-1k  about 19.57 GB  Apache-2.0 by the tag",
        "zhen-nan/L2P at main: model-1k-merge.safetensors", "text-qwen3-4b",
        "fix: qa assets fetch l2p-1k text-qwen3-4b",
    ):  # fmt: skip
        assert part in said, part
    assert not list(workdir.glob("runs/*"))
