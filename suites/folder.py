"""Any folder of pictures, or a JSONL manifest.

A manifest has one JSON object a line; `image` is relative to the manifest:

    {"image": "a.png", "id": "a", "prompt": "…", "tags": ["photo"],
     "regions": [{"text": "Exit", "box": [10, 20, 60, 40]}]}

Only `image` or `prompt` is needed, and "" is a prompt too. A sample's id defaults to the picture's
path without its suffix.

Pictures lie in the folder of the manifest, links followed: a run copies them and its report shows
them, so a manifest from elsewhere must not be able to name any file of this machine. `outside`
allows it, for folders of links.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from qa.errors import UsageError
from qa.files import sha256
from qa.images import SUFFIXES
from qa.types import Sample, TextRegion
from qa.untrusted import leaves

MANIFEST_KEYS = {"id", "image", "prompt", "tags", "regions"}


class Folder:
    """Samples from `path`: a folder (searched in depth) or a .jsonl manifest."""

    def __init__(self, path: str | Path, name: str | None = None, outside: bool = False) -> None:
        self._path, self._outside = Path(path), outside
        whole = self._path.resolve()
        self.name = name or (whole.name if whole.is_dir() else whole.stem)
        if not str(path) or not self._path.exists():
            raise UsageError(
                f"suite.path={path} does not exist.", "", "name a folder or a .jsonl manifest"
            )

    def samples(self) -> Sequence[Sample]:
        """All samples, sorted by id. A file that cannot be read is a sample with a problem."""
        found = (_from_folder if self._path.is_dir() else _from_manifest)(self._path)
        twice = [name for name, count in Counter(s.id for s in found).items() if count > 1]
        if twice:
            raise UsageError(
                f"{self._path}: {len(twice)} sample ids occur more than once, e.g. {twice[0]!r}.",
                "",
                'give each line its own "id"',
            )
        if not found:
            raise UsageError(
                f"{self._path} holds no pictures.",
                f"Looked for {', '.join(SUFFIXES)} in it and below it.",
                "check suite.path",
            )
        self._check_inside(found)
        return sorted(found, key=lambda sample: sample.id)

    def _check_inside(self, samples: Sequence[Sample]) -> None:
        """UsageError for pictures that lie elsewhere, unless that is meant."""
        folder = self._path if self._path.is_dir() else self._path.parent
        if self._outside:
            return
        away = [s.id for s in samples if s.image is not None and leaves(s.image, folder)]
        if away:
            raise UsageError(
                f"{self._path}: {len(away)} pictures lie outside of its folder, "
                f"e.g. that of {away[0]!r}.",
                "A run copies pictures and shows them in its report.",
                "suite.outside=true, if these are meant",
            )


def _from_folder(folder: Path) -> list[Sample]:
    files = sorted(
        Path(root) / name
        for root, names in _walk(folder)
        for name in names
        if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
    )
    stems = Counter(_stem(file, folder) for file in files)
    return [
        _sample(
            # a.png beside a.jpg: the suffix has to stay, or their ids would be equal
            _stem(file, folder) if stems[_stem(file, folder)] == 1 else _relative(file, folder),
            file,
        )
        for file in files
    ]


def _walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """All folders below, but for hidden ones and run folders: a run must not measure itself."""
    for root, folders, names in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and not (Path(root) / name / "record.json").is_file()
        ]
        yield root, names


def _from_manifest(manifest: Path) -> list[Sample]:
    try:
        lines = manifest.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read the manifest {manifest}.", f"{error}.") from error
    return [
        _from_line(line, manifest, number) for number, line in enumerate(lines, 1) if line.strip()
    ]


def _from_line(line: str, manifest: Path, number: int) -> Sample:
    where = f"{manifest}, line {number}"
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON.", f"{error}.") from error
    if not isinstance(row, dict) or not (row.get("image") or row.get("prompt") is not None):
        raise UsageError(f"{where} has neither an image nor a prompt.")
    unknown = sorted(set(row) - MANIFEST_KEYS)
    if unknown:
        raise UsageError(
            f"{where} has unknown keys: {', '.join(unknown)}.",
            "",
            f"known keys: {', '.join(sorted(MANIFEST_KEYS))}",
        )
    texts = all(isinstance(row.get(key), str | None) for key in ("image", "prompt"))
    if not texts or not isinstance(row.get("tags", []), list):
        raise UsageError(f"{where}: image is a text, prompt is a text and tags are a list.")
    _check_text(row, where)
    try:
        regions = tuple(_region(region) for region in row.get("regions", ()))
        tags = tuple(str(tag) for tag in row.get("tags", ()))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UsageError(
            f"{where}: tags or regions are not understood ({error}).",
            "",
            'write "tags": ["a"], "regions": [{"text": "Exit", "box": [x0, y0, x1, y1]}]',
        ) from error
    prompt = row.get("prompt")
    if not row.get("image"):
        name = _name(row, hashlib.sha256(str(prompt).encode()).hexdigest()[:16])
        return Sample(name, prompt=prompt, tags=tags, regions=regions)
    if not Path(str(row["image"])).name:
        raise UsageError(f"{where}: image names no file.", "", "the path of a picture")
    file = manifest.parent / str(row["image"])
    name = _name(row, Path(str(row["image"])).with_suffix("").as_posix())
    return _sample(name, file, prompt, tags, regions)


def _name(row: dict[str, Any], default: str) -> str:
    given = row.get("id")
    return default if given is None or given == "" else str(given)


def _check_text(row: dict[str, Any], where: str) -> None:
    """Refuses half a surrogate pair (JSON can write one), which no file can hold as UTF-8."""
    for key in sorted(set(row) - {"image"}):  # names of files may be any bytes
        try:
            json.dumps(row[key], ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            code = ord(error.object[error.start])
            raise UsageError(
                f"{where}: its {key} is no valid text.",
                f"U+{code:04X} is half of a character that takes two.",
                "write the whole character, or leave it out",
            ) from error


def _region(region: dict[str, Any]) -> TextRegion:
    box, text = region["box"], region["text"]
    if not isinstance(text, str):
        raise TypeError(f"the text {text!r} is none")
    if not isinstance(box, list) or any(type(v) not in (int, float) for v in box):
        raise TypeError(f"the box {box!r} is no list of numbers")
    x0, y0, x1, y1 = (int(v) for v in box)
    if x1 <= x0 or y1 <= y0:
        raise ValueError(f"the box {[x0, y0, x1, y1]} is empty")
    return TextRegion(text, (x0, y0, x1, y1))


def _sample(
    name: str,
    file: Path,
    prompt: str | None = None,
    tags: tuple[str, ...] = (),
    regions: tuple[TextRegion, ...] = (),
) -> Sample:
    # Names that are no valid UTF-8 exist on disk; ids must be text that can be stored.
    name = name.encode("utf-8", "backslashreplace").decode()
    try:
        if file.exists() and not file.is_file():
            problem = f"{file.name}: not a regular file"
            return Sample(name, file, None, prompt, regions, tags, problem)
        digest = sha256(file)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        why = getattr(error, "strerror", None) or "cannot be read"
        problem = f"{ascii(file.name)[1:-1]}: {why.lower()}"
        return Sample(name, file, None, prompt, regions, tags, problem)
    return Sample(name, file, digest, prompt, regions, tags)


def _stem(file: Path, folder: Path) -> str:
    return file.relative_to(folder).with_suffix("").as_posix()


def _relative(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()
