"""Where the time of a call goes: by named part of the network, and by operation."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.autograd import DeviceType

TOP = 10
NAME = 80
"""Characters of an operation's name; kernels of libraries have long ones."""


def shares_of_parts(
    call: Callable[[], Any], model: nn.Module, parts: Mapping[str, str], device: torch.device
) -> dict[str, float]:
    """Share of a call that passes inside the modules of each part (names begin with its prefix).

    On a GPU from events between the kernels, so nothing waits. Hooks are not called by what was
    compiled or captured: eager calls only.
    """
    spans: dict[str, list[tuple[Any, Any]]] = defaultdict(list)
    hooks = []
    for part, prefix in parts.items():
        for module in _outermost(model, prefix):
            open_: list[Any] = []

            def before(*_: Any, open_: list[Any] = open_) -> None:
                open_.append(_mark(device))

            def after(*_: Any, open_: list[Any] = open_, part: str = part) -> None:
                spans[part].append((open_.pop(), _mark(device)))

            hooks += [
                module.register_forward_pre_hook(before),
                module.register_forward_hook(after),
            ]
    try:
        start = _mark(device)
        call()
        end = _mark(device)
    finally:
        for hook in hooks:
            hook.remove()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    whole = _between(start, end)
    return {part: sum(_between(*span) for span in spans[part]) / whole for part in parts}


def top_operations(call: Callable[[], Any], device: torch.device) -> list[dict[str, Any]]:
    """The operations (on a GPU: kernels) with the largest shares of the time of all of them."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it tells stderr about every start and stop
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profile:
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    times: dict[str, float] = defaultdict(float)
    for event in profile.key_averages():
        if getattr(event, "is_user_annotation", False):
            continue  # a range round kernels that are counted themselves
        on_gpu = event.device_type == DeviceType.CUDA
        if on_gpu == (device.type == "cuda"):
            times[event.key[:NAME]] += (
                event.self_device_time_total if on_gpu else event.self_cpu_time_total
            )
    whole = sum(times.values()) or 1.0
    ranked = sorted(times.items(), key=lambda item: -item[1])[:TOP]
    return [{"name": name, "share": spent / whole} for name, spent in ranked]


def _outermost(model: nn.Module, prefix: str) -> list[nn.Module]:
    """Modules whose names begin so, without those inside of one of them."""
    names = [name for name, _ in model.named_modules() if name.startswith(prefix)]
    inside = tuple(f"{name}." for name in names)
    return [model.get_submodule(name) for name in names if not name.startswith(inside)]


def _mark(device: torch.device) -> Any:
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _between(start: Any, end: Any) -> float:
    return end - start if isinstance(start, float) else start.elapsed_time(end)
