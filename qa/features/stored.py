"""Features on disk: kept beside a run, so that intervals, KID and subsets need no picture again.

    <run>/features/<features id>/<sample>.safetensors
      seeds      int64   [A]        the seeds that have a picture
      values     float32 [A,V,d]    rows of each of them, one a view
      reference  float32 [V,d]      rows of the reference picture, if there is one
    <run>/features/<metric>.reference.safetensors   where a metric brings references of its own
      values     float32 [N,d], pictures int64 [N]            their rows,
      mean       float64 [d], covariance float64 [d,d]        or what is known instead of rows

Each names a digest of what it holds, so that damage is noticed. One file for each sample: units
finish in any order, on any machine, and reading goes by sample, so nothing depends on who wrote
which file when.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa.files import write_bytes
from qa.store import RunFolder, file_name
from qa.types import FeatureSet, ReferenceMoments

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Rows:
    """The features of one sample's pictures."""

    seeds: tuple[int, ...]
    values: NDArray[np.float32]
    """[A,V,d]"""
    reference: NDArray[np.float32] | None
    """[V,d]"""


def feature_file(run: RunFolder, features: str, sample: str) -> Path:
    """Where one sample's rows of one kind of features lie."""
    return run.path / "features" / features / f"{file_name(sample)}.safetensors"


def write(run: RunFolder, features: str, sample: str, rows: Rows) -> None:
    """Keep one sample's rows."""
    import numpy as np

    tensors: dict[str, NDArray[Any]] = {
        "seeds": np.asarray(rows.seeds, np.int64), "values": rows.values,
    }  # fmt: skip
    if rows.reference is not None:
        tensors["reference"] = rows.reference
    _save(feature_file(run, features, sample), tensors)


def read(run: RunFolder, features: str, sample: str) -> Rows | None:
    """One sample's rows, or None where there is no whole file of that form, as it was written."""
    try:
        tensors = _load(feature_file(run, features, sample))
        seeds, values, reference = tensors["seeds"], tensors["values"], tensors.get("reference")
    except (ValueError, KeyError):
        return None
    fits = seeds.ndim == 1 and values.ndim == 3 and len(seeds) == len(values)
    if not fits or (reference is not None and reference.shape[1:] != values.shape[2:]):
        return None
    return Rows(tuple(int(seed) for seed in seeds), values, reference)


def whole(run: RunFolder, features: str, sample: str, seeds: Collection[int], width: int) -> bool:
    """Whether one sample's file has rows of `width` for just these seeds, undamaged."""
    found = read(run, features, sample)
    return found is not None and (sorted(seeds), width) == ([*found.seeds], found.values.shape[2])


def _save(file: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    import numpy as np
    from safetensors.numpy import save

    whole = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    write_bytes(file, save(whole, {"check": _check(whole)}))


def _load(file: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a file; ValueError unless they are as they were written."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "numpy") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            if (opened.metadata() or {}).get("check") != _check(tensors):
                raise ValueError("it does not have the digest that it names")
    except (OSError, SafetensorError) as error:
        raise ValueError(str(error)) from error
    return tensors


def _check(tensors: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of names, forms and values."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name]
        found.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def candidates(
    run: RunFolder, features: str, unit: Mapping[str, str], seeds: Sequence[int]
) -> FeatureSet:
    """All rows of a run's pictures, in order of (sample, seed, view), each seed a set of its own.

    `unit` has every sample and what it counts for: itself, or the first of its group (`qa.groups`).
    Raises ValueError, naming the first gap, unless every sample has every seed.
    """
    import numpy as np

    blocks = []
    for sample in unit:
        rows = _found(run, features, sample)
        lost = sorted(set(seeds) - set(rows.seeds))
        if lost:
            raise ValueError(f"{sample!r} has no picture for seed {lost[0]}")
        wanted = rows.values[[rows.seeds.index(seed) for seed in seeds]]
        blocks.append(wanted.reshape(-1, wanted.shape[-1]))
    found = _set(blocks, unit)
    owner = [np.repeat(list(seeds), len(block) // len(seeds)) for block in blocks]
    return replace(found, seeds=np.concatenate(owner).astype(np.int64))


def references(run: RunFolder, features: str, unit: Mapping[str, str]) -> FeatureSet:
    """All rows of the reference pictures; ValueError names the first sample without one."""
    blocks = []
    for sample in unit:
        rows = _found(run, features, sample).reference
        if rows is None:
            raise ValueError(f"{sample!r} has no reference picture")
        blocks.append(rows)
    return _set(blocks, unit)


def set_file(run: RunFolder, metric: str) -> Path:
    """Where a metric's own references lie, if it brings some."""
    return run.path / "features" / f"{file_name(metric)}.reference.safetensors"


def write_set(run: RunFolder, metric: str, own: FeatureSet | ReferenceMoments) -> None:
    """Keep a metric's own references, so that a later comparison needs nothing but the run."""
    _save(set_file(run, metric), {n: a for n, a in vars(own).items() if a is not None})


def read_set(run: RunFolder, metric: str) -> FeatureSet | ReferenceMoments | None:
    """A metric's own references, or None if it has none. ValueError for a damaged file."""
    file = set_file(run, metric)
    if not file.is_file():
        return None
    try:
        tensors = _load(file)
        if "mean" in tensors:
            return ReferenceMoments(tensors["mean"], tensors["covariance"])
        return FeatureSet(tensors["values"], tensors["pictures"])
    except (ValueError, KeyError) as error:
        raise ValueError(f"{file.name} is damaged: {error}") from error


def _found(run: RunFolder, features: str, sample: str) -> Rows:
    rows = read(run, features, sample)
    if rows is None:
        raise ValueError(f"{sample!r} has no features")
    return rows


def _set(blocks: Sequence[NDArray[np.float32]], unit: Mapping[str, str]) -> FeatureSet:
    import numpy as np

    if not blocks:
        raise ValueError("there are no pictures")
    number = {name: place for place, name in enumerate(dict.fromkeys(unit.values()))}
    owners = [number[name] for name in unit.values()]
    pictures = np.repeat(owners, [len(block) for block in blocks])
    return FeatureSet(np.concatenate(blocks), pictures.astype(np.int64))
