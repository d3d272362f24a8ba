"""The four synthetic timers of each virtual processor: once or again and again, by a message or by a vector.

Times are reference time: units of 100 ns since the partition was created. Source: TLFS, timers.

A timer has one message buffer. While its last message waits for the slot, an expiry is skipped; a timer that is not
lazy makes up for it by half periods afterwards (TLFS: period modulation), up to eight of them.

SIMPLER THAN REAL: a timer is as exact as simulated time; a virtual processor that does not run delays only its
interrupt, never the expiry itself.
"""

from hvlab.hardware.apic import EDGE
from hvlab.hypervisor import agenda
from hvlab.hypervisor.interrupt import request
from hvlab.hypervisor.queues import ONE, TIMER_TICKET, TIMER_WORDS, ZERO, place_of, unlink
from hvlab.hypervisor.synic import PAGE_ON, SYNIC_ON, TIMER_MESSAGE, fill, queue, slot_is_free, write_word
from hvlab.kernel import I, routine
from hvlab.trace import synic_events as events
from hvlab.wire.synic import TIMERS, StimerConfig

ENABLE, PERIODIC, LAZY, AUTO, VECTOR, DIRECT, SINT = (
    I(StimerConfig.mask(name)) for name in ("enable", "periodic", "lazy", "auto_enable", "vector", "direct", "sint")
)
VECTOR_AT, SINT_AT = I(StimerConfig.lo("vector")), I(StimerConfig.lo("sint"))
UNIT = I(100)  # nanoseconds
MOST_MISSED = I(8)
PAYLOAD_SIZE = I(24)
TIMER_SPA = I(TIMER_WORDS * 8)
NEVER = I(1 << 56)  # a time that no run of the lab reaches


@routine
def age(m, vp):
    """Return the reference time of a virtual processor's partition."""
    return (m["now"] - m["partition"][m["guest"][vp]["partition"]]["born"]) // UNIT


@routine
def appoint(m, vp, cause, timer):
    """Enter the next expiry into the agenda."""
    t = m["timer"][vp][timer]
    if t["due"] < NEVER:
        born = m["partition"][m["guest"][vp]["partition"]]["born"]
        agenda.put(m, born + t["due"] * UNIT, agenda.STIMER, vp, timer, t["expired"], cause)


@routine
def stop(m, trace, vp, cause, timer):
    """Stop a timer; a message of its that still waits is forgotten."""
    t = m["timer"][vp][timer]
    if t["due"] == 0 and t["queued"] == 0:
        return cause
    agenda.cancel(m, agenda.STIMER, vp, timer)
    if t["queued"] != 0:
        unlink(m, vp, t["queued"] - 1, timer + TIMER_TICKET)
        m["messages"]["dropped"] += 1
    t["due"], t["queued"], t["missed"] = ZERO, ZERO, ZERO
    return events.timer_stopped(m, trace, vp, cause, timer)


@routine
def start(m, mem, trace, vp, cause, timer):
    """Let a timer run, whose registers are set; a time in the past expires at once."""
    t, now = m["timer"][vp][timer], age(m, vp)
    periodic = ONE if t["config"] & PERIODIC != 0 else ZERO
    count = t["count"] if t["count"] >= 0 and t["count"] < NEVER else NEVER  # the register is unsigned
    t["due"] = min(now + count, NEVER) if periodic != 0 else count
    cause = events.timer_started(m, trace, vp, cause, timer, t["due"], periodic, t["count"])
    if t["due"] <= now:
        return expire(m, mem, trace, vp, cause, timer)
    appoint(m, vp, cause, timer)
    return cause


@routine
def allowed(config, count):
    """Return a configuration as it sticks: no timer runs on SINT 0 (unless direct), or without a count."""
    if count == 0 or config & SINT == 0 and config & DIRECT == 0:
        return config & ~ENABLE
    return config


