"""24 pictures that need no download: held-out photographs and drawings with known text.

The photographs come with scikit-image (coffee, chelsea, rocket; free licences, see its
`skimage/data/README.txt`) and are held out from the training of every `*_mini` decoder, as are the
drawings' seeds. Two 256-pixel crops of each photograph at native resolution, 18 drawings: small
enough for a laptop, different enough for edges, letters, charts and texture to matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from qa import assets, drawings, images, photographs
from qa.files import digest, sha256, write_bytes
from qa.types import Sample, TextRegion

DRAWINGS = {"page": 8, "sign": 4, "chart": 3, "shapes": 2, "texture": 1}


class Mini:
    """The built-in suite. Pictures are drawn once into the cache and verified on every use."""

    name = "mini"

    def samples(self) -> Sequence[Sample]:
        """24 samples of 256x256 pixels, sorted by id; drawings carry their text as regions."""
        folder = assets.store().cache / "suites" / f"mini-{_version()}"
        found = [
            self._sample(folder, name, picture, tag, regions)
            for name, picture, tag, regions in _pictures()
        ]
        return sorted(found, key=lambda sample: sample.id)

    def _sample(
        self,
        folder: Path,
        name: str,
        picture: np.ndarray,
        tag: str,
        regions: tuple[TextRegion, ...],
    ) -> Sample:
        import torch

        file = folder / f"{name}.png"
        tensor = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
        if not _holds(file, images.digest(tensor)):
            write_bytes(file, images.encode_png(tensor))
        # The values' digest, not the file's: PNG bytes change with the encoder's version.
        return Sample(name, file, images.digest(tensor), None, regions, (tag,))


def _pictures() -> Iterator[tuple[str, np.ndarray, str, tuple[TextRegion, ...]]]:
    for name, crop in photographs.held_out_crops().items():
        yield f"photo_{name}", crop, "photo", ()
    for kind, count in DRAWINGS.items():
        for index in range(count):
            drawing = drawings.draw(kind, drawings.EVALUATION_SEEDS + index)
            yield f"{kind}_{index:02d}", drawing.image, kind, drawing.texts


def _holds(file: Path, wanted: str) -> bool:
    try:
        return images.digest(images.read(file)) == wanted
    except images.ImageProblem:
        return False


def _version() -> str:
    """Short digest of all that decides the pictures, so that versions never mix in the cache."""
    folder = Path(drawings.__file__).parent
    sources = [sha256(file) for file in sorted([*folder.glob("*.py"), Path(photographs.__file__)])]
    return digest([sources, version("pillow"), version("scikit-image"), version("matplotlib")])[:8]
