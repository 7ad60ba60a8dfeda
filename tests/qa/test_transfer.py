"""Pixels come to the CPU whole, and the decodes do not wait for them."""

from __future__ import annotations

from threading import Event

import pytest
import torch

from qa.config import compose
from qa.job import prepare
from qa.run import conclude, measure
from qa.transfer import Arriving, to_cpu, to_device

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_values_arrive_as_float32_on_the_cpu(dtype):
    pixels = torch.linspace(-0.5, 1.5, 3 * 4 * 5, dtype=dtype).view(3, 4, 5).requires_grad_()
    arriving = to_cpu(pixels)
    found = arriving.wait()
    assert found.dtype == torch.float32
    assert found.device.type == "cpu"
    assert not found.requires_grad
    assert torch.equal(found, pixels.detach().float())
    assert arriving.wait() is found


def test_noise_goes_to_the_device_unchanged():
    noise = torch.randn(3, 5, 7)
    assert torch.equal(to_device(noise, torch.device("cpu")), noise)


class Late:
    """Stands for a CUDA event of a copy that takes its time: waiting for it writes the values."""

    def __init__(self, host, values):
        self.host, self.values, self.waited = host, values, Event()

    def synchronize(self):
        self.host.copy_(self.values)
        self.waited.set()


@pytest.fixture
def late(monkeypatch):
    """Every picture of a run is on its way when its decode ends."""
    made = []

    def to_cpu_late(pixels):
        host = torch.full(pixels.shape, float("nan"))
        made.append(Late(host, pixels.clone()))
        return Arriving(host, made[-1])

    monkeypatch.setattr("qa.worker.to_cpu", to_cpu_late)
    return made


def test_a_run_waits_for_every_picture_where_it_needs_it(workdir, toy, late):
    finished = prepare(compose(toy("Sampler", "out=late")))
    measure(finished)
    assert len(late) == 6 * 2
    assert all(one.waited.is_set() for one in late)
    assert conclude(finished).scores["why"].fillna("").eq("").all()


def test_the_decode_itself_waits_for_none(workdir, toy, late):
    worker = prepare(compose(toy())).worker
    (raw,) = worker.decode([worker.load(prepare(compose(toy())).plan.units[0])], 1)
    assert late
    assert not any(one.waited.is_set() for one in late)
    worker.finish(raw)
    assert all(one.waited.is_set() for one in late)


def test_pixels_that_nobody_waited_for_are_seen(workdir, toy, late, monkeypatch):
    """The negative control: without the wait there is nothing but NaN, and no score."""
    monkeypatch.setattr(Arriving, "wait", lambda self: self.tensor)
    job = prepare(compose(toy("Sampler", "out=never")))
    measure(job)
    assert conclude(job).scores["value"].isna().all()


@needs_gpu
def test_memory_of_the_device_may_be_used_again_at_once():
    device = torch.device("cuda")
    wanted, arriving = [], []
    for k in range(20):
        pixels = torch.full((3, 2048, 2048), float(k), device=device)
        arriving.append(to_cpu(pixels))
        del pixels  # the next one may get its place
        wanted.append(float(k))
    assert [one.wait().unique().item() for one in arriving] == wanted


@needs_gpu
def test_noise_on_its_way_is_not_overwritten():
    device, sent = torch.device("cuda"), []
    for k in range(20):
        noise = torch.full((3, 2048, 2048), float(k))
        sent.append(to_device(noise, device).sum())
        noise.fill_(-1)
    assert [one.item() for one in sent] == [3.0 * 2048 * 2048 * k for k in range(20)]
