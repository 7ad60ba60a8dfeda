"""`qa view`: the pictures of a run at full resolution, in the browser of this machine."""

from __future__ import annotations

import argparse
import sys
import threading
import webbrowser
from importlib import import_module
from typing import Any

from qa.commands.report import compared
from qa.store import RunFolder

PORTS = range(1024, 65536)
"""Below them a browser may leave the port out of an address."""


def arguments(commands: Any) -> None:
    """Add the parser."""
    command = commands.add_parser(
        "view",
        help="the pictures of a run at full resolution, in a browser",
        description="Serves the pictures to this machine alone until Ctrl-C. See docs/view.md.",
    )
    command.add_argument("run", metavar="RUN")
    command.add_argument(
        "bases", metavar="BASE", nargs="*", help="runs to show beside it (default: its baseline)"
    )
    command.add_argument("--port", type=port, default=0, help="default: any free one")
    command.add_argument("--no-open", action="store_true", help="only print the address")
    command.set_defaults(do=_view)


def _view(options: argparse.Namespace) -> int:
    run = RunFolder.open(options.run)
    bases = tuple(map(RunFolder.open, options.bases)) or _own(run)
    # By name: reports stand on qa, qa does not know them.
    site = import_module("reports.viewer").viewer(run, bases)
    with import_module("reports.serving").Server(site, options.port) as server:
        print(server.url, flush=True)
        print(f"shows {run.path} to this machine alone; Ctrl-C ends it", file=sys.stderr)
        if not options.no_open:
            # A browser in the terminal ends only when it is closed.
            threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("\nended: the address is no longer served", file=sys.stderr)
    return 0


def _own(run: RunFolder) -> tuple[RunFolder, ...]:
    """The baseline that a run was judged against, if its pictures are at hand."""
    found = compared(run)[0] if run.verdict_file.is_file() else None
    return () if found is None else (found,)


def port(text: str) -> int:
    """A port of the command line, 0 for any free one."""
    number = int(text)
    if number and number not in PORTS:
        allowed = f"{PORTS.start} to {PORTS.stop - 1}"
        raise argparse.ArgumentTypeError(f"{text} is not 0 (any free one) or {allowed}")
    return number
