"""LPIPS: the paper's formula, written out, on the same drawn network."""

import inspect
import warnings
from dataclasses import replace
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


def test_tiles_of_no_size():
    with pytest.raises(UsageError, match="tile=0"):
        LPIPS(tile=0)


# Wide enough that tiles inside see neither border, or with a last tile of one pixel, where a layer
# of AlexNet may have no outputs.
TILED = [("alex", (33, 450), 64), ("alex", (257, 130), 100), ("alex", (64, 65), 16),
         ("alex", (31, 33), 16), ("vgg", (17, 330), 64), ("vgg", (129, 33), 50),
         ("vgg", (16, 33), 16)]  # fmt: skip


@pytest.mark.parametrize(("net", "size", "tile"), TILED)
def test_tiles_do_not_change_value_or_map(battery, mirror, net, size, tile):
    reference = battery.drawing(*size)
    pictures = torch.stack([battery.noisy(reference, d) for d in (5, 20)])
    whole, tiled = LPIPS(net, tile=10_000), LPIPS(net, tile=tile)
    assert whole.facts == tiled.facts
    assert tiled(pictures, reference) == pytest.approx(whole(pictures, reference), abs=1e-7)
    maps = [metric.map(pictures[0], reference) for metric in (whole, tiled)]
    assert torch.allclose(*maps, rtol=0, atol=1e-6)


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_tiles_that_read_no_neighbours_do(battery, mirror, net):
    """The same comparison fails without what is read around a tile."""
    reference = battery.drawing(64, 256)
    picture = battery.noisy(reference, 20)
    metric = LPIPS(net, tile=64)
    value = metric(picture[None], reference)
    metric._reaches = [replace(reach, before=0, after=0) for reach in metric._reaches]
    assert metric(picture[None], reference) != pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_the_map_is_the_packages(battery, all_cases, mirror, net):
    """`spatial=True` of the package, on the same network."""
    all_cases[f"lpips_{net}"]  # the stand-ins lie where torchvision looks for downloads
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision.models")
        package = lpips.LPIPS(net=net, spatial=True, verbose=False)
    reference = battery.drawing(61, 90)
    picture = battery.noisy(reference, 15)
    with torch.no_grad():
        expected = package(picture[None] / 127.5 - 1, reference[None] / 127.5 - 1)[0, 0]
    found = LPIPS(net).map(picture, reference)
    assert found.shape == (61, 90)
    assert torch.allclose(found, expected, rtol=0, atol=1e-6)
    assert not torch.allclose(found.flip(0), expected, rtol=0, atol=1e-3)


def test_the_map_shows_where_and_refuses_other_sizes(battery, mirror):
    reference = battery.drawing(64, 200)
    picture = reference.clone()
    picture[:, 20:40, 20:40] = 255 - picture[:, 20:40, 20:40]
    found = LPIPS("vgg").map(picture, reference)
    assert found[20:40, 20:40].mean() > 10 * found[:, 150:].mean()
    assert LPIPS("vgg").map(reference, reference).abs().max() == 0
    with pytest.raises(ValueError, match="never resizes"):
        LPIPS().map(picture, reference[:, :60])


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_the_scale_of_the_map_ends_where_nothing_is_in_common(mirror, net):
    """By the formula: unit vectors with no common channel, each spread evenly over its own half."""
    heads = torch.load(Path(inspect.getfile(lpips)).parent / f"weights/v0.1/{net}.pth", "cpu")
    shuffle, distance = torch.Generator().manual_seed(0), 0.0
    for head in heads.values():
        w = head.flatten()[torch.randperm(head.numel(), generator=shuffle)]
        half = torch.arange(len(w)) < len(w) // 2
        x, y = (part / part.norm() for part in (half.float(), (~half).float()))
        distance += float(w @ (x - y) ** 2)
    metric = LPIPS(net)
    assert metric.full == round(distance, 1)
    assert metric.full != LPIPS({"alex": "vgg", "vgg": "alex"}[net]).full


def test_the_reference_goes_through_the_network_once(battery, mirror):
    """Once a tile, whatever the number of pictures."""
    reference = battery.drawing(64, 128)
    pictures = torch.stack([battery.noisy(reference, d) for d in (5, 10, 20)])
    metric, calls = LPIPS(tile=64), []
    metric._stages[0].register_forward_hook(lambda *seen: calls.append(seen))
    metric(pictures, reference)
    assert len(calls) == 2 * (3 + 1)
