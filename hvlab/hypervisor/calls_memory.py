"""Memory of partitions: pools (deposit, withdraw, balance) and guest physical pages (map, unmap).

Source: TLFS, memory pools; guest physical address spaces. Whose page it is stands in the page database (`pages`).

SIMPLER THAN REAL: a right to read is always needed; no-access, adjustable and uncached mappings are refused.
SIMPLER THAN REAL: a 2 MiB mapping goes only where no smaller page was mapped before.
"""

import numpy as np

from hvlab.hardware.memory import NOBODY
from hvlab.hypervisor import pages
from hvlab.hypervisor.address import PAGES_2M, UX, R, W, X, entries, leaf, map_page, own, tables_missing
from hvlab.hypervisor.core import Hypervisor
from hvlab.hypervisor.partition import Life
from hvlab.hypervisor.request import Request
from hvlab.wire.hypercalls import MemoryBalance, PageNumber
from hvlab.wire.tlfs import MapFlags, Status

LARGE_PAGE = MapFlags.mask("large_page")
SHARED_RIGHTS = R | W | X  # what the parent keeps: its own mapping stays as it was


def source(hv: Hypervisor, slot: int, gpn: int) -> int | Status:
    """Return where a page of the caller lies, if it is the caller's alone."""
    spn, _, _ = own(hv, slot, gpn)
    if spn < 0:
        return Status.INVALID_PARAMETER
    record = hv.memory.record(spn)
    return spn if record.owner == slot and record.sharer == NOBODY else Status.ACCESS_DENIED


def deposit(hv: Hypervisor, request: Request, k: int, element: PageNumber) -> bytes | Status:
    """HvCallDepositMemory, one page: out of the caller's address space, into the target's pool."""
    # CHECK
    if hv.state["partition"]["life"][0, request.target] == Life.FINALIZED:
        return Status.INVALID_PARTITION_STATE
    spn = source(hv, request.slot, element.gpn)
    if isinstance(spn, Status):
        return spn
    # ACT
    map_page(hv, request.slot, element.gpn, 0, None)
    pages.take_in(hv, spn, request.target)
    request.owes.add(request.slot)
    # RECORD
    hv.tell("memory_deposited", partition=hv.id_of(request.target), spa=spn << 12, gpa=element.gpn << 12)
    return b""


def withdraw(hv: Hypervisor, request: Request, k: int, element: None) -> bytes | Status:
    """HvCallWithdrawMemory, one page: out of the pool, back to where it was in the caller's address space."""
    # CHECK
    free, _ = pages.pool(hv, request.target)
    if len(free) == 0:
        return Status.NO_RESOURCES
    # ACT
    spn = int(free[0])
    pages.give(hv, spn, request.slot)
    map_page(hv, request.slot, spn, leaf(hv.state, spn, R | W | X | UX), None)
    # RECORD
    hv.tell("memory_withdrawn", partition=hv.id_of(request.target), spa=spn << 12, gpa=spn << 12)
    return PageNumber.encode(gpn=spn)


