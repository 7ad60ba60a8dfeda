"""Maps of metrics in a run: whose, where they lie, when they are drawn again, what is no map."""

from __future__ import annotations

import io
import json
import shutil
import sys
import warnings
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from toys import Brightness, ColourGap

from qa import maps
from qa.baseline import objects
from qa.config import compose
from qa.images import encode_png
from qa.job import prepare
from qa.maps import MOST, SCHEMA, draw, picked, read
from qa.metrics.facts import fingerprint
from qa.run import conclude, measure
from qa.store import RunFolder
from qa.traits import has_map
from qa.types import MetricFacts


class Gap:
    """Mean absolute difference in levels; its map is of red alone, or whatever is planted."""

    better = "lower"
    unit = "levels"

    def __init__(self, full=255.0, planted=None, version=1):
        self.full, self.planted, self.calls = full, planted, []
        self.facts = MetricFacts("gap", "lower", "levels", "test", "test", {"version": version})

    def __call__(self, pictures, reference):
        return [(one.float() - reference.float()).abs().mean().item() for one in pictures]

    def map(self, picture, reference):
        self.calls.append(torch.are_deterministic_algorithms_enabled())
        if isinstance(self.planted, Exception):
            raise self.planted
        if self.planted is not None:
            return self.planted
        return (picture[0].float() - reference[0].float()).abs()


MARK = fingerprint(Gap().facts)


def grey(level=100, size=(6, 9)):
    return torch.full((3, *size), level, dtype=torch.uint8)


def spoiled(row, column, level=200):
    picture = grey()
    picture[:, row, column] = level
    return picture


@pytest.fixture
def run(tmp_path):
    """Three samples at one seed, each with one other place that differs from its reference."""
    folder = RunFolder(tmp_path / "run")
    for place, sample in enumerate("abc"):
        folder.write_picture(folder.reference_file(sample), encode_png(grey()))
        folder.write_picture(folder.picture_file(sample, 0), encode_png(spoiled(place, 2 * place)))
    return folder


def stored(run):
    return sorted(file.relative_to(run.path / "maps").as_posix()
                  for file in run.path.glob("maps/**/*") if file.is_file())  # fmt: skip


def test_a_planted_defect_shows_where_it_is(run):
    draw(run, {"gap": Gap(full=200.0)}, [("a", 0), ("b", 0)])
    assert stored(run) == ["a/seed0.gap.png", "b/seed0.gap.png"]
    for sample, where in (("a", (0, 0)), ("b", (1, 2))):
        levels = np.asarray(Image.open(run.map_file(sample, 0, "gap")))
        assert levels.dtype == np.uint8
        assert levels[where] == 128  # 100 of 200: 127.5, to even
        assert np.count_nonzero(levels) == 1
        found = read(run, sample, 0, "gap", MARK)
        assert (found.levels == levels).all()
        assert (found.full, found.largest) == (200.0, 100.0)
        assert found.mean == pytest.approx(100 / 54)


def test_levels_are_rounded_half_to_even_and_end_at_full(run):
    values = torch.zeros(6, 9)
    values[0, :6] = torch.tensor([0.5, 1.5, 2.5, 254.4, 255.0, 4000.0])
    draw(run, {"gap": Gap(planted=values)}, [("a", 0)])
    found = read(run, "a", 0, "gap", MARK)
    assert found.levels[0, :6].tolist() == [0, 2, 2, 254, 255, 255]
    assert found.largest == 4000.0, "as the metric has it"
    assert found.mean == pytest.approx(float(values.double().mean()))


def test_equal_inputs_give_equal_bytes(run, tmp_path):
    other = RunFolder(tmp_path / "other")
    shutil.copytree(run.path, other.path)
    for folder in (run, other):
        draw(folder, {"gap": Gap()}, [("b", 0)])
    one, two = (folder.map_file("b", 0, "gap").read_bytes() for folder in (run, other))
    assert one == two
    other.map_file("b", 0, "gap").unlink()
    draw(other, {"gap": Gap(full=9.0)}, [("b", 0)])
    assert other.map_file("b", 0, "gap").read_bytes() != one, "negative control"


STALE = {
    "another picture": lambda run: run.write_picture(
        run.picture_file("a", 0), encode_png(spoiled(5, 5))
    ),
    "another reference": lambda run: run.write_picture(
        run.reference_file("a"), encode_png(grey(101))
    ),
    "no picture": lambda run: run.picture_file("a", 0).unlink(),
    "another sample's map": lambda run: shutil.copy(
        run.map_file("b", 0, "gap"), run.map_file("a", 0, "gap")
    ),
    "no map": lambda run: run.map_file("a", 0, "gap").unlink(),
}


