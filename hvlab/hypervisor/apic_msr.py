"""The local APIC through model-specific registers: IA32_APIC_BASE, the x2APIC's registers, IA32_TSC_DEADLINE.

An x2APIC's register that is not there, cannot be read, or is given a reserved bit raises #GP. Modes change one step
at a time: off, xAPIC, x2APIC, off. Source: SDM vol. 3A, x2APIC: register address space, state transitions.
"""

from typing import Final

from hvlab.hardware import apic, apic_registers
from hvlab.hardware.memory import signed
from hvlab.hypervisor.core import Hypervisor
from hvlab.hypervisor.intercept import exception
from hvlab.hypervisor.intercept_table import Reason
from hvlab.hypervisor.partition import Fault
from hvlab.hypervisor.virtual_apic import APIC_WRITE
from hvlab.wire.apic import X2APIC, ApicBase, ApicMsr, Lvt, Offset, TimerMode

MASK: Final = (1 << 64) - 1
REGISTERS: Final = range(X2APIC, X2APIC + 0x100)
HERE: Final = frozenset({int(ApicMsr.APIC_BASE), int(ApicMsr.TSC_DEADLINE), *REGISTERS})
ENABLE, EXTENDED, BSP = ApicBase.mask("enable"), ApicBase.mask("x2apic"), ApicBase.mask("bsp")
# From each mode (the bits x2APIC and enable) to which others a write may go; the same mode is always allowed.
NEXT: Final = {0: (ENABLE,), ENABLE: (0, ENABLE | EXTENDED), ENABLE | EXTENDED: (0,)}
ABSENT: Final = 0xFFFF_FFFF  # what a read shows where no APIC answers


def mode(hv: Hypervisor, vp: int) -> int:
    """Return the bits x2APIC and enable of APIC_BASE."""
    return int(hv.state["apic"]["base"][0, vp]) & (ENABLE | EXTENDED)


def value(hv: Hypervisor, vp: int, offset: int) -> int:
    """Return what a register shows; ICR in one piece, in the form of the mode; 0 for none."""
    low = apic_registers.read(hv.state, vp, offset) or 0
    if offset == Offset.ICR and not mode(hv, vp) & EXTENDED:
        low |= (apic_registers.read(hv.state, vp, Offset.ICR_HIGH) or 0) << 32
    return low


def refused(hv: Hypervisor, vp: int, offset: int, word: int) -> bool:
    """Whether a write of this word raises #GP."""
    return apic_registers.refused(hv.state["apic"][0, vp], offset, word)


def put(hv: Hypervisor, vp: int, offset: int, word: int) -> int:
    """Write a register whose bits were looked at; ICR in one piece, in the form of the mode."""
    rows = [(0, int(APIC_WRITE), vp, int(offset), signed(word))]
    if offset == Offset.ICR and not mode(hv, vp) & EXTENDED:
        high, low = (apic_registers.kept(at, half) for at, half in ((Offset.ICR_HIGH, word >> 32), (offset, word)))
        rows = [
            (0, int(APIC_WRITE), vp, int(Offset.ICR_HIGH), high or 0),
            (0, int(APIC_WRITE), vp, int(offset), low or 0),
        ]
    return int(hv.turn(rows)[-1])


def settle(hv: Hypervisor, vp: int) -> None:
    """Let the hypervisor look at a virtual processor's assist page now."""
    hv.state["news"]["who"] |= 1 << vp
    hv.turn()


def read(hv: Hypervisor, vp: int, msr: int) -> int | Fault:
    """RDMSR of one of these: the value, or #GP."""
    # CHECK
    a = hv.state["apic"][0, vp]
    if msr == ApicMsr.APIC_BASE:
        found: int | None = int(a["base"])
    elif msr == ApicMsr.TSC_DEADLINE:
        found = int(a["deadline"])
    else:
        found = apic_registers.read(hv.state, vp, apic_registers.offset_of(msr)) if mode(hv, vp) & EXTENDED else None
    if found is None:
        return exception(hv, "#GP")
    # RECORD
    hv.tell("msr_read", msr=msr, value=found)
    hv.leave(vp, Reason.MSR)
    return found & MASK


def write(hv: Hypervisor, vp: int, msr: int, word: int) -> Fault | None:
    """WRMSR of one of these: nothing, or #GP."""
    # CHECK
    offset = apic_registers.offset_of(msr)
    if msr == ApicMsr.APIC_BASE:
        return _write_base(hv, vp, word)
    if msr == ApicMsr.TSC_DEADLINE:
        if Lvt.decode(hv.state["apic"]["lvt"][0, vp, int(apic.TIMER)]).timer_mode != TimerMode.TSC_DEADLINE:
            return None
        offset = int(apic_registers.DEADLINE)
    elif not mode(hv, vp) & EXTENDED or refused(hv, vp, offset, word):
        return exception(hv, "#GP")
    # ACT
    row = hv.tell("msr_written", msr=msr, value=word, held=0 if offset == Offset.EOI else word)
    with hv.caused_by(row):
        put(hv, vp, offset, word)
    return None


def _write_base(hv: Hypervisor, vp: int, word: int) -> Fault | None:
    # CHECK
    a, old = hv.state["apic"][0, vp], mode(hv, vp)
    new = word & (ENABLE | EXTENDED)
    width = int(hv.state["vp"]["phys_bits"][0, vp])
    allowed = ENABLE | EXTENDED | BSP | (1 << width) - (1 << ApicBase.lo("frame"))
    if word & ~allowed or new not in NEXT or new != old and new not in NEXT[old]:
        return exception(hv, "#GP")
    # ACT
    if new != old and new == 0:
        apic.reset(a)
    if new != old:
        a["id"] = a["number"]
    a["base"] = word
    # RECORD
    hv.tell("msr_written", msr=ApicMsr.APIC_BASE, value=word, held=word)
    hv.leave(vp, Reason.MSR)
    return None


def read_page(hv: Hypervisor, vp: int, offset: int) -> int:
    """Read 32 bits of the register page of an xAPIC, at GPA APIC_BASE plus an offset; all ones where none answers."""
    found = apic_registers.read(hv.state, vp, offset) if mode(hv, vp) == ENABLE else None
    return ABSENT if found is None else found


def write_page(hv: Hypervisor, vp: int, offset: int, word: int) -> int:
    """Write 32 bits of the register page of an xAPIC; return what the register answers.

    A register that is not there is noted in ESR; read-only ones and an APIC in another mode ignore the write.
    """
    a = hv.state["apic"][0, vp]
    if mode(hv, vp) != ENABLE:
        return 0
    if refused(hv, vp, offset, word):
        a["errors"] = int(a["errors"]) | apic_registers.ILLEGAL_REGISTER
        return 0
    kept = apic_registers.kept(offset, word)
    return 0 if kept is None else int(hv.turn([(0, int(APIC_WRITE), vp, int(offset), kept)])[0])
