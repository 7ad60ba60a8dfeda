"""Files of weights: code in them never runs, and what is not finite or does not fit is refused."""

from __future__ import annotations

import pickle
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hostile_files import Runs, deflated, pickled, plain_pickle, safetensors
from safetensors.torch import save_file
from torch import nn

from decoders import weights
from qa.errors import QaError, UsageError
from qa.features import weights as features
from qa.features.weights import Source


def _read_features(file: Path) -> object:
    return features.read_state(Source(file, file.name, "0" * 64, "test"))


def _read_trunk(file: Path) -> object:
    from qa.metrics.trunk import load_trunk

    return load_trunk("vgg16-397923af.pth")


def _read_arniqa(file: Path) -> object:
    from qa.metrics.arniqa import _read

    return _read("koniq10k")


def _read_mmdet(file: Path) -> object:
    from suites.geneval.mmdet import read

    return read(file, file.name)


def _read_resumed(file: Path) -> object:
    from decoders.mini.training import read_checkpoint

    return read_checkpoint(file, torch.device("cpu"))


LOADERS = {
    "decoders": weights.read_state, "features": _read_features, "trunk": _read_trunk,
    "arniqa": _read_arniqa, "mmdet": _read_mmdet, "resumed": _read_resumed,
}  # fmt: skip


@pytest.fixture
def marker(tmp_path) -> Path:
    return tmp_path / "code-has-run"


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A hostile checkpoint, also in the place of every asset."""

    def plant(make, *options) -> Path:
        file = make(tmp_path / "w.pth", tmp_path / "code-has-run", *options)
        monkeypatch.setattr("qa.assets.resolve", lambda name, **_: file)
        found = SimpleNamespace(files=[SimpleNamespace(sha256="0" * 64)], licence="test")
        monkeypatch.setattr("qa.assets.find", lambda name: found)
        return file

    return plant


FORMS = [(pickled,), (pickled, True), (plain_pickle,)]


@pytest.mark.parametrize("form", FORMS, ids=["zip", "legacy", "plain"])
@pytest.mark.parametrize("loader", LOADERS)
def test_code_in_a_checkpoint_never_runs(loader, form, planted, marker):
    file = planted(*form)
    with pytest.raises((QaError, pickle.UnpicklingError)):
        LOADERS[loader](file)
    assert not marker.exists()


@pytest.mark.parametrize("loader", LOADERS)
def test_negative_control_read_with_all_it_holds_the_code_runs(
    loader, planted, marker, monkeypatch
):
    """The same loaders, with `weights_only` taken away."""
    file, load = planted(pickled), torch.load
    monkeypatch.setattr(
        torch, "load", lambda *given, **named: load(*given, **named | {"weights_only": False})
    )
    with suppress(QaError):
        LOADERS[loader](file)
    assert marker.exists()


def test_pickles_inside_of_arrays_are_not_read(tmp_path, marker):
    from qa.sets.frechet import Moments

    file = tmp_path / "a.npz"
    np.savez(file, mu=np.array([Runs(marker)], object), sigma=np.zeros((1, 1)))
    with pytest.raises(UsageError, match="holds no mean and covariance"):
        Moments.read(file)
    assert not marker.exists()
    with np.load(file, allow_pickle=True) as opened:
        assert opened["mu"].shape == (1,)
    assert marker.exists(), "negative control: read as a pickle, the code runs"


def test_every_call_that_reads_a_pickle_says_weights_only():
    """Of all our sources: a loader that somebody adds is caught here."""
    import ast

    root = Path(weights.__file__).parents[1]
    found = []
    for folder in ("qa", "decoders", "suites", "reports"):
        for file in (root / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                found += _unguarded(node, file)
    assert found == []
    planted = ast.parse("torch.load(f)\npickle.loads(b)\nnp.load(f, allow_pickle=True)")
    assert len([u for node in ast.walk(planted) for u in _unguarded(node, root)]) == 3


def _unguarded(node, file: Path) -> list[str]:
    import ast

    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return []
    name, given = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
    bad = name.startswith(("pickle.load", "joblib.load", "marshal.load", "dill.load"))
    # pyiqa's own calls of torch.load: `pyiqa_offline` puts weights_only into every one of them.
    bad |= name == "torch.load" and given.get("weights_only") != "True" and "pyiqa" not in file.name
    bad |= name == "np.load" and given.get("allow_pickle") != "False"
    return [f"{file.name}:{node.lineno} {name}"] if bad else []


class Small(nn.Module):
    """A network of two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 3), nn.Linear(3, 1, bias=False)


def filled(state, dtype=torch.float32) -> Small:
    network = weights.on_meta(Small)
    weights.load_strict(network, state, what="net", source="f.pt", dtype=dtype)
    return network


def whole() -> dict[str, torch.Tensor]:
    return {key: torch.ones_like(value) for key, value in Small().state_dict().items()}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused_by_name(value):
    state = whole()
    assert filled(state).first.weight.sum() == 6, "negative control"
    state["second.weight"][0, 1] = value
    with pytest.raises(UsageError, match=r"NaN or infinity\. Not finite: second\.weight\."):
        filled(state)


def test_weights_that_a_narrow_type_cannot_hold_are_refused():
    state = whole()
    state["first.bias"][0] = 1e6
    assert filled(state, torch.bfloat16).first.bias[0] == 999424
    with pytest.raises(UsageError, match=r"first\.bias"):
        filled(state, torch.float16)


