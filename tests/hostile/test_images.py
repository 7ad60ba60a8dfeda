"""Pictures of somebody else's run folder: links out of it are not followed, pipes not opened."""

from __future__ import annotations

import base64
import builtins
import io
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tracked
from PIL import Image
from runfolders import build, gate, judged
from sidebyside import compared, made

from qa import files, images, maps, panels
from qa.images import inside
from reports import compare, html, pictures, spread, viewer, words
from reports.panels import sections

PRIVATE = (255, 0, 255)
"""No picture of a run, and no colour scale, has this colour."""
INLINED = re.compile(r"data:image/webp;base64,([A-Za-z0-9+/=]+)")
WORD = {"expected": "cold", "read": "gold", "box": [4, 4, 30, 14], "kind": "word", "cap": 8.4,
        "state": "wrong", "confidence": 0.95, "alike": False, "plausible": True}  # fmt: skip


@pytest.fixture
def private(tmp_path):
    file = tmp_path / "home" / "private.png"
    file.parent.mkdir()
    Image.new("RGB", (80, 80), PRIVATE).save(file)
    return file


@pytest.fixture
def open_doors(monkeypatch):
    """As it was: whatever a link leads to is read."""
    for module in (pictures, images, viewer):
        monkeypatch.setattr(module, "inside", lambda folder, file: file)


def has_private(data: bytes) -> bool:
    """Whether an encoded picture has that colour, or nearly."""
    with Image.open(io.BytesIO(data)) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    return bool((abs(pixels - PRIVATE).max(axis=2) < 30).any())


def leaks(page: str) -> list[bool]:
    """Of every picture in a page, whether it shows the private one."""
    return [has_private(base64.b64decode(found)) for found in INLINED.findall(page)]


def linked(run, private, pattern="images/*/*.png"):
    """The run with its pictures replaced by links."""
    found = sorted(run.path.glob(pattern))
    assert found
    for file in found:
        file.unlink()
        file.symlink_to(private)
    return run


def page_of(run, base=None):
    return html.render(judged(run, "FAIL", [gate("psnr", "FAIL", ["a", "b"])]), base)


def test_only_files_of_the_folder_are_inside(tmp_path):
    folder, outside = tmp_path / "run", tmp_path / "secret.png"
    (folder / "images").mkdir(parents=True)
    outside.write_bytes(b"secret")
    own = folder / "images" / "a.png"
    own.write_bytes(b"own")
    (folder / "within.png").symlink_to(own)
    (folder / "out.png").symlink_to(outside)
    (folder / "up.png").symlink_to("../secret.png")
    (folder / "away").symlink_to(tmp_path)
    (folder / "lost.png").symlink_to("nowhere.png")
    (folder / "round.png").symlink_to("round.png")
    os.mkfifo(folder / "pipe.png")
    (tmp_path / "alias").symlink_to(folder)
    assert inside(folder, own) == own
    assert inside(folder, folder / "within.png") == own
    assert inside(tmp_path / "alias", tmp_path / "alias" / "images" / "a.png") == own
    for name in (
        "out.png", "up.png", "away/secret.png", "lost.png", "round.png", "pipe.png", "images",
        "no.png", "a\x00b.png",
    ):  # fmt: skip
        assert inside(folder, folder / name) is None, name
    assert inside(folder, folder / ".." / "secret.png") is None
    assert inside(tmp_path, outside) == outside, "negative control"


@pytest.mark.parametrize("pattern", ["images/*/*.png", "images/*/seed*.png", "images/*/ref*.png"])
def test_a_report_shows_no_picture_that_a_link_leads_to(pattern, tmp_path, private):
    page = page_of(linked(build(tmp_path / "run", ["a", "b"]), private, pattern))
    assert not any(leaks(page))
    gone = "reference picture to compare" if "ref" in pattern else "its file is missing or damaged"
    assert gone in page


def test_a_report_shows_none_of_the_baselines_links(tmp_path, private):
    base = linked(build(tmp_path / "base", ["a", "b"]), private)
    page = page_of(build(tmp_path / "run", ["a", "b"]), base)
    assert leaks(page)
    assert not any(leaks(page))


def test_a_folder_of_pictures_may_be_a_link_too(tmp_path, private):
    run = build(tmp_path / "run", ["a", "b"])
    shutil.copytree(run.path / "images" / "a", private.parent / "a")
    for file in (private.parent / "a").iterdir():
        shutil.copyfile(private, file)
    shutil.rmtree(run.path / "images" / "a")
    (run.path / "images" / "a").symlink_to(private.parent / "a")
    page = page_of(run)
    assert leaks(page)
    assert not any(leaks(page))


