"""The local APIC's registers, by their offsets: what a write does, and what a read shows.

The offsets are those of the page of an xAPIC; an x2APIC has the same registers as MSRs 0x800 + offset / 16. What a
register refuses is data (`WRITABLE`), looked at before a write. Source: SDM vol. 3A, local APIC register address map,
x2APIC register address space.
"""

from typing import Any, Final

from hvlab.hardware import apic, apic_timer, ipi
from hvlab.kernel import I, routine
from hvlab.trace import interrupt_events as events
from hvlab.wire.apic import LVTS, X2APIC, ApicBase, Esr, Icr, Lvt, Offset, Svr, Version

TPR, EOI, SVR, ESR = I(Offset.TPR), I(Offset.EOI), I(Offset.SVR), I(Offset.ESR)
ICR, ICR_HIGH, SELF_IPI = I(Offset.ICR), I(Offset.ICR_HIGH), I(Offset.SELF_IPI)
INITIAL, DIVIDE, ID, LDR, DFR = I(Offset.INITIAL_COUNT), I(Offset.DIVIDE), I(Offset.ID), I(Offset.LDR), I(Offset.DFR)
FIRST_LVT, LAST_LVT, CMCI = I(Offset.LVT_TIMER), I(Offset.LVT_ERROR), I(Offset.LVT_CMCI)
DEADLINE = I(0x400)  # not an offset: IA32_TSC_DEADLINE, which is a register of its own
SELF, DESTINATION, LOW = I(1 << Icr.lo("shorthand")), I(Icr.lo("destination")), I(0xFFFF_FFFF)
ILLEGAL_REGISTER: Final = Esr.mask("illegal_register")
VERSION: Final = Version.encode(version=0x14, max_lvt=LVTS - 1, suppress_eoi_broadcast=1)

_LVT = Lvt.mask("vector", "delivery_mode", "masked")
_LINT = _LVT | Lvt.mask("active_low", "level")
_ICR = Icr.mask("vector", "delivery_mode", "logical", "assert_level", "level", "shorthand")
# Bits that software may set; a register that is not here is read-only or absent.
WRITABLE: Final = {
    Offset.TPR: 0xFF,
    Offset.EOI: 0,
    Offset.SVR: Svr.mask("vector", "enable", "focus", "suppress_eoi_broadcast"),
    Offset.ESR: 0,
    Offset.ICR: _ICR | Icr.mask("destination"),
    Offset.LVT_CMCI: _LVT,
    Offset.LVT_TIMER: Lvt.mask("vector", "masked", "timer_mode"),
    Offset.LVT_THERMAL: _LVT,
    Offset.LVT_PERFORMANCE: _LVT,
    Offset.LVT_LINT0: _LINT,
    Offset.LVT_LINT1: _LINT,
    Offset.LVT_ERROR: Lvt.mask("vector", "masked"),
    Offset.INITIAL_COUNT: 0xFFFF_FFFF,
    Offset.DIVIDE: 0b1011,
    Offset.SELF_IPI: 0xFF,
}
XAPIC_ONLY: Final = {Offset.ID: 0xFF << 24, Offset.LDR: 0xFF << 24, Offset.DFR: 0xF << 28, Offset.ICR_HIGH: 0xFF << 24}
X2APIC_ABSENT: Final = (Offset.DFR, Offset.ICR_HIGH, Offset.APR, Offset.RRR)
WRITE_ONLY: Final = (Offset.EOI, Offset.SELF_IPI)


@routine
def lvt_of(offset):
    """Return the place of an entry in the local vector table, -1 for other registers."""
    if offset == CMCI:
        return I(LVTS - 1)
    return (offset - FIRST_LVT) >> 4 if FIRST_LVT <= offset <= LAST_LVT else I(-1)


@routine
def set_plain(m, a, offset, value):
    """Write a register that does nothing but hold what it is given. An APIC switched off keeps its vectors masked."""
    place = lvt_of(offset)
    if place >= 0:
        entry = value | apic.MASKED if a["svr"] & apic.ENABLE == 0 else value
        if place == apic.TIMER:
            apic_timer.set_mode(m, a, entry)
        else:
            a["lvt"][place] = entry
    elif offset == SVR:
        a["svr"] = value
        if value & apic.ENABLE == 0:
            for k in range(LVTS):
                a["lvt"][k] |= apic.MASKED
    elif offset == ESR:
        a["esr"], a["errors"] = a["errors"], I(0)
    elif offset == DIVIDE:
        apic_timer.set_divide(m, a, value)
    elif offset == ICR_HIGH:
        a["icr"] = a["icr"] & LOW | value >> 24 << DESTINATION
    elif offset == LDR:
        a["ldr"] = value
    elif offset == DFR:
        a["dfr"] = value | LOW >> 4
    elif offset == ID:
        a["id"] = value >> 24


