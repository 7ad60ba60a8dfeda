"""Every downloadable file, in one table, with its hash: `conf/assets.yaml`.

An asset is one file, or a folder of files. It is looked for

1. in the mirrors, the folders of QA_ASSETS (separated like PATH): a file of the asset's own name
   at any depth, or a folder with its name, its repository's or its revision; the hash decides;
2. in the cache (QA_CACHE, or ~/.cache/decoder-qa);
3. at its origin, unless offline (QA_OFFLINE=1, or inside `without_network`).

A hash that the table does not know is written to the lock (QA_ASSETS_LOCK, or assets.lock in the
cache) on first use and enforced from then on. A download becomes visible only after its hash was
found right.
"""

from __future__ import annotations

import difflib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from qa.assets import downloads
from qa.assets.catalog import Asset, AssetFile, table
from qa.assets.lock import Lock
from qa.errors import AssetMissing, QaError, UsageError
from qa.files import sha256

State = Literal["mirror", "cache", "missing", "damaged"]
_offline = False


@dataclass(frozen=True)
class Status:
    """Where an asset is. `why` says what is wrong with it, if anything."""

    asset: Asset
    state: State
    path: Path | None = None
    why: str = ""


@dataclass(frozen=True)
class Store:
    """A table and the places where its files may be."""

    table: Mapping[str, Asset]
    mirrors: tuple[Path, ...]
    cache: Path
    lock: Lock

    def resolve(self, name: str, *, offline: bool, asked: bool = False) -> Path:
        """The asset's file or folder, checked; downloads it if need be and allowed.

        `asked` says that somebody asked for this very asset, as some rows demand.

        Raises AssetMissing where it cannot be had, QaError where a download is not what the table
        or the lock says.
        """
        asset = self.find(name)
        status = self.status(name)
        if status.path is not None and status.state in ("mirror", "cache"):
            self._remember(asset, status.path)
            return status.path
        if offline:
            places = ", ".join(map(str, (*self.mirrors, self.cache)))
            why = f"It is needed for {', '.join(asset.needed_by)}. Looked in {places}. {status.why}"
            raise AssetMissing(
                f"{name} is not at hand, and the network is off.",
                why.strip(),
                f"qa assets fetch {name}, or put it into a folder named by QA_ASSETS",
            )
        if asset.ask and not asked:
            raise AssetMissing(
                f"{name} is not at hand and is not downloaded unasked.",
                f"It is large, or its terms matter: {asset.licence}. {status.why}".strip(),
                f"qa assets fetch {name}",
            )
        return self._download(asset)

    def status(self, name: str) -> Status:
        """Looks into mirrors and cache; touches neither network nor lock."""
        asset = self.find(name)
        refused: list[str] = []
        for place in self._mirrored(asset):
            problem = self._problem(asset, place)
            if not problem:
                return Status(asset, "mirror", place)
            refused.append(f"{place} was refused: {problem}.")
        place = self.cache / asset.name
        if not place.exists():
            return Status(asset, "missing", None, " ".join(refused))
        problem = self._problem(asset, place)
        if problem:
            return Status(asset, "damaged", place, f"{place} was refused: {problem}.")
        return Status(asset, "cache", place)

    def find(self, name: str) -> Asset:
        """The row of that name; UsageError suggests the nearest ones."""
        if name not in self.table:
            near = difflib.get_close_matches(name, self.table) or sorted(self.table)[:5]
            raise UsageError(
                f"There is no asset {name!r}.", f"Near: {', '.join(near)}.", "qa assets list"
            )
        return self.table[name]

    def _mirrored(self, asset: Asset) -> Iterator[Path]:
        names = {asset.name, PurePosixPath(asset.repo or asset.member).name}
        if asset.revision and _is_commit(asset.revision):
            names.add(asset.revision)
        for root in self.mirrors:
            for parent, folders, files in os.walk(root):
                folders.sort()
                if asset.folder and Path(parent).name in names:
                    yield Path(parent)
                elif not asset.folder and asset.name in files:
                    yield Path(parent, asset.name)

    def _problem(self, asset: Asset, place: Path) -> str:
        """Why this file or folder is not the asset, or nothing."""
        if asset.archive:
            same = place.is_dir() and downloads.tree_sha256(place) == asset.tree
            return "" if same else "the files in it are not the published ones"
        for file in asset.files:
            path = place / file.path if asset.folder else place
            if not path.is_file():
                return f"{file.path} is missing"
            size = path.stat().st_size
            if file.size is not None and size != file.size:
                return f"{file.path} has {size} bytes instead of {file.size}"
            wanted = file.sha256 or self.lock.hash_of(_key(asset, file))
            if wanted and sha256(path) != wanted:
                return f"{file.path} has SHA-256 {sha256(path)} instead of {wanted}"
        return ""

    def _remember(self, asset: Asset, place: Path, commit: str | None = None) -> None:
        unknown = {
            _key(asset, file): sha256(place / file.path if asset.folder else place)
            for file in asset.files
            if file.sha256 is None
        }
        self.lock.add(unknown, {asset.name: commit} if commit else {})

    def _download(self, asset: Asset) -> Path:
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.cache, prefix=".partial-") as partial:
                staged, scratch = Path(partial, "asset"), Path(partial, "scratch")
                scratch.mkdir()
                commit = self._get(asset, staged, scratch)
                problem = self._problem(asset, staged)
                if problem:
                    raise QaError(
                        f"The download of {asset.name} is not what was expected and was not kept.",
                        f"{problem[:1].upper()}{problem[1:]}. It came from {asset.origin}.",
                        f"if the change is meant, correct conf/assets.yaml or {self.lock.path}",
                    )
                place = self.cache / asset.name
                if not place.exists() or self._problem(asset, place):  # else another process won
                    _move(staged, place)
        except OSError as error:
            raise QaError(
                f"{asset.name} cannot be stored in {self.cache}.", str(error), "set QA_CACHE"
            ) from error
        self._remember(asset, place, commit)
        return place

    def _get(self, asset: Asset, staged: Path, scratch: Path) -> str | None:
        """Brings the asset's files to `staged`; returns the commit that a branch stood for."""
        commit = asset.revision
        try:
            if asset.archive:
                downloads.from_archive(asset.archive, asset.member, staged, scratch)
                return None
            if asset.repo and commit and not _is_commit(commit):
                commit = self.lock.commit_of(asset.name) or downloads.commit_of(
                    asset.repo, commit, asset.files[0].origin
                )
            for file in asset.files:
                target = staged / file.path if asset.folder else staged
                if asset.repo:
                    downloads.from_repo(asset.repo, commit or "main", file.origin, target, scratch)
                else:
                    downloads.from_url(file.origin, target, file.size)
        except Exception as error:  # each library has its own tree of network errors
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            raise AssetMissing(
                f"{asset.name} could not be downloaded.",
                f"{asset.origin}: {type(error).__name__}: {' '.join(str(error).split())[:300]}",
                f"qa assets fetch {asset.name} once the network is there (a gated repository also "
                "wants its licence accepted and HF_TOKEN set), or a folder named by QA_ASSETS",
            ) from error
        return commit


