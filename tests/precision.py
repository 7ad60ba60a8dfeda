"""docs/precision.md: each metric's value beside an independent one, written and checked by tests.

A test calls `confirm(name, ours, theirs, ...)`. With GENERATE=1 that writes the line of this name;
otherwise the line must be there, today's numbers must be those written, and both within the
tolerance. Lines of tests that did not run stay as they are.
"""

from __future__ import annotations

import os
import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "precision.md"
LIBRARIES = {
    "torch": "torch", "torchvision": "torchvision", "torchmetrics": "torchmetrics",
    "lpips": "lpips", "piq": "piq", "pyiqa": "pyiqa", "scikit-image": "skimage",
    "scipy": "scipy", "numpy": "numpy", "flip-evaluator": "flip_evaluator",
    "clean-fid": "cleanfid", "pytorch-fid": "pytorch_fid", "torch-fidelity": "torch_fidelity",
    "transformers": "transformers", "pillow": "PIL",
}  # fmt: skip
HEAD = """# How exact the metrics are

Tests write this page (`GENERATE=1 pytest tests/qa`, with the packages of `make test-iqa`) and check
its numbers: `tests/precision.py`. Every line compares a metric's value with an independent one on
the same input; above its tolerance a test fails. Metrics of single pictures: a drawn picture with
Gaussian noise of 12 levels (`hf_energy`: blurred), and the difference is the largest over four
pictures, without noise and with noise of 4, 12 and 36 levels. Sets: drawn rows or small PNG files.
Lines of pyiqa are checked by `make test-iqa`.

"Drawn": networks with drawn numbers in place of the released weights, which are downloads. Both
sides get the same numbers, so the code is compared; the values mean nothing else.

| metric | value | independent value | difference | tolerance | independent implementation |
|---|---|---|---|---|---|
"""
LINE = re.compile(r"^\| `([^`]+)` \| (\S+) \| (\S+) \| (\S+) \| (\S+) \| (.*) \|$")


def line(
    name: str, ours: float, theirs: float, difference: float, tolerance: float, other: str
) -> str:
    """One row of the table."""
    return (
        f"| `{name}` | {ours:.10g} | {theirs:.10g} | {difference:.1e} | {tolerance:g} | {other} |"
    )


def written() -> dict[str, re.Match[str]]:
    """The rows of the page by name."""
    lines = PAGE.read_text(encoding="utf-8").splitlines() if PAGE.exists() else []
    return {found[1]: found for text in lines if (found := LINE.match(text))}


def confirm(
    name: str,
    ours: float,
    theirs: float,
    tolerance: float,
    other: str,
    difference: float | None = None,
) -> None:
    """Write or check one row; `difference` where it is not that of the two values."""
    difference = abs(ours - theirs) if difference is None else difference
    assert difference <= tolerance, (name, ours, theirs, difference)
    text = line(name, ours, theirs, difference, tolerance, other)
    if os.environ.get("GENERATE"):
        _write({**{key: row[0] for key, row in written().items()}, name: text})
        return
    assert name in written(), f"{name} is missing in {PAGE.name}; GENERATE=1 writes it"
    then, now = written()[name], LINE.match(text)
    assert now is not None
    assert (then[5], then[6]) == (now[5], now[6])
    assert float(then[4]) <= tolerance
    for column in (2, 3):
        assert float(now[column]) == pytest.approx(float(then[column]), abs=tolerance)


def _write(rows: dict[str, str]) -> None:
    installed = [name for name, module in LIBRARIES.items() if find_spec(module)]
    versions = ", ".join(f"{name} {version(name)}" for name in installed)
    table = "\n".join(rows[name] for name in sorted(rows))
    foot = f"\n\nLast written on a CPU with {versions}.\n"
    PAGE.write_text(HEAD + table + foot, encoding="utf-8")
