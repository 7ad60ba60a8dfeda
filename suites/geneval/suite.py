"""GenEval as a suite: the prompts, each several times, to be drawn or found in a folder.

Sample `00012/0003` is the fourth picture (`take` 3) of line 13. Takes of a prompt have noise of
their own and are one group: intervals count prompts, not pictures.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from qa.errors import UsageError
from qa.types import Sample
from suites import prompted
from suites.geneval import layout
from suites.geneval.prompts import CUSTOM, Prompts, read

MISSING = ("fail", "allow")


class GenEval:
    """`pictures` samples for every prompt; none has a reference.

    `prompts` is a label of `suites.geneval.prompts`, with `path` where it is `custom`. With
    `folder` the pictures are made already and lie in the official layout (`suites.geneval.layout`);
    one that is not there is a sample with a problem, which fails the run, unless `missing=allow`
    leaves it out.
    """

    def __init__(
        self,
        prompts: str = "official",
        path: str | None = None,
        pictures: int = 4,
        folder: str | None = None,
        missing: str = "fail",
    ) -> None:
        if missing not in MISSING:
            raise UsageError(
                f"suite.missing={missing} is unknown.",
                "",
                f"suite.missing={' or suite.missing='.join(MISSING)}",
            )
        self._pictures = prompted.checked(pictures)
        self._prompts = read(prompts, path)
        self._folder, self._missing = None if folder is None else Path(folder), missing
        self.name = _name(self._prompts)

    def samples(self) -> Sequence[Sample]:
        """All samples, sorted by id.

        UsageError for a folder that holds pictures of other prompts.
        """
        wanted = [
            sample
            for number, row in enumerate(self._prompts.rows)
            for sample in prompted.takes(
                Sample(
                    layout.prompt_id(number),
                    prompt=row["prompt"],
                    tags=(row["tag"],),
                    asks=self._prompts.asks(row),
                ),
                self._pictures,
                layout.TAKE_DIGITS,
            )
        ]
        if self._folder is None:
            return wanted
        names = [sample.id for sample in wanted]
        problems = layout.problems(self._folder, self._prompts.rows, names)
        if problems and self._missing == "allow":
            name, why = next(iter(problems.items()))
            told = f"{self._folder}: {len(problems)} of {len(wanted)} pictures are left out"
            warnings.warn(f"{told}, the first is {name}: {why}.", RuntimeWarning, stacklevel=2)
            return [sample for sample in wanted if sample.id not in problems]
        return [replace(sample, problem=problems.get(sample.id)) for sample in wanted]


def _name(prompts: Prompts) -> str:
    """Runs and baselines go by it, so it says which prompts these are."""
    if prompts.label == "official":
        return "geneval"
    return f"geneval-{prompts.sha256[:8] if prompts.label == CUSTOM else prompts.label}"
