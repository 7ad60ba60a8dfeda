"""The section about reviews: the tally's numbers in every form; foreign text does nothing."""

from __future__ import annotations

import json
import re

import pytest
from pages import Page
from reviews import DATE, answered, finished, level, planned, repictured
from verdicts import HOSTILE

from qa import files
from qa.gates.preference import Preference
from qa.gates.regression import Regression
from qa.gates.use_case import from_config
from qa.judge import judge
from qa.results import load
from qa.review.answers import BAD, LEFT, MODEL, PERSON, TIE, Answer, Box, add
from qa.review.tally import tally
from reports import html, junit, markdown
from reports.limits import limits
from reports.reviews import MAX_PAIRS, beside, citing, lines, people, told
from reports.view import view

NOBODY = "No person has compared these pictures for this verdict."


@pytest.fixture
def runs(tmp_path):
    """A run that was judged against another, without a review."""
    made = finished(tmp_path / "run", 12, shade=1), finished(tmp_path / "base", 12)
    saved(*made)
    return made


def saved(run, base):
    use = from_config({"margins": {"psnr": {"margin": 0.2}}})
    verdict = judge(load(run.path), load(base.path), use, gates=[Regression(), Preference()])
    files.write_json(run.verdict_file, verdict)
    return verdict


def mixed(pair, rater):
    return ("first", "second", "tie", "bad", "first")[(pair.number + len(rater)) % 5]


def page(run, base=None):
    return html.render(run, base)


def test_without_a_review_there_is_no_section(runs):
    text = page(runs[0])
    assert 'id="reviews"' not in text
    assert 'href="#reviews"' not in text
    planned(*runs)
    assert 'id="reviews"' not in page(runs[0]), "nobody answered"
    assert NOBODY in view(runs[0]).limits


def test_every_form_says_the_numbers_of_the_tally(runs):
    folder = answered(planned(*runs, catches=6, raters=2), mixed, raters=("Ann", "Benedict"))
    answered(folder, mixed, raters=("judge",), kind=MODEL)
    verdict = saved(*runs)
    found, text = tally(folder), page(*runs)
    rates = [voice["rates"][0] for voice in found["voices"]]
    assert len({rate["rate"] for rate in rates}) == 2, "two voices that differ"
    figure = text.partition('id="reviews"')[2].partition("</figure>")[0]
    exact = [float(value) for value in re.findall(r'<data value="([^"]+)"', figure)]
    assert exact == [rate["rate"] for rate in rates]
    written = markdown.render(view(*runs))
    for rate in rates:
        mean, low, high = (f"{100 * rate[end]:.1f}" for end in ("rate", "low", "high"))
        shown = f"{mean} % [{low}, {high}]"
        assert shown in Page(figure).text
        assert shown.replace("[", "&#91;").replace("]", "&#93;") in written
    assert view(*runs).document()["report"]["reviews"] == [found]
    rows = [row for row in verdict["gates"] if row["gate"] == "preference"]
    assert [row["candidate"] for row in rows] == [rate["rate"] for rate in rates]
    for row in rows:
        suite = junit.render(view(*runs))
        assert f'<property name="harm" value="{row["estimate"]}"' in suite
        assert f"{row['count']} pairs, 0 missing" in suite
    seen = Page(text).text
    assert "Position bias of judge" in seen
    position = found["voices"][1]["position"]
    assert f"{position['contrary']} of {position['pairs']} pairs answered by position" in seen
    assert f"p of equal preference {found['between'][0]['p']:.3g}" in seen


def test_new_answers_reach_the_page_at_once_and_the_verdict_when_it_is_judged(runs):
    folder = answered(planned(*runs), lambda *_: "first", pairs=range(11))
    saved(*runs)
    assert "11 of 12 pairs" in Page(page(runs[0])).text
    answered(folder, lambda *_: "first", pairs=[11])
    late = (
        "Answers were given since this was judged: qa judge RUN --save --baseline BASE takes them "
        "up."
    )
    seen = Page(page(runs[0])).text
    assert "12 of 12 pairs" in seen
    assert late in seen
    before = runs[0].verdict()["gates"][-1]["state"]
    assert (before, saved(*runs)["gates"][-1]["state"]) == ("INCONCLUSIVE", "IMPROVED")
    assert late not in Page(page(runs[0])).text


def test_the_step_that_is_offered_judges_against_the_same_run(runs):
    """What was promoted is found without a name, and has a content that the verdict tells."""
    folder = answered(planned(*runs), mixed, pairs=range(11))
    verdict = saved(*runs)
    answered(folder, mixed, pairs=[11])
    (one,) = told(runs[0])
    assert "qa judge RUN --save --baseline BASE takes" in beside(one, verdict)
    promoted = verdict | {"baseline": verdict["baseline"] | {"content": "9" * 64}}
    assert "qa judge RUN --save takes" in beside(one, promoted)


