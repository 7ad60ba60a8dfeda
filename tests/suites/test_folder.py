"""Any folder or manifest as a suite."""

from __future__ import annotations

import hashlib
import json
import os

import pytest
from PIL import Image

from qa.errors import UsageError
from suites.folder import Folder


def save(path, colour=(1, 2, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)
    return path


def test_a_folder_gives_its_pictures_sorted_with_digests(tmp_path):
    for name in ("b.png", "a.JPG", "sub/c.webp", "notes.txt", ".hidden.png"):
        if name == "notes.txt":
            (tmp_path / name).write_text("x")
        else:
            save(tmp_path / name)
    samples = Folder(tmp_path).samples()
    assert [s.id for s in samples] == ["a", "b", "sub/c"]
    assert samples[1].sha256 == hashlib.sha256((tmp_path / "b.png").read_bytes()).hexdigest()
    assert Folder(tmp_path).name == tmp_path.name
    assert Folder(tmp_path, "mine").name == "mine"


def test_equal_stems_keep_their_suffix(tmp_path):
    for name in ("a.png", "a.jpg", "b.png", "v1.2.png"):
        save(tmp_path / name)
    assert [s.id for s in Folder(tmp_path).samples()] == ["a.jpg", "a.png", "b", "v1.2"]


def test_a_manifest_brings_prompts_tags_and_regions(tmp_path):
    save(tmp_path / "x" / "a.png")
    lines = [
        {"image": "x/a.png", "prompt": "a cat", "tags": ["photo"],
         "regions": [{"text": "Exit", "box": [1, 2, 5, 6]}]},
        {"prompt": "a dog"},
        {"id": "named", "image": "x/a.png"},
        {"image": "gone.png"},
    ]  # fmt: skip
    manifest = tmp_path / "set.jsonl"
    manifest.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    samples = {s.id: s for s in Folder(manifest).samples()}
    assert samples["x/a"].prompt == "a cat"
    assert samples["x/a"].tags == ("photo",)
    assert samples["x/a"].regions[0].text == "Exit"
    assert samples["x/a"].regions[0].box == (1, 2, 5, 6)
    assert samples["named"].sha256 == samples["x/a"].sha256
    assert samples["gone"].problem == "gone.png: no such file or directory"
    (prompt_only,) = [s for s in samples.values() if s.image is None and not s.problem]
    assert prompt_only.prompt == "a dog"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1 is not JSON"),
        ("[]", "neither an image nor a prompt"),
        ("{}", "neither an image nor a prompt"),
        ('{"image": "", "prompt": null}', "neither an image nor a prompt"),
        ('{"image": "a.png", "prompt": 0}', "prompt is a text"),
        ('{"prompt": ["a"]}', "prompt is a text"),
        ('{"prompt": "a"}\n{"prompt": "\\ud800 x"}', r"line 2: its prompt is no valid.*U\+D800"),
        ('{"id": "x\\udc00", "prompt": "a"}', r"line 1: its id is no valid text.*U\+DC00"),
        ('{"image": "a.png", "tags": ["\\ud83d"]}', "line 1: its tags is no valid text"),
        ('{"image": "a.png", "imgae": 1}', "unknown keys: imgae"),
        ('{"image": "a.png", "regions": [{"text": "x"}]}', "not understood"),
        ('{"image": "a.png", "regions": [{"text": "x", "box": [5, 0, 1, 9]}]}', "is empty"),
        ('{"image": "a.png", "regions": [{"text": null, "box": [0, 0, 1, 9]}]}', "None is none"),
        ('{"image": "a.png", "regions": [{"text": "x", "box": "1239"}]}', "no list of numbers"),
        ('{"image": "a.png", "regions": [{"text": "x", "box": [0, 0, true, 9]}]}', "no list of"),
        ('{"image": "a.png"}\n{"image": "a.png"}', "occur more than once"),
        ('{"image": "a.png", "tags": "abc"}', "tags are a list"),
        ('{"image": ["a.png"]}', "image is a text"),
        ("", "holds no pictures"),
    ],
)
def test_manifests_that_cannot_be_understood(tmp_path, line, said):
    (tmp_path / "set.jsonl").write_text(line)
    with pytest.raises(UsageError, match=said):
        Folder(tmp_path / "set.jsonl").samples()


def test_an_empty_prompt_counts_and_whole_pairs_are_text(tmp_path):
    manifest = tmp_path / "set.jsonl"
    manifest.write_text('{"prompt": ""}\n{"id": "cat", "prompt": "\\ud83d\\udc31"}')
    cat, empty = sorted(Folder(manifest).samples(), key=lambda sample: sample.id != "cat")
    assert (empty.prompt, empty.image) == ("", None)
    assert cat.prompt == "\N{CAT FACE}"


def test_a_run_never_measures_its_own_pictures(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "runs" / "one" / "images" / "a" / "seed0.png")
    (tmp_path / "runs" / "one" / "record.json").write_text("{}")
    save(tmp_path / ".cache" / "b.png")
    assert [s.id for s in Folder(tmp_path).samples()] == ["a"]


def test_names_without_valid_utf8_and_files_that_are_none(tmp_path):
    save(tmp_path / "a.png")
    os.rename(tmp_path / "a.png", os.fsencode(tmp_path) + b"/b\xff.png")
    os.mkfifo(tmp_path / "pipe.png")
    samples = {s.id: s for s in Folder(tmp_path).samples()}
    assert samples["b\\udcff"].sha256
    assert samples["pipe"].problem == "pipe.png: not a regular file"


def test_the_suite_is_named_after_its_folder(tmp_path):
    save(tmp_path / "v1.5" / "a.png")
    assert Folder(tmp_path / "v1.5").name == "v1.5"
    with pytest.raises(UsageError, match="does not exist"):
        Folder("")


def test_an_empty_or_absent_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match="holds no pictures"):
        Folder(tmp_path).samples()
    with pytest.raises(UsageError, match="does not exist"):
        Folder(tmp_path / "none")


@pytest.mark.parametrize(
    "line",
    [
        '{"image": "a.png", "regions": [{"text": "x", "box": [0, 0, 1e400, 1]}]}',
        "[" * 100_000,
    ],
    ids=["an endless box", "a deep nest"],
)
def test_a_line_that_breaks_its_reader_is_refused(tmp_path, line):
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(line)
    with pytest.raises(UsageError, match="line 1"):
        Folder(manifest).samples()


@pytest.mark.parametrize("name", [r"\ud800.png", r"a\u0000.png"])
def test_a_file_name_that_no_file_can_have_is_that_samples_problem(tmp_path, name):
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(f'{{"image": "{name}", "id": "a"}}')
    (sample,) = Folder(manifest).samples()
    assert sample.problem
    sample.problem.encode()


def test_ids_may_be_numbers_and_prompts_hold_any_line_separator(tmp_path):
    manifest = tmp_path / "m.jsonl"
    manifest.write_text('{"id": 0, "prompt": "a\u2028b\x85c"}\n{"id": 1, "prompt": ""}\r\n')
    first, second = Folder(manifest).samples()
    assert (first.id, first.prompt) == ("0", "a\u2028b\x85c")
    assert (second.id, second.prompt) == ("1", "")
