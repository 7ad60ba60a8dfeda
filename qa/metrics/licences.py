"""Which metrics may stand in a release decision of a company.

A metric's licence is that of its code, its weights and what they were derived from, as text in
`MetricFacts.licence`. A run states its `license_profile`:

    research     every metric
    commercial   only metrics whose licence is known and forbids no commercial use

This reads the words of the licence field, not the licence, and it is no legal advice. Several
networks were trained on ratings that are offered for research; their weights' licence counts here.
"""

from __future__ import annotations

import re

from qa.errors import UsageError
from qa.types import MetricFacts

PROFILES = ("research", "commercial")
NOT_STATED = "not stated"
"""How a licence field begins where nothing is known."""

_FORBIDS = re.compile(
    r"non-?commercial|not for commercial|research[ -](use )?only|\bNC\b", re.IGNORECASE
)


def commercial(facts: MetricFacts) -> bool:
    """Whether the licence field forbids no commercial use. An unknown licence does."""
    unknown = not facts.licence.strip() or facts.licence.lower().startswith(NOT_STATED)
    return not unknown and _FORBIDS.search(facts.licence) is None


def refused(facts: MetricFacts, profile: str) -> str | None:
    """Why a run of this profile may not use the metric, or None where it may.

    Raises UsageError for a profile that does not exist.
    """
    if profile not in PROFILES:
        raise UsageError(
            f"license_profile={profile} is unknown.", "", f"choose {' or '.join(PROFILES)}"
        )
    if profile == "research" or commercial(facts):
        return None
    return f"{facts.name} may not be used with license_profile=commercial: {facts.licence}."
