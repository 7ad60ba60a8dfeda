"""A seat in this process: what it reads, writes, sends and tidies up, without Ray."""

import pickle
import tempfile
from pathlib import Path

import pytest
import torch

from qa.config import compose
from qa.errors import UsageError
from qa.executors import parcels
from qa.executors.depot import Depot
from qa.executors.local import LocalExecutor
from qa.executors.seat import Order, Seat
from qa.job import prepare
from qa.store import RunFolder


@pytest.fixture
def job(workdir, toy, one_thread):
    return prepare(compose(toy("Sampler", "numerics.threads=1", "metric=[psnr,colour_gap]")))


@pytest.fixture
def scratch(workdir, monkeypatch):
    place = workdir / "scratch"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def seated(job, deliver: str = "auto", beacon: str = "beacon") -> Seat:
    """A seat that travelled, with a beacon that it sees unless another is named."""
    Path("beacon").touch()
    home = job.folder.path.resolve()
    recipe = pickle.loads(pickle.dumps(job.worker.recipe))
    return Seat(recipe, home, Path(beacon).resolve(), deliver, LocalExecutor(4, 4))


def carried_out(seat: Seat, orders) -> list:
    try:
        seat.prepare(Path.cwd())
        return list(seat.work(orders, alone=False))
    finally:
        seat.close()


def finished(job) -> list[bool]:
    return [job.worker.complete(unit) for unit in job.plan.units]


def test_one_that_sees_the_run_folder_writes_there(job, scratch):
    done = carried_out(seated(job), [Order(unit) for unit in job.plan.units])
    assert sorted(d.unit for d in done) == sorted(unit.id for unit in job.plan.units)
    assert {d.parcel for d in done} == {None}
    assert all(finished(job))
    assert not list(scratch.iterdir())


@pytest.mark.parametrize(("deliver", "beacon"), [("driver", "beacon"), ("auto", "elsewhere")])
def test_any_other_hands_parcels_and_leaves_nothing(job, scratch, deliver, beacon):
    orders = [Order(unit, unit.sample.image.read_bytes()) for unit in job.plan.units]
    for unit in job.plan.units:
        unit.sample.image.unlink()  # what came with the order is all there is
    done = carried_out(seated(job, deliver, beacon), orders)
    assert not any(finished(job)), "the driver unpacks, nobody else writes there"
    assert not list(scratch.iterdir())
    units = {unit.id: unit for unit in job.plan.units}
    for one in done:
        parcels.unpack(job.folder, units[one.unit], one.parcel)
    assert all(finished(job))


def test_without_the_picture_it_would_be_a_failure(job, scratch):
    """The negative control of the test above."""
    for unit in job.plan.units:
        unit.sample.image.unlink()
    for one in carried_out(seated(job, "driver"), [Order(unit) for unit in job.plan.units]):
        (unit,) = (unit for unit in job.plan.units if unit.id == one.unit)
        parcels.unpack(job.folder, unit, one.parcel)
    assert not any(finished(job))


def test_a_store_takes_the_parcels(job, scratch, workdir):
    place = f"file://{workdir}/store"
    done = carried_out(seated(job, place), [Order(unit) for unit in job.plan.units])
    assert {one.parcel for one in done} == {None}
    assert Depot(place, job.worker.recipe.marks).ids() == {unit.id for unit in job.plan.units}
    assert not any(finished(job))


def test_what_is_stored_already_travels_along(job, scratch):
    """With a metric more nothing is decoded again: the decode's seconds stay."""
    carried_out(seated(job), [Order(unit) for unit in job.plan.units])
    unit = job.plan.units[0]
    before = job.folder.finished(unit.id)
    orders = [Order(unit, None, parcels.pack(job.folder, unit))]
    (again,) = carried_out(seated(job, "driver"), orders)
    other = RunFolder(Path("other"))
    parcels.unpack(other, unit, again.parcel)
    assert other.finished(unit.id).decoded == before.decoded
    (made,) = carried_out(seated(job, "driver"), [Order(unit)])
    parcels.unpack(other, unit, made.parcel)
    assert other.finished(unit.id).decoded != before.decoded, "the control: other seconds"


def test_alone_means_one_picture_a_call(job, scratch):
    seat = seated(job)
    try:
        seat.prepare(Path.cwd())
        list(seat.work([Order(job.plan.units[0])], alone=True))
        assert seat._worker.decoder.calls == [1, 1]
        list(seat.work([Order(job.plan.units[1])], alone=False))
        assert seat._worker.decoder.calls == [1, 1, 2]
    finally:
        seat.close()


def test_its_threads_are_the_drivers(job, scratch):
    torch.set_num_threads(2)
    seat = seated(job)
    seat.prepare(Path.cwd())
    assert torch.get_num_threads() == 1
    seat.close()
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("what", ["decoder", "code", "numerics hardware", "metric psnr"])
def test_a_machine_that_differs_is_refused_by_name(job, scratch, what):
    assert what in job.worker.recipe.marks
    job.worker.recipe.marks[what] = "something else"
    with pytest.raises(UsageError, match=f"They differ in {what}: something else and"):
        carried_out(seated(job), [])
