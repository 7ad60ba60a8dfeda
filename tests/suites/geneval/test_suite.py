"""GenEval's samples: prompts, takes, groups; and folders of pictures that exist."""

import pytest
from geneval_oracle import picture, rows, write_rows

from qa import images
from qa.errors import UsageError
from qa.seeds import content
from suites.geneval import layout
from suites.geneval.prompts import row_of
from suites.geneval.suite import GenEval


@pytest.fixture
def own(tmp_path):
    """A file of three prompts, and the rows in it."""
    made = rows({"counting": 2, "position": 1})
    return str(write_rows(tmp_path / "own.jsonl", made)), made


@pytest.fixture
def folder(own, tmp_path):
    """Their pictures, two each, in the official layout."""
    for number, row in enumerate(own[1]):
        place = tmp_path / "made" / f"{number:05d}"
        (place / "samples").mkdir(parents=True)
        write_rows(place / "metadata.jsonl", [row])
        for take in range(2):
            (place / "samples" / f"{take:04d}.png").write_bytes(images.encode_png(picture(number)))
    (tmp_path / "made" / "notes").mkdir()
    return tmp_path / "made"


def suite(own, **given):
    return GenEval("custom", own[0], **{"pictures": 2, **given})


def test_every_prompt_has_its_takes(own):
    samples = suite(own).samples()
    assert [s.id for s in samples] == sorted(s.id for s in samples)
    assert [s.id for s in samples][:3] == ["00000/0000", "00000/0001", "00001/0000"]
    assert [s.take for s in samples] == [0, 1] * 3
    assert [s.group for s in samples] == ["00000"] * 2 + ["00001"] * 2 + ["00002"] * 2
    for sample in samples:
        asked = own[1][int(sample.group)]
        assert row_of(sample.asks) == asked
        assert (sample.prompt, sample.tags) == (asked["prompt"], (asked["tag"],))
        assert sample.image is sample.sha256 is sample.problem is None


def test_takes_have_noise_of_their_own(own):
    samples = suite(own).samples()
    assert len({content(sample) for sample in samples}) == len(samples)


def test_the_name_says_which_prompts(own, tmp_path):
    other = write_rows(tmp_path / "other.jsonl", own[1][:1])
    names = {suite(own).name, GenEval("custom", str(other)).name}
    assert len(names) == 2
    assert all(name.startswith("geneval-") for name in names)


@pytest.mark.parametrize("given", [{"pictures": 0}, {"missing": "ignore"}])
def test_what_cannot_be_asked_for(own, given):
    with pytest.raises(UsageError, match=f"suite.{next(iter(given))}="):
        suite(own, **given)


def test_a_whole_folder_has_no_problem(own, folder):
    found = suite(own, folder=str(folder)).samples()
    assert found == suite(own).samples()
    assert {name: [file.name] for name, [file] in layout.files(folder).items()} == {
        sample.id: [f"{sample.take:04d}.png"] for sample in found
    }


@pytest.mark.parametrize(
    ("harm", "lost", "said"),
    [
        (lambda f: (f / "00001/samples/0001.png").unlink(), ["00001/0001"], "no picture"),
        (lambda f: (f / "00001/samples/0001.png").rename(f / "00001/samples/0001.jpg"),
         ["00001/0001"], "no picture 00001/samples/0001.png"),
        (lambda f: (f / "00001/metadata.jsonl").unlink(), ["00001/0000", "00001/0001"],
         "nothing says what was asked for"),
        (lambda f: (f / "00001").rename(f / "one"), ["00001/0000", "00001/0001"], "no folder"),
        (lambda f: (f / "00001/samples/1.png").write_bytes(b""), ["00001/0001"], "several"),
    ],
)  # fmt: skip
def test_what_is_missing_is_a_problem_or_left_out(own, folder, harm, lost, said):
    harm(folder)
    samples = suite(own, folder=str(folder)).samples()
    assert [s.id for s in samples] == [s.id for s in suite(own).samples()]
    assert [s.id for s in samples if s.problem] == lost
    assert all(said in s.problem for s in samples if s.problem)
    with pytest.warns(RuntimeWarning, match=f"{len(lost)} of 6 pictures are left out"):
        fewer = suite(own, folder=str(folder), missing="allow").samples()
    assert [s.id for s in fewer] == [s.id for s in samples if not s.problem]


def test_names_may_have_any_number_of_digits(own, folder):
    (folder / "00001").rename(folder / "1")
    (folder / "1/samples/0001.png").rename(folder / "1/samples/00001.png")
    (folder / "1/samples/0000.png").rename(folder / "1/samples/0.PNG")
    assert suite(own, folder=str(folder)).samples() == suite(own).samples()


def test_more_pictures_than_asked_for_are_refused(own, folder):
    with pytest.raises(UsageError, match=r"3 pictures that nobody asked for.*00000/samples/0001"):
        suite(own, folder=str(folder), pictures=1).samples()
    (folder / "00007").mkdir()
    assert len(suite(own, folder=str(folder)).samples()) == 6
    (folder / "00002").rename(folder / "00003")
    with pytest.raises(UsageError, match=r"2 pictures that nobody asked for.*00003"):
        suite(own, folder=str(folder)).samples()


def test_pictures_of_other_prompts_are_refused(own, folder, tmp_path):
    """The same clauses with a prompt that was rewritten."""
    longer = [{**row, "prompt": f"{row['prompt']}, at length"} for row in own[1]]
    other = str(write_rows(tmp_path / "long.jsonl", longer)), longer
    with pytest.raises(UsageError, match="is not line 1 of these prompts"):
        suite(other, folder=str(folder), missing="allow").samples()


def test_keys_beside_the_row_do_not_make_it_another(own, folder):
    write_rows(folder / "00001/metadata.jsonl", [{**own[1][1], "model": "x"}])
    assert suite(own, folder=str(folder)).samples() == suite(own).samples()


def test_a_folder_that_is_not_there(own, tmp_path):
    with pytest.raises(UsageError, match="is not a folder"):
        suite(own, folder=str(tmp_path / "none")).samples()
