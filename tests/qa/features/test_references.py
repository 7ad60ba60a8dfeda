"""References that a metric brings along, in memory and on disk."""

import os

import numpy as np
import pytest
import torch

from qa import images
from qa.errors import UsageError
from qa.features import stored
from qa.features.references import Folder, Published, given
from qa.files import sha256
from qa.store import RunFolder
from qa.types import FeatureSet, ReferenceMoments


class Means:
    """Features: mean levels of a picture."""

    id, width, source, licence = "c0c0c0c0c0c0c0c0", 3, "test", "test"
    protocol = {"version": 1}  # noqa: RUF012

    def __call__(self, picture, key):
        return picture.float().mean(dim=(1, 2))[None]


def moments(width=3, seed=0):
    rows = np.random.default_rng(seed).normal(size=(50, width))
    return rows.mean(0), np.cov(rows, rowvar=False)


@pytest.fixture
def published(tmp_path):
    """A function: an .npz file of arrays."""

    def write(name="stats.npz", **arrays):
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    return write


def test_published_statistics_are_taken_as_they_are(published):
    mean, covariance = moments()
    file = published(mu=mean, sigma=covariance)
    own = given(str(file), Means())
    assert isinstance(own, Published)
    assert np.array_equal(own.known.mean, mean)
    assert np.array_equal(own.known.covariance, (covariance + covariance.T) / 2)
    assert own.mark == sha256(file)


def test_other_statistics_are_other_references(published):
    marks = set()
    for seed in (0, 1):
        mean, covariance = moments(seed=seed)
        marks.add(given(str(published(f"{seed}.npz", mu=mean, sigma=covariance)), Means()).mark)
    assert len(marks) == 2


def test_what_holds_no_statistics_is_refused(published, tmp_path):
    mean, covariance = moments()
    np.save(tmp_path / "mean.npy", mean)
    (tmp_path / "text.npz").write_text("no archive")
    whole = published("whole.npz", mu=mean, sigma=covariance).read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    wide = moments(4)
    for file, said in {
        published("keys.npz", mean=mean, cov=covariance): "KeyError.*mu",
        published("shape.npz", mu=mean, sigma=covariance[:2]): "do not fit",
        published("nan.npz", mu=mean * np.nan, sigma=covariance): "NaN",
        published("wide.npz", mu=wide[0], sigma=wide[1]): "describes 4 features .* gives 3",
        tmp_path / "mean.npy": "no .npz archive",
        tmp_path / "text.npz": "no .npz archive",
        tmp_path / "half.npz": "no .npz archive",
        tmp_path / "nowhere.npz": "holds 0 pictures",
    }.items():
        with pytest.raises(UsageError, match=said):
            given(str(file), Means())


def test_a_folder_is_looked_at_once(pictures, monkeypatch, tmp_path):
    monkeypatch.setenv("QA_CACHE", str(tmp_path / "cache"))
    calls = []
    features = Means()
    look = features.__call__
    monkeypatch.setattr(Means, "__call__", lambda self, *a: calls.append(1) or look(*a))
    own = given(str(pictures), features)
    assert isinstance(own, Folder)
    assert len(own.known.values) == 6
    assert own.known is own.known
    assert given(str(pictures), features).known.values.tolist() == own.known.values.tolist()
    assert len(calls) == 6


@pytest.mark.parametrize("kind", ["rows", "moments"])
def test_a_run_keeps_them_bit_for_bit(tmp_path, kind):
    run = RunFolder(tmp_path / "run")
    if kind == "rows":
        own = FeatureSet(np.ones((2, 3), np.float32), np.array([-1, -2]))
    else:
        own = ReferenceMoments(*moments())
    stored.write_set(run, "fid", own)
    again = stored.read_set(run, "fid")
    assert type(again) is type(own)
    names = ("values", "pictures") if kind == "rows" else ("mean", "covariance")
    for kept, wanted in ((getattr(again, n), getattr(own, n)) for n in names):
        assert np.array_equal(kept, wanted)
        assert kept.dtype == wanted.dtype
    assert stored.read_set(run, "kid") is None


def test_rows_are_those_of_the_features(pictures, monkeypatch, tmp_path):
    from qa import images

    monkeypatch.setenv("QA_CACHE", str(tmp_path / "cache"))
    files = sorted(pictures.iterdir())
    expected = [images.read(file).float().mean(dim=(1, 2)).tolist() for file in files]
    assert given(str(pictures), Means()).known.values.tolist() == expected
    assert torch.tensor(expected).unique(dim=0).shape[0] > 1  # negative control: they differ


def test_a_pipe_among_pictures_is_refused_and_not_waited_for(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(images.encode_png(torch.zeros(3, 8, 8).byte()))
    assert given(str(tmp_path), Means()).mark
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UsageError, match=r"pipe\.png is no regular file"):
        given(str(tmp_path), Means())
