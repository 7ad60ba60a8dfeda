"""The commands of `qa`: each module adds its parsers (`arguments`) and carries them out.

Importing them is cheap; what a command needs is imported when it is given.
"""

from __future__ import annotations

import argparse

from qa.errors import UsageError


def trusting(command: argparse.ArgumentParser) -> None:
    """Let a command that builds what a run folder names take `trust=[MODULE]`."""
    command.add_argument(
        "overrides", nargs="*", metavar="trust=[MODULE]",
        help="your own modules that the run's configuration may name",
    )  # fmt: skip


def admit(options: argparse.Namespace) -> None:
    """Trust what such a command names; UsageError for any other word."""
    from qa import trust

    names, others = trust.split(options.overrides)
    if others:
        raise UsageError(
            f"{others[0]} has no meaning here.", "", f"only {trust.KEY}=[MODULE] can be added"
        )
    trust.admit(names)
