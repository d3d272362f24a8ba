"""How an entry point is compiled is nobody else's business, and nothing of it stays behind."""

import gc

import numpy as np
import pytest
from numba import TypingError, njit
from numba.core import types

from hvlab import kernel

PAIR = np.dtype([("left", np.int64), ("right", np.int64, (3,))])


@kernel.kernel
def below(m, k):
    """Return what stands at a place, from 0."""
    return m["right"][k] + m["left"]


@kernel.routine
def middle(m):
    """Call another one twice."""
    return below(m, kernel.I(0)) * below(m, kernel.I(2))


@kernel.entry_point
def whole(pairs):
    """Call a tree of functions."""
    return middle(pairs[0]) + below(pairs[0], kernel.I(1))


@kernel.entry_point
def wrong(pairs):
    """Ask for a field that is not there."""
    return pairs[0]["above"]


def inside() -> tuple[object, ...]:
    """Return what is changed in numba while an entry point is compiled."""
    return types.BaseFunction.get_call_type, types.Record.__repr__, gc.isenabled()


def test_a_tree_of_functions_gives_what_python_gives():
    pairs = np.zeros(1, PAIR)
    pairs["left"], pairs["right"] = 5, (1, 2, 3)

    assert whole(pairs) == kernel.plain(whole)(pairs) == (1 + 5) * (3 + 5) + (2 + 5)


@pytest.mark.compiled
def test_an_index_beyond_an_array_is_still_an_error_in_the_depth_of_a_tree():
    @kernel.entry_point
    def beyond(pairs, k):
        return below(pairs[0], k)

    with pytest.raises(IndexError):
        beyond(np.zeros(1, PAIR), kernel.I(3))


@pytest.mark.compiled
def test_numba_is_as_it_was_when_an_entry_point_is_compiled():
    before = inside()

    whole(np.zeros(1, PAIR))
    assert inside() == before

    with pytest.raises(TypingError, match="above"):
        wrong(np.zeros(1, PAIR))
    assert inside() == before


@pytest.mark.compiled
def test_a_function_of_the_users_own_is_compiled_by_numbas_own_way():
    @njit
    def mine(words):
        return [word + 1 for word in words]  # it allocates, and has a loop that ours may not have

    whole(np.zeros(1, PAIR))

    assert mine(np.arange(3)) == [1, 2, 3]
