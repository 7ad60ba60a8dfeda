"""References that a metric brings along, instead of the suite's: pictures, or their statistics.

    FOLDER     all pictures in it, in order of their paths, looked at as the candidates are
    FILE.npz   mean `mu` [d] and covariance `sigma` [d,d] of features, as FID's are published

Published statistics say nothing about how they were made. Their network, resize and levels have to
be those of `protocol`; only the width d can be checked.
"""

from __future__ import annotations

import zipfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from qa import images, numerics
from qa.errors import UsageError
from qa.features.cache import Cache, folder_for
from qa.files import digest, sha256
from qa.numerics import pick_device
from qa.roles import Features
from qa.sets.frechet import Moments
from qa.types import FeatureSet, ReferenceMoments

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Folder:
    """Pictures of a folder. Raises UsageError where it has fewer than two."""

    def __init__(self, place: Path, features: Features, device: str = "cpu") -> None:
        """`device` is where the features are computed: it decides their last bits."""
        self._device = pick_device(device)
        self._files = sorted(f for f in place.rglob("*") if f.suffix.lower() in images.SUFFIXES)
        self._features = features
        if len(self._files) < 2:
            raise UsageError(
                f"{place} holds {len(self._files)} pictures.",
                "A set to compare with has at least 2, and usually thousands.",
                "reference=FOLDER",
            )
        odd = next((file for file in self._files if not file.is_file()), None)
        if odd is not None:  # a pipe would be waited for without end
            raise UsageError(f"{odd} is no regular file.", "", "take it out of the folder")
        self.mark = digest(sorted(sha256(file) for file in self._files))[:16]

    @cached_property
    def known(self) -> FeatureSet:
        """Rows, computed once; numbered downwards from -1, for they are nobody's originals.

        Raises ValueError, naming the file, for a picture without features.
        """
        import numpy as np

        cache = Cache(folder_for(numerics.current(self._device)))
        blocks = [self._rows(cache, file) for file in self._files]
        numbers = np.repeat(-1 - np.arange(len(blocks)), [len(block) for block in blocks])
        return FeatureSet(np.concatenate(blocks), numbers.astype(np.int64))

    def _rows(self, cache: Cache, file: Path) -> NDArray[np.float32]:
        try:
            picture = images.read(file)
            return cache.rows(self._features, picture, images.digest(picture))
        except ValueError as error:
            raise ValueError(f"reference {file.name}: {error}") from error


class Published:
    """Statistics of a file. Raises UsageError where it holds others, or of another width."""

    def __init__(self, file: Path, features: Features) -> None:
        if not zipfile.is_zipfile(file):
            raise UsageError(
                f"{file} is no .npz archive.",
                "Statistics to compare with are the arrays mu [d] and sigma [d,d] of one.",
                "numpy.savez(FILE, mu=mean, sigma=covariance), or reference=FOLDER",
            )
        moments = Moments.read(file)
        if len(moments.mean) != features.width:
            raise UsageError(
                f"{file} describes {len(moments.mean)} features and the metric's network gives "
                f"{features.width}.",
                "Statistics belong to the network that they were made with.",
                "reference=FILE of this network, or reference=FOLDER",
            )
        self.known = ReferenceMoments(moments.mean, moments.covariance)
        self.mark = sha256(file)


def given(place: str, features: Features, device: str = "cpu") -> Folder | Published:
    """What stands at a path: `known` is what to compare with, `mark` a digest of its content."""
    path = Path(place).expanduser()
    return Published(path, features) if path.is_file() else Folder(path, features, device)
