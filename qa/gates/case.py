"""What every gate is given: two arms, the rules to judge by, and what is known about both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from qa.baseline import Approved
from qa.gates.use_case import UseCase
from qa.results import Results
from qa.stats.looks import price

POLICIES = ("pr", "release")


@dataclass(frozen=True)
class Case:
    """One comparison, or one run alone where `against` is None. Gates only read it."""

    candidate: Results
    against: Approved | None
    use: UseCase
    """Margins of what was measured; `primary` metrics decide, the others are shown."""
    policy: str
    """`pr` or `release`."""
    confidence: float
    """Two-sided; of this look, if the run has looks."""
    better: Mapping[str, str]
    """Metric → `higher` or `lower`, for every metric that is judged."""
    today: date
    """In UTC; for what expires."""
    partial: bool = False
    """Whether the baseline was cut down to the pictures of the candidate's look."""
    mismatch: Mapping[str, str] = field(default_factory=dict)
    """Metric → why this metric alone is not comparable (secondary ones: a note, no problem)."""

    @property
    def baseline(self) -> Results:
        """The results of the arm that is compared with; only gates that compare ask for it."""
        assert self.against is not None
        return self.against.results

    @property
    def alpha(self) -> float:
        """One-sided error rate of every decision."""
        return (1 - self.confidence) / 2

    def price(self, among: int) -> float:
        """What a p-value costs where `among` metrics share the error rate (`qa.stats.holm`)."""
        look = self.candidate.record.get("look")
        if not look:
            return float(among)
        return price(look["sizes"], look["scheme"], int(look["number"]) - 1, among)

    @property
    def release(self) -> bool:
        """Whether the strict policy holds."""
        return self.policy == "release"

    def facts(self, metric: str) -> Mapping[str, Any]:
        """What is known about a metric, from whichever arm knows it; {} if neither does."""
        arms = [self.candidate, *([self.baseline] if self.against else ())]
        known = (arm.record.get("facts", {}).get(metric) for arm in arms)
        return next(filter(None, known), {})

    def unit(self, metric: str) -> str:
        """Unit of a metric's values."""
        return str(self.facts(metric).get("unit", ""))
