"""One pass: what is shared, what is cached, and that one failure costs only itself."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch
from toys import Brightness, Colours

from qa.metrics.engine import Engine
from qa.metrics.psnr import PSNR

PICTURES = torch.arange(2 * 3 * 4 * 6, dtype=torch.uint8).reshape(2, 3, 4, 6)
REFERENCE = PICTURES[0]


class Broken:
    facts = Brightness().facts

    def __call__(self, pictures, reference):
        raise ValueError("out of order")


class Endless(Colours):
    id = "bad0000000000000"

    def __call__(self, picture, key):
        return torch.full((1, 3), float("inf"))


def test_values_and_features_come_from_one_call():
    part = Colours()
    found = Engine({"psnr": PSNR(), "b": Brightness()}, [part]).measure(PICTURES, REFERENCE, "k")
    assert found.values["psnr"] == PSNR()(PICTURES, REFERENCE)
    assert found.values["b"] == Brightness()(PICTURES, None)
    assert found.features[part.id].shape == (2, 4, 3)
    assert np.array_equal(found.references[part.id], found.features[part.id][0])
    assert part.calls == 3, "two pictures and their reference, once each"
    assert found.lost == {}


def test_only_what_is_wanted_is_measured():
    part = Colours()
    engine = Engine({"psnr": PSNR(), "b": Brightness()}, [part])
    found = engine.measure(PICTURES, REFERENCE, "k", ["b"])
    assert (list(found.values), part.calls) == (["b"], 0)


def test_one_failure_costs_only_itself():
    engine = Engine({"x": Broken(), "b": Brightness()}, [Endless(), Colours()])
    found = engine.measure(PICTURES, REFERENCE, "k")
    assert list(found.values) == ["b"]
    assert found.lost == {"x": "out of order", Endless.id: "a feature is NaN or infinite"}
    assert list(found.features) == [Colours.id]


def test_without_a_reference_there_are_no_reference_features():
    found = Engine({}, [Colours()]).measure(PICTURES, None, "k")
    assert list(found.features) == [Colours.id]
    assert found.references == {}


def test_reference_features_are_kept_for_the_next_decoder(tmp_path):
    first, second = Colours(), Colours()
    one = Engine({}, [first], cache=tmp_path).measure(PICTURES, REFERENCE, "k")
    two = Engine({}, [second], cache=tmp_path).measure(PICTURES, REFERENCE, "k")
    assert (first.calls, second.calls) == (3, 2)
    assert np.array_equal(one.references[Colours.id], two.references[Colours.id])


@pytest.mark.parametrize("other", ["picture", "key", "network"])
def test_the_cache_is_addressed_by_everything_that_counts(tmp_path, other):
    Engine({}, [Colours()], cache=tmp_path).measure(PICTURES, REFERENCE, "k")
    part = Colours()
    reference, key = REFERENCE, "k"
    if other == "picture":
        reference = PICTURES[1]
    elif other == "key":
        key = "another"
    else:
        part.id = "0ther00000000000"
    Engine({}, [part], cache=tmp_path).measure(PICTURES, reference, key)
    assert part.calls == 3


def test_a_damaged_cache_is_filled_again(tmp_path):
    expected = Engine({}, [Colours()], cache=tmp_path).measure(PICTURES, REFERENCE, "k")
    (file,) = tmp_path.rglob("*.npy")
    for damage in (b"", file.read_bytes()[:-8], b"no array"):
        file.write_bytes(damage)
        part = Colours()
        found = Engine({}, [part], cache=tmp_path).measure(PICTURES, REFERENCE, "k")
        assert part.calls == 3
        assert np.array_equal(found.references[part.id], expected.references[part.id])


def test_a_cache_that_cannot_be_written_costs_no_value(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    found = Engine({}, [Colours()], cache=blocked).measure(PICTURES, REFERENCE, "k")
    assert list(found.references) == [Colours.id]


@pytest.mark.parametrize(("device", "met"), [("cpu", 2), ("meta", 0)])
def test_threads_score_side_by_side_on_the_processor_and_in_turn_elsewhere(device, met):
    """A GPU ("meta" stands for it) is to hold the memory of one picture's scoring at a time."""
    both = Barrier(2)

    class Meeting(Brightness):
        def __call__(self, pictures, reference):
            both.wait(timeout=20 if met else 0.5)  # broken where nobody else can come
            return [0.0] * len(pictures)

    engine = Engine({"b": Meeting()}, device=device)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda key: engine.measure(PICTURES, None, key), ["one", "two"]))
    assert sum("b" in one.values for one in found) == met
