"""Maps of the spread over seeds: the metric's own numbers, one fixed scale, and never torch."""

import re

import numpy as np
import pytest
import torch
import verdicts
from PIL import Image
from skimage.color import rgb2lab

from qa import files
from qa.metrics.spread import SeedDeviation, deviation_map
from qa.store import RunFolder
from reports import gallery, html, spread
from reports.html import MAX_PICTURES, render
from reports.picking import MAX_CARDS
from reports.spread import FULL, MOST, RAMP, TICKS, Spread, colours, deviation, sentence, ticks


def random(seed, shape=(9, 14, 3), most=256):
    return np.random.default_rng(seed).integers(0, most, shape, dtype=np.uint8)


def of(*levels, shape=(8, 8, 3)):
    return [np.full(shape, level, np.uint8) for level in levels]


@pytest.mark.parametrize("seeds", [2, 3, 7])
def test_the_map_is_the_metrics_own(seeds):
    pictures = [random(seed) for seed in range(seeds)]
    stack = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    levels, counted = deviation(iter(pictures))
    assert counted == seeds
    np.testing.assert_allclose(levels, deviation_map(stack).numpy(), rtol=1e-14)
    assert levels.mean() == pytest.approx(SeedDeviation()(stack, None)[0])
    other, _ = deviation([random(99), *pictures[1:]])
    assert not np.allclose(other, levels)


def test_two_seeds_that_are_c_levels_apart_have_c_over_the_root_of_two():
    levels, _ = deviation(of(100, 130))
    np.testing.assert_allclose(levels, 30 / np.sqrt(2))
    black_and_white, _ = deviation(of(0, 255))
    np.testing.assert_allclose(black_and_white, 255 / np.sqrt(2))


def test_one_channel_alone_counts_a_third_of_the_variance():
    first, second = of(100, 100)
    second[2, 3, 1] = 130
    levels, _ = deviation([first, second])
    assert levels[2, 3] == pytest.approx(30 / np.sqrt(2) / np.sqrt(3))
    assert np.count_nonzero(levels) == 1


def test_equal_pictures_have_exactly_none_and_the_order_of_seeds_cannot_matter():
    same = random(0)
    assert deviation([same] * 5)[0].max() == 0.0
    pictures = [random(seed) for seed in range(4)]
    assert (deviation(pictures)[0] == deviation(pictures[::-1])[0]).all()


def test_no_map_of_one_picture_or_of_two_sizes():
    assert deviation(of(1)) is None
    assert deviation([]) is None
    assert deviation([*of(1, 2), *of(3, shape=(8, 9, 3))]) is None


def test_the_colour_scale_is_fixed_and_gets_lighter_evenly():
    levels = np.linspace(0, FULL**0.5, 256)[None] ** 2  # even steps of the square root
    shown = colours(levels, side=999)
    assert (shown[0, [0, -1]] == [RAMP[0], RAMP[-1]]).all()
    assert (colours(np.array([[FULL, FULL + 1.0, 180.3]])) == RAMP[-1]).all()
    lightness = rgb2lab(shown)[0, :, 0]
    line = np.linspace(lightness[0], lightness[-1], 256)
    assert np.abs(lightness - line).max() < 4
    assert np.abs(rgb2lab(shown[..., ::-1])[0, :, 0] - line).max() > 4, "negative control"


def test_what_the_scale_labels_is_what_the_map_shows():
    labels, places, _ = zip(*ticks(), strict=True)
    assert labels == ("0", "4", "16", f"≥ {FULL} levels")
    for channel in range(3):
        stops = np.linspace(0, 100, len(RAMP))
        bar = np.interp(places, stops, [colour[channel] for colour in RAMP])
        drawn = colours(np.array([TICKS], dtype=float))[0, :, channel]
        assert np.abs(drawn - bar).max() <= 1


def test_shrinking_keeps_a_single_place_that_differs():
    levels = np.zeros((801, 1000))
    levels[777, 123] = FULL
    small = colours(levels, side=100)
    assert max(small.shape) <= 100
    assert (small == RAMP[-1]).all(axis=2).sum() == 1


