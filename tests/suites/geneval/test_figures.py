"""GenEval about drawn figures, from prompts to scores; and its control."""

from collections import Counter
from pathlib import Path
from statistics import fmean

import pytest
from figure_artist import as_picture, first_of_tag, shipped_panel

from qa.config import compose
from qa.drawings.figures import TAGS, asks_of, draw_prompt, is_held_out, prompts
from qa.errors import UsageError
from qa.run import evaluate
from suites.geneval.figures import DrawnFigures, exchanged, rows, saying
from suites.geneval.prompts import PROMPT_FILE, row_of
from suites.geneval.rules import judge
from suites.geneval.shapes import DrawnColours, DrawnShapes

CONF = Path(__file__).parents[2] / "conf"
DEAF = {
    "single_object": 1 / 4, "two_object": 1 / 6, "counting": 1 / 12, "colors": 1 / 24,
}  # fmt: skip
"""Score of who draws one prompt of the tag for all of them: 4 shapes; 6 pairs; 3 counts of 4
shapes; 6 colours of 4 shapes. What is held out decides it for the other two tags."""


def of_tag(tag):
    return [row for row in rows() if row["tag"] == tag]


def chance(tag):
    """Share of a tag's rows that say what its first does."""
    own = of_tag(tag)
    return fmean(saying(row) == saying(own[0]) for row in own)


def test_every_prompt_has_its_takes():
    samples = DrawnFigures(pictures=2).samples()
    assert [one.id for one in samples] == sorted(one.id for one in samples)
    assert [one.id for one in samples][:3] == ["00000/0000", "00000/0001", "00001/0000"]
    for one in samples:
        row = row_of(one.asks)
        assert row == asks_of(one.prompt)
        assert one.tags == (row["tag"],)
        assert (one.group, one.take) == (one.id.split("/")[0], int(one.id.split("/")[1]))
        assert one.image is None
    assert len({one.asks[PROMPT_FILE] for one in samples}) == 1
    shipped_panel().check(samples)
    with pytest.raises(UsageError, match=r"suite\.pictures=0"):
        DrawnFigures(pictures=0)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"shuffled": "no"}, "says neither yes nor no"),
        ({"pictures": 2.5}, "asks for nothing"),
        ({"pictures": "two"}, "asks for nothing"),
        ({"pictures": 0}, "asks for nothing"),
    ],
)
def test_settings_of_another_kind_are_refused(settings, told):
    with pytest.raises(UsageError, match=told):
        DrawnFigures(**settings)


def test_only_prompts_that_no_training_draws_where_there_are_enough():
    for tag in TAGS:
        asked = [row["prompt"] for row in of_tag(tag)]
        trained = [prompt for prompt in asked if not is_held_out(prompt)]
        if tag in ("position", "color_attr"):
            assert trained == []
            assert 0 < len(asked) < len(prompts(tag))
        else:
            assert asked == trained == list(prompts(tag))


def test_what_two_prompts_say_is_compared_and_not_how():
    def same(one, other):
        return saying(asks_of(one)) == saying(asks_of(other))

    assert same("a circle left of a star", "a star right of a circle")
    assert same("a circle above a star", "a star below a circle")
    assert not same("a circle left of a star", "a star left of a circle")
    assert not same("a circle left of a star", "a circle above a star")
    assert same("a red circle and a blue star", "a blue star and a red circle")
    assert not same("a red circle and a blue star", "a blue circle and a red star")
    assert not same("two circles", "three circles")


def test_the_control_judges_by_other_rows_of_the_tag():
    plain, control = DrawnFigures().samples(), DrawnFigures(shuffled=True).samples()
    assert (DrawnFigures().name, DrawnFigures(shuffled=True).name) == (
        "figures", "figures-shuffled",
    )  # fmt: skip
    for one, other in zip(plain, control, strict=True):
        assert (one.id, one.prompt, one.tags, one.take) == (
            other.id, other.prompt, other.tags, other.take,
        )  # fmt: skip
        assert other.asks["tag"] == one.asks["tag"]
        assert saying(row_of(other.asks)) != saying(row_of(one.asks))
    told = [Counter(sample.asks["prompt"] for sample in side) for side in (plain, control)]
    assert told[0] == told[1]  # each row as often as without


