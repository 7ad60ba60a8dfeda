"""Samples of the machine: their names, their number, and that they never cost a run."""

import itertools
import sys
import threading
import types

import pytest

from qa import usage
from qa.files import write_json
from qa.usage import FILE, SCHEMA, Usage, points, read, sampled


class Bell:
    """Ends a sampler after a number of samples, without waiting."""

    def __init__(self, samples):
        self.left = samples
        self.waits = []

    def wait(self, seconds):
        self.waits.append(seconds)
        self.left -= 1
        return self.left < 0


def take(folder, samples):
    """What a sampler leaves that is ended after `samples` intervals."""
    sampler = usage._Sampler(folder, 1.0)
    sampler.ended = Bell(samples)
    sampler.run()
    return sampler, read(folder)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)


@pytest.fixture
def clock(monkeypatch):
    """A second passes between samples."""
    seconds = itertools.count(1_000)
    monkeypatch.setattr(usage.time, "time_ns", lambda: next(seconds) * 10**9)


def test_names_are_those_of_mlflow(tmp_path, no_gpu):
    from mlflow.system_metrics.metrics import cpu_monitor, disk_monitor, network_monitor

    theirs = set()
    monitors = (cpu_monitor.CPUMonitor, disk_monitor.DiskMonitor, network_monitor.NetworkMonitor)
    for monitor in (make() for make in monitors):
        monitor.collect_metrics()
        theirs |= monitor.metrics.keys()
    _, found = take(tmp_path, 1)
    ours = {"process_cpu_utilization_percentage", "process_memory_usage_megabytes"}
    assert found.values.keys() - ours == theirs
    assert ours <= found.values.keys()


def test_values_are_plausible(tmp_path, no_gpu):
    _, found = take(tmp_path, 3)
    assert len(found.times) == 4
    assert found.times == sorted(found.times)
    values = {name: column[-1] for name, column in found.values.items()}
    shares = [values[name] for name in values if name.endswith("percentage") and name[0] != "p"]
    assert len(shares) == 3
    assert all(0 <= share <= 100 for share in shares)
    assert 10 < values["process_memory_usage_megabytes"] < values["system_memory_usage_megabytes"]
    assert values["network_receive_megabytes"] >= 0


class Nvml(types.ModuleType):
    """Two GPUs, the second without a power meter."""

    NVMLError = type("NVMLError", (Exception,), {})

    def __init__(self):
        super().__init__("pynvml")

    def nvmlInit(self):
        """Nothing to do."""

    def nvmlDeviceGetCount(self):
        return 2

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetMemoryInfo(self, index):
        return types.SimpleNamespace(used=(index + 1) * 2e9, total=8e9)

    def nvmlDeviceGetUtilizationRates(self, index):
        return types.SimpleNamespace(gpu=40 + index)

    def nvmlDeviceGetPowerUsage(self, index):
        if index == 1:
            raise self.NVMLError("not supported")
        return 123_456

    def nvmlDeviceGetEnforcedPowerLimit(self, _index):
        return 700_000


def test_gpus_are_read_as_mlflow_reads_them(tmp_path, monkeypatch):
    from mlflow.system_metrics.metrics import gpu_monitor

    nvml = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(gpu_monitor, "pynvml", nvml, raising=False)
    monitor = gpu_monitor.GPUMonitor()
    monitor.collect_metrics()
    theirs = monitor.aggregate_metrics()
    assert len(theirs) == 8
    _, found = take(tmp_path, 1)
    ours = {name: column[-1] for name, column in found.values.items() if name.startswith("gpu_")}
    assert ours == pytest.approx(theirs)
    assert found.values["cpu_utilization_percentage"][-1] is not None


def test_a_long_run_keeps_its_ends_and_a_few_kilobytes(tmp_path, no_gpu, clock):
    sampler, found = take(tmp_path, 10 * usage.MOST)
    assert usage.MOST // 2 <= len(found.times) <= usage.MOST
    assert found.times[0] == 1_000_000
    assert found.times[-1] == (1_000 + 10 * usage.MOST) * 1000
    assert set(sampler.ended.waits) == {1.0 * 2**i for i in range(len(set(sampler.ended.waits)))}
    assert sampler.interval > 8
    assert (tmp_path / FILE).stat().st_size < 60_000


