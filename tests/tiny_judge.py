"""A vision-language model of a few thousand drawn values, with its own words, in a folder."""

from __future__ import annotations

from pathlib import Path

import torch

WORDS = (
    "<unk> <s> <image> USER: ASSISTANT: How would you rate the quality of this image? The is image "
    "excellent good fair poor bad"
).split()
TEMPLATE = (
    "<s> USER: {% for part in messages[0]['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }} {% endif %}"
    "{% endfor %}ASSISTANT:"
)
SIDE, PATCH = 28, 14


def write_judge(folder: Path, words: list[str] = WORDS, template: str | None = TEMPLATE) -> Path:
    """LLaVA's model and processor as transformers saves them."""
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
             "num_attention_heads": 2}  # fmt: skip
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(image_size=SIDE, patch_size=PATCH, **small),
        text_config=LlamaConfig(vocab_size=len(words), initializer_range=0.5, **small),
        image_token_index=words.index("<image>"),
    )
    with torch.random.fork_rng():
        torch.manual_seed(5)
        LlavaForConditionalGeneration(config).save_pretrained(folder)
    LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}),
        _tokenizer(words),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
        chat_template=template,
    ).save_pretrained(folder)
    return folder


def _tokenizer(words: list[str]) -> object:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<unk>", bos_token="<s>",
        extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip
