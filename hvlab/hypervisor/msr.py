"""Model-specific registers of a guest: the synthetic ones, the local APIC's, and the hypercall page.

Which there are, who may use them and how is one table, `wire.msrs`; here is what they do. A register that is not there,
a privilege that is missing, a write to a read-only one: #GP in the guest. Source: TLFS; Linux arch/x86/kvm/hyperv.c.

A write to a locked HYPERCALL register gets #GP, as in OpenVMM (hv1_emulator, msr_write); the TLFS leaves it open.
A SINT may be masked whatever its vector; unmasked, a vector below 16 gets #GP, as in the TLFS and in KVM (policy
`openvmm_vector`: it is taken, and the APIC refuses the interrupt).

SIMPLER THAN REAL: where the second level has no table for the chosen page and the pool is empty, the write gets #GP.
SIMPLER THAN REAL: re-enlightenment and TSC emulation are kept and have no effect: nobody moves to another machine yet.
"""

from hvlab.hardware import apic_timer
from hvlab.hardware.memory import NOBODY, signed
from hvlab.hypervisor import apic_msr, clockwork, msr_pages, pages, synic_ops
from hvlab.hypervisor.address import UX, R, X, leaf, over, own, set_entry, tables_missing
from hvlab.hypervisor.core import Hypervisor
from hvlab.hypervisor.intercept import exception
from hvlab.hypervisor.intercept_table import Reason
from hvlab.hypervisor.partition import INTEL, Fault
from hvlab.wire.apic import Offset
from hvlab.wire.msrs import REGISTERS, SyntheticRegister
from hvlab.wire.synic import LOWEST_VECTOR, SINTS, SVERSION, TIMERS, Sint, StimerConfig
from hvlab.wire.tlfs import HypercallMsr, Msr

MASK = (1 << 64) - 1
# The hypercall page's code. Source: SDM vol. 2 (VMCALL 0f 01 c1), APM vol. 3 (VMMCALL 0f 01 d9), near return c3.
CODE = {INTEL: bytes.fromhex("0f01c1c3"), 2: bytes.fromhex("0f01d9c3")}
ENABLE, LOCKED = HypercallMsr.mask("enable"), HypercallMsr.mask("locked")
TSC_FREQUENCY = msr_pages.TICKS * 1_000_000_000
APIC_FREQUENCY = 1_000_000_000 // int(apic_timer.TICK)
SINT_REGISTERS = range(Msr.SINT0, Msr.SINT0 + SINTS)
TIMER_REGISTERS = range(Msr.STIMER0_CONFIG, Msr.STIMER0_CONFIG + 2 * TIMERS)
CRASH_REGISTERS = range(Msr.CRASH_P0, Msr.CRASH_CTL + 1)
CONTROLS = {
    Msr.REENLIGHTENMENT_CONTROL: 0,
    Msr.TSC_EMULATION_CONTROL: 1,
    Msr.TSC_EMULATION_STATUS: 2,
    Msr.TSC_INVARIANT_CONTROL: 3,
}
APIC_OFFSETS = {Msr.EOI: Offset.EOI, Msr.ICR: Offset.ICR, Msr.TPR: Offset.TPR}
CRASH_NOTIFY = 1 << 63  # CRASH_CTL: tell the parent


def allowed(hv: Hypervisor, vp: int, msr: int) -> SyntheticRegister | None:
    """Return the register if it exists and the partition has the privilege for it."""
    register = REGISTERS.get(msr)
    held = int(hv.state["partition"]["privileges"][0, hv.slot_of(vp)])
    return register if register is not None and not register.bit & ~held else None


def read(hv: Hypervisor, vp: int, msr: int) -> int | Fault:
    """RDMSR: the value, or #GP."""
    # CHECK
    if msr in apic_msr.HERE:
        return apic_msr.read(hv, vp, msr)
    register = allowed(hv, vp, msr)
    if register is None or "R" not in register.access:
        return exception(hv, "#GP")
    # ACT
    value = _value(hv, vp, register.msr)
    # RECORD
    row = hv.tell("msr_read", msr=msr, value=value)
    hv.leave(vp, Reason.MSR)
    if msr == Msr.GUEST_IDLE:
        with hv.caused_by(row):
            hv.turn([(0, int(clockwork.HALT), vp)])
    return value


