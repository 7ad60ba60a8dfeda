"""NIQE: its steps against laws and pyiqa, its file, its borders."""

import numpy as np
import pytest
import torch
from quality_weights import PRISTINE, at_hand, niqe_parameters

from qa.errors import UsageError
from qa.metrics import niqe
from qa.metrics.niqe import NIQE
from qa.photographs import photograph


def photo(name):
    return torch.from_numpy(photograph(name).transpose(2, 0, 1).copy())


@pytest.fixture(scope="module")
def metric():
    with at_hand("niqe_pris_params.npz"):
        return NIQE()


def grained(picture, deviation):
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(1)) * deviation
    return (picture + noise).round().clamp(0, 255).byte()


@pytest.mark.parametrize("name", PRISTINE)
@pytest.mark.parametrize("deviation", [0, 8])
def test_equal_to_pyiqa(metric, name, deviation):
    pyiqa = pytest.importorskip("pyiqa", reason="an optional extra")
    with at_hand("niqe_modelparameters.mat") as folder:
        path = str(folder / "niqe_modelparameters.mat")
        package = pyiqa.create_metric("niqe", device="cpu", pretrained_model_path=path)
    picture = grained(photo(name), deviation)
    value = metric(picture[None], None)[0]
    assert value == pytest.approx(float(package(picture[None] / 255)), abs=5e-6)
    if deviation:  # a shifted window is another value: the comparison can fail
        moved = metric(picture[None, :, 1:, 1:], None)[0]
        assert abs(moved - value) > 1e-3


def test_flat_areas_count_as_in_pyiqa(metric):
    """Half of the picture is grey or black: one is not the other, and both agree with pyiqa."""
    pyiqa = pytest.importorskip("pyiqa.archs.niqe_arch", reason="an optional extra")
    mean, covariance = (torch.from_numpy(p) for p in niqe_parameters())
    values = []
    for level in (0, 128):
        picture = photo("coffee.png")
        picture[:, :, 250:] = level
        values += metric(picture[None], None)
        wanted = pyiqa.calculate_niqe(
            picture[None] / 255, mu_pris_param=mean, cov_pris_param=covariance
        )
        assert values[-1] == pytest.approx(float(wanted), abs=1e-4)
    assert abs(values[0] - values[1]) > 1e-3


def test_photographs_are_better_than_noise(metric):
    clean = photo("chelsea.png")
    values = metric(torch.stack([clean, grained(clean, 8), grained(clean, 60)]), None)
    assert values == sorted(values)


