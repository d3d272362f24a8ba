"""A set of a cache is compared at once; what the compiler makes of that is what the plain twin says."""

import numpy as np
import pytest

from hvlab import kernel
from hvlab.hardware.tlb import TLB, highest, oldest


@kernel.entry_point
def ways_of(records, word):
    """Return what `matches` says of an L1 set, an L2 set and a structure-cache set."""
    t = records[0]
    return (
        kernel.matches(t["l1"][2, 5]["tag"], 8, word),
        kernel.matches(t["l2"][255]["tag"], 16, word),
        kernel.matches(t["structure"][4, 7]["tag"], 4, word),
    )


@pytest.mark.parametrize("word", [0, 1, -1, 1 << 62, -(1 << 63)])
def test_a_way_is_named_by_its_bit(word):
    tlb, random = np.zeros(1, TLB), np.random.default_rng(1)
    rows = [tlb["l1"][0, 2, 5]["tag"], tlb["l2"][0, 255]["tag"], tlb["structure"][0, 4, 7]["tag"]]
    for row in rows:
        row[:] = random.choice([word, 7], len(row))

    found = ways_of(tlb, np.int64(word))

    assert [int(bits) for bits in found] == [sum(1 << k for k, tag in enumerate(row) if tag == word) for row in rows]
    assert any(found)


@kernel.entry_point
def highest_of(bits):
    """Return the highest way of a mask."""
    return highest(bits)


def test_the_highest_way_of_none_is_minus_one():
    assert [int(highest_of(np.int64(bits))) for bits in (0, 1, 0b1010, 1 << 15, -1)] == [-1, 0, 3, 15, 63]


def test_a_kernel_called_from_python_is_the_python_that_stands_there():
    assert oldest(np.array([3, 0, 2, 0]), 4) == 1
    assert oldest(np.array([3, 4, 2, 0]), 3) == 2
