"""DPG-Bench's prompts as a suite: 1,065 long prompts, four pictures each.

Sample `partiprompts97/2` is the third picture (`take` 2) of item `partiprompts97`. Takes of a
prompt have noise of their own and are one group: intervals count prompts, not pictures. The tag
says where a prompt comes from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from qa import assets
from qa.errors import UsageError
from qa.types import Sample
from suites import prompted
from suites.dpg.questions import read

PROMPTS = "dpg-prompts"
ASKS = "dpg_item"
"""Under which name a sample says which item's questions it is to be asked."""


class DPG:
    """`pictures` samples for every prompt; none has a reference.

    `prompts` is null for the official ones, a folder of `<item>.txt`, or a CSV of questions whose
    column `text` has them (DSG-1k). `name` is part of runs' and baselines' names.
    """

    def __init__(
        self, prompts: str | None = None, pictures: int = 4, name: str | None = None
    ) -> None:
        self._pictures = prompted.checked(pictures)
        place = Path(prompts) if prompts is not None else assets.resolve(PROMPTS)
        self._prompts = _from_folder(place) if place.is_dir() else _from_csv(place)
        self.name = name or ("dpg" if prompts is None else f"dpg-{place.stem}")

    def samples(self) -> Sequence[Sample]:
        """All samples, sorted by id."""
        return [
            sample
            for item, prompt in sorted(self._prompts.items())
            for sample in prompted.takes(
                Sample(item, prompt=prompt, tags=(source(item),), asks={ASKS: item}),
                self._pictures,
            )
        ]


def source(item: str) -> str:
    """Where a prompt comes from: its name without the number; "numeric" where it is a number."""
    return re.sub(r"_?\d+$", "", item) or "numeric"


def _from_folder(folder: Path) -> Mapping[str, str]:
    found = {
        file.name.split(".")[0]: file.read_text(encoding="utf-8").strip()
        for file in sorted(folder.glob("*.txt"))
    }
    if not found:
        raise UsageError(
            f"{folder} holds no prompts.", "A prompt is a file <item>.txt.", "suite.prompts=FOLDER"
        )
    return found


def _from_csv(file: Path) -> Mapping[str, str]:
    found = {item.id: item.prompt for item in read(file).items.values()}
    silent = sorted(name for name, prompt in found.items() if not prompt)
    if silent or not found:
        raise UsageError(
            f"{file} does not say what to draw for {len(silent)} of {len(found)} items.",
            "Its column text holds the prompts.",
            "suite.prompts=FOLDER of <item>.txt",
        )
    return found
