"""What a run uses of its machine while it measures: processor, memory, disk, network, GPUs.

A thread takes a sample a second and one at the end, and leaves `usage.json` in the run folder:

    {"schema": "decoder-qa/usage/1", "times": [ms since 1970, UTC],
     "values": {"cpu_utilization_percentage": [12.5, null, …], …}}

Names are those that MLflow's own monitor gives its system metrics, so that its page of that name
shows them. Two are ours: `process_…`, this process alone, where the others are of the machine.

The file is no part of a verdict: two runs of one plan differ in it. Whatever goes wrong here costs
samples and nothing else: no error leaves this module, and a run waits for it at its end only.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qa.files import read_json, write_bytes

SCHEMA = "decoder-qa/usage/1"
FILE = "usage.json"
INTERVAL = 1.0
"""Seconds between samples, doubled whenever there are `MOST` of them."""
MOST = 256
"""A run of a minute and one of a week both leave a few kilobytes."""
PATIENCE = 5.0
"""Seconds for which a run waits, at its end, for a driver or disk that does not answer."""
MEGA = 1e6

Reader = Callable[[], Mapping[str, float]]


@dataclass
class Usage:
    """Samples in order of time; a name has None where it was not read."""

    times: list[int] = field(default_factory=list)
    """Milliseconds since 1970, UTC."""
    values: dict[str, list[float | None]] = field(default_factory=dict)

    def add(self, when: int, row: Mapping[str, float]) -> None:
        """Append one sample."""
        for name in row.keys() - self.values.keys():
            self.values[name] = [None] * len(self.times)
        self.times.append(when)
        for name, column in self.values.items():
            column.append(row.get(name))

    def thin(self) -> None:
        """Keep every other sample, and the last: ends matter for what only grows."""
        count = len(self.times)
        kept = sorted({*range(0, count, 2), *range(count - 1, count)})
        self.times = [self.times[index] for index in kept]
        self.values = {n: [column[i] for i in kept] for n, column in self.values.items()}


def read(folder: Path) -> Usage:
    """What lies in a run folder; empty where there is none, or none that can be read."""
    with suppress(Exception):
        content = read_json(folder / FILE)
        times, values = list(content["times"]), dict(content["values"])
        if content["schema"] == SCHEMA and all(len(v) == len(times) for v in values.values()):
            return Usage(times, values)
    return Usage()


@contextmanager
def sampled(folder: Path, active: bool = True, interval: float = INTERVAL) -> Iterator[None]:
    """Sample while the block runs; a run that is continued appends to what it has.

    Not `active`: a run that has nothing left to do, and whose file stays as it is.
    """
    if not active:
        yield
        return
    sampler = _Sampler(folder, interval)
    with suppress(Exception):  # a machine out of threads still has a run to finish
        sampler.start()
    try:
        yield
    finally:
        with suppress(Exception):
            sampler.ended.set()
            sampler.join(PATIENCE)


class _Sampler(threading.Thread):
    def __init__(self, folder: Path, interval: float) -> None:
        super().__init__(name="usage", daemon=True)
        self.folder = folder
        self.interval = interval
        self.ended = threading.Event()

    def run(self) -> None:
        with suppress(Exception):
            readers = _readers(self.folder)
            usage = read(self.folder)
            while not self.ended.wait(self.interval):
                _take(readers, usage)
                if len(usage.times) >= MOST:
                    usage.thin()
                    self.interval *= 2
            _take(readers, usage)
            document = {"schema": SCHEMA, "times": usage.times, "values": usage.values}
            write_bytes(self.folder / FILE, (json.dumps(document) + "\n").encode())


def _take(readers: list[Reader], usage: Usage) -> None:
    """Add a sample; a reader that fails is not asked again."""
    row: dict[str, float] = {}
    for reader in list(readers):
        try:
            row.update({name: round(float(value), 1) for name, value in reader().items()})
        except Exception:  # drivers, file systems and sandboxes refuse in their own ways
            readers.remove(reader)
    usage.add(time.time_ns() // 1_000_000, row)


def _readers(folder: Path) -> list[Reader]:
    """One for each part of the machine that can be read."""
    found: list[Reader] = []
    for make in (_processor, _memory, _disk, _network, _nvidia):
        with suppress(Exception):
            found.append(make(folder))
    return found


def _processor(_folder: Path) -> Reader:
    import psutil

    process = psutil.Process()
    psutil.cpu_percent()  # shares are of the time since the last call
    process.cpu_percent()
    return lambda: {
        "cpu_utilization_percentage": psutil.cpu_percent(),
        "process_cpu_utilization_percentage": process.cpu_percent(),
    }


def _memory(_folder: Path) -> Reader:
    import psutil

    process = psutil.Process()

    def reader() -> Mapping[str, float]:
        memory = psutil.virtual_memory()
        return {
            "system_memory_usage_megabytes": memory.used / MEGA,
            "system_memory_usage_percentage": 100 * memory.used / memory.total,
            "process_memory_usage_megabytes": process.memory_info().rss / MEGA,
        }

    return reader


def _disk(folder: Path) -> Reader:
    """The disk that the run is written to."""
    import psutil

    def reader() -> Mapping[str, float]:
        disk = psutil.disk_usage(str(folder))
        return {
            "disk_usage_percentage": disk.percent,
            "disk_usage_megabytes": disk.used / MEGA,
            "disk_available_megabytes": disk.free / MEGA,
        }

    return reader


def _network(_folder: Path) -> Reader:
    """Traffic of the machine since the run began or was continued."""
    import psutil

    begin = psutil.net_io_counters()

    def reader() -> Mapping[str, float]:
        now = psutil.net_io_counters()
        return {
            "network_receive_megabytes": (now.bytes_recv - begin.bytes_recv) / MEGA,
            "network_transmit_megabytes": (now.bytes_sent - begin.bytes_sent) / MEGA,
        }

    return reader


def _nvidia(_folder: Path) -> Reader:
    """All NVIDIA GPUs of the machine; ImportError or NVMLError where they cannot be asked."""
    import pynvml

    pynvml.nvmlInit()
    handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]

    def reader() -> Mapping[str, float]:
        row: dict[str, float] = {}
        for index, handle in enumerate(handles):
            for read_one in (_gpu_memory, _gpu_load, _gpu_power):
                with suppress(pynvml.NVMLError):  # a GPU that has no meter has the others
                    found = read_one(pynvml, handle)
                    row.update({f"gpu_{index}_{name}": value for name, value in found.items()})
        return row

    return reader


def _gpu_memory(nvml: Any, handle: Any) -> Mapping[str, float]:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return {
        "memory_usage_megabytes": memory.used / MEGA,
        "memory_usage_percentage": 100 * memory.used / memory.total,
    }


def _gpu_load(nvml: Any, handle: Any) -> Mapping[str, float]:
    return {"utilization_percentage": nvml.nvmlDeviceGetUtilizationRates(handle).gpu}


def _gpu_power(nvml: Any, handle: Any) -> Mapping[str, float]:
    watts = nvml.nvmlDeviceGetPowerUsage(handle) / 1000
    most = nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000
    return {"power_usage_watts": watts, "power_usage_percentage": 100 * watts / most}


def points(usage: Usage) -> list[tuple[str, float, int, int]]:
    """(name, value, milliseconds, seconds since the first sample) of everything that was read.

    Seconds and not numbers of samples: they stay when samples are dropped or added.
    """
    return [
        (name, value, when, round((when - usage.times[0]) / 1000))
        for index, when in enumerate(usage.times)
        for name in sorted(usage.values)
        if (value := usage.values[name][index]) is not None
    ]
