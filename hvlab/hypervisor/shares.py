"""Each partition's share of the logical processors, its work, and what became of the time.

Weight, cap and reserve are what a parent sets as properties of a child; each holds for every one of its virtual
processors. Source: Microsoft, partition properties CpuReserve, CpuCap and CpuWeight; Hyper-V Manager calls cap and
reserve "limit" and "reserve", in percent of the logical processors.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np
import numpy.typing as npt

from hvlab.errors import BadRequest
from hvlab.hypervisor import clockwork, scheduler, workload
from hvlab.hypervisor.core import Hypervisor
from hvlab.hypervisor.partition import ROOT
from hvlab.hypervisor.scheduler import LEAST_WEIGHT, MOST_WEIGHT, WHOLE
from hvlab.hypervisor.vp import Vp
from hvlab.trace.journal import Trace

Words = npt.NDArray[np.int64]
SLICE_SECONDS = 0.015
KINDS = {"classic": scheduler.CLASSIC, "core": scheduler.CORE, "root": scheduler.ROOT_KIND}
TAKERS = {"by hand": workload.BY_HAND, "model": workload.MODEL, "software": workload.SOFTWARE}


@dataclass(frozen=True)
class Times:
    """Where a virtual processor's time went since it came to the scheduler, in nanoseconds.

    Attributes
    ----------
    ran : int
        The guest's own work.
    steal : int
        It was ready, and another one ran.
    halted, capped : int
        It had nothing to do; it had had all that its cap allows.
    overhead : int
        The hypervisor worked for it: exits, injections, switches.
    wakes : int
        How often it woke and ran.
    mean_latency, worst_latency : int
        From what woke it until its guest ran.
    """

    ran: int
    steal: int
    halted: int
    capped: int
    overhead: int
    wakes: int
    mean_latency: int
    worst_latency: int

    @property
    def total(self) -> int:
        return self.ran + self.steal + self.halted + self.capped + self.overhead


def times(hv: Hypervisor, vp: int) -> Times:
    """Return where a virtual processor's time went up to now."""
    r, now = hv.state["run"][0, vp], int(hv.state["now"][0])
    books = {name: int(r[name]) for name in ("ran", "waited", "halted", "capped", "overhead")}
    state = int(r["state"])
    if state == scheduler.RUNNING:
        gone = now - int(r["since"])
        books["ran" if gone > 0 else "overhead"] += gone
    elif state != scheduler.ABSENT:
        name = {int(scheduler.READY): "waited", int(scheduler.HALTED): "halted", int(scheduler.CAPPED): "capped"}[state]
        books[name] += now - int(r["changed"])
    wakes = int(r["wakes"])
    mean = int(r["latency"]) // wakes if wakes else 0
    ran, waited, halted, capped, overhead = books.values()
    return Times(ran, waited, halted, capped, overhead, wakes, mean, int(r["worst"]))


def share(
    hv: Hypervisor,
    vps: Iterable[int],
    weight: int | None = None,
    cap: float | None = None,
    reserve: float | None = None,
    affinity: Iterable[int] | None = None,
) -> None:
    """Set weight (1 to 10,000), cap and reserve (parts of one logical processor) and affinity (logical processors).

    Raises
    ------
    BadRequest
        For values outside their ranges, a reserve above the cap, or more reserves than there are processors.
    """
    vps, lps, run = list(vps), int(hv.state["hypervisor"]["lps"][0]), hv.state["run"][0]
    for vp in vps:
        top = int(run["cap"][vp]) if cap is None else round(cap * WHOLE)
        low = int(run["reserve"][vp]) if reserve is None else round(reserve * WHOLE)
        others = sum(int(run["reserve"][k]) for k in range(len(run)) if k not in vps)
        if not 0 < top <= WHOLE or not 0 <= low <= top or others + low * len(vps) > lps * WHOLE:
            raise BadRequest(
                f"cap {top / WHOLE:g}, reserve {low / WHOLE:g}", "", "0 <= reserve <= cap <= 1, cap above 0"
            )
    if weight is not None and not LEAST_WEIGHT <= weight <= MOST_WEIGHT:
        raise BadRequest(f"weight {weight}", "", f"{LEAST_WEIGHT} to {MOST_WEIGHT}")
    mask = None if affinity is None else sum(1 << lp for lp in set(affinity) if 0 <= lp < lps)
    if mask == 0:
        raise BadRequest("affinity to no logical processor", "", f"some of 0 to {lps - 1}")
    for vp in vps:
        for name, value in (("weight", weight), ("affinity", mask)):
            if value is not None:
                run[name][vp] = value
        for name, part in (("cap", cap), ("reserve", reserve)):
            if part is not None:
                run[name][vp] = round(part * WHOLE)
        hv.state["scheduler"]["attention"] |= 1 << vp


def work(hv: Hypervisor, vps: Sequence[int], burst: int, pause: int, handler: int, takes: str) -> None:
    """Give virtual processors a workload, see `hypervisor.workload`."""
    if takes not in TAKERS:
        raise BadRequest(f"interrupts taken {takes!r}", "", "one of " + ", ".join(TAKERS))
    hv.turn([(0, clockwork.START, vp, burst, pause, handler, TAKERS[takes]) for vp in vps])


def choose(hv: Hypervisor, kind: str, smt: bool) -> None:
    """Choose the scheduler, as a host's boot option does, before anybody runs."""
    if kind not in KINDS:
        raise BadRequest(f"scheduler {kind!r}", "", "one of " + ", ".join(KINDS))
    if hv.state["lane"]["vp"].any():
        raise BadRequest("another scheduler", "virtual processors that run", "a machine that just started")
    hv.state["scheduler"]["kind"], hv.state["scheduler"]["smt"] = KINDS[kind], smt
    hv.chooser = partial(round_robin, hv)


