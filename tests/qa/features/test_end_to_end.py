"""From PNG files to FID: clean-fid and torchmetrics on one side, our features and Fréchet here.

Both sides have the same weights. The 2048 features are mixed down to 3 on both sides, because
matrix roots of all of them take the libraries a minute (see the slow test).
"""

import shutil
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from precision import confirm
from torch import nn

from qa import images
from qa.features.extractors import InceptionFeatures
from qa.sets.frechet import Frechet

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit")
COUNT = 4
MIX = np.random.default_rng(1).standard_normal((2048, 3)) / 45
OTHERS = ("ttur", "pytorch-fid", "tm")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders of PNGs of several sizes; the second is noisier and darker."""
    generator = np.random.default_rng(0)
    made = []
    for name, dark in (("references", 0), ("candidates", 30)):
        folder = tmp_path_factory.mktemp(name)
        for index in range(COUNT):
            coarse = generator.integers(0, 256, (7, 9, 3), dtype=np.uint8)
            smooth = np.asarray(Image.fromarray(coarse).resize((70 + index, 90 - index)), float)
            levels = smooth - dark + generator.normal(0, dark, smooth.shape)
            picture = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
            Image.fromarray(picture).save(folder / f"{index}.png")
        made.append(folder)
    return made


def rows(features, folder):
    files = sorted(folder.glob("*.png"))
    return torch.cat([features(images.read(file), file.stem) for file in files]).numpy()


def relative(made, wanted):
    return abs(made - wanted) / abs(wanted)


@pytest.fixture(scope="module")
def clean_model(pt, tmp_path_factory):
    """clean-fid's own wrapper around the TorchScript file, which it wants under this name."""
    from cleanfid.inception_torchscript import InceptionV3W

    folder = tmp_path_factory.mktemp("cleanfid")
    shutil.copy(pt, folder / "inception-2015-12-05.pt")
    with pytest.warns(FutureWarning, match=r"torch\.jit"):
        return InceptionV3W(str(folder), download=False)


@pytest.fixture(scope="module")
def clean_features(clean_model, folders):
    """clean-fid's features of both folders, [4,2048] each, from its own reading and resizing."""
    from cleanfid import fid

    return [
        fid.get_folder_features(
            str(folder), clean_model, num_workers=0, batch_size=1, device="cpu", mode="clean",
            verbose=False,
        )
        for folder in folders
    ]  # fmt: skip


@pytest.fixture(scope="module")
def our_features(pth, folders):
    """References and candidates [4,2048] under each protocol."""
    built = {name: InceptionFeatures(name, str(pth)) for name in ("clean", *OTHERS)}
    return {name: [rows(f, folder) for folder in folders] for name, f in built.items()}


@pytest.fixture
def clean_frechet(monkeypatch):
    """clean-fid's distance of rows; SciPy 1.18 took away the argument that it passes to sqrtm."""
    from cleanfid import fid
    from scipy.linalg import sqrtm

    def silent(matrix, disp):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what disp=False did
            return sqrtm(matrix), None

    monkeypatch.setattr(fid, "linalg", SimpleNamespace(sqrtm=silent))
    return fid.fid_from_feats


def ours(features):
    references, candidates = (rows @ MIX for rows in features)
    return Frechet(references)(candidates)


def test_clean_fid(clean_features, clean_frechet, our_features):
    for made, theirs in zip(our_features["clean"], clean_features, strict=True):
        assert np.abs(made - theirs).max() <= 1e-5 * np.abs(theirs).max()
    wanted = clean_frechet(*(rows @ MIX for rows in clean_features))
    made = ours(our_features["clean"])
    assert relative(made, wanted) <= 1e-4
    other = "clean-fid from PNG files, drawn network"
    confirm("fid protocol=clean", made, wanted, 1e-4, other, difference=relative(made, wanted))
    for other in OTHERS:  # negative control: another protocol is another number
        assert relative(ours(our_features[other]), wanted) > 1e-3


class Mixed(nn.Module):
    """torchmetrics' own network, its features mixed."""

    num_features = MIX.shape[1]

    def __init__(self, pth):
        super().__init__()
        from torchmetrics.image.fid import NoTrainInceptionV3

        self.whole = NoTrainInceptionV3("fid", ["2048"], str(pth))

    def forward(self, pictures):
        return self.whole(pictures).double() @ torch.from_numpy(MIX)


@torch.no_grad()
def test_torchmetrics(pth, folders, our_features):
    from torchmetrics.image.fid import FrechetInceptionDistance

    theirs = FrechetInceptionDistance(Mixed(pth))
    for folder, real in zip(folders, (True, False), strict=True):
        for file in sorted(folder.glob("*.png")):
            theirs.update(images.read(file)[None], real=real)
    wanted = float(theirs.compute())
    made = ours(our_features["tm"])
    assert relative(made, wanted) <= 1e-4
    other = "torchmetrics from uint8, drawn network"
    confirm("fid protocol=tm", made, wanted, 1e-4, other, difference=relative(made, wanted))
    for other in {"clean", *OTHERS} - {"tm"}:  # negative control
        assert relative(ours(our_features[other]), wanted) > 1e-3


@pytest.mark.slow
def test_clean_fid_with_all_features(clean_features, clean_frechet, our_features):
    """Fewer pictures than features: the case that matrix square roots find hardest."""
    wanted = clean_frechet(*clean_features)
    assert relative(Frechet(our_features["clean"][0])(our_features["clean"][1]), wanted) <= 1e-4
