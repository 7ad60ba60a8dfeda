"""Pictures in 2x2 grids and in files of their own."""

from __future__ import annotations

import pytest
import torch
from dpg_toys import grey

from qa import images
from qa.errors import QaError, UsageError
from qa.types import DecodeRequest
from suites.dpg.grids import Grids, cell


def save(file, picture):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(images.encode_png(picture))


def grid(levels, side=8):
    tiles = [grey(level, side) for level in levels]
    return torch.cat([torch.cat(tiles[:2], 2), torch.cat(tiles[2:], 2)], 1)


def levels(decoder, item, takes):
    requests = [DecodeRequest(f"{item}/{k}", 0, "", *decoder.size_of(f"{item}/{k}")) for k in takes]
    return [round(float(pixels.mean()) * 255) for pixels in decoder.decode(requests)]


def test_a_grid_runs_along_its_rows(tmp_path):
    save(tmp_path / "a.png", grid([10, 20, 30, 40]))
    decoder = Grids(str(tmp_path))
    assert levels(decoder, "a", range(4)) == [10, 20, 30, 40]
    assert decoder.size_of("a/3") == (8, 8)


def test_the_key_ends_at_the_first_dot(tmp_path):
    save(tmp_path / "a.v2.png", grid([1, 2, 3, 4]))
    assert levels(Grids(str(tmp_path)), "a", [3]) == [4]


def test_single_files(tmp_path):
    save(tmp_path / "a" / "0.png", grey(1))
    save(tmp_path / "a_1.png", grey(2, 16))
    save(tmp_path / "b.png", grey(3, 10))
    decoder = Grids(str(tmp_path), pictures=1)
    assert levels(decoder, "a", [0, 1]) == [1, 2]
    assert decoder.size_of("a/1") == (16, 16)
    assert decoder.size_of("b/0") == (10, 10)
    with pytest.raises(QaError, match="number 1 was asked for"):
        decoder.size_of("b/1")


def test_a_resolution_crops_from_the_corner():
    whole = torch.zeros(3, 24, 20, dtype=torch.uint8)
    whole[:, 8:16, 8:16] = 7
    assert float(cell(whole, 3, 4, 8).float().mean()) == 7
    assert cell(whole, 0, 1, 8).shape == (3, 8, 8)
    with pytest.raises(ValueError, match="20x24 pixels hold no picture 1 of side 12"):
        cell(whole, 1, 4, 12)
    with pytest.raises(ValueError, match="are no 2x2 grid"):
        cell(whole, 0)


def test_what_is_missing_or_ambiguous_is_said(tmp_path):
    save(tmp_path / "a.png", grid([1, 2, 3, 4]))
    save(tmp_path / "b.png", grid([1, 2, 3, 4]))
    (tmp_path / "b.jpg").write_bytes((tmp_path / "b.png").read_bytes())
    (tmp_path / "result.txt").write_text("83.5")
    (tmp_path / "c.png").write_bytes(b"damaged")
    decoder = Grids(str(tmp_path))
    for sample, why in (("b/0", r"found b\.jpg, b\.png"), ("d/0", "found nothing"),
                        ("c/0", "c.png cannot be used")):  # fmt: skip
        with pytest.raises(QaError, match=why):
            decoder.size_of(sample)
    with pytest.raises(UsageError, match="is not a folder"):
        Grids(str(tmp_path / "none"))
    with pytest.raises(UsageError, match="one to four"):
        Grids(str(tmp_path), pictures=5)


def test_the_digest_is_of_pictures_and_settings(tmp_path):
    save(tmp_path / "a.png", grid([1, 2, 3, 4]))
    first = Grids(str(tmp_path)).digest
    assert first == Grids(str(tmp_path)).digest
    assert first != Grids(str(tmp_path), resolution=4).digest
    save(tmp_path / "a.png", grid([1, 2, 3, 5]))
    assert first != Grids(str(tmp_path)).digest
