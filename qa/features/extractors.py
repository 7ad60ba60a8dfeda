"""The networks whose features sets of pictures are compared in.

    inception   FID, KID, precision and recall: pool3 of the Inception of 2015, 2048 values
    dinov2      FD-DINOv2: class token of DINOv2 ViT-L/14, 1024 values
    clip        CMMD: picture embedding of CLIP ViT-L/14@336, length 1, 768 values
    random      the Inception with drawn weights: for runs without downloads; comparable with none
    FILE        any TorchScript module (`qa.features.scripted`)

Networks run in float32; TF32 and determinism are the run's numerics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from qa import assets
from qa.errors import UsageError
from qa.features.networks import Network, shared
from qa.features.perview import PerView, chosen
from qa.features.protocols import PROTOCOLS
from qa.features.resize import pillow
from qa.features.scripted import TorchScriptFeatures, run
from qa.features.views import Views
from qa.features.weights import Source, is_torchscript, load_torchscript, locate, read_state
from qa.images import to_unit
from qa.numerics import pick_device
from qa.roles import Features

if TYPE_CHECKING:
    from torch import Tensor

INCEPTION = "pt_inception-2015-12-05-6726825d.pth"
DINOV2 = "dinov2_vitl14_pretrain.pth"
CLIP = "ViT-L-14-336px.pt"
RANDOM_SEED = 0
DINOV2_SIDE = 224
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
OPENAI = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Mean and deviation of red, green and blue that the networks were trained with."""


class InceptionFeatures(PerView):
    """The Inception of 2015 under a named protocol (`qa.features.protocols`) → [V,2048].

    `weights`: released, random, an asset's name or a file, in pytorch-fid's layout (.pth) or as
    the TorchScript of StyleGAN and clean-fid (.pt), whose layers behind its own resizing are
    called. Raises AssetMissing where the file is not at hand, UsageError where it is another's.
    """

    def __init__(
        self,
        protocol: str = "clean",
        weights: str = "released",
        views: Views | str = "whole",
        views_size: int | None = None,
        device: str = "cpu",
    ) -> None:
        from qa.features import inception

        if protocol not in PROTOCOLS:
            raise UsageError(
                f"FID has no protocol {protocol!r}.", "", f"choose {', '.join(PROTOCOLS)}"
            )
        place, preparation = pick_device(device), PROTOCOLS[protocol]
        network, facts, licence = _inception(weights, place)

        def look(view: Tensor) -> Tensor:
            return run(network.module, preparation.prepare(view.to(place))).flatten(1)

        super().__init__(
            look,
            inception.WIDTH,
            source="Heusel et al., NeurIPS 2017 (FID); Szegedy et al., CVPR 2016 (network); "
            f"preparation: {preparation.owner}",
            licence=licence,
            protocol={
                "network": "Inception 2015-12-05, pool3",
                "protocol": protocol,
                "resize": preparation.resize,
                "levels": preparation.levels,
                **facts,
            },
            where=chosen(views, views_size),
        )


class DINOv2Features(PerView):
    """Class token of DINOv2 ViT-L/14, as dgm-eval takes it → [V,1024].

    Views are squeezed to 224x224 by Pillow's 8-bit bicubic, whatever their shape. `weights`:
    released, or a file in DINOv2's own layout (.pth).
    """

    def __init__(
        self,
        weights: str = "released",
        views: Views | str = "whole",
        views_size: int | None = None,
        device: str = "cpu",
    ) -> None:
        from qa.features import vit

        place, origin = pick_device(device), locate(weights, DINOV2)

        def build() -> Network:
            module = vit.dinov2(read_state(origin), origin.name, DINOV2_SIDE)
            return Network(module.to(place), origin.sha256)

        network = shared("dinov2", origin.sha256, place, build)
        side: int = network.module.side

        def look(view: Tensor) -> Tensor:
            small = pillow(view[0], (side, side))[None]
            made: Tensor = network.module(_normalised(small.to(place), *IMAGENET))
            return made

        super().__init__(
            look,
            network.module.width,
            source="Stein et al., NeurIPS 2023 (FD-DINOv2); Oquab et al., TMLR 2024 (network)",
            licence=origin.licence,
            protocol={
                "network": "DINOv2, class token",
                "weights_sha256": network.sha256,
                "resize": _pillow_facts(f"to {side}x{side}"),
                "levels": "uint8 / 255, then ImageNet mean and deviation",
            },
            where=chosen(views, views_size),
        )


