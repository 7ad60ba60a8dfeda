"""What a run measures on a unit: rows of scores, and features for the set metrics.

Whatever is stored and was made by the same protocol is kept; everything else is measured from the
pictures in memory in one pass (`qa.metrics.engine`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from qa.errors import said
from qa.features import stored as shelf
from qa.metrics.engine import Engine, Measured
from qa.metrics.facts import fingerprint
from qa.seeds import content
from qa.store import RunFolder, UnitResult
from qa.types import LatentMetric, LatentSource, Metric, Score, SetMetric, Unit

if TYPE_CHECKING:
    from torch import Tensor

AnyMetric = Metric | SetMetric | LatentMetric


def set_metrics(metrics: Mapping[str, AnyMetric]) -> dict[str, SetMetric]:
    """Those of the metrics that compare sets."""
    return {n: cast(SetMetric, m) for n, m in metrics.items() if m.facts.of == "set"}


class Scorer:
    """Measures units. `encode` belongs to the device's thread, all else to any thread."""

    def __init__(
        self,
        folder: RunFolder,
        metrics: Mapping[str, AnyMetric],
        unavailable: Mapping[str, str],
        *,
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
        on_pictures = {n: cast(Metric, m) for n, m in metrics.items() if m.facts.of == "picture"}
        self._on_latents = {
            n: cast(LatentMetric, m) for n, m in metrics.items() if m.facts.of == "latent"
        }
        features = [metric.features for metric in set_metrics(metrics).values()]
        self._engine = Engine(on_pictures, features, device, cache)
        self.fingerprints = {
            name: fingerprint(m.facts) for name, m in metrics.items() if m.facts.of != "set"
        }

    @property
    def encodes(self) -> bool:
        """Whether a metric wants pictures encoded again."""
        return bool(self._on_latents)

    def wanted(self, stored: UnitResult | None) -> set[str]:
        """Metrics and features ids that a unit still lacks; what has no value is tried again."""
        names = {*self.fingerprints, *self.unavailable}
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
        return (names - {row.metric for row in self.kept(stored)} - told) | (ids - there)

    def kept(self, stored: UnitResult) -> list[Score]:
        """Stored scores that are still wanted and were made by the same protocol."""
        good = {n for n, mark in self.fingerprints.items() if stored.fingerprints.get(n) == mark}
        lost = {row.metric for row in stored.scores if row.value is None}
        return [row for row in stored.scores if row.metric in good - lost]

    def encode(
        self,
        unit: Unit,
        reference: Tensor | None,
        pictures: Mapping[int, Tensor],
        stored: UnitResult | None,
    ) -> dict[str, dict[int, float] | str]:
        """Values of the latent metrics by seed, or why there are none."""
        names = sorted(set(self._on_latents) & self.wanted(stored))
        if not names or not pictures:
            return {}
        alive = sorted(pictures)
        found: dict[str, dict[int, float] | str] = {}
        for name in names:
            try:
                latent, again = self._again(unit, reference, [pictures[seed] for seed in alive])
                values = self._on_latents[name](latent, again)
                found[name] = dict(zip(alive, values, strict=True))
            except Exception as error:
                found[name] = said(error)
        return found

    def score(
        self,
        unit: Unit,
        pictures: Mapping[int, Tensor],
        reference: Tensor | None,
        failed: Mapping[int, str],
        stored: UnitResult | None,
        encoded: Mapping[str, Mapping[int, float] | str],
    ) -> tuple[tuple[Score, ...], dict[str, str]]:
        """Rows of the metrics that `stored` lacks beside those it has, and the features' state.

        `pictures` by seed; `failed` says of the other seeds why they have none.
        """
        wanted, alive = self.wanted(stored), sorted(pictures)
        measured = self._measure(unit, pictures, reference, wanted)
        rows = [] if stored is None else self.kept(stored)
        for name in sorted(wanted - set(self._engine.features)):
            values = self._values(name, alive, measured, encoded)
            rows += [
                _row(unit.sample.id, seed, name, failed.get(seed, values)) for seed in unit.seeds
            ]
        features = {} if stored is None else {
            mark: why for mark, why in stored.features.items() if mark not in wanted
        }  # fmt: skip
        for mark in sorted(wanted & set(self._engine.features)):
            features[mark] = self._keep(unit, mark, alive, measured)
        return tuple(rows), features

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

    def _values(
        self,
        name: str,
        alive: list[int],
        measured: Measured,
        encoded: Mapping[str, Mapping[int, float] | str],
    ) -> Mapping[int, float] | str:
        """A metric's values by seed, or why there are none."""
        if name in self.unavailable:
            return self.unavailable[name]
        if name in encoded:
            return encoded[name]
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


def _row(sample: str, seed: int, metric: str, found: Mapping[int, float] | str) -> Score:
    if isinstance(found, str):
        return Score(sample, seed, metric, None, found)
    return Score(sample, seed, metric, float(found[seed]))
