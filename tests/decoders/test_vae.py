"""Every VAE family through the adapters and by hand.

The networks are tiny and random (tests/tiny_vaes.py): what is checked is the arithmetic around
them (range, normalisation, frame axis, padding, cropping), which does not depend on their size.
"""

from pathlib import Path

import pytest
import tiny_vaes as tiny
import torch
from safetensors.torch import load_file, save_file
from tiny_vaes import CASES, WEIGHTS, Case, change_config

from decoders.families import MINI_WEIGHTS
from decoders.mini.vae import MiniVAE
from decoders.vae import VAEDecoder, VAEEncoder
from qa import images
from qa.errors import QaError, UsageError
from qa.types import DecodeRequest, Sample


def picture(height: int, width: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)


def request(latent, height: int, width: int, sample: str = "a") -> DecodeRequest:
    return DecodeRequest(sample, 0, "", height, width, latent)


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """Case → folder with the saved model; each is built once."""
    root, built = tmp_path_factory.mktemp("vae"), {}

    def save(case: Case) -> Path:
        if case not in built:
            built[case] = root / str(case)
            tiny.build(case).save_pretrained(built[case])
        return built[case]

    return save


def pair(case: Case, folder: Path, **more):
    options = {"source": str(folder), "device": "cpu", **more}
    return VAEEncoder(case.family, case.space, **options), VAEDecoder(
        case.family, case.space, **options
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_adapters_do_what_diffusers_does(case, saved):
    encoder, decoder = pair(case, saved(case))
    before = picture(case.side, case.side)
    latent = encoder.latent(Sample("a"), before)
    (pixels,) = decoder.decode([request(latent.tensor, case.side, case.side)])

    model = tiny.build(case)
    with torch.inference_mode():
        expected_latent, expected = tiny.by_hand(case, model, images.to_unit(before)[None])
    assert latent.sigma == 0
    assert latent.tensor.dtype == pixels.dtype == torch.float32
    assert latent.tensor.shape[0] == encoder.space.channels
    assert latent.tensor.shape[1] * encoder.space.factor == case.side
    torch.testing.assert_close(latent.tensor, expected_latent[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(pixels, expected[0], rtol=1e-5, atol=1e-5)
    assert encoder.space == decoder.space
    assert encoder.network is decoder.network  # loaded once
    assert encoder.digest != decoder.digest


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (100, 67)], ids=str)
def test_odd_sizes_are_padded_by_the_edge_and_cropped_back(case, size, saved):
    encoder, decoder = pair(case, saved(case))
    height, width = size
    before = picture(height, width)
    if case.family == "AutoencoderRAE":
        with pytest.raises(QaError, match=f"{width}x{height}.*32x32 only"):
            encoder.latent(Sample("a"), before)
        return
    latent = encoder.latent(Sample("a"), before).tensor
    factor = encoder.space.factor
    rows, columns = -(-height // factor), -(-width // factor)
    assert list(latent.shape[1:]) == [rows, columns]

    down = torch.arange(rows * factor).clamp(max=height - 1)
    across = torch.arange(columns * factor).clamp(max=width - 1)
    padded = before[:, down][:, :, across]
    assert torch.equal(latent, encoder.latent(Sample("a"), padded).tensor)

    (pixels,) = decoder.decode([request(latent, height, width)])
    (whole,) = decoder.decode([request(latent, rows * factor, columns * factor)])
    assert list(pixels.shape) == [3, height, width]
    assert torch.equal(pixels, whole[:, :height, :width])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_picture_does_not_depend_on_its_batch(case, saved):
    encoder, decoder = pair(case, saved(case))
    side = case.side
    latents = [encoder.latent(Sample(str(i)), picture(side, side, i)).tensor for i in range(3)]
    requests = [request(latent, side, side, str(i)) for i, latent in enumerate(latents)]
    together = decoder.decode(requests)
    backwards = decoder.decode(requests[::-1])[::-1]
    for one, first, second in zip(requests, together, backwards, strict=True):
        assert torch.equal(decoder.decode([one])[0], first)
        assert torch.equal(first, second)
    assert not torch.equal(together[0], together[1])  # the latent is not ignored


WRONG = [
    (tiny.SD1, {"scaling_factor": 0.13025}, "0.13025.*0.18215"),
    (tiny.SD3, {"shift_factor": 0.1159}, "shift_factor is 0.1159.*0.0609"),
    (
        tiny.FLUX1,
        {"scaling_factor": 1.5305, "shift_factor": 0.0609},
        "scaling_factor.*shift_factor",
    ),
    (tiny.SD1, {"latents_mean": [0.0] * 4}, "latents_mean"),
    (tiny.FLUX2, {"batch_norm_eps": 1e-5}, "batch_norm_eps is 1e-05.*0.0001"),
    (tiny.QWEN, {"latents_mean": [0.0] * 16}, "latents_mean"),
    (tiny.WAN, {"latents_std": [1.0] * 16}, "latents_std"),
    (tiny.DCAE, {"scaling_factor": 0.3189}, "0.3189.*0.41407"),
    (tiny.RAE, {"scaling_factor": 0.5}, "scaling_factor is 0.5"),
    (tiny.TINY, {"scaling_factor": 0.18215}, "scaling_factor is 0.18215.*1.0"),
]


@pytest.mark.parametrize(("case", "changes", "message"), WRONG)
def test_a_configuration_that_contradicts_the_space_is_refused(
    case, changes, message, saved, tmp_path
):
    folder = change_config(saved(case), tmp_path / "changed", **changes)
    with pytest.raises(UsageError, match=message):
        VAEDecoder(case.family, case.space, source=str(folder), device="cpu")


@pytest.mark.parametrize(
    ("case", "space"),
    [(tiny.SD1, "sdxl"), (tiny.SD3, "flux1"), (tiny.SD1, "flux1"), (tiny.DCAE, "flux2_raw"),
     (tiny.FLUX2, "flux1"), (tiny.QWEN, "sd3"), (tiny.SD1, "rae_dinov2")],
)  # fmt: skip
def test_a_network_under_another_space_is_refused(case, space, saved):
    with pytest.raises(UsageError, match=space):
        VAEEncoder(case.family, space, source=str(saved(case)), device="cpu")


def test_untrained_batch_norm_statistics_are_refused(saved, tmp_path):
    folder = change_config(saved(tiny.FLUX2), tmp_path / "fresh")
    file = folder / WEIGHTS
    weights = load_file(file)
    weights["bn.running_mean"].zero_()
    weights["bn.running_var"].fill_(1)
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(UsageError, match="never trained"):
        VAEDecoder("AutoencoderKLFlux2", "flux2", source=str(folder), device="cpu")
    raw = VAEDecoder("AutoencoderKLFlux2", "flux2_raw", source=str(folder), device="cpu")
    assert raw.space.channels == 32


@pytest.mark.parametrize("how", ["missing", "left over", "another shape", "rubbish"])
def test_weights_that_do_not_fit_are_refused(how, saved, tmp_path):
    folder = change_config(saved(tiny.SD1), tmp_path / "partial")
    file = folder / WEIGHTS
    weights = load_file(file)
    if how == "missing":
        del weights["decoder.conv_out.weight"]
    elif how == "left over":
        weights["decoder.surplus"] = torch.zeros(1)
    else:
        weights["decoder.conv_out.weight"] = torch.zeros(3, 4, 1, 1)
    save_file(weights, file, metadata={"format": "pt"})
    if how == "rubbish":
        file.write_bytes(b"rubbish")
    with pytest.raises(UsageError, match=r"do not fit|cannot be loaded"):
        VAEDecoder("AutoencoderKL", "sd1", source=str(folder), device="cpu")


def test_the_digest_stands_for_weights_and_settings(saved, tmp_path):
    folder = saved(tiny.SD1)
    decoder = VAEDecoder("AutoencoderKL", "sd1", source=str(folder), device="cpu")
    copied = change_config(folder, tmp_path / "copy")
    (copied / "config.json").write_bytes((folder / "config.json").read_bytes())
    same = VAEDecoder("AutoencoderKL", "sd1", source=str(copied), device="cpu")
    half = VAEDecoder("AutoencoderKL", "sd1", source=str(copied), device="cpu", dtype="bfloat16")
    file = copied / WEIGHTS
    weights = load_file(file)
    weights["decoder.conv_out.bias"] += 1
    save_file(weights, file, metadata={"format": "pt"})
    other = VAEDecoder("AutoencoderKL", "sd1", source=str(copied), device="cpu")
    assert decoder.digest == same.digest
    assert len({decoder.digest, half.digest, other.digest}) == 3
    latent = torch.zeros(4, 2, 2)
    before, after = (d.decode([request(latent, 16, 16)])[0] for d in (same, other))
    torch.testing.assert_close(after - before, torch.full_like(before, 0.5), rtol=0, atol=1e-5)


def test_pixels_are_not_clamped(saved, tmp_path):
    folder = change_config(saved(tiny.SD1), tmp_path / "bright")
    file = folder / WEIGHTS
    weights = load_file(file)
    weights["decoder.conv_out.bias"] += 9
    save_file(weights, file, metadata={"format": "pt"})
    decoder = VAEDecoder("AutoencoderKL", "sd1", source=str(folder), device="cpu")
    assert decoder.decode([request(torch.zeros(4, 1, 1), 8, 8)])[0].min() > 2


def test_bfloat16_layers_give_float32_pixels_close_to_float32(saved):
    exact, half = (pair(tiny.SD1, saved(tiny.SD1), dtype=name) for name in ("float32", "bfloat16"))
    before = picture(16, 16)
    latents = [encoder.latent(Sample("a"), before).tensor for encoder, _ in (exact, half)]
    assert latents[1].dtype == torch.float32
    assert 0 < (latents[0] - latents[1]).abs().max() < 0.05
    pixels = half[1].decode([request(latents[1], 16, 16)])[0]
    assert pixels.dtype == torch.float32


@pytest.mark.parametrize(
    ("latent", "message"),
    [(None, "no latent"), (torch.zeros(4, 1, 2), "shape"), (torch.zeros(16, 2, 2), "shape"),
     (torch.zeros(4, 3, 2), "shape")],
)  # fmt: skip
def test_a_latent_that_does_not_fit_the_request_is_an_error(latent, message, saved):
    decoder = VAEDecoder("AutoencoderKL", "sd1", source=str(saved(tiny.SD1)), device="cpu")
    with pytest.raises(QaError, match=message):
        decoder.decode([request(latent, 16, 16)])


def test_a_sample_without_a_picture_is_an_error(saved):
    encoder = VAEEncoder("AutoencoderKL", "sd1", source=str(saved(tiny.SD1)), device="cpu")
    with pytest.raises(QaError, match="no picture"):
        encoder.latent(Sample("a"), None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"family": "AutoencoderX"}, "no family"),
        ({"space": "sd9"}, "no latent space"),
        ({"source": None}, "where the AutoencoderKL comes from"),
        ({"subfolder": "vae"}, "config.json"),
        ({"dtype": "int8"}, "no precision"),
        ({"device": "gpu"}, "no device"),
        ({"device": "cuda:99"}, "no device"),
        ({"family": "MiniVAE"}, "does not have the latent space"),
        ({"family": "AutoencoderDC", "space": "dcae"}, "describes a AutoencoderKL"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_loaded(options, message, saved):
    wanted = {"family": "AutoencoderKL", "space": "sd1", "source": str(saved(tiny.SD1)),
              "device": "cpu"} | options  # fmt: skip
    with pytest.raises(UsageError, match=message):
        VAEDecoder(**wanted)


def test_mini_vae_goes_through_the_same_adapters(tmp_path):
    torch.manual_seed(tiny.SEED)
    model = MiniVAE([8, 8, 8]).eval()
    model.save(tmp_path / MINI_WEIGHTS)
    model = MiniVAE.load(tmp_path / MINI_WEIGHTS)
    encoder, decoder = pair(Case("MiniVAE", "mini", 16), tmp_path)
    before = picture(13, 22)
    latent = encoder.latent(Sample("a"), before).tensor
    (pixels,) = decoder.decode([request(latent, 13, 22)])
    down, across = torch.arange(16).clamp(max=12), torch.arange(24).clamp(max=21)
    with torch.inference_mode():
        mean, _ = model.encode(images.to_unit(before[:, down][:, :, across])[None])
        expected = model.decode(mean)[0, :, :13, :22]
    torch.testing.assert_close(latent, mean[0])
    torch.testing.assert_close(pixels, expected)


@pytest.mark.parametrize("case", [tiny.SD1, tiny.FLUX1, tiny.FLUX2], ids=str)
def test_low_memory_gives_the_same_and_says_that_it_is_on(case, saved):
    encoder, decoder = pair(case, saved(case))
    encoder2, decoder2 = pair(case, saved(case), low_memory=True)
    assert decoder2.network.model is decoder.network.model  # loaded once
    assert {encoder.digest, decoder.digest}.isdisjoint({encoder2.digest, decoder2.digest})
    before = picture(67, 100)
    latent, latent2 = (one.latent(Sample("a"), before).tensor for one in (encoder, encoder2))
    asked = request(latent, 67, 100)
    (pixels,), (pixels2,) = decoder.decode([asked]), decoder2.decode([asked])
    torch.testing.assert_close(latent2, latent, rtol=0, atol=1e-5)
    torch.testing.assert_close(pixels2, pixels, rtol=0, atol=1e-5)
    assert not torch.equal(pixels2, pixels)  # it is another computation


@pytest.mark.parametrize("case", [tiny.QWEN, tiny.RAE, tiny.TINY], ids=str)
def test_low_memory_is_refused_where_there_is_no_such_form(case, saved):
    with pytest.raises(UsageError, match="no exact low-memory form"):
        pair(case, saved(case), low_memory=True)
    with pytest.raises(UsageError, match=r"no exact low-memory form.*MiniVAE"):
        VAEDecoder("MiniVAE", "mini", device="cpu", low_memory=True)
