"""Distances of two sets of pictures: FID and its kin, from features kept while decoding.

    picture ──views──► resized ──network──► rows of features    (qa.features, once per picture)
    rows of all pictures, rows of all references ──► value      (qa.sets, pure NumPy)

A value depends on the number of rows N (FID's bias falls as 1/N), on where a picture is looked at,
on how it is resized and on the network. All of it is in the protocol, so values that differ in any
of it never meet in a verdict. The interval is that of another draw of as many pictures at this N;
the bias at this N is no part of it: compare arms with each other, not with a published number.

`interval` is a value's own. Differences of two arms are always judged by the paired jackknife and
by exchanging labels (`qa.gates.sets`), also where a value's interval is bootstrapped.

By default the suite's own references are the other set; `reference=FOLDER` takes any pictures,
which is what a suite of prompts needs, and `reference=FILE.npz` published statistics.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from typing import Any, ClassVar, Literal, TypeVar

from qa.errors import UsageError
from qa.features import extractors
from qa.features.references import Folder, Published, given
from qa.sets.intervals import bootstrap, interval
from qa.sets.kernels import kid_interval
from qa.sets.statistics import OF_MOMENTS, PARAMETER, bound, target
from qa.types import Estimate, FeatureSet, MetricFacts, ReferenceMoments

Protocol = dict[str, str | int | float]


@dataclass(frozen=True)
class Spread:
    """How far values are trusted. Raises UsageError for numbers that cannot work."""

    interval: str = "jackknife"
    """Of a value: jackknife over groups of pictures, bootstrap, and for KID also variance, the one
    that its own rows have."""
    groups: int = 20
    """Of pictures, for the jackknife of values and of differences."""
    replicates: int = 200
    """Of the bootstrap."""
    permutations: int = 200
    """Of the arms' labels in a comparison; 0 does without."""

    def __post_init__(self) -> None:
        if min(self.groups, self.replicates) < 2 or self.permutations < 0:
            raise UsageError(
                f"There is no interval with groups={self.groups}, replicates={self.replicates}, "
                f"permutations={self.permutations}.",
                "groups and replicates are at least 2, permutations at least 0.",
            )

    @property
    def facts(self) -> Protocol:
        """What of it changes a value, its interval or a verdict."""
        drawn = self.replicates if self.interval == "bootstrap" else 0
        return vars(self) | {"replicates": drawn}


class SetDistance:
    """What all share: features, the other set, and the interval.

    Parameters of every class here, beside its own (`parameters`):

        name         what the metric is called
        extractor    inception, random, dinov2, clip, or the path of a TorchScript module
        reference    a folder of pictures, or an .npz file with mu and sigma for the Fréchet
                     distances; None compares with the suite's references
        settings     fields of `qa.features.extractors.Settings` and of `Spread`, by their names
    """

    better: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = ""
    statistic: ClassVar[str]
    source: ClassVar[str]
    parameters: ClassVar[dict[str, float]] = {}
    intervals: ClassVar[tuple[str, ...]] = ("jackknife", "bootstrap")

    def __init__(
        self,
        name: str,
        extractor: str = "inception",
        reference: str | None = None,
        **settings: Any,
    ) -> None:
        looking, self._spread = _taken(extractors.Settings, settings), _taken(Spread, settings)
        self._check(name, settings)
        self.features = extractors.extractor(extractor, looking)
        self._own = self._given(name, reference, looking.device)
        self._protocol: Protocol = {
            "statistic": self.statistic,
            **{f"{PARAMETER}{key}": value for key, value in (self.parameters | settings).items()},
            "features": self.features.id,
            "reference": self._own.mark if self._own else "the suite's own",
            **self._spread.facts,
        }
        self.facts = MetricFacts(
            name=name,
            better=self.better,
            unit=self.unit,
            source=f"{self.source}; features: {self.features.source}",
            licence=f"Apache-2.0 (own code); features: {self.features.licence}",
            protocol={**self.features.protocol, **self._protocol, "version": 1},
            paired=reference is None,
            of="set",
        )

    def reference(self) -> FeatureSet | ReferenceMoments | None:
        """What it was told to compare with, or None where the suite has references."""
        return None if self._own is None else self._own.known

    def __call__(self, candidate: FeatureSet, reference: FeatureSet | ReferenceMoments) -> Estimate:
        """The value with its interval; ValueError, with the reason, where there is none."""
        if self._spread.interval == "variance":
            assert isinstance(reference, FeatureSet)  # KID has no other
            return kid_interval(candidate, reference)
        if self._spread.interval == "bootstrap":
            estimate = partial(bootstrap, replicates=self._spread.replicates)
        else:
            estimate = partial(interval, groups=self._spread.groups)
        return estimate(bound(self._protocol), candidate, target(reference))

    def _given(self, name: str, reference: str | None, device: str) -> Folder | Published | None:
        """What to compare with; UsageError for statistics where rows are needed."""
        if reference is None:
            return None
        own = given(reference, self.features, device)
        if isinstance(own, Published) and self.statistic not in OF_MOMENTS:
            raise UsageError(
                f"{name} cannot be compared with the statistics in {reference}.",
                "It needs every row of the references, not their mean and covariance.",
                "reference=FOLDER of pictures, or a Fréchet distance: metric=[fid]",
            )
        return own

    def _check(self, name: str, parameters: dict[str, Any]) -> None:
        """UsageError for an interval that the metric does not have, or a strange parameter."""
        if self._spread.interval not in self.intervals:
            raise UsageError(
                f"{name} has no interval {self._spread.interval!r}.",
                "",
                f"interval={' or '.join(self.intervals)}",
            )
        strange = sorted(set(parameters) - set(self.parameters))
        if strange:
            raise UsageError(
                f"{name} takes no {', '.join(strange)}.",
                f"Its own parameters are {', '.join(self.parameters) or 'none'}.",
            )


