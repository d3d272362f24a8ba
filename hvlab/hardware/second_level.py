"""The second level: a guest physical address to a system physical address, through Intel EPT or AMD nested tables.

The tables are the hypervisor's; the guest cannot see them. A right that is missing here leaves the guest: it is never
#PF.
"""

from hvlab.hardware.memory import word_at
from hvlab.hardware.tlb import (
    MAY_EXECUTE,
    MAY_READ,
    MAY_USER_EXECUTE,
    MAY_WRITE,
    NESTED_WAYS,
    SECOND_DIRTY,
    SIZE_SHIFT,
    drop,
    highest,
    keep,
    oldest,
)
from hvlab.kernel import I, kernel, matches
from hvlab.trace import events
from hvlab.wire.x64 import EptEntry, EptQualification, PageFaultCode, PageTableEntry

NONE, EPT, NPT = I(0), I(1), I(2)
WRITE, FETCH, PEEK = I(2), I(16), I(512)

OK, EPT_VIOLATION, EPT_MISCONFIGURATION, NESTED_FAULT, MEMORY_MISSING = I(0), I(3), I(4), I(5), I(6)
DETAIL = I(8)
# Why a walk stopped; the last two are also bits of an AMD error code.
ABSENT, FORBIDDEN, RESERVED = (
    I(1 << 40),
    I(PageFaultCode.mask("present")),
    I(PageFaultCode.mask("present") | PageFaultCode.mask("reserved")),
)

FRAME, LARGE = I(EptEntry.mask("frame")), I(EptEntry.mask("large"))
EPT_WRITE, EPT_EXECUTE, EPT_USER = (
    I(EptEntry.mask("write")),
    I(EptEntry.mask("execute")),
    I(EptEntry.mask("user_execute")),
)
EPT_A, EPT_D = I(EptEntry.mask("accessed")), I(EptEntry.mask("dirty"))
NPT_A, NPT_D = I(PageTableEntry.mask("accessed")), I(PageTableEntry.mask("dirty"))
NPT_W, NPT_U, NPT_NX = (
    I(PageTableEntry.mask("writable")),
    I(PageTableEntry.mask("user")),
    I(PageTableEntry.mask("no_execute")),
)
EVERY_RIGHT = MAY_READ | MAY_WRITE | MAY_EXECUTE | MAY_USER_EXECUTE
RIGHTS_SHIFT, USER_SHIFT = I(52), I(45)  # EPT bits 2:0 and 10 to the places of MAY_READ … MAY_USER_EXECUTE
QUALIFIED = I(EptQualification.lo("may_read"))
LINEAR_VALID, FINAL = I(EptQualification.mask("linear_valid")), I(EptQualification.mask("final"))
CODE_FINAL, CODE_TABLE = I(PageFaultCode.mask("final")), I(PageFaultCode.mask("table"))

# What a VP's control structure (VMCS, VMCB) says about the second level.
VP = [
    ("second_level", I),
    ("root", I),  # SPA of the top table
    ("second_levels", I),
    ("space", I),  # slot of the partition: whose guest physical addresses these are
    ("accessed_dirty", I),  # EPT pointer bit 6; AMD always keeps A and D
    ("execute_only", I),  # the processor allows X without R
    ("mbec", I),  # mode-based execute control
    ("host_nxe", I),  # AMD: EFER.NXE of the host, under which nested tables are read
    ("fault_gpa", I),
]


@kernel
def may(p, rights, access, user):
    """Whether the second level's rights allow an access; `user`: the guest's tables say that it is a user page."""
    if access & WRITE != 0:
        return rights & MAY_WRITE != 0
    if access & FETCH != 0:
        right = MAY_USER_EXECUTE if p["mbec"] != 0 and user else MAY_EXECUTE
        return rights & right != 0
    return rights & MAY_READ != 0


@kernel
def second_level_fault(m, p, trace, vp, cause, gpa, access, why, rights, guest_level, level, gva):
    """Leave the guest because the second level forbids an access; return the fault.

    `why` is the reason as bits of an AMD error code: ABSENT, FORBIDDEN (present) or RESERVED.
    Sources: SDM vol. 3C, EPT violations; APM vol. 2, 15.25.6.
    """
    p["fault_gpa"] = gpa
    m["count"]["faults"] += 1
    if p["second_level"] == NPT:
        code = why & ~ABSENT | NPT_U | access & WRITE | (CODE_FINAL if guest_level == 0 else CODE_TABLE)
        if p["host_nxe"] != 0:
            code |= access & FETCH
        events.nested_page_fault_raised(m, trace, vp, cause, gpa, code, guest_level, level, gva)
        return NESTED_FAULT | code << DETAIL
    write, fetch = access & WRITE != 0, access & FETCH != 0
    code = I(2) if write else I(4) if fetch else I(1)
    # a table access that must set A or D counts as read and write
    code |= I(1) if guest_level > 0 else FINAL
    allowed = rights >> RIGHTS_SHIFT & (15 if p["mbec"] != 0 else 7)
    code |= LINEAR_VALID | allowed << QUALIFIED
    events.ept_violation_raised(m, trace, vp, cause, gpa, code, guest_level, level, gva)
    return EPT_VIOLATION | code << DETAIL


