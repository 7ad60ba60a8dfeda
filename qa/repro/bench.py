"""What every level works with: the job, its pictures, and fresh folders to decode into."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa.config import Config, edited
from qa.environment import class_of, decides
from qa.errors import UsageError
from qa.files import digest, read_json, write_json
from qa.job import Job, prepare
from qa.repro.trace import Trace, traced
from qa.roles import LatentSource
from qa.scoring import Scorer
from qa.seeds import PINS, STREAM_VERSION
from qa.store import RunFolder
from qa.system import knobs_of
from qa.types import Latent, Sample, Unit
from qa.worker import Worker

if TYPE_CHECKING:
    from torch import Tensor

ORDERED = 4
"""Pictures that R3 runs over, at least."""
SEEDS = 2
"""Seeds of each picture, at most."""
PATIENCE = 3600
"""Seconds after which a fresh process counts as hung."""


class Remembered:
    """A latent source that makes each sample's latent once."""

    def __init__(self, source: LatentSource) -> None:
        self._source = source
        self._known: dict[str, Latent] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def latent(self, sample: Sample, picture: Tensor | None) -> Latent:
        """As the source."""
        if sample.id not in self._known:
            self._known[sample.id] = self._source.latent(sample, picture)
        return self._known[sample.id]


@dataclass
class Bench:
    """A prepared job whose pictures are decoded again and again."""

    config: Config
    """What was asked for, before `changes`."""
    changes: Mapping[str, Any]
    job: Job
    scratch: Path
    folder: Path
    """Where repro.json and heat maps go."""
    pictures: int
    _numbers: Any = field(default_factory=count)

    def units(self, seeds: int | None = None) -> list[Unit]:
        """One unit for each picture and seed; a level decodes them one by one or in batches."""
        wanted = self.job.plan.seeds if seeds is None else seeds
        usable = [unit for unit in self.job.plan.units if unit.sample.problem is None]
        if not usable:
            raise UsageError("No picture of the suite can be used.", "", "choose another suite")
        return [
            Unit(f"{unit.id}-{seed}", unit.sample, (seed,))
            for unit in usable[: self.pictures]
            for seed in range(wanted)
        ]

    def worker(self, decoder: Any = None, latents: Any = None) -> Worker:
        """The real stages over an empty folder, without metrics. None: the job's own part."""
        folder = RunFolder(self.scratch / f"trace-{next(self._numbers)}")
        return Worker(
            folder,
            decoder or self.job.decoder,
            latents or self.job.latents,
            Scorer(folder, {}, {}),
            knobs_of(self.job.config),
            self.job.config.tree.device,
        )

    @cached_property
    def latents(self) -> LatentSource | None:
        """The job's latent source, asked once for each sample."""
        return None if self.job.latents is None else Remembered(self.job.latents)

    def here(self, watch: bool = False, keep: str | None = None) -> Trace:
        """All stages in this process, from the file on."""
        return traced(self.worker(), self.units(), watch=watch, keep=keep)

    @cached_property
    def first(self) -> Trace:
        """The trace that others are compared with."""
        return self.here()

    def elsewhere(self, watch: bool = False, keep: str | None = None) -> Trace:
        """All stages in a fresh process."""
        import torch

        told, out = self._child({"task": "trace", "watch": watch, "keep": keep})
        kept = torch.load(out / "kept.pt", weights_only=True)
        return Trace(_stages(told), kept["pixels"], kept["kept"], told["failed"])

    @cached_property
    def fresh(self) -> tuple[dict[str, Any], Trace]:
        """What a fresh process built, and its trace."""
        told, _ = self._child({"task": "trace", "watch": False, "keep": None})
        return told["inputs"], Trace(_stages(told), failed=told["failed"])

    def killed(self, folder: Path) -> None:
        """Start the job in a fresh process that is killed after its first finished unit."""
        self._child({"task": "killed", "run": str(folder)}, killed=True)

    def _child(self, task: Mapping[str, Any], killed: bool = False) -> tuple[Any, Path]:
        out = self.scratch / f"process-{next(self._numbers)}"
        order = {
            **task,
            "overrides": list(self.config.overrides),
            "config_dir": self.config.config_dir,
            "changes": {**self.changes, "numerics.threads": self.job.resolved_numerics["threads"]},
            "pictures": self.pictures,
            "out": str(out),
        }
        write_json(out / "order.json", order)
        # It finds the modules that this process found.
        paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-m", "qa.repro.child", str(out / "order.json")]
        try:
            done = subprocess.run(
                command, env={**os.environ, **paths}, capture_output=True, text=True,
                timeout=PATIENCE, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise ChildFailed(f"it did not end within {PATIENCE} s") from error
        if killed == (done.returncode < 0) and (killed or done.returncode == 0):
            return (None if killed else read_json(out / "told.json")), out
        raise ChildFailed(_last(done.stderr) or f"it ended with code {done.returncode}")


class ChildFailed(Exception):
    """A fresh process did not do its part; the message says why."""


def opened(config: Config, changes: Mapping[str, Any], **places: Any) -> Bench:
    """A bench for a configuration with changes; everything is built and checked."""
    return Bench(config, changes, prepare(edited(config, changes)), **places)


def only_decoding(config: Config, scratch: Path) -> dict[str, Any]:
    """Changes that make a run of a few pictures out of the one that was asked for.

    Nothing is compared with a baseline, reported or tracked, and looks do not matter.
    """
    tree = config.tree
    few = max(tree.pictures, ORDERED)
    return {
        "limit": few if tree.limit is None else min(few, tree.limit),
        "seeds": min(tree.seeds, SEEDS),
        "baseline": "none",
        "report": None,
        "tracking": {"_target_": "qa.tracking.NoTracking"},
        "out": str(scratch / "run"),
        **{key: None for key in ("looks", "extend") if key in tree},
    }


def inputs(job: Job) -> dict[str, Any]:
    """Digests of all that goes into a picture, by name."""
    config = job.config
    parts = ("decoder", "encoder", "latents", "text", "metric", "executor")
    fields = decides(job.resolved_numerics)
    return {
        "configuration": digest({name: config.group(name) for name in parts}),
        "suite": job.plan.suite_digest,
        "decoder": job.decoder.digest,
        "latents": None if job.latents is None else job.latents.digest,
        "encoder": None if job.encoder is None else job.encoder.digest,
        "plan": job.plan.digest,
        "environment": {"class": class_of(fields), "decides": fields},
        "noise": {"version": STREAM_VERSION, "pins": list(PINS.values())},
    }


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def _stages(told: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    return {label: dict(found) for label, found in told["digests"]}
