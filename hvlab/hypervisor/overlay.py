"""Pages of the hypervisor that lie over pages of a guest: message and flag pages, reference TSC and assist pages.

What the guest had there waits underneath and shows again when the page goes. The hypercall page is one too; it stands
in its partition's record. Source: TLFS, overlay pages.

SIMPLER THAN REAL: two overlays on one guest page are undefined in the TLFS; here the second one gets #GP.
SIMPLER THAN REAL: the pages come from the partition's pool when they are first needed, not when the processor is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hvlab.hardware.memory import NOBODY, signed
from hvlab.hypervisor import pages
from hvlab.hypervisor.address import R, W, leaf, over, own, set_entry, tables_missing
from hvlab.hypervisor.queues import OVERLAYS

if TYPE_CHECKING:
    from hvlab.hypervisor.core import Hypervisor

MESSAGE_PAGE, FLAGS_PAGE, TSC_PAGE, ASSIST_PAGE = 1, 2, 3, 4
RIGHTS = {MESSAGE_PAGE: R | W, FLAGS_PAGE: R | W, TSC_PAGE: R, ASSIST_PAGE: R | W}


def find(hv: Hypervisor, slot: int, kind: int, vp: int) -> int | None:
    """Return the place of an overlay that lies somewhere, or None."""
    table = hv.state["overlay"][0]
    for k in range(OVERLAYS):
        if (int(table["owner"][k]), int(table["kind"][k]), int(table["vp"][k])) == (slot, kind, vp):
            return k
    return None


def fits(hv: Hypervisor, slot: int, gpn: int, needed: int = 0) -> bool:
    """Whether an overlay may be laid here: nothing of the kind lies there, and the pool has the pages that it takes."""
    return over(hv, slot, gpn) is None and tables_missing(hv, slot, gpn) + needed <= len(pages.pool(hv, slot)[0])


def reachable(hv: Hypervisor, vp: int, gpn: int) -> bool:
    """Whether a guest page number lies inside the guest physical address space."""
    bits = int(hv.state["vp"]["phys_bits"][0, vp]) - 12
    return gpn >> bits == 0 and gpn < 1 << 9 * int(hv.state["hypervisor"]["levels"][0])


def new_page(hv: Hypervisor, slot: int) -> int:
    """Take a page full of zeros from a pool; the caller has made sure that there is one."""
    return pages.take(hv, slot)


def place(hv: Hypervisor, slot: int, kind: int, vp: int, gpn: int, spn: int) -> None:
    """Lay a page of the hypervisor over a guest page. The caller checked that it fits."""
    # ACT
    table = hv.state["overlay"][0]
    k = next(k for k in range(OVERLAYS) if table["owner"][k] == 0)
    below, rights, _ = own(hv, slot, gpn)
    record = table[k]
    record["owner"], record["kind"], record["vp"], record["gpn"], record["spn"] = slot, kind, vp, gpn, spn
    record["beneath"] = signed(leaf(hv.state, below, rights)) if rights else 0
    set_entry(hv, slot, gpn, leaf(hv.state, spn, RIGHTS[kind]), lambda: pages.take(hv, slot))
    hv.memory.mark(spn, table=0, sharer=slot, share_rights=RIGHTS[kind])
    if rights:
        hv.owe_flush(slot)
    # RECORD
    index = int(hv.state["guest"]["index"][0, vp])
    hv.tell("page_overlaid", partition=hv.id_of(slot), vp_index=index, page=kind, gpa=gpn << 12, spa=spn << 12)


def remove(hv: Hypervisor, k: int) -> None:
    """Take an overlay away; the guest's own page shows again."""
    # ACT
    record = hv.state["overlay"][0, k]
    slot, gpn, spn = int(record["owner"]), int(record["gpn"]), int(record["spn"])
    kind, vp = int(record["kind"]), int(record["vp"])
    set_entry(hv, slot, gpn, int(record["beneath"]), lambda: pages.take(hv, slot))
    hv.state["overlay"][0, k] = 0
    hv.memory.mark(spn, table=1, sharer=NOBODY, share_rights=0)
    hv.owe_flush(slot)
    # RECORD
    index = int(hv.state["guest"]["index"][0, vp])
    hv.tell("page_uncovered", partition=hv.id_of(slot), vp_index=index, page=kind, gpa=gpn << 12, spa=spn << 12)


def remove_all(hv: Hypervisor, slot: int, vp: int | None = None) -> None:
    """Take away the overlays of a partition, or those of one of its virtual processors."""
    table = hv.state["overlay"][0]
    for k in range(OVERLAYS):
        if int(table["owner"][k]) == slot and (vp is None or int(table["vp"][k]) == vp):
            remove(hv, k)
