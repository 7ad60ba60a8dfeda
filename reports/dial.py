"""One self-contained HTML page for a dial: what was picked, the trade behind it, the confirmation.

    dial.json ──► state, front, settings, confirmation ──► dial.html

Reads `dial.json` alone (docs/formats.md) and decides nothing. Equal documents give equal bytes.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qa import files
from qa.errors import QaError
from reports import page, wording
from reports.dialling import said, table
from reports.forest import forest
from reports.front import front, kind

__all__ = ["render", "table", "write"]

DOCUMENT, PAGE = "dial.json", "dial.html"
SCHEMA = "decoder-qa/dial/"
KEPT = ("PASS", "IMPROVED", "PASS-DRIFT")
"""States of a limit that is kept."""
MAX_PLOTS = 5
MAX_ROWS = 400


def write(folder: Path) -> Path:
    """Write the page of the folder's `dial.json` beside it; returns its path.

    QaError if the document is missing or no dial's.
    """
    document = files.read_json(folder / DOCUMENT)
    if not isinstance(document, dict) or not str(document.get("schema")).startswith(SCHEMA):
        raise QaError(
            f"{folder / DOCUMENT} is no document of a dial.",
            f"Its schema is not {SCHEMA}1.",
            "run the same `qa dial` command again",
        )
    files.write_bytes(folder / PAGE, render(document, folder.resolve().name).encode())
    return folder / PAGE


def render(document: Mapping[str, Any], name: str = "dial") -> str:
    """The page as text."""
    limits = document["fidelity"][:MAX_PLOTS]
    rows = {row["name"]: row for row in document["settings"]}
    confirmed = document["confirmation"]
    checks = [] if confirmed is None else [_check(row) for row in confirmed["rows"]]
    environment = page.environment()
    environment.globals.update(
        harm=harm_in,
        kind=lambda setting: kind(document, setting),
        said=lambda setting: said(document, setting, not _broken(setting)),
    )
    return environment.get_template("dial.html.j2").render(
        dial=document,
        name=name,
        fronts=[front(document, row["metric"], not place) for place, row in enumerate(limits)],
        margins={row["metric"]: margin_in(row) for row in limits},
        settings=list(enumerate(document["settings"], 1))[:MAX_ROWS],
        picked=rows.get(document["picked"]),
        reference=rows.get(document["reference"]),
        looks=document["metrics"].get(document["plausibility"]) or {"unit": ""},
        lists=_lists(document["search"]["lists"]),
        checks=checks,
        forest=forest(checks),
        use=shlex.join(document["use"] or ()),
        command=shlex.join(["qa", "dial", *map(str, document["command"])]),
        **page.frame(["report.js"], ["report.css", "dial.css"]),
    )


def _broken(setting: Mapping[str, Any]) -> bool:
    """Whether some limit is marked as not kept, so that nobody has to say which."""
    return any(harm_in(setting, metric)["broken"] for metric in setting["metrics"])


def margin_in(limit: Mapping[str, Any]) -> str:
    """What one unit of a front's axis is."""
    if not limit["margin"]:
        return ""
    return " ".join(filter(None, (f" ({limit['margin']:.4g}", limit["unit"] or ""))) + ")"


def _lists(lists: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The values that were tried, where null is what the reference has."""
    return {
        knob: ["as the reference" if value is None else value for value in values or [None]]
        for knob, values in lists.items()
    }


def _check(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the confirmation as the forest plot reads gates."""
    return {**row, "gate": "", "estimate": row["harm"], "counts": True}


def harm_in(setting: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """What a setting says about a metric, its harm's interval where filters look for one."""
    row = setting["metrics"].get(metric) or {}
    harm, low, high = (row.get(key) for key in ("harm", "harm_low", "harm_high"))
    if low == high:  # the reference against itself
        low = high = None
    digits = wording.gate_digits({"low": low, "high": high, "margin": row.get("margin")})
    return {
        "harm": harm,
        "low": low,
        "high": high,
        "gain": None if harm is None else -harm,
        "gains": {"low": None if high is None else -high, "high": None if low is None else -low},
        "digits": 0 if harm == 0 and low is None else digits,
        "state": row.get("state"),
        "broken": row.get("state") not in (None, *KEPT),
        "why": row.get("why") or "",
    }
