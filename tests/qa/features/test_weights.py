"""Where weights come from: the asset table, a user's file, and never a pickle that runs."""

import pytest
import torch

from qa import assets
from qa.errors import AssetMissing, UsageError
from qa.features.extractors import CLIPFeatures, DINOv2Features, InceptionFeatures
from qa.files import sha256


@pytest.mark.parametrize(
    ("build", "file"),
    [
        (InceptionFeatures, "pt_inception-2015-12-05-6726825d.pth"),
        (lambda: InceptionFeatures(weights="inception-2015-12-05.pt"), "inception-2015-12-05.pt"),
        (DINOv2Features, "dinov2_vitl14_pretrain.pth"),
        (CLIPFeatures, "ViT-L-14-336px.pt"),
    ],
)
def test_missing_assets(no_assets, build, file):
    with pytest.raises(AssetMissing, match=f"qa assets fetch {file}"):
        build()
    # Something else under its name is not it, and is not loaded.
    (no_assets / file).write_bytes(b"something else")
    with pytest.raises(AssetMissing, match="was refused"):
        build()


@pytest.mark.parametrize("layout", ["pth", "pt"])
def test_released_weights_come_from_the_asset_table(stand_in, layout, request):
    """A stand-in whose hash the table knows is found by name and licence comes along."""
    file = request.getfixturevalue(layout)
    name = stand_in(file)
    features = InceptionFeatures(weights="released" if layout == "pth" else name)
    assert features.licence == assets.find(name).licence
    assert features.protocol["weights_sha256"] == sha256(file)


def test_a_users_file_has_no_known_licence(pth):
    assert InceptionFeatures("tm", str(pth)).licence.startswith("not stated")
    assert not InceptionFeatures("tm", "random").licence.startswith("not stated")


def test_weights_are_never_unpickled(tmp_path):
    """A pickle that would run code is refused and does not run."""
    trace = tmp_path / "trace"

    class Bomb:
        def __reduce__(self):
            return (open, (str(trace), "w"))

    torch.save({"a": Bomb()}, tmp_path / "bomb.pth")
    for build in (InceptionFeatures, DINOv2Features, CLIPFeatures):
        with pytest.raises(UsageError, match="does not load"):
            build(weights=str(tmp_path / "bomb.pth"))
    assert not trace.exists()
