"""What a capture makes, keeps, refuses and reports, with a maker that takes no time."""

import pytest
import torch

from decoders.capture.loop import Item, carry_out, plan
from decoders.latents import StoredLatents, metadata
from decoders.spaces import space
from qa.errors import QaError, UsageError
from qa.types import Latent, Sample

SETTINGS = {"tf32": False}
ITEMS = [Item(Sample(name, prompt=f"a {name}"), f"content {name}") for name in ("a", "b", "deep/c")]


class Constant:
    """A maker whose latent says which sample and folder it is."""

    space = space("sd3")
    source = "constant"

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


def run(maker, out, items=ITEMS, settings=SETTINGS):
    shown = []
    todo = plan(maker, items, out, settings)
    done = carry_out(todo, lambda *counts: shown.append(counts))
    return todo, done, shown


def test_each_folder_is_one_that_stored_latents_reads(tmp_path):
    todo, done, shown = run(Constant(), tmp_path)
    assert (todo.count, todo.kept, done.written, done.failed) == (6, 0, 6, {})
    assert shown == [(0, 6), (2, 6), (4, 6), (6, 6)]
    early, end = (StoredLatents(str(tmp_path / folder)) for folder in ("step1", "x0"))
    assert early.space == space("sd3")
    assert early.latent(Sample("deep/c"), None).sigma == 0.25
    assert (end.latent(Sample("deep/c"), None).tensor == 6).all()
    assert end.header("a").prompt == "a a"
    assert end.header("a").source == "constant"


def test_a_second_time_nothing_is_made_and_nothing_loaded(tmp_path):
    run(Constant(), tmp_path)
    before = {f: (f.stat().st_ino, f.read_bytes()) for f in tmp_path.rglob("*.safetensors")}
    maker = Constant()
    todo, done, shown = run(maker, tmp_path)
    assert (maker.loaded, maker.asked, done.written, todo.kept) == (0, [], 0, 6)
    assert shown == [(6, 6)]
    assert {f: (f.stat().st_ino, f.read_bytes()) for f in before} == before


def test_a_stopped_capture_goes_on_with_what_is_missing(tmp_path):
    run(Constant(["x0"]), tmp_path, ITEMS[:2])
    maker = Constant()
    todo, done, _ = run(maker, tmp_path)
    assert maker.asked == [("a", ("step1",)), ("b", ("step1",)), ("deep/c", ("step1", "x0"))]
    assert (todo.kept, done.written) == (2, 4)


@pytest.mark.parametrize("change", ["identity", "settings", "content", "rubbish", "foreign"])
def test_a_file_of_another_making_is_refused_before_anything_starts(tmp_path, change):
    run(Constant(), tmp_path)
    maker, settings, items = Constant(), SETTINGS, ITEMS
    if change == "identity":
        maker = Constant(identity="two")
    elif change == "settings":
        settings = {"tf32": True}
    elif change == "content":
        items = [Item(item.sample, "other") for item in ITEMS]
    elif change == "rubbish":
        (tmp_path / "x0" / "b.safetensors").write_bytes(b"rubbish")
    else:
        from decoders.latents import write

        write(tmp_path / "x0" / "b.safetensors", torch.zeros(16, 1, 1), space="sd3")
    before = {f: f.read_bytes() for f in tmp_path.rglob("*.safetensors")}
    with pytest.raises(UsageError, match=r"is in the way|no safetensors file"):
        run(maker, tmp_path, items, settings)
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
    _, done, shown = run(Constant(breaks={"b": problem}), tmp_path)
    assert done.failed == {"b": said}
    assert (done.written, shown[-1]) == (4, (6, 6))
    assert not list(tmp_path.rglob("b.safetensors"))
    _, again, _ = run(Constant(), tmp_path)
    assert again.written == 2, "what failed is tried again"


def test_a_device_that_fails_stops_the_capture(tmp_path):
    broken = torch.AcceleratorError("CUDA error: an illegal memory access")
    with pytest.raises(QaError, match="The device failed"):
        run(Constant(breaks={"b": broken}), tmp_path)
    assert (tmp_path / "x0" / "a.safetensors").exists()
    assert not (tmp_path / "x0" / "deep").exists()


def test_ids_that_lead_outside_are_refused(tmp_path):
    with pytest.raises(QaError, match="does not name a file"):
        run(Constant(), tmp_path / "out", [Item(Sample("../a", prompt="x"), "c")])
    assert not list(tmp_path.rglob("*"))


def test_the_metadata_says_what_made_it(tmp_path):
    run(Constant(), tmp_path)
    said = metadata(tmp_path / "step1" / "a.safetensors")
    assert len(said.pop("identity")) == 64
    assert said == {"space": "sd3", "sigma": "0.25", "prompt": "a a", "source": "constant",
                    "step": "step1"}  # fmt: skip
