"""PiD's network once more, slowly: one picture at a time, float64, no modules, every fact a field.

Tokens are made in loops, sums are written out, attention is a softmax. `Facts` holds what a wrong
implementation would get wrong; changing one field gives the answer of that implementation.
Shapes: N patch tokens of P² pixels each, D channels per token, d per pixel, L words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, gelu, group_norm, interpolate, pad, silu


@dataclass(frozen=True)
class Facts:
    """The right answers. Orders are spelt slowest axis first; chunks: shift, scale, gate, twice."""

    norm_eps: float = 1e-6
    group_eps: float = 1e-5
    groups: int = 4
    gelu: str = "none"
    time_period: float = 10.0
    time_cos_first: bool = True
    silu_on_c: bool = True
    text_position: bool = True
    patch_order: str = "cyx"
    token_order: str = "yx"
    chunks: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    pixel_chunks: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    one_plus: bool = True
    swiglu_gate: str = "w1"
    qkv: str = "qkv"
    score_power: float = -0.5
    theta: float = 10_000.0
    span: float = 16.0
    ends_at_span: bool = True
    ntk: bool = True
    ntk_ends: bool = True
    ntk_clamped: bool = False
    reference_in_patches: bool = True
    reference_order: str = "yx"
    pair_order: str = "xy"
    pairs_adjacent: bool = True
    rotation: int = 1
    text_rope: bool = True
    text_start: int = 0
    text_theta: float = 10_000.0
    pixel_rope: bool = True
    unpatchify_order: str = "cyx"
    fold_order: str = "cyx"
    resize: str = "nearest"
    padding: str | None = None
    gate_sign: int = -1
    gate_exp: bool = True
    gate_tokens_first: bool = True
    first_injection: int = 0
    last_silu: bool = True
    last_time: bool = True
    pixel_stage: bool = True
    position_order: str = "xy"
    position_sin_first: bool = True
    position_theta: float = 10_000.0
    position_of_picture: bool = True
    pixel_order: str = "yx"
    modulation_order: str = "pmd"
    flat_order: str = "pd"


RIGHT = Facts()


@torch.no_grad()
def velocity(
    config: Any, weights: Mapping[str, Tensor], x: Tensor, t: Tensor, text: Tensor,
    latent: Tensor | None = None, sigma: Tensor | None = None, facts: Facts = RIGHT,
) -> Tensor:  # fmt: skip
    """x [B,3,H,W], t [B] in 0..1000, text [B,L,W], latent [B,C,h,w], σ [B] → v float64 as x."""
    latents = [None] * len(x) if latent is None else latent.double()
    levels = torch.zeros(len(x)) if sigma is None else sigma
    each = zip(x.double(), t, text.double(), latents, levels.double(), strict=True)
    return torch.stack([one(config, weights, *inputs, facts) for inputs in each])


def one(config, w, image, t, text, latent, sigma, facts):
    p, adapter = config.patch, config.adapter
    grid = (image.shape[1] // p, image.shape[2] // p)
    time = embed_time(w, t, facts)
    c = silu(time) if facts.silu_on_c else time
    y = affine(w, "y_embedder.proj", text[: config.text_length])
    y = normed(y, w["y_embedder.norm.weight"], facts)
    y = y + w["y_pos_embedding"][0, : len(y)] * facts.text_position
    places = [(row, column) for row in range(grid[0]) for column in range(grid[1])]
    if facts.token_order == "xy":
        places.sort(key=lambda place: place[::-1])
    cells = torch.stack([image[:, i * p : i * p + p, j * p : j * p + p] for i, j in places])
    order = [1 + "cyx".index(axis) for axis in facts.patch_order]
    s = affine(w, "s_embedder.proj", cells.permute(0, *order).flatten(1))
    features = None if latent is None else adapt(config, w, latent, grid, facts)
    angles = image_angles(config, config.hidden // config.heads, grid, facts)
    words = text_angles(config.hidden // config.heads, len(y), facts)
    for index in range(config.depth):
        if adapter and (index - facts.first_injection) % adapter.interval == 0:
            j = index // adapter.interval
            head, gate = f"lq_proj.output_heads.{j}", f"lq_proj.gate_modules.{j}"
            s = inject(w, head, gate, s, features, sigma, facts)
        s, y = joint(config, w, f"patch_blocks.{index}.", s, y, c, angles, words, facts)
    s = s + time * facts.last_time
    s = silu(s) if facts.last_silu else s
    if adapter and adapter.pixel_stage and facts.pixel_stage:
        s = inject(w, "lq_proj.pit_head", "pit_lq_gate", s, features, sigma, facts)
    return pixel_stage(config, w, cells, s, places, grid, facts)


def embed_time(w, t, facts):
    """Frequencies and angles are float32 by definition: at t = 1000 a rounding is 6e-5 of angle."""
    angles = t.float() * torch.exp(-math.log(facts.time_period) * torch.arange(128.0) / 128)
    waves = [angles.double().cos(), angles.double().sin()]
    e = torch.cat(waves if facts.time_cos_first else waves[::-1])
    return affine(w, "t_embedder.mlp.2", silu(affine(w, "t_embedder.mlp.0", e)))


def joint(config, w, name, s, y, c, angles, words, facts):
    tokens, m, parts = {"y": y, "x": s}, {}, []
    for z, turns in (("y", words), ("x", angles)):
        chunks = affine(w, f"{name}adaLN_modulation_{'img' if z == 'x' else 'txt'}.0", c).chunk(6)
        m[z] = [chunks[index] for index in facts.chunks]
        a = modulate(normed(tokens[z], w[f"{name}norm_{z}1.weight"], facts), *m[z][:2], facts)
        gains = [w[f"{name}attn.{letter}_norm_{z}.weight"] for letter in "qk"]
        parts.append((affine(w, f"{name}attn.qkv_{z}", a), gains, turns))
    seen = attention(parts, config.heads, facts).split([len(y), len(s)])
    for z, answer in zip("yx", seen, strict=True):
        _, _, gate_1, shift_2, scale_2, gate_2 = m[z]
        h = tokens[z] + gate_1 * affine(w, f"{name}attn.proj_{z}", answer)
        a = modulate(normed(h, w[f"{name}norm_{z}2.weight"], facts), shift_2, scale_2, facts)
        up = {key: affine(w, f"{name}mlp_{z}.{key}", a) for key in ("w1", "w3")}
        a = silu(up.pop(facts.swiglu_gate)) * next(iter(up.values()))
        tokens[z] = h + gate_2 * affine(w, f"{name}mlp_{z}.w2", a)
    return tokens["x"], tokens["y"]


def attention(parts, heads, facts):
    """Every part's qkv [n, 3·width], gains of q and k, and angles → [all tokens, width]."""
    together = {"q": [], "k": [], "v": []}
    for qkv, gains, angles in parts:
        for letter, part in zip(facts.qkv, qkv.chunk(3, 1), strict=True):
            part = part.unflatten(1, (heads, -1)).transpose(0, 1)
            if letter != "v":
                part = turned(normed(part, gains["qk".index(letter)], facts), angles, facts)
            together[letter].append(part)
    q, k, v = (torch.cat(together[letter], 1) for letter in "qkv")
    scores = torch.einsum("hnc,hmc->hnm", q, k) * q.shape[2] ** facts.score_power
    return torch.einsum("hnm,hmc->nhc", scores.softmax(2), v).flatten(1)


