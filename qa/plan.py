"""What a run will do: its samples, the digests of everything that shapes a picture, its units.

A unit's id is the digest of every input of its pictures, so equal ids mean equal pictures, on any
machine class and after any interruption. Metrics are no part of it: scoring a stored picture with
one more metric needs no new decode.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from qa.files import digest, sha256
from qa.types import Knobs, Sample, Unit

PIPELINE = ("qa.images", "qa.seeds", "qa.requests", "qa.worker", "qa.numerics")
"""Modules of the harness that decide what a picture looks like, beside the parts themselves."""


@dataclass(frozen=True)
class Plan:
    """Everything that will be decoded."""

    digest: str
    units: tuple[Unit, ...]
    seeds: int
    suite_digest: str
    limited: bool
    """`limit=` left samples out: the run can never become a baseline."""

    @property
    def decodes(self) -> int:
        """How many pictures will be decoded."""
        return len(self.units) * self.seeds


def make_plan(
    samples: Sequence[Sample],
    *,
    seeds: int,
    knobs: Knobs,
    inputs: Mapping[str, Any],
    limit: int | None = None,
) -> Plan:
    """Units for `samples` (sorted by id), each with seed indices 0..seeds-1.

    `inputs` holds what all units share: digests of decoder, latent source and code, numerics.
    """
    ordered = sorted(samples, key=lambda sample: sample.id)
    kept = ordered if limit is None else ordered[:limit]
    shared = digest({"knobs": asdict(knobs), **inputs})
    units = tuple(
        Unit(_unit_id(sample, seeds, shared), sample, tuple(range(seeds))) for sample in kept
    )
    return Plan(
        digest=digest([unit.id for unit in units]),
        units=units,
        seeds=seeds,
        suite_digest=digest([_identity(sample) for sample in kept]),
        limited=len(kept) < len(ordered),
    )


def content(sample: Sample) -> str:
    """Digest of what a sample shows and asks for; noise is drawn from it, not from its name."""
    return digest([sample.sha256, sample.prompt])


def code_digest(parts: Sequence[Any]) -> str:
    """Digest of the source that makes pictures: the pipeline's modules and the parts' own.

    `parts` are configuration nodes; every `_target_` in them counts, nested ones too. A part of
    ours stands for the whole of `decoders`, so that a change in a helper or kernel counts. A part
    from elsewhere stands for the file that defines it and for its configuration, since nothing is
    known about what its own digest covers.
    """
    sources: dict[str, Any] = {name: _source(name) for name in PIPELINE}
    for part in parts:
        modules = {target.rpartition(".")[0] for target in _targets(part)}
        for module in sorted(modules):
            if module.partition(".")[0] == "decoders":
                root = Path(str(files("decoders")))
                for path in sorted([*root.rglob("*.py"), *root.rglob("*.toml")]):
                    sources[path.relative_to(root).as_posix()] = sha256(path)
            else:
                sources[module] = [sha256(_file(module)), part]
    return digest(sources)


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield str(node["_target_"])
        for value in node.values():
            yield from _targets(value)


def _file(module: str) -> Path:
    return Path(str(sys.modules[module].__file__))


def _unit_id(sample: Sample, seeds: int, shared: str) -> str:
    return digest([shared, _identity(sample), seeds])[:32]


def _identity(sample: Sample) -> list[Any]:
    return [sample.id, sample.sha256, sample.prompt, sample.problem]


def _source(module: str) -> str:
    package, _, name = module.rpartition(".")
    return sha256(Path(str(files(package))) / f"{name}.py")
