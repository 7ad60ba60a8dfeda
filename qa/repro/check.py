"""From a configuration to repro.json, top to bottom."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qa import environment, numerics, shown
from qa.config import Config
from qa.errors import QaError, said
from qa.files import cannot_write, write_json
from qa.record import inputs, now
from qa.repro import across, exact, options, resumed, rows, varied
from qa.repro.bench import Bench, only_decoding, opened
from qa.repro.rows import Row, invalid
from qa.store import file_name

Progress = Callable[[int, int], None]
"""Called with (levels done, levels in all)."""


@dataclass(frozen=True)
class Reproduction:
    """What was found, for notebooks and scripts."""

    folder: Path
    """Holds repro.json and the heat maps."""
    document: Mapping[str, Any]
    """The contents of repro.json (docs/reproducibility.md)."""

    @property
    def exit_code(self) -> int:
        """0: all levels that were asked for hold; 3: one FAILs; 5: one is INVALID."""
        return int(self.document["exit_code"])


def check(config: Config, progress: Progress | None = None) -> Reproduction:
    """Check the levels that the configuration asks for, and write repro.json.

    Raises UsageError before any decoding if the request cannot work; a level that cannot be tried
    is INVALID.
    """
    tree = config.tree
    levels = options.asked(tree)
    options.check(config)
    variations = options.variations(tree)
    if tree.against:
        across.opened_run(tree.against)
    runs = Path(tree.runs)
    try:
        runs.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=".repro-", dir=runs)
    except OSError as error:
        raise cannot_write(runs, error) from error
    with scratch as place:
        changes = only_decoding(config, Path(place))
        bench = opened(
            config, changes, scratch=Path(place), folder=Path(place), pictures=tree.pictures
        )
        bench.folder = _folder(config, bench)
        found: list[Row] = []
        for done, level in enumerate(levels):
            if progress:
                progress(done, len(levels))
            found.append(_level(level, bench, variations))
            document = _written(bench, found)  # what was shown stays shown if the next is stopped
        if progress:
            progress(len(levels), len(levels))
    return Reproduction(bench.folder, document)


def _level(level: str, bench: Bench, variations: list[options.Variation]) -> Row:
    """One level's row; a failure of the machine or of a part makes it INVALID, not the others."""
    tree = bench.config.tree
    against = Path(tree.against) if tree.against else None
    try:
        if level == "R3":  # a run of its own, which applies its own settings
            return resumed.however_run(bench)
        with numerics.applied(bench.job.numerics):
            if level == "R5":
                return varied.otherwise(bench, variations, tree.repeats)
            if level == "R6":
                return _across(bench, tree)
            if level == "R7":
                assert against is not None
                run = across.finished_run(bench, tree.run, tree.runs, against)
                return across.statistically(bench, run, against)
            return EXACT[level](bench)
    except QaError as error:
        return invalid(level, "", said(error))


EXACT: Mapping[str, Callable[[Bench], Row]] = {
    "R0": exact.same_inputs,
    "R1": exact.same_process,
    "R2": exact.fresh_process,
    "R4": exact.batches,
}


def _across(bench: Bench, tree: Any) -> Row:
    row = across.other_class(bench, across.opened_run(tree.against))
    if tree.store:
        across.store(bench, row, tree.baselines)
    return row


def _folder(config: Config, bench: Bench) -> Path:
    plan = bench.job.plan.digest[:8]
    name = file_name(f"repro-{bench.job.suite}-{config.choices['decoder']}-{plan}")
    return Path(config.tree.runs) / name


def _written(bench: Bench, found: list[Row]) -> dict[str, Any]:
    job = bench.job
    fields = environment.decides(job.resolved_numerics)
    about: dict[str, Any] = {
        "suite": job.suite,
        "decoder": job.config.choices["decoder"],
        "plan": job.plan.digest,
        "decoder_digest": job.decoder.digest,
        "latents_digest": None if job.latents is None else job.latents.digest,
        "inputs": inputs(job.plan.shared),
        "environment": {"class": environment.class_of(fields), "decides": fields},
        "pictures": bench.pictures,
        "seeds": job.plan.seeds,
        "command": ["qa", "repro", *bench.config.words()],
    }
    file = bench.folder / shown.FILE
    before = rows.earlier(file, job.plan.digest, about["environment"]["class"])
    document = rows.document(about, found, before, now())
    write_json(file, document)
    return document
