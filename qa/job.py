"""Everything that can be found out before the first decode, and what it would cost.

Configuration, weights, latent spaces and the baseline are checked here; what cannot work is said
before anything starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qa import assets, numerics
from qa import baseline as baselines
from qa.config import Config, build
from qa.errors import Unavailable, UsageError
from qa.plan import Plan, code_digest, make_plan
from qa.results import Results, load
from qa.store import RunFolder
from qa.types import Decoder, Knobs, LatentSource, Metric, Sample
from qa.worker import Worker


@dataclass(frozen=True)
class Job:
    """A run that is ready to start: everything built, checked and planned."""

    config: Config
    suite: str
    plan: Plan
    decoder: Decoder
    latents: LatentSource | None
    metrics: Mapping[str, Metric]
    unavailable: Mapping[str, str]
    executor: Any
    folder: RunFolder
    numerics: numerics.Numerics
    resolved_numerics: dict[str, Any]
    baseline: Results | None

    @property
    def worker(self) -> Worker:
        """The stages of this run's units."""
        return Worker(
            self.folder,
            self.decoder,
            self.latents,
            self.metrics,
            self.unavailable,
            knobs_of(self.config),
        )


def prepare(config: Config) -> Job:
    """Build every part, check that they fit, and plan the units. Decodes nothing."""
    tree = config.tree
    assets.set_offline(True if tree.offline else None)
    if tree.seeds < 1 or (tree.limit is not None and tree.limit < 1):
        raise UsageError("seeds and limit must be at least 1.")
    settings: numerics.Numerics = _typed(tree.numerics)
    knobs = knobs_of(config)
    tree.device = numerics.pick_device(tree.device)
    suite = build(config.group("suite"), "suite")
    baseline = _baseline(tree.baseline, suite.name, tree.baselines)
    samples: Sequence[Sample] = suite.samples()
    with numerics.applied(settings):
        resolved = numerics.describe(settings, tree.device)
        metrics, unavailable = _metrics(config.group("metric"))
        latents, decoder = _system(config)
    plan = make_plan(
        samples,
        seeds=tree.seeds,
        knobs=knobs,
        limit=tree.limit,
        inputs={
            "decoder": decoder.digest,
            "latents": None if latents is None else latents.digest,
            "code": code_digest([decoder, *([] if latents is None else [latents])]),
            "numerics": resolved,
        },
    )
    name = run_name(suite.name, config, plan)
    folder = RunFolder(Path(tree.out) if tree.out else Path(tree.runs) / name)
    return Job(
        config, suite.name, plan, decoder, latents, metrics, unavailable,
        build(config.group("executor"), "executor"), folder, settings, resolved, baseline,
    )  # fmt: skip


def cost(job: Job) -> dict[str, Any]:
    """What the plan amounts to; time only where an earlier run measured this decoder."""
    seconds, measured = 0.0, 0
    runs = Path(job.config.tree.runs)
    for file in sorted(runs.glob("*/record.json")):
        folder = RunFolder(file.parent)
        earlier = folder.record()
        same = (earlier["decoder_digest"], earlier["numerics"]) == (
            job.decoder.digest,
            job.resolved_numerics,
        )
        if same and folder.decoded_file.is_file():
            table = folder.decoded()
            seconds, measured = seconds + float(table["seconds"].sum()), measured + len(table)
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
        "metrics": sorted(job.metrics),
        "unavailable": dict(job.unavailable),
    }


def run_name(suite: str, config: Config, plan: Plan) -> str:
    """Name of a run: equal plans have equal names, so a stopped run is found again."""
    return f"{suite}-{config.choices['decoder']}-{plan.digest[:8]}"


def knobs_of(config: Config) -> Knobs:
    """The dial of a configuration; UsageError if sigma is no noise level."""
    knobs: Knobs = _typed(config.tree.knobs)
    if not 0 <= knobs.sigma <= 1:
        raise UsageError(f"knobs.sigma={knobs.sigma} is no noise level.", "It lies in [0, 1].")
    return knobs


def _typed(node: Any) -> Any:
    from omegaconf import OmegaConf

    return OmegaConf.to_object(node)


def _metrics(nodes: Mapping[str, Any]) -> tuple[dict[str, Metric], dict[str, str]]:
    """Built metrics, and why the others cannot be built."""
    metrics: dict[str, Metric] = {}
    unavailable: dict[str, str] = {}
    for name, node in sorted(nodes.items()):
        try:
            metrics[name] = build(node, f"metric {name}")
        except Unavailable as error:
            unavailable[name] = " ".join(str(error).split())
    return metrics, unavailable


def _system(config: Config) -> tuple[LatentSource | None, Decoder]:
    """Latent source and decoder; UsageError naming both spaces if they do not fit."""
    node = config.group("latents") or config.group("encoder")
    latents = None if node is None else build(node, "latents")
    decoder: Decoder = build(config.group("decoder"), "decoder")
    if decoder.space is None:
        return None, decoder
    if latents is None:
        raise UsageError(
            f"The decoder needs latents of {decoder.space}.",
            "The configuration has neither an encoder nor another source of latents.",
            "add latents=stored latents.path=DIR",
        )
    if latents.space != decoder.space:
        raise UsageError(
            "Latent source and decoder do not fit together.",
            f"The source gives {latents.space}; the decoder takes {decoder.space}.",
            "choose a decoder of the same latent space; decoder=NAME sets both",
        )
    return latents, decoder


def _baseline(choice: str, suite: str, folder: str) -> Results | None:
    if choice == "none":
        return None
    if choice != "auto":
        return load(choice)
    found = baselines.find(suite, folder)
    return None if found is None else load(found)
