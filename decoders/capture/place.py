"""Where a diffusion pipeline's files are: a local folder, or a repository at a commit.

A repository is taken from huggingface_hub's cache; only with `download` does `fetch` bring what is
missing there. Nothing but safetensors is loaded, and no code that comes with the weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decoders.pipelines import INDEX, read_index
from qa import assets
from qa.assets import downloads
from qa.errors import AssetMissing, QaError, UsageError, said
from qa.files import digest, sha256

VAE = "vae"
"""The part that is not loaded: a latent is taken before it."""
LIBRARIES = ("diffusers", "transformers")
WEIGHTS, SHARDS = ".safetensors", ".index.json"
COMMIT = 40


@dataclass(frozen=True)
class Place:
    """A pipeline's files."""

    name: str
    """For people: `repo@commit`, or the folder's name."""
    identity: str
    """`repo@commit`, or a digest of the folder's files."""
    folder: Path | None = None
    repo: str = ""
    revision: str = ""
    commit: str = ""
    licence: str = ""
    download: bool = False
    """Whether `fetch` may use the network."""


def find(
    source: str | None, repo: str | None, revision: str | None, expected: Mapping[str, str],
    licence: str, download: bool,
) -> Place:  # fmt: skip
    """The place of a pipeline; nothing but a branch's commit is asked of the network.

    `expected` is the class of the pipeline (`_class_name`) and of some of its parts. Raises
    UsageError where they differ, AssetMissing where the files are not here and must not be fetched.
    """
    if source is not None:
        folder = Path(source)
        parts = check(folder, expected)
        files = [folder / INDEX]
        for part in sorted(parts):
            files += sorted(file for file in (folder / part).rglob("*") if file.is_file())
        names = {file.relative_to(folder).as_posix(): sha256(file) for file in files}
        return Place(folder.resolve().name, digest(names), folder)
    if not repo or not revision:
        raise UsageError(
            "It is not said where the pipeline comes from.",
            "Neither source nor repo with its revision is set.",
            "pipeline.source=FOLDER",
        )
    commit = _commit(repo, revision, licence)
    download = download and not assets.offline()
    if not download:
        absent = _absent(repo, commit, expected)
        if absent:
            off = "the network is off" if assets.offline() else "it is not downloaded unasked"
            why = f"The cache does not hold {absent}, and {off}."
            raise _missing(repo, commit, licence, why)
    name = f"{repo}@{commit}"
    return Place(name, name, None, repo, revision, commit, licence, download)


def fetch(place: Place, kind: Any, expected: Mapping[str, str]) -> Path:
    """The folder with the files, downloaded if need be; `kind` is the class of the pipeline."""
    if place.folder is not None:
        return place.folder
    folder = _download(place, kind) if place.download else _snapshot(place.repo, place.commit)
    check(folder, expected)
    if place.revision != place.commit:
        assets.store().lock.add({}, {_key(place.repo, place.revision): place.commit})
    return folder


def check(folder: Path, expected: Mapping[str, str]) -> list[str]:
    """Names of the parts in a pipeline's index, without the VAE.

    Refuses an index that is absent, of another class, or that names code of its own.
    """
    try:
        made, pairs = read_index(folder / INDEX)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{folder} holds no pipeline in diffusers' layout.",
            f"{INDEX}: {said(error)}.",
            "pipeline.source=FOLDER, one that save_pretrained wrote",
        ) from error
    declared = {"_class_name": made, **{name: value[1] for name, value in pairs.items()}}
    for name, wanted in expected.items():
        if declared.get(name) != wanted:
            raise UsageError(
                f"{folder / INDEX} does not describe what the configuration asks for.",
                f"{name} is {declared.get(name)} there; it must be {wanted}.",
                "choose the pipeline=NAME that the folder holds",
            )
    foreign = [name for name, (library, _) in pairs.items() if library not in LIBRARIES]
    if foreign:
        raise UsageError(
            f"{folder / INDEX} names code of its own for {foreign[0]}.",
            f"Parts come from {' or '.join(LIBRARIES)}; code beside weights is never run.",
        )
    return [name for name in pairs if name != VAE]


def _download(place: Place, kind: Any) -> Path:
    try:
        return Path(
            kind.download(place.repo, revision=place.commit, use_safetensors=True, vae=None)
        )
    except Exception as error:  # the library has its own tree of network errors
        told = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise _missing(place.repo, place.commit, place.licence, told) from error


def _absent(repo: str, commit: str, expected: Mapping[str, str]) -> str:
    """What of a pipeline the cache lacks, or "".

    A part's folder must have files, a network's weights, a weights' index all that it names.
    """
    if _cached(repo, commit) is None:
        return "it"
    folder = _snapshot(repo, commit)
    for part in check(folder, expected):
        files = {file.name for file in (folder / part).glob("*") if file.is_file()}
        if not files:
            return f"its {part}"
        if "config.json" in files and not any(name.endswith(WEIGHTS) for name in files):
            return f"the weights of its {part}"
        for index in (name for name in files if name.endswith(WEIGHTS + SHARDS)):
            named = json.loads((folder / part / index).read_text(encoding="utf-8"))["weight_map"]
            lacking = sorted(set(named.values()) - files)
            if lacking:
                return f"{part}/{lacking[0]}"
    return ""


def _commit(repo: str, revision: str, licence: str) -> str:
    """The commit that a revision stands for: itself, the locked one, or what the network says."""
    if len(revision) == COMMIT and set(revision) <= set("0123456789abcdef"):
        return revision
    locked = assets.store().lock.commit_of(_key(repo, revision))
    if locked:
        return locked
    if assets.offline():
        cached = _cached(repo, revision)
        if cached is None:
            why = "The cache does not hold it, and the network is off."
            raise _missing(repo, revision, licence, why)
        return cached.parent.name
    try:
        return downloads.commit_of(repo, revision, INDEX)
    except Exception as error:
        raise _missing(repo, revision, licence, f"{type(error).__name__}: {error}") from error


def _cached(repo: str, revision: str) -> Path | None:
    """The index in huggingface_hub's cache, at snapshots/<commit>/."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, INDEX, revision=revision)
    return Path(found) if isinstance(found, str) else None


def _snapshot(repo: str, commit: str) -> Path:
    found = _cached(repo, commit)
    assert found is not None
    return found.parent


def _key(repo: str, revision: str) -> str:
    return f"{repo}@{revision}"


def _missing(repo: str, revision: str, licence: str, why: str) -> QaError:
    return AssetMissing(
        f"{repo} at {revision} is not at hand.",
        f"{' '.join(why.split())} Its licence: {licence}.",
        f'hf download {repo} --revision {revision} --exclude "{VAE}/*" (the VAE is not needed), or '
        "pipeline.download=true, which fetches only the parts that are used; a gated repository "
        f"wants its terms accepted at https://huggingface.co/{repo} and HF_TOKEN set",
    )