def test_without_the_check_they_load(monkeypatch):
    """What `check_finite` is for: nothing else minds."""
    state = whole()
    state["second.weight"][0, 1] = float("nan")
    monkeypatch.setattr(weights, "check_finite", lambda state, source: None)
    assert filled(state).second.weight.isnan().any()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s | {"first.weight": torch.ones(3, 3)}, r"first\.weight \[3, 3\] instead"),
        (lambda s: s | {"third": torch.ones(1)}, "Not expected: third"),
        (lambda s: {k: v for k, v in s.items() if k != "first.bias"}, r"Missing: first\.bias"),
        (lambda s: s | {"first.weight": torch.ones(1, 1).expand(3, 10**9)}, "of another shape|Of"),
    ],
)
def test_weights_of_another_shape_are_refused_by_name(change, said):
    with pytest.raises(UsageError, match=said):
        filled(change(whole()))


def test_feature_networks_refuse_the_same():
    state = whole()
    state["first.bias"][1] = float("inf")
    with pytest.raises(UsageError, match=r"with NaN or infinity: first\.bias"):
        features.fill(weights.on_meta(Small), state, "f.pt")
    features.fill(weights.on_meta(Small), whole(), "f.pt")
    with pytest.raises(UsageError, match="of another shape"):
        features.fill(weights.on_meta(Small), whole() | {"first.bias": torch.ones(9)}, "f.pt")


def test_trunks_refuse_the_same():
    from qa.metrics.trunk import Trunk, fill

    module = nn.Sequential(nn.Linear(1, 1))
    values = {"features.0.weight": torch.ones(1, 1), "features.0.bias": torch.ones(1)}
    wrapped = nn.ModuleDict({"slice1": module})
    fill(wrapped, Trunk("a", "0", values))
    values["features.0.bias"][0] = float("nan")
    with pytest.raises(UsageError, match=r"features\.0\.bias holds NaN"):
        fill(wrapped, Trunk("a", "0", values))


@pytest.mark.parametrize("loader", ["decoders", "features"])
def test_a_tensor_that_repeats_one_value_is_refused(loader, tmp_path):
    """Strides of 0 declare terabytes in a file of a kilobyte."""
    file = tmp_path / "w.pt"
    torch.save({"a": torch.ones(1).expand(10**6, 10**6)}, file)
    assert file.stat().st_size < 4096
    with pytest.raises(QaError, match="declares more than its 4 bytes"):
        LOADERS[loader](file)
    torch.save({"a": torch.ones(2, 3).T}, file)
    assert LOADERS[loader](file)["a"].shape == (3, 2), "negative control: strides are allowed"


TENSOR = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


@pytest.mark.parametrize(
    ("header", "length"),
    [
        ({"a": TENSOR}, 2**63), ({"a": TENSOR}, 2**40), ({"a": TENSOR}, 3),
        ({"a": TENSOR | {"data_offsets": [0, 10**11]}}, -1),
        ({"a": TENSOR | {"shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}}, -1),
        ({"a": TENSOR | {"shape": [10**12]}}, -1),
        ({"a": TENSOR | {"data_offsets": [-16, 0]}}, -1),
        ({"a": TENSOR | {"shape": [-2, -2]}}, -1),
        ({"a": TENSOR, "b": TENSOR}, -1),
        ({"a": TENSOR | {"shape": [2**32, 2**32]}}, -1),
        (b"[" * 100_000, -1), (b"", -1), (b"null", -1), (b'{"a": 1e999}', -1),
    ],
)  # fmt: skip
def test_headers_of_safetensors_that_lie_are_refused(header, length, tmp_path):
    from decoders.latents import metadata

    file = safetensors(tmp_path / "w.safetensors", header, length=length)
    with pytest.raises(QaError, match="cannot be read as weights"):
        weights.read_state(file)
    with pytest.raises(UsageError):
        metadata(file)


def test_negative_control_an_honest_header_is_read(tmp_path):
    file = safetensors(tmp_path / "w.safetensors", {"a": TENSOR})
    assert weights.read_state(file)["a"].shape == (2, 2)
    save_file({"a": torch.ones(2)}, tmp_path / "b.safetensors")
    assert list(weights.read_state(tmp_path / "b.safetensors")) == ["a"]


def test_a_zip_that_unpacks_to_far_more_is_refused_before_it_is_read(tmp_path, monkeypatch):
    file = deflated(tmp_path / "w.pt", 2**28 + 2**25)
    assert file.stat().st_size < 2**21
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(QaError, match="unpacks to"):
        weights.read_state(file)
    with pytest.raises(QaError, match="unpacks to"):
        _read_features(file)
    monkeypatch.setattr(weights, "check_zip", lambda file: None)
    with pytest.raises(pytest.fail.Exception, match="it was opened"):
        weights.read_state(file)  # negative control: nothing else refuses it


def test_a_program_that_is_no_python_is_told_from_weights(tmp_path):
    """TorchScript of a feature network is loaded where it is named, and nowhere else."""
    file = tmp_path / "net.pt"
    (tmp_path / "junk.pt").write_bytes(b"PK\x03\x04" + bytes(100))
    assert not features.is_torchscript(tmp_path / "junk.pt")
    source = Source(tmp_path / "junk.pt", "junk", "0", "test")
    with pytest.raises(UsageError):
        features.load_torchscript(source, "cpu")
    with pytest.raises(QaError):
        weights.read_state(tmp_path / "junk.pt")
    torch.save({"a": torch.ones(1)}, file)
    assert not features.is_torchscript(file)
