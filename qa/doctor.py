"""`qa doctor`: what works on this machine, and the command that mends what does not."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

from qa import assets, numerics
from qa.config import build, compose
from qa.errors import QaError, Unavailable
from qa.record import versions


def examine() -> int:
    """Print a line for each thing a run needs; 1 if something essential is missing."""
    import torch

    found = versions()
    print(f"decoder-qa {found.get('decoder-qa')}, torch {torch.__version__}")
    device = numerics.pick_device("auto")
    settings = numerics.Numerics()
    hardware = numerics.describe(settings, device)["hardware"]
    print(f"device     {device} ({hardware}, {torch.get_num_threads()} threads)")
    cache = assets.store().cache
    free = shutil.disk_usage(_existing(cache)).free
    print(f"cache      {cache}, {free / 1e9:.1f} GB free")
    folder = Path(str(files("qa.conf"))) / "metric"
    for name in sorted(file.stem for file in folder.glob("*.yaml")):
        config = compose([f"metric=[{name}]"])
        print(f"metric     {name:12} {_state(config.group('metric')[name], name)}")
    try:
        tree = compose(["decoder=vae_mini"])
        build(tree.group("decoder"), "decoder")
        print("decoder    vae_mini     ready, no download")
    except QaError as error:
        print(f"decoder    vae_mini     {error}")
        return 1
    return 0


def _state(node: object, name: str) -> str:
    """Whether a metric can be built from what is on this machine; nothing is downloaded."""
    try:
        with assets.without_network():
            build(node, f"metric {name}")
    except Unavailable as error:
        return f"not at hand: {error.fix or error.what}"
    return "ready"


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.is_dir())
