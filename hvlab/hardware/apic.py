"""The local APIC: which interrupt waits (IRR), which is being handled (ISR), and which may come next.

A class is a vector's upper four bits. An interrupt is delivered if its class is above the processor's priority: the
higher of what software set (TPR) and what is in service. Source: SDM vol. 3A, "Advanced Programmable Interrupt
Controller"; Linux arch/x86/kvm/lapic.c.

IRR, ISR and TMR are 256 bits each: four words, vector 0 in bit 0 of the first. Whatever reaches an APIC marks its
processor in `news`: who runs the processors looks there and wakes them.

SIMPLER THAN REAL: no SMI, no external interrupt controller (8259), no performance and thermal interrupts; LINT0 and
LINT1 are registers without pins. An arriving NMI is remembered as KVM does: two while none is being handled, else one.
"""

from typing import Any

import numpy as np

from hvlab.kernel import I, kernel, leading_zeros, routine
from hvlab.trace import interrupt_events as events
from hvlab.wire import apic as wire
from hvlab.wire.apic import ApicBase, Delivery, Esr, Lvt, Svr

COALESCED, QUEUED, ILLEGAL, DROPPED = I(0), I(1), I(-1), I(-2)
NO_VECTOR, NMI = I(-1), I(2)
EDGE, LEVEL = I(0), I(1)

