"""What all extractors share: views one at a time, and a protocol with a digest.

A network is always given one view at a time. Convolutions choose their algorithm by batch size and
matrix products their blocking, so the last bits of a row may depend on how many other rows came
along (measured on a CPU: four views of 80x80 together differ from each alone; of 299x299 they did
not). One view at a time, a row depends on its view only: not on batches, callers, order, or how a
run is cut into shards. The number of threads of one operation does change last bits; it is part of
the run's numerics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from qa.errors import UsageError
from qa.features.views import Views, views
from qa.files import digest

if TYPE_CHECKING:
    from torch import Tensor


class PerView:
    """Features of a picture: one row for each of its views. See `qa.roles.Features`."""

    def __init__(
        self,
        look: Callable[[Tensor], Tensor],
        width: int,
        source: str,
        licence: str,
        protocol: Mapping[str, str | int | float],
        where: Views,
    ) -> None:
        """`look`: one view, uint8 [1,3,h,w] → [1,width]; ValueError where it is not defined."""
        self._look, self._views = look, where
        self.width, self.source, self.licence = width, source, licence
        self.protocol: Mapping[str, str | int | float] = {
            "version": 1,
            "colour": "RGB",
            "width": width,
            "dtype": "float32",
            **protocol,
            **where.facts,
        }
        self.id = digest(self.protocol)[:16]

    def __call__(self, picture: Tensor, key: str) -> Tensor:
        """Picture uint8 [3,H,W] → float32 [V,d] on the CPU.

        Raises ValueError for anything else than a picture, for one that is too small, and for
        features that are NaN, infinite or of another width.
        """
        import torch

        if picture.dtype != torch.uint8 or picture.ndim != 3 or picture.shape[0] != 3:
            raise ValueError(
                f"a picture must be uint8 [3,H,W], got {picture.dtype} {list(picture.shape)}"
            )
        with torch.inference_mode():
            rows = [self._look(view[None]).float().cpu() for view in self._views(picture, key)]
        odd = next((row for row in rows if list(row.shape) != [1, self.width]), None)
        if odd is not None:
            raise ValueError(f"the network made {list(odd.shape)} of a view, not [1,{self.width}]")
        features = torch.cat(rows)
        if not bool(torch.isfinite(features).all()):
            raise ValueError("the network's features are NaN or infinite")
        return features


def chosen(where: Views | str, size: int | None) -> Views:
    """The preset of that name, or a rule as given. UsageError for anything else.

    `size` belongs to a preset; a rule has its own.
    """
    if isinstance(where, str):
        return views(where, size)
    if size is not None or not callable(where) or not hasattr(where, "facts"):
        raise UsageError(
            f"views={where} with views_size={size} is no rule of where to look.",
            "It is the name of a preset, or an object of a class like qa.features.views.Patches, "
            "which has its own size.",
            "views='{_target_: qa.features.views.Patches, patch: 512}'",
        )
    return where
