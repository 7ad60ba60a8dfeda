"""Keys, texts and numbers as MLflow takes them."""

import math

import pytest

from qa.tracking.values import MISSING, Numbers, clean, text


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, "3", "NaN"])
def test_only_finite_numbers_are_numbers(value):
    numbers = Numbers()
    numbers.add("m/mean", value, "because")
    assert numbers.found == {}
    assert numbers.missing == {MISSING + "m/mean": "because"}


def test_numbers_of_any_size_are_kept():
    numbers = Numbers()
    for key, value in {"a": 0, "b": -0.5, "c": 10**12}.items():
        numbers.add(key, value)
    assert numbers.found == {"a": 0.0, "b": -0.5, "c": 1e12}


@pytest.mark.parametrize("key", ["psnr/mean", "ocr.cer", "a b:c-d_e", "lpips/alex/low"])
def test_good_keys_stay(key):
    assert clean(key) == key


def test_other_keys_become_valid_and_stay_distinct():
    from mlflow.utils.validation import _validate_metric_name

    keys = [
        "lpips(alex)",
        "lpips[alex]",
        "größe",
        "a//b",
        "/a",
        "a/../b",
        "x" * 300,
        "x" * 301,
        "#",
    ]
    assert len({clean(key) for key in keys}) == len(keys)
    for key in keys:
        _validate_metric_name(clean(key))


def test_texts_are_short_and_never_empty():
    assert [text(value) for value in (None, "", True, 0.1)] == ["none", "none", "true", "0.1"]
    assert len(text("x" * 9000)) == 5000
