"""Metrics without a reference through pyiqa: MUSIQ, MANIQA, TOPIQ, LIQE, CLIP-IQA and others.

pyiqa owns the definitions and the numbers are its own. It is an optional extra and its licence is
non-commercial, so a commercial release gate must not stand on it, whatever the weights' licence.

pyiqa fetches weights from several places while it builds a network, and does not check them. Here
it never reaches the network: it finds the files that the configuration names, verified, where it
would have put its own downloads, and anything else it asks for is refused:

    asset table ──► a folder in pyiqa's form ──► pyiqa's own loading ──► its network

Weights of backbones (timm, torchvision) that would be overwritten anyway are not loaded at all:
MANIQA alone would fetch 350 MB for nothing. Files are read as tensors only, never as pickled code.

Called on the network itself, not through pyiqa's `InferenceModel`: that switches TF32 on in cuDNN.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from qa import assets
from qa.errors import UsageError
from qa.files import canonical, sha256
from qa.images import to_unit
from qa.metrics.inputs import check_pictures
from qa.metrics.pyiqa_offline import build_network
from qa.metrics.resolution import Crops, coverage, parse, score_views
from qa.numerics import pick_device
from qa.types import MetricFacts

if TYPE_CHECKING:
    from torch import Tensor

LICENCE = "PolyForm-Noncommercial-1.0.0 (pyiqa): not for commercial use"
FRAME = (2160, 3840)
"""The size for which coverage is stated in a protocol."""


class PyiqaQuality:
    """Pictures uint8 [S,3,H,W] → pyiqa's value, higher is better. No reference is looked at.

    `model` is pyiqa's name of the metric, `files` the assets it loads (by the names under which
    pyiqa looks for them), `source` paper and trained weights in words, `least` the shortest side
    it takes, `options` pyiqa's own settings. `crops` describes the windows that the network itself
    cuts out, where it does not look at everything.
    """

    better: ClassVar[Literal["higher", "lower"]] = "higher"
    unit: ClassVar[str] = ""

    def __init__(
        self,
        model: str,
        source: str,
        name: str | None = None,
        files: Sequence[str] = (),
        least: int = 1,
        resolution: str = "native",
        crops: Crops | None = None,
        options: Mapping[str, Any] | None = None,
        device: str = "cpu",
    ) -> None:
        built = build_network(model, files, options or {})
        if built.lower_better != (self.better == "lower"):
            raise _other_class(model, built.lower_better)
        self._device = pick_device(device)
        self._network = built.network.to(self._device)
        self._resolution = parse(resolution)
        self._crops = crops
        self._least = least
        # Some of pyiqa's networks keep what they computed in themselves until they return it.
        self._alone = threading.Lock()
        self.facts = MetricFacts(
            name=name or model,
            better=self.better,
            unit=self.unit,
            source=f"{source}; pyiqa {version('pyiqa')}",
            licence=licence_of(files),
            protocol={
                "version": 1,
                "definition": f"pyiqa {model}",
                "levels": "uint8 / 255",
                "resolution": str(self._resolution),
                "windows": "all" if crops is None else str(crops),
                "coverage_2160x3840": round(self.coverage(*FRAME), 3),
                "options": canonical(dict(options or {})),
                "dtype": "float32",
                **{f"sha256 {file}": sha256(assets.resolve(file)) for file in files},
            },
            paired=False,
        )

    def coverage(self, height: int, width: int) -> float:
        """Share in [0,1] of the pixels of a picture of this size that the value depends on."""
        return coverage(self._resolution, self._crops, height, width)

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values. ValueError below `least` pixels, or where pyiqa's value is not finite."""
        check_pictures(pictures, self._least)
        return score_views(self._score, pictures, self._resolution)

    def _score(self, view: Tensor) -> Tensor:  # uint8 [3,h,w] -> one value
        unit = to_unit(view[None].to(self._device))
        try:
            with self._alone:
                value: Tensor = self._network(unit)
        except AssertionError as error:  # pyiqa's way to say that a picture cannot be scored
            raise ValueError(f"pyiqa refuses the picture: {error}") from error
        return value


class PyiqaDistortion(PyiqaQuality):
    """As `PyiqaQuality`, for metrics of which lower values are better: NIQE, BRISQUE, PIQE."""

    better: ClassVar[Literal["higher", "lower"]] = "lower"


def licence_of(files: Sequence[str]) -> str:
    """pyiqa's terms and those of every file that it loads, by the asset table."""
    return "; ".join((LICENCE, *(f"{assets.find(file).licence} ({file})" for file in files)))


def _other_class(model: str, lower_better: bool) -> UsageError:
    direction, name = ("lower", "PyiqaDistortion") if lower_better else ("higher", "PyiqaQuality")
    return UsageError(
        f"pyiqa's {model} is better when {direction}.",
        "The class that the configuration names says the opposite.",
        f"_target_: {__name__}.{name}",
    )
