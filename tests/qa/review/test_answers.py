"""Answers are added, survive a kill in the middle of a line, and are of the plan or refused."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace

import pytest
from raters import plan, said

from qa.errors import QaError
from qa.review import answers
from qa.review.answers import MODEL, PERSON, TAGS, Answer, Box
from qa.review.plan import ReviewFolder

MADE = plan(10, draws=20)


@pytest.fixture
def folder(tmp_path):
    found = ReviewFolder(tmp_path / "overall")
    found.register(MADE)
    return found


def answer(pair=0, word="left", rater="Ada", **changes):
    known = {"kind": PERSON, "first_is_left": True, "date": "2026-01-01T00:00:00+00:00"}
    return Answer(pair, rater, **known | {"said": word} | changes)


def file_of(folder):
    return next(folder.answers.iterdir())


def test_a_plan_comes_back_as_it_was_registered(folder):
    assert folder.plan() == MADE
    assert folder.plan().digest == MADE.digest


def test_a_plan_that_is_registered_stays(folder):
    assert folder.register(replace(MADE, margin=0.3)) is False
    assert folder.plan() == MADE


def test_an_answer_comes_back_whole(folder):
    given = answer(
        3, "bad", tags=TAGS[:2], box=Box(0.25, 0.5, 0.5, 0.5), note="<b>wie?</b>\n", seconds=2.5
    )
    answers.add(folder, MADE, given)
    assert answers.read(folder, MADE) == [given]


def test_the_last_word_counts_and_the_first_one_stays_in_the_file(folder):
    answers.add(folder, MADE, answer(0, "left"))
    answers.add(folder, MADE, answer(0, "right"))
    assert [one.said for one in answers.read(folder, MADE)] == ["right"]
    assert len(file_of(folder).read_text().splitlines()) == 2


def test_of_several_files_the_last_date_counts(folder):
    """Answers of one rater, brought together from two machines."""
    old, new = (answer(0, word, date=f"2026-01-0{day}") for day, word in ((1, "left"), (2, "bad")))
    for names in (("a", "b"), ("b", "a")):
        for name, given in zip(names, (old, new), strict=True):
            answers.add(folder, MADE, given)
            file_of(folder).rename(folder.path / f"{name}.jsonl")
        for name in names:
            (folder.path / f"{name}.jsonl").rename(folder.answers / f"{name}.jsonl")
        assert answers.read(folder, MADE) == [new]
        for file in folder.answers.iterdir():
            file.unlink()


@pytest.mark.parametrize("apart", [False, True])
def test_no_answer_takes_none_back(folder, apart):
    """Two processes asked a model the same; one of them was refused."""
    said = answer(0, "left", "judge", kind=MODEL)
    answers.add(folder, MADE, said)
    if apart:
        file_of(folder).rename(folder.answers / "a.jsonl")
    answers.add(folder, MADE, replace(said, said=None, why="refused", date="2026-02-01"))
    assert answers.read(folder, MADE) == [said]


def test_a_model_has_an_answer_in_each_order(folder):
    for first in (True, False):
        answers.add(folder, MADE, answer(0, "left", "judge", kind=MODEL, first_is_left=first))
    assert len(answers.read(folder, MADE)) == 2


def test_answers_of_raters_lie_in_files_of_their_own(folder):
    for rater in ("Ada", "Grace", "../Eve"):
        answers.add(folder, MADE, answer(rater=rater))
    assert len(list(folder.answers.iterdir())) == 3
    assert {one.rater for one in answers.read(folder, MADE)} == {"Ada", "Grace", "../Eve"}


def test_half_a_line_is_no_answer_and_is_not_continued(folder):
    answers.add(folder, MADE, answer(0))
    whole = file_of(folder).read_bytes()
    for kept in range(len(whole)):
        file_of(folder).write_bytes(whole + whole[:kept])
        assert len(answers.read(folder, MADE)) == 1
    answers.add(folder, MADE, answer(1))
    assert [one.pair for one in answers.read(folder, MADE)] == [0, 1]


def test_nothing_is_taken_out_of_a_file(folder):
    """What looks like half a line may be one that another process is writing."""
    answers.add(folder, MADE, answer(0))
    begun = file_of(folder).read_bytes() + b'{"pair": 1'
    file_of(folder).write_bytes(begun)
    answers.add(folder, MADE, answer(2))
    assert file_of(folder).read_bytes().startswith(begun)
    assert [one.pair for one in answers.read(folder, MADE)] == [0, 2]


@pytest.mark.parametrize("line", ["[]", "5", "null", '"Ada"', "NaN"])
def test_what_is_no_object_is_no_answer(folder, line):
    answers.add(folder, MADE, answer(0))
    file_of(folder).write_text(line + "\n")
    with pytest.raises(QaError, match="Line 1: it is no JSON object"):
        answers.read(folder, MADE)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_nobody_waits_for_a_pipe(folder):
    folder.answers.mkdir()
    os.mkfifo(folder.answers / "person-Ada.jsonl")
    with pytest.raises(QaError, match="no file"):
        answers.read(folder, MADE)


def test_no_model_speaks_for_people(folder):
    with pytest.raises(ValueError, match="rater"):
        answers.add(folder, MADE, answer(0, rater="people", kind=MODEL))
    answers.add(folder, MADE, answer(0, rater="people"))


def test_a_line_that_is_no_answer_is_refused_by_its_place(folder):
    answers.add(folder, MADE, answer(0))
    with file_of(folder).open("a") as out:
        out.write("nonsense\n")
    with pytest.raises(QaError, match="no answer") as refused:
        answers.read(folder, MADE)
    assert refused.value.why.startswith("Line 2:")


@pytest.mark.parametrize(
    "changes",
    [
        {"pair": 10_000},
        {"pair": -1},
        {"pair": True},
        {"said": "both"},
        {"kind": "robot"},
        {"rater": " "},
        {"rater": "x" * 101},
        {"first_is_left": 1},
        {"tags": ["ugly"]},
        {"tags": "colour"},
        {"note": "x" * 2001},
        {"note": None},
        {"seconds": -1},
        {"seconds": "2"},
        {"box": {"x": 0.5, "y": 0, "width": 0.6, "height": 0.1}},
        {"box": {"x": 0.5}},
        {"date": 5},
        {"more": 1},
        {"begun": "2026-01-01"},
    ],
)
def test_what_is_no_answer_of_this_plan_is_refused(folder, changes):
    answers.add(folder, MADE, answer(0))
    row = json.loads(file_of(folder).read_text())
    file_of(folder).write_text(json.dumps(row | changes) + "\n")
    with pytest.raises(QaError, match="no answer"):
        answers.read(folder, MADE)
    file_of(folder).write_text(json.dumps(row) + "\n")
    assert len(answers.read(folder, MADE)) == 1


def test_nothing_that_could_not_be_read_is_written(folder):
    with pytest.raises(ValueError, match="said"):
        answers.add(folder, MADE, answer(0, "both"))
    assert not folder.answers.exists()


def test_many_at_once_lose_nothing(folder):
    threads = [
        threading.Thread(target=answers.add, args=(folder, MADE, answer(pair)))
        for pair in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.pair for one in answers.read(folder, MADE)] == list(range(16))


def test_an_answer_to_another_plan_than_the_folders_is_refused(folder):
    """A page that stays open while its review is removed and registered anew."""
    folder.plan_file.unlink()
    folder.register(replace(MADE, margin=0.3))
    with pytest.raises(QaError, match="another plan now"):
        answers.add(folder, MADE, answer(0))
    assert not folder.answers.exists()
    answers.add(folder, folder.plan(), answer(0))


def test_who_answers_again_keeps_the_date_of_the_first_answer(folder):
    """What counts is the last word, in the place of the first one."""
    answers.add(folder, MADE, answer(0, "left", date="2026-01-01T00:00:01+00:00"))
    answers.add(folder, MADE, answer(0, "right", date="2026-01-01T00:00:09+00:00"))
    file_of(folder).rename(folder.answers / "elsewhere.jsonl")
    answers.add(folder, MADE, answer(0, "tie", date="2026-01-01T00:00:05+00:00"))
    [found] = answers.read(folder, MADE)
    assert found.said == "right"
    assert (found.begun[-8:-6], found.date[-8:-6]) == ("01", "09")


def test_names_that_differ_in_case_are_one_person_and_two_models(folder):
    """Answers of one person from two machines; models are called by what they are."""
    for kind in (PERSON, MODEL):
        for number, name in enumerate(("Ada", "ADA", "ada")):
            answers.add(folder, MADE, answer(number, rater=name, kind=kind))
    found = answers.read(folder, MADE)
    assert {one.rater for one in found if one.kind == MODEL} == {"Ada", "ADA", "ada"}
    people = {one.rater for one in found if one.kind == PERSON}
    assert len(people) == 1 < len(folder.files()) - 1
    assert people <= {"Ada", "ADA", "ada"}


def test_the_next_pair_is_the_first_that_has_no_answer(folder):
    for row in said(MADE, "Ada", {0: "first", 1: "tie", 3: "second"}):
        answers.add(folder, MADE, row)
    known = answers.by_rater(answers.read(folder, MADE))["Ada"]
    asked = [pair.number for pair in MADE.asked]
    assert answers.next_pair(MADE, known).number == next(n for n in asked if n not in known)
    assert answers.next_pair(MADE, dict.fromkeys(asked)) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("margin", 0.7),
        ("rule", "soon"),
        ("shares", {"harm": 0, "margin": 0, "random": 0}),
        ("draws", [10_000]),
        ("draws", []),
        ("pairs", []),
        ("arms", [{"letter": "A", "name": "x", "plan": "y"}]),
        ("question", {"name": "x"}),
        ("extra", 1),
    ],
)
def test_a_plan_that_was_changed_is_refused(folder, key, value):
    content = json.loads(folder.plan_file.read_text())
    folder.plan_file.write_text(json.dumps(content | {key: value}))
    with pytest.raises(QaError):
        folder.plan()


def test_a_weight_beyond_the_largest_is_refused(folder):
    content = json.loads(folder.plan_file.read_text())
    content["pairs"][0]["weight"] = 2 / content["shares"]["random"]
    folder.plan_file.write_text(json.dumps(content))
    with pytest.raises(QaError, match="weighs"):
        folder.plan()


@pytest.mark.parametrize(
    ("catch", "arms"), [(False, ("B", "A")), (False, ("A", "A")), (True, ("A", "B"))]
)
def test_a_pair_is_of_two_arms_in_order_and_a_trial_of_one(folder, catch, arms):
    content = json.loads(folder.plan_file.read_text())
    pair = next(pair for pair in content["pairs"] if bool(pair["catch"]) == catch)
    pair["first"], pair["second"] = arms
    folder.plan_file.write_text(json.dumps(content))
    with pytest.raises(QaError, match="arms and order"):
        folder.plan()


def test_a_damaged_plan_is_to_be_brought_back(folder):
    """Not written again: numbers in the answers are places in the plan that was lost."""
    folder.plan_file.write_text("{")
    with pytest.raises(QaError, match="bring the file back") as error:
        folder.plan()
    assert "again" not in error.value.fix
