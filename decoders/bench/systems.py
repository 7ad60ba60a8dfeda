"""The systems that can be measured, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from decoders.bench.networks import L2P, FluxVAE, MiniVAE, PiD
from decoders.bench.system import System
from decoders.l2p import registry as l2p
from decoders.mini import l2p as l2p_mini
from decoders.mini import pid as pid_mini
from decoders.pid import registry as pid
from qa.errors import UsageError

L2P_1K = l2p.find("l2p_1k")
SYSTEMS: Mapping[str, System] = {
    system.name: system
    for system in (
        PiD(
            name="pid_v1",
            about="PiD v1 with FLUX's adapter, 4 steps, 300 text tokens",
            row=pid.find("pid_flux_2k"),
            small=128,
            usual={"cuda": (1024, 2048)},
        ),
        PiD(
            name="pid_v1pt5",
            about="PiD v1.5 with FLUX's adapter, 4 steps, 300 text tokens",
            row=pid.find("pid_flux_v1pt5"),
            small=128,
            usual={"cuda": (2048,)},
        ),
        L2P(
            name="l2p_1k",
            about="L2P 1K, 30 steps with guidance, 128 text tokens",
            # Time in float32, at the same cost: rounded, it is another time (decoders.l2p.trunk).
            row=replace(L2P_1K, config=replace(L2P_1K.config, timestep="diffusers")),
            tokens=128,
            small=256,
            usual={"cuda": (1024,)},
            sampler_steps=L2P_1K.steps,
        ),
        FluxVAE(
            name="flux_vae",
            about="FLUX.1's AutoencoderKL (diffusers), the decoder",
            small=128,
            usual={"cpu": (256,), "cuda": (1024, 2048, 4096)},
        ),
        FluxVAE(
            name="flux_vae_encoder",
            about="FLUX.1's AutoencoderKL (diffusers), the encoder",
            half="encoder",
            small=128,
            usual={},
        ),
        MiniVAE(
            name="vae_mini",
            about="the autoencoder trained here, its decoder",
            small=64,
            usual={"cpu": (128, 256)},
        ),
        PiD(
            name="pid_mini",
            about="the small PiD trained here, 4 steps",
            row=pid_mini.CHECKPOINT,
            weights=pid_mini.WEIGHTS,
            small=64,
            usual={"cpu": (128, 256)},
        ),
        L2P(
            name="l2p_mini",
            about="the small L2P trained here, 20 steps with guidance",
            row=l2p_mini.CHECKPOINT,
            weights=l2p_mini.WEIGHTS,
            tokens=l2p_mini.TOKENS,
            small=64,
            usual={"cpu": (64,)},
            sampler_steps=l2p_mini.CHECKPOINT.steps,
        ),
    )
}


def chosen(names: Sequence[str] | None, device: str) -> list[System]:
    """The systems of those names; None: what is usual on this kind of device."""
    if names is None:
        return [system for system in SYSTEMS.values() if device in system.usual]
    unknown = [name for name in names if name not in SYSTEMS]
    if unknown:
        raise UsageError(f"There is no system {unknown[0]}.", "", f"choose {', '.join(SYSTEMS)}")
    return [SYSTEMS[name] for name in dict.fromkeys(names)]


def sides(system: System, asked: Sequence[int] | None, device: str) -> list[int]:
    """The sides that it can do among those asked for; None: what is usual."""
    wanted = system.usual.get(device, (system.small,)) if asked is None else asked
    return [side for side in dict.fromkeys(wanted) if not system.problem(side)]
