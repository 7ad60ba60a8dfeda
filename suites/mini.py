"""24 pictures that need no download: held-out photographs and drawings with known text.

The photographs come with scikit-image (coffee, chelsea, rocket; free licences, see its
`skimage/data/README.txt`) and are held out from the training of every `*_mini` decoder, as are the
drawings' seeds. Two 256-pixel crops of each photograph at native resolution, 18 drawings: small
enough for a laptop, different enough for edges, letters, charts and texture to matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from qa import assets, drawings, photographs
from qa.types import Sample, TextRegion
from suites import drawn

DRAWINGS = {"page": 8, "sign": 4, "chart": 3, "shapes": 2, "texture": 1}


class Mini:
    """The built-in suite. Pictures are drawn once into the cache and verified on every use."""

    name = "mini"

    def samples(self) -> Sequence[Sample]:
        """24 samples of 256x256 pixels, sorted by id; drawings carry their text as regions."""
        sources = [*Path(drawings.__file__).parent.glob("*.py"), Path(photographs.__file__)]
        edition = drawn.edition(sources, ("pillow", "scikit-image", "matplotlib"))
        folder = assets.store().cache / "suites" / f"mini-{edition}"
        found = []
        for name, picture, tag, regions in _pictures():
            file, digest = drawn.keep(folder, name, picture)
            found.append(Sample(name, file, digest, None, regions, (tag,)))
        return sorted(found, key=lambda sample: sample.id)


def _pictures() -> Iterator[tuple[str, np.ndarray, str, tuple[TextRegion, ...]]]:
    for name, crop in photographs.held_out_crops().items():
        yield f"photo_{name}", crop, "photo", ()
    for kind, count in DRAWINGS.items():
        for index in range(count):
            drawing = drawings.draw(kind, drawings.EVALUATION_SEEDS + index)
            yield f"{kind}_{index:02d}", drawing.image, kind, drawing.texts
