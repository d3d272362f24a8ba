"""The page walker: a guest virtual address to a system physical address, through both levels of tables.

One kernel, `run`, takes one step for a picture and ten million for a study. It returns faults; it never decides what
to do about them.

SIMPLER THAN REAL: only 64-bit paging (4 and 5 levels) or none; no 32-bit and PAE paging, no shadow stacks, no SGX.
SIMPLER THAN REAL: a cached translation that does not grant an access leads to a walk; an Intel processor may raise
the fault from the cached entry (a spurious fault, SDM vol. 3A 4.10.4.3).
SIMPLER THAN REAL: memory types (PAT, MTRR, EPT) are decoded but have no effect: there is no data cache in this machine.
"""

from typing import Any

import numpy as np

from hvlab.hardware import second_level as nested
from hvlab.hardware.clock import COSTS
from hvlab.hardware.memory import word_at
from hvlab.hardware.second_level import NPT, second_level
from hvlab.hardware.tlb import (
    GLOBAL,
    MAY_EXECUTE,
    MAY_READ,
    MAY_USER_EXECUTE,
    MAY_WRITE,
    PAGE_NUMBERS,
    PCID_SHIFT,
    SECOND_DIRTY,
    SIZE_SHIFT,
    STALE,
    STRUCTURE_WAYS,
    TLB,
    VPID_SHIFT,
    forget,
    highest,
    keep,
    l1_fill,
    l1_lookup,
    l2_fill,
    l2_lookup,
    oldest,
)
from hvlab.kernel import I, entry_point, kernel, matches, merged
from hvlab.trace import events
from hvlab.wire.x64 import Cr0, Cr4, Efer, PageTableEntry, Rflags

READ, WRITE, USER, FETCH, IMPLICIT, PEEK = I(0), I(2), I(4), I(16), I(256), I(512)
ACCESS = WRITE | USER | FETCH | IMPLICIT | PEEK

OK, PAGE_FAULT, GENERAL_PROTECTION, EPT_VIOLATION, EPT_MISCONFIGURATION, NESTED_FAULT, MEMORY_MISSING = (
    I(k) for k in range(7)
)
OUTCOMES = {
    0: "ok",
    1: "page_fault",
    2: "general_protection",
    3: "ept_violation",
    4: "ept_misconfiguration",
    5: "nested_page_fault",
    6: "memory_missing",
}
DETAIL = I(8)  # a fault is its kind, and from this bit on its error code or exit qualification

WORST_STEP = (
    192  # the most rows that one access can append: 35 entries, each read, marked and cached, and the frame around
)

P, W, U = I(PageTableEntry.mask("present")), I(PageTableEntry.mask("writable")), I(PageTableEntry.mask("user"))
A, D = I(PageTableEntry.mask("accessed")), I(PageTableEntry.mask("dirty"))
LARGE, G = I(PageTableEntry.mask("large")), I(PageTableEntry.mask("global_page"))
FRAME, NX, KEY = I(PageTableEntry.mask("frame")), I(PageTableEntry.mask("no_execute")), I(PageTableEntry.mask("key"))
KEY_SHIFT = I(PageTableEntry.lo("key"))
SECOND_RIGHTS = MAY_READ | MAY_WRITE | MAY_EXECUTE | MAY_USER_EXECUTE | SECOND_DIRTY
GUEST_RIGHTS = P | W | U | NX

PG, WP = I(Cr0.mask("paging")), I(Cr0.mask("write_protect"))
LA57, PCIDE, PGE = I(Cr4.mask("la57")), I(Cr4.mask("pcid")), I(Cr4.mask("page_global"))
SMEP, SMAP, PKE = I(Cr4.mask("smep")), I(Cr4.mask("smap")), I(Cr4.mask("keys"))
NXE, AC = I(Efer.mask("no_execute")), I(Rflags.mask("alignment_check"))

VP = [
    *[(name, I) for name in ("cr0", "cr2", "cr3", "cr4", "efer", "rflags", "pkru")],
    ("lp", I),
    ("vpid", I),
    ("phys_bits", I),  # width of a GPA, as this VP's CPUID tells
    *nested.VP,
    # what `prepare` derives from the registers, for one run
    ("levels", I),
    ("tag", I),
    ("needs", I, (16,)),
    ("bars", I, (16,)),
]
LP = [("tlb", TLB)]
COUNTS = [(name, I) for name in ("accesses", "l2_hits", "walks", "reads", "faults", "not_canonical")]


