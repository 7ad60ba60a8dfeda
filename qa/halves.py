"""Two halves of a suite: one to choose a setting on, the other to confirm it on.

The best of many settings owes part of its lead to the pictures it was chosen on. So pictures that
a choice saw confirm nothing, and neither do copies of them or other takes of the same prompt: what
shares a group (`qa.groups`), a picture or, without one, a prompt is never torn apart.

    units ──by first tag, then by SHA-256 of their names──► dealt in turn: s c s c s c …

The names' digests decide and nothing else does, so the halves are the same on every machine and in
every order of the suite. Dealing goes on from tag to tag: both halves have as many units of each
kind as the other, or one more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from qa.errors import UsageError
from qa.groups import units
from qa.types import Sample

SELECTION, CONFIRMATION = HALVES = ("selection", "confirmation")
LEAST = 2
"""Units in each half: one has no interval."""


def half_of(samples: Sequence[Sample], which: str) -> list[Sample]:
    """The samples of one half, in their order. UsageError where a half would have no interval."""
    if which not in HALVES:
        raise UsageError(f"There is no half {which!r}.", "", f"half={' or half='.join(HALVES)}")
    unit = _units(samples)
    tags = {sample.id: sample.tags[:1] for sample in samples}
    dealt = sorted(set(unit.values()), key=lambda name: (tags[name], _digest(name)))
    if len(dealt) < 2 * LEAST:
        raise UsageError(
            f"{len(dealt)} pictures cannot be halved.",
            f"A half needs {LEAST} that are independent of each other.",
            "choose a larger suite",
        )
    mine = set(dealt[HALVES.index(which) :: 2])
    return [sample for sample in samples if unit[sample.id] in mine]


def _units(samples: Sequence[Sample]) -> dict[str, str]:
    """Sample → the first one, in order of ids, of all that hang together with it."""
    unit = units((sample.id for sample in samples), {s.id: s.group for s in samples if s.group})
    first: dict[str, str] = {}
    for sample in sorted(samples, key=lambda sample: sample.id):
        mark = sample.sha256 or (sample.prompt if sample.image is None else "")
        ours = unit[sample.id]
        theirs = first.setdefault(mark, ours) if mark else ours
        if ours != theirs:
            joined = min(ours, theirs)
            unit = {name: joined if u in (ours, theirs) else u for name, u in unit.items()}
            first = {key: joined if u in (ours, theirs) else u for key, u in first.items()}
    return unit


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
