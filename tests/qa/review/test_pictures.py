"""Pictures as raters get to see them: those that were registered, and defects that were planted."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from review_toys import COLOURS, mixed, pair, picture, plan, review

from qa import images
from qa.errors import QaError
from qa.review import pictures
from qa.review.pictures import FIRST, PART, SECOND, levels, missing, png, reference
from qa.review.plan import DEFECT, IDENTICAL, Question

BOTH = (FIRST, SECOND)


def values(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.fixture
def made(tmp_path):
    """Ten pairs, of which two are catch trials, and the arms."""
    registered = plan(mixed(10))
    return registered, review(tmp_path, registered)[1]


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (64, 32)])
def test_the_digest_is_that_of_runs(size):
    found = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    planes = torch.from_numpy(found.transpose(2, 0, 1).copy())
    assert pictures.digest(found) == images.digest(planes)
    assert pictures.digest(found) != images.digest(planes.flip(0)), "control"


def test_stored_files_are_given_as_they_are(made):
    registered, runs = made
    one = registered.pairs[0]
    for which, letter in zip(BOTH, "AB", strict=True):
        data = runs[letter].picture_file(one.sample, 0).read_bytes()
        assert png(registered, runs, one, which) == data
        assert (levels(registered, runs, one, which) == values(data)).all()
    found = reference(registered, runs, one)
    assert (found == values(runs["A"].reference_file(one.sample).read_bytes())).all()


def test_a_defect_is_stripes_over_one_field_of_the_second_picture(made):
    registered, runs = made
    (one,) = (each for each in registered.pairs if each.catch == DEFECT)
    stored = values(runs["A"].picture_file(one.sample, 0).read_bytes())
    assert (levels(registered, runs, one, FIRST) == stored).all()
    seen = levels(registered, runs, one, SECOND)
    assert (values(png(registered, runs, one, SECOND)) == seen).all()
    rows, columns = (np.unique(axis) for axis in np.nonzero((seen != stored).any(2)))
    side = 160 // PART
    assert (len(rows), len(columns)) == (side, side)
    assert rows[0] % side == columns[0] % side == 0
    field = seen[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert set(np.unique(field)) == {0, 255}
    assert (field == field[:, :1, :1]).all(), "each row is black or white"


@pytest.mark.parametrize("of", [png, levels])
@pytest.mark.parametrize("which", BOTH)
def test_another_picture_than_the_registered_one_is_not_shown(made, of, which):
    """Nor where it is a whole picture that another sample has."""
    registered, runs = made
    one, letter = registered.pairs[0], "AB"[BOTH.index(which)]
    file = runs[letter].picture_file(one.sample, 0)
    stored = file.read_bytes()
    file.write_bytes(runs[letter].picture_file("sample_1", 0).read_bytes())
    with pytest.raises(QaError, match=r"seed 0 of 'sample_0' .* is not the picture that was"):
        of(registered, runs, one, which)
    of(registered, runs, one, BOTH[which == FIRST])  # the other one is as it was
    buffer = io.BytesIO()
    Image.fromarray(values(stored)).save(buffer, "png", compress_level=9)
    assert buffer.getvalue() != stored
    file.write_bytes(buffer.getvalue())
    of(registered, runs, one, which)  # the same values in another file


@pytest.mark.parametrize("kind", [IDENTICAL, DEFECT])
@pytest.mark.parametrize("which", BOTH)
def test_catch_trials_show_registered_pictures_too(made, kind, which):
    registered, runs = made
    (one,) = (each for each in registered.pairs if each.catch == kind)
    png(registered, runs, one, which)
    runs["A"].picture_file(one.sample, 0).write_bytes(picture(COLOURS["B"], 0, 160))
    with pytest.raises(QaError, match="is not the picture that was registered"):
        png(registered, runs, one, which)


def test_a_small_file_that_claims_a_large_picture_is_not_opened(made, monkeypatch):
    registered, runs = made
    monkeypatch.setattr(pictures, "LARGEST", 160 * 160)
    png(registered, runs, registered.pairs[0], FIRST)
    monkeypatch.setattr(pictures, "LARGEST", 160 * 160 - 1)
    with pytest.raises(QaError, match="it claims 160 x 160 pixels"):
        png(registered, runs, registered.pairs[0], FIRST)
    with pytest.raises(QaError, match="reference of 'sample_0' cannot be shown"):
        reference(registered, runs, registered.pairs[0])


def test_files_that_are_missing(tmp_path):
    """Of pairs that are asked; references only where the question shows them."""
    bare, asked = (
        plan(pairs, question=Question("toy", "Which one?", shows))
        for pairs, shows in (([pair(0), pair(1)], ()), ([pair(0), pair(1)], ("reference",)))
    )
    runs = review(tmp_path, bare)[1]
    assert missing(bare, runs) == missing(asked, runs) == []
    files = [
        runs["B"].picture_file("sample_0", 0), runs["A"].reference_file("sample_0"),
        runs["A"].picture_file("sample_1", 0),
    ]  # fmt: skip
    for file in files:
        file.unlink()
    runs["A"].picture_file("sample_2", 0).unlink()  # nobody is asked about it
    assert missing(bare, runs) == [files[0], files[2]]
    assert missing(asked, runs) == files
    outside = tmp_path / "secret.png"
    outside.write_bytes(b"a picture")
    files[0].symlink_to(outside)
    assert missing(bare, runs) == [files[0], files[2]], "a link out of the run is no picture of it"
