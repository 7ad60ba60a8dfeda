"""Verdict documents as docs/formats.md describes them, without a run behind them."""

from __future__ import annotations

from typing import Any

HOSTILE = '<b>|`*_[x](y)\n@team #1 ]]> & "q" www.evil.example https://evil.example \x1b[31m\u202e'
"""Everything that could mean something to XML, HTML, Markdown, a terminal or a code host."""


def gate(metric: str = "psnr", state: str = "PASS", **changes: Any) -> dict[str, Any]:
    """A row with every key; harm 1.08 [0.91, 1.25] of a margin of 1."""
    return {
        "gate": "regression", "metric": metric, "state": state, "why": f"why of {metric}",
        "role": "primary", "counts": True, "estimate": 1.0812, "low": 0.9123, "high": 1.2511,
        "margin": 1.0, "margin_relative": None, "margin_why": "visible from here on", "limit": None,
        "method": "t", "sd": 0.5, "count": 24, "missing": 0, "p": 0.01, "p_holm": 0.02, "q": None,
        "needs": None, "unit": "dB", "better": "higher", "candidate": 24.021, "baseline": 25.102,
        "worst": [{"sample": "page_03", "harm": 2.125}], "warning": "", "waiver": None,
    } | changes  # fmt: skip


def secondary(metric: str = "ssim", state: str = "FAIL", **changes: Any) -> dict[str, Any]:
    """A row that is shown and does not count."""
    return gate(metric, state, role="secondary", counts=False, p_holm=None, q=0.04, **changes)


def waived(metric: str = "gmsd", state: str = "FAIL", **changes: Any) -> dict[str, Any]:
    """A row that somebody waived."""
    waiver = {"gate": metric, "by": "Ada", "why": "known, mended in 2.1", "until": "2027-01-31"}
    return gate(metric, state, counts=False, waiver=waiver, **changes)


def tail(state: str = "INCONCLUSIVE", **changes: Any) -> dict[str, Any]:
    """A tail row that could not pass: too few pictures for its rate."""
    return gate(
        "catastrophe", state, gate="tail", role="", counts=False, estimate=0.0, low=0.0, high=0.117,
        margin=0.01, needs=299, unit="", better=None, candidate=None, baseline=None, worst=[],
        p=None, p_holm=None, why="0 of 24 broken: 299 pictures could settle it", **changes,
    )  # fmt: skip


def verdict(state: str = "PASS", *gates: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A whole document; `gates` as given, or one that passed."""
    codes = {"FAIL": 3, "INCONCLUSIVE": 4, "INVALID": 5}
    arm = {
        "name": "mini-shifted-1a2b", "suite": "mini", "decoder": "shifted", "plan": "ab" * 32,
        "pictures": 24, "seeds": 4, "licence": "MIT", "notes": [], "limited": False,
        "environment": "0123456789ab",
    }  # fmt: skip
    base = arm | {
        "decoder": "vae_mini", "plan": "cd" * 32, "content": "ef" * 32, "by": "Grace",
        "why": "release 2.0", "until": None,
    }  # fmt: skip
    metric = {
        "metric": "psnr", "better": "higher", "unit": "dB", "fingerprint": "f" * 64,
        "of": "picture", "mean": 24.021, "low": 23.1, "high": 24.9, "count": 24, "missing": 0,
        "why": "",
    }  # fmt: skip
    return {
        "schema": "decoder-qa/verdict/2", "state": state, "exit_code": codes.get(state, 0),
        "summary": f"summary of {state}.", "policy": "pr", "candidate": arm, "baseline": base,
        "use_case": "photo", "confidence": 0.9, "look": None, "gates": list(gates or [gate()]),
        "drift": {}, "metrics": [metric], "failures": [], "problems": [], "warnings": [],
    } | changes  # fmt: skip
