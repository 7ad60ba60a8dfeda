"""LPIPS v0.1: distance of two pictures in the features of an ImageNet network.

    d = sum over layers l, mean over positions, of  w_l . (f_l(x) - f_l(y))^2

with f_l the activations after relu l = 1..5 (AlexNet) or relu1_2..relu5_3 (VGG16), scaled to unit
length along channels, and w_l >= 0 fitted to human judgements. The lpips package owns the
definition and ships the w_l; the network comes from the asset table.

Values of the two networks are different metrics. The w_l were fitted on 64x64 patches and nothing
is resized here, so values depend on resolution.

Before the mean, layer l is a map [h_l,w_l]; the package's spatial map stretches these maps to the
picture (bilinear) and adds them. Value and map come from the same maps, made tile by tile
(`qa.metrics.tiles`): VGG16's first two layers alone would take 17 GB for a 4096x4096 pair.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from qa.errors import UsageError
from qa.images import to_unit
from qa.metrics.inputs import check_pair, check_tile, finite
from qa.metrics.tiles import TILE, Tile, reaches, tiles
from qa.metrics.trunk import Trunk, fill, load_trunk, verified
from qa.numerics import pick_device
from qa.types import MetricFacts

if TYPE_CHECKING:
    from torch import Tensor

TRUNKS = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth"}
HEADS = {
    "alex": "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    "vgg": "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
}
"""SHA-256 of the w_l inside the lpips wheel."""
LEAST = {"alex": 31, "vgg": 16}
"""Smaller pictures leave the last layer without a position."""
FULL = {"alex": 0.8, "vgg": 0.9}
"""Of the map: about what it has where two pictures have nothing in common.

Unit vectors without a common channel are sqrt(2) apart, so that layer l adds 2 x the mean of w_l if
no channel is preferred. Over all layers that is 0.82 for AlexNet and 0.88 for VGG16.
"""
LAYERS = 5


class LPIPS:
    """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] → LPIPS >= 0, lower is better."""

    better: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = ""

    def __init__(self, net: str = "alex", tile: int = TILE, device: str = "cpu") -> None:
        """`tile` pixels at a time along each side: it bounds memory and leaves the value as it is.

        It is no part of the protocol: values differ by float32 rounding, 1e-7 and less.
        """
        if net not in TRUNKS:
            raise UsageError(f"LPIPS has no network {net!r}.", fix="net=alex or net=vgg")
        self._tile = check_tile(tile)
        trunk = load_trunk(TRUNKS[net])
        self._device = pick_device(device)
        self._least = LEAST[net]
        self.full = FULL[net]
        self._model, heads = _build(net, trunk)
        self._model.to(self._device)
        self._stages = [getattr(self._model.net, f"slice{i}") for i in range(1, LAYERS + 1)]
        self._reaches = reaches(self._stages)
        self.facts = MetricFacts(
            name=f"lpips_{net}",
            better=self.better,
            unit=self.unit,
            source="Zhang, Isola, Efros, Shechtman and Wang, CVPR 2018, eq. 1; "
            f"lpips {version('lpips')}",
            licence="BSD-2-Clause (lpips and its weights); BSD-3-Clause (torchvision's network)",
            protocol={
                "version": 1,
                "lpips": "v0.1",
                "network": net,
                "colour": "RGB",
                "levels": "uint8 / 255 * 2 - 1",
                "resize": "none",
                "trunk_sha256": trunk.sha256,
                "heads_sha256": heads,
                "dtype": "float32",
            },
        )

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values. ValueError without an equal-sized reference, or below the network's size."""
        import torch

        target = check_pair(pictures, reference, self._least)
        sums = torch.zeros(len(pictures), LAYERS, dtype=torch.float64)
        counts = torch.zeros(LAYERS, dtype=torch.float64)
        with torch.inference_mode():
            for tile in self._tiles(target):
                known = list(self._features(target, tile))  # once for all pictures
                for i, picture in enumerate(pictures):
                    for layer, distance in enumerate(self._distances(picture, known, tile)):
                        sums[i, layer] += distance.sum(dtype=torch.float64).cpu()
                        counts[layer] += distance.numel() if i == 0 else 0
        return finite((sums / counts).sum(dim=1).tolist())

    def map(self, picture: Tensor, reference: Tensor) -> Tensor:
        """Where two pictures uint8 [3,H,W] differ: float32 [H,W] on the CPU.

        The package's `spatial=True`. Its mean is near the value, not equal to it: stretching
        weighs positions at the border differently. Raises ValueError like a call.
        """
        import torch
        from torch.nn.functional import interpolate

        target = check_pair(picture[None], reference, self._least)
        size = target.shape[1:]
        maps: list[dict[int, list[Tensor]]] = [{} for _ in range(LAYERS)]
        with torch.inference_mode():
            for tile in self._tiles(target):
                known = list(self._features(target, tile))
                for layer, part in enumerate(self._distances(picture, known, tile)):
                    maps[layer].setdefault(tile.rows.keep.start, []).append(part.cpu())
            found = torch.zeros(size)
            for rows in maps:
                whole = torch.cat([torch.cat(row, dim=1) for row in rows.values()])
                found += interpolate(whole[None, None], size=size, mode="bilinear")[0, 0]
        return found

    def _tiles(self, picture: Tensor) -> Iterator[Tile]:
        height, width = picture.shape[1:]
        return tiles(height, width, self._tile, self._reaches)

    def _features(self, picture: Tensor, tile: Tile) -> Iterator[Tensor]:
        """Picture uint8 [3,H,W] → the tile's features of each layer [1,C,h,w], of unit length."""
        from lpips import normalize_tensor

        levels = to_unit(tile.crop(picture)[None].to(self._device)) * 2 - 1
        x = self._model.scaling_layer(levels)
        for stage, reach in zip(self._stages, self._reaches, strict=True):
            x = stage(x)
            yield normalize_tensor(tile.kept(x, reach))

    def _distances(self, picture: Tensor, known: list[Tensor], tile: Tile) -> Iterator[Tensor]:
        """w_l . (f_l(x) - f_l(y))^2 at every position of the tile: float32 [h,w] a layer."""
        import torch

        layers = zip(self._features(picture, tile), known, self._model.lins, strict=True)
        for features, others, head in layers:
            # Not the head itself: a convolution refuses the last layers of a narrow last tile,
            # which may be empty.
            w = head.model[-1].weight.flatten()
            yield torch.tensordot(w, features[0].sub_(others[0]).square_(), dims=1)


def _build(net: str, trunk: Trunk) -> tuple[Any, str]:
    """The lpips package's own model with trunk and heads in place, and the heads' SHA-256."""
    import lpips
    import torch

    heads = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{net}.pth"
    digest = verified(heads, HEADS[net])
    with torch.device("meta"), warnings.catch_warnings():
        # lpips calls torchvision with `pretrained=False`, which torchvision calls deprecated.
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision.models")
        model = lpips.LPIPS(pretrained=False, pnet_rand=True, net=net, version="0.1", verbose=False)
    fill(model.net, trunk)
    weights = torch.load(heads, map_location="cpu", weights_only=True)
    model.lins.load_state_dict({k.removeprefix("lin"): v for k, v in weights.items()}, assign=True)
    model.requires_grad_(False)
    return model.eval(), digest
