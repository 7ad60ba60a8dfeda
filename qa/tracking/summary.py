"""A finished run as flat parameters, numbers and texts: what a tracker shows of it.

Everything comes from record.json, verdict.json, signoff.json, decoded.parquet, usage.json
(docs/formats.md) and from the newest `repro.json` beside the run that fits it. Numbers are
aggregates over pictures with the ends of their intervals, never one per sample:

    psnr/mean …   gate/psnr/harm …   drift/psnr/spent …        the verdict (qa.tracking.verdicts)
    decode/pictures  decode/failures  decode/seconds_median …  cost of the decodes
    panel/geneval/overall …                              summaries of panels (qa.tracking.panels)
    system/cpu_utilization_percentage …                        a series (qa.usage)

A number that does not exist is a text (`qa.missing.psnr/mean` = why) and never NaN or infinity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from qa import cost, shown
from qa.errors import QaError
from qa.files import digest
from qa.signature import Signature, signed
from qa.store import RunFolder
from qa.tracking import panels, verdicts
from qa.tracking.values import MAX_KEY, MAX_PARAM, Numbers, clean, text

REQUIRED = ("suite", "decoder", "plan", "suite_digest")


@dataclass(frozen=True)
class Summary:
    """One run, and the suite it belongs to, as a tracker stores them."""

    name: str
    """Decoder and the knobs that were set, e.g. `vae_mini sigma=0.1`."""
    suite: str
    suite_digest: str
    pictures: int
    key: str
    """Identity of the run: digest of its folder's name, of when it was started, and of all
    parameters. Its plan is one of them, so other inputs, another machine class or another folder
    make another run, while a new verdict, a further look, or the same folder in another place
    updates this one."""
    suite_key: str
    started: int
    finished: int
    """Milliseconds since 1970, UTC; from the record, so that a later export has the same."""
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    verdict: Mapping[str, Any]
    decoder: Mapping[str, str]
    """What is known of the decoder under test; empty where it has no digest."""
    repro: Path | None
    """The file of the reproducibility levels that were tested for these inputs and machine."""
    level: str
    """The highest of them that was reached, or ""."""
    signature: Signature | None
    """The newest one, whether or not it holds."""


def summarise(folder: RunFolder) -> Summary:
    """The summary of a finished run; QaError if its record or verdict is not complete."""
    record, verdict = _finished(folder)
    params = _params(record)
    numbers = Numbers()
    verdicts.add_numbers(verdict, numbers)
    _cost(folder, numbers)
    panels.add_numbers(folder, numbers)
    repro, levels = reproducibility(folder.path.resolve().parent, record)
    suite, suite_digest = str(record["suite"]), str(record["suite_digest"])
    signature = signed(folder)
    tags = {
        **_tags(record), **verdicts.tags(verdict), **_decision(signature), **levels,
        **numbers.missing,
    }  # fmt: skip
    return Summary(
        name=_name(record),
        suite=suite,
        suite_digest=suite_digest,
        pictures=int(params["pictures"]) if params["pictures"].isdecimal() else 0,
        key=digest({"run": folder.name, "started": record.get("started"), "params": params})[:32],
        suite_key=digest({"suite": suite, "digest": suite_digest})[:32],
        started=_milliseconds(record.get("started") or record["finished"]),
        finished=_milliseconds(record["finished"]),
        params=params,
        metrics=numbers.found,
        tags={"qa.run": folder.name, **tags},
        verdict=verdict,
        decoder=_decoder(record),
        repro=repro,
        level=levels.get("qa.repro", ""),
        signature=signature,
    )


def reproducibility(runs: Path, record: Mapping[str, Any]) -> tuple[Path | None, dict[str, str]]:
    """The newest repro.json under `runs` that speaks for this run, and its tags."""
    found = shown.fitting(shown.files(runs), record)
    if found is None:
        return None, {}
    file, content = found
    tested = {
        f"qa.repro.{clean(level)}": text(row["verdict"])
        for level, row in content["levels"].items()
        if row["verdict"] != "SKIPPED"
    }
    return file, {"qa.repro": text(content["reached"]), **tested}


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


def _params(record: Mapping[str, Any]) -> dict[str, str]:
    """What a run was asked for.

    MLflow never lets a parameter change, and looks grow: the number of pictures is that of all.
    """
    keys = (
        "suite", "decoder", "use_case", "seeds", "pictures", "limited", "space", "plan",
        "suite_digest", "decoder_digest", "latents_digest",
    )  # fmt: skip
    values = {key: record.get(key) for key in keys}
    values["pictures"] = (record.get("look") or {}).get("planned") or record.get("pictures")
    values |= {f"knobs.{name}": value for name, value in (record.get("knobs") or {}).items()}
    values["environment"] = (record.get("environment") or {}).get("class")
    return {clean(key): text(value, MAX_PARAM) for key, value in values.items()}


def _name(record: Mapping[str, Any]) -> str:
    knobs = sorted((record.get("knobs") or {}).items())
    return " ".join([str(record["decoder"]), *(f"{k}={v:g}" for k, v in knobs if v)])[:MAX_KEY]


def _decoder(record: Mapping[str, Any]) -> dict[str, str]:
    if not record.get("decoder_digest"):
        return {}
    keys = {"decoder": "decoder", "digest": "decoder_digest", "licence": "licence",
            "space": "space"}  # fmt: skip
    return {name: text(record.get(key), MAX_PARAM) for name, key in keys.items()}


def _tags(record: Mapping[str, Any]) -> dict[str, str]:
    environment = record.get("environment") or {}
    git = environment.get("git") or {}
    values: dict[str, Any] = {
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
    return {clean(key): text(value) for key, value in values.items()}


def _decision(signature: Signature | None) -> dict[str, str]:
    """What was signed. A signature for something else decides nothing here, and is told as that."""
    if signature is None:
        return {}
    if not signature.holds:
        said = f"{signature.decision} by {signature.by}, {signature.date}: {signature.broken}"
        return {"qa.decision.broken": text(said)}
    parts = {name: getattr(signature, name) for name in ("by", "why", "date", "verdict")}
    told = {f"qa.decision.{name}": text(value) for name, value in parts.items() if value}
    return {"qa.decision": signature.decision, **told}


def _cost(folder: RunFolder, numbers: Numbers) -> None:
    """Counts and cost of the decodes (qa.cost)."""
    table = folder.decoded(("clipped", *cost.COLUMNS))
    made = table[table["file"].notna()]
    numbers.add("decode/pictures", len(made))
    numbers.add("decode/failures", len(table) - len(made))
    numbers.add("decode/clipped", int(made["clipped"].sum()))
    for row in cost.rows(table):
        numbers.add(f"decode/{row['metric']}", row["value"], row["why"])


def _milliseconds(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000)
