"""What `qa bench` measured, as sections of docs/performance.md: one for each device's file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from decoders.bench import table
from decoders.bench.document import PREFIX
from decoders.bench.published import SOURCE

MEASUREMENTS = Path(__file__).parent.parent / "docs" / "measurements"
HEAD = """## Decoders on {name}

`qa bench` → `docs/measurements/{file}`: {versions}. A whole decode from noise, latent and text;
weights drawn in the released layout, those of the small networks trained. Seconds of a picture:
median [20th, 80th percentile], ways of one system, size and batch taking turns; "ms a step" is the
whole decode over its steps (of L2P, with guidance, two passes each). "Above" is what a call needs
beside the weights.
FLOP are those of the plain way's products, convolutions and attention; their share of a large
matrix product's rate can exceed 100% where a library multiplies less (Winograd). "Differs" is the
largest difference to the plain way (float32, torch, eager, untiled, one picture; its own to float64
but for norms and rotations), of half precisions the RMS of differences, over the RMS of the
picture, at 64 to 256 pixels; what differs more than its precision allows is not timed.
"Alone": whether pictures of a batch have the bits that they have alone.

"""
OPERATIONS = """
Single operations of `decoders.kernels`: MB that must be read and written once, and the rate against
that of copying a large tensor ({rate}; small tensors on a CPU stay in its caches).

"""


def documents() -> dict[str, dict[str, Any]]:
    """The files of all devices, by name; those of CPUs first."""
    found = {
        file.name: json.loads(file.read_text()) for file in MEASUREMENTS.glob(f"{PREFIX}*.json")
    }
    return dict(sorted(found.items(), key=lambda item: (item[1]["device"]["kind"], item[0])))


def section(document: dict[str, Any], file: str) -> str:
    """A device's part of docs/performance.md."""
    device = document["device"]
    name = device["name"]
    if "threads" in device:
        name += f", {device['threads']} threads"
    page = HEAD.format(name=name, file=file, versions=table.versions(document))
    head, body = table.rows(document)
    page += markdown(head, body)
    if "published" in head:
        page += f"\nPublished: {SOURCE}.\n"
    if document["operations"]:
        rates = [row.get("copy_bytes_per_second") for row in document["operations"].values()]
        best = max((rate for rate in rates if rate), default=None)
        rate = table.NOT_MEASURED if best is None else f"{best / 1e9:.0f} GB/s"
        page += OPERATIONS.format(rate=rate) + markdown(*table.operations(document))
    lines = table.profiles(document)
    if lines:
        page += "\nWhere time goes:\n\n" + "".join(f"- `{line}`\n" for line in lines)
    return page


def markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    rows = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
