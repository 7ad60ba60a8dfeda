"""Who approves: an approval without a name is none."""

from __future__ import annotations

import os
import subprocess

from qa.errors import UsageError


def who(given: str | None = None) -> str:
    """`given`, or the name and address that git would write into a commit.

    UsageError if neither is known: a baseline that nobody approved is no baseline.
    """
    if given and given.strip():
        return " ".join(given.split())
    name, address = (os.environ.get(f"GIT_AUTHOR_{part}", "") for part in ("NAME", "EMAIL"))
    if not name:
        name, address = (_git(f"user.{part}") for part in ("name", "email"))
    if not name:
        raise UsageError(
            "Who approves this is not known.",
            "No --by was given and git has no user.name.",
            "--by NAME, or: git config --global user.name NAME",
        )
    return f"{name} <{address}>" if address else name


def _git(key: str) -> str:
    """A setting of git; empty without git, or where it is not set."""
    try:
        done = subprocess.run(
            ["git", "config", "--get", key], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
