"""The one place where pixel values change form."""

from __future__ import annotations

import contextlib
import io
import warnings
import zlib

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from qa import images


def saved(path, image: Image.Image, **options):
    image.save(path, **options)
    return path


def test_all_256_levels_survive_a_round_trip():
    levels = torch.arange(256, dtype=torch.uint8).repeat(3, 2, 1)
    result = images.quantise(images.to_unit(levels))
    assert torch.equal(result.picture, levels)
    assert result.clipped == 0


def test_truncation_would_not():
    """Negative control: the common `* 255` cast to uint8 changes levels."""
    levels = torch.arange(256, dtype=torch.uint8)
    shifted = (images.to_unit(levels) * 2 - 1 + 1) * 127.5
    assert not torch.equal(shifted.to(torch.uint8), levels)


def test_halves_round_to_even():
    values = torch.tensor([0.5, 1.5, 2.5, 254.5]) / 255
    pixels = values.double().float().expand(3, 1, 4)
    expected = (pixels[0, 0] * 255).round().to(torch.uint8)
    assert expected.tolist() == [0, 2, 2, 254]
    assert images.quantise(pixels).picture[0, 0].tolist() == [0, 2, 2, 254]


def test_values_outside_are_clamped_and_counted():
    pixels = torch.full((3, 2, 2), 0.5)
    pixels[0, 0, 0], pixels[1, 1, 1], pixels[2, 0, 1] = -0.2, 1.3, 1.0
    result = images.quantise(pixels)
    assert result.clipped == 2
    assert result.picture[0, 0, 0] == 0
    assert result.picture[1, 1, 1] == 255


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused(bad):
    pixels = torch.zeros(3, 4, 4)
    pixels[1, 2, 3] = bad
    with pytest.raises(images.NotFinite, match="1 of 48 values"):
        images.quantise(pixels)


def test_wrong_shapes_and_types_are_refused():
    with pytest.raises(ValueError, match=r"\[3,H,W\], got \[1, 4, 4\]"):
        images.quantise(torch.zeros(1, 4, 4))
    with pytest.raises(ValueError, match="uint8"):
        images.to_unit(torch.zeros(3, 4, 4))


def test_a_png_holds_the_picture_exactly(tmp_path):
    picture = torch.randint(0, 256, (3, 33, 21), dtype=torch.uint8)
    (tmp_path / "a.png").write_bytes(images.encode_png(picture))
    assert torch.equal(images.read(tmp_path / "a.png"), picture)


def test_the_digest_is_of_values_and_shape():
    one = torch.arange(48, dtype=torch.uint8).reshape(3, 4, 4)
    assert images.digest(one) == images.digest(one.clone())
    assert images.digest(one) != images.digest(one.reshape(3, 2, 8))
    assert images.digest(one) != images.digest(one.flip(0))


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "RGB"])
def test_modes_become_rgb_as_pillow_says(tmp_path, mode):
    rgb = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8))
    image = rgb.convert(mode)
    suffix = ".tif" if mode == "CMYK" else ".png"
    found = images.read(saved(tmp_path / f"a{suffix}", image))
    expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(found.numpy(), expected)


def test_transparency_is_composited_over_white(tmp_path):
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, :3] = (200, 100, 0)
    rgba[0, :, 3] = (255, 0, 51)  # opaque, invisible, one fifth
    found = images.read(saved(tmp_path / "a.png", Image.fromarray(rgba, "RGBA")))
    assert found[:, 0, 0].tolist() == [200, 100, 0]
    assert found[:, 0, 1].tolist() == [255, 255, 255]
    assert found[:, 0, 2].tolist() == [244, 224, 204]  # 255 - (255 - v) / 5


def test_grey_with_transparency(tmp_path):
    image = Image.fromarray(np.array([[[0, 0], [90, 255]]], np.uint8), "LA")
    found = images.read(saved(tmp_path / "a.png", image))
    assert found[:, 0].T.tolist() == [[255] * 3, [90] * 3]


def test_exif_orientation_is_applied(tmp_path):
    stored = np.zeros((2, 4, 3), np.uint8)
    stored[0, 0] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    path = saved(tmp_path / "a.png", Image.fromarray(stored), exif=exif)
    found = images.read(path)
    assert list(found.shape) == [3, 4, 2]
    assert found[:, 0, 1].tolist() == [255, 0, 0]


def test_16_bit_grey_is_rounded_not_truncated(tmp_path):
    values = np.array([[0, 128, 129, 257, 65406, 65535]], np.uint16)
    found = images.read(saved(tmp_path / "a.png", Image.fromarray(values)))
    assert found[0, 0].tolist() == [0, 0, 1, 1, 254, 255]  # v / 257, to nearest


