"""A judge in this process: any image-text-to-text model of transformers in a local folder.

The answer is read off the raw logits after the question, all the vocabulary's softmax:

    p = sum of P(tokens that spell yes) / sum of P(tokens that spell yes or no)

Nothing is generated, nothing is downloaded, and no code from the folder is run. One question at a
time: values of such models depend on what else is in a batch.
"""

from __future__ import annotations

from collections.abc import Collection
from threading import Lock
from typing import TYPE_CHECKING, Any

from qa.assets.downloads import tree_sha256
from qa.chat.sight import check_pixels, check_template, shrunk
from qa.errors import UsageError
from qa.files import digest
from qa.metrics.vlm import chat, load, locate, next_logits, starts
from qa.numerics import pick_device
from suites.dpg.judges import MAX_PIXELS, TEMPLATE, Answer, Asked
from suites.dpg.judges.reading import weighed, word

if TYPE_CHECKING:
    from torch import Tensor

SPELLINGS = tuple(
    space + spelling
    for spelling in ("yes", "Yes", "YES", "no", "No", "NO")
    for space in ("", " ", "\n")
)


class VisionModel:
    """`path` is a folder with model and processor, or else `asset` names one of the table."""

    def __init__(
        self,
        path: str | None = None,
        asset: str | None = None,
        template: str = TEMPLATE,
        max_pixels: int = MAX_PIXELS,
        licence: str = "",
        dtype: str = "bfloat16",
        device: str = "cpu",
    ) -> None:
        self._template, self._max_pixels = check_template(template), check_pixels(max_pixels)
        folder, self.licence = locate(path, asset, licence, "metric.dpg_vision.judge")
        self._model, self._processor = load(folder, dtype)
        self._model.to(pick_device(device))
        self._tokens = _tokens(self._processor.tokenizer)
        weights = tree_sha256(folder)
        self.digest = digest(
            {"version": 1, "folder": weights, "template": template, "max_pixels": max_pixels,
             "dtype": dtype}
        )  # fmt: skip
        self.label = f"{type(self._model).__name__} {weights[:8]}"
        self._lock = Lock()

    def check(self, items: Collection[str]) -> None:
        """It answers whatever it is asked."""

    def ask(self, picture: Tensor, asked: Asked) -> list[Answer]:
        """An answer to each question, one after the other."""
        seen = shrunk(picture, self._max_pixels)
        with self._lock:
            return [self._one(seen, question.text) for question in asked.questions]

    def _one(self, seen: Tensor, question: str) -> Answer:
        import torch

        prompt = chat(self._processor, self._template.replace("{question}", question))
        logits = next_logits(
            self._model, self._processor, prompt, seen, starts(self._processor, prompt)
        )
        odds = torch.softmax(logits, dim=-1)
        likeliest = self._processor.tokenizer.decode([int(logits.argmax())])
        shares = ((spelling, float(odds[token])) for token, spelling in self._tokens.items())
        return weighed(likeliest, shares)


def _tokens(tokenizer: Any) -> dict[int, str]:
    """Tokens that spell yes or no by themselves; a token that only begins the word is none."""
    found = {}
    for spelling in SPELLINGS:
        ids = tokenizer(spelling, add_special_tokens=False)["input_ids"]
        for token in ids:
            text = tokenizer.decode([token])
            if word(text) in ("yes", "no"):
                found[token] = text
    if {word(text) for text in found.values()} != {"yes", "no"}:
        raise UsageError(
            "The judge has no single token for yes and for no.",
            f"Its words for them are {sorted(found.values())}.",
            "use another model",
        )
    return found
