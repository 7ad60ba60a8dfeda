"""What a dial found, as dial.json has it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa.dial.choice import (
    CONFIRMED,
    EXIT_CODES,
    PLAUSIBILITY,
    Confirmation,
    Found,
    front,
    needs_to_pick,
)
from qa.dial.judged import Tried, run_of, too_few_for
from qa.dial.settings import turned_from_own
from qa.gates.rows import Row
from qa.metrics.facts import fingerprint
from qa.setting import words
from qa.stats import CONFIDENCE

if TYPE_CHECKING:
    from qa.dial.find import Opened

SCHEMA = "decoder-qa/dial/1"
Document = Mapping[str, Any]


def document(
    ready: Opened, found: Found, written: Path | None, kept: Path | None
) -> dict[str, Any]:
    """The contents of dial.json (docs/formats.md); nothing is written here.

    `written` is the file that the setting goes to, `kept` an older one that stays as it is.
    """
    config, job, terms = ready.config, ready.job, ready.terms
    reference, best = found.settings[0], front(found.settings, terms)
    confirmation, picked = found.confirmation, found.picked
    return {
        "schema": SCHEMA,
        "state": found.state,
        "exit_code": EXIT_CODES[found.state],
        "summary": _summary(found),
        "decoder": config.choices["decoder"],
        "suite": job.suite,
        "use_case": config.choices["use_case"],
        "seeds": job.plan.seeds,
        "confidence": CONFIDENCE,
        "pictures": {"selection": ready.half, "confirmation": len(job.plan.units) - ready.half},
        "search": _search(ready),
        "reference": reference.name,
        "fidelity": [_limit(row) for row in reference.limits if row["role"]],
        "plausibility": terms.plausibility,
        "metrics": _metrics(ready),
        "settings": [_setting(tried, best) for tried in found.settings],
        "picked": None if picked is None else picked.name,
        "why": _why(found, ready),
        "confirmation": None if confirmation is None else _confirmation(confirmation),
        "written": None if written is None else str(written),
        "use": None if written is None else words(config, written),
        "kept": None if kept is None else str(kept),
        "pins": _pins(ready),
        "notes": [*_notes(ready, found), *_left(kept)],
        "command": config.words(),
    }


def _search(ready: Opened) -> dict[str, Any]:
    tree = ready.config.tree
    return {
        "method": tree.search,
        "trials": tree.trials if tree.search == "optuna" else None,
        "lists": {name: list(values) for name, values in ready.lists.items()},
        "possible": len(ready.grid),
    }


def _limit(row: Row) -> dict[str, Any]:
    known = {key: row[key] for key in ("metric", "margin", "unit", "better")}
    return known | {"relative": row["margin_relative"], "why": row["margin_why"]}


def _metrics(ready: Opened) -> dict[str, Any]:
    return {
        name: {
            "unit": known.unit, "better": known.better, "of": known.of,
            "fingerprint": fingerprint(known),
        }
        for name, known in sorted(ready.job.facts.items())
    }  # fmt: skip


def _setting(tried: Tried, best: set[str]) -> dict[str, Any]:
    return {
        "name": tried.name,
        "knobs": {} if tried.knobs is None else turned_from_own(tried.knobs),
        "outside": tried.knobs is None,
        "run": run_of(tried.results),
        "metrics": tried.values,
        "feasible": tried.feasible,
        "why": tried.why_not,
        "front": tried.name in best,
        "seconds": tried.seconds(),
    }


def _confirmation(found: Confirmation) -> dict[str, Any]:
    return {
        "state": found.state,
        "summary": _confirmed(found),
        "pictures": found.pictures,
        "needs": found.needs,
        "runs": {"reference": found.reference, "picked": found.picked},
        "rows": [_row(row) for row in found.rows],
    }


def _row(row: Row) -> dict[str, Any]:
    keys = ("low", "high", "margin", "state", "why", "needs", "unit", "better")
    return {
        "metric": row["metric"],
        "role": "plausibility" if row["gate"] == PLAUSIBILITY else "fidelity",
        "harm": row["estimate"],
        **{key: row[key] for key in keys},
        "reference": row["baseline"],
        "picked": row["candidate"],
    }


def _pins(ready: Opened) -> dict[str, Any]:
    """What the setting holds for."""
    job, facts = ready.job, _metrics(ready)
    wanted = sorted({ready.terms.plausibility, *ready.terms.use.primary})
    return {
        "decoder_digest": job.decoder.digest,
        "latents_digest": None if job.latents is None else job.latents.digest,
        "suite": job.suite,
        "suite_digest": job.plan.suite_digest,
        "seeds": job.plan.seeds,
        "use_case_digest": job.use_case.digest,
        "metrics": {name: facts[name]["fingerprint"] for name in wanted},
    }


def _notes(ready: Opened, found: Found) -> list[str]:
    job = ready.job
    notes = [f"{name} could not be measured: {why}" for name, why in job.unavailable.items()]
    if job.plan.limited:
        notes.append("limit= left pictures of the suite out, so no setting is written.")
    asked = job.use_case.dial
    assert asked is not None
    absent = [metric for metric in asked.fidelity if metric not in ready.terms.use.primary]
    if absent:
        notes.append(f"Not measured, and so no limit here: {', '.join(absent)}.")
    own = next(tried for tried in found.settings if tried.knobs == ready.own)
    notes += [*map(too_few, too_few_for(own.results, ready.terms)), *ready.notes]
    before = 0 if found.confirmation is None else found.confirmation.before
    if before:
        notes.append(
            f"The pictures of the confirmation were used for {before} other "
            f"setting{'s' * (before != 1)} of this decoder before. Each is another chance for "
            "luck: confirm on new pictures in the end."
        )
    return notes


def _left(kept: Path | None) -> list[str]:
    return [] if kept is None else [f"{kept} was found before and is left as it is."]


def too_few(row: Row) -> str:
    """Why nothing but the reference can keep a limit (`judged.too_few_for`)."""
    needs = f" {row['needs']} would do." if row["needs"] else ""
    return (
        f"{row['metric']}: these pictures cannot show that nothing is lost, so only the reference "
        f"keeps this limit. Without any harm its upper end is {row['high']:.3g}, above the margin "
        f"{row['margin']:.3g}.{needs}"
    )


def _why(found: Found, ready: Opened) -> str:
    picked = found.picked
    settings = [tried for tried in found.settings if tried.knobs is not None]
    able = sum(tried.feasible for tried in settings)
    if picked is None:
        return f"None of {len(settings)} settings keeps every limit."
    metric = ready.terms.plausibility
    return (
        f"Of {len(settings)} settings {able} keep every limit; {picked.name} has the best {metric} "
        f"of these, {picked.values[metric]['mean']:.4g}."
    )


def _summary(found: Found) -> str:
    if found.picked is None or found.confirmation is None:
        needs = needs_to_pick(found.settings)
        more = f" {needs} pictures in the selection half could settle it." if needs else ""
        provably = " provably" if found.state == "INCONCLUSIVE" else ""
        return f"No setting{provably} keeps every limit, so none was picked or written.{more}"
    if found.picked is found.settings[0] and found.state == CONFIRMED:
        return f"{found.picked.name}, the reference, stays: the others break a limit or gain less."
    told = _confirmed(found.confirmation)
    return f"{found.picked.name}: {told[0].lower()}{told[1:]}"


def _confirmed(found: Confirmation) -> str:
    where = f"on {found.pictures} other pictures"
    if found.state == CONFIRMED:
        return f"Keeps every limit {where}."
    row = next(row for row in found.rows if row["state"] == found.state)
    why, needs = row["why"], ""
    if found.needs:  # of all that is open; a row's own number would only confuse
        why = why.partition(":")[0]
        needs = f" {found.needs} pictures in this half would settle it."
    return f"Not confirmed {where}: {row['metric']} is {row['state']}, {why}.{needs}"
