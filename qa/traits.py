"""What a decoder or a metric may have beyond its role, asked for in one place."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

from qa.roles import Decoder, Metric
from qa.types import DecodeRequest, Knobs

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Traits:
    """What a decoder may say about itself beyond its role, and what holds where it says nothing.

    It may also have `check_knobs(knobs)`, which raises UsageError for a dial that it cannot take,
    `remark(request)`, a text to keep beside one picture, or "", `tokens(request)`, the image tokens
    of one pass of its network, and `size_of(sample)`, height and width of the pictures that it has
    for a sample of that id.
    """

    scale: int = 1
    """Output pixels per pixel that the latent stands for, along each side: 4 for PiD."""
    size: tuple[int, int] | None = None
    """Height and width of its pictures where it has no latent to say so."""
    needs_prompt: bool = False
    notes: tuple[str, ...] = ()
    """What somebody who reads its numbers has to know."""


def traits(decoder: Decoder) -> Traits:
    """A decoder's traits, the defaults where it has no such attribute."""
    names = (entry.name for entry in fields(Traits))
    return Traits(**{name: getattr(decoder, name) for name in names if hasattr(decoder, name)})


def check_knobs(decoder: Decoder, knobs: Knobs) -> None:
    """UsageError for a dial that the decoder cannot take; one that does not say takes all."""
    if hasattr(decoder, "check_knobs"):
        decoder.check_knobs(knobs)


def remark(decoder: Decoder, request: DecodeRequest) -> str:
    """What the decoder has to say about one picture, or ""."""
    return str(decoder.remark(request)) if hasattr(decoder, "remark") else ""


def tokens(decoder: Decoder, request: DecodeRequest) -> int | None:
    """Image tokens of one pass of the decoder's network, where it says so."""
    found = decoder.tokens(request) if hasattr(decoder, "tokens") else None
    return None if found is None else int(found)


def size_of(decoder: Decoder, sample: str) -> tuple[int, int] | None:
    """Height and width of what a decoder has for a sample, where it has pictures already."""
    found = decoder.size_of(sample) if hasattr(decoder, "size_of") else None
    return None if found is None else (int(found[0]), int(found[1]))


class Mapped(Metric, Protocol):
    """A metric that compares with a reference and also says where a picture differs from it."""

    full: float
    """The value at the upper end of the map's colour scale, above 0: one number in every report,
    so that maps of two runs can be compared by eye."""

    def map(self, picture: Tensor, reference: Tensor) -> Tensor:
        """Pictures uint8 [3,H,W] on the CPU → float32 [H,W] on the CPU, 0 where they are equal.

        Values are finite and not negative, and may lie above `full`. Raises ValueError, with the
        reason, where the metric is not defined for these pictures.
        """
        ...


def has_map(metric: Any) -> TypeGuard[Mapped]:
    """Whether a metric of pictures says where they differ."""
    return metric.facts.of == "picture" and hasattr(metric, "map") and hasattr(metric, "full")
