"""pyiqa behind our interface: its own values, none of its downloads."""

import sys
import warnings
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import pytest
import torch
from battery import drawing
from precision import confirm
from quality_weights import FOLDER, at_hand, drawn

from qa.config import build, compose
from qa.errors import AssetMissing, Unavailable, UsageError
from qa.metrics import pyiqa_offline
from qa.metrics.iqa import PyiqaDistortion, PyiqaQuality

NAMES = (
    "piqe brisque niqe_pyiqa musiq musiq_ava musiq_spaq musiq_paq2piq maniqa maniqa_tiled topiq "
    "hyperiqa liqe clip_iqa_pyiqa clip_iqa_plus qualiclip qualiclip_plus arniqa_pyiqa"
).split()
installed = pytest.mark.skipif(not pyiqa_offline.find_spec("pyiqa"), reason="an optional extra")


def node(name, *words):
    return compose([f"metric=[{name}]", *words]).group("metric")[name]


def metric(name, *words):
    chosen = node(name, *words)
    with at_hand(*chosen.get("files", [])):
        return build(chosen, name)


@pytest.mark.parametrize("name", NAMES)
def test_configurations(name):
    """Each names itself, files of the asset table, and a class that knows the direction."""
    from qa import assets

    chosen = node(name)
    assert chosen["name"] == name
    assert chosen["model"] in pyiqa_offline.MODELS
    assert all(assets.find(file) for file in chosen.get("files", []))
    lower = name in ("piqe", "brisque", "niqe_pyiqa")
    assert chosen["_target_"] == f"qa.metrics.iqa.{'PyiqaDistortion' if lower else 'PyiqaQuality'}"


