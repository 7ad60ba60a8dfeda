"""Is this installation's PiD the official one?  `python -m decoders.pid.check FILE...`

Golden files are safetensors written by the official code on tiny networks. Three kinds, told apart
by their content:

    network   weights.*, inputs.{x,t,y,lq_latent,degrade_sigma}, output
    student   the same file's sampler.noise.{0..3}, sampler.output
    teacher   null_y, output and steps, cfg_scale, shift; `net_golden` names its network file, which
              is looked for among the arguments, beside it and in the folders beside that

The metadata `config` holds the official constructor's arguments as JSON. One line is printed for
each file: the largest |difference| of network and sampler, in float32 on the CPU. Sampled pictures
are compared clamped to [-1, 1], as the official sampler returns them.

Exit code: 0 all within tolerance, 1 not, 2 no file given.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from decoders import weights
from decoders.pid import samplers
from decoders.pid.adapter import AdapterConfig
from decoders.pid.network import Condition, PiD, PiDConfig
from decoders.pid.registry import clean
from qa.errors import QaError

NETWORK_TOLERANCE = 2e-5
SAMPLER_TOLERANCE = 1e-5
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


@dataclass(frozen=True)
class Golden:
    """A golden file in memory."""

    path: Path
    metadata: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    def network(self) -> PiD:
        """The tiny network with the file's weights."""
        state = {
            key.removeprefix("weights."): value
            for key, value in self.tensors.items()
            if key.startswith("weights.")
        }
        model = weights.on_meta(lambda: PiD(config(self.metadata["config"])))
        weights.load_strict(
            model, clean(state), what="PiD", source=str(self.path), dtype=torch.float32
        )
        return model

    def condition(self, network: PiD, text: Tensor) -> Condition:
        """The file's latent and sigma with some text features [B,L,width]."""
        height, width = self.tensors["inputs.x"].shape[-2:]
        latent, sigma = map(self.tensors.get, ("inputs.lq_latent", "inputs.degrade_sigma"))
        return network.condition(text, height, width, latent, sigma)


def config(official: Mapping[str, Any]) -> PiDConfig:
    """Sizes from the arguments of the official constructor; ValueError for what is not released."""
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
        padding=official["lq_conv_padding_mode"],
        unpatchify=official["lq_latent_unpatchify_factor"],
        pixel_stage=official["pit_lq_inject"],
        interval=official["lq_interval"],
        blocks=official["lq_num_res_blocks"],
    )


def check(path: Path, others: Sequence[Path] = ()) -> dict[str, float]:
    """Largest |difference| of each thing that a golden file holds: network, student, teacher.

    Raises ValueError or KeyError for a file that is no golden file of PiD.
    """
    golden = read(path)
    with torch.inference_mode():
        if "net_golden" in golden.metadata:
            return {"teacher": _teacher(golden, read(_network_of(golden, others)))}
        return _network(golden)


@cache
def read(path: Path) -> Golden:
    """A golden file; those metadata values that are JSON are parsed."""
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = {key: _parsed(text) for key, text in (file.metadata() or {}).items()}
    return Golden(path, metadata, tensors)


def main(arguments: Sequence[str]) -> int:
    """One line for each file; the exit code."""
    paths = [Path(argument) for argument in arguments]
    if not paths:
        print("usage: python -m decoders.pid.check FILE...", file=sys.stderr)
        return 2
    good = True
    for path in paths:
        try:
            found = check(path, paths)
            fine = all(value <= _tolerance(kind) for kind, value in found.items())
            told = "  ".join(f"{kind} {value:.1e}" for kind, value in found.items())
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, QaError) as error:
            fine, told = False, f"no golden file of PiD: {type(error).__name__}: {error}"
        print(f"{'ok  ' if fine else 'FAIL'}  {path.name}  {told}")
        good &= fine
    return 0 if good else 1


def _network(golden: Golden) -> dict[str, float]:
    network, tensors = golden.network(), golden.tensors
    condition = golden.condition(network, tensors["inputs.y"])
    output = network(tensors["inputs.x"], tensors["inputs.t"], condition)
    found = {"network": _difference(output, tensors["output"])}
    steps = sum(key.startswith("sampler.noise.") for key in tensors)
    if steps:
        noise = [tensors[f"sampler.noise.{k}"] for k in range(steps)]
        sampled = samplers.student(lambda x, t: network(x, t, condition), noise)
        found["student"] = _difference(sampled.clamp(-1, 1), tensors["sampler.output"])
    return found


def _teacher(golden: Golden, base: Golden) -> float:
    network = base.network()
    given = base.condition(network, base.tensors["inputs.y"])
    null = base.condition(network, golden.tensors["null_y"])
    sampled = samplers.teacher(
        lambda x, t: network(x, t, given),
        base.tensors["sampler.noise.0"],
        steps=int(golden.metadata["steps"]),
        shift=float(golden.metadata["shift"]),
        guidance=float(golden.metadata["cfg_scale"]),
        unconditional=lambda x, t: network(x, t, null),
    )
    return _difference(sampled.clamp(-1, 1), golden.tensors["output"])


def _network_of(golden: Golden, others: Sequence[Path]) -> Path:
    name = f"{golden.metadata['net_golden']}.safetensors"
    folder = golden.path.resolve().parent
    beside = [folder / name, *sorted(folder.parent.glob(f"*/{name}"))]
    for place in [*(other for other in others if other.name == name), *beside]:
        if place.is_file():
            return place
    raise ValueError(f"its network file {name} is not given and not beside it")


def _difference(found: Tensor, wanted: Tensor) -> float:
    if found.shape != wanted.shape:
        raise ValueError(f"output is {list(found.shape)}, the file has {list(wanted.shape)}")
    largest = float((found - wanted).abs().max())
    return largest if largest == largest else float("inf")  # NaN compares as fine


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _tolerance(kind: str) -> float:
    return NETWORK_TOLERANCE if kind == "network" else SAMPLER_TOLERANCE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
