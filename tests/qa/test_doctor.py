"""`qa doctor` says what works, what is not here, and what is broken, each with its fix."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from qa import doctor, seeds
from qa.doctor import Finding, line
from qa.errors import QaError, Unavailable, UsageError


def one(found, name):
    (match,) = [finding for finding in found if finding.name == name]
    return match


def test_a_line_names_part_state_and_fix():
    text = line(Finding("metric", "piqe", "absent", "no pyiqa", "pip install pyiqa"))
    assert text.split() == [
        "metric", "piqe", "absent", "no", "pyiqa", "→", "pip", "install", "pyiqa",
    ]  # fmt: skip
    assert line(Finding("metric", "psnr", "ready", "")) == "metric      psnr             ready"


@pytest.mark.parametrize(("state", "code"), [("ready", 0), ("absent", 0), ("broken", 1)])
def test_only_what_is_broken_fails(monkeypatch, capsys, state, code):
    monkeypatch.setattr(doctor, "findings", lambda: iter([Finding("disk", "runs", state, "x")]))
    assert doctor.examine() == code
    assert capsys.readouterr().out == line(Finding("disk", "runs", state, "x")) + "\n"
    assert doctor.examine(as_json=True) == code
    assert json.loads(capsys.readouterr().out) == [
        {"part": "disk", "name": "runs", "state": state, "said": "x", "fix": ""}
    ]


def test_the_environment_of_the_tests_works():
    found = list(doctor.environment())
    assert {one(found, name).state for name in ("python", "torch", *doctor.LIBRARIES)} == {"ready"}


def test_noise_that_is_not_the_pinned_one_is_broken(monkeypatch):
    monkeypatch.setattr(seeds, "_changed", lambda: ((4, 4),))
    assert one(doctor.environment(), "torch").state == "broken"


def test_a_python_that_is_not_tested_is_said(monkeypatch):
    monkeypatch.setattr(doctor, "PYTHONS", ((2, 6), (2, 7)))
    found = one(doctor.environment(), "python")
    assert (found.state, found.fix) == ("broken", "use Python 2.6 to 2.7")


@pytest.mark.parametrize(
    ("error", "state"),
    [(ModuleNotFoundError("no", name="ray"), "absent"),
     (ModuleNotFoundError("no", name="something_of_its"), "broken"),
     (RuntimeError("operator torchvision::nms does not exist"), "broken")],
)  # fmt: skip
def test_a_library_is_absent_only_if_it_is_not_there_itself(monkeypatch, error, state):
    def fails(name):
        raise error

    monkeypatch.setattr(doctor, "import_module", fails)
    assert doctor._library("ray", "pip install ray", "absent").state == state


def test_a_place_that_cannot_be_written_or_is_full(monkeypatch, tmp_path):
    (good,) = doctor.places(tmp_path / "runs")
    assert good.state == "ready"
    assert list(tmp_path.iterdir()) == []
    full = SimpleNamespace(free=doctor.ROOM - 1)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: full)
    assert next(doctor.places(tmp_path)).state == "broken"
    monkeypatch.undo()

    def refuses(**_):
        raise PermissionError("read-only")

    monkeypatch.setattr(doctor.tempfile, "NamedTemporaryFile", refuses)
    assert "read-only" in next(doctor.places(tmp_path)).said


def test_a_store_that_does_not_answer_is_broken(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert doctor.tracking(tmp_path).state == "ready"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    found = doctor.tracking(tmp_path)
    assert (found.state, "tracking=none" in found.fix) == ("broken", True)


@pytest.mark.parametrize(
    ("error", "state"),
    [(None, "ready"), (Unavailable("no weights"), "absent"), (UsageError("no judge"), "absent"),
     (QaError("the detector failed its self test"), "broken")],
)  # fmt: skip
def test_a_metric_is_broken_only_where_it_fails_by_itself(monkeypatch, error, state):
    def build(node, what):
        if error is not None:
            raise error
        return doctor_metric

    doctor_metric = SimpleNamespace(facts=SimpleNamespace(licence="MIT"))
    monkeypatch.setattr(doctor, "build", build)
    assert doctor.metric("psnr").state == state


def test_a_metric_that_a_company_may_not_use_says_so(monkeypatch):
    metric = SimpleNamespace(facts={"a": SimpleNamespace(licence="research only")})
    monkeypatch.setattr(doctor, "build", lambda node, what: metric)
    assert doctor.metric("psnr").said == "not for commercial use"


def test_it_never_needs_a_gpu():
    assert [one.state for one in doctor.devices()][:1] == ["ready"]
    assert "torch" in sys.modules
