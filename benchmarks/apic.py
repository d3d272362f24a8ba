"""Raise, take, EOI: the local APIC against C of the same model, on the same state."""

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clock import Row, at_most, paired
from benchmarks.native import build
from hvlab.hardware import apic
from hvlab.hypervisor.core import SILENT
from hvlab.hypervisor.partition import STATE
from hvlab.kernel import I, entry_point

SOURCE = Path(__file__).with_name("apic.c")
KINDS = {
    # (share of EOIs, least vector, share of level interrupts, of auto-EOI)
    "one after the other": (1.0, 16, 0.0, 0.0),
    "nested, random classes": (0.7, 16, 0.2, 0.1),
    "with illegal vectors": (0.9, 0, 0.1, 0.0),
}


@entry_point
def run(state, trace, vectors, ends, answer):  # type: ignore[no-untyped-def]
    """Raise each vector, take what is deliverable, and end an interrupt where `ends` says so; sum the answers up."""
    m, total = state[0], I(0)
    for k in range(vectors.shape[0]):
        vector = vectors[k]
        result, _ = apic.raise_vector(m, trace, I(0), I(-1), vector & 255, vector >> 8 & 1, vector >> 9 & 1)
        answer[k], _ = apic.accept(m, trace, I(0), I(-1))
        total += result
        if ends[k] != 0:
            ended, _ = apic.end(m, trace, I(0), I(-1))
            total += ended
    return total


class Twin:
    """The C model, called like the engine."""

    def __init__(self, more: tuple[str, ...] = ()) -> None:
        self._run = build(STATE, SOURCE, more).run
        self._run.restype = ctypes.c_int64
        self._run.argtypes = [*[ctypes.c_void_p] * 4, ctypes.c_int64]

    def run(self, state: Any, vectors: Any, ends: Any, answer: Any) -> int:
        """Do the same as the engine's `run`."""
        return int(self._run(*(array.ctypes.data for array in (state, vectors, ends, answer)), len(vectors)))


def stream(kind: str, count: int) -> tuple[Any, Any]:
    """Return random (vectors with their marks, EOIs) of a kind."""
    ends, least, level, automatic = KINDS[kind]
    luck = np.random.default_rng(count)
    marks = (luck.random(count) < level) << 8 | (luck.random(count) < automatic) << 9
    return luck.integers(least, 256, count) | marks, (luck.random(count) < ends).astype(np.int64)


def compare(kind: str, count: int, twin: Twin, pairs: int) -> list[float]:
    """Return the ratios of paired runs; the answers and the whole state must be equal after each of them."""
    vectors, ends = stream(kind, count)
    sides = [(np.zeros(1, STATE), np.zeros(count, np.int64)) for _ in range(2)]
    for state, _ in sides:
        apic.switch_on(state, 0, 0, 1)
    totals = [0, 0]

    def theirs() -> None:
        totals[0] = twin.run(sides[0][0], vectors, ends, sides[0][1])

    def ours() -> None:
        totals[1] = int(run(sides[1][0], SILENT, vectors, ends, sides[1][1]))

    def equal() -> None:
        assert totals[0] == totals[1], f"{kind}: the sums of the answers differ"
        for name, one, other in zip(("state", "vectors taken"), *sides, strict=True):
            assert one.tobytes() == other.tobytes(), f"{kind}: the {name} of the two sides differ"

    return paired(theirs, ours, equal, pairs)


def against_c(count: int, pairs: int, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Yield our time / C's, for each kind of stream."""
    twin = None
    for kind in KINDS:
        title = f"APIC raise, take, EOI / C: {kind}"
        if wanted(title):
            twin = twin or Twin()
            yield at_most(title, compare(kind, count, twin, pairs), 1.05)
