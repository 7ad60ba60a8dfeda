"""The stages of one unit: load → decode → finish.

    load    (any thread)        read the reference picture, or find the unit's stored pictures
    decode  (the device's own)  latent, requests, decoder.decode, timed and synchronised
    finish  (any thread)        quantise, write PNG, score, store the unit's result

An executor decides when and where each stage runs; the results never depend on it. Whatever goes
wrong with one picture is a scored failure of that picture. What goes wrong with the machine (a full
disk, an unwritable folder) stops the run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from qa import images
from qa.errors import QaError
from qa.metrics.facts import fingerprint
from qa.requests import note, requests
from qa.store import RunFolder, UnitResult
from qa.types import (
    Decoded,
    Decoder,
    DecodeRequest,
    Knobs,
    LatentSource,
    Metric,
    Score,
    Unit,
)

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Loaded:
    """A unit with its inputs in memory."""

    unit: Unit
    reference: Tensor | None
    """uint8 [3,H,W], or None for a sample without a picture."""
    problem: str = ""
    stored: UnitResult | None = None
    """Set when the pictures are there already and only metrics are missing."""
    pictures: Mapping[int, Tensor] = field(default_factory=dict)
    """The stored pictures by seed."""


@dataclass(frozen=True)
class Shot:
    """One decoded picture before quantisation."""

    seed: int
    pixels: Tensor | None
    """float32 [3,H,W] on the CPU, or None after a failure."""
    seconds: float = 0.0
    peak_bytes: int | None = None
    why: str = ""
    note: str = ""


@dataclass(frozen=True)
class Raw:
    """A unit after its decodes."""

    loaded: Loaded
    shots: tuple[Shot, ...]


class Worker:
    """Everything needed to turn units into stored results."""

    def __init__(
        self,
        folder: RunFolder,
        decoder: Decoder,
        latents: LatentSource | None,
        metrics: Mapping[str, Metric],
        unavailable: Mapping[str, str],
        knobs: Knobs,
        device: str = "cpu",
    ) -> None:
        self.folder, self.decoder, self.latents = folder, decoder, latents
        self.metrics, self.unavailable = dict(metrics), dict(unavailable)
        self.knobs, self.device = knobs, device
        self.fingerprints = {name: fingerprint(m.facts) for name, m in self.metrics.items()}

    def complete(self, unit: Unit) -> bool:
        """Whether a stored result holds every picture and every value asked for.

        What failed is tried again: a machine's failure must not stay, and a deterministic one
        comes back with the same bytes.
        """
        result = self.folder.finished(unit.id)
        return result is not None and not self._failed(result) and not self._unscored(result)

    def load(self, unit: Unit) -> Loaded:
        """Read what the unit needs; a picture that cannot be read becomes the unit's problem."""
        sample, reference, problem = unit.sample, None, unit.sample.problem or ""
        if sample.image is not None and not problem:
            try:
                reference = images.read(sample.image)
            except images.ImageProblem as error:
                problem = f"{sample.image.name}: {error}"
        stored = self.folder.finished(unit.id)
        pictures = self._stored_pictures(stored)
        if pictures is None:
            return Loaded(unit, reference, problem)
        return Loaded(unit, reference, problem, stored, pictures)

    def decode(self, loaded: Sequence[Loaded], batch: int) -> list[Raw]:
        """Decode all seeds of several units, `batch` pictures at a time."""
        shots: dict[tuple[str, int], Shot] = {}
        pending: list[tuple[str, DecodeRequest]] = []
        for item in loaded:
            if item.stored is not None:
                continue
            try:
                if item.problem:
                    raise ValueError(item.problem)
                made = requests(
                    item.unit.sample, item.reference, item.unit.seeds,
                    self.decoder, self.latents, self.knobs,
                )  # fmt: skip
                pending += [(item.unit.id, request) for request in made]
            except Exception as error:
                why = item.problem or f"no latent: {_said(error)}"
                shots |= {(item.unit.id, s): Shot(s, None, why=why) for s in item.unit.seeds}
        for start in range(0, len(pending), batch):
            chunk = pending[start : start + batch]
            done = self._decode_chunk([request for _, request in chunk])
            shots |= {(unit, shot.seed): shot for (unit, _), shot in zip(chunk, done, strict=True)}
        return [
            Raw(item, () if item.stored else tuple(shots[item.unit.id, s] for s in item.unit.seeds))
            for item in loaded
        ]

    def finish(self, raw: Raw) -> Unit:
        """Quantise, write, score, store."""
        loaded, unit = raw.loaded, raw.loaded.unit
        pictures = dict(loaded.pictures)
        if loaded.stored is not None:
            decoded, kept = list(loaded.stored.decoded), self._kept(loaded.stored)
        else:
            decoded = [self._keep(unit, shot, pictures) for shot in raw.shots]
            if loaded.reference is not None:
                file = self.folder.reference_file(unit.sample.id)
                self.folder.write_picture(file, images.encode_png(loaded.reference))
            kept = []
        done = {row.metric for row in kept}
        failed = {row.seed: row.why for row in decoded if row.file is None}
        scores = [
            *kept,
            *(
                row
                for name in sorted({*self.metrics, *self.unavailable} - done)
                for row in self._score(name, unit, pictures, loaded.reference, failed)
            ),
        ]
        self.folder.store(UnitResult(unit.id, tuple(decoded), tuple(scores), self.fingerprints))
        return unit

    def _decode_chunk(self, chunk: Sequence[DecodeRequest]) -> list[Shot]:
        import torch

        try:
            pixels, seconds, peak = self._timed(chunk)
        except torch.AcceleratorError as error:
            raise QaError(
                "The device failed.",
                f"{_said(error)}. Finished units are kept.",
                "look after the device, then run the same command again: it continues",
            ) from error
        except Exception as error:
            if len(chunk) > 1:  # find the one that fails; the others must not suffer for it
                return [shot for request in chunk for shot in self._decode_chunk([request])]
            return [Shot(chunk[0].seed, None, why=_said(error))]
        each = seconds / len(chunk)
        return [
            Shot(request.seed, picture, each, peak, note=note(request, self.decoder))
            for request, picture in zip(chunk, pixels, strict=True)
        ]

    def _timed(self, chunk: Sequence[DecodeRequest]) -> tuple[list[Tensor], float, int | None]:
        import torch

        cuda = self.device.startswith("cuda")
        if cuda:
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
        start = time.perf_counter()
        with torch.inference_mode():
            pixels = self.decoder.decode(chunk)
        if cuda:
            torch.cuda.synchronize(self.device)
        seconds = time.perf_counter() - start
        for request, picture in zip(chunk, pixels, strict=True):
            if not picture.is_floating_point():
                raise ValueError(f"pixels are floats in [0,1], got {picture.dtype}")
            expected = [3, request.height, request.width]
            if list(picture.shape) != expected:
                raise ValueError(f"the picture is {list(picture.shape)}, expected {expected}")
        peak = int(torch.cuda.max_memory_allocated(self.device)) if cuda else None
        return [picture.detach().to("cpu", torch.float32) for picture in pixels], seconds, peak

    def _keep(self, unit: Unit, shot: Shot, pictures: dict[int, Tensor]) -> Decoded:
        """Quantise and write one picture; `pictures` gets it under its seed."""
        failed = Decoded(
            unit.sample.id, shot.seed, None, None, 0, shot.seconds, shot.peak_bytes, shot.why,
            shot.note,
        )  # fmt: skip
        if shot.pixels is None:
            return failed
        try:
            result = images.quantise(shot.pixels)
        except images.NotFinite as error:
            return replace(failed, why=str(error))
        pictures[shot.seed] = result.picture
        file = self.folder.write_picture(
            self.folder.picture_file(unit.sample.id, shot.seed), images.encode_png(result.picture)
        )
        return replace(
            failed, file=file, digest=images.digest(result.picture), clipped=result.clipped
        )

    def _score(
        self,
        name: str,
        unit: Unit,
        pictures: Mapping[int, Tensor],
        reference: Tensor | None,
        failed: Mapping[int, str],
    ) -> list[Score]:
        import torch

        sample = unit.sample.id
        rows = {seed: Score(sample, seed, name, None, why) for seed, why in failed.items()}
        alive = sorted(pictures)
        if name in self.unavailable:
            why = self.unavailable[name]
            rows |= {seed: Score(sample, seed, name, None, why) for seed in alive}
        elif alive:
            try:
                stack = torch.stack([pictures[seed] for seed in alive])
                values = self.metrics[name](stack, reference)
                for seed, value in zip(alive, values, strict=True):
                    rows[seed] = Score(sample, seed, name, float(value))
            except Exception as error:
                rows |= {seed: Score(sample, seed, name, None, _said(error)) for seed in alive}
        return [rows[seed] for seed in unit.seeds]

    def _stored_pictures(self, stored: UnitResult | None) -> dict[int, Tensor] | None:
        """A unit's stored pictures by seed, or None if they must be decoded (again)."""
        if stored is None or self._failed(stored):
            return None
        pictures = {}
        for row in stored.decoded:
            assert row.file is not None
            try:
                picture = images.read(self.folder.path / row.file)
            except images.ImageProblem:
                return None
            if images.digest(picture) != row.digest:
                return None
            pictures[row.seed] = picture
        return pictures

    def _kept(self, stored: UnitResult) -> list[Score]:
        """Stored scores that are still wanted and were made by the same protocol."""
        good = {n for n, mark in self.fingerprints.items() if stored.fingerprints.get(n) == mark}
        lost = {row.metric for row in stored.scores if row.value is None}
        return [row for row in stored.scores if row.metric in good - lost]

    @staticmethod
    def _failed(stored: UnitResult) -> bool:
        return any(row.file is None for row in stored.decoded)

    def _unscored(self, stored: UnitResult) -> set[str]:
        kept = {row.metric for row in self._kept(stored)}
        told = {row.metric for row in stored.scores} & set(self.unavailable)
        return {*self.metrics, *self.unavailable} - kept - told


def _said(error: Exception) -> str:
    """An exception as one line; QaError and ValueError messages are written for people."""
    if isinstance(error, QaError):
        return f"{error.what} {error.why}".strip()
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"
