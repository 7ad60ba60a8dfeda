"""One decoder at many settings: built once, every setting an ordinary run of its own.

The runs share samples and seeds, and noise belongs to a sample and its seed (`qa.seeds`), so all
settings decode the same latents with the same noise. A run's folder is named by all that shapes its
pictures: what another use case tried before is not decoded again, nor by the `qa run` whose
command stands in its record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

from qa.checks import check_knobs
from qa.config import Config, build, edited, key_of
from qa.dial.settings import NAMES, turned_from_own
from qa.job import Job, folder_of, inputs_of, knobs_of, source, suite_name
from qa.plan import make_plan
from qa.results import Results, load
from qa.run import conclude, measure
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
    progress: Progress | None = None
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
    check_knobs(knobs, job.decoder, latents)
    samples = [unit.sample for unit in job.plan.units]
    inputs = inputs_of(config, job.decoder, latents, job.resolved_numerics)
    plan = make_plan(samples, seeds=job.plan.seeds, knobs=knobs, half=half, inputs=inputs)
    plan = replace(plan, limited=job.plan.limited)
    suite = suite_name(job.suite, half)
    return replace(
        job, config=config, suite=suite, plan=plan, latents=latents, baseline=None,
        folder=folder_of(suite, config, plan),
    )  # fmt: skip


def _turned(config: Config, knobs: Knobs, half: str) -> Config:
    """The configuration, and its words, of a run at this setting over this half."""
    changes = {"half": half, "baseline": "none", "policy": "pr"}
    ours = {*changes, *(f"knobs.{name}" for name in NAMES)}
    turned = {f"knobs.{name}": value for name, value in turned_from_own(knobs).items()}
    words = [word for word in config.overrides if key_of(word) not in ours]
    words += [f"{key}={value}" for key, value in (changes | turned).items()]
    every = changes | {f"knobs.{name}": value for name, value in asdict(knobs).items()}
    return replace(edited(config, every), overrides=tuple(words))
