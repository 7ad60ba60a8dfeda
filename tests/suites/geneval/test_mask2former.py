"""From a picture to logits and from logits to boxes, on networks that answer what was planted."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from qa.errors import AssetMissing, UsageError
from qa.features.resize import pillow
from suites.geneval import mask2former
from suites.geneval.detector import CLASSES
from suites.geneval.mask2former import (
    DEVIATION,
    FLOOR,
    MEAN,
    Frame,
    Mask2Former,
    Preparation,
    bounds,
    instances,
    opencv,
)
from suites.geneval.mmdet import GREY

K = len(CLASSES)
SQUARE = Frame((32, 32), (32, 32), (32, 32))
CAT, CUP, CAR = (CLASSES.index(cls) for cls in ("cat", "cup", "car"))


def class_logits(*rows: dict[int, float]) -> torch.Tensor:
    """[Q,K+1]: the logits given by class, 0 elsewhere."""
    made = torch.zeros(len(rows), K + 1)
    for row, given in zip(made, rows, strict=True):
        for label, value in given.items():
            row[label] = value
    return made


def mask_logits(*cells: tuple[slice, slice] | None, size=(8, 8), level=1000.0) -> torch.Tensor:
    """[Q,h,w]: `level` in the given cells, its negative elsewhere: sure up to the last pixel."""
    made = torch.full((len(cells), *size), -level)
    for mask, place in zip(made, cells, strict=True):
        if place is not None:
            mask[place] = level
    return made


def p(logit: float) -> float:
    """Likelihood of one logit beside 80 that are 0."""
    return math.exp(logit) / (math.exp(logit) + K)


BLOCK = (slice(2, 4), slice(1, 5))
"""Rows 2-3 and columns 1-4 of a quarter: pixels 8..16 down and 4..20 across. Logits of opposite
sign meet in the middle between two cells, which is a pixel's border."""


def test_a_box_is_where_its_mask_is():
    found = instances(class_logits({CAT: 9.0}), mask_logits(BLOCK), SQUARE)
    assert list(found) == ["cat"]
    assert found["cat"].boxes.dtype == np.float32
    assert found["cat"].boxes[0, :4].tolist() == [4, 8, 20, 16]
    wanted = np.zeros((32, 32), bool)
    wanted[8:16, 4:20] = True
    # There the way across and down is 5/8 each: 2 * 25/64 - 1 is below 0.
    wanted[[8, 8, 15, 15], [4, 19, 4, 19]] = False
    assert (found["cat"].masks[0] == wanted).all()


def test_a_score_is_likelihood_times_sureness():
    everywhere = torch.full((1, 8, 8), 1.5)
    found = instances(class_logits({CAT: 9.0}), everywhere, SQUARE)
    sureness = 1 / (1 + math.exp(-1.5))
    assert found["cat"].boxes[0, 4] == pytest.approx(p(9.0) * sureness, rel=1e-6)
    assert found["cat"].boxes[0, 4] != pytest.approx(p(9.0), rel=1e-2)


def test_sureness_is_taken_inside_the_mask_only():
    left = torch.full((1, 8, 8), -9.0)
    left[:, :, :4] = 9.0
    inside = instances(class_logits({CAT: 9.0}), left, SQUARE)["cat"].boxes[0, 4]
    assert inside > 0.97 * p(9.0)  # the mean over all pixels is half of it


def test_no_object_is_no_class():
    assert instances(class_logits({K: 12.0}), mask_logits(BLOCK), SQUARE) == {}


def test_one_query_may_be_two_classes_and_nothing_removes_overlaps():
    rows = class_logits({CAT: 9.0, CUP: 9.0}, {CAT: 9.0})
    found = instances(rows, mask_logits(BLOCK, BLOCK), SQUARE)
    half = math.exp(9) / (2 * math.exp(9) + K - 1)
    assert {cls: len(d.boxes) for cls, d in found.items()} == {"cat": 2, "cup": 1}
    assert found["cup"].boxes[0, 4] == pytest.approx(half, rel=1e-5)
    assert found["cat"].boxes[:, 4].tolist() == sorted(found["cat"].boxes[:, 4], reverse=True)
    assert found["cat"].boxes[0, 4] > 1.9 * found["cat"].boxes[1, 4]


def test_a_hundred_pairs_are_looked_at():
    rows = class_logits(*({CAR: 6.0 + n / 100} for n in range(120)))
    found = instances(rows, mask_logits(*[BLOCK] * 120), SQUARE)["car"]
    assert len(found.boxes) == 100
    assert found.boxes[-1, 4] == pytest.approx(p(6.2), rel=1e-5)  # the 20 weakest are gone


def test_likelihoods_at_the_floor_are_passed_over():
    rows = class_logits({CAT: 9.0}, {CUP: 1.0})
    assert p(1.0) < FLOOR < p(9.0)
    assert list(instances(rows, mask_logits(BLOCK, BLOCK), SQUARE)) == ["cat"]
    assert "cup" in instances(rows, mask_logits(BLOCK, BLOCK), SQUARE, floor=0.0)
    exact = float(class_logits({CUP: 1.0}).softmax(-1)[0, CUP])
    assert instances(class_logits({CUP: 1.0}), mask_logits(BLOCK), SQUARE, floor=exact) == {}


def test_a_mask_is_above_zero_and_an_empty_one_is_nothing():
    rows = class_logits({CAT: 9.0})
    assert instances(rows, torch.zeros(1, 8, 8), SQUARE) == {}
    assert list(instances(rows, torch.full((1, 8, 8), 1e-3), SQUARE)) == ["cat"]


