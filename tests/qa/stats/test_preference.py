"""Win rates over drawn pictures and sampled raters; paired yes/no answers."""

import numpy as np
import pytest
import scipy.stats

from qa.stats import preference
from qa.stats.preference import Comparison, mcnemar, win_rate


def review(rng, raters: int, bias: float, pictures: int = 60, draws: int = 120):
    """Answers of raters with preferences of their own, about pictures that differ, drawn unevenly:
    those where the candidate loses are drawn more often, as where harm is what they are chosen by.

    Returns the mean preference over all pictures, and the answers; a picture that is drawn again
    has its answer already.
    """
    chance = 0.5 / pictures + 0.5 * rng.dirichlet(np.ones(pictures))
    liked = rng.normal(0.55, 0.2, pictures) - 0.9 * (chance.argsort().argsort() / pictures - 0.5)
    preferred = np.clip(liked, 0.02, 0.98)
    own = rng.normal(0, bias, raters)
    answers = {}
    found = []
    for picture in rng.choice(pictures, draws, p=chance):
        for rater in range(raters):
            wins = float(rng.random() < np.clip(preferred[picture] + own[rater], 0, 1))
            score = answers.setdefault((picture, rater), wins)
            weight = 1 / pictures / chance[picture]
            found.append(Comparison(int(picture), rater, score, weight))
    return preferred.mean(), found


@pytest.mark.parametrize(("raters", "bias"), [(1, 0.0), (3, 0.1), (5, 0.1), (8, 0.15)])
def test_intervals_cover_the_mean_over_all_pictures(raters, bias):
    """At least 95 %, and not much more, but for 2.6 standard errors of 400 reviews."""
    rng = np.random.default_rng(raters)
    hits = 0
    for _ in range(400):
        truth, answers = review(rng, raters, bias)
        found = win_rate(answers, 0.95)
        hits += found.low <= truth <= found.high
    error = 2.6 * (0.95 * 0.05 / 400) ** 0.5
    assert 0.95 - error < hits / 400 < 0.97 + error


@pytest.mark.parametrize("broken", ["weights", "pictures", "raters"])
def test_intervals_that_leave_something_out_do_not_cover(broken):
    """The control: what each part of the estimate is there for."""
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(300):
        truth, answers = review(rng, 5, 0.2 if broken == "raters" else 0.0)
        if broken == "weights":
            answers = [Comparison(c.picture, c.rater, c.score) for c in answers]
        elif broken == "pictures":
            answers = [Comparison(n, 0, c.score, c.weight) for n, c in enumerate(answers)]
        else:
            answers = [Comparison(c.picture, 0, c.score, c.weight) for c in answers]
        found = win_rate(answers, 0.95)
        hits += found.low <= truth <= found.high
    assert hits / 300 < 0.9


def test_one_rater_and_equal_weights_are_students_interval_with_two_pictures_more():
    scores = [1, 0, 0.5, 1, 1, 0, 0.5, 1]
    found = win_rate([Comparison(n, "me", s) for n, s in enumerate(scores)], 0.95)
    more = [*scores, np.mean(scores) + 0.75, np.mean(scores) - 0.75]
    expected = scipy.stats.ttest_1samp(more, 0.5).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, min(1.0, expected.high)))
    worse = scipy.stats.ttest_1samp(more, 0.5, alternative="less").pvalue
    assert found.p_worse == pytest.approx(worse)
    assert (found.mean, found.count) == (pytest.approx(np.mean(scores)), 8)
    # As many deviations from the mean as a sum over pictures, G / (G - 1), has.
    assert found.sd == pytest.approx(np.std(scores, ddof=1))


def test_pseudo_pictures_weigh_as_much_as_one_of_kishs_number():
    """Rare pictures of large weight are few: as few are the pictures that two are added to."""
    weights, scores = np.array([2.0] * 4 + [0.2] * 12), np.array([0.5, 0.0] + [0.5] * 14)
    found = win_rate([Comparison(n, "me", scores[n], weights[n]) for n in range(16)])
    total, number = weights.sum(), weights.sum() ** 2 / (weights**2).sum()
    rate = weights @ scores / total
    sums = [*(weights * (scores - rate)), 0.75 * total / number, -0.75 * total / number]
    variance = len(sums) / (len(sums) - 1) * np.square(sums).sum()
    half = scipy.stats.t.ppf(0.95, len(sums) - 1) * variance**0.5 / (total * (1 + 2 / number))
    assert (found.low, found.high) == pytest.approx((rate - half, rate + half))