@contextmanager
def without_network(off: bool = True) -> Iterator[None]:
    """Within the block nothing is downloaded; with `off` False it changes nothing."""
    global _offline
    before, _offline = _offline, _offline or off
    try:
        yield
    finally:
        _offline = before


def offline() -> bool:
    """Whether the network may not be used."""
    return _offline or os.environ.get("QA_OFFLINE", "").lower() in ("1", "true", "yes")


def store() -> Store:
    """The packaged table with the places that the environment names."""
    mirrors = os.environ.get("QA_ASSETS", "")
    folder = Path(os.environ.get("QA_CACHE") or Path.home() / ".cache" / "decoder-qa")
    lock = os.environ.get("QA_ASSETS_LOCK") or folder / "assets.lock"
    places = tuple(Path(place) for place in mirrors.split(os.pathsep) if place)
    return Store(table(), places, folder, Lock(Path(lock)))


def find(name: str) -> Asset:
    """The row of that name."""
    return store().find(name)


def known_hash(name: str) -> str | None:
    """SHA-256 of a single-file asset, from the table or learned on first use; None if neither."""
    here = store()
    asset = here.find(name)
    return asset.files[0].sha256 or here.lock.hash_of(_key(asset, asset.files[0]))


def resolve(name: str, *, offline: bool | None = None) -> Path:
    """The asset's file or folder on this machine; None asks `offline()`."""
    return store().resolve(name, offline=_is_offline(offline))


def fetch(name: str, *, offline: bool | None = None) -> Path:
    """What `qa assets fetch NAME` does: as `resolve`, for assets too that have to be asked for."""
    return store().resolve(name, offline=_is_offline(offline), asked=True)


def verify(names: list[str] | None = None) -> list[Status]:
    """What `qa assets list` and `qa assets verify` show: each asset's state, hashes checked."""
    here = store()
    return [here.status(name) for name in names or sorted(here.table)]


def _is_offline(value: bool | None) -> bool:
    return offline() if value is None else value


def _is_commit(revision: str) -> bool:
    return len(revision) == 40 and set(revision) <= set("0123456789abcdef")


def _key(asset: Asset, file: AssetFile) -> str:
    return f"{asset.name}/{file.path}" if asset.folder else asset.name


def _move(staged: Path, place: Path) -> None:
    """Puts a checked file or folder where others may see it, instead of a damaged one."""
    if place.is_dir():
        shutil.rmtree(place)
    os.replace(staged, place)
