"""`qa latents`: from a configuration to folders of latents that `latents=stored` reads.

compose   conf/capture.yaml: either a pipeline (prompts) or a decoder with sigmas (pictures)
prepare   suite, maker, and what is missing; nothing is loaded from a diffusion model yet
write     one file for each sample and folder; what fails is told, the rest is written
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from omegaconf import MISSING, OmegaConf

from qa import assets, numerics
from qa.checks import check_assets
from qa.config import Config, Root, build
from qa.errors import UsageError
from qa.numerics import Numerics
from qa.plan import content
from qa.types import Sample

INCOMPLETE = 5
"""Exit code where some samples have no latents."""
CONFLICT = "pipeline=NAME works from prompts, decoder=NAME sigmas=[0,0.2] from pictures"


@dataclass
class CaptureSchema:
    """Every key of conf/capture.yaml; a key that is not here is an error."""

    suite: dict[str, Any] = MISSING
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


ROOT = Root("capture", CaptureSchema, "qa latents")


@dataclass(frozen=True)
class Job:
    """A capture that is ready to start."""

    config: Config
    todo: Any
    """`decoders.capture.loop.Todo`"""
    problems: dict[str, str]
    """Sample id → why it cannot be used at all."""
    numerics: Numerics
    decoder: str
    """The configuration in conf/decoder that the latents are for."""
    licence: str | None


def prepare(config: Config) -> Job:
    """Everything that can be refused before weights of a pipeline are loaded."""
    tree = config.tree
    assets.set_offline(True if tree.offline else None)
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
    loop = import_module("decoders.capture.loop")  # by name: qa does not know decoders
    with numerics.applied(settings):
        maker = _maker(config)
    items = [loop.Item(sample, content(sample)) for sample in usable]
    decoder = config.choices["decoder"] if tree.pipeline is None else maker.family.decoder
    name = config.choices["decoder" if tree.pipeline is None else "pipeline"]
    shaping = {key: value for key, value in asdict(settings).items() if key != "threads"}
    todo = loop.plan(maker, items, Path(tree.out or Path("latents") / name), shaping)
    return Job(config, todo, problems, settings, decoder, getattr(maker, "licence", None))


def write(job: Job, progress: Callable[[int, int], None]) -> dict[str, str]:
    """Make what is missing; returns why samples have no latents, by id."""
    with numerics.applied(job.numerics):
        done = import_module("decoders.capture.loop").carry_out(job.todo, progress)
    return {**job.problems, **done.failed}


def plan_lines(job: Job) -> str:
    """What would be made, in a few lines."""
    todo = job.todo
    kept = f", {todo.kept} there already" if todo.kept else ""
    lines = [
        f"plan  {len(todo.items)} samples × {len(todo.maker.facts)} = "
        f"{len(todo.items) * len(todo.maker.facts)} latents of {todo.maker.space.name}{kept}",
        f"      {todo.maker.source}",
        f"      {', '.join(todo.maker.facts)}  →  {todo.out}",
    ]
    if job.licence:
        lines.append(f"      licence: {job.licence}")
    pictured = sum(item.sample.image is not None for item in todo.items)
    if pictured and job.config.tree.pipeline is not None:
        lines.append(
            f"      {pictured} samples have a picture; `qa run` will want latents of its size"
        )
    return "\n".join(lines)


def folder_lines(job: Job) -> list[str]:
    """One line for each folder: how many latents it now has, and the run that uses them."""
    todo = job.todo
    files = import_module("decoders.latents")
    suite = [o for o in job.config.overrides if o.startswith(("suite", "limit=", "hydra."))]
    lines = []
    for folder in todo.maker.facts:
        place = todo.out / folder
        count = sum(files.file_of(place, item.sample.id).exists() for item in todo.items)
        command = [
            "qa", "run", *suite, f"decoder={job.decoder}", "latents=stored", f"latents.path={place}"
        ]  # fmt: skip
        if count:
            lines.append(f"{place}  {count} latents  {shlex.join(command)}")
    return lines


def latents(config: Config, *, dry_run: bool, bar: Callable[[str], Any]) -> int:
    """The command: prints what it will do, does it, prints the folders; returns the exit code."""
    job = prepare(config)
    if dry_run:
        print(plan_lines(job))
        return 0
    print(plan_lines(job), file=sys.stderr)
    with bar("latents") as progress:
        failed = write(job, progress)
    for sample, why in sorted(failed.items()):
        print(f"failed  {sample}: {why}", file=sys.stderr)
    for line in folder_lines(job):
        print(line)
    if failed:
        print(f"{len(failed)} samples have no latents", file=sys.stderr)
    return INCOMPLETE if failed else 0


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


def _maker(config: Config) -> Any:
    tree = config.tree
    if tree.pipeline is not None:
        return build(config.group("pipeline"), "pipeline")
    source = config.group("latents") or config.group("encoder")
    check_assets([source], config.choices["decoder"])
    node = {
        "_target_": "decoders.capture.levels.Levels",
        "encoder": source,
        "sigmas": config.group("sigmas"),
        "seed": tree.seed,
    }
    return build(node, "encoder")