def passed(count, lost, events):
    """P(the lower end is above 0.4) with a share of lost pictures, all others being ties."""
    rows = [
        [Comparison(n, "me", 0.0 if n < losses else 0.5) for n in range(count)]
        for losses in range(count + 1)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preference, "EVENTS", events)
        chance = scipy.stats.binom.pmf(range(count + 1), count, lost)
        return sum(p for p, row in zip(chance, rows, strict=True) if win_rate(row).low > 0.4)


@pytest.mark.parametrize("count", [10, 14, 24, 30, 50])
def test_ties_with_a_few_losses_do_not_pass_by_their_small_spread(count):
    """A fifth is lost, so that the win rate is 0.4: 5 % at most may lie above, exactly counted."""
    assert passed(count, 0.2, preference.EVENTS) <= 0.05


def test_negative_control_without_pseudo_pictures_they_do():
    assert max(passed(count, 0.2, 0.0) for count in (14, 30)) > 0.1


def test_exchanged_arms_mirror_the_interval():
    _, answers = review(np.random.default_rng(2), 3, 0.1)
    turned = [Comparison(c.picture, c.rater, 1 - c.score, c.weight) for c in answers]
    one, two = win_rate(answers), win_rate(turned)
    assert (1 - two.mean, 1 - two.high, 1 - two.low) == pytest.approx((one.mean, one.low, one.high))


def test_little_is_said_of_little():
    assert win_rate([]) is None
    found = win_rate([Comparison("p", "a", 1.0), Comparison("p", "b", 0.0)])
    assert (found.mean, found.low, found.high, found.count) == (0.5, None, None, 1)


@pytest.mark.parametrize("wrong", [{"score": 1.5}, {"score": -0.1}, {"weight": 0.0}])
def test_what_is_no_comparison_is_refused(wrong):
    known = {"picture": "p", "rater": "r", "score": 1.0} | wrong
    with pytest.raises(ValueError, match=r"scores lie|weights are"):
        win_rate([Comparison(**known), Comparison("q", "r", 0.5)])


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (5, 1), (1, 5), (8, 8), (12, 3)])
def test_mcnemar_is_the_sign_test_of_the_pairs_that_differ(better, worse):
    ours = [True] * better + [False] * worse + [True, False]
    theirs = [False] * better + [True] * worse + [True, False]
    differ = better + worse
    expected = scipy.stats.binomtest(better, differ).pvalue if differ else 1.0
    assert mcnemar(ours, theirs) == pytest.approx(expected)


def test_mcnemar_needs_pairs():
    with pytest.raises(ValueError, match="are no pairs"):
        mcnemar([True], [True, False])


@pytest.mark.parametrize("score", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("count", [2, 5, 14])
def test_equal_scores_are_a_sample_too(score, count):
    """The end is the share of pictures with this score at which so many have it with 5 %."""
    found = win_rate([Comparison(n, "me", score) for n in range(count) for _ in range(3)], 0.9)
    share = 0.05 ** (1 / count)
    assert (found.low, found.high) == pytest.approx((share * score, share * score + 1 - share))
    assert found.p_worse == pytest.approx(0.5**count if score == 0 else 1.0)


def test_unequal_weights_are_fewer_pictures():
    few = win_rate([Comparison(n, "me", 1.0, 0.01 if n else 1.0) for n in range(20)])
    many = win_rate([Comparison(n, "me", 1.0, 1.0) for n in range(20)])
    assert few.low < 0.2 < 0.8 < many.low


def test_raters_that_contradict_each_other_everywhere_say_nothing():
    """Their pictures are all alike, one half; they are not."""
    answers = [Comparison(n, r, s) for n in range(40) for r, s in (("Ada", 1.0), ("Grace", 0.0))]
    assert (win_rate(answers).low, win_rate(answers).high) == (0.0, 1.0)
