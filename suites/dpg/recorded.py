"""Answers that somebody recorded, in the form of DSG's release.

    dsg_prompt_split, qg_model, t2i_model, item_id, question, question_id, dependency_id, answer

A file may hold several systems (`t2i_model`) and subsets of prompts (`dsg_prompt_split`); where
these columns are missing there is one of each. A column `panel` (0, 1, …) tells several pictures of
one item apart. `dependency_id` is not read: the questions' own file decides.

An answer counts if it is exactly yes, as in the official scripts: mPLUG says "no bus" for no, and
what PaLI leaves empty is no yes either.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from qa.errors import UsageError
from suites.dpg import table

WANTED = {"item_id", "question_id", "answer"}
PANELS = 1000
"""More pictures of one item are a mistake in the column `panel`."""


@dataclass(frozen=True)
class System:
    """What one generator's pictures were answered with."""

    texts: Mapping[str, tuple[Mapping[int, str], ...]]
    """Item → its panels by number: question → answer in the judge's words.

    A number that the file leaves out is a panel without answers: those after it keep theirs.
    """
    wordings: Collection[tuple[str, int, str]]
    """(item, question, the question as it was asked), where the file says so."""
    subsets: Mapping[str, str]
    """Item → subset."""

    def answers(self) -> dict[str, tuple[dict[int, float | None], ...]]:
        """The same as 1 and 0, in the form that `tally` takes."""
        return {
            item: tuple({q: exact(text) for q, text in panel.items()} for panel in panels)
            for item, panels in self.texts.items()
        }


@dataclass(frozen=True)
class Recorded:
    """A whole file."""

    systems: Mapping[str, System]
    sha256: str

    def choose(self, system: str | None) -> tuple[str, System]:
        """The system of that name, or the only one with the most items."""
        if system is not None and system not in self.systems:
            raise UsageError(
                f"There are no answers for {system}.", f"Known: {', '.join(self.systems)}."
            )
        most = max(len(each.texts) for each in self.systems.values())
        first = [name for name, each in self.systems.items() if len(each.texts) == most]
        if system is None and len(first) > 1:
            raise UsageError(
                "The answers are of several systems.",
                f"{', '.join(first)} have {most} items each.",
                f"--system {first[0]}",
            )
        name = first[0] if system is None else system
        return name, self.systems[name]


def exact(text: str) -> float:
    """1 for yes in whatever case, 0 for anything else."""
    return float(text.strip().lower() == "yes")


def read(file: Path) -> Recorded:
    """All answers of a CSV; UsageError, with the line, for what cannot be read."""
    data = table.read(file)
    strange = UsageError(
        f"{file} holds no recorded answers.",
        fix="write item_id, question_id, answer; and t2i_model, panel where there are several",
    )
    systems: dict[str, _Growing] = {}
    for line, cells in table.rows(data, file, WANTED, strange):
        growing = systems.setdefault(cells.get("t2i_model", ""), _Growing({}, set(), {}))
        growing.add(cells, f"{file}, line {line}")
    if not systems:
        raise UsageError(f"{file} holds no answers.")
    return Recorded({n: g.system() for n, g in systems.items()}, sha256(data).hexdigest())


@dataclass(frozen=True)
class _Growing:
    """A system while its rows are read."""

    panels: dict[str, dict[int, dict[int, str]]]
    wordings: set[tuple[str, int, str]]
    subsets: dict[str, str]

    def add(self, row: Mapping[str, str], where: str) -> None:
        try:
            question, panel = int(row["question_id"]), int(row.get("panel") or 0)
        except ValueError as error:
            raise UsageError(
                f"{where} is no answer.", f"question_id and panel are whole numbers: {error}."
            ) from error
        if not 0 <= panel < PANELS:
            raise UsageError(
                f"{where} is no answer.", f"panel={panel} is none of 0, 1, … {PANELS - 1}."
            )
        item = row["item_id"]
        answers = self.panels.setdefault(item, {}).setdefault(panel, {})
        if answers.get(question, row["answer"]) != row["answer"]:
            raise UsageError(
                f"{where} contradicts an earlier line.",
                f"Question {question} of {item} has the answers {answers[question]!r} "
                f"and {row['answer']!r}.",
                "tell several pictures of one item apart by a column panel",
            )
        answers[question] = row["answer"]
        self.subsets[item] = row.get("dsg_prompt_split", "")
        if row.get("question"):
            self.wordings.add((item, question, row["question"]))

    def system(self) -> System:
        texts = {
            item: tuple(panels.get(index, {}) for index in range(max(panels) + 1))
            for item, panels in self.panels.items()
        }
        return System(texts, self.wordings, self.subsets)
