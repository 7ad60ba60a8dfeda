"""CLIP-IQA: torchmetrics' formula on our file, the written tokens, and what is refused."""

import warnings
from types import SimpleNamespace

import pytest
import torch
from battery import drawing
from quality_weights import at_hand, clip_state

from qa.errors import AssetMissing, UsageError
from qa.metrics import clip_iqa
from qa.metrics.clip_iqa import CLIPIQA, TOKENS


@pytest.fixture(scope="module")
def metric():
    with at_hand("RN50.pt"):
        return CLIPIQA()


class Processor:
    """The tokenizer of transformers, whose vocabulary is a download."""

    tokenizer = SimpleNamespace(model_max_length=77)

    def __call__(self, text):
        return {"input_ids": [list(TOKENS[each]) for each in text]}


def test_equal_to_the_function_of_torchmetrics(metric, monkeypatch):
    from torchmetrics.functional.multimodal import clip_image_quality_assessment as function

    picture = drawing(70, 101)
    with at_hand("RN50.pt") as folder, warnings.catch_warnings(), torch.random.fork_rng():
        warnings.filterwarnings("ignore", message=".*torch.jit.load.*deprecated")
        monkeypatch.setattr(
            "piq.feature_extractors.clip._download", lambda *_: str(folder / "RN50.pt")
        )
        monkeypatch.setattr(
            "transformers.CLIPProcessor.from_pretrained", lambda *_, **__: Processor()
        )
        wanted = float(function(picture[None].float(), data_range=255))
        other = float(function(picture[None].float(), data_range=250))
    assert metric(picture[None], None)[0] == pytest.approx(wanted, abs=1e-6)
    assert metric(picture[None], None)[0] != pytest.approx(other, abs=1e-6)


def test_the_value_by_hand(metric):
    """exp(100 good) / (exp(100 good) + exp(100 bad)) from the network's own features."""
    picture = drawing(40, 64)
    mean, deviation = (
        torch.tensor(v).view(3, 1, 1)
        for v in ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
    )
    with torch.no_grad():
        seen = metric._network.encode_image(
            ((picture / 255 - mean) / deviation)[None], pos_embedding=False
        )
        texts = torch.zeros(2, 77, dtype=torch.long)
        texts[:, :5] = torch.tensor(list(TOKENS.values()))
        said = metric._network.encode_text(texts)
    good, bad = torch.nn.functional.cosine_similarity(seen, said).double() * 100
    value = metric(picture[None], None)[0]
    assert value == pytest.approx(float(1 / (1 + (bad - good).exp())), abs=1e-5)
    assert value != pytest.approx(float(1 / (1 + (good - bad).exp())), abs=1e-5)


def test_tokens_are_clips():
    """openai-clip ships the vocabulary."""
    pytest.importorskip("pyiqa", reason="an optional extra")
    from qa.metrics import pyiqa_offline

    with pyiqa_offline._pkg_resources(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clip = pytest.importorskip("clip", reason="an optional extra")
    for text, tokens in TOKENS.items():
        found = clip.tokenize(text)[0]
        assert tuple(found[: len(tokens)].tolist()) == tokens
        assert not found[len(tokens) :].any()


def test_no_position_embedding(metric):
    """A network that differs only there gives the same values; one that differs elsewhere not."""
    pictures = torch.stack([drawing(64, 64), drawing(64, 64, seed=3)])
    before = metric(pictures, None)
    with at_hand("RN50.pt"):
        other = CLIPIQA()
    other._network.visual.attnpool.positional_embedding.zero_()
    assert other(pictures, None) == before
    other._network.visual.attnpool.c_proj.bias.add_(1)
    assert other(pictures, None) != before


def test_nothing_is_downloaded(monkeypatch, tmp_path):
    monkeypatch.setattr("piq.feature_extractors.clip._download", None)
    monkeypatch.setenv("QA_CACHE", str(tmp_path))
    monkeypatch.delenv("QA_ASSETS", raising=False)
    monkeypatch.setenv("QA_OFFLINE", "1")
    with pytest.raises(AssetMissing, match=r"RN50\.pt"):
        CLIPIQA()


def test_another_file_is_refused(monkeypatch, tmp_path):
    torch.save(clip_state("resnet"), tmp_path / "RN50.pt")  # no program
    monkeypatch.setattr(clip_iqa.assets, "resolve", lambda name: tmp_path / name)
    with pytest.raises(UsageError, match=r"RN50\.pt cannot be used"):
        CLIPIQA()
