"""The JSON documents of a run, read so that what comes out is of the kind that it should be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qa.errors import QaError
from qa.files import canonical, read_json

HEAD = '{"check":"%s",'
"""How a sealed object begins: with the SHA-256 of what it is without its check."""


def strange(file: Path, why: str) -> QaError:
    """What to raise for a file of a run that holds something else than it should."""
    again = "run the same `qa run` command again: a finished run is not decoded again"
    return QaError(f"{file} is not what this version writes.", why, again)


def document(file: Path, schema: str, kind: type) -> dict[str, Any]:
    """A JSON object of a schema of any version and a kind of `qa.kinds`; QaError for all else."""
    content = read_json(file)
    if not isinstance(content, dict) or not str(content.get("schema")).startswith(schema):
        raise strange(file, f"Its schema is not {schema}1.")
    return checked(file, content, kind)


def checked(file: Path, content: dict[str, Any], kind: type) -> dict[str, Any]:
    """What a file holds; QaError where it is not of this kind of `qa.kinds`."""
    from qa import kinds

    why = kinds.check(content, kind)
    if why is None:
        return content
    raise strange(file, f"{why}.")


def rows(file: Path, key: str) -> list[dict[str, Any]]:
    """A JSON list of objects, each with a text under `key`; QaError for anything else."""
    content = read_json(file)
    found = content if isinstance(content, list) else [content]
    if not all(isinstance(row, dict) and isinstance(row.get(key), str) for row in found):
        raise strange(file, f"It is no list of objects with a {key} each.")
    return found


def objects(file: Path) -> dict[str, dict[str, Any]]:
    """A JSON object of objects; QaError for anything else."""
    content = read_json(file)
    if isinstance(content, dict) and all(isinstance(part, dict) for part in content.values()):
        return content
    raise strange(file, "It is no object of objects.")


def not_older(file: Path, before: Path) -> None:
    """QaError for a run of an earlier version, which had the file `before` in place of this one."""
    if not file.exists() and before.exists():
        now = file.relative_to(before.parent).as_posix()
        raise strange(before, f"Runs have {now} in its place.")


def sealed(content: Mapping[str, Any]) -> bytes:
    """An object's canonical JSON with a `check`, the SHA-256 of its canonical JSON without.

    `check` comes first: all other keys have to sort after it.
    """
    text = canonical(content)
    return (HEAD % hashlib.sha256(text.encode()).hexdigest() + text[1:]).encode()


def unsealed(data: bytes) -> Any:
    """What was `sealed`, without its check; ValueError where any byte is another than it was."""
    head = len(HEAD % "") + 64
    text = b"{" + data[head:]
    if data[:head] != (HEAD % hashlib.sha256(text).hexdigest()).encode():
        raise ValueError("it does not have the digest that it names")
    return json.loads(text)
