"""How an entry point is compiled is nobody else's business, and nothing of it stays behind."""

import gc
import subprocess
import sys

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


# numba as another version might be; each in a process of its own, since kernels are made at import
OTHERS = {
    "another version": "numba.__version__ = '0.99.1'",
    "a module that is gone": "sys.modules['numba._dynfunc'] = None; del numba._dynfunc",
    "a class that is gone": "del numba.core.typed_passes.NativeLowering",
    "a part that cannot be closed": "from hvlab import compiler; compiler.PartLibrary.finalize = gone",
    "an entry point that cannot be closed": "from hvlab import compiler; compiler.WholeLibrary.finalize = gone",
    "a stub that cannot be made": "from hvlab import compiler; compiler._dynfunc = None",
}
LOOK = """
import sys
import numba, numba.core.typed_passes
import numpy as np

def gone(self):
    raise AttributeError("what another numba does not have")

{change}
from hvlab import kernel

@kernel.kernel
def below(words, k):
    return words[k] * words[1]

@kernel.entry_point
def whole(words):
    return below(words, kernel.I(0)) + below(words, kernel.I(2))

print(whole(np.array([3, 5, 7])), kernel.own_way())
"""


@pytest.mark.compiled
@pytest.mark.parametrize("change", ["", *OTHERS])
def test_where_numba_is_not_as_we_know_it_entry_points_are_compiled_in_its_own_way(change, tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    program = tmp_path / "look.py"
    program.write_text(LOOK.format(change=OTHERS.get(change, "")))
    told = subprocess.run([sys.executable, program], capture_output=True, text=True)

    assert told.stdout.startswith("50"), told.stderr
    assert (told.stdout.strip() == "50") == (change == "")
