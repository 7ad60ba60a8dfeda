"""Networks of learned metrics: from the asset table or not at all, and strictly."""

import shutil

import pytest
import torch

from qa.errors import AssetMissing, QaError, UsageError
from qa.metrics.dists import DISTS
from qa.metrics.lpips import LPIPS
from qa.metrics.trunk import verified

METRICS = {
    "alex": (lambda: LPIPS("alex"), "alexnet-owt-7be5be79.pth"),
    "vgg": (lambda: LPIPS("vgg"), "vgg16-397923af.pth"),
    "dists": (DISTS, "vgg16-397923af.pth"),
}
learned = pytest.mark.parametrize(("build", "file"), METRICS.values(), ids=METRICS)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty mirror, an empty cache, no network."""
    for name, value in {"QA_ASSETS": "mirror", "QA_CACHE": "cache", "TORCH_HOME": "torch"}.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setenv("QA_OFFLINE", "1")
    (tmp_path / "mirror").mkdir()
    return tmp_path / "mirror"


@pytest.fixture
def altered(trunks, folder, monkeypatch, cases_module):
    """A function that puts an altered stand-in into the table and the mirror."""

    def alter(file, change):
        state = torch.load(trunks / "hub" / "checkpoints" / file, weights_only=True)
        change(state)
        place = folder / "hub" / "checkpoints"
        shutil.copytree(trunks / "hub" / "checkpoints", place)
        torch.save(state, place / file)
        cases_module.use_trunks(folder, monkeypatch)

    return alter


@learned
def test_missing(folder, build, file):
    with pytest.raises(AssetMissing, match=f"qa assets fetch {file}"):
        build()


@learned
def test_wrong_hash(folder, trunks, build, file):
    """The stand-in has the right name; the table's hash is the released file's."""
    shutil.copy(trunks / "hub" / "checkpoints" / file, folder)
    with pytest.raises(AssetMissing, match="was refused"):
        build()


@learned
def test_nothing_is_downloaded_and_nothing_drawn(mirror, monkeypatch, build, file):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was touched")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    state = torch.get_rng_state()
    facts = build().facts
    assert torch.equal(torch.get_rng_state(), state)
    assert len(facts.protocol["trunk_sha256"]) == 64


@learned
def test_a_missing_key(altered, build, file):
    altered(
        file, lambda state: state.pop("features.3.bias" if "alex" in file else "features.2.bias")
    )
    with pytest.raises(UsageError, match=r"missing keys \['features\.[23]\.bias'\]"):
        build()


@learned
def test_a_key_too_many(altered, build, file):
    altered(file, lambda state: state.update({"features.99.weight": torch.zeros(1)}))
    with pytest.raises(UsageError, match=r"unexpected keys \['features\.99\.weight'\]"):
        build()


@learned
def test_another_shape(altered, build, file):
    altered(file, lambda state: state.update({"features.0.bias": torch.zeros(7)}))
    with pytest.raises(UsageError, match="size mismatch"):
        build()


@learned
def test_no_state_dict(trunks, altered, build, file):
    altered(file, lambda state: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "load", lambda *a, **k: (_ for _ in ()).throw(EOFError("truncated")))
        with pytest.raises(UsageError, match="not a PyTorch state dict: EOFError: truncated"):
            build()


def test_heads_with_other_bytes(tmp_path):
    (tmp_path / "alex.pth").write_bytes(b"something else")
    with pytest.raises(QaError, match="does not hold the published weights"):
        verified(tmp_path / "alex.pth", "0" * 64)
