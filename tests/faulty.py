"""Decoders that bring their process down, for executors of several processes.

How often they did is counted in files of a folder, which outlives them.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch
from toys import Sampler

from qa.files import PARTIAL
from qa.types import DecodeRequest


class Faulty(Sampler):
    """Strikes when it comes to one sample, `times` times at most, and is a Sampler otherwise.

    `how`: killed (the process ends at once), device (as a GPU that failed), hangs, or memory (as
    one picture too many).
    """

    def __init__(self, sample: str, marks: str, how: str = "killed", times: int = 1) -> None:
        super().__init__()
        self.sample, self.marks, self.how, self.times = sample, Path(marks), how, times

    def _one(self, request: DecodeRequest) -> torch.Tensor:
        if request.sample == self.sample and self._strikes():
            self._strike()
        return super()._one(request)

    def _strikes(self) -> bool:
        for number in range(self.times):
            try:
                (self.marks / f"strike-{number}").touch(exist_ok=False)
            except FileExistsError:
                continue
            return True
        return False

    def _strike(self) -> None:
        if self.how == "killed":  # while another thread writes
            for run in self.marks.parent.glob("*/units"):
                (run.parent / f"{PARTIAL}half.png").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "hangs":
            time.sleep(600)
        if self.how == "device":
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        raise torch.OutOfMemoryError("CUDA out of memory.")


def strikes(marks: Path) -> int:
    """How often a decoder struck."""
    return len(list(marks.glob("strike-*")))
