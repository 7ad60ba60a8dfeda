"""`qa doctor`: what works on this machine, and the command that mends what does not.

    ready     works here
    absent    not here, and only what asks for it needs it
    broken    is here or has to be, and does not work: the exit code is then 1

Nothing is downloaded and nothing is written but a file of a few bytes where runs and weights go,
which is removed again. Metrics are built, so a detector with weights at hand tests itself.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from qa import installed
from qa.errors import QaError, UsageError, said

State = Literal["ready", "absent", "broken"]
PYTHONS = ((3, 11), (3, 13))
"""Oldest and newest that are tested."""
ROOM = 5e9
"""Bytes: with less free space a run of some hundred large pictures does not fit."""


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
    """Everything that a run needs, and what some runs ask for. No check takes another down."""
    yield from _guarded("environment", "python", python)
    yield from _guarded("environment", "packages", libraries)
    yield from _guarded("environment", "noise", noise)
    yield from _guarded("environment", "tesseract", reader)
    yield from _guarded("device", "auto", devices)
    yield from _guarded("disk", "QA_CACHE", lambda: [place(_cache(), "export QA_CACHE=FOLDER")])
    yield from _guarded("disk", "runs", lambda: [place(_runs(), "qa run runs=FOLDER")])
    yield from _guarded("tracking", "mlflow", lambda: [tracking(_runs())])
    yield from _guarded("asset", "all", weights)
    yield from _guarded("decoder", "vae_mini", lambda: [decoder("vae_mini")])
    folder = Path(str(files("qa.conf"))) / "metric"
    for name in sorted(file.stem for file in folder.glob("*.yaml")):
        yield from _guarded("metric", name, partial(_metric, name))


def line(found: Finding) -> str:
    """`metric     piqe         absent  pyiqa is not installed  →  pip install …`"""
    fix = f"  →  {found.fix}" if found.fix else ""
    return f"{found.part:11} {found.name:16} {found.state:7} {found.said}{fix}".rstrip()


def python() -> Iterator[Finding]:
    """Whether this Python is one of those that are tested."""
    told = ".".join(map(str, sys.version_info[:3]))
    known = PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]
    fix = "" if known else "use Python {}.{} to {}.{}".format(*PYTHONS[0], *PYTHONS[1])
    yield Finding("environment", "python", "ready" if known else "broken", told, fix)


def libraries() -> Iterator[Finding]:
    """decoder-qa, and every package that it asks for."""
    yield Finding("environment", installed.OURS, "ready", version(installed.OURS))
    for package in installed.packages():
        trouble = package.trouble()
        if trouble is None:
            yield Finding("environment", package.name, "ready", package.version())
            continue
        absent, why, fix = trouble
        state: State = "absent" if absent and not package.everywhere else "broken"
        yield Finding("environment", package.name, state, why, fix)


def noise() -> Iterator[Finding]:
    """Whether PyTorch draws the noise that is pinned."""
    from qa import seeds

    yield _tried("environment", "noise", seeds.check_pins, "as pinned")


def reader() -> Iterator[Finding]:
    """The second reader of text."""
    found = shutil.which("tesseract")
    yield Finding(
        "environment", "tesseract", "ready" if found else "absent", found or "a second reader",
        "" if found else "apt install tesseract-ocr",
    )  # fmt: skip


def devices() -> Iterator[Finding]:
    """The device that device=auto takes, and every GPU."""
    import torch

    from qa import numerics

    device = numerics.pick_device("auto")
    hardware = numerics.describe(numerics.Numerics(), device)["hardware"]
    yield Finding("device", device, "ready", f"{hardware}, {torch.get_num_threads()} threads")
    for number in range(torch.cuda.device_count()):
        known = torch.cuda.get_device_properties(number)
        size = f"{known.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
        yield _tried("device", f"cuda:{number}", partial(_adds, number), f"{known.name}, {size}")


def place(folder: Path, fix: str) -> Finding:
    """Whether a folder can be made and written, and how much room there is; `fix` names another."""
    whole = folder.expanduser().absolute()
    there = next(one for one in (whole, *whole.parents) if os.path.lexists(one))
    if not there.is_dir():
        why = f"{there} is no folder" if there.exists() else f"{there} is a link to nothing"
        return Finding("disk", str(folder), "broken", why, fix)
    try:
        free = shutil.disk_usage(there).free
        with tempfile.NamedTemporaryFile(dir=there, prefix=".qa-doctor-"):
            pass
    except OSError as error:
        return Finding("disk", str(folder), "broken", f"cannot be written: {said(error)}", fix)
    state: State = "ready" if free >= ROOM else "broken"
    return Finding(
        "disk", str(folder), state, f"{free / 1e9:.1f} GB free", "" if free >= ROOM else fix
    )


def tracking(runs: Path) -> Finding:
    """Whether the MLflow store answers that a run would use."""
    from qa.tracking.connection import Unreachable, default_uri

    uri = os.environ.get("MLFLOW_TRACKING_URI") or default_uri(runs)
    # Whatever follows // up to an @ may be a password, and so may a query.
    address = re.sub("//.*@", "//***@", uri.partition("?")[0])
    try:
        _answers(uri)
    except ModuleNotFoundError as error:
        return _failed("tracking", "mlflow", error)
    except Exception as error:  # MLflow, SQLAlchemy and drivers; what they say may hold the address
        ours = isinstance(error, Unreachable | QaError) and "@" not in uri
        told = str(error) if ours else type(error).__name__
        fix = "export MLFLOW_TRACKING_URI=ADDRESS of a store that runs, or qa run tracking=none"
        return Finding("tracking", "mlflow", "broken", f"{address}: {told}", fix)
    return Finding("tracking", "mlflow", "ready", f"{version('mlflow')}, {address}")


def _answers(uri: str) -> None:
    """An exception unless the store is there, or can be made; nothing is written."""
    from qa.tracking.connection import DATABASES, reach, sqlite_file

    reach(uri)
    scheme, file = uri.partition(":")[0].partition("+")[0], sqlite_file(uri)
    if file is not None and file.is_file():
        import sqlite3

        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as opened:
            opened.execute("SELECT count(*) FROM sqlite_master")
    elif file is not None:
        found = place(file.parent, "")
        if found.said and found.state == "broken":
            raise QaError(found.said)
    elif scheme not in {"http", "https", *DATABASES}:
        from mlflow import MlflowClient

        MlflowClient(tracking_uri=uri)


def _cache() -> Path:
    from qa import assets

    return assets.store().cache


def _runs() -> Path:
    from qa.config import compose

    return Path(compose([]).tree.runs)


def weights() -> Iterator[Finding]:
    """Assets: damaged ones by name, the others counted."""
    from qa import assets

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
    from qa.config import build, compose

    config = compose([f"decoder={name}"])
    return _tried("decoder", name, lambda: build(config.group("decoder"), "decoder"), "built")


def metric(name: str) -> Finding:
    """Whether a metric can be built from what is at hand: a detector shows that it sees."""
    from qa import assets
    from qa.config import build, compose

    node = compose([f"metric=[{name}]"]).group("metric")[name]
    try:
        with assets.without_network():
            made = build(node, f"metric {name}")
    except QaError as error:
        # Weights, a package or a setting are for the user to give.
        return _failed(
            "metric", name, error, "absent" if isinstance(error, UsageError) else "broken"
        )
    return Finding("metric", name, "ready", "" if _free(made) else "not for commercial use")


def _metric(name: str) -> Iterator[Finding]:
    yield metric(name)


def _free(metric: Any) -> bool:
    from qa.metrics.licences import commercial

    facts = metric.facts
    known = facts.values() if isinstance(facts, dict) else [facts]
    return all(map(commercial, known))


def _guarded(part: str, name: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """What a check finds; what it raises is a finding, too."""
    try:
        yield from check()
    except Exception as error:
        yield _failed(part, name, error)


def _failed(part: str, name: str, error: Exception, state: State = "broken") -> Finding:
    lacking = installed.absent(error)
    if isinstance(error, QaError):
        return Finding(part, name, state, said(error), installed.asked_for(lacking) or error.fix)
    fix = installed.fix(lacking) if lacking else "qa doctor --json, and report what it says"
    return Finding(part, name, state, said(error), fix)


def _tried(part: str, name: str, do: Callable[[], Any], good: str) -> Finding:
    try:
        do()
    except Exception as error:
        return _failed(part, name, error)
    return Finding(part, name, "ready", good)


def _adds(number: int) -> None:
    """A first kernel on a GPU: a driver that does not fit PyTorch fails here."""
    import torch

    one = torch.ones(8, device=f"cuda:{number}")
    if float((one + one).sum()) != 16:
        raise QaError("1 + 1 is not 2 on this device.", "", "check the driver: nvidia-smi")
