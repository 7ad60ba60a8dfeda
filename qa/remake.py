"""A run's worker, built once more in another process, and refused where it would differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from qa import assets, numerics
from qa.config import Config
from qa.errors import UsageError
from qa.features.cache import folder_for
from qa.metrics.facts import fingerprint
from qa.panels import facts_of
from qa.roles import Decoder, LatentSource
from qa.scoring import Scorer, built
from qa.store import RunFolder
from qa.system import encoder_of, inputs_of, knobs_of, system, typed
from qa.types import MetricFacts
from qa.worker import Worker


@dataclass(frozen=True)
class Remake:
    """What another process needs to build this job's worker again: a `qa.worker.Recipe`."""

    config: Config
    numerics: Mapping[str, Any]
    """Resolved: what was in force where the units were planned."""
    marks: Mapping[str, Any]
    """What has to be equal there, or its pictures and values are others than the plan says."""

    @contextmanager
    def worker(self, folder: RunFolder) -> Iterator[Worker]:
        """A worker that stores into `folder`. UsageError where this machine would differ."""
        tree = self.config.tree
        # As many threads as the driver's decoder has, however many this process would take.
        settings = replace(typed(tree.numerics), threads=self.numerics["threads"])
        with assets.without_network(tree.offline), numerics.applied(settings):
            resolved = numerics.describe(settings, numerics.pick_device(tree.device))
            metrics, panels, unavailable = built(self.config.group("metric"))
            latents, decoder = system(self.config)
            facts = facts_of(metrics, panels)
            marks = marks_of(self.config, decoder, latents, resolved, facts, unavailable)
            _check_equal(self.marks, marks)
            scorer = Scorer(
                folder, metrics, unavailable, panels=panels, latents=latents,
                encoder=encoder_of(self.config, latents, metrics), device=tree.device,
                cache=folder_for(resolved),
            )  # fmt: skip
            yield Worker(folder, decoder, latents, scorer, knobs_of(self.config), tree.device)


def marks_of(
    config: Config,
    decoder: Decoder,
    latents: LatentSource | None,
    resolved: Mapping[str, Any],
    facts: Mapping[str, MetricFacts],
    unavailable: Mapping[str, str],
) -> dict[str, Any]:
    """What pictures and values of a run depend on, by name; flat, so that differences are short."""
    shaping = inputs_of(config, decoder, latents, resolved)
    parts = {name: value for name, value in shaping.items() if not isinstance(value, Mapping)}
    nested = {
        f"{name} {key}": value
        for name, group in shaping.items()
        if isinstance(group, Mapping)
        for key, value in group.items()
    }
    known = {f"metric {name}": fingerprint(told) for name, told in facts.items()}
    return parts | nested | known | {f"metric {name}": "unavailable" for name in unavailable}


def _check_equal(planned: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """UsageError that names the first differences between two machines."""
    names = sorted(planned.keys() | here.keys())
    other = [name for name in names if planned.get(name) != here.get(name)]
    if other:
        told = [f"{n}: {_short(planned.get(n))} and {_short(here.get(n))}" for n in other[:3]]
        raise UsageError(
            "A worker is not like the machine that planned the run.",
            f"They differ in {'; '.join(told)}"
            f"{f' and {len(other) - 3} more' if len(other) > 3 else ''}.",
            "install the same versions and files on all of them, and start the run on a machine "
            "like the workers (docs/scale.md)",
        )


def _short(value: Any) -> str:
    return "nothing" if value is None else str(value)[:40]