@kernel
def kind_of(access):
    """Return the row of the tables `needs` and `bars`: write 1, fetch 2, user 4, implicit 8."""
    return (access & WRITE) >> 1 | (access & FETCH) >> 3 | access & USER | (access & IMPLICIT) >> 5


@kernel
def prepare(p):
    """Turn the control registers into two masks for each kind of access: bits that must be 1, bits that must be 0.

    Source: SDM vol. 3A 4.6 (access rights).
    """
    cr0, cr4 = p["cr0"], p["cr4"]
    paging, nx = cr0 & PG != 0, p["efer"] & NXE != 0
    p["levels"] = (I(5) if cr4 & LA57 != 0 else I(4)) if paging else I(0)
    pcid = p["cr3"] & 4095 if cr4 & PCIDE != 0 and paging else I(0)
    p["tag"] = p["vpid"] << VPID_SHIFT | pcid << PCID_SHIFT
    for kind in range(16):
        write, fetch, user, implicit = kind & 1 != 0, kind & 2 != 0, kind & 4 != 0, kind & 8 != 0
        need, bar = P, I(0)
        if user:
            need |= U
        if write:
            need |= D | MAY_WRITE | SECOND_DIRTY
            if user or cr0 & WP != 0:
                need |= W
        elif not fetch:
            need |= MAY_READ
        if fetch:
            need |= MAY_EXECUTE
            if nx:
                bar |= NX
            if paging and not user and cr4 & SMEP != 0:
                bar |= U
        elif paging and not user and cr4 & SMAP != 0 and (implicit or p["rflags"] & AC == 0):
            bar |= U
        p["needs"][kind], p["bars"][kind] = need, bar


@kernel
def key_forbids(p, entry, access):
    """Whether the page's protection key forbids a data access to a user page. Source: SDM vol. 3A 4.6.2."""
    if p["cr4"] & PKE == 0 or entry & U == 0 or access & FETCH != 0 or p["levels"] == 0:
        return False
    rights = p["pkru"] >> 2 * (entry >> KEY_SHIFT & 15)
    if rights & 1 != 0:
        return True
    return access & WRITE != 0 and rights & 2 != 0 and (access & USER != 0 or p["cr0"] & WP != 0)


@kernel
def granted(p, entry, access):
    """Whether a cached translation grants the access as it stands: rights of both levels, and D where it is a write."""
    kind = kind_of(access)
    need = p["needs"][kind]
    return entry & need == need and entry & p["bars"][kind] == 0 and not key_forbids(p, entry, access)


@kernel
def reserved_bits(p, level, leaf):
    """Return the bits that must be 0 in a guest entry of this level. Source: SDM vol. 3A, tables 4-15 to 4-20."""
    bits = FRAME & ~((I(1) << p["phys_bits"]) - 1)
    if p["efer"] & NXE == 0:
        bits |= NX
    if level >= 4:
        bits |= LARGE
    elif leaf and level > 1:
        bits |= (I(1) << 12 + 9 * (level - 1)) - 1 & ~I(0x1FFF)  # bit 12 is PAT in a large leaf
    return bits


@kernel
def page_fault(m, p, trace, vp, cause, gva, access, why, level):
    """Raise #PF in the guest; return the fault. Source: SDM vol. 3A 4.7."""
    code = why | access & (WRITE | USER)
    if access & FETCH != 0 and (p["efer"] & NXE != 0 or p["cr4"] & SMEP != 0):
        code |= FETCH
    if access & PEEK == 0:
        p["cr2"] = gva
    m["count"]["faults"] += 1
    events.page_fault_raised(m, trace, vp, cause, gva, code, level)
    return PAGE_FAULT | code << DETAIL


