"""Dependency rules and the official script's bugs, on the toy that can be reckoned by hand."""

from __future__ import annotations

import pytest
from dpg_toys import KINDS, PANELS, PARENTS, question, questions_file, toy_item

from qa.errors import UsageError
from suites.dpg.questions import read
from suites.dpg.rules import BUGS, bugs, check_rule, mean, ruled
from suites.dpg.tally import Unscored, panel, subsets, tally

GIVEN = [dict(enumerate(map(float, answers), 1)) for answers in PANELS]


@pytest.fixture
def toy(tmp_path):
    return read(questions_file(tmp_path, toy_item()))


@pytest.mark.parametrize(
    ("rule", "panels", "prompt"),
    [
        ("ella_cascade", [0.2, 0.4, 1.0, 0.2], 0.45),
        ("dsg_raw", [0.4, 0.4, 1.0, 0.2], 0.5),
        ("none", [0.8, 0.8, 1.0, 0.6], 0.8),
    ],
)
def test_the_toy(toy, rule, panels, prompt):
    assert [mean(ruled(each, PARENTS, rule).values()) for each in GIVEN] == pytest.approx(panels)
    assert tally(toy, {"toy": GIVEN}, rule)["score"] == pytest.approx(prompt)


def test_the_order_of_the_file_decides_in_a_cascade():
    """A parent that comes later has not been zeroed yet; a question may be its own parent."""
    given = {1: 0.0, 2: 1.0, 3: 1.0, 4: 0.0}
    parents = {2: [3], 3: [1], 1: [], 4: [4]}
    assert ruled(given, parents, "ella_cascade") == {1: 0.0, 2: 1.0, 3: 0.0, 4: 0.0}
    assert ruled(given, {3: [1], 2: [3], 1: [], 4: [4]}, "ella_cascade")[2] == 0.0
    assert given[3] == 1.0  # what was given stays


def test_categories_in_three_variants(toy):
    found = tally(toy, {"toy": GIVEN}, "ella_cascade")
    last = dict(zip(range(1, 6), PANELS[-1], strict=True))
    assert found["categories"]["last_panel"]["L2"] == {
        "attribute - color": (last[2] + last[3]) / 2,
        "entity - whole": last[1],
        "global": last[4],
        "other - count": last[5],
    }
    assert found["categories"]["last_panel"]["L1"]["attribute"] == 0.5
    columns = list(zip(*PANELS, strict=True))
    every = found["categories"]["all_panels"]["L2"]
    assert every["entity - whole"] == sum(columns[0]) / 4
    assert every["attribute - color"] == sum(columns[1] + columns[2]) / 8
    after = [ruled(each, PARENTS, "ella_cascade") for each in GIVEN]
    assert found["categories"]["after_rule"]["L2"]["other - count"] == sum(s[5] for s in after) / 4
    assert found["L2"] == every
    assert set(every) == {kind.strip(" -") for kind in KINDS}


def test_bug_last_panel(toy):
    found = tally(toy, {"toy": GIVEN}, "ella_cascade", {"last_panel"})
    assert found["L2"] == found["categories"]["last_panel"]["L2"]
    assert found["L2"] != found["categories"]["all_panels"]["L2"]
    assert found["score"] == pytest.approx(0.45)  # the score looks at all of them


def test_bugs_first_row_and_lost_items(tmp_path):
    """The first item loses its first question; its children then have no parent; it is dropped."""
    file = questions_file(tmp_path, toy_item("partiprompts97") + toy_item("b"))
    answers = {"partiprompts97": GIVEN, "b": GIVEN}
    both = {"first_row", "lost_items"}
    found = tally(read(file, both), answers, "ella_cascade", both)
    assert found["items"] == 1
    assert "parent 1 does not exist" in found["dropped"]["partiprompts97"]
    assert not found["complete"]

    skipped = tally(read(file, {"first_row"}), answers, "ella_cascade", {"first_row"})
    assert skipped["items"] == 2
    # without question 1 the chain is 2, 3, 5 and 4 alone
    chain = [(3 + 1) / 4, 1 / 4, 1.0, 0.0]
    assert skipped["score"] == pytest.approx((mean(chain) + 0.45) / 2)

    fixed = tally(read(file), answers, "ella_cascade")
    assert (fixed["items"], fixed["score"]) == (2, pytest.approx(0.45))
    assert fixed["complete"]


