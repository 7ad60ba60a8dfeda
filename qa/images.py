"""The one place where pixel values change form.

A *picture* is uint8 [3,H,W] RGB; *pixels* are a decoder's float32 [3,H,W], nominal [0,1].
`quantise` maps pixels to a picture (finite check, clipped count, clamp, round half to even),
`to_unit` maps a picture to floats in [0,1], `luma` and `video_luma` to one channel of brightness.
No range is ever guessed from the data.
"""

from __future__ import annotations

import hashlib
import io
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
"""What files of those suffixes may hold. Nothing else is decoded."""
LEVELS = 255
LUMA = (299, 587, 114)
"""Thousandths of red, green and blue in Y (ITU-R BT.601)."""
LARGEST = 2**27
"""Pixels of a picture that is read: a square of 11585. A file may claim any size, so it is asked
before anything is decoded; reading takes at most 27 bytes a pixel. Pillow's own limit, which warns
at 89 million, is set to the same."""
LONGEST = 2**31
"""Bytes of a file that is read."""
BAND = 256
"""Rows that are brought from 16 bits to 8 at once: in between they take 24 bytes a pixel."""
ORIENTATION = 0x0112
"""EXIF tag: how a camera was held."""


class ImageProblem(ValueError):
    """A file that holds no usable picture; the message says why."""


class NotFinite(ValueError):
    """A decoder returned NaN or infinity."""


@dataclass(frozen=True)
class Quantised:
    """A picture and what clamping took away."""

    picture: Tensor
    """uint8 [3,H,W]"""
    clipped: int
    """Count of values that lay outside [0, 1]."""


def quantise(pixels: Tensor) -> Quantised:
    """pixels float [3,H,W], nominal [0,1] → picture uint8 [3,H,W] on the CPU.

    Rounds half to even (IEEE 754), as `torch.round` does: truncation would darken by half a level
    and cap a perfect decoder at 52.9 dB. Raises `NotFinite` for NaN or infinity and ValueError for
    a wrong shape.
    """
    import torch

    if pixels.ndim != 3 or pixels.shape[0] != 3:
        raise ValueError(f"pixels must be [3,H,W], got {list(pixels.shape)}")
    pixels = pixels.detach().to("cpu", torch.float32)
    bad = int((~torch.isfinite(pixels)).sum())
    if bad:
        raise NotFinite(f"{bad} of {pixels.numel()} values are NaN or infinite")
    clipped = int(((pixels < 0) | (pixels > 1)).sum())
    picture = to_levels(pixels.clamp(0, 1)).to(torch.uint8)
    return Quantised(picture, clipped)


def to_unit(picture: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """picture uint8 [...,H,W] → float32 (or `dtype`) in [0,1], same shape and device."""
    import torch

    if picture.dtype != torch.uint8:
        raise ValueError(f"a picture is uint8, got {picture.dtype}")
    return picture.to(dtype or torch.float32) / LEVELS


def to_levels(unit: Tensor) -> Tensor:
    """Floats in [0,1] → whole levels 0..255, still floats; halves go to even."""
    return (unit * LEVELS).round()


def luma(picture: Tensor) -> Tensor:
    """Pictures uint8 [...,3,H,W] → Y = 0.299 R + 0.587 G + 0.114 B, float64 [...,1,H,W], 0..255.

    ITU-R BT.601, full range, not rounded. Thousandths are summed as integers, so a grey pixel keeps
    its level exactly and white is 255, not a rounding error above it.
    """
    import torch

    red, green, blue = picture.to(torch.int32).unbind(-3)
    thousandths = red.mul_(LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])
    return thousandths.to(torch.float64).div_(1000).unsqueeze(-3)


def video_luma(picture: Tensor) -> Tensor:
    """Pictures uint8 [...,3,H,W] → 16 + 219/255 Y, float64 [...,1,H,W], 16..235.

    BT.601's studio range, not rounded: MATLAB's `rgb2ycbcr` of doubles and scikit-image's.
    """
    return luma(picture).mul_(219 / LEVELS).add_(16)


def digest(picture: Tensor) -> str:
    """SHA-256 of a picture's values and shape; independent of the file that holds it."""
    shape = "x".join(map(str, picture.shape))
    return hashlib.sha256(shape.encode() + picture.contiguous().numpy().tobytes()).hexdigest()


def inside(folder: Path, file: Path) -> Path | None:
    """The file, all links followed, if it is a regular one and lies in the folder; else None."""
    try:
        real = file.resolve()
        held = real.is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # a loop of links; a name that no file can have
        return None
    return real if held and real.is_file() else None


