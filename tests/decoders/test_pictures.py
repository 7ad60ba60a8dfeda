"""Pictures made elsewhere, found by sample id and seed."""

import pytest
import torch
from PIL import Image

from decoders.pictures import Pictures
from qa import images
from qa.errors import QaError, UsageError
from qa.requests import requests
from qa.traits import size_of
from qa.types import DecodeRequest, Knobs, Sample


def put(folder, name: str, grey: int = 7, size=(5, 4)):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (grey, grey + 1, grey + 2)).save(file)
    return file


def request(sample: str = "cat", seed: int = 0, height: int = 4, width: int = 5) -> DecodeRequest:
    return DecodeRequest(sample, seed, "", height, width)


@pytest.mark.parametrize(
    "name",
    ["cat/seed1.png", "cat_seed1.png", "cat.png", "cat.PNG", "cat_seed1.bmp", "cat/seed1.TIFF"],
)
def test_each_way_to_name_a_picture(tmp_path, name):
    put(tmp_path, name)
    (pixels,) = Pictures(str(tmp_path)).decode([request(seed=1)])
    assert pixels.dtype == torch.float32
    expected = torch.tensor([7.0, 8.0, 9.0])[:, None, None].expand(3, 4, 5) / 255
    assert torch.equal(pixels, expected)
    quantised = images.quantise(pixels)
    assert quantised.clipped == 0
    assert torch.equal(quantised.picture, images.read(tmp_path / name))


def test_one_picture_stands_for_every_seed_and_seeds_for_themselves(tmp_path):
    put(tmp_path, "a/cat.png", 1)
    put(tmp_path, "dog/seed0.png", 2)
    put(tmp_path, "dog/seed1.png", 3)
    put(tmp_path, "v1.5_b.png", 4)
    wanted = [request("dog", 1), request("a/cat", 3), request("dog", 0), request("v1.5_b", 9)]
    found = Pictures(str(tmp_path)).decode(wanted)
    assert [round(pixels[0, 0, 0].item() * 255) for pixels in found] == [3, 1, 2, 4]


def test_a_missing_picture_says_where_it_was_looked_for(tmp_path):
    put(tmp_path, "cat/seed0.png")
    pictures = Pictures(str(tmp_path))
    with pytest.raises(QaError, match=r"no picture for cat, seed 1.*cat/seed1\.\*.*cat_seed1"):
        pictures.decode([request(seed=1)])
    assert len(pictures.decode([request(seed=0)])) == 1


@pytest.mark.parametrize("second", ["cat_seed0.png", "cat.png", "cat/seed0.jpg"])
def test_two_candidates_are_named_and_refused(tmp_path, second):
    put(tmp_path, "cat/seed0.png")
    put(tmp_path, second)
    with pytest.raises(QaError, match="Several pictures") as caught:
        Pictures(str(tmp_path)).decode([request()])
    assert second in str(caught.value)
    assert "cat/seed0.png" in str(caught.value)


def test_the_wrong_size_names_both_sizes(tmp_path):
    put(tmp_path, "cat.png", size=(6, 4))
    with pytest.raises(QaError, match=r"6x4 pixels.*5x4"):
        Pictures(str(tmp_path)).decode([request()])


def test_a_damaged_picture_is_an_error_for_its_sample_only(tmp_path):
    put(tmp_path, "dog.png")
    (tmp_path / "cat.png").write_bytes(b"rubbish")
    pictures = Pictures(str(tmp_path))
    with pytest.raises(images.ImageProblem):
        pictures.decode([request()])
    assert len(pictures.decode([request("dog")])) == 1


def test_an_id_cannot_lead_outside(tmp_path):
    put(tmp_path, "cat.png")
    put(tmp_path, "in/dog.png")
    with pytest.raises(QaError, match="no picture"):
        Pictures(str(tmp_path / "in")).decode([request("../cat")])


def test_empty_and_absent_folders_are_usage_errors(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(UsageError, match="holds no pictures"):
        Pictures(str(tmp_path))
    with pytest.raises(UsageError, match="not a folder"):
        Pictures(str(tmp_path / "absent"))


def test_the_digest_stands_for_names_and_contents(tmp_path):
    put(tmp_path, "cat.png", 1)
    put(tmp_path, "dog.png", 2)
    digests = [Pictures(str(tmp_path)).digest for _ in range(2)]
    put(tmp_path, "cat.png", 200)
    digests.append(Pictures(str(tmp_path)).digest)
    (tmp_path / "dog.png").rename(tmp_path / "cow.png")
    digests.append(Pictures(str(tmp_path)).digest)
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_pictures_need_no_latents(tmp_path):
    put(tmp_path, "cat.png")
    assert Pictures(str(tmp_path)).space is None


def test_an_id_that_kept_its_suffix_finds_its_own_picture(tmp_path):
    """A suite keeps suffixes where a.png lies beside a.jpg."""
    put(tmp_path, "cat.png", 1)
    put(tmp_path, "cat.bmp", 9)
    one, two = Pictures(str(tmp_path)).decode([request("cat.png"), request("cat.bmp")])
    assert one[0, 0, 0] < two[0, 0, 0]


def test_a_damaged_picture_is_named(tmp_path):
    put(tmp_path, "sub/cat.png").write_bytes(b"no picture")
    with pytest.raises(images.ImageProblem, match=r"sub/cat\.png: the file is not a picture"):
        Pictures(str(tmp_path)).decode([request("sub/cat")])


def upside_down(folder):
    """A layout of its own: the names are written backwards."""
    return {file.stem[::-1]: [file] for file in folder.glob("*.png")}


def test_another_layout_has_a_function_that_reads_it(tmp_path):
    put(tmp_path, "tac.png", 1)
    pictures = Pictures(str(tmp_path), files=f"{__name__}.upside_down")
    (pixels,) = pictures.decode([request("cat", 3)])
    assert torch.equal(images.quantise(pixels).picture, images.read(tmp_path / "tac.png"))
    with pytest.raises(QaError, match="no picture for tac"):
        pictures.decode([request("tac")])


def test_a_layout_that_shows_others_has_another_digest(tmp_path):
    put(tmp_path, "tac.png", 1)
    plain, backwards = Pictures(str(tmp_path)), Pictures(str(tmp_path), f"{__name__}.upside_down")
    assert plain.digest != backwards.digest


def test_its_pictures_say_how_large_they_are(tmp_path):
    """Where a sample has no reference, nothing else does."""
    put(tmp_path, "cat.png", size=(6, 4))
    put(tmp_path, "dog/seed0.png", size=(5, 7))
    pictures = Pictures(str(tmp_path))
    (made,) = requests(Sample("cat"), None, [0], pictures, None, Knobs())
    assert (made.height, made.width) == (4, 6) == size_of(pictures, "cat")
    assert size_of(pictures, "dog") == (7, 5)
    reference = torch.zeros(3, 8, 9, dtype=torch.uint8)
    (made,) = requests(Sample("cat"), reference, [0], pictures, None, Knobs())
    assert (made.height, made.width) == (8, 9)
    with pytest.raises(QaError, match="no picture for cow"):
        size_of(pictures, "cow")
