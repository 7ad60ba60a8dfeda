"""Judges without a server: a model in this process, mPLUG, recorded answers, and what they see."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from battery import drawing
from dpg_toys import answers_file, grey, toy_answers
from tiny_judge import write_judge

from qa.errors import Unavailable, UsageError
from suites.dpg.judges import Asked
from suites.dpg.judges.mplug import MEAN, MODEL, SPREAD, MPlug, squashed
from suites.dpg.judges.replay import Replay
from suites.dpg.judges.vision import VisionModel
from suites.dpg.questions import Question

QUESTIONS = tuple(
    Question(number, text, (), "") for number, text in enumerate(["Is cat", "Is good"], 1)
)
ASKED = Asked("toy", 0, 0, QUESTIONS)
SPOKEN = "<unk> <s> <image> USER: ASSISTANT: Is cat good yes Yes no No NO".split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_judge(tmp_path_factory.mktemp("judge"), words=SPOKEN)


@pytest.fixture(scope="module")
def vision(folder):
    return VisionModel(path=str(folder), dtype="float32")


def test_a_model_in_this_process_is_read_from_raw_logits(vision, monkeypatch, one_thread):
    raw = []
    forward = vision._model.forward

    def watched(*args, **kwargs):
        out = forward(*args, **kwargs)
        raw.append(out.logits[0, -1].double())
        return out

    monkeypatch.setattr(vision._model, "forward", watched)
    found = vision.ask(drawing(40, 50), ASKED)
    assert len(found) == len(raw) == 2
    for answer, logits in zip(found, raw, strict=True):
        odds = torch.softmax(logits, -1)
        yes = sum(float(odds[SPOKEN.index(word)]) for word in ("yes", "Yes"))
        no = sum(float(odds[SPOKEN.index(word)]) for word in ("no", "No", "NO"))
        if yes + no < 0.1:
            assert answer.yes is None
        else:
            assert answer.yes == pytest.approx(yes / (yes + no), abs=1e-9)
        assert answer.said == SPOKEN[int(logits.argmax())]
    assert any(answer.yes is not None for answer in found)


def test_it_looks_at_picture_and_question(vision, one_thread):
    vision.check(["toy"])
    first, second = (answer.yes for answer in vision.ask(drawing(40, 50), ASKED))
    assert first != second
    assert vision.ask(255 - drawing(40, 50), ASKED)[0].yes != first


def test_its_settings_are_in_its_digest(vision, folder):
    for more in ({"template": "{question}"}, {"max_pixels": 100}, {"dtype": "bfloat16"}):
        assert (
            VisionModel(path=str(folder), **({"dtype": "float32"} | more)).digest != vision.digest
        )
    assert VisionModel(path=str(folder), dtype="float32").digest == vision.digest


def test_a_model_without_words_for_yes_and_no(tmp_path):
    write_judge(tmp_path, words=[word for word in SPOKEN if word.lower() != "no"])
    with pytest.raises(UsageError, match="no single token"):
        VisionModel(path=str(tmp_path), dtype="float32")
    with pytest.raises(UsageError, match=r"metric\.dpg_vision\.judge needs either"):
        VisionModel()


class Vision(torch.nn.Module):
    """How bright a picture is."""

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.zeros(1))
        self.looks = 0

    def forward(self, image, skip_last_layer):
        self.looks += 1
        return image.mean() * self.gain


class Network(torch.nn.Module):
    """A stand-in for modelscope's: yes to questions on cats about bright pictures."""

    def __init__(self, settings):
        super().__init__()
        assert settings.distill is False
        self.side = settings.image_res
        self.visual_encoder = torch.nn.Module()
        self.visual_encoder.visual = Vision()
        self.tokenizer = Tokenizer()

    def forward(self, image, question, train):
        assert image.shape == (1, 3, self.side, self.side)
        bright = self.visual_encoder.visual(image, skip_last_layer=True) > 0
        return [["yes" if bright and "cat" in question.text else "no cat"]], None


class Tokenizer:
    def __call__(self, text, **settings):
        assert settings["max_length"] == 25
        assert text == text.lower()
        return SimpleNamespace(to=lambda device: SimpleNamespace(text=text))

    def decode(self, found, skip_special_tokens):
        return found


class Settings:
    image_res = 12

    @classmethod
    def from_yaml_file(cls, file):
        return cls()


@pytest.fixture
def modelscope(monkeypatch, tmp_path):
    """A stand-in for the package, with a model to download."""
    names = "", ".models", ".models.multi_modal", ".models.multi_modal.mplug"
    parts = {f"modelscope{name}": ModuleType(f"modelscope{name}") for name in names}
    mplug = parts["modelscope.models.multi_modal.mplug"]
    mplug.modeling_mplug = SimpleNamespace(
        BertPreTrainedModel=type("Bert", (), {"dtype": torch.float32}),
        MPlugForVisualQuestionAnswering=Network,
    )
    config = ModuleType(f"{mplug.__name__}.configuration_mplug")
    config.MPlugConfig = Settings
    fetched = []
    parts["modelscope"].snapshot_download = lambda model, revision: (
        fetched.append((model, revision)) or str(write_mplug(tmp_path))
    )
    for name, module in {**parts, config.__name__: config}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("suites.dpg.judges.mplug.version", lambda name: "1.40")
    monkeypatch.delenv("QA_OFFLINE", raising=False)
    return SimpleNamespace(fetched=fetched, bert=mplug.modeling_mplug.BertPreTrainedModel)


