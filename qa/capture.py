"""`qa latents`: from a configuration to folders of latents that `latents=stored` reads.

compose   conf/capture.yaml: either a pipeline (prompts) or a decoder with sigmas (pictures)
prepare   suite, maker, and what is missing; nothing is loaded from a diffusion model yet
write     one file for each sample and folder; what fails is told, the rest is written

`capture` does all three for a notebook, `latents` for the command line. How latents are made and
stored is known to the functions that conf/capture.yaml names.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from omegaconf import MISSING, OmegaConf

from qa import assets, numerics
from qa.checks import check_assets
from qa.config import Config, Root, build, compose, function, of_suite
from qa.errors import UsageError
from qa.numerics import Numerics
from qa.plan import code_digest
from qa.types import LatentSpace, Sample

INCOMPLETE = 5
"""Exit code where some samples have no latents."""
CONFLICT = "pipeline=NAME works from prompts, decoder=NAME sigmas=[0,0.2] from pictures"
KEPT = ("suite", "trust=", "limit=", "hydra.", "decoder.", "text", "device=", "offline=")
"""How overrides begin that the run over the latents needs as well."""
Progress = Callable[[int, int], None]
"""Called with (latents settled, latents in all) after each sample."""


@dataclass
class CaptureSchema:
    """Every key of conf/capture.yaml; a key that is not here is an error."""

    suite: dict[str, Any] = field(default_factory=dict)
    pipeline: dict[str, Any] | None = None
    capture: Any = None
    decoder: dict[str, Any] | None = None
    encoder: dict[str, Any] | None = None
    latents: dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    sigmas: list[float] | None = None
    seed: int = 0
    limit: int | None = None
    numerics: Numerics = field(default_factory=Numerics)
    device: str = "auto"
    offline: bool = False
    out: str | None = None
    levels: str = MISSING
    loop: str = MISSING


ROOT = Root("capture", CaptureSchema, "qa latents")


class Maker(Protocol):
    """What makes the latents, as far as it is shown."""

    space: LatentSpace
    source: str
    """What it is, in words."""
    licence: str
    """Terms of the weights, or ""."""


class Work(Protocol):
    """What is to be made, from the function `loop` of conf/capture.yaml."""

    maker: Maker
    out: Path
    kept: int
    """Latents that are there already."""
    count: int
    """Latents to be made."""

    def folders(self) -> Mapping[Path, int]:
        """Each folder and how many of the samples' latents it has now."""
        ...

    def carry_out(self, progress: Progress) -> Mapping[str, str]:
        """Makes and writes what is missing; returns why samples failed, by id."""
        ...


@dataclass(frozen=True)
class Job:
    """A capture that is ready to start."""

    config: Config
    work: Work
    samples: Sequence[Sample]
    """Those that can be used."""
    problems: Mapping[str, str]
    """Sample id → why it cannot be used at all."""
    numerics: Numerics
    decoder: str
    """The configuration in conf/decoder that the latents are for."""


@dataclass(frozen=True)
class Capture:
    """Finished folders of latents, for notebooks and scripts."""

    folders: Mapping[Path, int]
    """Folder → how many of the samples' latents it has."""
    failed: Mapping[str, str]
    """Sample id → why it has no latents."""


def capture(
    *overrides: str, config_dir: str | Path | None = None, progress: Progress | None = None
) -> Capture:
    """Store latents: `capture("pipeline=flux", "suite=folder", "suite.path=prompts.jsonl")`.

    `overrides` are those of `qa latents`; `config_dir` adds a folder of configuration groups.
    Raises UsageError before anything is made if the request cannot work, QaError if the machine
    fails; a sample that fails is in `failed`.
    """
    return write(prepare(compose(overrides, config_dir, ROOT)), progress)


def prepare(config: Config, *, dry_run: bool = False) -> Job:
    """Everything that can be refused before weights of a pipeline are loaded.

    A dry run downloads no encoder: AssetMissing says which one is not here.
    """
    tree = config.tree
    with assets.without_network(tree.offline or (dry_run and tree.pipeline is None)):
        return _prepare(config)


def _prepare(config: Config) -> Job:
    tree = config.tree
    _check_choice(tree)
    if tree.seed < 0 or (tree.limit is not None and tree.limit < 1):
        raise UsageError("seed must be at least 0, limit at least 1.")
    settings: Numerics = OmegaConf.to_object(tree.numerics)  # type: ignore[assignment]
    tree.device = numerics.pick_device(tree.device)
    listed: Sequence[Sample] = build(config.group("suite"), "suite").samples()
    samples = sorted(listed, key=lambda sample: sample.id)[: tree.limit]
    problems = {s.id: s.problem for s in samples if s.problem}
    usable = [sample for sample in samples if sample.id not in problems]
    _check_samples(config, usable)
    plan = function(tree.loop)
    with numerics.applied(settings):
        maker, parts = _maker(config)
    pictured = tree.pipeline is None
    name = config.choices["decoder" if pictured else "pipeline"]
    shaping = {key: value for key, value in asdict(settings).items() if key != "threads"}
    shaping["code"] = code_digest([{"_target_": tree.loop}, *parts])
    out = Path(tree.out or Path("latents") / name)
    work: Work = plan(maker, usable, out, shaping)
    return Job(config, work, usable, problems, settings, name if pictured else maker.decoder)


