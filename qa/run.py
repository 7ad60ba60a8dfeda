"""A run, from configuration to verdict, top to bottom.

    compose ─► prepare ─► measure ─► conclude
               list       units      reduce, judge, record,
               build      through    maps, report, export
               check      the
               plan       executor

Everything that can be found out before the first decode is found out in `prepare` (`qa.job`). After
that, one picture's failure never stops the others, and a run that is stopped continues when the
same command is given again.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa import aggregate, looks, maps, numerics, panels, usage
from qa.config import compose
from qa.environment import class_of, decides
from qa.errors import QaError, UsageError
from qa.files import digest, read_json, write_bytes, write_json
from qa.job import Job, prepare, run_name
from qa.judge import applicable, judge
from qa.metrics.facts import fingerprint
from qa.record import SCHEMA, environment, inputs, now, sample_row
from qa.reduce import reduce
from qa.results import load
from qa.scoring import set_metrics
from qa.store import RunFolder
from qa.system import knobs_of
from qa.traits import traits

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


def measure(job: Job, progress: Progress | None = None) -> None:
    """Decode and score every unit that is not finished yet."""
    with job.folder.held(), numerics.applied(job.numerics), warnings.catch_warnings():
        started, looked = _claim(job)
        also = _elsewhere(job)
        write_json(job.folder.record_file, record(job, started, None, looked, also))
        write_bytes(job.folder.config_file, job.config.resolved().encode())
        for judged in (job.folder.verdict_file, job.folder.report_file):
            judged.unlink(missing_ok=True)  # neither may stand beside values it never saw
        # An operation without a deterministic form is the repro gate's business, not a line here.
        warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation")
        waiting = [unit for unit in job.plan.units if not job.worker.complete(unit)]
        done = len(job.plan.units) - len(waiting)
        if progress:
            progress(done * job.plan.seeds, job.plan.decodes)
        with usage.sampled(job.folder.path, active=bool(waiting)):
            for _ in job.executor.run(job.worker, waiting):
                done += 1
                if progress:
                    progress(done * job.plan.seeds, job.plan.decodes)
        job.folder.write_samples(_sample_rows(job))
        metrics = {*job.facts, *job.unavailable}
        gaps = reduce(job.folder, [unit.id for unit in job.plan.units], metrics)
        _write_together(job, gaps)
        write_json(job.folder.record_file, record(job, started, now(), looked, also))


def _write_together(job: Job, gaps: Mapping[str, tuple[str, str]]) -> None:
    """What only all pictures have together: values of set metrics, and summaries of panels.

    `gaps` are those of `qa.reduce.reduce`.
    """
    units = job.plan.units
    groups = {unit.sample.id: unit.sample.group for unit in units if unit.sample.group}
    seeds, sets = range(job.plan.seeds), set_metrics(job.metrics)
    ids = (unit.sample.id for unit in units)
    write_json(job.folder.sets_file, aggregate.set_rows(job.folder, sets, ids, gaps, seeds, groups))
    if job.panels:
        planned = [(unit.sample.id, seed) for unit in units for seed in unit.seeds]
        write_json(job.folder.panels_file, panels.summaries(job.folder, job.panels, planned))
    else:  # an earlier run in this folder may have had some
        job.folder.panels_file.unlink(missing_ok=True)


def conclude(job: Job) -> Evaluation:
    """Judge what was measured, write the report, copy the run to the tracker."""
    candidate = load(job.folder.path)
    against = job.baseline
    rules = applicable(job.use_case, candidate, against.results if against else None)
    verdict = judge(candidate, against, rules, gates=job.gates, policy=job.config.tree.policy)
    looks.remember(job.folder, verdict)
    write_json(job.folder.verdict_file, verdict)
    if job.report is not None:
        with numerics.applied(job.numerics):
            maps.draw(job.folder, job.metrics, maps.picked(job.report, job.folder))
        pictures, history = (against.results.folder, against.history) if against else (None, ())
        job.report(job.folder, pictures, history=history)
    try:
        tracked = job.tracker.export(job.folder.path) or None
    except QaError as error:
        # The run folder is the truth; a tracker that is down must not cost a run.
        warnings.warn(f"Not tracked: {error}", RuntimeWarning, stacklevel=2)
        tracked = None
    return Evaluation(job.folder, verdict, tracked)


def record(
    job: Job,
    started: str,
    finished: str | None,
    looked: Sequence[Mapping[str, Any]] = (),
    also: Sequence[str] = (),
) -> dict[str, Any]:
    """The contents of record.json (docs/formats.md).

    `looked` are the looks at this plan until now, `also` other environment classes of its making.
    """
    look = job.plan.look
    return {
        **_made_of(job),
        **_measured(job),
        "schema": SCHEMA,
        "name": run_name(job.suite, job.config, job.plan),
        "suite": job.suite,
        "decoder": job.config.choices["decoder"],
        "use_case": job.config.choices["use_case"],
        "terms": _terms(job),
        "plan": job.plan.digest,
        "seeds": job.plan.seeds,
        "pictures": len(job.plan.units),
        "limited": job.plan.limited,
        "half": job.config.tree.half,
        "look": None if look is None else {**asdict(look), "history": list(looked)},
        "policy": job.config.tree.policy,
        "knobs": asdict(knobs_of(job.config)),
        "dial": None if job.setting is None else job.setting.told(),
        "licence": job.decoder.licence,
        "latents_licence": getattr(job.latents, "licence", "") or None,
        "notes": _notes(job),
        "environment": environment(job.resolved_numerics) | {"also": list(also)},
        "numerics": job.resolved_numerics,
        "started": started,
        "finished": finished,
        "command": ["qa", "run", *job.config.words()],
    }


def _made_of(job: Job) -> dict[str, Any]:
    """What pictures and values are made of, by digest: equal ones are the same."""
    space = job.decoder.space
    return {
        "suite_digest": job.plan.suite_digest,
        "decoder_digest": job.decoder.digest,
        "latents_digest": None if job.latents is None else job.latents.digest,
        "encoder_digest": None if job.encoder is None else job.encoder.digest,
        "asks_digest": job.plan.asks_digest if job.panels else None,
        "inputs": inputs(job.plan.shared),
        "space": None if space is None else str(space),
    }


def _measured(job: Job) -> dict[str, Any]:
    """What is measured and how, and what cannot be."""
    facts = {
        name: asdict(known) | {"fingerprint": fingerprint(known)}
        for name, known in sorted(job.facts.items())
    }
    panels = {name: sorted(panel.facts) for name, panel in sorted(job.panels.items())}
    return {"facts": facts, "panels": panels, "unavailable": dict(job.unavailable)}


def _notes(job: Job) -> list[str]:
    """What a reader has to know: the decoder's own notes, and terms of what made the latents."""
    licence = getattr(job.latents, "licence", "")
    terms = [f"latents: {licence}"] if licence and licence != job.decoder.licence else []
    return [*traits(job.decoder).notes, *terms]


