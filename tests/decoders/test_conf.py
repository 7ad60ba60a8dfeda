"""The decoder configurations say what their constructors take, and what the asset table has."""

import importlib
import inspect
import subprocess
import sys
from importlib import resources

import pytest
import yaml

from decoders.spaces import SPACES
from qa import assets

FILES = sorted(
    (file for file in (resources.files("qa.conf") / "decoder").iterdir() if file.suffix == ".yaml"),
    key=lambda file: file.name,
)
ids = [file.name for file in FILES]


def find(target: str):
    module, name = target.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


def nodes(value):
    if isinstance(value, dict):
        if "_target_" in value:
            yield value
        for entry in value.values():
            yield from nodes(entry)


def test_there_is_one_for_each_system():
    names = {file.stem for file in FILES}
    assert names >= {
        "vae_mini", "taef2", "sd1", "sdxl", "sd3", "flux1", "zimage", "flux2", "qwen_image",
        "wan21", "dcae", "rae_dinov2", "taesd", "pictures", "flat", "shifted",
    }  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=ids)
def test_every_argument_is_written_out_and_none_is_invented(file):
    text = file.read_text()
    content = yaml.safe_load(text)
    assert text.splitlines()[0] == "# @package _global_"
    assert {"decoder", "encoder"} <= set(content)
    for node in nodes(content):
        if not node["_target_"].startswith("decoders."):
            continue
        arguments = inspect.signature(find(node["_target_"])).parameters
        assert set(node) - {"_target_"} == set(arguments), node["_target_"]


@pytest.mark.parametrize("file", FILES, ids=ids)
def test_spaces_and_assets_exist_and_the_comment_names_the_revision(file):
    text = file.read_text()
    decoder = yaml.safe_load(text)["decoder"]
    if not decoder["_target_"].startswith("decoders.vae."):
        return
    assert decoder["space"] in SPACES
    if decoder["asset"] is not None:
        asset = assets.table()[decoder["asset"]]
        assert asset.repo in text
        assert asset.revision in text
        assert f"decoder={file.stem}" in asset.needed_by
        paths = [entry.path for entry in asset.files]
        inside = f"{decoder['subfolder']}/" if decoder["subfolder"] else ""
        assert f"{inside}config.json" in paths


def test_importing_the_adapters_imports_no_heavy_library():
    code = (
        "import sys, decoders.vae, decoders.taesd, decoders.latents, decoders.pictures, "
        "decoders.faults; "
        "print(sorted({'diffusers', 'transformers', 'pooch', 'huggingface_hub', 'cv2', 'hydra'} "
        "& set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
