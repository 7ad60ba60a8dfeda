"""DISTS: structure and texture similarity in VGG16 features.

    D = 1 - sum over layers i and channels j of  alpha_ij l(x,y) + beta_ij s(x,y)
    l = (2 mx my + c1) / (mx^2 + my^2 + c1),   s = (2 sxy + c2) / (sx^2 + sy^2 + c2)

with means and covariances over all positions of a feature map, c1 = c2 = 1e-6, the picture itself
as layer 0, relu1_2..relu5_3 after it and L2 pooling between stages. torchmetrics owns the code and
ships alpha and beta; the network comes from the asset table.

The authors' script first shrinks pictures whose shorter side exceeds 256 pixels. Nothing is
resized here (nor by torchmetrics), because a decoder's fine detail is what is being judged.
"""

from __future__ import annotations

import threading
from importlib.metadata import version
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from qa.images import to_unit
from qa.metrics.inputs import check_pair, score_each
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

_building = threading.Lock()


class DISTS:
    """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] → DISTS, lower is better.

    0 for identical pictures, up to float32 rounding on either side of it.
    """

    better: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = ""

    def __init__(self, device: str = "cpu") -> None:
        trunk = load_trunk(TRUNK)
        self._device = pick_device(device)
        self._network, weights = _build(trunk)
        self._network.to(self._device)
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

        target = check_pair(pictures, reference, LEAST)[None]
        with torch.inference_mode():
            # Once per call instead of once per seed; the network hands features through.
            features = self._network.forward_once(to_unit(target.to(self._device)))
        return score_each(lambda p: self._network(to_unit(p.to(self._device)), features), pictures)


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

    forward_once = network.forward_once
    network.forward_once = lambda x: x if isinstance(x, list) else forward_once(x)
    return network.requires_grad_(False).eval(), digest
