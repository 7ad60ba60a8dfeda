"""Who is handed what, and which unit is to blame: no processes, only their deaths."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa.errors import QaError
from qa.executors.ledger import TOLERATED, Ledger
from qa.types import Sample, Unit

CAUSE = "it was killed"


def units(count: int) -> list[Unit]:
    return [Unit(f"u{i:03d}", Sample(f"s{i:03d}"), (0,)) for i in range(count)]


def carried_out(
    ledger: Ledger, workers: int, deadly: set[str], seed: int, random_deaths: float, broken=(),
):  # fmt: skip
    """Play a pool: returns units in the order of their end, and those given up.

    Whatever a worker of `broken` begins kills it.
    """
    chance = random.Random(seed)
    hands = [[] for _ in range(workers)]
    ended, given_up = [], []
    for _ in range(100_000):
        if ledger.finished:
            return ended, given_up
        worker = chance.randrange(workers)
        hand = hands[worker]
        while len(hand) < 2 and not any(block.alone for block in hand):
            block = ledger.hand_out(worker, not hand, range(workers))
            if block is None:
                break
            hand.append(block)
        if not hand:
            continue
        if not hand[0].units:
            hand.pop(0)
            continue
        first = next(iter(hand[0].units))
        if first in deadly or worker in broken or chance.random() < random_deaths:
            begun, *others = hand
            hand.clear()
            for block in reversed(others):
                ledger.put_back(block)
            guilty = ledger.lose(begun, worker, CAUSE)
            given_up += [guilty.id] if guilty else []
        else:
            ended.append(ledger.finish(hand[0], first).id)
    raise AssertionError("it does not end")


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    count=st.integers(1, 120), workers=st.integers(1, 6), block=st.integers(1, 20),
    seed=st.integers(0, 999), data=st.data(),
)  # fmt: skip
def test_every_unit_ends_once_and_only_the_deadly_are_given_up(count, workers, block, seed, data):
    planned = units(count)
    ids = [unit.id for unit in planned]
    deadly = data.draw(st.sets(st.sampled_from(ids), max_size=min(TOLERATED, count)))
    ledger = Ledger(planned, block, 3, workers)
    ended, given_up = carried_out(ledger, workers, deadly, seed, 0.0)
    assert sorted(given_up) == sorted(deadly)
    assert sorted(ended) == sorted(set(ids) - deadly)


def test_deaths_at_random_cost_no_unit():
    planned = units(300)
    ledger = Ledger(planned, 16, 50, 3)
    ended, given_up = carried_out(ledger, 3, set(), 1, 0.1)
    assert given_up == []
    assert sorted(ended) == [unit.id for unit in planned]


def test_a_block_that_nobody_began_keeps_its_place():
    ledger = Ledger(units(40), 4, 3, 1)
    first, second = ledger.hand_out(0, True, [0]), ledger.hand_out(0, False, [0])
    ledger.put_back(second)
    assert list(ledger.hand_out(0, False, [0]).units) == list(second.units)
    assert list(first.units) == ["u000", "u001", "u002", "u003"]


def test_a_suspect_works_alone_in_an_idle_worker():
    ledger = Ledger(units(40), 4, 3, 1)
    ledger.lose(ledger.hand_out(0, True, [0]), 0, CAUSE)
    assert ledger.hand_out(0, False, [0]) is None, "a worker finishes what it has first"
    block = ledger.hand_out(0, True, [0])
    assert block.alone
    assert list(block.units) == ["u000"]


def test_a_suspect_goes_to_a_worker_where_nobody_died_of_it():
    ledger = Ledger(units(1), 4, 3, 2)
    ledger.lose(ledger.hand_out(0, True, [0, 1]), 0, CAUSE)
    assert ledger.hand_out(0, True, [0, 1]) is None
    block = ledger.hand_out(1, True, [0, 1])
    assert block.alone
    ledger.lose(block, 1, CAUSE)
    assert ledger.hand_out(0, True, [0, 1]).alone, "it died everywhere"


def test_a_suspect_does_not_wait_for_a_worker_that_is_not_ready():
    ledger = Ledger(units(1), 4, 3, 2)
    ledger.lose(ledger.hand_out(0, True, [0, 1]), 0, CAUSE)
    assert ledger.hand_out(0, True, [0]).alone


@pytest.mark.parametrize("seed", range(5))
def test_a_broken_worker_costs_no_unit(seed):
    planned = units(300)
    ledger = Ledger(planned, 16, 3, 3)
    ended, given_up = carried_out(ledger, 3, {"u007"}, seed, 0.0, broken={1})
    assert given_up == ["u007"]
    assert sorted(ended) == [unit.id for unit in planned if unit.id != "u007"]


@pytest.mark.parametrize("retries", [1, 3])
def test_a_unit_is_given_up_after_so_many_deaths_alone(retries):
    ledger = Ledger(units(1), 4, retries, 1)
    assert ledger.lose(ledger.hand_out(0, True, [0]), 0, CAUSE) is None, (
        "in a block nobody knows who"
    )
    found = [ledger.lose(ledger.hand_out(0, True, [0]), 0, CAUSE) for _ in range(retries)]
    assert found[:-1] == [None] * (retries - 1)
    assert found[-1].id == "u000"
    assert ledger.finished


def test_when_all_units_are_deadly_the_run_stops():
    planned = units(60)
    ledger = Ledger(planned, 8, 1, 2)
    with pytest.raises(QaError, match="Workers die of one unit after another") as caught:
        carried_out(ledger, 2, {unit.id for unit in planned}, 0, 0.0)
    assert CAUSE in str(caught.value)


def test_blocks_shrink_towards_the_end_so_that_workers_end_together():
    ledger = Ledger(units(64), 16, 3, 2)
    sizes = []
    while (block := ledger.hand_out(0, True, [0])) is not None:
        sizes.append(len(block.units))
    assert sum(sizes) == 64
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 8
    assert sizes[-1] == 1
