"""The families of networks that are measured.

Weights are drawn as PyTorch does by default, which leaves no part at zero, from one seed; those of
the small networks are the trained ones. Values change neither time nor memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from decoders import exact
from decoders.bench.system import Given, Step, System, counted, inner
from decoders.bench.ways import Way
from decoders.l2p import registry as l2p
from decoders.l2p.network import L2PNetwork
from decoders.l2p.sampler import Velocity, guided, sample, schedule
from decoders.l2p.sizes import check_size
from decoders.mini import vae
from decoders.pid import registry as pid
from decoders.pid.network import PiDNetwork
from decoders.pid.samplers import STUDENT_STEPS, student
from decoders.weights import on_meta
from qa.errors import UsageError

MINI_VAE = Path(vae.__file__).with_name("vae_mini.safetensors")
SIGMA = 0.2
"""Noise level of PiD's latents."""
FLUX: Mapping[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "latent_channels": 16,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}
"""FLUX.1's autoencoder as diffusers' AutoencoderKL."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PiD(System):
    """Latent, text and noise → a picture, by the student's sampler."""

    row: pid.Checkpoint
    axes: frozenset[str] = frozenset({"kernels", "steps"})
    dtypes: tuple[str, ...] = ("float32", "bfloat16")
    autocast: bool = True
    parts: Mapping[str, str] = field(
        default_factory=lambda: {
            "latent adapter": "lq_proj.latent_proj",
            "joint blocks": "patch_blocks.",
            "pixel blocks": "pixel_blocks.",
        }
    )
    sampler_steps: int = STUDENT_STEPS[-1]

    @property
    def cell(self) -> int:
        assert self.row.space is not None
        return self.row.space.factor * self.row.scale

    def call(self, model: Any, step: Step, given: Given, way: Way) -> Tensor:
        height, width = given["noise"].shape[-2:]
        # As the release feeds them, also where autocast would not.
        outer = inner(model) if way.dtype == "float32" else way.precision
        text, latent = given["text"].to(outer), given["latent"].to(outer)
        condition = model.condition(text, height, width, latent, given["sigma"])
        return student(
            lambda x, t: step(x.to(inner(model)), t, condition), given["noise"].unbind(1)
        )

    def flops(self, side: int) -> int:
        model = on_meta(lambda: PiDNetwork(self.row.config()))
        given = {name: t.to("meta") for name, t in self.given(side, [0], 1).items()}
        text, latent, x = given["text"], given["latent"], given["noise"][:, 0]

        def condition() -> Any:
            return model.condition(text, side, side, latent, given["sigma"])

        shared = counted(condition)
        ready = condition()
        t = torch.empty(1, device="meta")
        return shared + self.sampler_steps * counted(lambda: model(x, t, ready))

    def _build(self, device: torch.device) -> nn.Module:
        if self.weights is not None:
            return pid.load(self.weights, self.row, device)
        return PiDNetwork(self.row.config())

    def _sample(self, side: int, steps: int, generator: torch.Generator) -> Given:
        config, space = self.row.config(), self.row.space
        assert space is not None
        grid = side // self.cell
        return {
            "noise": torch.randn(steps, 3, side, side, generator=generator),
            "latent": torch.randn(space.channels, grid, grid, generator=generator),
            "text": torch.randn(config.text_length, config.text_width, generator=generator),
            "sigma": torch.tensor(SIGMA),
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class L2P(System):
    """Text and noise → a picture, by Euler steps with guidance: two passes a step."""

    row: l2p.Checkpoint
    tokens: int
    """Rows of text, for the prompt and for the empty one."""
    axes: frozenset[str] = frozenset({"kernels", "steps"})
    parts: Mapping[str, str] = field(default_factory=lambda: {"head": "local_decoder"})

    @property
    def cell(self) -> int:
        return self.row.config.patch

    def problem(self, side: int) -> str:
        try:
            check_size(self.row.config, side, side)
        except UsageError as error:
            return error.why
        return ""

    def step(self, model: Any) -> Step:
        return model.step

    def call(self, model: Any, step: Step, given: Given, way: Way) -> Tensor:
        sigmas = given["sigmas"][0].cpu()  # where the sampler wants them
        waves = {sigma.item(): model.waves(sigma) for sigma in sigmas[:-1]}

        def towards(text: Tensor, height: int, width: int) -> Velocity:
            condition = model.condition(text, height, width)
            return lambda x, sigma: step(x, waves[sigma.item()], condition)

        def picture(noise: Tensor, text: Tensor, null: Tensor) -> Tensor:
            positive, negative = (towards(one, *noise.shape[1:]) for one in (text, null))
            return sample(noise, guided(positive, negative, self.row.cfg), sigmas)

        # A batch is a loop, as in the network's own forward pass.
        inputs = (given[name] for name in ("noise", "text", "null"))
        return torch.stack([picture(*one) for one in zip(*inputs, strict=True)])

    def flops(self, side: int) -> int:
        model = on_meta(lambda: L2PNetwork(self.row.config))
        x = torch.empty(3, side, side, device="meta")
        text = torch.empty(self.tokens, self.row.config.cap_feat_dim, device="meta")
        shared = counted(lambda: model.condition(text, side, side))
        condition, waves = model.condition(text, side, side), model.waves(0.5)
        return 2 * (shared + self.sampler_steps * counted(lambda: model.step(x, waves, condition)))

    def _build(self, device: torch.device) -> nn.Module:
        if self.weights is not None:
            return l2p.load(self.weights, self.row, device, torch.float32)
        return L2PNetwork(self.row.config)

    def _sample(self, side: int, steps: int, generator: torch.Generator) -> Given:
        texts = torch.randn(2, self.tokens, self.row.config.cap_feat_dim, generator=generator)
        return {
            "noise": torch.randn(3, side, side, generator=generator),
            "text": texts[0],
            "null": texts[1],
            "sigmas": schedule(steps, self.row.shift),
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class FluxVAE(System):
    """Latent → a picture, untiled or in stripes; with `half` encoder, a picture → its latent."""

    half: str = "decoder"
    axes: frozenset[str] = frozenset({"memory"})

    @property
    def cell(self) -> int:
        return 2 ** (len(FLUX["block_out_channels"]) - 1)

    def call(self, model: Any, step: Step, given: Given, way: Way) -> Tensor:
        x = given["x"].to(inner(model))
        if self.half == "decoder":
            return exact.decode(model, x) if way.memory == "exact" else model.decode(x).sample
        if way.memory == "exact":
            return exact.encode(model, x)
        return model.encode(x).latent_dist.mean

    def flops(self, side: int) -> int:
        device = torch.device("meta")
        model, x = self.build(device), self.given(side, [0], 0)["x"].to(device)
        return counted(lambda: getattr(model, self.half)(x))

    def _build(self, device: torch.device) -> nn.Module:
        from diffusers import AutoencoderKL

        model = AutoencoderKL(**FLUX)
        delattr(model, "encoder" if self.half == "decoder" else "decoder")
        return model

    def _sample(self, side: int, steps: int, generator: torch.Generator) -> Given:
        grid = side // self.cell
        shape = (FLUX["latent_channels"], grid, grid) if self.half == "decoder" else (3, side, side)
        return {"x": torch.randn(shape, generator=generator)}


@dataclass(frozen=True, kw_only=True, eq=False)
class MiniVAE(System):
    """The autoencoder trained here: latent → a picture."""

    weights: Path | None = MINI_VAE

    @property
    def cell(self) -> int:
        return vae.FACTOR

    def call(self, model: Any, step: Step, given: Given, way: Way) -> Tensor:
        return model.decode(given["latent"].to(inner(model)))

    def flops(self, side: int) -> int:
        with torch.device("meta"):
            model = vae.MiniVAE()
        z = self.given(side, [0], 0)["latent"].to("meta")
        # Its two halves: `decode` asks for autocast, which the meta device does not know.
        return counted(lambda: (model.decoder(z), model.linear_out(z)))

    def _build(self, device: torch.device) -> nn.Module:
        assert self.weights is not None
        return vae.MiniVAE.load(self.weights, device)

    def _sample(self, side: int, steps: int, generator: torch.Generator) -> Given:
        grid = side // self.cell
        return {"latent": torch.randn(vae.CHANNELS, grid, grid, generator=generator)}
