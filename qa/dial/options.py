"""The configuration of `qa dial`: that of a run, and what to try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from qa.config import Config, Root, RunSchema, build, compose, key_of
from qa.errors import UsageError
from qa.scoring import built
from qa.types import Sample

SEARCHES = ("grid", "optuna")


@dataclass
class DialSchema(RunSchema):
    """Every key of conf/dial.yaml: those of a run, and these."""

    settings: dict[str, Any] = field(default_factory=dict)
    search: str = "grid"
    trials: int = 40
    measure: list[str] = field(default_factory=list)
    page: str | None = None


ROOT = Root("dial", DialSchema, "qa dial")
OWN = {entry.name for entry in fields(DialSchema)} - {entry.name for entry in fields(RunSchema)}
"""Keys that a run does not have."""


def composed(overrides: Sequence[str], config_dir: str | Path | None = None) -> Config:
    """The configuration of these words, with the metrics of `measure` where none were named.

    They come beside what the suite chooses, those of them that can score its samples.
    """
    if "metric" in map(key_of, overrides):
        return compose(overrides, config_dir, ROOT)
    others = [word for word in overrides if not key_of(word).startswith("metric.")]
    plain = compose(others, config_dir, ROOT)
    names = dict.fromkeys([*plain.tree.metric, *plain.tree.measure])
    wide = compose([*others, _chosen(names)], config_dir, ROOT)
    first, nodes = plain.group("metric"), wide.group("metric")
    if any(nodes.get(name) != node for name, node in first.items()):
        raise UsageError(
            "The suite chooses metrics that `measure` cannot be put beside.",
            "Their files have other names than they.",
            "name all of them: metric=[…]",
        )
    samples: Sequence[Sample] = build(wide.group("suite"), "suite").samples()
    unfit = {name for name in set(nodes) - set(first) if not _scores(name, nodes, samples)}
    return compose([*overrides, _chosen(set(names) - unfit)], config_dir, ROOT)


def _chosen(metrics: Sequence[str] | Mapping[str, Any] | set[str]) -> str:
    return f"metric=[{','.join(sorted(metrics))}]"


def _scores(name: str, nodes: Mapping[str, Any], samples: Sequence[Sample]) -> bool:
    """Whether a metric or panel can score these samples at all."""
    metrics, panels, unavailable = built({name: nodes[name]})
    try:
        for panel in panels.values():
            panel.check(samples)
    except UsageError:
        return False
    pictured = any(sample.image is not None for sample in samples)
    paired = any(metric.facts.paired for metric in metrics.values())
    return not unavailable and (pictured or not paired)


def check(config: Config) -> None:
    """UsageError for keys that cannot work here."""
    tree = config.tree
    for name in ("half", "dial", "out", "looks", "extend"):
        if tree[name] is not None:
            raise UsageError(
                f"{name}={tree[name]} has no place here.",
                "`qa dial` makes runs of its own: many settings on one half of the suite, two on "
                "the other.",
                f"leave {name}= away",
            )
    if tree.search not in SEARCHES or tree.trials < 1:
        raise UsageError(
            f"search={tree.search} trials={tree.trials} cannot work.",
            f"A search is {' or '.join(SEARCHES)}, trials are 1 or more.",
            "search=optuna trials=40",
        )


def run_words(config: Config) -> list[str]:
    """The words of the `qa run` that all settings have in common."""
    tree, kept = config.tree, [w for w in config.overrides if _of_run(w)]
    own = {
        "tracking": config.choices["tracking"], "report": tree.report, "baseline": tree.baseline
    }  # fmt: skip
    absent = set(own) - set(map(key_of, kept))
    return [*kept, *(f"{name}={_word(own[name])}" for name in own if name in absent)]


def _of_run(word: str) -> bool:
    return key_of(word).split(".")[0] not in OWN


def _word(value: object) -> str:
    return "null" if value is None else str(value)