class FrechetDistance(SetDistance):
    """FID, patch-FID, FD-DINOv2: >= 0, lower is better, 0 for sets of equal moments."""

    statistic = "frechet"
    source = "Fréchet distance of normal distributions: Dowson and Landau 1982"


class FIDInfinity(SetDistance):
    """FID extrapolated to infinitely many pictures; lower is better, may fall below 0."""

    statistic = "fid_infinity"
    source = "Chong and Forsyth, CVPR 2020"
    parameters: ClassVar[dict[str, float]] = {"seed": 0}


class KernelDistance(SetDistance):
    """KID: squared distance of means under a cubic kernel, unbiased: 0 in the mean for equals.

    `interval=variance` takes the standard error that follows from the kernel's own row sums, for
    one row a picture and references of other pictures (`qa.sets.kernels`).
    """

    statistic = "kid"
    source = "Bińkowski, Sutherland, Arbel and Gretton, ICLR 2018; U-statistic over all pairs"
    intervals: ClassVar[tuple[str, ...]] = ("jackknife", "bootstrap", "variance")


class CMMD(SetDistance):
    """CMMD: distance of CLIP embeddings under a Gaussian kernel, times 1000; lower is better."""

    statistic = "cmmd"
    source = "Jayasumana et al., CVPR 2024"
    parameters: ClassVar[dict[str, float]] = {"sigma": 10.0}


class Precision(SetDistance):
    """Share of pictures that lie among the references, in [0, 1], higher is better."""

    better = "higher"
    statistic = "precision"
    source = "Kynkäänniemi et al., NeurIPS 2019"
    parameters: ClassVar[dict[str, float]] = {"k": 3}


class Recall(Precision):
    """Share of references that lie among the pictures, in [0, 1], higher is better."""

    statistic = "recall"


class Density(SetDistance):
    """How many references' neighbourhoods hold a picture, over k; higher is better, may pass 1."""

    better = "higher"
    statistic = "density"
    source = "Naeem et al., ICML 2020"
    parameters: ClassVar[dict[str, float]] = {"k": 5}


class Coverage(Density):
    """Share of references with a picture in their neighbourhood, in [0, 1], higher is better."""

    statistic = "coverage"


S = TypeVar("S", extractors.Settings, Spread)


def _taken(kind: type[S], settings: dict[str, Any]) -> S:
    """A dataclass from those of the settings that are its fields, which leave the settings."""
    names = {entry.name for entry in fields(kind)} & settings.keys()
    return kind(**{name: settings.pop(name) for name in names})
