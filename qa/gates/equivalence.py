"""Equivalence: is it still the same decoder, after a refactoring or with another kernel?

Two one-sided tests (`qa.stats.decide.equivalence`): PASS only if the whole interval of mean harm
lies within (-m, m). Being better by the margin FAILs, too: then something changed. All primary
metrics must pass, so nothing is corrected; p speaks of harm only.
"""

from __future__ import annotations

from qa.errors import UsageError
from qa.gates.case import Case
from qa.gates.compared import judged
from qa.gates.rows import Row
from qa.stats.decide import equivalence


class Equivalence:
    """Every metric with a margin, in both directions."""

    name = "equivalence"
    compares = True

    def __init__(self, scale: float = 1.0) -> None:
        """`scale`: margins are multiplied by it, 1 or less for a stricter gate."""
        if not 0 < scale <= 1:
            raise UsageError(f"gate.equivalence.scale={scale} cannot work.", "It lies in (0, 1].")
        self.scale = scale

    def __call__(self, case: Case) -> list[Row]:
        """Rows for all margins, by metric."""
        return [
            judged(self.name, metric, case, equivalence, self.scale)
            for metric in sorted(case.use.margins)
        ]
