"""LDR-FLIP: what a viewer sees when two pictures take turns on a screen.

    dE = dEc^(1 - dEf) at every pixel,  0 (no difference) to 1        FLIP = mean over pixels

with dEc the colour difference after the eye's contrast sensitivity at `ppd` pixels per degree of
visual angle, and dEf the difference of edges and points. NVIDIA's package owns the code. The
mean hides small areas: see the map.

67 pixels per degree is a 3840 pixels wide screen of 0.7 m, seen from 0.7 m.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from qa.errors import Unavailable, UsageError
from qa.images import to_unit
from qa.metrics.inputs import check_pair, finite
from qa.types import MetricFacts

if TYPE_CHECKING:
    from torch import Tensor

PPD = 67.02064514160156
"""The package's default, float32: 0.7 m x 3840 / 0.7 m x pi / 180."""


class FLIP:
    """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] → FLIP in [0, 1], lower is better."""

    better: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = ""
    full: ClassVar[float] = 1.0
    """Of the map: the largest difference that there is."""

    def __init__(self, ppd: float = PPD) -> None:
        """`ppd`: pixels per degree of visual angle. UsageError if it is not above 0."""
        _package()
        self._ppd = _checked(ppd)
        self.facts = MetricFacts(
            name="flip",
            better=self.better,
            unit=self.unit,
            source="Andersson, Nilsson, Akenine-Möller, Oskarsson, Åström and Fairchild, "
            f"Proc. ACM CGIT 3(2), 2020; flip-evaluator {version('flip-evaluator')}",
            licence="BSD-3-Clause (flip-evaluator)",
            protocol={
                "version": 1,
                "colour": "sRGB",
                "levels": "uint8 / 255",
                "ppd": ppd,
                "resize": "none",
                "dtype": "float32, mean in float64",
            },
        )

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values. ValueError without an equal-sized reference."""
        import torch

        target = check_pair(pictures, reference, least=1)
        maps = (flip_map(picture, target, self._ppd) for picture in pictures)
        # Not the package's own mean, which is a float32 sum in an order that threads decide.
        return finite(float(found.mean(dtype=torch.float64)) for found in maps)

    def map(self, picture: Tensor, reference: Tensor) -> Tensor:
        """Where two pictures uint8 [3,H,W] differ: float32 [H,W] in [0, 1] on the CPU.

        Its mean is the value. Raises ValueError like a call.
        """
        return flip_map(picture, reference, self._ppd)


def flip_map(picture: Tensor, reference: Tensor, ppd: float = PPD) -> Tensor:
    """Pictures uint8 [3,H,W] → where they differ, float32 [H,W] in [0, 1] on the CPU.

    Raises ValueError without an equal-sized reference, UsageError for a `ppd` that is not above 0
    and Unavailable without the package.
    """
    import torch

    target = check_pair(picture[None], reference, least=1)
    x, y = (to_unit(p.cpu()).permute(1, 2, 0).contiguous().numpy() for p in (picture, target))
    settings = {"ppd": _checked(ppd)}
    # The inner function: the package's outer one ends the process over a wrong argument.
    found, _, _ = _package().evaluate(y, x, False, True, False, False, settings)
    return torch.from_numpy(found[..., 0].copy())


def _package() -> Any:
    try:
        return import_module("flip_evaluator.nbflip")
    except ImportError as error:
        raise Unavailable(
            "FLIP is not available.",
            f"It needs the package flip-evaluator ({error}).",
            "pip install flip-evaluator",
        ) from error


def _checked(ppd: float) -> float:
    if not ppd > 0:
        raise UsageError(f"ppd={ppd} cannot work.", "It is pixels per degree, above 0.", "ppd=67")
    return float(ppd)
