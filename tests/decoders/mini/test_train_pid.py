"""The recipe of the small PiD: its data, its start, its loss, and that runs can be repeated."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from decoders.mini import train_pid
from decoders.mini.pages import page, picture
from decoders.mini.pid import CHECKPOINT, to_file
from decoders.mini.pid_start import GAIN, ridge, scale_of, start
from decoders.mini.train_pid import (
    CELL,
    CROP,
    MOST_SIGMA,
    Pages,
    PiDTraining,
    Recipe,
    cascade,
    condition_of,
    corrupted,
    decode,
    distance,
    encode,
    later_times,
    optimizers,
    predicted,
    psnr,
)
from decoders.mini.training import CPU, train
from decoders.pid.network import PiDNetwork
from decoders.pid.registry import load
from decoders.pid.samplers import STUDENT_TIMES

SIZES = {**CHECKPOINT.sizes, "hidden": 64, "heads": 2, "pixel_width": 16, "pixel_heads": 2}
SMALL = replace(CHECKPOINT, sizes=SIZES, adapter={"width": 64, "blocks": 1})
TINY = Recipe(steps=3, batch=2, pool=2, first=3)


@pytest.fixture(autouse=True)
def _small(one_thread, monkeypatch):
    monkeypatch.setattr(train_pid, "CHECKPOINT", SMALL)


def tiny_run(tmp_path: Path) -> PiDTraining:
    training = PiDTraining(TINY)
    train(training, tmp_path, lambda model, out: "")
    return training


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


# ------------------------------------------------------------------------------------------- data


def test_pages_follow_from_their_number() -> None:
    assert np.array_equal(picture(3), picture(3))
    pictures = [picture(number) for number in range(12)]
    assert all(p.shape == (256, 256, 3) and p.dtype == np.uint8 for p in pictures)
    assert len({p.tobytes() for p in pictures}) == len(pictures)


def test_pages_have_ink_of_many_sizes() -> None:
    """Rows without ink lie between lines; their number tells the height of the letters."""
    counts = []
    for number in range(40):
        steps = np.abs(np.diff(page(number).astype(int), axis=1)) > 40
        rows = steps.any((1, 2))
        counts.append(int((np.diff(rows.astype(int)) == 1).sum()))
    assert min(counts) >= 1
    assert max(counts) > 3 * min(counts)


def test_crops_lie_on_the_cells_of_their_latents() -> None:
    pages = Pages(replace(TINY, batch=1, pool=1), CPU)
    x, z = pages.batch(0)
    assert x.shape == (1, 3, CROP, CROP)
    assert z.shape == (1, 16, CROP // CELL, CROP // CELL)
    whole, latent = pages.page(0)
    cells = 256 // CELL - CROP // CELL + 1
    places = [(r, c) for r in range(cells) for c in range(cells)]
    found = [(r, c) for r, c in places if torch.equal(latent[:, r : r + 8, c : c + 8], z[0])]
    (row, column) = found[0]
    top, left = row * CELL, column * CELL
    cut = torch.from_numpy(whole[top : top + CROP, left : left + CROP]).permute(2, 0, 1)
    assert len(found) == 1
    assert torch.equal(x[0], cut.float() / 255 * 2 - 1)


def test_latents_are_those_of_the_page_at_half_its_size() -> None:
    """Each pixel doubled, the page encodes to what the autoencoder makes of the original."""
    pages = Pages(TINY, CPU)
    small = picture(1)[:128, :128]
    doubled = small.repeat(2, 0).repeat(2, 1)
    expected = pages.vae.encode(torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255)[0]
    assert torch.allclose(encode(pages.vae, [doubled]), expected, atol=1e-6)
    assert not torch.allclose(encode(pages.vae, [doubled[:, ::-1].copy()]), expected, atol=0.1)


def test_a_batch_follows_from_seed_and_step() -> None:
    first, second = Pages(TINY, CPU), Pages(TINY, CPU)
    for step in range(3):
        first.batch(step)
    assert torch.equal(first.batch(3)[0], second.batch(3)[0])
    assert not torch.equal(first.batch(3)[0], first.batch(4)[0])
    other = Pages(replace(TINY, seed=1), CPU)
    assert not torch.equal(first.batch(3)[1], other.batch(3)[1])


def test_the_pool_moves_on() -> None:
    pages = Pages(replace(TINY, pool=3), CPU)
    for step in range(6):
        pages.batch(step)
    assert set(pages._kept) <= {5, 6, 7}


# ------------------------------------------------------------------------------------------ start


def linear_world(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pages that are a linear map of their latent's cells, [-1,1], and the latents."""
    generator = torch.Generator().manual_seed(7)
    z = torch.randn(count, 16, 4, 4, generator=generator)
    paint = torch.randn(16, 3, CELL, CELL, generator=generator) * 0.12
    x = torch.nn.functional.conv_transpose2d(z, paint, stride=CELL)
    return x, z


def first_picture(network: PiDNetwork, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(9))
    t = torch.full((len(x),), STUDENT_TIMES[0])
    return predicted(network, noise, t, condition_of(network, z, torch.zeros(len(x))))