def test_without_pyiqa(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    monkeypatch.setitem(sys.modules, "pyiqa.default_model_configs", None)
    with pytest.raises(Unavailable, match=r"pip install 'decoder-qa\[iqa\]'"):
        PyiqaDistortion("piqe", "a paper")


@pytest.mark.parametrize("model", ["qalign", "fid", "compare2score", "nothing"])
def test_only_metrics_whose_downloads_are_known(model):
    with pytest.raises(UsageError, match="can be shut off"):
        PyiqaQuality(model, "a paper")


@contextmanager
def own_door():
    """pyiqa's own loading, with the stand-ins where its downloads would lie."""
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        with pyiqa_offline._pkg_resources():
            import pyiqa
            from pyiqa.archs import clip_model, liqe_arch
            from pyiqa.utils import download_util
        import timm
        import torchvision

        def place(url, *_, **__):
            return str(drawn(unquote(Path(url).name)))

        patch.setattr(clip_model, "_download", place)
        patch.setattr(liqe_arch, "DEFAULT_CACHE_DIR", str(FOLDER))  # for features of texts
        patch.setattr(download_util, "load_file_from_url", place)
        for module in [m for n, m in sys.modules.items() if n.startswith("pyiqa.archs.")]:
            if hasattr(module, "load_file_from_url"):
                patch.setattr(module, "load_file_from_url", place)
        patch.setattr("torch.hub.load_state_dict_from_url", lambda url, **_: torch.load(place(url)))
        make, resnet = timm.create_model, torchvision.models.resnet50
        patch.setattr(timm, "create_model", lambda *a, **k: make(*a, **k | {"pretrained": False}))
        patch.setattr(torchvision.models, "resnet50", lambda weights: resnet())
        with torch.random.fork_rng():
            yield partial(pyiqa.create_metric, device="cpu")


@installed
@pytest.mark.parametrize(
    ("name", "size"),
    [("piqe", (70, 61)), ("brisque", (70, 61)), ("niqe_pyiqa", (192, 210)), ("musiq", (50, 70)),
     ("topiq", (96, 130)), ("liqe", (230, 300)), ("clip_iqa_pyiqa", (64, 90)),
     ("clip_iqa_plus", (64, 90)), ("qualiclip", (64, 90)), ("qualiclip_plus", (64, 90)),
     ("arniqa_pyiqa", (64, 90)), ("hyperiqa", (225, 230))],
)  # fmt: skip
def test_equal_to_pyiqa(name, size):
    ours = metric(name)
    with own_door() as create:
        package = create(node(name)["model"])
    first, second = drawing(*size), drawing(*size, seed=4)
    values = ours(torch.stack([first, second]), None)
    others = [float(package(p[None] / 255)) for p in (first, second)]
    assert values == others
    assert values[0] != values[1]
    if name not in ("piqe", "brisque"):  # `test_precision` has those
        confirm(name, values[0], others[0], 1e-5, "pyiqa, drawn network")
    assert "not for commercial use" in ours.facts.licence


@installed
@pytest.mark.parametrize("name", ["piqe", "clip_iqa_pyiqa"])
def test_resolution(name):
    picture = drawing(64, 128)
    tiled, whole = metric(name, f"metric.{name}.resolution=tile:64:64"), metric(name)
    views = [picture[:, :, :64], picture[:, :, 64:]]
    mean = sum(whole(view[None], None)[0] for view in views) / 2
    assert tiled(picture[None], None)[0] == pytest.approx(mean, abs=1e-9)
    assert tiled.facts.protocol["resolution"] != whole.facts.protocol["resolution"]


@installed
def test_every_value_comes_from_the_files():
    """Two builds that draw differently are equal: nothing drawn is left."""
    values = []
    for seed in (0, 1):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            values.append(metric("topiq")._network.state_dict())
    assert all(torch.equal(values[0][key], values[1][key]) for key in values[0])
    with torch.random.fork_rng():
        torch.manual_seed(2)
        plain = pyiqa_offline.build_network("topiq_nr", [], {"pretrained": False}).network
    assert any(not torch.equal(values[0][k], v) for k, v in plain.state_dict().items())


@installed
@pytest.mark.parametrize("model", ["musiq", "maniqa", "topiq_nr", "clipiqa", "arniqa", "hyperiqa"])
def test_a_file_that_is_not_named_is_not_fetched(model, monkeypatch):
    """Every door ends in a refusal: a connection would be an error of another kind."""

    def connect(*_):
        raise AssertionError("the network was touched")

    monkeypatch.setattr("socket.socket.connect", connect)
    with pytest.raises(Unavailable, match="may not download by itself"):
        PyiqaQuality(model, "a paper")


@installed
def test_a_file_that_is_not_at_hand(monkeypatch, tmp_path):
    monkeypatch.setenv("QA_CACHE", str(tmp_path))
    monkeypatch.delenv("QA_ASSETS", raising=False)
    with pytest.raises(AssetMissing, match="cfanet_nr_koniq"):
        build(node("topiq"), "topiq")


@installed
def test_everything_is_as_it_was():
    import timm
    import torchvision
    from pyiqa.utils import download_util

    def doors():
        return (torch.load, torch.hub.download_url_to_file, torch.hub.load_state_dict_from_url,
                timm.create_model, torchvision.models.resnet50, download_util.DEFAULT_CACHE_DIR,
                download_util.download_url_to_file)  # fmt: skip

    metric("topiq")
    before, state = doors(), torch.get_rng_state()
    metric("topiq")
    with pytest.raises(Unavailable):
        PyiqaQuality("topiq_nr", "a paper")
    assert doors() == before
    assert torch.equal(torch.get_rng_state(), state)
    assert "pkg_resources" not in sys.modules or sys.modules["pkg_resources"].__spec__


@installed
def test_files_are_read_as_tensors_only(monkeypatch, tmp_path):
    class Harmful:
        def __reduce__(self):
            return (print, ("code of the file was run",))

    torch.save({"sv": Harmful()}, tmp_path / "brisque_svm_weights.pth")
    monkeypatch.setattr("qa.assets.resolve", lambda name: tmp_path / name)
    with pytest.raises(UsageError, match=r"Unpickling.*[Ww]eights"):
        PyiqaDistortion("brisque", "a paper", files=["brisque_svm_weights.pth"])


@installed
def test_direction_is_checked():
    with pytest.raises(UsageError, match="better when lower"):
        PyiqaQuality("piqe", "a paper")


@installed
def test_a_refusal_of_pyiqa_is_a_reason():
    black = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    with pytest.raises(ValueError, match="pyiqa refuses"):
        metric("brisque")(black, None)


@installed
def test_coverage_is_in_the_protocol():
    with at_hand("HyperIQA-resnet50-koniq10k-c96c41b1.pth"):
        hyperiqa = build(node("hyperiqa"), "hyperiqa")
    assert hyperiqa.facts.protocol["coverage_2160x3840"] == pytest.approx(0.151)
    # 5 windows of 224, 45 pixels apart, along each side
    assert hyperiqa.coverage(452, 452) == pytest.approx((404 / 452) ** 2)
    assert metric("piqe").facts.protocol["coverage_2160x3840"] == 1