def round_robin(hv: Hypervisor) -> list[clockwork.Row]:
    """Choose as a simple scheduler in the root would: who waited longest gets the first idle processor that fits.

    SIMPLER THAN REAL: Windows has a thread for each virtual processor of a child, with priorities and quanta.
    """
    lps, run = int(hv.state["hypervisor"]["lps"][0]), hv.state["run"][0]
    idle = [lp for lp in range(lps) if not hv.state["lane"]["vp"][0, lp]]
    waiting = [vp for vp in np.flatnonzero(run["state"] == scheduler.READY).tolist() if hv.slot_of(vp) != ROOT]
    rows: list[clockwork.Row] = []
    for vp in sorted(waiting, key=lambda vp: int(run["changed"][vp])):
        lp = next((lp for lp in idle if int(run["affinity"][vp]) >> lp & 1), None)
        if lp is not None:
            idle.remove(lp)
            rows.append((0, clockwork.DISPATCH, vp, lp, int(hv.state["scheduler"]["slice"][0])))
    return rows


class Timed:
    """What a machine has that lets simulated time pass: the part of `Machine` that the scheduler serves."""

    hv: Hypervisor

    @property
    def time_slice(self) -> int:
        """How long a virtual processor runs, in nanoseconds, before others that wait may go first."""
        return int(self.hv.state["scheduler"]["slice"][0])

    @time_slice.setter
    def time_slice(self, nanoseconds: int) -> None:
        if not 0 < nanoseconds < 1 << 56:
            raise BadRequest(f"a time slice of {nanoseconds} ns", "", "more than nothing")
        self.hv.state["scheduler"]["slice"], self.hv.state["scheduler"]["grain"] = nanoseconds, nanoseconds // 10

    def turn(self, rows: Sequence[clockwork.Row] = (), until: int | None = None) -> Words:
        """Do each row of work (time, operation, VP, …) at its time; return the answers. See `hypervisor.clockwork`."""
        with self.hv.action():
            return self.hv.turn(rows, until)

    def run(self, nanoseconds: int, rows: Sequence[clockwork.Row] = ()) -> Trace:
        """Let simulated time pass, with rows of work in it, and tell what happened."""
        self.turn(rows, int(self.hv.state["now"][0]) + nanoseconds)
        return self.hv.last

    def study_time(self, nanoseconds: int, rows: Sequence[clockwork.Row] = ()) -> Words:
        """Let simulated time pass silently; Ctrl-C stops between slices and loses nothing. Return the answers."""
        end, work, done, size = int(self.hv.state["now"][0]) + nanoseconds, sorted(rows, key=_time), 0, 1_000_000
        answers, recording, self.hv.recording = list[int](), self.hv.recording, False
        try:
            while (now := int(self.hv.state["now"][0])) < end or done < len(work):
                until, begun, first = min(now + size, end), perf_counter(), done
                while done < len(work) and work[done][0] <= until:
                    done += 1
                answers += self.hv.turn(work[first:done], until).tolist()
                size = size * 2 if perf_counter() - begun < SLICE_SECONDS else max(size // 2, 1)
        finally:
            self.hv.recording = recording
        return np.array(answers, np.int64)

    def device_interrupt(self, vector: int, lp: int = 0, owner: Vp | int = 0) -> Trace:
        """Let a device interrupt a logical processor; whoever runs there, its owner gets it (the root, by default)."""
        self.turn([(0, clockwork.DEVICE, _number(owner), lp, vector)])
        return self.hv.last

    def times(self, vp: Vp | int) -> Times:
        """Return where a virtual processor's time went."""
        return times(self.hv, _number(vp))

    def work(self, vp: Vp | int, burst: int, pause: int = 0, handler: int = 1_000, takes: str = "model") -> Trace:
        """Give a virtual processor work: bursts and pauses in nanoseconds, and how long its handlers take.

        A burst of -1 never ends, one of 0 is a guest that only handles interrupts; a pause of -1 lasts until the next
        interrupt. `takes`: ``"model"`` (handlers take time), ``"software"`` (a Python handler, see `handle`) or ``"by
        hand"`` (operations only).
        """
        with self.hv.action():
            work(self.hv, [_number(vp)], burst, pause, handler, takes)
        return self.hv.last

    def schedule_by(self, chooser: Callable[[], Sequence[clockwork.Row]]) -> None:
        """Root scheduler: let the root choose by this function whenever control is back with it (rows: DISPATCH)."""
        self.hv.chooser = chooser

    def handle(self, vp: Vp | int, handler: Callable[[int], None]) -> None:
        """Let Python take a virtual processor's interrupts: it gets the vector, and has to end it (`Vp.eoi`)."""
        self.hv.handlers[_number(vp)] = handler
        self.hv.state["run"]["takes"][0, _number(vp)] = workload.SOFTWARE

    def share(
        self,
        vp: Vp | int,
        weight: int | None = None,
        cap: float | None = None,
        reserve: float | None = None,
        affinity: Iterable[int] | None = None,
    ) -> None:
        """Set what one virtual processor gets of the logical ones; a child's `share` sets all of its own."""
        share(self.hv, [_number(vp)], weight, cap, reserve, affinity)


def _number(vp: Vp | int) -> int:
    return vp if isinstance(vp, int) else vp.number


def _time(row: clockwork.Row) -> int:
    return int(row[0])
