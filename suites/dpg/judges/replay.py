"""Answers recorded before, as a judge: what another judge, or a person, said about these pictures.

The file is one of `suites.dpg.recorded`, with a column `panel` for an item's takes. It answers for
one picture of each take: with more seeds nobody looked at the others.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from qa.errors import UsageError
from qa.files import digest
from qa.metrics.licences import NOT_STATED
from suites.dpg import recorded
from suites.dpg.judges import Answer, Asked

if TYPE_CHECKING:
    from torch import Tensor


class Replay:
    """Reads `path` once. `system` chooses among several generators in it."""

    def __init__(
        self, path: str | None = None, system: str | None = None, licence: str = ""
    ) -> None:
        if path is None:
            raise UsageError(
                "Which answers are to be replayed is not said.",
                "",
                "metric.dpg_replay.judge.path=CSV",
            )
        told = recorded.read(Path(path))
        self._system, chosen = told.choose(system)
        self._texts = chosen.texts
        self.label = f"recorded answers {told.sha256[:8]}" + (
            f" of {self._system}" if self._system else ""
        )
        self.digest = digest([told.sha256, self._system])
        self.licence = licence or NOT_STATED

    def check(self, items: Collection[str]) -> None:
        """UsageError for items without any answer."""
        silent = sorted(set(items) - set(self._texts))
        if silent:
            raise UsageError(
                f"{len(silent)} of {len(items)} items have no recorded answers.",
                f"The first is {silent[0]}.",
                "record them, or leave the items out of the suite",
            )

    def ask(self, picture: Tensor, asked: Asked) -> list[Answer]:
        """The recorded answers; the picture is not looked at."""
        panels = self._texts.get(asked.item, ())
        if asked.index > 0 or asked.take >= len(panels):
            why = f"no answers were recorded for take {asked.take} of {asked.item}"
            if asked.index > 0:
                why = "answers were recorded for one picture of each take (seeds=1)"
            return [Answer("", None, why) for _ in asked.questions]
        texts = panels[asked.take]
        return [
            Answer(texts[q.id], recorded.exact(texts[q.id]))
            if q.id in texts
            else Answer("", None, "it was not recorded")
            for q in asked.questions
        ]
