"""The environment class: a short hash of all that changes numbers from outside a run's inputs.

Two machines of one class give the same bits for the same inputs, as far as it is known what decides
them; across classes only measured tolerances or statistics compare. PyTorch promises no equal
results across releases, commits, platforms or devices. On a CPU the thread count splits sums, and
its vendor and instruction sets choose the kernels of BLAS and oneDNN.

What merely takes time (clocks, memory, the number of cores) is no part of the class: `qa.record`
tells it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("diffusers", "numpy", "opencv-python-headless", "pillow", "transformers", "triton")
"""Packages between a file and a picture, beside PyTorch, whose name is among the numerics."""
VARIABLES = (
    "ATEN_CPU_CAPABILITY", "CUBLAS_WORKSPACE_CONFIG", "DNNL_MAX_CPU_ISA", "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS", "NVIDIA_TF32_OVERRIDE", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TRITON_CACHE_AUTOTUNING",
)  # fmt: skip
"""Environment variables that choose kernels or precision. No other is ever read into a record."""
INSTRUCTIONS = re.compile(r"(?:avx|amx|fma|f16c|sse4|asimd|sve|bf16|i8mm)\w*")


def decides(numerics: Mapping[str, Any]) -> dict[str, Any]:
    """What decides bits, by name: the settings (`qa.numerics.describe`), hardware and libraries.

    What is not there has no entry. Nothing is imported for it: without PyTorch in the process its
    build stays out.
    """
    device = str(numerics.get("device", "")).partition(":")[0]
    found: dict[str, Any] = {
        **numerics,
        # cuda:1 computes what cuda:0 does; another kind of GPU has another name in `hardware`.
        **({"device": device} if device else {}),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        **{name: version for name in PACKAGES if (version := _version(name))},
        **_codecs(),
        **_torch_build(),
        **(_gpu(str(numerics["device"])) if device == "cuda" else {}),
    }
    variables = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    return found | ({"variables": variables} if variables else {})


def class_of(fields: Mapping[str, Any]) -> str:
    """Name of the environment class of these fields: 12 hexadecimal digits."""
    text = json.dumps(dict(fields), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """`field: value in a against value in b` for each field that differs, in order of names."""
    one, two = _flat(a), _flat(b)
    return [
        f"{name}: {one.get(name, 'not there')} against {two.get(name, 'not there')}"
        for name in sorted({*one, *two})
        if one.get(name) != two.get(name)
    ]


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{key}": entry for key, entry in value.items()}
        else:
            flat[name] = value
    return flat


@lru_cache(maxsize=1)
def _processor() -> str:
    """Vendor and instruction sets: BLAS and oneDNN choose kernels by both."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor() or platform.machine()
    facts: dict[str, str] = {}
    for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    vendor = facts.get("vendor_id") or facts.get("CPU implementer") or platform.machine()
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    return " ".join([vendor, *sorted(filter(INSTRUCTIONS.fullmatch, flags))])


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@lru_cache(maxsize=1)
def _codecs() -> dict[str, str]:
    """Libraries inside Pillow: JPEG decoders differ in values, zlib in the bytes of PNG files."""
    try:
        from PIL import features
    except ImportError:
        return {}
    codecs = {"libjpeg": "jpg", "zlib": "zlib"}
    versions = {name: features.version_codec(codec) for name, codec in codecs.items()}
    turbo = features.version_feature("libjpeg_turbo")
    if turbo:
        versions["libjpeg"] = f"turbo {turbo}"
    return {name: str(version) for name, version in versions.items() if version}


def _torch_build() -> dict[str, str]:
    """PyTorch's build: its linear algebra and its convolutions on the CPU, and a digest of all."""
    torch = sys.modules.get("torch")  # reading a record must not import it
    if torch is None:
        return {}
    text = torch.__config__.show()
    found = {"torch_build": hashlib.sha256(text.encode()).hexdigest()[:12]}
    for name, pattern in (
        ("blas", r"BLAS_INFO=(\w+)"),
        ("mkl", r"Math Kernel Library Version ([\w.]+)"),
        ("onednn", r"(?:MKL-DNN|oneDNN) v([\d.]+)"),
    ):
        match = re.search(pattern, text)
        if match:
            found[name] = match[1]
    return found


def _gpu(device: str) -> dict[str, str]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return {}
    major, minor = torch.cuda.get_device_capability(device)
    found = {
        "cuda": str(torch.version.cuda),
        "cudnn": str(torch.backends.cudnn.version()),
        "capability": f"{major}.{minor}",
    }
    driver = gpu_query("driver_version")
    return found | ({"driver": driver} if driver else {})


@lru_cache(maxsize=16)
def gpu_query(field: str) -> str | None:
    """What nvidia-smi says of the first GPU, e.g. `driver_version`; None where it cannot say."""
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader", "--id=0"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.split("\n")
    return lines[0].strip() or None
