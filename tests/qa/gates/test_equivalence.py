"""Two one-sided tests: the same within the margin, in both directions."""

from __future__ import annotations

import pytest
from arms import around, case, shifted

from qa.errors import UsageError
from qa.gates.equivalence import Equivalence
from qa.gates.regression import Regression


def state(mean: float, sd: float = 0.1, gate=None) -> str:
    candidate, baseline = shifted({"psnr": around(mean, sd, 64)})
    (found,) = (gate or Equivalence())(case(candidate, baseline))
    return found["state"]


@pytest.mark.parametrize(
    ("mean", "expected"), [(0.0, "PASS"), (0.1, "PASS"), (0.5, "FAIL"), (-0.5, "FAIL")]
)
def test_both_directions_count(mean, expected):
    assert state(mean) == expected


def test_being_better_is_no_failure_of_regression():
    """Negative control: the one-sided gate does not see it."""
    assert state(-0.5, gate=Regression()) == "IMPROVED"


def test_wide_intervals_decide_nothing():
    assert state(0.0, sd=5.0) == "INCONCLUSIVE"


def test_a_stricter_scale_shrinks_the_margin():
    assert state(0.1, gate=Equivalence(0.5)) == "INCONCLUSIVE", "0.1 is the margin itself"
    assert state(0.0, gate=Equivalence(0.5)) == "PASS"
    for scale in (0.0, 1.5):
        with pytest.raises(UsageError, match="scale"):
            Equivalence(scale)
