"""Shares of few words: a width where nothing was seen, and how often it errs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, norm

from qa.stats import mean_interval, pictures_needed, share_interval, validation
from qa.stats.planning import Components, mde, pictures_for
from qa.stats.shares import EVENTS, added

UNIT = 1 / 20
SUITES = 3000


def events(pictures: int, count: int) -> np.ndarray:
    """Harm of pictures of 20 words, `count` of which lost one."""
    return np.where(np.arange(pictures) < count, UNIT, 0.0)


def exact(count: int) -> float:
    """Upper 95 % bound of a Poisson mean (Garwood 1936)."""
    return chi2.ppf(0.95, 2 * (count + 1)) / 2


def test_nothing_lost_is_no_proof_of_no_loss():
    """Negative control: the mean's interval has no width and passes any margin."""
    for pictures in (3, 24, 200):
        found = share_interval(events(pictures, 0), UNIT)
        assert found.high * pictures / UNIT > exact(0)
        assert found.low == -found.high
        assert (found.mean, found.sd, found.count) == (0, 0, pictures)
        assert mean_interval(events(pictures, 0)).high == 0


def test_upper_ends_lie_beside_the_exact_ones():
    bounds = [share_interval(events(200, k), UNIT).high * 200 / UNIT for k in (0, 1, 2, 5, 10)]
    assert [round(bound, 1) for bound in bounds] == [3.5, 6.0, 7.6, 11.4, 17.3]
    for count, bound in zip((0, 1, 2, 5, 10), bounds, strict=True):
        assert exact(count) * 0.99 < bound < exact(count) * 1.3
    assert bounds[0] == pytest.approx(norm.ppf(0.95) * 2**0.5 * EVENTS, rel=0.01)


def test_it_is_the_mean_of_pictures_with_two_more():
    rng = np.random.default_rng(1)
    harm = rng.binomial(20, 0.1, 60) / 20 - rng.binomial(20, 0.08, 60) / 20
    found = share_interval(harm, UNIT)
    plain = mean_interval(np.append(harm, found.mean + EVENTS * UNIT * np.array([1, -1])))
    assert (found.low, found.high, found.p_worse) == (plain.low, plain.high, plain.p_worse)
    assert found.mean == pytest.approx(harm.mean())
    assert found.low < found.mean < found.high
    mirrored = share_interval(-harm[::-1], UNIT)
    assert (mirrored.low, mirrored.high) == (-found.high, -found.low)


def test_plain_harm_of_few_pictures_is_found():
    """What is added weighs a word or two; pages that lost all of theirs are no doubt."""
    for pictures in (2, 3, 6):
        assert share_interval(np.ones(pictures), UNIT).low > 0.5


def test_one_picture_and_none_have_no_interval():
    assert share_interval([], UNIT) is None
    assert share_interval([0.1], UNIT).low is None
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="more than 0"):
            share_interval([0.1, 0.2], wrong)


CELLS = [(0.0, 0.0025, 24), (0.0, 0.005, 50), (0.01, 0.005, 24), (0.01, 0.0025, 100)]


@pytest.mark.parametrize(("rate", "margin", "pictures"), CELLS)
@pytest.mark.parametrize("clustered", [False, True])
def test_sparse_shares_keep_their_error_rates(rate, margin, pictures, clustered):
    found = validation.shares(rate, margin, clustered, pictures, SUITES)
    error = 3 * (0.05 * 0.95 / SUITES) ** 0.5
    assert max(found) <= 0.05 + error


@pytest.mark.parametrize(("margin", "least"), [(0.0025, 0.25), (0.005, 0.08)])
def test_a_plain_mean_passes_them_too_often(margin, least):
    """Negative control of the check above."""
    assert validation.shares(0.0, margin, False, 24, SUITES, "mean").false_pass > least


def test_the_number_of_pictures_that_passes_without_an_event():
    """3.5 / margin words: 70 pictures of 20 for 0.0025; the mean's own rule would say two."""
    seen = share_interval(events(24, 0), UNIT)
    needed = pictures_needed(seen, 0.0025)
    assert share_interval(events(needed, 0), UNIT).high < 0.0025
    assert share_interval(events(needed - 1, 0), UNIT).high >= 0.0025
    assert needed == pytest.approx(3.5 / 0.0025 * UNIT, abs=2)


def test_a_plan_knows_the_words_that_a_margin_needs():
    silent = Components(0.0, 0.0, 24, 1, added(UNIT))
    needed = pictures_for(silent, 0.0025, 1)
    assert mde(silent, needed, 1) <= 0.0025 < mde(silent, needed - 1, 1)
    words = (norm.ppf(0.95) + norm.ppf(0.8)) * 2**0.5 * EVENTS / 0.0025
    assert needed * 20 == pytest.approx(words, rel=0.03)
    assert pictures_for(Components(0.0, 0.0, 24, 1), 0.0025, 1) == 2