@kernel
def ept_entry_is_wrong(m, p, entry, level, leaf):
    """Whether an EPT entry is a misconfiguration. Source: SDM vol. 3C, EPT misconfigurations."""
    readable, writable = entry & 1 != 0, entry & EPT_WRITE != 0
    executable = entry & EPT_EXECUTE != 0 or p["mbec"] != 0 and entry & EPT_USER != 0
    if not readable and (writable or executable and p["execute_only"] == 0):
        return True
    if entry & FRAME & ~((I(1) << m["phys_bits"]) - 1) != 0:
        return True
    if not leaf:
        return entry & (LARGE | 0x78) != 0
    kind = entry >> 3 & 7
    if kind == 2 or kind == 3 or kind == 7:
        return True
    return level > 1 and entry & ((I(1) << 12 + 9 * (level - 1)) - 1) & FRAME != 0


@kernel
def npt_entry_is_wrong(m, p, entry, level, leaf):
    """Whether a nested entry sets reserved bits. Source: APM vol. 2, 5.3 and 15.25."""
    if entry & NPT_NX != 0 and p["host_nxe"] == 0:
        return True
    if entry & FRAME & ~((I(1) << m["phys_bits"]) - 1) != 0 or level >= 4 and entry & LARGE != 0:
        return True
    return leaf and level > 1 and entry & ((I(1) << 12 + 9 * (level - 1)) - 1) & ~I(0x1FFF) != 0


@kernel
def rights_of(p, entry):
    """Return a present entry's own rights as MAY_ bits; nested tables are walked as user, so U = 0 grants nothing."""
    if p["second_level"] == NPT:
        if entry & NPT_U == 0:
            return I(0)
        rights = MAY_READ
        if entry & NPT_W != 0:
            rights |= MAY_WRITE
        if entry & NPT_NX == 0:
            rights |= MAY_EXECUTE | MAY_USER_EXECUTE
        return rights
    rights = (entry & 7) << RIGHTS_SHIFT
    if p["mbec"] != 0:
        rights |= (entry & EPT_USER) << USER_SHIFT
    return rights


@kernel
def what_is_wrong(m, p, entry, level, leaf):
    """Return ABSENT or RESERVED for an entry that stops the walk by itself, else OK."""
    if p["second_level"] == NPT:
        if entry & 1 == 0:
            return ABSENT
        return RESERVED if npt_entry_is_wrong(m, p, entry, level, leaf) else OK
    if entry & (7 | EPT_USER if p["mbec"] != 0 else 7) == 0:
        return ABSENT
    return RESERVED if ept_entry_is_wrong(m, p, entry, level, leaf) else OK


@kernel
def mark(m, p, mem, trace, vp, cause, at, spa, entry, level, leaf, write):
    """Set A in a used entry, D in a leaf that is written through; return the next cause."""
    npt = p["second_level"] == NPT
    if not npt and p["accessed_dirty"] == 0:
        return cause
    a, d = (NPT_A, NPT_D) if npt else (EPT_A, EPT_D)
    new = entry | a | (d if leaf and write else I(0))
    if new != entry:
        mem[at] = new
        m["now"] += m["cost"]["memory_write"]
        if new & d != entry & d:
            cause = events.dirty_set(m, trace, vp, cause, I(2), level, spa, entry, new)
        else:
            cause = events.accessed_set(m, trace, vp, cause, I(2), level, spa, entry, new)
    return cause


@kernel
def nested_tag(p, gpa):
    """Return the tag of a guest page in the nested cache."""
    return p["space"] + 1 << 45 | gpa >> 12


@kernel
def nested_lookup(t, p, gpa):
    """Return (way, set) of a guest page in the nested cache; way -1 if it is not there."""
    s = gpa >> 12 & t["nested_sets"] - 1
    return highest(matches(t["nested"][s]["tag"], NESTED_WAYS, nested_tag(p, gpa))), s


@kernel
def nested_fill(t, p, gpa, spa, rights, size):
    """Keep a guest page in the nested cache, as one 4-KiB piece; a former entry of the same page is replaced."""
    if t["nested_ways"] == 0:
        return
    way, s = nested_lookup(t, p, gpa)
    held = t["nested"][s]
    if way < 0:
        way = oldest(held["used"], t["nested_ways"])
    t["tick"] += 1
    keep(held, way, nested_tag(p, gpa), spa & FRAME | rights | size << SIZE_SHIFT, t["tick"])