def test_a_parent_that_does_not_exist(tmp_path):
    file = questions_file(tmp_path, [question("a", 1), question("a", 2, "9")])
    item = read(file).items["a"]
    assert panel(item, {1: 0.0, 2: 1.0}, "ella_cascade") == {1: 0.0, 2: 1.0}
    with pytest.raises(Unscored, match="parent 9"):
        panel(item, {1: 0.0, 2: 1.0}, "ella_cascade", {"lost_items"})


def test_bug_mixed_ranks(tmp_path):
    """Values of one category are reckoned under another's name, as soon as there are two."""
    rows = [
        question(item, number, kind=kind)
        for item in ("a", "b")
        for number, kind in enumerate(["x - 1", "x - 2", "y - 1", "y - 2", "z - 1"], 1)
    ]
    asked = read(questions_file(tmp_path, rows))
    panels = [{1: 1.0, 2: 0.0, 3: 1.0, 4: 0.0, 5: 1.0}]
    answers = {"a": panels, "b": panels}
    right = {"x - 1": 1.0, "x - 2": 0.0, "y - 1": 1.0, "y - 2": 0.0, "z - 1": 1.0}
    assert tally(asked, answers, "none", ranks=2)["L2"] == right
    assert tally(asked, answers, "none", {"mixed_ranks"}, ranks=1)["L2"] == right
    mixed = tally(asked, answers, "none", {"mixed_ranks"}, ranks=2)
    assert mixed["L2"] != right
    # one process' own values stay under their names, the other's move as a whole
    assert sum(mixed["L2"].values()) == pytest.approx(sum(right.values()))
    assert mixed["score"] == tally(asked, answers, "none")["score"]


def test_a_missing_answer_is_never_a_no(toy):
    asked = {"toy": [GIVEN[2], GIVEN[2] | {3: None}]}
    found = tally(toy, asked, "ella_cascade")
    assert (found["score"], found["answered"], found["complete"]) == (None, None, False)
    assert found["dropped"] == {"toy": "no answer to 1 of 5 questions (3)"}
    no = tally(toy, {"toy": [GIVEN[2], GIVEN[2] | {3: 0.0}]}, "ella_cascade")
    assert no["score"] == pytest.approx((1 + 0.8) / 2)


def test_items_without_answers_and_answers_without_items(toy):
    found = tally(toy, {"stranger": GIVEN}, "none")
    assert found["score"] is None
    assert found["dropped"] == {"stranger": "not in the CSV", "toy": "no answers"}


def test_an_item_without_a_score_stays_in_the_mean(tmp_path):
    asked = read(questions_file(tmp_path, toy_item("a") + toy_item("b")))
    answers = {"a": GIVEN, "b": [GIVEN[2] | {3: None}]}
    found = tally(asked, answers, "ella_cascade")
    assert (found["score"], found["answered"]) == pytest.approx((0.45 / 2, 0.45))
    names = {"a": "one", "b": "one", "stranger": "other"}
    assert subsets(asked, answers, names, "ella_cascade") == {"one": found["score"]}
    lost = tally(asked, answers, "ella_cascade", {"lost_items"})
    assert lost["score"] == pytest.approx(0.45)
    assert subsets(asked, answers, names, "ella_cascade", {"lost_items"}) == {"one": lost["score"]}


def test_modes():
    assert bugs("fixed") == frozenset()
    assert bugs("official_bugs") == frozenset(BUGS)
    assert bugs("first_row+last_panel") == {"first_row", "last_panel"}
    for name in BUGS:
        assert bugs(name) == {name}
    with pytest.raises(UsageError, match="compat=most is not known"):
        bugs("most")
    with pytest.raises(UsageError, match="rule=cascade is not known"):
        check_rule("cascade")
