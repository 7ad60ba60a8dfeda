"""Whether two arms may be compared at all; every mismatch is named by its field."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from qa.baseline import Approved
from qa.environment import differences
from qa.groups import units
from qa.plan import look_order
from qa.results import Results

BESIDE = {"latent": ("encoder", "encoder_digest"), "sample": ("questions", "asks_digest")}
"""What a metric's values depend on beside its protocol: in words, and its key in the record."""


def incomparable(candidate: Results, baseline: Results, gated: Collection[str]) -> list[str]:
    """Why the arms may not be compared on the gated metrics, field by field; empty if they may."""
    problems = []
    for arm, results in (("candidate", candidate), ("baseline", baseline)):
        if results.record.get("limited"):
            problems.append(f"limit: the {arm} is a limited run (limit=)")
    problems += _samples(candidate, baseline)
    if candidate.seeds != baseline.seeds:
        problems.append(
            f"seeds: {candidate.seeds} in the candidate, {baseline.seeds} in the baseline"
        )
    found = mismatched(candidate, baseline)
    return problems + [found[metric] for metric in sorted(set(gated) & set(found))]


def _samples(candidate: Results, baseline: Results) -> list[str]:
    problems = []
    only = [sorted(set(a.samples) - set(b.samples)) for a, b in (
        (candidate, baseline), (baseline, candidate))]  # fmt: skip
    for arm, names in zip(("candidate", "baseline"), only, strict=True):
        if names:
            problems.append(f"samples: {len(names)} only in the {arm}, e.g. {names[0]!r}")
    if not set(candidate.samples) & set(baseline.samples):
        problems.append("samples: nothing was compared, no picture is in both arms")
    changed = [
        name
        for name in sorted(set(candidate.digests) & set(baseline.digests))
        if candidate.digests[name] != baseline.digests[name]
    ]
    if changed:
        problems.append(f"samples: {len(changed)} have another reference, e.g. {changed[0]!r}")
    apart = [name for name in set(candidate.groups) & set(baseline.groups)
             if candidate.groups[name] != baseline.groups[name]]  # fmt: skip
    if apart:
        problems.append(f"samples: {len(apart)} are in another group, e.g. {min(apart)!r}")
    suites = [arm.record.get("suite_digest") for arm in (candidate, baseline)]
    if not problems and None not in suites and suites[0] != suites[1]:
        ours, theirs = map(_short, suites)
        problems.append(f"samples: suite {ours} against {theirs}, so other prompts")
    return problems


def copies(candidate: Results) -> str:
    """Which pictures are there more than once, under other ids; empty if none is.

    Copies say the same thing again: counted as pictures they make an interval too narrow.
    """
    first: dict[str, str] = {}
    again: list[tuple[str, str]] = []
    for name, unit in units(candidate.digests, candidate.groups).items():
        mark = candidate.digests[name]
        # The other takes of a group are known to be alike.
        if mark is not None and name == unit and first.setdefault(mark, name) != name:
            again.append((name, first[mark]))
    if not again:
        return ""
    copy, original = min(again, key=lambda pair: (pair[1], pair[0]))
    return (
        f"samples: {len(again)} pictures are copies of others, e.g. {copy!r} of "
        f"{original!r}; they are no independent evidence"
    )


def other_latents(candidate: Results, baseline: Results) -> str:
    """A sentence where both arms decoded latents of one space that are not the same."""
    records = (candidate.record, baseline.record)
    spaces, marks = ([r.get(key) for r in records] for key in ("space", "latents_digest"))
    if None in (*spaces, *marks) or spaces[0] != spaces[1] or marks[0] == marks[1]:
        return ""
    ours, theirs = map(_short, marks)
    return f"latents: the arms decoded other latents ({ours} against {theirs})."


