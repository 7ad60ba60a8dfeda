"""Values between CPU and device, without one waiting for the other.

On CUDA they pass through page-locked memory. Noise goes to the device in the stream of the decodes,
while Python goes on. Pixels come back on a stream of their own, since in that of the decodes they
would stand behind the next one; whoever needs the values waits for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Arriving:
    """A tensor on the CPU whose values may still be coming."""

    tensor: Tensor
    arrived: torch.cuda.Event | None = None

    def wait(self) -> Tensor:
        """The tensor, whole. Any thread may call it, any number of times."""
        if self.arrived is not None:
            self.arrived.synchronize()
        return self.tensor


def to_cpu(pixels: Tensor) -> Arriving:
    """Start to copy `pixels`, as float32; they may be let go at once.

    To be called on the thread that computed them, in whose stream they are made.
    """
    import torch

    pixels = pixels.detach().to(torch.float32)
    if not pixels.is_cuda:
        return Arriving(pixels.to("cpu"))
    host = torch.empty(pixels.shape, dtype=torch.float32, pin_memory=True)
    stream = _stream(pixels.device)
    stream.wait_stream(torch.cuda.current_stream(pixels.device))
    with torch.cuda.stream(stream):
        host.copy_(pixels, non_blocking=True)
        pixels.record_stream(stream)  # its memory is given to nobody before the copy is done
        arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record(stream)
    return Arriving(host, arrived)


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Values from the CPU, on the device for whatever is launched there after this call."""
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    import torch

    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
