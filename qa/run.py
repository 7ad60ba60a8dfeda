"""A run, from configuration to verdict, top to bottom.

    compose ─► prepare ─► measure ─► conclude
               list       units      reduce, judge, record,
               build      through    report, export
               check      the
               plan       executor

Everything that can be found out before the first decode is found out in `prepare`: configuration,
weights, latent spaces, an unwritable folder. After that, one picture's failure never stops the
others, and a run that is stopped continues when the same command is given again.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa import baseline as baselines
from qa import numerics
from qa.config import Config, build, compose, function
from qa.errors import QaError, Unavailable, UsageError
from qa.gates.margins import from_config
from qa.judge import applicable, judge
from qa.metrics.facts import fingerprint
from qa.plan import Plan, code_digest, make_plan
from qa.record import SCHEMA, environment, now
from qa.results import Results, load
from qa.store import RunFolder, read_json, sample_row, write_bytes, write_json
from qa.types import Decoder, Knobs, LatentSource, Metric, Sample
from qa.worker import Worker

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[int, int], None]
"""Called with (pictures done, pictures in all) whenever a unit is finished."""


@dataclass(frozen=True)
class Evaluation:
    """A finished run, for notebooks and scripts."""

    folder: RunFolder
    verdict: Mapping[str, Any]
    """The verdict document (docs/formats.md)."""
    tracked: str | None
    """Where the tracker put it, or None."""

    @property
    def scores(self) -> pd.DataFrame:
        """Columns sample, seed, metric, value, why; one row a score."""
        return self.folder.scores()

    @property
    def exit_code(self) -> int:
        """0 pass or measured, 3 fail, 4 inconclusive, 5 invalid."""
        return int(self.verdict["exit_code"])


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


def evaluate(
    *overrides: str,
    config_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Run an evaluation: `evaluate("decoder=taef2", "suite=folder", "suite.path=photos")`.

    `overrides` are those of `qa run`; `config_dir` adds a folder of configuration groups. Raises
    UsageError before any decoding if the request cannot work, QaError if the machine fails.
    """
    job = prepare(compose(overrides, config_dir))
    measure(job, progress)
    return conclude(job)


def prepare(config: Config) -> Job:
    """Build every part, check that they fit, and plan the units. Decodes nothing."""
    tree = config.tree
    if tree.offline:
        os.environ["QA_OFFLINE"] = "1"
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


def measure(job: Job, progress: Progress | None = None) -> None:
    """Decode and score every unit that is not finished yet."""
    started = _claim(job.folder, job.plan)
    write_json(job.folder.record_file, record(job, started, None))
    write_bytes(job.folder.config_file, job.config.resolved().encode())
    worker = job.worker
    waiting = [unit for unit in job.plan.units if not worker.complete(unit)]
    done = len(job.plan.units) - len(waiting)
    if progress:
        progress(done * job.plan.seeds, job.plan.decodes)
    with numerics.applied(job.numerics), warnings.catch_warnings():
        # An operation without a deterministic form is the repro gate's business, not a line here.
        warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation")
        for _ in job.executor.run(worker, waiting):
            done += 1
            if progress:
                progress(done * job.plan.seeds, job.plan.decodes)
    write_json(job.folder.samples_file, _sample_rows(job))
    job.folder.reduce([unit.id for unit in job.plan.units], {*job.metrics, *job.unavailable})
    write_json(job.folder.record_file, record(job, started, now()))


def conclude(job: Job) -> Evaluation:
    """Judge what was measured, write the report, copy the run to the tracker."""
    candidate = load(job.folder.path)
    margins = from_config(job.config.group("use_case")["margins"])
    verdict = judge(
        candidate,
        job.baseline,
        applicable(margins, candidate, job.baseline),
        use_case=job.config.choices["use_case"],
    )
    write_json(job.folder.verdict_file, verdict)
    if job.config.tree.report:
        function(job.config.tree.report)(job.folder, job.baseline and job.baseline.folder)
    try:
        tracked = build(job.config.group("tracking"), "tracking").export(job.folder.path) or None
    except QaError as error:
        # The run folder is the truth; a tracker that is down must not cost a run.
        warnings.warn(f"Not tracked: {error}", RuntimeWarning, stacklevel=2)
        tracked = None
    return Evaluation(job.folder, verdict, tracked)


def record(job: Job, started: str, finished: str | None) -> dict[str, Any]:
    """The contents of record.json (docs/formats.md)."""
    space = job.decoder.space
    return {
        "schema": SCHEMA,
        "name": run_name(job.suite, job.config, job.plan),
        "suite": job.suite,
        "decoder": job.config.choices["decoder"],
        "use_case": job.config.choices["use_case"],
        "plan": job.plan.digest,
        "suite_digest": job.plan.suite_digest,
        "decoder_digest": job.decoder.digest,
        "latents_digest": None if job.latents is None else job.latents.digest,
        "seeds": job.plan.seeds,
        "pictures": len(job.plan.units),
        "limited": job.plan.limited,
        "space": None if space is None else str(space),
        "knobs": asdict(knobs_of(job.config)),
        "licence": job.decoder.licence,
        "facts": {
            name: asdict(metric.facts) | {"fingerprint": fingerprint(metric.facts)}
            for name, metric in job.metrics.items()
        },
        "unavailable": dict(job.unavailable),
        "environment": environment(job.resolved_numerics),
        "numerics": job.resolved_numerics,
        "started": started,
        "finished": finished,
        "command": ["qa", "run", *job.config.overrides],
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


def _claim(folder: RunFolder, plan: Plan) -> str:
    """Take a run folder; returns when the run started, now or before an interruption."""
    if not folder.record_file.is_file():
        return now()
    earlier = read_json(folder.record_file)
    if earlier.get("plan") != plan.digest:
        raise UsageError(
            f"{folder.path} holds another run.",
            f"Its plan is {str(earlier.get('plan'))[:8]}, this one's is {plan.digest[:8]}.",
            "choose another folder with out=DIR, or leave out= away",
        )
    return str(earlier["started"])


def _sample_rows(job: Job) -> list[dict[str, Any]]:
    rows = []
    for unit in job.plan.units:
        file = job.folder.reference_file(unit.sample.id)
        width, height = _png_size(file) if file.is_file() else (None, None)
        rows.append(sample_row(unit.sample, height, width))
    return rows


def _png_size(file: Path) -> tuple[int, int]:
    """Width and height from the PNG's header."""
    with file.open("rb") as opened:
        head = opened.read(24)
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


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
