"""Writes and checks `docs/precision.md`: how far each metric is from an independent value.

`GENERATE=1 pytest tests/qa/metrics/test_precision.py` writes the page. Otherwise its numbers are
compared with today's, within the stated tolerance; versions and wording are not compared.
"""

import os
import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "precision.md"
LIBRARIES = (
    "torch torchvision torchmetrics lpips piq pyiqa scikit-image scipy numpy clean-fid "
    "pytorch-fid torch-fidelity"
).split()
HEAD = """# How exact the metrics are

`tests/qa/metrics/test_precision.py` writes this page (`GENERATE=1 pytest` on it) and checks its
numbers. Every line compares a metric's value with an independent one on the same drawn picture with
Gaussian noise of 12 levels (`hf_energy`: blurred). The difference is the largest over four pictures:
without noise, and with noise of 4, 12 and 36 levels. Above its tolerance a test fails (metrics of
pyiqa: `make test-iqa`).

"Drawn": networks with drawn numbers in place of the released weights, which are downloads. Both
sides get the same numbers, so the code is compared; the values mean nothing else.

| metric | value | independent value | difference | tolerance | independent implementation |
|---|---|---|---|---|---|
"""
NUMBERS = re.compile(r"^\| `(\w+)` \| (\S+) \| (\S+) \| (\S+) \| (\S+) \|")


def row(battery, case):
    reference, pictures = battery.ladder(case)
    values = case.metric(pictures, reference)
    others = battery.expected(case, pictures, reference)
    difference = max(abs(a - b) for a, b in zip(values, others, strict=True))
    return (
        f"| `{case.metric.facts.name}` | {values[2]:.10g} | {others[2]:.10g} | {difference:.1e} "
        f"| {case.tolerance:g} | {case.oracle_name} |"
    )


def written():
    """Lines of the page by metric name."""
    lines = PAGE.read_text(encoding="utf-8").splitlines() if PAGE.exists() else []
    return {found[1]: line for line in lines if (found := NUMBERS.match(line))}


def test_page(battery, case):
    """The page has this metric's numbers, and they are still true."""
    if os.environ.get("GENERATE"):
        pytest.skip("the page is being written")
    name = case.metric.facts.name
    assert name in written(), "missing; GENERATE=1 writes it"
    then, now = (NUMBERS.match(line) for line in (written()[name], row(battery, case)))
    assert float(then[5]) == case.tolerance
    assert float(now[4]) <= case.tolerance
    assert float(then[4]) <= case.tolerance
    for column in (2, 3):
        assert float(now[column]) == pytest.approx(float(then[column]), abs=case.tolerance)


def test_the_comparison_can_fail(battery, all_cases):
    numbers = NUMBERS.match(row(battery, all_cases["psnr"]))
    assert float(numbers[2]) != pytest.approx(float(numbers[2]) + 1e-4, abs=1e-5)


def test_no_metric_is_missing(cases_module):
    if not os.environ.get("GENERATE"):
        assert list(written()) == list(cases_module.BUILDERS)


@pytest.mark.skipif(not os.environ.get("GENERATE"), reason="GENERATE=1 writes docs/precision.md")
def test_generate(battery, all_cases, cases_module):
    rows = written()
    for name in cases_module.BUILDERS:
        try:
            rows[name] = row(battery, all_cases[name])
        except pytest.skip.Exception:  # an extra that is not installed keeps its line
            assert name in rows, f"{name} has no line yet and is not installed"
    table = "\n".join(rows[name] for name in cases_module.BUILDERS)
    installed = [name for name in LIBRARIES if find_spec(name.replace("scikit-image", "skimage"))]
    versions = ", ".join(f"{name} {version(name)}" for name in installed)
    foot = f"\n\nLast written on a CPU with {versions}.\n"
    PAGE.write_text(HEAD + table + foot, encoding="utf-8")
