"""Pictures and runs that take no time. Not in conftest.py: several modules have that name.

Another process finds these functions by this module's name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def make_pictures(folder: Path, count: int) -> Path:
    """`count` smooth colour pictures p00.png, p01.png, …"""
    folder.mkdir(parents=True)
    for index in range(count):
        height, width = 48 + 8 * (index % 3), 64 - 5 * (index % 2)
        y, x = np.mgrid[0:height, 0:width]
        channels = [128 + 100 * np.sin((x * (c + 1) + y * index) / 17 + c) for c in range(3)]
        Image.fromarray(np.stack(channels, 2).astype(np.uint8)).save(folder / f"p{index:02d}.png")
    return folder


def toy_overrides(pictures: Path, decoder: str = "Sampler", *more: str) -> list[str]:
    """Overrides of `qa run` for a decoder of toys.py; `more` come last and win."""
    return [
        "suite=folder",
        f"suite.path={pictures}",
        "suite.name=toy",
        f"hydra.searchpath=[file://{Path(__file__).parent / 'conf'}]",
        "trust=[toys,planted]",
        "decoder=toy",
        f"decoder._target_=toys.{decoder}",
        "metric=[psnr]",
        "tracking=none",
        "report=null",
        "seeds=2",
        *more,
    ]


def run_slowly(pictures: str, out: str) -> None:
    """A run that a test kills.

    (`tests.qa.test_run` would be looked for in torch-fidelity, which installs a package `tests`.)
    """
    from qa.run import evaluate

    evaluate(*toy_overrides(Path(pictures), "Sampler", "+decoder.delay=0.02", f"out={out}"))