def test_pairs_that_nobody_is_asked_are_not_waited_for(runs):
    folder = planned(*runs)
    level(folder, 3)
    answered(folder, mixed)
    seen = Page(page(runs[0])).text
    assert "11 of 11 pairs" in seen
    assert "1 with equal pictures, ties that nobody was asked" in seen


def cells(text, name):
    """The table of raters: cells of a rater's row by head."""
    table = text.partition('aria-label="Table of raters"')[2].partition("</table>")[0]
    heads = re.findall('<th(?: class="num")?>(.*?)</th>', table)
    (row,) = (row for row in re.findall("<tr>(.*?)</tr>", table) if f"<bdi>{name}</bdi>" in row)
    own = re.findall("<t[hd][^>]*>(.*?)</t[hd]>", row)
    return dict(zip(heads, [Page(cell).text.replace(" :", ":") for cell in own], strict=True))


def test_raters_that_count_do_not_count_yet_or_never_will(runs):
    """And how many of their answers are in the rate: of a pair, that of who came first."""
    folder = planned(*runs, catches=10)
    answered(folder, mixed, raters=("Ann",), pairs=(*range(8), *range(12, 22)))
    answered(folder, mixed, raters=("Ben",), date="2026-11-22T11:00:00+00:00")
    answered(folder, mixed, raters=("Cy",), pairs=range(3))
    answered(folder, mixed, raters=("Zoe",), attentive=False)
    text = page(runs[0])
    rows = {name: cells(text, name) for name in ("Ann", "Ben", "Cy", "Zoe")}
    assert {name: row["Counts"].split(":")[0] for name, row in rows.items()} == {
        "Ann": "yes", "Ben": "yes", "Cy": "not yet", "Zoe": "no",
    }  # fmt: skip
    told_of = {one["name"]: one for one in tally(folder)["voices"][0]["raters"]}
    assert rows["Cy"]["Counts"] == f"not yet: {told_of['Cy']['why']}"
    assert rows["Zoe"]["Counts"] == "no: 10 of 10 catch trials missed"
    given = {name: (row["Pairs"], row["In the rate"]) for name, row in rows.items()}
    assert given == {"Ann": ("8", "8"), "Ben": ("12", "4"), "Cy": ("3", "0"), "Zoe": ("12", "0")}
    (line,) = lines(told(runs[0]))
    assert "12 answers of 2 raters, those of 2 more not counted" in line


def test_what_a_verdict_does_not_rest_on_is_said(runs):
    answered(planned(*runs), mixed)
    verdict = saved(*runs)
    (one,) = told(runs[0])
    assert beside(one, verdict) == ""
    other = verdict | {"baseline": verdict["baseline"] | {"plan": "9" * 64}}
    assert beside(one, other) == "It compares the run with others than the verdict does."
    assert beside(one, verdict | {"baseline": None}) == beside(one, other)
    older = verdict | {"terms": {"gates": ["regression"]}}
    assert beside(one, older) == "The gates of this verdict do not ask for reviews."
    stranger = verdict | {"candidate": verdict["candidate"] | {"plan": "9" * 64}}
    assert beside(one, stranger) == "It compares another run than this one."


def test_foreign_text_is_text(runs):
    folder = planned(*runs)
    answered(folder, mixed, raters=(HOSTILE, "<script>alert(1)</script>"), note=HOSTILE)
    answered(folder, mixed, raters=("<img src=x onerror=y>",), kind=MODEL, note="half")
    saved(*runs)
    text = page(*runs)
    plain = Page(text)
    assert not plain.all("b", onerror="y")
    assert len(plain.all("script")) == len(Page(page_of_nobody(runs)).all("script"))
    assert not [image for image in plain.all("img") if image.get("src") == "x"]
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "<script>alert(1)</script>" in plain.text, "it is shown as it is spelled"
    text.encode()
    written = markdown.render(view(*runs))
    assert "<img" not in written
    assert "<script" not in written
    planted = text.replace("&lt;img src=x", "<img src=x")  # the check above can fail
    assert [image for image in Page(planted).all("img") if image.get("src") == "x"]


def page_of_nobody(runs):
    kept = runs[0].path / "reviews"
    kept.rename(runs[0].path / "aside")
    text = page(*runs)
    (runs[0].path / "aside").rename(kept)
    return text


