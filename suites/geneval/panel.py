"""The panel of GenEval: each picture is judged by its sample's row, 1 if correct and 0 if not.

A detector looks, and a classifier of colours only where a colour decides:

    picture ─► detector ─► boxes ─► rules ─► correct, reason
                 └─► masks ─► colours ──┘

Nothing here knows a network; the configuration names both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from qa.errors import UsageError
from qa.types import Found, MetricFacts, Sample
from suites.geneval.detector import ColourClassifier, Detections, Detector
from suites.geneval.prompts import PROMPT_FILE, row_of
from suites.geneval.rows import check_row
from suites.geneval.rules import DEFAULTS, Judgement, Options, judge
from suites.geneval.score import Result, scores, withheld

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 1
SOURCE = "GenEval, arXiv 2310.11513; rules of github.com/djghosh13/geneval at af4902f2"


class GenEvalPanel:
    """Metric `geneval`: the share of correct pictures. Notes are lines of the official results.

    Its mean over pictures is not GenEval's overall score, in which each of the six tags counts the
    same: that one is in the summary, and in the gate `slices` with its interval.
    """

    better: ClassVar[Literal["higher", "lower"]] = "higher"

    def __init__(
        self, detector: Detector, colours: ColourClassifier, options: Options = DEFAULTS
    ) -> None:
        self.detector, self.colours, self.options = detector, colours, options
        protocol: dict[str, str | int | float] = {
            "version": VERSION,
            "values": "rate",
            "detector": detector.label,
            "detector_digest": detector.digest,
            "colours": colours.label,
            "colours_digest": colours.digest,
            **asdict(options),
        }
        licence = "; ".join(dict.fromkeys((detector.licence, colours.licence)))
        self.facts = {
            "geneval": MetricFacts(
                "geneval", self.better, "", SOURCE, licence, protocol, paired=False, of="sample"
            )
        }

    def check(self, samples: Sequence[Sample]) -> None:
        """UsageError for samples that GenEval cannot judge; QaError for a detector that is blind.

        Detector and colour classifier are shown pictures that they have to know: one that finds
        nothing would give a score of 0 without a word.
        """
        for sample in samples:
            try:
                self._check_row(row_of(sample.asks))
            except ValueError as error:
                raise UsageError(
                    f"GenEval cannot judge sample {sample.id}.",
                    f"{str(error).removesuffix('.')}.",
                    "suite=geneval or suite=figures, each with its own metric, or none of them",
                ) from error
        self.detector.check()
        self.colours.check()

    def __call__(self, sample: Sample, pictures: Tensor, reference: Tensor | None) -> Found:
        """pictures uint8 [S,3,H,W] → S ones and zeros, with a line of the official results each."""
        row = row_of(sample.asks)
        judged = [self._judge(row, picture) for picture in pictures]
        notes = [
            {
                "tag": row["tag"],
                "prompt": row["prompt"],
                "correct": judgement.correct,
                "reason": judgement.reason,
                "metadata": row,
                "details": judgement.details,
                PROMPT_FILE: sample.asks.get(PROMPT_FILE, ""),
            }
            for judgement in judged
        ]
        return Found({"geneval": [float(judgement.correct) for judgement in judged]}, notes)

    def summary(
        self, notes: Sequence[Mapping[str, Any]], planned: Sequence[tuple[str, int]]
    ) -> dict[str, Any]:
        """GenEval's scores (`suites.geneval.score`), and what they were made with.

        Without one of the planned pictures there are counts, and `why` there is no score.
        """
        found = scores(Result(note["tag"], note["prompt"], note["correct"]) for note in notes)
        judged = {(note["sample"], note["seed"]) for note in notes}
        lost = [picture for picture in planned if picture not in judged]
        return {
            **(withheld(found, len(lost), f"{lost[0][0]}, seed {lost[0][1]}") if lost else found),
            "prompt_files": sorted({note[PROMPT_FILE] for note in notes}),
            "detector": self.detector.label,
            "colours": self.colours.label,
        }

    def _judge(self, row: Mapping[str, Any], picture: Tensor) -> Judgement:
        found = self.detector.detect(picture)

        def colours_of(cls: str, places: Sequence[int]) -> Sequence[str]:
            chosen = _chosen(found[cls], places)
            return self.colours.colours(picture, cls, chosen.boxes, chosen.masks)

        boxes = {cls: detections.boxes for cls, detections in found.items()}
        return judge(row, boxes, colours_of, self.options)

    def _check_row(self, row: dict[str, Any]) -> None:
        """ValueError, with the reason, for a row that nothing could answer."""
        if not row:
            raise ValueError("it asks for nothing")
        check_row(row, self.detector.classes)
        if "prompt" not in row:
            raise ValueError("prompt is missing")


def _chosen(found: Detections, places: Sequence[int]) -> Detections:
    rows = list(places)
    return Detections(found.boxes[rows], None if found.masks is None else found.masks[rows])
