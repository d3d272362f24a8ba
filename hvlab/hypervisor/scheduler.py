"""The scheduler: which virtual processor runs on which logical processor, and for how long.

Three kinds. Classic: each logical processor takes whoever is next. Core: two SMT siblings never run virtual processors
of two partitions. Root: the hypervisor picks the root's only; for a child's, the root asks (`dispatch`). Source:
Microsoft, Managing Hyper-V hypervisor scheduler types.

Weight, cap and reserve are properties of a partition and hold for each of its virtual processors; cap and reserve are
parts of one logical processor in 1/65536. Source: Microsoft, partition properties CpuReserve, CpuCap, CpuWeight.

SIMPLER THAN REAL: Microsoft does not publish the order of the ready; here the virtual processor goes next that has had
the least time for its weight, those below their reserve before all others.
SIMPLER THAN REAL: no CPU groups, no NUMA nodes, no power states; a virtual processor moves without a cost of its own.
SIMPLER THAN REAL: the core scheduler pairs any two virtual processors of a partition; the real one knows guest cores.
"""

from typing import Any

import numpy as np

from hvlab.kernel import I, kernel, leading_zeros
from hvlab.trace import scheduler_events as events

ABSENT, READY, RUNNING, HALTED, CAPPED = (I(k) for k in range(5))
CLASSIC, CORE, ROOT_KIND = I(0), I(1), I(2)
STARTED, INTERRUPTED, PAUSE_OVER, CAP_OVER = (I(k) for k in range(1, 5))
HALTS, SLICE_OVER, CAP_REACHED, OVERTAKEN, SUSPENDED = (I(k) for k in range(1, 6))
WHOLE = I(1 << 16)  # a cap or reserve of one logical processor
WEIGHT, LEAST_WEIGHT, MOST_WEIGHT = I(100), 1, 10_000
EVERYWHERE = I(0xFF)
ROOT, ZERO, ONE = I(1), I(0), I(1)
# software must act; the root must choose; the trace is full; enough steps
STOP_HANDLER, STOP_ROOT, STOP_ROOM, STOP_STEPS = (I(k) for k in range(1, 5))
NESTED = 16  # the burst, and interrupt handlers upon it: one for each class above 1

RUN = [
    *[(name, I) for name in ("state", "lp", "last", "affinity", "weight", "cap", "reserve")],
    ("takes", I),  # who takes its interrupts: see `workload`
    *[(name, I) for name in ("burst", "pause", "handler")],
    ("depth", I),
    ("left", I, (NESTED,)),  # nanoseconds of work: the burst, then each handler; -1: no end
    ("silent", I),  # bit k: the handler at depth k owes no EOI
    ("since", I),  # it has been running, and is paid, since; later than now while the hypervisor is at work for it
    ("joined", I),  # when it came to the scheduler
    ("changed", I),  # when it came into its state
    ("vtime", I),  # nanoseconds run, at weight 100
    ("spare", I),  # what the division left
    ("used", I),  # of its period
    ("period_end", I),
    ("woken", I),  # it may go before one that runs
    ("woken_at", I),  # an interrupt waits for it since; -1: none
    ("fresh", I),  # it enters the guest anyway: an interrupt costs no exit
    ("cause", I),
    *[(name, I) for name in ("ran", "waited", "halted", "capped", "overhead")],
    *[(name, I) for name in ("begun", "switches", "wakes", "latency", "worst")],
]
LANE = [
    ("vp", I),  # from 1; 0: nobody runs
    ("last", I),
    ("end", I),  # when the next thing happens by itself
    ("slice_end", I),
    ("busy_since", I),
    ("busy", I),
]
SCHEDULER = [
    ("kind", I),
    ("smt", I),  # logical processors 2k and 2k + 1 are siblings
    ("slice", I),
    ("grain", I),  # so far must a runner be ahead before one that wakes goes first
    ("period", I),  # of cap and reserve
    ("attention", I),  # bit for each virtual processor that something happened to
    ("free", I),  # somebody might be placed
    ("ready", I),  # bit for each virtual processor that waits for a logical one
    ("asked", I),  # the row that asked for this turn
    ("floor", I),  # the virtual time at which the last one was placed
    ("most", I),  # steps that a turn may take; 0: no limit
    ("stop", I),  # why a turn ended early
    ("stop_vp", I),
    ("stop_vector", I),
]

SLICE, GRAIN, PERIOD = 10_000_000, 1_000_000, 100_000_000  # assumed: Microsoft does not publish them


def switch_on(state: Any) -> None:
    """Set the scheduler's own times, and what holds for every virtual processor until its parent says otherwise."""
    state["scheduler"]["slice"], state["scheduler"]["grain"], state["scheduler"]["period"] = SLICE, GRAIN, PERIOD
    for vp in range(state["run"].shape[1]):
        forget(state, vp)


def forget(state: Any, vp: int) -> None:
    """Set what a new virtual processor has: nothing of the one that stood here before."""
    record = state["run"][0, vp]
    state["scheduler"]["ready"] &= ~(1 << vp)
    state["run"][0, vp] = np.zeros((), record.dtype)
    for name, value in (("weight", WEIGHT), ("cap", WHOLE), ("affinity", EVERYWHERE)):
        record[name] = value
    for name in ("lp", "last", "woken_at"):
        record[name] = -1


@kernel
def kick(m, vp, cause):
    """Say that something happened to a virtual processor; it is looked at before the clock moves."""
    m["scheduler"]["attention"] |= ONE << vp
    m["run"][vp]["cause"] = cause


