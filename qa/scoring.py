"""What a run measures on a unit: rows of scores, features for the set metrics, notes of panels.

Whatever is stored and was made by the same protocol is kept; everything else is measured from the
pictures in memory in one pass (`qa.metrics.engine`), panels each in one look (`qa.panels`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from qa.config import build, complete
from qa.errors import Unavailable, scored
from qa.features import stored as shelf
from qa.files import digest
from qa.metrics.engine import Engine, Measured
from qa.metrics.facts import fingerprint
from qa.panels import AnyMetric, Values, asked, facts_of, look, noted, write_notes
from qa.roles import LatentMetric, LatentSource, Metric, Panel, SetMetric
from qa.seeds import content
from qa.store import RunFolder, UnitResult
from qa.types import NOT_APPLICABLE, Sample, Score, Unit

if TYPE_CHECKING:
    from torch import Tensor

PANEL = ("facts", "check", "__call__", "summary")


def set_metrics(metrics: Mapping[str, AnyMetric]) -> dict[str, SetMetric]:
    """Those of the metrics that compare sets."""
    return {n: cast(SetMetric, m) for n, m in metrics.items() if m.facts.of == "set"}


def built(
    nodes: Mapping[str, Any],
) -> tuple[dict[str, AnyMetric], dict[str, Panel], dict[str, str]]:
    """Metrics and panels of a configuration, and why the others cannot be built."""
    metrics: dict[str, AnyMetric] = {}
    panels: dict[str, Panel] = {}
    unavailable: dict[str, str] = {}
    for name, node in sorted(nodes.items()):
        try:
            part = build(node, f"metric {name}")
            if isinstance(part.facts, Mapping):
                panels[name] = complete(part, PANEL)
            else:
                metrics[name] = part
        except Unavailable as error:
            # Without `why`: it names local folders, and this is stored with the results.
            unavailable[name] = f"{error.what} {error.fix}".strip()
    return metrics, panels, unavailable


class Scorer:
    """Measures units. `encode` belongs to the device's thread, all else to any thread."""

    def __init__(
        self,
        folder: RunFolder,
        metrics: Mapping[str, AnyMetric],
        unavailable: Mapping[str, str],
        *,
        panels: Mapping[str, Panel] | None = None,
        latents: LatentSource | None = None,
        encoder: LatentSource | None = None,
        device: str = "cpu",
        cache: Path | None = None,
    ) -> None:
        """`latents` is where the run's latents come from, `encoder` what encodes pictures again.

        `cache` is a folder for the features of references.
        """
        self._folder, self._latents, self._encoder = folder, latents, encoder
        self.unavailable = dict(unavailable)
        self._panels = dict(panels or {})
        self._seen = {name for panel in self._panels.values() for name in panel.facts}
        on_pictures = {n: cast(Metric, m) for n, m in metrics.items() if m.facts.of == "picture"}
        self._on_latents = {
            n: cast(LatentMetric, m) for n, m in metrics.items() if m.facts.of == "latent"
        }
        features = [metric.features for metric in set_metrics(metrics).values()]
        self._engine = Engine(on_pictures, features, device, cache)
        facts = facts_of(metrics, self._panels)
        self._fingerprints = {
            n: fingerprint(known) for n, known in facts.items() if known.of != "set"
        }

    @property
    def encodes(self) -> bool:
        """Whether a metric wants pictures encoded again."""
        return bool(self._on_latents)

    def marks(self, sample: Sample) -> dict[str, str]:
        """Metric → digest of all that its values depend on beside the pictures of this sample.

        That is its protocol, and for a metric of a panel what the sample asks for.
        """
        questions = asked(sample) if self._seen else ""
        return {
            name: digest([mark, questions])[:16] if name in self._seen else mark
            for name, mark in self._fingerprints.items()
        }

    def wanted(self, unit: Unit, stored: UnitResult | None) -> set[str]:
        """Metrics and features ids that a unit still lacks; what has no value is tried again."""
        names = {*self._fingerprints, *self.unavailable}
        ids = set(self._engine.features)
        if stored is None:
            return names | ids
        # A value of before must not outlive the metric: without facts nothing says what it is.
        told = {row.metric for row in stored.scores if row.value is None} & set(self.unavailable)
        sample = stored.decoded[0].sample
        alive = [row.seed for row in stored.decoded if row.file is not None]
        there = {
            mark
            for mark, part in self._engine.features.items()
            if stored.features.get(mark) == ""
            and shelf.whole(self._folder, mark, sample, alive, part.width)
        }
        lacking = names - {row.metric for row in self.kept(unit, stored)} - told
        for name, panel in self._panels.items():  # one look gives all of its values and the notes
            if lacking & set(panel.facts) or not noted(self._folder, name, sample, alive):
                lacking |= set(panel.facts)
        return lacking | (ids - there)

    def kept(self, unit: Unit, stored: UnitResult) -> list[Score]:
        """Stored scores that are still wanted and were made by the same protocol."""
        marks = self.marks(unit.sample)
        good = {n for n, mark in marks.items() if stored.fingerprints.get(n) == mark}
        lost = {row.metric for row in stored.scores if _lost(row)}
        return [row for row in stored.scores if row.metric in good - lost]

    def encode(
        self,
        unit: Unit,
        reference: Tensor | None,
        pictures: Mapping[int, Tensor],
        stored: UnitResult | None,
    ) -> dict[str, Values | str]:
        """Values of the latent metrics by seed, or why there are none."""
        names = sorted(set(self._on_latents) & self.wanted(unit, stored))
        if not names or not pictures:
            return {}
        alive = sorted(pictures)
        found: dict[str, Values | str] = {}
        for name in names:
            try:
                latent, again = self._again(unit, reference, [pictures[seed] for seed in alive])
                values = self._on_latents[name](latent, again)
                found[name] = dict(zip(alive, values, strict=True))
            except Exception as error:
                found[name] = scored(error)
        return found

    def score(
        self,
        unit: Unit,
        pictures: Mapping[int, Tensor],
        reference: Tensor | None,
        failed: Mapping[int, str],
        stored: UnitResult | None,
        encoded: Mapping[str, Values | str],
    ) -> tuple[tuple[Score, ...], dict[str, str]]:
        """Rows of the metrics that `stored` lacks beside those it has, and the features' state.

        `pictures` by seed; `failed` says of the other seeds why they have none.
        """
        wanted, alive = self.wanted(unit, stored), sorted(pictures)
        measured = self._measure(unit, pictures, reference, wanted)
        apart = {**encoded, **self._look(unit, pictures, reference, wanted)}
        rows = [] if stored is None else self.kept(unit, stored)
        rows = [row for row in rows if row.metric not in wanted]
        for name in sorted(wanted - set(self._engine.features)):
            values = self._values(name, alive, measured, apart)
            rows += [
                _row(unit.sample.id, seed, name, failed.get(seed, values)) for seed in unit.seeds
            ]
        features = {} if stored is None else {
            mark: why for mark, why in stored.features.items() if mark not in wanted
        }  # fmt: skip
        for mark in sorted(wanted & set(self._engine.features)):
            features[mark] = self._keep(unit, mark, alive, measured)
        return tuple(rows), features

    def given_up(
        self, unit: Unit, stored: UnitResult, why: str
    ) -> tuple[tuple[Score, ...], dict[str, str]]:
        """What `stored` has, with `why` in place of all that it lacks."""
        wanted, sample = self.wanted(unit, stored), unit.sample.id
        rows = [row for row in self.kept(unit, stored) if row.metric not in wanted]
        ids = wanted & set(self._engine.features)
        rows += [_row(sample, s, name, why) for name in sorted(wanted - ids) for s in unit.seeds]
        return tuple(rows), {**stored.features, **dict.fromkeys(sorted(ids), why)}

    def _measure(
        self,
        unit: Unit,
        pictures: Mapping[int, Tensor],
        reference: Tensor | None,
        wanted: set[str],
    ) -> Measured:
        import torch

        names = sorted(wanted & {*self._engine.metrics, *self._engine.features})
        if not pictures or not names:
            return Measured()
        stack = torch.stack([pictures[seed] for seed in sorted(pictures)])
        return self._engine.measure(stack, reference, content(unit.sample), names)

    def _look(
        self,
        unit: Unit,
        pictures: Mapping[int, Tensor],
        reference: Tensor | None,
        wanted: set[str],
    ) -> dict[str, Values | str]:
        """Values of the panels' metrics by seed, or why there are none; writes their notes."""
        found: dict[str, Values | str] = {}
        for name, panel in self._panels.items():
            if not pictures:  # notes of pictures that were there once say nothing of this run
                write_notes(self._folder, name, unit.sample.id, None)
            elif wanted & set(panel.facts):
                values, notes = look(panel, unit.sample, pictures, reference)
                write_notes(self._folder, name, unit.sample.id, notes)
                found |= values
        return found

    def _values(
        self,
        name: str,
        alive: list[int],
        measured: Measured,
        apart: Mapping[str, Values | str],
    ) -> Values | str:
        """A metric's values by seed, or why there are none."""
        if name in self.unavailable:
            return self.unavailable[name]
        if name in apart:
            return apart[name]
        if name in measured.values:
            return dict(zip(alive, measured.values[name], strict=True))
        return measured.lost.get(name, "there is no picture")

    def _keep(self, unit: Unit, mark: str, alive: list[int], measured: Measured) -> str:
        """Store rows of features; why there are none, or ""."""
        if mark not in measured.features:
            return measured.lost.get(mark, "there is no picture")
        rows = shelf.Rows(tuple(alive), measured.features[mark], measured.references.get(mark))
        shelf.write(self._folder, mark, unit.sample.id, rows)
        return ""

    def _again(
        self, unit: Unit, reference: Tensor | None, pictures: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """The sample's clean latent, and what its encoder makes of each picture."""
        if self._encoder is None or self._latents is None:
            raise ValueError("there is no encoder of these latents to encode the pictures with")
        latent = self._latents.latent(unit.sample, reference)
        if latent.sigma > 0:
            raise ValueError(f"the latent carries noise (sigma {latent.sigma}) of its own")
        bare = replace(unit.sample, image=None, sha256=None)
        return latent.tensor, [self._encoder.latent(bare, p).tensor for p in pictures]


def _row(sample: str, seed: int, metric: str, found: Values | str) -> Score:
    value = found if isinstance(found, str) else found[seed]
    if isinstance(value, str):
        return Score(sample, seed, metric, None, value)
    return Score(sample, seed, metric, float(value))


def _lost(row: Score) -> bool:
    """Whether a value is missing that there could be."""
    return row.value is None and not row.why.startswith(NOT_APPLICABLE)
