"""Operations of the networks that have a Triton kernel beside PyTorch's own way.

Each is one function here, and a folder with `naive.py`, which is what the function means, and
`triton.py`, which computes the same in fewer passes over memory. The kernel is used where
`numerics.kernels=triton`, the tensors lie on a CUDA device in float32, bfloat16 or float16, no
gradient is recorded, and the shape is one that it takes; everywhere else, and always on a CPU, the
naive twin computes. Matrix products, wide convolutions and attention are PyTorch's in both.

Sums run in float32; a kernel rounds wherever its twin holds a tensor of a lower precision, so the
two differ by the order of sums only. No sum crosses samples and no tile depends on how many there
are: a sample has equal bits alone and in a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ParamSpec

import torch
from torch import Tensor

from decoders.kernels.conv import naive as _conv
from decoders.kernels.gate import naive as _gate
from decoders.kernels.group_norm import naive as _group_norm
from decoders.kernels.norm import naive as _norm
from decoders.kernels.pixels import naive as _pixels
from decoders.kernels.precision import autocast_dtype
from decoders.kernels.rotary import naive as _rotary
from qa import numerics

P = ParamSpec("P")
PRECISIONS = (torch.float32, torch.bfloat16, torch.float16)
LARGEST = 2**31
"""Values of a tensor: places in it are 32-bit numbers."""
WIDEST = 8192
"""Channels of a row that one program can hold."""
DEEPEST = 64
"""Channels of a pixel likewise."""
FEW = 1024
"""Inputs times outputs up to which a 3x3 convolution is limited by memory, not by arithmetic."""


def norm_modulate(
    x: Tensor,
    weight: Tensor,
    eps: float,
    times: Tensor | None = None,
    plus: Tensor | None = None,
    once: bool = False,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """N(x)·times + plus, with N(x) = weight · x / √(mean x² + eps) over the last dimension.

    x [...,N,C], weight [C]; `times` and `plus` broadcast against x and may be left out. An adaLN
    modulation is times = 1 + scale, plus = shift; a gated residual behind a norm is times = gate,
    plus = residual. N rounds to x's precision before the weight and again after it, to that of the
    product; with `once` only at the end, to x's. The result has the precision of the operations, or
    `dtype`.
    """
    if _fused(x, weight, times, plus) and x.shape[-1] <= WIDEST:
        from decoders.kernels.norm import triton

        return _on(x, triton.norm_modulate, x, weight, eps, times, plus, once, dtype)
    return _norm.norm_modulate(x, weight, eps, times, plus, once, dtype)


def gated_add(x: Tensor, gate: Tensor, y: Tensor) -> Tensor:
    """x + gate·y: x and y [B,N,C], gate [B,1,C] → in the precision of the operations."""
    if _fused(x, gate, y) and x.shape == y.shape and x.shape[-1] <= WIDEST:
        from decoders.kernels.norm import triton

        return _on(x, triton.gated_add, x, gate, y)
    return _norm.gated_add(x, gate, y)


def norm_rotate(
    x: Tensor, weight: Tensor, eps: float, angles: Tensor, dtype: torch.dtype | None = None
) -> Tensor:
    """Queries or keys x [B,heads,T,h]: an RMSNorm of each head, then rotary positions.

    Adjacent channel pairs turn by angles [T,h/2], in float32. The norm rounds as in `norm_modulate`
    and gives the result's precision, unless `dtype` does. x may have any strides.
    """
    if _fused(x, weight, angles) and x.shape[-1] <= WIDEST:
        from decoders.kernels.rotary import triton

        return _on(x, triton.norm_rotate, x, weight, eps, angles, dtype)
    return _rotary.norm_rotate(x, weight, eps, angles, dtype)


def norm_turn(x: Tensor, weight: Tensor, eps: float, turns: Tensor, once: bool = False) -> Tensor:
    """The same for x [N,heads,h] and complex64 turns [N,h/2], the angles' unit numbers.

    `once` as in `norm_modulate`.
    """
    if _fused(x, weight) and x.shape[-1] <= WIDEST:
        from decoders.kernels.rotary import triton

        return _on(x, triton.norm_turn, x, weight, eps, turns, once)
    return _rotary.norm_turn(x, weight, eps, turns, once)


def sigma_gate(
    s: Tensor, content: Tensor, latent: Tensor, log_alpha: Tensor, sigma: Tensor
) -> Tensor:
    """s + sigmoid(content − α σ)·latent, α = exp(log_alpha).

    s and latent [B,N,D], content [B,N,D] or [B,N,1], log_alpha [], sigma [B] float32 → [B,N,D];
    the gate is float32, whatever the others are.
    """
    if _fused(s, content, latent, log_alpha, sigma) and s.shape[-1] <= WIDEST:
        from decoders.kernels.gate import triton

        return _on(s, triton.sigma_gate, s, content, latent, log_alpha, sigma)
    return _gate.sigma_gate(s, content, latent, log_alpha, sigma)


def group_norm_silu(
    x: Tensor,
    groups: int,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """SiLU(GroupNorm(x)): x [B,C,H,W], weight and bias [C] → [B,C,H,W], in x's precision or dtype.

    Under CUDA's autocast both are taken in float32.
    """
    if _fused(x, weight, bias):
        from decoders.kernels.group_norm import triton

        return _on(x, triton.group_norm_silu, x, groups, weight, bias, eps, dtype)
    return _group_norm.group_norm_silu(x, groups, weight, bias, eps, dtype)


def conv_silu(parts: Sequence[Tensor], weight: Tensor, bias: Tensor) -> Tensor:
    """SiLU(w ∗ x + b) with zeros around, x the channels of one or two parts [B,C,H,W] in turn.

    weight [O, sum of C, 3, 3], bias [O] → [B,O,H,W].
    """
    if _fused(*parts, weight, bias) and _narrow(parts, weight):
        from decoders.kernels.conv import triton

        return _on(weight, triton.conv_silu, parts, weight, bias)
    return _conv.conv_silu(parts, weight, bias)


def up_conv(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """w ∗ x + b with zeros around, where x [B,C,H,W] is first doubled by repeating pixels.

    weight [O,C,3,3], bias [O] → [B,O,2H,2W].
    """
    if _fused(x, weight, bias) and _narrow([x], weight):
        from decoders.kernels.conv import triton

        return _on(x, triton.up_conv, x, weight, bias)
    return _conv.up_conv(x, weight, bias)


def pixel_block(layers: _pixels.PixelLayers, u: Tensor, s: Tensor, angles: Tensor) -> Tensor:
    """A block of PiD's pixel stage: u [B,N,P²,d] pixels and s [B,N,D] patches → u [B,N,P²,d].

        shift1, scale1, gate1, shift2, scale2, gate2 = W s, for each pixel of its own, [B,N,P²,d]
        u ← u + gate1 · expand(attention(compress(N1(u)·(1 + scale1) + shift1)))
        u ← u + gate2 · MLP(N2(u)·(1 + scale2) + shift2)

    Attention is over patches, with `angles`; N1 and N2 are RMSNorms over d. The kernel is for
    layers in half precision.
    """
    half = (autocast_dtype(s) or s.dtype) != torch.float32
    if half and _fused(u, s, *layers.parameters()) and u.shape[-1] <= DEEPEST:
        from decoders.kernels.pixels import triton

        return _on(u, triton.pixel_block, layers, u, s, angles)
    return _pixels.pixel_block(layers, u, s, angles)


def _fused(*tensors: Tensor | None) -> bool:
    """Whether a kernel may take these; None stands for what was left out."""
    given = [t for t in tensors if t is not None]
    return (
        numerics.kernels() == "triton"
        and all(t.is_cuda and t.dtype in PRECISIONS and t.numel() < LARGEST for t in given)
        and not (torch.is_grad_enabled() and any(t.requires_grad for t in given))
    )


def _on(x: Tensor, launch: Callable[P, Tensor], *args: P.args, **named: P.kwargs) -> Tensor:
    """The launcher's result; Triton launches on the current device, whatever its arguments."""
    numerics.TALLY["kernels"] += 1
    with torch.cuda.device(x.device):
        return launch(*args, **named)


def _narrow(parts: Sequence[Tensor], weight: Tensor) -> bool:
    """Whether the kernel of small convolutions takes these; autocast would change their type."""
    return (
        len(parts) <= 2
        and weight.shape[0] * weight.shape[1] <= FEW
        and all(t.is_contiguous() and t.dtype == weight.dtype for t in (*parts, weight))
        and autocast_dtype(weight) is None
    )