def test_links_that_stay_inside_are_shown(tmp_path, private):
    """Negative control: the search finds the colour where it is the run's own."""
    run = build(tmp_path / "run", ["a", "b"])
    shutil.copyfile(private, run.path / "own.png")
    assert any(leaks(page_of(linked(run, run.path / "own.png"))))


@pytest.mark.usefixtures("open_doors")
def test_negative_control_without_the_check_a_report_shows_them(tmp_path, private):
    assert any(leaks(page_of(linked(build(tmp_path / "run", ["a", "b"]), private))))


def test_a_comparison_shows_no_picture_that_a_link_leads_to(tmp_path, private):
    arms = [made(tmp_path / name, bias=bias) for name, bias in (("one", 1.0), ("two", 0.0))]
    document = compared(*arms)
    for arm in arms:
        linked(arm.folder, private)
    page = compare.render(document, arms, tmp_path / "one")
    assert not any(leaks(page))
    assert "its file is missing or damaged" in page


def test_panels_and_words_show_no_picture_that_a_link_leads_to(tmp_path, private):
    run = linked(build(tmp_path / "run", ["a"]), private)
    other = private.with_name("other.png")
    Image.new("RGB", (80, 80)).save(other)
    run.picture_file("a", 1).unlink()
    run.picture_file("a", 1).symlink_to(other)
    assert spread.spreads(run, ["a"], 2) == {}
    note = {"sample": "a", "seed": 0, "words": [WORD]}
    assert words.worst(run, [note]) == []
    files.write_json(run.panels_file, {"shades": {"all": 1}})
    panels.write_notes(run, "shades", "a", [note])
    (found,) = sections(run, {"panels": {"shades": ["shade"]}}, {}, [], ["a"])
    assert [one.picture for one in found.notes] == [None]


def test_the_viewer_shows_no_picture_that_a_link_leads_to(tmp_path, private):
    run = judged(linked(build(tmp_path / "run", ["a"]), private), "MEASURED")
    site = viewer.viewer(run)
    assert "its file is missing or damaged" in site("picture/0/0").body.decode()
    assert site("picture/0/0/candidate.png") is site("picture/0/0/reference.png") is None


def test_mlflow_gets_no_picture_that_a_link_leads_to(tmp_path, private, monkeypatch):
    from qa.tracking import sheet

    run = linked(tracked.make_run(tmp_path / "run"), private, "images/**/*.png")
    assert not has_private(sheet.contact_sheet(run))
    monkeypatch.setattr(sheet, "inside", lambda folder, file: file)
    assert has_private(sheet.contact_sheet(run)), "negative control"


def test_a_map_that_a_link_leads_to_is_none(tmp_path):
    run, levels = build(tmp_path / "run", ["a"]), np.full((80, 80), 9, np.uint8)
    drawn_from = maps._sources(run, "a", 0, "protocol", 2.0)
    file = run.map_file("a", 0, "m")
    files.write_bytes(file, maps._png(maps.Map(levels, 2.0, 1.0, 2.0), drawn_from))
    assert maps.read(run, "a", 0, "m", "protocol") is not None
    file.rename(tmp_path / "map.png")
    file.symlink_to(tmp_path / "map.png")
    assert maps.read(run, "a", 0, "m", "protocol") is None


@pytest.fixture(autouse=True)
def no_pipe_is_opened(monkeypatch):
    """Opening a pipe that nobody writes to would wait for ever; here it fails at once."""
    whole = open

    def checked(file, *args, **kwargs):
        pipe = not isinstance(file, int) and Path(file).is_fifo()
        assert not pipe, "a pipe was opened"
        return whole(file, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", checked)
    monkeypatch.setattr(io, "open", checked)


def test_a_pipe_is_no_picture_and_is_not_opened(tmp_path):
    pipe = tmp_path / "a.png"
    os.mkfifo(pipe)
    (tmp_path / "link.png").symlink_to(pipe)
    for file in (pipe, tmp_path / "link.png", tmp_path):
        with pytest.raises(images.ImageProblem, match="it is not a regular file"):
            images.read(file)
    assert pictures.read(tmp_path, pipe) is pictures.size_of(tmp_path, pipe) is None


def test_pipes_of_a_run_are_missing_pictures(tmp_path):
    run = build(tmp_path / "run", ["a", "b"])
    for file in sorted(run.path.glob("images/*/*.png")):
        file.unlink()
        os.mkfifo(file)
    assert "its file is missing or damaged" in page_of(run)
    file = run.map_file("a", 0, "m")
    file.parent.mkdir(parents=True)
    os.mkfifo(file)
    assert maps.read(run, "a", 0, "m", "protocol") is None