@routine
def write(m, trace, vp, cause, offset, value):
    """Write a register other than EOI; return for the ICR the processors that it means, as bits, else 0.

    The bits were looked at (`refused`). EOI: `ioapic.eoi`.
    """
    a = m["apic"][vp]
    if offset in (ICR, SELF_IPI):
        command = SELF | value if offset == SELF_IPI else value
        if offset == ICR and a["base"] & apic.X2APIC == 0:  # the destination stands in ICR_HIGH
            command = a["icr"] & ~LOW | value & LOW
        return ipi.send(m, trace, vp, cause, command)
    if offset == TPR:
        apic.set_tpr(m, trace, vp, cause, value)
    elif offset in (INITIAL, DEADLINE):
        apic_timer.start(m, trace, vp, cause, value, offset == DEADLINE)
    else:
        events.apic_written(m, trace, vp, cause, offset, value)
        set_plain(m, a, offset, value)
    return I(0)


def _known(offset: int) -> bool:
    bitmaps = Offset.ISR <= offset < Offset.ESR
    return offset & 15 == 0 and (bitmaps or offset in Offset.__members__.values())


def refused(a: Any, offset: int, value: int) -> bool:
    """Whether a write raises #GP (x2APIC), or is an error (xAPIC): no such register, or a bit that must be 0."""
    x2apic = bool(int(a["base"]) & ApicBase.mask("x2apic"))
    if x2apic:
        return offset not in WRITABLE or bool(value & ~WRITABLE[Offset(offset)])
    return offset == Offset.SELF_IPI or not _known(offset)


def kept(offset: int, value: int) -> int | None:
    """Return what of a write to an xAPIC's register counts: 32 bits less the reserved ones; None: read-only."""
    masks = WRITABLE | XAPIC_ONLY
    return value & masks[Offset(offset)] & 0xFFFF_FFFF if offset in masks else None


def read(state: Any, vp: int, offset: int) -> int | None:
    """Return what a register shows; None for one that is not there, or cannot be read."""
    m, a = state[0], state["apic"][0, vp]
    x2apic = bool(int(a["base"]) & ApicBase.mask("x2apic"))
    if not _known(offset) or offset == Offset.SELF_IPI or x2apic and offset in (*X2APIC_ABSENT, Offset.EOI):
        return None
    if Offset.ISR <= offset < Offset.ESR:
        name, part = (("isr", "tmr", "irr")[offset - Offset.ISR >> 7]), offset >> 4 & 7
        return int(a[name][part >> 1]) >> 32 * (part & 1) & 0xFFFF_FFFF
    if lvt_of(I(offset)) >= 0:
        return int(a["lvt"][int(lvt_of(I(offset)))])
    identity = int(a["id"])
    icr = int(a["icr"])
    shown = {
        Offset.ID: identity if x2apic else identity << 24 & 0xFFFF_FFFF,
        Offset.VERSION: VERSION,
        Offset.TPR: int(a["tpr"]),
        Offset.PPR: int(apic.ppr(a)),
        Offset.LDR: int(ipi.logical_id(a)),
        Offset.DFR: int(a["dfr"]),
        Offset.SVR: int(a["svr"]),
        Offset.ESR: int(a["esr"]),
        Offset.ICR: icr & (1 << 64) - 1 if x2apic else icr & 0xFFFF_FFFF,
        Offset.ICR_HIGH: (icr >> 32 & 0xFF) << 24,
        Offset.INITIAL_COUNT: int(a["initial"]),
        Offset.CURRENT_COUNT: int(apic_timer.current(m, a)),
        Offset.DIVIDE: int(a["divide"]),
    }
    return shown.get(Offset(offset), 0)


def offset_of(msr: int) -> int:
    """Return the offset of an x2APIC register's MSR."""
    return msr - X2APIC << 4
