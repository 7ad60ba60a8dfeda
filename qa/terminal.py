"""What the commands show: verdicts on stdout, plan, progress and warnings on stderr."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any


def print_verdict(verdict: Mapping[str, Any], as_json: bool) -> None:
    """The verdict on stdout, as a table for people or the whole document for machines."""
    if as_json:
        print(json.dumps(verdict, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False))
        return
    from rich.console import Console

    Console().print(import_module("reports.terminal").table(verdict))


def plan_lines(planned: Mapping[str, Any]) -> str:
    """What `qa.job.cost` found, in two lines."""
    seconds = planned["seconds"]
    if planned["left"] == 0:
        time = "all of them are finished"
    elif seconds is None:
        time = "time not known: no finished run of this decoder here"
    else:
        time = f"about {seconds:.0f} s of decoding, from {planned['measured']} measured decodes"
    done = planned["decodes"] - planned["left"]
    resumed = f", {done} finished" if done and planned["left"] else ""
    return (
        f"plan  {planned['pictures']} pictures × {planned['seeds']} seeds = "
        f"{planned['decodes']} decodes{resumed}; {time}\n"
        f"      {', '.join(planned['metrics'])}  →  {planned['folder']}"
    )


def asset_row(status: Any) -> dict[str, Any]:
    """An asset's state (`qa.assets.Status`) as plain values."""
    asset = status.asset
    return {
        "name": asset.name,
        "state": status.state,
        "path": None if status.path is None else str(status.path),
        "bytes": asset.size,
        "about": asset.about,
        "licence": asset.licence,
        "needed_by": list(asset.needed_by),
        "origin": asset.origin,
        "why": status.why,
        "note": asset.note,
    }


def print_assets(found: Iterable[Any]) -> None:
    """The asset table with each file's state."""
    from rich.console import Console
    from rich.table import Table

    table = Table("asset", "state", "MB", "licence", "needed for", box=None, pad_edge=False)
    for row in map(asset_row, found):
        about = f"~{row['about'] / 1e6:.0f}" if row["about"] else "?"
        size = f"{row['bytes'] / 1e6:.1f}" if row["bytes"] else about
        table.add_row(row["name"], row["state"], size, row["licence"], ", ".join(row["needed_by"]))
    Console().print(table)


def shown(text: str) -> str:
    """Text for a terminal: names from elsewhere may hold sequences that command it."""
    return str(import_module("reports.wording").visible(text))


@contextmanager
def progress_bar(label: str) -> Iterator[Any]:
    """A bar with count, rate and time left on stderr; plain lines where that is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    rate = TextColumn("{task.fields[rate]}")
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(20),
        MofNCompleteColumn(),
        rate,
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
    ) as bar:
        task = bar.add_task(label, total=None, rate="")

        def show(done: int, total: int) -> None:
            speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:.1f}/s" if speed else "")

        yield show


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Our own warnings as one line each; libraries' deprecation notes stay away from users."""

    def line(message: Warning | str, category: type[Warning], *_: Any) -> None:
        if issubclass(category, RuntimeWarning):
            print(f"warning: {shown(str(message))}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = line  # type: ignore[assignment]
        yield