@kernel
def forget_guest_page(t, p, gpa):
    """Drop what the nested cache knows of a guest page, after a violation. Source: SDM vol. 3C, as for `tlb.forget`."""
    held = t["nested"][gpa >> 12 & t["nested_sets"] - 1]
    drop(held, matches(held["tag"], NESTED_WAYS, nested_tag(p, gpa)))


@kernel
def second_level_walk(m, p, mem, trace, vp, cause, gpa, access, guest_level, user, gva):
    """Walk the second-level tables: (fault, SPA, rights, size, cause)."""
    level, table, rights, why, spa, entry = p["second_levels"], p["root"], EVERY_RIGHT, OK, I(0), I(0)
    if gpa >> 12 + 9 * level != 0:
        why, rights = ABSENT, I(0)
    while why == OK:
        index = gpa >> 12 + 9 * (level - 1) & 511
        spa = table | index << 3
        at = word_at(m, mem, spa)
        if at < 0:
            m["count"]["faults"] += 1
            events.memory_missing(m, trace, vp, cause, spa, guest_level, level)
            return MEMORY_MISSING, spa, I(0), I(0), cause
        entry = mem[at]
        m["count"]["reads"] += 1
        m["now"] += m["cost"]["table_read"]
        cause = events.second_level_entry_read(m, trace, vp, cause, guest_level, level, index, spa, entry, gpa)
        leaf = level == 1 or level <= 3 and entry & LARGE != 0
        why = what_is_wrong(m, p, entry, level, leaf)
        rights &= rights_of(p, entry) if why != ABSENT else I(0)
        if why == OK and leaf and not may(p, rights, access, user):
            why = FORBIDDEN
        if why == OK:
            if access & PEEK == 0:
                cause = mark(m, p, mem, trace, vp, cause, at, spa, entry, level, leaf, access & WRITE != 0)
            if leaf:
                below = (I(1) << 12 + 9 * (level - 1)) - 1
                return OK, entry & FRAME & ~below | gpa & below, rights | dirt(p, entry, access), level - 1, cause
            table, level = entry & FRAME, level - 1
    if why == RESERVED and p["second_level"] == EPT:
        p["fault_gpa"] = gpa
        m["count"]["faults"] += 1
        events.ept_misconfigured(m, trace, vp, cause, gpa, guest_level, level, spa, entry)
        return EPT_MISCONFIGURATION, gpa, I(0), I(0), cause
    fault = second_level_fault(m, p, trace, vp, cause, gpa, access, why, rights, guest_level, level, gva)
    return fault, gpa, I(0), I(0), cause


@kernel
def dirt(p, entry, access):
    """Return SECOND_DIRTY if a later write need not set D: it is set now, was before, or is not kept at all."""
    if p["second_level"] == NPT:
        return SECOND_DIRTY if access & WRITE != 0 or entry & NPT_D != 0 else I(0)
    clean = p["accessed_dirty"] != 0 and access & WRITE == 0 and entry & EPT_D == 0
    return I(0) if clean else SECOND_DIRTY


@kernel
def second_level(m, p, t, mem, trace, vp, cause, gpa, access, guest_level, user, gva):
    """Translate a GPA for one access: (fault, SPA, rights, size, cause), size 0 for 4 KiB, 1 for 2 MiB, 2 for 1 GiB.

    `guest_level` says on whose behalf: the guest's table of that level, or 0 for the data itself.
    """
    if p["second_level"] == NONE:
        return OK, gpa, EVERY_RIGHT | SECOND_DIRTY, I(2), cause
    quiet = access & PEEK != 0
    if not quiet:
        way, s = nested_lookup(t, p, gpa)
        if way >= 0:
            held = t["nested"][s]
            entry = held["entry"][way]
            if may(p, entry, access, user) and (access & WRITE == 0 or entry & SECOND_DIRTY != 0):
                t["tick"] += 1
                held["used"][way] = t["tick"]
                spa = entry & FRAME | gpa & 4095
                cause = events.nested_cache_hit(m, trace, vp, cause, guest_level, gpa, spa)
                return OK, spa, entry & (EVERY_RIGHT | SECOND_DIRTY), entry >> SIZE_SHIFT & 3, cause
    fault, spa, rights, size, cause = second_level_walk(
        m, p, mem, trace, vp, cause, gpa, access, guest_level, user, gva
    )
    if fault == OK and not quiet:
        nested_fill(t, p, gpa, spa, rights, size)
    return fault, spa, rights, size, cause
