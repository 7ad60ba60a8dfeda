"""The two halves of a suite."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from qa.errors import UsageError
from qa.halves import CONFIRMATION, HALVES, SELECTION, half_of
from qa.types import Sample

TAGS = {"page": 9, "photo": 5, "chart": 2}


def suite(**changes):
    return [Sample(f"{tag}{i}", tags=(tag, "other"), **changes)
            for tag, count in TAGS.items() for i in range(count)]  # fmt: skip


def ids(samples, which):
    return [sample.id for sample in half_of(samples, which)]


def test_the_halves_are_the_suite_and_share_nothing():
    mine, others = ids(suite(), SELECTION), ids(suite(), CONFIRMATION)
    assert sorted(mine + others) == sorted(sample.id for sample in suite())
    assert len(mine) == len(others) == 8


def test_every_kind_is_halved():
    first = Counter(sample.tags[0] for sample in half_of(suite(), SELECTION))
    assert {tag: abs(2 * first[tag] - count) for tag, count in TAGS.items()} == {
        "page": 1, "photo": 1, "chart": 0,
    }  # fmt: skip


def test_names_decide_and_their_order_does_not():
    shuffled = suite()
    random.Random(3).shuffle(shuffled)
    assert set(ids(shuffled, SELECTION)) == set(ids(suite(), SELECTION))
    assert ids(shuffled, SELECTION) != ids(suite(), SELECTION), "their own order is kept"
    renamed = [Sample(f"other {sample.id}", tags=sample.tags) for sample in suite()]
    assert {name.removeprefix("other ") for name in ids(renamed, SELECTION)} != set(
        ids(suite(), SELECTION)
    )


def test_a_group_is_never_torn_apart():
    takes = [Sample(f"g{g}/{t}", group=f"g{g}", take=t) for g in range(6) for t in range(3)]
    mine = {sample.group for sample in half_of(takes, SELECTION)}
    others = {sample.group for sample in half_of(takes, CONFIRMATION)}
    assert not mine & others
    assert len(mine) == len(others) == 3
    alone = [Sample(sample.id) for sample in takes]
    torn = {name.split("/")[0] for name in ids(alone, SELECTION)}
    assert torn & {name.split("/")[0] for name in ids(alone, CONFIRMATION)}, "without groups it is"


def test_copies_are_never_torn_apart():
    """The same picture under two names, also of another group, is seen once or confirms once."""
    shas = "aabbccddee"
    files = [Sample(f"p{i}", image=Path(f"p{i}.png"), sha256=sha) for i, sha in enumerate(shas)]
    mine, others = ({s.sha256 for s in half_of(files, which)} for which in HALVES)
    assert not mine & others
    assert len(mine | others) == 5
    apart = [replace(sample, sha256=sample.id) for sample in files]
    torn = [{shas[int(s.id[1:])] for s in half_of(apart, which)} for which in HALVES]
    assert torn[0] & torn[1], "as the names alone would have it"
    chained = [replace(s, group=f"g{(i + 1) // 2}") for i, s in enumerate(files)]
    with pytest.raises(UsageError, match="1 pictures cannot be halved"):
        half_of(chained, SELECTION)


def test_the_same_prompt_again_is_a_copy():
    prompts = [Sample(f"p{i}", prompt=text) for i, text in enumerate("aabbccdd")]
    mine, others = ({s.prompt for s in half_of(prompts, which)} for which in HALVES)
    assert not mine & others
    silent = [Sample(f"p{i}", prompt="") for i in range(8)]
    assert len(half_of(silent, SELECTION)) == 4, "latents without a text are none"


def test_a_half_without_an_interval_is_refused():
    assert len(ids([Sample(str(i)) for i in range(4)], SELECTION)) == 2
    with pytest.raises(UsageError, match="3 pictures cannot be halved"):
        half_of([Sample(str(i)) for i in range(3)], SELECTION)
    with pytest.raises(UsageError, match="3 pictures"):  # nine takes of three prompts
        half_of([Sample(f"{g}/{t}", group=f"g{g}") for g in range(3) for t in range(3)], SELECTION)
    with pytest.raises(UsageError, match="no half 'third'"):
        half_of(suite(), "third")
