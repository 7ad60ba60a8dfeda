"""One battery of checks that every metric passes, and the pictures it draws for them.

A metric is described by a `Case`; `failures(case)` runs every check and names those that did not
hold. A new metric needs one entry in `tests/qa/metrics/cases.py`.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from qa import images
from qa.roles import Metric

NOISE = (4.0, 12.0, 36.0)
"""Standard deviations in levels, mild to severe."""
THREADS = 8


@dataclass(frozen=True)
class Case:
    """A metric and what is known about it from elsewhere."""

    metric: Metric
    oracle: Callable[[Tensor, Tensor | None], float]
    """An independent value for picture uint8 [3,H,W] and reference (`together`: all pictures)."""
    oracle_name: str
    tolerance: float
    """Largest allowed distance from the oracle."""
    least: int
    """Shorter side in pixels below which the metric is not defined."""
    best: float | None
    """Value of identical pictures, where it does not depend on the picture."""
    best_tolerance: float = 1e-12
    paired: bool = True
    """Whether it compares with a reference."""
    together: bool = False
    """Whether a value is about all pictures of a call (the seeds of a sample), of which it needs 2.
    Their order must not matter, which replaces independence of the others."""
    worse: Callable[[Tensor, float], Tensor] | None = None
    """What spoils a picture, more with a larger second argument; None is `noisy`."""

    @property
    def fewest(self) -> int:
        """Pictures that a call needs."""
        return 2 if self.together else 1

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the battery's pictures: small for speed, not square, one odd."""
        return max(self.least, 48), max(self.least, 48) + 15


def drawing(height: int, width: int, seed: int = 0) -> Tensor:
    """A picture uint8 [3,H,W] with a gradient, flat areas, edges and fine texture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(float)
    shades = [60 + 120 * x / width, 200 - 140 * y / height, 90 + 60 * np.sin(x / 5 + seed)]
    picture = np.stack(shades)
    for _ in range(6):
        top, left = rng.integers(0, height), rng.integers(0, width)
        box = np.s_[:, top : top + height // 3, left : left + width // 4]
        picture[box] = rng.integers(20, 236, size=(3, 1, 1))
    picture[:, height // 2 :, width // 2 :] += 20 * np.sin((x + 2 * y)[height // 2 :, width // 2 :])
    return torch.from_numpy(np.rint(picture.clip(0, 255)).astype(np.uint8))


def noisy(picture: Tensor, deviation: float, seed: int = 1) -> Tensor:
    """The picture with Gaussian noise of this standard deviation in levels."""
    noise = np.random.default_rng(seed).normal(0, deviation, tuple(picture.shape))
    return torch.from_numpy(np.rint((picture.numpy() + noise).clip(0, 255)).astype(np.uint8))


def ladder(case: Case) -> tuple[Tensor, Tensor]:
    """The reference uint8 [3,H,W], and uint8 [4,3,H,W]: itself and three noise levels."""
    reference, worse = drawing(*case.size), case.worse or noisy
    return reference, torch.stack([reference, *(worse(reference, d) for d in NOISE)])


def expected(case: Case, pictures: Tensor, reference: Tensor) -> list[float]:
    """The oracle's value for each picture; it sees what the metric may look at."""
    given = reference if case.paired else pictures if case.together else None
    return [case.oracle(picture, given) for picture in pictures]


def check_facts(case: Case) -> None:
    """Every fact is there, and the direction is the class's own."""
    facts = case.metric.facts
    assert all((facts.name, facts.source, facts.licence, facts.protocol)), facts
    assert facts.better == type(case.metric).better
    assert facts.unit == type(case.metric).unit


def check_identity(case: Case) -> None:
    """Nothing scores better than the reference itself."""
    reference, pictures = ladder(case)
    values = case.metric(pictures, reference)
    if not case.paired:
        return
    if case.best is not None:
        assert math.isclose(values[0], case.best, abs_tol=case.best_tolerance), values[0]
    nearly = reference.clone()
    nearly[1, 3, 3] ^= 1
    closest = case.metric(nearly[None], reference)[0]
    slack = 0 if case.best_tolerance < 1e-9 else case.best_tolerance
    assert _harm(case, values[0]) <= _harm(case, closest) + slack, (values[0], closest)


def check_order(case: Case) -> None:
    """More noise (or what else makes a picture worse) is a worse value."""
    if not case.paired:
        return  # without a reference, some noise may pass for texture
    reference, pictures = ladder(case)
    harms = [_harm(case, value) for value in case.metric(pictures, reference)]
    assert harms == sorted(harms), harms
    assert len(set(harms)) == len(harms), harms


def check_oracle(case: Case) -> None:
    """The values are those of an independent implementation."""
    reference, pictures = ladder(case)
    values = case.metric(pictures, reference if case.paired else None)
    for value, other in zip(values, expected(case, pictures, reference), strict=True):
        assert abs(value - other) <= case.tolerance, (value, other)


