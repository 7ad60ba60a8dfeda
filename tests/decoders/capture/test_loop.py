"""What a capture makes, keeps, refuses and reports, with a maker that takes no time."""

import pytest
import torch

from decoders.capture.loop import plan
from decoders.latents import StoredLatents, metadata
from decoders.spaces import space
from qa.errors import QaError, UsageError
from qa.types import Latent, Sample

SETTINGS = {"tf32": False}
SAMPLES = [Sample(name, prompt=f"a {name}") for name in ("a", "b", "deep/c")]


class Constant:
    """A maker whose latent says which sample and folder it is."""

    space = space("sd3")
    source, licence = "constant", "ask first"

    def __init__(self, folders=("step1", "x0"), identity="one", breaks=None):
        self.facts = {folder: {"step": folder} for folder in folders}
        self.identity, self.breaks = identity, breaks or {}
        self.loaded, self.asked = 0, []

    def load(self):
        self.loaded += 1

    def latents(self, item, wanted):
        self.asked.append((item.sample.id, tuple(wanted)))
        problem = self.breaks.get(item.sample.id)
        if isinstance(problem, Exception):
            raise problem
        value = problem if problem is not None else float(len(item.sample.id))
        level = {"step1": 0.25, "x0": 0.0}
        return {f: Latent(torch.full((16, 2, 3), value), level[f]) for f in wanted}


def run(maker, out, samples=SAMPLES, settings=SETTINGS):
    shown = []
    todo = plan(maker, samples, out, settings)
    failed = todo.carry_out(lambda *counts: shown.append(counts))
    return todo, failed, shown


def test_each_folder_is_one_that_stored_latents_reads(tmp_path):
    todo, failed, shown = run(Constant(), tmp_path)
    assert (todo.count, todo.kept, failed) == (6, 0, {})
    assert todo.folders() == {tmp_path / "step1": 3, tmp_path / "x0": 3}
    assert shown == [(0, 6), (2, 6), (4, 6), (6, 6)]
    early, end = (StoredLatents(str(tmp_path / folder)) for folder in ("step1", "x0"))
    assert early.space == space("sd3")
    assert early.latent(Sample("deep/c"), None).sigma == 0.25
    assert (end.latent(Sample("deep/c"), None).tensor == 6).all()
    assert end.header("a").prompt == "a a"
    assert end.header("a").source == "constant"
    assert end.licence == "ask first"


def test_a_second_time_nothing_is_made_and_nothing_loaded(tmp_path):
    run(Constant(), tmp_path)
    before = {f: (f.stat().st_ino, f.read_bytes()) for f in tmp_path.rglob("*.safetensors")}
    maker = Constant()
    todo, failed, shown = run(maker, tmp_path)
    assert (maker.loaded, maker.asked, failed, todo.kept) == (0, [], {}, 6)
    assert shown == [(6, 6)]
    assert {f: (f.stat().st_ino, f.read_bytes()) for f in before} == before


def test_a_stopped_capture_goes_on_with_what_is_missing(tmp_path):
    run(Constant(["x0"]), tmp_path, SAMPLES[:2])
    maker = Constant()
    todo, _, _ = run(maker, tmp_path)
    assert maker.asked == [("a", ("step1",)), ("b", ("step1",)), ("deep/c", ("step1", "x0"))]
    assert (todo.kept, todo.count) == (2, 4)


