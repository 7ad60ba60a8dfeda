"""Known objects in known pictures: who sees them may score, who does not is told."""

import numpy as np
import pytest
import torch
from mmdet_checkpoint import TINY, built, drawn

from qa.errors import QaError, UsageError
from qa.photographs import photograph
from suites.geneval import mask2former
from suites.geneval.detector import Detections
from suites.geneval.mask2former import MEAN, Mask2Former, Preparation
from suites.geneval.selftest import (
    DISCS,
    KNOWN,
    check_colours,
    check_detector,
    disc,
    overlap,
)


class Seeing:
    """Knows the photographs, and answers what the test wants of it."""

    label = "a detector"

    def __init__(self, score=0.9, shift=0.0, rename=None):
        self.score, self.shift, self.rename = score, shift, rename or {}

    def detect(self, picture):
        found = {}
        for known in KNOWN:
            pixels = torch.tensor(photograph(known.file)).permute(2, 0, 1)
            if picture.shape == pixels.shape and torch.equal(picture, pixels):
                box = [v + self.shift for v in known.box]
                name = self.rename.get(known.cls, known.cls)
                found[name] = Detections(np.array([[*box, self.score]], np.float32))
        return found


def test_a_detector_that_sees_may_score():
    check_detector(Seeing())
    check_detector(Seeing(shift=20))


@pytest.mark.parametrize(
    ("blind", "said"),
    [
        (Seeing(score=0.5), r"at best a score of 0\.50 at"),
        (Seeing(shift=200), r"cat at \[0, 0, 402, 300\].*at best a score of 0\.90 at \[200, 200"),
        (Seeing(rename={"cat": "dog"}), "found was no cat"),
        (Seeing(rename={"cup": "bowl"}), "coffee.png shows a cup .* found was no cup"),
    ],
)
def test_a_blind_one_is_told_what_was_expected_and_what_was_found(blind, said):
    with pytest.raises(QaError, match=said) as refused:
        check_detector(blind)
    assert refused.value.exit_code == 1
    assert not isinstance(refused.value, UsageError)


def test_drawn_weights_are_refused(monkeypatch):
    monkeypatch.setattr(mask2former, "LONG", 333)
    monkeypatch.setattr(mask2former, "SHORT", 200)  # a quarter of the work
    network = built(drawn(TINY))
    detector = Mask2Former(network, Preparation("pillow", MEAN), label="drawn", licence="none",
                           files={})  # fmt: skip
    with pytest.raises(QaError, match=r"drawn failed its self test.*chelsea\.png shows a cat"):
        detector.check()


class Looking:
    """Names the disc that is nearest to the mean colour inside the mask."""

    label = "a classifier"

    def __init__(self, order=(0, 1, 2)):
        self.order = list(order)

    def colours(self, picture, cls, boxes, masks):
        names = []
        for mask in masks:
            mean = picture.numpy()[self.order][:, mask].mean(axis=1)
            distance = {name: np.abs(mean - levels).sum() for name, levels in DISCS.items()}
            names.append(min(distance, key=distance.get))
        return names


def test_a_classifier_that_sees_colours_may_name_them():
    check_colours(Looking())


def test_swapped_channels_are_seen():
    with pytest.raises(QaError, match=r"red, yellow, green, blue were called blue, .*, red;"):
        check_colours(Looking(order=(2, 1, 0)))


def test_one_disc_may_be_called_something_else():
    class Unsure(Looking):
        def colours(self, picture, cls, boxes, masks):
            return ["orange" if n == "yellow" else n for n in super().colours(
                picture, cls, boxes, masks)]  # fmt: skip

    check_colours(Unsure())


def test_a_disc_fills_its_box():
    picture, box, mask = disc((1, 2, 3))
    x1, y1, x2, y2 = (int(v) for v in box[:4])
    assert mask.any(axis=0).nonzero()[0].tolist() == list(range(x1, x2))
    assert mask.any(axis=1).nonzero()[0].tolist() == list(range(y1, y2))
    assert (picture[:, mask] == torch.tensor([[1], [2], [3]])).all()
    assert (picture[:, ~mask] == 128).all()


def test_overlap_by_hand():
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert overlap((0, 0, 1, 1), (2, 2, 3, 3)) == 0