def check_finite(case: Case) -> None:
    """Flat and opposite pictures have finite values, or a reason why not."""
    for level in (0, 1, 255):
        flat = torch.full((3, *case.size), level, dtype=torch.uint8)
        with contextlib.suppress(ValueError):
            values = case.metric(torch.stack([flat, 255 - flat]), flat)
            assert all(math.isfinite(value) for value in values), values


def check_split(case: Case) -> None:
    """A picture's value does not depend on the other pictures in the call, or on their order."""
    reference, pictures = ladder(case)
    together = case.metric(pictures, reference)
    backwards = case.metric(pictures.flip(0), reference)[::-1]
    if case.together:
        assert together == backwards
        return
    alone = [case.metric(picture[None], reference)[0] for picture in pictures]
    assert together == alone == backwards


def check_saved(case: Case) -> None:
    """A picture that was saved and read again has the same value."""
    reference, pictures = ladder(case)
    with tempfile.TemporaryDirectory() as folder:
        again = [_through_png(picture, Path(folder)) for picture in (*pictures, reference)]
    assert case.metric(torch.stack(again[:-1]), again[-1]) == case.metric(pictures, reference)


def check_untouched(case: Case) -> None:
    """The inputs and the global random state are as they were."""
    reference, pictures = ladder(case)
    before, state = (reference.clone(), pictures.clone()), torch.get_rng_state()
    case.metric(pictures, reference)
    assert torch.equal(reference, before[0])
    assert torch.equal(pictures, before[1])
    assert torch.equal(torch.get_rng_state(), state)


def check_no_reference(case: Case) -> None:
    """A metric that compares refuses a missing reference; another one does not look at it."""
    reference, pictures = ladder(case)
    if case.paired:
        _refused(case, pictures, None)
    else:
        assert case.metric(pictures, None) == case.metric(pictures, reference)


def check_sizes(case: Case) -> None:
    """Pictures of another size than the reference are refused, whichever is larger."""
    if case.paired:
        reference, pictures = ladder(case)
        _refused(case, pictures, drawing(case.size[0], case.size[1] + 1))
        _refused(case, torch.cat([pictures, pictures[..., -1:]], dim=-1), reference)
        _refused(case, pictures, drawing(*case.size[::-1]))


def check_least(case: Case) -> None:
    """The smallest defined picture is scored; a smaller one is refused, with both numbers."""
    smallest = drawing(case.least, case.least + 1)
    pictures = torch.stack([noisy(smallest, 4, seed=i) for i in range(case.fewest)])
    assert len(case.metric(pictures, smallest)) == case.fewest
    if case.least > 1:
        small = drawing(case.least + 1, case.least - 1)
        message = _refused(case, small.expand(case.fewest, *small.shape), small)
        assert str(case.least) in message, message
        assert str(case.least - 1) in message, message


def check_form(case: Case) -> None:
    """Anything but uint8 [S,3,H,W] is refused: no range is guessed."""
    reference, pictures = ladder(case)
    _refused(case, pictures.float() / 255, reference)
    _refused(case, pictures[:, :1], reference[:1])
    _refused(case, pictures[0], reference)


def check_threads(case: Case) -> None:
    """Eight threads at once, on different pictures, each get the value of a quiet machine."""
    reference, _ = ladder(case)
    worse = case.worse or noisy
    pictures = [
        torch.stack([worse(reference, 3.0 + i + j) for j in range(case.fewest)])
        for i in range(THREADS)
    ]
    quiet = [case.metric(picture, reference) for picture in pictures]
    start = threading.Barrier(THREADS)

    def score(picture: Tensor) -> list[float]:
        start.wait()
        return case.metric(picture, reference)

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(score, pictures)) == quiet


CHECKS: tuple[Callable[[Case], None], ...] = (
    check_facts,
    check_identity,
    check_order,
    check_oracle,
    check_finite,
    check_split,
    check_saved,
    check_untouched,
    check_no_reference,
    check_sizes,
    check_least,
    check_form,
    check_threads,
)


def failures(case: Case, checks: Sequence[Callable[[Case], None]] = CHECKS) -> dict[str, str]:
    """Name of every check that did not hold → what was seen."""
    found = {}
    for check in checks:
        try:
            check(case)
        except (Exception, pytest.fail.Exception) as error:
            found[check.__name__.removeprefix("check_")] = f"{type(error).__name__}: {error}"
    return found


def _harm(case: Case, value: float) -> float:
    return -value if case.metric.facts.better == "higher" else value


def _through_png(picture: Tensor, folder: Path) -> Tensor:
    file = folder / "picture.png"
    file.write_bytes(images.encode_png(picture))
    return images.read(file)


def _refused(case: Case, pictures: Tensor, reference: Tensor | None) -> str:
    """The message of the ValueError that this input must raise."""
    with pytest.raises(ValueError, match=r"\w") as refusal:
        case.metric(pictures, reference)
    return str(refusal.value)
