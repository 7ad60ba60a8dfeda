"""Mask2Former as GenEval's detector, read off its raw logits.

    picture ─ resized to fit (1333, 800), padded to multiples of 32, normalised ─► network
            ─► class logits [Q,K+1], the last "no object";  mask logits [Q,h,w] at 1/4 of the input

    p      softmax over the K+1 classes; of all (query, class) pairs the 100 likeliest are kept
    m      mask logits, bilinear to the input, without its padding, bilinear to the picture
    mask   m > 0
    score  p * sum of sigmoid(m) over the mask / (its area + 1e-6)
    box    bounds of the mask: x1, y1, x2, y2, where x2 and y2 are one past its last pixels

A query may so appear under two classes, and nothing removes overlaps. Both mmdet 2.x and the
authors' detectron2 code do it this way; transformers' own post-processing thresholds masks at
384 x 384 pixels, which moves boxes, and is not used. Two trainings of Swin-S are known:

    meta    the authors' weights: close to official numbers, which GenEval did not make with them
    mmdet   the weights of official numbers (`suites.geneval.mmdet`)

Each is given its pictures as in its training: the authors resize with Pillow, which averages over
what it shrinks, mmdet with OpenCV's bilinear, which does not. Source: Cheng et al., CVPR 2022,
arXiv 2112.01527; protocol: github.com/djghosh13/geneval at af4902f2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from qa import assets
from qa.errors import UsageError
from qa.features.resize import pillow
from qa.files import digest, sha256
from qa.metrics.licences import NOT_STATED
from qa.numerics import pick_device
from suites.geneval.detector import CLASSES, Detections
from suites.geneval.selftest import check_detector

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

ASSET = "mask2former-swin-small-coco-instance"
FILES = ("config.json", "model.safetensors")
LONG, SHORT = 1333, 800
"""Pixels that the longer and the shorter side of the network's input may have."""
MULTIPLE = 32
PAIRS = 100
MEAN = (123.675, 116.28, 103.53)
DEVIATION = (58.395, 57.12, 57.375)
"""Of red, green and blue of ImageNet, in levels."""
FLOOR = 0.05
"""Likelihood below which a pair is passed over. GenEval keeps what is above 0.3 or 0.9, and a score
is never above its likelihood; a mask in a picture's own size is costly."""
UNUSED = ("criterion.", "model.pixel_level_module.encoder.swin.layernorm.")
"""Parameters that detection never reads: of the training loss, and a norm behind the backbone."""
COMPUTED = ".relative_position_index"
"""End of names of tables that Swin computes; older files carry them."""


@dataclass(frozen=True)
class Frame:
    """Sizes (height, width) that a mask passes through."""

    padded: tuple[int, int]
    """Of the network's input."""
    inside: tuple[int, int]
    """Of the part of it that shows the picture."""
    picture: tuple[int, int]


