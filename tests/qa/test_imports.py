"""What importing costs: light modules stay light, and imports do nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "mlflow", "ray", "pyiqa", "transformers", "diffusers", "torchmetrics")


def loaded_by(statement: str) -> set[str]:
    """Which heavy libraries a fresh interpreter holds after a statement."""
    code = f"import sys; {statement}; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module",
    ["qa", "qa.types", "qa.roles", "qa.judge", "qa.cli", "qa.tracking", "qa.assets", "qa.config",
     "qa.run", "qa.maps", "qa.signoff", "suites.folder", "suites.mini", "reports.html",
     "reports.maps", "reports.picking", "reports.view", "reports.terminal"],
)  # fmt: skip
def test_light_modules_import_nothing_heavy(module):
    assert loaded_by(f"import {module}") == set()


def test_the_check_above_can_fail():
    assert loaded_by("import qa.judge, torch") == {"torch"}


def test_judging_a_table_needs_nothing_heavy(tmp_path):
    """Not only the import: the whole command."""
    table = tmp_path / "a.csv"
    table.write_text("sample,seed,metric,value\na,0,psnr,30\nb,0,psnr,31\nc,0,psnr,29\n")
    command = f"['judge', {str(table)!r}, '--baseline', {str(table)!r}, '--json']"
    assert "torch" not in loaded_by(f"import qa.cli; qa.cli.run({command})")


@pytest.mark.parametrize("package", ["decoders.vae", "decoders.latents", "decoders.mini.vae"])
def test_decoders_import_with_little_installed(package):
    """A GPU machine may have torch, numpy and safetensors only."""
    banned = ("diffusers", "transformers", "hydra", "mlflow", "pandas", "torchmetrics")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({banned!r})); import {package}; print('ok')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "ok\n", done.stderr
