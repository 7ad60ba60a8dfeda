"""`qa doctor` says what works, what is not here, and what is broken, each with its fix."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from types import SimpleNamespace

import pytest

from qa import config, doctor, installed, seeds
from qa.doctor import Finding, line
from qa.errors import QaError, Unavailable, UsageError
from qa.installed import packages


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
    found = [*doctor.python(), *doctor.libraries(), *doctor.noise()]
    needed = {package.name for package in packages() if package.everywhere}
    assert {one(found, name).state for name in ("python", "noise", *needed)} == {"ready"}


def test_noise_that_is_not_the_pinned_one_is_broken(monkeypatch):
    monkeypatch.setattr(seeds, "_changed", lambda: ((4, 4),))
    assert one(doctor.noise(), "noise").state == "broken"


def test_a_python_that_is_not_tested_is_said(monkeypatch):
    monkeypatch.setattr(doctor, "PYTHONS", ((2, 6), (2, 7)))
    found = one(doctor.python(), "python")
    assert (found.state, found.fix) == ("broken", "use Python 2.6 to 2.7")


def test_a_library_is_absent_only_where_an_extra_asks_for_it(monkeypatch):
    gone = ("ray", "scipy", "flip-evaluator")
    tried = installed.import_module

    def without(name):
        if name in {g.replace("-", "_") for g in gone}:
            raise ModuleNotFoundError("no", name=name)
        return tried(name)

    monkeypatch.setattr(installed, "import_module", without)
    monkeypatch.setattr(installed, "_there", lambda module: False)
    found = list(doctor.libraries())
    assert [one(found, name).state for name in gone] == ["absent", "broken", "absent"]
    assert one(found, "ray").fix == "pip install 'decoder-qa[ray]'"
    assert one(found, "scipy").fix.startswith("pip install 'scipy>=")
    assert one(found, "numpy").state == "ready", "the others are looked at"


WITHOUT = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "{module}":
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
sys.meta_path.insert(0, Hidden())
from qa import doctor, installed
tried = [one for one in installed.packages() if one.name in ("{package}", "safetensors")]
installed.packages = lambda: tried
doctor.metric = lambda name: doctor.Finding("metric", name, "ready", "")
sys.exit(doctor.examine(as_json=True))
"""


@pytest.mark.parametrize(
    ("module", "package"),
    [("mlflow", "mlflow"), ("sqlalchemy", "sqlalchemy"), ("torch", "torch"), ("yaml", "pyyaml"),
     ("PIL", "pillow")],
)  # fmt: skip
def test_whatever_is_missing_the_others_are_told(module, package, tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", WITHOUT.format(module=module, package=package)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1, done.stderr
    found = [Finding(**row) for row in json.loads(done.stdout)]
    assert {"environment", "device", "disk", "tracking", "asset", "decoder", "metric"} == {
        finding.part for finding in found
    }
    broken = [finding for finding in found if finding.state == "broken"]
    assert broken
    for finding in (one for one in broken if one.part != "disk"):
        assert package in finding.fix.lower(), finding
    assert one(found, "safetensors").state == "ready"


def test_a_place_that_cannot_be_written_or_is_full(monkeypatch, tmp_path):
    assert doctor.place(tmp_path / "runs", "x").state == "ready"
    assert list(tmp_path.iterdir()) == []
    full = SimpleNamespace(free=doctor.ROOM - 1)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: full)
    assert doctor.place(tmp_path, "x").state == "broken"
    monkeypatch.undo()

    def refuses(**_):
        raise PermissionError("read-only")

    monkeypatch.setattr(doctor.tempfile, "NamedTemporaryFile", refuses)
    assert "read-only" in doctor.place(tmp_path, "x").said


@pytest.mark.parametrize("name", ["file", "file/below", "file/far/below", "link", "link/below"])
def test_a_place_that_is_no_folder_is_broken(name, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    found = doctor.place(tmp_path / name, "qa run runs=FOLDER")
    assert (found.state, found.fix) == ("broken", "qa run runs=FOLDER")
    monkeypatch.setenv("QA_CACHE", str(tmp_path / name))
    monkeypatch.setattr(doctor, "metric", lambda name: Finding("metric", name, "ready", ""))
    monkeypatch.setattr(doctor, "libraries", list)
    cache = one(doctor.findings(), str(tmp_path / name))
    assert (cache.state, cache.fix) == ("broken", "export QA_CACHE=FOLDER")


def test_a_link_to_a_folder_is_one(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    assert doctor.place(tmp_path / "link" / "runs", "x").state == "ready"


def test_a_store_that_does_not_answer_is_broken(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert doctor.tracking(tmp_path).state == "ready"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    found = doctor.tracking(tmp_path)
    assert (found.state, "tracking=none" in found.fix) == ("broken", True)


@pytest.mark.parametrize(
    "uri", ["bogus://x", "sqlite:////proc/x.db", "sqlite:////proc/x/y.db", ":", "http://[bad",
            "http://me:se/same@127.0.0.1:1/", "postgresql://me:12/same@127.0.0.1:1/x",
            "http://me:same@127.0.0.1:9/x", "http://127.0.0.1:9/?password=same"],
)  # fmt: skip
def test_a_store_that_cannot_work_is_broken_and_no_password_told(uri, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    found = doctor.tracking(tmp_path)
    assert found.state == "broken"
    assert "tracking=none" in found.fix
    assert "same" not in line(found)
    assert not [word for word in ("me:se", "'se'", "me:12") if word in line(found)]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_broken(tmp_path, monkeypatch):
    file = tmp_path / "m.db"
    file.write_text("no database" * 99)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}")
    assert doctor.tracking(tmp_path).state == "broken"
    file.unlink()
    sqlite3.connect(file).close()
    assert doctor.tracking(tmp_path).state == "ready"


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
    monkeypatch.setattr(config, "build", build)
    assert doctor.metric("psnr").state == state


def test_a_metric_says_why_it_is_absent(monkeypatch):
    def build(node, what):
        raise Unavailable("Not available.", "Its licence is non-commercial.", "pip install x")

    monkeypatch.setattr(config, "build", build)
    found = doctor.metric("psnr")
    assert (found.said, found.fix) == (
        "Not available. Its licence is non-commercial.", "pip install x",
    )  # fmt: skip


def test_a_metric_that_lacks_a_package_names_a_command_that_every_shell_takes(monkeypatch):
    """Whatever its own error says: `pip install decoder-qa[iqa]` is refused by zsh."""

    def build(node, what):
        raise Unavailable("No.", "", "pip install decoder-qa[iqa]") from ModuleNotFoundError(
            "No module named 'pyiqa'", name="pyiqa"
        )

    monkeypatch.setattr(config, "build", build)
    monkeypatch.setattr(installed, "_there", lambda module: False)
    assert doctor.metric("piqe").fix == "pip install 'decoder-qa[iqa]'"


def test_what_fails_in_a_foreign_way_has_a_fix_too():
    def fails():
        raise ValueError("no")
        yield

    (found,) = doctor._guarded("disk", "x", fails)
    assert (found.state, found.said, bool(found.fix)) == ("broken", "no", True)


def test_a_metric_that_a_company_may_not_use_says_so(monkeypatch):
    metric = SimpleNamespace(facts={"a": SimpleNamespace(licence="research only")})
    monkeypatch.setattr(config, "build", lambda node, what: metric)
    assert doctor.metric("psnr").said == "not for commercial use"


def test_it_never_needs_a_gpu():
    assert [one.state for one in doctor.devices()][:1] == ["ready"]
    assert "torch" in sys.modules
