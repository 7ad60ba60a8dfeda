"""A vision-language model as a judge of quality: how likely is it to say "excellent"?

    value = sum over levels k of  k p_k,    p = softmax of the five logits of the next word

with levels excellent, good, fair, poor, bad = 5 … 1, after a question about the picture and the
first words of an answer. 1 to 5, higher is better. This is how Q-Align and DeQA-Score read a score
off a language model; a model that was not trained to answer so gives a value too, which means less.

Any image-text-to-text model and processor of transformers in a local folder will do, as long as the
processor has a chat template. Nothing is downloaded and no code from the folder is run: Q-Align's
and DeQA's published folders bring code of their own and are refused by transformers for that.

One picture at a time: values of such models depend on what else is in a batch. In bfloat16 they
also depend on the device. At which size a picture is seen, and whether all of it (CLIP's processor
cuts out the middle), is the processor's business; it is part of the folder, whose hash is part of
the protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from qa import assets
from qa.assets.downloads import tree_sha256
from qa.errors import Unavailable, UsageError
from qa.metrics.inputs import check_pictures
from qa.metrics.licences import NOT_STATED
from qa.metrics.resolution import parse, score_views
from qa.numerics import pick_device
from qa.types import MetricFacts

if TYPE_CHECKING:
    from torch import Tensor

LEVELS = {"excellent": 5, "good": 4, "fair": 3, "poor": 2, "bad": 1}
QUESTION = "How would you rate the quality of this image?"
ANSWER = "The quality of the image is"
DTYPES = ("bfloat16", "float32")


class VLMJudge:
    """Pictures uint8 [S,3,H,W] → 1 (bad) to 5 (excellent). No reference is looked at.

    `path` is a folder with model and processor, or else `asset` names one of the asset table.
    """

    better: ClassVar[Literal["higher", "lower"]] = "higher"
    unit: ClassVar[str] = ""

    def __init__(
        self,
        path: str | None = None,
        asset: str | None = None,
        question: str = QUESTION,
        answer: str = ANSWER,
        licence: str = "",
        name: str = "vlm_judge",
        least: int = 28,
        resolution: str = "native",
        dtype: str = "bfloat16",
        device: str = "cpu",
    ) -> None:
        folder, terms = locate(path, asset, licence)
        self._device = pick_device(device)
        self._model, self._processor = load(folder, dtype)
        self._model.to(self._device)
        self._least = least
        self._resolution = parse(resolution)
        self._prompt = _prompt(self._processor, question, answer)
        self._words = _words(self._processor, self._prompt)
        self._starts = starts(self._processor, self._prompt)
        self.facts = MetricFacts(
            name=name,
            better=self.better,
            unit=self.unit,
            source=f"Wu et al. (Q-Align), ICML 2024, eq. 1 and 2; {type(self._model).__name__} of "
            f"transformers {version('transformers')}",
            licence=terms,
            protocol={
                "version": 1,
                "prompt": self._prompt,
                "levels": ", ".join(f"{word} {level}" for word, level in LEVELS.items()),
                "resolution": str(self._resolution),
                "folder_sha256": tree_sha256(folder),
                "batch": "one picture",
                "dtype": dtype,
            },
            paired=False,
        )

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values in [1,5]. ValueError below `least` pixels."""
        check_pictures(pictures, self._least)
        return score_views(lambda view: level(self.logits(view)), pictures, self._resolution)

    def logits(self, view: Tensor) -> Tensor:
        """Of the five words, excellent to bad, after the prompt about a picture uint8 [3,h,w]."""
        last = next_logits(self._model, self._processor, self._prompt, view, self._starts)
        return last[self._words]


def next_logits(
    model: Any, processor: Any, prompt: str, view: Tensor, starts_itself: bool
) -> Tensor:
    """Logits of every token after a prompt about a picture uint8 [3,h,w], float64 on the CPU.

    `starts_itself`: the tokenizer is to add its token for the start of a text (`starts`).
    """
    import torch
    from PIL import Image

    image = Image.fromarray(view.permute(1, 2, 0).contiguous().cpu().numpy())
    inputs = processor(
        text=[prompt], images=[image], return_tensors="pt", add_special_tokens=starts_itself
    ).to(model.device)
    kinds = {k: v.to(model.dtype) if v.is_floating_point() else v for k, v in inputs.items()}
    with torch.inference_mode():
        last: Tensor = model(**kinds, use_cache=False).logits[0, -1]
    return last.double().cpu()


