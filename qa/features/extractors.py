"""The networks whose features sets of pictures are compared in.

    inception   FID, KID, precision and recall: pool3 of the Inception of 2015, 2048 values
    dinov2      FD-DINOv2: class token of DINOv2 ViT-L/14, 1024 values
    clip        CMMD: picture embedding of CLIP ViT-L/14@336, length 1, 768 values
    random      the Inception with drawn weights: for runs without downloads; comparable with none
    FILE        any TorchScript module (`qa.features.scripted`)

Networks run in float32; TF32 and determinism are the run's numerics.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from qa.errors import UsageError
from qa.features.perview import PerView, chosen
from qa.features.protocols import PROTOCOLS
from qa.features.resize import pillow
from qa.features.scripted import TorchScriptFeatures, run
from qa.features.views import Views
from qa.features.weights import is_torchscript, load_torchscript, locate, read_state
from qa.images import to_unit
from qa.numerics import pick_device
from qa.types import Features

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
            return run(network, preparation.prepare(view.to(place))).flatten(1)

        super().__init__(
            look,
            inception.WIDTH,
            source="Heusel et al., NeurIPS 2017 (FID); Szegedy et al., CVPR 2016 (network); "
            f"preparation of {preparation.owner}",
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
        network = vit.dinov2(read_state(origin), origin.name, DINOV2_SIDE).to(place)

        def look(view: Tensor) -> Tensor:
            small = pillow(view[0], (network.side, network.side))[None]
            made: Tensor = network(_normalised(small.to(place), *IMAGENET))
            return made

        super().__init__(
            look,
            network.width,
            source="Stein et al., NeurIPS 2023 (FD-DINOv2); Oquab et al., TMLR 2024 (network)",
            licence=origin.licence,
            protocol={
                "network": "DINOv2, class token",
                "weights_sha256": origin.sha256,
                "resize": _pillow_facts(f"to {network.side}x{network.side}"),
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
        network = vit.clip(read_state(origin), origin.name).to(place)

        def look(view: Tensor) -> Tensor:
            small = pillow(_central_square(view[0]), (network.side, network.side))[None]
            made: Tensor = network(_normalised(small.to(place), *OPENAI))
            embedding: Tensor = made / made.norm(dim=1, keepdim=True)
            return embedding

        super().__init__(
            look,
            network.width,
            source="Jayasumana et al., CVPR 2024 (CMMD); Radford et al., ICML 2021 (network)",
            licence=origin.licence,
            protocol={
                "network": "CLIP, picture embedding of length 1",
                "weights_sha256": origin.sha256,
                "resize": _pillow_facts(f"central square to {network.side}x{network.side}"),
                "levels": "uint8 / 255, then CLIP's mean and deviation",
            },
            where=chosen(views, views_size),
        )


NAMES: dict[str, tuple[Callable[..., Features], dict[str, str]]] = {
    "inception": (InceptionFeatures, {}),
    "random": (InceptionFeatures, {"weights": "random"}),
    "dinov2": (DINOv2Features, {}),
    "clip": (CLIPFeatures, {}),
}


def extractor(name: str = "inception", **options: Any) -> Features:
    """`inception`, `random`, `dinov2`, `clip`, or the path of a TorchScript file.

    `options` are those of its class; `levels` is one that a file must have. Raises UsageError for
    an option that it does not have, AssetMissing where weights are not at hand.
    """
    build: Callable[..., Features] = TorchScriptFeatures
    fixed = {"file": name}
    if name in NAMES:
        build, fixed = NAMES[name]
    try:
        inspect.signature(build).bind(**fixed, **options)
    except TypeError as error:
        known = [p for p in inspect.signature(build).parameters if p not in fixed]
        raise UsageError(
            f"Features {name} cannot be built: {error}.",
            f"They take {', '.join(known)}; names of features are {', '.join(NAMES)}.",
            "correct the metric's extractor, or name a TorchScript file and its levels",
        ) from error
    return build(**fixed, **options)


def _inception(weights: str, device: str) -> tuple[Any, dict[str, str | int | float], str]:
    """A callable float32 [1,3,h,w] → [1,2048] or [1,2048,1,1], its facts and its licence."""
    from qa.features import inception

    if weights == "random":
        state = inception.random_state(RANDOM_SEED)
        facts: dict[str, str | int | float] = {
            "weights": "drawn: comparable with no published value",
            "weights_sha256": inception.state_sha256(state),
        }
        return inception.build(state, "drawn weights").to(device), facts, "none: drawn weights"
    origin = locate(weights, INCEPTION)
    facts = {"weights_sha256": origin.sha256}
    if not is_torchscript(origin.path):
        network: Any = inception.build(read_state(origin), origin.name).to(device)
        return network, facts, origin.licence
    module = load_torchscript(origin, device)
    if not hasattr(module, "layers"):
        raise UsageError(
            f"{origin.name} is not the TorchScript Inception.",
            "It has no `layers`, the part behind its own resizing.",
            "weights=inception-2015-12-05.pt, or extractor=FILE for any other module",
        )
    return module.layers, facts, origin.licence


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
