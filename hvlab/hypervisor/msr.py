"""Synthetic model-specific registers, and the hypercall page that one of them places over a guest page.

Source: TLFS, establishing the hypercall interface; overlay pages.

A write to a locked HYPERCALL register gets #GP, as in OpenVMM (hv1_emulator, msr_write); the TLFS leaves it open.

SIMPLER THAN REAL: where the second level has no table for the chosen page and the pool is empty, the write gets #GP.
"""

from hvlab.hardware.memory import NOBODY, signed
from hvlab.hypervisor import pages
from hvlab.hypervisor.address import UX, R, X, leaf, own, set_entry, tables_missing
from hvlab.hypervisor.core import Hypervisor
from hvlab.hypervisor.intercept import exception
from hvlab.hypervisor.partition import INTEL, Fault
from hvlab.wire.tlfs import HypercallMsr, Msr, PrivilegeMask

MASK = (1 << 64) - 1
# The hypercall page's code. Source: SDM vol. 2 (VMCALL 0f 01 c1), APM vol. 3 (VMMCALL 0f 01 d9), near return c3.
CODE = {INTEL: bytes.fromhex("0f01c1c3"), 2: bytes.fromhex("0f01d9c3")}
NEEDS = {
    Msr.GUEST_OS_ID: "access_hypercall_msrs",
    Msr.HYPERCALL: "access_hypercall_msrs",
    Msr.VP_INDEX: "access_vp_index",
    Msr.TIME_REF_COUNT: "access_partition_reference_counter",
}
READ_ONLY = (Msr.VP_INDEX, Msr.TIME_REF_COUNT)
ENABLE, LOCKED = HypercallMsr.mask("enable"), HypercallMsr.mask("locked")


def allowed(hv: Hypervisor, vp: int, msr: int) -> bool:
    """Whether the register exists and the partition has the privilege for it."""
    if msr not in NEEDS:
        return False
    held = int(hv.state["partition"]["privileges"][0, hv.slot_of(vp)])
    return bool(held & PrivilegeMask.mask(NEEDS[Msr(msr)]))


def read(hv: Hypervisor, vp: int, msr: int) -> int | Fault:
    """RDMSR: the value, or #GP."""
    # CHECK
    if not allowed(hv, vp, msr):
        return exception(hv, "#GP")
    # ACT
    record = hv.state["partition"][0, hv.slot_of(vp)]
    value = {
        Msr.GUEST_OS_ID: int(record["guest_os_id"]) & MASK,
        Msr.HYPERCALL: int(record["hypercall"]) & MASK,
        Msr.VP_INDEX: int(hv.state["guest"]["index"][0, vp]),
        Msr.TIME_REF_COUNT: int(hv.state["now"][0]) // 100,
    }[Msr(msr)]
    # RECORD
    hv.tell("msr_read", msr=msr, value=value)
    hv.spend("exit")
    return value


def write(hv: Hypervisor, vp: int, msr: int, value: int) -> Fault | None:
    """WRMSR: nothing, or #GP."""
    # CHECK
    if not allowed(hv, vp, msr) or msr in READ_ONLY or not 0 <= value <= MASK:
        return exception(hv, "#GP")
    slot = hv.slot_of(vp)
    record = hv.state["partition"][0, slot]
    if msr == Msr.HYPERCALL:
        return _write_hypercall(hv, vp, slot, value)
    # ACT
    record["guest_os_id"] = signed(value)
    row = hv.tell("msr_written", msr=msr, value=value, held=value)
    hv.spend("exit")
    if value == 0 and int(record["hypercall"]) & ENABLE:
        with hv.caused_by(row):
            record["hypercall"] = int(record["hypercall"]) & ~ENABLE
            remove_overlay(hv, slot)
    return None


def _write_hypercall(hv: Hypervisor, vp: int, slot: int, value: int) -> Fault | None:
    # CHECK
    record = hv.state["partition"][0, slot]
    gpn, enable = value >> HypercallMsr.lo("gpn"), value & ENABLE
    if int(record["hypercall"]) & LOCKED:
        return exception(hv, "#GP")
    if int(record["guest_os_id"]) == 0:
        enable, value = 0, value & ~ENABLE
    move = enable and int(record["overlay_gpn"]) != gpn
    if enable and gpn >> int(hv.state["vp"]["phys_bits"][0, vp]) - 12 != 0:
        return exception(hv, "#GP")
    if move and (gpn >= 1 << 9 * int(hv.state["hypervisor"]["levels"][0]) or not _room(hv, slot, gpn)):
        return exception(hv, "#GP")
    # ACT
    record["hypercall"] = signed(value)
    row = hv.tell("msr_written", msr=Msr.HYPERCALL, value=value, held=value)
    hv.spend("exit")
    with hv.caused_by(row):
        if int(record["overlay_gpn"]) >= 0 and (move or not enable):
            remove_overlay(hv, slot)
        if move:
            place_overlay(hv, slot, gpn)
    return None


def _room(hv: Hypervisor, slot: int, gpn: int) -> bool:
    return tables_missing(hv, slot, gpn) <= len(pages.pool(hv, slot)[0])


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