def balance(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallGetMemoryBalance."""
    free, used = pages.pool(hv, request.target)
    return MemoryBalance.encode(available=len(free), in_use=len(used))


def map_element(hv: Hypervisor, request: Request, k: int, element: PageNumber) -> bytes | Status:
    """HvCallMapGpaPages, one element: a page (or 512 of them) of the caller becomes the child's."""
    # CHECK
    flags, state = request.input.flags, hv.state
    large, rights = bool(flags & LARGE_PAGE), flags & 15
    step = PAGES_2M if large else 1
    gpn = request.input.gpn + k * step
    if state["partition"]["life"][0, request.target] != Life.ACTIVE:
        return Status.INVALID_PARTITION_STATE
    if not acceptable(hv, flags) or not within(hv, gpn + step - 1) or request.input.padding:
        return Status.INVALID_PARAMETER
    if large:
        return _map_large(hv, request, gpn, element.gpn, rights)
    spn, (old, had, _) = source(hv, request.slot, element.gpn), own(hv, request.target, gpn)
    same = isinstance(spn, Status) and old >= 0 and old == own(hv, request.slot, element.gpn)[0]
    if isinstance(spn, Status) and not same:
        return spn
    if tables_missing(hv, request.target, gpn) > len(pages.pool(hv, request.target)[0]):
        return Status.INSUFFICIENT_MEMORY
    # ACT
    if not isinstance(spn, Status):
        if old >= 0:
            release(hv, request, gpn, old)
        pages.give(hv, spn, request.target, request.slot, SHARED_RIGHTS)
        old = spn
    _enter(hv, request.target, gpn, leaf(state, old, rights))
    if had & ~rights:
        request.owes.add(request.target)
    # RECORD
    hv.tell(
        "page_mapped", partition=hv.id_of(request.target), gpa=gpn << 12, spa=old << 12, rights=rights & 7, shift=12
    )
    return b""


def acceptable(hv: Hypervisor, flags: int) -> bool:
    """Whether the mapping flags ask for something that this machine has."""
    rights = flags & 15
    if flags & ~(LARGE_PAGE | 15) or not rights & R:
        return False
    return bool(hv.state["hypervisor"]["mbec"][0]) or not rights & UX or bool(rights & X)


def within(hv: Hypervisor, gpn: int) -> bool:
    """Whether a guest page number can be mapped at all."""
    levels, bits = int(hv.state["hypervisor"]["levels"][0]), int(hv.state["phys_bits"][0])
    return gpn < 1 << min(9 * levels, bits - 12)


def _enter(hv: Hypervisor, slot: int, gpn: int, entry: int, level: int = 1) -> None:
    map_page(hv, slot, gpn, entry, lambda: pages.take(hv, slot), level)


def _map_large(hv: Hypervisor, request: Request, gpn: int, first: int, rights: int) -> bytes | Status:
    # CHECK
    slot = request.target
    if gpn % PAGES_2M or first % PAGES_2M:
        return Status.INVALID_PARAMETER
    found = [source(hv, request.slot, first + part) for part in range(PAGES_2M)]
    if any(isinstance(spn, Status) for spn in found):
        return next(spn for spn in found if isinstance(spn, Status))
    spns = [int(spn) for spn in found]
    if spns[0] % PAGES_2M or spns != list(range(spns[0], spns[0] + PAGES_2M)):
        return Status.INVALID_PARAMETER
    _, level = entries(hv.state, hv.mem, int(hv.state["partition"]["root"][0, slot]), np.array([gpn]))
    if int(level[0]) == 1 or own(hv, slot, gpn)[0] >= 0:
        return Status.OBJECT_IN_USE
    if tables_missing(hv, slot, gpn, level=2) > len(pages.pool(hv, slot)[0]):
        return Status.INSUFFICIENT_MEMORY
    # ACT
    for spn in spns:
        pages.give(hv, spn, slot, request.slot, SHARED_RIGHTS)
    _enter(hv, slot, gpn, leaf(hv.state, spns[0], rights, large=True), level=2)
    # RECORD
    hv.tell("page_mapped", partition=hv.id_of(slot), gpa=gpn << 12, spa=spns[0] << 12, rights=rights & 7, shift=21)
    return b""


def release(hv: Hypervisor, request: Request, gpn: int, spn: int) -> None:
    """Take one page out of a child's address space and give it back to the parent."""
    parent = int(hv.state["partition"]["parent"][0, request.target])
    _enter(hv, request.target, gpn, 0)
    hv.tell("page_unmapped", partition=hv.id_of(request.target), gpa=gpn << 12, spa=spn << 12)
    pages.give(hv, spn, parent)
    request.owes.add(request.target)


def unmap_element(hv: Hypervisor, request: Request, k: int, element: None) -> bytes | Status:
    """HvCallUnmapGpaPages, one 4-KiB page; a 2 MiB mapping that it is part of is split.

    A page that is not mapped is passed over, and counts as done. Source: Microsoft, Hypervisor Functions,
    HvUnmapGpaPages (2013), remarks.
    """
    # CHECK
    gpn = request.input.gpn + k
    if hv.state["partition"]["life"][0, request.target] != Life.ACTIVE:
        return Status.INVALID_PARTITION_STATE
    if request.input.flags or request.input.padding or not within(hv, gpn):
        return Status.INVALID_PARAMETER
    spn, _, _ = own(hv, request.target, gpn)
    if spn < 0:
        return b""
    if tables_missing(hv, request.target, gpn) > len(pages.pool(hv, request.target)[0]):
        return Status.INSUFFICIENT_MEMORY
    # ACT and RECORD
    release(hv, request, gpn, spn)
    return b""
