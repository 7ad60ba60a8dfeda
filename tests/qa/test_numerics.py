"""Numerical settings: what is asked for holds inside the block, and only there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from qa.errors import UsageError
from qa.numerics import (
    Numerics,
    _read,
    applied,
    describe,
    kernels,
    one_core_each,
    pick_device,
    steps,
)


@pytest.mark.parametrize(
    "asked",
    [
        Numerics(),
        Numerics(threads=1, tf32=True, reduced_reductions=True, cudnn_benchmark=True,
                 deterministic=False),
    ],
)  # fmt: skip
def test_settings_hold_inside_and_are_restored(asked):
    before = _read()
    with applied(asked):
        inside = _read()
        assert (
            inside["conv"]
            == inside["rnn"]
            == inside["matmul"]
            == ("tf32" if asked.tf32 else "ieee")
        )
        assert inside["bf16"] == inside["fp16"] == asked.reduced_reductions
        assert inside["benchmark"] == asked.cudnn_benchmark
        assert inside["deterministic"] == asked.deterministic
        assert inside["threads"] == (asked.threads or before["threads"])
    assert _read() == before


def test_settings_are_restored_after_a_failure():
    before = _read()
    with pytest.raises(ZeroDivisionError), applied(Numerics(threads=1, cudnn_benchmark=True)):
        raise ZeroDivisionError
    assert _read() == before


def test_the_attention_back_end_is_pinned():
    with applied(Numerics(sdpa="math")):
        assert torch.backends.cuda.math_sdp_enabled()
        assert not torch.backends.cuda.flash_sdp_enabled()
    assert torch.backends.cuda.flash_sdp_enabled()
    with pytest.raises(UsageError, match="sdpa=fastest is unknown"):
        Numerics(sdpa="fastest")


def test_new_tensors_are_not_filled_before_they_are_written():
    """PyTorch does so under deterministic algorithms: that it would is the negative control."""
    assert torch.utils.deterministic.fill_uninitialized_memory
    with applied(Numerics(deterministic=True)):
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory
    assert torch.utils.deterministic.fill_uninitialized_memory


def test_kernels_are_chosen_for_every_thread_and_put_back():
    assert kernels() == "torch"
    with applied(Numerics(kernels="triton")):
        with ThreadPoolExecutor(1) as others:
            assert others.submit(kernels).result() == "triton"
        with applied(Numerics()):
            assert kernels() == "torch"
        assert kernels() == "triton"
    assert kernels() == "torch"
    with pytest.raises(UsageError, match="kernels=cuda is unknown"):
        Numerics(kernels="cuda")


def test_a_cpu_has_no_kernels_of_its_own(monkeypatch):
    asked = Numerics(kernels="triton")
    assert describe(asked, "cpu") == describe(Numerics(), "cpu")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    assert describe(asked, "cuda:0")["kernels"] == "triton"
    assert describe(Numerics(), "cuda:0")["kernels"] == "torch"


def test_steps_are_chosen_for_every_thread_and_put_back():
    assert steps() == "eager"
    with applied(Numerics(steps="graph")):
        with ThreadPoolExecutor(1) as others:
            assert others.submit(steps).result() == "graph"
        with applied(Numerics(steps="compile", kernels="triton")):
            assert (steps(), kernels()) == ("compile", "triton")
        assert (steps(), kernels()) == ("graph", "torch")
    assert steps() == "eager"
    with pytest.raises(UsageError, match="steps=fast is unknown"):
        Numerics(steps="fast")


def test_a_cpu_has_no_graphs_but_may_compile(monkeypatch):
    assert describe(Numerics(steps="graph"), "cpu") == describe(Numerics(), "cpu")
    assert describe(Numerics(steps="compile"), "cpu")["steps"] == "compile"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    for way in ("eager", "graph", "compile"):
        assert describe(Numerics(steps=way), "cuda:0")["steps"] == way


def test_the_description_leaves_no_default_open():
    told = describe(Numerics(), "cpu")
    assert told["threads"] == torch.get_num_threads()
    assert told["torch"] == torch.__version__
    assert None not in told.values()
    assert pick_device("cpu") == "cpu"


def threads_of_an_operation() -> int:
    torch.ones(1 << 20).exp().sum()  # a thread's first operation settles how many it uses
    return torch.get_num_threads()


@pytest.mark.parametrize("usual", [2, 3])
def test_a_pool_gives_each_thread_one_core_and_leaves_the_others_theirs(usual):
    with applied(Numerics(threads=usual)), one_core_each(2, "test") as pool:
        assert threads_of_an_operation() == usual
        assert [pool.submit(threads_of_an_operation).result() for _ in range(4)] == [1] * 4
        with ThreadPoolExecutor(1) as others:  # as a thread is without it
            assert others.submit(threads_of_an_operation).result() == usual
        assert [pool.submit(threads_of_an_operation).result() for _ in range(4)] == [1] * 4
        assert threads_of_an_operation() == usual
