"""The shipped pid_mini: its file, what it decodes, and that its card says what it does."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from decoders.mini.pid import CHECKPOINT, FORMAT, WEIGHTS, PiDMini
from decoders.mini.train_pid import cascade, decode, encode, psnr
from decoders.mini.vae import MiniVAE
from decoders.pid.network import PiDNetwork
from decoders.pid.registry import load
from qa import seeds
from qa.errors import QaError, UsageError
from qa.traits import traits
from qa.types import DecodeRequest, Knobs
from suites.legibility.pages import draw_page

Script = Callable[[str], ModuleType]
CARD, NUMBERS = WEIGHTS.with_suffix(".md"), WEIGHTS.with_suffix(".json")


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    pass


@pytest.fixture(scope="module")
def decoder() -> PiDMini:
    return PiDMini(device="cpu")


@pytest.fixture(scope="module")
def vae() -> MiniVAE:
    return MiniVAE.load(WEIGHTS.with_name("vae_mini.safetensors"))


@pytest.fixture(scope="module")
def pages() -> torch.Tensor:
    """Twelve held-out pages, uint8 [12,3,256,256]: four each of 12, 16 and 24 pixels."""
    drawn = [draw_page(cap, number).image for cap in (12, 16, 24) for number in range(4)]
    return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def latents(vae: MiniVAE, pages: torch.Tensor) -> torch.Tensor:
    return encode(vae, list(pages.permute(0, 2, 3, 1).numpy()))


def request(latent: torch.Tensor, seed: int = 0, **changes) -> DecodeRequest:
    side = latent.shape[-1] * 16
    return DecodeRequest("s", seed, "content", side, side, latent, **changes)


# --------------------------------------------------------------------------------------- the file


def test_the_file_is_small_half_precision_and_says_what_it_is() -> None:
    assert WEIGHTS.stat().st_size <= 16_000_000
    assert {t.dtype for t in load_file(WEIGHTS).values()} == {torch.float16}
    with safe_open(WEIGHTS, framework="pt") as file:
        assert file.metadata()["format"] == FORMAT
        assert file.metadata()["license"] == "Apache-2.0"


def test_it_is_the_network_of_pid_and_loading_is_strict(tmp_path: Path) -> None:
    state = load_file(WEIGHTS)
    assert set(state) == set(PiDNetwork(CHECKPOINT.config()).state_dict())
    state.pop("final_layer.linear.bias")
    save_file(state, tmp_path / "less.safetensors")
    with pytest.raises(UsageError, match=r"final_layer\.linear\.bias"):
        load(tmp_path / "less.safetensors", CHECKPOINT, torch.device("cpu"))


# ------------------------------------------------------------------------------------ the decoder


def test_what_it_says_of_itself(decoder: PiDMini) -> None:
    known = traits(decoder)
    assert (known.scale, known.needs_prompt) == (2, False)
    assert decoder.space.name == "mini"
    assert decoder.knobs == {"steps"}
    assert decoder.licence == "Apache-2.0"
    assert any("trained without text" in note for note in decoder.notes)


def test_a_request_is_decoded_with_the_noise_of_its_sample(
    decoder: PiDMini, latents: torch.Tensor
) -> None:
    """By hand: two steps, the noises of `qa.seeds`."""
    latent = latents[0, :, :8, :8]
    (made,) = decoder.decode([request(latent, seed=3, knobs=Knobs(steps=2))])
    shape = (3, 128, 128)
    noise = [
        seeds.noise(stream, "content", 3, shape)[None]
        for stream in (seeds.INITIAL_NOISE, seeds.renoise(0))
    ]
    network = load(WEIGHTS, CHECKPOINT, torch.device("cpu"))
    text = torch.zeros(1, 1, CHECKPOINT.config().text_width)
    condition = network.condition(text, 128, 128, latent[None], torch.zeros(1))
    with torch.no_grad():
        v = network(noise[0], torch.tensor([999.0]), condition)
        x0 = (noise[0].double() - 0.999 * v.double()).float()
        x = (1 - 0.634) * x0 + 0.634 * noise[1]
        v = network(x, torch.tensor([634.0]), condition)
        x0 = (x.double() - 0.634 * v.double()).float()
    assert torch.allclose(made, (x0[0] + 1) / 2, atol=1e-5)


def test_sizes_that_no_cell_ends_at_are_cut(decoder: PiDMini) -> None:
    latent = torch.randn(16, 9, 8, generator=torch.Generator().manual_seed(0))
    (made,) = decoder.decode([DecodeRequest("s", 0, "c", 130, 128, latent, knobs=Knobs(steps=1))])
    assert made.shape == (3, 130, 128)


@pytest.mark.parametrize("knobs", [Knobs(steps=5), Knobs(steps=0)])
def test_steps_it_does_not_have_are_refused(decoder: PiDMini, knobs: Knobs) -> None:
    with pytest.raises(UsageError, match="1 to 4"):
        decoder.check_knobs(knobs)


def test_a_latent_of_another_size_is_refused(decoder: PiDMini, latents: torch.Tensor) -> None:
    with pytest.raises(QaError, match="encode the picture at 1/2"):
        decoder.decode([DecodeRequest("s", 0, "c", 512, 512, latents[0])])


# --------------------------------------------------------------------------------------- its deeds


def mean_psnr(decoder: PiDMini, z: torch.Tensor, pages: torch.Tensor, sigma: float) -> list[float]:
    """PSNR of each page, dB."""
    made = decode(decoder.network, z, sigma, steps=4, seed=1)
    return [psnr(y[None], x[None]) for y, x in zip(made, pages, strict=True)]


def noisy(latents: torch.Tensor, sigma: float) -> torch.Tensor:
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(2))
    return (1 - sigma) * latents + sigma * noise


def interval(differences: list[float]) -> tuple[float, float]:
    """Mean and half the width of its 95 % interval (t, n - 1 degrees of freedom)."""
    from scipy.stats import t

    values = np.array(differences)
    return values.mean(), t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5


def test_noise_on_the_latent_costs_fidelity_and_less_than_it_costs_the_autoencoder(
    decoder: PiDMini, vae: MiniVAE, latents: torch.Tensor, pages: torch.Tensor
) -> None:
    """Each step of sigma loses PSNR, with intervals; at 0.2 and 0.4 PiD is ahead by 1 dB."""
    found = {}
    for sigma in (0.0, 0.2, 0.4):
        z = noisy(latents, sigma)
        found[sigma] = mean_psnr(decoder, z, pages, sigma)
        if sigma:
            classical = [
                psnr(y[None], x[None]) for y, x in zip(cascade(vae, z), pages, strict=True)
            ]
            mean, half = interval(np.subtract(found[sigma], classical).tolist())
            assert mean - half > 1.0
    for less, more in ((0.0, 0.2), (0.2, 0.4)):
        mean, half = interval(np.subtract(found[less], found[more]).tolist())
        assert mean - half > 0


def test_the_gate_is_what_hears_sigma(decoder: PiDMini, latents: torch.Tensor) -> None:
    """The same noisy latent, told that it is clean, decodes otherwise and worse."""
    z = noisy(latents[:6], 0.4)
    told, untold = (decode(decoder.network, z, sigma, 4, seed=1) for sigma in (0.4, 0.0))
    truth = decode(decoder.network, latents[:6], 0.0, 4, seed=1)
    gains = [
        psnr(a[None], c[None]) - psnr(b[None], c[None])
        for a, b, c in zip(told, untold, truth, strict=True)
    ]
    mean, half = interval(gains)
    assert mean - half > 0


# ---------------------------------------------------------------------------------------- the card


@pytest.fixture(scope="module")
def card() -> dict:
    return json.loads(NUMBERS.read_text())


def test_the_card_is_of_this_file(card: dict) -> None:
    text = CARD.read_text()
    assert card["sha256"] == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert card["sha256"] in text
    assert f"| steps | {card['steps']:,} |" in text


@pytest.mark.parametrize("sigma", ["0", "0.4"])
def test_the_first_pages_measure_what_the_card_was_made_from(
    card: dict, script: Script, tmp_path: Path, sigma: str
) -> None:
    scorer = script("score_pid_mini")
    words = ("decoder=pid_mini", "suite.pages=1", "metric=[psnr,hf_energy]")
    run = scorer.measured(tmp_path, *words, f"knobs.sigma={sigma}")
    found = {metric: scorer.mean(run, metric) for metric in ("psnr", "hf_energy")}
    # float32 on another machine; a step fewer or another sigma changes far more.
    assert found == pytest.approx(card["first"][sigma], abs=0.02)
    other = card["first"]["0.4" if sigma == "0" else "0"]
    assert found != pytest.approx(other, abs=0.02)


def test_the_card_for_people_is_filled_in_from_the_numbers(card: dict, script: Script) -> None:
    scorer, text = script("score_pid_mini"), CARD.read_text()
    assert scorer.filled(text, card) == text
    other = json.loads(json.dumps(card))
    other["sigma"]["0"]["psnr"]["ours"] += 1
    assert scorer.filled(text, other) != text
    assert len(re.findall(r"^\| \d", text, re.MULTILINE)) == len(card["sigma"]) + 5 * len(
        card["fewer"]
    )
