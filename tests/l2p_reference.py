"""L2P once more, slowly: one forward pass in float64, without modules, every fact a field.

Sums are written out, tokens are made in loops, attention is a softmax. `Facts` holds what a wrong
implementation would get wrong; changing one gives the answer of that implementation.
"""

import json
import math
from dataclasses import dataclass, replace
from functools import cache

import torch
from safetensors.torch import save_file
from torch.nn.functional import conv2d

from decoders.l2p.check import weight
from decoders.l2p.config import VARIANTS
from decoders.l2p.network import L2PNetwork
from decoders.weights import on_meta

LEVELS = {
    "1k": ["1", "2", "3", "4"],
    "4k": ["0", "0b", "1", "2", "3", "4"],
    "8k": ["_8k", "0", "0b", "1", "2", "3", "4"],
    "10k": ["_10k_a", "0", "0b", "1", "2", "3"],
}
SIGMA = 0.3125
"""1000 (1 − SIGMA) is exact in float32."""


@dataclass(frozen=True)
class Facts:
    """The right answers."""

    theta: float = 256.0
    text_start: int = 1
    text_padding_counts: bool = True
    image_after_text: bool = True
    image_padding_after_text: bool = False
    x_pad: bool = True
    cap_pad: bool = True
    padding_attends: bool = True
    rows_first: bool = True
    channel_fastest: bool = True
    pairs_adjacent: bool = True
    scale_power: float = -0.5
    q_norm: bool = True
    cos_first: bool = True
    time_of_picture: bool = True
    silu_on_c: bool = False
    chunks: tuple[int, ...] = (0, 1, 2, 3)
    one_plus: bool = True
    tanh: bool = True
    post_norm: bool = True
    text_norm: bool = True
    final_norm: bool = False
    skip_last: bool = True
    features_last: bool = True
    max_pool: bool = True
    up_activation: bool = False
    out_activation: bool = False
    eps: float = 1e-5
    sign: int = -1


def tiny(variant: str):
    """A network's sizes: everything small, every width of the head another one."""
    released = VARIANTS[variant]
    levels = tuple(
        replace(level, enc=3 + index, up=4 + index, dec=5 + index)
        for index, level in enumerate(released.levels)
    )
    return replace(
        released, levels=levels, bottleneck=7, dim=48, heads=2, layers=2, refiner_layers=1,
        cap_feat_dim=10, axes_dims=(8, 8, 8), axes_lens=(160, 40, 40),
        feature_grid=(5, 10) if released.feature_grid else None,
    )  # fmt: skip


def shapes_of(config):
    network = on_meta(lambda: L2PNetwork(config))
    return {key: list(value.shape) for key, value in network.state_dict().items()}


def weights_of(config):
    return {key: weight(key, shape) for key, shape in shapes_of(config).items()}


def inputs_of(config, tokens=5, seed=0):
    """A picture of 4x8, 3x5, 1x2 or 2x4 patches, and a text."""
    grid = {"1k": (4, 8), "4k": (3, 5), "8k": (1, 2), "10k": (2, 4)}[config.variant]
    generator = torch.Generator().manual_seed(seed)
    size = (grid[0] * config.patch, grid[1] * config.patch)
    image = torch.randn(3, *size, generator=generator)
    return image, torch.randn(tokens, config.cap_feat_dim, generator=generator)


@cache
def answer(config, facts):
    """The reference's velocity, float32, for the weights and inputs of golden files."""
    image, text = inputs_of(config, tokens=33)
    return velocity(config, weights_of(config), image, SIGMA, text, facts).to(torch.float32)


def write_golden(file, config, facts=None, /, **changes):
    """A golden file of the documented layout with this reference's output; `changes` overrule."""
    image, text = inputs_of(config, tokens=33)
    output = answer(config, facts or Facts())
    trunk = {
        "dim": config.dim, "n_heads": config.heads, "n_kv_heads": config.heads,
        "n_layers": config.layers, "n_refiner_layers": config.refiner_layers, "in_channels": 16,
        "cap_feat_dim": config.cap_feat_dim, "axes_dims": config.axes_dims,
        "axes_lens": config.axes_lens, "rope_theta": config.rope_theta, "t_scale": config.t_scale,
        "norm_eps": config.norm_eps,
    }  # fmt: skip
    metadata = {
        "config": json.dumps(trunk), "patch": str(config.patch), "variant": config.variant,
        "sigma": str(SIGMA), "shapes": json.dumps(shapes_of(config)),
    }  # fmt: skip
    tensors = {"inputs.image": image, "inputs.text": text, "output": output}
    tensors |= {key: value for key, value in changes.items() if key in tensors}
    metadata |= {key: value for key, value in changes.items() if key in metadata}
    save_file(tensors, file, metadata=metadata)
    return str(file)


