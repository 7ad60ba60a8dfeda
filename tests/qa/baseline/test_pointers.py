"""The file in the user's git: one decision, one line."""

import difflib
import json

import pytest
from approvals import CPU, GPU, LATER, TODAY

from qa import baseline
from qa.baseline.approved import Waiver
from qa.baseline.pointers import Line, Pointer, read
from qa.errors import UsageError
from qa.files import write_json

HOSTILE = 'he said: "],\n\u2028 ship it", \\ and {"by": null}, größer'


def named(pointer, environment=CPU, content="a" * 64, promoted="2026-11-01T00:00:00+00:00"):
    return pointer.with_baseline(Line(environment, content, "photos-toy-1", promoted))


def waived(pointer, gate="regression/psnr", why="known", against=("a" * 12,)):
    return pointer.with_waiver(Waiver(gate, "Ann", why, LATER, "2026-11-21", against))


def diff(before: str, after: str) -> tuple[int, int]:
    """How many lines went, and how many came."""
    changes = list(difflib.ndiff(before.split("\n"), after.split("\n")))
    return tuple(sum(line.startswith(mark) for line in changes) for mark in ("- ", "+ "))


STEPS = {
    "another baseline of the class": (lambda p: named(p, content="b" * 64), (1, 1)),
    "a baseline of another class": (lambda p: named(p, environment=GPU), (0, 1)),
    "a waiver": (lambda p: waived(p, "tail"), (0, 1)),
    "a waiver renewed": (lambda p: waived(p, why="still"), (1, 1)),
    "a tolerance": (
        lambda p: p.with_tolerance(
            {"environments": [GPU, CPU], "limits": {"max_abs": 1e-3}, "measured": "2026-11-21"}
        ),
        (0, 1),
    ),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_decision_is_one_line(tmp_path, step):
    decide, expected = STEPS[step]
    file = tmp_path / "photos.json"
    before = waived(named(Pointer(file, "photos")))
    before.write()
    old = file.read_text()
    decide(read(file)).write()
    assert diff(old, file.read_text()) == expected
    assert read(file) == decide(before)


def test_plain_json_would_change_more_lines(tmp_path):
    """Negative control: the count notices what the layout avoids."""
    one, two = {"gate": "tail"}, {"gate": "psnr"}
    texts = []
    for content in ([one], [one, two]):
        write_json(tmp_path / "plain.json", {"waivers": content})
        texts.append((tmp_path / "plain.json").read_text())
    assert diff(*texts) != (0, 1)


def test_the_first_entry_of_a_list_is_one_line_too(tmp_path):
    file = tmp_path / "photos.json"
    texts = []
    pointer = Pointer(file, "photos")
    for decide in (lambda p: p, named, waived):
        pointer = decide(pointer)
        pointer.write()
        texts.append(file.read_text())
    assert diff(texts[0], texts[1]) == diff(texts[1], texts[2]) == (0, 1)


def test_any_text_survives_on_its_line(tmp_path):
    file = tmp_path / "photos.json"
    pointer = waived(waived(named(Pointer(file, "süße/fotos")), why=HOSTILE), "tail", HOSTILE)
    pointer.write()
    assert read(file) == pointer
    assert sum("ship it" in line for line in file.read_text().split("\n")) == 2
    assert json.loads(file.read_text())["suite"] == "süße/fotos"


def test_the_class_decides_and_else_the_last_promotion(tmp_path):
    old = named(Pointer(tmp_path / "x.json", "x"), CPU, "a" * 64, "2026-01-01T00:00:00+00:00")
    both = named(old, GPU, "b" * 64, "2026-02-01T00:00:00+00:00")
    assert [both.pick(c).content[0] for c in (CPU, GPU, "d" * 12, None)] == ["a", "b", "b", "b"]
    assert both.of("d" * 12) is None
    assert Pointer(tmp_path / "x.json", "x").pick(None) is None


def test_no_file_names_nothing(tmp_path):
    assert read(tmp_path / "x.json", "x").baselines == ()
    assert baseline.find("x", tmp_path) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c | {"schema": "decoder-qa/baseline/1"}, "baseline/1, this"),
        (lambda c: [], "does not name a baseline"),
        (lambda c: c | {"waivers": [{"gate": "psnr"}]}, "not understood"),
        (lambda c: c | {"baselines": [c["baselines"][0] | {"content": "../../x"}]}, "no SHA-256"),
        (lambda c: c | {"baselines": [c["baselines"][0] | {"until": "x"}]}, "not understood"),
        (lambda c: c | {"waivers": [c["waivers"][0] | {"until": "soon"}]}, "soon"),
        (lambda c: c | {"waivers": [c["waivers"][0] | {"by": None}]}, "no text"),
        (lambda c: c | {"tolerances": [{"environments": [CPU]}]}, "not understood"),
    ],
)
def test_what_is_not_understood_is_said(tmp_path, change, said):
    file = tmp_path / "photos.json"
    waived(named(Pointer(file, "photos"))).write()
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content, indent=4))
    assert read(file).suite == "photos", "negative control: any layout of the same content is read"
    file.write_text(json.dumps(change(content)))
    with pytest.raises(UsageError, match=said) as refused:
        read(file)
    assert refused.value.fix.startswith("restore it from git")


