"""A run's gates as tests: `pytest --qa-run RUN [--qa-baseline BASE]`.

    FAIL → failed      INVALID → error      INCONCLUSIVE → skipped, with what would settle it
    waived → xfailed, with who waived it and until when
    secondary, or too few pictures for it → skipped with its state where it did not pass

The run folder's own verdict is read; with `--qa-baseline` the stored scores are judged again, as
`qa judge RUN --baseline BASE` does. Nothing is decoded and torch is not imported. `-k` selects
gates by name, `--junitxml` keeps harm, interval and margin as properties.

pytest loads this module in every session, so it imports nothing before the option is given.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from qa.outcomes import Check


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("decoder-qa", "gates of decoder-qa as tests")
    group.addoption(
        "--qa-run",
        action="append",
        default=[],
        metavar="RUN",
        help="a judged run folder: every gate becomes a test; may be given several times",
    )
    group.addoption(
        "--qa-baseline",
        metavar="BASE",
        help="judge the runs against this run or table first (default: the verdicts they hold)",
    )


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add the gates to whatever else was collected."""
    for run in config.getoption("qa_run"):
        verdict = Verdict.from_parent(
            session,
            name=run,
            nodeid=str(run).strip("/"),
            run=Path(run),
            baseline=config.getoption("qa_baseline"),
        )
        items.extend(verdict.collect())


class Verdict(pytest.Collector):
    """A run's verdict; its items are the gates."""

    def __init__(self, *, run: Path, baseline: str | None, **known: Any) -> None:
        super().__init__(**known)
        self.run, self.baseline = run, baseline

    def collect(self) -> Iterator[pytest.Item]:
        """One item for each check, named as `gate/metric`."""
        from qa.outcomes import checks

        verdict = _stored(self.run) if self.baseline is None else _judged(self.run, self.baseline)
        for check in checks(verdict):
            name = check.name if check.name == check.gate else f"{check.gate}/{check.name}"
            yield Gate.from_parent(self, name=_printable(name), check=check)


class Gate(pytest.Item):
    """One gate of a verdict."""

    def __init__(self, *, check: Check, **known: Any) -> None:
        super().__init__(**known)
        self.check = check
        self.user_properties.extend(check.properties.items())

    def setup(self) -> None:
        """What is not comparable is an error, not a failed test."""
        if self.check.kind == "broken":
            self.end()

    def runtest(self) -> None:
        """End as the gate ended."""
        if self.check.kind == "failed":
            self.end()
        if self.check.kind == "waived":
            pytest.xfail(self.check.message)
        if self.check.kind == "skipped":
            pytest.skip(f"{self.name}: {self.check.message}")

    def end(self) -> None:
        """Stop with the gate's numbers; a traceback into this file would tell nobody anything."""
        pytest.fail(f"{self.check.message}\n{self.check.details}".rstrip(), pytrace=False)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where it comes from."""
        parent = self.parent
        assert isinstance(parent, Verdict)
        return parent.run, None, self.name


def _stored(run: Path) -> dict[str, Any]:
    from qa.errors import QaError
    from qa.store import RunFolder

    try:
        return RunFolder.open(run).verdict()
    except QaError as error:
        raise pytest.UsageError(f"--qa-run {run}: {error}") from error


def _judged(run: Path, baseline: str) -> dict[str, Any]:
    """What `qa judge --json` prints; its message where it cannot judge."""
    from qa.cli import run as command

    printed, complaint = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complaint):
        command(["judge", str(run), "--baseline", baseline, "--json"])
    try:
        found = json.loads(printed.getvalue())
    except ValueError as error:
        raise pytest.UsageError(f"--qa-run {run}: {complaint.getvalue().strip()}") from error
    assert isinstance(found, dict)
    return found


def _printable(name: str) -> str:
    """A node id in one line that a terminal can show."""
    return "".join(letter if letter.isprintable() else f"<U+{ord(letter):04X}>" for letter in name)