def test_a_sentence_stands_where_there_is_no_map():
    some, none = (Spread(np.zeros((1, 1, 3), np.uint8), 4, mean, mean) for mean in (2.0, 0.0))
    assert "seeds=2" in sentence({}, 1)
    assert "stored for two seeds" in sentence({}, 4)
    assert "All 4 seeds gave equal pictures" in sentence({"a": none, "b": none}, 4)
    assert "square-root scale" in sentence({"a": none, "b": some}, 4)
    assert not spread.drawn({"a": none})
    assert spread.drawn({"a": none, "b": some})


def stored(path, ids=("a", "b"), seeds=3, size=40, equal=False, lost=()):
    """A judged run folder: each seed's pictures are random numbers of their own."""
    run = RunFolder(path)
    for number, name in enumerate(ids):
        save(run.reference_file(name), random(number, (size, size, 3)))
        for seed in range(seeds):
            if (name, seed) not in lost:
                noise = random(1000 * number + (0 if equal else seed) + 7, (size, size, 3), 40)
                save(run.picture_file(name, seed), 100 + noise)
    empty = {"prompt": None, "tags": [], "problem": ""}
    run.write_samples([empty | {"id": name} for name in ids])
    files.write_json(run.record_file, {"schema": "decoder-qa/record/1", "seeds": seeds})
    worst = [{"sample": name, "harm": 2.0} for name in ids]
    rows = [verdicts.gate("psnr", "FAIL", worst=worst)]
    files.write_json(run.verdict_file, verdicts.verdict("FAIL", *rows))
    return run


def save(file, picture):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(file)


def maps(text):
    return re.findall(r'<img[^>]* alt="(Spread over [^"]*)"', text)


def test_the_report_shows_a_map_beside_each_of_the_worst_pictures(tmp_path):
    run = stored(tmp_path / "run")
    text = render(run)
    levels, _ = deviation(html.read(run.path, run.picture_file("a", seed)) for seed in range(3))
    said = f"mean {levels.mean():.1f}, largest {levels.max():.0f} levels"
    assert maps(text)[0] == f"Spread over 3 seeds: {said}: a"
    assert len(maps(text)) == 2
    assert "square-root scale" in text
    assert text.count('fill="url(#spread)"') == 2
    assert text == render(run)


def test_seeds_without_a_picture_are_counted(tmp_path):
    run = stored(tmp_path / "run", lost={("a", 1)})
    first, second = maps(render(run))
    assert first.startswith("Spread over 2 of 3 seeds: ")
    assert second.startswith("Spread over 3 seeds: ")


def test_a_deterministic_decoder_and_one_seed_get_a_sentence_and_no_map(tmp_path):
    text = render(stored(tmp_path / "equal", equal=True))
    assert not maps(text)
    assert "All 3 seeds gave equal pictures here" in text
    assert "square-root scale" not in text
    alone = render(stored(tmp_path / "one", seeds=1))
    assert not maps(alone)
    assert "shows from seeds=2 on" in alone


def test_damaged_pictures_and_those_of_two_sizes_have_no_map(tmp_path):
    run = stored(tmp_path / "run", seeds=2)
    run.picture_file("a", 0).write_bytes(b"\x89PNG no")
    save(run.picture_file("b", 0), random(0, (12, 12, 3)))
    text = render(run)
    assert not maps(text)
    assert "No picture here is stored for two seeds" in text


def test_many_seeds_and_many_pictures_stay_bounded(tmp_path):
    ids = [f"sample {number:02d}" for number in range(40)]
    run = stored(tmp_path / "run", ids, seeds=MOST + 1, size=24)
    text = render(run, run)
    assert maps(text)[0].startswith(f"Spread over {MOST} of {MOST + 1} seeds")
    assert len(maps(text)) == MAX_CARDS
    assert len(re.findall(r'<td class="thumb"><img', text)) == html.MAX_THUMBNAILS
    large, _ = text.split('id="pictures"')
    panes, windows = 5, 3 + 8  # reference, candidate, baseline, error, spread; eight seeds at most
    assert large.count("<img") == (panes + windows) * MAX_CARDS
    assert text.count("<img") <= MAX_PICTURES + 4 * gallery.MOST
