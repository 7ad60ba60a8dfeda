"""Is this network one that the passes know? If so, as a chain of steps.

Strict on purpose: a network with one more norm, another activation or a factor somewhere would
decode to something plausible. Whatever is not recognised is a UsageError that names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from torch import nn

from qa.errors import UsageError

FAMILIES = ("AutoencoderKL", "AutoencoderKLFlux2")

Step = tuple[str, Any]
"""("resnet", block), ("attention", module), ("up", 3×3 convolution) or ("down", the same)."""


@dataclass(frozen=True)
class Chain:
    """One half of an autoencoder: convolution, steps, GroupNorm, SiLU, convolution."""

    first: nn.Conv2d
    steps: tuple[Step, ...]
    norm: nn.GroupNorm
    last: nn.Conv2d


def check(model: Any) -> None:
    """UsageError for an autoencoder that `decode` and `encode` would refuse."""
    if type(model).__name__ not in FAMILIES:
        _refuse(f"the class {type(model).__name__}")
    read(model.encoder), read(model.decoder)


def read(half: Any) -> Chain:
    """diffusers' Encoder or Decoder of an AutoencoderKL → its chain. UsageError for any other."""
    from diffusers.models.autoencoders.vae import Decoder, Encoder  # other families have such names

    if type(half) is Decoder:
        steps = (*_middle(half.mid_block), *_blocks(half.up_blocks, "up"))
    elif type(half) is Encoder:
        steps = (*_blocks(half.down_blocks, "down"), *_middle(half.mid_block))
    else:
        _refuse(f"a {type(half).__module__}.{type(half).__name__}")
    _silu(half.conv_act)
    return Chain(_conv(half.conv_in), steps, _norm(half.conv_norm_out), _conv(half.conv_out))


def _middle(block: Any) -> Iterator[Step]:
    _expect(block, "UNetMidBlock2D")
    yield "resnet", _resnet(block.resnets[0])
    for attention, resnet in zip(block.attentions, block.resnets[1:], strict=True):
        if attention is not None:
            _expect(attention, "Attention")
            yield "attention", attention
        yield "resnet", _resnet(resnet)


def _blocks(blocks: Any, way: str) -> Iterator[Step]:
    for block in blocks:
        _expect(block, "UpDecoderBlock2D" if way == "up" else "DownEncoderBlock2D")
        for resnet in block.resnets:
            yield "resnet", _resnet(resnet)
        for layer in (block.upsamplers if way == "up" else block.downsamplers) or ():
            yield way, _up(layer) if way == "up" else _down(layer)


def _resnet(block: Any) -> Any:
    _expect(block, "ResnetBlock2D")
    for name in ("time_emb_proj", "upsample", "downsample"):
        if getattr(block, name) is not None:
            _refuse(f"a residual block with {name}")
    if block.output_scale_factor != 1 or (block.training and block.dropout.p):
        _refuse("a residual block with a scale factor or with dropout")
    _norm(block.norm1), _norm(block.norm2)
    _conv(block.conv1), _conv(block.conv2)
    _silu(block.nonlinearity)
    if block.conv_shortcut is not None:
        _conv(block.conv_shortcut, kernel=1)
    return block


def _up(layer: Any) -> nn.Conv2d:
    _expect(layer, "Upsample2D")
    if layer.norm is not None or layer.use_conv_transpose or not layer.interpolate:
        _refuse("an upsampling other than nearest and a convolution")
    return _conv(layer.conv)


def _down(layer: Any) -> nn.Conv2d:
    _expect(layer, "Downsample2D")
    if layer.norm is not None or layer.padding != 0:
        _refuse("a downsampling that pads other than below and at the right")
    return _conv(layer.conv, stride=2, padding=0)


def _conv(layer: Any, kernel: int = 3, stride: int = 1, padding: int | None = None) -> nn.Conv2d:
    _expect(layer, "Conv2d")
    wanted = (kernel, stride, kernel // 2 if padding is None else padding, 1)
    sizes = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    if sizes != tuple((one, one) for one in wanted) or layer.groups != 1:
        _refuse(f"the convolution {layer}")
    if layer.padding_mode != "zeros":
        _refuse(f"the convolution {layer}")
    return layer


def _norm(layer: Any) -> nn.GroupNorm:
    _expect(layer, "GroupNorm")
    if not layer.affine:
        _refuse("a GroupNorm without weights")
    return layer


def _silu(layer: Any) -> None:
    _expect(layer, "SiLU")


def _expect(module: Any, kind: str) -> None:
    if type(module).__name__ != kind:
        _refuse(f"a {type(module).__name__} where a {kind} belongs")


def _refuse(found: str) -> NoReturn:
    raise UsageError(
        "This autoencoder has no exact low-memory form.",
        f"It has {found}.",
        "decoder.low_memory=false (or encoder.), or a family built as diffusers' AutoencoderKL",
    )