@pytest.mark.parametrize("orientation", range(1, 9))
def test_16_bit_pictures_turn_as_8_bit_ones_do(tmp_path, orientation):
    shallow = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = images.read(saved(tmp_path / "a.png", Image.fromarray(shallow), exif=exif))
    deep = cv2.imencode(".png", shallow[:, :, ::-1].astype(np.uint16) * 257)[1].tobytes()
    chunk = b"eXIf" + exif.tobytes().removeprefix(b"Exif\x00\x00")
    size = (len(chunk) - 4).to_bytes(4, "big")
    crc = zlib.crc32(chunk).to_bytes(4, "big")
    (tmp_path / "b.png").write_bytes(deep[:33] + size + chunk + crc + deep[33:])  # after IHDR
    assert images.read(tmp_path / "b.png").equal(expected)


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour_is_rounded_not_truncated(tmp_path, channels):
    rgb = np.array([[[129, 257 * 7, 65535]]], np.uint16)
    stored = rgb[:, :, ::-1]
    if channels == 4:
        stored = np.dstack([stored, np.full((1, 1), 65535, np.uint16)])
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", stored)[1].tobytes())
    assert images.read(tmp_path / "a.png")[:, 0, 0].tolist() == [1, 7, 255]


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".bmp", ".tif"])
def test_formats(tmp_path, suffix):
    rgb = np.full((8, 8, 3), (10, 120, 240), np.uint8)
    found = images.read(saved(tmp_path / f"a{suffix}", Image.fromarray(rgb)))
    assert np.abs(found.numpy().astype(int) - rgb.transpose(2, 0, 1)).max() <= 8


def broken(kind: str) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "jpeg" if kind == "cut jpeg" else "png")
    data = buffer.getvalue()
    return {
        "empty": b"",
        "text": b"hello",
        "cut png": data[: len(data) // 2],
        "cut jpeg": data[: len(data) // 2],
        "head only": data[:30],
    }[kind]


@pytest.mark.parametrize("kind", ["empty", "text", "cut png", "cut jpeg", "head only"])
def test_what_is_no_picture_says_so(tmp_path, kind):
    (tmp_path / "a.png").write_bytes(broken(kind))
    with pytest.raises(images.ImageProblem):
        images.read(tmp_path / "a.png")


def test_damaged_files_never_raise_anything_else(tmp_path):
    """Bits flipped anywhere, EXIF included: a picture or an `ImageProblem`."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    noise = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    rng = np.random.default_rng(2)
    for suffix in ("png", "jpg", "webp", "tif", "bmp"):
        options = {} if suffix == "bmp" else {"exif": exif}
        data = saved(tmp_path / f"a.{suffix}", Image.fromarray(noise), **options).read_bytes()
        for _ in range(150):
            broken = bytearray(data)
            for at in rng.integers(0, min(len(data), 400), 3):
                broken[at] = rng.integers(256)
            (tmp_path / f"b.{suffix}").write_bytes(bytes(broken))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with contextlib.suppress(images.ImageProblem):
                    images.read(tmp_path / f"b.{suffix}")


def test_a_16_bit_header_that_promises_too_much_is_refused(tmp_path):
    deep = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint16))[1].tobytes()
    head = b"IHDR" + (100_000).to_bytes(4, "big") * 2 + deep[24:29]
    forged = deep[:12] + head + zlib.crc32(head).to_bytes(4, "big") + deep[33:]
    (tmp_path / "a.png").write_bytes(forged)
    with pytest.raises(images.ImageProblem, match="decompression bomb"):
        images.read(tmp_path / "a.png")


def test_other_formats_under_a_known_name_are_refused(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.gif")
    (tmp_path / "a.gif").rename(tmp_path / "a.png")
    with pytest.raises(images.ImageProblem, match="known format"):
        images.read(tmp_path / "a.png")


def test_a_missing_file_and_floats_are_refused(tmp_path):
    with pytest.raises(images.ImageProblem, match="does not exist"):
        images.read(tmp_path / "none.png")
    saved(tmp_path / "a.tif", Image.fromarray(np.zeros((4, 4), np.float32)))
    with pytest.raises(images.ImageProblem, match="no defined range"):
        images.read(tmp_path / "a.tif")


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", Image.new("RGB", (100, 100)))
    assert images.read(path).shape == (3, 100, 100), "negative control: it is a picture"
    monkeypatch.setattr(images, "LARGEST", 1000)
    with pytest.raises(images.ImageProblem, match="decompression bomb"):
        images.read(path)


def test_pixel_values_change_form_nowhere_else():
    """No other module of ours scales by 255 or casts to uint8 by hand."""
    import re
    from pathlib import Path

    root = Path(images.__file__).parent.parent
    pattern = re.compile(r"127\.5|\* ?255\b|/ ?255\b|mul_?\(255|div_?\(255|astype\(.*uint8\)")
    allowed = {
        "qa/images.py",  # the place
        "qa/drawings/canvas.py",  # makes pictures; no decoder's pixels pass through it
        "qa/drawings/scenes.py",
        "suites/legibility/pages.py",
        "reports/pictures.py",  # heat maps of stored pictures
        "qa/maps.py",  # levels of a map, which is no picture
        "decoders/mini/train_vae.py",
        "decoders/mini/pictures.py",
        "decoders/mini/pages.py",  # makes pictures, as qa/drawings does
        "reports/spread.py",  # maps of stored pictures
        "suites/geneval/shapes.py",  # masks for OpenCV; colours of pictures that are stored
    }
    found = [
        f"{path.relative_to(root)}:{number}"
        for package in ("qa", "decoders", "suites", "reports")
        for path in sorted((root / package).rglob("*.py"))
        if str(path.relative_to(root)) not in allowed
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(re.sub(r'"[^"]*"', "", line.partition("#")[0]))
    ]
    assert found == []
