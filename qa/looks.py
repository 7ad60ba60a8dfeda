"""What looks at one run decided, kept in its record (`look.history`) and never taken back.

All looks of a plan share a run folder. Somebody may go back to an earlier one, leave the baseline
out or judge by other margins; whatever was decided by the run's own terms stays:

    judged ──► remember: an entry in the record ──► eligibility: did any look FAIL?
                                               └──► earlier: what a verdict shows

A verdict shows the looks before its own against the same baseline, so the same command gives the
same bytes whatever came in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qa.errors import UsageError
from qa.files import write_json
from qa.store import RunFolder

SHOWN = ("number", "pictures", "state")
"""What a verdict shows of an entry; the record also has `against` and `failed`."""
TERMS = {"use_case": "use case", "primary": "choice of primary metrics", "gates": "choice of gates"}
"""What a run is judged by (`terms` of its record), in words."""


def remember(folder: RunFolder, verdict: Mapping[str, Any]) -> None:
    """Add what a look decided to the run's record, if it was judged by the run's own terms."""
    record = folder.record()
    look = record.get("look")
    if not look or not own(verdict, record):
        return
    failed = [row for row in verdict["gates"] if row["state"] == "FAIL" and row["counts"]]
    new = {
        "number": look["number"],
        "pictures": look["pictures"],
        "state": verdict["state"],
        "against": (verdict["baseline"] or {}).get("plan"),
        "failed": [{"gate": row["gate"], "metric": row["metric"]} for row in failed],
    }
    history = [*(entry for entry in look["history"] if entry != new), new]
    write_json(folder.record_file, {**record, "look": {**look, "history": history}})


def own(verdict: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Whether a verdict was made by what the run itself was to be judged by."""
    asked, terms = verdict["terms"], record.get("terms") or {}
    found = (verdict["policy"], asked["use_case"], asked["gates"])
    wanted = (record.get("policy"), terms.get("use_case"), sorted(terms.get("gates", ())))
    return bool(found == wanted)


def earlier(look: Mapping[str, Any], against: str | None) -> list[dict[str, Any]]:
    """The looks before this one with what they last decided against a baseline of this plan."""
    known = {
        entry["number"]: {key: entry[key] for key in SHOWN}
        for entry in look["history"]
        if entry["number"] < look["number"] and entry["against"] == against
    }
    return [known[number] for number in sorted(known)]


def failures(record: Mapping[str, Any], against: str | None) -> list[Mapping[str, Any]]:
    """Entries of looks that FAILED against a baseline of this plan, whatever came after them."""
    history = (record.get("look") or {}).get("history", ())
    return [e for e in history if e["state"] == "FAIL" and e["against"] == against]


def check_registered(
    folder: RunFolder, before: Mapping[str, Any], asked: Mapping[str, Any]
) -> Sequence[Mapping[str, Any]]:
    """The history that a run goes on with; UsageError for other looks or terms than it began with.

    `before` is the record in the folder, `asked` has the `look` and the `terms` of now.
    """
    old, new = before.get("look"), asked.get("look")
    if _sizes(old) != _sizes(new):
        raise UsageError(
            f"{folder.path} was started with {_told(old)}.",
            "Looks are registered before the first picture: chosen later, they would be chosen by "
            "what was seen.",
            "give the command that started it, with another extend= if it has looks; "
            "out=DIR makes another run",
        )
    if not old:
        return ()
    terms = before.get("terms") or {}
    other = [words for key, words in TERMS.items() if terms.get(key) != asked["terms"][key]]
    if other:
        raise UsageError(
            f"{folder.path} was started with another {' and '.join(other)}.",
            "What looks are judged by is registered before the first picture, as their sizes are.",
            "give the command that started it, with another extend=; out=DIR makes another run",
        )
    return list(old["history"])


def _sizes(look: Mapping[str, Any] | None) -> tuple[Any, ...]:
    return () if not look else (tuple(look["sizes"]), look["scheme"])


def _told(look: Mapping[str, Any] | None) -> str:
    return f"looks={list(look['sizes'])} ({look['scheme']})" if look else "a single look"
