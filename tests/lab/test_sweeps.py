"""Sweeps of the lessons: each row is what the engine did, and agrees with the geometry of tables and slices."""

import pytest

from hvlab.errors import BadRequest
from hvlab.lab.slices import long_call
from hvlab.lab.spread import DISTANCES, PAGES, size, spread, sweep_spread

GIB = 1 << 30


def tables_by_hand(apart, pages):
    """How many tables of each level some addresses lead through: distinct values of their upper bits."""
    addresses = [k * apart for k in range(pages)]
    return tuple(len({gva >> 12 + 9 * level for gva in addresses}) for level in (4, 3, 2, 1))


@pytest.mark.parametrize("apart", DISTANCES)
def test_the_walker_reads_as_many_tables_as_the_addresses_have_upper_parts(apart):
    found = spread(apart)

    assert found.tables == tables_by_hand(apart, PAGES)
    assert found.reads == 4 * PAGES and found.bytes == 4096 * sum(found.tables)


def test_pages_far_apart_take_more_memory_for_tables_than_for_themselves():
    near, far = sweep_spread((4096, 512 * GIB)).rows

    assert (near.bytes, far.bytes) == (16 << 10, 1540 << 10)
    assert "512 GiB        1      128      128      128     385" in repr(sweep_spread((4096, 512 * GIB)))


@pytest.mark.parametrize("asked", [(0,), (4095,), (4096, 0), (4096, 257), (GIB << 10, 256), (-4096,)])
def test_pages_that_cannot_lie_so_are_refused(asked):
    with pytest.raises(BadRequest):
        spread(*asked)


def test_sizes_are_written_in_their_largest_whole_unit():
    assert [size(n) for n in (1, 4096, 524 << 10, 2 << 20, 512 * GIB)] == [
        "1 B",
        "4 KiB",
        "524 KiB",
        "2 MiB",
        "512 GiB",
    ]


@pytest.mark.parametrize(("reps", "limit"), [(1000, 37), (100, 0), (37, 37), (5, 2)])
def test_the_stays_of_a_call_do_each_element_once_in_order(reps, limit):
    made = long_call(reps, limit)
    rows = made.stays.rows

    assert len(rows) == made.entries and sum(row.done for row in rows) == reps
    assert [row.first for row in rows] == [sum(row.done for row in rows[:k]) for k in range(len(rows))]
    assert max(row.time for row in rows) == made.longest


def test_long_tables_of_stays_leave_out_the_middle_and_say_how_much():
    text = repr(long_call(1000, 37).stays)

    assert "… 20 more entries …" in text and text.splitlines()[-1].split() == ["28", "999", "1", "1150", "ns"]
    assert "more" not in repr(long_call(80, 10).stays)
