"""Rows of the gate `slices` apart from the others: a block for each metric, a row for each tag.

    psnr                           psnr            psnr by tag
    psnr[photo]             ──►    catastrophe       photo
    psnr[mean of slices]                             mean of slices
    catastrophe

A slice decides nothing, and there are many: among the gates they hide those that count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Block:
    """The slices of one metric."""

    metric: str
    unit: str
    rows: tuple[tuple[str, Mapping[str, Any]], ...]
    """(tag, row of the verdict), in the verdict's order: tags by name, then their mean."""


def split(gates: Iterable[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], list[Block]]:
    """The rows that are no slices, and the blocks of those that are, in the verdict's order."""
    others: list[Mapping[str, Any]] = []
    found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for gate in gates:
        if gate.get("gate") != "slices":
            others.append(gate)
            continue
        metric, tag = _parts(str(gate["metric"]))
        found.setdefault(metric, []).append((tag, gate))
    return others, [
        Block(metric, str(rows[0][1].get("unit") or ""), tuple(rows))
        for metric, rows in found.items()
    ]


def _parts(name: str) -> tuple[str, str]:
    """`metric[tag]` → metric, tag on one line; a tag may hold brackets, a metric's name cannot."""
    metric, _, rest = name.partition("[")
    return metric, " ".join(rest.removesuffix("]").split())
