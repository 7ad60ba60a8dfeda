"""What a tracker is told of a run."""

import math

import pytest
from tracked import VERDICT, make_run

from qa.errors import QaError, UsageError
from qa.tracking import MLflow
from qa.tracking.summary import MISSING, Numbers, clean, summarise, text


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


def test_gates_of_other_kinds_and_twins_have_names_of_their_own(tmp_path):
    gate = VERDICT["gates"][0]
    verdict = {**VERDICT, "gates": [gate, gate, gate, {**gate, "gate": "speed"}]}
    metrics = summarise(make_run(tmp_path / "x", verdict)).metrics
    names = {key.removesuffix("/harm") for key in metrics if key.endswith("/harm")}
    assert names == {"gate/psnr", "gate/psnr-2", "gate/psnr-3", "gate/speed/psnr"}


def test_an_unfinished_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="not a run folder"):
        MLflow().export(tmp_path)
    folder = make_run(tmp_path / "runs" / "x", finished=None)
    with pytest.raises(QaError, match="not finished"):
        MLflow().export(folder.path)
    folder = make_run(tmp_path / "runs" / "y")
    folder.verdict_file.unlink()
    with pytest.raises(QaError, match=r"no verdict\.json"):
        MLflow().export(folder.path)
    folder = make_run(tmp_path / "runs" / "z", suite_digest=None)
    with pytest.raises(QaError, match="suite_digest"):
        MLflow().export(folder.path)
    assert not (tmp_path / "runs" / "mlflow.db").exists()
