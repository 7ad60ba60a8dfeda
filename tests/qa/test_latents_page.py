"""docs/latents.md: its table is the packaged configuration, and its code runs as it stands."""

import json
import re
from pathlib import Path

import pytest
import tiny_pipelines
import torch
from omegaconf import OmegaConf

from decoders.capture.families import FAMILIES
from decoders.latents import StoredLatents
from decoders.spaces import SPACES
from qa import seeds
from qa.capture import ROOT
from qa.cli import run
from qa.config import compose
from qa.seeds import content
from qa.types import Sample

ROOTS = Path(__file__).parents[2]
PAGE = (ROOTS / "docs" / "latents.md").read_text()
NAMES = sorted(file.stem for file in (ROOTS / "conf" / "pipeline").glob("*.yaml"))
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.usefixtures("one_thread"),
]


@pytest.fixture
def prompts(workdir):
    Path("prompts.jsonl").write_text(json.dumps({"id": "a", "prompt": "a red cat"}))
    return ["suite=folder", "suite.path=prompts.jsonl"]


@pytest.mark.parametrize("name", NAMES)
def test_every_packaged_pipeline_composes_and_is_in_the_table(name):
    """Defaults bind, the space exists, and docs/latents.md says the same."""
    import inspect

    from decoders.capture.pipelines import Pipeline, folders

    tree = OmegaConf.to_container(compose([f"pipeline={name}"], root=ROOT).tree, resolve=True)
    node = tree["pipeline"]
    assert set(inspect.signature(Pipeline).parameters) == set(node) - {"_target_"}
    family = FAMILIES[node["family"]]
    assert family.space in SPACES
    assert (ROOTS / "conf" / "decoder" / f"{family.decoder}.yaml").is_file()
    folders(node["capture"], node["steps"])
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}`"))
    wanted = [node["repo"], family.space, node["steps"], node["guidance"], node["capture"][0]]
    assert [cell.strip() for cell in row.split("|")[2:-1]] == list(map(str, wanted))


def test_there_are_pipelines():
    assert {"flux", "flux2", "flux2_klein", "sd3", "sdxl", "qwenimage", "zimage"} <= set(NAMES)
    composed = compose(["pipeline=flux", "capture=[3,x0]"], root=ROOT)
    assert composed.group("pipeline")["capture"] == [3, "x0"], "the command line wins"


BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.S)


@pytest.mark.parametrize(
    ("place", "family"), [(0, "sd3"), (1, "flux"), (1, "qwenimage"), (2, "sdxl")]
)
def test_the_callbacks_of_the_documentation_store_the_same_latent(tmp_path, prompts, place, family):
    """Its code blocks run as they stand; with our noise they store what `qa latents` stores."""
    import functools

    import diffusers

    folder = tiny_pipelines.save(family, tmp_path / family)
    loaded = diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    guidance = "true_cfg_scale" if family == "qwenimage" else "guidance_scale"
    negative = {"negative_prompt": " "} if family == "qwenimage" else {}
    key = content(Sample("a", prompt="a red cat"))
    generator = torch.Generator()
    pipe = functools.partial(
        loaded, height=32, width=48, generator=generator, **{guidance: 4.0}, **negative
    )
    seed = seeds.generator_seed(seeds.DIFFUSION_NOISE, key, 0)
    code = BLOCKS[place].replace('space="flux1"', f'space="{FAMILIES[family].space}"')
    scope = {"pipe": pipe, "PROMPT": "a red cat", "HEIGHT": 32, "WIDTH": 48}
    generator.manual_seed(seed)
    if place:  # the first block's imports, names and call go with every other callback
        exec(BLOCKS[0].partition("def store")[0], scope)
        code += "\n\n" + BLOCKS[0].rpartition("\n\n\n")[2]
    exec(code, scope)
    theirs = StoredLatents("LATENTS/step2").latent(Sample("cat"), None)
    run([
        "latents", f"pipeline={family}", *prompts, f"pipeline.source={folder}", "pipeline.steps=4",
        "pipeline.height=32", "pipeline.width=48", "pipeline.dtype=float32", "device=cpu",
        "pipeline.guidance=4", "capture=2", "out=L",
    ])  # fmt: skip
    ours = StoredLatents("L/step2").latent(Sample("a"), None)
    assert torch.equal(theirs.tensor, ours.tensor)
    assert theirs.sigma == ours.sigma > 0


def test_the_training_loop_of_the_documentation_stores_its_batch(workdir):
    assert len(BLOCKS) == 4, "three callbacks and this one"
    x_t = torch.randn(2, 16, 2, 3, generator=torch.Generator().manual_seed(0))
    scope = {"names": ["a", "deep/b"], "x_t": x_t.bfloat16(), "t": torch.tensor([0.25, 0.5])}
    exec(BLOCKS[0].partition("def store")[0] + BLOCKS[3], scope)
    stored = StoredLatents("LATENTS/train")
    assert stored.space == SPACES["flux1"]
    for name, x, sigma in (("a", x_t[0], 0.25), ("deep/b", x_t[1], 0.5)):
        latent = stored.latent(Sample(name), None)
        assert torch.equal(latent.tensor, x.bfloat16().float())
        assert latent.sigma == sigma
