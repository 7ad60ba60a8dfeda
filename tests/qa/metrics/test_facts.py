"""Fingerprints and directions, and that asking for them stays cheap."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from qa.config import compose
from qa.errors import UsageError
from qa.metrics import facts
from qa.metrics.facts import direction, fingerprint
from qa.numerics import pick_device
from qa.types import MetricFacts

FACTS = MetricFacts("psnr", "higher", "dB", "a paper", "MIT", {"window": 11, "sigma": 1.5})
NAMES = ("psnr", "ssim", "ms_ssim", "lpips_alex", "lpips_vgg", "dists", "gmsd", "piqe")


def test_fingerprint_of_known_facts():
    """SHA-256 of the canonical JSON, written out by hand."""
    text = (
        '{"better":"higher","licence":"MIT","name":"psnr","of":"picture","paired":true,'
        '"protocol":{"sigma":1.5,"window":11},"source":"a paper","unit":"dB"}'
    )
    assert fingerprint(FACTS) == hashlib.sha256(text.encode()).hexdigest()[:16]
    again = replace(FACTS, protocol={"sigma": 1.5, "window": 11})
    assert fingerprint(again) == fingerprint(FACTS)


@pytest.mark.parametrize(
    "change",
    [{"name": "x"}, {"better": "lower"}, {"unit": ""}, {"source": "x"}, {"licence": "x"},
     {"paired": False}, {"of": "set"},
     {"protocol": {"window": 11}}, {"protocol": {"window": 11, "sigma": 1.6}}],
)  # fmt: skip
def test_every_fact_counts(change):
    assert fingerprint(replace(FACTS, **change)) != fingerprint(FACTS)


def test_a_protocol_holds_no_nan():
    with pytest.raises(ValueError, match="JSON"):
        fingerprint(replace(FACTS, protocol={"sigma": float("nan")}))


def test_all_fingerprints_differ(case, all_cases):
    others = [all_cases[n] for n in NAMES if n not in ("piqe", case.metric.facts.name)]
    assert fingerprint(case.metric.facts) not in [fingerprint(o.metric.facts) for o in others]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("psnr", "higher"), ("ssim", "higher"), ("ms_ssim", "higher"), ("lpips_alex", "lower"),
     ("lpips", "lower"), ("dists", "lower"), ("gmsd", "lower"), ("piqe", "lower"),
     ("seconds", None), ("", None), ("../run", None)],
)  # fmt: skip
def test_direction(metric, expected):
    assert direction(metric) == expected


def test_a_family_that_disagrees_has_no_direction(monkeypatch):
    targets = {"x_up": "qa.metrics.psnr.PSNR", "x_down": "qa.metrics.gmsd.GMSD"}
    monkeypatch.setattr("qa.metrics.facts._targets", lambda: targets)
    assert direction("x") is None
    assert direction("x_up") == "higher"


def test_yaml_files_merge_by_name_and_one_argument_can_be_changed():
    group = compose([f"metric=[{','.join(NAMES)}]", "metric.psnr.device=auto"]).group("metric")
    assert list(group) == list(NAMES)
    psnr = {"_target_": "qa.metrics.psnr.PSNR", "colour": "rgb", "device": "auto"}
    assert group["psnr"] == psnr
    assert list(compose(["metric=[psnr,ssim]", "~metric.ssim"]).group("metric")) == ["psnr"]


HEAVY = "torch torchvision torchmetrics lpips piq pyiqa skimage scipy".split()


def imported(code):
    """Which heavy libraries a fresh process has imported after `code`."""
    code += f"; import sys; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return out.stdout.split()


def test_no_heavy_import():
    found = sorted((Path(facts.__file__).parent).glob("[a-z]*.py"))
    modules = ", ".join(f"qa.metrics.{file.stem}" for file in found)
    assert len(found) > 20
    asked = "; ".join(f"facts.direction({name!r})" for name in (*NAMES, "lpips"))
    assert imported(f"import {modules}; from qa.metrics import facts; {asked}") == []


def test_the_import_test_can_fail():
    assert imported("import scipy") == ["scipy"]


def test_devices():
    assert pick_device("cpu") == "cpu"
    assert pick_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UsageError, match="'tpu'"):
        pick_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no GPU"):
            pick_device("cuda:1")
