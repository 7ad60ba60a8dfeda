"""One pass: everything that is measured on one sample's pictures, from the same tensors.

    pictures uint8 [S,3,H,W] ──┬──► each metric      ──► S values, or why there are none
    reference uint8 [3,H,W] ───┴──► each network once ──► rows of features for the set metrics

S counts whatever shares a reference: seeds of one decoder, or several decoders at once (but for
metrics that compare seeds with each other). What is computed from the reference is computed once
for all of them. Its features are also kept on disk, under the digest of the picture, for the next
decoder that is measured on the same suite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from qa.errors import scored
from qa.features.cache import Cache, compute
from qa.roles import Features, Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True)
class Measured:
    """What one pass found. Where something has no value, its reason stands in `lost`."""

    values: Mapping[str, list[float]] = field(default_factory=dict)
    """Metric → S values."""
    features: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """Features id → [S,V,d]."""
    references: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """Features id → [V,d] of the reference, where there is one."""
    lost: Mapping[str, str] = field(default_factory=dict)
    """Metric or features id → why there is none."""


class Engine:
    """Measures samples. May be called from several threads at once."""

    def __init__(
        self,
        metrics: Mapping[str, Metric],
        features: Sequence[Features] = (),
        device: str = "cpu",
        cache: Path | None = None,
    ) -> None:
        """`cache` is a folder for reference features; None keeps none."""
        self.metrics = dict(metrics)
        self.features = {part.id: part for part in features}
        self._device, self._cache = device, Cache(cache)
        # Threads cannot share a GPU out among them: side by side they would only fill its memory.
        self._turn = nullcontext() if device == "cpu" else Lock()

    def measure(
        self,
        pictures: Tensor,
        reference: Tensor | None,
        key: str,
        only: Sequence[str] | None = None,
    ) -> Measured:
        """Pictures uint8 [S,3,H,W], reference uint8 [3,H,W]; `key` names the sample's content.

        `only` are the metrics and features ids wanted, all by default. One that fails does not
        keep the others from being measured.
        """
        wanted = [*self.metrics, *self.features] if only is None else only
        values: dict[str, list[float]] = {}
        features: dict[str, NDArray[np.float32]] = {}
        references: dict[str, NDArray[np.float32]] = {}
        lost: dict[str, str] = {}
        with self._turn:
            on_device = pictures.to(self._device)
            target = None if reference is None else reference.to(self._device)
            for name in wanted:
                try:
                    if name in self.metrics:
                        values[name] = [float(v) for v in self.metrics[name](on_device, target)]
                    else:
                        features[name], rows = self._rows(name, on_device, target, key)
                        if rows is not None:
                            references[name] = rows
                except Exception as error:
                    lost[name] = scored(error)
        return Measured(values, features, references, lost)

    def _rows(
        self, name: str, pictures: Tensor, reference: Tensor | None, key: str
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        import numpy as np

        part = self.features[name]
        rows = np.stack([compute(part, picture, key) for picture in pictures])
        return rows, None if reference is None else self._cache.rows(part, reference, key)
