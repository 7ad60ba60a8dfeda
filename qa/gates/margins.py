"""How much worse is still acceptable: configuration with a reason beside each number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from qa.errors import UsageError


@dataclass(frozen=True)
class Margin:
    """The largest harm that may pass, in the metric's unit, and why that much."""

    value: float
    why: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.value < float("inf"):
            raise UsageError(
                f"A margin of {self.value} cannot be met.",
                "It is the largest harm that may pass, so it must be positive and finite.",
                "give a positive number, e.g. --margin psnr=0.2",
            )


def use_case(name: str) -> dict[str, Margin]:
    """Margins of a packaged use case (conf/use_case/<name>.yaml)."""
    import yaml

    folder = files("qa.conf") / "use_case"
    file = folder / f"{name}.yaml"
    known = sorted(f.name.removesuffix(".yaml") for f in folder.iterdir())
    if name not in known:
        raise UsageError(f"There is no use case {name!r}.", f"Known: {', '.join(known)}.")
    return from_config(yaml.safe_load(file.read_text(encoding="utf-8"))["margins"])


def from_config(margins: Mapping[str, Any]) -> dict[str, Margin]:
    """`{metric: {margin: 0.2, why: "…"}}`, or `{metric: 0.2}`, as YAML gives it."""
    found = {}
    for metric, entry in margins.items():
        given = dict(entry) if isinstance(entry, Mapping) else {"margin": entry}
        unknown = sorted(set(given) - {"margin", "why"})
        if unknown or not isinstance(given.get("margin"), int | float):
            raise UsageError(
                f"The margin of {metric} is not understood: {given}.",
                "It has two keys, margin (a number) and why (a text).",
                f"e.g. use_case.margins.{metric}.margin=0.2",
            )
        found[metric] = Margin(float(given["margin"]), str(given.get("why", "")))
    return found


def parse(pairs: Sequence[str]) -> dict[str, Margin]:
    """`["psnr=0.2", ...]` as the command line gives them."""
    found = {}
    for pair in pairs:
        metric, _, value = pair.partition("=")
        try:
            found[metric] = Margin(float(value), "given on the command line")
        except ValueError as error:
            raise UsageError(
                f"--margin {pair} is not understood.", "", "write --margin METRIC=VALUE"
            ) from error
    return found
