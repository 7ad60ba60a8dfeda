"""Several tests at once.

Eight metrics tested at 5 % each raise a false alarm in every fifth comparison of two equal
decoders. The FAIL side therefore holds the error of the whole family of primary metrics (Holm);
lists that only inform hold the share of false ones among the marked (Benjamini-Hochberg). The PASS
side needs neither: all primary metrics must pass, and each one's error bounds that of "all pass"
(intersection-union test: Berger, Technometrics 24, 1982).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping


def holm(p: Mapping[str, float], price: Callable[[int], float] = float) -> dict[str, float]:
    """Adjusted p-values: compare with α. For any dependence (Holm, Scand. J. Statist. 6, 1979).

    p̃(i) = max over j <= i of min(1, price(m - j + 1) p(j))        p(1) <= … <= p(m)

    `price` is what p costs where so many share α: their number, or more at one of several looks
    (`qa.stats.looks.price`).
    """
    adjusted: dict[str, float] = {}
    reached = 0.0
    for place, name in enumerate(sorted(p, key=lambda name: (p[name], name))):
        reached = max(reached, min(1.0, price(len(p) - place) * p[name]))
        adjusted[name] = reached
    return {name: adjusted[name] for name in p}


def benjamini_hochberg(p: Mapping[str, float]) -> dict[str, float]:
    """q-values (Benjamini and Hochberg, J. R. Statist. Soc. B 57, 1995).

    q(i) = min over j >= i of m p(j) / j        for independent or positively dependent tests
    """
    adjusted: dict[str, float] = {}
    reached = 1.0
    falling = sorted(p, key=lambda name: (p[name], name), reverse=True)
    for place, name in enumerate(falling):
        reached = min(reached, len(p) * p[name] / (len(p) - place))
        adjusted[name] = reached
    return {name: adjusted[name] for name in p}
