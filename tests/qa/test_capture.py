"""`qa latents` as a user meets it, and the runs that follow from it."""

import json
import shlex
from pathlib import Path

import pandas as pd
import pytest
import tiny_pipelines
import torch
from omegaconf import OmegaConf
from toyruns import make_pictures

from decoders.latents import StoredLatents
from qa import assets
from qa.capture import ROOT, Capture, capture, prepare, run_command
from qa.cli import run
from qa.config import compose
from qa.errors import UsageError
from qa.types import Sample

ROOTS = Path(__file__).parents[2]
NAMES = sorted(file.stem for file in (ROOTS / "conf" / "pipeline").glob("*.yaml"))
SPARSE = ["tracking=none", "report=null", "seeds=1", "baseline=none"]
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.usefixtures("one_thread"),
]


@pytest.fixture(scope="module")
def sd3(tmp_path_factory):
    return tiny_pipelines.save("sd3", tmp_path_factory.mktemp("tiny") / "sd3")


@pytest.fixture
def prompts(workdir):
    lines = [{"id": "a", "prompt": "a red cat"}, {"id": "deep/b", "prompt": "the blue dog"}]
    Path("prompts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return ["suite=folder", "suite.path=prompts.jsonl"]


def from_prompts(folder, prompts, *more):
    return [
        "latents", "pipeline=sd3", *prompts, f"pipeline.source={folder}", "pipeline.steps=4",
        "pipeline.height=32", "pipeline.width=48", "pipeline.dtype=float32", "device=cpu",
        "capture=[2,x0]", "out=L", *more,
    ]  # fmt: skip


def test_from_prompts_to_a_run_of_the_same_vae(sd3, prompts, capsys, monkeypatch):
    """The latents, their sigma and their prompt reach the decoder."""
    import decoders.vae

    assert run(from_prompts(sd3, prompts)) == 0
    printed = capsys.readouterr()
    assert "4 latents of sd3" in printed.err
    lines = printed.out.splitlines()
    assert [line.split("  ")[:2] for line in lines] == [
        ["L/step2", "2 latents"], ["L/x0", "2 latents"],
    ]  # fmt: skip
    command = shlex.split(lines[0].split("  ")[2])
    assert command == ["qa", "run", *prompts, "device=cpu", "decoder=sd3", "latents=stored",
                       "latents.path=L/step2", "metric=[niqe,patch_grid]"]  # fmt: skip

    asked, decode = [], decoders.vae.VAEDecoder.decode
    monkeypatch.setattr(
        decoders.vae.VAEDecoder, "decode", lambda self, r: (asked.extend(r), decode(self, r))[1]
    )
    more = [f"decoder.source={sd3}", "device=cpu", *SPARSE, "out=R"]
    assert run([*command[1:-1], *more]) == 2, "the usual metrics compare with a picture"
    assert not Path("R").exists()
    capsys.readouterr()
    assert run([*command[1:], *more]) in (0, 4, 5), "decoded; piqe may not be installed"
    assert "error" not in capsys.readouterr().err
    stored = StoredLatents("L/step2")
    assert {request.sample for request in asked} == {"a", "deep/b"}
    for request in asked:
        latent = stored.latent(Sample(request.sample), None)
        assert torch.equal(request.latent, latent.tensor)
        assert request.sigma == latent.sigma > 0
        assert request.prompt == stored.header(request.sample).prompt
        assert (request.height, request.width) == (32, 48)
    decoded = pd.read_parquet("R/decoded.parquet")
    assert decoded["digest"].notna().all()
    assert stored.licence == "not stated: weights from a local folder"


def test_again_nothing_is_made_and_a_dry_run_makes_nothing(sd3, prompts, capsys):
    assert run([*from_prompts(sd3, prompts), "--dry-run"]) == 0
    printed = capsys.readouterr()
    assert "2 samples × 2 = 4 latents of sd3" in printed.out
    assert "StableDiffusion3Pipeline" in printed.out
    assert not Path("L").exists()
    run(from_prompts(sd3, prompts))
    before = {file: file.stat().st_ino for file in Path("L").rglob("*.safetensors")}
    capsys.readouterr()
    assert run(from_prompts(sd3, prompts)) == 0
    assert "4 there already" in capsys.readouterr().err
    assert {file: file.stat().st_ino for file in before} == before
    assert run(from_prompts(sd3, prompts, "pipeline.guidance=9")) == 2
    assert "is in the way" in capsys.readouterr().err


def test_latents_of_other_code_are_not_kept(sd3, prompts, capsys, monkeypatch):
    """A digest of the project's own code is part of every latent's identity."""
    import qa.capture

    assert run(from_prompts(sd3, prompts)) == 0
    real = qa.capture.code_digest
    seen = []
    monkeypatch.setattr(
        qa.capture, "code_digest", lambda parts: seen.extend(parts) or real(parts) + "changed"
    )
    assert run(from_prompts(sd3, prompts)) == 2
    assert "is in the way" in capsys.readouterr().err
    targets = [part["_target_"] for part in seen]
    assert targets == ["decoders.capture.loop.plan", "decoders.capture.pipelines.Pipeline"]


def test_a_notebook_gets_the_folders_and_the_failures(sd3, prompts, capfd):
    with open("prompts.jsonl", "a") as manifest:
        manifest.write('\n{"id": "%s", "prompt": "a cat"}' % ("x" * 300))
    shown = []
    done = capture(*from_prompts(sd3, prompts)[1:], progress=lambda *counts: shown.append(counts))
    assert isinstance(done, Capture)
    assert done.folders == {Path("L/step2"): 2, Path("L/x0"): 2}
    assert list(done.failed) == ["x" * 300]
    assert shown == [(0, 6), (2, 6), (4, 6), (6, 6)]
    assert capfd.readouterr().out == ""
    assert capture(*from_prompts(sd3, prompts)[1:]).folders == done.folders
    with pytest.raises(UsageError, match="Neither pipeline nor decoder"):
        capture()


def test_a_sample_that_cannot_be_written_costs_only_itself(sd3, prompts, capsys):
    Path("prompts.jsonl").write_text(
        '{"id": "a", "prompt": "a cat"}\n{"id": "a.safetensors/b", "prompt": "a dog"}'
    )
    assert run(from_prompts(sd3, prompts)) == 5
    printed = capsys.readouterr()
    assert "failed  a.safetensors/b: Cannot write" in printed.err
    assert printed.out.startswith("L/step2  1 latents")
    Path("prompts.jsonl").write_text('{"id": "./a", "prompt": "a cat"}')
    assert run(from_prompts(sd3, prompts)) == 2
    assert "'./a' does not name a file" in capsys.readouterr().err


def test_a_dry_run_downloads_no_encoder(workdir, capsys, monkeypatch):
    from qa.assets import downloads

    def refuse(*_):
        raise AssertionError("asked the network")

    monkeypatch.delenv("QA_ASSETS", raising=False)
    monkeypatch.setenv("QA_OFFLINE", "0")
    monkeypatch.setattr(downloads, "from_repo", refuse)
    make_pictures(workdir / "p", 1)
    asked = ["latents", "decoder=zimage", "suite=folder", "suite.path=p", "sigmas=[0]"]
    assert run([*asked, "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert "vae-zimage  0.17 GB  Apache-2.0" in said
    assert "qa assets fetch vae-zimage" in said
    assert not assets.offline(), "what follows in this process may use the network again"
    assert run(asked) == 2, "in earnest the small file is fetched"
    assert "asked the network" in capsys.readouterr().err


def test_the_run_has_the_weights_that_the_latents_came_from(workdir, tmp_path):
    import tiny_vaes

    tiny_vaes.build(tiny_vaes.SD1).save_pretrained(tmp_path / "vae")
    suite = ["suite=folder", f"suite.path={make_pictures(workdir / 'p', 1)}", "limit=1"]
    own = [f"decoder.source={tmp_path / 'vae'}", "decoder.subfolder=null"]
    config = compose(["decoder=sd1", *own, *suite, "sigmas=[0]", "device=cpu"], root=ROOT)
    command = run_command(prepare(config), Path("F"))
    assert command == ["qa", "run", *own, *suite, "device=cpu", "decoder=sd1", "latents=stored",
                       "latents.path=F"]  # fmt: skip


@pytest.mark.parametrize("name", ["x (1)", "k=v,w", "it's", "a\\b", "{x}", "plain/name-1.2"])
def test_a_printed_command_can_be_run_whatever_the_folder_is_called(workdir, name):
    own = workdir / "my conf"
    own.mkdir()
    asked = ["decoder=vae_mini", "suite=mini", "limit=1", "sigmas=[0]", "device=cpu"]
    config = compose(asked, own, ROOT)
    words = run_command(prepare(config), Path(name))
    assert words[:4] == ["qa", "run", "--config-dir", str(own)]
    assert compose(words[4:], own).group("latents")["path"] == name


def test_a_noise_level_is_the_one_of_a_run(workdir, capsys):
    """Stored at sigma 0.3 and decoded, or corrupted by the run: the same pictures."""
    suite = ["suite=folder", f"suite.path={make_pictures(workdir / 'p', 2)}"]
    assert run(["latents", "decoder=vae_mini", *suite, "sigmas=[0,0.3]", "device=cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "latents/vae_mini/sigma0", "latents/vae_mini/sigma0.3",
    ]  # fmt: skip
    stored = shlex.split(lines[1].split("  ")[2])[1:]
    own = ["run", *suite, "decoder=vae_mini"]
    for name, arguments in (
        ("stored", stored), ("own", [*own, "knobs.sigma=0.3"]), ("clean", own),
    ):  # fmt: skip
        assert run([*arguments, "device=cpu", *SPARSE, f"out={name}"]) == 0
    pictures = {
        name: list(pd.read_parquet(f"{name}/decoded.parquet")["digest"])
        for name in ("stored", "own", "clean")
    }
    assert pictures["stored"] == pictures["own"]
    assert not set(pictures["clean"]) & set(pictures["own"])


def test_stored_latents_get_noise_too(sd3, prompts, capsys):
    run(from_prompts(sd3, prompts))
    noisy = ["latents", "decoder=sd3", *prompts, "latents=stored", "sigmas=[0,0.5]", "out=N"]
    assert run([*noisy, "latents.path=L/x0"]) == 0
    clean, more = StoredLatents("N/sigma0"), StoredLatents("N/sigma0.5")
    assert torch.equal(clean.latent(Sample("a"), None).tensor,
                       StoredLatents("L/x0").latent(Sample("a"), None).tensor)  # fmt: skip
    assert more.latent(Sample("a"), None).sigma == 0.5
    assert run([*noisy[:-1], "out=M", "latents.path=L/step2"]) == 5
    assert "already carries noise" in capsys.readouterr().err


def test_a_damaged_picture_is_named_and_the_rest_is_written(workdir, capsys):
    folder = make_pictures(workdir / "p", 2)
    (folder / "bad.png").write_bytes(b"no picture")
    (folder / "gone.png").symlink_to(folder / "nowhere")
    arguments = ["latents", "decoder=vae_mini", "suite=folder", f"suite.path={folder}",
                 "sigmas=[0]", "out=L"]  # fmt: skip
    assert run(arguments) == 5
    printed = capsys.readouterr()
    assert "failed  bad: the file is not a picture in a known format" in printed.err
    assert "failed  gone: gone.png" in printed.err
    assert "2 samples have no latents" in printed.err
    assert printed.out.startswith("L/sigma0  2 latents")
    assert sorted(f.name for f in Path("L/sigma0").iterdir()) == [
        "p00.safetensors", "p01.safetensors",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Neither pipeline nor decoder is set"),
        (["pipeline=flux", "decoder=flux1"], "Both pipeline and decoder are set"),
        (["pipeline=flux", "sigmas=[0]"], "takes neither sigmas nor latents"),
        (["decoder=vae_mini"], "sigmas is not set"),
        (["decoder=vae_mini", "sigmas=[0]", "capture=[x0]"], "no steps to look at"),
        (["decoder=vae_mini", "sigmas=[0]", "encoder=null"], "no encoder"),
        (["decoder=vae_mini", "sigmas=[2]"], "no noise levels"),
        (["decoder=vae_mini", "sigmas=[soft]"], "could not be converted to Float"),
        (["decoder=vae_mini", "sigmas=[0]", "seed=-1"], "at least 0"),
        (["pipeline=nothing"], "Could not find 'pipeline/nothing'"),
        (["pipeline=flux", "captur=[2]"], "captur"),
        (["pipeline=flux", "capture=[28]", "offline=true"], "is the end: x0"),
        (["pipeline=flux", "offline=true"], "hf download black-forest-labs/FLUX.1-dev"),
        (["pipeline=flux"], "it is not downloaded unasked"),
        (["pipeline=flux", "--dry-run"], "--revision 3de623fc3c33e44ffbe2bad470d0f45bccf2eb21"),
        (["pipeline=flux", "capture=null"], "capture=None is no step to look at"),
        (["pipeline=flux", "pipeline.guidance=nan"], "pipeline.guidance=nan cannot work"),
        (["pipeline=flux", "pipeline.guidance=null"], "pipeline.guidance=None cannot work"),
    ],
)
def test_what_cannot_work_is_said_before_anything_starts(
    prompts, capsys, monkeypatch, tmp_path, arguments, said
):
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("QA_OFFLINE", "0")
    suite = [] if "decoder=vae_mini" in arguments else prompts
    assert run(["latents", *suite, *arguments]) == 2
    printed = capsys.readouterr()
    assert "Cannot build" not in printed.err, "a plain word, not a wrapped exception"
    assert said in printed.err
    assert printed.err.startswith("error: ")
    assert "fix:" in printed.err or "seed" in printed.err
    assert not Path("latents").exists()


def test_a_sample_without_what_is_needed_is_named_before_weights_are_looked_for(prompts, capsys):
    Path("prompts.jsonl").write_text('{"id": "a", "prompt": "x"}\n{"id": "b", "image": "b.png"}')
    make_pictures(Path("p"), 1)
    Path("p/p00.png").rename("b.png")
    assert run(["latents", "pipeline=flux", *prompts, "offline=true"]) == 2
    assert "samples have no prompt. The first without is b" in capsys.readouterr().err
    assert run(["latents", "decoder=flux1", "sigmas=[0]", *prompts, "offline=true"]) == 2
    assert "samples have no image. The first without is a" in capsys.readouterr().err


def test_the_configuration_is_printed(capsys):
    assert run(["latents", "pipeline=zimage_turbo", "--cfg"]) == 0
    printed = OmegaConf.create(capsys.readouterr().out)
    assert (printed.pipeline.steps, list(printed.capture)) == (8, ["x0"])


def test_a_suite_that_chooses_its_metrics_keeps_them_in_the_printed_command(sd3, prompts, capsys):
    conf = Path(__file__).parents[1] / "conf"
    suite = [f"hydra.searchpath=[file://{conf}]", "suite=choosing", "suite.path=prompts.jsonl"]
    assert run([*from_prompts(sd3, suite), "suite.takes=2"]) == 2, "it has no such key"
    capsys.readouterr()
    assert run(from_prompts(sd3, suite)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "4 latents" in lines[0], "two prompts, two takes"
    command = shlex.split(lines[0].split("  ")[2])
    assert command == ["qa", "run", *suite, "device=cpu", "decoder=sd3", "latents=stored",
                       "latents.path=L/step2"]  # fmt: skip
    takes = [StoredLatents("L/step2").latent(Sample(f"a/{take}"), None).tensor for take in (0, 1)]
    assert not torch.equal(*takes), "each take has noise of its own"
