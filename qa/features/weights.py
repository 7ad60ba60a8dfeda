"""Where the weights of a feature network come from, and what they are.

    released   the file of the asset table, known by its hash; or another asset by its name
    FILE       any file of the same layout; its hash becomes part of the protocol
    random     drawn here (Inception only): nothing to compare with, for runs without downloads

State dicts are read with `weights_only=True`, and no archive that unpacks to far more than its size
is opened. A TorchScript archive is a program, though not one in Python: one from the table is
loaded only after its hash was found right, one that the user names is the user's to trust
(docs/security.md).
"""

from __future__ import annotations

import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa import assets
from qa.errors import UsageError
from qa.files import sha256
from qa.untrusted import check_tensors, check_zip, named_tensors, not_finite, read_checkpoint

if TYPE_CHECKING:
    from torch import Tensor, nn

State = dict[str, "Tensor"]
LICENCE = "not stated: a file of the user's"
"""Of a file that no table knows (`qa.metrics.licences` refuses it where terms matter)."""
SHOWN = 3
"""Keys named in a refusal, of each kind."""


@dataclass(frozen=True)
class Source:
    """A file of weights on this machine."""

    path: Path
    name: str
    """What a reader calls it: the asset's name, or the path as it was given."""
    sha256: str
    licence: str


def locate(weights: str, asset: str) -> Source:
    """`released` or the name of an asset → that asset, resolved and verified; else → that file.

    Raises AssetMissing for an asset that is not at hand, UsageError for a file that is not there.
    """
    if weights == "released" or weights in assets.table():
        asset = asset if weights == "released" else weights
        path = assets.resolve(asset)
        return Source(path, asset, sha256(path), assets.find(asset).licence)
    path = Path(weights).expanduser()
    if not path.is_file():
        raise UsageError(
            f"There is no file {weights}.", "", "weights=released, or the path of an existing file"
        )
    return Source(path, weights, sha256(path), LICENCE)


def is_torchscript(path: Path) -> bool:
    """Whether a file is a zip archive with TorchScript code in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in f"/{name}" for name in archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return False


def load_torchscript(source: Source, device: str) -> Any:
    """The module in a TorchScript archive, in evaluation mode; UsageError for anything else."""
    import torch

    if not is_torchscript(source.path):
        raise UsageError(
            f"{source.name} is no TorchScript archive.",
            "A zip file with code/ in it is expected, as torch.jit.save writes it.",
            "export the network with torch.jit.trace or torch.jit.script and save that",
        )
    try:
        check_zip(source.path)
        with warnings.catch_warnings():
            # torch 2.15 calls torch.jit deprecated; the released files are what they are.
            warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated")
            load: Any = torch.jit.load  # without types
            return load(str(source.path), map_location=device).eval()
    except (RuntimeError, ValueError, zipfile.BadZipFile) as error:
        raise refusal(
            source.name, f"It does not load: {' '.join(str(error).split())[:200]}"
        ) from error


def read_state(source: Source) -> State:
    """float32 tensors by name, from a state dict or from the inside of a TorchScript archive."""
    try:
        if is_torchscript(source.path):
            state = load_torchscript(source, "cpu").state_dict()
            check_tensors(state.items(), source.path.stat().st_size)
        else:
            state = named_tensors(read_checkpoint(source.path))
    except ValueError as error:
        raise refusal(source.name, f"It does not load: {error}.") from error
    return {key: value.float() for key, value in state.items()}


def fill(network: nn.Module, state: State, name: str) -> None:
    """Give a network on the meta device exactly the tensors of `state`, and freeze it.

    Raises UsageError naming the first keys that are missing, left over, of another shape or not
    finite.
    `num_batches_tracked` counts training steps and means nothing here: it may be absent.
    """
    import torch

    wanted = network.state_dict()
    given = dict(state)
    for key in wanted:
        if key.endswith(".num_batches_tracked"):
            given[key] = torch.tensor(0)
    problems = {
        "missing": sorted(wanted.keys() - given.keys()),
        "not expected": sorted(given.keys() - wanted.keys()),
        "of another shape": [
            f"{key} {list(given[key].shape)} instead of {list(value.shape)}"
            for key, value in wanted.items()
            if key in given and given[key].shape != value.shape
        ],
        "with NaN or infinity": not_finite(given),
    }
    said = [f"{kind}: {', '.join(keys[:SHOWN])}" for kind, keys in problems.items() if keys]
    if said:
        raise refusal(name, f"Tensors {'; '.join(said)}.")
    network.load_state_dict(given, strict=True, assign=True)
    network.eval().requires_grad_(False)


def refusal(name: str, why: str) -> UsageError:
    """What is said of a file that holds something else."""
    return UsageError(
        f"{name} does not hold the weights of this network.",
        why,
        "name the file that was released, or weights=released",
    )
