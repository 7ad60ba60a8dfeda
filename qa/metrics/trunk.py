"""ImageNet networks whose features the learned metrics look at, read from the asset table.

    asset (torchvision's state dict) ──► only `features.*` ──► the library's own module, strictly

The libraries would download them; here they never touch the network: their modules are built
without values (device `meta`: no random numbers, no memory) and filled from a verified file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qa.errors import QaError, UsageError
from qa.files import sha256
from qa.untrusted import named_tensors, not_finite, read_checkpoint

if TYPE_CHECKING:
    from torch import Tensor, nn

PREFIX = "features."


@dataclass(frozen=True)
class Trunk:
    """The convolutions of one network."""

    asset: str
    sha256: str
    """Of the whole file."""
    features: Mapping[str, Tensor]
    """Key as in torchvision's state dict (`features.0.weight`) → float32 on the CPU."""


def load_trunk(asset: str) -> Trunk:
    """Resolve `asset` and read its `features.*` tensors.

    Raises AssetMissing where the file is not at hand and UsageError where it is no state dict.
    """
    from qa import assets

    path = assets.resolve(asset)
    try:
        state = named_tensors(read_checkpoint(path, prefix=PREFIX))
    except ValueError as error:
        raise _refusal(asset, f"it is not a PyTorch state dict: {error}") from error
    features = {key: v.float() for key, v in state.items() if key.startswith(PREFIX)}
    # The table's hash is the file's: `resolve` hands out nothing else.
    return Trunk(asset, assets.find(asset).files[0].sha256 or sha256(path), features)


def fill(module: nn.Module, trunk: Trunk) -> None:
    """Give `module` the trunk's tensors; they must match it one to one, in names and shapes.

    Libraries cut the network into stages but keep torchvision's layer numbers, so the last two
    parts of a key identify a tensor: `slice2.3.weight` is `features.3.weight`.
    """
    wanted = {key: PREFIX + ".".join(key.split(".")[-2:]) for key in module.state_dict()}
    missing = sorted(set(wanted.values()) - trunk.features.keys())
    unexpected = sorted(trunk.features.keys() - set(wanted.values()))
    if missing or unexpected:
        raise _refusal(trunk.asset, f"missing keys {missing}, unexpected keys {unexpected}.")
    if broken := not_finite(trunk.features):
        raise _refusal(trunk.asset, f"{broken[0]} holds NaN or infinity.")
    state = {key: trunk.features[source] for key, source in wanted.items()}
    try:
        module.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        raise _refusal(trunk.asset, str(error)) from error
    module.requires_grad_(False)


def verified(path: Path, known: str) -> str:
    """The SHA-256 of a small file that a library ships, or QaError if it is not the known one."""
    found = sha256(path)
    if found != known:
        raise QaError(
            f"{path.name} does not hold the published weights.",
            f"Its SHA-256 is {found}, expected {known}.",
            "reinstall the package that ships it",
        )
    return found


def _refusal(asset: str, why: str) -> UsageError:
    return UsageError(
        f"The file of asset {asset} cannot be used:", why, f"qa assets verify {asset}"
    )
