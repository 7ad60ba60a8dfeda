"""Which metrics may stand in a release decision of a company.

A metric's licence is that of its code, its weights and what they were derived from, as text in
`MetricFacts.licence`: parts between semicolons, each a licence by its SPDX name, then in brackets
what it is the licence of (`SUBJECTS`). A run states its `license_profile`:

    research     every metric
    commercial   only metrics all of whose parts name a licence known to permit commercial use

What is not known to be permitted is refused: an unknown licence, no licence, a sentence about one,
and a remark in brackets that takes something back. This reads the words of the licence field, not
the licence, and it is no legal advice. Several networks were trained on ratings that are offered
for research; their weights' licence counts here.
"""

from __future__ import annotations

import re

from qa.errors import UsageError
from qa.types import MetricFacts

PROFILES = ("research", "commercial")
NOT_STATED = "not stated"
"""The licence field where nothing is known."""
PERMISSIVE = (
    "0BSD Apache-2.0 BSD-2-Clause BSD-3-Clause CC-BY-4.0 CC0-1.0 HPND ISC MIT MIT-CMU PSF-2.0 "
    "Python-2.0 Unlicense Zlib"
).split()
"""SPDX names of licences that permit commercial use."""
DRAWN = "none: drawn weights"
"""Of a network with drawn numbers, in which nobody has rights."""

_SEPARATOR = re.compile(r";(?![^()]*\))")  # none within brackets
_NAMES = "|".join(map(re.escape, PERMISSIVE))
_PART = re.compile(
    rf"(?:(?:features|upsampler): )?(?:(?:{_NAMES})(?: \((?P<remark>[^()]*)\))?|{DRAWN})",
    re.IGNORECASE,
)
SUBJECTS = frozenset(
    "2015 a alpha and authors basicsr beta clip code evaluator fidelity flip from image its live "
    "lpips model network ocr of original own parameters pillow piq pp s scikit texas the torch "
    "torchmetrics torchvision university weights".split()
)
"""What a remark in brackets may consist of: words for what something is the licence of. A remark
with any other word may take something back, so it is refused; leave it out."""


def commercial(facts: MetricFacts) -> bool:
    """Whether the whole licence field is known to permit commercial use."""
    return _in_the_way(facts.licence) is None


def refused(facts: MetricFacts, profile: str) -> str | None:
    """Why a run of this profile may not use the metric, or None where it may.

    Raises UsageError for a profile that does not exist.
    """
    if profile not in PROFILES:
        raise UsageError(
            f"license_profile={profile} is unknown.", "", f"choose {' or '.join(PROFILES)}"
        )
    part = _in_the_way(facts.licence)
    if profile == "research" or part is None:
        return None
    return f"{facts.name} may not be used with license_profile=commercial: {part or NOT_STATED}."


def _in_the_way(licence: str) -> str | None:
    """The first part of a licence field that is not known to permit commercial use, if any is."""
    for part in map(str.strip, _SEPARATOR.split(licence)):
        found = _PART.fullmatch(part)
        remark = re.findall(r"\w+", (found["remark"] or "").lower()) if found else []
        if found is None or not SUBJECTS.issuperset(remark):
            return part
    return None
