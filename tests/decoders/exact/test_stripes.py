"""Maps as stripes: order, heights, what is let go, and how much is alive."""

from __future__ import annotations

import pytest
import torch

from decoders.exact.stripes import Joined, Kept, Lazy, Queue, Shape, gathered, shape_of, whole


def numbered(height, channels=2, width=3):
    """Rows that tell which they are."""
    rows = torch.arange(height, dtype=torch.float64)[None, None, :, None]
    return rows.expand(1, channels, height, width).contiguous()


def read(source, limit=1, drain=False):
    found = list(source.stripes(limit, drain))
    assert [last for _, last in found] == [False] * (len(found) - 1) + [True]
    return [rows for rows, _ in found]


def heights(parts):
    return [rows.shape[2] for rows in parts]


ROW = 2 * 3 * 8
"""Bytes of one row of `numbered`."""


def test_shapes():
    shape = shape_of(numbered(5))
    assert shape == Shape(2, 5, 3, 8)
    assert (shape.row, shape.bytes) == (ROW, 5 * ROW)
    assert shape.to(4) == Shape(4, 5, 3, 8)
    assert shape.to(4, 10, 6) == Shape(4, 10, 6, 8)


@pytest.mark.parametrize("put", [(7,), (1,) * 7, (3, 4), (6, 1)], ids=str)
@pytest.mark.parametrize("limit", [1, 2 * ROW, 3 * ROW + 1, 99 * ROW])
def test_rows_come_back_in_order_in_stripes_below_the_limit(put, limit):
    rows = numbered(7)
    kept = Kept(shape_of(rows), 3 * ROW)
    for part, last in zip(rows.split(put, 2), [False] * (len(put) - 1) + [True], strict=True):
        kept.put(part, last)
    for _ in range(2):  # reading leaves it as it is
        parts = read(kept, limit)
        assert torch.equal(torch.cat(parts, 2), rows)
        assert max(heights(parts)) <= max(1, limit // ROW)
        assert kept.held == 7 * ROW
    assert torch.equal(torch.cat(read(kept, limit, drain=True), 2), rows)
    assert list(kept.stripes(limit, drain=True)) == []


@pytest.mark.parametrize("drain", [True, False])
def test_draining_lets_rows_go(drain, live):
    with live() as count:
        kept = whole(numbered(8), 2 * ROW)
        before, left = count.bytes, []
        for rows, _ in kept.stripes(2 * ROW, drain):
            left.append(count.bytes)
            del rows
    assert left == [before - drain * 2 * ROW * i for i in range(4)]


def test_a_lazy_map_is_computed_at_each_reading_within_the_limit():
    calls = []

    def twice():
        calls.append("fresh")
        return lambda rows, last: rows.repeat_interleave(2, 2)

    source = whole(numbered(6), 3 * ROW)
    lazy = Lazy(source, twice, source.shape.to(2, 12))
    for limit in (2 * ROW, 4 * ROW):
        assert max(heights(read(lazy, limit))) == limit // ROW
    assert torch.equal(gathered(lazy, ROW), numbered(6).repeat_interleave(2, 2))
    assert calls == ["fresh"] * 3
    assert lazy.held == source.shape.bytes
    assert list(source.stripes(ROW, drain=False)) == []  # `gathered` drained it


def test_stripes_without_rows_are_left_out():
    source = whole(numbered(4), ROW)
    late = Queue()

    def behind(rows, last):
        late.put(rows)
        return late.take(len(late) - (0 if last else 2))

    late.put(numbered(0))
    assert heights(read(Lazy(source, lambda: behind, source.shape))) == [1, 3]


@pytest.mark.parametrize("limits", [(1, 3), (3, 1), (2, 5)], ids=str)
def test_joined_maps_need_not_have_the_same_stripes(limits):
    h, x = whole(numbered(7) * 10, limits[0] * ROW), whole(numbered(7), limits[1] * ROW)
    joined = Joined(h, x, lambda: lambda rows, last: rows + 0, lambda rows: rows * 100)
    for drain in (False, True):
        found = torch.cat(read(joined, 5 * ROW, drain), 2)
        assert torch.equal(found, numbered(7) * 110)
        assert joined.held == 14 * ROW


def test_a_queue_keeps_order_and_holds_nothing_else():
    queue = Queue()
    with pytest.raises(IndexError):
        queue.take(1)
    queue.put(numbered(3))
    queue.put(numbered(2))
    assert len(queue) == 5
    assert queue.take(4)[0, 0, :, 0].tolist() == [0, 1, 2, 0]
    assert queue.rows.untyped_storage().nbytes() == ROW
    assert queue.take(1)[0, 0, :, 0].tolist() == [1]
    assert len(queue) == 0