def read(path: Path) -> Tensor:
    """File → picture uint8 [3,H,W] RGB.

    EXIF orientation is applied. Grey becomes three equal channels, palettes are expanded, 16-bit
    values are rounded to 8 (v/257), transparency is composited over white. Colour profiles are
    not applied: values are taken as sRGB. Raises `ImageProblem` for anything that is no picture.
    """
    import torch

    # A copy: Pillow's arrays are read-only, tensors are not.
    return torch.from_numpy(_decode(path).transpose(2, 0, 1).copy())


def encode_png(picture: Tensor) -> bytes:
    """picture uint8 [3,H,W] → PNG bytes. Level 1: three times faster for a few per cent of size."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()).save(
        buffer, "png", compress_level=1
    )
    return buffer.getvalue()


def _decode(path: Path) -> np.ndarray:  # uint8 [H,W,3]
    from PIL import Image, ImageOps, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = LARGEST
    try:
        known = path.stat()
        if not stat.S_ISREG(known.st_mode):  # opening a pipe would wait for somebody to write
            raise ImageProblem("it is not a regular file")
        length = known.st_size
        if length == 0:
            raise ImageProblem("the file is empty")
        if length > LONGEST:
            raise ImageProblem(f"the file has {length} bytes; at most {LONGEST} are read")
        with Image.open(path, formats=FORMATS) as opened:
            width, height = opened.size
            if width * height > LARGEST:
                raise _bomb(f"{width}x{height} pixels; at most {LARGEST} are read")
            if _is_deep_png(path):
                turn = opened.getexif().get(ORIENTATION, 1)
                return _turned(_decode_deep_png(path), turn)
            return _to_rgb(ImageOps.exif_transpose(opened))
    except ImageProblem:
        raise
    except UnidentifiedImageError as error:
        raise ImageProblem("the file is not a picture in a known format") from error
    except FileNotFoundError as error:
        raise ImageProblem("the file does not exist") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _bomb(str(error)) from error
    except OSError as error:
        # strerror for the system's own errors: their full text holds the path.
        raise ImageProblem(f"the file is damaged: {error.strerror or error}") from error
    except Exception as error:
        # Broken data surfaces as almost anything: SyntaxError, struct.error, cv2.error, …
        said = " ".join(str(error).split())[:100]
        raise ImageProblem(f"the file is damaged: {type(error).__name__}: {said}") from error


def _bomb(why: str) -> ImageProblem:
    return ImageProblem(f"refused as a decompression bomb: {why}")


def _to_rgb(image: object) -> np.ndarray:
    from PIL import Image

    assert isinstance(image, Image.Image)
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ImageProblem("integer values outside 0..65535")
        grey = np.concatenate(
            [_from_16_bit(values[top : top + BAND]) for top in range(0, len(values), BAND)]
        )
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode == "F":
        raise ImageProblem("floating-point pictures have no defined range")
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (LEVELS, LEVELS, LEVELS, LEVELS))
        return np.asarray(Image.alpha_composite(white, rgba).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def _turned(array: np.ndarray, orientation: int) -> np.ndarray:  # [H,W,3]
    """Apply an EXIF orientation (1..8), as `ImageOps.exif_transpose` does for Pillow images."""
    if orientation in {5, 6, 7, 8}:
        array = array.transpose(1, 0, 2)
    if orientation in {3, 4, 7, 8}:
        array = array[::-1]
    if orientation in {2, 3, 6, 7}:
        array = array[:, ::-1]
    return array


def _is_deep_png(path: Path) -> bool:
    """Whether a PNG has 16 bits a channel (byte 24 of the file): Pillow would drop the low byte."""
    with path.open("rb") as file:
        head = file.read(25)
    return len(head) == 25 and head.startswith(b"\x89PNG\r\n\x1a\n") and head[24] == 16


def _decode_deep_png(path: Path) -> np.ndarray:  # uint8 [H,W,3]
    import cv2

    values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise ImageProblem("the file is damaged: the 16-bit PNG does not decode")
    picture = np.empty((*values.shape[:2], 3), np.uint8)
    for top in range(0, len(values), BAND):
        rows = values[top : top + BAND]
        if rows.ndim == 2:
            rows = np.repeat(rows[:, :, None], 3, axis=2)
        elif rows.shape[2] == 4:
            alpha = rows[:, :, 3:].astype(np.float64) / 65535
            blended = rows[:, :, :3] * alpha + 65535 * (1 - alpha)
            rows = blended[:, :, ::-1]
        else:
            rows = rows[:, :, ::-1]  # OpenCV stores blue first
        picture[top : top + BAND] = _from_16_bit(rows)
    return picture


def _from_16_bit(values: np.ndarray) -> np.ndarray:
    """0..65535 → 0..255. 257 = 65535/255, so 8-bit values widened to 16 bits come back exactly."""
    return np.rint(values / 257).astype(np.uint8)
