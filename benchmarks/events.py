"""Events with all their handlers: the event kernel against C of the same model, and against SimPy's bare timeouts."""

import ctypes
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.clock import Row, at_least, at_most, not_measured, paired
from benchmarks.native import build
from hvlab.hardware import apic, clock
from hvlab.hypervisor import clockwork, scheduler
from hvlab.hypervisor.core import SILENT
from hvlab.hypervisor.partition import STATE
from hvlab.hypervisor.workload import MODEL
from hvlab.kernel import I

SOURCE = Path(__file__).with_name("events.c")
MEM = np.zeros(8, np.int64)
ROOM = 16_384
SCENES = {
    # kind, partitions of the virtual processors, nanoseconds between two interrupts
    "core scheduler, eight guests": (scheduler.CORE, (1, 2, 2, 3, 3, 4, 4, 5), 4_000),
    "classic scheduler, eight guests": (scheduler.CLASSIC, (1, 2, 2, 3, 3, 4, 4, 5), 4_000),
    "interrupts above all": (scheduler.CORE, (1, 2, 2, 3), 700),
    "no interrupts": (scheduler.CORE, (1, 2, 2, 3, 3, 4, 4, 5), 0),
}


class Twin:
    """The C model, called like the engine."""

    def __init__(self, more: tuple[str, ...] = ()) -> None:
        self._turn = build(STATE, SOURCE, more).turn
        self._turn.restype = ctypes.c_int64
        self._turn.argtypes = [*[ctypes.c_void_p] * 3, ctypes.c_int64, ctypes.c_int64]

    def turn(self, state: Any, work: Any, answer: Any, until: int) -> int:
        """Do the same as the engine's `turn`; return the number of steps."""
        return int(self._turn(*(array.ctypes.data for array in (state, work, answer)), len(work), until))


def begin(name: str) -> Any:
    """Return the state of a scene: guests with bursts and pauses, one with a cap, one with a reserve."""
    kind, partitions, _ = SCENES[name]
    state = np.zeros(1, STATE)
    clock.set_costs(state)
    scheduler.switch_on(state)
    m = state[0]
    m["hypervisor"]["lps"], m["scheduler"]["kind"], m["scheduler"]["smt"] = 4, kind, 1
    m["scheduler"]["slice"], m["scheduler"]["grain"], m["scheduler"]["period"] = 50_000, 5_000, 1_000_000
    for vp, partition in enumerate(partitions):
        m["guest"]["partition"][vp] = partition
        apic.switch_on(state, vp, vp, partition)
    m["run"]["cap"][2], m["run"]["reserve"][3], m["run"]["weight"][1] = 20_000, 16_000, 300
    m["run"]["cause"], m["agenda"]["seat"]["cause"], m["scheduler"]["asked"] = -1, -1, -1
    return state


def rows(name: str, count: int) -> Any:
    """Return rows of work: each guest's start, then interrupts, a fifth of them through a processor that is busy."""
    _, partitions, gap = SCENES[name]
    luck, vps = np.random.default_rng(count), len(partitions)
    started = [[0, clockwork.START, vp, 6_000 + 1_500 * vp, 9_000, 1_200, MODEL, 0] for vp in range(vps)]
    if not gap:
        return np.array(started, np.int64)
    work = np.zeros((count, clockwork.COLUMNS), np.int64)
    work[:, 0] = np.cumsum(luck.integers(1, 2 * gap, count))
    work[:, 1], work[:, 2] = clockwork.RAISE, luck.integers(0, vps, count)
    work[:, 3], work[:, 5] = luck.integers(0x30, 0xF0, count), luck.random(count) < 0.2
    device = luck.random(count) < 0.2
    work[device, 1], work[device, 4], work[device, 3] = (
        clockwork.DEVICE,
        work[device, 3],
        luck.integers(0, 4, device.sum()),
    )
    work[device, 5] = 0
    return np.concatenate([np.array(started, np.int64), work])


def compare(name: str, count: int, twin: Twin, pairs: int) -> list[float]:
    """Return the ratios of paired runs; the answers and the whole state must be equal after each of them."""
    work = rows(name, count)
    until = int(work[-1, 0]) + (4_000 * count if len(work) < count else 0)
    sides = [[begin(name), np.zeros(len(work), np.int64)] for _ in range(2)]

    def fresh() -> None:
        for side in sides:
            side[0][:] = begin(name)

    def theirs() -> None:
        twin.turn(sides[0][0], work, sides[0][1], until)

    def ours() -> None:
        assert clockwork.turn(sides[1][0], MEM, SILENT, work, sides[1][1], I(until)) == len(work)

    def equal() -> None:
        for what, one, other in zip(("state", "answers"), *sides, strict=True):
            assert one.tobytes() == other.tobytes(), f"{name}: the {what} of the two sides differ"
        fresh()

    return paired(theirs, ours, equal, pairs)


def told(name: str, count: int) -> tuple[Callable[[], None], int]:
    """Return a run with the recorder on, which is emptied whenever it is full, and how many events it tells."""
    work, trace = rows(name, count), np.zeros((ROOM, 10), np.int64)
    answer, seen = np.zeros(len(work), np.int64), [0]
    until = int(work[-1, 0])

    def run() -> None:
        state, done, seen[0] = begin(name), 0, 0
        while True:
            done += int(clockwork.turn(state, MEM, trace, work[done:], answer[done:], I(until)))
            seen[0] += int(state["rows"][0])
            state["rows"] = 0
            if state["scheduler"]["stop"][0] == 0:
                return

    run()
    return run, seen[0]


def timeouts(count: int) -> None:
    """Let SimPy run bare timeouts: eight processes that do nothing but wait."""
    simpy: Any = importlib.import_module("simpy")
    environment = simpy.Environment()

    def process(gap: int) -> Iterator[Any]:
        for _ in range(count // 8):
            yield environment.timeout(gap)

    for k in range(8):
        environment.process(process(900 + 7 * k))
    environment.run()


def against_simpy(count: int, pairs: int) -> Row:
    """Return events a second, with handlers and recorder, over SimPy's bare timeouts a second."""
    name, target = "core scheduler, eight guests", 15.0
    title = "events told / SimPy's bare timeouts, rate"
    if importlib.util.find_spec("simpy") is None:
        return not_measured(title, f">= {target:g}", "simpy is not installed (the bench extra has it)")
    run, _ = told(name, count)
    steps = steps_of(name, count)
    ratios = paired(run, lambda: timeouts(count), lambda: None, pairs)
    return at_least(title, [ratio * steps / count for ratio in ratios], target)


def steps_of(name: str, count: int) -> int:
    """Return how many steps a scene takes: things due and rows of work."""
    work, state = rows(name, count), begin(name)
    return Twin().turn(state, work, np.zeros(len(work), np.int64), int(work[-1, 0]))


def everything(count: int, pairs: int, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Yield our time / C's for each scene, their median, and the rate against SimPy."""
    twin, medians = None, []
    for name in SCENES:
        title = f"events with all handlers / C: {name}"
        if wanted(title):
            twin = twin or Twin()
            row = at_most(title, compare(name, count // 4, twin, pairs), 1.2)
            medians.append(row.ratio or 0.0)
            yield row
    if len(medians) > 1:
        yield at_most("events with all handlers / C: median of the above", [median(medians)], 1.2)
    if wanted("events told / SimPy"):
        yield against_simpy(count // 4, pairs)
