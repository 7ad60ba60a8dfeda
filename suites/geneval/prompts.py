"""The prompt files of GenEval, by their SHA-256: line N asks for what lies in folder N.

    official    553 rows of github.com/djghosh13/geneval, wrong English ("a skis") included
    rewritten   the same tags and clauses, prompts rewritten into paragraphs by a language model, as
                ByteDance-Seed/Bagel uses them; scores are much higher than with the official ones
    custom      any other file; its name in results is made of its digest

Scores with different files cannot be compared, so a file never passes for one that it is not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qa import assets
from qa.errors import UsageError
from qa.files import sha256
from suites.geneval.rows import check_row

ASSETS = {
    "official": "evaluation_metadata.jsonl",
    "rewritten": "evaluation_metadata_long.bagel.jsonl",
}
"""The label of a published file → its asset, whose hash the table knows."""
CUSTOM = "custom"
LABELS = (*ASSETS, CUSTOM)
PROMPT_FILE = "prompt_file"
"""What a sample asks for beside its row: the SHA-256 of the row's file, so that results keep it."""


@dataclass(frozen=True)
class Prompts:
    """One prompt file."""

    label: str
    sha256: str
    rows: tuple[dict[str, Any], ...]
    """`tag`, `include`, `exclude` if any, `prompt`; a row's place is its folder's number."""

    def asks(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """What the samples of a row ask for (`Sample.asks`)."""
        return {**row, PROMPT_FILE: self.sha256}


def row_of(asks: Mapping[str, Any]) -> dict[str, Any]:
    """The row of the prompt file in what a sample asks for."""
    return {key: value for key, value in asks.items() if key != PROMPT_FILE}


def read(label: str, path: str | Path | None = None) -> Prompts:
    """The file of that label: the published one, downloaded where need be, or `path`.

    UsageError where `path` holds another file than the label says, or rows that cannot be judged.
    """
    if label not in LABELS:
        raise UsageError(
            f"There are no GenEval prompts {label!r}.",
            "",
            f"suite.prompts={' or suite.prompts='.join(LABELS)}",
        )
    if label == CUSTOM and path is None:
        raise UsageError(
            "Prompts of your own need a file.", "", "suite.prompts=custom suite.path=FILE.jsonl"
        )
    file = assets.resolve(ASSETS[label]) if path is None else Path(path)
    if not file.is_file():
        raise UsageError(f"suite.path={path} is no file.", "", "name a JSONL file of prompts")
    digest = sha256(file)
    if label != CUSTOM:
        _check_digest(label, file, digest)
    return Prompts(label, digest, tuple(_rows(file)))


def _check_digest(label: str, file: Path, digest: str) -> None:
    known = {assets.table()[name].files[0].sha256: other for other, name in ASSETS.items()}
    actual = known.get(digest, CUSTOM)
    if actual != label:
        raise UsageError(
            f"{file} does not hold the {label} GenEval prompts.",
            f"Its SHA-256 is {digest[:16]}…"
            + ("." if actual == CUSTOM else f", that of the {actual} ones."),
            f"suite.prompts={actual}",
        )


def _rows(file: Path) -> list[dict[str, Any]]:
    try:
        lines = file.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read the prompts {file}.", f"{error}.") from error
    return [_row(line, f"{file}, line {number}") for number, line in enumerate(lines, 1)]


def _row(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
        check_row(row)
        if not isinstance(row.get("prompt"), str):
            raise ValueError("prompt is missing")
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{where} is no row of GenEval prompts.",
            f"{str(error).removesuffix('.')}.",
            'write {"tag": "counting", "include": [{"class": "clock", "count": 2}], "prompt": "…"}',
        ) from error
    return dict(row)
