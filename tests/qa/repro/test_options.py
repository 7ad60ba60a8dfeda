"""What `qa repro` can be asked."""

from __future__ import annotations

import pytest

from qa.config import compose, edited
from qa.errors import UsageError
from qa.repro.options import ROOT, asked, check, variations


def config(*overrides):
    return compose(overrides, root=ROOT)


def test_every_key_of_a_run_is_a_key_of_repro():
    run, repro = compose(["seeds=3"]).tree, config("seeds=3").tree
    assert {key: repro[key] for key in run} == dict(run)
    assert set(repro) - set(run) == {
        "levels", "pictures", "vary", "repeats", "against", "run", "store"
    }  # fmt: skip


def test_groups_are_chosen_as_for_a_run():
    chosen = config("decoder=flat", "metric=[psnr]", "numerics.threads=1")
    assert chosen.choices["decoder"] == "flat"
    assert list(chosen.tree.metric) == ["psnr"]
    assert chosen.tree.numerics.threads == 1


@pytest.mark.parametrize(
    ("words", "levels"),
    [
        ([], ["R0", "R1", "R2", "R3", "R4"]),
        (["vary=[tf32]"], ["R0", "R1", "R2", "R3", "R4", "R5"]),
        (["against=runs/x"], ["R0", "R1", "R2", "R3", "R4", "R6", "R7"]),
        (["levels=[R2,R0]"], ["R0", "R2"]),
    ],
)
def test_the_levels_follow_from_what_is_asked(words, levels):
    assert list(asked(config(*words).tree)) == levels


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["levels=[R9]"], "There is no level R9."),
        (["levels=[]"], "No level was asked for."),
        (["levels=[R5]"], "R5 compares ways"),
        (["levels=[R7]"], "R6 and R7 compare"),
    ],
)
def test_levels_that_cannot_be_checked_are_refused(words, what):
    with pytest.raises(UsageError, match=what):
        asked(config(*words).tree)


def test_counts_must_be_positive():
    check(config())
    for word in ("pictures=0", "repeats=0"):
        with pytest.raises(UsageError, match="cannot work"):
            check(config(word))


def test_variations_are_short_words_or_keys_with_values():
    words = (
        "vary=[channels_last,threads:1,sdpa:math,tf32,deterministic:false,dtype:bfloat16,"
        "kernels:triton,steps:graph]"
    )
    found = {v.name: dict(v.changes) for v in variations(config(words).tree)}
    assert found == {
        "channels_last": {},
        "threads:1": {"numerics.threads": 1},
        "sdpa:math": {"numerics.sdpa": "math"},
        "tf32": {"numerics.tf32": True},
        "deterministic:false": {"numerics.deterministic": False},
        "dtype:bfloat16": {"decoder.dtype": "bfloat16"},
        "kernels:triton": {"numerics.kernels": "triton"},
        "steps:graph": {"numerics.steps": "graph"},
    }
    (own,) = variations(config("vary=['decoder.level=0.25']").tree)
    assert own.changes == {"decoder.level": 0.25}
    assert not own.numerics_only


@pytest.mark.parametrize("word", ["fast", "threads:", "colours:3"])
def test_variations_that_mean_nothing_are_refused(word):
    with pytest.raises(UsageError, match="is not understood"):
        variations(config(f"vary=['{word}']").tree)


@pytest.mark.parametrize(
    "word", ["threads:many", "threads:0", "sdpa:foo", "steps:3", "decoder.nothing:1"]
)
def test_variations_that_cannot_be_set_are_refused(word):
    with pytest.raises(UsageError):
        check(config(f"vary=['{word}']"))


def test_edits_leave_the_configuration_as_it_was():
    before = config()
    after = edited(before, {"numerics.threads": 3, "limit": 2})
    assert (after.tree.numerics.threads, after.tree.limit) == (3, 2)
    assert (before.tree.numerics.threads, before.tree.limit) == (None, None)


def test_edits_that_do_not_fit_are_refused():
    for key, value in (("numerics.threads", "many"), ("numerics.nothing", 1)):
        with pytest.raises(UsageError, match="does not fit"):
            edited(config(), {key: value})
