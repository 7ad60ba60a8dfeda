"""Is what was loaded what was asked for?

Networks are loaded strictly: a library fills a tensor that is in no file at random and says little.

A VAE loads without complaint under the wrong scaling and then decodes to something plausible. So
each family's configuration is compared with the space, and every difference is named with both
values.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from decoders.spaces import AFFINE, FLUX2_EPS, FLUX2_PATCH
from qa.errors import QaError, UsageError
from qa.types import LatentSpace

Facts = dict[str, tuple[Any, Any]]
"""What is compared → (what the configuration says, what the space says)."""


def check_kl(config: Any, space: LatentSpace) -> None:
    """AutoencoderKL: channels, factor, `scaling_factor`, `shift_factor`, no channel statistics."""
    affine = _affine(space)
    blocks = len(config.block_out_channels)
    _compare(
        space,
        {
            "latent_channels": (config.latent_channels, space.channels),
            "factor": (2 ** (blocks - 1), space.factor),
            "scaling_factor": (config.scaling_factor, affine.scale[0]),
            "shift_factor": (config.shift_factor or 0.0, affine.shift[0]),
            "latents_mean": (config.latents_mean, None),
            "latents_std": (config.latents_std, None),
        },
    )


def check_flux2(config: Any, statistics: tuple[Tensor, Tensor], space: LatentSpace) -> None:
    """AutoencoderKLFlux2: channels and factor with or without patches; trained statistics."""
    blocks = len(config.block_out_channels)
    if space.name == "flux2_raw":
        channels, factor = config.latent_channels, 2 ** (blocks - 1)
        _compare(
            space,
            {
                "latent_channels": (channels, space.channels),
                "factor": (factor, space.factor),
            },
        )
        return
    mean, variance = statistics
    fresh = bool((mean == 0).all() and (variance == 1).all())
    finite = bool(torch.isfinite(mean).all() and torch.isfinite(variance).all())
    _compare(
        space,
        {
            "latent_channels": (config.latent_channels * FLUX2_PATCH**2, space.channels),
            "factor": (2 ** (blocks - 1) * FLUX2_PATCH, space.factor),
            "patch_size": (list(config.patch_size), [FLUX2_PATCH, FLUX2_PATCH]),
            "batch_norm_eps": (config.batch_norm_eps, FLUX2_EPS),
            "batch norm": ("never trained" if fresh else "trained", "trained"),
            "batch-norm statistics": ("finite" if finite else "not finite", "finite"),
        },
    )


def check_frames(config: Any, space: LatentSpace) -> None:
    """AutoencoderKLQwenImage, AutoencoderKLWan: `z_dim`, factor, each channel's statistics."""
    affine = _affine(space)
    _compare(
        space,
        {
            "z_dim": (config.z_dim, space.channels),
            "factor": (2 ** len(config.temperal_downsample), space.factor),
            "patch_size": (getattr(config, "patch_size", None), None),
            "latents_mean": (list(config.latents_mean), list(affine.shift)),
            "latents_std": (list(config.latents_std), [1 / scale for scale in affine.scale]),
        },
    )


def check_dc(config: Any, space: LatentSpace) -> None:
    """AutoencoderDC: channels, factor, `scaling_factor`."""
    blocks = len(config.encoder_block_out_channels)
    _compare(
        space,
        {
            "latent_channels": (config.latent_channels, space.channels),
            "factor": (2 ** (blocks - 1), space.factor),
            "scaling_factor": (config.scaling_factor, _affine(space).scale[0]),
        },
    )


def check_rae(config: Any, space: LatentSpace) -> None:
    """AutoencoderRAE: the encoder's kind and width, the decoder's patch, no further scaling."""
    _compare(
        space,
        {
            "encoder_type": (config.encoder_type, "dinov2"),
            "encoder_hidden_size": (config.encoder_hidden_size, space.channels),
            "patch_size": (config.patch_size, space.factor),
            "scaling_factor": (config.scaling_factor, 1.0),
            "reshape_to_2d": (config.reshape_to_2d, True),
        },
    )


def check_tiny(config: Any, space: LatentSpace) -> None:
    """AutoencoderTiny: channels, factor, and no scaling, since its latents are scaled already."""
    stages = len(config.encoder_block_out_channels)
    _compare(
        space,
        {
            "latent_channels": (config.latent_channels, space.channels),
            "factor": (2 ** (stages - 1), space.factor),
            "scaling_factor": (config.scaling_factor, 1.0),
            "shift_factor": (config.shift_factor, 0.0),
        },
    )


def load_pretrained(
    kind: Any, folder: Path, *, fix: str, unused: tuple[str, ...] = (), **arguments: Any
) -> Any:
    """A network of diffusers or transformers from the safetensors of a local folder.

    `kind` is its class, `arguments` are further ones of `from_pretrained`. Tensors whose names
    begin with one of `unused` may be left over. Raises UsageError, with `fix`, where it does not
    load, and without where `check_loading` refuses it.
    """
    with loading(kind.__name__, folder, fix):
        model, info = kind.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **arguments,
        )
    left_over = [key for key in info["unexpected_keys"] if not key.startswith(unused)]
    check_loading(folder, {**info, "unexpected_keys": left_over})
    return model


@contextmanager
def loading(what: str, folder: Path, fix: str) -> Iterator[None]:
    """What the libraries raise over a folder that cannot be loaded, as a UsageError."""
    try:
        yield
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise UsageError(
            f"The {what} in {folder} cannot be loaded.",
            f"{type(error).__name__}: {' '.join(str(error).split())[:300]}",
            fix,
        ) from error


def read_unchanged(file: Path, sha256: str) -> bytes:
    """The file's bytes; QaError if they are no longer those with the digest `sha256`."""
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise QaError(
            f"{file.name} changed while it was in use.",
            "Its content is no longer what the run was planned with.",
            "start the run again",
        )
    return data


def check_loading(folder: Path, info: Mapping[str, Sequence[Any]]) -> None:
    """Refuses weights of which a tensor is missing, left over or of another shape."""
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        found = [str(entry) for entry in info.get(kind, ())]
        if found:
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            raise UsageError(
                f"The weights in {folder} do not fit their own configuration.",
                f"{kind.replace('_', ' ')}: {', '.join(sorted(found)[:3])}{more}.",
                "fetch the folder again, or point source at another one",
            )


def _affine(space: LatentSpace) -> Any:
    if space.name not in AFFINE:
        raise UsageError(
            f"The space {space} is not one that this family of autoencoder can produce.",
            "Its normalisation is no multiple and offset.",
            f"space={' or '.join(sorted(AFFINE))}",
        )
    return AFFINE[space.name]


def _compare(space: LatentSpace, facts: Facts) -> None:
    wrong = [
        f"{name} is {found} in the configuration and {wanted} in the space"
        for name, (found, wanted) in facts.items()
        if not _same(found, wanted)
    ]
    if wrong:
        raise UsageError(
            f"The network does not belong to the latent space {space}.",
            "; ".join(wrong) + ".",
            "name the space that the network was trained for, or load another network",
        )


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        found = list(found or ())
        return len(found) == len(wanted) and all(map(_same, found, wanted))
    if isinstance(wanted, float) and isinstance(found, int | float):
        return math.isclose(found, wanted, rel_tol=1e-6, abs_tol=1e-9)
    return bool(found == wanted)