@kernel
def structure_lookup(m, p, t, trace, vp, cause, gva):
    """Return (level, SPA of its table, rights above, cause) of the lowest table that is cached; level 0 for none."""
    for level in range(1, p["levels"]):
        prefix = gva >> 12 + 9 * level & PAGE_NUMBERS
        held = t["structure"][level, prefix & t["structure_sets"] - 1]
        way = highest(matches(held["tag"], STRUCTURE_WAYS, p["tag"] | prefix))
        if way >= 0:
            t["tick"] += 1
            held["used"][way] = t["tick"]
            above = held["entry"][way]
            cause = events.structure_cache_hit(m, trace, vp, cause, I(level), gva, above & FRAME)
            return I(level), above & FRAME, above & ~FRAME, cause
    return I(0), I(0), I(0), cause


@kernel
def structure_fill(t, p, gva, level, table, rights):
    """Remember the table of a level, with the rights of the entries above it and of its own second-level page."""
    if t["structure_ways"] == 0:
        return
    prefix = gva >> 12 + 9 * level & PAGE_NUMBERS
    held = t["structure"][level, prefix & t["structure_sets"] - 1]
    t["tick"] += 1
    keep(held, oldest(held["used"], t["structure_ways"]), p["tag"] | prefix, table | rights, t["tick"])


@kernel
def remember(m, p, t, trace, vp, cause, gva, spa, entry, size):
    """Keep a finished translation in both TLBs; `size` is the smaller of both levels' page sizes.

    A global page is for every address space, but only while CR4.PGE is set. Source: SDM vol. 3A 4.10.2.4.
    """
    shift = 12 + 9 * size
    mine, everyone = p["tag"], p["tag"] & ~(I(4095) << PCID_SHIFT) | GLOBAL
    tag = gva >> shift & PAGE_NUMBERS | (everyone if entry & G != 0 and p["cr4"] & PGE != 0 else mine)
    frame = spa & ~((I(1) << shift) - 1)
    entry = entry & ~FRAME & ~(I(3) << SIZE_SHIFT) | frame | size << SIZE_SHIFT
    evicted = l1_fill(t, size, tag, entry, mine, everyone)
    if evicted >= 0:
        cause = events.tlb_filled(m, trace, vp, cause, I(1), gva, spa, shift, evicted)
    evicted = l2_fill(t, tag, entry, mine, everyone)
    if evicted >= 0:
        cause = events.tlb_filled(m, trace, vp, cause, I(2), gva, spa, shift, evicted)
    return cause


@kernel
def word_of_page(p, rights, second):
    """Join both levels' rights to what a TLB keeps; which execute right counts depends on the guest's U bit (MBEC)."""
    right = MAY_USER_EXECUTE if p["mbec"] != 0 and rights & U != 0 else MAY_EXECUTE
    entry = rights & ~SECOND_RIGHTS | second & (MAY_READ | MAY_WRITE | SECOND_DIRTY)
    return entry | MAY_EXECUTE if second & right != 0 else entry


@kernel
def leaf_fault(m, p, trace, vp, cause, gva, access, rights, level):
    """Check the guest's rights of a leaf; return OK or the fault."""
    kind = kind_of(access)
    need = p["needs"][kind] & (P | W | U)
    if rights & need != need or rights & p["bars"][kind] != 0:
        key = I(32) if key_forbids(p, rights, access) else I(0)
        return page_fault(m, p, trace, vp, cause, gva, access, P | key, level)
    if key_forbids(p, rights, access):
        return page_fault(m, p, trace, vp, cause, gva, access, P | I(32), level)
    return OK


@kernel
def mark(m, p, mem, trace, vp, cause, at, gpa, spa, entry, new, level, second, size, gva):
    """Write A and D into a guest entry: (fault, cause). The second level must allow this write, too."""
    if second & MAY_WRITE == 0:
        why = nested.FORBIDDEN
        fault = nested.second_level_fault(m, p, trace, vp, cause, gpa, WRITE, why, second, level, size + 1, gva)
        return fault, cause
    mem[at] = new
    m["now"] += m["cost"]["memory_write"]
    if new & D != entry & D:
        return OK, events.dirty_set(m, trace, vp, cause, I(1), level, spa, entry, new)
    return OK, events.accessed_set(m, trace, vp, cause, I(1), level, spa, entry, new)


