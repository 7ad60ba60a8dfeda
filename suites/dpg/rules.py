"""What an answer counts for: the dependency rules, and the bugs of the official script.

A picture (a panel of the official 2x2 grid) gets an answer s(q) in {0, 1} to each question q. Then

    ella_cascade   in the order of the file, s(q) := 0 if a parent of q has s = 0 *by now*: one
                   failure runs down the whole chain (ELLA, `compute_dpg_bench.py`)
    dsg_raw        s(q) := 0 if a parent's *own* answer is 0 (the DSG library)
    none           s(q) stays

    panel = mean over q of s(q),   prompt = mean over panels,   score = mean over prompts

all in [0, 1]; published DPG-Bench scores are 100 times that. Both rules look at the file's order:
a parent that comes later has not been zeroed yet, a question may be its own parent.

Categories are means over all questions of a category, in all prompts, of the answers as they were
given, before the rule.

Sources: Hu et al., ELLA, arXiv 2403.05135, and its script; Cho et al., Davidsonian Scene Graph,
ICLR 2024, and its library.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from qa.errors import UsageError

CASCADE, RAW, NONE = "ella_cascade", "dsg_raw", "none"
RULES = (CASCADE, RAW, NONE)
BUGS: Mapping[str, str] = {
    "first_row": "the first row of the CSV is skipped",
    "overwrite_rows": "rows of an item that is in several places replace those before",
    "no_comma": "a dependency column without any comma stops the script",
    "lost_items": "an item that fails, by a parent or an answer that is not there, is left out",
    "last_panel": "categories look at the last picture of each prompt only",
    "mixed_ranks": "with several processes, values of different categories are mixed up",
}
"""What the official script does wrong; each can be switched on alone."""
OFFICIAL, FIXED = "official_bugs", "fixed"


def bugs(compat: str) -> frozenset[str]:
    """`official_bugs`, `fixed`, or names of `BUGS` joined by "+" → the bugs that are on."""
    if compat == FIXED:
        return frozenset()
    if compat == OFFICIAL:
        return frozenset(BUGS)
    names = frozenset(compat.split("+"))
    if not names <= set(BUGS):
        raise UsageError(
            f"compat={compat} is not known.",
            f"It is {OFFICIAL}, {FIXED}, or some of {', '.join(BUGS)} joined by +.",
            f"compat={FIXED}",
        )
    return names


def check_rule(rule: str) -> str:
    """The rule; UsageError if there is none of that name."""
    if rule not in RULES:
        raise UsageError(f"rule={rule} is not known.", "", f"rule={' or rule='.join(RULES)}")
    return rule


def ruled(
    answers: Mapping[int, float], parents: Mapping[int, Sequence[int]], rule: str
) -> dict[int, float]:
    """s(q) of one panel after the rule; `parents` in the order of the file.

    KeyError for a parent without an answer.
    """
    scores = dict(answers)
    if rule == NONE:
        return scores
    looked_at = scores if rule == CASCADE else answers
    for question, needed in parents.items():
        if any(looked_at[parent] == 0 for parent in needed):
            scores[question] = 0.0
    return scores


def existing(parents: Mapping[int, Sequence[int]]) -> dict[int, list[int]]:
    """The same without parents that are no questions."""
    return {question: [p for p in needed if p in parents] for question, needed in parents.items()}


def mean(values: Collection[float]) -> float:
    """Arithmetic mean; of nothing there is none (ZeroDivisionError)."""
    return sum(values) / len(values)