class Doubled(dict):
    """Weights that become float64 when they are used: at full width all at once would be 4 GB."""

    def __getitem__(self, key):
        return super().__getitem__(key).double()


def velocity(config, weights, image, sigma, text, facts):
    """image [3,H,W], text [T,cap] → v float64 [3,H,W]."""
    w = Doubled(weights)
    image, text = image.double(), text.double()
    rows, columns = image.shape[1] // config.patch, image.shape[2] // config.patch
    tokens = hidden(config, w, image, sigma, text, facts)
    if facts.final_norm:
        tokens = (tokens - tokens.mean(1, True)) / tokens.std(1, keepdim=True)
    features = tokens.T.reshape(1, config.dim, rows, columns)
    return facts.sign * head(config, w, image[None], features, facts)[0]


def hidden(config, w, image, sigma, text, facts):
    """The trunk's image tokens [N,D]."""
    c = embed_time(w, sigma, facts)
    patches, places_x = cut(config, image, facts)
    count, missing = len(patches), -len(patches) % 32
    x = patches @ w[f"all_x_embedder.{config.patch}-1.weight"].T
    x = x + w[f"all_x_embedder.{config.patch}-1.bias"]
    y = normed(text, w["cap_embedder.0.weight"], facts) if facts.text_norm else text
    y = y @ w["cap_embedder.1.weight"].T + w["cap_embedder.1.bias"]
    length = len(y) + -len(y) % 32
    places_y = [
        (facts.text_start + (i if i < len(y) or facts.text_padding_counts else len(y)), 0, 0)
        for i in range(length)
    ]
    after = length + 1 if facts.image_after_text else 0
    places_x = [(after, row, column) for row, column in places_x]
    places_x += [((after if facts.image_padding_after_text else 0), 0, 0)] * missing
    real_x = torch.arange(count + missing) < count
    real_y = torch.arange(length) < len(y)
    x = torch.cat([x, w["x_pad_token"].expand(missing, -1) * facts.x_pad])
    y = torch.cat([y, w["cap_pad_token"].expand(length - len(y), -1) * facts.cap_pad])
    for index in range(config.refiner_layers):
        x = block(config, w, f"noise_refiner.{index}.", x, places_x, real_x, c, facts)
        y = block(config, w, f"context_refiner.{index}.", y, places_y, real_y, None, facts)
    both, places, real = torch.cat([x, y]), places_x + places_y, torch.cat([real_x, real_y])
    for index in range(config.layers):
        both = block(config, w, f"layers.{index}.", both, places, real, c, facts)
    return both[:count]


def embed_time(w, sigma, facts):
    """Frequencies and angles are float32 by definition: at τ = 1000 a rounding is 6e-5 of angle."""
    tau = 1000 * ((1 - sigma) if facts.time_of_picture else sigma)
    angles = tau * torch.exp(-math.log(10000) * torch.arange(128.0) / 128)
    waves = [angles.cos().double(), angles.sin().double()]
    e = torch.cat(waves if facts.cos_first else waves[::-1])
    e = silu(w["t_embedder.mlp.0.weight"] @ e + w["t_embedder.mlp.0.bias"])
    c = w["t_embedder.mlp.2.weight"] @ e + w["t_embedder.mlp.2.bias"]
    return silu(c) if facts.silu_on_c else c


def cut(config, image, facts):
    p, rows, columns = config.patch, image.shape[1] // config.patch, image.shape[2] // config.patch
    places = [(row, column) for row in range(rows) for column in range(columns)]
    if not facts.rows_first:
        places = [(row, column) for column in range(columns) for row in range(rows)]
    cells = [image[:, r * p : (r + 1) * p, c * p : (c + 1) * p] for r, c in places]
    order = (1, 2, 0) if facts.channel_fastest else (0, 1, 2)
    return torch.stack([cell.permute(order).flatten() for cell in cells]), places