@pytest.mark.parametrize("what", STALE)
def test_a_stale_map_counts_as_none_and_is_drawn_again(run, what):
    metric = Gap()
    draw(run, {"gap": metric}, [("a", 0), ("b", 0)])
    assert read(run, "a", 0, "gap", MARK) is not None, "positive control"
    draw(run, {"gap": metric}, [("a", 0), ("b", 0)])
    assert len(metric.calls) == 2, "what is there is not drawn again"
    STALE[what](run)
    assert read(run, "a", 0, "gap", MARK) is None
    assert read(run, "b", 0, "gap", MARK) is not None
    draw(run, {"gap": metric}, [("a", 0), ("b", 0)])
    drawn = what != "no picture"
    assert len(metric.calls) == 2 + drawn
    assert (read(run, "a", 0, "gap", MARK) is not None) == drawn


def test_another_protocol_and_another_scale_are_drawn_again(run):
    draw(run, {"gap": Gap()}, [("a", 0)])
    newer = Gap(version=2)
    assert read(run, "a", 0, "gap", fingerprint(newer.facts)) is None
    draw(run, {"gap": newer}, [("a", 0)])
    assert read(run, "a", 0, "gap", MARK) is None
    assert read(run, "a", 0, "gap", fingerprint(newer.facts)).full == 255.0
    draw(run, {"gap": Gap(full=50.0, version=2)}, [("a", 0)])
    assert read(run, "a", 0, "gap", fingerprint(newer.facts)).full == 50.0


def test_no_damage_is_taken_for_a_map(run):
    draw(run, {"gap": Gap()}, [("a", 0)])
    file = run.map_file("a", 0, "gap")
    whole, expected = file.read_bytes(), read(run, "a", 0, "gap", MARK)
    flipped = [whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :] for at in range(len(whole))]
    seen = 0
    for damaged in [*flipped, *(whole[:size] for size in range(len(whole)))]:
        file.write_bytes(damaged)
        found = read(run, "a", 0, "gap", MARK)
        seen += found is None
        if found is not None:  # after the last pixel, or a checksum that says nothing of them
            assert (found.levels == expected.levels).all()
            assert replace(found, levels=expected.levels) == expected
    assert seen > 1.8 * len(whole)


@pytest.mark.parametrize("mode", ["RGB", "I;16", "1", "P"])
def test_a_forged_form_is_no_map(run, mode):
    """The text says that all is well; the picture is no grey one of 8 bits."""
    draw(run, {"gap": Gap()}, [("a", 0)])
    file = run.map_file("a", 0, "gap")
    with Image.open(file) as image:
        told = json.loads(image.info[SCHEMA])
    forged = Image.new(mode, (9, 6))
    told["levels"] = maps._content(np.asarray(forged))
    file.write_bytes(with_text(forged, told))
    assert read(run, "a", 0, "gap", MARK) is None
    told["levels"] = maps._content(np.zeros((6, 9), np.uint8))
    file.write_bytes(with_text(Image.new("L", (9, 6)), told))
    assert read(run, "a", 0, "gap", MARK) is not None, "negative control"


def with_text(image, told):
    from PIL.PngImagePlugin import PngInfo

    text, buffer = PngInfo(), io.BytesIO()
    text.add_text(SCHEMA, json.dumps(told))
    image.save(buffer, "png", pnginfo=text)
    return buffer.getvalue()


BROKEN = {
    "the asset is gone": Gap(planted=ValueError("the asset is gone")),
    "RuntimeError: out of memory": Gap(planted=RuntimeError("out of memory")),
    r"its map is \[6, 8\], not one value a pixel": Gap(planted=torch.zeros(6, 8)),
    "not finite, or below 0": Gap(planted=torch.full((6, 9), float("nan"))),
    "or below 0": Gap(planted=torch.full((6, 9), -1e-3)),
    "its colour scale ends at 0": Gap(full=0.0),
}


@pytest.mark.parametrize("why", BROKEN)
def test_a_map_that_fails_is_a_warning_and_stops_no_other(run, why):
    metrics = {"broken": BROKEN[why], "gap": Gap()}
    with pytest.warns(RuntimeWarning, match=f"No map of broken for a, seed 0: .*{why}"):
        draw(run, metrics, [("a", 0)])
    assert stored(run) == ["a/seed0.gap.png"]


