"""Who answers the questions. A judge is named by `judge: {_target_: …}` in conf/metric/dpg*.yaml.

    endpoint.Endpoint       a server that speaks OpenAI's protocol (vLLM and others)
    vision.VisionModel      an image-text-to-text model of transformers, in this process
    mplug.MPlug             mPLUG through modelscope: what official numbers are made with
    replay.Replay           answers recorded before

Numbers of different judges do not compare; the judge is part of the metric's protocol.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from suites.dpg.questions import Question

TEMPLATE = "{question} Answer yes or no."
MAX_PIXELS = 768 * 768


@dataclass(frozen=True)
class Asked:
    """What is asked about one picture."""

    item: str
    take: int
    """Which picture of the item's prompt."""
    index: int
    """Which of the sample's pictures (its seeds), 0 for the first."""
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Answer:
    """A judge's answer to one question."""

    said: str
    """In its own words."""
    yes: float | None
    """1 for yes, 0 for no, or the probability of yes in between; None: no answer."""
    why: str = ""
    """Why there is none."""

    @property
    def counted(self) -> float | None:
        """1 or 0: yes is what is likelier than no."""
        return None if self.yes is None else float(self.yes > 0.5)


class Judge(Protocol):
    """Answers questions about pictures. Called from several threads at once."""

    label: str
    """For people: which model, which version."""
    digest: str
    """Of all that changes an answer: model, revision, template, size of the picture."""
    licence: str

    def check(self, items: Collection[str]) -> None:
        """UsageError or QaError if it cannot answer questions on these items."""
        ...

    def ask(self, picture: Tensor, asked: Asked) -> list[Answer]:
        """picture uint8 [3,H,W] → an answer to each question, in order.

        A question without an answer has None and the reason; it is never a no.
        """
        ...
