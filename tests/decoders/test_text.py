"""Gemma and Qwen3 give the features of their recipes, cache them, and refuse what does not fit.

The networks are tiny and random, with one token for each letter: what is checked is the recipe
around them, by tokens counted by hand and by the networks' own layers.
"""

import hashlib
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from decoders.text import Gemma, Qwen3, Stored
from decoders.text.encoders import PREFIX_SHA256, instruction
from qa.errors import QaError, UsageError

SIZE = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 2048, "vocab_size": 135,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 3,
}  # fmt: skip
MARKS = ["<pad>", "<bos>", "<|im_start|>", "<|im_end|>"]
LETTERS = [*map(chr, range(128)), *"éï猫"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
    "{% endif %}"
)
PROMPTS = ["", "a cat", "naïve café, 猫", "long " * 90]
CPU = {"dtype": "float32", "device": "cpu"}


def ids_of(text: str) -> list[int]:
    """Tokens by hand: a mark is one token, everything else goes letter by letter."""
    for place, mark in enumerate(MARKS):
        if mark in text:
            before, after = text.split(mark, 1)
            return [*ids_of(before), place, *ids_of(after)]
    return [len(MARKS) + LETTERS.index(letter) for letter in text]


def tokenizer(bos: bool):
    from tokenizers import Tokenizer, models, processors
    from transformers import PreTrainedTokenizerFast

    places = {token: place for place, token in enumerate([*MARKS, *LETTERS])}
    one = Tokenizer(models.BPE(places, []))
    if bos:
        one.post_processor = processors.TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", 1)]
        )
    marks = {"pad_token": "<pad>", "bos_token": "<bos>", "additional_special_tokens": MARKS[2:]}
    return PreTrainedTokenizerFast(tokenizer_object=one, **marks)


def save(model, folder) -> None:
    """With weights large enough for every layer to matter."""
    generator = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        parameter.data = 0.4 * torch.randn(parameter.shape, generator=generator)
    model.save_pretrained(folder)


@pytest.fixture(scope="session")
def gemma(tmp_path_factory):
    """A Gemma-2 as it is published: weights of the causal model and tokenizer in one folder."""
    import transformers

    folder = tmp_path_factory.mktemp("tiny-gemma")
    config = transformers.Gemma2Config(
        **SIZE, query_pre_attn_scalar=8, attn_logit_softcapping=1.0, sliding_window=2048
    )
    save(transformers.Gemma2ForCausalLM(config), folder)
    tokenizer(bos=True).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def qwen(tmp_path_factory):
    """A Qwen3 in diffusers' layout: text_encoder/ and tokenizer/."""
    import transformers

    folder = tmp_path_factory.mktemp("tiny-qwen")
    config = transformers.Qwen3Config(**SIZE, tie_word_embeddings=True)
    save(transformers.Qwen3ForCausalLM(config), folder / "text_encoder")
    fast = tokenizer(bos=False)
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder / "tokenizer")
    return folder


@pytest.fixture(autouse=True)
def _cache(workdir):
    """Every test has a cache of its own."""


