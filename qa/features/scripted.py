"""Features from any TorchScript module that turns pictures into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qa.errors import UsageError
from qa.features.networks import Network, shared
from qa.features.perview import PerView, chosen
from qa.features.resize import pillow, resize
from qa.features.views import Views
from qa.features.weights import Source, load_torchscript, locate
from qa.images import LEVELS
from qa.numerics import pick_device

if TYPE_CHECKING:
    from torch import Tensor

CLASSES = 1008
"""What the released Inception returns."""
PROBE = 299
"""Side of the picture that a module without a size of its own is tried on."""


class TorchScriptFeatures(PerView):
    """The module of a file: pictures [1,3,H,W] → [1,d].

    `levels` is what it takes: `uint8` pictures, or `unit`, float32 in [0,1]. `size` (h, w) is what
    views are resized to with Pillow's bicubic: on 8 bits for uint8, in float, clipped and not
    rounded, for unit; null leaves them as they are. Nothing is guessed from values.

    Raises UsageError for a file that is not there or no TorchScript, for a module that does not
    return finite [1,d], and for the released Inception, whose forward returns classes.
    """

    def __init__(
        self,
        file: str,
        levels: str,
        size: Sequence[int] | None = None,
        views: Views | str = "whole",
        views_size: int | None = None,
        device: str = "cpu",
    ) -> None:
        _check(levels, size)
        place = pick_device(device)
        source = locate(file, "")

        def build() -> Network:
            return Network(load_torchscript(source, place), source.sha256)

        network = shared("torchscript", source.sha256, place, build)
        target = None if size is None else (int(size[0]), int(size[1]))

        def look(view: Tensor) -> Tensor:
            return run(network.module, _prepared(view, levels, target).to(place))

        width = _width(look, target, source)
        _refuse_inception(network.module, width, source)
        super().__init__(
            look,
            width,
            source="a TorchScript module of the user's",
            licence=source.licence,
            protocol={
                "network": "TorchScript",
                "weights_sha256": network.sha256,
                "resize": _resize_facts(levels, target),
                "levels": "uint8" if levels == "uint8" else "x / 255",
            },
            where=chosen(views, views_size),
        )


def _check(levels: str, size: Sequence[int] | None) -> None:
    if levels not in ("uint8", "unit"):
        raise UsageError(
            f"levels={levels} is unknown.",
            "A module takes uint8 pictures, or floats in [0,1].",
            "levels=uint8 or levels=unit",
        )
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise UsageError(f"size={list(size)} is no height and width.", "", "size=[224,224]")


def run(module: Any, x: Tensor) -> Tensor:
    """One call that does the same every time.

    TorchScript specialises and fuses a graph after its first runs, which may change last bits; the
    switch belongs to the calling thread.
    """
    import torch

    jit: Any = torch.jit  # without types
    with jit.optimized_execution(False):
        made: Tensor = module(x)
    return made


def _prepared(view: Tensor, levels: str, size: tuple[int, int] | None) -> Tensor:
    if levels == "uint8":
        return view if size is None else pillow(view[0], size)[None]
    x = view.float() if size is None else resize(view, size).clamp_(0, LEVELS)
    return x / LEVELS


def _resize_facts(levels: str, size: tuple[int, int] | None) -> str:
    from importlib.metadata import version

    if size is None:
        return "none"
    if levels == "unit":
        return f"Pillow bicubic, mode F, to {size[0]}x{size[1]}, clipped to 0..255"
    return f"Pillow {version('pillow').split('.')[0]}, 8-bit bicubic, to {size[0]}x{size[1]}"


def _width(look: Any, size: tuple[int, int] | None, source: Source) -> int:
    """d, from two runs on a grey ramp; UsageError unless both give the same finite [1,d].

    What a module does on other pictures only its owner knows.
    """
    import torch

    height, width = size or (PROBE, PROBE)
    ramp = (torch.arange(height * width * 3) % (LEVELS + 1)).to(torch.uint8)
    try:
        with torch.inference_mode():
            made, again = (look(ramp.view(1, 3, height, width)) for _ in range(2))
    except Exception as error:  # whatever the user's module raises
        said = " ".join(str(error).split())[-300:]
        raise _refusal(source, f"It fails on a picture of {height}x{width}: {said}") from error
    if not isinstance(made, torch.Tensor) or made.ndim != 2 or len(made) != 1:
        got = list(made.shape) if isinstance(made, torch.Tensor) else type(made).__name__
        raise _refusal(source, f"It returns {got} for one picture, not [1,d].")
    if not made.shape[1] or made.is_complex():
        raise _refusal(source, f"It returns {list(made.shape)} of {made.dtype}: no real features.")
    if not bool(torch.isfinite(made).all()):
        raise _refusal(source, "It returns NaN or infinity for a grey ramp.")
    if not torch.equal(made, again):
        raise _refusal(source, "It returns something else for the same picture each time.")
    return int(made.shape[1])


def _refuse_inception(module: Any, width: int, source: Source) -> None:
    """UsageError for what has the released file's switch, or its inside and its classes."""
    schema = getattr(getattr(module, "forward", None), "schema", None)
    arguments = [] if schema is None else [argument.name for argument in schema.arguments]
    if "return_features" in arguments or (width == CLASSES and hasattr(module, "layers")):
        raise _refusal(
            source,
            "It is the Inception of FID, which returns classes unless asked for features.",
            f"extractor=inception weights={source.name}",
        )


def _refusal(
    source: Source,
    why: str,
    fix: str = "check levels and size, and that the module returns one row of features a picture",
) -> UsageError:
    return UsageError(f"{source.name} cannot be used as a feature extractor.", why, fix)
