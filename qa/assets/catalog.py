"""The table of downloadable files: `conf/assets.yaml` as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class AssetFile:
    """One file of an asset."""

    path: str
    """Where it lies inside the asset's folder; for a single file, the asset's name."""
    origin: str
    """URL, or path inside the repository."""
    sha256: str | None
    size: int | None
    """In bytes, where known."""


@dataclass(frozen=True)
class Asset:
    """One row of the table."""

    name: str
    licence: str
    needed_by: tuple[str, ...]
    files: tuple[AssetFile, ...]
    repo: str | None = None
    revision: str | None = None
    """A commit, or a branch whose commit is locked on first use."""
    archive: str | None = None
    """URL of a tar.gz; then `member` is the folder inside it and `tree` the hash of that folder."""
    member: str = ""
    tree: str = ""
    folder: bool = False
    note: str = ""
    ask: bool = False
    """Never downloaded unless asked for by name: large, or under terms one should have read."""
    about: int | None = None
    """Roughly how many bytes, where the exact size is not published."""

    @property
    def origin(self) -> str:
        if self.repo:
            return f"https://huggingface.co/{self.repo} at {self.revision}"
        return self.archive or self.files[0].origin

    @property
    def size(self) -> int | None:
        """Bytes, where every file's size is known."""
        sizes = [file.size for file in self.files]
        return None if not sizes or None in sizes else sum(size or 0 for size in sizes)


@cache
def table() -> dict[str, Asset]:
    """The packaged table by name."""
    import yaml

    text = (resources.files("qa.conf") / "assets.yaml").read_text(encoding="utf-8")
    return {name: parse(name, row) for name, row in yaml.safe_load(text).items()}


def parse(name: str, row: Mapping[str, Any]) -> Asset:
    """One row of the YAML table."""
    known = row.get("files")
    if known is None:
        only = AssetFile(name, row.get("url") or row.get("file", name), row.get("sha256"),
                         row.get("bytes"))  # fmt: skip
        files: tuple[AssetFile, ...] = () if "archive" in row else (only,)
    else:
        files = tuple(
            AssetFile(path, path, facts.get("sha256"), facts.get("bytes"))
            for path, facts in known.items()
        )
    return Asset(
        name, row["licence"], tuple(row["needed_by"]), files, row.get("repo"), row.get("revision"),
        row.get("archive"), row.get("member", ""), row.get("tree", ""),
        folder=known is not None or "archive" in row, note=row.get("note", ""),
        ask=row.get("ask", False), about=row.get("about"),
    )  # fmt: skip
