"""Spread over seeds against values derived by hand."""

import math
from dataclasses import replace

import pytest
import torch

from qa.metrics.lpips import LPIPS
from qa.metrics.spread import SeedDeviation, SeedSpread, deviation_map


def flat(*levels, height=20, width=30):
    return torch.stack([torch.full((3, height, width), v, dtype=torch.uint8) for v in levels])


def noise(seeds, deviation, side=128):
    values = torch.randn((seeds, 3, side, side), generator=torch.Generator().manual_seed(7))
    return (128 + deviation * values).round().to(torch.uint8)


def test_two_seeds_c_levels_apart():
    c = 12
    assert SeedDeviation()(flat(100, 100 + c), None) == [pytest.approx(c / math.sqrt(2))] * 2
    assert SeedDeviation()(flat(100 + c, 100), None) == SeedDeviation()(flat(100, 100 + c), None)


def test_three_seeds():
    """0, 3, 6: squared deviations 9 + 0 + 9 over 2 make 9."""
    assert SeedDeviation()(flat(0, 3, 6), None) == [3.0] * 3


def test_equal_seeds_have_none():
    assert SeedDeviation()(flat(255, 255, 255), None) == [0.0] * 3
    assert deviation_map(noise(1, 30).expand(4, -1, -1, -1)).abs().max() == 0


def test_one_channel_is_a_third_of_the_variance():
    pictures = flat(100, 100)
    pictures[1, 2] += 12
    assert SeedDeviation()(pictures, None)[0] == pytest.approx(12 / math.sqrt(2) / math.sqrt(3))


def test_the_map_shows_where():
    pictures = flat(100, 100)
    pictures[1, :, 4:6, 7] += 10
    found = deviation_map(pictures)
    assert found.shape == (20, 30)
    assert found.dtype == torch.float64
    assert found[4:6, 7].tolist() == [pytest.approx(10 / math.sqrt(2))] * 2
    found[4:6, 7] = 0
    assert found.sum() == 0


@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_the_variance_does_not_depend_on_how_many_seeds(seeds):
    """Noise of variance 100 (and 1/12 of rounding): the mean of 49152 estimates of relative
    variance 2 / (S - 1) each is within 4 of their standard errors."""
    variance = float(deviation_map(noise(seeds, 10)).square().mean())
    error = 100 * math.sqrt(2 / (seeds - 1) / (3 * 128 * 128))
    assert variance == pytest.approx(100 + 1 / 12, abs=4 * error)
    population = variance * (seeds - 1) / seeds  # dividing by S would have been seen
    assert population != pytest.approx(100 + 1 / 12, abs=4 * error)


def test_the_order_of_seeds_does_not_matter():
    pictures = noise(5, 40)
    assert torch.equal(deviation_map(pictures), deviation_map(pictures[[3, 0, 4, 2, 1]]))


@pytest.fixture
def spread(mirror):
    return SeedSpread()


def test_the_mean_over_seeds_is_the_mean_over_pairs(spread):
    pictures = noise(4, 40, side=40)
    lpips = LPIPS("alex")
    pairs = [lpips(pictures[j : j + 1], pictures[k])[0] for k in range(4) for j in range(k + 1, 4)]
    values = spread(pictures, None)
    assert sum(values) / 4 == pytest.approx(sum(pairs) / 6, rel=1e-12)
    assert values[0] == pytest.approx(sum(pairs[:3]) / 3, rel=1e-12)


def test_each_pair_is_computed_once(spread, monkeypatch):
    calls = []
    lpips = spread._lpips
    monkeypatch.setattr(
        spread, "_lpips", lambda p, r: calls.append(len(p)) or lpips(p, r)
    )  # fmt: skip
    spread(noise(4, 40, side=40), None)
    assert calls == [3, 2, 1]


def test_the_odd_one_out(spread):
    """Three equal seeds and one other: d, d, d and 3 d where pairs with it are d' = 3 d."""
    pictures = noise(2, 40, side=40)[[0, 0, 1, 0]]
    values = spread(pictures, None)
    assert values[0] == values[1] == values[3] > 0
    assert values[2] == pytest.approx(3 * values[0], rel=1e-12)


def test_no_seed_used_is_zero(spread):
    assert spread(noise(1, 40, side=40).expand(3, -1, -1, -1), None) == [0.0] * 3


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_seeds(spread, count):
    for metric in (spread, SeedDeviation()):
        with pytest.raises(ValueError, match=f"at least 2 pictures.*there is {count}: seeds=2"):
            metric(noise(count, 10, side=40), None)


class Positional(SeedDeviation):
    """Measures the distance from the first seed: another order, another value."""

    def __call__(self, pictures, reference):
        first = pictures[:1].expand_as(pictures)
        return [super(Positional, self).__call__(torch.stack(pair), reference)[0]
                for pair in zip(first, pictures, strict=True)]  # fmt: skip


def test_the_battery_sees_a_metric_that_depends_on_the_order(battery, all_cases):
    case = all_cases["seed_deviation"]
    assert "split" in battery.failures(replace(case, metric=Positional()))
    assert battery.failures(case) == {}


def test_the_battery_sees_a_metric_that_is_not_declared_as_one_of_all_seeds(battery, all_cases):
    case = replace(all_cases["seed_deviation"], together=False)
    assert "split" in battery.failures(case)
