"""Margins of the run's metrics, and how far they move between two decodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qa import images
from qa.job import Job
from qa.repro.compare import shifts
from qa.repro.trace import label
from qa.types import Unit

if TYPE_CHECKING:
    from torch import Tensor


def margins(job: Job) -> dict[str, float]:
    """Margin by metric: of the use case's primary metrics, or of all if it names none.

    A share of the baseline's value is no number without a baseline: those are left out.
    """
    use = job.use_case
    names = use.primary or tuple(use.margins)
    known = {name: use.margins[name] for name in names if name in use.margins}
    return {name: margin.value for name, margin in known.items() if not margin.relative}


def moved(
    job: Job, a: Mapping[str, Tensor], b: Mapping[str, Tensor], units: Sequence[Unit]
) -> dict[str, float]:
    """Metric → its largest change over the pictures, as a share of its margin."""
    references: dict[str, Tensor | None] = {}
    for unit in units:
        image = unit.sample.image
        references[label(unit)] = None if image is None else images.read(image)
    return shifts(job.metrics, margins(job), references, a, b)
