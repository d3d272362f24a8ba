"""A logical processor with all its translation caches, composed of the slow walker and the slow cache.

Written from the manuals and from what the engine promises, for the engine to be compared with event by event.
Sources: Intel SDM vol. 3A 4.10 (TLBs, paging-structure caches, global pages, PCIDs), vol. 3C "Caching translation
information" (guest-physical and combined mappings, VPIDs).

Where the manuals leave a choice, the model takes this one:

- The L1 TLB has one array for each page size, the L2 TLB holds all sizes; L1 is asked before L2, small pages before
  large ones. What is found but does not grant the access (a right is missing, or a write would have to set D) is as
  good as absent: it is not used, and the next cache or the walk answers.
- If an entry of this address space and a global one both serve a page, the way of the higher number is asked.
- A finished walk fills L1, then L2, in the place of the entry that served the page; an answer of L2 fills L1.
- The structure cache of level n keeps where the guest's table of level n lies, with the entries above it; the lowest
  table known is taken. A table whose page the second level would not let A and D be written to is not kept.
- The nested cache keeps 4-KiB pieces and the size of the page they are from.
- A fault in the guest or in the second level drops what would be used for that address, and in the second level what
  is known of that guest-physical page, so that a fault does not come back once its cause in memory is gone.
- PEEK neither asks nor fills any cache, and drops nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from model.caches import Cache, Tag, Way, tag_serves
from model.memory import Memory
from model.paging import (
    ACCESSED,
    DIRTY,
    EPT_DIRTY,
    EPT_EXECUTE,
    EPT_READ,
    EPT_WRITE,
    FAULT_PRESENT,
    FAULT_RESERVED,
    FRAME,
    GLOBAL,
    NO_EXECUTE,
    PEEK,
    PRESENT,
    USER_PAGE,
    WRITABLE,
    Cpu,
    Outcome,
    Place,
    SecondLevel,
    Stop,
    Walk,
    ept_rights,
    is_canonical,
    is_leaf,
    reserved_bits,
    shift_of,
)

SHIFTS = (12, 21, 30)
USER_EXECUTE = 8
ALL_RIGHTS = EPT_READ | EPT_WRITE | EPT_EXECUTE | USER_EXECUTE
L1, L2 = 1, 2
Log = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Shape:
    """(sets, ways) of each cache; 0 ways: there is none."""

    l1: tuple[int, int] = (16, 4)
    l2: tuple[int, int] = (128, 12)
    structure: tuple[int, int] = (8, 4)
    nested: tuple[int, int] = (16, 4)


@dataclass
class Vp:
    """A virtual processor: its registers, its second level, and the tags under which its translations are kept."""

    cpu: Cpu
    second: SecondLevel
    vpid: int
    space: int
    pge: bool = False

    @property
    def pcid(self) -> int:
        return self.cpu.cr3 & 0xFFF if self.cpu.pcide else 0


@dataclass
class Backing:
    """What the second level said about one guest-physical page: R, W, X, XU as bits 0 to 3; is D set or not kept."""

    spa: int
    shift: int
    rights: int
    dirty: bool

    def allows(self, is_write: bool, is_fetch: bool, execute: int) -> bool:
        if is_write:
            return bool(self.rights & EPT_WRITE) and self.dirty
        return bool(self.rights & (execute if is_fetch else EPT_READ))


@dataclass
class Known:
    """A finished translation: where the page lies, the guest's entries and the second level's word on the data page."""

    spa: int
    shift: int
    entries: list[int]
    backing: Backing


@dataclass
class Table:
    """A guest's table that the walk may start at: where it lies, and the guest's entries that lead to it."""

    place: Place
    entries: list[int]


def build(shape: tuple[int, int]) -> Cache | None:
    """Return a cache of this shape, or None for one without ways."""
    return Cache(*shape) if shape[1] else None


def holder(cache: Cache | None, page: int, serves: Callable[[Any], bool]) -> Way | None:
    """Return the way that answers for a page, the highest of several; it is not used by that."""
    if cache is None:
        return None
    ways = [way for way in cache.content[cache.index_of(page)] if way.valid and serves(way.key)]
    return ways[-1] if ways else None


def put(cache: Cache, page: int, key: Any, value: Any, serves: Callable[[Any], bool]) -> bool:
    """Keep a value in the place of the entry that served until now, else in the next place; tell if one had to go."""
    way = holder(cache, page, serves)
    if way is None:
        return cache.fill(key, cache.index_of(page), value) is not None
    way.key, way.value = key, value
    cache.use(way)
    return False


class CachedWalk(Walk):
    """One access under way that asks the processor's caches for tables and guest-physical pages."""

    def __init__(self, processor: Processor, vp: Vp, gva: int, access: int) -> None:
        super().__init__(processor.memory, vp.cpu, vp.second, gva, access)
        self.processor, self.vp = processor, vp
        self.log: Log = []
        self.entries: list[int] = []
        self.backing = Backing(0, 48, ALL_RIGHTS, True)

    def read(self, guest_level: int, level: int | None, spa: int) -> int:
        entry = super().read(guest_level, level, spa)
        stage = ("second_level_entry_read", guest_level, level) if level else ("table_entry_read", guest_level)
        self.log.append((*stage, spa, entry))
        return entry

    def mark(self, spa: int, entry: int, flags: int) -> None:
        before = len(self.writes)
        super().mark(spa, entry, flags)
        self.log += [("written", *write) for write in self.writes[before:]]

    def tag(self, page: int) -> Tag:
        return Tag(page, self.vp.vpid, self.vp.pcid)

    def serves(self, page: int) -> Callable[[Tag], bool]:
        return lambda tag: tag_serves(tag, page, self.vp.vpid, self.vp.pcid)

    # ---- paging-structure caches ----

    def guest_entries(self) -> tuple[list[int], Place]:
        """Read the guest's entries from the lowest known table to the leaf."""
        known = self.lowest_table() if self.marks else None
        entries, table, place = [], self.cpu.cr3 & FRAME, Place(0, 0, 0, 0)
        if known is not None:
            entries = list(known.entries)
        for level in range(self.cpu.levels - len(entries), 0, -1):
            offset = 8 * (self.gva >> shift_of(level) & 511)
            self.place_gpa = table + offset
            if known is not None:
                place = Place(known.place.spa + offset, known.place.shift, known.place.level, known.place.rights)
                known = None
            else:
                place = self.second_stage(self.place_gpa, level)
                self.keep_table(level, place, entries)
            entry = self.read(level, None, place.spa)
            if not entry & PRESENT:
                self.page_fault(0, level)
            if reserved_bits(level, entry, self.cpu.phys_bits, self.cpu.nxe):
                self.page_fault(FAULT_PRESENT | FAULT_RESERVED, level)
            entries.append(entry)
            if is_leaf(level, entry):
                break
            self.mark_guest(place, level, entry, ACCESSED)
            table = entry & FRAME
        self.entries = entries
        return entries, place

    def lowest_table(self) -> Table | None:
        for level in range(1, self.cpu.levels):
            cache, prefix = self.processor.structure[level], self.gva >> shift_of(level + 1)
            table = cache.lookup(self.tag(prefix), cache.index_of(prefix)) if cache else None
            if table is not None:
                self.log.append(("structure_cache_hit", level, table.place.spa))
                return table
        return None

    def keep_table(self, level: int, place: Place, entries: list[int]) -> None:
        cache, prefix = self.processor.structure.get(level), self.gva >> shift_of(level + 1)
        writable = self.second.kind != "ept" or place.rights & EPT_WRITE
        if cache and self.marks and level < self.cpu.levels and writable:
            table = Table(Place(place.spa & ~0xFFF, place.shift, place.level, place.rights), list(entries))
            cache.fill(self.tag(prefix), cache.index_of(prefix), table)

    # ---- the nested cache ----

    def second_stage(
        self, gpa: int, guest_level: int, is_write: bool = False, is_fetch: bool = False, user_page: bool = False
    ) -> Place:
        """Ask the nested cache, then the second level's tables."""
        if self.second.kind == "none":
            return super().second_stage(gpa, guest_level)
        cache, key = self.processor.nested, (self.vp.space, gpa >> 12)
        needs_write = is_write or guest_level > 0 and (self.second.kind == "npt" or self.second.ad)
        execute = USER_EXECUTE if self.second.mbec and user_page else EPT_EXECUTE
        way = holder(cache, gpa >> 12, lambda held: held == key) if self.marks else None
        if cache and way and way.value.allows(needs_write, is_fetch, execute):
            cache.use(way)
            self.backing = way.value
            spa = self.backing.spa | gpa & 0xFFF
            self.log.append(("nested_cache_hit", guest_level, gpa, spa))
            return Place(spa, self.backing.shift, (self.backing.shift - 12) // 9 + 1, self.backing.rights)
        begun = len(self.reads)
        place = super().second_stage(gpa, guest_level, is_write, is_fetch, user_page)
        self.backing = self.backing_of(place, [entry for *_, entry in self.reads[begun:]], needs_write)
        if cache and self.marks:
            cache.fill(key, cache.index_of(gpa >> 12), self.backing)
        return place

    def backing_of(self, place: Place, entries: list[int], written: bool) -> Backing:
        """Join the second level's entries for one page."""
        rights = ALL_RIGHTS
        for entry in entries:
            if self.second.kind == "ept":
                rights &= ept_rights(entry, self.second.mbec)
                continue
            rights &= ALL_RIGHTS if entry & USER_PAGE else 0
            rights &= ~(0 if entry & WRITABLE else EPT_WRITE)
            rights &= ~(EPT_EXECUTE | USER_EXECUTE if entry & NO_EXECUTE else 0)
        keeps = self.second.kind == "npt" or self.second.ad
        flag = DIRTY if self.second.kind == "npt" else EPT_DIRTY
        return Backing(place.spa & ~0xFFF, place.shift, rights, written or not keeps or bool(entries[-1] & flag))

    # ---- the TLBs ----

    def grants(self, known: Known) -> bool:
        """Tell whether a cached translation allows this access without any change in memory."""
        user_page = all(entry & USER_PAGE for entry in known.entries)
        try:
            self.check_guest_rights(known.entries, 0, user_page)
        except Stop:
            return False
        if self.is_write and not known.entries[-1] & DIRTY:
            return False
        execute = USER_EXECUTE if self.second.mbec and user_page else EPT_EXECUTE
        return known.backing.allows(self.is_write, self.is_fetch, execute)

    def known(self, outcome: Outcome) -> Known:
        """Return what a TLB keeps of this walk; a write has set D."""
        assert outcome.spa is not None and outcome.shift is not None
        entries = list(self.entries)
        entries[-1] |= DIRTY if self.is_write else 0
        return Known(outcome.spa >> outcome.shift << outcome.shift, outcome.shift, entries, self.backing)


class Processor:
    """One logical processor: memory and the caches that all of its virtual processors share."""

    def __init__(self, memory: Memory, shape: Shape) -> None:
        self.memory = memory
        self.l1 = {shift: build(shape.l1) for shift in SHIFTS}
        self.l2 = build(shape.l2)
        self.structure = {level: build(shape.structure) for level in range(1, 5)}
        self.nested = build(shape.nested)

    def access(self, vp: Vp, gva: int, access: int) -> tuple[Outcome, Log]:
        """Make one access; return how it ends, and all that happened on the way in order."""
        walk = CachedWalk(self, vp, gva, access)
        quiet = bool(access & PEEK)
        outcome = self.ask(walk) if is_canonical(gva, vp.cpu.levels) and not quiet else None
        if outcome is None:
            try:
                outcome = walk.run()
            except Stop as stop:
                outcome = stop.outcome
                walk.log.append(told(gva, outcome))
                if not quiet:
                    self.forget(walk, outcome)
            else:
                if not quiet:
                    self.keep(walk, walk.known(outcome), (L1, L2))
                walk.log.append(("translated", outcome.gpa, outcome.spa, outcome.shift, len(walk.reads)))
        outcome.reads, outcome.writes = walk.reads, walk.writes
        return outcome, walk.log

    def tlb(self, number: int, shift: int) -> Cache | None:
        return self.l1[shift] if number == L1 else self.l2

    def ask(self, walk: CachedWalk) -> Outcome | None:
        """Ask L1, then L2."""
        for number in (L1, L2):
            for shift in SHIFTS:
                cache, page = self.tlb(number, shift), walk.gva >> shift
                way = holder(cache, page, self.wanted(walk, shift))
                if cache is None or way is None or not walk.grants(way.value):
                    continue
                cache.use(way)
                spa = way.value.spa | walk.gva & (1 << shift) - 1
                walk.log.append(("tlb_hit", number, spa, shift))
                if number == L2:
                    self.keep(walk, way.value, (L1,), way.key[1])
                return Outcome("ok", spa=spa, shift=shift)
        walk.log.append(("tlb_missed",))
        return None

    def wanted(self, walk: CachedWalk, shift: int) -> Callable[[Any], bool]:
        serves = walk.serves(walk.gva >> shift)
        return lambda key: key[0] == shift and serves(key[1])

    def keep(self, walk: CachedWalk, known: Known, numbers: tuple[int, ...], tag: Tag | None = None) -> None:
        """Fill TLBs; the G flag counts only while CR4.PGE is set."""
        shift, page = known.shift, walk.gva >> known.shift
        if tag is None:
            is_global = walk.vp.pge and bool(known.entries[-1] & GLOBAL)
            tag = Tag(page, walk.vp.vpid, 0, True) if is_global else walk.tag(page)
        for number in numbers:
            cache = self.tlb(number, shift)
            if cache is not None:
                evicted = put(cache, page, (shift, tag), known, self.wanted(walk, shift))
                spa = known.spa | walk.gva & (1 << shift) - 1
                walk.log.append(("tlb_filled", number, spa, shift, int(evicted)))

    def forget(self, walk: CachedWalk, outcome: Outcome) -> None:
        """Drop what led to a fault."""
        if outcome.kind not in ("page_fault", "ept_violation", "nested_page_fault"):
            return
        for cache in (*self.l1.values(), self.l2):
            if cache:
                cache.flush(lambda key: walk.serves(walk.gva >> key[0])(key[1]))
        for level, cache in self.structure.items():
            if cache:
                cache.flush(lambda tag, level=level: tag == walk.tag(walk.gva >> shift_of(level + 1)))
        if self.nested and outcome.gpa is not None:
            self.nested.flush(lambda key: key == (walk.vp.space, outcome.gpa >> 12))


def told(gva: int, outcome: Outcome) -> tuple[Any, ...]:
    """Return the end of an access that failed, in the form of the log."""
    kind = outcome.kind
    if kind == "page_fault":
        return kind, gva, outcome.error_code, outcome.level
    if kind in ("ept_violation", "nested_page_fault"):
        code = outcome.qualification if kind == "ept_violation" else outcome.error_code
        return kind, outcome.gpa, code, outcome.guest_level, outcome.level
    if kind == "ept_misconfiguration":
        return kind, outcome.gpa, outcome.guest_level, outcome.level
    return (kind, outcome.spa) if kind == "memory_missing" else (kind, gva)