def test_a_damaged_review_is_said_and_the_others_stay(runs):
    answered(planned(*runs), mixed)
    broken = answered(planned(*runs, name="broken"), mixed)
    broken.plan_file.write_text("{}")
    seen = Page(page(runs[0])).text
    assert "It cannot be read: Its schema is not decoder-qa/review/1." in seen
    assert "12 of 12 pairs" in seen
    assert "broken cannot be read" in markdown.render(view(runs[0])).replace("&#46;", ".")
    document = view(runs[0]).document()["report"]["reviews"]
    assert document[0] == {"name": "broken", "damaged": "Its schema is not decoder-qa/review/1."}
    assert str(runs[0].path) not in json.dumps(document)


def test_who_looked_is_a_known_limit_only_if_nobody_did(runs):
    folder = planned(*runs, catches=10)
    answered(folder, mixed, raters=("judge",), kind=MODEL)
    answered(folder, mixed, raters=("Asleep",), attentive=False)
    assert NOBODY in view(runs[0]).limits, (
        "a model is nobody, and who does not look counts for none"
    )
    answered(folder, mixed, raters=("Ann", "Ben"))
    answered(planned(*runs, name="text", question="text"), mixed, raters=("Ann",), pairs=range(3))
    seen = view(runs[0]).limits
    assert NOBODY not in seen
    assert "2 people compared 15 pairs of these pictures, asked: overall, text." in seen
    assert NOBODY in limits(runs[0].verdict(), {})


def test_who_compared_other_runs_compared_nothing_of_this_verdict(runs, tmp_path):
    other = finished(tmp_path / "other", 12, shade=2)
    answered(planned(runs[0], other), mixed)
    assert people(told(runs[0]), runs[0].verdict()) == ""
    assert people(told(runs[0]), saved(runs[0], other)) != "", "control"


def test_a_long_table_says_where_it_ends(tmp_path):
    runs = finished(tmp_path / "run", MAX_PAIRS + 1, 1), finished(tmp_path / "base", MAX_PAIRS + 1)
    folder = answered(planned(*runs), mixed, pairs=range(MAX_PAIRS))
    (one,) = told(runs[0])
    assert (len(one.lines), one.total) == (MAX_PAIRS, MAX_PAIRS)
    answered(folder, mixed, pairs=[MAX_PAIRS])
    (one,) = told(runs[0])
    assert (len(one.lines), one.total) == (MAX_PAIRS, MAX_PAIRS + 1)
    saved(*runs)
    assert "201 pairs, answer by answer (the first 200; all are in reviews/ overall" in (
        Page(page(runs[0])).text
    )


def test_a_pair_shows_each_answer_of_the_arms_it_is_about(runs):
    """Sides are given back as arms, and a model that answers by place says both."""
    folder = planned(*runs, catches=2)
    drawn = {"tags": ("blur",), "note": "soft", "box": Box(0.25, 0.1, 0.5, 0.9)}
    answered(folder, lambda *_: "second", raters=("Zoe",), **drawn)
    answered(folder, lambda *_: None, raters=("judge",), kind=MODEL)
    (one,) = told(runs[0])
    ann, judge_ = one.lines[0].answers
    assert ann.box == "box 25 % from the left, 10 % from the top, 50 % wide, 90 % high"
    saved(*runs)
    assert ann.box in Page(page(*runs)).text
    assert (ann.rater, ann.said, ann.tags, ann.note) == ("Zoe", "B is better", ("blur",), "soft")
    assert judge_.said == "no answer: it said nothing"
    assert one.lines[12].chosen == "catch trial: the same picture twice"
    assert one.lines[12].answers[0].said == "equally good"
    assert one.lines[13].chosen == "catch trial: one with a planted defect"
    assert one.lines[13].answers[0].said == "the first is better"
    assert {line.sample for line in one.lines} == {f"p{n:03d}" for n in range(12)}


def test_catch_trials_show_whether_they_were_met(runs):
    """As the tally counts them: a tie or two bad ones of one picture, both orders of a model."""
    folder = planned(*runs, catches=4)
    identical, defect = 12, 13
    answered(folder, mixed, raters=("Ann",))
    answered(folder, mixed, raters=("Zoe",), attentive=False)
    answered(folder, mixed, raters=("judge",), kind=MODEL)
    plan = folder.plan()
    for number, name, side in ((identical, "Bad", BAD), (defect, "Bad", BAD), (defect, "Tie", TIE)):
        add(folder, plan, Answer(number, name, PERSON, True, side, date=DATE))
    for number, name, said in (
        (identical, "by place", (LEFT, LEFT)), (defect, "by place", (LEFT, LEFT)),
        (identical, "silent", (None, TIE)), (defect, "silent", (None, None)),
        (identical, "half", (TIE,)), (defect, "half", (LEFT,)),
    ):  # fmt: skip
        for left, side in zip((True, False), said, strict=False):
            add(folder, plan, Answer(number, name, MODEL, left, side, date=DATE))
    (one,) = told(runs[0])
    met = {
        (line.number, answer.rater): answer.trial for line in one.lines for answer in line.answers
    }
    assert {trial for (number, _), trial in met.items() if number < identical} == {""}
    assert [met[identical, name] for name in ("Ann", "Zoe", "judge", "Bad")] == [
        "right", "missed", "right", "right",
    ]  # fmt: skip
    assert [met[defect, name] for name in ("Ann", "Zoe", "judge", "Bad", "Tie")] == [
        "right", "missed", "right", "missed", "missed",
    ]  # fmt: skip
    assert [met[identical, name] for name in ("by place", "silent", "half")] == [
        "right", "missed", "missed",
    ]  # fmt: skip
    for voice in one.said["voices"]:
        for rater in voice["raters"]:
            own = [trial for (_, name), trial in met.items() if name == rater["name"] and trial]
            assert (own.count("missed"), len(own)) == (rater["missed"], rater["trials"])
    seen = Page(page(runs[0])).text.replace(" :", ":")
    assert "Zoe the second is better: missed" in seen
    assert "Ann equally good: right" in seen


