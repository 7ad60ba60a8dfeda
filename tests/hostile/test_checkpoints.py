"""Files of weights: code in them never runs, and what is not finite or does not fit is refused."""

from __future__ import annotations

import pickle
import warnings
import zipfile
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
from qa import untrusted
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


def _read_mplug(file: Path) -> object:
    from suites.dpg.judges.mplug import WEIGHTS, _load

    (file.parent / WEIGHTS).symlink_to(file)
    config = SimpleNamespace(from_yaml_file=lambda file: SimpleNamespace(image_res=8))
    return _load(lambda settings: nn.Linear(1, 1), config, file.parent)


def _read_resumed(file: Path) -> object:
    from decoders.mini.training import read_checkpoint

    return read_checkpoint(file, torch.device("cpu"))


LOADERS = {
    "decoders": weights.read_state, "features": _read_features, "trunk": _read_trunk,
    "arniqa": _read_arniqa, "mmdet": _read_mmdet, "resumed": _read_resumed,
    "mplug": _read_mplug,
}  # fmt: skip
"""All that read what `torch.save` wrote and somebody else may have made."""


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


LOADING = ("untrusted.py", "lpips.py", "bench.py", "pyiqa_offline.py")
"""What calls torch.load: `read_checkpoint`; and for files of an installed package whose hash is
known, of a process of our own, or of pyiqa's, which reads them itself."""


def _unguarded(node, file: Path) -> list[str]:
    import ast

    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return []
    name, given = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
    bad = name.startswith(("pickle.load", "joblib.load", "marshal.load", "dill.load"))
    # pyiqa's own calls of torch.load: `pyiqa_offline` puts weights_only into every one of them.
    bad |= name == "torch.load" and given.get("weights_only") != "True" and "pyiqa" not in file.name
    bad |= name == "torch.load" and file.name not in LOADING
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


def test_weights_that_float32_cannot_hold_are_refused(tmp_path):
    """Feature networks compute in float32."""
    state = whole() | {"first.bias": torch.full((3,), 1e39, dtype=torch.float64)}
    file = saved(state)(tmp_path / "w.pt", None)
    with pytest.raises(UsageError, match=r"with NaN or infinity: first\.bias"):
        features.fill(weights.on_meta(Small), _read_features(file), "w.pt")


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


def saved(state: object):
    """For `planted`: a checkpoint with this content."""
    return lambda file, marker: torch.save(state, file) or file


@pytest.mark.parametrize("loader", LOADERS)
def test_a_tensor_that_repeats_one_value_is_refused(loader, planted, monkeypatch):
    """Strides of 0 declare terabytes in a file of a kilobyte."""
    file = planted(saved({"features.0.weight": torch.ones(1).expand(10**6, 10**6)}))
    assert file.stat().st_size < 4096
    with pytest.raises(QaError, match="declares more than its 4 bytes"):
        LOADERS[loader](file)


@pytest.mark.parametrize("loader", ["decoders", "features", "trunk", "resumed"])
def test_negative_control_other_strides_are_allowed(loader, planted):
    read = LOADERS[loader](planted(saved({"features.0.weight": torch.ones(2, 3).T})))
    found = read.features if loader == "trunk" else read
    assert found["features.0.weight"].shape == (3, 2)


def test_many_names_of_the_same_values_are_refused(tmp_path, monkeypatch):
    """Each is copied when its type changes: a megabyte becomes gigabytes."""
    shared = torch.ones(2**19, dtype=torch.float16)
    file = saved({str(number): shared for number in range(300)})(tmp_path / "w.pt", None)
    assert file.stat().st_size < 2**21
    for loader in ("decoders", "features"):
        with pytest.raises(QaError, match=f"its tensors declare {300 * 2**20}"):
            LOADERS[loader](file)
    monkeypatch.setattr(untrusted, "SPARE", 2**30)
    assert len(weights.read_state(file)) == 300, "negative control"
    tied = saved({"one": shared, "other": shared})(tmp_path / "tied.pt", None)
    assert len(weights.read_state(tied)) == 2, "tied weights are allowed"


