"""The index of a pipeline in diffusers' layout: which class it is, and which parts it has."""

from __future__ import annotations

import json
from pathlib import Path

INDEX = "model_index.json"


def read_index(file: Path) -> tuple[str | None, dict[str, tuple[str | None, str]]]:
    """The pipeline's class, and its parts by name: library and class.

    Parts that it does without are left out. OSError, or ValueError for what is no index.
    """
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("it nests too deep") from error
    if not isinstance(index, dict):
        raise ValueError("it is no JSON object")
    pairs = {name: entry for name, entry in index.items() if isinstance(entry, list)}
    for name, entry in pairs.items():
        if len(entry) != 2 or not all(isinstance(each, str | None) for each in entry):
            raise ValueError(f"{name} is no library and class")
    made = index.get("_class_name")
    parts = {name: (entry[0], entry[1]) for name, entry in pairs.items() if entry[1]}
    return made if isinstance(made, str) else None, parts
