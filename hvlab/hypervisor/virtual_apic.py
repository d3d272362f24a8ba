"""What the hypervisor does around a virtual processor's local APIC: exits, the assist page, and the timer's agenda.

Without help each write to EOI, TPR and ICR leaves the guest. Two ways save exits. The VP assist page: the hypervisor
says in advance that the next EOI may wait, and the guest clears one bit instead (TLFS, virtual interrupts: EOI
assist). Virtual interrupt delivery: the processor itself does the work, except where the hypervisor must see it: the
EOI of a level interrupt, an IPI to another processor (SDM vol. 3C, APIC virtualization and virtual interrupts).

SIMPLER THAN REAL: with virtual interrupt delivery a fixed interrupt to a running processor costs no exit either (posted
interrupts); the threshold below which a TPR write does exit is not there.
"""

from hvlab.hardware import apic, apic_registers, apic_timer, ioapic
from hvlab.hypervisor import agenda
from hvlab.hypervisor.scheduler import charge
from hvlab.kernel import I, kernel, routine
from hvlab.trace import interrupt_events as events
from hvlab.wire.apic import ApicAssist, Icr

# operations of the event kernel: what a and b are; what the answer is
APIC_WRITE = I(32)  # offset, value; ICR: the processors that it means, as bits; EOI: the vector or -1
PIN_LINE = I(33)  # pin, level; as `ioapic.set_line`
PIN_WRITE = I(34)  # pin, entry; 0
PIN_EOI = I(35)  # vector: a write to the I/O APIC's own EOI register; 0
RAISE_NMI = I(36)  # 1, or 0 if it was lost in others
END_NMI = I(37)  # IRET; 0
NO_OPERATION = I(-(1 << 62))

NO_EOI = I(ApicAssist.mask("no_eoi_required"))
ASSISTED, VIRTUAL = I(1), I(2)  # what saved an EOI its exit
TO_SELF = I(1 << Icr.lo("shorthand"))
FORM = I(Icr.mask("shorthand", "delivery_mode", "level"))
NONE, ONE = I(0), I(1)


@kernel
def exit_for(m, vp, saved):
    """Count an exit to the hypervisor, or one that was saved; an exit costs the guest its time."""
    a = m["apic"][vp]
    if saved:
        a["count"]["exits_saved"] += 1
        return
    a["count"]["exits"] += 1
    charge(m, vp, m["cost"]["exit"])


@kernel
def attend(m, mem, trace, vp, cause):
    """Look at a virtual APIC after something reached it: cause.

    If the guest cleared "no EOI required", that EOI took place. Else, if something waits now, the offer is taken back.
    """
    a = m["apic"][vp]
    if a["lazy"] == 0:
        return cause
    at, spa = a["assist_at"], m["guest"][vp]["assist_spn"] << 12
    if mem[at] & NO_EOI == 0:
        a["lazy"] = 0
        _, cause = apic.end(m, trace, vp, cause)
    elif apic.highest(a["irr"]) >= 0:
        a["lazy"] = 0
        old = mem[at]
        mem[at] = old & ~NO_EOI
        cause = events.assist_withdrawn(m, trace, vp, cause, spa, old, mem[at])
    return cause


@kernel
def accept(m, mem, trace, vp, cause):
    """Let a virtual processor take its interrupt, and say "no EOI required" if nothing depends on it: (vector, cause).

    Nothing does if the interrupt is an edge one and nothing else waits.
    """
    a = m["apic"][vp]
    vector, cause = apic.accept(m, trace, vp, cause)
    at = a["assist_at"]
    if vector < apic.LOWEST_VECTOR or at == 0 or a["virtual"] != 0:
        return vector, cause
    word, place = vector >> 6, vector & 63
    served = a["isr"][word] >> place & 1 != 0
    if served and a["tmr"][word] >> place & 1 == 0 and apic.highest(a["irr"]) < 0:
        old = mem[at]
        mem[at] = old | NO_EOI
        a["lazy"] = 1
        cause = events.assist_offered(m, trace, vp, cause, m["guest"][vp]["assist_spn"] << 12, old, mem[at])
    return vector, cause


