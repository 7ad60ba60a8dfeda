"""Stores that fail, vanish or hold halves."""

import uuid

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from qa import files
from qa.errors import QaError, UsageError
from qa.executors import depot as depots
from qa.executors.depot import TRIES, Depot

UNIT = "ab" + "0" * 30
MARKS = {"metric psnr": "f00d"}


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path):
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}/shared"
    return f"file://{tmp_path}/shared"


def test_a_parcel_comes_back_as_it_was(url):
    depot = Depot(url, MARKS)
    assert depot.ids() == set()
    depot.put(UNIT, b"parcel")
    assert Depot(url + "/", MARKS).ids() == {UNIT}
    assert depot.get(UNIT) == b"parcel"
    depot.put(UNIT, b"again")
    assert depot.get(UNIT) == b"again"


def test_other_work_meets_no_parcel_of_this(url):
    """The same pictures, and more to measure in them: a parcel of less would be taken for all."""
    depot, other = Depot(url, MARKS), Depot(url, {**MARKS, "metric ssim": "cafe"})
    depot.put(UNIT, b"psnr alone")
    assert other.ids() == set()
    other.put(UNIT, b"psnr and ssim")
    assert depot.get(UNIT) == b"psnr alone"


def test_only_parcels_are_listed(tmp_path):
    depot = Depot(f"file://{tmp_path}", MARKS)
    depot.put(UNIT, b"x")
    (parcel,) = (file for file in tmp_path.rglob("*") if file.is_file())
    inner = parcel.parent / "ab"
    inner.mkdir()
    for place in (
        parcel.with_name(f".part-{UNIT}.zip"),
        parcel.with_name("cd" + UNIT[2:] + ".zip"),
        parcel.with_suffix(".txt"),
        inner / parcel.name,
    ):
        place.write_bytes(b"")
    assert depot.ids() == {UNIT}


def test_a_write_that_breaks_leaves_nothing_in_a_folder(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    depot = Depot(f"file://{tmp_path}", MARKS, pause=0)
    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(QaError, match="could not take a result"):
        depot.put(UNIT, b"x")
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


class Flaky(MemoryFileSystem):
    """Fails so many times, then works."""

    protocol = "flaky"
    fails = 0

    def pipe_file(self, *args, **kwargs):
        if Flaky.fails > 0:
            Flaky.fails -= 1
            raise ConnectionResetError("the store went away")
        return super().pipe_file(*args, **kwargs)


@pytest.fixture
def flaky(monkeypatch):
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    monkeypatch.setattr(Flaky, "fails", 0)
    return Depot(f"flaky://{uuid.uuid4().hex}/x", MARKS, pause=0)


def test_a_store_that_is_away_for_a_moment_costs_nothing(flaky, monkeypatch):
    monkeypatch.setattr(Flaky, "fails", TRIES - 1)
    flaky.put(UNIT, b"x")
    assert flaky.get(UNIT) == b"x"


def test_a_store_that_stays_away_stops_with_its_reason(flaky, monkeypatch):
    monkeypatch.setattr(Flaky, "fails", TRIES)
    with pytest.raises(QaError, match="could not take a result") as caught:
        flaky.put(UNIT, b"x")
    assert "the store went away" in str(caught.value)
    assert f"Tried {TRIES} times" in str(caught.value)


def test_tries_come_at_growing_distances(flaky, monkeypatch):
    waited = []
    monkeypatch.setattr(depots.time, "sleep", waited.append)
    monkeypatch.setattr(Flaky, "fails", 99)
    with pytest.raises(QaError):
        Depot(flaky.url, MARKS, pause=0.5).put(UNIT, b"x")
    assert waited == [0.5, 1.0, 2.0]


def test_what_is_not_there_cannot_be_had(url):
    with pytest.raises(QaError, match="could not give a result"):
        Depot(url, MARKS, pause=0).get(UNIT)


@pytest.mark.parametrize("wrong", ["nowhere://bucket/x", "abcd://x/y"])
def test_a_store_without_a_driver_is_refused(wrong):
    with pytest.raises(UsageError, match="no store that can be used here"):
        Depot(wrong, MARKS)
