"""FLIP and LPIPS in a run folder: a planted defect shows where it is, on a scale that stays."""

import numpy as np
import pytest
import torch

from qa.images import encode_png
from qa.maps import draw, read
from qa.metrics.facts import fingerprint
from qa.metrics.lpips import LPIPS
from qa.store import RunFolder

BOX = np.s_[40:72, 80:112]


def flip():
    pytest.importorskip("flip_evaluator", reason="a package that is not everywhere")
    from qa.metrics.flip import FLIP

    return FLIP()


METRICS = {"flip": flip, "lpips_alex": LPIPS, "lpips_vgg": lambda: LPIPS("vgg")}


@pytest.fixture
def run(battery, tmp_path):
    """One sample: seed 0 has an inverted box, seed 1 has it elsewhere, seed 2 is the reference."""
    folder, reference = RunFolder(tmp_path / "run"), battery.drawing(96, 160)
    folder.write_picture(folder.reference_file("a"), encode_png(reference))
    for seed, (rows, columns) in enumerate([BOX, np.s_[4:36, 8:40], np.s_[0:0, 0:0]]):
        picture = reference.clone()
        picture[:, rows, columns] = 255 - picture[:, rows, columns]
        folder.write_picture(folder.picture_file("a", seed), encode_png(picture))
    return folder


def stands_out(levels):
    """Mean level in the box, in means of all other places."""
    outside = np.ones(levels.shape, bool)
    outside[BOX] = False
    return levels[BOX].mean() / levels[outside].mean()


@pytest.mark.parametrize("name", METRICS)
def test_a_planted_defect_shows_where_it_is(run, mirror, name):
    metric = METRICS[name]()
    draw(run, {name: metric}, [("a", seed) for seed in range(3)])
    there, elsewhere, equal = (
        read(run, "a", seed, name, fingerprint(metric.facts)) for seed in range(3)
    )
    assert stands_out(there.levels) > 4
    assert stands_out(elsewhere.levels) < 1, "negative control"
    assert BOX[0].start - 8 <= np.argwhere(there.levels == there.levels.max())[0][0] < 72 + 8
    assert equal.levels.max() == equal.mean == equal.largest == 0
    assert there.full == metric.full


def test_the_mean_of_flips_map_is_its_value(run, battery):
    metric = flip()
    draw(run, {"flip": metric}, [("a", 0)])
    reference = battery.drawing(96, 160)
    picture = reference.clone()
    picture[(slice(None), *BOX)] = 255 - picture[(slice(None), *BOX)]
    found = read(run, "a", 0, "flip", fingerprint(metric.facts))
    assert metric(picture[None], reference) == [pytest.approx(found.mean)]
    assert float(metric.map(picture, reference).max()) == found.largest <= metric.full


def test_equal_pictures_give_equal_bytes(run, mirror, tmp_path):
    for name, build in METRICS.items():
        files = []
        for _ in range(2):
            draw(run, {name: build()}, [("a", 0)])
            files.append(run.map_file("a", 0, name).read_bytes())
            run.map_file("a", 0, name).unlink()
        assert files[0] == files[1], name


def test_pictures_that_a_metric_is_not_defined_for_are_a_warning(run, mirror):
    small = torch.zeros((3, 20, 20), dtype=torch.uint8)
    run.write_picture(run.reference_file("b"), encode_png(small))
    run.write_picture(run.picture_file("b", 0), encode_png(small))
    with pytest.warns(RuntimeWarning, match="No map of lpips_alex for b, seed 0: the shorter side"):
        draw(run, {"lpips_alex": LPIPS()}, [("b", 0)])
