"""Language models as text features: gemma-2-2b-it for PiD, Qwen3-4B for L2P.

**Gemma** (PiD). The prompt follows an instruction, the one that Sana's pipeline has, with double
quotes round "Enhanced prompt". With n tokens of instruction, the beginning-of-text token among
them, instruction and prompt are cut or padded on the right to n + 298 tokens; of the final, normed
hidden states the first and the last 299 are kept:

    features = h[0], h[n-1], h[n], …, h[n+297]                                     [300, 2304]

Padding is masked inside the language model, as Sana does, but its features are part of the answer.
PiD's pinned transformers (4.57.1) leaves out the soft-capping of Gemma's attention scores, because
it runs Gemma through PyTorch's fused attention; `softcap=False` does the same.

**Qwen3** (L2P). The prompt is the single turn of a user in the model's chat template, with the
assistant's header after it and thinking allowed, cut to 512 tokens; features are the output of the
last layer but one, without the final norm, at every token:

    features = hidden_states[-2]                                                   [T, 2560]

Prompts pass one at a time.
"""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor

from decoders.text.language_model import LanguageModel
from qa.errors import UsageError

GEMMA_TOKENS = 300
PREFIX_SHA256 = "62b9ab89eebb0ac5ee4d264bf96bf19d2b81f504bc3852500efeaf5a34d638b1"
QWEN_TOKENS = 512


class Gemma(LanguageModel):
    """PiD's text features: gemma-2-2b-it, [300, 2304]. The folder holds weights and tokenizer.

    `softcap` soft-caps attention scores as the model's own configuration says; see the module's
    head for why it is off. Raises UsageError where the installed diffusers has another instruction.
    """

    model_type = "gemma2"
    network = "Gemma2Model"
    attention = "eager"

    def __init__(
        self,
        source: str | None = None,
        asset: str = "text-gemma-2-2b-it",
        dtype: str = "bfloat16",
        device: str = "auto",
        cache: str | None = None,
        softcap: bool = False,
    ) -> None:
        self.prefix = instruction()
        self.softcap = softcap
        recipe = f"prefix={PREFIX_SHA256} tokens={GEMMA_TOKENS} masked softcap={softcap}"
        super().__init__(source, asset, dtype, device, cache, recipe)

    def adjusted(self, config: Any) -> Any:
        if not self.softcap:
            config.attn_logit_softcapping = None
        return config

    def encode(self, prompt: str) -> Tensor:
        n = len(self.tokenizer(self.prefix).input_ids)
        batch = self.tokenizer(
            self.prefix + prompt,
            max_length=n + GEMMA_TOKENS - 2,
            padding="max_length",
            truncation=True,
            return_tensors="pt",
        ).to(self.device)
        if batch.input_ids[0, 0] != self.tokenizer.bos_token_id:
            raise UsageError(
                f"The tokenizer in {self.tokenizer_path} begins a text with another token.",
                "Gemma's texts begin with the beginning-of-text token.",
                "fetch tokenizer.json and tokenizer_config.json of the same model",
            )
        states = self.model(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False
        ).last_hidden_state[0]
        return torch.cat([states[:1], states[-(GEMMA_TOKENS - 1) :]])


class Qwen3(LanguageModel):
    """L2P's text features: Qwen3-4B, [T, 2560]; T counts the tokens of the templated prompt.

    The folder holds `text_encoder/` and `tokenizer/`, as Z-Image-Turbo does. No padding is added:
    attention is causal, so tokens after the prompt cannot change it.
    """

    model_type = "qwen3"
    network = "Qwen3Model"
    attention = "sdpa"
    model_folder = "text_encoder"
    tokenizer_folder = "tokenizer"

    def __init__(
        self,
        source: str | None = None,
        asset: str = "text-qwen3-4b",
        dtype: str = "bfloat16",
        device: str = "auto",
        cache: str | None = None,
    ) -> None:
        recipe = f"chat template, thinking, tokens<={QWEN_TOKENS} layer=-2"
        super().__init__(source, asset, dtype, device, cache, recipe)

    def encode(self, prompt: str) -> Tensor:
        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=True,
        )
        batch = self.tokenizer(
            text, max_length=QWEN_TOKENS, truncation=True, return_tensors="pt"
        ).to(self.device)
        states = self.model(
            input_ids=batch.input_ids, output_hidden_states=True, use_cache=False
        ).hidden_states
        return states[-2][0]


def instruction() -> str:
    """The 1057 characters that PiD puts before every prompt, from the installed diffusers.

    Raises UsageError where diffusers has another text than the one that PiD was trained with.
    """
    import inspect

    import diffusers

    parameters = inspect.signature(diffusers.SanaPipeline.__call__).parameters
    lines = parameters["complex_human_instruction"].default
    text = "\n".join(lines).replace("'Enhanced prompt'", '"Enhanced prompt"')
    found = hashlib.sha256(text.encode()).hexdigest()
    if found != PREFIX_SHA256:
        raise UsageError(
            "The instruction that PiD puts before a prompt cannot be built.",
            f"diffusers {diffusers.__version__} has one with SHA-256 {found} instead of "
            f"{PREFIX_SHA256}.",
            "pip install diffusers==0.42.1",
        )
    return text
