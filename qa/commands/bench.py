"""`qa bench`: how fast and in how much memory decoders run on this device."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from qa.commands.run import configured
from qa.terminal import progress_bar, warnings_as_lines


@dataclass
class BenchSchema:
    """Every key of conf/bench.yaml; what it means stands there and in decoders.bench."""

    systems: list[str] | None = None
    sizes: list[int] | None = None
    batch: list[int] = field(default_factory=lambda: [1])
    dtype: list[str] | None = None
    kernels: list[str] | None = None
    steps: list[str] | None = None
    memory: list[str] | None = None
    operations: bool = True
    rounds: int | None = None
    profile: bool = False
    device: str = "auto"
    threads: int | None = None
    out: str | None = None


def arguments(commands: Any) -> None:
    """Add the parser."""
    command = commands.add_parser(
        "bench",
        help="how fast and in how much memory decoders run here",
        description="systems, sizes, batch, dtype, kernels, steps, memory: lists of choices. What "
        "does not agree with the plain way is not timed. See conf/bench.yaml.",
    )
    configured(command, "print what would be measured")
    command.add_argument("--json", action="store_true", help="print what was measured as JSON")
    command.set_defaults(do=_bench)


def _bench(options: argparse.Namespace) -> int:
    from omegaconf import OmegaConf

    from qa.config import Root, compose
    from qa.numerics import pick_device

    root = Root("bench", BenchSchema, "qa bench")
    config = compose(options.overrides, options.config_dir, root)
    if options.cfg:
        print(config.resolved(), end="")
        return 0
    # By name: decoders stand on qa, qa does not know them.
    bench = import_module("decoders.bench.run")
    settings: Any = OmegaConf.to_container(config.tree, resolve=True)
    wanted = bench.Options(**settings)
    if options.dry_run:
        for group in bench.plan(wanted, pick_device(wanted.device).partition(":")[0]):
            for way in group.ways:
                print(f"{group.system.name} {group.side} x{group.batch} {way}")
        return 0
    with warnings_as_lines(), progress_bar("bench") as bar:
        document, code = bench.run(wanted, lambda done, rows, _: bar(done, rows))
    if options.json:
        print(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False))
    else:
        print(import_module("decoders.bench.table").text(document))
    if code:
        print("error: not everything agreed or could be run; see the table", file=sys.stderr)
    return int(code)
