"""Captured latents against the pipelines' own runs, in every family.

The independent run is diffusers' whole pipeline, VAE included, with its own callback; layouts are
undone cell by cell. A latent is right if the network of its space decodes it to the picture that
the pipeline itself returns.
"""

import json
import shutil

import pytest
import tiny_pipelines
import torch
from tiny_pipelines import COLUMNS, FAMILIES, ROWS, STEPS, VAES, settings

from decoders.capture.families import FAMILIES as KNOWN
from decoders.capture.families import to_space
from decoders.capture.loop import Item
from decoders.capture.pipelines import Pipeline, folders
from decoders.spaces import space
from decoders.vae import VAEDecoder
from qa import seeds
from qa.errors import UsageError
from qa.types import DecodeRequest, Sample

CAT = Item(Sample("cat", prompt="a red cat"), "content of cat")
DOG = Item(Sample("dog", prompt="the blue dog on the mat"), "content of dog")
TOLERANCE = 1e-5
# diffusers' EulerDiscreteScheduler hands numpy a tensor in a way that is going away
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def independent(saved):
    """Family → (latents after each step as the pipeline has them, sigmas, its picture)."""
    made = {}

    def run(family):
        if family not in made:
            made[family] = _run(family, saved(family))
        return made[family]

    return run


@pytest.fixture(scope="module")
def capturing(saved):
    """Family → a loaded maker that can look after every step; shared, since it keeps nothing."""
    made = {}

    def maker(family):
        if family not in made:
            made[family] = Pipeline(**settings(family, saved(family), capture=[1, 2, 3, "x0"]))
            made[family].load()
        return made[family]

    return maker


def _run(family, folder):
    import diffusers

    pipe = diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    seen = []

    def look(pipe, index, time, tensors):
        seen.append(tensors["latents"].clone())
        return {}

    guidance = "true_cfg_scale" if family == "qwenimage" else "guidance_scale"
    negative = {"negative_prompt": " "} if family == "qwenimage" else {}
    generator = torch.Generator().manual_seed(
        seeds.generator_seed(seeds.DIFFUSION_NOISE, CAT.content, 0)
    )
    picture = pipe(
        prompt=CAT.sample.prompt, height=ROWS, width=COLUMNS, num_inference_steps=STEPS,
        generator=generator, output_type="pt", callback_on_step_end=look, **{guidance: 3.0},
        **negative,
    ).images[0]  # fmt: skip
    return seen, pipe.scheduler.sigmas.tolist(), picture


