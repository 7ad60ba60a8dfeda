"""The nouns of a run; the roles that act on them are in `qa.roles`.

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
from typing import TYPE_CHECKING, Any, Literal

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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Unit:
    """The smallest piece of work that is stored: one sample's seeds on one decoder.

    `id` is the digest of every input (weights, code, configuration, picture, prompt, seeds, knobs,
    numerics), so an equal id means an equal result.
    """

    id: str
    sample: Sample
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """One row of a run's results."""

    sample: str
    seed: int
    metric: str
    value: float | None
    """None when there is no number; then `why` says why. Never NaN or infinite."""
    why: str = ""


@dataclass(frozen=True, slots=True)
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
