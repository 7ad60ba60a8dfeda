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
from qa.sets.rows import Measure, Values

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

PARAMETER = "statistic."
"""How a protocol names the parameters of its statistic: `statistic.k`."""


def value(name: str, candidate: Values, reference: Values | Moments, **parameters: Any) -> float:
    """The named statistic of candidate rows [n,d] and reference rows [m,d].

    Only `frechet` and `fid_infinity` take `Moments` as a reference. ValueError, with the reason,
    where it is not defined.
    """
    return STATISTICS[name](reference, **parameters)(candidate)


def bound(protocol: Mapping[str, Any]) -> Callable[[Any], Measure]:
    """The statistic that a metric's protocol names, with the parameters that it states."""
    given = {
        key.removeprefix(PARAMETER): value
        for key, value in protocol.items()
        if key.startswith(PARAMETER)
    }
    return partial(STATISTICS[str(protocol["statistic"])], **given)
