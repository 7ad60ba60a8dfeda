"""LPIPS v0.1: distance of two pictures in the features of an ImageNet network.

    d = sum over layers l, mean over positions, of  w_l . (f_l(x) - f_l(y))^2

with f_l the activations after relu l = 1..5 (AlexNet) or relu1_2..relu5_3 (VGG16), scaled to unit
length along channels, and w_l >= 0 fitted to human judgements. The lpips package owns the
definition and ships the w_l; the network comes from the asset table.

Values of the two networks are different metrics. The w_l were fitted on 64x64 patches and nothing
is resized here, so values depend on resolution.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from qa.errors import UsageError
from qa.images import to_unit
from qa.metrics.inputs import check_pair, score_each
from qa.metrics.trunk import Trunk, fill, load_trunk, verified
from qa.numerics import pick_device
from qa.types import MetricFacts

if TYPE_CHECKING:
    from torch import Tensor, nn

TRUNKS = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth"}
HEADS = {
    "alex": "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    "vgg": "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
}
"""SHA-256 of the w_l inside the lpips wheel."""
LEAST = {"alex": 31, "vgg": 16}
"""Smaller pictures leave the last layer without a position."""


class LPIPS:
    """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] → LPIPS >= 0, lower is better."""

    better: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = ""

    def __init__(self, net: str = "alex", device: str = "cpu") -> None:
        if net not in TRUNKS:
            raise UsageError(f"LPIPS has no network {net!r}.", fix="net=alex or net=vgg")
        trunk = load_trunk(TRUNKS[net])
        self._device = pick_device(device)
        self._least = LEAST[net]
        self._model, heads = _build(net, trunk)
        self._model.to(self._device)
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

        target = check_pair(pictures, reference, self._least)[None]
        with torch.inference_mode():
            # Once per call instead of once per seed; the model hands features through.
            features = self._model.net(self._model.scaling_layer(self._input(target)))
        return score_each(lambda p: self._model(self._input(p), features), pictures)

    def _input(self, picture: Tensor) -> Tensor:  # uint8 [1,3,H,W] -> float32 in [-1,1]
        return to_unit(picture.to(self._device)) * 2 - 1


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
    for module in (model.scaling_layer, model.net):
        _hand_through(module)
    return model.eval(), digest


def _hand_through(module: nn.Module) -> None:
    """Let a module return features (a tuple) as they are, so that they need not be computed again.

    Then `model(picture, features)` is the package's own formula on known reference features.
    """
    forward: Callable[[Tensor], Any] = module.forward
    module.forward = lambda x: x if isinstance(x, tuple) else forward(x)
