"""Ask a machine who can reach which page: its own plain data, and what its guests' tables say now."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hvlab.hypervisor.vp import Vp
from hvlab.machine import Machine
from hvlab.story.topology import EXECUTE, READ, WRITE, GuestLeaf, Layout, layout
from hvlab.wire.x64 import Cr0, Cr4, Efer, PageTableEntry

PRESENT, WRITABLE, LARGE = (PageTableEntry.mask(name) for name in ("present", "writable", "large"))
FRAME, NX = PageTableEntry.mask("frame"), PageTableEntry.mask("no_execute")
MOST = 1 << 12  # table pages: a guest may let its tables lead in circles


def layout_of(machine: Machine) -> Layout:
    """Return who owns, shares, maps and confines what in a machine, with the tables that each processor has loaded."""
    told = machine.topology()
    guests: list[GuestLeaf] = []
    for one in told["partitions"]:
        places = {gpn: spn for gpn, spn, rights in one["maps"] if rights & READ}
        for vp in machine.vps(one["id"]):
            guests += joined(_leaves(machine, vp, one["id"], places))
    return layout(told, machine.page_map(), guests)


def _leaves(machine: Machine, vp: Vp, partition: int, places: dict[int, int]) -> Iterator[GuestLeaf]:
    """Every leaf of the tables that a processor has loaded; nothing while paging is off."""
    registers = machine.state["vp"][0, vp.number]
    if not int(registers["cr0"]) & Cr0.mask("paging"):
        return
    forbids = NX if int(registers["efer"]) & Efer.mask("no_execute") else 0
    top = 5 if int(registers["cr4"]) & Cr4.mask("la57") else 4
    front, seen = [(top, (int(registers["cr3"]) & FRAME) >> 12, 0, READ | WRITE | EXECUTE)], 0
    while front and seen < MOST:
        level, gpn, gvn, above = front.pop()
        if gpn not in places:
            continue
        seen += 1
        words = machine.hv.memory.page(places[gpn])
        for index in np.flatnonzero(words & PRESENT).tolist():
            entry, size = int(words[index]), 1 << 9 * (level - 1)
            page = gvn + index * size - (1 << 9 * top if level == top and index > 255 else 0)
            rights = above & ~((0 if entry & WRITABLE else WRITE) | (EXECUTE if entry & forbids else 0))
            frame = (entry & FRAME) >> 12
            if level == 1 or level <= 3 and entry & LARGE:
                yield GuestLeaf(partition, f"VP {vp.index}", page, frame & -size, size, rights)
            else:
                front.append((level - 1, frame, page, rights))


def joined(leaves: Iterator[GuestLeaf]) -> list[GuestLeaf]:
    """Make one leaf of those that follow each other with the same rights."""
    found: list[GuestLeaf] = []
    for leaf in sorted(leaves, key=lambda leaf: leaf.gvn):
        last = found[-1] if found else None
        if last and (last.gvn + last.pages, last.gpn + last.pages, last.rights) == (leaf.gvn, leaf.gpn, leaf.rights):
            found[-1] = GuestLeaf(last.partition, last.tables, last.gvn, last.gpn, last.pages + leaf.pages, last.rights)
        else:
            found.append(leaf)
    return found
