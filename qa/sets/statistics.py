"""The statistics of two sets by name: what configuration and verdicts call them.

Each is a class: `Class(reference, **parameters)` does the reference's share of the work once and
gives a measure, `measure(candidate)` a value. `qa.sets.intervals` takes the class, or a
`functools.partial` of it with parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from qa.sets.frechet import Frechet, Moments
from qa.sets.infinity import FIDInfinity
from qa.sets.kernels import CMMD, KID
from qa.sets.manifold import Coverage, Density, Precision, Recall
from qa.sets.rows import Measure
from qa.types import FeatureSet, ReferenceMoments

STATISTICS: Mapping[str, Callable[..., Measure]] = {
    "frechet": Frechet,
    "fid_infinity": FIDInfinity,
    "kid": KID,
    "cmmd": CMMD,
    "precision": Precision,
    "recall": Recall,
    "density": Density,
    "coverage": Coverage,
}

OF_MOMENTS = frozenset({"frechet", "fid_infinity"})
"""Those that need no rows of the reference: its `Moments` will do."""

PARAMETER = "statistic."
"""How a protocol names the parameters of its statistic: `statistic.k`."""


def bound(protocol: Mapping[str, Any]) -> Callable[[Any], Measure]:
    """The statistic that a metric's protocol names, with the parameters that it states."""
    given = {
        key.removeprefix(PARAMETER): value
        for key, value in protocol.items()
        if key.startswith(PARAMETER)
    }
    return partial(STATISTICS[str(protocol["statistic"])], **given)


def target(reference: FeatureSet | ReferenceMoments) -> FeatureSet | Moments:
    """A reference as `qa.sets.intervals` takes it; ValueError for what cannot be moments."""
    if isinstance(reference, FeatureSet):
        return reference
    return Moments.given(reference.mean, reference.covariance)
