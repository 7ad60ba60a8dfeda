"""Everything that can be found out before the first decode, and what it would cost.

Configuration, weights, latent spaces and the baseline are checked here; what cannot work is said
before anything starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from qa import assets, numerics
from qa import baseline as baselines
from qa.baseline import Approved
from qa.checks import (
    check_assets,
    check_knobs,
    check_licences,
    check_metrics,
    check_request,
    check_samples,
    check_spaces,
    encodes,
)
from qa.config import Config, build, complete, function
from qa.environment import class_of, decides
from qa.errors import QaError, UsageError
from qa.executors import Executor
from qa.features.cache import folder_for
from qa.gates.use_case import UseCase
from qa.gates.use_case import from_config as use_case
from qa.metrics.facts import fingerprint
from qa.panels import AnyMetric, facts_of
from qa.plan import Plan, code_digest, look_at, make_plan
from qa.record import versions
from qa.results import load
from qa.roles import Decoder, Gate, LatentSource, Panel, Tracker
from qa.scoring import Scorer, built
from qa.seeds import check_pins
from qa.setting import Setting, applied, chosen
from qa.store import RunFolder, file_name
from qa.types import Knobs, MetricFacts, Sample
from qa.worker import Worker

Report = Callable[..., Path]
"""Writes a report of a run: (run, the baseline's run folder or None, history=its baselines)."""
DECODER = ("space", "knobs", "digest", "licence", "decode")
GATE = ("name", "compares", "__call__")
LATENT_SOURCE = ("space", "digest", "latent")
SHAPING = ("torch", "diffusers", "transformers", "pillow", "opencv-python-headless")
"""Packages whose version can change a picture; part of every unit's id."""


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
        return _marks(
            self.config, self.decoder, self.latents, self.resolved_numerics, self.facts,
            self.unavailable,
        )  # fmt: skip


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
        settings = replace(_typed(tree.numerics), threads=self.numerics["threads"])
        with assets.without_network(tree.offline), numerics.applied(settings):
            resolved = numerics.describe(settings, numerics.pick_device(tree.device))
            metrics, panels, unavailable = built(self.config.group("metric"))
            latents, decoder = _system(self.config)
            facts = facts_of(metrics, panels)
            marks = _marks(self.config, decoder, latents, resolved, facts, unavailable)
            _check_equal(self.marks, marks)
            scorer = Scorer(
                folder, metrics, unavailable, panels=panels, latents=latents,
                encoder=_encoder(self.config, latents, metrics), device=tree.device,
                cache=folder_for(resolved),
            )  # fmt: skip
            yield Worker(folder, decoder, latents, scorer, knobs_of(self.config), tree.device)


def _marks(
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


def prepare(config: Config) -> Job:
    """Build every part, check that they fit, and plan the units. Decodes nothing."""
    with assets.without_network(config.tree.offline):
        return _prepare(config)


def _prepare(config: Config) -> Job:
    setting = chosen(config)
    config = config if setting is None else applied(config, setting)
    tree = config.tree
    check_request(tree)
    settings: numerics.Numerics = _typed(tree.numerics)
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
        latents, decoder = _system(config)
        encoder = _encoder(config, latents, metrics)
    if setting is not None:
        setting.check(config.choices["decoder"], decoder.digest)
    check_knobs(knobs, decoder, latents)
    check_samples(samples, latents, decoder)
    check_metrics(facts, samples, decoder, encoder)
    check_licences(facts, tree.license_profile)
    for panel in panels.values():
        panel.check(samples)
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


def inputs_of(
    config: Config, decoder: Decoder, latents: LatentSource | None, resolved: Mapping[str, Any]
) -> dict[str, Any]:
    """What all pictures of a run are made from beside samples, seeds and the dial."""
    return {
        "decoder": decoder.digest,
        "latents": None if latents is None else latents.digest,
        "code": code_digest([config.group("decoder"), source(config)]),
        "numerics": resolved,
        "versions": {name: v for name, v in versions().items() if name in SHAPING},
    }


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


def knobs_of(config: Config) -> Knobs:
    """The dial of a configuration; UsageError if sigma is no noise level."""
    knobs: Knobs = _typed(config.tree.knobs)
    if not 0 <= knobs.sigma <= 1:
        raise UsageError(f"knobs.sigma={knobs.sigma} is no noise level.", "It lies in [0, 1].")
    return knobs


def _typed(node: Any) -> Any:
    from omegaconf import OmegaConf

    return OmegaConf.to_object(node)


def _system(config: Config) -> tuple[LatentSource | None, Decoder]:
    """Latent source and decoder, which fit together."""
    node = source(config)
    check_assets([node, config.group("decoder")], config.choices["decoder"])
    latents = None if node is None else complete(build(node, "latents"), LATENT_SOURCE)
    decoder: Decoder = complete(build(config.group("decoder"), "decoder"), DECODER)
    check_spaces(latents, decoder)
    return latents, decoder


def _encoder(
    config: Config, latents: LatentSource | None, metrics: Mapping[str, AnyMetric]
) -> LatentSource | None:
    """What made the latents, where a metric encodes pictures again: also for stored latents."""
    if not any(metric.facts.of == "latent" for metric in metrics.values()):
        return None
    if encodes(latents):
        return latents
    node = config.group("encoder")
    if latents is None or node is None:
        return None
    check_assets([node], config.choices["decoder"])
    encoder: LatentSource = complete(build(node, "encoder"), LATENT_SOURCE)
    return encoder if encoder.space == latents.space and encodes(encoder) else None


def source(config: Config) -> Any:
    """Configuration of the latent source: `latents=`, or else the decoder's own encoder."""
    return config.group("latents") or config.group("encoder")


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
    return baselines.find(suite, tree.baselines, environment)
