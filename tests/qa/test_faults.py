"""A run on a machine that fails: it ends complete, or stops with a clear error and continues.

In each case the verdict, the scores and the pictures are those of a run that nobody disturbed.
Kills are in tests/qa/test_run.py and scripts/kill_runs.py, lost workers in executors/, a dead or
hanging MLflow in tests/qa/tracking.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from qa import tables
from qa.config import compose
from qa.errors import QaError
from qa.job import prepare
from qa.run import conclude, evaluate, measure
from qa.scores import PART

ASKED = ("Sampler", "suite=asking", "metric=[psnr,colour_gap,shades]")
"""Pictures, features, notes of a panel, and sets: every kind of file that a run writes."""


def fingerprint(run: Path) -> dict[str, str]:
    """Digests of everything but times: pictures, scores, sets, panels, the verdict."""
    files = [f for f in run.rglob("*") if f.is_file() and f.suffix in {".png", ".parquet", ".json"}]
    timed = {"record.json", "usage.json", "decoded.parquet"}
    kept = [f for f in files if f.name not in timed and "units" not in f.relative_to(run).parts]
    return {str(f.relative_to(run)): hashlib.sha256(f.read_bytes()).hexdigest() for f in kept}


@pytest.fixture
def whole(workdir, toy) -> dict[str, str]:
    """What an undisturbed run leaves."""
    found = fingerprint(evaluate(*toy(*ASKED, "out=whole")).folder.path)
    assert {Path(name).parts[0] for name in found} >= {"images", "notes", "scores", "verdict.json"}
    return found


def test_another_decoder_leaves_other_files(workdir, toy, whole):
    other = evaluate(*toy(*ASKED, "out=other", "+decoder.noise=0.06"))
    assert fingerprint(other.folder.path) != whole


@pytest.fixture
def small_disk(tmp_path):
    """A file system that a run fills, and that can be made larger."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_is_really_full(workdir, toy, whole, small_disk):
    out = small_disk / "run"
    with pytest.raises(QaError, match="The disk is full"):
        evaluate(*toy(*ASKED, f"out={out}"))
    assert not list(out.rglob(".part-*")), "nothing half-written"
    finished = len(list((out / "units").rglob("*.json")))
    assert 0 < finished < 12, "some of the units are there"
    larger = ["mount", "-o", "remount,size=20m", str(small_disk)]
    subprocess.run(larger, check=True)
    assert fingerprint(evaluate(*toy(*ASKED, f"out={out}")).folder.path) == whole


def test_a_run_folder_that_vanishes_halfway(workdir, toy, whole):
    def vanish(done: int, total: int) -> None:
        if done == total // 2:
            Path("run").rename("gone")

    words = toy(*ASKED, "out=run", "executor.batch=1", "executor.prefetch=1")
    with pytest.raises(QaError, match=r"have no result in run|Cannot write run") as caught:
        evaluate(*words, progress=vanish)
    assert caught.value.fix
    shutil.rmtree("run", ignore_errors=True)
    assert fingerprint(evaluate(*toy(*ASKED, "out=run")).folder.path) == whole


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_clocks_that_jump(workdir, toy, whole, monkeypatch, seed):
    """By days, both ways, at every look at them."""
    chance, clock, exact = random.Random(seed), time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: clock() + chance.uniform(-1e7, 1e7))
    monkeypatch.setattr(time, "time_ns", lambda: exact() + int(chance.uniform(-1e16, 1e16)))
    run = evaluate(*toy(*ASKED, "out=jumping"))
    assert fingerprint(run.folder.path) == whole
    assert (run.folder.decoded()["seconds"] >= 0).all(), "by a clock that never jumps"


KINDS = {
    "pictures": "images/*/seed0.png",
    "references": "images/*/reference.png",
    "units": "units/*/*.json",
    "features": "features/*/*.safetensors",
    "notes": "notes/*/*.json",
    "scores": "scores/*/*.parquet",
    "decodes": "decoded.parquet",
    "samples": "samples.jsonl",
    "sets": "sets.json",
    "panels": "panels.json",
    "verdict": "verdict.json",
    "configuration": "config.yaml",
}
DAMAGES = {
    "cut short": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
    "noise": lambda data: random.Random(0).randbytes(len(data)),
    "one bit": lambda data: turned(data, len(data) * 6),
    "one digit": lambda data: another_digit(data),
}