def unusual() -> dict[str, torch.Tensor]:
    """Tensors that `weights_only` allows and that are no weights."""
    one, eye = torch.ones(2), torch.eye(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of being a beta, deprecated, a prototype
        return {
            "sparse_coo": eye.to_sparse(), "sparse_csr": eye.to_sparse_csr(),
            "qint8": torch.quantize_per_tensor(one, 0.1, 0, torch.qint8),
            "without values": torch.empty(2, device="meta"), "complex64": one.to(torch.complex64),
            "float8_e4m3fn": one.to(torch.float8_e4m3fn), "uint16": one.to(torch.uint16),
        }  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*quantize:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:(?i).*(sparse|storage|quanti)")
@pytest.mark.parametrize("kind", unusual())
@pytest.mark.parametrize("loader", LOADERS)
def test_tensors_that_are_no_plain_numbers_are_refused(loader, kind, planted):
    file = planted(saved({"features.0.weight": unusual()[kind]}))
    with pytest.raises(QaError, match=rf"features\.0\.weight is {kind}, not plain numbers"):
        LOADERS[loader](file)


def test_nested_tensors_are_no_plain_numbers():
    """`weights_only` reads none today; a TorchScript archive may hold one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    with pytest.raises(ValueError, match="a is nested"):
        untrusted.check_tensors([("a", nested)], 2**20)


def test_negative_control_without_the_check_half_of_a_complex_weight_is_dropped(
    tmp_path, monkeypatch
):
    state = whole() | {"first.bias": torch.full((3,), 1 + 2j)}
    file = saved(state)(tmp_path / "w.pt", None)
    monkeypatch.setattr(untrusted, "_unusual", lambda tensor: "")
    network = weights.on_meta(Small)
    with pytest.warns(UserWarning, match="discards the imaginary part"):
        features.fill(network, _read_features(file), "w.pt")
    assert network.first.bias.tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64,
                                   torch.int8, torch.bool])  # fmt: skip
def test_plain_numbers_are_read(dtype, tmp_path):
    file = saved({"a": torch.ones(3, dtype=dtype)})(tmp_path / "w.pt", None)
    assert weights.read_state(file)["a"].dtype == dtype
    assert _read_features(file)["a"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("loader", ["decoders", "features", "trunk", "arniqa", "mplug"])
@pytest.mark.parametrize(
    "state", [{1: torch.ones(1)}, {1: torch.ones(1), "a": torch.ones(1)}, [torch.ones(1)],
              {"a": [torch.ones(1)]}, None, torch.ones(2)],
    ids=["number", "mixed", "list", "nested", "none", "tensor"],
)  # fmt: skip
def test_what_is_no_state_dict_is_refused(loader, state, planted):
    with pytest.raises(QaError, match="something else than named tensors"):
        LOADERS[loader](planted(saved(state)))


def test_parts_in_many_places_and_in_themselves_are_looked_at_once(tmp_path):
    """Sixty lists, each twice in the next: without `seen` it would take for ever."""
    inner: list = [torch.ones(1)]
    for _ in range(60):
        inner = [inner, inner]
    inner.append(inner)
    assert [name for name, _ in untrusted._tensors_in({"a": inner})] == ["a"]
    deep = torch.ones(1).expand(9)
    for _ in range(400):
        deep = {"x": deep}
    file = saved({"a": torch.ones(1), "b": [deep]})(tmp_path / "w.pt", None)
    with pytest.raises(ValueError, match=r"x \[9\] declares more"):
        untrusted.read_checkpoint(file)


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


@pytest.fixture(scope="module")
def bomb(tmp_path_factory) -> Path:
    return deflated(tmp_path_factory.mktemp("bomb") / "w.pt", 2**28 + 2**25)


@pytest.mark.parametrize("loader", LOADERS)
def test_a_zip_that_unpacks_to_far_more_is_refused_before_it_is_read(
    loader, bomb, planted, monkeypatch
):
    assert bomb.stat().st_size < 2**21
    file = planted(lambda file, marker: file.symlink_to(bomb) or file)

    def opened(*_: object, **__: object) -> None:
        raise ValueError("it was opened")

    monkeypatch.setattr(torch, "load", opened)
    with pytest.raises(QaError, match="unpacks to"):
        LOADERS[loader](file)
    (file.parent / "pytorch_model.bin").unlink(missing_ok=True)
    monkeypatch.setattr(untrusted, "check_zip", lambda file: None)
    with pytest.raises(QaError, match="it was opened"):  # negative control
        LOADERS[loader](file)


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    """A TorchScript archive with as many zeros."""
    folder = tmp_path_factory.mktemp("program")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated")
        torch.jit.save(torch.jit.script(nn.Linear(1, 1)), folder / "w.pt")
    with zipfile.ZipFile(folder / "w.pt", "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("w/extra/zeros", bytes(2**28 + 2**25))
    return folder / "w.pt"


def test_a_program_that_unpacks_to_far_more_is_refused_before_it_is_read(program, monkeypatch):
    from qa.features.scripted import TorchScriptFeatures

    assert program.stat().st_size < 2**22

    def opened(*_: object, **__: object) -> None:
        raise ValueError("it was opened")

    monkeypatch.setattr(torch.jit, "load", opened)
    with pytest.raises(UsageError, match="unpacks to"):
        TorchScriptFeatures(str(program), "uint8")
    with pytest.raises(UsageError, match="unpacks to"):
        _read_features(program)
    monkeypatch.setattr(features, "check_zip", lambda file: None)
    with pytest.raises(UsageError, match="it was opened"):  # negative control
        TorchScriptFeatures(str(program), "uint8")


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
