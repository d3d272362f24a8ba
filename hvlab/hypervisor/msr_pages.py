"""Registers that lay a page of the hypervisor over a page of the guest: SIMP, SIEFP, REFERENCE_TSC, VP_ASSIST_PAGE.

Bit 0 enables, bits 63:12 say where; bits 11:1 are kept as they were written. A page beyond the guest's physical address
space is on and out of reach, as the TLFS says of SIMP and SIEFP. Pages keep their content when they move.

SIMPLER THAN REAL: where the pool lacks a page for it, or for a second-level table, the write gets #GP.
"""

import numpy as np

from hvlab.hardware.apic_timer import TSC_PER_NS
from hvlab.hardware.memory import PLACE, signed
from hvlab.hypervisor import apic_msr, overlay, pages
from hvlab.hypervisor.core import Hypervisor
from hvlab.hypervisor.intercept import exception
from hvlab.hypervisor.intercept_table import Reason
from hvlab.hypervisor.overlay import ASSIST_PAGE, FLAGS_PAGE, MESSAGE_PAGE, TSC_PAGE
from hvlab.hypervisor.partition import Fault
from hvlab.wire.synic import ReferenceTscPage
from hvlab.wire.tlfs import Msr

MASK = (1 << 64) - 1
ENABLE, GPN = 1, 12
TICKS = int(TSC_PER_NS)
SCALE = -(-(1 << 64) // (100 * TICKS))  # rounded up: exact for every tick of the first centuries
# kind of page; where the register and the page number are kept
KEPT = {
    Msr.SIMP: (MESSAGE_PAGE, ("synic", "simp"), ("synic", "message_spn")),
    Msr.SIEFP: (FLAGS_PAGE, ("synic", "siefp"), ("synic", "flags_spn")),
    Msr.REFERENCE_TSC: (TSC_PAGE, ("partition", "reference_tsc"), ("partition", "tsc_spn")),
    Msr.VP_ASSIST_PAGE: (ASSIST_PAGE, ("apic", "assist"), ("guest", "assist_spn")),
}


def _field(hv: Hypervisor, vp: int, place: tuple[str, str]) -> tuple[np.void, str]:
    box, name = place
    return hv.state[box][0, hv.slot_of(vp) if box == "partition" else vp], name


def read(hv: Hypervisor, vp: int, msr: Msr) -> int:
    """Return such a register."""
    record, name = _field(hv, vp, KEPT[msr][1])
    return int(record[name]) & MASK


def write(hv: Hypervisor, vp: int, msr: Msr, value: int) -> Fault | None:
    """Write such a register: the page comes, moves or goes."""
    # CHECK
    kind, (register, name), (record, page) = KEPT[msr][0], *(_field(hv, vp, place) for place in KEPT[msr][1:])
    slot, gpn, number = hv.slot_of(vp), value >> GPN, 0 if msr == Msr.REFERENCE_TSC else vp
    lies = overlay.find(hv, slot, kind, number)
    there = int(hv.state["overlay"]["gpn"][0, lies]) if lies is not None else None
    wanted = value & ENABLE and overlay.reachable(hv, vp, gpn)
    new = 0 if int(record[page]) or not value & ENABLE else 1
    if new > len(pages.pool(hv, slot)[0]) or wanted and there != gpn and not overlay.fits(hv, slot, gpn, new):
        return exception(hv, "#GP")
    # ACT
    if msr == Msr.VP_ASSIST_PAGE:
        apic_msr.settle(hv, vp)
    register[name] = signed(value)
    row = hv.tell("msr_written", msr=msr, value=value, held=value)
    hv.leave(vp, Reason.MSR)
    with hv.caused_by(row):
        if new:
            record[page] = pages.take(hv, slot)
            if msr == Msr.REFERENCE_TSC:
                fill_tsc_page(hv, slot)
        if lies is not None and (not wanted or there != gpn):
            overlay.remove(hv, lies)
        if wanted and there != gpn:
            overlay.place(hv, slot, kind, number, gpn, int(record[page]))
    if msr == Msr.VP_ASSIST_PAGE:
        register["assist_at"] = int(hv.mem[int(record[page])]) >> PLACE if value & ENABLE else 0
    return None


def fill_tsc_page(hv: Hypervisor, slot: int) -> None:
    """Write sequence, scale and offset of a partition's reference TSC page."""
    record = hv.state["partition"][0, slot]
    offset = -(int(record["born"]) // 100)
    page = ReferenceTscPage.encode(sequence=1, scale=SCALE, offset=offset & MASK)
    hv.memory.write(int(record["tsc_spn"]) << 12, page)
