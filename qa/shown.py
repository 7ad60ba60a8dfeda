"""Which repro.json speaks for a run: what was shown once holds for the very same inputs only.

Those are the weights and settings, the dial, the latents, the code and the versions of libraries
that made the pictures (`inputs` of record.json), in one environment class. Samples and seeds may
be others: a level is about the system.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from qa.environment import differences
from qa.errors import QaError
from qa.files import read_json

SCHEMA = "decoder-qa/repro/1"
FILE = "repro.json"
AGAIN = "measure it again: `qa repro` with the arguments of this run"


def files(runs: str | Path) -> list[Path]:
    """Every repro.json in a folder of runs."""
    return sorted(Path(runs).glob(f"*/{FILE}"))


def fitting(files: Iterable[Path], record: Mapping[str, Any]) -> tuple[Path, Any] | None:
    """The newest of these documents that speaks for the run of this record, with its place."""
    mark = _mark(record)
    found = [one for one in _near(files, record) if mark is not None and _mark(one[1]) == mark]
    return max(found, key=_date, default=None)


def absent(files: Iterable[Path], record: Mapping[str, Any]) -> str:
    """Why none of these documents speaks for that run: what differs, and what to do."""
    decoder, environment = _system(record)
    near = max(_near(files, record), key=_date, default=None)
    if near is None:
        return (
            f"no repro.json shows a level of decoder {str(decoder)[:12]} in environment class "
            f"{environment}: run `qa repro` with the same decoder"
        )
    name = f"{near[0].parent.name}/{FILE}"
    if _mark(record) is None:
        return (
            "the run does not say with which code and inputs it was made: "
            "give its `qa run` command again"
        )
    if _mark(near[1]) is None:
        return f"{name} does not say with which code and inputs it was measured; {AGAIN}"
    parts = differences(_short(near[1]["inputs"]), _short(record["inputs"]))
    return f"{name} was measured for other inputs: {'; '.join(parts)}; {AGAIN}"


def _near(files: Iterable[Path], record: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Documents of the same weights in the same environment class."""
    for file in files:
        try:
            content = read_json(file)
            # Half of a neighbour's, or another version's: a level that is not shown does not hold.
            if _whole(content) and _system(content) == _system(record):
                yield file, content
        except (QaError, KeyError, TypeError, AttributeError):
            continue


def _whole(content: Any) -> bool:
    return (
        content["schema"] == SCHEMA
        and isinstance(content["date"], str)
        and "reached" in content
        and all(isinstance(row["verdict"], str) for row in content["levels"].values())
    )


def _system(content: Mapping[str, Any]) -> tuple[Any, Any]:
    return content.get("decoder_digest"), (content.get("environment") or {}).get("class")


def _mark(content: Mapping[str, Any]) -> str | None:
    inputs = content.get("inputs")
    return inputs.get("digest") if isinstance(inputs, Mapping) else None


def _date(found: tuple[Path, Any]) -> tuple[str, Path]:
    return found[1]["date"], found[0]


def _short(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The parts, digests as short as people read them."""
    parts = {name: value for name, value in inputs.items() if name != "digest"}
    return {name: v[:12] if isinstance(v, str) else v for name, v in parts.items()}
