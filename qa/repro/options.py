"""The configuration of `qa repro`: that of a run, and what to check about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from omegaconf import OmegaConf

from qa.config import Config, Root, RunSchema, edited
from qa.errors import UsageError

LEVELS = ("R0", "R1", "R2", "R3", "R4", "R5", "R6", "R7")
ALWAYS = LEVELS[:5]
"""Checked unless others are asked for; R5 needs `vary`, R6 and R7 need `against`."""
CHANNELS_LAST = "channels_last"
SHORT = {
    "threads": "numerics.threads",
    "sdpa": "numerics.sdpa",
    "tf32": "numerics.tf32",
    "reduced_reductions": "numerics.reduced_reductions",
    "cudnn_benchmark": "numerics.cudnn_benchmark",
    "deterministic": "numerics.deterministic",
    "kernels": "numerics.kernels",
    "steps": "numerics.steps",
    "dtype": "decoder.dtype",
}
"""Word of `vary` → the key that it stands for."""


_ABSENT = object()


@dataclass
class ReproSchema(RunSchema):
    """Every key of conf/repro.yaml: those of a run, and these."""

    levels: list[str] | None = None
    pictures: int = 2
    vary: list[str] = field(default_factory=list)
    repeats: int = 5
    against: str | None = None
    run: str | None = None
    store: bool = False


ROOT = Root("repro", ReproSchema, "qa repro")


@dataclass(frozen=True)
class Variation:
    """One change of how the same numbers are computed."""

    name: str
    """As it was asked for, e.g. `threads:1`."""
    changes: Mapping[str, Any]
    """Key of the configuration → its value; empty for `channels_last`."""

    @property
    def numerics_only(self) -> bool:
        """Whether the decoder need not be built again."""
        return all(key.startswith("numerics.") for key in self.changes)


def asked(tree: Any) -> tuple[str, ...]:
    """The levels to check, in order; UsageError for unknown ones and what they lack."""
    chosen = tree.levels
    if chosen is None:
        more = (["R5"] if tree.vary else []) + (["R6", "R7"] if tree.against else [])
        return (*ALWAYS, *more)
    unknown = sorted(set(chosen) - set(LEVELS))
    if unknown or not chosen:
        raise UsageError(
            f"There is no level {unknown[0]}." if unknown else "No level was asked for.",
            f"Levels are {', '.join(LEVELS)}.",
            "levels=[R0,R1,R2], or leave levels= away",
        )
    if "R5" in chosen and not tree.vary:
        raise UsageError(
            "R5 compares ways to compute the same.", "None was named.", "vary=[threads:1]"
        )
    if {"R6", "R7"} & set(chosen) and not tree.against:
        raise UsageError(
            "R6 and R7 compare with another run.", "None was named.", "against=runs/NAME"
        )
    return tuple(level for level in LEVELS if level in chosen)


def check(config: Config) -> None:
    """UsageError for counts and variations that cannot work."""
    tree = config.tree
    for name in ("pictures", "repeats"):
        if tree[name] < 1:
            raise UsageError(f"{name}={tree[name]} cannot work.", "It is a count, 1 or more.")
    for variation in variations(tree):
        for key in variation.changes:
            if OmegaConf.select(tree, key, default=_ABSENT) is _ABSENT:
                raise UsageError(
                    f"vary={variation.name} cannot work.",
                    f"The configuration has no key {key}.",
                    "`qa repro --cfg` prints every key with its value",
                )
        OmegaConf.to_object(edited(config, variation.changes).tree.numerics)


def variations(tree: Any) -> list[Variation]:
    """What `vary` asks for: `channels_last`, `NAME`, `NAME:VALUE`, or `key=value`."""
    return [_variation(str(word)) for word in tree.vary]


def _variation(word: str) -> Variation:
    if word == CHANNELS_LAST:
        return Variation(word, {})
    name, found, value = word.partition("=" if "=" in word else ":")
    key = SHORT.get(name.strip(), name.strip())
    if "." not in key or (found and not value):
        raise UsageError(
            f"vary={word} is not understood.",
            f"Known are {CHANNELS_LAST}, {', '.join(SHORT)}, and keys of the configuration.",
            "vary=[channels_last,threads:1,sdpa:math,decoder.dtype:bfloat16]",
        )
    return Variation(word, {key: yaml.safe_load(value) if found else True})