def test_zero_only_for_the_pristine_mean():
    """eq. 10 with n = p; any other n is farther away."""
    features = torch.randn(50, 36, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    eye = torch.eye(36, dtype=torch.float64)
    assert niqe.distance(features, features.mean(0), eye) < 1e-12
    shifted = features.mean(0) + torch.eye(36, dtype=torch.float64)[3]
    assert niqe.distance(features, shifted, eye) > 0.5


@pytest.mark.parametrize("a", [0.5, 1.0, 2.0, 6.0])
def test_fit_finds_the_shape(a):
    """Samples of a generalised Gaussian: |v| = scale * Gamma(1/a)^(1/a)."""
    rng = np.random.default_rng(3)
    v = rng.gamma(1 / a, size=200_000) ** (1 / a) * rng.choice([-2.0, 2.0], 200_000)
    fit = niqe._fit(torch.from_numpy(v)[None])
    assert float(fit.a) == pytest.approx(a, rel=0.03)
    assert float(fit.left) == pytest.approx(2, rel=0.03)
    assert float(fit.right) == pytest.approx(2, rel=0.03)


def test_fit_tells_left_from_right():
    rng = np.random.default_rng(3)
    v = rng.normal(size=100_000)
    fit = niqe._fit(torch.from_numpy(np.where(v < 0, v, 3 * v))[None])
    assert float(fit.right / fit.left) == pytest.approx(3, rel=0.02)


def test_a_flat_block_has_no_scale_and_the_least_shape():
    fit = niqe._fit(torch.zeros(1, 8, 8, dtype=torch.float64))
    assert float(fit.a) == 0.2
    assert fit.left.isnan()


def test_halving_keeps_what_is_flat_and_ramps():
    flat = torch.full((96, 192), 77.0, dtype=torch.float64)
    assert torch.equal(niqe.halved(flat), flat[:48, :96])
    ramp = torch.arange(96, dtype=torch.float64)[:, None].expand(96, 96)
    small = niqe.halved(ramp)[4:-4]
    assert torch.allclose(small[:, 0], torch.arange(8, 88, 2, dtype=torch.float64) + 0.5)
    stripes = torch.zeros(96, 96, dtype=torch.float64)
    stripes[::2] = 255  # the finest there are: antialiasing leaves their mean
    assert (niqe.halved(stripes)[4:-4] - 127.5).abs().max() < 1e-9


def test_blocks_and_their_order():
    grey = torch.rand(200, 300, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    features = niqe.block_features(grey * 255)
    assert features.shape == (2 * 3, 36)
    other = grey.clone()
    other[:, 288:] = 0  # beyond the last whole block: not looked at
    other[192:] = 0
    assert torch.equal(niqe.block_features(other * 255), features)
    other[0, 240] = 0
    changed = (niqe.block_features(other * 255) != features).any(dim=1)
    assert changed.tolist() == [False, False, True, False, False, False]


def test_luma_is_a_choice(metric):
    with at_hand("niqe_pris_params.npz"):
        other = NIQE(colour="ycbcr")
        with pytest.raises(UsageError, match="colour=yiq or ycbcr"):
            NIQE(colour="lab")
    picture = photo("coffee.png")[None]
    assert abs(other(picture, None)[0] - metric(picture, None)[0]) > 1e-3
    assert other.facts.protocol["colour"] != metric.facts.protocol["colour"]


def test_grey_is_pyiqas():
    util = pytest.importorskip("pyiqa.utils.color_util", reason="an optional extra")
    values = torch.arange(0, 256, 3)
    colours = torch.cartesian_prod(values, values, torch.arange(256)).byte().T.reshape(3, 86, -1)
    wanted = util.to_y_channel(colours[None] / 255, 255)[0, 0].double()
    assert torch.equal(niqe.grey_of(colours), wanted)
    thousandths = torch.tensor([299, 587, 114]) @ colours.long().flatten(1)
    exact = ((thousandths + 500) // 1000).double().reshape(wanted.shape)
    assert 0 < (exact != wanted).double().mean() < 1e-3


def test_refuses_what_has_no_structure(metric):
    flat = torch.full((3, 192, 192), 90, dtype=torch.uint8)
    flat[:, 20:60, 20:60] = photo("coffee.png")[:, :40, :40]
    with pytest.raises(ValueError, match="only 1 of 4 blocks"):
        metric(flat[None], None)


def test_other_files_are_refused(tmp_path):
    mean, covariance = niqe_parameters()
    files = {
        "pickled": {"mu_pris_param": np.array([{}], dtype=object), "cov_pris_param": covariance},
        "other": {"mu": mean, "cov": covariance},
        "shape": {"mu_pris_param": mean[:35], "cov_pris_param": covariance},
    }
    for name, arrays in files.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        with pytest.raises(UsageError, match="qa assets verify"):
            niqe.load_parameters(tmp_path / f"{name}.npz")
    (tmp_path / "text.npz").write_text("no file of arrays")
    with pytest.raises(UsageError, match=r"text\.npz does not hold"):
        niqe.load_parameters(tmp_path / "text.npz")
    np.savez(tmp_path / "good.npz", mu_pris_param=mean[None], cov_pris_param=covariance)
    assert np.array_equal(niqe.load_parameters(tmp_path / "good.npz")[0], mean)
