"""Which settings are tried: lists of values, all combinations of them, or a search among these.

A setting is a `Knobs`. The first one is what `knobs.*` says, the decoder's own where it says
nothing: the reference that harm is counted against, unless that is another run.

A latent that a diffusion model left early carries noise of its own, so none is put on top: where
`capture` names a step, `sigma` is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from qa.checks import check_knobs, knobs_read
from qa.errors import UsageError
from qa.roles import Decoder, LatentSource
from qa.types import Knobs

SIGMAS = (0.0, 0.1, 0.2, 0.4)
FEWER = (None, 2, 1)
"""Steps of a student, whose own are mostly 4. With guidance a decoder needs many, and its own."""
NAMES = ("sigma", "capture", "steps", "cfg", "shift")
"""Of all knobs, in the order in which they are named and turned."""
Lists = Mapping[str, tuple[Any, ...]]
"""Knob → values to try; None: as the reference has it."""


def lists(
    asked: Mapping[str, Any], own: Knobs, decoder: Decoder, latents: LatentSource | None
) -> Lists:
    """The lists that were asked for, and what suits the decoder where none was.

    A knob that `knobs.*` sets is not turned unless a list was asked for. UsageError for what is no
    list of numbers, and for a knob that nobody knows.
    """
    strange = sorted(set(map(str, asked)) - set(NAMES))
    if strange:
        raise UsageError(f"There is no knob {strange[0]}.", f"Knobs are {', '.join(NAMES)}.")
    read = knobs_read(decoder, latents)
    found = {}
    for name in NAMES:
        values = asked.get(name)
        if values is None:
            suits = _suiting(name, own, decoder, latents) if name in read else (None,)
            found[name] = tuple(v for v in suits if _taken(name, v, own, decoder, latents))
        elif isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise UsageError(
                f"settings.{name}={values} is no list.", "", f"e.g. settings.{name}=[null,2]"
            )
        else:
            found[name] = tuple(dict.fromkeys(_number(name, value) for value in values))
    return found


def _number(name: str, value: object) -> float | int | None:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or (known and math.isfinite(value)):  # type: ignore[arg-type]
        return value  # type: ignore[return-value]
    raise UsageError(
        f"settings.{name} has {value!r}, which is no number.", "", f"e.g. settings.{name}=[null,2]"
    )


def _suiting(
    name: str, own: Knobs, decoder: Decoder, latents: LatentSource | None
) -> tuple[Any, ...]:
    if getattr(own, name) != getattr(Knobs(), name):
        return (None,)
    if name == "sigma":
        return SIGMAS
    if name == "steps" and "cfg" not in decoder.knobs:
        return FEWER
    if name == "capture":
        return (None, *reversed(getattr(latents, "captures", ())))
    return (None,)


def _taken(
    name: str, value: Any, own: Knobs, decoder: Decoder, latents: LatentSource | None
) -> bool:
    try:
        check_knobs(setting(own, {name: value}), decoder, latents)
    except UsageError:
        return value is None  # then it is the reference itself, and `prepare` says what is wrong
    return True


def setting(own: Knobs, values: Mapping[str, Any]) -> Knobs:
    """The setting of a value for each of these knobs; no noise on latents that carry some."""
    found = replace(own, **{name: v for name, v in values.items() if v is not None})
    return found if found.capture is None else replace(found, sigma=0.0)


def grid(tried: Lists, own: Knobs) -> list[Knobs]:
    """All combinations, each setting once, the reference first."""
    every = (setting(own, dict(zip(tried, v, strict=True))) for v in product(*tried.values()))
    return list(dict.fromkeys([own, *every]))


def name_of(knobs: Knobs) -> str:
    """`sigma=0.2 steps=2`: what differs from the decoder's own, digit for digit, or `default`."""
    told = [f"{name}={value!r}" for name, value in turned_from_own(knobs).items()]
    return " ".join(told) or "default"


def turned_from_own(knobs: Knobs) -> dict[str, Any]:
    """The knobs that differ from the decoder's own."""
    values = {name: getattr(knobs, name) for name in NAMES}
    return {name: value for name, value in values.items() if value != getattr(Knobs(), name)}


def evolved(
    tried: Lists, own: Knobs, trials: int, score: Callable[[Knobs], tuple[float, float, float]]
) -> Iterator[Knobs]:
    """Settings that NSGA-II asks for, one after another, at most `trials`; some come again.

    `score` gives the harm and the negative plausibility of a setting, both to be as small as
    possible, and by how much it exceeds its limits: at most 0 where it keeps them. The same seed
    and the same scores ask for the same settings. NaN scores (something is missing) are told as a
    failed trial.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.NSGAIISampler(seed=0, population_size=max(2, round(trials**0.5)))
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    for _ in range(trials):
        trial = study.ask()
        asked = {name: trial.suggest_categorical(name, values) for name, values in tried.items()}
        knobs = setting(own, asked)
        yield knobs
        harm, loss, excess = score(knobs)
        if not all(map(math.isfinite, (harm, loss, excess))):
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        trial.set_constraint("limits", excess)
        study.tell(trial, [harm, loss])