@routine
def set_config(m, mem, trace, vp, cause, timer, value):
    """A write to STIMERx_CONFIG."""
    if timer < 0 or timer >= TIMERS:
        return cause
    t = m["timer"][vp][timer]
    cause = stop(m, trace, vp, cause, timer)
    t["config"] = allowed(value, t["count"])
    return start(m, mem, trace, vp, cause, timer) if t["config"] & ENABLE != 0 else cause


@routine
def set_count(m, mem, trace, vp, cause, timer, value):
    """A write to STIMERx_COUNT: 0 stops the timer, anything else starts one that is enabled or enables itself."""
    if timer < 0 or timer >= TIMERS:
        return cause
    t = m["timer"][vp][timer]
    cause = stop(m, trace, vp, cause, timer)
    t["count"] = value
    enable = ENABLE if t["config"] & AUTO != 0 else ZERO
    t["config"] = allowed(t["config"] | enable, value)
    return start(m, mem, trace, vp, cause, timer) if t["config"] & ENABLE != 0 else cause


@routine
def send(m, mem, trace, vp, cause, timer):
    """Send the message of an expiry: into the slot, or into the queue if the slot is full."""
    s, t = m["synic"][vp], m["timer"][vp][timer]
    sint, ticket = t["config"] >> SINT_AT & 15, timer + TIMER_TICKET
    if t["queued"] != 0:
        if t["config"] & LAZY == 0:
            t["missed"] = min(t["missed"] + 2, MOST_MISSED)
        return events.timer_skipped(m, trace, vp, cause, timer, sint, t["missed"])
    if s["scontrol"] & SYNIC_ON == 0 or s["simp"] & PAGE_ON == 0:
        return events.timer_lost(m, trace, vp, cause, timer, sint)
    at, spa = place_of(m, mem, vp, ticket), TIMER_SPA + (vp * TIMERS + timer) * PAYLOAD_SIZE
    write_word(m, mem, trace, vp, cause, at + 2, spa, timer)
    write_word(m, mem, trace, vp, cause, at + 3, spa + 8, t["due"])
    write_word(m, mem, trace, vp, cause, at + 4, spa + 16, age(m, vp))
    m["messages"]["accepted"] += 1
    if s["head"][sint] == 0 and slot_is_free(m, mem, vp, sint):
        return fill(m, mem, trace, vp, cause, sint, TIMER_MESSAGE, PAYLOAD_SIZE, ZERO, at + 2)
    t["queued"] = sint + 1
    return queue(m, mem, trace, vp, cause, sint, TIMER_MESSAGE, ticket)


@routine
def expire(m, mem, trace, vp, cause, timer):
    """A timer is due: send a message or raise a vector, then stop, or wait for the next time."""
    t, now = m["timer"][vp][timer], age(m, vp)
    if t["config"] & ENABLE == 0 or t["due"] > now:
        return cause
    direct = t["config"] & DIRECT != 0
    t["expired"] += 1
    cause = events.timer_expired(m, trace, vp, cause, timer, t["due"], now, ONE if direct else ZERO)
    if direct:
        request(m, mem, trace, vp, cause, t["config"] >> VECTOR_AT & 255, EDGE, ZERO)
    else:
        send(m, mem, trace, vp, cause, timer)
    if t["config"] & PERIODIC == 0:
        t["config"] &= ~ENABLE
        t["due"] = 0
        return cause
    advance(t, now)
    appoint(m, vp, cause, timer)
    return cause


@routine
def advance(t, now):
    """Set the next time of a periodic timer: on its grid; whole periods that passed unseen are skipped."""
    period, lazy = t["count"], t["config"] & LAZY != 0
    behind = (now - t["due"]) // period
    if behind > 0:
        t["due"] += behind * period
        if not lazy:
            t["missed"] = min(t["missed"] + 2 * behind, MOST_MISSED)
    if t["missed"] > 0 and t["queued"] == 0 and period > 1:
        t["missed"] -= 1
        t["due"] += period >> 1
    else:
        t["due"] += period
