"""Fetching files and telling what they are: one function for each kind of origin.

Nothing here decides whether a file is right; `qa.assets` does, before it keeps anything.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tarfile
from pathlib import Path, PurePosixPath

from qa.files import sha256


def tree_sha256(folder: Path) -> str:
    """SHA-256 over the lines "<sha256>  <path inside the folder>" of all files, sorted by path."""
    files = sorted((file.relative_to(folder).as_posix(), file) for file in _files(folder))
    lines = "".join(f"{sha256(file)}  {name}\n" for name, file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def from_url(url: str, target: Path) -> None:
    """Downloads one file, with a progress bar where someone watches."""
    import pooch

    target.parent.mkdir(parents=True, exist_ok=True)
    fetch = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=60)
    pooch.get_logger().setLevel("WARNING")
    try:
        fetch(url, str(target), None)
    except Exception as error:
        response = getattr(error, "response", None)
        if response is not None:  # pooch leaves a refused answer's connection open
            response.close()
        raise


def from_repo(repo: str, commit: str, file: str, target: Path, scratch: Path) -> None:
    """Downloads one file of a Hugging Face repository at a commit; `scratch` is an empty place."""
    from huggingface_hub import hf_hub_download

    got = hf_hub_download(
        repo, file, revision=commit, local_dir=scratch, endpoint=os.environ.get("HF_ENDPOINT")
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(got, target)


def commit_of(repo: str, revision: str, file: str) -> str:
    """The commit that a branch or tag of a Hugging Face repository stands for now."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    endpoint = os.environ.get("HF_ENDPOINT")
    url = hf_hub_url(repo, file, revision=revision, endpoint=endpoint)
    commit: str | None = get_hf_file_metadata(url, endpoint=endpoint).commit_hash
    if not commit:
        raise OSError(f"{url} does not say which commit it is")
    return commit


def from_archive(url: str, member: str, target: Path, scratch: Path) -> None:
    """Downloads a tar.gz and unpacks the plain files below `*/member` into `target`.

    Links, devices and names that lead outside are passed over.
    """
    packed = scratch / "archive.tar.gz"
    from_url(url, packed)
    wanted = PurePosixPath(member).parts
    with tarfile.open(packed, "r:gz") as archive:
        for entry in archive:
            parts = PurePosixPath(entry.name).parts[1:]
            inside = parts[len(wanted) :]
            if not entry.isfile() or parts[: len(wanted)] != wanted or not inside:
                continue
            source = archive.extractfile(entry)
            if source is None or ".." in inside:
                continue
            place = target.joinpath(*inside)
            place.parent.mkdir(parents=True, exist_ok=True)
            with source, place.open("wb") as file:
                shutil.copyfileobj(source, file)


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]
