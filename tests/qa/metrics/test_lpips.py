"""LPIPS: the paper's formula, written out, on the same drawn network."""

import inspect
from pathlib import Path

import lpips
import pytest
import torch
from torchvision import models

from qa.errors import UsageError
from qa.metrics.lpips import LPIPS

LAYERS = {"alex": (1, 4, 7, 9, 11), "vgg": (3, 8, 15, 22, 29)}  # relus in torchvision's `features`
NETWORKS = {"alex": (models.alexnet, "alexnet-owt-7be5be79.pth"),
            "vgg": (models.vgg16, "vgg16-397923af.pth")}  # fmt: skip


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_equation_1(battery, mirror, net):
    build, file = NETWORKS[net]
    with torch.device("meta"):
        features = build(weights=None).features
    state = torch.load(mirror / "hub" / "checkpoints" / file, weights_only=True)
    features.load_state_dict(
        {k[9:]: v for k, v in state.items() if k.startswith("features.")}, assign=True
    )
    heads = torch.load(Path(inspect.getfile(lpips)).parent / f"weights/v0.1/{net}.pth", "cpu")
    reference = battery.drawing(64, 70)
    picture = battery.noisy(reference, 15)

    x = torch.stack([picture, reference]).double() / 127.5 - 1
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1)
    x, distance = (x - shift) / scale, 0.0
    with torch.no_grad():
        for index, layer in enumerate(features.double()):
            x = layer(x)
            if index in LAYERS[net]:
                unit = x / x.norm(dim=1, keepdim=True).clamp(min=1e-10)
                w = heads[f"lin{LAYERS[net].index(index)}.model.1.weight"].double()
                distance += float(((unit[:1] - unit[1:]) ** 2 * w.view(1, -1, 1, 1)).sum(1).mean())
    assert LPIPS(net)(picture[None], reference) == [pytest.approx(distance, abs=1e-6)]


def test_the_two_networks_are_two_metrics(all_cases):
    names = {all_cases[name].metric.facts.name for name in ("lpips_alex", "lpips_vgg")}
    assert names == {"lpips_alex", "lpips_vgg"}


def test_unknown_network():
    with pytest.raises(UsageError, match="no network 'squeeze'"):
        LPIPS("squeeze")
