"""Translation through two levels of tables: against C of the same model, and against itself without a recorder."""

from collections.abc import Callable, Iterator
from statistics import median

import numpy as np

from benchmarks.clock import Row, at_most, paired
from benchmarks.native import Walker
from benchmarks.twin import without_events
from benchmarks.world import PATTERNS, TRACES, World, pattern, real_trace
from hvlab.hardware import processor
from hvlab.hardware.bare import SILENT

Run = Callable[..., int]


def compare(world: World, theirs: Run, ours: Run, pairs: int) -> list[float]:
    """Return the ratios of paired runs over copies of one world; faults, SPAs, memory and state must be equal."""
    one, other = world.copy(), world.copy()

    def call(run: Run, side: tuple[np.ndarray, ...]) -> None:
        state, mem, fault, spa = side
        done = run(state, mem, world.gva, world.access, fault, spa)
        assert done == len(world.gva), f"{world.name}: {done} accesses were made"

    def equal() -> None:
        for name, left, right in zip(("state", "memory", "faults", "SPAs"), one, other, strict=True):
            assert left.tobytes() == right.tobytes(), f"{world.name}: the {name} of the two sides differ"

    return paired(lambda: call(theirs, one), lambda: call(ours, other), equal, pairs)


def engine(module=processor) -> Run:  # type: ignore[no-untyped-def]
    """Return the engine's entry point on VP 0 with the recorder off."""
    return lambda state, mem, *words: int(module.run(state, mem, SILENT, 0, *words))


def worlds(count: int, wanted: Callable[[str], bool], prefix: str) -> Iterator[tuple[str, World]]:
    """Yield (name of the row, world) for each pattern and each real trace whose row is wanted."""
    for name in (*PATTERNS, *TRACES):
        title = f"{prefix}: {name}" if name in PATTERNS else f"{prefix}: trace of {name}"
        if wanted(title):
            yield title, pattern(name, count) if name in PATTERNS else real_trace(name, count)


def against_c(count: int, pairs: int, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Yield our time / C's, for each pattern and trace, and the median of them."""
    medians, walker = [], None
    for title, world in worlds(count, wanted, "translation / C"):
        walker = walker or Walker(world.state.dtype)
        row = at_most(title, compare(world, walker.run, engine(), pairs), 1.0)
        medians.append(row.ratio or 0.0)
        yield row
    if len(medians) > 1:
        yield at_most("translation / C: median of the above", [median(medians)], 0.8)


def against_silence(count: int, pairs: int, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Yield the time with the recorder compiled in but off / the time of a copy without it, and the median."""
    medians, bare = [], None
    for title, world in worlds(count, wanted, "recorder off / no recorder"):
        bare = bare or engine(without_events())
        row = at_most(title, compare(world, bare, engine(), pairs), 1.10)
        medians.append(row.ratio or 0.0)
        yield row
    if len(medians) > 1:
        yield at_most("recorder off / no recorder: median of the above", [median(medians)], 1.05)
