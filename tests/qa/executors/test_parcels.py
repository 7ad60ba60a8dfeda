"""Parcels: what a unit left, whole, and nothing else."""

import io
import zipfile

import pytest
import torch

from qa import files, images, panels
from qa.errors import QaError
from qa.executors import parcels
from qa.features import stored
from qa.store import RunFolder, UnitResult
from qa.types import Decoded, Sample, Score, Unit

NAMES = ["plain", "a/b", "../up", "[x]*?", "ünï \U0001f600", ".", "very " * 60]


def filled(path, name: str) -> tuple[RunFolder, Unit]:
    """A run folder with everything a unit can leave, and a neighbour's files beside."""
    folder = RunFolder(path)
    for sample in (name, name + "2", "x" + name):
        picture = torch.full((3, 8, 8), len(sample) % 251, dtype=torch.uint8)
        file = folder.write_picture(folder.picture_file(sample, 0), images.encode_png(picture))
        folder.write_picture(folder.reference_file(sample), images.encode_png(picture))
        rows = stored.Rows((0,), torch.ones(1, 1, 4).numpy(), None)
        stored.write(folder, "feat", sample, rows)
        panels.write_notes(folder, "panel", sample, [{"sample": sample, "seed": 0}])
        decoded = Decoded(sample, 0, file, images.digest(picture), 0, 0.1, None)
        unit = Unit(files.digest(sample)[:32], Sample(sample), (0,))
        folder.store(UnitResult(unit.id, (decoded,), (Score(sample, 0, "m", 1.0),), {"m": "f"}))
    return folder, Unit(files.digest(name)[:32], Sample(name), (0,))


def tree(folder: RunFolder) -> dict[str, bytes]:
    found = (file for file in folder.path.rglob("*") if file.is_file())
    return {file.relative_to(folder.path).as_posix(): file.read_bytes() for file in found}


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_arrives_with_all_its_files_and_no_others(tmp_path, name):
    folder, unit = filled(tmp_path / "there", name)
    home = RunFolder(tmp_path / "home")
    parcels.unpack(home, unit, parcels.pack(folder, unit))
    assert home.finished(unit.id) == folder.finished(unit.id)
    arrived, whole = tree(home), tree(folder)
    assert len(arrived) == 5  # picture, reference, features, notes, record
    assert len(whole) == 15
    assert arrived.items() <= whole.items()


def test_equal_files_make_equal_parcels(tmp_path):
    first, unit = filled(tmp_path / "a", "p")
    again, _ = filled(tmp_path / "b", "p")
    assert parcels.pack(first, unit) == parcels.pack(again, unit)


def packed(unit: Unit, folder: RunFolder, entries: dict[str, bytes], how=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name, parcels.EPOCH), data, compress_type=how)
        record = folder.unit_file(unit.id)
        archive.writestr(record.relative_to(folder.path).as_posix(), record.read_bytes())
    return buffer.getvalue()


FOREIGN = [
    "../outside.png", "/etc/outside.png", "images/../../outside.png", "images/q/seed0.png",
    "images/p/../q/seed0.png", "images//p/seed0.png", "images/p/seed0.html", "verdict.json",
    "images/p\\..\\seed0.png", "features/x/q.safetensors", "notes/x/q.json", "./images/p/s.png",
    "units/00/other.json",
]  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_a_name_that_is_not_the_units_own_writes_nothing(tmp_path, name):
    folder, unit = filled(tmp_path / "there", "p")
    home = RunFolder(tmp_path / "a" / "b" / "home")
    with pytest.raises(QaError, match="is no file of this unit"):
        parcels.unpack(home, unit, packed(unit, folder, {"images/p/ok.png": b"1", name: b"2"}))
    assert tree(home) == {}
    assert not list(tmp_path.rglob("outside*"))


def test_the_same_with_the_units_own_name_is_written(tmp_path):
    folder, unit = filled(tmp_path / "there", "p")
    home = RunFolder(tmp_path / "home")
    parcels.unpack(home, unit, packed(unit, folder, {"images/p/ok.png": b"1"}))
    assert (home.path / "images" / "p" / "ok.png").read_bytes() == b"1"


def damages(parcel: bytes, folder, unit) -> dict[str, bytes]:
    flipped = bytearray(parcel)
    flipped[parcel.index(b"IDAT") + 6] ^= 1
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    bomb = packed(unit, folder, {"images/p/x.png": bytes(10**6)}, zipfile.ZIP_DEFLATED)
    return {
        "cut short": parcel[: len(parcel) // 2],
        "one bit": bytes(flipped),
        "nothing": b"",
        "no archive": b"hello" * 99,
        "empty archive": empty.getvalue(),
        "compressed": bomb,
    }


@pytest.mark.parametrize(
    "how", ["cut short", "one bit", "nothing", "no archive", "empty archive", "compressed"]
)
def test_a_damaged_parcel_writes_nothing(tmp_path, how):
    folder, unit = filled(tmp_path / "there", "p")
    home = RunFolder(tmp_path / "home")
    with pytest.raises(QaError, match="cannot be used"):
        parcels.unpack(home, unit, damages(parcels.pack(folder, unit), folder, unit)[how])
    assert tree(home) == {}


def test_a_parcel_of_another_unit_is_refused(tmp_path):
    folder, unit = filled(tmp_path / "there", "p")
    other = Unit("f" * 32, unit.sample, (0,))
    with pytest.raises(QaError, match="holds no record of the unit ffff"):
        parcels.unpack(RunFolder(tmp_path / "home"), other, parcels.pack(folder, unit))