def _value(hv: Hypervisor, vp: int, msr: Msr) -> int:
    record, synic = hv.state["partition"][0, hv.slot_of(vp)], hv.state["synic"][0, vp]
    if msr in msr_pages.KEPT:
        return msr_pages.read(hv, vp, msr)
    if msr in SINT_REGISTERS:
        return int(synic["sint"][msr - Msr.SINT0]) & MASK
    if msr in TIMER_REGISTERS:
        number = msr - Msr.STIMER0_CONFIG
        return int(hv.state["timer"][0, vp, number >> 1]["count" if number & 1 else "config"]) & MASK
    if msr in CRASH_REGISTERS:
        return int(record["crash"][msr - Msr.CRASH_P0]) & MASK
    if msr in CONTROLS:
        return int(record["controls"][CONTROLS[msr]]) & MASK
    if msr in APIC_OFFSETS:
        return apic_msr.value(hv, vp, APIC_OFFSETS[msr])
    values = {
        Msr.GUEST_OS_ID: record["guest_os_id"],
        Msr.HYPERCALL: record["hypercall"],
        Msr.VP_INDEX: hv.state["guest"]["index"][0, vp],
        Msr.VP_RUNTIME: hv.state["run"]["ran"][0, vp] // 100,
        Msr.TIME_REF_COUNT: (hv.state["now"][0] - record["born"]) // 100,
        Msr.TSC_FREQUENCY: TSC_FREQUENCY,
        Msr.APIC_FREQUENCY: APIC_FREQUENCY,
        Msr.SCONTROL: synic["scontrol"],
        Msr.SVERSION: SVERSION,
    }
    return int(values.get(msr, 0)) & MASK  # EOM and GUEST_IDLE read 0


def write(hv: Hypervisor, vp: int, msr: int, value: int) -> Fault | None:
    """WRMSR: nothing, or #GP."""
    # CHECK
    if msr in apic_msr.HERE:
        return apic_msr.write(hv, vp, msr, value)
    register = allowed(hv, vp, msr)
    if register is None or "W" not in register.access or not 0 <= value <= MASK:
        return exception(hv, "#GP")
    if msr == Msr.HYPERCALL:
        return _write_hypercall(hv, vp, hv.slot_of(vp), value)
    if register.msr in msr_pages.KEPT:
        return msr_pages.write(hv, vp, register.msr, value)
    if _wrong(hv, vp, msr, value):
        return exception(hv, "#GP")
    # ACT
    held = 0 if msr in (Msr.EOM, Msr.EOI) else value
    row = hv.tell("msr_written", msr=msr, value=value, held=held)
    hv.leave(vp, Reason.MSR)
    with hv.caused_by(row):
        _act(hv, vp, msr, value)
    return None


def _wrong(hv: Hypervisor, vp: int, msr: int, value: int) -> bool:
    """Whether a value may not be written."""
    if msr in SINT_REGISTERS:
        sint, loose = Sint.decode(value), bool(hv.state["messages"]["openvmm_vector"][0])
        return sint.vector < LOWEST_VECTOR and not sint.masked and not loose
    if msr in TIMER_REGISTERS and msr & 1 == 0:
        return bool(StimerConfig.undeclared(value))
    if msr in APIC_OFFSETS and msr != Msr.EOI:  # any value ends an interrupt here
        return apic_msr.refused(hv, vp, APIC_OFFSETS[Msr(msr)], value)
    return False


