"""CLIP-IQA: does CLIP find a picture closer to "Good photo." than to "Bad photo."?

    value = exp(100 c(x, good)) / (exp(100 c(x, good)) + exp(100 c(x, bad)))

with c the cosine between the features of picture x and of a text, from CLIP's ResNet-50 without the
position embedding of its last layer, so that pictures of any size fit. 0 to 1, higher is better.

Three metrics go by this name. This is the paper's, one pair of texts, as torchmetrics and piq have
it; pyiqa's `clipiqa` takes the mean over five other pairs, and `clipiqa+` learned its texts from
ratings. Code and weights are permissive, and no ratings were used at all.

torchmetrics owns the formula. It would let piq download the network and transformers a tokenizer;
here the network comes from the asset table, and the tokens of the two texts are written below.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from qa import assets
from qa.errors import UsageError
from qa.files import sha256
from qa.metrics.inputs import check_pictures
from qa.metrics.resolution import parse, score_views
from qa.numerics import pick_device
from qa.types import MetricFacts
from qa.untrusted import check_zip

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "RN50.pt"
TOKENS = {
    "Good photo.": (49406, 886, 1125, 269, 49407),
    "Bad photo.": (49406, 2103, 1125, 269, 49407),
}
"""In CLIP's vocabulary, with start and end."""
LENGTH = 77
"""Tokens of a text, the rest zero."""
LEAST = 32
"""The network shrinks 32 times."""
ROUTE = "clip_iqa"
"""torchmetrics' name for the paper's network, as opposed to those of transformers."""


class CLIPIQA:
    """Pictures uint8 [S,3,H,W] → CLIP-IQA in [0,1], higher is better. No reference is looked at."""

    better: ClassVar[Literal["higher", "lower"]] = "higher"
    unit: ClassVar[str] = ""

    def __init__(self, resolution: str = "native", device: str = "cpu") -> None:
        import torch
        from torchmetrics.functional.multimodal import clip_iqa

        self._formula = clip_iqa
        self._device = pick_device(device)
        self._network = _build().to(self._device)
        self._resolution = parse(resolution)
        with torch.inference_mode():
            self._texts = clip_iqa._clip_iqa_get_anchor_vectors(
                ROUTE, self._network, _Tokenizer(), list(TOKENS), self._device
            )
        self.facts = MetricFacts(
            name="clip_iqa",
            better=self.better,
            unit=self.unit,
            source="Wang, Chan and Loy, AAAI 2023, eq. 2; "
            f"torchmetrics {version('torchmetrics')}, network of piq {version('piq')}",
            licence="Apache-2.0 (torchmetrics, piq); MIT (CLIP's weights)",
            protocol={
                "version": 1,
                "definition": "paper, one pair of texts",
                "texts": " / ".join(TOKENS),
                "network": "CLIP ResNet-50 without position embedding",
                "levels": "uint8 / 255, CLIP's mean and deviation",
                "resolution": str(self._resolution),
                "weights_sha256": sha256(assets.resolve(WEIGHTS)),
                "dtype": "float32",
            },
            paired=False,
        )

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values. ValueError below 32 pixels."""
        check_pictures(pictures, LEAST)
        return score_views(self._score, pictures, self._resolution)

    def _score(self, view: Tensor) -> Tensor:  # uint8 [3,h,w] -> one value
        levels = view[None].to(self._device)
        features = self._formula._clip_iqa_update(
            ROUTE, levels, self._network, None, 255.0, self._device
        )
        value: Tensor = self._formula._clip_iqa_compute(features, self._texts, ["quality"])
        return value


class _Tokenizer:
    """What torchmetrics asks of a processor: the tokens of the texts, and the longest text."""

    tokenizer = SimpleNamespace(model_max_length=LENGTH)

    def __call__(self, text: Sequence[str]) -> Mapping[str, list[tuple[int, ...]]]:
        return {"input_ids": [TOKENS[each] for each in text]}


def _build() -> Any:
    """piq's CLIP with OpenAI's weights; UsageError where the file is another one."""
    import torch
    from piq.feature_extractors import clip

    path = assets.resolve(WEIGHTS)
    try:
        check_zip(path)
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.filterwarnings("ignore", message=".*torch.jit.load.*deprecated")
            # OpenAI published it as a program; only its tensors are used.
            read_program: Any = torch.jit.load  # untyped in torch
            network = clip.build_model(read_program(path, map_location="cpu").state_dict())
    except Exception as error:  # not an archive, or of another network: many types say so
        raise UsageError(
            f"{WEIGHTS} cannot be used.",
            f"{type(error).__name__}: {' '.join(str(error).split())[:300]}.",
            f"qa assets verify {WEIGHTS}",
        ) from error
    return network.float().requires_grad_(False).eval()
