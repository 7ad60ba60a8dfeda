"""Several metrics at once: how often at least one of them decides wrongly.

* FAIL: Holm (1979) over the primary rows. Without it, six metrics that are all unharmed would fail
  a fifth of all runs. A row is FAIL only if its adjusted p is at most alpha. At one of several
  looks, alpha is the look's, and p is adjusted so that the family errs as one metric would over
  all of them (`qa.stats.looks`).
* PASS: all primary metrics must pass, an intersection-union test (Berger 1982): a run with one
  metric beyond its margin passes in at most alpha of all cases, so nothing is corrected.
* Secondary rows have no vote; q says which of them stand out (Benjamini and Hochberg 1995).
"""

from __future__ import annotations

from collections.abc import Sequence

from qa.gates.case import Case
from qa.gates.rows import Row, changed
from qa.stats import benjamini_hochberg, holm
from qa.stats.decide import Outcome


def corrected(rows: Sequence[Row], case: Case) -> list[Row]:
    """The rows with p_holm and q, in order; a FAIL that the correction does not bear out is none.

    A primary row without a p (nothing was compared, or one picture) counts as p = 1: the family is
    what was planned.
    """
    primary = {str(r["metric"]): _p(r) for r in rows if r["role"] == "primary"}
    secondary = {
        str(r["metric"]): _p(r) for r in rows if r["role"] == "secondary" and r["p"] is not None
    }
    adjusted, rates = holm(primary, case.price), benjamini_hochberg(secondary)
    return [_row(found, adjusted, rates, len(primary), case.alpha) for found in rows]


def _row(
    found: Row, adjusted: dict[str, float], rates: dict[str, float], size: int, alpha: float
) -> Row:
    metric = str(found["metric"])
    if found["role"] == "secondary":
        return {**found, "q": rates.get(metric)}
    if found["p"] is None:
        return found
    found = {**found, "p_holm": adjusted[metric]}
    if found["state"] != "FAIL" or adjusted[metric] <= alpha:
        return found
    why = (
        f"worse if it were the only metric (p {_short(found['p'])}), but after Holm's correction "
        f"over {size} primary metrics p is {_short(adjusted[metric])}, above {_short(alpha)}"
    )
    return changed(found, Outcome("INCONCLUSIVE", why, found["needs"]))


def _p(found: Row) -> float:
    return 1.0 if found["p"] is None else float(found["p"])


def _short(value: float) -> str:
    return f"{value:.2g}"