def image_angles(config, size, grid, facts):
    """Angles [N, size/2]: those of x and y by turns, slower with every pair."""
    thetas, a = [facts.theta, facts.theta], size / 2
    if config.rope_reference and facts.ntk:
        reference = config.rope_reference[:: 1 if facts.reference_order == "yx" else -1]
        for axis in range(2):
            unit = config.patch if facts.reference_in_patches else 1
            ratio = grid[axis] / (reference[axis] / unit)
            ratio = max(ratio, 1.0) if facts.ntk_clamped else ratio
            thetas[axis] *= ratio ** (a / (a - 2) if facts.ntk_ends else 1)
    steps = [facts.span / (max(n - 1, 1) if facts.ends_at_span else n) for n in grid]
    powers, table = [4 * i / size for i in range(size // 4)], []
    theta = {"y": thetas[0], "x": thetas[1]}
    for row in range(grid[0]):
        for column in range(grid[1]):
            at = {"y": row * steps[0], "x": column * steps[1]}
            table.append([at[z] * theta[z] ** -e for e in powers for z in facts.pair_order])
    return torch.tensor(table, dtype=torch.float64)


def text_angles(size, length, facts):
    frequencies = [facts.text_theta ** (-2 * j / size) * facts.text_rope for j in range(size // 2)]
    table = [[(facts.text_start + n) * f for f in frequencies] for n in range(length)]
    return torch.tensor(table, dtype=torch.float64)


def turned(x, angles, facts):
    half, sin, cos = x.shape[2] // 2, facts.rotation * angles.sin(), angles.cos()
    a, b = (x[..., 0::2], x[..., 1::2]) if facts.pairs_adjacent else (x[..., :half], x[..., half:])
    a, b = a * cos - b * sin, a * sin + b * cos
    return torch.stack([a, b], 3).flatten(2) if facts.pairs_adjacent else torch.cat([a, b], 2)


def adapt(config, w, latent, grid, facts):
    """The latent's tokens [N, h], before the output heads."""
    adapter, u, name = config.adapter, config.adapter.unpatchify, "lq_proj.latent_proj."
    z = shuffle(latent, u, facts.unpatchify_order)
    pixels = adapter.scale * adapter.factor // u  # pixels per cell of the latent; ratio = pixels/P
    fold = max(config.patch // pixels, 1)
    fine = (grid[0] * fold, grid[1] * fold)
    if pixels > config.patch and facts.resize == "nearest":
        z = z[:, [i * z.shape[1] // fine[0] for i in range(fine[0])]]
        z = z[:, :, [i * z.shape[2] // fine[1] for i in range(fine[1])]]
    elif z.shape[1:] != fine:
        z = interpolate(z[None], fine, mode="bilinear")[0]
    z = unshuffle(z, fold, facts.fold_order)
    mode = facts.padding or adapter.padding

    def conv(key, z):
        z = pad(z[None], (1, 1, 1, 1), mode="constant" if mode == "zeros" else mode)
        return conv2d(z, w[name + key + ".weight"].double(), w[name + key + ".bias"].double())[0]

    def norm(key, z):
        gain, bias = w[name + key + ".weight"].double(), w[name + key + ".bias"].double()
        return group_norm(z[None], facts.groups, gain, bias, facts.group_eps)[0]

    z = conv("2", silu(conv("0", z)))
    for block in (f"{3 + index}.block." for index in range(adapter.blocks)):
        update = conv(block + "2", silu(norm(block + "0", z)))
        z = z + conv(block + "5", silu(norm(block + "3", update)))
    return z.flatten(1).T


def shuffle(z, u, order):
    z = z.unflatten(0, [{"c": len(z) // u**2}.get(axis, u) for axis in order])
    c, y, x = (order.index(axis) for axis in "cyx")
    return z.permute(c, 3, y, 4, x).flatten(3).flatten(1, 2)


def unshuffle(z, k, order):
    z = z.unflatten(2, (-1, k)).unflatten(1, (-1, k))
    return z.permute(*({"c": 0, "y": 2, "x": 4}[axis] for axis in order), 1, 3).flatten(0, 2)


def inject(w, head, gate, s, features, sigma, facts):
    lq = affine(w, head, features)
    pair = torch.cat([s, lq] if facts.gate_tokens_first else [lq, s], 1)
    alpha = w[f"{gate}.log_alpha"].double()
    alpha = alpha.exp() if facts.gate_exp else alpha
    content = affine(w, f"{gate}.content_proj", pair)
    return s + (content + facts.gate_sign * alpha * sigma).sigmoid() * lq


def pixel_stage(config, w, cells, s, places, grid, facts):
    p, whole = config.patch, config.patch if facts.position_of_picture else 0
    inside = [(y, x) for y in range(p) for x in range(p)]
    if facts.pixel_order == "xy":
        inside.sort(key=lambda place: place[::-1])
    rgb = torch.stack([cells[:, :, y, x] for y, x in inside], 1)
    at = [[(i * whole + y, j * whole + x) for y, x in inside] for i, j in places]
    table = [[position(*pixel, config.pixel_hidden, facts) for pixel in cell] for cell in at]
    u = affine(w, "pixel_embedder.proj", rgb) + torch.tensor(table, dtype=torch.float64)
    angles = image_angles(config, config.pixel_width // config.pixel_heads, grid, facts)
    for index in range(config.pixel_depth):
        u = pixel_block(config, w, f"pixel_blocks.{index}.", u, s, angles * facts.pixel_rope, facts)
    v = affine(w, "final_layer.linear", normed(u, w["final_layer.norm.weight"], facts))
    picture = torch.zeros(3, grid[0] * p, grid[1] * p, dtype=torch.float64)
    for token, (i, j) in enumerate(places):
        picture[:, [i * p + y for y, _ in inside], [j * p + x for _, x in inside]] = v[token].T
    return picture


def position(y, x, d, facts):
    waves = (math.sin, math.cos) if facts.position_sin_first else (math.cos, math.sin)
    slow = [facts.position_theta ** (-k / (d / 4)) for k in range(d // 4)]
    places = [{"y": y, "x": x}[axis] for axis in facts.position_order]
    return [wave(place * w) for place in places for wave in waves for w in slow]


def pixel_block(config, w, name, u, s, angles, facts):
    sizes = {"p": config.patch**2, "m": 6, "d": config.pixel_hidden}
    order = facts.modulation_order
    m = affine(w, f"{name}adaLN_modulation.0", s).reshape(-1, *(sizes[axis] for axis in order))
    m = m.permute(1 + order.index("m"), 0, 1 + order.index("p"), 1 + order.index("d"))
    shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = (m[index] for index in facts.pixel_chunks)
    a = modulate(normed(u, w[f"{name}norm1.weight"], facts), shift_1, scale_1, facts)
    flat = (a if facts.flat_order == "pd" else a.transpose(1, 2)).flatten(1)
    a = affine(w, f"{name}compress_to_attn", flat)
    gains = [w[f"{name}attn.{letter}_norm.weight"] for letter in "qk"]
    qkv = affine(w, f"{name}attn.qkv", a)
    seen = attention([(qkv, gains, angles)], config.pixel_heads, facts)
    wide = affine(w, f"{name}expand_from_attn", affine(w, f"{name}attn.proj", seen))
    u = u + gate_1 * wide.reshape(u.shape)
    a = modulate(normed(u, w[f"{name}norm2.weight"], facts), shift_2, scale_2, facts)
    a = gelu(affine(w, f"{name}mlp.fc1", a), approximate=facts.gelu)
    return u + gate_2 * affine(w, f"{name}mlp.fc2", a)


def affine(w, name, x):
    """Weights become float64 one by one: at full width all at once would be 2 GB."""
    return x @ w[f"{name}.weight"].double().T + w.get(f"{name}.bias", 0)


def modulate(x, shift, scale, facts):
    return x * (1 + scale if facts.one_plus else scale) + shift


def normed(x, gain, facts):
    return x / (x.square().mean(-1, True) + facts.norm_eps).sqrt() * gain
