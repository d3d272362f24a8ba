"""The event kernel: what is due, and what is asked for, in the order of simulated time.

A step is one thing due (a logical processor's work or slice ends, an entry of the agenda) or one row of `work`. After
it, before the clock moves, everybody it touched is looked at: woken, interrupted, put on a logical processor. Of one
moment: logical processors first, then the agenda, then rows.

SIMPLER THAN REAL: software in Python takes no time between two steps but what its calls cost.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hvlab.hardware import apic_registers
from hvlab.hypervisor import agenda, interrupt, placement, scheduler, synic, synic_ops, timers, virtual_apic, workload
from hvlab.hypervisor.agenda import APIC_TIMER, CAP_END, FOREVER, PAUSE_END, STIMER
from hvlab.hypervisor.scheduler import CAP_OVER, CAPPED, ONE, RUNNING, STOP_ROOM, STOP_STEPS, SUSPENDED
from hvlab.kernel import I, entry_point, is_ready, kernel, plain
from hvlab.trace import scheduler_events as events

Words = npt.NDArray[np.int64]
Row = Sequence[int | np.int64]  # of `work`: time, op, vp, a, b, c, d, e
COLUMNS = 8
# op: what a, b, c, d are; what the answer is
TICK = I(0)  # time passes
START = I(1)  # burst, pause, handler, who takes the interrupts; 0
STOP = I(2)  # 0: off the processor, suspended
HALT = I(3)  # 1: it waits; 0: an interrupt was there
RAISE = I(4)  # vector, level, auto-EOI; result of the APIC
DEVICE = I(5)  # `vp` owns it; logical processor, vector
DISPATCH = I(6)  # logical processor, nanoseconds; 1 or 0
ACCEPT = I(7)  # the vector, or -1
EOI = I(8)  # the vector, or -1
# from 32 on: those of the interrupt controllers, see `virtual_apic`; from 64 on: messages and timers, see `synic_ops`
NOT_THERE = I(-(1 << 62))  # the answer to an unknown operation, or for a virtual processor that is not there

WORST_STEP = 1024  # the most rows that one step can append


@kernel
def device(m, mem, trace, owner, cause, lp, vector):
    """A device interrupts a logical processor: whoever runs there leaves the guest, and the owner gets it."""
    who = m["lane"][lp]["vp"] - 1
    cause = events.device_interrupt(m, trace, who, cause, lp, vector, owner)
    if who >= 0:
        events.vp_interrupted(m, trace, who, cause, lp, m["cost"]["exit"])
        scheduler.charge(m, who, m["cost"]["exit"])
        m["run"][who]["fresh"] = 1
    result, _ = interrupt.request(m, mem, trace, owner, cause, vector, I(0), I(0))
    return result


@kernel
def suspend(m, trace, vp, cause):
    """Take a virtual processor from the scheduler."""
    r = m["run"][vp]
    r["cause"] = cause
    if r["state"] == RUNNING:
        scheduler.leave(m, trace, vp, SUSPENDED, scheduler.ABSENT)
    else:
        scheduler.change(m, vp, r, scheduler.ABSENT)
    agenda.cancel(m, PAUSE_END, vp, I(0))
    agenda.cancel(m, CAP_END, vp, I(0))
    return I(0)


@kernel
def operate(m, mem, trace, op, vp, a, b, c, d, e):
    """Do one operation; return its answer."""
    if vp < 0 or vp >= m["run"].shape[0]:
        return NOT_THERE
    asked = m["scheduler"]["asked"]
    if op == RAISE:
        return interrupt.request(m, mem, trace, vp, asked, a, b, c)[0]
    if op == EOI:
        return synic.end(m, mem, trace, vp, asked)[0]
    if op == ACCEPT:
        return virtual_apic.accept(m, mem, trace, vp, asked)[0]
    if op == DEVICE:
        if a < 0 or a >= scheduler.lps(m):
            return NOT_THERE
        return device(m, mem, trace, vp, asked, a, b)
    if op == HALT:
        return I(workload.halt(m, trace, vp, asked))
    if op == START:
        workload.start(m, trace, vp, asked, a, b, c, d)
        return I(0)
    if op == STOP:
        return suspend(m, trace, vp, asked)
    if op == DISPATCH:
        return I(placement.dispatch(m, trace, vp, asked, a, b))
    if op == TICK:
        return I(0)
    if op >= synic_ops.POST:
        return synic_ops.operate(m, mem, trace, op, vp, asked, a, b, c, d, e)
    answer = virtual_apic.operate(m, trace, op, vp, asked, a, b)
    if op == virtual_apic.APIC_WRITE and a == apic_registers.EOI:
        synic.after_end(m, mem, trace, vp, asked, answer)
    return answer


@kernel
def happen(m, mem, trace):
    """Take what is due from the agenda, and do it."""
    kind, who, what, generation, cause = agenda.take(m)
    if kind == PAUSE_END:
        workload.pause_over(m, trace, who, cause)
    elif kind == CAP_END and m["run"][who]["state"] == CAPPED:
        scheduler.ready(m, trace, who, cause, CAP_OVER)
    elif kind == APIC_TIMER:
        virtual_apic.expire(m, trace, who, cause, generation)
    elif kind == STIMER:
        timers.expire(m, mem, trace, who, cause, what)


@kernel
def settle(m, mem, trace):
    """Look at everybody that something happened to, until nobody is left."""
    s = m["scheduler"]
    while True:
        interrupt.hear(m, mem, trace)
        if s["attention"] == 0 and s["free"] == 0:
            break
        left = I(-1)  # from the lowest to the highest; what comes up below waits for the next round
        while s["attention"] & left != 0:
            vp = scheduler.lowest(s["attention"] & left)
            left = I(-2) << vp
            s["attention"] &= ~(ONE << vp)
            workload.attend(m, mem, trace, vp)
        if s["free"] != 0:
            placement.place(m, trace)


@kernel
def first_lane(m):
    """Return (logical processor, time) of what happens first where somebody runs; -1 for none."""
    found, time = I(-1), FOREVER
    for k in range(scheduler.lps(m)):
        lane = m["lane"][k]
        if lane["vp"] != 0 and lane["end"] < time:
            found, time = I(k), lane["end"]
    return found, time


@entry_point
def turn(state, mem, trace, work, answer, until):
    """Let time pass up to `until`, doing each row of `work` at its time; return how many rows were done.

    Stops early where the trace might not hold a step, where software must act, or after `most` steps (0: no limit):
    `stop` of the scheduler says why. Python calls `advance`.
    """
    m = state[0]
    s, done, last = m["scheduler"], I(0), I(work.shape[0])
    s["stop"] = 0
    while True:
        settle(m, mem, trace)
        if s["most"] > 0:
            s["most"] -= 1
            if s["most"] == 0 and s["stop"] == 0:
                s["stop"] = STOP_STEPS
        if s["stop"] != 0:
            break
        if 0 < trace.shape[0] < m["rows"] + WORST_STEP:
            s["stop"] = STOP_ROOM
            break
        lp, time = first_lane(m)
        due, row = agenda.due(m), work[done, 0] if done < last else FOREVER
        if min(time, due, row) > until:
            m["now"] = max(m["now"], until)
            break
        if time <= due and time <= row:
            m["now"] = max(m["now"], time)
            workload.lane_ends(m, mem, trace, lp)
        elif due <= row:
            happen(m, mem, trace)
        else:
            m["now"] = max(m["now"], row)
            w = work[done]
            answer[done] = operate(m, mem, trace, w[1], w[2], w[3], w[4], w[5], w[6], w[7])
            done += 1
    return done


FEW = 3_000  # steps that are taken before it pays to compile: as plain Python they take about a second
few = [FEW]


def compile_now() -> None:
    """Let the next turn be a compiled one, however little there is to do."""
    few[0] = 0


def advance(state: Any, mem: Words, trace: Words, work: Words, answer: Words, until: int) -> int:
    """Do what `turn` does: by its source as plain Python until there was enough to do to compile it.

    A picture of some hundred steps then waits for no compiler; which of the two ran does not change a bit.
    """
    s, done = state["scheduler"][0], 0
    while True:
        compiled = few[0] == 0 or is_ready(turn)
        s["most"] = 0 if compiled else few[0]
        with np.errstate(over="ignore"):
            done += int((turn if compiled else plain(turn))(state, mem, trace, work[done:], answer[done:], I(until)))
        if not compiled:
            few[0], s["most"] = int(s["most"]), 0
        if s["stop"] != STOP_STEPS:
            return done
