"""The colour of an object, as CLIP ViT-L/14 names it.

    crop       the picture with #999 outside the object's mask, cut to its box
    x          crop ─ shorter side to 224, Pillow's bicubic ─ the middle 224 x 224 ─► embedding
    t(c)       mean over three sentences about colour c of their embeddings of length 1
    answer     the c of ten with the largest cosine between x and t(c)

The middle square of a long object is all that is looked at: its ends do not count. Sentences name
the class ("a photo of a red car", "a photo of a red-colored car") or say "object". GenEval computes
the cosines in half precision on a GPU; here it is float32, so that two colours which are as good as
equal may change places. Crops are looked at one by one: a value must not depend on its neighbours.

Sources: Radford et al., ICML 2021 (network); github.com/djghosh13/geneval at af4902f2 and open_clip
(protocol).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from qa import assets
from qa.errors import UsageError
from qa.features.resize import pillow
from qa.files import digest, sha256
from qa.images import to_unit
from qa.metrics.licences import NOT_STATED
from qa.numerics import pick_device
from suites.geneval.detector import COLOURS
from suites.geneval.selftest import check_colours

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

ASSET = "clip-vit-large-patch14"
FILES = ("config.json", "model.safetensors", "tokenizer.json")
"""What decides an answer."""
SENTENCES = (
    "a photo of a {colour} {cls}",
    "a photo of a {colour}-colored {cls}",
    "a photo of a {colour} object",
)
BACKGROUND = 0x99
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Of red, green and blue in CLIP's training, in [0, 1]."""


class ClipColours:
    """A `ColourClassifier`: the asset, or a folder with a CLIPModel and its tokenizer.

    Raises AssetMissing where the asset is not at hand, UsageError where the folder holds no CLIP.
    """

    def __init__(self, weights: str = "released", device: str = "cpu") -> None:
        released = weights == "released"
        folder = assets.resolve(ASSET) if released else Path(weights).expanduser()
        self.label = "CLIP ViT-L/14" if released else f"CLIP from {folder.name}"
        self.licence = assets.find(ASSET).licence if released else NOT_STATED
        self._device = pick_device(device)
        network, self._tokenizer = _load(folder)
        self._network = network.eval().requires_grad_(False).to(self._device)
        self._side: int = network.config.vision_config.image_size
        self._texts: dict[str, Tensor] = {}
        self._lock = Lock()
        self.digest = digest(
            {
                "version": 1,
                "files": {name: sha256(folder / name) for name in FILES},
                "sentences": SENTENCES,
                "background": BACKGROUND,
                "dtype": "float32",
            }
        )

    def check(self) -> None:
        """QaError where it does not name the colours of plain discs."""
        check_colours(self)

    def colours(
        self,
        picture: Tensor,
        cls: str,
        boxes: NDArray[np.floating],
        masks: NDArray[np.bool_] | None,
    ) -> Sequence[str]:
        """picture uint8 [3,H,W], boxes [k,5], masks [k,H,W] or none → k names of `COLOURS`."""
        shown = [None] * len(boxes) if masks is None else masks
        return [
            COLOURS[int(self.cosines(cut(picture, box, mask), cls).argmax())]
            for box, mask in zip(boxes, shown, strict=True)
        ]

    def cosines(self, crop: Tensor, cls: str) -> Tensor:
        """crop uint8 [3,h,w] → float32 [10], one for each of `COLOURS`, on the CPU."""
        import torch

        texts = self._texts_of(cls)
        mean, deviation = (torch.tensor(v)[:, None, None] for v in (MEAN, DEVIATION))
        pixels = (to_unit(middle(crop, self._side)) - mean) / deviation
        with torch.inference_mode():
            x = _pooled(self._network.get_image_features(pixels[None].to(self._device)))
            cosines: Tensor = (texts @ (x / x.norm(dim=-1, keepdim=True))[0]).cpu()
        return cosines

    def _texts_of(self, cls: str) -> Tensor:
        """t(c) for each colour, [10,d] of length 1; made once for a class."""
        import torch

        with self._lock:
            if cls not in self._texts:
                with torch.inference_mode():
                    rows = [self._text(cls, colour) for colour in COLOURS]
                self._texts[cls] = torch.stack(rows)
            return self._texts[cls]

    def _text(self, cls: str, colour: str) -> Tensor:
        """Unit vector [d] of one colour."""
        sentences = [sentence.format(colour=colour, cls=cls) for sentence in SENTENCES]
        tokens = self._tokenizer(sentences, padding=True, return_tensors="pt").to(self._device)
        each = _pooled(
            self._network.get_text_features(tokens["input_ids"], tokens["attention_mask"])
        )
        mean = (each / each.norm(dim=-1, keepdim=True)).mean(dim=0)
        unit: Tensor = mean / mean.norm()
        return unit


def cut(picture: Tensor, box: NDArray[np.floating], mask: NDArray[np.bool_] | None) -> Tensor:
    """The object alone: picture uint8 [3,H,W] → uint8 [3,h,w].

    Corners are rounded as Pillow does, halves to the even number. ValueError for an empty box.
    """
    import torch

    if mask is not None:
        inside = torch.from_numpy(np.ascontiguousarray(mask)).to(picture.device)
        picture = torch.where(inside, picture, BACKGROUND).to(torch.uint8)
    x1, y1, x2, y2 = (max(round(float(v)), 0) for v in box[:4])
    crop = picture[:, y1:y2, x1:x2]
    if not crop.numel():
        raise ValueError(f"the box {[float(v) for v in box[:4]]} holds no pixel")
    return crop


def middle(crop: Tensor, side: int) -> Tensor:
    """crop uint8 [3,h,w] → its middle, uint8 [3,side,side], after the shorter side became `side`.

    Lengths and offsets as in torchvision's Resize and CenterCrop, which open_clip uses.
    """
    height, width = crop.shape[1:]
    short, long = min(height, width), max(height, width)
    length = int(side * long / short)
    size = (side, length) if height <= width else (length, side)
    resized = pillow(crop, size)
    top, left = (round((extent - side) / 2) for extent in size)
    return resized[:, top : top + side, left : left + side]


def _pooled(output: Any) -> Tensor:
    """Features [n,d]; transformers has changed what it wraps them in."""
    pooled: Tensor = getattr(output, "pooler_output", output)
    return pooled


def _load(folder: Path) -> tuple[Any, Any]:
    """Network and tokenizer from local files, float32, every tensor of the network filled."""
    import torch
    from transformers import CLIPModel, CLIPTokenizer

    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise _refusal(folder, f"There is no {', '.join(missing)}.")
    read_network: Any = CLIPModel.from_pretrained  # untyped in transformers
    read_tokenizer: Any = CLIPTokenizer.from_pretrained
    try:
        tokenizer = read_tokenizer(folder, local_files_only=True)
        network, info = read_network(
            folder, dtype=torch.float32, local_files_only=True, use_safetensors=True,
            output_loading_info=True,
        )  # fmt: skip
    except Exception as error:  # a foreign or damaged file fails in any way whatever
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}."
        raise _refusal(folder, why) from error
    if info["missing_keys"] or info["mismatched_keys"]:
        keys = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
        raise _refusal(folder, f"Tensors are missing or of another shape: {', '.join(keys[:3])}.")
    return network, tokenizer


def _refusal(folder: Path, why: str) -> UsageError:
    return UsageError(
        f"{folder.name} holds no CLIP with its tokenizer.", why, f"qa assets verify {ASSET}"
    )