@kernel
def eoi(m, mem, trace, vp, cause):
    """The guest ends its highest interrupt as cheaply as it can: (vector or -1, 1 if it left the guest, cause).

    The order of an enlightened guest: test and clear the bit; only if it was clear, write the register.
    """
    a = m["apic"][vp]
    at = a["assist_at"]
    if at != 0 and mem[at] & NO_EOI != 0:
        old, vector = mem[at], apic.highest(a["isr"])
        mem[at] = old & ~NO_EOI
        a["count"]["eoi_assisted"] += 1
        a["count"]["exits_saved"] += 1
        cause = events.eoi_saved(m, trace, vp, cause, vector, ASSISTED)
        return (
            vector,
            NONE,
            events.assist_cleared(m, trace, vp, cause, m["guest"][vp]["assist_spn"] << 12, old, mem[at]),
        )
    return write_eoi(m, trace, vp, cause)


@kernel
def write_eoi(m, trace, vp, cause):
    """The guest writes to EOI, whatever its assist page says: (vector or -1, 1 if it left the guest, cause).

    What ended in the assist page and is not known yet ends first.
    """
    a = m["apic"][vp]
    vector, times = apic.highest(a["isr"]), ONE + a["lazy"]
    a["lazy"] = 0
    saved = a["virtual"] != 0 and vector >= 0 and not apic.broadcasts(a, vector)
    if saved:
        a["count"]["eoi_virtual"] += 1
        cause = events.eoi_saved(m, trace, vp, cause, vector, VIRTUAL)
    else:
        a["count"]["eoi_exits"] += 1
        cause = events.eoi_written(m, trace, vp, cause, times)
    exit_for(m, vp, saved)
    for _ in range(times):
        vector, cause = ioapic.eoi(m, trace, vp, cause)
    return vector, NONE if saved else ONE, cause


@routine
def write(m, trace, vp, cause, offset, value):
    """The guest writes another register of its APIC; return what it answers."""
    a = m["apic"][vp]
    self_ipi = offset == apic_registers.SELF_IPI or offset == apic_registers.ICR and value & FORM == TO_SELF
    exit_for(m, vp, a["virtual"] != 0 and (offset == apic_registers.TPR or self_ipi))
    answer = apic_registers.write(m, trace, vp, cause, offset, value)
    arm(m, vp, cause)
    return answer


@routine
def arm(m, vp, cause):
    """Bring the timer's entry on the agenda up to date."""
    a = m["apic"][vp]
    if a["due"] == 0:
        agenda.cancel(m, agenda.APIC_TIMER, vp, NONE)
    elif a["to_arm"] != 0:
        a["to_arm"] = 0
        agenda.put(m, a["due"], agenda.APIC_TIMER, vp, NONE, a["generation"], cause)


@routine
def expire(m, trace, vp, cause, generation):
    """The agenda says that a timer is due."""
    apic_timer.expire(m, trace, vp, cause, generation)
    arm(m, vp, cause)


@routine
def operate(m, trace, op, vp, cause, a, b):
    """Do one operation of the event kernel; return its answer."""
    if op == APIC_WRITE:
        if a == apic_registers.EOI:
            return write_eoi(m, trace, vp, cause)[0]
        return write(m, trace, vp, cause, a, b)
    if op == PIN_LINE:
        return ioapic.set_line(m, trace, cause, a, b)
    if op == PIN_WRITE:
        ioapic.set_entry(m, trace, cause, a, b)
    elif op == PIN_EOI:
        ioapic.ended(m, trace, cause, m["ioapic"]["bus"], a)
    elif op == RAISE_NMI:
        return apic.raise_nmi(m, trace, vp, cause)[0]
    elif op == END_NMI:
        apic.end_nmi(m, trace, vp, cause)
    else:
        return NO_OPERATION
    return NONE