@torch.no_grad()
def test_the_start_decodes_what_is_linear() -> None:
    torch.manual_seed(0)
    network, (x, z) = PiDNetwork(SMALL.config()), linear_world(256)
    start(network, x[:224], z[:224], torch.Generator().manual_seed(0))
    error = (first_picture(network, x[224:], z[224:]) - x[224:]).square().mean()
    shuffled = (first_picture(network, x[224:], z[224:].flip(0)) - x[224:]).square().mean()
    # A latent that says nothing leaves the page's own power; of another page, twice that.
    assert error < 0.2 * x.var()
    assert shuffled > x.var()


@torch.no_grad()
def test_noise_passes_through_the_start() -> None:
    """v = x - x0: where the noise changes, the velocity changes by as much."""
    torch.manual_seed(0)
    network, (x, z) = PiDNetwork(SMALL.config()), linear_world(64)
    start(network, x, z, torch.Generator().manual_seed(0))
    condition, t = condition_of(network, z[:4], torch.zeros(4)), torch.full((4,), 1000.0)
    one, two = torch.randn(2, 4, *x.shape[1:], generator=torch.Generator().manual_seed(1))

    def passed() -> float:
        change = network(one, t, condition) - network(two, t, condition)
        return float((change * (one - two)).sum() / (one - two).square().sum())

    assert passed() == pytest.approx(1, abs=0.03)
    network.final_layer.linear.weight.mul_(0.8)
    assert passed() == pytest.approx(0.8, abs=0.03)


def test_ridge_finds_a_linear_map() -> None:
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(200, 5, generator=generator).double()
    weight = torch.randn(5, 3, generator=generator).double()
    assert torch.allclose(ridge(inputs, inputs @ weight, 1e-9), weight, atol=1e-6)
    # By hand, one input: w = Σxy / (Σx² + λ Σx²).
    assert ridge(torch.ones(4, 1), torch.ones(4, 1), 1.0).item() == pytest.approx(0.5)


# ------------------------------------------------------------------------------------------- loss


def test_the_distance_by_hand() -> None:
    x = torch.zeros(1, 3, 4, 4)
    assert distance(x, x) == 0
    assert distance(x + 0.5, x).item() == pytest.approx(0.5 + 0 + 0.25 + 0.25)
    stripes = torch.tensor([1.0, -1.0, 1.0, -1.0]).expand(1, 3, 4, 4)
    # |y-x| = 1, its square too; across neighbours 2, down 0; half size: 0.
    assert distance(stripes, x).item() == pytest.approx(1 + 2 / 2 + 1)


def test_noise_levels_and_times() -> None:
    generator = torch.Generator().manual_seed(0)
    sigma = corrupted(4000, generator)
    assert (sigma > 0).float().mean().item() == pytest.approx(0.4, abs=0.03)
    assert sigma[sigma > 0].mean().item() == pytest.approx(MOST_SIGMA / 2, abs=0.02)
    assert sigma.max() <= MOST_SIGMA
    times = later_times(300, generator)
    assert set(times.tolist()) == set(torch.tensor(STUDENT_TIMES[1:-1]).tolist())


def test_every_weight_is_learned_once_and_in_its_own_units() -> None:
    network = PiDNetwork(SMALL.config())
    groups = [group for o in optimizers(network, 1.0) for group in o.param_groups]
    weights = [id(weight) for group in groups for weight in group["params"]]
    assert sorted(weights) == sorted(id(weight) for weight in network.parameters())
    assert scale_of("pixel_blocks.0.mlp.fc2.weight") == GAIN / 2
    assert scale_of("patch_blocks.0.attn.proj_x.weight") == 1


# ------------------------------------------------------------------------------------------- runs


def test_two_runs_are_equal_and_one_that_was_cut_off_ends_like_them(tmp_path: Path) -> None:
    one, two = tiny_run(tmp_path), tiny_run(tmp_path)
    assert one.step == two.step == 3
    assert equal(one.average, two.average)
    cut = PiDTraining(TINY)
    assert not equal(one.average, cut.average)
    cut.advance()
    cut.save(tmp_path / "checkpoint.pt")
    resumed = PiDTraining(TINY)
    resumed.resume(tmp_path / "checkpoint.pt")
    train(resumed, tmp_path, lambda model, out: "")
    assert equal(resumed.average, one.average)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    network = PiDTraining(TINY).averaged()
    file = tmp_path / "pid.safetensors"
    to_file(file, network, steps="0")
    again = load(file, SMALL, CPU)
    assert equal(network.state_dict(), again.state_dict())


def test_the_cascade_is_the_autoencoder_and_bicubic() -> None:
    """A grey page stays grey, and pictures have twice the size of what was encoded."""
    pages = Pages(TINY, CPU)
    grey = np.full((64, 96, 3), 128, np.uint8)
    z = encode(pages.vae, [grey])
    assert z.shape == (1, 16, 4, 6)
    made = cascade(pages.vae, z)
    assert made.shape == (1, 3, 64, 96)
    assert psnr(made, torch.full_like(made, 128)) > 30


def test_decoding_is_seeded() -> None:
    network, (_, z) = PiDTraining(TINY).averaged(), linear_world(2)
    one, same, other = (decode(network, z, 0.0, 2, seed) for seed in (1, 1, 2))
    assert one.shape == (2, 3, 64, 64)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
