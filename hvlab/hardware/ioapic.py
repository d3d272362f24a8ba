"""The I/O APIC: 24 pins, and for each an entry that says which interrupt goes to whom.

An edge sends once. A level sends, and then holds back (Remote IRR) until a local APIC tells that the vector ended; if
the pin is still asserted, it sends again. Source: Intel 82093AA; SDM vol. 3A, local APIC: EOI; KVM's ioapic.c.

SIMPLER THAN REAL: there is one I/O APIC, that of the machine itself; it sends to the processors of the root partition.
SIMPLER THAN REAL: pins deliver fixed, lowest-priority and NMI interrupts; not SMI, INIT, external ones.
SIMPLER THAN REAL: polarity is kept and has no effect: `level` 1 means that the pin is asserted.
"""

from typing import Any

from hvlab.hardware import apic, ipi
from hvlab.kernel import I, kernel, routine
from hvlab.trace import interrupt_events as events
from hvlab.wire.apic import PINS, Redirection

MASKED, LEVEL = I(Redirection.mask("masked")), I(Redirection.mask("level"))
REMOTE_IRR, READ_ONLY = I(Redirection.mask("remote_irr")), I(Redirection.mask("remote_irr", "pending"))
LOGICAL, MODE = I(Redirection.mask("logical")), I(Redirection.lo("delivery_mode"))
DESTINATION = I(Redirection.lo("destination"))
NONE, ONE = I(0), I(1)
IOAPIC = [
    ("bus", I),
    ("id", I),
    ("asserted", I),  # pins, as bits
    ("entry", I, (PINS,)),
    ("wanted", I),  # pins that are to send, as bits
    ("row", I),  # why
]
VERSION = 0x20 | PINS - 1 << 16  # 0x20: it has an EOI register
ID_BITS = 0xF << 24


@routine
def ready(io, pin):
    """Whether a level entry is to send: asserted, not masked, not waiting for an EOI."""
    entry = io["entry"][pin]
    return io["asserted"] >> pin & 1 != 0 and entry & LEVEL != 0 and entry & (MASKED | REMOTE_IRR) == 0


@routine
def want(io, pin, row):
    """Note that a pin is to send, because of what is told in this row: `pump` does it."""
    io["wanted"] |= ONE << pin
    io["row"] = row


@routine
def pump(m, trace):
    """Let every pin send that is to; a level that somebody took holds back from then on."""
    io = m["ioapic"]
    for k in range(PINS):
        pin = I(k)
        if io["wanted"] >> pin & 1 == 0:
            continue
        entry = io["entry"][pin]
        level = ONE if entry & LEVEL != 0 else NONE
        found = ipi.targets(m, io["bus"], entry & LOGICAL != 0, entry >> DESTINATION & 255, ipi.XAPIC_ALL)
        cause = events.pin_sent(m, trace, I(-1), io["row"], pin, entry & 255, level, found)
        taken = ipi.deliver(m, trace, cause, found, entry >> MODE & 7, entry & 255, level)
        if level != 0 and taken > 0:
            io["entry"][pin] |= REMOTE_IRR
    io["wanted"], io["row"] = NONE, I(-1)


@routine
def set_line(m, trace, cause, pin, level):
    """Assert or release a pin: 1 it sends, 0 nothing new, -1 masked, -2 held back (Remote IRR), -3 no such pin."""
    io = m["ioapic"]
    if pin < 0 or pin >= PINS:
        return I(-3)
    was, bit, entry = io["asserted"] >> pin & 1, ONE << pin, io["entry"][pin]
    io["asserted"] = io["asserted"] & ~bit | (bit if level != 0 else NONE)
    if level == 0 or entry & LEVEL == 0 and was != 0:
        return NONE
    if entry & MASKED != 0:
        events.pin_masked(m, trace, I(-1), cause, pin, entry & 255)
        return I(-1)
    if entry & LEVEL != 0 and entry & REMOTE_IRR != 0:
        events.pin_held(m, trace, I(-1), cause, pin, entry & 255)
        return I(-2)
    want(io, pin, cause)
    return ONE


@routine
def ended(m, trace, cause, bus, vector):
    """A local APIC of a bus told that a level vector ended: Remote IRR goes, and who is still asserted sends: cause."""
    io = m["ioapic"]
    if bus != io["bus"]:
        return cause
    for k in range(PINS):
        pin, entry = I(k), io["entry"][k]
        if entry & 255 == vector and entry & LEVEL != 0 and entry & REMOTE_IRR != 0:
            io["entry"][pin] &= ~REMOTE_IRR
            cause = events.pin_ended(m, trace, I(-1), cause, pin, vector, io["asserted"] >> pin & 1)
            if ready(io, pin):
                want(io, pin, cause)
    return cause


@routine
def set_entry(m, trace, cause, pin, entry):
    """Write a redirection entry. Pending and Remote IRR are read-only, but an edge entry has no Remote IRR.

    Linux and Xen clear a stuck Remote IRR by making the entry an edge one for a moment (KVM ioapic_write_indirect).
    """
    io = m["ioapic"]
    if pin < 0 or pin >= PINS:
        return
    entry = entry & ~READ_ONLY | io["entry"][pin] & READ_ONLY
    io["entry"][pin] = entry if entry & LEVEL != 0 else entry & ~REMOTE_IRR
    cause = events.pin_programmed(m, trace, I(-1), cause, pin, io["entry"][pin])
    if ready(io, pin):
        want(io, pin, cause)


@kernel
def eoi(m, trace, vp, cause):
    """Software ends its highest interrupt, and the I/O APIC hears of a level one: (vector or -1; cause)."""
    vector, cause = apic.end(m, trace, vp, cause)
    a = m["apic"][vp]
    if vector >= 0 and apic.broadcasts(a, vector):
        a["count"]["broadcasts"] += 1
        cause = ended(m, trace, cause, a["bus"], vector)
    return vector, cause


def switch_on(state: Any, bus: int) -> None:
    """Put the I/O APIC into the state after reset: every entry masked."""
    record = state["ioapic"]
    record["bus"], record["id"], record["asserted"] = bus, 0, 0
    record["wanted"], record["row"] = 0, -1
    record["entry"] = Redirection.encode(masked=1)


def read_register(state: Any, index: int) -> int:
    """Read through the window: 0 ID, 1 version, 2 arbitration ID, from 0x10 on the entries in halves. 32 bits."""
    record = state["ioapic"]
    if index in (0, 2):
        return int(record["id"][0])
    if index == 1:
        return VERSION
    pin = index - 0x10 >> 1
    if not 0 <= pin < PINS:
        return 0
    return int(record["entry"][0, pin]) >> 32 * (index & 1) & 0xFFFF_FFFF


def entry_after(state: Any, index: int, value: int) -> tuple[int, int] | None:
    """Write ID (bits 27:24); for half an entry return (pin, whole entry) that is to be set, else None."""
    if index == 0:
        state["ioapic"]["id"] = value & ID_BITS
    pin = index - 0x10 >> 1
    if index < 0x10 or pin >= PINS:
        return None
    shift = 32 * (index & 1)
    word = int(state["ioapic"]["entry"][0, pin]) & ~(0xFFFF_FFFF << shift) | (value & 0xFFFF_FFFF) << shift
    word &= (1 << 64) - 1
    return pin, word - (1 << 64) if word >> 63 else word
