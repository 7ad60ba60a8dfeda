"""Fréchet distance: closed forms, laws, and three libraries on the same features."""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np
import pytest
import scipy
import scipy.linalg

from qa.errors import UsageError
from qa.sets.frechet import Frechet, Moments, distance

THIN, WIDE = (12, 40), (300, 16)
"""Shapes [n,d] of the two ways to compute it: fewer rows than features, and more."""


def rows(shape, seed=0, mean=0.3):
    rng = np.random.default_rng(seed)
    spread = np.arange(1, shape[1] + 1) ** -0.5
    return mean + rng.normal(size=shape) * spread


def textbook(x, y, ddof=1):
    """The definition, by the eigenvalues of a product that is not symmetric."""
    s, t = np.cov(x, rowvar=False, ddof=ddof), np.cov(y, rowvar=False, ddof=ddof)
    eigenvalues = scipy.linalg.eigvals(s @ t)
    common = np.sqrt(eigenvalues.astype(complex)).real.sum()
    shift = x.mean(axis=0) - y.mean(axis=0)
    return shift @ shift + np.trace(s) + np.trace(t) - 2 * common


@pytest.mark.parametrize("rotated", [False, True])
def test_covariances_that_commute_have_a_closed_form(rotated):
    rng = np.random.default_rng(1)
    a, b, shift = rng.uniform(0.5, 4, 9), rng.uniform(0.5, 4, 9), rng.normal(size=9)
    q = np.linalg.qr(rng.normal(size=(9, 9)))[0] if rotated else np.eye(9)
    x = Moments.given(shift, q @ np.diag(a) @ q.T)
    y = Moments.given(np.zeros(9), q @ np.diag(b) @ q.T)
    expected = shift @ shift + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    assert distance(x, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [THIN, WIDE])
@pytest.mark.parametrize(("a", "b"), [(1.0, 0.5), (0.5, 0.0), (3.0, -1.0)])
def test_scaled_and_shifted_rows_have_a_closed_form(shape, a, b):
    """S of ax+b is a²S, so Tr (S a²S)^½ = a Tr S and FD = |(a-1)m + b|² + (a-1)² Tr S."""
    x = rows(shape)
    shift = (a - 1) * x.mean(axis=0) + b
    expected = shift @ shift + (a - 1) ** 2 * x.var(axis=0, ddof=1).sum()
    assert Frechet(a * x + b)(x) == pytest.approx(expected, rel=1e-7)
    biased = shift @ shift + (a - 1) ** 2 * x.var(axis=0).sum()
    if a != 1:  # negative control: the divisor n fails the same check
        assert Frechet(a * x + b)(x) != pytest.approx(biased, rel=1e-7)


@pytest.mark.parametrize("shape", [THIN, WIDE, (16, 16), (17, 16)])
def test_equal_sets_are_at_exactly_zero(shape):
    x = rows(shape)
    assert Frechet(x)(x.copy()) == 0.0
    assert Frechet(x)(np.nextafter(x, 9)) >= 0.0


@pytest.mark.parametrize("shape", [THIN, WIDE])
def test_the_order_of_rows_does_not_matter(shape):
    x = rows(shape)
    shuffled = np.random.default_rng(2).permutation(x)
    assert 0 <= Frechet(x)(shuffled) < 1e-9 * Moments.of(x).trace
    y = rows(shape, 3)
    assert Frechet(y)(shuffled) == pytest.approx(Frechet(y)(x), rel=1e-10)


@pytest.mark.parametrize("n", [12, 60])
@pytest.mark.parametrize("m", [15, 70])
def test_every_pair_of_ways_is_the_textbook(n, m):
    """Sets of fewer rows than features (20), of more, and one of each."""
    x, y = rows((n, 20)), rows((m, 20), 1, mean=0.0)
    assert Frechet(y)(x) == pytest.approx(textbook(x, y), rel=1e-6)
    # negative controls: the same check tells the divisor n, and a forgotten mean
    assert Frechet(y)(x) != pytest.approx(textbook(x, y, ddof=0), rel=1e-6)
    assert Frechet(y)(x) != pytest.approx(textbook(x - x.mean(0), y - y.mean(0)), rel=1e-6)


def test_the_two_ways_agree_on_the_same_rows():
    x, y = rows(THIN), rows((20, 40), 1)
    thin = [Moments.of(part) for part in (x, y)]
    wide = [Moments.given(part.mean, part.covariance) for part in thin]
    # the covariances are singular: √1e-16 of the largest eigenvalue for each of 40 features
    tolerance = 40 * 1e-8 * thin[0].trace
    for first in (thin[0], wide[0]):
        for second in (thin[1], wide[1]):
            assert distance(first, second) == pytest.approx(distance(*thin), abs=tolerance)


def test_it_is_the_matrix_square_root():
    x, y = rows(WIDE), rows((400, 16), 1, mean=0.0)
    s, t = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    shift = x.mean(axis=0) - y.mean(axis=0)
    root = scipy.linalg.sqrtm(s @ t)
    expected = shift @ shift + np.trace(s) + np.trace(t) - 2 * np.trace(root.real)
    assert Frechet(y)(x) == pytest.approx(expected, rel=1e-10)