def test_several_arms_have_strengths(runs, tmp_path):
    third = finished(tmp_path / "third", 12, shade=2)
    folder = answered(planned(runs[0], runs[1], third), mixed, raters=("Ann", "Benedict"))
    saved(*runs)
    seen = Page(page(runs[0])).text
    strengths = tally(folder)["voices"][0]["strengths"]
    assert len(strengths) == 3
    for one in strengths:
        assert f"{one['value']:.2f}".replace("-", "−") in seen


def test_pictures_that_changed_since_are_said_and_seen_by_nobody(runs):
    folder = answered(planned(*runs), mixed)
    verdict = saved(*runs)
    assert people(told(runs[0]), verdict) != "", "control"
    repictured(folder, 7, 0)
    (one,) = told(runs[0])
    said = "The run's picture of seed 0 of 'p007' is no longer the one that was compared."
    assert beside(one, verdict) == said
    assert people([one], verdict) == ""
    assert said in Page(page(runs[0])).text
    runs[0].decoded_file.unlink()
    assert told(runs[0])[0].changed == "", "nobody can tell"


def conceded(verdict, review):
    """The verdict with a waiver of its first row that cites a review."""
    waiver = {"gate": "psnr", "by": "Ann", "why": "seen", "until": "2099-01-01", "review": review}
    return verdict | {"gates": [verdict["gates"][0] | {"waiver": waiver}, *verdict["gates"][1:]]}


def test_a_waiver_that_cites_a_review_stands_beside_it(runs):
    folder = answered(planned(*runs), mixed)
    (one,) = told(runs[0])
    plan = runs[0].record()["plan"]
    known = {"name": "overall", "run": plan, "plan": one.said["plan"], "answers": one.answers}
    verdict = conceded(saved(*runs), known | {"said": "preferred in 50 %"})
    assert citing(one, verdict) == ["The waiver of psnr cites it."]
    assert not [limit for limit in limits(verdict, {}) if "another run" in limit]
    files.write_json(runs[0].verdict_file, verdict)
    assert "The waiver of psnr cites it." in Page(page(runs[0])).text
    answered(folder, mixed, raters=("Benedict",), pairs=[0])
    (later,) = told(runs[0])
    assert citing(later, verdict) == [
        "The waiver of psnr cites it, as it was then: preferred in 50 %."
    ]
    other = conceded(verdict, known | {"plan": "9" * 64})
    assert citing(one, other) == []


def test_a_waiver_that_cites_a_review_of_another_run_is_a_known_limit(runs):
    known = {"name": "eyes", "run": "9" * 64, "plan": "", "answers": "", "said": ""}
    verdict = conceded(saved(*runs), known)
    said = (
        "The review eyes that the waiver of psnr cites is of another run: nobody has seen these "
        "pictures there."
    )
    assert said in limits(verdict, {})
    table = verdict | {"candidate": verdict["candidate"] | {"plan": None}}
    assert said not in limits(table, {}), "nobody can tell"


def test_a_pair_leads_to_its_picture(runs):
    answered(planned(*runs), mixed)
    saved(*runs)
    seen = Page(page(runs[0]).partition('id="reviews"')[2].partition('id="worst"')[0])
    links = [one["href"] for one in seen.all("a")]
    assert len(links) == 12
    assert all((runs[0].path / link).is_file() for link in links)


def test_several_reviews_of_one_question_are_told_apart(runs):
    answered(planned(*runs, name="monday"), mixed)
    assert lines(told(runs[0]))[0].startswith("overall, people: ")
    answered(planned(*runs, name="tuesday"), mixed)
    starts = [line.partition(":")[0] for line in lines(told(runs[0]))]
    assert starts == ["overall/monday, people", "overall/tuesday, people"]
