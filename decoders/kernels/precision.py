"""What autocast makes of tensors, asked in one place."""

from __future__ import annotations

import torch
from torch import Tensor


def autocast_dtype(x: Tensor) -> torch.dtype | None:
    """The precision in which layers run on x under autocast; None where it is off or spares x."""
    kind = x.device.type
    if kind not in ("cpu", "cuda") or x.dtype == torch.float64:
        return None
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


def layer_dtype(x: Tensor) -> torch.dtype | None:
    """The same as a step before a layer may round its result to, which the layer would do anyway.

    None while gradients are recorded: those of several layers would be summed in that precision.
    """
    return None if torch.is_grad_enabled() else autocast_dtype(x)
