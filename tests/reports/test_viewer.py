"""The viewer of a run: what it lists, what it shows of a picture, and what it never sends."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import shutil
import struct
import subprocess
import sys
import zlib
from urllib.parse import parse_qs

import numpy as np
import pytest
from pages import Page
from PIL import Image
from runfolders import METRICS, build, gate, judged
from verdicts import HOSTILE

from qa import files, maps, panels
from qa.errors import UsageError
from qa.store import RunFolder
from reports import pictures
from reports.harm import Column
from reports.listing import SAID
from reports.maps import RAMP
from reports.picking import picking
from reports.serving import HTML, PNG
from reports.viewer import viewer
from reports.wording import visible

IDS = ["a", "b/2", "c d"]
SHOWN = " ".join(visible(HOSTILE).split())
NOWHERE = (
    "picture", "picture/", "picture/0", "picture/0/", "picture/0/0/", "picture/3/0", "picture/0/2",
    "picture/-1/0", "picture/0/0.png", "picture/00/0/reference", "picture/0/0/reference.PNG",
    "picture/0/0/baseline2.png", "picture/0/0/map1.png", "picture/0/0/seed0.png", "../record.json",
    "picture/0/0/../../record.json", "picture/0/0/%72eference.png", "picture/\u0663/0",
    "picture/0/0/reference.png\x00", "picture/0/0/reference.png\n", "record.json",
    "images/a/reference.png",
)  # fmt: skip


def page_of(answer):
    return Page(answer.body.decode())


@pytest.fixture
def arms(tmp_path):
    """A judged run over IDS and a baseline whose pictures are numbered the other way round.

    So psnr differs by 2 + (place - place in reverse) / 100.
    """
    run = build(tmp_path / "run", IDS, bias=2.0, prompts={"a": "a sign"})
    base = build(tmp_path / "base", IDS[::-1], prompts={"a": "a sign"})
    judged(run, "FAIL", [gate("psnr", "FAIL", ["c d"]), gate("lpips", "PASS", ["a"])])
    return run, base


@pytest.fixture
def both(arms):
    run, base = arms
    return viewer(run, (base,))


def listed(found):
    """(sample, seed) of every link of the list, in order."""
    links = [parse_qs(link["href"].removeprefix("#")) for link in page_of(found("")).all("a")]
    return [(one["picture"][0], int(one["seed"][0])) for one in links if "picture" in one]


def pixels(body):
    return np.asarray(Image.open(io.BytesIO(body)).convert("RGB"))


def test_the_list_has_the_order_of_the_reports_table(arms, both):
    rows = [row.sample for row in picking(*arms).rows]
    assert [sample for sample, _ in listed(both)] == rows == ["c d", "b/2", "a"] != IDS
    assert {seed for _, seed in listed(both)} == {1}, "the worst seed: psnr falls with it"
    alone = [row.sample for row in picking(arms[0]).rows]
    assert [sample for sample, _ in listed(viewer(arms[0]))] == alone != rows


def test_each_picture_has_its_place_in_samples_json(arms, both):
    places = [
        int(link["data-place"]) for link in page_of(both("")).all("a") if "data-place" in link
    ]
    ids = [row["id"] for row in arms[0].samples()]
    assert [ids[place] for place in places] == [sample for sample, _ in listed(both)]


def test_how_large_the_harm_is(tmp_path, arms, both):
    assert [entry.state for entry in both.listing.entries] == ["beyond"] * 3
    entry = both.listing.entries[0]
    assert entry.charge.column.metric == "psnr"
    assert entry.charge.times == pytest.approx(2.02)  # of a margin of 1 dB
    found = page_of(both(""))
    assert "2.0 × margin" in found.text
    assert [one["value"] for one in found.all("option")] == ["", "<b>", "drawn"]

    def states(run, *bases):
        return {entry.sample["id"]: entry.state for entry in viewer(run, bases).listing.entries}

    run = build(tmp_path / "little", IDS, bias=0.5, failed={("a", 0)})
    judged(run, "PASS", [gate("psnr", "PASS", [])])
    equal = build(tmp_path / "equal", IDS, bias=0.5)
    assert states(run, arms[1]) == {"a": "missing", "b/2": "within", "c d": "within"}
    assert states(run, equal) == {"a": "missing", "b/2": "none", "c d": "none"}
    assert states(run) == {"a": "missing", "b/2": "unknown", "c d": "unknown"}
    assert states(arms[0])["c d"] == "beyond", "the verdict names it"
    wide = gate("psnr", "PASS", ["a"], margin=5.0)  # a harm of 3.25
    assert states(judged(arms[0], "PASS", [wide]))["a"] == "within"
    judged(arms[0], "PASS", [wide, gate("lpips", "PASS", [])])
    assert states(arms[0])["a"] == "unknown", "that of the other metric could be larger"
    assert set(SAID) == {"missing", "beyond", "within", "none", "unknown"}


def test_stored_pictures_are_sent_as_they_are(arms, both):
    run, base = arms
    for place, sample in enumerate(IDS):
        for name, file in {
            "reference": run.reference_file(sample),
            "candidate": run.picture_file(sample, 1),
            "baseline1": base.picture_file(sample, 1),
        }.items():
            answer = both(f"picture/{place}/1/{name}.png")
            assert (answer.body, answer.kind) == (file.read_bytes(), PNG)
    assert both("picture/0/0/candidate.png").body != both("picture/0/1/candidate.png").body


def test_the_error_map_is_drawn_pixel_for_pixel(tmp_path):
    run = judged(build(tmp_path / "run", ["a"], size=700), "MEASURED")
    one, other = (
        pixels(file.read_bytes()).astype(int)
        for file in (run.picture_file("a", 1), run.reference_file("a"))
    )
    levels = np.abs(one - other).max(axis=2).astype(np.uint8)
    drawn = pixels(viewer(run)("picture/0/1/error.png").body)
    assert drawn.shape == (700, 700, 3)
    assert (drawn == pictures.heat(levels, 700)).all()
    assert len(np.unique(levels)) > 50
    assert (drawn != pictures.heat(levels // 2, 700)).any(), "the check can fail"


def test_the_stage_has_every_arm_at_its_own_size(both):
    found = page_of(both("picture/1/0"))
    images = found.all("img")
    assert [image["src"] for image in images] == [
        f"picture/1/0/{name}.png" for name in ("reference", "candidate", "baseline1", "error")
    ]
    assert {(image["width"], image["height"]) for image in images} == {("80", "80")}
    assert [image["alt"] for image in images] == [
        "Reference: b/2", "Candidate, seed 0: b/2", "Baseline, seed 0: b/2", "Absolute error: b/2",
    ]  # fmt: skip
    assert all(both(image["src"]).kind == PNG for image in images)


def test_the_worst_window_is_marked(arms, both):
    run, _ = arms
    (root,) = (
        one for one in page_of(both("picture/0/1")).all("div") if one.get("class") == "stage"
    )
    levels = pictures.error(
        pictures.read(run.path, run.picture_file("a", 1)),
        pictures.read(run.path, run.reference_file("a")),
    )
    box = pictures.worst_window(levels)
    parts = [100 * part / 80 for part in (box.x, box.y, box.width, box.height)]
    assert [float(part) for part in root["data-window"].split()] == pytest.approx(parts, abs=1e-3)
    assert (box.width, box.height) == (64, 64)


def test_several_baselines_are_counted(tmp_path, arms):
    run, base = arms
    third = build(tmp_path / "third", IDS, bias=1.0, prompts={"a": "a sign"})
    found = viewer(run, (base, third))
    text = page_of(found("picture/0/0")).text
    assert "Baseline 1, seed 0" in text
    assert "Baseline 2, seed 0" in text
    assert "Baseline 2: third" in page_of(found("")).text
    answer = found("picture/0/0/baseline2.png")
    assert answer.body == third.picture_file("a", 0).read_bytes()


def test_values_of_the_seed_the_mean_and_the_baselines(both):
    (line,) = (one for one in both.listing.lines("c d", 1) if one.column.metric == "psnr")
    (beside,) = line.beside
    assert line.value == pytest.approx(30 - 1 - 0.02 - 2)
    assert line.cell.value == pytest.approx(30 - 0.5 - 0.02 - 2)
    assert beside.value == pytest.approx(30 - 0.5)
    assert beside.harm == pytest.approx(2.02)
    assert (line.margin, beside.beyond) == (1.0, True)
    found = page_of(both("picture/2/1"))
    assert "27.0 27.5 29.5 2.0 1.0" in found.text, "with the digits of a margin of 1 dB"
    assert len(found.all("td", **{"class": "num v-beyond"})) == 1, "lpips has no harm of a margin"


def test_a_seed_without_a_picture_says_why(tmp_path):
    run = build(tmp_path / "run", ["a"], failed={("a", 0)})
    found = viewer(judged(run, "INCONCLUSIVE"))
    text = page_of(found("picture/0/0")).text
    assert "There is no picture of seed 0: out of memory" in text
    assert "missing out of memory" in text
    assert found("picture/0/0/candidate.png") is None
    assert found("picture/0/0/error.png") is None
    assert "There is no picture" not in page_of(found("picture/0/1")).text
    assert found("picture/0/1/error.png").kind == PNG


def test_what_else_is_not_there_is_said(tmp_path, arms):
    run, base = arms
    run.picture_file("a", 0).write_bytes(b"no picture")
    base.picture_file("a", 0).unlink()
    text = page_of(viewer(run, (base,))("picture/0/0")).text
    assert "There is no picture of seed 0: its file is missing or damaged" in text
    assert "Baseline has no picture of this seed." in text
    plain = judged(build(tmp_path / "plain", ["a"], references=False), "MEASURED")
    assert "There is no reference picture" in page_of(viewer(plain)("picture/0/0")).text
    Image.new("RGB", (40, 30)).save(run.reference_file("a"))
    text = page_of(viewer(run)("picture/0/1")).text
    assert "reference 40×30, candidate 80×80" in text


@pytest.mark.parametrize("what", ["giant", "EPS", "TIFF"])
def test_a_file_that_is_no_picture_of_a_run_is_never_sent(arms, both, what):
    run, _ = arms
    file = run.picture_file("a", 0)
    if what == "giant":
        header = bytearray(file.read_bytes())
        header[16:24] = struct.pack(">II", 20_000, 20_000)
        header[29:33] = struct.pack(">I", zlib.crc32(header[12:29]))
        file.write_bytes(header)
    else:
        Image.new("RGB", (80, 80)).save(file, what)
    text = page_of(both("picture/0/0")).text
    assert "There is no picture of seed 0: its file is missing or damaged" in text
    assert both("picture/0/0/candidate.png") is both("picture/0/0/error.png") is None


def test_a_run_that_was_written_again_is_noticed(arms, both):
    said = "The run was written again"
    assert said not in page_of(both("picture/0/0")).text
    judged(arms[0], "PASS", [gate("psnr", "PASS", [])])
    assert said in page_of(both("picture/0/0")).text


@pytest.mark.parametrize("address", NOWHERE)
def test_addresses_that_name_nothing(both, address):
    assert both(address) is None
    assert both("picture/0/0/reference.png") is not None


@pytest.mark.parametrize("name", ["reference", "candidate", "baseline1"])
def test_links_out_of_a_run_folder_are_not_followed(tmp_path, arms, both, name):
    run, base = arms
    file = {
        "reference": run.reference_file("a"),
        "candidate": run.picture_file("a", 0),
        "baseline1": base.picture_file("a", 0),
    }[name]
    secret = tmp_path / "secret.png"
    Image.new("RGB", (80, 80), "red").save(secret)
    file.unlink()
    file.symlink_to(secret)
    assert both(f"picture/0/0/{name}.png") is None
    assert f"{name}.png" not in both("picture/0/0").body.decode()
    if name != "baseline1":
        assert both("picture/0/0/error.png") is None, "nor does the map show it"
    file.unlink()
    file.symlink_to(run.picture_file("b/2", 0) if name != "baseline1" else base.reference_file("a"))
    assert both(f"picture/0/0/{name}.png") is not None, "the check can fail"


def test_maps_of_metrics_are_sent_whole(tmp_path):
    run = judged(build(tmp_path / "run", ["a"], size=600), "MEASURED")
    values = np.linspace(0, 1, 360_000).reshape(600, 600)
    protocol = run.record()["facts"]["lpips"]["fingerprint"]
    map_file = run.map_file("a", 1, "lpips")
    map_file.parent.mkdir(parents=True)
    map_file.write_bytes(
        maps._png(maps._rounded(values, 1.0), maps._sources(run, "a", 1, protocol, 1.0))
    )
    found = viewer(run)
    (image,) = (one for one in page_of(found("picture/0/1")).all("img") if "map" in one["src"])
    drawn, levels = pixels(found(image["src"]).body), np.rint(255 * values).astype(np.uint8)
    assert (drawn == pictures.painted(levels, RAMP, side=600)).all()
    assert image["alt"] == "lpips: mean 0.5, largest 1: a"
    assert not [one for one in page_of(found("picture/0/0")).all("img") if "map" in one["src"]]
    outside = tmp_path / "away.png"
    shutil.move(map_file, outside)
    map_file.symlink_to(outside)
    assert found(image["src"]) is None


def test_another_picture_under_the_same_name_is_not_shown_beside(arms):
    run, base = arms
    rows = base.samples()
    base.write_samples([rows[0] | {"sha256": "f" * 64}, *rows[1:]])
    found = viewer(run, (base,))
    assert found("picture/0/0/baseline1.png") is None
    assert found("picture/1/0/baseline1.png") is not None
    assert "Baseline has not this picture." in page_of(found("picture/0/0")).text
    assert {line.beside[0].harm for line in found.listing.lines("a", 0)} == {None}
    base.write_samples([row | {"sha256": "f" * 64} for row in rows])
    with pytest.raises(UsageError, match="no picture in common"):
        viewer(run, (base,))


def test_values_by_another_protocol_are_not_compared(arms):
    run, base = arms
    record = base.record()
    record["facts"]["psnr"]["fingerprint"] = "0" * 16
    files.write_json(base.record_file, record)
    harms = {
        line.column.metric: line.beside[0].harm
        for line in viewer(run, (base,)).listing.lines("a", 0)
    }
    assert harms["psnr"] is None
    assert harms["lpips"] is not None


def test_a_run_that_nobody_judged_is_ordered_by_its_first_metric(tmp_path, arms):
    run = build(tmp_path / "plain", IDS)
    record = run.record()
    psnr = record["facts"]["psnr"]
    files.write_json(run.record_file, record | {"facts": {"psnr": psnr}})
    found = viewer(run)
    assert listed(found) == [("c d", 1), ("b/2", 1), ("a", 1)], "psnr falls with the number"
    assert "not judged" in page_of(found("")).text
    (line,) = found.listing.lines("a", 0)
    assert line.column == Column("psnr", *METRICS["psnr"], 1.0, gated=False)
    assert not found.listing.heads
    assert viewer(run, arms[1:]).listing.heads == ["Baseline"]


def test_what_panels_noted_is_shown(tmp_path):
    run = judged(build(tmp_path / "run", ["a"]), "MEASURED")
    files.write_json(run.panels_file, {"legibility": {}, "geneval": {}})
    word = {"expected": "sign", "read": "sign", "state": "correct"}
    wrong = {"expected": "road", "read": HOSTILE, "state": "wrong"}
    noted = {"sample": "a", "seed": 0}
    panels.write_notes(run, "legibility", "a", [noted | {"words": [word, wrong]}])
    panels.write_notes(run, "geneval", "a", [noted | {"objects": {"two_dogs": True}}])
    found = page_of(viewer(run)("picture/0/0"))
    told = f"road {SHOWN} confidently wrong sign sign correct"
    assert told in found.text, "what was read wrong comes first"
    assert "objects.two dogs yes" in found.text
    assert "Panel" not in page_of(viewer(run)("picture/0/1")).text


def test_hostile_names_and_prompts_are_only_text(tmp_path):
    def named(folder, text):
        run = build(tmp_path / folder, [text], prompts={text: text})
        run.write_samples([row | {"tags": [text]} for row in run.samples()])
        return viewer(judged(run, "FAIL", [gate("psnr", "FAIL", [text])]))

    found, plain = named(HOSTILE.replace("/", "_"), HOSTILE), named("plain", "a")
    assert listed(found) == [(HOSTILE, 1)], "the address names it as it is"
    for address in ("", "picture/0/0"):
        page = page_of(found(address))
        assert page.text.count(SHOWN) >= 3
        assert [tag for tag, _ in page.tags] == [tag for tag, _ in page_of(plain(address)).tags]
        for character in "\x1b\u202e":
            assert character not in found(address).body.decode()


def test_the_policy_of_the_header_is_the_pages(both):
    answer = both("")
    (meta,) = (one for one in page_of(answer).all("meta") if "http-equiv" in one)
    assert answer.policy == meta["content"]
    assert answer.kind == HTML
    text = answer.body.decode()
    for tag in ("style", "script"):
        (inner,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in answer.policy
    assert "default-src 'none'; img-src 'self' data:; " in answer.policy
    assert answer.policy.endswith("; connect-src 'self'")
    assert "unsafe" not in answer.policy
    assert both("picture/0/0").policy == "default-src 'none'"


def test_no_style_and_no_script_stand_in_attributes(both):
    acts = re.compile(r'<[^>]+\s(style|on\w+)="')
    for address in ("", "picture/0/0"):
        assert not acts.search(both(address).body.decode())
    assert acts.search('<img src="x" onerror="alert(1)">')


def test_it_never_imports_torch(arms):
    code = (
        "import sys; from qa.store import RunFolder; from reports.viewer import viewer;"
        f"found = viewer(RunFolder.open({str(arms[0].path)!r}));"
        "assert found('') and found('picture/0/0') and found('picture/0/0/error.png');"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_an_empty_run_has_an_empty_list(tmp_path):
    run = RunFolder(tmp_path / "run")
    files.write_json(run.record_file, {"schema": "decoder-qa/record/1", "seeds": 1})
    run.write_samples([])
    found = viewer(run)
    assert listed(found) == []
    assert found("picture/0/0") is None
