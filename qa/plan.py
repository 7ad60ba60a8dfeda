"""What a run will do: its samples, the digests of everything that shapes a picture, its units.

A unit's id is the digest of every input of its pictures, so equal ids mean equal pictures, on any
machine class and after any interruption. Metrics are no part of it: scoring a stored picture with
one more metric needs no new decode.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from qa.errors import UsageError
from qa.files import canonical, digest, sha256
from qa.halves import half_of
from qa.panels import asked
from qa.stats import z_quantile
from qa.stats.looks import Scheme, crossing, spending
from qa.types import Knobs, Sample, Unit

PIPELINE = (
    "qa.images", "qa.seeds", "qa.requests", "qa.worker", "qa.numerics", "qa.transfer",
)  # fmt: skip
"""Modules of the harness that decide what a picture looks like, beside the parts themselves."""

SCHEMES: Mapping[str, Scheme] = {"pr": "pocock", "release": "obrien-fleming"}
"""How a policy spends its error over looks: early where time counts, late where certainty does."""
LEAST_LEVEL = 1e-12
"""Below it no float tells the confidence of an interval from certainty."""


@dataclass(frozen=True)
class Look:
    """One of several looks at the same plan, registered before its first picture.

    Every look judges at a level of its own (`qa.stats.spending`), so that all of them together err
    no more often than one look would. Its pictures are the first of the plan in the order of
    `look_order`, so each look contains those before it.
    """

    number: int
    """1 for the first."""
    of: int
    pictures: int
    planned: int
    """Pictures of the whole plan; a look with fewer can never become a baseline."""
    sizes: tuple[int, ...]
    """Pictures of every look, increasing."""
    scheme: str
    alpha: float
    """One-sided level of this look."""
    spent: float
    """How often the looks up to this one err together."""


def look_at(
    sizes: Sequence[int] | None, extend: int | None, planned: int, policy: str
) -> Look | None:
    """The look of `extend` pictures (None: the first), or None without looks.

    UsageError for looks that do not increase or that the plan has no pictures for.
    """
    if sizes is None:
        if extend is not None:
            raise UsageError(
                f"extend={extend} has no looks to choose from.",
                "Looks are registered before the first picture.",
                f"looks=[…,{extend}], with the command that started the run",
            )
        return None
    looks = list(sizes)
    if not looks or looks != sorted(set(looks)) or looks[0] < 2 or looks[-1] > planned:
        raise UsageError(
            f"looks={looks} cannot work.",
            f"They are numbers of pictures that increase, from 2 to the suite's {planned}.",
            "e.g. looks=[48,96,192]",
        )
    size = looks[0] if extend is None else extend
    if size not in looks:
        raise UsageError(f"extend={size} is none of the looks.", f"They are {looks}.")
    place, scheme = looks.index(size), SCHEMES[policy]
    levels = spending(looks, scheme)
    if levels[0] < LEAST_LEVEL:
        raise UsageError(
            f"looks={looks} cannot work.",
            f"A first look at {looks[0]} of {looks[-1]} pictures could decide nothing: {scheme} "
            f"gives it a level of {levels[0]:.1g}.",
            f"begin later, e.g. at {math.ceil(looks[-1] / 10)}",
        )
    upto = slice(place + 1)
    return Look(
        place + 1, len(looks), size, planned, tuple(looks), scheme,
        levels[place], _spent(looks[upto], levels[upto]),
    )  # fmt: skip


def _spent(sizes: Sequence[int], levels: Sequence[float]) -> float:
    """How often a harmless change is rejected at one of these looks."""
    bounds = [-z_quantile(level) for level in levels]
    return crossing(bounds, [size / sizes[-1] for size in sizes])


def look_order(samples: Iterable[str], groups: Mapping[str, str] | None = None) -> list[str]:
    """Ids of samples in the order in which looks take them: by digest, so names decide nothing.

    `groups` names the group of those that have one; the samples of a group follow each other.
    """

    def place(name: str) -> tuple[bytes, bytes]:
        own, group = hashlib.sha256(name.encode()).digest(), (groups or {}).get(name)
        return (hashlib.sha256(group.encode()).digest() if group else own), own

    return sorted(samples, key=place)


@dataclass(frozen=True)
class Plan:
    """Everything that will be decoded."""

    digest: str
    """Over all units, also those that a look leaves for later: looks of one plan share a folder."""
    units: tuple[Unit, ...]
    seeds: int
    suite_digest: str
    limited: bool
    """`limit=` left samples out: the run can never become a baseline."""
    asks_digest: str
    """Of what panels judge the pictures by, beside references and prompts."""
    shared: Mapping[str, Any]
    """What all units share: the dial, and what else decides how their pictures are made."""
    look: Look | None = None

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
    half: str | None = None,
    look: Look | None = None,
) -> Plan:
    """Units for `samples` (sorted by id), each with seed indices 0..seeds-1.

    `inputs` holds what all units share: digests of decoder, latent source and code, numerics.
    `half` is one of what `limit` leaves.
    """
    ordered = sorted(samples, key=lambda sample: sample.id)
    kept = ordered if limit is None else ordered[:limit]
    limited = len(kept) < len(ordered)
    kept = kept if half is None else half_of(kept, half)
    shared = {"knobs": asdict(knobs), **inputs}
    mark, every = digest(shared), tuple(range(seeds))
    units = tuple(Unit(_unit_id(sample, seeds, mark), sample, every) for sample in kept)
    return Plan(
        digest=_digest(unit.id for unit in units),
        units=units if look is None else _looked_at(units, look),
        seeds=seeds,
        suite_digest=_digest(map(_identity, kept)),
        limited=limited,
        asks_digest=_digest(map(asked, kept)),
        shared=shared,
        look=look,
    )


def _looked_at(units: Sequence[Unit], look: Look) -> tuple[Unit, ...]:
    """The units of a look, in the order of the plan."""
    groups = {unit.sample.id: unit.sample.group for unit in units}
    now = set(look_order(groups, groups)[: look.pictures])
    return tuple(unit for unit in units if unit.sample.id in now)


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
    known = [sample.id, sample.sha256, sample.prompt, sample.problem]
    return [*known, sample.take] if sample.take else known


def _digest(values: Iterable[Any]) -> str:
    """`digest` of the list of these values, without the list or its text in memory."""
    found = hashlib.sha256(b"[")
    for place, value in enumerate(values):
        found.update(("," * (place > 0) + canonical(value)).encode())
    found.update(b"]")
    return found.hexdigest()


def _source(module: str) -> str:
    package, _, name = module.rpartition(".")
    return sha256(Path(str(files(package))) / f"{name}.py")
