"""A language model as a judge: the value from raw logits, and what it refuses."""

import math

import pytest
import torch
from battery import drawing
from tiny_judge import TEMPLATE, WORDS, write_judge

from qa.errors import Unavailable, UsageError
from qa.metrics.vlm import VLMJudge, level

LEVELS = WORDS[-5:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_judge(tmp_path_factory.mktemp("judge"))


@pytest.fixture(scope="module")
def judge(folder):
    return VLMJudge(path=str(folder), dtype="float32")


def test_levels_run_from_excellent_to_bad():
    assert LEVELS == ["excellent", "good", "fair", "poor", "bad"]
    assert float(level(torch.zeros(5))) == pytest.approx(3)
    sure = torch.tensor([0.0, 0.0, 0.0, 0.0, 50.0])
    assert float(level(sure)) == pytest.approx(1)
    assert float(level(sure.flip(0))) == pytest.approx(5)
    weights = [math.exp(x) for x in (0.3, -1, 2, 0.1, 0.7)]
    wanted = sum(k * w for k, w in zip((5, 4, 3, 2, 1), weights, strict=True)) / sum(weights)
    assert float(level(torch.tensor([0.3, -1, 2, 0.1, 0.7]))) == pytest.approx(wanted, abs=1e-6)


def test_the_value_is_that_of_the_raw_logits(judge, monkeypatch):
    """Other words' logits do not matter; those of the five do."""
    picture = drawing(40, 50)
    raw = []
    forward = judge._model.forward

    def watched(*args, **kwargs):
        out = forward(*args, **kwargs)
        raw.append(out.logits[0, -1].double())
        return out

    monkeypatch.setattr(judge._model, "forward", watched)
    value = judge(picture[None], None)[0]
    places = [WORDS.index(word) for word in LEVELS]
    odds = raw[0][places].exp()
    by_hand = float((odds * torch.tensor([5.0, 4, 3, 2, 1])).sum() / odds.sum())
    assert value == pytest.approx(by_hand, abs=1e-9)
    shifted = raw[0][[place - 1 for place in places]].exp()
    wrong = float((shifted * torch.tensor([5.0, 4, 3, 2, 1])).sum() / shifted.sum())
    assert value != pytest.approx(wrong, abs=1e-3)


def test_it_looks_at_the_picture_and_at_the_question(folder, judge):
    pictures = torch.stack([drawing(40, 50), 255 - drawing(40, 50)])
    first, second = judge(pictures, None)
    assert abs(first - second) > 1e-6
    other = VLMJudge(path=str(folder), question="How is this image?", dtype="float32")
    assert other(pictures, None)[0] != first
    assert other.facts.protocol["prompt"] != judge.facts.protocol["prompt"]


def test_the_prompt_is_the_templates_and_begins_once(judge):
    assert judge.facts.protocol["prompt"].startswith("<s> USER: <image> How would you rate")
    assert judge.facts.protocol["prompt"].endswith("ASSISTANT: The quality of the image is")
    assert judge._starts is False


def test_a_template_without_a_start_leaves_it_to_the_tokenizer(tmp_path):
    plain = VLMJudge(path=str(write_judge(tmp_path, template=TEMPLATE[4:])), dtype="float32")
    assert plain._starts is True
    assert plain.facts.protocol["prompt"].startswith("USER:")


def test_dtype_and_weights_are_in_the_protocol(folder, judge):
    half = VLMJudge(path=str(folder))
    assert half.facts.protocol["dtype"] == "bfloat16"
    value, exact = half(drawing(40, 50)[None], None)[0], judge(drawing(40, 50)[None], None)[0]
    assert value != exact
    assert value == pytest.approx(exact, abs=0.1)
    assert half.facts.protocol["folder_sha256"] == judge.facts.protocol["folder_sha256"]
    with pytest.raises(UsageError, match="float16"):
        VLMJudge(path=str(folder), dtype="float16")


def test_only_local_files_and_no_code(monkeypatch, folder):
    asked = []
    from transformers import AutoModelForImageTextToText as Model

    read = Model.from_pretrained
    monkeypatch.setattr(Model, "from_pretrained", lambda *a, **k: asked.append(k) or read(*a, **k))
    VLMJudge(path=str(folder))
    assert asked[0]["local_files_only"] is True
    assert asked[0]["trust_remote_code"] is False


def test_folders_that_are_no_judge(tmp_path, folder):
    with pytest.raises(Unavailable, match="There is no model"):
        VLMJudge(path=str(tmp_path))
    with pytest.raises(UsageError, match="either a path or an asset"):
        VLMJudge()
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UsageError, match="cannot load a judge"):
        VLMJudge(path=str(tmp_path))
    mixed = [*WORDS[:-1], "worse"]  # no word "bad": it would be the unknown word
    strange = [*WORDS[:-2], "worse", "worst"]
    write_judge(tmp_path / "a", words=mixed)
    VLMJudge(path=str(tmp_path / "a"))  # one unknown word is still a token of its own
    write_judge(tmp_path / "b", words=strange)
    with pytest.raises(UsageError, match="told apart"):
        VLMJudge(path=str(tmp_path / "b"))
    write_judge(tmp_path / "c", template=None)
    with pytest.raises(UsageError, match="no chat template"):
        VLMJudge(path=str(tmp_path / "c"))


def test_licence_is_stated_or_unknown(folder, judge):
    assert judge.facts.licence == "not stated"
    assert VLMJudge(path=str(folder), licence="Apache-2.0").facts.licence == "Apache-2.0"
