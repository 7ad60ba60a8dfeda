"""What is known about a metric without building it: the digest of its facts, and its direction.

Direction lives in one place, the class attribute `better`. `direction` follows the same two hops a
reader would: the packaged YAML names the class, the class says which way is better. A panel says it
for each of its metrics, as a mapping.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from qa.files import digest
from qa.types import MetricFacts

Direction = Literal["higher", "lower"]


def fingerprint(facts: MetricFacts) -> str:
    """16 hexadecimal digits: the start of SHA-256 over canonical JSON of every fact.

    Two values may be compared only if their fingerprints are equal. Raises ValueError for a
    protocol value that is NaN or infinite.
    """
    return digest(asdict(facts))[:16]


def direction(metric: str) -> Direction | None:
    """Which values of a metric are better, or None where that is not known.

    A family name without a file of its own (`lpips` for `lpips_alex`, `lpips_vgg`) has the
    direction of its members if they agree.
    """
    targets = _targets()
    names = [metric] if metric in targets else [n for n in targets if n.startswith(f"{metric}_")]
    if names:
        found = {_said(_better(targets[name]), metric) for name in names}
    else:  # a panel of a suite may give metrics of other names than its own
        said = [_better(target) for target in targets.values() if target.startswith("suites.")]
        found = {_said(better, metric) for better in said if isinstance(better, Mapping)} - {None}
    return found.pop() if len(found) == 1 else None


def share_of(metric: str) -> str | None:
    """The metric that counts what a packaged panel's metric is a share of, or None for others."""
    targets = (target for target in _targets().values() if target.startswith("suites."))
    found = (_attribute(target, "shares", {}).get(metric) for target in targets)
    return next(filter(None, found), None)


@cache  # the package's own files do not change while it runs
def _targets() -> dict[str, str]:
    """Metric name → dotted name of its class, from every packaged `metric/<name>.yaml`."""
    targets: dict[str, str] = {}
    for file in (files("qa.conf") / "metric").iterdir():
        if file.name.endswith(".yaml"):
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
            targets |= {name: str(node["_target_"]) for name, node in content.items()}
    return targets


def _better(target: str) -> Direction | Mapping[str, Direction]:
    better: Direction | Mapping[str, Direction] = _attribute(target, "better")
    return better


def _attribute(target: str, *wanted: Any) -> Any:
    """`getattr` of the class of a dotted name: what is wanted, and what it is otherwise."""
    module, _, name = target.rpartition(".")
    return getattr(getattr(importlib.import_module(module), name), *wanted)


def _said(better: Direction | Mapping[str, Direction], metric: str) -> Direction | None:
    return better.get(metric) if isinstance(better, Mapping) else better