def write_mplug(folder, gain=1.0, name="visual_encoder.visual.gain"):
    (folder / "config.yaml").write_text("")
    torch.save(
        {"model": {f"model.{name}": torch.tensor(gain).reshape(-1)}}, folder / "pytorch_model.bin"
    )
    return folder


def test_mplug_says_yes_or_something_else(modelscope):
    judge = MPlug()
    assert modelscope.fetched == [(MODEL, None)]
    found = judge.ask(grey(200), ASKED)
    assert [(answer.said, answer.yes) for answer in found] == [("yes", 1), ("no cat", 0)]
    assert judge._model.visual_encoder.visual.looks == 1  # one look for both questions
    assert [answer.yes for answer in judge.ask(grey(20), ASKED)] == [0, 0]
    MPlug(revision="v1")
    assert modelscope.fetched[1] == (MODEL, "v1")


def test_mplug_needs_all_its_weights(modelscope, tmp_path):
    first = MPlug(path=str(write_mplug(tmp_path)))
    assert modelscope.fetched == []
    assert MPlug(path=str(write_mplug(tmp_path, 2.0))).digest != first.digest
    with pytest.raises(UsageError, match="1 parameters are missing"):
        MPlug(path=str(write_mplug(tmp_path, name="another")))
    with pytest.raises(UsageError, match=r"config\.yaml and pytorch_model\.bin is missing"):
        MPlug(path=str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("gain", "why"),
    [(float("nan"), "gain holds NaN or infinity"), ([1.0, 2.0], "shape|size mismatch")],
)
def test_mplug_refuses_weights_that_are_none(modelscope, tmp_path, gain, why):
    with pytest.raises(UsageError, match=rf"is not mPLUG as modelscope knows it\..*({why})"):
        MPlug(path=str(write_mplug(tmp_path, gain)))


def test_mplug_gets_what_transformers_took_away(modelscope, tmp_path):
    MPlug(path=str(write_mplug(tmp_path)))
    bert = modelscope.bert()
    assert bert.get_head_mask(None, 3) == [None] * 3
    lowest = torch.finfo(torch.float32).min
    inverse = bert.invert_attention_mask(torch.tensor([[1, 0]]))
    assert inverse.tolist() == [[[[0.0, lowest]]]]


def test_mplug_sees_a_square_with_clips_mean_and_spread():
    seen = squashed(grey(255, 8), 12)
    assert seen.shape == (1, 3, 12, 12)
    assert seen[0, :, 5, 5].tolist() == pytest.approx(
        [(1 - m) / s for m, s in zip(MEAN, SPREAD, strict=True)], rel=1e-5
    )


def test_mplug_without_network_or_package(modelscope, monkeypatch):
    monkeypatch.setenv("QA_OFFLINE", "1")
    with pytest.raises(Unavailable, match="the network is off"):
        MPlug()
    monkeypatch.setitem(sys.modules, "modelscope", None)
    with pytest.raises(Unavailable) as error:
        MPlug()
    assert error.value.fix == "pip install 'decoder-qa[mplug]'"


def test_recorded_answers_are_replayed(tmp_path):
    file = answers_file(tmp_path, toy_answers(panels=[[0, 1], [1, 1]]))
    judge = Replay(str(file))
    assert [answer.yes for answer in judge.ask(grey(0), ASKED)] == [0, 1]
    assert [answer.yes for answer in judge.ask(grey(0), Asked("toy", 1, 0, QUESTIONS))] == [1, 1]
    for asked, why in (
        (Asked("toy", 2, 0, QUESTIONS), "take 2 of toy"),
        (Asked("toy", 0, 1, QUESTIONS), "seeds=1"),
        (Asked("toy", 0, 0, (Question(9, "?", (), ""),)), "was not recorded"),
    ):
        found = judge.ask(grey(0), asked)
        assert {answer.yes for answer in found} == {None}
        assert why in found[0].why
    judge.check(["toy"])
    with pytest.raises(UsageError, match="1 of 2 items have no recorded answers"):
        judge.check(["toy", "other"])
    with pytest.raises(UsageError, match="is not said"):
        Replay()


def test_a_take_without_recorded_answers_gets_nobody_elses(tmp_path):
    """Panels 0 and 2 were recorded: take 1 has no answers, take 2 its own."""
    rows = [row | {"panel": 2 * row["panel"]} for row in toy_answers(panels=[[0, 1], [1, 1]])]
    judge = Replay(str(answers_file(tmp_path, rows)))
    found = [judge.ask(grey(0), Asked("toy", take, 0, QUESTIONS)) for take in range(3)]
    assert [[each.yes for each in take] for take in found] == [[0, 1], [None, None], [1, 1]]
    assert found[1][0].why == "it was not recorded"
