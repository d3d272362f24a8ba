"""The local APIC's timer: one-shot, periodic, or at a value of the time stamp counter.

It counts down from the initial count, one step in `TICK` nanoseconds times the divider. The state holds only the moment
at which the count will be zero; the current count is computed from it when somebody reads. Source: SDM vol. 3A, local
APIC: APIC timer, TSC-deadline mode.
"""

from hvlab.hardware import apic
from hvlab.kernel import I, routine
from hvlab.trace import interrupt_events as events
from hvlab.wire.apic import Divide, Lvt, TimerMode

TICK = I(5)  # nanoseconds: 200 MHz, as Hyper-V tells its guests (Linux prints "LAPIC Timer Frequency")
TSC_PER_NS = I(3)  # a time stamp counter of 3 GHz: assumed
MODE = I(Lvt.lo("timer_mode"))
ONE_SHOT, PERIODIC, TSC_DEADLINE = I(TimerMode.ONE_SHOT), I(TimerMode.PERIODIC), I(TimerMode.TSC_DEADLINE)
LOW, HIGH = I(Divide.mask("low")), I(Divide.mask("high"))
NONE, ONE, SOON = I(0), I(1), I(1)


@routine
def mode(a):
    """Return 0 one-shot, 1 periodic, 2 TSC deadline."""
    return a["lvt"][apic.TIMER] >> MODE & 3


@routine
def step(a):
    """Return the nanoseconds of one count: codes 0 to 6 divide by 2 to 128, code 7 by 1."""
    code = a["divide"] & LOW | (a["divide"] & HIGH) >> 1
    return TICK << ((code + 1) & 7)


@routine
def current(m, a):
    """Return the current count: zero when the timer stands still, and in TSC-deadline mode."""
    if a["due"] <= m["now"] or mode(a) == TSC_DEADLINE:
        return NONE
    return (a["due"] - m["now"] + step(a) - 1) // step(a)


@routine
def aim(m, a, due):
    """Let the timer end at this time (0: stop it); the entry on the agenda that was there is out of date."""
    a["due"] = due
    a["generation"] += 1
    a["to_arm"] = ONE if due != 0 else NONE


@routine
def start(m, trace, vp, cause, value, deadline):
    """Write the initial count, or IA32_TSC_DEADLINE: the timer starts; 0 stops it.

    Each has no effect in the other's mode. A deadline that has passed ends the wait at once.
    """
    a = m["apic"][vp]
    if deadline != (mode(a) == TSC_DEADLINE):
        return
    due = m["now"] + value * step(a)
    if deadline:
        a["deadline"] = value
        due = max(-(-value // TSC_PER_NS), m["now"], SOON)
    else:
        a["initial"] = value
    aim(m, a, due if value != 0 else NONE)
    events.apic_timer_set(m, trace, vp, cause, a["due"], mode(a))


@routine
def set_divide(m, a, value):
    """Write the divide configuration; a running count goes on from where it is."""
    left = current(m, a)
    a["divide"] = value
    if left != 0:
        aim(m, a, m["now"] + left * step(a))


@routine
def set_mode(m, a, entry):
    """Write the timer's entry of the local vector table; a change to or from TSC-deadline mode stops the timer."""
    was = mode(a)
    a["lvt"][apic.TIMER] = entry
    if (was == TSC_DEADLINE) != (mode(a) == TSC_DEADLINE):
        a["deadline"], a["initial"] = NONE, NONE
        aim(m, a, NONE)


@routine
def expire(m, trace, vp, cause, generation):
    """The moment has come: raise the vector unless it is masked, and begin anew if periodic.

    An entry of the agenda that is out of date does nothing.
    """
    a = m["apic"][vp]
    if generation != a["generation"] or a["due"] == 0:
        return
    entry, due = a["lvt"][apic.TIMER], a["due"]
    cause = events.apic_timer_expired(m, trace, vp, cause, entry & 255, mode(a), entry & apic.MASKED)
    a["deadline"] = NONE
    aim(m, a, due + a["initial"] * step(a) if mode(a) == PERIODIC else NONE)
    if entry & apic.MASKED == 0:
        apic.raise_vector(m, trace, vp, cause, entry & 255, apic.EDGE, NONE)
