"""Pictures just above our limits: Pillow refuses none of them, its own limit is twice as high."""

from __future__ import annotations

import pytest
from hostile_files import png, tiff
from PIL import Image

from qa import images

SIDE = 12000
"""Its square lies between 2^27 and 2^28."""


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", ["png", "deep", "tif"])
def test_a_picture_above_our_limit_is_refused_by_us(kind, tmp_path):
    assert 2**27 < SIDE**2 < 2**28
    file = tmp_path / f"a.{'tif' if kind == 'tif' else 'png'}"
    tiff(file, SIDE) if kind == "tif" else png(file, SIDE, 16 if kind == "deep" else 8)
    with pytest.raises(images.ImageProblem, match=f"{SIDE}x{SIDE} pixels; at most {2**27} are"):
        images.read(file)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_negative_control_pillow_opens_it(tmp_path):
    assert Image.MAX_IMAGE_PIXELS in (None, 2**27, 89_478_485)
    with Image.open(png(tmp_path / "a.png", SIDE)) as opened:
        assert opened.size == (SIDE, SIDE)


@pytest.mark.parametrize("more", [0, 1])
def test_a_file_above_2_gib_is_refused(more, tmp_path):
    """A picture with zeros behind it, which take no space on the disk."""
    file = tmp_path / "a.png"
    Image.new("RGB", (4, 3)).save(file)
    with file.open("r+b") as opened:
        opened.truncate(2**31 + more)
    if more:
        with pytest.raises(images.ImageProblem, match="at most 2147483648 are read"):
            images.read(file)
    else:
        assert images.read(file).shape == (3, 3, 4), "negative control"
