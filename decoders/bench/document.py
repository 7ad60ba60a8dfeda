"""The file of a device: what was measured on it, by key, without a date.

    schema      1
    device      slug, name, kind, threads (CPU), memory in bytes
    rows        system/side/batch/dtype/kernels/steps/memory → row
    operations  operation/side/dtype/kernels → row

A later run replaces the rows that it measures and keeps the others. So every row says with which
software it was measured, and carries the ceiling of its own run.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from qa.environment import gpu_query
from qa.errors import UsageError
from qa.files import read_json, write_json

SCHEMA = 1
PREFIX = "bench-"
FOLDER = Path("docs") / "measurements"
Document = dict[str, Any]


def about(device: torch.device) -> dict[str, Any]:
    """What the device is."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        named = {"name": properties.name, "memory_bytes": properties.total_memory}
        return {"kind": "cuda", "slug": slug(properties.name), **named}
    name, threads = _processor(), torch.get_num_threads()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "kind": "cpu",
        "name": name,
        "memory_bytes": memory,
        "threads": threads,
        "slug": slug(f"{name} {threads} threads"),
    }


def software(device: torch.device) -> dict[str, str]:
    """What decides speed beside the device, by name and version."""
    found = {"torch": torch.__version__}
    if device.type == "cuda":
        with suppress(metadata.PackageNotFoundError):
            found["triton"] = metadata.version("triton")
        found |= {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}
        found |= {"driver": driver} if (driver := gpu_query("driver_version")) else {}
    return found


def slug(name: str) -> str:
    """A name as part of a file's name: lower case, everything else than letters and digits "-"."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def file_of(document: Mapping[str, Any], out: str | None = None) -> Path:
    """Where a device's file lies: `out`, or its own name under docs/measurements."""
    return Path(out) if out else FOLDER / f"{PREFIX}{document['device']['slug']}.json"


def merged(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> Document:
    """A file with what was measured now in place of the same rows.

    Raises UsageError for a file of another schema or device.
    """
    if before is None:
        return dict(now)
    if before.get("schema") != SCHEMA or before["device"]["slug"] != now["device"]["slug"]:
        raise UsageError(
            "The file holds measurements of another device or form.",
            f"It is schema {before.get('schema')}, {before.get('device', {}).get('slug')}; "
            f"measured was schema {SCHEMA}, {now['device']['slug']}.",
            "out=FILE",
        )
    kept = {name: {**before[name], **now[name]} for name in ("rows", "operations")}
    return {**now, **kept}


def stored(file: Path) -> Document | None:
    """A device's file, or None where there is none yet."""
    return read_json(file) if file.is_file() else None


def write(file: Path, document: Document) -> None:
    """Write it whole."""
    write_json(file, document)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()
