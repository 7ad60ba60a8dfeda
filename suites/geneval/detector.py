"""What looks at a picture: a detector of objects, and a classifier of their colours.

The rules (`suites.geneval.rules`) know neither; they are given boxes and names of colours. A score
belongs to its detector: `label` and `digest` of both are part of the metric's fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

CLASSES: tuple[str, ...] = tuple(
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,"
    "stop sign,parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,"
    "backpack,umbrella,handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,"
    "baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,"
    "banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,"
    "potted plant,bed,dining table,toilet,tv,laptop,computer mouse,tv remote,computer keyboard,"
    "cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,"
    "hair drier,toothbrush".split(",")
)
"""The 80 classes of COCO in the order of its detectors, three of them under GenEval's names:
"computer mouse", "tv remote" and "computer keyboard"."""

COLOURS: tuple[str, ...] = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white",
)  # fmt: skip
"""What a prompt may ask for, in the order in which reasons list them."""


@dataclass(frozen=True)
class Detections:
    """What was found of one class in one picture, most confident first."""

    boxes: NDArray[np.floating]
    """[k,5]: x1, y1, x2, y2 in pixels of the picture (x2, y2 exclusive), and the score in [0, 1].
    The rules compare in its precision, which is float32 in the original."""
    masks: NDArray[np.bool_] | None = None
    """[k,H,W] in the picture's own size: which pixels belong to each; None for plain boxes."""


class Detector(Protocol):
    """Finds objects. Called from several threads at once."""

    label: str
    """What reports call it, weights included; only the official weights give official numbers."""
    digest: str
    """SHA-256 of weights and settings."""
    licence: str
    classes: tuple[str, ...]
    """What it can find; every class that a prompt names has to be among them."""

    def check(self) -> None:
        """QaError where it does not find known objects in a known picture.

        Asked once before anything is scored: a broken detector answers with empty pictures.
        """
        ...

    def detect(self, picture: Tensor) -> Mapping[str, Detections]:
        """picture uint8 [3,H,W] → class → what was found of it, weak detections included.

        Thresholds are the rules' business. A class of which nothing was found may be absent.
        """
        ...


class ColourClassifier(Protocol):
    """Names colours of objects. Called from several threads at once."""

    label: str
    digest: str
    """SHA-256 of weights and settings."""
    licence: str

    def check(self) -> None:
        """QaError where it cannot name colours of plain discs; asked once before scoring."""
        ...

    def colours(
        self,
        picture: Tensor,
        cls: str,
        boxes: NDArray[np.floating],
        masks: NDArray[np.bool_] | None,
    ) -> Sequence[str]:
        """picture uint8 [3,H,W], k objects of class `cls` → one of `COLOURS` for each, in order.

        boxes [k,5] and masks [k,H,W] as in `Detections`.
        """
        ...