@pytest.mark.parametrize("content", [b"", b'{"schema"', b"<<<<<<< HEAD\n{}", b"\xff"])
def test_what_is_no_json_is_restored_and_not_removed(tmp_path, content):
    """Removing the file would lose its waivers and the drift since the anchor."""
    file = tmp_path / "photos.json"
    file.write_bytes(content)
    with pytest.raises(UsageError, match="not understood") as refused:
        read(file)
    assert refused.value.fix.startswith("restore it from git")


def test_a_tolerance_is_found_in_either_order(tmp_path):
    for day, value in ((TODAY, 0.5), (TODAY.replace(day=20), 0.25)):
        for decoder in ("toy", f"toy on day {day.day}"):
            baseline.add_tolerance(
                "x", tmp_path, environments=(GPU, CPU), limits={"max_abs": value},
                decoder=decoder, hardware="one and another", today=day,
            )  # fmt: skip
    known = read(baseline.pointer("x", tmp_path))
    assert len(known.tolerances) == 3, "measured again for the same decoder replaces"
    approved = baseline.Approved(None, tolerances=known.tolerances)
    for pair in ((CPU, GPU), (GPU, CPU)):
        assert approved.tolerance(*pair)["limits"] == {"max_abs": 0.5}, "the latest"
    assert approved.tolerance(CPU, "d" * 12) is None
    with pytest.raises(UsageError, match="Both environments"):
        baseline.add_tolerance("x", tmp_path, environments=(CPU, CPU), limits={})
    with pytest.raises(UsageError, match="max_abs is inf"):
        baseline.add_tolerance(
            "x", tmp_path, environments=(CPU, GPU), limits={"max_abs": float("inf")}
        )


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ("psnr", [("regression", "psnr")]),
        ("regression/psnr", [("regression", "psnr")]),
        ("anchor/psnr", [("anchor", "psnr")]),
        ("tail", [("tail", ""), ("tail", "catastrophe")]),
        ("cost/latency", [("cost", "latency")]),
        ("regression", []),
        ("gmsd", []),
    ],
)
def test_what_a_waiver_covers(given, rows):
    all_rows = [("regression", "psnr"), ("anchor", "psnr"), ("threshold", "psnr"), ("tail", ""),
                ("tail", "catastrophe"), ("cost", "latency"), ("cost", "memory")]  # fmt: skip
    waiver = Waiver(given, "Ann", "known", LATER, "2026-11-21")
    assert [found for found in all_rows if waiver.covers(*found)] == rows


def test_a_last_day_counts():
    assert [baseline.expired(day, TODAY) for day in (None, "2026-11-22", "2026-11-21")] == [
        False, False, False,
    ]  # fmt: skip
    assert baseline.expired("2026-11-20", TODAY)
