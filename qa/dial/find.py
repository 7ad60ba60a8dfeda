"""`qa dial`, from a configuration to a confirmed setting, top to bottom.

    open      everything that runs need, built and checked once; the use case's terms
    try       every setting on the selection half: an ordinary run each, same latents, same noise
    pick      the most plausible one that keeps every limit (qa.dial.choice)
    confirm   it and the reference on the other half, which this choice has not seen
    write     dial.json and its page always; dials/<decoder>-<use case>.yaml only where it was
              confirmed on the whole suite

Harm is counted against the decoder at the setting of `knobs.*` (its own, where they say nothing),
or against another run (`baseline=`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qa.baseline import Approved
from qa.checks import knobs_read
from qa.config import Config, compose, function
from qa.dial import options, settings, told, written
from qa.dial.bench import Bench, Progress, turned
from qa.dial.choice import CONFIRMED, Confirmation, Found, confirm, pick
from qa.dial.judged import Terms, Tried, terms_of, too_few_for, tried
from qa.errors import QaError, UsageError
from qa.files import digest, write_bytes, write_json
from qa.gates import comparable
from qa.halves import CONFIRMATION, SELECTION, half_of
from qa.job import Job, prepare
from qa.results import Results
from qa.run import record
from qa.scores import no_scores
from qa.setting import parsed, place
from qa.store import file_name
from qa.system import knobs_of
from qa.types import Knobs

DOCUMENT = "dial.json"
RUNS_TO_CONFIRM = 2


@dataclass(frozen=True)
class Opened:
    """A dial that is ready to start."""

    config: Config
    job: Job
    """Over the whole suite, at the setting of `knobs.*`."""
    own: Knobs
    """That setting."""
    lists: settings.Lists
    terms: Terms
    outside: Results | None
    """The run to count harm against, over the whole suite; None: the setting of `knobs.*`."""
    notes: tuple[str, ...]
    """What a reader must know of the reference."""

    @property
    def grid(self) -> list[Knobs]:
        """Every setting that the lists allow, the reference first."""
        return settings.grid(self.lists, self.own)

    @property
    def tries(self) -> int:
        """Settings to try, at most."""
        trials = self.config.tree.trials if self.config.tree.search == "optuna" else len(self.grid)
        return min(trials + 1, len(self.grid))

    @property
    def half(self) -> int:
        """Pictures of the selection half."""
        return len(half_of([unit.sample for unit in self.job.plan.units], SELECTION))


@dataclass(frozen=True)
class Dialled:
    """What was found, for notebooks and scripts."""

    folder: Path
    document: Mapping[str, Any]
    """The contents of dial.json (docs/formats.md)."""
    page: Path | None
    """What `page` made of it."""

    @property
    def exit_code(self) -> int:
        """0 confirmed, 3 a limit FAILED, 4 INCONCLUSIVE, 5 INVALID."""
        return int(self.document["exit_code"])


def dial(
    *overrides: str, config_dir: str | Path | None = None, progress: Progress | None = None
) -> Dialled:
    """Find a setting: `dial("use_case=document", "decoder=pid_flux_2k", "suite=mini")`.

    `overrides` are those of `qa dial`; `config_dir` adds a folder of configuration groups. Raises
    UsageError before any decoding if the request cannot work.
    """
    return find(opened(options.composed(overrides, config_dir)), progress)


def opened(config: Config) -> Opened:
    """Everything built and checked, nothing decoded."""
    options.check(config)
    run = compose(options.run_words(config), config.config_dir)
    job = prepare(run)
    own = knobs_of(run)
    lists = settings.lists(config.group("settings"), own, job.decoder, job.latents)
    terms = terms_of(job.use_case, set(job.facts), config.tree.policy)
    outside = None if job.baseline is None else job.baseline.results
    notes = () if job.baseline is None else _checked(job.baseline, job, terms)
    found = Opened(config, job, own, lists, terms, outside, notes)
    if len(found.grid) == 1:
        knobs = ", ".join(sorted(knobs_read(job.decoder, job.latents))) or "none"
        raise UsageError(
            "There is nothing to turn.",
            f"The lists hold only the reference. Knobs that this decoder reads: {knobs}.",
            "give a list of values, e.g. settings.steps=[null,2]",
        )
    for name, values in lists.items():  # none shall be refused when others are decoded already
        for value in values:
            turned(job, settings.setting(own, {name: value}), SELECTION)
    return found


def find(ready: Opened, progress: Progress | None = None) -> Dialled:
    """Try, pick, confirm, write."""
    bench = Bench(ready.job, ready.tries + RUNS_TO_CONFIRM, progress)
    found = list(_tried(ready, bench))
    picked = pick(found)
    confirmation = None if picked is None else _confirmed(ready, bench, picked)
    return _written(ready, Found(found, picked, confirmation))


def _tried(ready: Opened, bench: Bench) -> Iterator[Tried]:
    """The reference, then every other setting that the search asks for, on the selection half."""
    own = bench.measured(ready.own, SELECTION)
    for limit in too_few_for(own, ready.terms):
        warnings.warn(told.too_few(limit), RuntimeWarning, stacklevel=2)
    reference = own
    if ready.outside is not None:
        reference = _part(ready.outside, own)
        # No setting has such a name, whatever the run is called.
        yield tried(f"run {reference.name}", None, reference, reference, ready.terms)
    known = {ready.own: _try(ready, bench, ready.own, own, reference)}
    yield known[ready.own]
    for knobs in _asked(ready, known):
        if knobs not in known:
            results = bench.measured(knobs, SELECTION)
            known[knobs] = _try(ready, bench, knobs, results, reference)
            yield known[knobs]


def _try(ready: Opened, bench: Bench, knobs: Knobs, results: Results, reference: Results) -> Tried:
    return tried(settings.name_of(knobs), knobs, results, reference, ready.terms)


def _asked(ready: Opened, known: Mapping[Knobs, Tried]) -> Iterator[Knobs]:
    """The whole grid, or what a search wants to know next; `known` grows meanwhile."""
    tree = ready.config.tree
    if tree.search == "grid":
        return iter(ready.grid)

    def score(knobs: Knobs) -> tuple[float, float, float]:
        found = known[knobs]
        harm = found.values[ready.terms.first]["harm"]
        return float("nan") if harm is None else harm, -found.worth, found.excess()

    return settings.evolved(ready.lists, ready.own, tree.trials, score)


def _confirmed(ready: Opened, bench: Bench, picked: Tried) -> Confirmation:
    """The picked setting and the reference, on the other half."""
    assert picked.knobs is not None
    before = bench.tried_before(picked.knobs)
    ours = bench.measured(picked.knobs, CONFIRMATION)
    if ready.outside is not None:
        reference = _part(ready.outside, ours)
    else:
        reference = bench.measured(ready.own, CONFIRMATION)
    return confirm(ours, reference, ready.terms, before)


def _part(whole: Results, half: Results) -> Results:
    """An outside run on the pictures of a half."""
    return comparable.restricted(whole, half.samples)


def _checked(against: Approved, job: Job, terms: Terms) -> tuple[str, ...]:
    """What must be known of the run of `baseline=`; UsageError where it cannot be the reference.

    It cannot where it is none of this suite, these seeds, these metrics.
    """
    outside = against.results
    digests = {unit.sample.id: unit.sample.sha256 for unit in job.plan.units}
    planned = replace(outside, record=record(job, "", None), digests=digests, scores=no_scores())
    wanted = {terms.plausibility, *terms.use.primary}
    elsewhere, warned = comparable.environments(planned, against, terms.policy == "release")
    problems = [*comparable.incomparable(planned, outside, wanted), *elsewhere]
    problems += [f"{metric}: not measured" for metric in sorted(wanted - set(outside.metrics))]
    if problems:
        raise UsageError(
            f"{outside.name} cannot be the reference.",
            f"{problems[0]}.",
            "baseline=RUN with a run over the whole suite with these metrics and seeds, or "
            "baseline=none for the decoder's own setting",
        )
    return tuple(filter(None, [*warned, comparable.other_latents(planned, outside)]))


def _written(ready: Opened, found: Found) -> Dialled:
    """dial.json, its page, and the setting where it was confirmed."""
    config, job = ready.config, ready.job
    file = place(config, config.choices["use_case"])
    writes = found.state == CONFIRMED and not job.plan.limited
    kept = file.exists() and not writes
    document = told.document(ready, found, file if writes else None, file if kept else None)
    if writes:
        _write_setting(file, written.text(document), found)
    folder = Path(config.tree.runs) / _name(ready, document["reference"])
    write_json(folder / DOCUMENT, document)
    page = function(config.tree.page)(folder) if config.tree.page else None
    return Dialled(folder, document, page)


def _write_setting(file: Path, text: str, found: Found) -> None:
    """The file, if it says what was picked when it is read again."""
    content = text.encode()
    assert found.picked is not None
    if parsed(file, content).knobs != found.picked.knobs:
        raise QaError(f"{file} would not say {found.picked.name}.", "It was not written.")
    write_bytes(file, content)


def _name(ready: Opened, reference: str) -> str:
    """Name of the dial's folder: equal questions have equal names."""
    config, job, terms = ready.config, ready.job, ready.terms
    use = config.choices["use_case"]
    asked = terms.use.digest, terms.use.primary, terms.plausibility, terms.policy
    search = ready.lists, config.tree.search, config.tree.trials, reference
    mark = digest([job.plan.digest, *asked, *search, sorted(job.facts)])[:8]
    return file_name(f"dial-{job.suite}-{config.choices['decoder']}-{use}-{mark}")
