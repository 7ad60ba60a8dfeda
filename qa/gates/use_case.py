"""What a picture is for, as numbers: margins, what counts as broken, what may cost more.

At most six of the metrics that were measured are primary. They alone decide: all of them must lie
within their margins, which costs power with every one that is added, and a failure of one must
survive Holm's correction over all of them. Whatever else has a margin is secondary: judged and
shown, without a vote.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Any

from qa import secrets
from qa.errors import UsageError
from qa.files import digest
from qa.gates import margins as reading
from qa.gates.margins import Margin, number

MOST = 6
"""Primary metrics: more would cost so much power that good decoders no longer pass together."""
HALF = 0.5
"""The win rate of two arms that are alike; a margin of all of it would let everything pass."""
KEYS = (
    "description", "primary", "margins", "breakage", "catastrophe", "cost", "drift", "dial",
    "review",
)  # fmt: skip


@dataclass(frozen=True)
class Level:
    """A number with its reason."""

    value: float
    why: str = ""


@dataclass(frozen=True)
class Trade:
    """What `qa dial` may give up for what."""

    fidelity: tuple[str, ...]
    """Metrics whose margins every setting must keep, beside those of primary metrics; the first one
    that was measured spans the front."""
    plausibility: tuple[str, ...]
    """The first of them that a run measured decides between settings that keep all limits."""


@dataclass(frozen=True)
class Review:
    """What `qa review` asks of people and models, and how much worse than even may pass."""

    questions: tuple[str, ...]
    """Keys of conf/review.yaml."""
    margin: Level
    """Of the win rate: how far below one half it may lie."""


@dataclass(frozen=True)
class UseCase:
    """Everything that gates ask a use case (conf/use_case/)."""

    name: str | None = None
    margins: Mapping[str, Margin] = field(default_factory=dict)
    primary: tuple[str, ...] = ()
    breakage: Mapping[str, Level] = field(default_factory=dict)
    """Metric → harm of one picture above which it is visibly broken."""
    catastrophe: Level | None = None
    """The share of broken pictures that may pass, or None: no tail gate."""
    cost: Mapping[str, Margin] = field(default_factory=dict)
    """`latency`, `memory` → relative margin."""
    budget: float = 1.0
    """How many margins small losses may add up to, between a baseline and its anchor."""
    digest: str = ""
    """Of all its numbers as configured, whatever was measured of them; "" if changed by hand."""
    dial: Trade | None = None
    """For `qa dial`; a verdict does not ask for it."""
    review: Review | None = None
    """For `qa review`. A review is judged by the margin that its own plan registered, which may not
    be wider than this one."""

    @property
    def secondary(self) -> tuple[str, ...]:
        """Metrics with a margin and no vote, sorted."""
        return tuple(sorted(set(self.margins) - set(self.primary)))

    def measured(self, metrics: Collection[str]) -> UseCase:
        """The same for these metrics only: what neither arm planned is left out."""
        return replace(
            self,
            margins={name: margin for name, margin in self.margins.items() if name in metrics},
            primary=tuple(name for name in self.primary if name in metrics),
            breakage={name: level for name, level in self.breakage.items() if name in metrics},
        )

    def asking(self, given: Mapping[str, Margin]) -> UseCase:
        """With margins that somebody asked for: they are primary."""
        primary = dict.fromkeys((*self.primary, *given))
        mark = "" if given else self.digest
        margins = {**self.margins, **given}
        return replace(self, margins=margins, primary=tuple(primary), digest=mark)

    def checked(self) -> UseCase:
        """Itself; UsageError if it has too many primary metrics."""
        few(self.primary)
        return self


def of(margins: Mapping[str, Margin]) -> UseCase:
    """A use case of margins alone, all of them primary."""
    return UseCase(None, dict(margins), tuple(margins)).checked()


def few(primary: Sequence[str]) -> None:
    """Refuse more than six primary metrics."""
    if len(primary) > MOST:
        raise UsageError(
            f"{len(primary)} metrics are primary; at most {MOST} may be.",
            "Every one takes power from all of them: with eight, two in five harmless changes "
            "would not pass.",
            f"choose {MOST} of {', '.join(primary)}; the others are judged and shown without a "
            "vote if they have margins only",
        )


def load(name: str) -> UseCase:
    """A packaged use case by its name, or one in a YAML file."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from qa import plain, trust

    folder = files("qa.conf") / "use_case"
    known = sorted(f.name.removesuffix(".yaml") for f in folder.iterdir())
    if name in known:
        text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
        return from_config(plain.load(text), name)
    file = Path(name)
    if file.suffix not in {".yaml", ".yml"} or not file.is_file():
        raise UsageError(
            f"There is no use case {name!r}.",
            f"Known: {', '.join(known)}; or a YAML file of your own.",
        )
    try:
        text = plain.text(file)
        plain.load(text)
        # As `qa run` reads it: 1e-1 is a number, and a key that is given twice an error.
        with trust.without_environment():
            content = OmegaConf.to_container(OmegaConf.load(StringIO(text)), resolve=True)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise UsageError(f"{file} is not readable as YAML.", f"{error}.") from error
    secrets.check(content)
    return from_config(content, file.stem)


