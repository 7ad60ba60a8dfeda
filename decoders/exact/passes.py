"""Which pass keeps what, and the public functions.

A pass reads a map once, from top to bottom. All but the last one take the moments that the next
GroupNorm needs, and keep the rows where the plan has room for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from decoders.exact import layers
from decoders.exact.moments import Moments
from decoders.exact.stripes import Joined, Kept, Layer, Lazy, Map, Shape, gathered, shape_of, whole
from decoders.exact.structure import Chain, read
from qa.errors import UsageError

STRIPES = 8
"""Stripes alive at once, in units of the largest allowed (a test counts them)."""
LEAST_STRIPES = 64 * 2**20
"""Bytes for stripes in the usual budget: with less, small pictures would have stripes of a row."""
LEAST_ROWS = 8
"""Rows of the widest map in a stripe, below which the rows that layers carry outweigh it."""
LATENTS = 8
"""Maps of the latent's size alive at once in the mid-block's attention, which takes them whole."""


@dataclass(frozen=True)
class Plan:
    """Bytes that kept maps may take together, and bytes of one stripe."""

    maps: int
    stripe: int


@torch.inference_mode()
def decode(model: Any, z: Tensor, budget: int | None = None) -> Tensor:
    """z [N,C,h,w] → [N,3,H,W], what `model.decode(z).sample` gives untiled.

    model   diffusers' AutoencoderKL or AutoencoderKLFlux2, on the device and in the dtype of z
    budget  bytes of tensors alive at the same time besides weights, z and the result; None: a
            quarter above the floor (decoders.exact)

    One picture at a time. Raises UsageError for a network that it does not know, and for a budget
    below what the size needs.
    """
    chain = read(model.decoder)
    if model.post_quant_conv is not None:
        z = model.post_quant_conv(z)
    plan = planned(chain, z, budget)
    return torch.cat([run(chain, one, plan) for one in z.split(1)])


@torch.inference_mode()
def encode(model: Any, pixels: Tensor, budget: int | None = None) -> Tensor:
    """pixels [N,3,H,W] → [N,C,h,w], what `model.encode(pixels).latent_dist.mean` gives untiled.

    Arguments and errors as for `decode`.
    """
    chain = read(model.encoder)
    plan = planned(chain, pixels, budget)
    both = torch.cat([run(chain, one, plan) for one in pixels.split(1)])
    if model.quant_conv is not None:
        both = model.quant_conv(both)
    return both.chunk(2, 1)[0]


def planned(chain: Chain, given: Tensor, budget: int | None) -> Plan:
    """How a budget in bytes is spent on an input [N,C,H,W] of that size.

    Raises UsageError where the floor and the smallest stripes are more than the budget.
    """
    floor, row = needed(chain, given)
    least = floor + STRIPES * LEAST_ROWS * row
    if budget is None:
        budget = max(floor * 5 // 4, floor + LEAST_STRIPES, least)
    if budget < least:
        height, width = given.shape[2:]
        raise UsageError(
            f"A budget of {budget} bytes is too small for an input of {width}x{height}.",
            f"It needs {least} above the weights.",
            "raise it, or leave it out",
        )
    maps = max(floor, min(budget * 3 // 4, budget - STRIPES * LEAST_ROWS * row))
    return Plan(maps, (budget - maps) // STRIPES)


def needed(chain: Chain, given: Tensor) -> tuple[int, int]:
    """Bytes of the largest map that must be kept, and of the widest row of any map."""
    shape = shape_of(given).to(chain.first.out_channels)
    floor, row = shape.bytes, shape.row
    for kind, module in chain.steps:
        shape = stepped(shape, kind, module)
        row = max(row, shape.row)
        if kind == "attention":
            floor = max(floor, LATENTS * shape.bytes)
        elif kind != "up":
            floor = max(floor, shape.bytes)
    return floor, row


def stepped(shape: Shape, kind: str, module: Any) -> Shape:
    """The shape of a map after one more step."""
    if kind == "resnet":
        return shape.to(module.conv2.out_channels)
    if kind == "up":
        return shape.to(module.out_channels, shape.height * 2, shape.width * 2)
    if kind == "down":
        return shape.to(module.out_channels, shape.height // 2, shape.width // 2)
    return shape


def run(chain: Chain, given: Tensor, plan: Plan) -> Tensor:
    """One input [1,C,H,W] through a chain."""
    source = whole(given, plan.stripe)
    x: Map = Lazy(
        source,
        lambda: layers.convolution(chain.first),
        source.shape.to(chain.first.out_channels),
    )
    for kind, module in chain.steps:
        x = _step(x, kind, module, plan)
    x, moments = _settled(x, chain.norm, plan)
    y = Lazy(
        x,
        lambda: layers.segment(chain.norm, moments, chain.last),
        x.shape.to(chain.last.out_channels),
    )
    return gathered(y, plan.stripe)


def _step(x: Map, kind: str, module: Any, plan: Plan) -> Map:
    shape = stepped(x.shape, kind, module)
    if kind == "resnet":
        return _resnet(x, module, plan)
    if kind == "down":
        return Lazy(x, lambda: layers.downsampling(module), shape)
    if kind == "up":
        return Lazy(_kept(x, plan), lambda: layers.upsampling(module), shape)
    return whole(module(gathered(x, plan.stripe)), plan.stripe)


def _resnet(x: Map, block: Any, plan: Plan) -> Map:
    """y = x + conv₂(silu(norm₂(h))), to be read by the next step; two passes until then."""
    x, first = _settled(x, block.norm1, plan)
    shortcut = layers.shortcut(block)

    def front() -> Layer:
        return layers.segment(block.norm1, first, block.conv1)

    def back() -> Layer:
        return layers.segment(block.norm2, second, block.conv2)

    h: Map = Lazy(x, front, x.shape.to(block.conv1.out_channels))
    second = Moments(block.norm2.num_groups)
    if x.held + h.shape.bytes <= plan.maps:
        h = _passed(h, plan, second, keep=True)
        return Joined(h, x, back, shortcut)
    _passed(h, plan, second, keep=False)
    shape = x.shape.to(block.conv2.out_channels)
    return Lazy(x, lambda: layers.residual(front(), back(), shortcut), shape)


def _settled(x: Map, norm: nn.GroupNorm, plan: Plan) -> tuple[Map, Moments]:
    """x, kept if there is room, and its moments: one pass."""
    moments = Moments(norm.num_groups)
    if isinstance(x, Kept) or max(x.held, x.shape.bytes) > plan.maps:
        return _passed(x, plan, moments, keep=False), moments
    return _kept(x, plan, moments), moments


def _kept(x: Map, plan: Plan, moments: Moments | None = None) -> Map:
    """x in memory, in the place of what it was read from."""
    return x if isinstance(x, Kept) else _passed(x, plan, moments, keep=True, drain=True)


def _passed(x: Map, plan: Plan, moments: Moments | None, keep: bool, drain: bool = False) -> Map:
    kept = Kept(x.shape, plan.stripe) if keep else None
    for rows, last in x.stripes(plan.stripe, drain):
        if moments is not None:
            moments.add(rows)
        if kept is not None:
            kept.put(rows, last)
        del rows  # or it would live on while the next one is computed
    return x if kept is None else kept
