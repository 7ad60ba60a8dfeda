"""What a verdict is about: the system, its licences, and what changed since the baseline.

Changes are read from the records and configurations of both runs: digests, knobs, versions, every
setting that differs, and metrics whose protocol is another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from qa.errors import QaError
from qa.metrics.licences import commercial
from qa.store import RunFolder
from qa.types import MetricFacts
from reports.wording import MISSING

MAX_CHANGES = 60
SHORT = 12
"""Digits of a digest."""
BESIDE = frozenset("name out runs tracking report baseline baselines dials extend executor".split())
"""Settings that say where results go or how the work is spread, not what is measured."""
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Licence:
    """The licence of a part, as its record words it."""

    of: str
    text: str
    restricted: bool
    """Whether it is not known to permit commercial use (`qa.metrics.licences`)."""


@dataclass(frozen=True)
class Change:
    """Something that is not as it was in the baseline."""

    what: str
    before: str
    now: str


@dataclass(frozen=True)
class Scope:
    """The candidate, as far as a signature covers it."""

    facts: Pairs
    licences: tuple[Licence, ...]
    changes: tuple[Change, ...] | None
    """None where there is no baseline, or where its run is not at hand."""
    more: int = 0
    """Changes beyond those that are listed."""


NOWHERE = Scope((), (), None)
"""Of a verdict without a run folder."""


def scope(run: RunFolder, baseline: RunFolder | None) -> Scope:
    """Of a run, against the run folder of its baseline if that is at hand."""
    record = run.record()
    found = None if baseline is None else list(_changes(run, record, baseline, baseline.record()))
    changes = None if found is None else tuple(islice(found, MAX_CHANGES))
    more = 0 if found is None else max(0, len(found) - MAX_CHANGES)
    return Scope(tuple(_facts(run, record)), tuple(_licences(record)), changes, more)


def _facts(run: RunFolder, record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "decoder", str(record.get("decoder") or record.get("name") or "")
    for what in ("decoder", "latents", "encoder"):
        if record.get(f"{what}_digest"):
            said = "weights and settings" if what == "decoder" else what
            yield said, str(record[f"{what}_digest"])[:SHORT]
    if record.get("space"):
        yield "latent space", str(record["space"])
    samples = run.each_sample() if run.samples_file.is_file() else ()
    sizes = sorted({(row["width"], row["height"]) for row in samples if row.get("height")})
    if sizes:
        least, most = (f"{width}×{height}" for width, height in (sizes[0], sizes[-1]))
        yield "pictures", least if least == most else f"{least} to {most}, {len(sizes)} sizes"
    knobs = {
        name: value for name, value in (record.get("knobs") or {}).items() if value is not None
    }
    if knobs:
        yield "dial", ", ".join(f"{name}={value}" for name, value in knobs.items())
    setting = record.get("dial")
    if setting:
        on = f" on {setting['suite']}" if setting.get("suite") else ""
        yield "dialled by", f"{setting['file']}, for {setting['use_case']}{on}"
    environment = record.get("environment") or {}
    if environment.get("class"):
        device = environment.get("gpu") or environment.get("cpu") or ""
        model = device.get("model") or device.get("name") if isinstance(device, Mapping) else device
        yield "environment", f"{str(environment['class'])[:SHORT]} {model or ''}".strip()


def _licences(record: Mapping[str, Any]) -> Iterator[Licence]:
    known = [("weights of the decoder", str(record.get("licence") or "not stated"))]
    if record.get("latents_licence"):
        known.append(("latents", str(record["latents_licence"])))
    facts = sorted((record.get("facts") or {}).items())
    known += [(f"metric {name}", str(fact.get("licence") or "not stated")) for name, fact in facts]
    for of, text in known:
        yield Licence(of, text, not commercial(MetricFacts(of, "lower", "", "", text, {})))


def _changes(
    run: RunFolder, ours: Mapping[str, Any], baseline: RunFolder, theirs: Mapping[str, Any]
) -> Iterator[Change]:
    """Digests, knobs and versions first, then settings, then protocols of metrics."""
    yield from _differing("", _made_of(theirs), _made_of(ours))
    yield from _differing("", _settings(baseline), _settings(run))
    before, now = (_protocols(record) for record in (theirs, ours))
    yield from _differing("protocol of ", before, now)


def _made_of(record: Mapping[str, Any]) -> dict[str, str]:
    environment = record.get("environment") or {}
    found = {
        "decoder": record.get("decoder"),
        "environment class": environment.get("class"),
        "weights and settings of the decoder": _short(record.get("decoder_digest")),
        "latents": _short(record.get("latents_digest")),
        "samples": _short(record.get("suite_digest")),
        "git commit": _short((environment.get("git") or {}).get("commit")),
        "code that makes pictures": _short((record.get("inputs") or {}).get("code")),
        "licence of the weights": record.get("licence"),
    }
    versions = environment.get("versions") or {}
    found |= {f"version of {name}": version for name, version in versions.items()}
    found |= {f"numerics.{name}": value for name, value in (record.get("numerics") or {}).items()}
    return {name: str(value) for name, value in found.items() if value is not None}


def _settings(run: RunFolder) -> dict[str, str]:
    """The resolved configuration as dotted names; empty where a run has none that can be read."""
    try:
        tree = run.config()
    except (QaError, OSError):
        return {}
    asked = {key: value for key, value in tree.items() if key not in BESIDE}
    return dict(_leaves(asked, ""))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif path.split(".")[0] != "numerics":  # the record has them as they were resolved
        yield path, "null" if value is None else str(value)


def _protocols(record: Mapping[str, Any]) -> dict[str, str]:
    facts = (record.get("facts") or {}).items()
    return {name: _short(fact.get("fingerprint")) or "" for name, fact in facts}


def _differing(prefix: str, before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Change]:
    for name in dict.fromkeys([*now, *before]):
        if before.get(name) != now.get(name):
            yield Change(prefix + name, before.get(name, MISSING), now.get(name, MISSING))


def _short(digest: Any) -> str | None:
    return None if digest is None else str(digest)[:SHORT]
