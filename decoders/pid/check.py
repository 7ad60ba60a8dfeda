"""Is this installation's PiD the official one?  `python -m decoders.pid.check FILE...`

Golden files are safetensors written by the official code on tiny networks. Three kinds, told apart
by their content:

    network   weights.*, inputs.{x,t,y,lq_latent,degrade_sigma}, output
    student   the same file's sampler.noise (all steps stacked, or sampler.noise.0, .1, …) and
              sampler.output
    teacher   null_y, output, times and steps, cfg_scale, shift; `net_golden` names its network
              file, looked for beside it, among the arguments and in the folders beside its own

The metadata `config` holds the official constructor's arguments as JSON. One line is printed for
each file: the largest |difference| of network and sampler, in float32 on the CPU. Sampled pictures
are compared clamped to [-1, 1], as the official sampler returns them.

Exit code: 0 all within tolerance, 1 not, 2 no file given.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from decoders import weights
from decoders.golden import Golden, difference, read, report
from decoders.pid import samplers
from decoders.pid.adapter import AdapterConfig
from decoders.pid.network import Condition, PiDConfig, PiDNetwork
from decoders.pid.registry import clean

TOLERANCES = {"network": 2e-5, "student": 1e-5, "teacher": 1e-5, "times": 1e-6}
GATES = {"sigma_aware_per_token_per_dim": "channel", "sigma_aware_per_token": "token"}
CHOICES: Mapping[str, Sequence[Any]] = {
    "in_channels": (3,),
    "use_text_rope": (True,),
    "text_rope_theta": (10_000.0,),
    "rope_mode": ("ntk_aware", "original"),
    "lq_inject_mode": ("controlnet",),
    "lq_in_channels": (0,),
    "lq_gate_type": tuple(GATES),
    "lq_conv_padding_mode": ("zeros", "replicate"),
}
"""Arguments of which the official code knows more values than any released network uses."""


def config(official: Mapping[str, Any]) -> PiDConfig:
    """Sizes from the arguments of the official constructor; ValueError for what is not released.

    An argument that v1.5 brought may be absent: then it has v1's value.
    """
    for name, known in CHOICES.items():
        if name in official and official[name] not in known:
            raise ValueError(f"{name} is {official[name]!r}, known: {', '.join(map(str, known))}")
    plain = official.get("rope_mode") == "original"
    return PiDConfig(
        _adapter(official) if official.get("lq_latent_channels") else None,
        None if plain else (official["rope_ref_h"], official["rope_ref_w"]),
        hidden=official["hidden_size"],
        heads=official["num_groups"],
        depth=official["patch_depth"],
        patch=official["patch_size"],
        pixel_hidden=official["pixel_hidden_size"],
        pixel_depth=official["pixel_depth"],
        pixel_width=official["pixel_attn_hidden_size"],
        pixel_heads=official["pixel_num_groups"],
        text_width=official["txt_embed_dim"],
        text_length=official["txt_max_length"],
    )


def _adapter(official: Mapping[str, Any]) -> AdapterConfig:
    return AdapterConfig(
        channels=official["lq_latent_channels"],
        factor=official["latent_spatial_down_factor"],
        scale=official["sr_scale"],
        width=official["lq_hidden_dim"],
        gate=GATES[official["lq_gate_type"]],  # type: ignore[arg-type]
        padding=official.get("lq_conv_padding_mode", "zeros"),
        unpatchify=official.get("lq_latent_unpatchify_factor", 1),
        pixel_stage=official.get("pit_lq_inject", False),
        interval=official["lq_interval"],
        blocks=official["lq_num_res_blocks"],
    )


def check(path: Path, others: Sequence[Path] = ()) -> dict[str, float]:
    """Largest |difference| of each thing that a golden file holds: network, student, teacher.

    Raises one of `decoders.golden.PROBLEMS` for a file that is no golden file of PiD.
    """
    golden = read(path)
    with torch.inference_mode():
        if "net_golden" in golden.metadata:
            return _teacher(golden, read(_network_of(golden, others)))
        return _network(golden)


def network(golden: Golden) -> PiDNetwork:
    """The tiny network with a file's weights."""
    state = {
        key.removeprefix("weights."): value
        for key, value in golden.tensors.items()
        if key.startswith("weights.")
    }
    model = weights.on_meta(lambda: PiDNetwork(config(golden.metadata["config"])))
    weights.load_strict(
        model, clean(state), what="PiD", source=str(golden.path), dtype=torch.float32
    )
    return model


def _network(golden: Golden) -> dict[str, float]:
    model, tensors = network(golden), golden.tensors
    condition = _condition(golden, model, tensors["inputs.y"])
    output = model(tensors["inputs.x"], tensors["inputs.t"], condition)
    found = {"network": difference(output, tensors["output"])}
    if any(key.startswith("sampler.") for key in tensors):
        noise = _noise(tensors)
        sampled = samplers.student(lambda x, t: model(x, t, condition), noise)
        found["student"] = difference(sampled.clamp(-1, 1), tensors["sampler.output"])
    return found


def _teacher(golden: Golden, base: Golden) -> dict[str, float]:
    model = network(base)
    given = _condition(base, model, base.tensors["inputs.y"])
    steps, shift = int(golden.metadata["steps"]), float(golden.metadata["shift"])
    guidance = float(golden.metadata["cfg_scale"])
    null = given if guidance == 1 else model.with_text(given, golden.tensors["null_y"])
    sampled = samplers.teacher(
        lambda x, t: model(x, t, given),
        _noise(base.tensors)[0],
        steps=steps,
        shift=shift,
        guidance=guidance,
        negative=lambda x, t: model(x, t, null),
    )
    found = {"teacher": difference(sampled.clamp(-1, 1), golden.tensors["output"])}
    if "times" in golden.tensors:
        found["times"] = difference(samplers.teacher_times(steps, shift), golden.tensors["times"])
    return found


def _condition(golden: Golden, model: PiDNetwork, text: Tensor) -> Condition:
    """The file's latent and sigma with some text features [B,L,width]."""
    height, width = golden.tensors["inputs.x"].shape[-2:]
    latent, sigma = map(golden.tensors.get, ("inputs.lq_latent", "inputs.degrade_sigma"))
    return model.condition(text, height, width, latent, sigma)


def _noise(tensors: Mapping[str, Tensor]) -> list[Tensor]:
    """The student's noise, step by step; ValueError for a file without."""
    if "sampler.noise" in tensors:
        return list(tensors["sampler.noise"])
    steps = sum(key.startswith("sampler.noise.") for key in tensors)
    if not steps:
        raise ValueError("it has no sampler.noise")
    return [tensors[f"sampler.noise.{k}"] for k in range(steps)]


def _network_of(golden: Golden, others: Sequence[Path]) -> Path:
    name = f"{golden.metadata['net_golden']}.safetensors"
    folder = golden.path.resolve().parent
    given = [other for other in others if other.name == name]
    for place in [folder / name, *given, *sorted(folder.parent.glob(f"*/{name}"))]:
        if place.is_file():
            return place
    raise ValueError(f"its network file {name} is not given and not beside it")


def main(arguments: Sequence[str]) -> int:
    """One line for each file; the exit code."""
    return report("PiD", check, TOLERANCES, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