def level(logits: Tensor) -> Tensor:
    """Five logits, excellent to bad → the expected level, a scalar in [1,5]."""
    import torch

    levels = torch.tensor(list(LEVELS.values()), dtype=logits.dtype)
    return torch.softmax(logits, dim=-1) @ levels


def locate(
    path: str | None, asset: str | None, licence: str, node: str = "metric.vlm_judge"
) -> tuple[Path, str]:
    """Where the model is, and its licence. `node` is where the configuration names it."""
    if (path is None) == (asset is None):
        raise UsageError(
            f"{node} needs either a path or an asset.",
            f"It has path={path} and asset={asset}.",
            f"{node}.path=FOLDER, or {node}.asset=NAME of the asset table",
        )
    if asset is not None:
        return assets.resolve(asset), licence or assets.find(asset).licence
    folder = Path(str(path))
    if not (folder / "config.json").is_file():
        raise Unavailable(
            f"There is no model in {folder}.",
            "A folder with config.json, weights and processor is needed.",
            "save_pretrained of transformers writes one; nothing is downloaded",
        )
    return folder, licence or NOT_STATED


def load(folder: Path, dtype: str) -> tuple[Any, Any]:
    """Model and processor from local files."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    if dtype not in DTYPES:
        raise UsageError(
            f"A judge cannot run in {dtype}.", "", f"dtype={' or dtype='.join(DTYPES)}"
        )
    local: Mapping[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    read_processor: Any = AutoProcessor.from_pretrained  # untyped in transformers
    read_model: Any = AutoModelForImageTextToText.from_pretrained
    try:
        processor = read_processor(folder, **local)
        model = read_model(folder, dtype=getattr(torch, dtype), **local)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise UsageError(
            f"transformers cannot load a judge from {folder.name}.",
            f"{type(error).__name__}: {' '.join(str(error).split())[:300]}.",
            "it needs an image-text-to-text model and its processor, without code of its own",
        ) from error
    return model.requires_grad_(False).eval(), processor


def _prompt(processor: Any, question: str, answer: str) -> str:
    """The whole text before the word that is judged."""
    text = chat(processor, question)
    return f"{text}{answer}" if text[-1:].isspace() else f"{text} {answer}"


def chat(processor: Any, question: str) -> str:
    """A question about a picture up to the turn to answer, as the model's chat template writes it.

    UsageError where there is no template.
    """
    content = [{"type": "image"}, {"type": "text", "text": question}]
    try:
        text: str = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
    except ValueError as error:
        raise UsageError(
            "The judge's processor has no chat template.",
            "How it marks a picture and the turn to answer is not known.",
            "add chat_template.jinja to the folder",
        ) from error
    return text


def starts(processor: Any, prompt: str) -> bool:
    """Whether the tokenizer is to add its token for the start of a text: the template did not."""
    tokenizer = processor.tokenizer
    if tokenizer.bos_token and prompt.startswith(tokenizer.bos_token):
        return False
    plain = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    return bool(tokenizer(prompt)["input_ids"][-len(plain) :] == plain)  # else it adds an end too


def _words(processor: Any, prompt: str) -> list[int]:
    """The token that begins each level's word right after the prompt, all different."""

    def tokens(text: str) -> list[int]:
        found: list[int] = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    before = tokens(prompt)
    after = {word: tokens(f"{prompt} {word}") for word in LEVELS}
    first = [ids[len(before)] for ids in after.values() if ids[: len(before)] == before]
    if len(set(first)) != len(LEVELS):
        raise UsageError(
            "The judge's words cannot be told apart by their first token.",
            f"After the prompt {', '.join(LEVELS)} begin with tokens {first}.",
            "end the answer where a word begins, or use another model",
        )
    return first
