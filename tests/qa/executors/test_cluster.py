"""executor=ray with real processes: equal verdicts, and what becomes of those who die.

One cluster for the module: starting one takes seconds. It has two cores, whatever this machine has.
"""

import os
import re
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from faulty import strikes
from toyruns import make_pictures, toy_overrides

from qa.config import compose
from qa.errors import QaError, UsageError
from qa.executors import cluster, crew, parcels
from qa.executors.cluster import Share
from qa.executors.depot import Depot
from qa.executors.seat import scratch
from qa.files import PARTIAL
from qa.job import prepare
from qa.run import evaluate, measure

pytestmark = [
    pytest.mark.filterwarnings("ignore:Tip. In future versions of Ray:FutureWarning"),
    # A process that is killed leaves its sockets to the collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]
TESTS = Path(__file__).parents[2]
TABLES = (
    "verdict.json", "scores/_parts.json", "scores/metric=psnr/part-00000.parquet", "samples.jsonl",
)  # fmt: skip
ONE_THREAD = "numerics.threads=1"


@pytest.fixture(scope="module")
def ray(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS.parent), str(TESTS)]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        import ray

        ray.init(
            address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
            configure_logging=False, object_store_memory=100 * 2**20,
        )  # fmt: skip
        yield ray
        ray.shutdown()


@pytest.fixture
def photos(workdir):
    return make_pictures(workdir / "photos", 12)


def asked(photos: Path, out: str, *more: str, decoder: str = "Sampler") -> list[str]:
    return toy_overrides(photos, decoder, f"out={out}", ONE_THREAD, *more)


def pooled(*more: str, workers: int = 2) -> list[str]:
    return ["executor=ray", f"executor.workers={workers}", "executor.block=4", *more]


def faulty(photos: Path, out: str, how: str, times: int, *more: str) -> list[str]:
    marks = photos.parent / "marks"
    marks.mkdir(exist_ok=True)
    return asked(
        photos, out, "trust=[faulty]", "decoder._target_=faulty.Faulty", 
        "+decoder.sample=p03", f"+decoder.how={how}", f"+decoder.times={times}",
        f"+decoder.marks={marks}", *more,
    )  # fmt: skip


def equal(first, second) -> bool:
    """Whether two runs left the same bytes and pictures."""
    a, b = first.folder, second.folder
    same = all((a.path / name).read_bytes() == (b.path / name).read_bytes() for name in TABLES)
    columns = ["sample", "seed", "file", "digest", "clipped", "noise", "why"]
    return same and a.decoded()[columns].equals(b.decoded()[columns])


@pytest.fixture
def alone(photos):
    """The same work by `executor=local`."""
    return evaluate(*asked(photos, "local"))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_the_verdict_is_that_of_one_process(ray, photos, alone, workers):
    run = evaluate(*asked(photos, "ray", *pooled(workers=workers)))
    assert equal(run, alone)
    other = evaluate(*asked(photos, "other", "+decoder.noise=0.06"))
    assert not equal(other, alone), "the comparison notices other pictures"


@pytest.fixture
def workplaces(monkeypatch):
    """Scratch folders of a run's workers: what is there now, and all that were when it ordered.

    Of this run only: other processes share the folder for temporary files.
    """
    beacon, order = cluster._beacon, crew.Crew._order
    seen = SimpleNamespace(beacons=[], used=set())
    temporary = Path(tempfile.gettempdir())
    seen.now = lambda: {f for b in seen.beacons for f in temporary.glob(f"{scratch(b)}*")}

    @contextmanager
    def noted(worker):
        with beacon(worker) as file:
            seen.beacons.append(file)
            yield file

    def ordered(*given):
        seen.used |= seen.now()
        return order(*given)

    monkeypatch.setattr(cluster, "_beacon", noted)
    monkeypatch.setattr(crew.Crew, "_order", ordered)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("deliver", ["driver", "store"])
def test_results_come_home_without_a_common_folder(ray, photos, alone, workplaces, deliver):
    store = f"file://{photos.parent}/store"
    place = store if deliver == "store" else deliver
    run = evaluate(*asked(photos, "ray", *pooled(f"executor.deliver={place}", workers=1)))
    assert equal(run, alone)
    assert len(workplaces.used) == 1, "the worker had a folder of its own"
    assert not workplaces.now()
    assert len(list(Path(photos.parent, "store").rglob("*.zip"))) == (
        12 if deliver == "store" else 0
    )


