"""Pictures as latents at a list of noise levels, which all share one noise tensor.

With the encoder's clean latent z and noise e of the sample, level s is (1-s)z + s*e, or
sqrt(1-s^2)z + s*e in a variance-preserving space: exactly what `knobs.sigma` does inside a run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from decoders.capture.loop import Item
from qa import images, seeds
from qa.errors import UsageError
from qa.files import digest
from qa.requests import corrupt
from qa.roles import LatentSource
from qa.types import Latent


class Levels:
    """A maker: `encoder`'s latents (any LatentSource) at each of `sigmas`, in folders sigma<s>."""

    def __init__(self, encoder: LatentSource, sigmas: Sequence[float], seed: int) -> None:
        levels = [float(sigma) for sigma in sigmas]
        if not levels or len(set(levels)) < len(levels) or not all(0 <= s <= 1 for s in levels):
            raise UsageError(
                f"sigmas={levels} are no noise levels.",
                "Each lies in [0, 1] and stands there once.",
                "sigmas=[0,0.2,0.4]",
            )
        self.encoder, self.seed, self.space = encoder, seed, encoder.space
        self.levels = {f"sigma{repr(s).removesuffix('.0')}": s for s in sorted(levels)}
        self.identity = digest(["levels", encoder.digest, str(encoder.space), seed])
        self.licence: str = getattr(encoder, "licence", "")
        self.source = f"{type(encoder).__name__} in {encoder.space.name}, noise of seed {seed}"
        self.facts: Mapping[str, Mapping[str, str]] = {
            folder: {"seed": str(seed)} for folder in self.levels
        }

    def load(self) -> None:
        """Nothing: the encoder was loaded when it was built."""

    def latents(self, item: Item, wanted: Collection[str]) -> dict[str, Latent]:
        """Latents float32 [C,h,w] of the sample's picture; ImageProblem if it cannot be read."""
        sample = item.sample
        picture = None if sample.image is None else images.read(sample.image)
        clean = self.encoder.latent(sample, picture)
        noise = seeds.noise(seeds.LATENT_NOISE, item.content, self.seed, clean.tensor.shape)
        made = {}
        for folder in wanted:
            sigma = self.levels[folder]
            if sigma == 0:
                made[folder] = clean
            elif clean.sigma > 0:
                raise ValueError(f"the latent already carries noise (sigma {clean.sigma})")
            else:
                made[folder] = Latent(corrupt(clean.tensor, noise, sigma, self.space), sigma)
        return made