@kernel
def walk(m, p, t, mem, trace, vp, cause, gva, access):
    """Walk the guest's tables, each of them through the second level: (fault, SPA).

    Rows of the square: guest levels from the top down, then level 0, the data. Source: SDM vol. 3A 4.5, vol. 3C EPT.
    """
    begun, quiet = m["count"]["reads"], access & PEEK
    level, table, rights, size, known = p["levels"], p["cr3"] & FRAME, P | W | U, I(2), False
    second, second_size, gpa = I(0), I(0), gva
    if level == 0:
        rights |= D
    if quiet == 0:
        m["count"]["walks"] += 1
        low, spot, above, cause = structure_lookup(m, p, t, trace, vp, cause, gva)
        if low > 0:
            level, table, known = low, spot, True
            rights, second, second_size = above & GUEST_RIGHTS, above & SECOND_RIGHTS, above >> SIZE_SHIFT & 3
    table_access = quiet | (WRITE if p["second_level"] == NPT or p["accessed_dirty"] != 0 else READ)
    while True:
        index = gva >> 12 + 9 * (level - 1) & 511
        if level > 0:
            gpa = table | index << 3
        spa = gpa
        if known:
            known, gpa = False, I(-1)  # the cache held the table's SPA: its GPA was not needed
        else:
            fault, spa, second, second_size, cause = second_level(
                m, p, t, mem, trace, vp, cause, gpa, table_access if level > 0 else access, level, rights & U != 0, gva
            )
            if fault != OK:
                return fault, spa
            if level == 0:
                break
            # a table that A and D could not be written to is walked anew: its GPA is needed for the exit
            if quiet == 0 and level < p["levels"] and second & MAY_WRITE != 0:
                structure_fill(t, p, gva, level, spa & FRAME, rights | second | second_size << SIZE_SHIFT)
        at = word_at(m, mem, spa)
        if at < 0:
            m["count"]["faults"] += 1
            events.memory_missing(m, trace, vp, cause, spa, level, I(0))
            return MEMORY_MISSING, spa
        entry = mem[at]
        m["count"]["reads"] += 1
        m["now"] += m["cost"]["table_read"]
        cause = events.table_entry_read(m, trace, vp, cause, level, index, gpa, spa, entry)
        if entry & P == 0:
            return page_fault(m, p, trace, vp, cause, gva, access, I(0), level), gva
        leaf = level == 1 or level <= 3 and entry & LARGE != 0
        if entry & reserved_bits(p, level, leaf) != 0:
            return page_fault(m, p, trace, vp, cause, gva, access, P | I(8), level), gva
        rights = rights & (entry | ~(W | U)) | entry & NX
        new = entry | A
        if leaf:
            rights |= entry & (KEY | G | D)
            fault = leaf_fault(m, p, trace, vp, cause, gva, access, rights, level)
            if fault != OK:
                return fault, gva
            if access & WRITE != 0:
                new, rights = new | D, rights | D
        if new != entry and quiet == 0:
            fault, cause = mark(m, p, mem, trace, vp, cause, at, gpa, spa, entry, new, level, second, second_size, gva)
            if fault != OK:
                return fault, gpa
        table = entry & FRAME
        if leaf:
            size = level - 1
            below = (I(1) << 12 + 9 * size) - 1
            gpa = table & ~below | gva & below
            level = I(0)
        else:
            level -= 1
    size = min(size, second_size)
    if quiet == 0:
        cause = remember(m, p, t, trace, vp, cause, gva, spa, word_of_page(p, rights, second), size)
    reads = m["count"]["reads"] - begun
    events.translated(m, trace, vp, cause, gva, gpa, spa, 12 + 9 * size, reads, access)
    return OK, spa