class CLIPFeatures(PerView):
    """Picture embedding of CLIP ViT-L/14@336 at length 1, as CMMD takes it → [V,768].

    The central square of a view is resized by Pillow's 8-bit bicubic. `weights`: released, or a
    file in OpenAI's layout (TorchScript or state dict), half precision widened to float32.
    """

    def __init__(
        self,
        weights: str = "released",
        views: Views | str = "whole",
        views_size: int | None = None,
        device: str = "cpu",
    ) -> None:
        from qa.features import vit

        place, origin = pick_device(device), locate(weights, CLIP)

        def build() -> Network:
            module = vit.clip(read_state(origin), origin.name)
            return Network(module.to(place), origin.sha256)

        network = shared("clip", origin.sha256, place, build)
        side: int = network.module.side

        def look(view: Tensor) -> Tensor:
            small = pillow(_central_square(view[0]), (side, side))[None]
            made: Tensor = network.module(_normalised(small.to(place), *OPENAI))
            embedding: Tensor = made / made.norm(dim=1, keepdim=True)
            return embedding

        super().__init__(
            look,
            network.module.width,
            source="Jayasumana et al., CVPR 2024 (CMMD); Radford et al., ICML 2021 (network)",
            licence=origin.licence,
            protocol={
                "network": "CLIP, picture embedding of length 1",
                "weights_sha256": network.sha256,
                "resize": _pillow_facts(f"central square to {side}x{side}"),
                "levels": "uint8 / 255, then CLIP's mean and deviation",
            },
            where=chosen(views, views_size),
        )


@dataclass(frozen=True)
class Settings:
    """What may be said of features. Each network takes its own; what is not its stays as here."""

    weights: str = "released"
    """Of inception, dinov2 and clip: released, an asset's name or a file; inception also random."""
    protocol: str = "clean"
    """How Inception's input is prepared (`qa.features.protocols`)."""
    levels: str = "uint8"
    """What a TorchScript file is given: uint8 or unit."""
    size: Sequence[int] | None = None
    """Height and width that it is given; None leaves views as they are."""
    views: Views | str = "whole"
    """Where a picture is looked at: a preset's name, or any rule (`qa.features.views`)."""
    views_size: int | None = None
    """The square that the preset pixverve299x20 resizes a picture to."""
    device: str = "cpu"


FOR_ALL = ("views", "views_size", "device")
NAMES: dict[str, tuple[Callable[..., Features], tuple[str, ...]]] = {
    "inception": (InceptionFeatures, ("weights", "protocol")),
    "random": (partial(InceptionFeatures, weights="random"), ("protocol",)),
    "dinov2": (DINOv2Features, ("weights",)),
    "clip": (CLIPFeatures, ("weights",)),
}
"""Name → class, and which of the settings are its own."""


def extractor(name: str, settings: Settings) -> Features:
    """`inception`, `random`, `dinov2`, `clip`, or the path of a TorchScript file.

    Raises UsageError for a setting that it does not have, AssetMissing where weights are not at
    hand.
    """
    if name not in {*NAMES, *assets.table()} and not Path(name).expanduser().is_file():
        raise UsageError(
            f"There are no features {name}, and no file {name}.",
            "",
            f"extractor={', '.join(NAMES)}, or the path of a TorchScript file",
        )
    build, own = NAMES.get(name, (partial(TorchScriptFeatures, name), ("levels", "size")))
    takes = (*own, *FOR_ALL)
    idle = [
        f"{entry.name}={getattr(settings, entry.name)}"
        for entry in fields(settings)
        if entry.name not in takes and getattr(settings, entry.name) != entry.default
    ]
    if idle:
        raise UsageError(
            f"Features {name} take no {', '.join(idle)}.",
            f"They take {', '.join(takes)}.",
            "leave the setting out, or choose another extractor",
        )
    return build(**{key: getattr(settings, key) for key in takes})


def _inception(weights: str, device: str) -> tuple[Network, dict[str, str | int | float], str]:
    """A network float32 [1,3,h,w] → [1,2048] or [1,2048,1,1], its facts and its licence."""
    if weights == "random":
        network = shared("inception", weights, device, lambda: _drawn(device))
        facts: dict[str, str | int | float] = {
            "weights": "drawn: comparable with no published value",
            "weights_sha256": network.sha256,
        }
        return network, facts, "none: drawn weights"
    origin = locate(weights, INCEPTION)
    network = shared("inception", origin.sha256, device, lambda: _released(origin, device))
    return network, {"weights_sha256": network.sha256}, origin.licence


def _drawn(device: str) -> Network:
    from qa.features import inception

    state = inception.random_state(RANDOM_SEED)
    module = inception.build(state, "drawn weights").to(device)
    return Network(module, inception.state_sha256(state))


def _released(origin: Source, device: str) -> Network:
    from qa.features import inception

    if not is_torchscript(origin.path):
        module = inception.build(read_state(origin), origin.name).to(device)
        return Network(module, origin.sha256)
    script = load_torchscript(origin, device)
    if not hasattr(script, "layers"):
        raise UsageError(
            f"{origin.name} is not the TorchScript Inception.",
            "It has no `layers`, the part behind its own resizing.",
            "weights=inception-2015-12-05.pt, or extractor=FILE for any other module",
        )
    return Network(script.layers, origin.sha256)


def _normalised(
    picture: Tensor, mean: tuple[float, float, float], deviation: tuple[float, float, float]
) -> Tensor:
    import torch

    centre, spread = (
        torch.tensor(v, device=picture.device).view(1, 3, 1, 1) for v in (mean, deviation)
    )
    return (to_unit(picture) - centre) / spread


def _central_square(picture: Tensor) -> Tensor:
    height, width = picture.shape[1:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[:, top : top + side, left : left + side]


def _pillow_facts(target: str) -> str:
    # Its 8-bit passes round to whole levels, and version 13 changed their order.
    return f"Pillow {version('pillow').split('.')[0]}, 8-bit bicubic, {target}"
