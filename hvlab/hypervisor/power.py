"""Power-on: the hypervisor takes the first pages, builds the root partition, and gives it all others.

SIMPLER THAN REAL: firmware, boot loader and the hypervisor's own code are not there; the root's operating system starts
with page tables that map 2 MiB pages at their own addresses.
"""

from collections.abc import Mapping

import numpy as np

from hvlab.errors import BadRequest
from hvlab.hardware import ioapic
from hvlab.hardware.memory import NOBODY, PAGE, PLACE, WORDS_A_PAGE, PageRecord
from hvlab.hypervisor import calls_vp, scheduler
from hvlab.hypervisor.address import UX, R, W, X, leaf, table
from hvlab.hypervisor.core import Hypervisor
from hvlab.hypervisor.msr import fill_hypercall_page
from hvlab.hypervisor.partition import ROOT, Life
from hvlab.hypervisor.vp import Fault, Vp
from hvlab.wire.tlfs import EVERY_PRIVILEGE
from hvlab.wire.x64 import Cr0, Cr4, Efer, PageTableEntry

LEAST_PAGES = 64
CR0 = Cr0.mask("protection", "write_protect", "paging")
CR4 = Cr4.mask("pae", "page_global", "smep")
EFER = Efer.mask("long_mode_enable", "long_mode_active", "no_execute")


def on(hv: Hypervisor, vendor: int, second_level: int, levels: int, lps: int, mbec: bool) -> None:
    """Build hypervisor and root in zeroed memory."""
    pages = hv.memory.pages
    if pages < LEAST_PAGES:
        raise BadRequest(f"{pages} pages of memory", "", f"at least {LEAST_PAGES}")
    machine = hv.state["hypervisor"][0]
    machine["vendor"], machine["second_level"], machine["levels"] = vendor, second_level, levels
    machine["lps"], machine["mbec"], machine["next_id"] = lps, mbec, ROOT + 1
    machine["flush_on_unmap"], machine["tags"] = 1, 1
    scheduler.switch_on(hv.state)
    first = reserved(pages, levels)
    places = hv.mem[:pages] >> PLACE << PLACE
    hv.mem[:first] = places[:first] | PageRecord.encode(sharer=NOBODY, table=1)
    hv.mem[first:pages] = places[first:] | PageRecord.encode(owner=ROOT, sharer=NOBODY)
    record = hv.state["partition"][0, ROOT]
    record["life"], record["id"], record["overlay_gpn"] = Life.ACTIVE, ROOT, -1
    record["privileges"] = EVERY_PRIVILEGE
    record["overlay_spn"], record["root"] = 1, 2 << 12
    fill_hypercall_page(hv, 1)
    _identity(hv, pages, levels, first)
    ioapic.switch_on(hv.state, ROOT)
    calls_vp.setup(hv, 0, ROOT, 0)
    row = hv.tell("partition_created", partition=ROOT, parent=0)
    with hv.caused_by(row):
        hv.tell("partition_initialized", partition=ROOT, root=int(record["root"]))
        hv.tell("vp_created", partition=ROOT, vp_index=0, slot=0)
    _boot_root(hv, pages, levels, first)


def reserved(pages: int, levels: int) -> int:
    """Return how many pages the hypervisor keeps: page 0, the hypercall page, and the root's second-level tables."""
    return 2 + levels - 1 + -(-pages // 512)


def _identity(hv: Hypervisor, pages: int, levels: int, first: int) -> None:
    """Map each page of the root at its own address, in 4-KiB entries; the hypervisor's own pages stay unmapped."""
    for level in range(levels, 2, -1):
        spn = 2 + levels - level
        hv.memory.write64(spn << 12, table(hv.state, spn + 1))
    lowest = 2 + levels - 1
    for k in range(-(-pages // 512)):
        hv.memory.write64((lowest - 1 << 12) + 8 * k, table(hv.state, lowest + k))
    spns = np.arange(first, pages)
    places = (hv.mem[lowest + spns // WORDS_A_PAGE] >> PLACE) + spns % WORDS_A_PAGE
    hv.mem[places] = leaf(hv.state, 0, R | W | X | UX) | spns << 12


def first_free(hv: Hypervisor) -> int:
    """Return the first page of the root that its operating system does not use from the start."""
    levels = int(hv.state["hypervisor"]["levels"][0])
    return reserved(hv.memory.pages, levels) + levels - 1


def _boot_root(hv: Hypervisor, pages: int, levels: int, first: int) -> None:
    """Let the root's operating system run with its own page tables, as its boot loader would hand over."""
    hv.recording = False
    every = {gva: gva for gva in range(0, pages * PAGE, 2 << 20)}
    hv.state["vp"]["cr0"][0, 0] |= 1
    enable_paging(Vp(hv, 0), every, first, levels, large=True, user=False)
    hv.recording = True


def enable_paging(
    vp: Vp, mapping: Mapping[int, int], root_gpn: int, levels: int, large: bool = False, user: bool = True
) -> None:
    """Build a guest's page tables by its own writes, from page `root_gpn` upwards, and switch paging on.

    Raises
    ------
    BadRequest
        If the guest has no memory where its tables should go.
    """
    tables: dict[tuple[int, int], int] = {(levels, 0): root_gpn}
    lowest = 2 if large else 1
    for gva, gpa in mapping.items():
        for level in range(levels - 1, lowest - 1, -1):
            key, above = (level, gva >> 12 + 9 * level & _below(levels, level)), _key(level + 1, gva, levels)
            if key not in tables:
                tables[key] = root_gpn + len(tables)
                entry = PageTableEntry.encode(present=1, writable=1, user=int(user), frame=tables[key])
                _put(vp, tables[above], gva >> 12 + 9 * level & 511, entry)
        entry = PageTableEntry.encode(present=1, writable=1, user=int(user), large=int(large), frame=gpa >> 12)
        _put(vp, tables[_key(lowest, gva, levels)], gva >> 12 + 9 * (lowest - 1) & 511, entry)
    la57 = Cr4.mask("la57") if levels == 5 else 0
    vp.set(cr4=CR4 | la57, efer=EFER, cr3=root_gpn * PAGE, cr0=CR0)


def _below(levels: int, level: int) -> int:
    return (1 << 9 * (levels - level)) - 1


def _key(level: int, gva: int, levels: int) -> tuple[int, int]:
    return level, gva >> 12 + 9 * level & _below(levels, level)


def _put(vp: Vp, gpn: int, index: int, entry: int) -> None:
    fault = vp.write_gpa(gpn * PAGE + 8 * index, entry.to_bytes(8, "little"))
    if isinstance(fault, Fault):
        raise BadRequest(f"a page table at guest page {gpn:#x}", fault.kind, "a page that the guest has")
