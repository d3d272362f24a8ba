"""x86-64 address translation with an optional second level, one memory reference after the other.

Written from the manuals' rules for the engine to be compared with, so nothing here is clever: each rule stands
once, in the order in which the processor meets it. Sources: Intel SDM vol. 3A ch. 4 (paging), vol. 3C ch. 29
(EPT); AMD APM vol. 2 section 15.25 (nested paging).

Where the manuals leave a choice, the model takes this one:

- An upper entry gets its A flag as soon as it is known to be present and well formed; a leaf gets A (and D) only
  once the access is allowed. That holds in the guest's tables, in nested tables and, with EPT A/D flags on, in EPT.
- The guest's leaf is marked before the data page's guest-physical address is translated.
- Second-level rights are judged once the leaf is reached, over all entries used, so a violation names the leaf's
  level unless an entry above it is not present.
- A guest-physical address beyond what the second level's tables can index is a violation (or a nested page fault
  of a page not present) at its top level, without a memory reference.
- With PEEK nothing is marked; which rights are needed stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from model.memory import Memory

READ, WRITE, USER, FETCH, IMPLICIT, PEEK = 0, 2, 4, 16, 256, 512

# an entry of x86-64 and nested paging
PRESENT, WRITABLE, USER_PAGE, ACCESSED, DIRTY, LARGE, GLOBAL = 1 << 0, 1 << 1, 1 << 2, 1 << 5, 1 << 6, 1 << 7, 1 << 8
NO_EXECUTE = 1 << 63
# an entry of EPT
EPT_READ, EPT_WRITE, EPT_EXECUTE, EPT_ACCESSED, EPT_DIRTY, EPT_USER_EXECUTE = 1, 2, 4, 1 << 8, 1 << 9, 1 << 10
EPT_MEMORY_TYPES = {0: "UC", 1: "WC", 4: "WT", 5: "WP", 6: "WB"}
# page-fault error code
FAULT_PRESENT, FAULT_WRITE, FAULT_USER, FAULT_RESERVED, FAULT_FETCH, FAULT_KEY = 1, 2, 4, 8, 16, 32
NESTED_FINAL, NESTED_TABLE = 1 << 32, 1 << 33


def bits(low: int, high: int) -> int:
    """Return a word whose bits low to high are set."""
    return sum(1 << bit for bit in range(low, high + 1))


FRAME = bits(12, 51)


def shift_of(level: int) -> int:
    """Return how many address bits lie below what an entry of this level covers."""
    return 12 + 9 * (level - 1)


@dataclass
class Cpu:
    """What of a processor's state decides on a translation."""

    cr3: int
    levels: int = 4
    phys_bits: int = 46
    wp: bool = True
    nxe: bool = True
    smep: bool = False
    smap: bool = False
    ac: bool = False
    pke: bool = False
    pkru: int = 0
    pcide: bool = False

    @property
    def la57(self) -> bool:
        """CR4.LA57."""
        return self.levels == 5


@dataclass
class SecondLevel:
    """The second stage: none, Intel's EPT or AMD's nested paging; `nxe` is the host's EFER.NXE."""

    kind: str = "none"
    root: int = 0
    levels: int = 4
    phys_bits: int = 46
    ad: bool = True
    execute_only: bool = True
    mbec: bool = False
    large_2m: bool = True
    large_1g: bool = True
    nxe: bool = True


@dataclass
class Outcome:
    """How one access ended, and each memory reference on the way.

    reads: (guest level or 0 for the data page, second-stage level or None for the guest's own entry, spa, entry).
    writes: (spa, old, new).
    """

    kind: str
    gpa: int | None = None
    spa: int | None = None
    shift: int | None = None
    error_code: int | None = None
    qualification: int | None = None
    guest_level: int | None = None
    level: int | None = None
    reads: list[tuple[int, int | None, int, int]] = field(default_factory=list)
    writes: list[tuple[int, int, int]] = field(default_factory=list)


@dataclass
class Place:
    """Where the second stage put a guest-physical address, and with which rights."""

    spa: int
    shift: int
    level: int
    rights: int


