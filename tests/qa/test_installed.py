"""Packages that we ask for: taken from our metadata, tried, and the absent module named."""

from __future__ import annotations

from importlib import metadata

import pytest

from qa import installed
from qa.installed import PAIR, Package, absent, fix, packages

GONE = "a_module_that_nobody_has"


def test_every_package_that_we_ask_for_is_one():
    found = {package.name: package for package in packages()}
    assert {"torch", "scipy", "pandas", "pyarrow", "mlflow", "hydra-core", "safetensors",
            "opencv-python-headless", "pillow"} <= set(found)  # fmt: skip
    assert {found[name].extra for name in ("pyiqa", "ray", "scipy")} == {"iqa", "ray", ""}
    assert not found["flip-evaluator"].everywhere, "there is no wheel for some systems"
    assert not {"pytest", "ruff"} & set(found)


def test_each_is_imported_by_its_name():
    modules = metadata.packages_distributions()
    here = {name.lower().replace("_", "-") for names in modules.values() for name in names}
    tried = [package for package in packages() if package.name in here]
    assert len(tried) > 25
    for package in tried:
        owners = {owner.lower().replace("_", "-") for owner in modules[package.module]}
        assert package.name in owners


@pytest.mark.parametrize(
    ("package", "command"),
    [(Package("scipy", "scipy>=1.13"), "pip install 'scipy>=1.13'"),
     (Package("pyiqa", "pyiqa>=0.1", "iqa", False), "pip install 'decoder-qa[iqa]'"),
     (Package("addict", "addict"), "pip install addict")],
)  # fmt: skip
def test_the_command_is_one_that_every_shell_takes(package, command):
    assert package.fix == command


def raising(error: Exception, cause: Exception | None = None):
    def fails(name):
        raise error from cause

    return fails


def test_the_module_that_is_absent_is_named(monkeypatch):
    """As where torchvision is not there: diffusers cannot be mended by installing diffusers."""
    lacks = ModuleNotFoundError("no", name=f"{GONE}.ops")
    for fails in (
        raising(lacks), raising(RuntimeError("failed to import"), lacks),
        raising(RuntimeError(f"failed to import because: No module named '{GONE}.ops'")),
    ):  # fmt: skip
        monkeypatch.setattr(installed, "import_module", fails)
        there, _, told = Package("diffusers", "diffusers>=0.42").trouble()
        assert (there, told) == (False, f"pip install {GONE}")
    monkeypatch.setattr(installed, "_there", lambda module: module != "torchvision")
    monkeypatch.setattr(
        installed, "import_module", raising(ModuleNotFoundError("no", name="torchvision"))
    )
    assert Package("lpips", "lpips").trouble()[2].startswith("pip install 'torchvision>=")
    assert Package("torchvision", "torchvision").trouble()[:2] == (True, "not installed")


def test_a_package_that_does_not_work_is_installed_again(monkeypatch):
    monkeypatch.setattr(installed, "import_module", raising(ImportError("undefined symbol")))
    there, why, told = Package("scipy", "scipy>=1.13").trouble()
    assert (there, "undefined symbol" in why) == (False, True)
    assert told == "pip install --force-reinstall 'scipy>=1.13'"
    pair = RuntimeError("operator torchvision::nms does not exist")
    monkeypatch.setattr(installed, "import_module", raising(pair))
    assert Package("transformers", "transformers").trouble()[2] == PAIR


def test_what_is_installed_is_not_absent():
    assert absent(ModuleNotFoundError("no", name="json.nothing")) is None
    assert absent(ValueError("no")) is None
    assert fix("cv2").startswith("pip install 'opencv-python-headless>=")
    assert Package("numpy", "numpy").trouble() is None
    assert Package(GONE, GONE).version() == ""