@kernel
def cached(m, p, t, trace, vp, cause, gva, access):
    """Ask the L1 TLB, then the L2 TLB: (found, SPA, cause)."""
    mine, everyone = p["tag"], p["tag"] & ~(I(4095) << PCID_SHIFT) | GLOBAL
    t["tick"] += 1
    for size in range(3):
        shift = 12 + 9 * size
        page = gva >> shift & PAGE_NUMBERS
        way, s = l1_lookup(t, size, page, mine, everyone)
        if way >= 0:
            held = t["l1"][size, s]
            entry = held["entry"][way]
            if granted(p, entry, access):
                held["used"][way] = t["tick"]
                spa = entry & FRAME | gva & (I(1) << shift) - 1
                cause = events.tlb_hit(m, trace, vp, cause, I(1), gva, spa, shift)
                if entry & STALE != 0:
                    cause = events.stale_entry_used(m, trace, vp, cause, I(1), gva, spa)
                return True, spa, cause
    for size in range(3):
        shift = 12 + 9 * size
        page = gva >> shift & PAGE_NUMBERS
        way, s = l2_lookup(t, size, page, mine, everyone)
        if way >= 0:
            known = t["l2"][s]
            entry = known["entry"][way]
            if granted(p, entry, access):
                known["used"][way] = t["tick"]
                m["count"]["l2_hits"] += 1
                m["now"] += m["cost"]["l2_hit"]
                spa = entry & FRAME | gva & (I(1) << shift) - 1
                cause = events.tlb_hit(m, trace, vp, cause, I(2), gva, spa, shift)
                if entry & STALE != 0:
                    cause = events.stale_entry_used(m, trace, vp, cause, I(2), gva, spa)
                evicted = l1_fill(t, I(size), known["tag"][way], entry, mine, everyone)
                if evicted >= 0:
                    cause = events.tlb_filled(m, trace, vp, cause, I(1), gva, spa, shift, evicted)
                return True, spa, cause
    cause = events.tlb_missed(m, trace, vp, cause, gva)
    return False, gva, cause


@merged
def translate(m, p, t, mem, trace, vp, gva, access):
    """Translate one guest virtual address for one access: (fault, SPA); on a fault the address that it is about."""
    cause = events.access_begun(
        m, trace, vp, I(-1), gva, access, p["cr3"], p["levels"], p["second_level"], p["second_levels"]
    )
    if p["levels"] > 0:
        upper = gva >> 9 * p["levels"] + 11
        if upper != 0 and upper != -1:
            m["count"]["not_canonical"] += 1
            events.general_protection_raised(m, trace, vp, cause, gva)
            return GENERAL_PROTECTION, gva
    if access & PEEK == 0:
        found, spa, cause = cached(m, p, t, trace, vp, cause, gva, access)
        if found:
            return OK, spa
    fault, spa = walk(m, p, t, mem, trace, vp, cause, gva, access)
    if fault != OK and access & PEEK == 0:
        kind = fault & (I(1) << DETAIL) - 1
        if kind in (EPT_VIOLATION, NESTED_FAULT):
            nested.forget_guest_page(t, p, p["fault_gpa"])
        if kind in (PAGE_FAULT, EPT_VIOLATION, NESTED_FAULT):
            forget(t, p["tag"], p["tag"] & ~(I(4095) << PCID_SHIFT) | GLOBAL, gva)
    return fault, spa


@entry_point
def run(state, mem, trace, vp, gva, access, fault, spa):
    """Translate each address in turn; return how many were done.

    Stops before a step that the trace might not hold (an empty trace is "off"); -1 for a VP that is not there.
    The position is `steps` in the state.
    """
    m = state[0]
    if vp < 0 or vp >= m["vp"].shape[0] or m["vp"][vp]["lp"] >= m["lp"].shape[0] or m["vp"][vp]["lp"] < 0:
        return I(-1)
    p = m["vp"][vp]
    t = m["lp"][p["lp"]]["tlb"]
    prepare(p)
    done = gva.shape[0]
    for k in range(gva.shape[0]):
        if 0 < trace.shape[0] < m["rows"] + WORST_STEP:
            done = I(k)
            break
        want = access[k] & ACCESS
        if want & IMPLICIT != 0:
            want &= ~USER  # the processor's own access, whoever runs. Source: SDM vol. 3A 4.6
        fault[k], spa[k] = translate(m, p, t, mem, trace, vp, gva[k], want)
    m["steps"] += done
    m["count"]["accesses"] += done
    return I(done)


MACHINE = [
    ("rows", I),
    ("now", I),
    ("steps", I),
    ("pages", I),
    ("phys_bits", I),  # width of an SPA
    ("cost", COSTS),
    ("count", COUNTS),
]


VPS, LPS = 8, 4  # room in the state: one type for every machine, since another shape would compile the engine again


def state_type(*more: tuple[Any, ...]) -> np.dtype[np.void]:
    """Return the type of a machine's state: the hardware's fields and those that the hypervisor adds."""
    return np.dtype([*MACHINE, ("vp", VP, (VPS,)), ("lp", LP, (LPS,)), *more])
