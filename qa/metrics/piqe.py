"""PIQE: quality of a picture without a reference, from noise and blocking in its active blocks.

0 (best) to 100 (worst). pyiqa owns the code. It is an optional extra: its licence is
non-commercial, so a commercial release gate must not stand on it.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, ClassVar, Literal

from qa.errors import Unavailable
from qa.images import to_unit
from qa.metrics.inputs import check_pictures, score_each
from qa.numerics import pick_device
from qa.types import MetricFacts

if TYPE_CHECKING:
    from torch import Tensor

LEAST = 16
"""One block."""


class PIQE:
    """Pictures uint8 [S,3,H,W] → PIQE in [0, 100], lower is better. No reference is looked at."""

    better: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = ""

    def __init__(self, device: str = "cpu") -> None:
        try:
            # The function, not `create_metric("piqe")`: the module keeps its result in itself
            # between computing and returning it, so threads would read each other's values.
            from pyiqa.archs.piqe_arch import piqe
        except ImportError as error:
            raise Unavailable(
                "Metric piqe is not available.",
                f"It needs pyiqa, an optional package with a non-commercial licence ({error}).",
                "pip install decoder-qa[iqa]",
            ) from error
        self._piqe = piqe
        self._device = pick_device(device)
        self.facts = MetricFacts(
            name="piqe",
            better=self.better,
            unit=self.unit,
            source="Venkatanath, Praneeth, Chandrasekhar, Channappayya and Medasani, NCC 2015; "
            f"pyiqa {version('pyiqa')}",
            licence="PolyForm-Noncommercial-1.0.0 (pyiqa): not for commercial use",
            protocol={
                "version": 1,
                "colour": "Y of YIQ, divided by the picture's brightest value",
                "levels": "uint8 / 255",
                "blocks": "16x16, activity 0.1, impairment 0.1, segment 6",
                "resize": "none",
                "dtype": "float32",
            },
            paired=False,
        )

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values. ValueError below 16 pixels and for an all-black picture."""
        check_pictures(pictures, LEAST)
        if not pictures.flatten(1).any(dim=1).all():
            raise ValueError("an all-black picture has no brightest value to divide by")
        return score_each(lambda p: self._piqe(to_unit(p.to(self._device)))[0], pictures)