@pytest.mark.skipif(
    tuple(map(int, scipy.__version__.split(".")[:2])) >= (1, 18),
    reason="clean-fid 0.1.35 calls sqrtm as SciPy before 1.18 had it",
)
def test_it_is_what_clean_fid_computes():
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        fid = pytest.importorskip("cleanfid.fid", exc_type=ImportError)
        x, y = rows(WIDE), rows((400, 16), 1, mean=0.0)
        s, t = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
        expected = fid.frechet_distance(x.mean(axis=0), s, y.mean(axis=0), t)
    assert Frechet(y)(x) == pytest.approx(expected, rel=1e-8)


def test_it_is_what_torchmetrics_computes():
    torch = pytest.importorskip("torch")
    from torchmetrics.image.fid import _compute_fid

    x, y = rows(WIDE), rows((400, 16), 1, mean=0.0)
    parts = [(p.mean(axis=0), np.cov(p, rowvar=False)) for p in (x, y)]
    expected = _compute_fid(*(torch.from_numpy(part) for pair in parts for part in pair))
    assert Frechet(y)(x) == pytest.approx(float(expected), rel=1e-8)


@pytest.mark.parametrize("shape", [THIN, WIDE])
def test_laws(shape):
    x, y = rows(shape), rows(shape, 1, mean=0.0)
    value = Frechet(y)(x)
    q = np.linalg.qr(np.random.default_rng(2).normal(size=(shape[1],) * 2))[0]
    assert value > 0
    assert Frechet(x)(y) == pytest.approx(value, rel=1e-7)
    assert Frechet(y @ q + 5)(x @ q + 5) == pytest.approx(value, rel=1e-7)
    assert Frechet(3 * y)(3 * x) == pytest.approx(9 * value, rel=1e-7)
    assert Frechet(y.astype(np.float32))(x.astype(np.float32)) == pytest.approx(value, rel=1e-5)


def test_features_that_are_constant_or_repeat_change_nothing():
    """Their covariance is singular: no Cholesky factor."""
    x, y = rows(WIDE), rows(WIDE, 1, mean=0.0)
    dead = np.zeros((len(x), 3))
    value, scale = Frechet(y)(x), Moments.of(y).trace
    assert Frechet(np.hstack([y, dead]))(np.hstack([x, dead])) == pytest.approx(value, rel=1e-12)
    twice = Frechet(np.hstack([y, y]))(np.hstack([x, x]))
    assert twice == pytest.approx(2 * value, abs=16 * 1e-7 * scale)
    assert Frechet(np.hstack([y, y]))(np.hstack([x, dead, x[:, 3:]])) > 0


def test_the_reference_is_factored_once():
    reference = Moments.of(rows(WIDE))
    measure = Frechet(reference)
    measure(rows(WIDE, 1))
    first = reference.factor
    measure(rows(WIDE, 2))
    assert reference.factor is first
    assert first.T @ first == pytest.approx(np.cov(rows(WIDE), rowvar=False), abs=1e-14)


def test_published_statistics_are_a_reference(tmp_path):
    x, y = rows(WIDE), rows(WIDE, 1)
    np.savez(tmp_path / "s.npz", mu=y.mean(axis=0), sigma=np.cov(y, rowvar=False))
    assert Frechet(Moments.read(tmp_path / "s.npz"))(x) == pytest.approx(Frechet(y)(x), rel=1e-10)


def broken(tmp_path, name):
    path = tmp_path / name
    mu, sigma = np.zeros(3), np.eye(3)
    if name == "keys.npz":
        np.savez(path, mean=mu, sigma=sigma)
    elif name == "shape.npz":
        np.savez(path, mu=mu, sigma=np.eye(4))
    elif name == "nan.npz":
        np.savez(path, mu=mu, sigma=sigma * np.nan)
    elif name == "asymmetric.npz":
        np.savez(path, mu=mu, sigma=sigma + np.triu(np.ones((3, 3)), 1))
    elif name == "pickle.npz":
        np.savez(path, mu=np.array([None] * 3, dtype=object), sigma=sigma)
    elif name == "text.npz":
        path.write_text("no archive")
    return path


@pytest.mark.parametrize("name", ["keys", "shape", "nan", "asymmetric", "pickle", "text", "absent"])
def test_a_file_of_something_else_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="mu"):
        Moments.read(broken(tmp_path, f"{name}.npz"))


def test_a_covariance_with_a_negative_variance_is_refused():
    reference = Moments.given(np.zeros(3), np.diag([2.0, 1.0, -0.1]))
    with pytest.raises(ValueError, match=r"-0\.1"):
        Frechet(reference)(rows((9, 3)))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (rows((1, 4)), rows((9, 4)), "1 rows"),
        (rows((9, 4)), rows((1, 4)), "1 rows"),
        (np.full((9, 4), np.nan), rows((9, 4)), "NaN"),
        (rows((9, 4)), np.full((9, 4), np.inf), "infinity"),
        (rows((9, 4)), rows((9, 5)), "4 features and the reference 5"),
        (np.zeros(9), rows((9, 1)), r"\[n,d\]"),
        (np.zeros((9, 0)), np.zeros((9, 0)), r"\[n,d\]"),
    ],
)
def test_what_has_no_distance_is_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        Frechet(y)(x)
