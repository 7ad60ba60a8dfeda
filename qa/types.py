"""The nouns of a run and the roles that act on them.

A run is a pipeline over these frozen values: a suite lists `Sample`s, a latent source turns each
picture into a `Latent`, a plan groups `DecodeRequest`s into `Unit`s, a decoder returns pixels, and
metrics turn quantised pictures into `Score` rows. Verdicts live in `qa.judge`.

Two forms of picture exist and no others (docs/decisions/0001-two-picture-forms.md):

* *picture*: uint8 [3,H,W], RGB, what a user would save;
* *pixels*:  float32 [3,H,W], nominal [0,1], not clamped: what a decoder returns.

Importing this module imports no torch: tensors appear in annotations only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True)
class LatentSpace:
    """Where latents live. An encoder and a decoder may meet only if theirs are equal."""

    name: str
    """Short name of the family, e.g. `flux1`."""
    channels: int
    factor: int
    """Picture pixels per latent cell, along each side."""
    scaling: str
    """What is done to the encoder's mean before anybody else sees it, e.g. `0.3611*(z-0.1159)`."""
    noise: Literal["flow", "vp"] = "flow"
    """How a latent is corrupted at level sigma: `flow` (1-s)z + s*e; `vp` sqrt(1-s^2)z + s*e."""

    def __str__(self) -> str:
        return f"{self.name} ({self.channels} channels, /{self.factor}, {self.scaling})"


@dataclass(frozen=True)
class TextRegion:
    """Known text in a picture. `box` is (x0, y0, x1, y1) in pixels, end exclusive."""

    text: str
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Sample:
    """One item of a suite."""

    id: str
    image: Path | None = None
    """The reference picture, or none for suites that only have prompts."""
    sha256: str | None = None
    """SHA-256 of the reference file, or of its values; part of every unit that uses it."""
    prompt: str | None = None
    regions: tuple[TextRegion, ...] = ()
    tags: tuple[str, ...] = ()
    problem: str | None = None
    """Why the sample cannot be used (a damaged file, say). It scores as a failure, not dropped."""
    asks: Mapping[str, Any] = field(default_factory=dict)
    """What the picture should show, in the words of its suite: JSON, read by its panel."""
    group: str = ""
    """Samples of an equal, non-empty group are not independent: intervals cluster by it."""
    take: int = 0
    """Which picture of one prompt it is: each has noise of its own."""


@dataclass(frozen=True)
class Knobs:
    """The dial: everything that trades fidelity for plausibility. None = the decoder's default."""

    steps: int | None = None
    sigma: float = 0.0
    """Noise level put on the latent before decoding, in [0, 1]."""
    capture: int | None = None
    """Step at which a latent diffusion model is stopped; None takes its final latent."""
    cfg: float | None = None
    shift: float | None = None


@dataclass(frozen=True)
class Latent:
    """What a latent source made of one sample."""

    tensor: Tensor
    """float32 [C,h,w] on the CPU, normalised as its space says."""
    sigma: float = 0.0
    """Noise level the source already left in it (a diffusion run stopped early), in [0, 1]."""


@dataclass(frozen=True)
class DecodeRequest:
    """Everything that a decoder may look at for one picture."""

    sample: str
    seed: int
    """Seed index 0..S-1, not a generator seed: `qa.seeds.noise(stream, content, seed, shape)`."""
    content: str
    """Digest of the sample's content; with `seed` it determines every noise tensor."""
    height: int
    width: int
    """Output size in pixels."""
    latent: Tensor | None = None
    """float32 [C,h,w] on the CPU, already corrupted to level `sigma`; None for text-to-pixels."""
    sigma: float = 0.0
    prompt: str | None = None
    knobs: Knobs = field(default_factory=Knobs)


@dataclass(frozen=True)
class Unit:
    """The smallest piece of work that is stored: one sample's seeds on one decoder.

    `id` is the digest of every input (weights, code, configuration, picture, prompt, seeds, knobs,
    numerics), so an equal id means an equal result.
    """

    id: str
    sample: Sample
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Score:
    """One row of a run's results."""

    sample: str
    seed: int
    metric: str
    value: float | None
    """None when there is no number; then `why` says why. Never NaN or infinite."""
    why: str = ""


