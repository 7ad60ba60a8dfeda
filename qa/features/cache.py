"""Features of reference pictures, kept on disk for the next decoder measured on the same suite.

    <cache>/features/<numerics>/<features id>/<digest of picture and key>.npy

The name stands for everything that shapes the rows, down to the last bit: threads, TF32, device and
PyTorch's version change it. So a file is never stale, only absent or damaged; both are mended by
computing again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa import assets, images
from qa.errors import QaError
from qa.files import atomic, digest
from qa.roles import Features

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def folder_for(numerics: Mapping[str, Any]) -> Path:
    """Where rows computed under these settings (`qa.numerics.describe`) are kept."""
    return assets.store().cache / "features" / digest(numerics)[:16]


@dataclass(frozen=True)
class Cache:
    """A folder of rows; None keeps nothing."""

    folder: Path | None = None

    def rows(self, part: Features, picture: Tensor, key: str) -> NDArray[np.float32]:
        """Features float32 [V,d] of a picture uint8 [3,H,W], found or computed.

        Raises ValueError where the picture has none, or NaN.
        """
        if self.folder is None:
            return compute(part, picture, key)
        name = digest([images.digest(picture.cpu()), key])
        file = self.folder / part.id / name[:2] / f"{name[2:]}.npy"
        found = _read(file, part.width)
        if found is None:
            found = compute(part, picture, key)
            _keep(file, found)
        return found


def compute(part: Features, picture: Tensor, key: str) -> NDArray[np.float32]:
    """Features [V,d] of a picture; ValueError for NaN or infinity."""
    import numpy as np

    rows: NDArray[np.float32] = part(picture, key).numpy()
    if not np.isfinite(rows).all():
        raise ValueError("a feature is NaN or infinite")
    return rows


def _read(file: Path, width: int) -> NDArray[np.float32] | None:
    import numpy as np

    try:
        rows: NDArray[np.float32] = np.load(file, allow_pickle=False)
        whole = rows.dtype == np.float32 and rows.ndim == 2 and rows.shape[1] == width and len(rows)
        return rows if whole and bool(np.isfinite(rows).all()) else None
    except Exception:  # whatever lies there, it is not what was kept
        return None


def _keep(file: Path, rows: NDArray[np.float32]) -> None:
    import numpy as np

    try:
        with atomic(file) as temporary, temporary.open("wb") as opened:
            np.save(opened, rows)
    except QaError:
        pass  # a full or read-only cache costs time, never a value