def write(job: Job, progress: Progress | None = None) -> Capture:
    """Make what is missing."""
    with numerics.applied(job.numerics):
        failed = job.work.carry_out(progress or (lambda done, wanted: None))
    return Capture(job.work.folders(), {**job.problems, **failed})


def plan_lines(job: Job) -> str:
    """What would be made, in a few lines."""
    work = job.work
    folders = [folder.name for folder in work.folders()]
    kept = f", {work.kept} there already" if work.kept else ""
    lines = [
        f"plan  {len(job.samples)} samples × {len(folders)} = "
        f"{len(job.samples) * len(folders)} latents of {work.maker.space.name}{kept}",
        f"      {work.maker.source}",
        f"      {', '.join(folders)}  →  {work.out}",
    ]
    if work.maker.licence:
        lines.append(f"      licence: {work.maker.licence}")
    pictured = sum(sample.image is not None for sample in job.samples)
    if pictured and job.config.tree.pipeline is not None:
        lines.append(
            f"      {pictured} samples have a picture; `qa run` will want latents of its size"
        )
    return "\n".join(lines)


def run_command(job: Job, folder: Path) -> list[str]:
    """The `qa run` that decodes a folder of this capture.

    Where no sample has a picture, and the suite chooses no metrics, with some that need none.
    """
    config = job.config
    kept = [word for word in config.overrides if word.lstrip("+~").startswith(KEPT)]
    own = replace(config, overrides=tuple(kept)).words()
    place = str(folder)
    if not re.fullmatch(r"[\w./-]+", place):  # Hydra's grammar wants it quoted
        place = "'" + place.replace("'", "\\'") + "'"
    pictured = any(sample.image is not None for sample in job.samples)
    suite = compose(of_suite(config.overrides), config.config_dir)
    chosen = pictured or suite.group("metric") != compose().group("metric")
    return [
        "qa", "run", *own, f"decoder={job.decoder}", "latents=stored", f"latents.path={place}",
        *([] if chosen else ["metric=[niqe,patch_grid]"]),
    ]  # fmt: skip


def latents(
    config: Config, *, dry_run: bool, bar: Callable[[str], AbstractContextManager[Progress]]
) -> int:
    """The command: prints what it will do, does it, prints the folders; returns the exit code."""
    job = prepare(config, dry_run=dry_run)
    if dry_run:
        print(plan_lines(job))
        return 0
    print(plan_lines(job), file=sys.stderr)
    with bar("latents") as progress:
        done = write(job, progress)
    for sample, why in sorted(done.failed.items()):
        print(f"failed  {sample}: {why}", file=sys.stderr)
    for folder, count in done.folders.items():
        if count:
            print(f"{folder}  {count} latents  {shlex.join(run_command(job, folder))}")
    if done.failed:
        print(f"{len(done.failed)} samples have no latents", file=sys.stderr)
    return INCOMPLETE if done.failed else 0


def _check_choice(tree: Any) -> None:
    """Exactly one of pipeline and decoder, each with its own kind of list."""
    what = why = ""
    if tree.pipeline is None and tree.decoder is None:
        what, why = "It is not said what makes the latents.", "Neither pipeline nor decoder is set."
    elif tree.pipeline is not None and tree.decoder is not None:
        what, why = "Two makers of latents were asked for.", "Both pipeline and decoder are set."
    elif tree.pipeline is not None and (tree.sigmas is not None or tree.latents is not None):
        what, why = "A pipeline takes neither sigmas nor latents.", "It starts from noise alone."
    elif tree.pipeline is None and tree.sigmas is None:
        what, why = "It is not said how much noise the latents get.", "sigmas is not set."
    elif tree.pipeline is None and not all(0 <= sigma <= 1 for sigma in tree.sigmas):
        what, why = f"sigmas={list(tree.sigmas)} are no noise levels.", "Each lies in [0, 1]."
    elif tree.pipeline is None and tree.capture is not None:
        what, why = "An encoder has no steps to look at.", f"capture is {tree.capture}."
    elif tree.pipeline is None and not (tree.latents or tree.encoder):
        what, why = "This decoder has no encoder.", "Its configuration names none."
    if what:
        raise UsageError(what, why, CONFLICT)


def _check_samples(config: Config, samples: Sequence[Sample]) -> None:
    """Each sample has what its latent is made from; the first without is named."""
    tree = config.tree
    if tree.latents is not None:
        return
    need = "image" if tree.pipeline is None else "prompt"
    absent = [sample.id for sample in samples if getattr(sample, need) is None]
    if absent:
        raise UsageError(
            f"{len(absent)} of {len(samples)} samples have no {need}.",
            f"The first without is {absent[0]}.",
            f"give every line of a manifest its {need}: suite=folder suite.path=FILE.jsonl",
        )


def _maker(config: Config) -> tuple[Any, list[Any]]:
    """The maker of latents, and the configuration of the parts that it is made of."""
    tree = config.tree
    if tree.pipeline is not None:
        node = config.group("pipeline")
        return build(node, "pipeline"), [node]
    node = config.group("latents") or config.group("encoder")
    check_assets([node], config.choices["decoder"])
    maker = function(tree.levels)(build(node, "encoder"), config.group("sigmas"), tree.seed)
    return maker, [node, {"_target_": tree.levels}]