@pytest.mark.slow
def test_workers_without_the_drivers_disk_are_sent_the_pictures(ray, photos, alone, monkeypatch):
    sent = []

    @contextmanager
    def unseen(worker):
        yield Path("/nowhere/beacon")

    order = crew.Crew._order
    monkeypatch.setattr(cluster, "_beacon", unseen)
    monkeypatch.setattr(crew.Crew, "_order", lambda *given: sent.append(order(*given)) or sent[-1])
    run = evaluate(*asked(photos, "ray", *pooled(workers=1)))
    assert equal(run, alone)
    assert sorted(o.picture for o in sent) == sorted(f.read_bytes() for f in photos.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("deliver", ["auto", "driver"])
def test_a_metric_more_decodes_nothing_again(ray, photos, monkeypatch, deliver):
    first = evaluate(*asked(photos, "ray"))
    before = first.folder.decoded()

    @contextmanager
    def unseen(worker):
        yield Path("/nowhere/beacon")

    if deliver == "auto":  # a worker without the driver's disk; one that has it still has no result
        monkeypatch.setattr(cluster, "_beacon", unseen)
    pool = pooled(f"executor.deliver={deliver}", workers=1)
    more = evaluate(*asked(photos, "ray", "metric=[psnr,ssim]", *pool))
    assert set(more.scores["metric"]) == {"psnr", "ssim"}
    assert more.folder.decoded()["seconds"].equals(before["seconds"]), "the same decodes"


@pytest.mark.slow
def test_a_store_gives_a_new_machine_what_others_finished(ray, photos, alone):
    place = f"executor.deliver=file://{photos.parent}/store"
    evaluate(*asked(photos, "ray", *pooled(place, workers=1)))
    shutil.rmtree("ray")
    parcels = sorted(Path("store").rglob("*.zip"))
    parcels[0].write_bytes(parcels[0].read_bytes()[:-40])
    job = prepare(compose(asked(photos, "ray", *pooled(place, workers=1))))
    with pytest.warns(RuntimeWarning, match="Made again"):
        measure(job)
    assert job.executor.told()[0].partition("  ")[2].startswith("2 pictures, "), (
        "one unit was made again"
    )
    assert equal(evaluate(*asked(photos, "ray", *pooled(place, workers=1))), alone)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "device"])
def test_a_worker_that_dies_is_replaced_and_nothing_is_lost(ray, photos, alone, how):
    with pytest.warns(RuntimeWarning, match=r"Worker \d was lost"):
        run = evaluate(*faulty(photos, "ray", how, 2, *pooled()))
    assert strikes(Path("marks")) == 2
    assert run.folder.decoded()["file"].notna().all()
    assert not list(run.folder.path.rglob(f"{PARTIAL}*"))
    undisturbed = evaluate(*faulty(photos, "again", how, 2))  # no strike is left
    assert equal(run, undisturbed)


@pytest.mark.slow
def test_a_unit_that_kills_every_worker_is_a_failure_of_its_pictures_alone(ray, photos):
    with pytest.warns(RuntimeWarning, match="was lost"):
        run = evaluate(*faulty(photos, "ray", "killed", 99, *pooled("executor.retries=2")))
    table = run.folder.decoded()
    lost = table[table["file"].isna()]
    assert sorted(zip(lost["sample"], lost["seed"], strict=True)) == [("p03", 0), ("p03", 1)]
    assert set(lost["why"]) == {"given up: its worker was lost every time"}
    assert strikes(Path("marks")) == 3, "once in a block, twice alone"
    for number in range(99):
        Path("marks", f"strike-{number}").touch()
    again = evaluate(*faulty(photos, "ray", "killed", 99, *pooled("executor.retries=2")))
    assert again.folder.decoded()["file"].notna().all(), "the next run tries it again"


@pytest.mark.slow
def test_a_worker_that_hangs_is_replaced(ray, photos):
    job = prepare(compose(faulty(photos, "ray", "hangs", 1, *pooled("executor.patience=30"))))
    with pytest.warns(RuntimeWarning, match="It gave no sign for 30 seconds"):
        measure(job)
    assert job.folder.decoded()["file"].notna().all()
    assert sum("lost 1 times" in line for line in job.executor.told()) == 1


@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_it_continues(ray, photos, alone, tmp_path):
    blocked = Path("ray", "images", "p05")
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where a folder should be")
    with pytest.raises(QaError, match="Cannot write"):
        evaluate(*asked(photos, "ray", *pooled(workers=1)))
    blocked.unlink()
    assert equal(evaluate(*asked(photos, "ray", *pooled(workers=1))), alone)


@pytest.mark.slow
def test_a_worker_that_would_decode_otherwise_is_refused(ray, photos, monkeypatch):
    job = prepare(compose(asked(photos, "ray", *pooled(workers=1))))
    monkeypatch.setitem(job.resolved_numerics, "hardware", "another GPU")
    with pytest.raises(UsageError, match="A worker is not like the machine") as caught:
        measure(job)
    assert re.search(r"numerics hardware: another GPU and \S+", str(caught.value))


def test_a_cluster_without_room_says_what_it_has(ray, photos):
    with pytest.raises(UsageError, match="no room for a worker") as caught:
        evaluate(*asked(photos, "ray", "executor=ray", "executor.cpus=3"))
    assert "One takes 3 cores and 0 GPUs; the cluster has 2 cores and 0 GPUs." in str(caught.value)


