"""The roles of a run: what acts on its nouns (`qa.types`), one Protocol each.

A part is any class that has what its role asks for; one line of YAML names it (docs/map.md, Adding
a part). There is nothing to inherit from. Importing this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from qa.types import (
    DecodeRequest,
    Estimate,
    FeatureSet,
    Found,
    Latent,
    LatentSpace,
    MetricFacts,
    ReferenceMoments,
    Sample,
)

if TYPE_CHECKING:
    from torch import Tensor


class LatentSource(Protocol):
    """Turns a sample's picture into a latent: an encoder, a folder, or a diffusion model.

    It may have `scale`, the picture's pixels per pixel that it encodes (1 for a plain encoder),
    `licence`, the terms of what it makes, and `captures`, the steps that `knobs.capture` may name.
    """

    space: LatentSpace
    digest: str
    """Identifies weights and settings; part of every unit id."""

    def latent(self, sample: Sample, picture: Tensor | None) -> Latent:
        """Picture: uint8 [3,H,W] or none. Called once per sample, from one thread."""
        ...


class Decoder(Protocol):
    """The system under test. Called from one thread."""

    space: LatentSpace | None
    """The latents it takes, or None if it takes none."""
    knobs: frozenset[str]
    """Which fields of `Knobs`, beside sigma, change its pictures; others are refused."""
    digest: str
    """Identifies weights and settings; part of every unit id."""
    licence: str

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Tensor]:
        """Pixels float32 [3,H,W] for each request, in order; sizes may differ within a call.

        A request's pixels must not depend on its neighbours in the call, and are the caller's: the
        next call does not write into them. A SettingFailed stops the run, any other error is one
        picture's failure. What else a decoder may say about itself stands in `qa.traits`.
        """
        ...


class Metric(Protocol):
    """Scores the seeds of one sample. Called from several threads at once.

    It may also say where a picture differs from its reference (`qa.traits.Mapped`).
    """

    facts: MetricFacts

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """Pictures uint8 [S,3,H,W] (one per seed), reference uint8 [3,H,W] → S finite values.

        Raises ValueError, with the reason, where the metric is not defined for this input.
        """
        ...


class LatentMetric(Protocol):
    """Compares a latent with what its encoder makes of the decoded pictures."""

    facts: MetricFacts

    def __call__(self, latent: Tensor, again: Sequence[Tensor]) -> list[float]:
        """Latent float [C,h,w] and one like it for each seed → a finite value for each.

        Raises ValueError, with the reason, where the metric is not defined for this input.
        """
        ...


class Features(Protocol):
    """What a set metric looks at in one picture. Called from several threads at once."""

    id: str
    """16 hexadecimal digits of everything that changes a value: weights, resize, views."""
    width: int
    """d, the number of values of one view."""
    source: str
    licence: str
    protocol: Mapping[str, str | int | float]
    """Weights' SHA-256, resize, levels, views: all that `id` stands for."""

    def __call__(self, picture: Tensor, key: str) -> Tensor:
        """Picture uint8 [3,H,W] → float32 [V,d] on the CPU, one row for each view of it.

        `key` names the sample: random views of a picture and of its reference are at the same
        places. Raises ValueError for a picture that is too small.
        """
        ...


class SetMetric(Protocol):
    """Compares all pictures of a run with all references. Pure NumPy after the features."""

    facts: MetricFacts
    features: Features

    def reference(self) -> FeatureSet | ReferenceMoments | None:
        """A set of its own to compare with; None for the suite's references."""
        ...

    def __call__(self, candidate: FeatureSet, reference: FeatureSet | ReferenceMoments) -> Estimate:
        """ValueError, with the reason, where there are too few rows for a value.

        Moments are given only to a metric whose own reference they are.
        """
        ...


class Panel(Protocol):
    """Several metrics from one look at a sample's pictures, judged by what the sample asks for.

    Called from several threads at once. Its class has `better`, metric → `higher` or `lower`, so
    that tables can be judged where it cannot be built.
    """

    facts: Mapping[str, MetricFacts]
    """Metric → its facts, each with `of="sample"`."""

    def check(self, samples: Sequence[Sample]) -> None:
        """UsageError, before anything is decoded, for samples that it cannot judge."""
        ...

    def __call__(self, sample: Sample, pictures: Tensor, reference: Tensor | None) -> Found:
        """Pictures uint8 [S,3,H,W] and reference uint8 [3,H,W], on the CPU.

        An exception takes the values of this sample away, with its message as the reason.
        """
        ...

    def summary(
        self, notes: Sequence[Mapping[str, Any]], planned: Sequence[tuple[str, int]]
    ) -> dict[str, Any]:
        """All notes of a run, each with `sample` and `seed` added, in order of these → JSON.

        `planned` are sample and seed of every picture of the run, in order: those without a note
        are missing, and a total over the others is another test's.
        """
        ...


class Suite(Protocol):
    """Where samples come from."""

    name: str

    def samples(self) -> Sequence[Sample]:
        """All samples, in any order; ids are unique."""
        ...


class Gate(Protocol):
    """A rule that judges results. Pure: it reads a case and writes nothing."""

    name: str
    compares: bool
    """Whether it needs a baseline; without one it is not asked."""

    def __call__(self, case: Any) -> list[dict[str, Any]]:
        """Case (`qa.gates.case.Case`) → rows of the verdict, as `qa.gates.rows.row` makes them."""
        ...


class Tracker(Protocol):
    """Copies a finished run folder somewhere else."""

    def export(self, run: Path) -> str:
        """Returns where it can be seen, or "". Exporting twice changes nothing."""
        ...
