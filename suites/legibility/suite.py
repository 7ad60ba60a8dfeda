"""The suite of drawn pages: small text whose every word is known. No download.

One page has one cap height, and its first tag says which (`cap_08`): gates by tag are gates by
size. Every region has its kind and its cap height in `asks`, which the panel reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qa import assets, drawings
from qa.errors import UsageError
from qa.types import Sample
from suites import drawn
from suites.legibility.pages import CAPS, draw_page


class Legibility:
    """`pages` pages for each of `caps`, `size` pixels on each side, at most `words` tokens each."""

    name = "legibility"

    def __init__(
        self, pages: int = 16, caps: Sequence[int] = CAPS, size: int = 256, words: int = 24
    ) -> None:
        if pages < 1 or words < 1 or not caps or min(caps) < CAPS[0] or size < 10 * max(caps):
            raise UsageError(
                f"pages={pages}, caps={list(caps)}, size={size}, words={words} cannot be drawn.",
                f"Capitals are at least {CAPS[0]} pixels high, and a page ten times as large.",
                "leave them away for the pages that this suite was made with",
            )
        self.pages, self.caps, self.size, self.words = pages, tuple(caps), size, words

    def samples(self) -> Sequence[Sample]:
        """A sample for every page, sorted by id."""
        here = Path(__file__).parent
        sources = [*Path(drawings.__file__).parent.glob("*.py"), *here.glob("*.py")]
        edition = drawn.edition(sources, ("pillow", "matplotlib"))
        folder = assets.store().cache / "suites" / f"legibility-{edition}"
        return [
            self._sample(folder, cap, number)
            for cap in sorted(self.caps)
            for number in range(self.pages)
        ]

    def _sample(self, folder: Path, cap: int, number: int) -> Sample:
        page = draw_page(cap, number, self.size, self.words)
        name = f"cap{cap:02d}_{number:02d}"
        file, digest = drawn.keep(folder, f"{name}_{self.size}_{self.words}", page.image)
        words = [{"kind": kind, "cap": cap} for kind in page.kinds]
        return Sample(
            name, file, digest, None, page.texts, (f"cap_{cap:02d}",), asks={"words": words}
        )
