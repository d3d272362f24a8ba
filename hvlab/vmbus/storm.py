"""Meet hostile inputs by the million, on as many threads as wanted; each thread has a ring of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hvlab.kernel import I
from hvlab.trace.event import COLUMNS
from hvlab.vmbus.engine import hostile
from hvlab.vmbus.engine.words import END

Words = npt.NDArray[np.int64]
SIZE = 4096  # bytes of data
SLICE = 1 << 20  # inputs between two looks at Ctrl-C
STATE = np.dtype([("rows", I), ("now", I)])  # all of a machine's state that a silent ring asks for
SILENT: Words = np.zeros((0, COLUMNS), np.int64)


@dataclass(frozen=True)
class Storm:
    """What came of it.

    Attributes
    ----------
    inputs, broken : int
        How many there were, and how many broke an invariant.
    seen : array
        Inputs by kind (reader, writer, range) and verdict.
    first : (int, int)
        Number in its slice and seed of the first that broke one; (0, 0) for none.
    """

    inputs: int
    broken: int
    seen: Words
    first: tuple[int, int]


def _one(seed: int, inputs: int, run: Callable[..., Any]) -> Storm:
    """Meet inputs with one ring: guard, control page, data, guard."""
    guard = int(hostile.GUARD)
    mem = np.zeros(2 * guard + 512 + SIZE // 8, np.int64)
    mem[:guard], mem[-guard:] = hostile.SENTINEL, hostile.SENTINEL
    places, end = np.array([guard, guard + 512, 0, 0x1000], np.int64), np.zeros(1, END)
    mem[guard + 8] = 1  # the writer can wait for room
    end["size"], end["limit"] = SIZE, SIZE
    arena, seen = np.zeros(SIZE // 8 + guard, np.int64), np.zeros((hostile.KINDS + 1, hostile.VERDICTS), np.int64)
    state, broken, first, done = np.zeros(1, STATE), 0, (0, 0), 0
    while done < inputs:
        part = min(SLICE, inputs - done)
        bad = int(run(state, mem, SILENT, places, end, arena, seen, I(seed), I(part)))
        if bad and not broken:
            first = int(seen[-1, 0]), int(seen[-1, 1])
        broken, done, seed = broken + bad, done + part, int(seen[-1, 2])
    return Storm(inputs, broken, seen[:-1], first)


def meet(inputs: int, seed: int = 1, threads: int = 2, run: Callable[..., Any] = hostile.storm) -> Storm:
    """Meet hostile inputs; the same seed and number of threads meet the same ones."""
    shares = [inputs // threads + (k < inputs % threads) for k in range(threads)]
    seeds = [(seed * 2 + 1) * 0x9E37_79B9 + k * 0x1234_5677 for k in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(_one, seeds, shares, [run] * threads))
    first = next((part.first for part in parts if part.broken), (0, 0))
    seen = np.sum([part.seen for part in parts], axis=0)
    return Storm(inputs, sum(part.broken for part in parts), seen, first)