def mismatched(candidate: Results, baseline: Results) -> dict[str, str]:
    """Metric → why its values may not be compared, for the metrics that both arms know."""
    ours, theirs = candidate.record.get("facts", {}), baseline.record.get("facts", {})
    found = {}
    for metric in set(ours) & set(theirs):
        prints = [facts[metric].get("fingerprint") for facts in (ours, theirs)]
        what, key = BESIDE.get(ours[metric].get("of", ""), ("", ""))
        marks = [arm.record.get(key) for arm in (candidate, baseline)]
        if prints[0] != prints[1]:
            found[metric] = f"fingerprint of {metric}: {prints[0]} against {prints[1]}"
        elif marks[0] != marks[1]:
            found[metric] = f"{what} of {metric}: {_short(marks[0])} against {_short(marks[1])}"
    return found


def environment_of(results: Results) -> str | None:
    """The environment class a run was measured in, or None for a table."""
    found = (results.record.get("environment") or {}).get("class")
    return None if found is None else str(found)


def classes_of(results: Results) -> list[str]:
    """All environment classes that a run was made in: several if it was continued elsewhere."""
    environment = results.record.get("environment") or {}
    return sorted(filter(None, {environment.get("class"), *environment.get("also", ())}))


def environments(
    candidate: Results, against: Approved, release: bool
) -> tuple[list[str], list[str]]:
    """Problems and warnings about where the arms were measured.

    Another environment class may move numbers without any change of the decoder. It is a warning,
    and under `release` a problem, unless the difference between just these two was measured.
    """
    mixed = [
        f"environment: the {arm} was made in several classes: {', '.join(classes)}"
        for arm, results in (("candidate", candidate), ("baseline", against.results))
        if len(classes := classes_of(results)) > 1
    ]
    if mixed:
        return (mixed, []) if release else ([], [f"{told}." for told in mixed])
    ours, theirs = environment_of(candidate), environment_of(against.results)
    if ours is None or theirs is None:
        arm = "candidate" if ours is None else "baseline"
        told = f"environment: the {arm} does not say where it was measured"
        return ([told], []) if release else ([], [])
    if ours == theirs:
        return [], []
    told = f"environment: class {ours} against {theirs}{_fields(candidate, against.results)}"
    decoders = [str(arm.record.get("decoder")) for arm in (candidate, against.results)]
    measured = against.tolerance(ours, theirs, decoders)
    if measured is not None:
        when = str(measured.get("measured", ""))[:10]
        return [], [f"{told}; their difference was measured on {when} and is tolerated."]
    return ([told], []) if release else ([], [f"{told}."])


def _fields(candidate: Results, baseline: Results) -> str:
    ours, theirs = (_decides(arm) for arm in (candidate, baseline))
    names = differences(ours, theirs) if ours and theirs else []
    return f" ({'; '.join(names)})" if names else ""


def _decides(results: Results) -> Mapping[str, Any]:
    return (results.record.get("environment") or {}).get("decides") or {}


def look_of(results: Results) -> Mapping[str, Any] | None:
    """The look that a run is, if it leaves pictures of its plan out."""
    look = results.record.get("look")
    return look if look and look["pictures"] < look["planned"] else None


def not_first(candidate: Results, baseline: Results) -> list[str]:
    """Why a look's pictures are not those that its plan registered; empty if they are."""
    planned = int(candidate.record["look"]["pictures"])
    if len(candidate.samples) != planned:
        return [f"samples: the look has {len(candidate.samples)} of its {planned} pictures"]
    first = set(look_order(baseline.samples, baseline.groups)[:planned])
    strangers = sorted(set(candidate.samples) - first)
    if not strangers:
        return []
    return [
        f"samples: {len(strangers)} of the look are not among the first {len(first)} "
        f"of the baseline, e.g. {strangers[0]!r}"
    ]


def restricted(results: Results, samples: Collection[str]) -> Results:
    """An arm cut down to some of its pictures; values of sets stay those of the whole arm."""
    kept = set(samples)
    return replace(
        results,
        scores=None if (table := results.scores) is None else table[table["sample"].isin(kept)],
        digests={name: digest for name, digest in results.digests.items() if name in kept},
        failures=tuple(row for row in results.failures if row["sample"] in kept),
        cut=True,
    )


def _short(digest: object) -> str:
    return str(digest)[:12]