def turned(data: bytes, bit: int) -> bytes:
    """The same but for one bit."""
    found = bytearray(data)
    found[bit // 8] ^= 1 << bit % 8
    return bytes(found)


def another_digit(data: bytes) -> bytes:
    """JSON whose last number with a point has another digit after it, and is JSON still."""
    place = list(re.finditer(rb"\d\.\d", data))[-1].end() - 1
    found = data[:place] + str((int(data[place : place + 1]) + 1) % 10).encode() + data[place + 1 :]
    assert json.loads(found) != json.loads(data)
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, and what it left; copied for every damage."""
    from toyruns import make_pictures, toy_overrides

    place = tmp_path_factory.mktemp("finished")
    words = toy_overrides(make_pictures(place / "pictures", 6), *ASKED, f"out={place / 'run'}")
    return words, place / "run", fingerprint(evaluate(*words).folder.path)


LENGTHS = ("cut short", "empty")
"""Of pictures a run that continues looks at the length: reading all of them would take hours."""
EVERY_BYTE = (*LENGTHS, "zeros", "noise", "one bit")
NUMBERS = {"units", "sets", "panels", "verdict"}
"""Kinds of JSON with numbers that have a point."""


def damages(kind: str) -> tuple[str, ...]:
    """After which damages a run that continues leaves what it left before."""
    if kind in {"pictures", "references"}:
        return LENGTHS
    return (*EVERY_BYTE, "one digit") if kind in NUMBERS else EVERY_BYTE


def cases():
    """Every damage of every kind of file; the coarse ones are noticed by whatever sees the fine."""
    for kind in KINDS:
        for how in damages(kind):
            rough = how in {"empty", "zeros", "noise"}
            yield pytest.param(kind, how, marks=[pytest.mark.slow] if rough else [])


@pytest.mark.parametrize(("kind", "how"), list(cases()))
def test_a_damaged_file_is_made_again(workdir, finished, kind, how):
    words, run, whole = finished
    copy = shutil.copytree(run, workdir / "copy")
    hit = sorted(copy.glob(KINDS[kind]))
    assert hit, f"a run leaves {kind}"
    for file in hit[:2]:
        file.write_bytes(DAMAGES[how](file.read_bytes()))
    job = prepare(compose([*words[:-1], f"out={copy}"]))
    measure(job)
    conclude(job)
    assert fingerprint(copy) == whole


@pytest.mark.parametrize("how", ["zeros", "noise"])
def test_a_picture_of_the_right_length_is_found_out_when_it_is_read(workdir, finished, how):
    words, run, whole = finished
    copy = shutil.copytree(run, workdir / "copy")
    for file in sorted(copy.glob(KINDS["pictures"]))[:2]:
        file.write_bytes(DAMAGES[how](file.read_bytes()))
    more = "metric=[psnr,ssim,colour_gap,shades]"
    evaluate(*[word for word in words[:-1] if not word.startswith("metric=")], more, f"out={copy}")
    found = fingerprint(copy)
    assert {n: d for n, d in found.items() if n.endswith(".png")} == {
        n: d for n, d in whole.items() if n.endswith(".png")
    }


def test_damage_to_the_record_is_said(workdir, finished):
    words, run, _ = finished
    copy = shutil.copytree(run, workdir / "copy")
    (copy / "record.json").write_text("{")
    with pytest.raises(QaError, match=r"record.json is not valid JSON"):
        evaluate(*words[:-1], f"out={copy}")


def silent(file: Path, columns: tuple[str, ...], bits: int) -> int:
    """After how many of some turned bits a table can be read and holds anything else."""
    data, whole, chance = file.read_bytes(), tables.arrow(file, columns), random.Random(0)
    other = 0
    for _ in range(bits):
        file.write_bytes(turned(data, chance.randrange(len(data) * 8)))
        try:
            found = tables.arrow(file, columns)
        except QaError:
            continue  # any other error fails the test
        other += found.schema != whole.schema or not found.equals(whole)
    file.write_bytes(data)
    return other


@pytest.mark.parametrize(
    ("kind", "columns"), [("scores", PART), ("decodes", tables.DECODED)], ids=["scores", "decodes"]
)
def test_a_turned_bit_of_a_table_changes_nothing_or_is_said(workdir, finished, kind, columns):
    _, run, _ = finished
    file = shutil.copy(sorted(run.glob(KINDS[kind]))[0], workdir / "table.parquet")
    assert silent(file, columns, 300) == 0
    pq.write_table(tables.arrow(file, columns), file)
    assert silent(file, columns, 300) > 0, "the control: pages without checksums"