def _act(hv: Hypervisor, vp: int, msr: int, value: int) -> None:
    slot, synic = hv.slot_of(vp), hv.state["synic"][0, vp]
    record = hv.state["partition"][0, slot]
    if msr == Msr.GUEST_OS_ID:
        record["guest_os_id"] = signed(value)
        if value == 0 and int(record["hypercall"]) & ENABLE:
            record["hypercall"] = int(record["hypercall"]) & ~ENABLE
            remove_overlay(hv, slot)
    elif msr == Msr.SCONTROL:
        synic["scontrol"] = signed(value)
    elif msr in SINT_REGISTERS:
        synic["sint"][msr - Msr.SINT0] = signed(value)
    elif msr == Msr.EOM:
        hv.turn([(0, int(synic_ops.EOM), vp)])
    elif msr in TIMER_REGISTERS:
        number = msr - Msr.STIMER0_CONFIG
        op = synic_ops.STIMER_COUNT if number & 1 else synic_ops.STIMER_CONFIG
        hv.turn([(0, int(op), vp, number >> 1, signed(value))])
    elif msr in APIC_OFFSETS:
        apic_msr.put(hv, vp, APIC_OFFSETS[Msr(msr)], 0 if msr == Msr.EOI else value)
    elif msr in CRASH_REGISTERS:
        record["crash"][msr - Msr.CRASH_P0] = signed(value)
        if msr == Msr.CRASH_CTL and value & CRASH_NOTIFY:
            words = {f"p{k}": int(record["crash"][k]) for k in range(5)}
            hv.tell("crash_reported", **words, control=value)
    else:
        record["controls"][CONTROLS[Msr(msr)]] = signed(value)


def _write_hypercall(hv: Hypervisor, vp: int, slot: int, value: int) -> Fault | None:
    # CHECK
    record = hv.state["partition"][0, slot]
    gpn, enable, held = value >> HypercallMsr.lo("gpn"), value & ENABLE, value
    if int(record["hypercall"]) & LOCKED:
        return exception(hv, "#GP")
    if int(record["guest_os_id"]) == 0:
        enable, held = 0, value & ~ENABLE
    move = enable and int(record["overlay_gpn"]) != gpn
    if enable and gpn >> int(hv.state["vp"]["phys_bits"][0, vp]) - 12 != 0:
        return exception(hv, "#GP")
    if move and (gpn >= 1 << 9 * int(hv.state["hypervisor"]["levels"][0]) or not _room(hv, slot, gpn)):
        return exception(hv, "#GP")
    # ACT
    record["hypercall"] = signed(held)
    row = hv.tell("msr_written", msr=Msr.HYPERCALL, value=value, held=held)
    hv.leave(vp, Reason.MSR)
    with hv.caused_by(row):
        if int(record["overlay_gpn"]) >= 0 and (move or not enable):
            remove_overlay(hv, slot)
        if move:
            place_overlay(hv, slot, gpn)
    return None


def _room(hv: Hypervisor, slot: int, gpn: int) -> bool:
    return over(hv, slot, gpn) is None and tables_missing(hv, slot, gpn) <= len(pages.pool(hv, slot)[0])


def place_overlay(hv: Hypervisor, slot: int, gpn: int) -> None:
    """Lay the partition's hypercall page over a guest page; what was mapped there waits underneath."""
    # ACT
    record = hv.state["partition"][0, slot]
    spn = int(record["overlay_spn"])
    below, rights, _ = own(hv, slot, gpn)
    record["beneath"] = signed(leaf(hv.state, below, rights)) if rights else 0
    set_entry(hv, slot, gpn, leaf(hv.state, spn, R | X | UX), lambda: pages.take(hv, slot))
    record["overlay_gpn"] = gpn
    hv.memory.mark(spn, table=0, sharer=slot, share_rights=R | X)
    if rights:
        hv.owe_flush(slot)
    # RECORD
    hv.tell("overlay_placed", partition=hv.id_of(slot), gpa=gpn << 12, spa=spn << 12)


def remove_overlay(hv: Hypervisor, slot: int) -> None:
    """Take the hypercall page away; the guest's own page shows again."""
    # ACT
    record = hv.state["partition"][0, slot]
    gpn, spn = int(record["overlay_gpn"]), int(record["overlay_spn"])
    set_entry(hv, slot, gpn, int(record["beneath"]), lambda: pages.take(hv, slot))
    record["overlay_gpn"], record["beneath"] = -1, 0
    hv.memory.mark(spn, table=1, sharer=NOBODY, share_rights=0)
    hv.owe_flush(slot)
    # RECORD
    hv.tell("overlay_removed", partition=hv.id_of(slot), gpa=gpn << 12, spa=spn << 12)


def fill_hypercall_page(hv: Hypervisor, spn: int) -> None:
    """Write the instructions of the hypercall page."""
    hv.memory.write(spn << 12, CODE[int(hv.state["hypervisor"]["vendor"][0])])
