"""Maps of metrics in a report: the run's own levels, one fixed scale each, and never torch."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from qa import maps as stored
from qa.store import RunFolder
from reports import pictures, spread
from reports.maps import RAMP, scale, shown
from reports.pictures import painted

FACTS = {"lpips": {"fingerprint": "b" * 16}, "flip": {"fingerprint": "a" * 16}}
SEEN_BY = {
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.147], [0.005, 0.691, 0.304]],
}
"""Linear RGB → what is left of it: Machado, Oliveira and Fernandes, TVCG 15(6), 2009."""


@pytest.fixture
def run(tmp_path):
    """Two samples, each with two maps; the larger one of `b` is 900 pixels wide."""
    folder = RunFolder(tmp_path / "run")
    for sample, width in (("a", 40), ("b", 900)):
        files = folder.reference_file(sample), folder.picture_file(sample, 0)
        for number, file in enumerate(files):
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((30, width, 3), number, np.uint8)).save(file)
        for metric, full in (("flip", 1.0), ("lpips", 0.8)):
            values = np.zeros((30, width))
            values[7, 13] = full / 2
            keep(folder, sample, metric, values, full)
    return folder


def keep(run, sample, metric, values, full):
    """As a run keeps a map, without the metric."""
    sources = stored._sources(run, sample, 0, FACTS[metric]["fingerprint"], full)
    file = run.map_file(sample, 0, metric)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(stored._png(stored._rounded(values, full), sources))


def names(found):
    return [one.title.partition(":")[0] for one in found]


def test_each_stored_map_is_shown_by_name_with_its_own_scale(run):
    flip, lpips = shown(run, "a", 0, FACTS)
    assert flip.title == f"flip: mean {0.5 / 1200:.3g}, largest 0.5"
    assert lpips.title == f"lpips: mean {0.4 / 1200:.3g}, largest 0.4"
    assert flip.alt == f"Map of a, {flip.title}"
    assert [label for label, _, _ in flip.scale.ticks] == ["0", "0.5", "≥ 1"]
    assert [label for label, _, _ in lpips.scale.ticks] == ["0", "0.4", "≥ 0.8"]
    for one in (flip, lpips):
        assert one.colours.shape == (30, 40, 3)
        assert (one.colours != RAMP[0]).any(axis=2).nonzero() == ([7], [13])


def test_what_the_scale_labels_is_what_the_map_shows(run):
    (one, _) = shown(run, "a", 0, FACTS)
    place = dict((float(label), at) for label, at, _ in scale("flip", 1.0).ticks[:2])[0.5]
    stops = np.linspace(0, 100, len(RAMP))
    bar = [np.interp(place, stops, [colour[channel] for colour in RAMP]) for channel in range(3)]
    assert np.abs(one.colours[7, 13] - bar).max() <= 1
    assert np.abs(one.colours[7, 12] - np.array(bar)).max() > 40, "negative control"


def test_shrinking_keeps_a_single_place_that_differs(run):
    (one, _) = shown(run, "b", 0, FACTS)
    assert one.colours.shape == (15, 450, 3)
    assert (one.colours != RAMP[0]).any(axis=2).nonzero() == ([3], [6])
    assert max(painted(np.zeros((30, 900), np.uint8), RAMP, side=100).shape) <= 100


def test_stale_damaged_and_foreign_maps_are_left_out(run):
    assert names(shown(run, "a", 0, FACTS)) == ["flip", "lpips"]
    assert names(shown(run, "a", 1, FACTS)) == []
    assert names(shown(run, "a", 0, {"flip": FACTS["flip"]})) == ["flip"]
    assert names(shown(run, "a", 0, {**FACTS, "flip": {"fingerprint": "c" * 16}})) == ["lpips"]
    assert names(shown(run, "a", 0, {**FACTS, "flip": {}, "psnr": {}})) == ["lpips"]
    file = run.map_file("a", 0, "lpips")
    file.write_bytes(file.read_bytes()[:-40])
    assert names(shown(run, "a", 0, FACTS)) == ["flip"]
    run.map_file("b", 0, "lpips").replace(file)
    assert names(shown(run, "a", 0, FACTS)) == ["flip"]
    Image.fromarray(np.full((30, 40, 3), 9, np.uint8)).save(run.picture_file("a", 0))
    assert names(shown(run, "a", 0, FACTS)) == []
    assert names(shown(run, "b", 0, FACTS)) == ["flip"]


def linear(colours):
    part = colours / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def lightness(linear_colours):
    """CIE L* of linear RGB [N,3], of luminance alone."""
    y = np.clip(linear_colours @ [0.2126, 0.7152, 0.0722], 0, 1)
    return np.where(y > 216 / 24389, 116 * np.cbrt(y) - 16, y * 24389 / 27)


@pytest.mark.parametrize("eyes", [None, *SEEN_BY])
def test_the_scale_gets_lighter_evenly_for_all_eyes(eyes):
    matrix = np.eye(3) if eyes is None else np.array(SEEN_BY[eyes])
    levels = np.arange(256, dtype=np.uint8)[None]
    shades = lightness(linear(painted(levels, RAMP, side=999)[0]) @ matrix.T)
    line = np.linspace(shades[0], shades[-1], 256)
    assert (np.diff(shades) >= 0).all()
    assert np.abs(shades - line).max() < 2.5
    assert shades[-1] - shades[0] > 85
    rainbow = np.array([[0, 0, 255], [0, 255, 0], [255, 0, 0]])
    assert not (np.diff(lightness(linear(rainbow) @ matrix.T)) >= 0).all(), "negative control"


def test_no_other_map_of_the_page_has_these_colours():
    ours, *others = (
        rgb2lab(np.array(ramp, float)[None] / 255) for ramp in (RAMP, pictures.RAMP, spread.RAMP)
    )
    for other in others:
        assert deltaE_ciede2000(ours, other)[0, 2:].min() > 10
    assert deltaE_ciede2000(ours, ours).max() == 0


def test_reading_a_map_needs_no_torch():
    code = "import sys, reports.maps, reports.picking; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with_torch = f"import torch; {code}"
    assert subprocess.run([sys.executable, "-c", with_torch], check=False).returncode == 1
