"""What a run has to say about itself so that its numbers can be traced and repeated."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from qa import seeds
from qa.environment import class_of, decides, gpu_query
from qa.files import digest
from qa.types import Sample

SCHEMA = "decoder-qa/record/1"
PACKAGES = (
    "decoder-qa", "torch", "torchvision", "numpy", "scipy", "pillow", "opencv-python-headless",
    "diffusers", "transformers", "safetensors", "torchmetrics", "lpips", "piq", "pyiqa",
    "scikit-image", "hydra-core", "mlflow", "pandas", "pyarrow", "triton", "ray",
)  # fmt: skip


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def environment(numerics: dict[str, Any]) -> dict[str, Any]:
    """Machine, versions and source revision. No user name and no path.

    `class` names the environment class and `decides` its fields (`qa.environment`); `noise` is the
    version of the noise streams with the pinned digests that held when the run started.
    """
    fields = decides(numerics)
    return {
        "class": class_of(fields),
        "decides": fields,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "gpu": _gpu(),
        "versions": versions(),
        "packages": _packages(),
        "git": git_state(Path.cwd()),
        "noise": {"version": seeds.STREAM_VERSION, "pins": list(seeds.PINS.values())},
    }


def sample_row(sample: Sample, height: int | None, width: int | None) -> dict[str, Any]:
    """A sample as samples.jsonl keeps it; file paths stay out, so that the run can move."""
    return {
        "id": sample.id,
        "sha256": sample.sha256,
        "prompt": sample.prompt,
        "tags": list(sample.tags),
        "asks": dict(sample.asks),
        "group": sample.group,
        "take": sample.take,
        "regions": [{"text": r.text, "box": list(r.box)} for r in sample.regions],
        "height": height,
        "width": width,
        "problem": sample.problem,
    }


def inputs(shared: Mapping[str, Any]) -> dict[str, Any]:
    """What pictures are made from beside samples and seeds: one digest, and its parts.

    `shared` is a plan's. Numerics are left to the environment class, which has them with all else
    that a machine adds.
    """
    parts = {name: value for name, value in shared.items() if name != "numerics"}
    return {"digest": digest(parts), **parts}


def versions() -> dict[str, str]:
    """Installed versions of the packages that can change a number."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@lru_cache(maxsize=1)
def _packages() -> str:
    """SHA-256 over the sorted lines `name==version` of everything installed."""
    told = (found.metadata for found in metadata.distributions())
    lines = {f"{facts['Name']}=={facts['Version']}".lower() for facts in told}
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit, whether the tree has changes, and a digest of those in tracked files.

    None outside a repository or without git.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _git(folder, "diff", "HEAD")
    return {
        "commit": commit,
        "dirty": bool(_git(folder, "status", "--porcelain")),
        "changes": hashlib.sha256(changes.encode()).hexdigest() if changes else None,
    }


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu() -> dict[str, Any]:
    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = (line.partition(":") for line in info.read_text().splitlines())
        model = next((v.strip() for k, _, v in lines if k.strip() == "model name"), model)
    return {"model": model, "count": os.cpu_count()}


def _gpu() -> dict[str, Any] | None:
    torch = sys.modules.get("torch")  # reading a record must not import it
    if torch is None or not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "memory_bytes": properties.total_memory,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "driver": gpu_query("driver_version"),
        "ecc": gpu_query("ecc.mode.current"),
        "mig": gpu_query("mig.mode.current"),
    }