class Stop(Exception):
    """The access ends here."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


def translate(memory: Memory | dict[int, list[int]], cpu: Cpu, second: SecondLevel, gva: int, access: int) -> Outcome:
    """Make one access to a guest-virtual address and tell how it ends; A and D flags change in `memory`.

    Instead of a Memory, a dict of pages does, or anything with `has`, `read64` and `write64`.
    """
    walk = Walk(Memory(memory) if isinstance(memory, dict) else memory, cpu, second, gva, access)
    try:
        outcome = walk.run()
    except Stop as stop:
        outcome = stop.outcome
    outcome.reads, outcome.writes = walk.reads, walk.writes
    return outcome


def is_canonical(gva: int, levels: int) -> bool:
    """Tell whether all bits above the translated ones repeat the highest translated one."""
    top = bits(shift_of(levels + 1) - 1, 63)
    return gva & top in (0, top)


def reserved_bits(level: int, entry: int, phys_bits: int, nxe: bool) -> int:
    """Return the bits of a present x86-64 entry that have to be zero and are not."""
    must_be_zero = bits(phys_bits, 51)
    if not nxe:
        must_be_zero |= NO_EXECUTE
    if level >= 4:
        must_be_zero |= LARGE
    if level == 3 and entry & LARGE:
        must_be_zero |= bits(13, 29)
    if level == 2 and entry & LARGE:
        must_be_zero |= bits(13, 20)
    return entry & must_be_zero


def is_leaf(level: int, entry: int) -> bool:
    """Tell whether an entry maps a page; the large-page flag has the same place in both formats."""
    return level == 1 or (level in (2, 3) and bool(entry & LARGE))


def ept_rights(entry: int, mbec: bool) -> int:
    """Return R, W, X and, with mode-based execute control, XU as bits 0 to 3."""
    rights = entry & (EPT_READ | EPT_WRITE | EPT_EXECUTE)
    if mbec and entry & EPT_USER_EXECUTE:
        rights |= 8
    return rights


def ept_is_misconfigured(level: int, entry: int, second: SecondLevel) -> bool:
    """Tell whether a present EPT entry has a form that the processor refuses."""
    rights = ept_rights(entry, second.mbec)
    if rights & EPT_WRITE and not rights & EPT_READ:
        return True
    if not rights & EPT_READ and not second.execute_only:
        return True
    must_be_zero = bits(second.phys_bits, 51)
    if not is_leaf(level, entry):
        must_be_zero |= bits(3, 6)
    if level >= 4 or (level == 3 and not second.large_1g) or (level == 2 and not second.large_2m):
        must_be_zero |= LARGE
    if level in (2, 3) and entry & LARGE:
        must_be_zero |= bits(12, shift_of(level) - 1)
    if entry & must_be_zero:
        return True
    return is_leaf(level, entry) and (entry >> 3 & 7) not in EPT_MEMORY_TYPES


class Walk:
    """One access under way."""

    def __init__(self, memory: Memory, cpu: Cpu, second: SecondLevel, gva: int, access: int) -> None:
        self.memory, self.cpu, self.second, self.gva = memory, cpu, second, gva
        self.is_write = bool(access & WRITE)
        self.is_fetch = bool(access & FETCH)
        self.is_implicit = bool(access & IMPLICIT)
        self.is_user = bool(access & USER) and not self.is_implicit
        self.marks = not access & PEEK
        self.reads: list[tuple[int, int | None, int, int]] = []
        self.writes: list[tuple[int, int, int]] = []

    # ---- memory ----

    def read(self, guest_level: int, level: int | None, spa: int) -> int:
        if not self.memory.has(spa):
            raise Stop(Outcome("memory_missing", spa=spa))
        entry = self.memory.read64(spa)
        self.reads.append((guest_level, level, spa, entry))
        return entry

    def mark(self, spa: int, entry: int, flags: int) -> None:
        if self.marks and entry & flags != flags:
            self.memory.write64(spa, entry | flags)
            self.writes.append((spa, entry, entry | flags))

    # ---- the guest's tables ----

    def run(self) -> Outcome:
        if not is_canonical(self.gva, self.cpu.levels):
            raise Stop(Outcome("general_protection"))
        entries, place = self.guest_entries()
        level, leaf = self.cpu.levels - len(entries) + 1, entries[-1]
        user_page = all(entry & USER_PAGE for entry in entries)
        self.check_guest_rights(entries, level, user_page)
        self.mark_guest(place, level, leaf, ACCESSED | DIRTY if self.is_write else ACCESSED)
        inside = bits(0, shift_of(level) - 1)
        gpa = leaf & FRAME & ~inside | self.gva & inside
        final = self.second_stage(gpa, 0, self.is_write, self.is_fetch, user_page)
        return Outcome("ok", gpa=gpa, spa=final.spa, shift=min(shift_of(level), final.shift))

    def guest_entries(self) -> tuple[list[int], Place]:
        """Read the guest's entries from the root to the leaf; return them and where the last one lies."""
        table, entries = self.cpu.cr3 & FRAME, []
        for level in range(self.cpu.levels, 0, -1):
            entry_gpa = table + 8 * (self.gva >> shift_of(level) & 511)
            place = self.second_stage(entry_gpa, level)
            entry = self.read(level, None, place.spa)
            if not entry & PRESENT:
                self.page_fault(0, level)
            if reserved_bits(level, entry, self.cpu.phys_bits, self.cpu.nxe):
                self.page_fault(FAULT_PRESENT | FAULT_RESERVED, level)
            entries.append(entry)
            self.place_gpa = entry_gpa
            if is_leaf(level, entry):
                break
            self.mark_guest(place, level, entry, ACCESSED)
            table = entry & FRAME
        return entries, place

    def mark_guest(self, place: Place, level: int, entry: int, flags: int) -> None:
        """Set flags in a guest's entry; with EPT and its A/D flags off this is where the write is first asked for."""
        if not self.marks or entry & flags == flags:
            return
        if self.second.kind == "ept" and not place.rights & EPT_WRITE:
            self.ept_violation(self.place_gpa, EPT_READ | EPT_WRITE, place.rights, level, place.level)
        self.mark(place.spa, entry, flags)

    def check_guest_rights(self, entries: Sequence[int], level: int, user_page: bool) -> None:
        cpu = self.cpu
        writable = all(entry & WRITABLE for entry in entries)
        no_execute = any(entry & NO_EXECUTE for entry in entries)
        denied = self.is_user and not user_page
        if self.is_write and not writable and (self.is_user or cpu.wp):
            denied = True
        if self.is_fetch and no_execute and cpu.nxe:
            denied = True
        if not self.is_user and user_page:
            if self.is_fetch and cpu.smep:
                denied = True
            if not self.is_fetch and cpu.smap and (self.is_implicit or not cpu.ac):
                denied = True
        key = self.key_denies(entries[-1], user_page)
        if denied or key:
            self.page_fault(FAULT_PRESENT | (FAULT_KEY if key else 0), level)

    def key_denies(self, leaf: int, user_page: bool) -> bool:
        """Tell whether the protection key alone would refuse; the PK bit says so also where other rights refuse too."""
        if not self.cpu.pke or self.is_fetch or not user_page:
            return False
        key = leaf >> 59 & 15
        access_disabled, write_disabled = self.cpu.pkru >> 2 * key & 1, self.cpu.pkru >> 2 * key + 1 & 1
        return bool(access_disabled or (write_disabled and self.is_write and (self.is_user or self.cpu.wp)))

    def page_fault(self, cause: int, level: int) -> NoReturn:
        code = cause
        code |= FAULT_WRITE if self.is_write else 0
        code |= FAULT_USER if self.is_user else 0
        code |= FAULT_FETCH if self.is_fetch and (self.cpu.nxe or self.cpu.smep) else 0
        raise Stop(Outcome("page_fault", error_code=code, level=level))

    # ---- the second stage ----

    def second_stage(
        self, gpa: int, guest_level: int, is_write: bool = False, is_fetch: bool = False, user_page: bool = False
    ) -> Place:
        """Translate a guest-physical address on behalf of a guest level, or of the data page (0)."""
        if self.second.kind == "ept":
            return self.ept(gpa, guest_level, is_write, is_fetch, user_page)
        if self.second.kind == "npt":
            return self.npt(gpa, guest_level, is_write or guest_level > 0, is_fetch)
        return Place(gpa, shift_of(5), 0, 0)

    def ept(self, gpa: int, guest_level: int, is_write: bool, is_fetch: bool, user_page: bool) -> Place:
        second = self.second
        if guest_level > 0 and second.ad:
            asked, wanted = EPT_READ | EPT_WRITE, EPT_READ | EPT_WRITE
        elif is_fetch:
            asked, wanted = EPT_EXECUTE, 8 if second.mbec and user_page else EPT_EXECUTE
        elif is_write:
            asked, wanted = EPT_WRITE, EPT_WRITE
        else:
            asked, wanted = EPT_READ, EPT_READ
        if gpa >> shift_of(second.levels + 1):
            self.ept_violation(gpa, asked, 0, guest_level, second.levels)
        table, rights = second.root & FRAME, 15 if second.mbec else 7
        for level in range(second.levels, 0, -1):
            spa = table + 8 * (gpa >> shift_of(level) & 511)
            entry = self.read(guest_level, level, spa)
            rights &= ept_rights(entry, second.mbec)
            if not ept_rights(entry, second.mbec):
                self.ept_violation(gpa, asked, rights, guest_level, level)
            if ept_is_misconfigured(level, entry, second):
                raise Stop(Outcome("ept_misconfiguration", gpa=gpa, guest_level=guest_level, level=level))
            if is_leaf(level, entry):
                break
            if second.ad:
                self.mark(spa, entry, EPT_ACCESSED)
            table = entry & FRAME
        if rights & wanted != wanted:
            self.ept_violation(gpa, asked, rights, guest_level, level)
        if second.ad:
            self.mark(spa, entry, EPT_ACCESSED | EPT_DIRTY if asked & EPT_WRITE else EPT_ACCESSED)
        inside = bits(0, shift_of(level) - 1)
        return Place(entry & FRAME & ~inside | gpa & inside, shift_of(level), level, rights)

    def ept_violation(self, gpa: int, asked: int, rights: int, guest_level: int, level: int) -> NoReturn:
        qualification = asked | rights << 3 | 1 << 7 | (1 << 8 if guest_level == 0 else 0)
        raise Stop(Outcome("ept_violation", gpa=gpa, qualification=qualification, guest_level=guest_level, level=level))

    def npt(self, gpa: int, guest_level: int, is_write: bool, is_fetch: bool) -> Place:
        second = self.second
        code = FAULT_USER | (NESTED_TABLE if guest_level > 0 else NESTED_FINAL)
        code |= FAULT_WRITE if is_write else 0
        code |= FAULT_FETCH if is_fetch and second.nxe else 0

        def fault(cause: int, level: int) -> NoReturn:
            raise Stop(
                Outcome("nested_page_fault", gpa=gpa, error_code=code | cause, guest_level=guest_level, level=level)
            )

        if gpa >> shift_of(second.levels + 1):
            fault(0, second.levels)
        table, entries = second.root & FRAME, []
        for level in range(second.levels, 0, -1):
            spa = table + 8 * (gpa >> shift_of(level) & 511)
            entry = self.read(guest_level, level, spa)
            if not entry & PRESENT:
                fault(0, level)
            if reserved_bits(level, entry, second.phys_bits, second.nxe):
                fault(FAULT_PRESENT | FAULT_RESERVED, level)
            entries.append(entry)
            if is_leaf(level, entry):
                break
            self.mark(spa, entry, ACCESSED)
            table = entry & FRAME
        if not all(entry & USER_PAGE for entry in entries):
            fault(FAULT_PRESENT, level)
        if is_write and not all(entry & WRITABLE for entry in entries):
            fault(FAULT_PRESENT, level)
        if is_fetch and second.nxe and any(entry & NO_EXECUTE for entry in entries):
            fault(FAULT_PRESENT, level)
        self.mark(spa, entry, ACCESSED | DIRTY if is_write else ACCESSED)
        inside = bits(0, shift_of(level) - 1)
        return Place(entry & FRAME & ~inside | gpa & inside, shift_of(level), level, 0)
