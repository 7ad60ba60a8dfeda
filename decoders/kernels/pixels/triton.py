"""A block of PiD's pixel stage without its modulation, six times the size of the pixels, in memory.

Each pixel's modulation is six rows of W times its patch's token s, 24576 numbers for a patch of
16x16 pixels. Two kernels make the columns that they need and use them at once:

    modulated  shift1, scale1 = W s           →  N(u)·(1 + scale1) + shift1, what attention reads
    mixed      gate1, shift2, scale2, gate2 = W s
               v = u + gate1·e                →  v + gate2·MLP( N(v)·(1 + scale2) + shift2 )

with e what attention gives back. A program takes 128 patches and 64 columns, 4 pixels of 16
channels: two chunks of the modulation at a time are a product of 128 x 128 numbers over D, in
blocks of 128 bytes a row (3 x 32 KB of shared memory), what registers hold beside the epilogue.
Programs of one block of columns follow one another, so that W is read from the cache. `mixed` makes
two products one after the other rather than one of twice the width; its MLP passes the hidden
channels 16 at a time, so they never leave registers. In float32, without matrix units, the products
would not fit: that is left to the library (`decoders.kernels.pixel_block`).
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from decoders.kernels.pixels.naive import PixelLayers
from decoders.kernels.precision import autocast_dtype
from decoders.kernels.tiles import AS_WRITTEN, TYPES, rounded

PATCHES, COLUMNS, DEPTH = 128, 64, 128
"""Patches and columns of a program, and bytes of a row that it multiplies at a time."""
LAUNCH = {"num_warps": 8, "num_stages": 3, **AS_WRITTEN}


def pixel_block(layers: PixelLayers, u: Tensor, s: Tensor, angles: Tensor) -> Tensor:
    """See `decoders.kernels.pixel_block`."""
    held = autocast_dtype(s) or s.dtype
    linear = layers.adaLN_modulation[0]
    s, u = s.to(held).contiguous(), u.contiguous()
    modulation = linear.weight.to(held), linear.bias.to(held)
    pixels = modulated(u, s, *modulation, layers.norm1.weight, layers.norm1.eps).flatten(2)
    rows = layers.compress_to_attn(pixels)
    del pixels  # as large as u
    expanded = layers.expand_from_attn(layers.attn(rows, angles))
    mlp = [t.to(held) for layer in (layers.mlp.fc1, layers.mlp.fc2)
           for t in (layer.weight, layer.bias)]  # fmt: skip
    return mixed(u, s, *modulation, layers.norm2.weight, layers.norm2.eps, expanded, *mlp)


def modulated(
    u: Tensor, s: Tensor, weight: Tensor, bias: Tensor, norm: Tensor, eps: float
) -> Tensor:
    """u [B,N,P²,d], s [B,N,D], W [P²·6·d,D] and its bias, norm's weight [d] → as u, s's type."""
    out = torch.empty(u.shape, dtype=s.dtype, device=u.device)
    sizes, blocks, grid = _sizes(u, s)
    _modulated[grid](
        u, s, weight, bias, norm, out, *sizes, eps,
        HELD=TYPES[s.dtype], NORMED=_type(u, norm, s), **blocks, **LAUNCH,
    )  # fmt: skip
    return out


def mixed(
    u: Tensor,
    s: Tensor,
    weight: Tensor,
    bias: Tensor,
    norm: Tensor,
    eps: float,
    expanded: Tensor,
    fc1: Tensor,
    bias1: Tensor,
    fc2: Tensor,
    bias2: Tensor,
) -> Tensor:
    """As `modulated`, and expanded [B,N,P²·d], fc1 [4d,d], fc2 [d,4d] with biases → as u."""
    dtype = torch.promote_types(u.dtype, s.dtype)
    out = torch.empty(u.shape, dtype=dtype, device=u.device)
    sizes, blocks, grid = _sizes(u, s)
    _mixed[grid](
        u, s, weight, bias, norm, expanded, fc1, bias1, fc2, bias2, out, *sizes, eps,
        HELD=TYPES[s.dtype], SUMMED=TYPES[dtype], NORMED=_type(u, norm, s), **blocks, **LAUNCH,
    )  # fmt: skip
    return out


def _type(u: Tensor, norm: Tensor, s: Tensor) -> tl.dtype:
    return TYPES[torch.promote_types(torch.promote_types(u.dtype, norm.dtype), s.dtype)]


def _sizes(u: Tensor, s: Tensor) -> tuple[tuple[int, ...], dict[str, int], tuple[int]]:
    """N, D, P², d; the sizes of a program's tiles; how many programs there are."""
    samples, length, area, channels = u.shape
    wide = max(16, triton.next_power_of_2(channels))
    pixels = max(1, COLUMNS // wide)
    blocks = {
        "PATCHES": PATCHES, "PIXELS": pixels, "CHANNELS": wide, "DEPTH": DEPTH // s.itemsize
    }  # fmt: skip
    programs = samples * triton.cdiv(length, PATCHES) * triton.cdiv(area, pixels)
    return (length, s.shape[-1], area, channels), blocks, (programs,)


@triton.jit
def _place(length, area, channels, PATCHES: tl.constexpr, PIXELS: tl.constexpr,
           CHANNELS: tl.constexpr):  # fmt: skip
    """Rows of s that a program takes; the pixel and channel of its columns, and which exist."""
    tiles, blocks = tl.cdiv(length, PATCHES), tl.cdiv(area, PIXELS)
    sample = (tl.program_id(0) // (tiles * blocks)).to(tl.int64)
    patch = tl.program_id(0) % tiles * PATCHES + tl.arange(0, PATCHES)
    column = tl.arange(0, PIXELS * CHANNELS)
    pixel = tl.program_id(0) // tiles % blocks * PIXELS + column // CHANNELS
    channel = column % CHANNELS
    return (
        sample * length + patch,
        patch < length,
        pixel,
        channel,
        (pixel < area) & (channel < channels),
    )


@triton.jit
def _two_chunks(
    s_ptr, weight_ptr, bias_ptr, row, exists, first, known, channels, depth,
    HELD: tl.constexpr, PATCHES: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """W s + b in the columns `first` of W, and in those of the next chunk: [PATCHES,COLUMNS]."""
    one = tl.zeros((PATCHES, COLUMNS), tl.float32)
    two = tl.zeros((PATCHES, COLUMNS), tl.float32)
    for start in range(0, depth, DEPTH):
        k = start + tl.arange(0, DEPTH)
        inside = exists[:, None] & (k < depth)[None, :]
        s = tl.load(s_ptr + row[:, None] * depth + k[None, :], inside, 0.0)
        place = weight_ptr + first[None, :] * depth + k[:, None]
        inside = known[None, :] & (k < depth)[:, None]
        one = tl.dot(s, tl.load(place, inside, 0.0), one, input_precision="ieee")
        place += channels * depth
        two = tl.dot(s, tl.load(place, inside, 0.0), two, input_precision="ieee")
    one += tl.load(bias_ptr + first, known, 0.0).to(tl.float32)[None, :]
    two += tl.load(bias_ptr + first + channels, known, 0.0).to(tl.float32)[None, :]
    return rounded(one, HELD), rounded(two, HELD)


@triton.jit
def _norm_modulate(
    u, norm_ptr, channel, shift, scale, channels, eps, U: tl.constexpr, HELD: tl.constexpr,
    NORMED: tl.constexpr, PATCHES: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """N(u)·(1 + scale) + shift with a norm for each pixel, all [PATCHES,PIXELS·CHANNELS]."""
    pixels = tl.reshape(u, (PATCHES, PIXELS, CHANNELS))
    squares = tl.sum(pixels * pixels, 2, keep_dims=True)
    normed = tl.reshape(pixels * tl.rsqrt(squares / channels + eps), (PATCHES, PIXELS * CHANNELS))
    weight = tl.load(norm_ptr + channel, channel < channels, 0.0).to(tl.float32)
    normed = rounded(rounded(normed, U) * weight[None, :], NORMED)
    return rounded(rounded(normed * rounded(1 + scale, HELD), NORMED) + shift, NORMED)


@triton.jit
def _modulated(
    u_ptr, s_ptr, weight_ptr, bias_ptr, norm_ptr, out_ptr, length, depth, area, channels, eps,
    HELD: tl.constexpr, NORMED: tl.constexpr, PATCHES: tl.constexpr, PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    row, exists, pixel, channel, known = _place(length, area, channels, PATCHES, PIXELS, CHANNELS)
    shift, scale = _two_chunks(
        s_ptr, weight_ptr, bias_ptr, row, exists, pixel * 6 * channels + channel, known,
        channels, depth, HELD, PATCHES, PIXELS * CHANNELS, DEPTH,
    )  # fmt: skip
    place = (row * area)[:, None] * channels + (pixel * channels + channel)[None, :]
    inside = exists[:, None] & known[None, :]
    u = tl.load(u_ptr + place, inside, 0.0).to(tl.float32)
    y = _norm_modulate(
        u, norm_ptr, channel, shift, scale, channels, eps, u_ptr.dtype.element_ty, HELD, NORMED,
        PATCHES, PIXELS, CHANNELS,
    )  # fmt: skip
    tl.store(out_ptr + place, y.to(out_ptr.dtype.element_ty), inside)


@triton.jit
def _mixed(
    u_ptr, s_ptr, weight_ptr, bias_ptr, norm_ptr, expanded_ptr, fc1_ptr, bias1_ptr, fc2_ptr,
    bias2_ptr, out_ptr, length, depth, area, channels, eps,
    HELD: tl.constexpr, SUMMED: tl.constexpr, NORMED: tl.constexpr, PATCHES: tl.constexpr,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    row, exists, pixel, channel, known = _place(length, area, channels, PATCHES, PIXELS, CHANNELS)
    first = (pixel * 6 + 2) * channels + channel
    gate1, shift = _two_chunks(
        s_ptr, weight_ptr, bias_ptr, row, exists, first, known, channels, depth,
        HELD, PATCHES, PIXELS * CHANNELS, DEPTH,
    )  # fmt: skip
    place = (row * area)[:, None] * channels + (pixel * channels + channel)[None, :]
    inside = exists[:, None] & known[None, :]
    expanded = tl.load(expanded_ptr + place, inside, 0.0).to(tl.float32)
    u = tl.load(u_ptr + place, inside, 0.0).to(tl.float32)
    v = rounded(u + rounded(gate1 * expanded, HELD), SUMMED)
    scale, gate2 = _two_chunks(
        s_ptr, weight_ptr, bias_ptr, row, exists, first + 2 * channels, known, channels, depth,
        HELD, PATCHES, PIXELS * CHANNELS, DEPTH,
    )  # fmt: skip
    y = _norm_modulate(
        v, norm_ptr, channel, shift, scale, channels, eps, SUMMED, HELD, NORMED,
        PATCHES, PIXELS, CHANNELS,
    )  # fmt: skip
    y = tl.reshape(y, (PATCHES * PIXELS, CHANNELS)).to(HELD)
    y = _mlp(y, fc1_ptr, bias1_ptr, fc2_ptr, bias2_ptr, channels, HELD, PATCHES * PIXELS, CHANNELS)
    y = tl.reshape(y, (PATCHES, PIXELS * CHANNELS))
    y = v + rounded(gate2 * y, HELD)
    tl.store(out_ptr + place, y.to(out_ptr.dtype.element_ty), inside)


@triton.jit
def _mlp(
    y, fc1_ptr, bias1_ptr, fc2_ptr, bias2_ptr, channels, HELD: tl.constexpr, ROWS: tl.constexpr,
    CHANNELS: tl.constexpr,
):  # fmt: skip
    """fc2(GELU(fc1 y)) of y [ROWS,CHANNELS], 16 of the 4d hidden channels at a time."""
    channel, hidden = tl.arange(0, CHANNELS), 4 * channels
    total = tl.zeros((ROWS, CHANNELS), tl.float32)
    for start in range(0, hidden, 16):
        k = start + tl.arange(0, 16)
        known = (channel < channels)[:, None] & (k < hidden)[None, :]
        fc1 = tl.load(fc1_ptr + k[None, :] * channels + channel[:, None], known, 0.0)
        inner = tl.dot(y, fc1, input_precision="ieee")
        inner += tl.load(bias1_ptr + k, k < hidden, 0.0).to(tl.float32)[None, :]
        inner = rounded(inner, HELD)
        inner = inner * 0.5 * (1 + tl.erf(inner * 0.7071067811865476))
        known = (k < hidden)[:, None] & (channel < channels)[None, :]
        fc2 = tl.load(fc2_ptr + channel[None, :] * hidden + k[:, None], known, 0.0)
        total = tl.dot(inner.to(HELD), fc2, total, input_precision="ieee")
    bias2 = tl.load(bias2_ptr + channel, channel < channels, 0.0).to(tl.float32)
    return rounded(total + bias2[None, :], HELD)