def test_padding_is_cut_off_and_the_picture_has_its_own_size():
    """Quarter 8 x 16 of an input 32 x 64 of which 32 x 40 show a picture of 64 x 80."""
    frame = Frame((32, 64), (32, 40), (64, 80))
    wide = (slice(2, 4), slice(1, 16))  # reaches into the padding
    found = instances(class_logits({CAT: 9.0}), mask_logits(wide, size=(8, 16)), frame)["cat"]
    assert found.masks.shape == (1, 64, 80)
    assert found.boxes[0, :4].tolist() == [8, 16, 80, 32]


def test_bounds_by_hand():
    mask = np.zeros((5, 7), bool)
    mask[3, 2] = mask[1, 6] = True
    assert bounds(mask) == (2, 1, 7, 4)


@pytest.mark.parametrize(
    ("size", "inside", "padded"),
    [
        ((512, 512), (800, 800), (800, 800)),
        ((2048, 2048), (800, 800), (800, 800)),
        ((300, 451), (800, 1203), (800, 1216)),  # 451 * 8/3 = 1202.67
        ((64, 512), (167, 1333), (192, 1344)),  # 64 * 1333/512 = 166.6
        ((512, 64), (1333, 167), (1344, 192)),
    ],
)
def test_sizes_of_an_input(size, inside, padded):
    pixels, frame = Preparation("pillow", MEAN)(torch.zeros(3, *size, dtype=torch.uint8))
    assert frame == Frame(padded, inside, size)
    assert pixels.shape == (1, 3, *padded)


@pytest.mark.parametrize(("resize", "padding"), [("pillow", MEAN), ("opencv", GREY)])
def test_levels_of_an_input(resize, padding):
    picture = torch.randint(0, 256, (3, 64, 512), dtype=torch.uint8)
    pixels, frame = Preparation(resize, padding)(picture)
    small = pillow(picture, frame.inside, "bilinear") if resize == "pillow" else opencv(
        picture, frame.inside
    )  # fmt: skip
    for channel in range(3):
        back = pixels[0, channel] * DEVIATION[channel] + MEAN[channel]
        shown = back[: frame.inside[0], : frame.inside[1]]
        assert torch.allclose(shown, small[channel].float(), atol=1e-3)
        assert torch.allclose(back[frame.inside[0] :], torch.tensor(padding[channel]), atol=1e-3)
    assert not torch.equal(
        pillow(picture, (32, 256), "bilinear"), opencv(picture, (32, 256))
    )  # where they shrink


def test_opencv_looks_at_two_pixels_wherever_it_shrinks():
    """At a quarter of the width, cell i lies between pixels 4i+1 and 4i+2; Pillow averages more."""
    picture = torch.full((3, 16, 16), 255, dtype=torch.uint8)
    picture[:, :, 1::4] = picture[:, :, 2::4] = 0
    assert (opencv(picture, (4, 4)) == 0).all()
    assert (pillow(picture, (4, 4), "bilinear") > 60).all()


class Planted:
    """A network that answers with planted logits, and remembers what it was given."""

    config = SimpleNamespace()
    class_predictor = SimpleNamespace(out_features=K + 1)

    def __init__(self, classes, masks):
        self.classes, self.masks, self.given = classes, masks, []

    def __call__(self, pixel_values):
        self.given.append(pixel_values)
        return SimpleNamespace(
            class_queries_logits=self.classes[None], masks_queries_logits=self.masks[None]
        )

    def eval(self):
        return self

    def requires_grad_(self, wanted):
        return self

    def to(self, device):
        return self


def detector(classes, masks, **settings):
    return Mask2Former(
        Planted(classes, masks), Preparation("pillow", MEAN), label="planted", licence="MIT",
        files={"weights": "0"}, **settings,
    )  # fmt: skip


def test_from_picture_to_detections():
    """A picture of 400 x 400 is seen at 800 x 800 and answered for at 200 x 200."""
    cells = (slice(50, 100), slice(20, 120))
    found = detector(class_logits({CAT: 9.0}), mask_logits(cells, size=(200, 200))).detect(
        torch.zeros(3, 400, 400, dtype=torch.uint8)
    )
    assert found["cat"].boxes[0, :4].tolist() == [40, 100, 240, 200]
    assert found["cat"].masks.shape == (1, 400, 400)


def test_a_digest_stands_for_weights_and_settings():
    logits = class_logits({CAT: 9.0}), mask_logits(BLOCK)
    one = detector(*logits)
    assert one.digest == detector(*logits).digest
    others = [
        detector(*logits, floor=0.1),
        Mask2Former(Planted(*logits), Preparation("opencv", MEAN), label="planted", licence="MIT",
                    files={"weights": "0"}),
        Mask2Former(Planted(*logits), Preparation("pillow", MEAN), label="planted", licence="MIT",
                    files={"weights": "1"}),
    ]  # fmt: skip
    assert len({one.digest, *(other.digest for other in others)}) == 4


def test_a_network_of_other_classes_is_refused():
    network = Planted(class_logits({}), mask_logits(None))
    network.class_predictor = SimpleNamespace(out_features=134)
    with pytest.raises(UsageError, match="133 classes"):
        Mask2Former(network, Preparation("pillow", MEAN), label="COCO panoptic", licence="MIT",
                    files={})  # fmt: skip


def test_weights_that_are_not_there(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"no config\.json"):
        mask2former.meta(str(tmp_path))
    monkeypatch.setenv("QA_ASSETS", str(tmp_path))
    monkeypatch.setenv("QA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("QA_OFFLINE", "1")
    with pytest.raises(AssetMissing, match="mask2former-swin-small-coco-instance"):
        mask2former.meta()
