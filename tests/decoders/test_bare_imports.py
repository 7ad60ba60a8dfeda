"""Networks, samplers and checks need torch, NumPy and safetensors alone: a GPU machine is bare."""

import subprocess
import sys

import pytest

ABSENT = [
    "PIL", "cv2", "diffusers", "filelock", "huggingface_hub", "hydra", "jinja2", "matplotlib",
    "mlflow", "omegaconf", "pandas", "piq", "pooch", "pyarrow", "pyiqa", "rich", "scipy",
    "skimage", "torchmetrics", "torchvision", "transformers", "yaml",
]  # fmt: skip
MODULES = [
    "decoders.pid.network", "decoders.pid.samplers", "decoders.pid.registry", "decoders.pid.check",
    "decoders.pid.decoder", "decoders.l2p.network", "decoders.l2p.sampler", "decoders.l2p.check",
    "decoders.l2p.registry", "decoders.l2p.decoder", "decoders.mini.vae", "decoders.text",
    "decoders.weights", "decoders.cascade", "decoders.reduced",
]  # fmt: skip


def bare(code: str) -> subprocess.CompletedProcess:
    """Run code where importing any of ABSENT fails."""
    block = f"import sys; sys.modules.update(dict.fromkeys({ABSENT}))\n"
    command = [sys.executable, "-c", block + code]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_modules_import_without_the_other_libraries():
    done = bare("\n".join(f"import {name}" for name in MODULES))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["yaml", "PIL"])
def test_the_check_can_fail(name):
    done = bare(f"import {name}")
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr


def test_a_network_of_each_kind_can_be_built_there():
    done = bare(
        "from decoders.pid import network, registry\n"
        "from decoders.l2p import registry as l2p\n"
        "from decoders.l2p.network import L2PNetwork\n"
        "from decoders.weights import on_meta\n"
        "row = registry.find('pid_flux_2k')\n"
        "print(len(on_meta(lambda: network.PiDNetwork(row.config())).state_dict()))\n"
        "row = l2p.find('l2p_1k')\n"
        "print(len(on_meta(lambda: L2PNetwork(row.config)).state_dict()))\n"
    )
    assert done.stdout.split() == ["456", "545"], done.stderr
