"""What judging is told about a baseline: its results, and what people decided about it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from qa.errors import UsageError
from qa.results import Results

SHORT = 12
"""Digits of a content's digest that name it in folders, lines and messages."""


@dataclass(frozen=True)
class Waiver:
    """A decision to go on although a gate does not pass."""

    gate: str
    """`regression/psnr`, or `psnr` for short; `tail` for every row of that gate."""
    by: str
    why: str
    until: str
    """ISO date; the last day on which it holds."""
    given: str
    """ISO date."""
    against: tuple[str, ...] = ()
    """Contents (first 12 digits) of the baselines it was given against. The next baseline already
    holds the change that was waived, so it does not count there."""
    review: Mapping[str, str] | None = None
    """The review that it cites (`qa.baseline.cited`), or None."""

    def stored(self) -> dict[str, Any]:
        """As JSON documents have it; without `review` where it cites none."""
        found = {**asdict(self), "against": list(self.against)}
        return found if self.review else {k: v for k, v in found.items() if k != "review"}

    def covers(self, gate: str, metric: str) -> bool:
        """Whether it names this row of a verdict. A metric alone names its regression gate."""
        return self.gate in {f"{gate}/{metric}", metric if gate == "regression" else gate}


@dataclass(frozen=True)
class Approved:
    """A suite's baseline with all that was approved around it.

    A run that nobody promoted is `Approved(load(path))`.
    """

    results: Results
    drift: Mapping[str, float] = field(default_factory=dict)
    """Metric → harm accepted since the anchor, in the metric's unit; positive is worse."""
    anchor: Results | None = None
    """The frozen baseline that drift counts from; the same as `results` right after it was set."""
    waivers: tuple[Waiver, ...] = ()
    """Those given against this baseline, expired ones too."""
    environment: str | None = None
    """Environment class it was measured in."""
    content: str = ""
    """Digest of its object; empty for a run that nobody promoted."""
    by: str = ""
    why: str = ""
    until: str | None = None
    """ISO date; the last day on which it holds."""
    tolerances: tuple[dict[str, Any], ...] = ()
    """Measured differences between environment classes (`add_tolerance`)."""
    history: tuple[dict[str, Any], ...] = ()
    """What it and the baselines before it measured, the oldest first (`qa.baseline.history`)."""

    def tolerance(
        self, one: str, other: str, decoders: Collection[str] | None = None
    ) -> dict[str, Any] | None:
        """What was measured between two environment classes, in either order; the latest.

        With `decoders`, of these alone: how far two machines differ depends on the decoder. An
        entry that names none holds for all.
        """
        pair = sorted((one, other))
        found = [
            entry
            for entry in self.tolerances
            if entry["environments"] == pair
            and (decoders is None or entry.get("decoder", "") in {"", *decoders})
        ]
        return max(found, key=lambda entry: str(entry["measured"]), default=None)


def expired(until: str | None, today: date) -> bool:
    """Whether that last day is over; None has no end."""
    return until is not None and date.fromisoformat(until) < today


def utc_today() -> date:
    """The date in UTC, as records have it."""
    return datetime.now(UTC).date()


def last_day(text: str, today: date) -> str:
    """An ISO date in the future, as the user gave it; UsageError for anything else."""
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"--until {text} is no date.", "It is the last day that counts.", "--until YYYY-MM-DD"
        ) from error
    if day <= today:
        raise UsageError(
            f"--until {text} is not in the future.", f"Today is {today}.", "--until YYYY-MM-DD"
        )
    return day.isoformat()