ENABLE, SUPPRESS = I(Svr.mask("enable")), I(Svr.mask("suppress_eoi_broadcast"))
GLOBAL_ENABLE, X2APIC = I(ApicBase.mask("enable")), I(ApicBase.mask("x2apic"))
SENT_ILLEGAL, RECEIVED_ILLEGAL = I(Esr.mask("send_illegal_vector")), I(Esr.mask("receive_illegal_vector"))
MASKED, SPURIOUS, ALL_ONES = I(Lvt.mask("masked")), I(0xFF), I(0xFFFF_FFFF)
LOWEST_VECTOR, ONE, NONE = I(wire.LOWEST_VECTOR), I(1), I(0)
TIMER, ERROR = I(0), I(5)  # their places in the local vector table
MODE_NMI, MODE_INIT, MODE_STARTUP = I(Delivery.NMI), I(Delivery.INIT), I(Delivery.STARTUP)
COUNTS = [
    # raised = delivered + coalesced + waiting + lost (I10)
    *[(name, I) for name in ("raised", "coalesced", "delivered", "lost", "ended", "broadcasts", "sent")],
    # how software's writes ended: by leaving the guest, or without, thanks to the assist page or the processor
    *[(name, I) for name in ("eoi_exits", "eoi_assisted", "eoi_virtual", "exits", "exits_saved")],
]
APIC = [
    ("bus", I),  # APICs with one number reach each other: those of one partition
    ("number", I),  # the ID that it was made with
    ("id", I),
    ("base", I),  # IA32_APIC_BASE
    ("svr", I),
    ("tpr", I),
    ("ldr", I),  # xAPIC: what software chose; an x2APIC derives it from its ID
    ("dfr", I),
    ("esr", I),  # what a read shows
    ("errors", I),  # what the next write to ESR will show
    ("icr", I),
    ("lvt", I, (wire.LVTS,)),  # timer, thermal, performance, LINT0, LINT1, error, CMCI
    ("irr", I, (4,)),
    ("isr", I, (4,)),
    ("tmr", I, (4,)),
    ("auto_eoi", I, (4,)),  # raised by a SINT with AutoEOI: accepted without a bit in ISR
    ("nmi", I),  # NMIs that wait
    ("nmi_runs", I),  # until IRET
    ("waits", I),  # after INIT, for a start-up IPI
    ("start_page", I),  # what that brought
    # the timer: see apic_timer.py
    ("initial", I),
    ("divide", I),
    ("due", I),  # nanoseconds; 0: it does not run
    ("deadline", I),  # IA32_TSC_DEADLINE
    ("generation", I),
    ("to_arm", I),  # `due` is new and not on the agenda
    # what the hypervisor keeps beside it: see hypervisor/virtual_apic.py
    ("virtual", I),  # the processor delivers and ends interrupts by itself
    ("assist", I),  # HV_X64_MSR_VP_ASSIST_PAGE
    ("assist_at", I),  # place of the page's first word in memory; 0: none
    ("lazy", I),  # "no EOI required" was set, and its EOI is not known yet
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
    """Return what a virtual processor would take now: 2 for an NMI, a vector (if its RFLAGS.IF is set), or -1."""
    a = m["apic"][vp]
    if a["nmi"] > a["nmi_runs"]:
        return NMI
    return waiting(a)


@kernel
def mark(m, vp, row):
    """Leave word for whoever runs the processors that something reached this one, told in this row."""
    m["news"]["who"] |= ONE << vp
    m["news"]["row"][vp] = row


@kernel
def raise_vector(m, trace, vp, cause, vector, level, auto_eoi):
    """Let a fixed interrupt arrive: (1 waits, 0 coalesced, -1 illegal, -2 the APIC is off; cause).

    `level` and `auto_eoi` are 0 or 1. An illegal vector is noted as an error, which may raise the error interrupt of
    the local vector table.
    """
    a, result = m["apic"][vp], QUEUED
    if vector < LOWEST_VECTOR or vector > 255:
        fresh = a["errors"] & RECEIVED_ILLEGAL == 0
        a["errors"] |= RECEIVED_ILLEGAL
        cause = events.vector_refused(m, trace, vp, cause, vector, a["errors"])
        result, vector, level, auto_eoi = ILLEGAL, a["lvt"][ERROR] & 255, EDGE, NONE
        if not fresh or a["lvt"][ERROR] & MASKED != 0 or vector < LOWEST_VECTOR:
            return ILLEGAL, cause
    if not on(a):
        return DROPPED if result == QUEUED else ILLEGAL, events.vector_dropped(m, trace, vp, cause, vector, level)
    word, bit = vector >> 6 & 3, ONE << (vector & 63)  # the mask tells the compiler that it is in range
    a["count"]["raised"] += 1
    a["tmr"][word] = a["tmr"][word] & ~bit | (level & 1) << (vector & 63)
    a["auto_eoi"][word] = a["auto_eoi"][word] & ~bit | (auto_eoi & 1) << (vector & 63)
    if a["irr"][word] & bit != 0:
        a["count"]["coalesced"] += 1
        return min(result, COALESCED), events.vector_coalesced(m, trace, vp, cause, vector, level)
    a["irr"][word] |= bit
    cause = events.vector_raised(m, trace, vp, cause, vector, level)
    mark(m, vp, cause)
    return result, cause


@kernel
def accept(m, trace, vp, cause):
    """Let the processor take an NMI or its highest interrupt: (2, vector or -1; cause).

    IRR to ISR, or nowhere with auto-EOI. The caller knows whether RFLAGS.IF is set.
    """
    a = m["apic"][vp]
    if a["nmi"] > a["nmi_runs"]:
        a["nmi"] -= 1
        a["nmi_runs"] = 1
        return NMI, events.nmi_taken(m, trace, vp, cause, a["nmi"])
    vector = waiting(a)
    if vector < 0:
        return NO_VECTOR, cause
    word, bit = vector >> 6 & 3, ONE << (vector & 63)
    a["irr"][word] &= ~bit
    a["count"]["delivered"] += 1
    if a["auto_eoi"][word] & bit != 0:
        a["auto_eoi"][word] &= ~bit
        return vector, events.vector_delivered_and_ended(m, trace, vp, cause, vector, ppr(a))
    a["isr"][word] |= bit
    return vector, events.vector_delivered(m, trace, vp, cause, vector, vector & 0xF0)


@kernel
def end(m, trace, vp, cause):
    """Let the highest interrupt in service end, whichever that is: (vector or -1; cause).

    Whether the I/O APICs are to hear of it: `broadcasts`.
    """
    a = m["apic"][vp]
    vector = highest(a["isr"])
    if vector < 0:
        return NO_VECTOR, events.eoi_without_interrupt(m, trace, vp, cause, a["tpr"])
    word, bit = vector >> 6 & 3, ONE << (vector & 63)
    a["isr"][word] &= ~bit
    level = a["tmr"][word] >> (vector & 63) & 1
    a["count"]["ended"] += 1
    return vector, events.vector_ended(m, trace, vp, cause, vector, level)


@kernel
def broadcasts(a, vector):
    """Whether the end of this vector is told to the I/O APICs: it was level triggered, and SVR does not forbid it."""
    return a["tmr"][vector >> 6] >> (vector & 63) & 1 != 0 and a["svr"] & SUPPRESS == 0


@routine
def set_tpr(m, trace, vp, cause, value):
    """Write the task priority. CR8 is its upper half."""
    a = m["apic"][vp]
    a["tpr"] = value & 255
    events.tpr_written(m, trace, vp, cause, a["tpr"], ppr(a))


@routine
def raise_nmi(m, trace, vp, cause):
    """Let an NMI arrive: (1 waits, 0 merged with one that waits; cause). Neither TPR nor SVR holds it back."""
    a = m["apic"][vp]
    if a["nmi"] + a["nmi_runs"] >= 2:
        return COALESCED, events.nmi_merged(m, trace, vp, cause, a["nmi"])
    a["nmi"] += 1
    cause = events.nmi_raised(m, trace, vp, cause, a["nmi"])
    mark(m, vp, cause)
    return QUEUED, cause


@routine
def end_nmi(m, trace, vp, cause):
    """IRET of an NMI's handler: the next NMI may come: cause."""
    a = m["apic"][vp]
    if a["nmi_runs"] == 0:
        return cause
    a["nmi_runs"] = 0
    cause = events.nmi_ended(m, trace, vp, cause, a["nmi"])
    if a["nmi"] > 0:
        mark(m, vp, cause)
    return cause


@routine
def forget_waiting(a):
    """Empty IRR, ISR and TMR; what waited is counted as lost."""
    for k in range(4):
        word = a["irr"][k]
        while word != 0:
            a["count"]["lost"] += 1
            word &= ~(ONE << (I(63) - leading_zeros(word)))
        a["irr"][k], a["isr"][k], a["tmr"][k], a["auto_eoi"][k] = 0, 0, 0, 0


@routine
def reset(a):
    """Put the registers into the state after INIT: all but ID and APIC_BASE. Source: SDM vol. 3A, INIT reset."""
    forget_waiting(a)
    a["svr"], a["dfr"], a["tpr"], a["ldr"] = SPURIOUS, ALL_ONES, NONE, NONE
    a["esr"], a["errors"], a["icr"], a["nmi"], a["nmi_runs"] = NONE, NONE, NONE, NONE, NONE
    a["initial"], a["divide"], a["due"], a["deadline"], a["to_arm"], a["lazy"] = NONE, NONE, NONE, NONE, NONE, NONE
    a["generation"] += 1
    for k in range(a["lvt"].shape[0]):
        a["lvt"][k] = MASKED


@routine
def start(m, trace, vp, cause, mode, page):
    """Take INIT (the processor then waits) or a start-up IPI (heard only then)."""
    a = m["apic"][vp]
    if mode == MODE_INIT:
        reset(a)
        a["waits"] = 1
        cause = events.init_received(m, trace, vp, cause, a["count"]["lost"])
    elif a["waits"] == 0:
        events.startup_ignored(m, trace, vp, cause, page)
        return
    else:
        a["waits"], a["start_page"] = NONE, page
        cause = events.startup_received(m, trace, vp, cause, page)
    mark(m, vp, cause)


def switch_on(state: Any, vp: int, number: int, bus: int) -> None:
    """Put a local APIC into the state in which firmware hands it to a kernel: x2APIC, enabled by software."""
    state["apic"][0, vp] = np.zeros((), state["apic"].dtype)
    record = state["apic"][0, vp]
    reset(record)
    record["bus"], record["id"], record["number"], record["svr"] = (
        bus,
        number,
        number,
        Svr.encode(vector=0xFF, enable=1),
    )
    record["base"] = ApicBase.encode(frame=wire.BASE >> 12, enable=1, x2apic=1, bsp=int(number == 0))
    record["generation"] = 0
