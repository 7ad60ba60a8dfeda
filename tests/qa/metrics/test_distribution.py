"""FID and its kin: features in, value and interval out; nothing counts as perfect by accident."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.special import stdtrit
from toys import Quarters, save_network

from qa import images
from qa.config import build, compose
from qa.errors import Unavailable, UsageError
from qa.features import extractors
from qa.files import sha256
from qa.metrics import distribution
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
from qa.metrics.licences import refused
from qa.sets.frechet import Moments
from qa.sets.kernels import KID
from qa.sets.statistics import STATISTICS
from qa.types import FeatureSet, ReferenceMoments

CLASSES = [FrechetDistance, FIDInfinity, KernelDistance, CMMD, Precision, Recall, Density, Coverage]
CONF = Path(__file__).parents[3] / "conf" / "metric"
NAMES = (
    "fid fid_random patch_fid patch_fid_random fid_infinity kid fd_dinov2 cmmd precision recall "
    "density coverage"
).split()


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    return save_network(tmp_path_factory.mktemp("network") / "quarters.pt")


@pytest.fixture(scope="module", autouse=True)
def drawn():
    """Held all the while: whoever asks for drawn weights shares these."""
    return FrechetDistance("fid", "random")


def rows(count, shift=0.0, seed=0, first=0):
    values = np.random.default_rng(seed).normal(shift, 1, (count, 4)).astype(np.float32)
    return FeatureSet(values, np.arange(first, first + count))


@pytest.mark.parametrize("cls", CLASSES)
def test_the_value_is_the_statistics_own(network, cls):
    metric = cls("m", network)
    x, y = rows(60), rows(60, 0.5, 1, first=100)
    expected = STATISTICS[cls.statistic](y.values, **cls.parameters)(x.values)
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
        ({"interval": "variance"}, "no interval 'variance'"),
        ({"k": 3}, "takes no k.*own parameters are none"),
        ({"k": 3, "protocol": "tm"}, "takes no k"),
        ({"protocol": "tm"}, "take no protocol=tm"),
        ({"extractor": "nowhere.pt"}, "nowhere.pt"),
    ],
)
def test_settings_that_cannot_work(network, change, message):
    with pytest.raises(UsageError, match=f"(?s){message}"):
        FrechetDistance("fid", **({"extractor": network} | change))


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_stands_in_the_configuration(name):
    node = yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8"))[name]
    cls = getattr(distribution, node["_target_"].rpartition(".")[2])
    kinds = (extractors.Settings, distribution.Spread)
    named = {entry.name for kind in kinds for entry in fields(kind)}
    expected = {"_target_", "name", "extractor", "reference", *named, *cls.parameters}
    assert set(node) == expected
    assert {key: node[key] for key in cls.parameters} == cls.parameters


def test_every_setting_is_in_the_fingerprint(network, pictures, statistics):
    base = fingerprint(FrechetDistance("fid", network).facts)
    changes = [
        {"groups": 10}, {"interval": "bootstrap"}, {"permutations": 100}, {"size": [8, 8]},
        {"levels": "unit"}, {"views": "ultrapixel299x3"}, {"reference": str(pictures)},
        {"interval": "bootstrap", "replicates": 100}, {"reference": statistics},
    ]  # fmt: skip
    others = [fingerprint(FrechetDistance("fid", network, **c).facts) for c in changes]
    assert len({base, *others}) == 1 + len(changes)
    seeds = {fingerprint(FIDInfinity("m", network, seed=seed).facts) for seed in (0, 1)}
    assert len(seeds) == 2


def test_kid_with_its_own_variance(network):
    """Row sums and a jackknife over all single pictures see the same spread of the candidate."""
    x, y = rows(60), rows(60, 0.5, 1, first=100)
    metric = KernelDistance("kid", network, interval="variance")
    found, plain = metric(x, y), KernelDistance("kid", network)(x, y)
    exact = KID(y.values).estimate(x.values)
    assert found.value == plain.value == exact.value
    half = stdtrit(59, 0.95) * exact.error
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half))
    assert (found.rows, found.pictures) == (60, 60)
    assert metric.facts.protocol["interval"] == "variance"
    for several in ((FeatureSet(x.values, x.pictures // 2), y),
                    (x, FeatureSet(y.values, y.pictures // 2))):  # fmt: skip
        with pytest.raises(ValueError, match="60 rows are of 30 pictures"):
            metric(*several)
        assert KernelDistance("kid", network)(*several).value == exact.value  # negative control


@pytest.fixture
def statistics(tmp_path):
    """Published statistics of `Quarters`: 12 features of pictures around 128."""
    values = np.random.default_rng(5).normal(128, 30, (200, 12))
    np.savez(tmp_path / "stats.npz", mu=values.mean(0), sigma=np.cov(values, rowvar=False))
    return str(tmp_path / "stats.npz")


@pytest.mark.parametrize("cls", CLASSES)
def test_published_statistics_serve_the_frechet_distances(network, statistics, cls):
    if cls not in (FrechetDistance, FIDInfinity):
        with pytest.raises(UsageError, match="every row of the references"):
            cls("m", network, reference=statistics)
        return
    metric = cls("m", network, reference=statistics)
    own, stored = metric.reference(), np.load(statistics)
    assert not metric.facts.paired
    assert metric.facts.protocol["reference"] == sha256(Path(statistics))
    x = FeatureSet(np.random.default_rng(6).normal(100, 30, (80, 12)), np.arange(80))
    moments = Moments.given(stored["mu"], stored["sigma"])
    assert metric(x, own).value == STATISTICS[cls.statistic](moments)(x.values)
    shifted = ReferenceMoments(own.mean - 28, own.covariance)
    assert metric(x, shifted).value < metric(x, own).value  # negative control


def test_statistics_of_another_network_are_refused(network, tmp_path):
    np.savez(tmp_path / "wide.npz", mu=np.zeros(2048), sigma=np.eye(2048))
    with pytest.raises(UsageError, match=r"describes 2048 features .* gives 12"):
        FrechetDistance("fid", network, reference=str(tmp_path / "wide.npz"))


def test_a_users_network_is_refused_where_terms_matter(network, drawn):
    facts = FrechetDistance("fid", network).facts
    assert "features: not stated" in refused(facts, "commercial")
    assert refused(facts, "research") is None
    assert refused(drawn.facts, "commercial") is None  # negative control


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