def block(config, w, name, x, places, real, c, facts):
    s1 = g1 = s2 = g2 = torch.ones(config.dim, dtype=torch.float64)
    if c is not None:
        scales = w[name + "adaLN_modulation.0.weight"] @ c + w[name + "adaLN_modulation.0.bias"]
        parts = scales.split(config.dim)
        s1, g1, s2, g2 = (parts[index] for index in facts.chunks)
        s1, s2 = (1 + s1, 1 + s2) if facts.one_plus else (s1, s2)
        g1, g2 = (g1.tanh(), g2.tanh()) if facts.tanh else (g1, g2)

    def norm(key, value):
        return normed(value, w[name + key], facts)

    update = attention(config, w, name, norm("attention_norm1.weight", x) * s1, places, real, facts)
    x = x + g1 * (norm("attention_norm2.weight", update) if facts.post_norm else update)
    h = norm("ffn_norm1.weight", x) * s2
    up = silu(h @ w[name + "feed_forward.w1.weight"].T) * (h @ w[name + "feed_forward.w3.weight"].T)
    update = up @ w[name + "feed_forward.w2.weight"].T
    return x + g2 * (norm("ffn_norm2.weight", update) if facts.post_norm else update)


def attention(config, w, name, x, places, real, facts):
    name = name + "attention."
    size, answers = config.dim // config.heads, []
    angles = angles_of(config, places, facts)
    every = [x @ w[f"{name}to_{letter}.weight"].T for letter in "qkv"]
    for number in range(config.heads):
        q, k, v = (part[:, number * size : (number + 1) * size] for part in every)
        if facts.q_norm:
            q, k = (
                normed(q, w[name + "norm_q.weight"], facts),
                normed(k, w[name + "norm_k.weight"], facts),
            )
        q, k = turned(q, angles, facts), turned(k, angles, facts)
        scores = q @ k.T * size**facts.scale_power
        if not facts.padding_attends:
            scores[:, ~real] = -math.inf
        answers.append(scores.softmax(1) @ v)
    return torch.cat(answers, 1) @ w[name + "to_out.0.weight"].T


def angles_of(config, places, facts):
    table = [
        [
            place[axis] * facts.theta ** (-2 * j / dims)
            for axis, dims in enumerate(config.axes_dims)
            for j in range(dims // 2)
        ]
        for place in places
    ]
    return torch.tensor(table, dtype=torch.float64).float().double()


def turned(x, angles, facts):
    half = x.shape[1] // 2
    a, b = (x[:, 0::2], x[:, 1::2]) if facts.pairs_adjacent else (x[:, :half], x[:, half:])
    a, b = a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()
    return torch.stack([a, b], 2).flatten(1) if facts.pairs_adjacent else torch.cat([a, b], 1)


def normed(x, gain, facts):
    return x / (x.square().mean(1, True) + facts.eps).sqrt() * gain


def silu(x):
    return x / (1 + (-x).exp())


def head(config, w, picture, features, facts):
    def conv(name, x):
        kernel = w[f"local_decoder.{name}.weight"]
        return conv2d(x, kernel, w[f"local_decoder.{name}.bias"], padding=kernel.shape[2] // 2)

    names, skips, x = LEVELS[config.variant], [], picture
    for name in names:
        skips.append(silu(conv(f"enc{name}.0", x)))
        cells = skips[-1].unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
        x = cells.amax((3, 5)) if facts.max_pool else cells.mean((3, 5))
    if config.variant == "10k":
        for axis in (2, 3):
            side, own = x.shape[axis], features.shape[axis]
            features = features.index_select(
                axis, torch.tensor([i * own // side for i in range(side)])
            )
    x = torch.cat([x, features] if facts.features_last else [features, x], 1)
    x = silu(conv("bottleneck.0", x))
    for name in reversed(names):
        x = conv(f"up{name}.1", x.repeat_interleave(2, 2).repeat_interleave(2, 3))
        x = silu(x) if facts.up_activation else x
        x = torch.cat([x, skips.pop()] if facts.skip_last else [skips.pop(), x], 1)
        x = silu(conv(f"dec{name}.0", x))
    x = conv("out_conv", x)
    return x.tanh() if facts.out_activation else x
