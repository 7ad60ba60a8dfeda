"""Of what kind everything in a run's documents is, as far as anything here reads it.

    samples.jsonl   Sample       verdict.json   Verdict
    record.json     Record       config.yaml    Settings

They say what docs/formats.md says; the plan of a review has kinds of its own (`qa.review.kinds`). A
key that is not named may be there and hold any JSON; one that is named may be absent, unless it is
`Required`, and is of its kind where it is there. What passes holds no number that cannot be
reckoned with and no text that cannot be written, wherever it stands.

Only what reads such a document imports this: pydantic takes longer to import than `qa.store`.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, Any, Literal, Required

from pydantic import AfterValidator, Field, FiniteFloat, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # typing has one that pydantic takes from 3.12 on

LONGEST = 80
"""Letters of a place that are told."""

Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Seeds = Annotated[int, Field(ge=0, le=2**20)]
"""How many seeds: readers go through all of them."""
Number = FiniteFloat
Object = dict[str, Any]


class Region(TypedDict, total=False):
    """Known text in a picture."""

    text: Required[str]
    box: Required[Annotated[list[Whole], Field(min_length=4, max_length=4)]]


class Sample(TypedDict, total=False):
    """A row of samples.jsonl."""

    id: Required[str]
    sha256: str | None
    prompt: str | None
    tags: list[str]
    asks: Object
    group: str | None
    take: Count
    regions: list[Region]
    height: Count | None
    width: Count | None
    problem: str | None


def _sized(row: Sample) -> Sample:
    if (row.get("height") is None) != (row.get("width") is None):
        raise ValueError("it has one of height and width")
    return row


Row = Annotated[Sample, AfterValidator(_sized)]


class Failed(TypedDict):
    """A row that failed at a look."""

    gate: str
    metric: str


class Looked(TypedDict, total=False):
    """What a look decided."""

    number: Required[Count]
    pictures: Required[Count]
    state: Required[str]
    against: str | None
    failed: list[Failed]


class Planned(TypedDict, total=False):
    """The look that a run is; of a verdict, with the `next` one."""

    number: Required[Count]
    of: Required[Count]
    pictures: Required[Count]
    planned: Required[Count]
    sizes: list[Count]
    scheme: Literal["pocock", "obrien-fleming"]
    alpha: Annotated[Number, Field(gt=0, lt=0.5)]
    spent: Number
    history: list[Looked]
    next: Count | None


def _registered(look: Planned) -> Planned:
    """A look at one of the sizes that it names: statistics take them as they are."""
    sizes = look.get("sizes")
    if sizes is not None:
        increasing = sizes == sorted(set(sizes)) and min(sizes, default=0) > 0
        if not increasing or not 1 <= look["number"] <= len(sizes):
            raise ValueError("it is no look at sizes that increase")
    return look


Look = Annotated[Planned, AfterValidator(_registered)]


class Facts(TypedDict, total=False):
    """What a metric is."""

    name: str
    better: str
    unit: str
    source: str
    licence: str
    protocol: Object
    paired: bool
    of: str
    fingerprint: str


class Git(TypedDict, total=False):
    """The source that made a run."""

    commit: str | None
    dirty: bool
    changes: str | None


# A functional one: `class` is no name that an attribute can have.
Environment = TypedDict(
    "Environment",
    {
        "class": str | None,
        "also": list[str],
        "decides": Object,
        "versions": dict[str, str],
        "cpu": Object | None,
        "gpu": Object | None,
        "git": Git | None,
    },
    total=False,
)


class Terms(TypedDict, total=False):
    """What a run is to be judged by."""

    use_case: Required[str | None]
    primary: list[str]
    gates: Required[dict[str, str]]


class Asked(TypedDict):
    """What a verdict asked."""

    use_case: str | None
    gates: list[str]


class Dialled(TypedDict, total=False):
    """The written setting that a run's dial was taken from."""

    file: Required[str]
    content: str
    use_case: Required[str]
    suite: str | None


class Record(TypedDict, total=False):
    """record.json."""

    schema: Required[str]
    name: str
    suite: str
    decoder: str
    use_case: str | None
    plan: str
    suite_digest: str | None
    decoder_digest: str | None
    latents_digest: str | None
    encoder_digest: str | None
    asks_digest: str | None
    inputs: Object | None
    seeds: Seeds
    pictures: Count
    limited: bool
    half: str | None
    policy: str
    look: Look | None
    terms: Terms | None
    space: str | None
    knobs: dict[str, Number | None]
    dial: Dialled | None
    licence: str | None
    latents_licence: str | None
    notes: list[str] | None
    facts: dict[str, Facts]
    panels: dict[str, list[str]]
    unavailable: dict[str, str]
    environment: Environment | None
    numerics: Object
    started: str | None
    finished: str | None
    command: list[str]


