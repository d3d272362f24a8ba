"""What a virtual processor does with its time: bursts of work, pauses, and interrupt handlers that take their time.

There for studies and pictures; software in Python takes its interrupts itself (`SOFTWARE`), and whoever wants to see
each step does it by operations (`BY_HAND`).

A burst of 0 is a guest that only handles interrupts, one of -1 has no end. After a burst the guest halts: for `pause`
nanoseconds, or, with -1, until the next interrupt, which begins another burst.

SIMPLER THAN REAL: a handler runs with interrupts enabled, so higher classes come between; one that owes no EOI does not
let anything come between.
"""

from hvlab.hardware import apic
from hvlab.hypervisor import synic, virtual_apic
from hvlab.hypervisor.agenda import PAUSE_END, holds, put
from hvlab.hypervisor.placement import at_cap, hold, slice_over
from hvlab.hypervisor.scheduler import (
    ABSENT,
    HALTED,
    HALTS,
    INTERRUPTED,
    NESTED,
    ONE,
    PAUSE_OVER,
    RUNNING,
    STARTED,
    STOP_HANDLER,
    ZERO,
    account,
    arm,
    leave,
    ready,
)
from hvlab.kernel import I, kernel, routine
from hvlab.trace import scheduler_events as events

BY_HAND, MODEL, SOFTWARE = I(0), I(1), I(2)  # who takes the interrupts of a virtual processor
ENDLESS, UNTIL_INTERRUPT = I(-1), I(-1)
LONGEST = I(1 << 56)


@kernel
def join(m, r):
    """Give a virtual processor to the scheduler, with empty books."""
    now = m["now"]
    r["joined"], r["changed"], r["since"], r["woken_at"] = now, now, now, -1
    r["ran"], r["waited"], r["halted"], r["capped"], r["overhead"] = ZERO, ZERO, ZERO, ZERO, ZERO
    r["state"] = HALTED


@kernel
def start(m, trace, vp, cause, burst, pause, handler, takes):
    """Give a virtual processor its work, and to the scheduler if it is not there yet."""
    r = m["run"][vp]
    if r["state"] == ABSENT:
        join(m, r)
    elif r["state"] == RUNNING:
        account(m, r)
    r["burst"], r["pause"] = max(min(burst, LONGEST), ENDLESS), max(min(pause, LONGEST), UNTIL_INTERRUPT)
    r["handler"], r["takes"] = max(min(handler, LONGEST), ZERO), takes
    r["left"][0] = r["burst"]
    r["cause"] = cause
    m["scheduler"]["attention"] |= ONE << vp
    if r["state"] == HALTED and (r["burst"] != 0 or r["depth"] != 0):
        ready(m, trace, vp, cause, STARTED)
    elif r["burst"] == 0 and r["depth"] == 0 and r["state"] == RUNNING:
        nothing_left(m, trace, vp, r)


@kernel
def take(m, mem, trace, vp, r):
    """Let a running guest take its highest interrupt, if it may."""
    depth = r["depth"]
    if depth + 1 >= NESTED or depth > 0 and r["silent"] >> depth & 1 != 0:
        return
    vector, cause = virtual_apic.accept(m, mem, trace, vp, r["cause"])
    if vector < 0:
        return
    account(m, r)
    cost = m["cost"]["inject"] + (ZERO if r["fresh"] != 0 else m["cost"]["exit"])
    r["since"] += cost
    r["overhead"] += cost
    if depth == 0 and r["left"][0] == 0 and r["pause"] == UNTIL_INTERRUPT:
        r["left"][0] = r["burst"]
    depth += 1
    owes = m["apic"][vp]["isr"][vector >> 6] >> (vector & 63) & 1
    r["silent"] = r["silent"] & ~(ONE << depth) | (ONE - owes) << depth
    r["depth"], r["left"][depth] = depth, r["handler"]
    r["cause"] = events.handler_entered(m, trace, vp, cause, vector, r["handler"], depth)


@kernel
def attend(m, mem, trace, vp):
    """Look at a virtual processor that something happened to: wake it, or let it take its interrupt."""
    r, s = m["run"][vp], m["scheduler"]
    state, takes = r["state"], r["takes"]
    if state == HALTED:
        if apic.deliverable(m, vp) >= 0:
            r["woken_at"] = m["now"]
            ready(m, trace, vp, r["cause"], INTERRUPTED)
    elif state in (RUNNING, ABSENT):
        if takes == SOFTWARE:
            if apic.deliverable(m, vp) >= 0:
                vector, r["cause"] = virtual_apic.accept(m, mem, trace, vp, r["cause"])
                s["stop"], s["stop_vp"], s["stop_vector"] = STOP_HANDLER, vp, vector
        elif takes == MODEL and state == RUNNING:
            take(m, mem, trace, vp, r)
        if state == RUNNING:
            r["fresh"] = 0
            arm(m, r)


@routine
def halt(m, trace, vp, cause):
    """HLT: False if an interrupt waits, so that the guest goes on at once."""
    r = m["run"][vp]
    if r["state"] != RUNNING and r["state"] != ABSENT or apic.deliverable(m, vp) >= 0:
        return False
    r["cause"] = events.vp_halted(m, trace, vp, cause, r["lp"] if r["state"] == RUNNING else I(-1))
    if r["state"] == RUNNING:
        leave(m, trace, vp, HALTS, HALTED)
    else:
        join(m, r)
        r["left"][0] = ENDLESS
    return True


@routine
def nothing_left(m, trace, vp, r):
    """The guest has nothing to do: it halts, unless an interrupt waits."""
    m["scheduler"]["attention"] |= ONE << vp
    if r["left"][0] == 0:
        halt(m, trace, vp, r["cause"])


@kernel
def work_done(m, mem, trace, vp, r):
    """A handler or a burst came to its end."""
    depth = r["depth"]
    if depth == 0:
        if r["pause"] > 0 and not holds(m, PAUSE_END, vp, ZERO):
            put(m, m["now"] + r["pause"], PAUSE_END, vp, ZERO, ZERO, r["cause"])
        nothing_left(m, trace, vp, r)
        return
    if m["apic"][vp]["nmi_runs"] != 0:
        r["cause"] = apic.end_nmi(m, trace, vp, r["cause"])
    elif r["silent"] >> depth & 1 == 0:
        _, r["cause"] = synic.end(m, mem, trace, vp, r["cause"])
    else:
        r["cause"] = apic.end_nmi(m, trace, vp, r["cause"])
    r["depth"] = depth - 1
    if depth == 1:
        nothing_left(m, trace, vp, r)
    m["scheduler"]["attention"] |= ONE << vp


@kernel
def lane_ends(m, mem, trace, lp):
    """What a logical processor waited for has come: work is done, a cap reached, or the time slice over."""
    vp = m["lane"][lp]["vp"] - 1
    r = m["run"][vp]
    account(m, r)
    if r["left"][r["depth"]] == 0:
        work_done(m, mem, trace, vp, r)
    elif at_cap(m, r):
        hold(m, trace, vp)
    elif m["now"] >= m["lane"][lp]["slice_end"]:
        slice_over(m, trace, lp)
    else:
        m["scheduler"]["attention"] |= ONE << vp


@kernel
def pause_over(m, trace, vp, cause):
    """The guest has something to compute again."""
    r = m["run"][vp]
    if r["left"][0] != 0 or r["burst"] == 0:
        return
    r["left"][0] = r["burst"]
    r["cause"] = events.burst_begun(m, trace, vp, cause, r["burst"])
    if r["state"] == HALTED:
        r["woken_at"] = m["now"]
        ready(m, trace, vp, r["cause"], PAUSE_OVER)
