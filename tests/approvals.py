"""Run folders made by hand, whole enough to become baselines, and the verdicts they came with."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from qa.files import digest, write_bytes, write_json
from qa.reduce import reduce
from qa.store import RunFolder, UnitResult
from qa.types import Decoded, Score

TODAY = date(2026, 11, 21)
LATER = "2027-06-30"
CPU, GPU = "c" * 12, "9" * 12
"""Two environment classes."""
MARGINS = "use_case:\n  margins:\n    psnr: {margin: 0.2}\n"

TERMS = {"use_case": "7" * 64, "primary": ["psnr"], "gates": {"regression": "e" * 64}}
"""What every run is to be judged by, and was."""


def make_run(
    path: Path,
    psnr: tuple[float | None, ...] = (30.0, 31.0, 32.0),
    *,
    environment: str = CPU,
    verdict: dict[str, Any] | None = None,
    **record: Any,
) -> RunFolder:
    """A finished run of suite `photos`: a picture and a PSNR for each value given.

    Its plan and its pictures' digests follow from the values, so that other values are another
    decoder and the same values the same run again.
    """
    folder = RunFolder(path)
    plan = digest(list(psnr))
    fixed = {
        "schema": "decoder-qa/record/1", "name": f"photos-toy-{plan[:8]}", "suite": "photos",
        "decoder": "toy", "use_case": "photo", "policy": "pr", "terms": TERMS, "plan": plan,
        "suite_digest": "5" * 64,
        "decoder_digest": digest([plan, "weights"]), "latents_digest": None, "seeds": 1,
        "pictures": len(psnr), "limited": False, "licence": "test", "unavailable": {},
        "facts": {"psnr": {"name": "psnr", "better": "higher", "fingerprint": "f00d"}},
        "environment": {"class": environment, "decides": {"threads": 2, "class": environment}},
        "started": "2026-11-20T08:00:00+00:00", "finished": "2026-11-20T08:05:00+00:00",
    }  # fmt: skip
    write_json(folder.record_file, {**fixed, **record})
    write_json(folder.verdict_file, verdict or make_verdict())
    write_bytes(folder.config_file, MARGINS.encode())
    names = [f"p{index}" for index in range(len(psnr))]
    folder.write_samples({"id": name, "sha256": digest(name)} for name in names)
    for name, value in zip(names, psnr, strict=True):
        file = folder.picture_file(name, 0)
        write_bytes(file, b"a picture")
        inside = file.relative_to(path).as_posix()
        picture = Decoded(name, 0, inside, digest([plan, name]), 0, 0.25, None)
        score = Score(name, 0, "psnr", value, "" if value is not None else "too small")
        folder.store(UnitResult(name, (picture,), (score,), {"psnr": "f00d"}))
    reduce(folder, names, ["psnr"])
    return folder


def make_verdict(
    state: str = "MEASURED",
    *gates: dict[str, Any],
    against: str = "",
    problems: tuple[str, ...] = (),
) -> dict[str, Any]:
    """A verdict document, as far as a promotion reads it; `against` is a baseline's content."""
    return {
        "schema": "decoder-qa/verdict/2",
        "state": state,
        "policy": "pr",
        "use_case": "photo",
        "terms": {"use_case": TERMS["use_case"], "gates": ["regression"]},
        "baseline": {"name": "before", "content": against} if against else None,
        "gates": list(gates),
        "problems": list(problems),
    }


def row(state: str, estimate: float | None = 0.1, metric: str = "psnr", **more: Any) -> dict:
    """A gate's row; of `regression` unless `gate` says otherwise."""
    ends = (None, None) if estimate is None else (estimate - 0.02, estimate + 0.02)
    return {
        "gate": "regression", "metric": metric, "state": state, "estimate": estimate,
        "low": ends[0], "high": ends[1], "margin": 0.2, "why": "so it is", "role": "primary",
        "counts": True, **more,
    }  # fmt: skip
