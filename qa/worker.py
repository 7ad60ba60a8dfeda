"""The stages of one unit: load → decode → finish.

    load    (any thread)        read the reference picture, or find the unit's stored pictures
    decode  (the device's own)  latent, requests, decoder.decode, timed and synchronised; start to
                                copy the pixels to the CPU; encode the pictures again where a metric
                                asks for it
    finish  (any thread)        wait for the pixels, quantise, write PNG, score, store the result

An executor decides when and where each stage runs; the results never depend on it. Whatever goes
wrong with one picture is a scored failure of that picture. What goes wrong with the machine (a full
disk, an unwritable folder) stops the run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from qa import images, numerics, stages
from qa.errors import device_watched, scored
from qa.requests import note, requests
from qa.roles import Decoder, LatentSource
from qa.scoring import Scorer
from qa.seeds import content
from qa.shots import Loaded, Raw, Shot
from qa.store import RunFolder, UnitResult
from qa.traits import tokens
from qa.transfer import Arriving, to_cpu
from qa.types import Decoded, DecodeRequest, Knobs, Unit

if TYPE_CHECKING:
    from torch import Tensor


class Recipe(Protocol):
    """How another process makes a worker like this one; it can be pickled (`qa.remake.Remake`)."""

    @property
    def marks(self) -> Mapping[str, Any]:
        """What its pictures and values depend on beside the units; JSON."""
        ...

    def worker(self, folder: RunFolder) -> AbstractContextManager[Worker]:
        """A worker that stores into `folder`; numerics are in force inside the block."""
        ...


class Worker:
    """Everything needed to turn units into stored results."""

    def __init__(
        self,
        folder: RunFolder,
        decoder: Decoder,
        latents: LatentSource | None,
        scorer: Scorer,
        knobs: Knobs,
        device: str = "cpu",
        recipe: Recipe | None = None,
    ) -> None:
        """`recipe` is for executors that work in several processes."""
        self.folder, self.decoder, self.latents = folder, decoder, latents
        self.scorer, self.knobs, self.device = scorer, knobs, device
        self.recipe = recipe
        self._peaks: dict[tuple[tuple[int, int], ...], int] = {}
        """Largest peak of the decodes of pictures of such sizes."""
        self._made: set[tuple[int, int]] = set()
        """Sizes that were decoded before."""

    def complete(self, unit: Unit) -> bool:
        """Whether a stored result holds every picture and every value asked for.

        What failed is tried again: a machine's failure must not stay, and a deterministic one
        comes back with the same bytes.
        """
        result = self._stored(unit)
        return result is not None and not self.scorer.wanted(unit, result)

    def load(self, unit: Unit) -> Loaded:
        """Read what the unit needs; a picture that cannot be read becomes the unit's problem."""
        sample, reference, problem = unit.sample, None, unit.sample.problem or ""
        if sample.image is not None and not problem:
            try:
                reference = images.read(sample.image)
            except images.ImageProblem as error:
                problem = f"{sample.image.name}: {error}"
        stored = self._stored(unit)
        pictures = self._stored_pictures(stored)
        if pictures is None:
            return Loaded(unit, reference, problem)
        return Loaded(unit, reference, problem, stored, pictures)

    @device_watched()
    def decode(self, loaded: Sequence[Loaded], batch: int) -> list[Raw]:
        """Decode all seeds of several units, `batch` pictures at a time.

        DeviceFailed where it is the device that failed, and no picture.
        """
        noise = stages.NoiseDigests()
        with stages.heard(noise):
            shots = self._shots(loaded, batch)
        return [replace(self._raw(item, shots), noise=noise) for item in loaded]

    def _shots(
        self, loaded: Sequence[Loaded], batch: int
    ) -> dict[tuple[str, int], Shot]:  # by unit id and seed
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
                for request in made:
                    if request.latent is not None:
                        stages.mark(stages.LATENT, request.latent, (request.content, request.seed))
                pending += [(item.unit.id, request) for request in made]
            except Exception as error:
                why = item.problem or f"no latent: {scored(error)}"
                shots |= {(item.unit.id, s): Shot(s, None, why=why) for s in item.unit.seeds}
        for start in range(0, len(pending), batch):
            chunk = pending[start : start + batch]
            done = self._decode_chunk([request for _, request in chunk])
            shots |= {(unit, shot.seed): shot for (unit, _), shot in zip(chunk, done, strict=True)}
        return shots

    @device_watched()
    def finish(self, raw: Raw) -> Unit:
        """Quantise, write, score, store. DeviceFailed as for `decode`."""
        loaded, unit = raw.loaded, raw.loaded.unit
        pictures = dict(loaded.pictures)
        if loaded.stored is not None:
            decoded = list(loaded.stored.decoded)
        else:
            decoded = [self._keep(raw, shot, pictures) for shot in raw.shots]
            if loaded.reference is not None:
                file = self.folder.reference_file(unit.sample.id)
                self.folder.write_picture(file, images.encode_png(loaded.reference))
        failed = {row.seed: row.why for row in decoded if row.file is None}
        scores, features = self.scorer.score(
            unit, pictures, loaded.reference, failed, loaded.stored, raw.encoded
        )
        marks = self.scorer.marks(unit.sample)
        self.folder.store(UnitResult(unit.id, tuple(decoded), scores, marks, features))
        return unit

    def give_up(self, unit: Unit, why: str) -> Unit:
        """Store a unit as failed in all of its pictures, for the reason given.

        They count as missing in every verdict, and the next run tries them again. Pictures and
        values that are stored already stay: then only what was still to be measured has failed.
        """
        stored = self.load(unit).stored
        if stored is None:
            shots = tuple(Shot(seed, None, why=why) for seed in unit.seeds)
            return self.finish(Raw(Loaded(unit, None, why), shots))
        scores, features = self.scorer.given_up(unit, stored, why)
        marks = self.scorer.marks(unit.sample)
        self.folder.store(UnitResult(unit.id, stored.decoded, scores, marks, features))
        return unit

    def _raw(self, item: Loaded, shots: Mapping[tuple[str, int], Shot]) -> Raw:
        """A unit with its shots, and its pictures encoded again where a metric asks for it."""
        if item.stored is not None:
            made: tuple[Shot, ...] = ()
            pictures = dict(item.pictures)
        else:
            made = tuple(shots[item.unit.id, seed] for seed in item.unit.seeds)
            pictures = self._quantised(made) if self.scorer.encodes else {}
        encoded = self.scorer.encode(item.unit, item.reference, pictures, item.stored)
        return Raw(item, made, encoded)

    @staticmethod
    def _quantised(shots: Sequence[Shot]) -> dict[int, Tensor]:
        """Pictures of the shots that have finite pixels, by seed."""
        pictures = {}
        for shot in shots:
            with suppress(images.NotFinite):
                pixels = shot.pixels
                if pixels is not None:
                    pictures[shot.seed] = images.quantise(pixels).picture
        return pictures

    def _decode_chunk(self, chunk: Sequence[DecodeRequest]) -> list[Shot]:
        made = numerics.TALLY["steps made"]
        try:
            pixels, seconds, peak = self._patiently(chunk)
        except Exception as error:
            why = scored(error)
            if len(chunk) > 1:  # find the one that fails; the others must not suffer for it
                return [shot for request in chunk for shot in self._decode_chunk([request])]
            return [Shot(chunk[0].seed, None, why=why)]
        each, sizes = seconds / len(chunk), {(r.height, r.width) for r in chunk}
        warm = sizes <= self._made and numerics.TALLY["steps made"] == made
        self._made |= sizes
        return [
            Shot(
                request.seed, picture, each, peak, "", note(request, self.decoder), warm,
                tokens(self.decoder, request),
            )
            for request, picture in zip(chunk, pixels, strict=True)
        ]  # fmt: skip

    def _patiently(
        self, chunk: Sequence[DecodeRequest]
    ) -> tuple[list[Arriving], float, int | None]:
        """Decode; where memory lacked for a single picture, give back what lies idle and try again.

        A device that several processes share may have room a moment later.
        """
        import torch

        try:
            return self._timed(chunk)
        except torch.OutOfMemoryError:
            if len(chunk) > 1:
                raise
        torch.cuda.empty_cache()
        return self._timed(chunk)

    def _timed(self, chunk: Sequence[DecodeRequest]) -> tuple[list[Arriving], float, int | None]:
        import torch

        cuda = self.device.startswith("cuda")
        if cuda:  # its own stream alone: the copies of earlier pictures go on
            stream = torch.cuda.current_stream(self.device)
            stream.synchronize()
            torch.cuda.reset_peak_memory_stats(self.device)
        start = time.perf_counter()
        with torch.inference_mode():
            pixels = self.decoder.decode(chunk)
        if cuda:
            stream.synchronize()
        seconds = time.perf_counter() - start
        for request, picture in zip(chunk, pixels, strict=True):
            if not picture.is_floating_point():
                raise ValueError(f"pixels are floats in [0,1], got {picture.dtype}")
            expected = [3, request.height, request.width]
            if list(picture.shape) != expected:
                raise ValueError(f"the picture is {list(picture.shape)}, expected {expected}")
            stages.mark(stages.PIXELS, picture, (request.content, request.seed))
        peak = self._peak(chunk) if cuda else None
        return [to_cpu(picture) for picture in pixels], seconds, peak

    def _peak(self, chunk: Sequence[DecodeRequest]) -> int:
        """Bytes that the decode took on its CUDA device, weights included."""
        import torch

        peak = int(torch.cuda.max_memory_allocated(self.device))
        if numerics.steps() == "graph":
            # A replay works in memory that was taken when it was recorded, and that no counter
            # shows afterwards: what the recording took counts for all of its pictures.
            sizes = tuple((request.height, request.width) for request in chunk)
            peak = self._peaks[sizes] = max(peak, self._peaks.get(sizes, 0))
        return peak

    def _keep(self, raw: Raw, shot: Shot, pictures: dict[int, Tensor]) -> Decoded:
        """Quantise and write one picture; `pictures` gets it under its seed."""
        sample = raw.loaded.unit.sample
        key = content(sample), shot.seed
        failed = Decoded(
            sample.id, shot.seed, None, None, 0, shot.seconds, shot.peak_bytes, shot.why,
            shot.note, shot.warm, shot.tokens, raw.noise.of(key),
        )  # fmt: skip
        pixels = shot.pixels
        if pixels is None:
            return failed
        try:
            quantised = images.quantise(pixels)
        except images.NotFinite as error:
            return replace(failed, why=str(error))
        picture = pictures[shot.seed] = quantised.picture
        png = images.encode_png(picture)
        stages.mark(stages.PICTURE, picture, key)
        stages.mark(stages.FILE, png, key)
        file = self.folder.write_picture(self.folder.picture_file(sample.id, shot.seed), png)
        return replace(failed, file=file, digest=images.digest(picture), clipped=quantised.clipped)

    def _stored_pictures(self, stored: UnitResult | None) -> dict[int, Tensor] | None:
        """A unit's stored pictures by seed, or None if they must be decoded (again)."""
        if stored is None:
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

    def _stored(self, unit: Unit) -> UnitResult | None:
        """A unit's stored result, or None where a picture is not there or has failed."""
        found = self.folder.finished(unit.id)
        if found is None or found.seeds != unit.seeds:
            return None
        return None if any(row.file is None for row in found.decoded) else found
