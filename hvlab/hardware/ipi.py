"""Who gets an interrupt: APIC IDs, logical destinations, shorthands, and the interrupt command register.

Source: SDM vol. 3A, local APIC: issuing interprocessor interrupts, determining IPI destination; x2APIC: logical
destination mode; Linux arch/x86/kvm/lapic.c (kvm_apic_match_dest).

SIMPLER THAN REAL: "lowest priority" chooses the lowest PPR, and of equals the lowest number; real buses arbitrate.
"""

from hvlab.hardware import apic
from hvlab.kernel import I, routine
from hvlab.trace import interrupt_events as events
from hvlab.wire.apic import Delivery, Icr, Shorthand

FIXED, LOWEST, NMI = I(Delivery.FIXED), I(Delivery.LOWEST), I(Delivery.NMI)
INIT, STARTUP = I(Delivery.INIT), I(Delivery.STARTUP)
MODE, SHORTHAND, DESTINATION = I(Icr.lo("delivery_mode")), I(Icr.lo("shorthand")), I(Icr.lo("destination"))
LOGICAL, ASSERT, LEVEL = I(Icr.mask("logical")), I(Icr.mask("assert_level")), I(Icr.mask("level"))
NOBODY, MYSELF, ALL = I(Shorthand.NONE), I(Shorthand.SELF), I(Shorthand.ALL)
XAPIC_ALL, X2APIC_ALL, FLAT, CLUSTER = I(0xFF), I(0xFFFF_FFFF), I(0xF), I(0)
NONE, ONE = I(0), I(1)


@routine
def logical_id(a):
    """Return LDR: in x2APIC mode the cluster above and one bit below, both from the ID."""
    if a["base"] & apic.X2APIC != 0:
        return a["id"] >> 4 << 16 | ONE << (a["id"] & 15)
    return a["ldr"]


@routine
def reaches(a, logical, destination, everybody):
    """Whether a destination means this APIC; `everybody` is the one that is all of them, in the sender's width."""
    if a["base"] & apic.GLOBAL_ENABLE == 0:
        return False
    if destination == everybody:
        return True
    x2apic, mine = a["base"] & apic.X2APIC != 0, logical_id(a)
    if not logical:
        return destination == (a["id"] if x2apic else a["id"] & 255)
    if x2apic:
        return destination >> 16 == mine >> 16 and destination & mine & 0xFFFF != 0
    mine >>= 24
    if a["dfr"] >> 28 == FLAT:
        return destination & mine & 255 != 0
    return a["dfr"] >> 28 == CLUSTER and destination >> 4 == mine >> 4 and destination & mine & 15 != 0


@routine
def targets(m, bus, logical, destination, everybody):
    """Return the processors of a bus that a destination means, as bits."""
    found = NONE
    for vp in range(m["apic"].shape[0]):
        a = m["apic"][vp]
        if a["bus"] == bus and reaches(a, logical, destination, everybody):
            found |= ONE << vp
    return found


@routine
def least_busy(m, found):
    """Return, of these processors, the one with the lowest priority whose APIC is on, as a bit."""
    best, least = NONE, I(256)
    for vp in range(m["apic"].shape[0]):
        a = m["apic"][vp]
        if found >> vp & 1 != 0 and apic.on(a) and apic.ppr(a) < least:
            best, least = ONE << vp, apic.ppr(a)
    return best


@routine
def deliver(m, trace, cause, found, mode, vector, level):
    """Let a fixed interrupt or an NMI arrive at these processors; return how many took it."""
    if mode == LOWEST:
        found = least_busy(m, found)
    taken = NONE
    for k in range(m["apic"].shape[0]):
        if found >> k & 1 == 0:
            continue
        if mode == NMI:
            apic.raise_nmi(m, trace, I(k), cause)
            taken += 1
        elif mode in (FIXED, LOWEST):
            result, _ = apic.raise_vector(m, trace, I(k), cause, vector, level, NONE)
            taken += I(result >= apic.COALESCED)
    return taken


@routine
def start(m, trace, cause, found, mode, page):
    """Let INIT or a start-up IPI arrive at these processors."""
    for k in range(m["apic"].shape[0]):
        if found >> k & 1 != 0:
            apic.start(m, trace, I(k), cause, mode, page)


@routine
def send(m, trace, vp, cause, command):
    """Write the interrupt command register; return the processors that it means, as bits. `command`: the x2APIC form.

    An illegal vector is not sent; ESR will show it.
    """
    a = m["apic"][vp]
    a["icr"] = command
    vector, mode, who = command & 255, command >> MODE & 7, command >> SHORTHAND & 3
    if mode in (FIXED, LOWEST) and vector < apic.LOWEST_VECTOR:
        a["errors"] |= apic.SENT_ILLEGAL
        events.ipi_refused(m, trace, vp, cause, command, a["errors"])
        return NONE
    found, me = NONE, ONE << vp
    if who == NOBODY:
        everybody = X2APIC_ALL if a["base"] & apic.X2APIC != 0 else XAPIC_ALL
        found = targets(m, a["bus"], command & LOGICAL != 0, command >> DESTINATION & X2APIC_ALL, everybody)
    elif who == MYSELF:
        found = me if mode == FIXED else NONE  # to oneself only fixed ones may go
    else:
        found = targets(m, a["bus"], False, X2APIC_ALL, X2APIC_ALL) & ~(NONE if who == ALL else me)
    if mode == INIT and command & LEVEL != 0 and command & ASSERT == 0:
        found = NONE  # "INIT level de-assert": processors since the Pentium 4 ignore it
    a["count"]["sent"] += 1
    cause = events.ipi_sent(m, trace, vp, cause, command, found)
    if mode in (INIT, STARTUP):
        start(m, trace, cause, found, mode, vector)
    else:
        deliver(m, trace, cause, found, mode, vector, apic.EDGE)
    return found
