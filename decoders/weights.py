"""Reading weights: tensors only, and every one of them accounted for.

`read_state` opens safetensors, or a pickle that may hold nothing but tensors; neither can run code
or ask for more memory than its file has. `load_strict` fills a network and refuses a file of which
a tensor is missing, left over, of another shape or not finite: a partial or foreign checkpoint that
loads silently decodes to something plausible.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from qa.errors import QaError, UsageError, said
from qa.files import canonical
from qa.untrusted import named_tensors, not_finite, read_checkpoint

Network = TypeVar("Network", bound=nn.Module)
FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
SHOWN = 3
"""Keys named in a refusal, of each kind."""


def read_state(file: Path) -> dict[str, Tensor]:
    """A flat state dict from `.safetensors`, or from a pickle that may hold tensors only.

    Tensors are mapped where the file allows it, not copied. Raises QaError for anything else.
    """
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        return named_tensors(read_checkpoint(file, mapped=True))
    except Exception as error:  # safetensors has errors of its own, and the system's
        raise QaError(
            f"{file} cannot be read as weights.",
            f"{said(error)}.",
            "fetch it again; a file that needs more than tensors is never loaded",
        ) from error


def to_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file whose bytes depend on nothing but the arguments.

    The library writes metadata in an order that changes from process to process, and files are
    known by their hashes.
    """
    from safetensors.torch import save

    data = save(dict(tensors), dict(metadata))
    length = int.from_bytes(data[:8], "little")
    header = canonical(json.loads(data[8 : 8 + length])).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def strip_prefix(state: Mapping[str, Tensor], prefixes: Iterable[str]) -> dict[str, Tensor]:
    """The state dict without a prefix that most of its keys have.

    Keys without it stay as they are, so that a stray one is what a refusal names.
    """
    for prefix in prefixes:
        having = sum(key.startswith(prefix) for key in state)
        plain = {key.removeprefix(prefix): value for key, value in state.items()}
        if 2 * having > len(state) == len(plain):
            return plain
    return dict(state)


def on_meta(build: Callable[[], Network]) -> Network:
    """A network whose parameters have shapes but no memory, ready for `load_strict`."""
    with torch.device("meta"):
        return build()


def load_strict(
    model: nn.Module,
    state: Mapping[str, Tensor],
    *,
    what: str,
    source: str,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    hint: str = "",
) -> None:
    """Fill `model` with exactly the tensors of `state`, cast to `dtype` on `device`.

    Works for a network on the meta device, one tensor at a time, so that weights lie in memory
    once. Raises UsageError naming the first keys that do not fit or hold NaN or infinity, and for
    quantised weights; `what` and `source` say in it which network was wanted and where the tensors
    came from, `hint` what it might be instead.
    """
    check_floats(state, source)
    problem = misfit(model, state)
    if problem:
        raise UsageError(
            f"{source} holds no {what}{': ' + hint if hint else ''}.",
            problem,
            "name the checkpoint that the file really is, or fetch the file again",
        )
    placed = {key: state[key].to(device, dtype) for key in model.state_dict()}
    check_finite(placed, source)
    model.load_state_dict(placed, strict=True, assign=True)
    model.eval().requires_grad_(False)


def check_floats(state: Mapping[str, Tensor], source: str) -> None:
    """UsageError for quantised weights, naming the first."""
    quantised = [key for key, value in state.items() if value.dtype not in FLOATS]
    if quantised:
        raise UsageError(
            f"{source} holds quantised weights.",
            f"{quantised[0]} is {str(state[quantised[0]].dtype).removeprefix('torch.')}, and "
            f"{len(quantised) - 1} more tensors are no plain floats.",
            "use the released file: measure what was released, not its repack",
        )


def check_finite(state: Mapping[str, Tensor], source: str) -> None:
    """UsageError naming the first tensors of a state dict that hold NaN or infinity.

    It is done where they are used, after a cast.
    """
    if broken := not_finite(state):
        raise UsageError(
            f"{source} holds NaN or infinity.",
            f"{_listed('not finite', broken)}.",
            "fetch the file again, or take a type with the range of the one it was stored in",
        )


def misfit(model: nn.Module, state: Mapping[str, Tensor]) -> str:
    """Why `state` is not the state dict of `model`, naming the first keys of each kind, or ""."""
    wanted = {key: list(value.shape) for key, value in model.state_dict().items()}
    found = {key: list(value.shape) for key, value in state.items()}
    kinds = {
        "missing": [key for key in wanted if key not in found],
        "not expected": [key for key in found if key not in wanted],
        "of another shape": [
            f"{key} {found[key]} instead of {wanted[key]}"
            for key in wanted
            if key in found and found[key] != wanted[key]
        ],
    }
    return " ".join(f"{_listed(kind, keys)}." for kind, keys in kinds.items() if keys)


def _listed(kind: str, keys: list[str]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return f"{kind.capitalize()}: {', '.join(keys[:SHOWN])}{more}"