def by_hand(family, latents, sigma):
    """A pipeline's latents → [C,h,w] in the space of the family, cell by cell."""
    if family == "sdxl":
        return latents[0] / (1 + sigma**2) ** 0.5
    if family in ("sd3", "zimage"):
        return latents[0]
    rows, columns = ROWS // 16, COLUMNS // 16
    if family.startswith("flux2"):
        out = torch.empty(128, rows, columns)
        for i, token in enumerate(latents[0]):
            out[:, i // columns, i % columns] = token
        return out
    out = torch.empty(16, 2 * rows, 2 * columns)
    for i, token in enumerate(latents[0]):
        row, column = 2 * (i // columns), 2 * (i % columns)
        for place, value in enumerate(token):
            channel, y, x = place // 4, place // 2 % 2, place % 2
            out[channel, row + y, column + x] = value
    return out


def decoded(family, folder, latent, height=ROWS, width=COLUMNS):
    case = VAES[family]
    decoder = VAEDecoder(case.family, case.space, str(folder), subfolder="vae", device="cpu")
    return decoder.decode([DecodeRequest("a", 0, "c", height, width, latent)])[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_capture_is_what_the_pipeline_had_at_that_step(family, capturing, independent):
    seen, sigmas, _ = independent(family)
    captured = capturing(family)
    made = captured.latents(CAT, captured.facts)
    assert list(made) == ["step1", "step2", "step3", "x0"]
    for step, latent in enumerate(made.values(), 1):
        sigma = sigmas[step]
        wanted = by_hand(family, seen[step - 1], sigma)
        assert latent.tensor.dtype == torch.float32
        assert torch.allclose(latent.tensor, wanted, atol=1e-6, rtol=0), f"{family} at {step}"
        level = sigma / (1 + sigma**2) ** 0.5 if family == "sdxl" else sigma
        assert latent.sigma == pytest.approx(level, abs=1e-7)
    assert made["x0"].sigma == 0
    assert made["step2"].sigma > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_the_end_decodes_to_the_pipelines_own_picture(family, saved, capturing, independent):
    picture = independent(family)[2]
    latent = capturing(family).latents(CAT, ["x0"])["x0"].tensor
    pixels = decoded(family, saved(family), latent)
    assert picture.shape == (3, ROWS, COLUMNS)
    assert (pixels.clamp(0, 1) - picture).abs().max() < TOLERANCE
    # The check sees a wrong order of channels and cells, and a wrong scale.
    for wrong in (latent.flip(0), latent.flip(-1), latent * 1.05):
        assert (decoded(family, saved(family), wrong).clamp(0, 1) - picture).abs().max() > (
            20 * TOLERANCE
        )


@pytest.mark.parametrize("family", ["flux", "qwenimage", "flux2", "flux2_klein"])
def test_a_plain_reshape_would_be_seen(family, saved, independent):
    seen, _, picture = independent(family)
    wrong = seen[-1].reshape(by_hand(family, seen[-1], 0).shape)
    assert (decoded(family, saved(family), wrong).clamp(0, 1) - picture).abs().max() > (
        20 * TOLERANCE
    )


def test_unconverted_latents_of_sdxl_would_be_seen(capturing, independent):
    seen, sigmas, _ = independent("sdxl")
    latent = capturing("sdxl").latents(CAT, ["step1"])["step1"]
    assert sigmas[1] > 1, "in its own form it is no noise level at all"
    assert not torch.allclose(latent.tensor, seen[0][0], atol=0.1)


@pytest.mark.parametrize("sigma", [0.0, 0.3, 1.0, 14.6])
def test_the_variance_preserving_form(sigma):
    x0, noise = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(1))
    latent = to_space(x0 + sigma * noise, sigma, space("sdxl"))
    wanted = (1 - latent.sigma**2) ** 0.5 * x0 + latent.sigma * noise
    assert torch.allclose(latent.tensor, wanted, atol=1e-6)
    assert 0 <= latent.sigma < 1
    flow = to_space(x0, 0.3, space("flux1"))
    assert (flow.sigma, flow.tensor is x0) == (0.3, True)


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_is_computed_after_the_last_capture(family, capturing):
    calls = []
    captured = capturing(family)
    network = getattr(captured._pipe, KNOWN[family].denoiser)
    counting = network.register_forward_pre_hook(lambda *_: calls.append(1))
    counted = {}
    for last in ("x0", "step2", "step1"):
        calls.clear()
        captured.latents(CAT, [last])
        counted[last] = len(calls)
    counting.remove()
    assert counted["step1"] in (1, 2), "one call a step, or two with a negative prompt"
    assert counted["step2"] == 2 * counted["step1"]
    assert counted["x0"] == STEPS * counted["step1"]
    assert captured._pipe.vae is None


@pytest.mark.parametrize("family", FAMILIES)
def test_a_latent_does_not_depend_on_its_neighbours(family, capturing):
    captured = capturing(family)
    alone = captured.latents(DOG, ["step2", "x0"])
    torch.manual_seed(99)
    other = captured.latents(CAT, ["x0"])
    again = captured.latents(DOG, ["step2"])
    assert torch.equal(alone["step2"].tensor, again["step2"].tensor)
    assert not torch.equal(alone["x0"].tensor, other["x0"].tensor)
    same_noise = captured.latents(Item(CAT.sample, DOG.content), ["x0"])["x0"]
    assert not torch.equal(alone["x0"].tensor, same_noise.tensor), "the prompt counts"


def test_the_seed_counts_and_other_layers_may_run_in_less_precision(saved):
    first, second = (Pipeline(**settings("zimage", saved("zimage"), seed=s)) for s in (0, 1))
    assert first.identity != second.identity
    assert not torch.equal(
        first.latents(CAT, ["x0"])["x0"].tensor, second.latents(CAT, ["x0"])["x0"].tensor
    )
    coarse = Pipeline(**settings("flux", saved("flux"), dtype="bfloat16"))
    assert coarse.latents(CAT, ["x0"])["x0"].tensor.dtype == torch.float32


def test_the_vae_is_not_needed(saved, tmp_path):
    folder = shutil.copytree(saved("flux2_klein"), tmp_path / "klein")
    shutil.rmtree(folder / "vae")
    captured = Pipeline(**settings("flux2_klein", folder))
    assert captured.latents(CAT, ["x0"])["x0"].tensor.shape == (128, ROWS // 16, COLUMNS // 16)
    assert captured.identity == Pipeline(**settings("flux2_klein", saved("flux2_klein"))).identity


@pytest.mark.parametrize(
    "change",
    [{"steps": 5}, {"guidance": 2.0}, {"height": 48}, {"dtype": "bfloat16"}, {"negative": "dog"}],
    ids=str,
)
def test_every_setting_is_part_of_the_identity(saved, change):
    before = Pipeline(**settings("sd3", saved("sd3"))).identity
    assert Pipeline(**settings("sd3", saved("sd3"), capture=[1])).identity == before
    assert Pipeline(**settings("sd3", saved("sd3"), **change)).identity != before


def test_weights_are_part_of_the_identity(saved, tmp_path):
    folder = shutil.copytree(saved("sd3"), tmp_path / "sd3")
    before = Pipeline(**settings("sd3", folder)).identity
    file = folder / "scheduler" / "scheduler_config.json"
    file.write_text(file.read_text().replace('"shift": 3.0', '"shift": 2.0'))
    assert Pipeline(**settings("sd3", folder)).identity != before


def test_steps_are_named_and_checked():
    assert folders([24, "x0", 3], 28) == {3: "step3", 24: "step24", 28: "x0"}
    assert folders("x0", 4) == {4: "x0"}
    assert folders(2, 4) == {2: "step2"}
    for wrong in (0, 4, 5, -1, "x1", "2", True, 1.5, [], None, [2, 2]):
        for given in (wrong, [wrong]) if not isinstance(wrong, list) else (wrong,):
            with pytest.raises(UsageError, match=r"no step|one twice"):
                folders(given, 4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"family": "sora"}, "no family 'sora'"),
        ({"steps": 0}, "pipeline.steps=0 cannot work. It is 1 or more"),
        ({"steps": None}, "pipeline.steps=None cannot work"),
        ({"width": "wide"}, "pipeline.width=wide cannot work"),
        ({"guidance": None}, "pipeline.guidance=None cannot work. It is a finite number"),
        ({"guidance": float("nan")}, "pipeline.guidance=nan cannot work"),
        ({"guidance": float("inf")}, "pipeline.guidance=inf cannot work"),
        ({"capture": None}, "capture=None is no step"),
        ({"height": 40}, "multiples of 16"),
        ({"negative": "ugly"}, "changes nothing"),
        ({"capture": [STEPS]}, "is the end: x0"),
        ({"dtype": "int8"}, "no precision"),
        ({"family": "sd3", "negative": None}, "_class_name is FluxPipeline"),
        ({"source": "nowhere"}, "holds no pipeline"),
        ({"source": None}, "not said where the pipeline comes from"),
        ({"offload": True}, "needs a GPU"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused(saved, change, said):
    with pytest.raises(UsageError, match=said):
        Pipeline(**settings("flux", saved("flux"), **change)).load()


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("scheduler", ["diffusers", "DDIMScheduler"], "scheduler is DDIMScheduler"),
        ("text_encoder", ["my_encoder", "Encoder"], "names code of its own for text_encoder"),
    ],
)
def test_an_index_with_other_parts_is_refused(saved, tmp_path, part, value, said):
    folder = shutil.copytree(saved("sdxl"), tmp_path / "sdxl")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, part: value}))
    with pytest.raises(UsageError, match=said):
        Pipeline(**settings("sdxl", folder))