def test_what_most_rows_say_cannot_be_exchanged():
    asked = [asks_of(prompt) for prompt in ("two circles", "two stars", "three stars")]
    assert all(
        saying(row) != saying(other) for row, other in zip(asked, exchanged(asked), strict=True)
    )
    twice = [asks_of("a circle left of a star"), asks_of("a star right of a circle")]
    assert saying(exchanged(twice)[0]) == saying(twice[0])


def test_a_true_drawing_fulfils_what_its_prompt_says_and_nothing_else():
    """So true drawings score 1, the control 0, and a deaf decoder what equal sayings make."""
    detector, classifier = DrawnShapes(), DrawnColours()
    options = shipped_panel().options
    for tag in TAGS:
        for place, row in enumerate(own := of_tag(tag)):
            picture = as_picture(draw_prompt(row["prompt"], place).image)
            found = detector.detect(picture)
            boxes = {cls: part.boxes for cls, part in found.items()}
            names = {
                cls: classifier.colours(picture, cls, part.boxes, part.masks)
                for cls, part in found.items()
            }
            for other in own:
                held = judge(
                    other, boxes, lambda cls, at, names=names: [names[cls][k] for k in at], options
                )
                same = saying(row) == saying(other)
                assert held.correct == same, (row["prompt"], other["prompt"], held.reason)


def test_what_chance_is():
    assert {tag: chance(tag) for tag in DEAF} == DEAF
    for tag in ("position", "color_attr"):  # each saying in two orders
        assert chance(tag) == 2 / len(of_tag(tag))


def run(*overrides):
    return evaluate(
        "suite=figures", "suite.pictures=1", f"hydra.searchpath=[file://{CONF}]", "decoder=artist",
        "tracking=none", "report=null", *overrides,
    )  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Of an artist who draws what is said, and of a deaf one; each with and without the control."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("figures")
        patch.chdir(folder)
        patch.setenv("QA_CACHE", str(folder / "cache"))
        true = run()
        against = f"baseline={true.folder.path}"
        yield {
            "true": true,
            "control": run("suite.shuffled=true", against),
            "deaf": run("decoder.deaf=true", against),
            "deaf control": run("decoder.deaf=true", "suite.shuffled=true"),
        }


def summary(made):
    return made.folder.panels()["figures"]


def test_the_suite_brings_its_metric_and_its_gates():
    config = compose(["suite=figures"])
    assert list(config.group("metric")) == ["figures"]
    assert list(config.group("gate")) == ["regression", "slices", "preference"]
    assert config.tree.seeds == 1


def test_true_drawings_score_one_and_the_control_nothing(runs):
    found, control = summary(runs["true"]), summary(runs["control"])
    assert found["tags"] == dict.fromkeys(TAGS, 1.0)
    assert (found["overall"], found["images"], found["missing"]) == (1.0, len(rows()), 0)
    assert (found["detector"], found["colours"]) == (DrawnShapes.label, DrawnColours.label)
    assert control["tags"] == dict.fromkeys(TAGS, 0.0)
    for tag in (*TAGS[1:], "overall"):  # of four prompts with a picture each too little is known
        assert control["intervals"][tag]["high"] < found["intervals"][tag]["low"]


def test_a_deaf_decoder_scores_what_chance_is_with_and_without_the_control(runs):
    expected = {tag: pytest.approx(chance(tag)) for tag in TAGS}
    assert summary(runs["deaf"])["tags"] == expected
    assert summary(runs["deaf control"])["tags"] == expected
    assert first_of_tag("four stars") == "two circles"


def test_tags_are_compared_with_a_baseline(runs):
    deaf = runs["deaf"]
    assert (deaf.exit_code, deaf.verdict["state"]) == (3, "FAIL")
    harms = {
        row["metric"]: row["estimate"] for row in deaf.verdict["gates"] if row["gate"] == "slices"
    }
    assert harms == {
        **{f"geneval[{tag}]": pytest.approx(1 - chance(tag)) for tag in TAGS},
        "geneval[mean of slices]": pytest.approx(1 - fmean(map(chance, TAGS))),
    }


def test_the_control_is_no_run_to_compare_with(runs):
    control = runs["control"]
    assert (control.exit_code, control.verdict["state"]) == (5, "INVALID")