def network(name: str, folder, **changes):
    """The bare network of a folder, loaded without the code under test."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder)
    for key, value in changes.items():
        setattr(config, key, value)
    return getattr(transformers, name).from_pretrained(
        folder, config=config, dtype=torch.float32, attn_implementation="eager"
    ).eval()  # fmt: skip


@torch.no_grad()
def gemma_by_hand(folder, prompt: str, *, masked: bool = True, cap: float | None = None):
    start = [1, *ids_of(instruction())]
    wanted = len(start) + 298
    ids = [*start, *ids_of(prompt)][:wanted]
    mask = torch.tensor([[1] * len(ids) + [0] * (wanted - len(ids))])
    ids = torch.tensor([ids + [0] * (wanted - len(ids))])
    model = network("Gemma2Model", folder, attn_logit_softcapping=cap)
    states = model(ids, attention_mask=mask if masked else torch.ones_like(mask))
    return states.last_hidden_state[0, [0, *range(len(start) - 1, wanted)]]


@torch.no_grad()
def qwen_by_hand(folder, prompt: str, layer: int = -2, padded: bool = True):
    """The output of one layer, caught on the way, for the prompt padded to 512 as L2P does."""
    text = f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
    ids = ids_of(text)[:512]
    rest = 512 - len(ids) if padded else 0
    model = network("Qwen3Model", folder / "text_encoder")
    caught = []
    model.layers[layer].register_forward_hook(lambda *call: caught.append(call[2]))
    mask = torch.tensor([[1] * len(ids) + [0] * rest])
    model(torch.tensor([ids + [0] * rest]), attention_mask=mask)
    output = caught[0][0] if isinstance(caught[0], tuple) else caught[0]
    return output.reshape(-1, 16)[: len(ids)]


def test_the_instruction_is_the_one_pid_was_trained_with(monkeypatch):
    from diffusers import SanaPipeline

    text = instruction()
    assert hashlib.sha256(text.encode()).hexdigest() == PREFIX_SHA256
    assert text.endswith("User Prompt: ")
    as_sana = text.replace('"Enhanced prompt"', "'Enhanced prompt'")
    assert hashlib.sha256(as_sana.encode()).hexdigest() != PREFIX_SHA256

    lines = (*text.split("\n"), "")

    def changed(complex_human_instruction=lines): ...

    monkeypatch.setattr(SanaPipeline, "__call__", changed)
    with pytest.raises(UsageError, match=f"instead of {PREFIX_SHA256}"):
        instruction()


@pytest.mark.parametrize("prompt", PROMPTS)
def test_gemma_follows_pids_recipe(prompt, gemma):
    features = Gemma(str(gemma), **CPU)(prompt)
    assert list(features.shape) == [300, 16]
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, gemma_by_hand(gemma, prompt), rtol=1e-5, atol=1e-5)


def test_other_recipes_for_gemma_would_show(gemma):
    features = Gemma(str(gemma), **CPU)("a cat")
    capped = Gemma(str(gemma), **CPU, softcap=True)("a cat")
    by_hand = gemma_by_hand(gemma, "a cat", cap=1.0)
    torch.testing.assert_close(capped, by_hand, rtol=1e-5, atol=1e-5)
    assert (features - capped).abs().max() > 0.01
    unmasked = gemma_by_hand(gemma, "a cat", masked=False)
    assert torch.allclose(unmasked[:7], features[:7], atol=1e-5)  # causal: only padding differs
    assert (unmasked - features).abs().max() > 0.01


@pytest.mark.parametrize("prompt", [*PROMPTS, "longer " * 100])
def test_qwen_follows_l2ps_recipe(prompt, qwen):
    features = Qwen3(str(qwen), **CPU)(prompt)
    expected = qwen_by_hand(qwen, prompt)
    assert features.dtype == torch.float32
    assert len(features) == min(512, len(prompt) + 19)
    torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-5)


def test_another_layer_of_qwen_would_show(qwen):
    features = Qwen3(str(qwen), **CPU)("a cat")
    for layer in (0, -1):
        assert (features - qwen_by_hand(qwen, "a cat", layer)).abs().max() > 0.01


@pytest.mark.parametrize("kind", [Gemma, Qwen3])
def test_a_known_prompt_needs_no_model_and_gives_the_same(kind, request, workdir):
    folder = request.getfixturevalue(kind.__name__.lower().rstrip("3"))
    encoder = kind(str(folder), dtype="bfloat16", device="cpu")
    first = {prompt: encoder(prompt) for prompt in ("a", "", "b")}
    assert encoder.cache.parent == workdir / "cache" / "text"
    assert not torch.equal(first["a"], first["b"])

    again = kind(str(folder), dtype="bfloat16", device="cpu")
    assert all(torch.equal(again(prompt), first[prompt]) for prompt in ("b", "a", ""))
    assert "model" not in vars(again)  # nothing was loaded
    again("c")
    assert "model" in vars(again)

    stored = Stored(str(encoder.cache))
    assert all(torch.equal(stored(prompt), one) for prompt, one in first.items())
    assert (stored.width, stored.licence) == (encoder.width, encoder.licence)
    assert encoder.digest[:12] in stored.label


def test_neither_the_prompts_before_nor_the_place_of_the_files_matter(gemma, tmp_path):
    import transformers

    sharded = shutil.copytree(gemma, tmp_path / "sharded")
    (sharded / "model.safetensors").unlink()
    causal = transformers.Gemma2ForCausalLM.from_pretrained(gemma, dtype=torch.float32)
    causal.save_pretrained(sharded, max_shard_size="5KB")
    assert len(list(sharded.glob("*.safetensors"))) > 1
    moved = shutil.copytree(gemma, tmp_path / "moved")
    one, two, three = (Gemma(str(folder), **CPU) for folder in (gemma, sharded, moved))
    one("something else")
    assert torch.equal(one("a cat"), two("a cat"))
    assert one.digest == three.digest != two.digest
    three("a dog")
    assert Stored(str(one.cache)).needs_prompt  # one encoder's, although two folders made them


def test_a_damaged_cache_file_is_made_again(gemma):
    encoder = Gemma(str(gemma), **CPU)
    first = encoder("a cat")
    (file,) = encoder.cache.iterdir()
    good = file.read_bytes()
    encoder("a dog")
    (another,) = set(encoder.cache.iterdir()) - {file}
    for damage in (good[:-8], b"", b"x" * 100, another.read_bytes()):
        file.write_bytes(damage)
        assert torch.equal(encoder("a cat"), first)
        assert torch.equal(Stored(str(encoder.cache))("a cat"), first)


def test_digests_tell_settings_and_weights_apart(gemma, qwen, tmp_path):
    changed = shutil.copytree(gemma, tmp_path / "changed")
    edit(changed, lambda tensors: tensors["model.norm.weight"].add_(1))
    renamed = shutil.copytree(gemma, tmp_path / "renamed")
    tokens = renamed / "tokenizer_config.json"
    tokens.write_text(json.dumps(json.loads(tokens.read_text()) | {"more": 1}))
    made = [
        Gemma(str(gemma), **CPU), Gemma(str(gemma), dtype="bfloat16", device="cpu"),
        Gemma(str(changed), **CPU), Gemma(str(gemma), **CPU, softcap=True),
        Gemma(str(renamed), **CPU), Qwen3(str(qwen), **CPU),
    ]  # fmt: skip
    assert len({one.digest for one in made}) == len(made)
    assert not torch.equal(made[0]("a"), made[2]("a"))


def edit(folder, change) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


def test_a_head_is_passed_over_and_anything_else_left_over_or_missing_refused(gemma, tmp_path):
    expected = Gemma(str(gemma), **CPU)("a cat")
    key = "model.layers.1.mlp.up_proj.weight"
    cases = {
        "lm_head.weight": lambda tensors: tensors.update({"lm_head.weight": torch.ones(135, 16)}),
        "unexpected": lambda tensors: tensors.update({"model.extra": torch.ones(1)}),
        "missing": lambda tensors: tensors.pop(key),
        "cannot be loaded": lambda tensors: tensors.update({key: torch.ones(3, 3)}),
        "NaN": lambda tensors: tensors[key].fill_(torch.nan),
    }
    for name, change in cases.items():
        folder = shutil.copytree(gemma, tmp_path / name.replace(" ", "-"))
        edit(folder, change)
        encoder = Gemma(str(folder), **CPU)
        if name == "lm_head.weight":
            assert torch.equal(encoder("a cat"), expected)
            continue
        with pytest.raises(QaError, match=name):
            encoder("a cat")
        assert not encoder.cache.exists()


def test_refusals_say_what_is_wrong(gemma, qwen, tmp_path):
    with pytest.raises(QaError, match="no prompt"):
        Gemma(str(gemma), **CPU)(None)
    with pytest.raises(UsageError, match="describes a qwen3"):
        Gemma(str(qwen / "text_encoder"), **CPU)
    with pytest.raises(UsageError, match=r"holds no config\.json"):
        Qwen3(str(gemma), **CPU)
    for name in ("model.safetensors", "tokenizer.json"):
        folder = shutil.copytree(gemma, tmp_path / name)
        (folder / name).unlink()
        with pytest.raises(UsageError, match=f"holds no {name}"):
            Gemma(str(folder), **CPU)
    bare = shutil.copytree(gemma, tmp_path / "bare")
    tokenizer(bos=False).save_pretrained(bare)
    with pytest.raises(UsageError, match="another token"):
        Gemma(str(bare), **CPU)("a cat")