def test_a_damaged_picture_and_a_full_disk_are_warnings(run, monkeypatch):
    run.picture_file("a", 0).write_bytes(b"\x89PNG no")
    with pytest.warns(RuntimeWarning, match="No map of gap for a, seed 0: the file is"):
        draw(run, {"gap": Gap()}, [("a", 0)])

    def full(file, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(maps, "write_bytes", full)
    with pytest.warns(RuntimeWarning, match=r"b, seed 0: OSError: .*No space left"):
        draw(run, {"gap": Gap()}, [("b", 0)])
    assert stored(run) == []


def test_without_a_reference_or_a_picture_there_is_nothing_to_draw(run):
    run.reference_file("a").unlink()
    run.picture_file("b", 0).unlink()
    metric = Gap()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(run, {"gap": metric}, [("a", 0), ("b", 0), ("c", 1)])
    assert metric.calls == []
    assert stored(run) == []


def test_only_metrics_of_pictures_that_say_so_have_maps(run):
    scaleless = Gap()
    del scaleless.full
    ofset = ColourGap()
    ofset.map, ofset.full = scaleless.map, 1.0
    metrics = {"brightness": Brightness(), "scaleless": scaleless, "set": ofset, "gap": Gap()}
    assert [name for name, metric in metrics.items() if has_map(metric)] == ["gap"]
    draw(run, metrics, [("a", 0)])
    assert stored(run) == ["a/seed0.gap.png"]


def test_names_of_samples_and_metrics_stay_apart_and_inside(run):
    sample, metric = "../a/b.png", "../gap"
    run.write_picture(run.reference_file(sample), encode_png(grey()))
    run.write_picture(run.picture_file(sample, 0), encode_png(grey()))
    draw(run, {metric: Gap()}, [(sample, 0)])
    (file,) = (file for file in run.path.rglob("seed0.*gap.png"))
    assert file.parent.parent == run.path / "maps"
    assert read(run, sample, 0, metric, MARK).largest == 0


def test_no_more_than_the_first_few_pictures(tmp_path):
    run = RunFolder(tmp_path)
    pictures = [(f"s{number}", 0) for number in range(MOST + 3)]
    for sample, seed in pictures:
        run.write_picture(run.reference_file(sample), encode_png(grey()))
        run.write_picture(run.picture_file(sample, seed), encode_png(grey()))
    draw(run, {"gap": Gap()}, pictures)
    assert [name.split("/")[0] for name in stored(run)] == [name for name, _ in pictures[:MOST]]


@pytest.fixture
def report(monkeypatch):
    """A module with a report; what is there when it is written, and the pictures that it shows."""
    module = ModuleType("report_of_a_test")
    module.seen, module.pictures = [], [("p01", 1), ("p03", 0)]

    def write(run, baseline, **more):
        module.seen.append((run.verdict_file.is_file(), stored(run)))
        return run.report_file

    def shown(run):
        assert run.verdict_file.is_file()
        return module.pictures

    write.__module__ = module.__name__
    module.write, module.picked = write, shown
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def finished(overrides, write, **metrics):
    job = prepare(compose(overrides))
    job = replace(job, report=write, metrics={**job.metrics, **metrics})
    measure(job)
    return conclude(job)


def test_a_run_draws_what_its_report_shows_before_it_is_written(workdir, toy, report):
    metric = Gap()
    run = finished(toy(), report.write, gap=metric)
    names = ["p01/seed1.gap.png", "p03/seed0.gap.png"]
    assert report.seen == [(True, names)]
    assert metric.calls == [True, True], "the run's numerics are in force"
    assert not torch.are_deterministic_algorithms_enabled()
    protocol = run.folder.record()["facts"]["gap"]["fingerprint"]
    found = read(run.folder, "p01", 1, "gap", protocol)
    values = run.scores.set_index(["sample", "seed", "metric"])["value"]
    assert found.largest > 0
    assert found.mean != pytest.approx(values["p03", 0, "gap"])
    finished(toy(), report.write, gap=metric)
    assert len(metric.calls) == 2, "a finished run has its maps"


def test_what_was_decoded_again_is_drawn_again(workdir, toy, report):
    metric = Gap()
    first = finished(toy(), report.write, gap=metric)
    first.folder.write_picture(first.folder.picture_file("p01", 1), encode_png(grey(3, (48, 59))))
    protocol = first.folder.record()["facts"]["gap"]["fingerprint"]
    assert read(first.folder, "p01", 1, "gap", protocol) is None
    assert read(first.folder, "p03", 0, "gap", protocol) is not None


@pytest.mark.parametrize("how", ["no report", "a report that shows none", "no metric with a map"])
def test_a_run_that_shows_no_maps_draws_none(workdir, toy, report, how):
    if how == "a report that shows none":
        del report.picked
    metrics = {} if how == "no metric with a map" else {"gap": Gap()}
    run = finished(toy(), None if how == "no report" else report.write, **metrics)
    assert stored(run.folder) == []


def test_a_report_says_what_it_shows_by_a_function_beside_it(run, report):
    run.verdict_file.touch()
    assert picked(report.write, run) == report.pictures
    report.write.__module__ = "not.imported"
    assert picked(report.write, run) == []


def test_a_broken_map_costs_a_run_nothing(workdir, toy, report):
    calm = finished(toy("Sampler", "out=calm"), report.write, gap=Gap())
    with pytest.warns(RuntimeWarning, match="No map of gap for p0[13], seed [01]: it broke"):
        run = finished(
            toy("Sampler", "out=broken"), report.write, gap=Gap(planted=ValueError("it broke"))
        )
    assert run.exit_code == calm.exit_code == 0
    assert run.folder.verdict_file.read_bytes() == calm.folder.verdict_file.read_bytes()
    assert report.seen[-1] == (True, [])
    assert report.seen[0] != report.seen[-1]


def test_maps_are_no_part_of_a_baseline(workdir, toy, report):
    folder = finished(toy(), report.write, gap=Gap()).folder
    assert stored(folder)
    kept = objects.files(folder)
    shutil.rmtree(folder.path / "maps")
    assert objects.files(folder) == kept
    assert not any(name.startswith("maps") for name in kept)
