"""The environment class: one name for everything that changes numbers from outside."""

from __future__ import annotations

import pytest
import torch

from qa import environment
from qa.environment import class_of, decides, differences
from qa.numerics import Numerics, describe

FIELDS = {"threads": 2, "torch": "2.11", "variables": {"MKL_CBWR": "AVX2"}}


def here(**changes):
    return decides(describe(Numerics(), "cpu") | changes)


def test_the_fields_say_what_decides_bits():
    found = here()
    assert found["threads"] == torch.get_num_threads()
    assert found["torch"] == torch.__version__
    assert found["device"] == "cpu"
    for name in ("system", "processor", "torch_build", "pillow", "libjpeg", "zlib", "numpy"):
        assert found[name], name
    assert "driver" not in found, "a GPU decides nothing about a decode on the CPU"


@pytest.mark.parametrize(
    "change",
    [{"threads": 99}, {"tf32": True}, {"sdpa": "math"}, {"hardware": "AVX2"}, {"torch": "9"}],
)
def test_whatever_changes_numbers_makes_another_class(change):
    assert class_of(here(**change)) != class_of(here())
    assert class_of(here()) == class_of(here())


def test_the_second_gpu_is_of_the_first_ones_class(monkeypatch):
    monkeypatch.setattr(environment, "_gpu", lambda device: {})
    one, two = (here(device=f"cuda:{index}", hardware="H100") for index in (0, 1))
    assert class_of(one) == class_of(two)
    assert class_of(one) != class_of(here(device="cuda", hardware="H200"))


def test_variables_that_choose_kernels_count_and_no_others_are_read(monkeypatch):
    before = class_of(here())
    monkeypatch.setenv("QA_SECRET_PLACE", "/home/somebody")
    assert class_of(here()) == before
    assert "somebody" not in str(here())
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    assert class_of(here()) != before
    assert here()["variables"]["MKL_CBWR"] == "COMPATIBLE"


def test_a_difference_names_its_field():
    other = {"threads": 4, "variables": {"MKL_CBWR": "AVX512"}, "torch": "2.11", "cuda": "13.0"}
    assert differences(FIELDS, other) == [
        "cuda: not there against 13.0",
        "threads: 2 against 4",
        "variables.MKL_CBWR: AVX2 against AVX512",
    ]
    assert differences(FIELDS, dict(FIELDS)) == []


def test_two_classes_are_equal_exactly_where_no_field_differs():
    assert class_of(FIELDS) == class_of(dict(reversed(FIELDS.items())))
    changed = FIELDS | {"variables": {}}
    assert class_of(changed) != class_of(FIELDS)
    assert differences(FIELDS, changed)


def test_a_machine_without_nvidia_smi_has_no_driver(monkeypatch):
    monkeypatch.setenv("PATH", "")
    environment.gpu_query.cache_clear()
    assert environment.gpu_query("driver_version") is None
    environment.gpu_query.cache_clear()
