"""A finished run as flat parameters, numbers and texts: what a tracker shows of it.

Everything comes from record.json, verdict.json and decoded.parquet (docs/formats.md). Numbers are
aggregates over pictures with the ends of their intervals, never one per sample:

    psnr/mean  psnr/low  psnr/high  psnr/count  psnr/missing     every metric of the verdict
    gate/psnr/harm  /low  /high  /margin  /count  /missing       every gate (harm: positive = worse)
    decode/pictures  decode/failures  decode/seconds_median  ... cost of the decodes

A number that does not exist is a text (`qa.missing.psnr/mean` = why) and never NaN or infinity.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from qa import cost
from qa.errors import QaError
from qa.files import digest
from qa.store import RunFolder

MISSING = "qa.missing."
REQUIRED = ("suite", "decoder", "plan", "suite_digest")
MAX_KEY = 240
MAX_PARAM = 500
MAX_TEXT = 5000
"""Below MLflow's limits (keys 250, parameters 6000, tags 8000 characters), older servers' too."""


@dataclass(frozen=True)
class Summary:
    """One run, and the suite it belongs to, as a tracker stores them."""

    name: str
    """Decoder and the knobs that were set, e.g. `vae_mini sigma=0.1`."""
    suite: str
    suite_digest: str
    pictures: int
    key: str
    """Identity of the run: digest of its folder's name and of all parameters. Its plan is one of
    them, so other inputs, another machine class or another folder make another run, while a new
    verdict on the same pictures updates this one."""
    suite_key: str
    started: int
    finished: int
    """Milliseconds since 1970, UTC; from the record, so that a later export has the same."""
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


@dataclass
class Numbers:
    """Collects numbers; what is not a finite number becomes a reason."""

    found: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def add(self, key: str, value: Any, why: str = "") -> None:
        """Keep `value` under `key`, or the reason why there is none."""
        key = clean(key)
        known = isinstance(value, (int, float)) and math.isfinite(value)
        if known:
            self.found[key] = float(value)
        else:
            self.missing[MISSING + key] = text(why or "no value")


def summarise(folder: RunFolder) -> Summary:
    """The summary of a finished run; QaError if its record or verdict is not complete."""
    record, verdict = _finished(folder)
    params = _params(record)
    numbers = Numbers()
    _aggregates(verdict.get("metrics", []), numbers)
    _gates(verdict.get("gates", []), numbers)
    _cost(folder, numbers)
    suite, suite_digest = str(record["suite"]), str(record["suite_digest"])
    tags = {"qa.run": folder.name, **_tags(record, verdict), **numbers.missing}
    return Summary(
        name=_name(record),
        suite=suite,
        suite_digest=suite_digest,
        pictures=int(record.get("pictures") or 0),
        key=digest({"run": folder.name, "params": params})[:32],
        suite_key=digest({"suite": suite, "digest": suite_digest})[:32],
        started=_milliseconds(record.get("started") or record["finished"]),
        finished=_milliseconds(record["finished"]),
        params=params,
        metrics=numbers.found,
        tags=tags,
    )


def _finished(folder: RunFolder) -> tuple[dict[str, Any], dict[str, Any]]:
    """Record and verdict of a finished run."""
    record = folder.record()
    if not folder.verdict_file.is_file() or not record.get("finished"):
        raise QaError(
            f"The run {folder.path} is not finished.",
            "It has no verdict.json." if record.get("finished") else "Its record has no end.",
            f"`qa run` with the same arguments continues it; `qa judge {folder.path}` judges it",
        )
    lacking = [key for key in REQUIRED if not record.get(key)]
    if lacking:
        raise QaError(
            f"{folder.record_file} does not say {', '.join(lacking)}.",
            "It was not written by `qa run`, or by another version of it.",
            "run the same `qa run` command again",
        )
    return record, folder.verdict()


def clean(key: str) -> str:
    """A key that MLflow accepts; where that needs a change, a digest keeps keys distinct."""
    kept = re.sub(r"[^\w\-. :/]", "_", key, flags=re.ASCII).strip("/ .")
    kept = re.sub(r"/(?=[/.])", "_", kept)
    if kept == key and len(key) <= MAX_KEY:
        return key
    return f"{kept[: MAX_KEY - 9]}-{digest(key)[:8]}"


def text(value: Any, limit: int = MAX_TEXT) -> str:
    """A value as a short text; none and the empty text are `none`, truth is `true` or `false`."""
    if isinstance(value, bool):
        return str(value).lower()
    shown = "none" if value is None or value == "" else str(value)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _params(record: Mapping[str, Any]) -> dict[str, str]:
    keys = (
        "suite", "decoder", "use_case", "seeds", "pictures", "limited", "space", "plan",
        "suite_digest", "decoder_digest", "latents_digest",
    )  # fmt: skip
    values = {key: record.get(key) for key in keys}
    values |= {f"knobs.{name}": value for name, value in (record.get("knobs") or {}).items()}
    values["environment"] = (record.get("environment") or {}).get("class")
    return {clean(key): text(value, MAX_PARAM) for key, value in values.items()}


def _name(record: Mapping[str, Any]) -> str:
    knobs = sorted((record.get("knobs") or {}).items())
    return " ".join([str(record["decoder"]), *(f"{k}={v:g}" for k, v in knobs if v)])[:MAX_KEY]


def _tags(record: Mapping[str, Any], verdict: Mapping[str, Any]) -> dict[str, str]:
    environment = record.get("environment") or {}
    git = environment.get("git") or {}
    baseline = verdict.get("baseline") or {}
    values: dict[str, Any] = {
        "mlflow.note.content": verdict.get("summary"),
        "qa.verdict": verdict.get("state"),
        "qa.exit_code": verdict.get("exit_code"),
        "qa.summary": verdict.get("summary"),
        "qa.problems": "; ".join(verdict.get("problems") or []),
        "qa.use_case": verdict.get("use_case"),
        "qa.baseline": baseline.get("name"),
        "qa.baseline.plan": baseline.get("plan"),
        "qa.limited": bool(record.get("limited")),
        "qa.licence": record.get("licence"),
        "qa.weights": record.get("decoder_digest"),
        "qa.environment": environment.get("class"),
        "qa.gpu": (environment.get("gpu") or {}).get("name"),
        "qa.git.commit": git.get("commit"),
        "qa.git.dirty": git.get("dirty"),
        "qa.finished": record["finished"],
    }
    for name, facts in (record.get("facts") or {}).items():
        values[f"qa.fingerprint.{name}"] = facts.get("fingerprint")
    for name, why in (record.get("unavailable") or {}).items():
        values[f"qa.unavailable.{name}"] = why
    for name, gate in _named(verdict.get("gates") or []):
        values[f"qa.gate.{name}"] = gate.get("state")
    return {clean(key): text(value) for key, value in values.items()}


def _aggregates(rows: Iterable[Mapping[str, Any]], numbers: Numbers) -> None:
    for row in rows:
        for part in ("mean", "low", "high", "count", "missing"):
            numbers.add(f"{row['metric']}/{part}", row.get(part), _why(row, part))


def _gates(rows: Iterable[Mapping[str, Any]], numbers: Numbers) -> None:
    for name, row in _named(rows):
        numbers.add(f"gate/{name}/harm", row.get("estimate"), _why(row, "estimate"))
        for part in ("low", "high", "margin", "count", "missing"):
            numbers.add(f"gate/{name}/{part}", row.get(part), _why(row, part))


def _why(row: Mapping[str, Any], part: str) -> str:
    if part in ("low", "high") and row.get("count") == 1:
        return "one picture gives no interval"
    return str(row.get("why") or "")


def _named(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """Gates with a name each: the metric, after the kind of gate where it is not `regression`."""
    named: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        kind = row.get("gate", "regression")
        name = str(row["metric"]) if kind == "regression" else f"{kind}/{row['metric']}"
        again = 2
        while name in named:
            name, again = f"{name.removesuffix(f'-{again - 1}')}-{again}", again + 1
        named[name] = row
    return list(named.items())


def _cost(folder: RunFolder, numbers: Numbers) -> None:
    """Counts and cost of the decodes (qa.cost)."""
    table = folder.decoded()
    made = table[table["file"].notna()]
    numbers.add("decode/pictures", len(made))
    numbers.add("decode/failures", len(table) - len(made))
    numbers.add("decode/clipped", int(made["clipped"].sum()))
    for row in cost.rows(table):
        numbers.add(f"decode/{row['metric']}", row["value"], row["why"])


def _milliseconds(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000)
