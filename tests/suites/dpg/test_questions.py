"""The loader: all the dirt there is, read as it was meant, and counted."""

from __future__ import annotations

import pytest
from dpg_toys import COLUMNS, asset, question, questions_file, toy_item, write

from qa.errors import QaError, UsageError
from suites.dpg import questions
from suites.dpg.questions import read


def test_a_clean_file(tmp_path):
    found = read(questions_file(tmp_path, toy_item()))
    assert found.remarks == {}
    (item,) = found.items.values()
    assert (item.id, item.prompt) == ("toy", "a prompt for toy")
    assert [q.parents for q in item.questions] == [(), (1,), (2,), (), (1, 2)]
    assert [q.category for q in item.questions][3:] == ["global", "other - count"]
    assert [q.broad for q in item.questions][1:4] == ["attribute", "attribute", "global"]


@pytest.mark.parametrize(
    ("dependency", "parents", "remark"),
    [
        ("0", (), None),
        ("", (), None),
        ("1, 2", (1, 2), None),
        ("1,,2,", (1, 2), None),
        ("2.0", (2,), None),
        ("1, right", (1,), questions.NO_NUMBER),
        ("nan", (), questions.NO_NUMBER),
        ("7", (7,), questions.NO_PARENT),
        ("3", (3,), questions.NOT_BEFORE),
        ("4", (4,), questions.NOT_BEFORE),
    ],
)
def test_dependencies(tmp_path, dependency, parents, remark):
    rows = [question("a", k) for k in (1, 2)] + [question("a", 3, dependency), question("a", 4)]
    found = read(questions_file(tmp_path, rows))
    assert found.items["a"].questions[2].parents == parents
    assert found.remarks == ({remark: 1} if remark else {})


def test_rows_of_an_item_in_several_places_are_put_together(tmp_path):
    rows = [question("a", 1), question("b", 1), question("a", 2, "1")]
    found = read(questions_file(tmp_path, rows))
    assert [q.id for q in found.items["a"].questions] == [1, 2]
    assert found.remarks == {questions.IN_PIECES: 1}
    official = read(questions_file(tmp_path, rows), ["overwrite_rows"])
    assert [q.id for q in official.items["a"].questions] == [2]


def test_the_official_script_skips_the_first_row(tmp_path):
    file = questions_file(tmp_path, toy_item())
    assert [q.id for q in read(file, ["first_row"]).items["toy"].questions] == [2, 3, 4, 5]
    assert [q.id for q in read(file).items["toy"].questions] == [1, 2, 3, 4, 5]


def test_the_official_script_stops_where_no_dependency_has_a_comma(tmp_path):
    plain = [question("a", 1), question("a", 2, "1")]
    with pytest.raises(QaError, match=r"cannot read questions\.csv") as error:
        read(questions_file(tmp_path, plain), ["no_comma"])
    assert error.value.exit_code == 1
    assert len(read(questions_file(tmp_path, plain)).items["a"].questions) == 2
    with_one = [*plain, question("a", 3, "1,2")]
    assert read(questions_file(tmp_path, with_one), ["no_comma"]).items


def test_gaps_repeats_and_numbers_with_a_point(tmp_path):
    rows = [question("a", "1.0"), question("a", 3), question("a", 3, "1")]
    found = read(questions_file(tmp_path, rows))
    assert [(q.id, q.parents) for q in found.items["a"].questions] == [(1, ()), (3, (1,))]
    assert found.remarks == {questions.GAPS: 1, questions.TWICE: 1}


def test_a_byte_order_mark_blank_lines_carriage_returns_and_quotes(tmp_path):
    file = questions_file(tmp_path, [question("a", 1, text='He said "two,\nlines"')])
    lines = file.read_bytes().replace(b"a,", b" a ,", 1)
    file.write_bytes(b"\xef\xbb\xbf" + lines + b"\r\n,,,,,,,,\r\n\r\n")
    (item,) = read(file).items.values()
    assert item.id == "a"
    assert item.prompt == 'He said "two,\nlines"'


def test_categories_without_a_tuple(tmp_path):
    columns = [name for name in COLUMNS if name not in ("tuple", "keywords")]
    rows = [
        {k: v for k, v in row.items() if k in columns}
        for row in (
            question("a", 1, category_broad="attribute", category_detailed="color"),
            question("a", 2, category_broad="global", category_detailed="-"),
            question("a", 3),
        )
    ]
    found = read(write(tmp_path / "q.csv", rows, columns)).items["a"].questions
    assert [q.category for q in found] == ["attribute - color", "global", "none"]


@pytest.mark.parametrize(
    "fault", [{"item_id": ""}, {"proposition_id": "one"}, {"question_natural_language": ""}]
)
def test_a_row_that_is_no_question_is_named_by_its_line(tmp_path, fault):
    rows = [question("a", 1), question("a", 2) | fault]
    with pytest.raises(UsageError, match=r"questions\.csv, line 3 is no question"):
        read(questions_file(tmp_path, rows))


def test_files_of_another_kind(tmp_path):
    file = tmp_path / "x.csv"
    for content, why in ((b"a,b\n1,2\n", "no column dependency"), (b"\xff\xfe", "no text"),
                         (b"", "no column")):  # fmt: skip
        file.write_bytes(content)
        with pytest.raises(UsageError, match=why):
            read(file)
    with pytest.raises(UsageError, match="Cannot read"):
        read(tmp_path / "none.csv")


def test_the_files_digest_is_kept(tmp_path):
    first = read(questions_file(tmp_path, toy_item())).sha256
    assert first == read(questions_file(tmp_path, toy_item())).sha256
    assert first != read(questions_file(tmp_path, toy_item("other"))).sha256


def test_dsg_1k_with_all_its_dirt():
    found = read(asset("dsg", "dsg-1k-anns.csv"))
    assert len(found.items) == 1060
    assert sum(len(item.questions) for item in found.items.values()) == 8182
    assert found.sha256 == "b7ce06ea8a0478ccfd8fba105ecd26d7d301eb99d5c412987546c4cc8e08917a"
    assert found.remarks == {
        questions.NO_NUMBER: 10, questions.NO_PARENT: 8, questions.NOT_BEFORE: 92,
        questions.GAPS: 1,
    }  # fmt: skip
    broad = {q.broad for item in found.items.values() for q in item.questions}
    assert {"entity", "attribute", "relation", "global", "other"} <= broad
