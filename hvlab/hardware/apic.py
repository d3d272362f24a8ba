"""The local APIC: which interrupt waits (IRR), which is being handled (ISR), and which may come next.

A class is a vector's upper four bits. An interrupt is delivered if its class is above the processor's priority: the
higher of what software set (TPR) and what is in service. Source: SDM vol. 3A, "Advanced Programmable Interrupt
Controller"; Linux arch/x86/kvm/lapic.c.

IRR, ISR and TMR are 256 bits each: four words, vector 0 in bit 0 of the first.
"""

from typing import Any

import numpy as np

from hvlab.kernel import I, kernel, leading_zeros
from hvlab.trace import interrupt_events as events
from hvlab.wire import apic as wire
from hvlab.wire.apic import ApicBase, Esr, Svr

COALESCED, QUEUED, ILLEGAL, DROPPED = I(0), I(1), I(-1), I(-2)
NO_VECTOR = I(-1)
EDGE, LEVEL = I(0), I(1)

ENABLE, SUPPRESS = I(Svr.mask("enable")), I(Svr.mask("suppress_eoi_broadcast"))
GLOBAL_ENABLE, X2APIC = I(ApicBase.mask("enable")), I(ApicBase.mask("x2apic"))
RECEIVED_ILLEGAL = I(Esr.mask("receive_illegal_vector"))
LOWEST_VECTOR, ONE, NONE = I(wire.LOWEST_VECTOR), I(1), I(0)
# raised = delivered + coalesced + waiting + lost (I10)
COUNTS = [(name, I) for name in ("raised", "coalesced", "delivered", "lost", "ended", "broadcasts")]

APIC = [
    ("bus", I),  # APICs with one number reach each other: those of one partition; 0: alone
    ("id", I),
    ("base", I),  # IA32_APIC_BASE
    ("svr", I),
    ("tpr", I),
    ("esr", I),  # what a read shows
    ("errors", I),  # what the next write to ESR will show
    ("irr", I, (4,)),
    ("isr", I, (4,)),
    ("tmr", I, (4,)),
    ("auto_eoi", I, (4,)),  # raised by a SINT with AutoEOI: accepted without a bit in ISR
    ("count", COUNTS),
]


@kernel
def highest(words):
    """Return the highest vector of 256 bits, -1 for none."""
    if words[3] != 0:
        return I(255) - leading_zeros(words[3])
    if words[2] != 0:
        return I(191) - leading_zeros(words[2])
    if words[1] != 0:
        return I(127) - leading_zeros(words[1])
    if words[0] != 0:
        return I(63) - leading_zeros(words[0])
    return NO_VECTOR


@kernel
def priority(tpr, in_service):
    """Return PPR: TPR, or the class in service if that is higher (`in_service` -1: none).

    At equal class the low four bits are those of TPR: the SDM leaves them open; KVM does so (__apic_update_ppr).
    """
    return tpr if tpr >> 4 >= in_service >> 4 else in_service & 0xF0


@kernel
def ppr(a):
    """Return the processor priority."""
    return priority(a["tpr"], highest(a["isr"]))


@kernel
def on(a):
    """Whether the APIC is switched on, in APIC_BASE and by software in SVR."""
    return a["base"] & GLOBAL_ENABLE != 0 and a["svr"] & ENABLE != 0


@kernel
def waiting(a):
    """Return the vector that waits and is above the processor's priority, or -1."""
    vector = highest(a["irr"])
    if vector >> 4 > ppr(a) >> 4 and on(a):
        return vector
    return NO_VECTOR


@kernel
def deliverable(m, vp):
    """Return the vector that a virtual processor would take now if its RFLAGS.IF is set, or -1."""
    return waiting(m["apic"][vp])


@kernel
def raise_vector(m, trace, vp, cause, vector, level, auto_eoi):
    """Let a fixed interrupt arrive: (1 waits, 0 coalesced, -1 illegal, -2 the APIC is off; cause)."""
    a = m["apic"][vp]
    if vector < LOWEST_VECTOR or vector > 255:
        a["errors"] |= RECEIVED_ILLEGAL
        return ILLEGAL, events.vector_refused(m, trace, vp, cause, vector, a["errors"])
    if not on(a):
        return DROPPED, events.vector_dropped(m, trace, vp, cause, vector, level)
    word, bit = vector >> 6, ONE << (vector & 63)
    a["count"]["raised"] += 1
    a["tmr"][word] = a["tmr"][word] & ~bit | (bit if level != 0 else NONE)
    a["auto_eoi"][word] = a["auto_eoi"][word] & ~bit | (bit if auto_eoi != 0 else NONE)
    if a["irr"][word] & bit != 0:
        a["count"]["coalesced"] += 1
        return COALESCED, events.vector_coalesced(m, trace, vp, cause, vector, level)
    a["irr"][word] |= bit
    return QUEUED, events.vector_raised(m, trace, vp, cause, vector, level)


@kernel
def accept(m, trace, vp, cause):
    """Let the processor take its highest interrupt: (vector or -1, cause). IRR to ISR, or nowhere with auto-EOI."""
    a = m["apic"][vp]
    vector = waiting(a)
    if vector < 0:
        return NO_VECTOR, cause
    word, bit = vector >> 6, ONE << (vector & 63)
    a["irr"][word] &= ~bit
    a["count"]["delivered"] += 1
    if a["auto_eoi"][word] & bit != 0:
        a["auto_eoi"][word] &= ~bit
        return vector, events.vector_delivered_and_ended(m, trace, vp, cause, vector, ppr(a))
    a["isr"][word] |= bit
    return vector, events.vector_delivered(m, trace, vp, cause, vector, vector & 0xF0)


@kernel
def end(m, trace, vp, cause):
    """EOI: the highest interrupt in service ends: (vector or -1, cause). It names no vector."""
    a = m["apic"][vp]
    vector = highest(a["isr"])
    if vector < 0:
        return NO_VECTOR, events.eoi_without_interrupt(m, trace, vp, cause, a["tpr"])
    word, bit = vector >> 6, ONE << (vector & 63)
    a["isr"][word] &= ~bit
    level = a["tmr"][word] >> (vector & 63) & 1
    a["count"]["ended"] += 1
    cause = events.vector_ended(m, trace, vp, cause, vector, level, ppr(a))
    if level != 0 and a["svr"] & SUPPRESS == 0:
        a["count"]["broadcasts"] += 1
    return vector, cause


def switch_on(state: Any, vp: int, number: int, bus: int) -> None:
    """Put a local APIC into the state in which firmware hands it to a kernel: x2APIC, enabled by software."""
    state["apic"][0, vp] = np.zeros((), state["apic"].dtype)
    record = state["apic"][0, vp]
    record["bus"], record["id"], record["svr"] = bus, number, Svr.encode(vector=0xFF, enable=1)
    record["base"] = ApicBase.encode(frame=wire.BASE >> 12, enable=1, x2apic=1, bsp=int(number == 0))