@pytest.mark.parametrize(
    ("family", "change", "said"),
    [
        ("sdxl", {"latents_mean": [0.0] * 4}, "latents_mean"),
        ("flux", {"scaling_factor": 0.5}, "scaling_factor is 0.5"),
        ("qwenimage", {"latents_mean": [0.0] * 16}, "latents_mean"),
    ],
)
def test_a_vae_of_another_space_is_refused(saved, tmp_path, family, change, said):
    folder = shutil.copytree(saved(family), tmp_path / family)
    file = folder / "vae" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UsageError, match=f"does not belong to the latent space.*{said}"):
        Pipeline(**settings(family, folder))


def test_incomplete_and_pickled_weights_are_refused(saved, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(saved("zimage"), tmp_path / "zimage")
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    name = min(tensors)
    tensors.pop(name)
    save_file(tensors, weights)
    with pytest.raises(UsageError, match=rf"1 tensors are missing, e\.g\. {name}"):
        Pipeline(**settings("zimage", folder)).load()
    weights.unlink()
    torch.save(tensors, weights.with_suffix(".bin"))
    with pytest.raises(UsageError, match="cannot be loaded"):
        Pipeline(**settings("zimage", folder)).load()


def test_the_tiny_pipelines_are_the_same_at_every_call(saved, tmp_path):
    again = tiny_pipelines.save("sd3", tmp_path / "sd3")
    first = Pipeline(**settings("sd3", saved("sd3"))).latents(CAT, ["x0"])["x0"]
    assert torch.equal(
        first.tensor, Pipeline(**settings("sd3", again)).latents(CAT, ["x0"])["x0"].tensor
    )
