"""What passes from one stage of a unit to the next: loaded, decoded, and not yet written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qa import stages
from qa.panels import Values
from qa.store import UnitResult
from qa.transfer import Arriving
from qa.types import Unit

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Loaded:
    """A unit with its inputs in memory."""

    unit: Unit
    reference: Tensor | None
    """uint8 [3,H,W], or None for a sample without a picture."""
    problem: str = ""
    stored: UnitResult | None = None
    """Set when the pictures are there already and only metrics are missing."""
    pictures: Mapping[int, Tensor] = field(default_factory=dict)
    """The stored pictures by seed."""


@dataclass(frozen=True)
class Shot:
    """One decoded picture before quantisation."""

    seed: int
    arriving: Arriving | None
    """Its pixels, or None after a failure."""
    seconds: float = 0.0
    peak_bytes: int | None = None
    why: str = ""
    note: str = ""
    warm: bool = False
    tokens: int | None = None

    @property
    def pixels(self) -> Tensor | None:
        """float32 [3,H,W] on the CPU once they are there, or None after a failure."""
        return None if self.arriving is None else self.arriving.wait()


@dataclass(frozen=True)
class Raw:
    """A unit after its decodes."""

    loaded: Loaded
    shots: tuple[Shot, ...]
    encoded: Mapping[str, Values | str] = field(default_factory=dict)
    """Latent metric → value by seed, or why there are none."""
    noise: stages.NoiseDigests = field(default_factory=stages.NoiseDigests)
    """What was drawn for the shots."""
