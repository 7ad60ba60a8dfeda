"""Panels in a run: one look at a sample's pictures, the notes that it leaves, and their summary.

    sample, pictures ──► panel ──┬──► values of several metrics ──► scores
                                 └──► a note a picture          ──► notes/<panel>/<sample>.json
    all notes, and all pictures that were planned ──► panel.summary ──► panels.json

What a panel sees beside the pictures is what the sample asks for (`asked`): with other questions
the stored pictures are judged again, and two runs that asked other things are not comparable.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa.documents import sealed, unsealed
from qa.errors import UsageError, said, scored
from qa.files import canonical, digest, write_bytes
from qa.roles import LatentMetric, Metric, Panel, SetMetric
from qa.store import RunFolder, file_name
from qa.types import Found, MetricFacts, Sample

if TYPE_CHECKING:
    from torch import Tensor

Values = Mapping[int, float | str]
"""Seed → value, or why there is none."""
AnyMetric = Metric | SetMetric | LatentMetric


def facts_of(
    metrics: Mapping[str, AnyMetric], panels: Mapping[str, Panel]
) -> dict[str, MetricFacts]:
    """Facts of every metric of a run, those of panels too; UsageError for a name used twice."""
    found = {name: metric.facts for name, metric in metrics.items()}
    for panel, part in panels.items():
        twice = sorted(set(found) & set(part.facts))
        if twice:
            raise UsageError(
                f"The panel {panel} measures {twice[0]}, and so does another choice.",
                "A metric of a run has one value for each picture.",
                "leave one of them out of metric=[…]",
            )
        found |= part.facts
    return found


def asked(sample: Sample) -> str:
    """Digest of what a panel may judge a sample's pictures by, beside its reference and prompt."""
    return digest([sample.asks, [asdict(region) for region in sample.regions], sample.tags])


def look(
    panel: Panel, sample: Sample, pictures: Mapping[int, Tensor], reference: Tensor | None
) -> tuple[dict[str, Values | str], list[dict[str, Any]] | None]:
    """Values of every metric of a panel, and a note for each picture (None where it failed).

    `pictures` by seed. Whatever goes wrong is the reason why these metrics have no value.
    """
    import torch

    alive = sorted(pictures)
    try:
        stack = torch.stack([pictures[seed] for seed in alive])
        found = panel(sample, stack, reference)
        _check(found, panel.facts, len(alive))
    except Exception as error:
        return dict.fromkeys(panel.facts, scored(error)), None
    values: dict[str, Values | str] = {
        name: dict(zip(alive, map(_value, found.values[name]), strict=True)) for name in panel.facts
    }
    notes = zip(alive, found.notes, strict=True)
    return values, [{**note, "sample": sample.id, "seed": seed} for seed, note in notes]


def _check(found: Found, facts: Collection[str], count: int) -> None:
    """ValueError for what a panel may not return."""
    if set(found.values) != set(facts):
        told, wanted = (", ".join(sorted(names)) for names in (found.values, facts))
        raise ValueError(f"the panel gave values of {told or 'nothing'} instead of {wanted}")
    lengths = {len(part) for part in (*found.values.values(), found.notes)}
    if lengths != {count}:
        raise ValueError(f"the panel gave {sorted(lengths)} values and notes for {count} pictures")
    for note in found.notes:
        canonical(note)


def _value(found: float | str) -> float | str:
    if isinstance(found, str):
        return found or "there is no value"
    return float(found) if math.isfinite(found) else f"the value is {found}"


def notes_file(run: RunFolder, panel: str, sample: str) -> Path:
    """Where a panel's notes on one sample's pictures lie."""
    return run.path / "notes" / file_name(panel) / f"{file_name(sample)}.json"


def write_notes(
    run: RunFolder, panel: str, sample: str, notes: Sequence[Mapping[str, Any]] | None
) -> None:
    """Keep a panel's notes on one sample; None takes away what an earlier look left."""
    file = notes_file(run, panel, sample)
    if notes is None:
        file.unlink(missing_ok=True)
    else:
        write_bytes(file, sealed({"notes": list(notes)}))


def read_notes(run: RunFolder, panel: str, sample: str) -> list[dict[str, Any]]:
    """A panel's notes on one sample, in order of seeds; [] where there is no whole file of them."""
    try:
        notes = unsealed(notes_file(run, panel, sample).read_bytes())["notes"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []
    whole = isinstance(notes, list) and all(
        isinstance(note, dict)
        and note.get("sample") == sample
        and isinstance(note.get("seed"), int)
        for note in notes
    )
    return sorted(notes, key=lambda note: int(note["seed"])) if whole else []


def noted(run: RunFolder, panel: str, sample: str, seeds: Collection[int]) -> bool:
    """Whether there are notes on just these seeds of a sample."""
    return [note["seed"] for note in read_notes(run, panel, sample)] == sorted(seeds)


def each_note(run: RunFolder, panel: str, samples: Iterable[str]) -> Iterator[dict[str, Any]]:
    """A panel's notes on a run's pictures, in order of (sample, seed), one after the other."""
    for sample in sorted(samples):
        yield from read_notes(run, panel, sample)


def all_notes(run: RunFolder, panel: str, samples: Iterable[str]) -> list[dict[str, Any]]:
    """The same, all in memory."""
    return list(each_note(run, panel, samples))


def summaries(
    run: RunFolder, panels: Mapping[str, Panel], planned: Sequence[tuple[str, int]]
) -> dict[str, dict[str, Any]]:
    """Panel → its summary of the run, with `missing`: how many planned pictures have no note.

    `planned` are sample and seed of every picture, in order. A panel is given all notes at once.
    """
    samples = list(dict.fromkeys(sample for sample, _ in planned))
    found = {}
    for name, panel in sorted(panels.items()):
        notes = all_notes(run, name, samples)
        try:
            summary = panel.summary(notes, planned)
            canonical(summary)
        except Exception as error:
            summary = {"why": said(error)}
        found[name] = {**summary, "missing": len(planned) - len(notes)}
    return found