def test_a_run_that_is_continued_appends(tmp_path, no_gpu, clock):
    _, first = take(tmp_path, 2)
    _, both = take(tmp_path, 2)
    assert len(both.times) == 6
    assert both.times[:3] == first.times
    names = {name: column[:3] for name, column in both.values.items()}
    assert names == first.values


def test_points_keep_their_second_when_samples_are_dropped():
    found = Usage([1000, 2400, 3000, 61000], {"a": [1.0, None, 3.0, 4.0], "b": [None] * 3 + [5.0]})
    before = points(found)
    assert before == [
        ("a", 1.0, 1000, 0), ("a", 3.0, 3000, 2), ("a", 4.0, 61000, 60), ("b", 5.0, 61000, 60),
    ]  # fmt: skip
    found.thin()
    assert found.times == [1000, 3000, 61000]
    assert set(points(found)) <= set(before)


def test_a_name_that_comes_later_has_nothing_before():
    found = Usage()
    found.add(1, {"a": 1.0})
    found.add(2, {"b": 2.0})
    assert found == Usage([1, 2], {"a": [1.0, None], "b": [None, 2.0]})


@pytest.mark.parametrize(
    "content", [None, [], {}, {"schema": SCHEMA}, {"schema": "x", "times": [], "values": {}},
                {"schema": SCHEMA, "times": [1], "values": {"a": []}}],
)  # fmt: skip
def test_what_is_not_understood_is_begun_anew(tmp_path, no_gpu, content):
    write_json(tmp_path / FILE, content)
    assert read(tmp_path) == Usage()
    _, found = take(tmp_path, 0)
    assert len(found.times) == 1


def test_the_block_runs_as_ever_and_leaves_its_samples(tmp_path, no_gpu):
    with sampled(tmp_path):
        assert not (tmp_path / FILE).exists()
    assert len(read(tmp_path).times) == 1
    with pytest.raises(KeyError), sampled(tmp_path):
        raise KeyError
    assert len(read(tmp_path).times) == 2
    with sampled(tmp_path, active=False):
        pass
    assert len(read(tmp_path).times) == 2
    assert "usage" not in {thread.name for thread in threading.enumerate()}


def broken(*_args, **_kwargs):
    raise RuntimeError("no")


@pytest.mark.parametrize("part", ["_readers", "_take", "write_bytes", "_Sampler.start"])
def test_nothing_that_fails_here_reaches_the_run(tmp_path, monkeypatch, no_gpu, part):
    monkeypatch.setattr(f"qa.usage.{part}", broken)
    done = False
    with sampled(tmp_path):
        done = True
    assert done
    assert not (tmp_path / FILE).exists()


def test_without_psutil_or_with_a_reader_that_fails_the_rest_is_read(tmp_path, monkeypatch, no_gpu):
    import psutil

    monkeypatch.setattr(psutil, "disk_usage", broken)
    _, found = take(tmp_path, 2)
    assert "disk_usage_percentage" not in found.values
    assert None not in found.values["cpu_utilization_percentage"]
    monkeypatch.setitem(sys.modules, "psutil", None)
    monkeypatch.setitem(sys.modules, "pynvml", Nvml())
    (tmp_path / "other").mkdir()
    _, found = take(tmp_path / "other", 1)
    assert {name[:3] for name in found.values} == {"gpu"}


def test_a_driver_that_hangs_is_not_waited_for(tmp_path, monkeypatch, no_gpu):
    stuck, free = threading.Event(), threading.Event()

    def hang(_folder):
        stuck.set()
        free.wait(30)
        raise RuntimeError

    monkeypatch.setattr(usage, "_nvidia", hang)
    monkeypatch.setattr(usage, "PATIENCE", 0.01)
    with sampled(tmp_path):
        assert stuck.wait(30)
    left = [thread for thread in threading.enumerate() if thread.name == "usage"]
    assert len(left) == 1
    assert left[0].daemon, "the process may end while it hangs"
    free.set()
    left[0].join(30)