@dataclass(frozen=True)
class Preparation:
    """How a network was given pictures in its training."""

    resize: Literal["pillow", "opencv"]
    padding: tuple[float, float, float]
    """Levels of red, green and blue below and right of the picture."""

    def __call__(self, picture: Tensor) -> tuple[Tensor, Frame]:
        """picture uint8 [3,H,W] → the network's input, float32 [1,3,H',W'], on the CPU."""
        import torch

        height, width = picture.shape[1:]
        scale = min(LONG / max(height, width), SHORT / min(height, width))
        inside = int(height * scale + 0.5), int(width * scale + 0.5)
        padded = -(-inside[0] // MULTIPLE) * MULTIPLE, -(-inside[1] // MULTIPLE) * MULTIPLE
        resize = partial(pillow, filter="bilinear") if self.resize == "pillow" else opencv
        levels = torch.tensor(self.padding)[:, None, None].repeat(1, *padded)
        levels[:, : inside[0], : inside[1]] = resize(picture.cpu(), inside)
        mean, deviation = (torch.tensor(v)[:, None, None] for v in (MEAN, DEVIATION))
        return ((levels - mean) / deviation)[None], Frame(padded, inside, (height, width))


class Mask2Former:
    """A `Detector` around a network of transformers' Mask2FormerForUniversalSegmentation.

    `files` are the SHA-256 of what decides the network, by name.
    """

    classes = CLASSES

    def __init__(
        self,
        network: Any,
        preparation: Preparation,
        *,
        label: str,
        licence: str,
        files: Mapping[str, str],
        floor: float = FLOOR,
        device: str = "cpu",
    ) -> None:
        found = network.class_predictor.out_features - 1
        if found != len(CLASSES):
            raise UsageError(
                f"{label} knows {found} classes.",
                f"GenEval's prompts are about the {len(CLASSES)} of COCO's instances.",
                "use weights that were trained on COCO instance segmentation",
            )
        self.label, self.licence = label, licence
        self._device = pick_device(device)
        self._network = network.eval().requires_grad_(False).to(self._device)
        self._preparation, self._floor = preparation, floor
        self.digest = digest(
            {
                "version": 1,
                "files": dict(files),
                "fit": [LONG, SHORT, MULTIPLE],
                "preparation": asdict(preparation),
                "pairs": PAIRS,
                "floor": floor,
            }
        )

    def check(self) -> None:
        """QaError where it does not find the cat and the cup of two photographs."""
        check_detector(self)

    def detect(self, picture: Tensor) -> Mapping[str, Detections]:
        """picture uint8 [3,H,W] → class → its detections of a likelihood above `floor`."""
        import torch

        pixels, frame = self._preparation(picture)
        with torch.inference_mode():
            out = self._network(pixel_values=pixels.to(self._device))
            classes, masks = out.class_queries_logits[0], out.masks_queries_logits[0]
            return instances(classes, masks, frame, self._floor)


def meta(weights: str = "released", floor: float = FLOOR, device: str = "cpu") -> Mask2Former:
    """The authors' network: the asset, or a folder with config.json and model.safetensors.

    Raises AssetMissing where the asset is not at hand, UsageError where the folder holds no whole
    Mask2Former of COCO's classes.
    """
    released = weights == "released"
    folder = assets.resolve(ASSET) if released else Path(weights).expanduser()
    name = ASSET if released else weights
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        raise refusal(name, f"There is no {missing[0]}.")
    network = load_network(name, folder, local_files_only=True, use_safetensors=True)
    return Mask2Former(
        network,
        Preparation("pillow", MEAN),
        label="Mask2Former Swin-S, its authors' weights" if released
        else f"Mask2Former from {folder.name}",
        licence=assets.find(ASSET).licence if released else NOT_STATED,
        files={file: sha256(folder / file) for file in FILES},
        floor=floor,
        device=device,
    )  # fmt: skip


def load_network(name: str, folder: Path | None, **source: Any) -> Any:
    """The network that `from_pretrained` makes of a folder, or of a `config` and a `state_dict`.

    UsageError where a tensor is missing, left over or of another shape; `name` says whose.
    """
    import torch
    from transformers import Mask2FormerForUniversalSegmentation

    read: Any = Mask2FormerForUniversalSegmentation.from_pretrained  # untyped in transformers
    try:
        with _quiet():
            network, info = read(folder, dtype=torch.float32, output_loading_info=True, **source)
    except Exception as error:  # a foreign or damaged file fails in any way whatever
        raise refusal(name, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}.") \
            from error  # fmt: skip
    kinds = {
        "missing": [key for key in info["missing_keys"] if not key.startswith(UNUSED)],
        "left over": [key for key in info["unexpected_keys"] if not key.endswith(COMPUTED)],
        "of another shape": list(info["mismatched_keys"]),
    }
    for kind, keys in kinds.items():
        if keys:
            shown = ", ".join(sorted(map(str, keys))[:3])
            raise refusal(name, f"{len(keys)} tensors are {kind}, among them {shown}.")
    return network


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the table in which transformers lists the norm that nobody needs as missing."""
    from transformers.utils import logging

    tell: Any = logging  # untyped in transformers
    level, bars = tell.get_verbosity(), tell.is_progress_bar_enabled()
    tell.set_verbosity_error()
    tell.disable_progress_bar()
    try:
        yield
    finally:
        tell.set_verbosity(level)
        if bars:
            tell.enable_progress_bar()


def refusal(name: str, why: str) -> UsageError:
    """What is said of weights that do not fit."""
    return UsageError(
        f"{name} holds no whole Mask2Former.", why, "qa assets verify, or name the right file"
    )


def opencv(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 [3,H,W] → uint8 [3,h,w], size = (h, w): bilinear without averaging, as in mmcv."""
    import cv2
    import torch

    pixels = np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
    small = cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(small).permute(2, 0, 1)


def instances(
    classes: Tensor, masks: Tensor, frame: Frame, floor: float = FLOOR
) -> dict[str, Detections]:
    """Class logits [Q,K+1] and mask logits [Q,h,w] → class → detections, highest score first."""
    likelihoods = classes.softmax(-1)[:, :-1]
    best, pairs = likelihoods.flatten().topk(min(PAIRS, likelihoods.numel()))
    seen: dict[int, tuple[Tensor, NDArray[np.bool_]]] = {}
    found: dict[int, list[tuple[float, NDArray[np.bool_]]]] = {}
    for p, pair in zip(best, pairs.tolist(), strict=True):
        if not p > floor:
            break  # topk has sorted them
        query, label = divmod(pair, likelihoods.shape[1])
        if query not in seen:
            seen[query] = _seen(masks[query], frame)
        sureness, mask = seen[query]
        if mask.any():
            found.setdefault(label, []).append((float(p * sureness), mask))
    return {CLASSES[label]: _sorted(entries) for label, entries in sorted(found.items())}


def _seen(logits: Tensor, frame: Frame) -> tuple[Tensor, NDArray[np.bool_]]:
    """Mask logits [h,w] of a query → mean sigmoid inside its mask, and the mask [H,W]."""
    from torch.nn.functional import interpolate

    fine = interpolate(logits[None, None], frame.padded, mode="bilinear", align_corners=False)
    fine = fine[..., : frame.inside[0], : frame.inside[1]]
    m = interpolate(fine, frame.picture, mode="bilinear", align_corners=False)[0, 0]
    inside = (m > 0).to(m.dtype)
    sureness = (m.sigmoid() * inside).sum() / (inside.sum() + 1e-6)
    return sureness, (m > 0).cpu().numpy()


def _sorted(entries: list[tuple[float, NDArray[np.bool_]]]) -> Detections:
    entries = sorted(entries, key=lambda entry: -entry[0])
    boxes = np.array([[*bounds(mask), score] for score, mask in entries], dtype=np.float32)
    return Detections(boxes, np.stack([mask for _, mask in entries]))


def bounds(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of a mask [H,W] that is not empty; x2 and y2 exclusive."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
