"""What the gates catch on real pictures, and how often they are wrong about nothing."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from qa.stats import clopper_pearson


@pytest.fixture
def pixels():
    """A scene with edges and texture, float32 [3,128,128]."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:128, :128] / 128
    scene = np.stack([0.5 + 0.3 * np.sin(9 * x), y, 0.3 + 0.4 * (x > 0.5)])
    return torch.from_numpy((scene + 0.03 * rng.normal(size=scene.shape)).clip(0, 1)).float()


def test_every_defect_changes_a_picture_and_nothing_does_not(script, pixels):
    defects = script("seeded_defects")
    for name, defect in defects.DEFECTS.items():
        damaged = defect(pixels.clone(), np.random.default_rng(0))  # its first draw spares it
        changed = not torch.equal(damaged, pixels)
        assert damaged.shape == pixels.shape
        assert changed == (name not in ("nothing", "1 % catastrophes")), name
    rng, grey = np.random.default_rng(0), torch.full_like(pixels, 0.5)
    greys = [torch.equal(defects.catastrophe(pixels, rng), grey) for _ in range(2000)]
    assert 5 <= sum(greys) <= 40  # 20 are expected; outside with a chance of 1 in 10,000


def test_half_a_level_is_half_a_level(script, pixels):
    darker = script("seeded_defects").darker(pixels, np.random.default_rng(0))
    lost = 255 * (pixels - darker)
    assert float(lost.min()) >= 0
    assert float(lost.max()) < 1
    assert float(lost.mean()) == pytest.approx(0.5, abs=0.02)


def test_letters_are_moved_not_made(script, pixels):
    letters = script("seeded_defects").letters(pixels, np.random.default_rng(0))
    assert torch.equal(letters.flatten().sort().values, pixels.flatten().sort().values)
    assert 0 < float((letters != pixels).any(0).float().mean()) <= 10 * 14 * 10 / 128**2


def test_a_pool_is_judged_as_a_release(script, pixels, monkeypatch):
    defects = script("seeded_defects")
    monkeypatch.setattr(defects, "PICTURES", (6,))
    rng = np.random.default_rng(0)
    pool = [
        (pixels + 0.02 * torch.from_numpy(rng.normal(size=pixels.shape)).float()) for _ in range(8)
    ]
    references = [(255 * one.clamp(0, 1)).round().byte() for one in pool]
    broken = defects.caught(references, pool, defects.bgr, 2)["6"]
    assert broken["verdict"] == {"FAIL": 1.0}
    same = defects.caught(references, pool, defects.none, 2)["6"]
    assert same["psnr"] == {"PASS": 1.0}
    assert same["verdict"] == {"INCONCLUSIVE": 1.0}  # six pictures show no rate below 1 %


def test_what_was_measured_holds_what_the_gates_promise(script):
    defects = script("seeded_defects")
    shares = json.loads(defects.RESULT.read_text())["shares"]
    assert list(shares) == list(defects.DEFECTS)
    failed = {
        name: {int(n): gates["verdict"].get("FAIL", 0.0) for n, gates in sizes.items()}
        for name, sizes in shares.items()
    }
    for name in ("blur, radius 1", "JPEG 50", "one pixel shift", "BGR", "letters exchanged"):
        assert min(failed[name][n] for n in (50, 100, 200)) == 1.0, name
    assert max(failed["nothing"].values()) == 0.0
    passed = sum(shares["1 % catastrophes"]["24"]["verdict"].get(s, 0) for s in defects.PASSED)
    assert passed == 0.0  # so few pictures cannot show a rate below 1 %


def test_a_decoder_fails_against_itself_as_often_as_promised(script):
    result = json.loads(script("same_decoder").RESULT.read_text())
    for metric, false in result["false"].items():
        low, high = clopper_pearson(false, result["suites"], 0.95)
        assert low <= 0.05 <= high, metric
    assert clopper_pearson(round(0.12 * 200), 200, 0.95)[0] > 0.05  # what a wrong gate would do


def test_seeds_that_do_not_differ_seldom_fail(script):
    same = script("same_decoder")
    rng = np.random.default_rng(0)
    rows = [
        (f"p{i:03d}", seed, metric, float(rng.normal()), "")
        for i in range(60)
        for seed in range(same.SEEDS)
        for metric in same.METRICS
    ]
    scores = pd.DataFrame(rows, columns=["sample", "seed", "metric", "value", "why"])
    found = same.false_alarms(scores, 20)
    assert max(found.values()) <= 5  # of 20, by chance; more has a chance below 1 in 2,000
    assert set(found) == set(same.METRICS)


def test_both_are_on_the_page(script):
    page = script("validation").PAGE.read_text(encoding="utf-8")
    assert "## Planted defects in real pictures" in page
    assert "## A decoder against itself" in page
