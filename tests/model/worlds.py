"""Random small worlds for comparing two walkers: tables in both stages, a processor's modes and a list of accesses.

A world is decided by its seed alone. First its tables are planned, all of them sound; then they are written, and what
is to go wrong (missing, read-only, reserved, misconfigured, pointing to no memory) is strewn over the entries at a rate
that is drawn per world, so that calm worlds let accesses through and wild ones break at every level.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from model.memory import Memory
from model.paging import (
    ACCESSED,
    DIRTY,
    EPT_ACCESSED,
    EPT_DIRTY,
    EPT_USER_EXECUTE,
    FETCH,
    GLOBAL,
    IMPLICIT,
    LARGE,
    NO_EXECUTE,
    PRESENT,
    READ,
    USER,
    USER_PAGE,
    WRITABLE,
    WRITE,
    Cpu,
    SecondLevel,
    shift_of,
)

ACCESSES = [READ, WRITE, FETCH, IMPLICIT, WRITE | IMPLICIT, USER, USER | WRITE, USER | FETCH]


@dataclass
class World:
    """What both walkers are given. The accesses are made in order: A and D flags of one are seen by the next."""

    seed: int
    memory: Memory
    cpu: Cpu
    second: SecondLevel
    accesses: list[tuple[int, int]] = field(default_factory=list)

    def words(self) -> np.ndarray:
        """Return a copy of the whole memory as signed words, one after the other, as the engine keeps it."""
        words = np.zeros((self.memory.size, 512), np.uint64)
        for spn, page in self.memory.pages.items():
            words[spn] = page
        return words.ravel().view(np.int64)


@dataclass
class Table:
    """One planned table: where its entries are written, how others refer to it, and what its entries point to."""

    spa: int
    address: int
    level: int
    entries: dict[int, Table | int] = field(default_factory=dict)


class Tables:
    """The planned tables of one stage."""

    def __init__(self, levels: int, place: Callable[[], tuple[int, int]]) -> None:
        self.levels, self.place = levels, place
        self.root = self.new(levels)

    def new(self, level: int) -> Table:
        spa, address = self.place()
        return Table(spa, address, level)

    def map(self, address: int, target: int, leaf_level: int) -> bool:
        """Plan one page; False if something else is planned in its way."""
        table = self.root
        while table.level > leaf_level:
            index = address >> shift_of(table.level) & 511
            below = table.entries.get(index)
            if below is None:
                below = table.entries[index] = self.new(table.level - 1)
            if isinstance(below, int):
                return False
            table = below
        return table.entries.setdefault(address >> shift_of(leaf_level) & 511, target) == target

    def all(self) -> list[Table]:
        """Return every table, the root first."""
        found = [self.root]
        for table in found:
            found += [below for below in table.entries.values() if isinstance(below, Table)]
        return found


class GuestMemory:
    """Guest-physical pages, and the second level's plan that backs them."""

    def __init__(self, rng: random.Random, size: int, second: SecondLevel, phys_bits: int) -> None:
        self.rng, self.second = rng, second
        chunks = rng.sample(range(1, size // 512), size // 1024)
        self.chunks = [spn << 21 for spn in chunks]  # whole 2 MiB pieces
        self.free = [spn << 12 for spn in range(1, size) if spn >> 9 not in chunks]
        rng.shuffle(self.free)
        self.top = min(phys_bits, shift_of(second.levels + 1))
        self.is_nested = second.kind != "none"
        self.nested = Tables(second.levels, self.place_nested if self.is_nested else lambda: (0, 0))
        self.large: list[tuple[int, int]] = []  # (gpa, spa) of whole 2 MiB pieces
        self.huge: list[int] = []  # GPAs of 1 GiB pages at SPA 0
        self.pages: list[int] = []  # GPAs of pages given out

    def place_nested(self) -> tuple[int, int]:
        spa = self.free.pop()
        return spa, spa

    def page(self) -> tuple[int, int]:
        """Give out one page nobody has: (SPA, GPA)."""
        given = None
        while given is None:
            make = self.rng.choice([self.small_page, self.small_page, self.large_page, self.huge_page])
            given = make() if self.is_nested else self.place_nested()
        self.pages.append(given[1])
        return given

    def draw_gpa(self, shift: int) -> int:
        """Return an aligned address, near an earlier one or anywhere."""
        anywhere = self.rng.getrandbits(self.top - shift) << shift
        near = self.rng.choice(self.pages) ^ self.rng.getrandbits(3) << shift if self.pages else anywhere
        return self.rng.choice([near, near, anywhere, self.rng.randrange(8) << shift]) >> shift << shift

    def small_page(self) -> tuple[int, int] | None:
        gpa, spa = self.draw_gpa(12), self.free.pop()
        return (spa, gpa) if self.nested.map(gpa, spa, 1) else None

    def large_page(self) -> tuple[int, int] | None:
        if self.chunks and (not self.large or self.rng.random() < 0.2):
            gpa, spa = self.draw_gpa(21), self.chunks.pop()
            if self.nested.map(gpa, spa, 2):
                self.large.append((gpa, spa))
        if not self.large:
            return None
        gpa, spa = self.rng.choice(self.large)
        inside = self.rng.randrange(512) << 12
        return (spa + inside, gpa + inside) if gpa + inside not in self.pages else None

    def huge_page(self) -> tuple[int, int] | None:
        if not self.huge or self.rng.random() < 0.1:
            gpa = self.draw_gpa(30)
            if gpa not in self.huge and self.nested.map(gpa, 0, 3):
                self.huge.append(gpa)
        if not self.huge:
            return None
        spa = self.free.pop()
        return spa, self.rng.choice(self.huge) + spa


class Ink:
    """Writes entries, with what goes wrong in them."""

    def __init__(self, rng: random.Random, trouble: float) -> None:
        self.rng, self.trouble = rng, trouble

    def odd(self) -> bool:
        """Tell whether something goes wrong here."""
        return self.rng.random() < self.trouble

    def chance(self, probability: float, flag: int) -> int:
        return flag if self.rng.random() < probability else 0

    def x64(self, target: int, level: int, leaf: bool, phys_bits: int, varied: bool) -> int:
        """Return an entry of x86-64 paging; one that maps data is `varied`: its rights differ in calm worlds too."""
        rng = self.rng
        entry = target | PRESENT | self.chance(0.5, ACCESSED)
        entry |= 0 if self.odd() else self.chance(0.8 if varied else 1, WRITABLE)
        entry |= 0 if self.odd() else self.chance(0.7 if varied else 1, USER_PAGE)
        entry |= self.chance(0.1 if varied else self.trouble, NO_EXECUTE)
        entry |= self.chance(0.3, rng.getrandbits(3) << 9 | rng.getrandbits(7) << 52 | rng.getrandbits(2) << 3)
        if leaf:
            entry |= LARGE | self.chance(0.3, 1 << 12) if level > 1 else self.chance(0.3, LARGE)
            entry |= self.chance(0.5, DIRTY) | self.chance(0.3, GLOBAL) | rng.randrange(16) << 59
        if self.odd():
            entry ^= PRESENT
        if self.odd():
            entry |= rng.choice([LARGE, 1 << rng.randrange(phys_bits, 53), 1 << rng.randrange(12, 31)])
        return entry

    def ept(self, target: int, level: int, leaf: bool, phys_bits: int, varied: bool) -> int:
        """Return an entry of EPT; one that maps data is `varied`."""
        rng = self.rng
        rights = rng.choice([7, 7, 7, 1, 3, 5, 0]) if varied else 7
        if self.odd():
            rights = rng.randrange(8)
        entry = target | rights | self.chance(0.5, EPT_ACCESSED) | self.chance(0.5, EPT_DIRTY)
        entry |= 0 if self.odd() else self.chance(0.7 if varied else 1, EPT_USER_EXECUTE)
        entry |= self.chance(0.3, 1 << 11 | rng.getrandbits(12) << 52)
        if leaf:
            memory_type = rng.choice([2, 3, 7]) if self.odd() else rng.choice([0, 1, 4, 5, 6, 6, 6])
            entry |= memory_type << 3 | self.chance(0.3, 1 << 6) | (LARGE if level > 1 else 0)
        if self.odd():
            entry |= rng.choice([1 << 3, 1 << 6, LARGE, 1 << rng.randrange(phys_bits, 53), 1 << rng.randrange(12, 31)])
        return entry

    def target(self, below: Table | int, phys_bits: int) -> int:
        """Return what an entry points to; if odd, a frame that is mostly no memory."""
        address = below.address if isinstance(below, Table) else below
        return self.rng.getrandbits(phys_bits - 12) << 12 if isinstance(below, Table) and self.odd() else address


def draw_second(rng: random.Random) -> SecondLevel:
    """Draw the second level's modes."""
    return SecondLevel(
        rng.choice(["none", "ept", "ept", "npt", "npt"]),
        levels=rng.choice([4, 4, 5]),
        phys_bits=rng.choice([36, 40, 46, 52]),
        ad=rng.random() < 0.5,
        execute_only=rng.random() < 0.5,
        mbec=rng.random() < 0.5,
        large_2m=rng.random() < 0.95,
        large_1g=rng.random() < 0.95,
        nxe=rng.random() < 0.8,
    )


def draw_cpu(rng: random.Random) -> Cpu:
    """Draw the processor's modes."""
    return Cpu(
        rng.getrandbits(12),
        levels=rng.choice([4, 4, 5]),
        phys_bits=rng.choice([36, 40, 46, 46, 52]),
        wp=rng.random() < 0.7,
        nxe=rng.random() < 0.8,
        smep=rng.random() < 0.4,
        smap=rng.random() < 0.4,
        ac=rng.random() < 0.5,
        pke=rng.random() < 0.4,
        pkru=rng.choice([0, 0x5555_5554, 0xAAAA_AAA8, rng.getrandbits(32)]),
        pcide=rng.random() < 0.5,
    )


def draw_gva(rng: random.Random, levels: int, earlier: list[int]) -> int:
    """Return a canonical page address: near an earlier one, or of indices that are often the same."""
    if earlier and rng.random() < 0.6:
        return rng.choice(earlier) ^ rng.randrange(1, 512) << shift_of(rng.choice([1, 1, 2, 3]))
    tops = [0, 1, 255, 256, 511, rng.randrange(512)]
    gva = sum(rng.choice(tops) << shift_of(level) for level in range(1, levels + 1))
    return canonical(gva, levels)


def canonical(gva: int, levels: int) -> int:
    """Repeat the highest translated bit above itself."""
    width = shift_of(levels + 1)
    low = gva & (1 << width) - 1
    return low | (2**64 - (1 << width) if low >> width - 1 else 0)


def map_guest(rng: random.Random, guest: GuestMemory, tables: Tables) -> list[tuple[int, int]]:
    """Plan the guest's pages; return (GVA of a page that is backed, level of its leaf)."""
    mapped: list[tuple[int, int]] = []
    for _ in range(rng.randrange(4, 14)):
        level = rng.choice([1, 1, 1, 2, 3])
        inside = (1 << shift_of(level)) - 1
        gpa = guest.page()[1] if rng.random() < 0.7 else rng.choice(guest.pages)
        if rng.random() < 0.1:
            gpa = guest.draw_gpa(12)  # mostly nothing backs it
        gva = draw_gva(rng, tables.levels, [gva for gva, _ in mapped])
        if tables.map(gva & ~inside, gpa & ~inside, level):
            mapped.append((gva & ~inside | gpa & inside, level))
    return mapped


def draw_accesses(rng: random.Random, mapped: list[tuple[int, int]], levels: int, count: int) -> list[tuple[int, int]]:
    """Return (GVA, access): mostly of mapped pages, some beside them, some not canonical."""
    accesses = []
    for _ in range(count):
        gva = rng.choice(mapped)[0] if mapped else draw_gva(rng, levels, [])
        kind = rng.random()
        if kind < 0.06:
            gva ^= 1 << rng.randrange(shift_of(levels + 1) - 1, 64)  # the top bits no longer repeat
        elif kind < 0.12:
            gva = canonical(gva ^ 1 << rng.randrange(12, shift_of(levels + 1)), levels)
        accesses.append((gva | rng.randrange(4096), rng.choice(ACCESSES)))
    return accesses


def make_world(seed: int, pages: int = 4096, accesses: int = 16) -> World:
    """Return the world of this seed in a memory of so many 4 KiB pages (at least 2,048)."""
    rng = random.Random(seed)
    cpu, second, memory = draw_cpu(rng), draw_second(rng), Memory(size=pages)
    guest = GuestMemory(rng, pages, second, cpu.phys_bits)
    tables = Tables(cpu.levels, guest.page)
    mapped = map_guest(rng, guest, tables)

    ink = Ink(rng, rng.choice([0.0, 0.005, 0.02, 0.06]))
    cpu.cr3 |= tables.root.address
    write_guest(ink, memory, tables, cpu)
    if guest.is_nested:
        second.root = guest.nested.root.address
        write_nested(ink, memory, guest.nested, second, {table.spa for table in tables.all()})
    return World(seed, memory, cpu, second, draw_accesses(rng, mapped, cpu.levels, accesses))


def write_guest(ink: Ink, memory: Memory, tables: Tables, cpu: Cpu) -> None:
    """Write the guest's tables as planned, with what goes wrong."""
    for table in tables.all():
        for index, below in table.entries.items():
            leaf = isinstance(below, int)
            entry = ink.x64(ink.target(below, cpu.phys_bits), table.level, leaf, cpu.phys_bits, varied=leaf)
            memory.write64(table.spa + 8 * index, entry)


def write_nested(ink: Ink, memory: Memory, tables: Tables, second: SecondLevel, guest_tables: set[int]) -> None:
    """Write the second level's tables; small pages that hold no guest table are data."""
    draw = ink.ept if second.kind == "ept" else ink.x64
    for table in tables.all():
        for index, below in table.entries.items():
            leaf = isinstance(below, int)
            varied = leaf and table.level == 1 and below not in guest_tables
            target = ink.target(below, second.phys_bits)
            memory.write64(table.spa + 8 * index, draw(target, table.level, leaf, second.phys_bits, varied))