class Worst(TypedDict, total=False):
    """A picture that a gate names."""

    sample: Required[str]
    harm: Number | None
    metric: str
    why: str


class Cited(TypedDict):
    """The review that a waiver cites."""

    name: str
    run: str
    plan: str
    answers: str
    said: str


class Waived(TypedDict, total=False):
    """A waiver because of which a row does not count."""

    gate: Required[str]
    by: str
    why: str
    until: str | None
    review: Cited


class Gate(TypedDict, total=False):
    """A row of a verdict's `gates`."""

    gate: str
    metric: Required[str]
    state: Required[str]
    why: str
    role: str
    counts: bool
    estimate: Required[Number | None]
    low: Number | None
    high: Number | None
    margin: Number | None
    margin_relative: Number | None
    margin_why: str
    limit: Number | None
    method: str
    sd: Number | None
    count: Count
    missing: Count
    p: Number | None
    p_holm: Number | None
    q: Number | None
    needs: Count | None
    unit: str
    better: str | None
    candidate: Number | None
    baseline: Number | None
    worst: list[Worst]
    warning: str
    waiver: Waived | None


class Metric(TypedDict, total=False):
    """A row of a verdict's `metrics`."""

    metric: Required[str]
    better: str | None
    unit: str
    fingerprint: str | None
    of: str
    mean: Required[Number | None]
    low: Required[Number | None]
    high: Required[Number | None]
    count: Required[Count]
    missing: Count
    why: str


class Failure(TypedDict, total=False):
    """A picture that is not there."""

    sample: Required[str]
    seed: Required[Whole]
    why: str | None


class Arm(TypedDict, total=False):
    """An arm of a verdict; the baseline's says who approved it, too."""

    name: str
    suite: str | None
    decoder: str | None
    plan: str | None
    pictures: Count
    seeds: Seeds
    licence: str | None
    notes: list[str]
    limited: bool
    environment: str | None
    content: str
    by: str | None
    why: str | None
    until: str | None


class Drift(TypedDict):
    """How far a metric has moved from the anchor."""

    before: Number
    now: Number
    spent: Number
    budget: Number


class Verdict(TypedDict, total=False):
    """verdict.json."""

    schema: Required[str]
    state: Required[str]
    exit_code: Count
    summary: str
    policy: str
    terms: Asked | None
    candidate: Arm
    baseline: Arm | None
    use_case: str | None
    confidence: Annotated[Number, Field(gt=0, lt=1)]
    look: Look | None
    gates: Required[list[Gate]]
    drift: dict[str, Drift]
    metrics: list[Metric]
    failures: list[Failure]
    problems: Required[list[str]]
    warnings: list[str]


class Tracking(TypedDict, total=False):
    """Where a run is copied to."""

    uri: str | None
    experiment: str | None


class UseCase(TypedDict, total=False):
    """What a picture is for; `qa.gates.use_case` says what is wrong inside of it."""

    margins: Required[Object]
    breakage: Object


class Settings(TypedDict, total=False):
    """config.yaml, as far as a run that was measured is asked for it."""

    use_case: UseCase
    gate: dict[str, Object]
    policy: str
    baselines: str
    tracking: Tracking | None


def check(value: Any, kind: Any) -> str | None:
    """The first place where a value is not of its kind, and why; None for one that is."""
    try:
        text = json.dumps(value, allow_nan=False)
    except RecursionError:
        return "it is nested too deep"
    except (TypeError, ValueError) as error:
        return str(error)
    try:
        _reader(kind).validate_json(text, strict=True)
    except ValidationError as error:
        return _said(error)
    return None


def sample(line: bytes) -> dict[str, Any]:
    """A line of samples.jsonl with the keys that `Sample` names, as quick as json.loads.

    ValueError says what is wrong with it.
    """
    try:
        found: dict[str, Any] = _reader(Row).validate_json(line, strict=True)
    except ValidationError as error:
        raise ValueError(_said(error)) from error
    return found


@cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _said(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    why = first["msg"].removeprefix("Input ").removeprefix("Value error, ")
    return f"{place.removeprefix('.')[:LONGEST]} {why}".strip()
