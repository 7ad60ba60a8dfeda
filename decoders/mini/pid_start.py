"""A closed-form start for the small PiD: before the first step it decodes as a linear map can.

With n the 3x3 neighbourhood of latent cells around a patch (144 numbers) and p the patch of the
page (768 numbers in [-1,1]), ridge regression gives p ≈ W n + m, of which the R strongest
directions a = P n are kept. They travel through the network exactly:

    adapter       conv1 makes (a, -a), and silu(a) - silu(-a) = a comes out of conv2
    pixel stage   token s = silu(time + joint token) + g · (a, 0), then a ridge from s to p

The velocity v = (x - x0) / t, which is x - x0 at t = 1, has to carry the noise x through the pixel
stage. A pixel's channels start as (G x, G x0, …, K): G x by the embedder, G x0 by the last block's
MLP (bias G, gated by the ridge's patch), and a constant K so large that RMSNorm divides by nearly
the same number everywhere. G is large beside the sines of the positions, which are added to the
same channels and would show as stripes.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from decoders.pid.adapter import ResBlock
from decoders.pid.network import PiDNetwork

GAIN, CONSTANT = 60.0, 600.0
TINY = 0.1
"""Factor on what starts random and would drown the linear route."""


@torch.no_grad()
def start(network: PiDNetwork, x: Tensor, z: Tensor, generator: torch.Generator) -> None:
    """Set the weights; x [B,3,H,W] are pages in [-1,1] and z [B,C,h,w] their latents, hundreds.

    Everything else keeps its random start, made small.
    """
    _calm(network)
    _carry_noise(network)
    patches = _patches(x, network.config.patch)
    _carry_latent(network, z, patches)
    _draw_patch(network, _tokens(network, x, z, generator), patches)


def scale_of(name: str) -> float:
    """Factor on the learning rate of a parameter, for weights that live in other units."""
    if name.startswith(("pixel_embedder", "final_layer")):
        return 0.1
    if name.endswith(("fc2.weight", "fc2.bias")) or "expand_from_attn" in name:
        return GAIN / 2
    linear = ("lq_proj.latent_proj.0", "lq_proj.latent_proj.2", "lq_proj.pit_head")
    if name.startswith(linear) or (name.startswith("pixel_blocks") and "adaLN" in name):
        return 0.25
    return 1.0


def _calm(network: PiDNetwork) -> None:
    for block in network.patch_blocks:
        for modulation in (block.adaLN_modulation_img[0], block.adaLN_modulation_txt[0]):
            _shrink(modulation, 0.2 * TINY)
    for part in network.lq_proj.latent_proj:
        if isinstance(part, ResBlock):
            _shrink(part.block[-1], TINY)
    for gate in (*network.lq_proj.gate_modules, network.pit_lq_gate):
        _shrink(gate.content_proj, TINY)
        gate.content_proj.bias.fill_(3.0)  # open at sigma 0: sigmoid(3) = 0.95
    for block in network.pixel_blocks:
        _shrink(block.expand_from_attn, TINY * GAIN)
        _shrink(block.adaLN_modulation[0], TINY)
        _shrink(block.mlp.fc2, TINY * GAIN)


def _carry_noise(network: PiDNetwork) -> None:
    into, out, width = network.pixel_embedder.proj, network.final_layer, network.config.pixel_hidden
    into.weight.zero_()
    into.bias.zero_()
    into.bias[-1] = CONSTANT
    out.linear.weight.zero_()
    out.linear.bias.zero_()
    unit = CONSTANT / math.sqrt(width) / GAIN
    for colour in range(3):
        into.weight[colour, colour] = GAIN
        out.linear.weight[colour, colour] = unit
        out.linear.weight[colour, 3 + colour] = -unit


def _carry_latent(network: PiDNetwork, z: Tensor, patches: Tensor) -> None:
    """The linear route through the adapter."""
    conv1, conv2 = network.lq_proj.latent_proj[0], network.lq_proj.latent_proj[2]
    half = conv1.out_channels // 2
    near = F.unfold(F.pad(z, (1, 1, 1, 1), mode="replicate"), 3)
    near = near.transpose(1, 2).flatten(0, 1).double()
    mean = near.mean(0)
    weight = ridge(near - mean, patches - patches.mean(0))
    fitted = (near - mean) @ weight
    directions = torch.linalg.eigh(fitted.T @ fitted)[1].flip(1)[:, :half]
    project = weight @ directions
    project = project / ((near - mean) @ project).std(0)
    both = torch.cat([project.T, -project.T]).float()
    conv1.weight.copy_(both.view_as(conv1.weight))
    conv1.bias.copy_(-(both.double() @ mean).float())
    conv2.weight[:half] = 0
    conv2.bias[:half] = 0
    head = network.lq_proj.pit_head
    _shrink(head, TINY)
    for k in range(half):
        conv2.weight[k, k, 1, 1], conv2.weight[k, k + half, 1, 1] = 1.0, -1.0
        head.weight[k, k] = 1.0


def _tokens(
    network: PiDNetwork, x: Tensor, z: Tensor, generator: torch.Generator, some: int = 16
) -> Tensor:
    """What the last pixel block is told of each patch, from noise at t = 1: float64 [B·N,D]."""
    modulation, seen = network.pixel_blocks[-1].adaLN_modulation, []
    hook = modulation.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    for part, latent in zip(x.split(some), z.split(some), strict=True):
        text = torch.zeros(len(part), 1, network.config.text_width, device=x.device)
        noise = torch.randn(part.shape, generator=generator).to(x.device)
        time = torch.full((len(part),), 999.0, device=x.device)
        grown = network.condition(text, *part.shape[2:], latent)
        first = len(seen)
        network(noise, time, grown)
        seen[first:] = [torch.cat(seen[first:], 1)]
    hook.remove()
    return torch.cat(seen).flatten(0, 1).double()


def _draw_patch(network: PiDNetwork, tokens: Tensor, patches: Tensor) -> None:
    """The last block's MLP gate, so that channels 3 to 5 become GAIN times the patch."""
    block, area = network.pixel_blocks[-1], network.config.patch**2
    block.mlp.fc2.bias.zero_()
    block.mlp.fc2.bias[3:6] = GAIN
    centre, mean = tokens.mean(0), patches.mean(0)
    weight = ridge(tokens - centre, patches - mean)
    offset = mean - centre @ weight
    linear = block.adaLN_modulation[0]
    rows = linear.weight.view(area, 6, -1, linear.in_features)[:, 5]
    shift = linear.bias.view(area, 6, -1)[:, 5]
    rows.zero_()
    shift.zero_()
    rows[:, 3:6] = weight.T.float().view(area, 3, -1)
    shift[:, 3:6] = offset.float().view(area, 3)


def ridge(inputs: Tensor, outputs: Tensor, strength: float = 1e-4) -> Tensor:
    """W [I,O] that minimises |inputs W - outputs|² + λ|W|²; λ = strength · mean power · rows."""
    gram = inputs.T @ inputs
    gram.diagonal().add_(strength * gram.diagonal().mean())
    return torch.linalg.solve(gram, inputs.T @ outputs)


def _patches(x: Tensor, side: int) -> Tensor:
    """[B,3,H,W] → float64 [B·N, P²·3], pixel by pixel, the colour running fastest."""
    x = x.unflatten(3, (-1, side)).unflatten(2, (-1, side))  # [B,3,rows,P,columns,P]
    return x.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(0, 2).flatten(1).double()


def _shrink(layer: nn.Linear | nn.Conv2d, factor: float) -> None:
    layer.weight.mul_(factor)
    if layer.bias is not None:
        layer.bias.zero_()
