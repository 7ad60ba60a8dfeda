"""RapidOCR's recogniser on known boxes: the main witness. Its model lies in its wheel.

Only the recogniser is used. The detector drops words that it does not find, the classifier turns
digits upside down, and pictures of more than 2000 pixels are made smaller unasked; all of that is
switched off. Crops are read one at a time: in a batch each is padded to the widest, so what is read
would depend on the neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from qa.errors import Unavailable
from qa.files import digest, sha256
from suites.legibility.readers import Crop, Reading

LEAST_WIDTH = 96
"""Crops are made 48 pixels high, and narrower ones are filled up to this width. The package fills
them up to 320, which doubles the time; clean drawn words are read alike."""
SETTINGS: dict[str, Any] = {
    "Global.log_level": "error",
    "Global.use_det": False,
    "Global.use_cls": False,
    "Global.use_preprocess_img": False,
    "Rec.rec_img_shape": [3, 48, LEAST_WIDTH],
    # One thread: the order of sums, and with it the last bits, must not depend on the cores.
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
}
FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
"""The model reads Chinese, too, and may write `：` for `:`."""


class RapidOCR:
    """A Reader of the recogniser that the package `rapidocr` brings."""

    licence = "Apache-2.0 (code and PP-OCR weights)"

    def __init__(self) -> None:
        """Loads the model: less than a second. Unavailable without the packages."""
        for package in ("rapidocr", "onnxruntime"):
            if find_spec(package) is None:
                raise Unavailable(f"{package} is not installed.", "", f"pip install {package}")
        model = _model()
        from rapidocr import RapidOCR as Engine

        self._engine = Engine(params={**SETTINGS, "Rec.model_path": str(model)})
        self.label = f"RapidOCR {version('rapidocr')} {model.stem}, boxes given"
        self.digest = digest([sha256(model), version("rapidocr"), SETTINGS])

    def read(self, crops: Sequence[Crop]) -> list[Reading]:
        """One reading for each crop, in order; the confidence is the mean over its characters."""
        return [self._read(crop) for crop in crops]

    def _read(self, crop: Crop) -> Reading:
        found: Any = self._engine(crop[:, :, ::-1])  # it expects blue first
        text = str(found.txts[0]).translate(FULL_WIDTH)
        return Reading(text, float(found.scores[0]) if text.strip() else 0.0)


def _model() -> Path:
    """The recogniser in the wheel: a path of our own, so that nothing is ever downloaded."""
    folder = Path(str(files("rapidocr"))) / "models"
    found = sorted(folder.glob("*_rec_*.onnx"))
    if len(found) != 1:
        raise Unavailable(
            "This version of rapidocr brings no recogniser, or several.",
            f"Its models: {', '.join(file.name for file in found) or 'none'}.",
            "pip install 'rapidocr>=3.10'",
        )
    return found[0]