@pytest.mark.slow
def test_each_worker_is_told_with_its_rate(ray, photos):
    job = prepare(compose(asked(photos, "ray", *pooled())))
    measure(job)
    line = re.compile(r"worker \d(?: on \S+)?  (\d+) pictures, \d+\.\d\d/s")
    told = [line.fullmatch(said) for said in job.executor.told()]
    assert sum(int(line[1]) for line in told) == 24


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("executor.workers=0", "executor.workers=0 cannot work"),
        ("executor.block=0", "executor.block=0 cannot work"),
        ("executor.retries=none", "executor.retries=none cannot work"),
        ("executor.cpus=-1", "executor.cpus=-1 cannot work"),
        ("executor.workers=true", "executor.workers=True cannot work"),
        ("executor.block=null", "executor.block=None cannot work"),
        ("executor.cpus=0", "executor.cpus=0 cannot work"),
        ("executor.gpus=many", "executor.gpus=many cannot work"),
        ("executor.patience=0", "executor.patience=0 cannot work"),
        ("executor.patience=null", "executor.patience=None cannot work"),
        ("executor.deliver=nowhere", "executor.deliver=nowhere is no place"),
        ("executor.deliver=some/folder", "executor.deliver=some/folder is no place"),
        ("executor.deliver=null", "executor.deliver=None is no place"),
        ("executor.batch=0", "executor.batch=0 cannot work"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(photos, word, said):
    with pytest.raises(UsageError, match=said):
        prepare(compose(asked(photos, "ray", "executor=ray", word)))


def test_without_ray_the_extra_is_named(photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match="executor=ray needs Ray") as caught:
        prepare(compose(asked(photos, "ray", "executor=ray")))
    assert "pip install 'decoder-qa[ray]'" in str(caught.value)


@pytest.fixture
def stored(photos):
    """A job that is not begun, and a store with a parcel of each of its units."""
    job = prepare(compose(asked(photos, "new", "executor=ray")))
    done = prepare(compose(asked(photos, "done")))
    measure(done)
    depot = Depot(f"file://{photos.parent}/store", job.worker.recipe.marks, pause=0)
    for unit in done.plan.units:
        depot.put(unit.id, parcels.pack(done.folder, unit))
    return job, depot


def fetched(job, depot) -> tuple[list, list]:
    left = []
    return list(cluster._fetched(depot, job.worker, job.plan.units, left)), left


def test_what_a_store_has_is_fetched(stored):
    job, depot = stored
    there, left = fetched(job, depot)
    assert (there, left) == (list(job.plan.units), [])


def test_a_store_that_fails_stops_the_run(stored, monkeypatch):
    """Taken for damage, it would let everything be decoded again."""
    job, depot = stored

    def away(*_):
        raise OSError("the store went away")

    monkeypatch.setattr(depot._fs, "cat_file", away)
    with pytest.raises(QaError, match="could not give a result"):
        fetched(job, depot)


def test_pictures_that_are_here_are_not_replaced(stored):
    """A run that has more values than the parcel, or whose parcel is another machine's failure."""
    job, depot = stored
    unit = job.plan.units[0]
    job.folder.path.mkdir()
    parcels.unpack(job.folder, unit, depot.get(unit.id))
    depot.put(unit.id, b"whatever")
    there, left = fetched(job, depot)
    assert left == [unit]
    assert len(there) == len(job.plan.units) - 1
    assert job.worker.complete(unit)


def node(cpus: float, gpus: float = 0, alive: bool = True) -> dict:
    return {"Alive": alive, "Resources": {"CPU": cpus, "GPU": gpus} if gpus else {"CPU": cpus}}


@pytest.mark.parametrize(
    ("nodes", "share", "room"),
    [
        ([node(2), node(1)], Share(1, 0), 3),
        ([node(1), node(1), node(4)], Share(2, 0), 2),
        ([node(8, 3)], Share(1, 0.4), 6),
        ([node(8, 4), node(8, 4, alive=False)], Share(1, 1), 4),
        ([node(8, 4)], Share(4, 1), 2),
        ([node(8, 4), node(8)], Share(1, 2), 2),
    ],
)
def test_there_is_room_where_one_machine_has_it(nodes, share, room):
    """No worker spans machines, and none has parts of two GPUs."""
    assert cluster._room(SimpleNamespace(nodes=lambda: nodes), share) == room


@pytest.mark.parametrize(
    ("address", "variable", "joined"),
    [
        (None, None, "local"), (None, "10.0.0.1:6379", "10.0.0.1:6379"), ("auto", None, "auto"),
        ("local", "10.0.0.1:6379", "local"),
    ],
)  # fmt: skip
def test_only_a_cluster_that_is_named_is_joined(monkeypatch, address, variable, joined):
    """One that merely runs here may be another run's own, and ends with it."""
    asked = []
    fake = SimpleNamespace(
        is_initialized=lambda: False, init=lambda **words: asked.append(words["address"]),
        shutdown=lambda: None,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if variable:
        monkeypatch.setenv("RAY_ADDRESS", variable)
    with cluster._connected(address):
        pass
    assert asked == [joined]
