"""The panel of DPG-Bench: how much of what its prompt asks for does a picture show?

    picture ─► judge answers the item's questions ─► rule (`suites.dpg.rules`) ─► mean, in [0, 1]

The run's value is the mean over pictures, which with equally many pictures for each prompt is the
official score (a hundredth of it). What each question was answered is kept in the notes; categories
and the score as the official script reckons it stand in the summary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from qa import assets
from qa.errors import AssetMissing, UsageError
from qa.types import NOT_APPLICABLE, Found, MetricFacts, Sample
from suites.dpg.judges import Answer, Asked, Judge
from suites.dpg.questions import Item, read
from suites.dpg.rules import CASCADE, FIXED, bugs, check_rule, mean
from suites.dpg.suite import ASKS, source
from suites.dpg.tally import Unscored, panel, subsets, tally

if TYPE_CHECKING:
    from torch import Tensor

METRIC = "dpg"
QUESTIONS = "dpg_bench.csv"


class DPGPanel:
    """One metric, `dpg`. `questions` is a CSV, or null for DPG-Bench's own."""

    better: ClassVar[Literal["higher", "lower"]] = "higher"

    def __init__(
        self,
        judge: Judge,
        questions: str | None = None,
        rule: str = CASCADE,
        compat: str = FIXED,
    ) -> None:
        self._judge, self._rule, self._bugs = judge, check_rule(rule), bugs(compat)
        self._questions = read(_file(questions), self._bugs)
        licence = assets.find(QUESTIONS).licence if questions is None else "not stated (questions)"
        self.facts = {
            METRIC: MetricFacts(
                name=METRIC,
                better=self.better,
                unit="",
                source="Hu et al. (ELLA), arXiv 2403.05135; rule of "
                + ("ELLA's script" if rule == CASCADE else "Cho et al. (DSG), ICLR 2024"),
                licence=f"{licence}; {judge.licence}",
                protocol={
                    "version": 1,
                    "questions_sha256": self._questions.sha256,
                    "rule": rule,
                    "compat": "+".join(sorted(self._bugs)) or FIXED,
                    "judge": judge.label,
                    "judge_digest": judge.digest,
                },
                paired=False,
                of="sample",
            )
        }

    def check(self, samples: Sequence[Sample]) -> None:
        """UsageError for samples without questions; then the judge looks whether it can answer."""
        strangers = [sample.id for sample in samples if ASKS not in sample.asks]
        if strangers:
            raise UsageError(
                f"{len(strangers)} of {len(samples)} samples are no items of DPG-Bench.",
                f"The first is {strangers[0]}.",
                "suite=dpg",
            )
        items = dict.fromkeys(str(sample.asks[ASKS]) for sample in samples)
        unknown = [item for item in items if item not in self._questions.items]
        if unknown and "lost_items" not in self._bugs:
            raise UsageError(
                f"There are no questions on {len(unknown)} of {len(items)} items.",
                f"The first is {unknown[0]}; the CSV has SHA-256 {self._questions.sha256}.",
                "name the CSV that belongs to the prompts: metric.dpg.questions=CSV",
            )
        self._judge.check([item for item in items if item in self._questions.items])

    def __call__(self, sample: Sample, pictures: Tensor, reference: Tensor | None) -> Found:
        """Pictures uint8 [S,3,H,W] → S values of `dpg`; a note has every question's answer."""
        name = str(sample.asks[ASKS])
        item = self._questions.items.get(name, Item(name, "", ()))
        values: list[float | str] = []
        notes: list[Mapping[str, Any]] = []
        for index, picture in enumerate(pictures):
            asked = Asked(name, sample.take, index, item.questions)
            answers = self._judge.ask(picture, asked) if item.questions else []
            value, counted = self._value(item, answers)
            values.append(value)
            notes.append(_note(item, sample.take, value, answers, counted))
        return Found({METRIC: values}, notes)

    def _value(
        self, item: Item, answers: Sequence[Answer]
    ) -> tuple[float | str, Mapping[int, float]]:
        """A picture's score, or why it has none, and what each answer counts for."""
        if not item.questions:
            return f"{NOT_APPLICABLE}the official script has no questions on {item.id}", {}
        given = {q.id: answer.counted for q, answer in zip(item.questions, answers, strict=True)}
        try:
            counted = panel(item, given, self._rule, self._bugs)
        except Unscored as error:
            if None not in given.values():
                return f"{NOT_APPLICABLE}{error}", {}
            why = next(answer.why for answer in answers if answer.yes is None)
            return f"{error}: {why}", {}
        return mean(counted.values()), counted

    def summary(
        self, notes: Sequence[Mapping[str, Any]], planned: Sequence[tuple[str, int]]
    ) -> dict[str, Any]:
        """Score, categories and subsets of the run, and who judged it by which questions.

        A prompt's panels are its pictures in order of take and seed. A prompt of which a planned
        picture has no note is dropped, and then the run and that prompt's subset have no score.
        """
        gaps = _gaps(notes, planned)
        answers: dict[str, list[dict[int, float | None]]] = {}
        for note in sorted(notes, key=lambda note: (note["item"], note["take"], note["seed"])):
            if note["item"] not in gaps:
                given = {row["id"]: Answer("", row["yes"]).counted for row in note["answers"]}
                answers.setdefault(note["item"], []).append(given)
        known = {name: item for name, item in self._questions.items.items() if name in answers}
        asked = replace(self._questions, items=known)
        names = {item: source(item) for item in answers}
        found = tally(asked, answers, self._rule, self._bugs)
        found["subsets"] = subsets(asked, answers, names, self._rule, self._bugs)
        if gaps:
            found["score"], found["complete"] = None, False
            found["why"] = f"pictures of {len(gaps)} prompts are missing"
            found["dropped"] = dict(sorted((found["dropped"] | gaps).items()))
            found["subsets"] |= dict.fromkeys(map(source, gaps))
        return found | {
            "judge": self._judge.label,
            "judge_digest": self._judge.digest,
            "unanswered": sum(row["yes"] is None for note in notes for row in note["answers"]),
        }


def _gaps(notes: Sequence[Mapping[str, Any]], planned: Sequence[tuple[str, int]]) -> dict[str, str]:
    """Items of which planned pictures have no note, and how many of them have none."""
    there = {(note["sample"], note["seed"]) for note in notes}
    wanted = Counter(_item(sample) for sample, _ in planned)
    missing = Counter(_item(sample) for sample, seed in planned if (sample, seed) not in there)
    return {
        item: f"{count} of {wanted[item]} pictures are missing" for item, count in missing.items()
    }


def _item(sample: str) -> str:
    """The item of a sample of `suite=dpg`."""
    return sample.rpartition("/")[0] or sample


def _file(questions: str | None) -> Path:
    if questions is not None:
        return Path(questions)
    try:
        return assets.resolve(QUESTIONS)
    except AssetMissing as error:  # without questions there is no panel, and no reason to decode
        raise UsageError(
            error.what, error.why, f"{error.fix}; or metric.dpg.questions=CSV"
        ) from error


def _note(
    item: Item,
    take: int,
    value: float | str,
    answers: Sequence[Answer],
    counted: Mapping[int, float],
) -> dict[str, Any]:
    rows = [
        {"id": q.id, "question": q.text, "category": q.category, "said": answer.said,
         "yes": answer.yes, "counted": counted.get(q.id), "why": answer.why}
        for q, answer in zip(item.questions, answers, strict=True)
    ]  # fmt: skip
    score = {"score": None, "why": value} if isinstance(value, str) else {"score": value, "why": ""}
    return {"item": item.id, "take": take, **score, "answers": rows}
