"""A language model whose hidden states are text features: files, digest, cache, loading.

What the recipes of `decoders.text.encoders` share. Weights come from safetensors in a local folder
and are loaded strictly, at the first prompt that is not in the cache.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from decoders.checks import load_pretrained
from decoders.frame import LOCAL_LICENCE, pick_dtype, settings_digest
from decoders.text import stored
from qa import assets
from qa.errors import QaError, UsageError
from qa.files import sha256
from qa.numerics import pick_device

WEIGHTS = "model.safetensors"
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "chat_template.jinja", "tokenizer.model", "vocab.json", "merges.txt",
)  # fmt: skip
"""What may decide how text becomes tokens; the first must be there."""
UNUSED = ("lm_head.",)
"""The head that predicts tokens: part of some files, used by no features."""


class LanguageModel(ABC):
    """Text features by a language model; subclasses say which and how.

    Arguments: `source`, a local folder, or None for `asset` of the asset table; `dtype`, the
    precision of the layers; `device`, auto, cpu, cuda or cuda:N; `cache`, the folder that holds a
    folder of features for each encoder, or None for `text` in the cache of assets.
    """

    needs_prompt = True
    model_type: str
    """As config.json has it."""
    network: str
    """Class name in transformers."""
    attention: str
    model_folder = "."
    tokenizer_folder = "."

    def __init__(
        self,
        source: str | None,
        asset: str,
        dtype: str,
        device: str,
        cache: str | None,
        recipe: str,
    ) -> None:
        folder = Path(source) if source is not None else assets.resolve(asset)
        self.licence = LOCAL_LICENCE if source is not None else assets.find(asset).licence
        self.model_path = folder / self.model_folder
        self.tokenizer_path = folder / self.tokenizer_folder
        self.dtype, self.device = pick_dtype(dtype), torch.device(pick_device(device))
        self.width = self._read_config()["hidden_size"]
        files = [*_weight_files(self.model_path), *_tokenizer_files(self.tokenizer_path)]
        hashes = (f"{file.name}={sha256(file)}" for file in files)
        # The kind of device: a GPU's features differ in their last bits from a CPU's.
        settings = (self.model_type, recipe, dtype, self.device.type)
        self.digest = settings_digest((*settings, *hashes))
        name = asset.removeprefix("text-")
        self.label = name if source is None else f"{self.model_type} from {folder.name}"
        # Not the label: where the files lie must not split a cache.
        self._made_by = f"{self.model_type} {self.digest[:12]}"
        root = Path(cache) if cache is not None else assets.store().cache / "text"
        self.cache = root / self.digest[:12]

    @torch.inference_mode()
    def __call__(self, prompt: str | None) -> Tensor:
        """float32 [T,width] on the CPU, from the cache where it is there; QaError without prompt.

        A damaged file of the cache is made again.
        """
        if prompt is None:
            raise stored.no_prompt(self.label)
        name = hashlib.sha256(prompt.encode()).hexdigest()[:32]
        file = self.cache / (name + stored.SUFFIX)
        made_by = {"prompt": prompt, "encoder": self._made_by}
        known = stored.read(file, **made_by, width=self.width)
        if known is not None:
            return known
        features = self.encode(prompt).to("cpu")
        if not torch.isfinite(features).all():
            raise QaError(
                f"{self.label} gave NaN or infinity for the prompt {stored.shown(prompt)}.",
                f"Its layers run in {self.dtype}.",
                "text.dtype=float32 or bfloat16",
            )
        stored.write(file, features, **made_by, licence=self.licence)
        return features.to(torch.float32)

    @abstractmethod
    def encode(self, prompt: str) -> Tensor:
        """The features that the recipe takes, [T,width] in the layers' precision."""

    def adjusted(self, config: Any) -> Any:
        """The network's configuration as the recipe wants it."""
        return config

    @cached_property
    def tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(
            self.tokenizer_path, local_files_only=True, padding_side="right"
        )

    @cached_property
    def model(self) -> Any:
        import transformers

        config = transformers.AutoConfig.from_pretrained(self.model_path, local_files_only=True)
        model = load_pretrained(
            getattr(transformers, self.network),
            self.model_path,
            fix="fetch the folder again, or point text.source at another one",
            unused=UNUSED,
            config=self.adjusted(config),
            dtype=self.dtype,
            attn_implementation=self.attention,
        )
        return model.eval().requires_grad_(False).to(self.device)

    def _read_config(self) -> Any:
        file = self.model_path / "config.json"
        _require(file, f"A {self.network} is described there.")
        config = json.loads(file.read_text(encoding="utf-8"))
        if config.get("model_type") != self.model_type:
            raise UsageError(
                f"{file} describes a {config.get('model_type')}.",
                f"These features are made by a {self.model_type}.",
                "point text.source at another folder, or choose another text",
            )
        return config


def _weight_files(folder: Path) -> list[Path]:
    index = folder / (WEIGHTS + ".index.json")
    names = ["config.json", WEIGHTS]
    if index.is_file():
        shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        names = ["config.json", index.name, *sorted(set(shards))]
    for name in names:
        _require(folder / name, f"A language model is loaded from {' and '.join(names)}.")
    return [folder / name for name in names]


def _tokenizer_files(folder: Path) -> list[Path]:
    _require(folder / TOKENIZER_FILES[0], "Text becomes tokens by it.")
    return [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]


def _require(file: Path, why: str) -> None:
    if not file.is_file():
        raise UsageError(
            f"{file.parent} holds no {file.name}.",
            why,
            "point text.source at the right folder, or leave it out to use the asset table",
        )
