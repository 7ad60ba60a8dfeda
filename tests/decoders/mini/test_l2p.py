"""The small L2P is L2P: its network, its words, its file, and what it says of itself."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from decoders.l2p.decoder import L2P
from decoders.l2p.network import L2PNetwork
from decoders.l2p.sampler import schedule
from decoders.mini.l2p import (
    CHECKPOINT,
    CONFIG,
    FORMAT,
    TABLE,
    TOKENS,
    WEIGHTS,
    L2PMini,
    Words,
    places,
)
from decoders.mini.l2p_batch import Model
from qa import seeds
from qa.config import build, compose
from qa.drawings.figures import TAGS, WORDS, prompts
from qa.errors import QaError, UsageError
from qa.types import DecodeRequest, Knobs

NUMBERS = WEIGHTS.with_suffix(".json")


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    pass


@pytest.fixture(scope="module")
def decoder() -> L2PMini:
    return L2PMini(device="cpu")


def request(prompt="a red circle", seed=0, content="c", size=(64, 64), **knobs):
    return DecodeRequest("s", seed, content, *size, prompt=prompt, knobs=Knobs(**knobs))


# --------------------------------------------------------------------------------------- the file


def test_the_file_is_small_half_precision_and_says_what_it_is() -> None:
    tensors = load_file(WEIGHTS)
    with safe_open(WEIGHTS, framework="pt") as file:
        header = file.metadata()
    assert WEIGHTS.stat().st_size < 16e6
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert header["format"] == FORMAT
    assert header["words"].split() == list(WORDS)
    assert header["license"] == "Apache-2.0"
    assert int(header["steps"]) == json.loads(NUMBERS.read_text())["steps"]


def test_the_file_holds_the_network_of_l2p_and_a_table_and_no_more(decoder) -> None:
    tensors = load_file(WEIGHTS)
    table = tensors.pop(TABLE)
    network = L2PNetwork(CONFIG).state_dict()
    assert {key: value.shape for key, value in tensors.items()} == {
        key: value.shape for key, value in network.items()
    }
    assert table.shape == (1 + len(WORDS), CONFIG.cap_feat_dim)
    assert type(decoder.network) is L2PNetwork
    for key, value in decoder.network.state_dict().items():
        assert torch.equal(value, tensors[key].float())


@pytest.mark.parametrize("change", ["missing", "left over", "another shape"])
def test_loading_is_strict(tmp_path: Path, change: str) -> None:
    tensors, key = load_file(WEIGHTS), "layers.0.attention.to_q.weight"
    if change == "missing":
        del tensors[key]
    elif change == "left over":
        tensors[key := "layers.9.attention.to_q.weight"] = torch.zeros(2, 2)
    else:
        tensors[key] = torch.zeros(2, 2)
    path = tmp_path / "x.safetensors"
    save_file(tensors, path, {"format": FORMAT, "words": " ".join(WORDS)})
    with pytest.raises(UsageError, match=key.replace(".", r"\.")):
        L2PMini(path=str(path), device="cpu")


@pytest.mark.parametrize("header", [{"format": "mini-vae/1"}, {}, None])
def test_another_format_is_refused(tmp_path: Path, header: dict | None) -> None:
    path = tmp_path / "x.safetensors"
    save_file(load_file(WEIGHTS), path, header)
    with pytest.raises(UsageError, match=r"mini-vae/1|unknown format"):
        L2PMini(path=str(path), device="cpu")


def test_a_file_that_is_not_there_or_broken_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no file"):
        L2PMini(path=str(tmp_path / "nowhere.safetensors"))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"broken")
    with pytest.raises(QaError, match="cannot be read"):
        L2PMini(path=str(broken))


# -------------------------------------------------------------------------------------- the words


def test_words_are_rows_of_the_table_and_row_0_fills_up() -> None:
    assert places("a red circle", ("circle", "a", "red")) == [2, 3, 1] + [0] * (TOKENS - 3)
    assert places("", WORDS) == [0] * TOKENS
    words, table = Words(WEIGHTS), load_file(WEIGHTS)[TABLE].float()
    found = words("a circle left of a star")
    spoken = ["a", "circle", "left", "of", "a", "star"]
    assert torch.equal(found[:6], table[[WORDS.index(word) + 1 for word in spoken]])
    assert torch.equal(found[6:], table[:1].expand(TOKENS - 6, -1))
    assert found.dtype == torch.float32
    assert words.width == CONFIG.cap_feat_dim


def test_every_prompt_of_the_language_fits() -> None:
    every = [prompt for tag in TAGS for prompt in prompts(tag)]
    assert max(len(prompt.split()) for prompt in every) <= TOKENS
    assert len({tuple(places(prompt, WORDS)) for prompt in every}) == len(every)


@pytest.mark.parametrize("prompt", ["a pink circle", "a Red circle", "a red circle."])
def test_an_unknown_word_is_refused_and_the_vocabulary_named(decoder, prompt: str) -> None:
    with pytest.raises(UsageError, match="unknown to this small network") as caught:
        decoder.decode([request(prompt)])
    assert all(word in str(caught.value) for word in WORDS)


def test_too_many_words_and_no_prompt_at_all_are_refused(decoder) -> None:
    with pytest.raises(UsageError, match="9 words"):
        decoder.decode([request(" ".join(["a"] * 9))])
    with pytest.raises(QaError, match="no prompt"):
        decoder.decode([request(None)])
    with pytest.raises(UsageError, match="'ugly'"):
        L2PMini(negative="ugly")


# ------------------------------------------------------------------------------------ the decoder


def test_the_role(decoder) -> None:
    assert isinstance(decoder, L2P)
    assert decoder.space is None
    assert decoder.size == (64, 64)
    assert decoder.needs_prompt
    assert decoder.licence == "Apache-2.0"
    assert decoder.tokens(request()) == 64


def test_the_configuration_builds_it(decoder) -> None:
    built = build(compose(["decoder=l2p_mini", "device=cpu"]).group("decoder"), "decoder")
    assert built.digest == decoder.digest


def test_the_digest_stands_for_weights_and_settings(decoder, tmp_path: Path) -> None:
    tensors = load_file(WEIGHTS)
    tensors[TABLE] = tensors[TABLE] + 1
    other = tmp_path / "other.safetensors"
    save_file(tensors, other, {"format": FORMAT, "words": " ".join(WORDS)})
    digests = {decoder.digest} | {
        L2PMini(device="cpu", **changes).digest
        for changes in ({"path": str(other)}, {"negative": "a star"}, {"dtype": "bfloat16"})
    }
    assert len(digests) == 4
    assert L2PMini(path=str(WEIGHTS), device="cpu").digest == decoder.digest


def test_two_steps_by_hand(decoder) -> None:
    """Noise of the request; guidance 3 away from the empty prompt; shift 3; pixels (x + 1) / 2."""
    x = seeds.noise(seeds.INITIAL_NOISE, "c", 5, (3, 64, 64))
    said, nothing = decoder.text("two stars"), decoder.text("")
    with torch.inference_mode():
        for now, after in pairwise(schedule(2, 3.0)):
            towards = decoder.network.velocity(x, now, said)
            away = decoder.network.velocity(x, now, nothing)
            x = x + (away + 3.0 * (towards - away)) * (after - now)
    (pixels,) = decoder.decode([request("two stars", seed=5, steps=2)])
    assert torch.equal(pixels, (x + 1) / 2)


def test_the_card_has_the_knobs_of_the_row() -> None:
    assert (CHECKPOINT.steps, CHECKPOINT.cfg, CHECKPOINT.shift) == (20, 3.0, 3.0)


# ------------------------------------------------------------------------------- its batched twin


def test_a_batch_gives_what_the_network_gives_one_by_one() -> None:
    """Also with the gates of a network that has learned: at the start they are nearly shut."""
    model, generator = Model(WORDS, kinds=5), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    x = torch.randn((3, 3, 64, 64), generator=generator)
    s, said = torch.tensor([0.97, 0.5, 0.02]), ["two stars", "", "a red circle and a blue star"]
    with torch.no_grad():
        together, scores = model(x, s, said)
        texts = [model.table[places(prompt, WORDS)] for prompt in said]
        alone = model.network(x, s, texts)
        swapped = model.network(x, s, texts[::-1])
    assert scores.shape == (3, 64, 5)
    assert together.std() > 0.1
    assert torch.allclose(together, alone, atol=2e-5 * alone.abs().max().item())
    assert not torch.allclose(together, swapped, atol=1e-3)
