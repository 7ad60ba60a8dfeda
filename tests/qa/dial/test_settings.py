"""What is tried."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from qa.dial import settings
from qa.dial.settings import evolved, grid, lists, name_of
from qa.errors import UsageError
from qa.types import Knobs


class Decoder:
    space = "some"

    def __init__(self, *knobs, most=4):
        self.knobs, self.most = frozenset(knobs), most

    def check_knobs(self, knobs):
        if knobs.steps is not None and knobs.steps > self.most:
            raise UsageError(f"{knobs.steps} steps are too many.")


class Captured:
    captures = (24, 26)


ALONE = {name: (None,) for name in settings.NAMES}


def test_what_suits_a_decoder_is_tried_where_nothing_was_asked_for():
    assert lists({}, Knobs(), Decoder(), None) == ALONE | {"sigma": (0.0, 0.1, 0.2, 0.4)}
    student = lists({}, Knobs(), Decoder("steps"), Captured())
    assert student["steps"] == (None, 2, 1)
    assert student["capture"] == (None, 26, 24)
    teacher = lists({}, Knobs(), Decoder("steps", "cfg", "shift"), None)
    assert teacher == ALONE | {"sigma": (0.0, 0.1, 0.2, 0.4)}
    drawing = Decoder("steps")
    drawing.space = None
    assert lists({}, Knobs(), drawing, None) == ALONE | {"steps": (None, 2, 1)}


def test_what_the_decoder_refuses_is_not_tried_unasked():
    assert lists({}, Knobs(), Decoder("steps", most=1), None)["steps"] == (None, 1)


def test_a_knob_that_is_set_is_turned_only_on_request():
    own = Knobs(sigma=0.2)
    assert lists({}, own, Decoder(), None)["sigma"] == (None,)
    asked = lists({"sigma": [0, 0.3, 0.3]}, own, Decoder(), None)
    assert asked["sigma"] == (0, 0.3)
    assert grid(asked, own) == [own, Knobs(sigma=0.0), Knobs(sigma=0.3)]


def test_the_grid_has_every_setting_once_and_the_reference_first():
    tried = ALONE | {"sigma": (0.1, 0.0), "steps": (2, None)}
    assert grid(tried, Knobs()) == [
        Knobs(), Knobs(sigma=0.1, steps=2), Knobs(sigma=0.1), Knobs(steps=2),
    ]  # fmt: skip


def test_noise_is_not_put_on_latents_that_carry_some():
    tried = ALONE | {"sigma": (0.0, 0.1), "capture": (None, 24)}
    assert grid(tried, Knobs()) == [Knobs(), Knobs(capture=24), Knobs(sigma=0.1)]
    noisy = Knobs(sigma=0.3)
    assert grid(ALONE | {"capture": (None, 24)}, noisy) == [noisy, Knobs(capture=24)]
    assert lists({}, noisy, Decoder(), Captured())["capture"] == (None, 26, 24)
    asked = set(evolved(tried, noisy, 12, trade_of_sigma))
    assert asked <= set(grid(tried, noisy)), "a search goes by the same rule"


def test_every_knob_can_be_turned():
    assert set(settings.NAMES) == set(asdict(Knobs()))


def test_settings_are_named_by_what_differs():
    assert name_of(Knobs()) == "default"
    assert name_of(Knobs(steps=2, sigma=0.25, cfg=1.5)) == "sigma=0.25 steps=2 cfg=1.5"
    close = [name_of(Knobs(sigma=sigma)) for sigma in (0.1, 0.1 + 1e-9)]
    assert close[0] != close[1], "as they are different settings"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"colour": [1]}, "no knob colour"),
        ({"sigma": 0.2}, "settings.sigma=0.2 is no list"),
        ({"steps": "12"}, "settings.steps=12 is no list"),
        ({"steps": []}, "is no list"),
        ({"sigma": ["0.1"]}, "settings.sigma has '0.1', which is no number"),
        ({"steps": [True]}, "True, which is no number"),
        ({"steps": [[0]]}, r"\[0\], which is no number"),
        ({"steps": [{"a": 1}]}, "which is no number"),
        ({"sigma": [float("nan")]}, "nan, which is no number"),
    ],
)
def test_what_is_no_list_is_refused(asked, told):
    with pytest.raises(UsageError, match=told):
        lists(asked, Knobs(), Decoder("steps"), None)


SPACE = ALONE | {"sigma": tuple(i / 20 for i in range(20)), "steps": tuple(range(1, 21))}


def trade(knobs):
    """Harm grows with sigma, plausibility too; steps beyond 5 only cost both."""
    late = max(0, knobs.steps - 5)
    return knobs.sigma + late, -knobs.sigma + late, knobs.sigma - 0.5


def searched(trials, score=trade):
    return list(evolved(SPACE, Knobs(steps=20), trials, score))


def test_the_search_is_repeatable_and_stays_in_the_lists():
    asked = searched(60)
    assert asked == searched(60)
    assert len(asked) == 60
    assert all(knobs.sigma in SPACE["sigma"] and knobs.steps in SPACE["steps"] for knobs in asked)


def test_the_search_learns_what_is_better():
    def kept(asked):
        return sum(knobs.steps <= 8 for knobs in asked[-100:])

    blind = searched(300, lambda knobs: (0.0, 0.0, 0.0))
    assert kept(searched(300)) > 1.5 * kept(blind), "8 of 20 numbers of steps are good ones"


def test_a_search_goes_on_after_a_setting_without_values():
    found = searched(10, lambda knobs: (float("nan"), 0.0, 0.0))
    assert len(found) == 10


def test_a_search_combines_no_noise_with_early_latents():
    space = ALONE | {"sigma": (0.1, 0.2), "capture": (24, 26)}
    assert {knobs.sigma for knobs in evolved(space, Knobs(), 8, trade_of_sigma)} == {0.0}


def trade_of_sigma(knobs):
    return knobs.sigma, -knobs.sigma, 0.0
