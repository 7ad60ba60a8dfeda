"""FID and its kin from the command line to the verdict."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from toys import save_network

from qa import images
from qa.run import evaluate
from qa.sets.frechet import Moments
from qa.sets.statistics import STATISTICS


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    return save_network(tmp_path_factory.mktemp("network") / "quarters.pt")


@pytest.fixture
def statistics(tmp_path):
    """Published statistics of `Quarters`: 12 features of pictures around 128."""
    values = np.random.default_rng(5).normal(128, 30, (200, 12))
    np.savez(tmp_path / "stats.npz", mu=values.mean(0), sigma=np.cov(values, rowvar=False))
    return str(tmp_path / "stats.npz")


def test_any_module_can_be_named_on_the_command_line(workdir, toy, network):
    run = evaluate(*toy("Sampler", "metric=[fid]", f"metric.fid.extractor={network}", "seeds=1"))
    (row,) = run.folder.sets()
    mark = run.verdict["metrics"][0]
    facts = run.folder.record()["facts"]["fid"]["protocol"]
    folder = run.folder.path / "features" / facts["features"]
    ours = np.concatenate([
        load_file(file)["values"].reshape(-1, 12) for file in sorted(folder.iterdir())
    ])  # fmt: skip
    theirs = np.concatenate([load_file(file)["reference"] for file in sorted(folder.iterdir())])
    assert row["value"] == pytest.approx(STATISTICS["frechet"](theirs)(ours), rel=1e-9)
    assert mark["mean"] == row["value"]


def test_patches_can_be_named_on_the_command_line(workdir, toy, network):
    views = "{_target_: qa.features.views.Patches, patch: 24, sampling: grid+shift}"
    settings = [f"metric.patch_fid.extractor={network}", f"metric.patch_fid.views={views}"]
    run = evaluate(*toy("Sampler", "metric=[patch_fid]", *settings, "seeds=1"))
    (row,) = run.folder.sets()
    sizes = [images.read(file).shape[1:] for file in sorted((workdir / "pictures").iterdir())]
    first = sum((h // 24) * (w // 24) for h, w in sizes)
    second = sum(((h - 12) // 24) * ((w - 12) // 24) for h, w in sizes)
    assert row["rows"] == first + second
    assert row["value"] > 0


def test_published_statistics_serve_a_later_comparison(workdir, toy, network, statistics):
    """The file may be gone: the run keeps what it compared with, and a baseline takes it along."""
    from qa import baseline
    from qa.gates import sets
    from qa.results import load

    fid = ["metric=[fid]", f"metric.fid.extractor={network}", f"metric.fid.reference={statistics}",
           "seeds=1"]  # fmt: skip
    run = evaluate(*toy("Sampler", *fid, "out=one"))
    baseline.promote(run.folder)
    worse = evaluate(*toy("Sampler", *fid, "+decoder.noise=0.4", "out=two"))
    (row,) = worse.folder.sets()
    stored = np.load(statistics)
    Path(statistics).unlink()
    arms = [load(run.folder.path), baseline.find("toy").results, load(worse.folder.path)]
    for arm in arms:
        candidates, reference = arm.feature_sets("fid")
        assert np.array_equal(reference.mean, stored["mu"])
        assert np.allclose(reference.covariance, stored["sigma"], rtol=1e-15, atol=0)
    expected = STATISTICS["frechet"](Moments.given(stored["mu"], stored["sigma"]))
    assert row["value"] == expected(candidates.values)
    found = [sets.difference("fid", arms[2], arm, "lower", 0.9) for arm in arms]
    assert found[0] == found[1]
    assert found[0].harm.mean == pytest.approx(
        expected(candidates.values) - expected(arms[0].feature_sets("fid")[0].values)
    )
    assert found[2].harm.mean == 0  # negative control: a run against itself


def test_one_picture_is_no_set(workdir, toy, network):
    run = evaluate(
        *toy("Sampler", "metric=[fid]", f"metric.fid.extractor={network}", "limit=1", "seeds=1")
    )
    (row,) = run.folder.sets()
    assert row["value"] is None
    assert "1 rows" in row["why"]
    assert (run.verdict["state"], run.exit_code) == ("INVALID", 5)