def _terms(job: Job) -> dict[str, Any]:
    """What the run is to be judged by, however it is judged later."""
    primary = job.use_case.measured({*job.facts, *job.unavailable}).primary
    nodes = job.config.group("gate").values()
    gates = {gate.name: digest(node) for gate, node in zip(job.gates, nodes, strict=True)}
    return {"use_case": job.use_case.digest, "primary": sorted(primary), "gates": gates}


def _claim(job: Job) -> tuple[str, Sequence[Mapping[str, Any]]]:
    """Take the run folder.

    Returns when the run started, now or before an interruption, and the looks at it until now.
    """
    folder, plan = job.folder, job.plan
    if not folder.record_file.is_file():
        return now(), []
    earlier = read_json(folder.record_file)
    if earlier.get("plan") != plan.digest:
        raise UsageError(
            f"{folder.path} holds another run.",
            f"Its plan is {str(earlier.get('plan'))[:8]}, this one's is {plan.digest[:8]}.",
            "choose another folder with out=DIR, or leave out= away",
        )
    asked = {"look": None if plan.look is None else asdict(plan.look), "terms": _terms(job)}
    return str(earlier["started"]), looks.check_registered(folder, earlier, asked)


def _elsewhere(job: Job) -> list[str]:
    """Other environment classes in which the folder's pictures and values were made, if any were.

    A run that was stopped may be continued on another machine; its record must not say that all of
    it comes from there.
    """
    made = any(job.folder.unit_file(unit.id).is_file() for unit in job.plan.units)
    if not made or not job.folder.record_file.is_file():
        return []
    before = read_json(job.folder.record_file).get("environment") or {}
    own = class_of(decides(job.resolved_numerics))
    return sorted({before.get("class"), *before.get("also", ())} - {None, own})


def _sample_rows(job: Job) -> Iterator[dict[str, Any]]:
    for unit in job.plan.units:
        file = job.folder.reference_file(unit.sample.id)
        try:
            width, height = _png_size(file)
        except OSError:
            width, height = None, None
        yield sample_row(unit.sample, height, width)


def _png_size(file: Path) -> tuple[int, int]:
    """Width and height from the PNG's header."""
    with file.open("rb") as opened:
        head = opened.read(24)
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
