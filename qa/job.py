"""Everything that can be found out before the first decode, and what it would cost.

Configuration, weights, latent spaces and the baseline are checked here; what cannot work is said
before anything starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from qa import assets, numerics
from qa import baseline as baselines
from qa.baseline import Approved
from qa.checks import (
    check_knobs,
    check_licences,
    check_metrics,
    check_request,
    check_samples,
)
from qa.config import Config, build, complete, function
from qa.environment import class_of, decides
from qa.errors import QaError, UsageError
from qa.executors import Executor
from qa.features.cache import folder_for
from qa.gates.use_case import UseCase
from qa.gates.use_case import from_config as use_case
from qa.panels import AnyMetric, facts_of
from qa.plan import Plan, look_at, make_plan
from qa.remake import Remake, marks_of
from qa.results import load
from qa.roles import Decoder, Gate, LatentSource, Panel, Tracker
from qa.scoring import Scorer, built
from qa.seeds import check_pins
from qa.setting import Setting, applied, chosen
from qa.store import RunFolder, file_name
from qa.system import encoder_of, inputs_of, knobs_of, system, typed
from qa.types import MetricFacts, Sample
from qa.worker import Worker

Report = Callable[..., Path]
"""Writes a report of a run: (run, the baseline's run folder or None, history=its baselines)."""
GATE = ("name", "compares", "__call__")


@dataclass(frozen=True)
class Job:
    """A run that is ready to start: everything built, checked and planned."""

    config: Config
    suite: str
    plan: Plan
    decoder: Decoder
    latents: LatentSource | None
    encoder: LatentSource | None
    """What latent metrics encode pictures with."""
    metrics: Mapping[str, AnyMetric]
    panels: Mapping[str, Panel]
    unavailable: Mapping[str, str]
    executor: Executor
    folder: RunFolder
    numerics: numerics.Numerics
    resolved_numerics: dict[str, Any]
    baseline: Approved | None
    use_case: UseCase
    gates: tuple[Gate, ...]
    report: Report | None
    tracker: Tracker
    setting: Setting | None = None
    """The setting of the dial that the run was told to take."""

    @property
    def facts(self) -> dict[str, MetricFacts]:
        """Facts of every metric that is measured, those of panels too."""
        return facts_of(self.metrics, self.panels)

    @cached_property
    def worker(self) -> Worker:
        """The stages of this run's units."""
        device = self.config.tree.device
        scorer = Scorer(
            self.folder, self.metrics, self.unavailable, panels=self.panels,
            latents=self.latents, encoder=self.encoder, device=device,
            cache=folder_for(self.resolved_numerics),
        )  # fmt: skip
        knobs = knobs_of(self.config)
        recipe = Remake(self.config, self.resolved_numerics, self._marks())
        return Worker(self.folder, self.decoder, self.latents, scorer, knobs, device, recipe)

    def _marks(self) -> dict[str, Any]:
        return marks_of(
            self.config, self.decoder, self.latents, self.resolved_numerics, self.facts,
            self.unavailable,
        )  # fmt: skip


def prepare(config: Config) -> Job:
    """Build every part, check that they fit, and plan the units. Decodes nothing."""
    with assets.without_network(config.tree.offline):
        return _prepare(config)


def _prepare(config: Config) -> Job:
    setting = chosen(config)
    config = config if setting is None else applied(config, setting)
    tree = config.tree
    check_request(tree)
    settings: numerics.Numerics = typed(tree.numerics)
    knobs = knobs_of(config)
    tree.device = numerics.pick_device(tree.device)
    use = use_case(config.group("use_case"), config.choices["use_case"])
    gates = _gates(config)
    report = function(tree.report) if tree.report else None
    tracker = build(config.group("tracking"), "tracking")
    suite = build(config.group("suite"), "suite")
    samples: Sequence[Sample] = suite.samples()
    check_pins()
    look = look_at(tree.looks, tree.extend, len(samples), tree.policy)
    with numerics.applied(settings):
        resolved = numerics.describe(settings, tree.device)
        baseline = _baseline(tree, suite_name(suite.name, tree.half), class_of(decides(resolved)))
        metrics, panels, unavailable = built(config.group("metric"))
        facts = facts_of(metrics, panels)
        judged = {*facts, *unavailable, *(baseline.results.metrics if baseline else ())}
        use.measured(judged).checked()
        latents, decoder = system(config)
        encoder = encoder_of(config, latents, metrics)
    if setting is not None:
        setting.check(config.choices["decoder"], decoder.digest)
    _check_fit(config, samples, facts, panels, decoder, latents, encoder)
    plan = make_plan(
        samples, seeds=tree.seeds, knobs=knobs, limit=tree.limit, half=tree.half, look=look,
        inputs=inputs_of(config, decoder, latents, resolved),
    )  # fmt: skip
    name = suite_name(suite.name, tree.half)
    return Job(
        config, name, plan, decoder, latents, encoder, metrics, panels, unavailable,
        build(config.group("executor"), "executor"), folder_of(name, config, plan), settings,
        resolved, baseline, use, gates, report, tracker, setting,
    )  # fmt: skip


def _check_fit(
    config: Config,
    samples: Sequence[Sample],
    facts: Mapping[str, MetricFacts],
    panels: Mapping[str, Panel],
    decoder: Decoder,
    latents: LatentSource | None,
    encoder: LatentSource | None,
) -> None:
    """UsageError for parts that do not fit each other, the samples or the licence profile."""
    check_knobs(knobs_of(config), decoder, latents)
    check_samples(samples, latents, decoder)
    check_metrics(facts, samples, decoder, encoder)
    check_licences(facts, config.tree.license_profile)
    for panel in panels.values():
        panel.check(samples)


def cost(job: Job) -> dict[str, Any]:
    """What the plan amounts to; time only where an earlier run measured this decoder."""
    seconds, measured = _timed_before(job)
    waiting = [unit for unit in job.plan.units if not job.worker.complete(unit)]
    left = len(waiting) * job.plan.seeds
    return {
        "folder": str(job.folder.path),
        "plan": job.plan.digest,
        "pictures": len(job.plan.units),
        "seeds": job.plan.seeds,
        "decodes": job.plan.decodes,
        "left": left,
        "measured": measured,
        "seconds": left * seconds / measured if measured else None,
        "metrics": sorted(job.facts),
        "unavailable": dict(job.unavailable),
    }


def _timed_before(job: Job) -> tuple[float, int]:
    """Decode seconds and pictures of finished runs of the same decoder beside this one."""
    seconds, measured = 0.0, 0
    for file in sorted(Path(job.config.tree.runs).glob("*/record.json")):
        folder = RunFolder(file.parent)
        try:
            earlier = folder.record()
            if (earlier["decoder_digest"], earlier["numerics"]) == (
                job.decoder.digest,
                job.resolved_numerics,
            ):
                table = folder.decoded(["seconds"])
                seconds, measured = seconds + float(table["seconds"].sum()), measured + len(table)
        except (QaError, KeyError):
            continue  # a neighbour's unfinished or damaged run; this is only an estimate
    return seconds, measured


def suite_name(suite: str, half: str | None) -> str:
    """Name of a suite, or of a half of it, which is another suite and has other baselines."""
    return suite if half is None else f"{suite}-{half}"


def folder_of(suite: str, config: Config, plan: Plan) -> RunFolder:
    """Where a run goes."""
    tree = config.tree
    return RunFolder(Path(tree.out or Path(tree.runs) / run_name(suite, config, plan)))


def run_name(suite: str, config: Config, plan: Plan) -> str:
    """Name of a run: equal plans have equal names, so a stopped run is found again."""
    return file_name(f"{suite}-{config.choices['decoder']}-{plan.digest[:8]}")


def _gates(config: Config) -> tuple[Gate, ...]:
    """The built gates, in the order in which they were chosen."""
    nodes = config.group("gate")
    if not nodes:
        raise UsageError("No gate was asked for.", "", "gate=[regression], or leave gate= away")
    gates = tuple(complete(build(node, f"gate {name}"), GATE) for name, node in nodes.items())
    names = [gate.name for gate in gates]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            f"Two gates are called {twice[0]}.",
            "A verdict's rows, and waivers, name a gate by it.",
            "leave one of them out of gate=[…], or give its class another name",
        )
    return gates


def _baseline(tree: Any, suite: str, environment: str) -> Approved | None:
    """What the run is compared with: nothing, a run or table, or what was approved."""
    if tree.baseline == "none":
        return None
    if tree.baseline != "auto":
        return Approved(load(tree.baseline))
    named = (tree.tracking or {}).get("uri")  # whoever started the run named this store
    return baselines.find(suite, tree.baselines, environment, [named] if named else [])
