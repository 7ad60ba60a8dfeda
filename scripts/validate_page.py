"""How the simulations of `validate_gates` read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qa.stats.validation import SHARES_BAR, bar

Figures = dict[str, list[float]]


def section(result: dict[str, Any]) -> str:
    """The part of docs/validation.md that speaks of simulations."""
    figures = result["figures"]
    parts = (_grid, _controls, _rates, _shares, _power, _family, _drift, _looks, _sets)
    return _head(result["suites"]) + "\n".join(filter(None, (part(figures) for part in parts)))


def _head(suites: int) -> str:
    error = 100 * (0.05 * 0.95 / suites) ** 0.5
    return f"""## Error rates where the truth is known

`python scripts/validate_gates.py` → `docs/measurements/validation.json`: {suites} simulated
comparisons for each figure (standard error {error:.2f} points at 5 %), five times as many for a
mean that has a bar; one-sided α = 5 %. The shapes of harm are those of `qa/stats/simulation.py`.
*False FAIL*: the lower end lies above 0 though the true mean harm is 0. *False PASS*: the upper end
lies below the margin though the true mean harm is the margin.

"""


def _grid(figures: Figures) -> str:
    rows, missed = [], []
    for shape, pictures, cells in _groups(figures, "grid"):
        limit = bar(shape, pictures)
        fails, passed = zip(*cells.values(), strict=True)
        outside = [name for name, errors in cells.items() if limit and max(errors) > limit]
        missed += outside
        told = "documented limit" if limit is None else f"≤ {_percent(limit)}"
        kept = "" if limit is None else f"{len(cells) - len(outside)} of {len(cells)}"
        rows.append([shape, pictures, _span(fails), _span(passed), told, kept])
    if not rows:
        return ""
    head = ["harm", "pictures", "false FAIL", "false PASS", "bar", "cells within"]
    misses = f"\nCells that miss their bar: {', '.join(missed)}.\n" if missed else ""
    return (
        "### Mean over pictures\n\n"
        "Least and most over 1, 2, 4, 8 seeds and intraclass correlations 0, 0.3, 0.6, 0.9. The\n"
        "rule is `qa.stats.mean_interval`: Student's t, or the wider of its and the bootstrap-t's\n"
        "end on each side below 50 pictures and for skewed values, never beyond all pictures\n"
        "unless Student's is.\n\n"
        + _table(head, rows)
        + misses
        + "\nWhere there is no bar, the table states the limit of the method: a mean over few\n"
        "pictures cannot speak of harm that none of them happens to show. Harm that only few\n"
        "pictures have (zero-inflated) is what the tail gate counts.\n"
    )


def _controls(figures: Figures) -> str:
    rows = []
    for shape, pictures, cells in _groups(figures, "per row"):
        key = f"{shape} {pictures}"
        gate = figures.get(f"grid {key} 4 0.6")
        ways = [
            gate,
            *cells.values(),
            *(figures.get(f"{w} {key}") for w in ("Student", "unbalanced")),
        ]
        rows.append([shape, pictures, *(_pair(errors) for errors in ways)])
    if not rows:
        return ""
    head = [
        "harm",
        "pictures",
        "gate",
        "each seed a picture",
        "Student's t always",
        "seeds missing",
    ]
    return (
        "### What the rules are worth\n\n"
        "False FAIL / false PASS with 4 seeds and intraclass correlation 0.6. *Each seed a\n"
        "picture* is the negative control: it errs at any number of pictures. *Student's t* would\n"
        "be the interval for every shape. *Seeds missing*: each picture keeps 1 to 4 of them.\n\n"
        + _table(head, rows)
    )


def _rates(figures: Figures) -> str:
    rows = []
    for name, errors in figures.items():
        if name.startswith("rate ") and name.endswith(" gate"):
            _, rate, margin, seeds, pictures, _ = name.split()
            plain = figures.get(name.removesuffix("gate") + "Student")
            rows.append([rate, margin, seeds, pictures, _pair(errors), _pair(plain)])
    if not rows:
        return ""
    head = ["baseline passes", "margin", "seeds", "pictures", "gate", "Student's t"]
    return (
        "### Shares of passes\n\n"
        "False FAIL / false PASS. Near the ceiling paired counts with half a picture more in each\n"
        "cell replace the mean; values are whole numbers, so no rule reaches 5 % exactly.\n\n"
        + _table(head, rows)
    )


def _shares(figures: Figures) -> str:
    rows, missed = [], []
    for name, errors in figures.items():
        if name.startswith("share ") and name.endswith(" gate"):
            _, rate, margin, kind, pictures, _ = name.split()
            plain = figures.get(name.removesuffix("gate") + "mean")
            rows.append([rate, margin, kind, pictures, _pair(errors), _pair(plain)])
            missed += [name] if max(errors) > SHARES_BAR[kind] else []
    if not rows:
        return ""
    head = ["wrong in the baseline", "margin", "errors", "pictures", "gate", "plain mean"]
    even, clustered = (_percent(SHARES_BAR[kind]) for kind in ("even", "clustered"))
    misses = f"\nCells that miss the bar: {', '.join(missed)}.\n" if missed else ""
    return (
        "### Shares of few words\n\n"
        "False FAIL / false PASS of the share of wrong words, with 12 to 24 words on a picture;\n"
        f"bar {even}, and {clustered} for clustered errors: there a picture's chances vary\n"
        "as an exponential number. The rule is `qa.stats.share_interval`; *plain mean* is\n"
        "`mean_interval`, the negative control.\n\n" + _table(head, rows) + misses
    )


def _power(figures: Figures) -> str:
    rows = []
    for shape, pictures, cells in _groups(figures, "power"):
        for formula, fails, passed in cells.values():
            rows.append([shape, pictures, *map(_percent, (formula, fails, passed))])
    if not rows:
        return ""
    head = ["harm", "pictures", "promised", "FAIL found", "PASS found"]
    return (
        "### Power\n\n"
        "At the minimum detectable effect of `qa plan`, 4 seeds, intraclass correlation 0.6. The\n"
        "formula speaks of normal means: it holds for normal harm, and skewed harm is told apart\n"
        "sooner on one side and later on the other.\n\n" + _table(head, rows)
    )


def _family(figures: Figures) -> str:
    rows = [
        [*name.split()[1:], *map(_percent, shares)]
        for name, shares in figures.items()
        if name.startswith("family ")
    ]
    if not rows:
        return ""
    head = [
        "metrics", "correlation", "any alarm, uncorrected", "any FAIL (Holm)",
        "FAIL of an unharmed one beside a harmed one", "harm of 2 margins found",
        "all pass, none harmed", "all pass, one at its margin",
    ]  # fmt: skip
    return "### Several metrics\n\n150 pictures, 4 seeds, ICC 0.64, margin 0.2 sd.\n\n" + _table(
        head, rows
    )


def _drift(figures: Figures) -> str:
    rows = [
        [*name.split()[1:], *map(_percent, shares)]
        for name, shares in figures.items()
        if name.startswith("drift ")
    ]
    if not rows:
        return ""
    head = ["metrics", "correlation", "any loss beyond the budget, uncorrected", "any FAIL (Holm)"]
    return (
        "### A drift budget that is nearly spent\n\n"
        "A release of unharmed metrics, 60 pictures, margin 2 sd, 97.5 % of the budget spent.\n\n"
        + _table(head, rows)
    )


def _looks(figures: Figures) -> str:
    rows = []
    for name, values in figures.items():
        if name.startswith("looks "):
            _, shape, scheme = name.split(" ", 2)
            fails, passed, pictures = values
            rows.append([scheme, shape, _percent(fails), _percent(passed), round(pictures)])
    if not rows:
        return ""
    head = ["level", "harm", "false FAIL", "false PASS", "mean pictures, no harm, margin 0.2 sd"]
    return "### Looks at 100, 200 and 400 pictures\n\n" + _table(head, rows)


def _sets(figures: Figures) -> str:
    rows = []
    for name, values in figures.items():
        if not name.startswith("set difference "):
            continue
        count = name.rsplit(" ", 1)[1]
        truth, plain, corrected, low, high = values
        up, down, uniform = figures.get("set exchange " + count, [None] * 3)
        numbers = [f"{value:.3f}" for value in (truth, plain, corrected)]
        shares = [_percent(value) for value in (low, high, up, down)]
        told = "–" if uniform is None else f"{uniform:.2g}"
        rows.append([count, *numbers, *shares, told])
    if not rows:
        return ""
    head = [
        "pictures", "true ΔFD", "plain", "jackknife", "lower end above", "upper end below",
        "exchange: alarms up", "down", "p-values uniform (KS p)",
    ]  # fmt: skip
    return (
        "### Set metrics\n\n"
        "Fréchet distances of features with d = 64 whose true difference is known, 400\n"
        "comparisons each: mean of the plain and of the bias-corrected difference, misses of the\n"
        "interval's ends, false alarms of exchanged labels between equally good arms.\n\n"
        + _table(head, rows)
    )


def _groups(figures: Figures, what: str) -> list[tuple[str, int, Figures]]:
    """Experiments `what shape pictures …` by shape and number of pictures, in their order."""
    found: dict[tuple[str, int], Figures] = {}
    for name, values in figures.items():
        if name.startswith(f"{what} "):
            shape, pictures = name.removeprefix(f"{what} ").split()[:2]
            found.setdefault((shape, int(pictures)), {})[name] = values
    return [(*key, cells) for key, cells in found.items()]


def _table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _span(shares: Sequence[float]) -> str:
    return f"{100 * min(shares):.1f} to {100 * max(shares):.1f} %"


def _pair(errors: Sequence[float] | None) -> str:
    return "–" if errors is None else f"{100 * errors[0]:.1f} / {100 * errors[1]:.1f} %"
