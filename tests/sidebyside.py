"""Comparisons of made-up run folders, with pictures and without a decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runfolders import build

from qa import files
from qa.comparison import document
from qa.gates.margins import Margin
from qa.gates.use_case import Trade, UseCase
from qa.judge import judge
from qa.results import Results, load

IDS = ("a", "b", "c", "d", "e", "f")
USE = UseCase(
    "photo",
    {"psnr": Margin(0.2, why="by hand"), "lpips": Margin(0.02, why="by hand")},
    ("psnr",),
    dial=Trade(("psnr",), ("lpips",)),
)
"""Fidelity is psnr (higher is better); what stands for plausibility is lpips (lower is better)."""


def made(path: Path, ids: Sequence[str] = IDS, decoder: str = "", **known: Any) -> Results:
    """A finished run: `bias` dB worse in psnr, and bias / 9 in lpips; `record` changes it."""
    changes: Mapping[str, Any] = known.pop("record", {})
    run = build(path, ids, **known)
    name = decoder or path.name
    more = {"finished": "2026-01-01T00:00:00Z", "decoder": name, "name": f"mini-{name}"}
    files.write_json(run.record_file, run.record() | more | changes)
    return load(path)


def compared(*arms: Results, use: UseCase = USE) -> dict[str, Any]:
    """The document of the first arm against the others."""
    verdicts = [judge(arms[0], other, use.measured(arms[0].metrics)) for other in arms[1:]]
    return document(arms, verdicts, use)
