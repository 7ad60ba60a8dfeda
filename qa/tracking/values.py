"""Keys, texts and numbers in the form that MLflow stores without changing them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from qa.files import digest

MISSING = "qa.missing."
MAX_KEY = 240
MAX_PARAM = 500
MAX_TEXT = 5000
"""Below MLflow's limits (keys 250, parameters 6000, tags 8000 characters), older servers' too."""
_MOVING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Controls and what turns text around: ids and reasons of others are printed by MLflow's tools."""


@dataclass
class Numbers:
    """Collects numbers; what is not a finite number becomes a reason."""

    found: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def add(self, key: str, value: Any, why: str = "") -> None:
        """Keep `value` under `key`, or the reason why there is none."""
        key = clean(key)
        known = isinstance(value, (int, float)) and math.isfinite(value)
        if known:
            self.found[key] = float(value)
        else:
            self.missing[MISSING + key] = text(why or "no value")


def clean(key: str) -> str:
    """A key that MLflow accepts; where that needs a change, a digest keeps keys distinct."""
    kept = re.sub(r"[^\w\-. :/]", "_", key, flags=re.ASCII).strip("/ .")
    kept = re.sub(r"/(?=[/.])", "_", kept)
    if kept == key and len(key) <= MAX_KEY:
        return key
    return f"{kept[: MAX_KEY - 9]}-{digest(key)[:8]}"


def text(value: Any, limit: int = MAX_TEXT) -> str:
    """A value as a short text; none and the empty text are `none`, truth is `true` or `false`."""
    if isinstance(value, bool):
        return str(value).lower()
    shown = "none" if value is None or value == "" else str(value)
    shown = _MOVING.sub(lambda match: f"<U+{ord(match[0]):04X}>", shown)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
