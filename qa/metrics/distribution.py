"""Distances of two sets of pictures: FID and its kin, from features kept while decoding.

    picture ──views──► resized ──network──► rows of features    (qa.features, once per picture)
    rows of all pictures, rows of all references ──► value      (qa.sets, pure NumPy)

A value depends on the number of rows N (FID's bias falls as 1/N), on where a picture is looked at,
on how it is resized and on the network. All of it is in the protocol, so values that differ in any
of it never meet in a verdict. The interval is that of another draw of as many pictures at this N;
the bias at this N is no part of it: compare arms with each other, not with a published number.

By default the suite's own references are the other set; `reference=FOLDER` takes any pictures,
which is what a suite of prompts needs.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from qa import assets, images
from qa.errors import UsageError
from qa.features.cache import Cache
from qa.features.extractors import NAMES, extractor
from qa.files import digest, sha256
from qa.sets.intervals import bootstrap, interval
from qa.sets.statistics import PARAMETER, bound
from qa.types import Estimate, Features, FeatureSet, MetricFacts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

INTERVALS = ("jackknife", "bootstrap")


class SetDistance:
    """What all share: features, the other set, and the interval.

    Parameters of every class here:

        name         what the metric is called
        extractor    inception, random, dinov2, clip, or the path of a TorchScript module
        protocol     how Inception's input is prepared: clean, ttur, pytorch-fid, tm or none
        views        whole, hific256, pixverve299x20, anyres256, ultrapixel299x3; `views_size` is
                     the square that pixverve299x20 resizes a picture to
        levels, size what a TorchScript module is given: uint8 or unit; [h,w] or its own size
        reference    a folder of pictures; None compares with the suite's references
        interval     jackknife over `groups` groups of pictures, or bootstrap of `replicates`
        permutations of the arms' labels in a comparison
    """

    better: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = ""
    statistic: ClassVar[str]
    source: ClassVar[str]
    parameters: ClassVar[dict[str, float]] = {}

    def __init__(
        self,
        name: str,
        extractor: str = "inception",
        protocol: str = "clean",
        views: str = "whole",
        views_size: int | None = None,
        levels: str = "uint8",
        size: list[int] | None = None,
        reference: str | None = None,
        interval: str = "jackknife",
        groups: int = 20,
        replicates: int = 200,
        permutations: int = 200,
        device: str = "cpu",
        **parameters: float,
    ) -> None:
        if interval not in INTERVALS or min(groups, replicates) < 2 or permutations < 0:
            raise UsageError(
                f"{name} has no interval {interval!r} with groups={groups}, "
                f"replicates={replicates}, permutations={permutations}.",
                "groups and replicates are at least 2, permutations at least 0.",
                f"interval={' or '.join(INTERVALS)}",
            )
        wanted = self.parameters | parameters
        if set(wanted) != set(self.parameters):
            strange = sorted(set(wanted) - set(self.parameters))
            raise UsageError(
                f"{name} takes no {', '.join(strange)}.",
                f"Its own parameters are {', '.join(self.parameters) or 'none'}.",
            )
        self.features = _features(extractor, protocol, views, views_size, levels, size, device)
        self._folder = None if reference is None else _Folder.at(reference)
        self._settings: dict[str, str | int | float] = {
            "statistic": self.statistic,
            **{f"{PARAMETER}{key}": value for key, value in wanted.items()},
            "features": self.features.id,
            "reference": self._folder.mark if self._folder else "the suite's own",
            "interval": interval,
            "groups": groups,
            "replicates": replicates if interval == "bootstrap" else 0,
            "permutations": permutations,
        }
        self.facts = MetricFacts(
            name=name,
            better=self.better,
            unit=self.unit,
            source=f"{self.source}; features: {self.features.source}",
            licence=f"Apache-2.0 (own code); features: {self.features.licence}",
            protocol={**self.features.protocol, **self._settings, "version": 1},
            paired=reference is None,
            of="set",
        )

    def reference(self) -> FeatureSet | None:
        """Rows of the folder of references, or None where the suite has its own."""
        return None if self._folder is None else self._folder.rows(self.features)

    def __call__(self, candidate: FeatureSet, reference: FeatureSet) -> Estimate:
        """The value with its interval; ValueError, with the reason, where there is none."""
        statistic = bound(self._settings)
        if self._settings["interval"] == "bootstrap":
            replicates = int(self._settings["replicates"])
            estimate = partial(bootstrap, replicates=replicates)
        else:
            estimate = partial(interval, groups=int(self._settings["groups"]))
        return estimate(statistic, candidate, reference)


class FrechetDistance(SetDistance):
    """FID, patch-FID, FD-DINOv2: >= 0, lower is better, 0 for sets of equal moments."""

    statistic = "frechet"
    source = "Fréchet distance of normal distributions: Dowson and Landau 1982"


class FIDInfinity(SetDistance):
    """FID extrapolated to infinitely many pictures; lower is better, may fall below 0."""

    statistic = "fid_infinity"
    source = "Chong and Forsyth, CVPR 2020"


class KernelDistance(SetDistance):
    """KID: squared distance of means under a cubic kernel, unbiased: 0 in the mean for equals."""

    statistic = "kid"
    source = "Bińkowski, Sutherland, Arbel and Gretton, ICLR 2018; U-statistic over all pairs"


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


class _Folder:
    """Reference pictures from a folder, in order of their paths."""

    def __init__(self, files: list[Path], mark: str) -> None:
        self._files, self.mark = files, mark
        self._known: dict[str, FeatureSet] = {}

    @staticmethod
    def at(place: str) -> _Folder:
        """UsageError where there is no folder with at least two pictures."""
        found = sorted(f for f in Path(place).rglob("*") if f.suffix.lower() in images.SUFFIXES)
        if len(found) < 2:
            raise UsageError(
                f"{place} holds {len(found)} pictures.",
                "A set to compare with has at least 2, and usually thousands.",
                "reference=FOLDER",
            )
        return _Folder(found, digest(sorted(sha256(file) for file in found))[:16])

    def rows(self, features: Features) -> FeatureSet:
        """Computed once; numbered downwards from -1, for they are nobody's originals."""
        if features.id not in self._known:
            cache = Cache(assets.store().cache / "features")
            blocks = [self._rows(cache, features, file) for file in self._files]
            self._known[features.id] = _stacked(blocks)
        return self._known[features.id]

    @staticmethod
    def _rows(cache: Cache, features: Features, file: Path) -> NDArray[np.float32]:
        try:
            picture = images.read(file)
            return cache.rows(features, picture, images.digest(picture))
        except ValueError as error:
            raise ValueError(f"reference {file.name}: {error}") from error


def _stacked(blocks: list[NDArray[np.float32]]) -> FeatureSet:
    import numpy as np

    numbers = np.repeat(-1 - np.arange(len(blocks)), [len(block) for block in blocks])
    return FeatureSet(np.concatenate(blocks), numbers.astype(np.int64))


def _features(
    name: str,
    protocol: str,
    views: str,
    views_size: int | None,
    levels: str,
    size: list[int] | None,
    device: str,
) -> Features:
    """The extractor with those of the settings that it has."""
    settings = {"views": views, "views_size": views_size, "device": device}
    if name in ("inception", "random"):
        return extractor(name, protocol=protocol, **settings)
    if name in NAMES:
        return extractor(name, **settings)
    return extractor(name, levels=levels, size=size, **settings)
