"""DISTS: structure and texture similarity in VGG16 features.

    D = 1 - sum over layers i and channels j of  alpha_ij l(x,y) + beta_ij s(x,y)
    l = (2 mx my + c1) / (mx^2 + my^2 + c1),   s = (2 sxy + c2) / (sx^2 + sy^2 + c2)

with means and covariances over all positions of a feature map, c1 = c2 = 1e-6, the picture itself
as layer 0, relu1_2..relu5_3 after it and L2 pooling between stages. torchmetrics owns the code and
ships alpha and beta; the network comes from the asset table.

The authors' script first shrinks pictures whose shorter side exceeds 256 pixels. Nothing is
resized here (nor by torchmetrics), because a decoder's fine detail is what is being judged.

All of it follows from five sums over positions: of x, y, xx, yy and xy. They are added up in
float64, tile by tile (`qa.metrics.tiles`), so that memory does not grow with the picture.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from importlib.metadata import version
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from qa.images import to_unit
from qa.metrics.inputs import check_pair, check_tile, finite
from qa.metrics.tiles import TILE, Reach, Tile, reaches, tiles
from qa.metrics.trunk import Trunk, fill, load_trunk, verified
from qa.numerics import pick_device
from qa.types import MetricFacts

if TYPE_CHECKING:
    from torch import Tensor

TRUNK = "vgg16-397923af.pth"
WEIGHTS = "f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218"
"""SHA-256 of alpha and beta inside the torchmetrics wheel, identical to the authors' file."""
LEAST = 32
"""The last feature map is 16 times smaller; one position would have no variance."""
C1 = C2 = 1e-6
CHUNK = 4

_building = threading.Lock()


class DISTS:
    """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] → DISTS, lower is better.

    0 for identical pictures, up to float64 rounding on either side of it.
    """

    better: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = ""

    def __init__(self, tile: int = TILE, device: str = "cpu") -> None:
        """`tile` pixels at a time along each side: it bounds memory and leaves the value as it is.

        It is no part of the protocol: values differ by float32 rounding, 1e-6 and less.
        """
        self._tile = check_tile(tile)
        trunk = load_trunk(TRUNK)
        self._device = pick_device(device)
        self._network, weights = _build(trunk)
        self._network.to(self._device)
        self._stages = [getattr(self._network, f"stage{i}") for i in range(1, 6)]
        self._reaches = [Reach(), *reaches(self._stages)]
        self.facts = MetricFacts(
            name="dists",
            better=self.better,
            unit=self.unit,
            source="Ding, Ma, Wang and Simoncelli, IEEE TPAMI 44(5), 2022, section 3; "
            f"torchmetrics {version('torchmetrics')}",
            licence="Apache-2.0 (torchmetrics); MIT (alpha, beta); "
            "BSD-3-Clause (torchvision's network)",
            protocol={
                "version": 1,
                "colour": "RGB",
                "levels": "uint8 / 255, then ImageNet mean and deviation",
                "resize": "none",
                "trunk_sha256": trunk.sha256,
                "weights_sha256": weights,
                "dtype": "float32",
            },
        )

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values. ValueError without an equal-sized reference, or below 32 pixels."""
        import torch

        target = check_pair(pictures, reference, LEAST)
        height, width = target.shape[1:]
        sums: list[Tensor] = [torch.zeros((), device=self._device)] * len(pictures)
        with torch.inference_mode():
            for tile in tiles(height, width, self._tile, self._reaches):
                known = list(self._features(target, tile))  # once for all pictures
                for i, picture in enumerate(pictures):
                    layers = zip(self._features(picture, tile), known, strict=True)
                    sums[i] = sums[i] + torch.cat([_sums(f[0], g[0]) for f, g in layers])
            return finite(self._value(total[:, 1:] / total[:, :1]) for total in sums)

    def _features(self, picture: Tensor, tile: Tile) -> Iterator[Tensor]:
        """Picture uint8 [3,H,W] → the tile's part of each layer, float32 [1,C,h,w]."""
        x = to_unit(tile.crop(picture)[None].to(self._device))
        yield tile.kept(x, self._reaches[0])
        x = (x - self._network.mean) / self._network.std
        for stage, reach in zip(self._stages, self._reaches[1:], strict=True):
            x = stage(x)
            yield tile.kept(x, reach)

    def _value(self, means: Tensor) -> float:
        """Means of x, y, xx, yy and xy over all positions, float64 [C,5] → D."""
        mx, my, xx, yy, xy = means.unbind(dim=1)
        texture = (2 * mx * my + C1) / (mx**2 + my**2 + C1)
        structure = (2 * (xy - mx * my) + C2) / (xx - mx**2 + yy - my**2 + C2)
        alpha, beta = (w.double().flatten() for w in (self._network.alpha, self._network.beta))
        return 1 - float((alpha * texture + beta * structure).sum() / (alpha.sum() + beta.sum()))


def _sums(x: Tensor, y: Tensor) -> Tensor:
    """Two maps float32 [C,h,w] → sums of 1, x, y, xx, yy and xy over positions, float64 [C,6].

    Only a row is summed in float32 (a relative error of 1e-8); rows are added in float64. Copies in
    float64 would take as long as the network. A few channels at a time keep the products small.
    """
    import torch

    ones = x.new_full((len(x),), x[0].numel(), dtype=torch.float64)
    found = []
    for first in range(0, len(x), CHUNK):
        a, b = (part[first : first + CHUNK] for part in (x, y))
        parts = (a, b, a * a, b * b, a * b)
        found.append(torch.stack([part.sum(dim=2).double().sum(dim=1) for part in parts], dim=1))
    return torch.cat([ones[:, None], torch.cat(found)], dim=1)


def _build(trunk: Trunk) -> tuple[Any, str]:
    """torchmetrics' own network on the given trunk, and the SHA-256 of its alpha and beta."""
    import torch
    from torchmetrics.functional.image import dists
    from torchvision.models import vgg

    digest = verified(dists._PATH_WEIGHT_DISTS, WEIGHTS)
    with torch.device("meta"):
        features = vgg.make_layers(vgg.cfgs["D"], batch_norm=False)
    fill(features, trunk)

    # The constructor calls `vgg16(weights=DEFAULT)`, which downloads, and takes no argument to do
    # otherwise; it also draws random numbers for alpha and beta before it loads them.
    with _building, torch.random.fork_rng(devices=[]):
        downloading = dists.vgg16
        dists.vgg16 = lambda weights: SimpleNamespace(features=features)
        try:
            network = dists.DISTSNetwork(load_weights=True)
        finally:
            dists.vgg16 = downloading

    return network.requires_grad_(False).eval(), digest
