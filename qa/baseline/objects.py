"""The object that stands for a baseline: a copy of what judging reads, named by its digest.

    object.json     what it is (suite, decoder, configuration, environment, fingerprints), the
                    digest of every other file, the verdict it was promoted on, who, why, until when
    record.json, config.yaml, samples.jsonl, decoded.parquet, scores/…
    sets.json and features/…    where a set metric was measured

The digest of object.json is the content's name, so nothing in the folder can change unseen: neither
a score nor an approver.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from qa import assets
from qa.baseline.approved import SHORT
from qa.baseline.pointers import Line
from qa.errors import QaError, UsageError
from qa.files import atomic, digest, read_json, sha256, write_json
from qa.store import RunFolder

SCHEMA = "decoder-qa/baseline-object/1"
OBJECT = "object.json"
FOLDER, MLFLOW = "folder", "mlflow"
"""Where objects may be stored."""


def kept(run: RunFolder) -> list[Path]:
    """The files that judging reads; features lie in a folder for each kind, or in one file."""
    tables = [run.record_file, run.config_file, run.samples_file, run.decoded_file]
    tables += sorted({run.scores_folder.parts_file, *run.scores_folder.files()})
    tables += [run.sets_file] if run.sets_file.is_file() else []  # older runs have none
    facts = run.record()["facts"].values() if run.record_file.is_file() else ()
    marks = {entry["protocol"].get("features") for entry in facts if entry.get("of") == "set"}
    features = run.path.glob("features/**/*.safetensors")
    wanted = [f for f in features if f.parent.name in marks or f.parent == run.path / "features"]
    return [*tables, *sorted(wanted)]


def files(run: RunFolder) -> dict[str, str]:
    """SHA-256 of the files that judging reads, by path in the folder; OSError if one is absent."""
    return {file.relative_to(run.path).as_posix(): sha256(file) for file in kept(run)}


def described(run: RunFolder) -> dict[str, Any]:
    """What object.json says about the run itself."""
    record = run.record()
    environment = record["environment"]
    path = os.path.relpath(run.path, Path.cwd())
    names = (
        "suite", "name", "plan", "suite_digest", "decoder", "decoder_digest", "latents_digest",
        "encoder_digest", "licence", "seeds", "pictures",
    )  # fmt: skip
    return {
        "schema": SCHEMA,
        **{name: record.get(name) for name in names},
        "run": path if not path.startswith("..") else str(run.path.resolve()),
        "environment": {
            "class": environment["class"],
            "decides": environment.get("decides", {}),
        },
        "fingerprints": {name: facts["fingerprint"] for name, facts in record["facts"].items()},
        "files": files(run),
    }


def store(run: RunFolder, entry: Mapping[str, Any], file: Path, to: str) -> Line:
    """Put the object where `to` says and return the line that names it.

    `to` is `folder` (beside the pointer `file`), `mlflow` or `mlflow:URI`.
    """
    content = digest(entry)
    line = Line(entry["environment"]["class"], content, str(entry["name"]), entry["promoted"])
    if to == FOLDER:
        _write(run, entry, _beside(file, content))
        return line
    kind, _, uri = to.partition(":")
    if kind != MLFLOW:
        raise UsageError(f"--store {to} is not known.", "", "--store folder, mlflow or mlflow:URI")
    from qa.tracking.baselines import upload

    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary) / _beside(file, content).name
        _write(run, entry, place)
        where = upload(place, str(entry["suite"]), content, uri or None)
    return Line(line.environment, line.content, line.run, line.promoted, where)


def opened(
    file: Path, content: str, where: str | None, stores: Collection[str] = ()
) -> tuple[RunFolder, dict[str, Any]]:
    """The object's folder, fetched if need be, and its object.json; UsageError if not intact.

    Of stores on the network only those are asked that MLFLOW_TRACKING_URI or `stores` name.
    """
    place = _place(file, content, where)
    damage = damaged(place, content)
    if damage and where is not None:
        damage = _fetch(place, file, content, where, stores)
    if damage:
        raise UsageError(
            f"The baseline {place if where is None else where} is not what was promoted.",
            damage,
            f"restore it; or take its line out of {file} and promote a run again",
        )
    return RunFolder(place), read_json(place / OBJECT)


def at_hand(file: Path, content: str, where: str | None) -> dict[str, Any] | None:
    """The object.json of an object that lies here intact; nothing is fetched."""
    place = _place(file, content, where)
    return None if damaged(place, content) else dict(read_json(place / OBJECT))


def damaged(place: Path, content: str) -> str:
    """What is wrong with an object's folder; empty if it is intact."""
    file = place / OBJECT
    if not file.is_file():
        return f"There is no {file}."
    try:
        entry = read_json(file)
        found = files(RunFolder(place))
    except OSError as error:
        return f"{error.filename} cannot be read: {error.strerror}."
    except (QaError, KeyError, TypeError, AttributeError) as error:
        return f"It cannot be read: {error}."
    if digest(entry) != content:
        return f"{OBJECT} has the digest {digest(entry)[:SHORT]}, not {content[:SHORT]}."
    told = entry["files"]
    other = sorted(name for name in {*told, *found} if told.get(name) != found.get(name))
    return f"{other[0]} is not the file that was promoted." if other else ""


def same_pictures(run: RunFolder, other: RunFolder) -> bool:
    """Whether two runs have one plan and the same pictures, to the last value."""
    if run.record()["plan"] != other.record()["plan"]:
        return False
    columns = ["sample", "seed", "digest"]
    return bool(run.decoded(columns).equals(other.decoded(columns)))


def pictures_of(entry: Mapping[str, Any]) -> RunFolder | None:
    """The run that was promoted, if it is still where it was."""
    run = RunFolder(Path(entry["run"]))
    try:
        return run if run.record()["plan"] == entry["plan"] else None
    except (QaError, KeyError):
        return None


def _beside(file: Path, content: str) -> Path:
    return file.with_name(f"{file.stem}-{content[:SHORT]}")


def _write(run: RunFolder, entry: Mapping[str, Any], place: Path) -> None:
    for source in kept(run):
        with atomic(place / source.relative_to(run.path)) as temporary:
            shutil.copyfile(source, temporary)
    write_json(place / OBJECT, entry)
    damage = damaged(place, digest(entry))
    if damage:
        raise QaError(
            f"{run.path} changed while it was copied.", damage, "promote it when nothing writes it"
        )


def _place(file: Path, content: str, where: str | None) -> Path:
    """Beside the pointer, or in the cache for one that lies elsewhere."""
    if where is None:
        return _beside(file, content)
    return assets.store().cache / "baselines" / content[:32]


def _fetch(place: Path, file: Path, content: str, where: str, stores: Collection[str]) -> str:
    """Put the object into the cache; what is wrong with it."""
    from qa.tracking.baselines import check, download

    check(where, file, stores)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
        new = Path(temporary) / "object"
        new.mkdir()
        download(where, new, stores)
        damage = damaged(new, content)
        if not damage:
            shutil.rmtree(place, ignore_errors=True)
            with suppress(OSError):  # another process was faster
                new.replace(place)
            damage = damaged(place, content)
    return damage