@pytest.mark.parametrize("change", ["identity", "settings", "content", "rubbish", "foreign"])
def test_a_file_of_another_making_is_refused_before_anything_starts(tmp_path, change):
    run(Constant(), tmp_path)
    maker, settings, samples = Constant(), SETTINGS, SAMPLES
    if change == "identity":
        maker = Constant(identity="two")
    elif change == "settings":
        settings = {"tf32": True}
    elif change == "content":
        samples = [Sample(one.id, prompt="other") for one in SAMPLES]
    elif change == "rubbish":
        (tmp_path / "x0" / "b.safetensors").write_bytes(b"rubbish")
    else:
        from decoders.latents import write

        write(tmp_path / "x0" / "b.safetensors", torch.zeros(16, 1, 1), space="sd3")
    before = {f: f.read_bytes() for f in tmp_path.rglob("*.safetensors")}
    with pytest.raises(UsageError, match=r"is in the way|no safetensors file"):
        run(maker, tmp_path, samples, settings)
    assert maker.loaded == 0
    assert {f: f.read_bytes() for f in before} == before


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (RuntimeError("out of memory"), "RuntimeError: out of memory"),
        (ValueError("the prompt is too long"), "the prompt is too long"),
        (QaError("It has no picture.", "None."), "It has no picture. None."),
        (float("nan"), "96 of 96 values of step1 are not finite"),
    ],
)
def test_what_fails_is_told_and_the_rest_is_written(tmp_path, problem, said):
    todo, failed, shown = run(Constant(breaks={"b": problem}), tmp_path)
    assert failed == {"b": said}
    assert shown[-1] == (6, 6)
    assert sum(todo.folders().values()) == 4
    assert not list(tmp_path.rglob("b.safetensors"))
    again, failed, _ = run(Constant(), tmp_path)
    assert (again.count, failed) == (2, {}), "what failed is tried again"


def test_a_device_that_fails_stops_the_capture(tmp_path):
    broken = torch.AcceleratorError("CUDA error: an illegal memory access")
    with pytest.raises(QaError, match="The device failed"):
        run(Constant(breaks={"b": broken}), tmp_path)
    assert (tmp_path / "x0" / "a.safetensors").exists()
    assert not (tmp_path / "x0" / "deep").exists()


@pytest.mark.parametrize("name", ["../a", "./a", "a//b"])
def test_ids_that_name_no_file_of_their_own_are_refused(tmp_path, name):
    with pytest.raises(UsageError, match="does not name a file"):
        run(Constant(), tmp_path / "out", [*SAMPLES, Sample(name, prompt="x")])
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x" * 300, "File name too long"),
        ("x" * 300 + "/y", "File name too long"),
        ("a.safetensors/b", "File exists"),
        ("nul\0", "null byte"),
    ],
    ids=["long", "long folder", "beside a file", "null"],
)
def test_a_name_that_cannot_be_written_is_that_samples_failure(tmp_path, name, said):
    samples = sorted([*SAMPLES, Sample(name, prompt="x")], key=lambda sample: sample.id)
    todo, failed, shown = run(Constant(), tmp_path, samples)
    assert list(failed) == [name]
    assert said in failed[name]
    assert todo.folders() == {tmp_path / "step1": 3, tmp_path / "x0": 3}
    assert shown[-1] == (8, 8)
    assert not list(tmp_path.rglob(".part-*"))
    again, failed, _ = run(Constant(), tmp_path, samples)
    assert (again.kept, list(failed)) == (6, [name])


def test_a_latent_below_the_place_of_another_is_no_obstacle(tmp_path):
    """`a` cannot be written where `a.safetensors` is a folder; the others can."""
    run(Constant(), tmp_path, [Sample("a.safetensors/b", prompt="x")])
    _, failed, _ = run(Constant(), tmp_path)
    assert list(failed) == ["a"]


def test_a_full_disk_stops_the_capture(tmp_path, monkeypatch):
    """Unlike a bad name it is no matter of one sample."""

    def full(*_):
        raise OSError(28, "No space left on device")

    maker = Constant()
    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(QaError, match="The disk is full"):
        run(maker, tmp_path)
    assert len(maker.asked) == 1


def test_the_metadata_says_what_made_it(tmp_path):
    run(Constant(), tmp_path)
    said = metadata(tmp_path / "step1" / "a.safetensors")
    assert len(said.pop("identity")) == 64
    assert said == {"space": "sd3", "sigma": "0.25", "prompt": "a a", "source": "constant",
                    "licence": "ask first", "step": "step1"}  # fmt: skip
