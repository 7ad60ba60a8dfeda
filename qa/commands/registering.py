"""Reviews of `qa review`, registered before their first answer and not changed after it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qa.errors import UsageError
from qa.gates.preference import CLOSE, allowed
from qa.review.plan import ReviewFolder, named
from qa.stats import CONFIDENCE
from qa.store import RunFolder

if TYPE_CHECKING:
    from qa.config import Config
    from qa.gates.use_case import UseCase
    from qa.pairing import Terms
    from qa.review.plan import Plan


def registered(
    config: Config, run: RunFolder, bases: Sequence[RunFolder], several: bool
) -> list[ReviewFolder]:
    """The reviews that are to be continued, each registered with its plan before it begins.

    People answer one question at a time, and a review that has a name of its own has one; else
    `several` asks all of the use case.
    """
    _apart([run, *bases])
    use = _use_case(run)
    names = _names(config, use)
    found = []
    for question in names if several and not config.tree.name else names[:1]:
        name = config.tree.name or f"{question}-{'-'.join(base.name for base in bases)}"
        folder = named(run, name)
        terms = _terms(config, use, question)
        known = folder.plan_file.is_file()
        if not known and folder.register(_planned(run, bases, terms, use)):
            _say(folder)
        else:  # or another command was faster
            _same(folder, config, terms, [run, *bases], use)
        found.append(folder)
    return found


def _apart(runs: Sequence[RunFolder]) -> None:
    """UsageError where a run would be compared with itself."""
    known: dict[str, RunFolder] = {}
    for one in runs:
        other = known.setdefault(str(one.record().get("plan")), one)
        if other is not one:
            raise UsageError(
                f"{other.path} and {one.path} are the same run.",
                "All of its pictures would be ties.",
                "name another BASE",
            )


def _use_case(run: RunFolder) -> UseCase:
    from qa.gates.use_case import from_config

    return from_config(run.config().get("use_case"), run.record().get("use_case"))


def _names(config: Config, use: UseCase) -> Sequence[str]:
    """Questions to ask; UsageError for one that has no text."""
    asked = [config.tree.question] if config.tree.question else []
    names = asked or list(use.review.questions if use.review else ()) or ["overall"]
    for name in names:
        if name not in config.tree.questions:
            known = ", ".join(config.tree.questions)
            raise UsageError(
                f"There is no question {name!r}.", f"Known: {known}.",
                f"+questions.{name}.text='…' adds one",
            )  # fmt: skip
    return names


def _terms(config: Config, use: UseCase, question: str) -> Terms:
    from omegaconf import OmegaConf

    from qa.pairing import Terms
    from qa.review.plan import SHOWS, Question

    tree = config.tree
    widest, whose = allowed(use)
    if tree.margin is not None and tree.margin > widest + CLOSE:
        raise UsageError(
            f"A margin of {tree.margin:g} is wider than {widest:g}, which the use case allows.",
            "A verdict that has to count such a review is INVALID.",
            f"margin={widest:g} or less, or another one in the use case (review:)",
        )
    if tree.confidence < CONFIDENCE - CLOSE:
        raise UsageError(
            f"Intervals of {tree.confidence:.0%} err more often than those of a verdict.",
            "A verdict that has to count such a review is INVALID.",
            f"confidence={CONFIDENCE:g} or more",
        )
    known: Any = OmegaConf.to_container(tree.questions)
    entry = known[question] if isinstance(known[question], dict) else {}
    text, shows = entry.get("text"), entry.get("shows") or []
    fits = isinstance(text, str) and text.strip() and isinstance(shows, list)
    if not fits or not all(one in SHOWS for one in shows):
        raise UsageError(
            f"The question {question} is not understood.",
            f"It has a text, and may have shows, a list of {', '.join(SHOWS)}.",
            f"+questions.{question}={{text: '…', shows: []}}",
        )
    margin, why = tree.margin, "given with the review"
    if margin is None:
        margin, why = widest, whose
    return Terms(
        Question(question, str(text), tuple(shows)), float(margin), why, tree.pairs,
        {str(way): float(share) for way, share in tree.shares.items()}, tree.rule,
        tree.confidence, tree.raters, tree.catch, tree.lapses, tree.seed,
    )  # fmt: skip


def _planned(run: RunFolder, bases: Sequence[RunFolder], terms: Terms, use: UseCase) -> Plan:
    from qa import pairing
    from qa.results import load

    if len(bases) >= pairing.ARMS:
        raise UsageError(f"{len(bases)} runs are too many.", f"At most {pairing.ARMS - 1}.")
    return pairing.plan([load(folder.path) for folder in (run, *bases)], terms, use)


def _same(
    folder: ReviewFolder, config: Config, terms: Terms, runs: Sequence[RunFolder], use: UseCase
) -> None:
    """UsageError where a review was registered otherwise than it is asked for now."""
    from qa.config import key_of

    plan = folder.plan()
    given = {key_of(word).split(".")[0] for word in config.overrides}
    given |= {"question"} & {key.removesuffix("s") for key in given}  # `questions` may change it
    known: dict[str, Any] = {
        "question": plan.question, "margin": plan.margin, "rule": plan.rule, "seed": plan.seed,
        "confidence": plan.confidence, "raters": plan.raters, "lapses": plan.lapses,
    }  # fmt: skip
    changed = [key for key in sorted(given & set(known)) if getattr(terms, key) != known[key]]
    changed += ["pairs"] if "pairs" in given and terms.draws != len(plan.draws) else []
    if [arm.plan for arm in plan.arms] != [str(one.record().get("plan")) for one in runs]:
        changed.append("the runs")
    elif drawn := sorted(given & {"shares", "catch"}):
        # What they made of the pictures is registered, not they themselves.
        known["draws"] = len(plan.draws)
        again = _planned(runs[0], runs[1:], replace(terms, **known), use)
        if (again.shares, again.pairs, again.draws) != (plan.shares, plan.pairs, plan.draws):
            changed += drawn
    if changed:
        raise UsageError(
            f"{folder.path} was registered with other settings: {', '.join(changed)}.",
            "What is registered before the first answer is not changed after it.",
            "leave them out to continue it, or begin another review: name=NAME",
        )


def _say(folder: ReviewFolder) -> None:
    plan = folder.plan()
    left = ", ".join(f"{count} {why}" for why, count in plan.left_out.items())
    asked = sum(1 for _ in plan.asked)
    print(
        f"registered  {folder.path}: {plan.question.text!r}, {len(plan.draws)} draws of "
        f"{plan.pictures} pictures, {asked} pairs to look at, {len(plan.catches)} of them catch "
        f"trials; margin {plan.margin:g}, rule {plan.rule}"
        + (f"; left out: {left}" if left else ""),
        file=sys.stderr,
    )
