"""The shipped autoencoder is the one its card describes, and its recipe is what made it."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import decoders.mini
from decoders.mini import pictures
from decoders.mini.pictures import TRAIN_PHOTOS, Pictures, held_out, psnr
from decoders.mini.train_vae import Recipe, VAETraining, measure
from decoders.mini.training import train
from decoders.mini.vae import FORMAT, MiniVAE
from qa.drawings import EVALUATION_SEEDS, KINDS
from qa.photographs import HELD_OUT, photograph

HERE = Path(decoders.mini.__file__).parent
WEIGHTS, CARD, NUMBERS = (HERE / f"vae_mini{end}" for end in (".safetensors", ".md", ".json"))
CPU = torch.device("cpu")
TOLERANCE = 0.02  # dB: float32 on another machine moves a few pixels by one level
TINY = Recipe(steps=3, pool=3, widths=(8, 16, 16), crops=((2, 64), (1, 128)))


@pytest.fixture(scope="module")
def model() -> MiniVAE:
    return MiniVAE.load(WEIGHTS)


@pytest.fixture(scope="module")
def card() -> dict:
    return json.loads(NUMBERS.read_text())


def deviations(model: MiniVAE, card: dict, shown: dict[str, list]) -> dict[str, float]:
    """Classes whose measured PSNR is not the one on the card, and by how many dB."""
    found = measure(model, CPU, shown)
    off = {kind: row["psnr"] - card["held_out"][kind]["psnr"] for kind, row in found.items()}
    return {kind: value for kind, value in off.items() if abs(value) > TOLERANCE}


def unseen(model: MiniVAE, out: Path) -> str:
    return ""


def tiny_run(tmp_path: Path) -> VAETraining:
    training = VAETraining(TINY, CPU)
    train(training, tmp_path, unseen)
    return training


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# ------------------------------------------------------------------------------------ the weights


def test_the_file_is_small_half_precision_and_says_what_it_is(model: MiniVAE) -> None:
    tensors = load_file(WEIGHTS)
    assert WEIGHTS.stat().st_size < 8e6
    assert {t.dtype for t in tensors.values()} == {torch.float16}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert 2.0e6 < sum(p.numel() for p in model.parameters()) < 2.2e6
    assert not model.training


def test_loading_is_strict(tmp_path: Path) -> None:
    path, header = tmp_path / "x.safetensors", {"format": FORMAT, "widths": "8,16,16"}
    tensors = MiniVAE((8, 16, 16)).state_dict()
    first = next(iter(tensors))
    save_file({k: v for k, v in tensors.items() if k != first}, path, header)
    with pytest.raises(RuntimeError, match="Missing key"):
        MiniVAE.load(path)
    save_file(tensors | {"stray": torch.zeros(1)}, path, header)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        MiniVAE.load(path)
    save_file(tensors, path, {"format": "something else"})
    with pytest.raises(ValueError, match="something else"):
        MiniVAE.load(path)
    save_file(tensors, path)
    with pytest.raises(ValueError, match="unknown format"):
        MiniVAE.load(path)


def test_weights_survive_a_round_trip_to_disk(model: MiniVAE, tmp_path: Path) -> None:
    model.save(tmp_path / "again.safetensors", steps="1")
    assert equal(MiniVAE.load(tmp_path / "again.safetensors").state_dict(), model.state_dict())


def test_the_module_needs_torch_numpy_and_safetensors_alone() -> None:
    code = (
        "import sys, decoders.mini.vae;"
        "print(sorted({'PIL', 'skimage', 'matplotlib', 'scipy', 'diffusers'} & set(sys.modules)))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ------------------------------------------------------------------------------------ the network


@pytest.mark.parametrize(("height", "width"), [(64, 64), (8, 8), (40, 104)])
def test_shapes(model: MiniVAE, height: int, width: int) -> None:
    mean, logvar = model.encode(torch.rand(2, 3, height, width))
    assert mean.shape == logvar.shape == (2, 16, height // 8, width // 8)
    assert model.decode(mean).shape == (2, 3, height, width)
    assert mean.dtype == logvar.dtype == torch.float32


@pytest.mark.parametrize("shape", [(1, 1, 64, 64), (1, 4, 64, 64), (3, 64, 64), (1, 3, 60, 64)])
def test_pixels_of_a_wrong_shape_are_refused(model: MiniVAE, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"pixels must be \[N,3,H,W\].*multiples of 8"):
        model.encode(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(1, 4, 8, 8), (1, 15, 8, 8), (16, 8, 8)])
def test_latents_of_a_wrong_shape_are_refused(model: MiniVAE, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"latents must be \[N,16,h,w\]"):
        model.decode(torch.zeros(shape))


@pytest.mark.parametrize("widths", [(8, 16), (8, 16, 20)])
def test_impossible_widths_are_refused(widths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="three multiples of 8"):
        MiniVAE(widths)


def test_a_picture_does_not_depend_on_its_batch(model: MiniVAE) -> None:
    batch = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    together = model.decode(model.encode(batch)[0])
    alone = model.decode(model.encode(batch[1:2])[0])
    assert torch.allclose(together[1:2], alone, atol=1e-4)


def test_latents_are_close_to_standard_normal(model: MiniVAE) -> None:
    crops = np.stack([photograph(name)[:256, :256] for name in ("astronaut.png", "coffee.png")])
    pixels = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
    deviation = model.encode(pixels)[0].std((0, 2, 3))
    assert ((deviation > 0.2) & (deviation < 2.5)).all()


def test_the_closed_form_start_whitens_and_restores_what_16_numbers_can_hold() -> None:
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(4000, 16))
    codes -= codes.mean(0)
    blocks = 0.5 + 0.01 * codes @ rng.normal(size=(16, 192))
    pixels = torch.from_numpy(blocks.reshape(-1, 3, 8, 8)).float()
    model = MiniVAE((8, 16, 16))
    model.start_from(pixels.numpy())
    with torch.no_grad():
        latents = model.encode(pixels)[0]
        restored = model.decode(latents)
    flat = latents.flatten(1)
    assert torch.allclose(restored, pixels, atol=1e-5)
    assert torch.allclose(flat.T @ flat / len(flat), torch.eye(16), atol=1e-3)


# ------------------------------------------------------------------------------------ the card


@pytest.mark.slow
def test_the_numbers_on_the_card_are_what_the_weights_give(model: MiniVAE, card: dict) -> None:
    shown = held_out()
    assert {kind: len(p) for kind, p in shown.items()} == {
        kind: row["count"] for kind, row in card["held_out"].items()
    }
    assert deviations(model, card, shown) == {}


def test_the_card_would_notice_other_weights(card: dict) -> None:
    model = MiniVAE.load(WEIGHTS)
    model.linear_out.weight.mul_(1.02)
    assert "photo" in deviations(model, card, {"photo": held_out(0)["photo"]})


def test_photographs_reach_what_the_demo_needs(card: dict) -> None:
    assert card["held_out"]["photo"]["psnr"] >= 31.5
    assert card["held_out"]["photo"]["count"] == 6


def test_the_card_for_people_has_the_same_numbers(card: dict) -> None:
    text = CARD.read_text()
    assert card["sha256"] == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert card["sha256"] in text
    assert f"{card['steps']:,} steps" in text
    assert f"{card['minutes']:g} minutes" in text
    for kind, row in card["held_out"].items():
        assert f"| {kind} | {row['count']} | {row['psnr']:.2f} | {row['psnr_min']:.2f} |" in text


def test_psnr_is_48_13_db_for_one_level_everywhere() -> None:
    grey = np.full((8, 8, 3), 100, np.uint8)
    assert psnr(grey, grey + np.uint8(1)) == pytest.approx(48.1308, abs=1e-4)
    assert psnr(grey, grey) == float("inf")


# ------------------------------------------------------------------------------------ the recipe


def test_training_never_sees_what_measures_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not set(TRAIN_PHOTOS) & set(HELD_OUT)
    trained = [photograph(name).tobytes() for name in set(TRAIN_PHOTOS)]
    assert not {photograph(name).tobytes() for name in HELD_OUT} & set(trained)
    seeds: dict[str, list[int]] = {"train": [], "held out": []}
    phase, draw = "train", pictures.draw

    def spy(kind: str, seed: int) -> object:
        seeds[phase].append(seed)
        return draw(kind, seed, 128)

    monkeypatch.setattr(pictures, "draw", spy)
    source = Pictures(seed=0, pool=2, crops=((2, 64),))
    for step in (0, 1, 50, EVALUATION_SEEDS - 1, EVALUATION_SEEDS, 3 * EVALUATION_SEEDS):
        source.batch(step)
    for step in range(EVALUATION_SEEDS - 4, EVALUATION_SEEDS + 4):
        source.drawing(step % 2, step)
    phase = "held out"
    assert set(held_out(3)) == {"photo", *KINDS}
    assert seeds["train"]
    assert max(seeds["train"]) < EVALUATION_SEEDS <= min(seeds["held out"])


def test_held_out_pictures_are_whole_crops() -> None:
    for crops in held_out(1).values():
        assert all(c.shape == (256, 256, 3) and c.dtype == np.uint8 for c in crops)


def test_a_batch_follows_from_seed_and_step() -> None:
    first, second = (Pictures(0, pool=3, crops=((2, 64),)) for _ in range(2))
    first.batch(0)
    assert np.array_equal(first.batch(7), second.batch(7))
    assert not np.array_equal(first.batch(7), first.batch(8))
    other = Pictures(1, pool=3, crops=((2, 64),))
    assert not np.array_equal(first.batch(7), other.batch(7))


def test_two_runs_of_a_recipe_give_equal_weights(tmp_path: Path) -> None:
    one, two = tiny_run(tmp_path), tiny_run(tmp_path)
    assert one.step == two.step == 3
    assert equal(one.average, two.average)
    assert equal(one.model.state_dict(), two.model.state_dict())
    assert not equal(one.average, VAETraining(TINY, CPU).average)


def test_a_run_that_was_cut_off_ends_like_one_that_was_not(tmp_path: Path) -> None:
    cut = VAETraining(TINY, CPU)
    cut.advance()
    cut.save(tmp_path / "checkpoint.pt")
    resumed = VAETraining(TINY, CPU)
    resumed.resume(tmp_path / "checkpoint.pt")
    train(resumed, tmp_path, unseen)
    assert equal(resumed.average, tiny_run(tmp_path).average)
