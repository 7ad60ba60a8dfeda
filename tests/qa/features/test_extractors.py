"""What every extractor promises: rows of their own, ids that say everything, errors that help."""

import re
import shutil
import threading
import warnings
import zipfile

import pytest
import torch
from torch import Tensor, nn

from qa.errors import UsageError
from qa.features.extractors import (
    InceptionFeatures,
    Settings,
    TorchScriptFeatures,
    extractor,
)
from qa.features.views import Patches, Whole
from qa.files import digest, sha256


class Means(nn.Module):
    """Means of the channels, and the brightest value: what a test can derive by hand."""

    def forward(self, x: Tensor) -> Tensor:
        y = x.float()
        return torch.cat([y.mean(dim=(2, 3)), y.amax(dim=(1, 2, 3))[:, None]], dim=1)


class Maps(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.float()


class Flat(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.float().mean(dim=(2, 3)) / 0


class Picky(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] != 32:
            raise RuntimeError("only 32")
        return x.float().mean(dim=(2, 3))


class Dice(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.rand(1, 3)


class Nothing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.float().flatten(1)[:, :0]


class Moody(nn.Module):
    """Another width for small pictures."""

    def forward(self, x: Tensor) -> Tensor:
        return x.float().mean(dim=(2, 3))[:, : 2 if x.shape[2] < 100 else 3]


@pytest.fixture
def script(tmp_path, save_script):
    """A function: the file of a module."""
    return lambda module: str(save_script(module, tmp_path / f"{type(module).__name__}.pt"))


def means(picture):
    return torch.cat([picture.float().mean(dim=(1, 2)), picture.float().max()[None]])[None]


def test_torchscript_levels(script, picture):
    x, file = picture(40, 30), script(Means())
    as_levels, as_unit = (TorchScriptFeatures(file, levels)(x, "") for levels in ("uint8", "unit"))
    assert torch.allclose(as_levels, means(x), atol=1e-3)
    assert torch.allclose(as_unit, means(x) / 255, atol=1e-5)
    assert TorchScriptFeatures(file, "uint8").width == 4


def test_torchscript_size(script, picture):
    x, file = picture(40, 30), script(Means())
    from qa.features.resize import pillow, resize

    eight = TorchScriptFeatures(file, "uint8", [8, 9])(x, "")
    unit = TorchScriptFeatures(file, "unit", [8, 9])(x, "")
    assert torch.allclose(eight, means(pillow(x, (8, 9))), atol=1e-3)
    assert torch.allclose(unit, means(resize(x[None], (8, 9))[0].clamp(0, 255)) / 255, atol=1e-6)
    assert not torch.allclose(eight, means(x), atol=1e-1)  # negative control: not resized


def test_torchscript_refusals(script, tmp_path):
    (tmp_path / "text.pt").write_text("no zip")
    torch.save({"a": torch.zeros(1)}, tmp_path / "state.pt")
    for file, said in {
        str(tmp_path / "none.pt"): "no file",
        str(tmp_path / "text.pt"): "no TorchScript archive",
        str(tmp_path / "state.pt"): "no TorchScript archive",
        script(Maps()): r"returns \[1, 3, 299, 299\] for one picture",
        script(Flat()): "NaN or infinity",
        script(Dice()): "something else for the same picture",
        script(Nothing()): "no real features",
        script(Picky()): "fails on a picture of 299x299: .*only 32",
    }.items():
        with pytest.raises(UsageError, match=said):
            TorchScriptFeatures(file, "unit")
    assert TorchScriptFeatures(script(Picky()), "unit", [32, 32]).width == 3
    for settings in ({"levels": "float"}, {"levels": "unit", "size": [3]},
                     {"levels": "unit", "size": [0, 3]}):  # fmt: skip
        with pytest.raises(UsageError):
            TorchScriptFeatures(script(Means()), **settings)


def test_a_damaged_archive_is_refused(script, tmp_path):
    """An archive without its data."""
    with zipfile.ZipFile(script(Means())) as whole, zipfile.ZipFile(tmp_path / "x", "w") as part:
        for name in whole.namelist():
            if not name.endswith("data.pkl"):
                part.writestr(name, whole.read(name))
    with pytest.raises(UsageError, match="does not load"):
        TorchScriptFeatures(str(tmp_path / "x"), "unit")


def test_features_that_are_not_finite_are_refused(script):
    class Inverse(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 1 / x.float().mean(dim=(2, 3))

    features = TorchScriptFeatures(script(Inverse()), "unit")
    assert features(torch.ones(3, 8, 8, dtype=torch.uint8), "").isfinite().all()
    with pytest.raises(ValueError, match="NaN or infinite"):
        features(torch.zeros(3, 8, 8, dtype=torch.uint8), "")


def test_a_width_that_changes_is_refused(script, picture):
    features = TorchScriptFeatures(script(Moody()), "unit")
    assert features(picture(120, 120), "").shape == (1, 3)
    with pytest.raises(ValueError, match=r"made \[1, 2\] of a view, not \[1,3\]"):
        features(picture(30, 30), "")


def test_other_things_than_pictures_are_refused(script):
    features = TorchScriptFeatures(script(Means()), "unit")
    for wrong in (
        torch.zeros(3, 8, 8),
        torch.zeros(1, 3, 8, 8).byte(),
        torch.zeros(4, 8, 8).byte(),
    ):
        with pytest.raises(ValueError, match=r"uint8 \[3,H,W\]"):
            features(wrong, "")


def test_a_row_for_each_view(script, picture):
    x = picture(48, 40)
    rule = Patches(16, "grid+shift")
    rows = TorchScriptFeatures(script(Means()), "uint8", views=rule)(x, "")
    assert rows.shape == (3 * 2 + 2 * 2, 4)
    assert torch.allclose(rows, torch.cat([means(p) for p in rule(x, "")]), atol=1e-3)


def test_ids_are_digests_of_the_protocol(script, pth):
    file = script(Means())
    built = [
        TorchScriptFeatures(file, "uint8"),
        TorchScriptFeatures(file, "unit"),
        TorchScriptFeatures(file, "unit", [8, 8]),
        TorchScriptFeatures(file, "unit", [8, 9]),
        TorchScriptFeatures(file, "unit", views="hific256"),
        TorchScriptFeatures(file, "unit", views=Patches(16)),
        TorchScriptFeatures(script(Picky()), "unit", [32, 32]),
        InceptionFeatures("clean", str(pth)),
        InceptionFeatures("clean", str(pth), "pixverve299x20", 512),
        InceptionFeatures("clean", str(pth), "pixverve299x20", 1024),
        InceptionFeatures("clean", "random"),
    ]
    assert len({features.id for features in built}) == len(built)
    for features in built:
        assert features.id == digest(dict(features.protocol))[:16]
        assert len(features.protocol["weights_sha256"]) == 64
        assert all(isinstance(v, str | int | float) for v in features.protocol.values())
        assert str(pth) not in str(features.protocol)  # a path is no property of a value
    assert InceptionFeatures("clean", str(pth)).id == built[7].id
    assert built[7].protocol["weights_sha256"] == sha256(pth)


def test_a_copy_of_a_file_elsewhere_is_the_same(script, tmp_path):
    file = script(Means())
    shutil.copy(file, tmp_path / "copy.pt")
    ids = {TorchScriptFeatures(f, "unit").id for f in (file, str(tmp_path / "copy.pt"))}
    assert len(ids) == 1


def test_rows_depend_on_their_view_only(pth, picture):
    """Alone, beside others, in another order, from several threads: the same bits."""
    rule = Patches(80, "random", 3, seed=4)
    features = InceptionFeatures("none", str(pth), rule)
    x = picture(100, 120)
    rows = features(x, "k")
    alone = InceptionFeatures("none", str(pth), Whole())
    for row, patch in zip(rows, rule(x, "k"), strict=True):
        assert torch.equal(alone(patch, "other")[0], row)
    found: dict[int, Tensor] = {}
    threads = [
        threading.Thread(target=lambda n=n: found.update({n: features(x, "k")})) for n in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(found[n], rows) for n in range(3))


def test_a_network_that_remembers_would_be_seen(script, picture):
    """Negative control of the test above."""
    features, x = TorchScriptFeatures(script(Means()), "unit"), picture(30, 30)
    look, calls = features._look, []
    features._look = lambda view: look(view) + len(calls.append(1) or calls)
    assert not torch.equal(features(x, "k"), features(x, "k"))


def test_nothing_global_is_touched(script, picture):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    features = TorchScriptFeatures(script(Means()), "unit", views=Patches(8, "random", 4))
    features(picture(30, 30), "k")
    InceptionFeatures("tm", "random")(picture(30, 30), "k")
    assert torch.equal(torch.get_rng_state(), before)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TorchScriptFeatures(script(Means()), "unit")(picture(30, 30), "k")


def test_by_name(script, pth):
    whole = extractor("inception", Settings(weights=str(pth)))
    assert whole.id == InceptionFeatures("clean", str(pth)).id
    random = extractor("random", Settings(protocol="ttur", views="hific256"))
    assert random.id == InceptionFeatures("ttur", "random", "hific256").id
    assert extractor("inception", Settings(weights="random", protocol="ttur",
                                           views="hific256")).id == random.id  # fmt: skip
    assert "no published value" in random.protocol["weights"]
    file = script(Means())
    assert extractor(file, Settings(levels="unit")).id == TorchScriptFeatures(file, "unit").id


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("incepton", {}, "no features incepton, and no file.*inception, random, dinov2, clip"),
        ("random", {"weights": "x"}, "random take no weights=x.*take protocol, views"),
        ("random", {"protocol": "torch"}, "no protocol 'torch'"),
        ("inception", {"weights": "nowhere.pth"}, "no file nowhere.pth"),
        ("inception", {"levels": "unit", "size": [8, 8]}, r"no levels=unit, size=\[8, 8\]"),
        ("dinov2", {"protocol": "ttur"}, "dinov2 take no protocol=ttur.*take weights, views"),
        ("clip", {"levels": "unit"}, "clip take no levels=unit"),
        ("random", {"views": "patches"}, "no views 'patches'"),
        ("random", {"views": {"patch": 3}}, "no rule of where to look"),
        ("random", {"views": Whole(), "views_size": 3}, "views_size=3"),
    ],
)
def test_wrong_configurations(name, settings, said):
    with pytest.raises(UsageError) as caught:
        extractor(name, Settings(**settings))
    assert re.search(said, str(caught.value).replace("\n", " "))


def test_settings_of_others_are_refused_for_a_file(script):
    file = script(Means())
    with pytest.raises(UsageError, match=r"take no weights=released\.pt"):
        extractor(file, Settings(weights="released.pt"))


class Classifier(nn.Module):
    """`layers` with the Inception's number of classes behind, and no switch."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layers = nn.Linear(3, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.float().mean(dim=(2, 3)))


def test_the_released_inception_is_no_extractor_of_its_own(pt, script, stand_in):
    """It returns classes: neither by path, nor by its name, nor exported without its switch."""
    name = stand_in(pt)
    for wrong in (str(pt), name, script(Classifier(1008))):
        with pytest.raises(UsageError, match=r"returns classes(.|\n)*extractor=inception weights="):
            extractor(wrong, Settings())
    assert extractor("inception", Settings(weights=name)).width == 2048
    # Negative control: another module may call a part of itself `layers`.
    assert extractor(script(Classifier(7)), Settings()).width == 7