def from_config(content: Any, name: str | None = None) -> UseCase:
    """A use case as YAML gives it. Without `primary`, every metric with a margin is primary."""
    if not isinstance(content, Mapping) or set(content) - set(KEYS):
        unknown = set(content) - set(KEYS) if isinstance(content, Mapping) else [content]
        raise UsageError(
            f"A use case does not have {', '.join(sorted(map(str, unknown)))}.",
            f"It has {', '.join(KEYS)}.",
            "see conf/use_case/photo.yaml",
        )
    margins = reading.from_config(_part(content, "margins"))
    primary = _primary(content.get("primary"), margins)
    without = sorted(set(primary) - set(margins))
    if without:
        raise UsageError(
            f"{', '.join(without)} is primary and has no margin.",
            "",
            f"add use_case.margins.{without[0]}: {{margin: …, why: …}}",
        )
    rate, drift = content.get("catastrophe"), content.get("drift")
    found = UseCase(
        name,
        margins,
        tuple(dict.fromkeys(primary)),
        {str(m): _level(f"breakage.{m}", e, "harm") for m, e in _part(content, "breakage").items()},
        None if rate is None else _level("catastrophe", rate, "rate"),
        _costs(_part(content, "cost")),
        1.0 if drift is None else _level("drift", drift, "budget").value,
    )
    dial, review = _dial(content.get("dial"), margins), _review(content.get("review"))
    return replace(found, digest=_digest(found), dial=dial, review=review)


def _digest(use: UseCase) -> str:
    """Of the numbers alone: another name or another reason judges no differently."""

    def numbers(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: numbers(entry) for key, entry in part.items() if key != "why"}
        return part

    content = numbers(asdict(replace(use, name=None, primary=tuple(sorted(use.primary)))))
    del content["dial"]  # it finds a setting and judges no run
    del content["review"]  # the margin that judges is the one that a review's plan registered
    return digest(content)


def _part(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    """An entry that names metrics or costs; {} where it is left out."""
    found = content.get(key)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise UsageError(
            f"{key} is not understood: {found}.",
            "It has a number for each name.",
            f"e.g. use_case.{key}.{'latency.relative=0.05' if key == 'cost' else 'psnr=0.2'}",
        )
    return dict(found)


def _primary(given: Any, margins: Mapping[str, Margin]) -> tuple[str, ...]:
    """The list as it stands; all metrics with a margin where it is left out."""
    return tuple(margins) if given is None else _names("primary", given)


def _names(key: str, given: Any) -> tuple[str, ...]:
    if isinstance(given, str | Mapping) or not isinstance(given, Sequence):
        raise UsageError(
            f"{key} is not understood: {given}.",
            "It is a list of metrics.",
            f"e.g. use_case.{key}=[psnr,ssim]",
        )
    return tuple(map(str, given))


def _dial(given: Any, margins: Mapping[str, Margin]) -> Trade | None:
    if given is None:
        return None
    if not isinstance(given, Mapping) or set(given) != {"fidelity", "plausibility"}:
        raise UsageError(
            f"dial is not understood: {given}.",
            "It has fidelity and plausibility, a list of metrics each.",
            "see conf/use_case/document.yaml",
        )
    found = Trade(*(_names(f"dial.{key}", given[key]) for key in ("fidelity", "plausibility")))
    without = [metric for metric in found.fidelity if metric not in margins]
    if without or not found.fidelity or not found.plausibility:
        told = f"{without[0]} limits the dial and has no margin" if without else "a list is empty"
        raise UsageError(
            f"dial cannot work: {told}.",
            "Its limits are the margins of the metrics in fidelity.",
            f"add use_case.margins.{without[0]}: {{margin: …, why: …}}" if without else "",
        )
    return found


def _review(given: Any) -> Review | None:
    if given is None:
        return None
    found = dict(given) if isinstance(given, Mapping) else {}
    questions, margin = found.pop("questions", None), found.pop("margin", None)
    why = str(found.pop("why", ""))
    listed = isinstance(questions, Sequence) and not isinstance(questions, str)
    names = tuple(map(str, questions if listed and questions else ()))
    once = all(map(str.strip, names)) and len(set(names)) == len(names)
    width = float(margin) if number(margin) and margin is not None else 0.0
    if found or not names or not once or not 0 < width < HALF:
        raise UsageError(
            f"review is not understood: {given}.",
            "It has questions (a list of names, each once), margin (of the win rate, above 0 and "
            "below 0.5) and why.",
            "see conf/use_case/photo.yaml",
        )
    return Review(names, Level(width, why))


def _level(name: str, entry: Any, key: str) -> Level:
    given = dict(entry) if isinstance(entry, Mapping) else {key: entry}
    value = float(given[key]) if number(given.get(key)) else 0.0
    strange = set(given) - {key, "why"}
    if strange or not value > 0 or (key == "rate" and value >= 1):
        raise UsageError(
            f"{name} is not understood: {given}.",
            f"It has {key} (a positive number{', below 1' if key == 'rate' else ''}) and why; "
            "what is not wanted is left out.",
            f"e.g. use_case.{name}.{key}=0.01",
        )
    return Level(value, str(given.get("why", "")))


def _costs(entries: Mapping[str, Any]) -> dict[str, Margin]:
    unknown = sorted(map(str, set(entries) - {"latency", "memory"}))
    if unknown:
        raise UsageError(f"There is no cost {', '.join(unknown)}.", "Known: latency, memory.")
    found = reading.from_config(entries)
    for name, margin in found.items():
        if not margin.relative:
            raise UsageError(
                f"The margin of the cost {name} must be relative.",
                "Seconds and bytes differ between decoders and machines.",
                f"use_case.cost.{name}.relative=0.05",
            )
    return found
