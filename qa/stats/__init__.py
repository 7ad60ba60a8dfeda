"""Statistics of gates. Pure NumPy and SciPy; no run, file or tensor is known here.

The picture is the sampled unit: values are averaged over a picture's seeds before anything here
sees them, because seeds of one picture are not independent (treating them so gives 17 % false
passes at a nominal 5 %). Harm is oriented so that positive is worse.

    interval, bootstrap, mean   an interval over pictures      rates      shares of pictures
    shares                      shares of a picture's words    families   several metrics at once
    looks                       several looks                  planning   how many pictures, seeds
    decide                      from interval to state
    preference, bradley_terry   which arm people prefer        agreement  of raters with each other
    anytime                     bounds of a win rate that hold whenever somebody looks
    simulation, validation      how often all of this errs, with a known truth

How well the rules keep their error rates: docs/validation.md.
"""

from qa.stats.bootstrap import bootstrap_t
from qa.stats.decide import Outcome, equivalence, non_inferiority, tail, threshold
from qa.stats.families import benjamini_hochberg, holm
from qa.stats.interval import (
    CONFIDENCE,
    Interval,
    t_interval,
    t_quantile,
    z_quantile,
)
from qa.stats.looks import spending
from qa.stats.mean import mean_interval
from qa.stats.planning import (
    Components,
    best_seeds,
    components,
    mde,
    pictures_for,
    pictures_needed,
    pictures_until,
)
from qa.stats.rates import clopper_pearson, rate_interval, zero_events_needed
from qa.stats.shares import share_interval

__all__ = [
    "CONFIDENCE",
    "Components",
    "Interval",
    "Outcome",
    "benjamini_hochberg",
    "best_seeds",
    "bootstrap_t",
    "clopper_pearson",
    "components",
    "equivalence",
    "holm",
    "mde",
    "mean_interval",
    "non_inferiority",
    "pictures_for",
    "pictures_needed",
    "pictures_until",
    "rate_interval",
    "share_interval",
    "spending",
    "t_interval",
    "t_quantile",
    "tail",
    "threshold",
    "z_quantile",
    "zero_events_needed",
]