@kernel
def account(m, r):
    """Charge a running virtual processor for the time up to now."""
    now = m["now"]
    gone = now - r["since"]
    if gone <= 0:
        return
    r["since"] = now
    r["ran"] += gone
    left = r["left"][r["depth"]]
    if left > 0:
        r["left"][r["depth"]] = max(left - gone, ZERO)
    total = gone * WEIGHT + r["spare"]
    r["vtime"] += total // r["weight"]
    r["spare"] = total % r["weight"]
    if now >= r["period_end"]:
        begun = now - now % m["scheduler"]["period"]
        r["used"], r["period_end"] = min(gone, now - begun), begun + m["scheduler"]["period"]
    else:
        r["used"] += gone


@kernel
def charge(m, vp, cost):
    """Let the hypervisor work for a virtual processor that runs: its guest goes on so much later."""
    r = m["run"][vp]
    if r["state"] == RUNNING:
        account(m, r)
        r["since"] += cost
        r["overhead"] += cost
        m["scheduler"]["attention"] |= ONE << vp


@kernel
def used(m, r):
    """Return the time that a virtual processor has had in this period."""
    return r["used"] if m["now"] < r["period_end"] else ZERO


@kernel
def owed(m, r):
    """Whether it is below its reserve."""
    return r["reserve"] > 0 and used(m, r) < m["scheduler"]["period"] * r["reserve"] >> 16


@kernel
def change(m, vp, r, state):
    """Change the state, and book the time spent in the old one."""
    gone = m["now"] - r["changed"]
    if r["state"] == READY:
        r["waited"] += gone
    elif r["state"] == HALTED:
        r["halted"] += gone
    elif r["state"] == CAPPED:
        r["capped"] += gone
    r["changed"], r["state"] = m["now"], state
    if state == READY:
        m["scheduler"]["ready"] |= ONE << vp
    else:
        m["scheduler"]["ready"] &= ~(ONE << vp)


@kernel
def lowest(bits):
    """Return the place of the lowest bit that is set."""
    return I(63) - leading_zeros(bits & -bits)


@kernel
def ready(m, trace, vp, cause, why):
    """Let a virtual processor wait for a logical one."""
    r, s = m["run"][vp], m["scheduler"]
    change(m, vp, r, READY)
    r["vtime"] = max(r["vtime"], s["floor"])  # time not asked for is not saved up
    r["woken"], s["free"] = ONE, ONE
    r["cause"] = events.vp_ready(m, trace, vp, cause, why)
    if s["kind"] == ROOT_KIND and m["guest"][vp]["partition"] != ROOT:
        r["cause"] = events.root_signalled(m, trace, vp, r["cause"], r["last"])
        s["stop"], s["stop_vp"] = STOP_ROOT, vp


@kernel
def leave(m, trace, vp, why, state):
    """Take a virtual processor off its logical one."""
    r, now = m["run"][vp], m["now"]
    account(m, r)
    if r["since"] > now:
        r["overhead"] -= r["since"] - now
        r["since"] = now
    lane = m["lane"][r["lp"]]
    lane["vp"] = 0
    lane["busy"] += now - lane["busy_since"]
    r["cause"] = events.vp_descheduled(m, trace, vp, r["cause"], r["lp"], r["ran"] - r["begun"], why)
    r["lp"] = -1
    m["scheduler"]["free"] = 1
    if m["scheduler"]["kind"] == ROOT_KIND and m["guest"][vp]["partition"] != ROOT:
        m["scheduler"]["stop"], m["scheduler"]["stop_vp"] = STOP_ROOT, vp  # control is back with the root's thread
    change(m, vp, r, state)


@kernel
def enter(m, trace, vp, lp, time):
    """Put a virtual processor on a logical one for a time slice, which siblings of one core share."""
    r, s, lane, now = m["run"][vp], m["scheduler"], m["lane"][lp], m["now"]
    before, partition = lane["last"] - 1, m["guest"][vp]["partition"]
    cost = m["cost"]["entry"] if before == vp else m["cost"]["switch"]
    r["cause"] = events.vp_scheduled(m, trace, vp, r["cause"], lp, now - r["changed"], partition, before)
    change(m, vp, r, RUNNING)
    r["since"], r["begun"], r["lp"], r["last"], r["fresh"], r["woken"] = now + cost, r["ran"], lp, lp, ONE, ZERO
    r["overhead"] += cost
    r["switches"] += 1
    m["vp"][vp]["lp"] = lp
    s["floor"] = max(s["floor"], r["vtime"])
    if r["woken_at"] >= 0:
        latency = r["since"] - r["woken_at"]
        r["wakes"], r["latency"], r["worst"] = r["wakes"] + 1, r["latency"] + latency, max(r["worst"], latency)
        r["woken_at"] = -1
    lane["vp"] = lane["last"] = vp + 1
    lane["busy_since"], lane["slice_end"] = now, r["since"] + time
    if s["kind"] == CORE and s["smt"] != 0 and m["lane"][lp ^ 1]["vp"] != 0 and m["lane"][lp ^ 1]["slice_end"] > now:
        lane["slice_end"] = m["lane"][lp ^ 1]["slice_end"]
    s["attention"] |= ONE << vp


@kernel
def arm(m, r):
    """Note when the next thing happens by itself where a virtual processor runs."""
    s, lane, left = m["scheduler"], m["lane"][r["lp"]], r["left"][r["depth"]]
    end = lane["slice_end"]
    if left >= 0:
        end = min(end, r["since"] + left)
    if r["cap"] < WHOLE:
        end = min(end, r["since"] + max((s["period"] * r["cap"] >> 16) - used(m, r), ZERO))
    lane["end"] = end


@kernel
def lps(m):
    """Return how many logical processors there are."""
    return m["hypervisor"]["lps"]
