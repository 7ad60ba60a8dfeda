"""Where two decodes part: stage, tensor, first index, distance in units in the last place, a map.

The distance of two floats in ulps is how many steps to the next number of their type lie between
them: with a float's bits read as a sign and a magnitude m, ordered(x) = m or -m, and ulps(a, b) =
|ordered(a) - ordered(b)| (B. Dawson, Comparing Floating Point Numbers, 2012). One ulp is rounding;
near zero thousands may be as little. The heat map shows the worst channel of each pixel: black is
equal, and every step of brightness is twice the distance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa import images, stages
from qa.files import write_bytes
from qa.repro.trace import Run, Trace, base_name

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 1024
"""Heat maps are at most this wide and high."""
BUCKETS = 32


@dataclass(frozen=True)
class Divergence:
    """The first stage at which two decodes of a picture differ."""

    picture: str
    stage: str
    index: tuple[int, ...] | None = None
    """First value that differs; None where the two cannot be compared value by value."""
    shape: tuple[int, ...] = ()
    differing: int = 0
    """How many of its values differ."""
    max_ulp: int | None = None
    ulps: Mapping[str, int] = field(default_factory=dict)
    """Range of distances, `1`, `2`, `3-4`, `5-8`, … → how many values."""
    max_abs: float | None = None
    why: str = ""
    """What else is to be said, e.g. that the types differ."""
    heatmaps: tuple[str, ...] = ()
    """Files beside repro.json: of this stage, and of the picture."""

    def document(self) -> dict[str, Any]:
        """As repro.json has it."""
        lists = {name: list(getattr(self, name)) for name in ("shape", "heatmaps")}
        index = None if self.index is None else list(self.index)
        return {**asdict(self), **lists, "index": index, "ulps": dict(self.ulps)}

    def __str__(self) -> str:
        at = "" if self.index is None else f" at {list(self.index)}"
        far = "" if self.max_ulp is None else f", up to {self.max_ulp} ulp"
        return f"{self.stage}{at}{far}"


def first(a: Trace, b: Trace) -> tuple[str, str] | None:
    """Label and stage at which b departs from a, whose order of stages counts; None if nowhere.

    The earliest stage over all pictures. A stage that `b` does not know is passed over.
    """
    found: list[tuple[int, str, str]] = []
    for label, known in a.digests.items():
        other = b.digests.get(label, {})
        for place, (stage, digest) in enumerate(known.items()):
            if other.get(stage, digest) != digest:
                found.append((place, label, stage))
                break
    if not found:
        return None
    _, label, stage = min(found, key=lambda entry: entry[0])
    return label, stage


def located(a: Run, b: Run, shallow: tuple[str, str], folder: Path, name: str) -> Divergence:
    """Look closer at a difference that was seen at `shallow` (label, stage).

    Both sides run again with every module watched, and once more to keep the first tensor that
    differs. Where they agree while they are watched (a watched network runs eagerly), the stage at
    which they were seen to differ is kept unwatched. Heat maps `<name>-*.png` go into `folder`.
    """
    found = first(a(True, None), b(True, None))
    label, stage = found or shallow
    watch = found is not None
    one, two = a(watch, stage), b(watch, stage)
    if label not in one.kept or label not in two.kept:
        return Divergence(label, stage, why="seen once; it did not happen again")
    divergence = measured(label, stage, one.kept[label], two.kept[label])
    maps = []
    if base_name(stage) != stages.FILE:
        maps.append((f"{name}-stage.png", heat(one.kept[label], two.kept[label])))
    if label in one.pixels and label in two.pixels and base_name(stage) != stages.PIXELS:
        maps.append((f"{name}-pixels.png", heat(one.pixels[label], two.pixels[label])))
    written = []
    for file, picture in maps:
        if picture is not None:
            write_bytes(folder / file, images.encode_png(picture))
            written.append(file)
    return replace(divergence, heatmaps=tuple(written))


def measured(label: str, stage: str, a: Tensor, b: Tensor) -> Divergence:
    """The distance of two values of one stage."""
    if a.shape != b.shape or a.dtype != b.dtype:
        kinds = [f"{x.dtype} {list(x.shape)}" for x in (a, b)]
        return Divergence(label, stage, why=f"{kinds[0]} against {kinds[1]}")
    apart = ulps(a, b)
    places = apart.reshape(-1).nonzero()
    if not len(places):
        return Divergence(label, stage, why="seen once; it did not happen again")
    return Divergence(
        label,
        stage,
        _index(int(places[0]), tuple(a.shape)),
        tuple(a.shape),
        len(places),
        int(apart.max()),
        histogram(apart),
        float((a.double() - b.double()).abs().max()),
    )


def ulps(a: Tensor, b: Tensor) -> Tensor:
    """Distance of two tensors of one type and shape, int64; whole numbers: their difference."""
    import torch

    if not a.is_floating_point():
        return (a.long() - b.long()).abs()
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[a.element_size()]
    return (_ordered(a, bits) - _ordered(b, bits)).abs()


def _ordered(x: Tensor, bits: Any) -> Tensor:
    import torch

    raw = x.contiguous().view(bits).long()
    magnitude = raw & (torch.iinfo(bits).max)
    return torch.where(raw < 0, -magnitude, magnitude)


def histogram(apart: Tensor) -> dict[str, int]:
    """Distances in doublings, without the zeros: {`1`: 12, `2`: 4, `3-4`: 1, …}."""
    import torch

    counts: dict[str, int] = {}
    values = apart[apart > 0]
    for power in range(BUCKETS):
        low, high = (2 ** (power - 1) + 1 if power else 1), 2**power
        last = power == BUCKETS - 1
        inside = (values >= low) & (torch.ones_like(values, dtype=torch.bool) if last else
                                    values <= high)  # fmt: skip
        count = int(inside.sum())
        if count:
            name = f">{low - 1}" if last else str(high) if low == high else f"{low}-{high}"
            counts[name] = count
    return counts


def heat(a: Tensor, b: Tensor) -> Tensor | None:
    """Heat map uint8 [3,h,w] of the last two axes, or None for values without two axes."""
    import torch
    from torch.nn.functional import adaptive_max_pool2d

    if a.shape != b.shape or a.ndim < 2 or not a.numel():
        return None
    apart = (a.double() - b.double()).abs().reshape(-1, *a.shape[-2:]).amax(0)
    height, width = (min(SIDE, side) for side in apart.shape)
    apart = adaptive_max_pool2d(apart[None], (height, width))[0]
    top = float(apart.max())
    if not 0 < top < float("inf"):
        return None
    # 10 doublings below the largest difference are told apart; what is equal stays black.
    level = torch.where(apart > 0, (1 + (apart / top).log2() / 10).clamp(min=0.1), apart)
    red, green, blue = (level * 3).clamp(0, 1), (level * 3 - 1).clamp(0, 1), level * 3 - 2
    return images.to_levels(torch.stack([red, green, blue.clamp(0, 1)])).to(torch.uint8)


def _index(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    place = []
    for side in reversed(shape):
        flat, rest = divmod(flat, side)
        place.append(rest)
    return tuple(reversed(place))
