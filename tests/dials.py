"""Dial documents as docs/formats.md describes them, without a dial behind them."""

from __future__ import annotations

from typing import Any

MARGINS = {"psnr": (0.2, "dB", "higher"), "gmsd": (0.002, "", "lower")}
"""Metric → margin, unit, better."""
LOOKS = "piqe"


def limit(metric: str = "psnr") -> dict[str, Any]:
    """One of `fidelity`."""
    margin, unit, better = MARGINS[metric]
    return {
        "metric": metric, "margin": margin, "relative": None, "why": f"why of {metric}",
        "unit": unit, "better": better,
    }  # fmt: skip


def figures(
    harm: float | None, half: float = 0.05, margin: float | None = None, **changes: Any
) -> dict[str, Any]:
    """What a setting says about a metric; `half` of the interval's width."""
    ends = (None, None) if harm is None else (harm - half, harm + half)
    held = harm is not None and margin is not None and harm + half < margin
    return {
        "mean": 30.0 - (harm or 0.0), "low": 29.0, "high": 31.0, "harm": harm,
        "harm_low": ends[0], "harm_high": ends[1], "margin": margin,
        "state": None if margin is None else "PASS" if held else "FAIL", "why": "",
    } | changes  # fmt: skip


def setting(
    name: str, psnr: float | None = 0.0, gain: float | None = 0.0, **changes: Any
) -> dict[str, Any]:
    """A setting that loses `psnr` dB, gmsd in proportion, and gains `gain` of plausibility."""
    metrics = {
        "psnr": figures(psnr, 0.05, 0.2),
        "gmsd": figures(None if psnr is None else psnr / 200, 0.0005, 0.002),
        LOOKS: figures(None if gain is None else -gain, 1.0),
    }
    broken = [name for name in MARGINS if metrics[name]["state"] == "FAIL"]
    knobs = dict(part.split("=") for part in name.split(" ") if "=" in part)
    return {
        "name": name, "knobs": knobs, "outside": False, "run": f"run-{name}", "metrics": metrics,
        "feasible": not broken, "why": f"{broken[0]} is not kept" if broken else "",
        "front": False, "seconds": 0.25,
    } | changes  # fmt: skip


def reference(name: str = "default", **changes: Any) -> dict[str, Any]:
    """The setting that harm is counted against."""
    found = setting(name, 0.0, 0.0, seconds=0.5, front=True)
    for row in found["metrics"].values():
        row |= {"harm": 0.0, "harm_low": 0.0, "harm_high": 0.0}
    return found | changes


def row(
    metric: str = "psnr", state: str = "PASS", harm: float | None = 0.1, **changes: Any
) -> dict[str, Any]:
    """One row of the confirmation."""
    margin, unit, better = MARGINS.get(metric, (None, "", "lower"))
    ends = (None, None) if harm is None else (harm - 0.05, harm + 0.05)
    return {
        "metric": metric, "role": "fidelity" if margin else "plausibility", "harm": harm,
        "low": ends[0], "high": ends[1], "margin": margin, "state": state,
        "why": f"why {metric} is {state}", "needs": None, "unit": unit, "better": better,
        "reference": 31.0, "picked": 30.9,
    } | changes  # fmt: skip


def confirmation(state: str = "CONFIRMED", *rows: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """`rows` as given, or one a limit and the plausibility."""
    return {
        "state": state, "summary": f"summary of the confirmation: {state}", "pictures": 24,
        "needs": None, "runs": {"reference": "run-a", "picked": "run-b"},
        "rows": list(rows) or [row("psnr"), row("gmsd", harm=0.001), row(LOOKS, "IMPROVED", -4.0)],
    } | changes  # fmt: skip


def dial(state: str = "CONFIRMED", *settings: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A whole document: the setting in the middle is picked."""
    codes = {"CONFIRMED": 0, "FAIL": 3, "INCONCLUSIVE": 4, "INVALID": 5}
    rows = list(settings) or [
        reference(),
        setting("sigma=0.1", 0.1, 4.0, front=True),
        setting("sigma=0.4", 0.9, 9.0, front=True),
    ]
    return {
        "schema": "decoder-qa/dial/1", "state": state, "exit_code": codes[state],
        "summary": f"{state}: sigma=0.1 keeps every limit.", "decoder": "pid_mini",
        "suite": "mini", "use_case": "document", "seeds": 4, "confidence": 0.9,
        "command": ["use_case=document", "decoder=pid_mini"],
        "pictures": {"selection": 24, "confirmation": 24},
        "search": {"method": "grid", "trials": None, "lists": {"sigma": [0, 0.1]}, "possible": 3},
        "reference": rows[0]["name"], "fidelity": [limit("psnr"), limit("gmsd")],
        "plausibility": LOOKS,
        "metrics": {
            name: {"unit": unit, "better": better, "of": "picture", "fingerprint": "f" * 64}
            for name, (_, unit, better) in (MARGINS | {LOOKS: (None, "", "lower")}).items()
        },
        "settings": rows, "picked": "sigma=0.1", "why": "the best piqe within every limit",
        "confirmation": confirmation(), "written": "dials/pid_mini-document.yaml", "kept": None,
        "use": ["qa", "run", "decoder=pid_mini", "dial=document"],
        "pins": {"decoder_digest": "d" * 64, "seeds": 4, "metrics": {"psnr": "f" * 64}},
        "notes": [],
    } | changes  # fmt: skip
