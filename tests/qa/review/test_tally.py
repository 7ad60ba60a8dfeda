"""What answers make of a review: counted by hand, and by raters whose preference is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from raters import plan, rate, said, stock
from scipy.stats import binom

from qa.review import answers
from qa.review.answers import LEFT, MODEL, RIGHT, TIE, Answer
from qa.review.model import _enough
from qa.review.plan import ANYTIME, DEFECT, FIXED, IDENTICAL, ReviewFolder
from qa.review.tally import decided, rates, tally
from qa.review.voices import PEOPLE, heard

SMALL = plan(8, draws=12, shares={"harm": 0.0, "margin": 0.0, "random": 1.0}, rule=FIXED, catch=0)


def real(made):
    return [pair.number for pair in made.pairs if not pair.catch]


def people(made, given):
    return next(voice for voice in heard(made, given) if voice.name == PEOPLE)


def judged(made, voice):
    return decided(voice, rates(voice, "A", "B")[0])


def everywhere(made, name, word, second=0):
    """The same word to every pair, right at every catch trial."""
    words = {number: word for number in real(made)}
    words |= {p.number: "first" if p.catch == DEFECT else "tie" for p in made.catches}
    return said(made, name, words, second)


def model(made, words):
    """Answers of a model: pair → (said when the first comes first, said when it comes second)."""
    return [
        Answer(number, "judge", MODEL, first, word, why="" if word else "it refused")
        for number, two in words.items()
        for first, word in zip((True, False), two, strict=True)
    ]


# Counting


def test_the_rate_counts_each_draw_and_half_of_a_tie():
    words = dict(zip(real(SMALL), ["first", "second", "tie", "bad"] * 4, strict=False))
    found, _ = rates(people(SMALL, said(SMALL, "Ada", words)), "A", "B")
    score = {"first": 1.0, "second": 0.0, "tie": 0.5, "bad": 0.5}
    assert found.mean == pytest.approx(np.mean([score[words[n]] for n in SMALL.draws]))


def test_weights_are_counted():
    made = plan(20, list(range(20)), draws=60, catch=0)
    words = {p.number: "first" if p.weight < 1 else "second" for p in made.pairs}
    found, _ = rates(people(made, said(made, "Ada", words)), "A", "B")
    drawn = [made.pairs[number] for number in made.draws]
    won = math.fsum(p.weight for p in drawn if p.weight < 1)
    assert found.mean == pytest.approx(won / math.fsum(p.weight for p in drawn))


def test_draws_count_up_to_the_first_pair_without_an_answer():
    numbers = real(SMALL)
    words = dict.fromkeys(numbers, "first")
    del words[numbers[3]]
    voice = people(SMALL, said(SMALL, "Ada", words))
    before = SMALL.draws.index(numbers[3])
    assert [pair.number for pair in voice.drawn] == list(SMALL.draws[:before])


def test_a_pair_counts_when_enough_people_have_answered_it():
    made = replace(SMALL, raters=2)
    one = everywhere(made, "Ada", "first")
    assert people(made, one).drawn == ()
    two = one + everywhere(made, "Grace", "second", 1)
    voice = people(made, two)
    assert len(voice.drawn) == len(made.draws)
    assert {voice.score(pair) for pair in voice.drawn} == {0.5}


def test_who_comes_later_than_the_number_that_is_needed_changes_no_score():
    voice = people(SMALL, everywhere(SMALL, "Zoe", "first") + everywhere(SMALL, "Ada", "second", 9))
    assert {voice.score(pair) for pair in voice.drawn} == {1.0}


def test_who_says_it_again_keeps_the_pair():
    first, then = everywhere(SMALL, "Zoe", "first"), everywhere(SMALL, "Ada", "second", 5)
    again = [replace(answer, date="2026-01-01T00:00:09+00:00") for answer in first]
    voice = people(SMALL, then + again)
    assert {voice.score(pair) for pair in voice.drawn} == {1.0}
    later = [replace(answer, begun=answer.date) for answer in again]  # as if it were her first
    assert {people(SMALL, then + later).score(p) for p in SMALL.pairs} == {0.0}


def test_equal_pictures_are_ties_that_nobody_is_asked():
    same = stock(4, seeds=1)
    for name in same.samples:
        same.digests[1][name, 0] = same.digests[0][name, 0]
    made = plan(of=same, draws=20, catch=0)
    voice = people(made, [Answer(0, "Ada", "person", True, LEFT)])
    assert len(voice.drawn) == 20
    assert rates(voice, "A", "B")[0].mean == 0.5


# Decisions


def test_who_wins_everything_is_better_and_who_loses_everything_fails():
    made = plan(100, draws=100, rule=ANYTIME)
    assert judged(made, people(made, everywhere(made, "Ada", "first"))).state == "IMPROVED"
    assert judged(made, people(made, everywhere(made, "Ada", "second"))).state == "FAIL"
    few = plan(100, draws=3, rule=ANYTIME)
    assert judged(few, people(few, everywhere(few, "Ada", "second"))).state == "INCONCLUSIVE"


def test_the_fixed_rule_waits_for_all_draws():
    made = plan(100, draws=100, rule=FIXED)
    given = everywhere(made, "Ada", "second")
    last = made.draws[-1]
    assert judged(made, people(made, given)).state == "FAIL"
    without = [answer for answer in given if answer.pair != last]
    assert judged(made, people(made, without)).state == "INCONCLUSIVE"


@pytest.mark.parametrize("rule", [ANYTIME, FIXED])
@pytest.mark.parametrize("word", ["first", "second"])
def test_few_answers_decide_nothing_however_often_they_were_drawn(rule, word):
    """Coins fall twice to one side in one of two times."""
    two = plan(draws=200, rule=rule, of=stock(2, seeds=1))
    assert judged(two, people(two, everywhere(two, "Ada", word))).state == "INCONCLUSIVE"
    many = plan(draws=200, rule=rule, of=stock(60, seeds=1))
    assert judged(many, people(many, everywhere(many, "Ada", word))).state != "INCONCLUSIVE"


# Catch trials


def test_who_always_answers_left_is_caught_and_does_not_count():
    made = plan(100, draws=100)
    lots = np.random.default_rng(0)
    left = rate(made, "Lefty", lambda pair: 0.5, lots, bias=1.0)
    fair = rate(made, "Ada", lambda pair: 0.5, lots)
    lefty, ada = sorted(people(made, left + fair).raters, key=lambda r: r.counts)
    assert (lefty.name, lefty.counts) == ("Lefty", False)
    assert lefty.left == lefty.decided
    assert f"{lefty.missed} of {lefty.trials} catch trials" in lefty.why
    assert (ada.name, ada.counts, ada.missed) == ("Ada", True, 0)
    voice = people(made, left)
    assert not voice.counted
    assert judged(made, voice).state == "INCONCLUSIVE"
    assert "who passed their catch trials" in judged(made, voice).why


@pytest.mark.parametrize("draws", [10, 40, 100])
def test_always_left_is_caught_whatever_the_lot_of_sides(draws):
    for seed in range(50):
        made = plan(100, draws=draws, seed=seed)
        left = rate(made, f"rater {seed}", lambda pair: 0.5, np.random.default_rng(1), bias=1.0)
        assert not people(made, left).raters[0].counts


def test_attentive_raters_are_rarely_turned_away():
    """With the lapses that the plan allows, of a hundred at most one: STRICT."""
    made = plan(100, draws=100, lapses=0.1)
    lots = np.random.default_rng(2)
    out = 0
    for number in range(400):
        # A lapse takes any side: it is wrong at every identical pair, at half of the others.
        given = rate(made, f"r{number}", lambda pair: 0.5, lots, lapses=0.1)
        out += not people(made, given).raters[0].counts
    assert out <= 400 * 0.01 + 3 * (400 * 0.01 * 0.99) ** 0.5


def test_a_model_that_takes_the_first_picture_is_caught():
    made = plan(40, draws=40)
    given = model(made, {pair.number: (LEFT, LEFT) for pair in made.asked})
    voice = heard(made, given)[0]
    assert judged(made, voice).state == "INVALID"
    eyes = {p.number: (LEFT, RIGHT) if p.catch != IDENTICAL else (LEFT, LEFT) for p in made.asked}
    assert judged(made, heard(made, model(made, eyes))[0]).state == "IMPROVED"


def never_looks(made, word):
    """Answers of somebody who says one word to everything."""
    return said(made, "Nobody", {pair.number: word for pair in made.asked})


@pytest.mark.parametrize("word", [TIE, "first"])
def test_nothing_is_decided_before_a_rater_is_known(word):
    """Three trials of each kind show who never looks; a review that is clear sooner goes on."""
    shares = {"harm": 0.0, "margin": 0.0, "random": 1.0}
    for seed in range(10):
        made = plan(400, draws=400, seed=seed, shares=shares)
        given = never_looks(made, word)
        sixth = made.catches[5].number
        for count in range(1, len(given), 3):
            voice = people(made, given[:count])
            assert judged(made, voice).state == "INCONCLUSIVE"
            assert not voice.raters[0].counts
            assert voice.raters[0].caught == (made.catches[5 - (word == TIE)].number < count)
            assert voice.raters[0].caught or count <= sixth


def test_negative_control_without_trials_who_never_looks_decides():
    made = plan(400, draws=400, catch=0, shares={"harm": 0.0, "margin": 0.0, "random": 1.0})
    assert judged(made, people(made, never_looks(made, TIE))).state == "PASS"


def test_an_attentive_rater_counts_from_the_sixth_trial_on():
    made = plan(400, draws=400)
    given = everywhere(made, "Ada", "first")
    given.sort(key=lambda answer: answer.pair)
    sixth = given.index(next(a for a in given if a.pair == made.catches[5].number))
    [before], [after] = (people(made, given[:count]).raters for count in (sixth, sixth + 1))
    assert (before.counts, before.caught) == (False, False)
    assert before.why == "5 of at least 6 catch trials met"
    assert (after.counts, after.why) == (True, "")


# Weights


@pytest.mark.parametrize("raters", [1, 2, 3])
def test_a_pair_weighs_the_same_however_many_answer_it(raters):
    """Half of the pictures are alike, ties; the others are lost."""
    same = stock(40, seeds=1)
    for name in same.samples[::2]:
        same.digests[1][name, 0] = same.digests[0][name, 0]
    made = plan(of=same, draws=200, catch=0, raters=raters, rule=FIXED)
    names = ["Ada", "Grace", "Zoe"]
    numbers = [pair.number for pair in made.asked]
    given = [row for name in names for row in said(made, name, dict.fromkeys(numbers, "second"))]
    voice = people(made, given)
    drawn = [made.pairs[number] for number in made.draws]
    alike = math.fsum(pair.weight for pair in drawn if pair.alike)
    found, _ = rates(voice, "A", "B")
    assert found.mean == pytest.approx(0.5 * alike / math.fsum(pair.weight for pair in drawn))
    # Raters who agree everywhere add nothing to the spread between pictures.
    one = plan(of=same, draws=200, catch=0, rule=FIXED)
    alone, _ = rates(people(one, said(one, "Ada", dict.fromkeys(numbers, "second"))), "A", "B")
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high))
    assert found.high < 0.4


# Models


def test_a_model_that_leaves_out_catch_trials_is_caught():
    made = plan(40, draws=40)
    words = dict.fromkeys(real(made), (LEFT, RIGHT))
    blind = words | {pair.number: (None, None) for pair in made.catches}
    voice = heard(made, model(made, blind))[0]
    assert (voice.raters[0].missed, voice.raters[0].caught) == (len(made.catches), True)
    assert judged(made, voice).state == "INVALID"
    eyes = {p.number: (LEFT, RIGHT) if p.catch == DEFECT else (TIE, TIE) for p in made.catches}
    once = words | eyes | {made.catches[0].number: (None, RIGHT)}
    voice = heard(made, model(made, once))[0]
    assert (voice.raters[0].missed, voice.raters[0].counts) == (1, True)


def test_a_model_is_given_up_only_when_no_answer_could_save_it():
    made = plan(400, draws=400)
    trials = len(made.catches) // 2
    needed = next(m for m in range(trials) if 2 * binom.sf(m - 1, trials, made.lapses) < 0.01)
    missed = [pair.number for pair in made.catches if pair.catch == DEFECT]
    seen = [
        heard(made, model(made, dict.fromkeys(missed[:count], (LEFT, LEFT))))[0]
        for count in range(1, trials + 1)
    ]
    assert [voice.hopeless for voice in seen] == [n >= needed for n in range(1, trials + 1)]
    assert seen[2].raters[0].caught
    asked = [_enough(made, [row for rows in voice.given["judge"].values() for row in rows])
             for voice in (seen[2], seen[-1])]  # fmt: skip
    assert asked == ["", f"judge does not see what it is asked: {seen[-1].raters[0].why}"]


def test_contradictory_answers_are_a_tie_and_the_position_is_measured():
    numbers = real(SMALL)
    words = {number: (LEFT, LEFT) for number in numbers[:4]}
    words |= {number: (LEFT, RIGHT) for number in numbers[4:]}
    voice = heard(SMALL, model(SMALL, words))[0]
    assert [voice.score(SMALL.pairs[n]) for n in numbers[:5]] == [0.5] * 4 + [1.0]


def test_what_a_model_was_not_asked_ends_the_draws():
    numbers = real(SMALL)
    voice = heard(SMALL, model(SMALL, {number: (LEFT, RIGHT) for number in numbers[:-1]}))[0]
    assert voice.score(SMALL.pairs[numbers[-1]]) is None
    assert len(voice.drawn) == SMALL.draws.index(numbers[-1])


@pytest.mark.parametrize("rule", [ANYTIME, FIXED])
def test_what_a_model_did_not_answer_is_lost_for_one_end_and_won_for_the_other(rule):
    made = plan(60, draws=80, rule=rule, catch=0)
    numbers = real(made)
    known = {number: (LEFT, RIGHT) if number % 2 else (RIGHT, LEFT) for number in numbers}
    lost = numbers[::5]

    def found(end):
        words = known | dict.fromkeys(lost, end)
        voice = heard(made, model(made, words))[0]
        return voice, rates(voice, "A", "B")[0]

    voice, open_ = found((None, RIGHT))
    (_, worst), (_, best) = found((RIGHT, LEFT)), found((LEFT, RIGHT))
    assert voice.refused == dict.fromkeys(lost, "it refused")
    assert len(voice.drawn) == len(made.draws)
    assert (open_.low, open_.high) == (worst.low, best.high)
    assert open_.mean == pytest.approx((worst.mean + best.mean) / 2)
    assert open_.p_worse == best.p_worse


def test_a_model_that_answers_nothing_decides_nothing():
    made = plan(60, draws=80, catch=0)
    words = dict.fromkeys(real(made), (None, None))
    assert judged(made, heard(made, model(made, words))[0]).state == "INCONCLUSIVE"


# The document


def test_the_document_of_two_people_and_a_model(tmp_path):
    made = plan(30, draws=40, raters=2)
    folder = ReviewFolder(tmp_path / "overall")
    folder.register(made)
    numbers = real(made)
    given = everywhere(made, "Ada", "first") + everywhere(made, "Grace", "first", 1)
    given += model(made, {p.number: (LEFT, RIGHT) if p.catch != IDENTICAL else (LEFT, LEFT)
                          for p in made.asked})  # fmt: skip
    given[0] = replace(given[0], tags=("blur",))
    given[1] = replace(
        given[1], said=RIGHT if made.first_is_left(made.pairs[given[1].pair], "Ada") else LEFT
    )
    for answer in given:
        answers.add(folder, made, answer)
    found = tally(folder)
    crowd, judge = found["voices"]
    assert (crowd["name"], judge["name"], judge["model"]) == (PEOPLE, "judge", True)
    assert crowd["answered"] == judge["answered"] == len(numbers) == found["pairs"]
    said_of = crowd["rates"][0]["said"]
    assert said_of == {"first": 2 * len(numbers) - 1, "second": 1, "tie": 0, "bad": 0}
    assert crowd["agreement"]["items"] == len(numbers)
    assert crowd["tags"] == {"blur": {"B": 1}}
    assert judge["position"]["contrary"] == sum(p.catch == IDENTICAL for p in made.pairs)
    # A pair shown in both orders has the first place once: but for contradictions, one half.
    shares = [1.0 if p.catch == IDENTICAL else 0.5 for p in made.asked]
    assert judge["position"]["first"] == pytest.approx(np.mean(shares))
    between = found["between"][0]
    assert (between["one"], between["other"]) == (PEOPLE, "judge")
    # One pair is a tie of the two people, so the model prefers the run once more: p = 1.
    assert between["p"] == 1.0
    assert between["agreement"]["items"] == len(numbers)


def test_three_arms_have_strengths(tmp_path):
    made = plan(60, arms=3, draws=300, rule=FIXED)
    lots = np.random.default_rng(3)
    truth = {"A": 1.0, "B": 0.0, "C": -1.0}

    def prefers(pair):
        return 1 / (1 + math.exp(truth[pair.second] - truth[pair.first]))

    folder = ReviewFolder(tmp_path / "three")
    folder.register(made)
    for answer in rate(made, "Ada", prefers, lots):
        answers.add(folder, made, answer)
    strengths = tally(folder)["voices"][0]["strengths"]
    assert [one["arm"] for one in strengths] == ["A", "B", "C"]
    for one in strengths:
        half = one["high"] - one["value"]
        assert abs(one["value"] - truth[one["arm"]]) < 2.5 * half


def test_arms_that_did_not_meet_yet_have_no_strengths(tmp_path):
    """A review of three arms can be read from its first answer on, be it to a catch trial."""
    made = plan(60, arms=3, draws=60, rule=FIXED, seed=2)
    folder = ReviewFolder(tmp_path / "three")
    folder.register(made)
    lots = np.random.default_rng(7)
    given = rate(made, "Ada", lambda pair: 0.5, lots)
    trials = [answer for answer in given if made.pairs[answer.pair].catch]
    met = []
    for answer in trials + [answer for answer in given if answer not in trials]:
        answers.add(folder, made, answer)
        (voice,) = tally(folder)["voices"]
        met.append([one["arm"] for one in voice["strengths"]])
    assert met[0] == []
    assert {len(arms) for arms in met} == {0, 3}


# Error rates by simulation


def by_picture(prefers):
    """Preference of each picture, p000, p001, …"""
    chance = {f"p{place:03}": share for place, share in enumerate(prefers)}
    return lambda pair: chance[pair.sample]


def population(lots, pictures):
    """Preference of each picture, and a harm that goes with it."""
    prefers = lots.beta(2, 2, pictures)
    return prefers, (0.5 - prefers) * 10 + lots.normal(0, 1, pictures)


@pytest.mark.slow
def test_the_interval_covers_the_preference_of_all_pictures():
    """Raters with noise, a side that they favour, and ties; drawn by harm. 95 % cover it."""
    lots, inside, times = np.random.default_rng(4), 0, 400
    for seed in range(times):
        prefers, harm = population(lots, 400)
        made = plan(
            400, harm, draws=150, rule=FIXED, confidence=0.95, catch=0, seed=seed, raters=2,
            of=stock(400, seeds=1),
        )  # fmt: skip
        given = [
            row
            for rater in ("Ada", "Grace")
            for row in rate(made, f"{rater}{seed}", by_picture(prefers), lots,
                            bias=0.2, lapses=0.1, ties=0.2)
        ]  # fmt: skip
        found, _ = rates(people(made, given), "A", "B")
        # A side taken without a look, a lapse and a tie are worth one half: sides are by lot.
        truth = 0.5 + (1 - 0.2 - 0.1) * (1 - 0.2) * (prefers.mean() - 0.5)
        inside += found.low <= truth <= found.high
    error = (0.95 * 0.05 / times) ** 0.5
    assert abs(inside / times - 0.95) < 3 * error


def ever(rule, truth, wrong, times=150, draws=160, step=8):
    """How often a review that looks all the time ever says what is wrong."""
    lots, found = np.random.default_rng(5), 0
    for seed in range(times):
        prefers = np.clip(lots.normal(truth, 0.2, 200), 0, 1)
        prefers += truth - prefers.mean()
        harm = (0.5 - prefers) * 10
        made = plan(200, harm, draws=draws, catch=0, seed=seed, of=stock(200, seeds=1))
        given = rate(made, f"Ada{seed}", by_picture(prefers), lots)
        for count in range(step, len(given) + 1, step):
            voice = people(made, given[:count])
            anytime, clustered = rates(voice, "A", "B")
            if decided(voice, anytime if rule == ANYTIME else clustered).state in wrong:
                found += 1
                break
    return found / times


@pytest.mark.slow
@pytest.mark.parametrize(
    ("truth", "wrong"),
    [(0.5, {"FAIL"}), (0.4, {"PASS", "PASS-DRIFT", "IMPROVED"})],
    ids=["no harm", "harm of the margin"],
)
def test_the_stopping_rule_keeps_its_error_rate(truth, wrong):
    assert ever(ANYTIME, truth, wrong) <= 0.05 + 3 * (0.05 * 0.95 / 150) ** 0.5


@pytest.mark.slow
def test_an_interval_for_one_look_would_not():
    assert ever("one look", 0.5, {"FAIL"}) > 0.05 + 3 * (0.05 * 0.95 / 150) ** 0.5
