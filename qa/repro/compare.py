"""How far two decodes of the same pictures are apart, and how far is near enough (R4t).

    max_abs   max |a - b| over all float values, nominal [0,1]
    levels    max |A - B| over the 8-bit values a user would save
    within    share of pixels all of whose channels differ by at most 1 level; the worst picture's
    density   share of pixels that differ by more in the worst 16x16 window: scattered rounding
              does not reach it, a local artefact does
    shift     largest change of a metric over the pictures, as a share of the metric's margin

Sums over a picture would grow with its size; none of these does. Near enough: within >= 99.99 %,
density < 5 %, shift <= 10 %. A larger shift means that a faster way to compute is another model and
has to pass the regression gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, cast

from qa import images
from qa.roles import Metric

if TYPE_CHECKING:
    from torch import Tensor

WITHIN = 0.9999
DENSITY = 0.05
SHIFT = 0.1
WINDOW = 16


@dataclass(frozen=True)
class Difference:
    """The largest differences over all pictures. Field names as in the module's docstring."""

    pictures: int
    levels: int
    within: float
    density: float
    max_abs: float | None = None
    """None where only saved pictures were compared."""
    shift: Mapping[str, float] = field(default_factory=dict)
    """Metric → share of its margin."""

    def document(self) -> dict[str, Any]:
        """As repro.json has it."""
        return asdict(self)

    @property
    def unacceptable(self) -> str:
        """Why it is more than rounding, or ""."""
        if self.within < WITHIN:
            return f"only {self.within:.4%} of the pixels agree to one level; {WITHIN:.2%} have to"
        if self.density >= DENSITY:
            return f"{self.density:.1%} of a {WINDOW}x{WINDOW} window differ by more than one level"
        for metric, share in self.shift.items():
            if share > SHIFT:
                return f"{metric} moves by {share:.2f} of its margin; {SHIFT} is the most"
        return ""


def difference(
    a: Mapping[str, Tensor],
    b: Mapping[str, Tensor],
    shift: Mapping[str, float] | None = None,
) -> Difference:
    """Of pictures by label: pixels float32 [3,H,W], or pictures uint8 [3,H,W] on both sides."""
    worst = [_of_one(a[name], b[name]) for name in sorted(a)]
    floats = [found.max_abs for found in worst if found.max_abs is not None]
    return Difference(
        len(worst),
        max(found.levels for found in worst),
        min(found.within for found in worst),
        max(found.density for found in worst),
        max(floats) if floats else None,
        dict(shift or {}),
    )


def worst(found: list[Difference]) -> Difference:
    """The largest of several measurements, field by field."""
    floats = [one.max_abs for one in found if one.max_abs is not None]
    metrics = {metric for one in found for metric in one.shift}
    return Difference(
        max(one.pictures for one in found),
        max(one.levels for one in found),
        min(one.within for one in found),
        max(one.density for one in found),
        max(floats) if floats else None,
        {name: max(one.shift.get(name, 0.0) for one in found) for name in sorted(metrics)},
    )


def saved(pixels: Tensor) -> Tensor:
    """The picture that a user would save; a picture stays as it is."""
    return images.quantise(pixels).picture if pixels.is_floating_point() else pixels


def shifts(
    metrics: Mapping[str, Any],
    margins: Mapping[str, float],
    references: Mapping[str, Tensor | None],
    a: Mapping[str, Tensor],
    b: Mapping[str, Tensor],
) -> dict[str, float]:
    """Metric → its largest change over the pictures, as a share of its margin.

    Metrics of single pictures that have a margin; a picture for which one is not defined (equal to
    its reference, say) is left out.
    """
    found: dict[str, float] = {}
    for name in sorted(set(metrics) & set(margins)):
        metric = metrics[name]
        if metric.facts.of != "picture":
            continue
        for label in sorted(a):
            values = _values(cast(Metric, metric), a[label], b[label], references[label])
            if values is not None:
                share = abs(values[0] - values[1]) / margins[name]
                found[name] = max(found.get(name, 0.0), share)
    return found


def _values(
    metric: Metric, a: Tensor, b: Tensor, reference: Tensor | None
) -> tuple[float, float] | None:
    if metric.facts.paired and reference is None:
        return None
    try:
        (one,), (two,) = metric(saved(a)[None], reference), metric(saved(b)[None], reference)
    except ValueError:
        return None
    return float(one), float(two)


def _of_one(a: Tensor, b: Tensor) -> Difference:
    if a.shape != b.shape:
        raise ValueError(f"the pictures are {list(a.shape)} and {list(b.shape)}")
    max_abs = None
    if a.is_floating_point() and b.is_floating_point():
        max_abs = float((a - b).abs().max())
    apart = (saved(a).short() - saved(b).short()).abs().amax(0)
    bad = apart > 1
    within = 1 - float(bad.double().mean())
    return Difference(1, int(apart.max()), within, _densest(bad), max_abs)


def _densest(bad: Tensor) -> float:
    """Largest share of set pixels in any window of a mask [H,W]; exact, by an integral image."""
    from torch.nn.functional import pad

    height, width = (min(WINDOW, side) for side in bad.shape)
    sums = pad(bad.long().cumsum(0).cumsum(1), (1, 0, 1, 0))
    inside = (
        sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width]
        + sums[:-height, :-width]
    )  # fmt: skip
    return int(inside.max()) / (height * width)
