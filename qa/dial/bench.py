"""One decoder at many settings: built once, every setting an ordinary run of its own.

The runs share samples and seeds, and noise belongs to a sample and its seed (`qa.seeds`), so all
settings decode the same latents with the same noise. A run's folder is named by all that shapes its
pictures: what another use case tried before is not decoded again, nor by the `qa run` whose
command stands in its record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qa.checks import check_knobs, check_samples, check_spaces
from qa.config import Config, build, edited, key_of
from qa.dial.settings import NAMES, turned_from_own
from qa.errors import QaError
from qa.halves import CONFIRMATION
from qa.job import Job, folder_of, suite_name
from qa.plan import make_plan
from qa.results import Results, load
from qa.run import conclude, measure
from qa.store import RunFolder
from qa.system import inputs_of, knobs_of, source
from qa.types import Knobs

Progress = Callable[[int, int], None]
"""Called with (pictures done, pictures in all)."""


@dataclass
class Bench:
    """What measures settings, one at a time."""

    job: Job
    """Over the whole suite, at the reference's setting; never run itself."""
    runs: int
    """How many there will be at most, for the progress."""
    progress: Progress | None
    _made: int = field(default=0, init=False)

    def measured(self, knobs: Knobs, half: str) -> Results:
        """A setting on one half of the suite: an ordinary run, finished and read again."""
        job = turned(self.job, knobs, half)
        each = job.plan.decodes

        def show(done: int, _: int) -> None:
            if self.progress:
                self.progress(self._made * each + done, max(self.runs, self._made + 1) * each)

        measure(job, show)
        self._made += 1
        conclude(job)
        return load(job.folder.path)

    def tried_before(self, knobs: Knobs) -> int:
        """Settings of which a run over the confirmation half lies beside these runs.

        Of this decoder, but for the reference and this one, and none begun after this one's own
        run: so many chances luck had there before.
        """
        there = turned(self.job, knobs, CONFIRMATION)
        ours = {"decoder_digest": there.decoder.digest, "suite_digest": there.plan.suite_digest}
        found = _begun(Path(self.job.config.tree.runs), ours)
        until = found.get(knobs, datetime.max.replace(tzinfo=UTC))
        known = {knobs, knobs_of(self.job.config)}
        return sum(begun < until for other, begun in found.items() if other not in known)


def turned(job: Job, knobs: Knobs, half: str) -> Job:
    """The job at another setting, over a half of its pictures and compared with nothing.

    As `prepare` would make it from the same words with `half=` and `knobs.*`: same plan, same
    folder. Decoder, encoder and metrics are shared; only latents of another step are opened anew.
    """
    config = _turned(job.config, knobs, half)
    knobs = knobs_of(config)
    latents = job.latents
    if knobs.capture != knobs_of(job.config).capture:
        latents = build(source(config), "latents")
        check_spaces(latents, job.decoder)
    check_knobs(knobs, job.decoder, latents)
    samples = [unit.sample for unit in job.plan.units]
    check_samples(samples, latents, job.decoder)
    inputs = inputs_of(config, job.decoder, latents, job.resolved_numerics)
    plan = make_plan(samples, seeds=job.plan.seeds, knobs=knobs, half=half, inputs=inputs)
    plan = replace(plan, limited=job.plan.limited)
    suite = suite_name(job.suite, half)
    return replace(
        job, config=config, suite=suite, plan=plan, latents=latents, baseline=None,
        folder=folder_of(suite, config, plan),
    )  # fmt: skip


def _begun(runs: Path, wanted: Mapping[str, Any]) -> dict[Knobs, datetime]:
    """The settings of all runs in a folder whose records say this, and when each first began."""
    found: dict[Knobs, datetime] = {}
    for file in sorted(runs.glob("*/record.json")):
        try:
            record = RunFolder(file.parent).record()
            knobs, begun = Knobs(**record["knobs"]), datetime.fromisoformat(record["started"])
            if all(record[key] == value for key, value in wanted.items()):
                found[knobs] = min(begun, found.get(knobs, begun))
        except (QaError, KeyError, TypeError, ValueError):
            continue  # a neighbour's damaged run, or one of another version
    return found


def _turned(config: Config, knobs: Knobs, half: str) -> Config:
    """The configuration, and its words, of a run at this setting over this half."""
    changes = {"half": half, "baseline": "none", "policy": "pr"}
    ours = {*changes, "knobs", *(f"knobs.{name}" for name in NAMES)}
    turned = {f"knobs.{name}": value for name, value in turned_from_own(knobs).items()}
    words = [word for word in config.overrides if key_of(word) not in ours]
    words += [f"{key}={value}" for key, value in (changes | turned).items()]
    every = changes | {f"knobs.{name}": value for name, value in asdict(knobs).items()}
    return replace(edited(config, every), overrides=tuple(words))
