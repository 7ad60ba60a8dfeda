"""`qa doctor`: what works on this machine, and the command that mends what does not.

    ready     works here
    absent    not here, and only what asks for it needs it
    broken    is here or has to be, and does not work: the exit code is then 1

Nothing is downloaded and nothing is written but a file of a few bytes where runs and weights go,
which is removed again. Metrics are built, so a detector with weights at hand tests itself.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from qa import assets, numerics, seeds
from qa.config import build, compose
from qa.errors import QaError, UsageError, said
from qa.metrics.licences import commercial

State = Literal["ready", "absent", "broken"]
PYTHONS = ((3, 11), (3, 13))
"""Oldest and newest that are tested."""
ROOM = 5e9
"""Bytes: with less free space a run of some hundred large pictures does not fit."""
LIBRARIES = {
    "torchvision": "pip install --upgrade torch torchvision",
    "diffusers": "pip install diffusers",
    "transformers": "pip install transformers",
    "onnxruntime": "pip install onnxruntime",
    "rapidocr": "pip install rapidocr",
    "lpips": "pip install lpips",
    "torchmetrics": "pip install torchmetrics",
}
"""What a plain installation has, and how to get it."""
EXTRAS = {
    "flip_evaluator": "pip install flip-evaluator",
    "pyiqa": "pip install 'decoder-qa[iqa]'",
    "ray": "pip install 'decoder-qa[ray]'",
}


@dataclass(frozen=True)
class Finding:
    """One line."""

    part: str
    name: str
    state: State
    said: str
    fix: str = ""


def examine(as_json: bool = False) -> int:
    """Print every finding as soon as it is known, or all as JSON; 1 if something is broken."""
    found = []
    for one in findings():
        found.append(one)
        if not as_json:
            print(line(one), flush=True)
    if as_json:
        import json

        print(json.dumps([asdict(one) for one in found], indent=1))
    return int(any(one.state == "broken" for one in found))


def findings() -> Iterator[Finding]:
    """Everything that a run needs, and what some runs ask for."""
    yield from environment()
    yield from devices()
    yield from places(assets.store().cache, Path(compose([]).tree.runs))
    yield tracking(Path(compose([]).tree.runs))
    yield from weights()
    yield decoder("vae_mini")
    folder = Path(str(files("qa.conf"))) / "metric"
    yield from map(metric, sorted(file.stem for file in folder.glob("*.yaml")))


def line(found: Finding) -> str:
    """`metric     piqe         absent  pyiqa is not installed  →  pip install …`"""
    fix = f"  →  {found.fix}" if found.fix else ""
    return f"{found.part:11} {found.name:16} {found.state:7} {found.said}{fix}".rstrip()


def environment() -> Iterator[Finding]:
    """Python, PyTorch with its pinned noise, and libraries."""
    import torch

    told = ".".join(map(str, sys.version_info[:3]))
    known = PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]
    fix = "" if known else "use Python {}.{} to {}.{}".format(*PYTHONS[0], *PYTHONS[1])
    yield Finding("environment", "python", "ready" if known else "broken", told, fix)
    yield _tried("environment", "torch", seeds.check_pins, f"{torch.__version__}, noise as pinned")
    yield Finding("environment", "decoder-qa", "ready", version("decoder-qa"))
    for name, fix in LIBRARIES.items():
        yield _library(name, fix, "broken")
    for name, fix in EXTRAS.items():
        yield _library(name, fix, "absent")
    reader = shutil.which("tesseract")
    yield Finding(
        "environment", "tesseract", "ready" if reader else "absent", reader or "a second reader",
        "" if reader else "apt install tesseract-ocr",
    )  # fmt: skip


def devices() -> Iterator[Finding]:
    """The device that device=auto takes, and every GPU."""
    import torch

    device = numerics.pick_device("auto")
    hardware = numerics.describe(numerics.Numerics(), device)["hardware"]
    yield Finding("device", device, "ready", f"{hardware}, {torch.get_num_threads()} threads")
    for number in range(torch.cuda.device_count()):
        known = torch.cuda.get_device_properties(number)
        size = f"{known.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
        yield _tried("device", f"cuda:{number}", partial(_adds, number), f"{known.name}, {size}")


def places(*folders: Path) -> Iterator[Finding]:
    """Whether weights and runs can be written, and how much room there is."""
    for folder in folders:
        place = _existing(folder.expanduser().absolute())
        free = shutil.disk_usage(place).free
        room = f"{free / 1e9:.1f} GB free"
        try:
            with tempfile.NamedTemporaryFile(dir=place, prefix=".qa-doctor-"):
                pass
        except OSError as error:
            fix = "choose another place: QA_CACHE, runs="
            yield Finding("disk", str(folder), "broken", f"cannot be written: {said(error)}", fix)
            continue
        state: State = "ready" if free >= ROOM else "broken"
        yield Finding("disk", str(folder), state, room, "" if free >= ROOM else "make room")


def tracking(runs: Path) -> Finding:
    """Whether the MLflow store answers that a run would use."""
    from qa.tracking.connection import Unreachable, default_uri, reach, shown

    uri = os.environ.get("MLFLOW_TRACKING_URI") or default_uri(runs)
    try:
        reach(uri)
    except Unreachable as error:
        fix = "start it, unset MLFLOW_TRACKING_URI, or tracking=none"
        return Finding("tracking", "mlflow", "broken", f"{shown(uri)}: {error}", fix)
    return Finding("tracking", "mlflow", "ready", f"{version('mlflow')}, {shown(uri)}")


def weights() -> Iterator[Finding]:
    """Assets: damaged ones by name, the others counted."""
    found = assets.verify()
    damaged = [one for one in found if one.state == "damaged"]
    for one in damaged:
        fix = f"qa assets fetch {one.asset.name}"
        yield Finding("asset", one.asset.name, "broken", one.why or "damaged", fix)
    here = sum(one.state not in ("missing", "damaged") for one in found)
    missing = len(found) - here - len(damaged)
    fix = "qa assets list, qa assets fetch NAME" if missing else ""
    yield Finding(
        "asset", f"{here} of {len(found)}", "absent" if missing else "ready",
        f"at hand; {missing} to be fetched when something asks for them", fix,
    )  # fmt: skip


def decoder(name: str) -> Finding:
    """Whether a decoder can be built."""
    config = compose([f"decoder={name}"])
    return _tried("decoder", name, lambda: build(config.group("decoder"), "decoder"), "built")


def metric(name: str) -> Finding:
    """Whether a metric can be built from what is at hand: a detector shows that it sees."""
    node = compose([f"metric=[{name}]"]).group("metric")[name]
    try:
        with assets.without_network():
            made = build(node, f"metric {name}")
    except UsageError as error:  # weights, a package, or a setting is for the user to give
        return Finding("metric", name, "absent", error.what, error.fix)
    except QaError as error:
        return Finding("metric", name, "broken", error.what, error.fix)
    return Finding("metric", name, "ready", "" if _free(made) else "not for commercial use")


def _free(metric: Any) -> bool:
    facts = metric.facts
    known = facts.values() if isinstance(facts, dict) else [facts]
    return all(map(commercial, known))


def _library(name: str, fix: str, lacking: State) -> Finding:
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        absent = error.name == name
        state = lacking if absent else "broken"
        return Finding("environment", name, state, "not installed" if absent else said(error), fix)
    except Exception as error:  # a mismatch of versions shows as almost anything
        return Finding("environment", name, "broken", said(error), fix)
    try:
        return Finding("environment", name, "ready", version(name.replace("_", "-")))
    except PackageNotFoundError:
        return Finding("environment", name, "ready", "")


def _tried(part: str, name: str, do: Callable[[], Any], good: str) -> Finding:
    try:
        do()
    except QaError as error:
        return Finding(
            part, name, "broken", " ".join(filter(None, (error.what, error.why))), error.fix
        )
    except Exception as error:
        return Finding(part, name, "broken", said(error))
    return Finding(part, name, "ready", good)


def _adds(number: int) -> None:
    """A first kernel on a GPU: a driver that does not fit PyTorch fails here."""
    import torch

    one = torch.ones(8, device=f"cuda:{number}")
    if float((one + one).sum()) != 16:
        raise QaError("1 + 1 is not 2 on this device.", "", "check the driver: nvidia-smi")


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.is_dir())
