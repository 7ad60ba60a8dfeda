"""FID and its kin: features in, value and interval out; nothing counts as perfect by accident."""

import numpy as np
import pytest
from safetensors.numpy import load_file
from toys import Quarters, save_network

from qa import images
from qa.config import build, compose
from qa.errors import Unavailable, UsageError
from qa.metrics.distribution import (
    CMMD,
    Coverage,
    Density,
    FIDInfinity,
    FrechetDistance,
    KernelDistance,
    Precision,
    Recall,
)
from qa.metrics.facts import direction, fingerprint
from qa.sets.statistics import value
from qa.types import FeatureSet

CLASSES = [FrechetDistance, FIDInfinity, KernelDistance, CMMD, Precision, Recall, Density, Coverage]
NAMES = (
    "fid fid_random patch_fid patch_fid_random fid_infinity kid fd_dinov2 cmmd precision recall "
    "density coverage"
).split()


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    return save_network(tmp_path_factory.mktemp("network") / "quarters.pt")


def rows(count, shift=0.0, seed=0, first=0):
    values = np.random.default_rng(seed).normal(shift, 1, (count, 4)).astype(np.float32)
    return FeatureSet(values, np.arange(first, first + count))


@pytest.mark.parametrize("cls", CLASSES)
def test_the_value_is_the_statistics_own(network, cls):
    metric = cls("m", network)
    x, y = rows(60), rows(60, 0.5, 1, first=100)
    parameters = {key: number for key, number in cls.parameters.items()}
    expected = value(cls.statistic, x.values, y.values, **parameters)
    found = metric(x, y)
    assert found.value == pytest.approx(expected, rel=1e-12)
    assert found.low < found.value < found.high
    assert (found.rows, found.pictures) == (60, 60)


@pytest.mark.parametrize("cls", CLASSES)
def test_worse_pictures_have_worse_values(network, cls):
    metric, reference = cls("m", network), rows(60, 0, 1, first=100)
    values = [metric(rows(60, shift), reference).value for shift in (0, 1, 3)]
    assert values == sorted(values, reverse=cls.better == "higher")
    assert values[0] != values[2]


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("count", [0, 1])
def test_too_few_pictures_have_no_value(network, cls, count):
    with pytest.raises(ValueError, match=r"\d"):
        cls("m", network)(rows(count), rows(60, first=100))


def test_identical_sets_are_at_zero_and_nothing_else_is(network):
    metric, x = FrechetDistance("fid", network), rows(40)
    assert metric(x, x).value == 0
    other = FeatureSet(x.values.copy(), x.pictures)
    other.values[0, 0] += 1e-3
    assert metric(other, x).value > 0


def test_bootstrap_or_jackknife(network):
    x, y = rows(60), rows(60, 0.5, 1, first=100)
    one = FrechetDistance("m", network)(x, y)
    two = FrechetDistance("m", network, interval="bootstrap", replicates=200)(x, y)
    assert one.value == two.value
    assert (one.high - one.low) == pytest.approx(two.high - two.low, rel=0.5)
    assert one.high != two.high


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interval": "guess"}, "no interval 'guess'"),
        ({"groups": 1}, "groups=1"),
        ({"permutations": -1}, "permutations=-1"),
        ({"k": 3}, "takes no k"),
        ({"extractor": "nowhere.pt"}, "nowhere.pt"),
    ],
)
def test_settings_that_cannot_work(network, change, message):
    with pytest.raises(UsageError, match=message):
        FrechetDistance("fid", **({"extractor": network} | change))


def test_every_setting_is_in_the_fingerprint(network, pictures):
    base = fingerprint(FrechetDistance("fid", network).facts)
    changes = [
        {"groups": 10}, {"interval": "bootstrap"}, {"permutations": 100}, {"size": [8, 8]},
        {"levels": "unit"}, {"views": "ultrapixel299x3"}, {"reference": str(pictures)},
    ]  # fmt: skip
    others = [fingerprint(FrechetDistance("fid", network, **c).facts) for c in changes]
    assert len({base, *others}) == 1 + len(changes)


def test_a_folder_of_references(network, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("QA_CACHE", str(tmp_path / "cache"))
    metric = FrechetDistance("fid", network, reference=str(pictures))
    files = sorted(pictures.rglob("*.png"))
    expected = [Quarters()(images.read(file)[None]).numpy() for file in files]
    found = metric.reference()
    assert np.array_equal(found.values, np.concatenate(expected))
    assert found.pictures.tolist() == [-1 - i for i in range(len(files))]
    assert not metric.facts.paired, "it needs no reference from the suite"
    assert FrechetDistance("fid", network).reference() is None


def test_a_folder_without_pictures_is_refused(network, tmp_path):
    with pytest.raises(UsageError, match="holds 0 pictures"):
        FrechetDistance("fid", network, reference=str(tmp_path))


def test_a_broken_reference_is_named(network, pictures, tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"reference a\.png"):
        FrechetDistance("fid", network, reference=str(tmp_path)).reference()


@pytest.mark.parametrize("name", NAMES)
def test_configuration_builds_it_or_says_what_is_missing(name, monkeypatch, tmp_path):
    monkeypatch.setenv("QA_CACHE", str(tmp_path))
    monkeypatch.setenv("QA_ASSETS", "")
    monkeypatch.setenv("QA_OFFLINE", "1")
    node = compose([f"metric=[{name}]"]).group("metric")[name]
    if "random" in name:
        metric = build(node, name)
        assert metric.facts.name == name
        assert "drawn" in metric.facts.protocol["weights"]
    else:
        with pytest.raises(Unavailable, match="qa assets fetch"):
            build(node, name)


def test_directions_are_known_without_building():
    assert direction("fid") == direction("kid") == direction("patch_fid") == "lower"
    assert direction("precision") == direction("coverage") == "higher"


def test_any_module_can_be_named_on_the_command_line(workdir, toy, network):
    from qa.run import evaluate

    run = evaluate(*toy("Sampler", "metric=[fid]", f"metric.fid.extractor={network}"))
    (row,) = run.folder.sets()
    mark = run.verdict["metrics"][0]
    facts = run.folder.record()["facts"]["fid"]["protocol"]
    folder = run.folder.path / "features" / facts["features"]
    ours = np.concatenate([
        load_file(file)["values"].reshape(-1, 12) for file in sorted(folder.iterdir())
    ])  # fmt: skip
    theirs = np.concatenate([load_file(file)["reference"] for file in sorted(folder.iterdir())])
    assert row["value"] == pytest.approx(value("frechet", ours, theirs), rel=1e-9)
    assert mark["mean"] == row["value"]


def test_one_picture_is_no_set(workdir, toy, network):
    from qa.run import evaluate

    run = evaluate(
        *toy("Sampler", "metric=[fid]", f"metric.fid.extractor={network}", "limit=1", "seeds=1")
    )
    (row,) = run.folder.sets()
    assert row["value"] is None
    assert "1 rows" in row["why"]
    assert (run.verdict["state"], run.exit_code) == ("INVALID", 5)
