"""What a run has to say about itself so that its numbers can be traced and repeated."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from qa.files import digest

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
    """Machine, versions and source revision. No user name, path or environment variable."""
    return {
        "class": digest(numerics)[:12],
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "gpu": _gpu(),
        "versions": versions(),
        "git": git_state(Path.cwd()),
    }


def versions() -> dict[str, str]:
    """Installed versions of the packages that can change a number."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and whether the tree has changes; None outside a repository or without git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain"))}


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
    }