@dataclass(frozen=True)
class Decoded:
    """One quantised picture as a run stores it."""

    sample: str
    seed: int
    file: str | None
    """PNG inside the run folder, or None after a failure."""
    digest: str | None
    """SHA-256 of the uint8 values and their shape (not of the PNG file)."""
    clipped: int
    """How many float values lay outside [0, 1] before clamping."""
    seconds: float
    """Decode time, synchronised with the device."""
    peak_bytes: int | None
    """Peak device memory of the decode, or None where it cannot be read."""
    why: str = ""
    """Why there is no picture."""
    note: str = ""
    """What was done to make it fit, e.g. that it was cropped from a larger one."""
    warm: bool = False
    """Whether the process had made a picture of this size before: first ones cost more."""
    tokens: int | None = None
    """Image tokens of one pass of the network, or None where the decoder does not say."""
    noise: str | None = None
    """SHA-256 over JSON of {stream: SHA-256 of its values} of all noise drawn for the picture, or
    None where none was (`qa.stages.NoiseDigests`)."""


@dataclass(frozen=True)
class MetricFacts:
    """What a metric says about itself; the digest of all of it is its fingerprint."""

    name: str
    better: Literal["higher", "lower"]
    unit: str
    """Unit of the value, or "" for a pure number."""
    source: str
    """Paper and equation, and the library with its version that owns the definition."""
    licence: str
    protocol: Mapping[str, str | int | float]
    """Colour space, window, resize, weights' SHA-256, version: all that changes the number."""
    paired: bool = True
    """Whether it compares with a reference picture."""
    of: Literal["picture", "set", "latent", "sample"] = "picture"
    """What has a value: each picture, all of them together, each picture encoded again, or each
    picture as what its sample asks for (`Panel`)."""


class LatentSource(Protocol):
    """Turns a sample's picture into a latent: an encoder, a folder, or a diffusion model.

    It may have `scale`, the picture's pixels per pixel that it encodes (1 for a plain encoder), and
    `licence`, the terms of what it makes.
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

        A request's pixels must not depend on its neighbours in the call. What else a decoder may
        say about itself stands in `qa.traits`.
        """
        ...


class Metric(Protocol):
    """Scores the seeds of one sample. Called from several threads at once."""

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


@dataclass(frozen=True)
class FeatureSet:
    """One side of a comparison of sets: rows of features, and the picture each was taken from."""

    values: NDArray[np.float32]
    """[N,d]"""
    pictures: NDArray[np.int64]
    """[N]: rows of one picture (its seeds and views) have one number; they are not independent."""
    seeds: NDArray[np.int64] | None = None
    """[N], or None for a set of one seed. Every seed is a set of its own, and what is wanted is the
    mean of their values: put together, copies of one picture would count as so many pictures."""


@dataclass(frozen=True)
class ReferenceMoments:
    """A reference set of which no rows are known: published statistics."""

    mean: NDArray[np.float64]
    """[d]"""
    covariance: NDArray[np.float64]
    """[d,d], divisor N-1"""


@dataclass(frozen=True)
class Estimate:
    """A set metric's value. `low` and `high` are None where no interval can be had."""

    value: float
    low: float | None
    high: float | None
    rows: int
    """N of the candidate: rows of one seed."""
    pictures: int
    """How many different pictures they come from."""


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


NOT_APPLICABLE = "not applicable: "
"""How the reason begins why a sample has no value whatever the decoder does: a picture without
words has no character error rate. Such a sample is no part of that metric's population; with any
other reason a value is missing."""


@dataclass(frozen=True)
class Found:
    """What a panel found in one sample's pictures, one for each seed."""

    values: Mapping[str, Sequence[float | str]]
    """Metric → S values; a text says why there is none."""
    notes: Sequence[Mapping[str, Any]]
    """S JSON objects: what a person wants to see (reasons, words read)."""


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
