"""Finding a suite's baseline, and saying in words which one it is and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

from qa.baseline import history, objects
from qa.baseline.approved import SHORT, Approved, Waiver, expired, utc_today
from qa.baseline.pointers import Line, Pointer, pointer, read
from qa.errors import QaError
from qa.outcomes import citing
from qa.results import Results, load
from qa.store import RunFolder

TOLD = ("run", "decoder", "plan", "by", "why", "until", "drift", "anchor", "verdict")
"""What `show` repeats of object.json."""


def find(
    suite: str,
    folder: str | Path = "baselines",
    environment: str | None = None,
    stores: Collection[str] = (),
) -> Approved | None:
    """The baseline of a suite, or None if there is none; UsageError if it is not intact.

    The one of this environment class, or else the one promoted last: whether that may stand in is
    for the judge to say. Its pictures (`results.folder`) are there where the promoted run still is.
    One that lies in MLflow is fetched: over the network only from a store that MLFLOW_TRACKING_URI
    or `stores` name, addresses that the user gave; UsageError for any other.
    """
    known = read(pointer(suite, folder), suite)
    line = known.pick(environment)
    if line is None:
        return None
    results, entry = _loaded(known.file, line.content, line.where, stores)
    anchor = entry["anchor"]
    frozen = anchor and _loaded(known.file, anchor["content"], anchor["where"], stores)[0]
    return Approved(
        results,
        drift=entry["drift"],
        anchor=frozen or results,
        waivers=_waivers(known, line),
        environment=entry["environment"]["class"],
        content=line.content,
        by=entry["by"],
        why=entry["why"],
        until=entry["until"],
        tolerances=known.tolerances,
        history=tuple(history.up_to(line.content, entry)),
    )


def for_run(run: RunFolder, folder: str | Path | None = None) -> Approved | None:
    """What `find` gives a finished run; `folder` None takes the one it was configured with."""
    suite, environment = _measured(run)
    return find(suite, folder or run.config()["baselines"], environment)


def at_hand(
    run: RunFolder, folder: str | Path
) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """What can be shown of a finished run's baseline: its object.json, and the history up to it.

    None where it is not here, beside its pointer or in the cache. Nothing is ever fetched.
    """
    suite, environment = _measured(run)
    known = read(pointer(suite, folder), suite)
    line = known.pick(environment)
    entry = line and objects.at_hand(known.file, line.content, line.where)
    return (entry, history.up_to(line.content, entry)) if line and entry else None


def show(folder: str | Path = "baselines", today: date | None = None) -> list[dict[str, Any]]:
    """Every baseline with what was decided about it, by suite and environment class.

    `waivers` hold now; `accepted` are those it was promoted with.
    `damage` says what is wrong with an object; what it would have told is then missing.
    """
    today = today or utc_today()
    known = [read(file) for file in sorted(Path(folder).glob("*.json"))]
    return [
        _shown(one, line, today)
        for one in known
        for line in sorted(one.baselines, key=lambda line: line.environment)
    ]


def why(
    suite: str,
    folder: str | Path = "baselines",
    environment: str | None = None,
    today: date | None = None,
) -> str:
    """In words: which run is the baseline of a suite, why that one, and what was decided."""
    today = today or utc_today()
    known = read(pointer(suite, folder), suite)
    line = known.pick(environment)
    if line is None:
        return f"{suite} has no baseline in {folder}. Make one: qa baseline promote RUN"
    told = _shown(known, line, today)
    if told["damage"]:
        return f"{line.run} should be the baseline of {suite}. {told['damage']}"
    reason = told["why"] or "no reason was given"
    return "\n".join(
        [
            f"{told['run']} is the baseline of {suite}: {known.file} names its content "
            f"{line.content[:SHORT]}, which is intact.",
            f"chosen     {_choice(known, line, environment)}",
            f"approved   by {told['by']}, {line.promoted}: {reason}; {lasts(told['until'], today)}",
            f"verdict    {_judged(told)}",
            f"anchor     {_anchored(told)}",
            *([f"stored     {line.where}"] if line.where else []),
            *_decisions(known, line, told, today),
        ]
    )


def lasts(until: str | None, today: date) -> str:
    """A last day in words."""
    if until is None:
        return "without an end"
    return f"EXPIRED on {until}" if expired(until, today) else f"until {until}"


def _shown(known: Pointer, line: Line, today: date) -> dict[str, Any]:
    told = {
        "suite": known.suite,
        **asdict(line),
        "waivers": [
            {**waiver.stored(), "expired": expired(waiver.until, today)}
            for waiver in _waivers(known, line)
        ],
        "tolerances": [x for x in known.tolerances if line.environment in x["environments"]],
        "damage": "",
    }
    try:
        _, entry = objects.opened(known.file, line.content, line.where)
    except QaError as error:
        return {**told, "damage": f"{error.what} {error.why}"}
    lapsed = expired(entry["until"], today)
    accepted = {"accepted": entry["waivers"], "expired": lapsed}
    return {**told, **{key: entry[key] for key in TOLD}, **accepted}


def _choice(known: Pointer, line: Line, environment: str | None) -> str:
    count = len(known.baselines) - 1
    beside = f"; {count} more of other classes" if count else ""
    if environment == line.environment:
        return f"because it was measured in environment class {environment}{beside}"
    if environment is not None:
        return (
            f"because none was measured in environment class {environment} and this one "
            f"(class {line.environment}) was promoted last: a warning under policy=pr, "
            f"INVALID under policy=release{beside}"
        )
    if not count:
        return f"because there is no other; its environment class is {line.environment}"
    return (
        f"because no class was asked for and this one (class {line.environment}) was promoted "
        f"last; a run is compared with that of its own class{beside}"
    )


def _judged(told: Mapping[str, Any]) -> str:
    verdict = told["verdict"]
    against = str(verdict["against"])[:SHORT]
    where = f"against {against}" if against else "against no baseline of this suite"
    drifted = [row["metric"] for row in verdict["gates"] if row["state"] == "PASS-DRIFT"]
    worse = f"; worse within the margin: {', '.join(drifted)}" if drifted else ""
    gates = [waiver["gate"] for waiver in told["accepted"]]
    waived = f"; waived: {', '.join(gates)}" if gates else ""
    return f"{verdict['state']} when it was promoted, {where}{worse}{waived}"


def _anchored(told: Mapping[str, Any]) -> str:
    if told["anchor"] is None:
        return "this one: drift counts from here"
    drift = ", ".join(f"{name} {harm:+.4g}" for name, harm in sorted(told["drift"].items()))
    return f"{told['anchor']['content'][:SHORT]}; harm accepted since then: {drift or 'none'}"


def _decisions(known: Pointer, line: Line, told: Mapping[str, Any], today: date) -> list[str]:
    """Waivers and tolerances, a line each."""
    valid = _waivers(known, line)
    lines = [
        f"waiver     {waiver.gate}: {waiver.why} (by {waiver.by}, {waiver.given}); "
        f"{lasts(waiver.until, today)}{citing(waiver.review)}"
        for waiver in valid
    ]
    outdated = [waiver.gate for waiver in known.waivers if waiver not in valid]
    if outdated:
        lines.append(f"outdated   waivers against an earlier baseline: {', '.join(outdated)}")
    for entry in told["tolerances"]:
        limits = ", ".join(f"{name} {value:g}" for name, value in entry["limits"].items())
        between = " and ".join(entry["environments"])
        lines.append(f"tolerance  between {between}: {limits}; measured {entry['measured']}")
    return lines


def _waivers(known: Pointer, line: Line) -> tuple[Waiver, ...]:
    """Those given against this very baseline."""
    return tuple(w for w in known.waivers if line.content[:SHORT] in w.against)


def _measured(run: RunFolder) -> tuple[str, str | None]:
    """Suite and environment class of a run."""
    record = run.record()
    return record["suite"], (record.get("environment") or {}).get("class")


def _loaded(
    file: Path, content: str, where: str | None, stores: Collection[str]
) -> tuple[Results, dict[str, Any]]:
    place, entry = objects.opened(file, content, where, stores)
    return replace(load(place.path), folder=objects.pictures_of(entry)), entry
