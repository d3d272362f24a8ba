"""Small worlds for exercises on translation: a guest's tables and the second level below them, drawn from a seed.

A world is the words of memory that are not zero, and the registers of its guests. The engine gives its truth; the
learner reads its memory by SPA. Tables lie below 128 MiB; data pages lie anywhere, since a translation never reads
them. A and D bits are set already, so that no access changes a word.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np

from hvlab.errors import plain
from hvlab.hardware.bare import LONG_MODE, UNCACHED, Bare
from hvlab.hardware.processor import DETAIL, OUTCOMES, READ
from hvlab.hardware.second_level import EPT
from hvlab.hardware.tlb import Geometry
from hvlab.hypervisor.partition import STATE
from hvlab.lab.answer import whole
from hvlab.lab.seed import Draw
from hvlab.trace.journal import Trace
from hvlab.trace.words import say
from hvlab.wire.x64 import Cr4, EptEntry, PageTableEntry

PAGE: Final = 4096
TABLE_PAGES: Final = 1 << 15  # tables lie below 128 MiB
DATA_BITS: Final = 42  # data pages lie from 2 TiB up, where no table is
GPA_BITS: Final = 38
ROWS: Final = 512
TAGS_ONLY: Final = Geometry(structure_ways=0, nested_ways=0)

GUEST_OPEN: Final = PageTableEntry.encode(present=1, writable=1, user=1, accessed=1)
GUEST_LEAF: Final = GUEST_OPEN | PageTableEntry.mask("dirty")
EPT_OPEN: Final = EptEntry.encode(read=1, write=1, execute=1, accessed=1)
EPT_LEAF: Final = EPT_OPEN | EptEntry.encode(memory_type=6, dirty=1)
LARGE: Final = PageTableEntry.mask("large")
MASK: Final = (1 << 64) - 1


def shift_of(level: int) -> int:
    """Return how many bits of an address lie below an entry of this level."""
    return 12 + 9 * (level - 1)


@dataclass(frozen=True)
class Partition:
    """A guest: where its own tables and its second level begin; SPA for `root`, GPA for `cr3`."""

    cr3: int
    root: int
    levels: int = 4
    second_levels: int = 4


@dataclass(frozen=True)
class Step:
    """What one access came to."""

    outcome: str
    detail: int
    address: int
    trace: Trace

    @property
    def ok(self) -> bool:
        return self.outcome == "ok"

    def last(self) -> dict[str, int]:
        """Return the words of the last row: of a finished walk GPA, SPA and reads."""
        return self.trace.facts(len(self.trace) - 1)


@dataclass(frozen=True, eq=False)
class World:
    """Memory and guests; the access that is asked about is the last guest's."""

    words: Mapping[int, int]
    guests: tuple[Partition, ...]
    gva: int
    access: int = int(READ)
    accessed_dirty: bool = False
    more: Mapping[str, int] = field(default_factory=dict)

    def bare(self, geometry: Geometry = UNCACHED) -> Bare:
        """Return a bare machine that holds this world."""
        pages: dict[int, list[int]] = {}
        for spa, word in self.words.items():
            pages.setdefault(spa & -PAGE, [0] * 512)[spa >> 3 & 511] = word & MASK
        bare = Bare(np.array(sorted(pages)) >> 12, STATE, geometry)
        bare.load({spa: np.array(words, np.uint64) for spa, words in pages.items()})
        for number, one in enumerate(self.guests):
            bare.set(number, **self.registers(one))
        return bare

    def registers(self, one: Partition) -> dict[str, int]:
        """Return what the control structure of a guest's virtual processor holds."""
        five = Cr4.mask("la57") if one.levels == 5 else 0
        return {
            "cr3": one.cr3, "cr4": LONG_MODE["cr4"] | five, "second_level": int(EPT), "root": one.root,
            "second_levels": one.second_levels, "accessed_dirty": int(self.accessed_dirty),
        }  # fmt: skip

    def run(self, bare: Bare | None = None, vp: int | None = None) -> Step:
        """Let the engine make the access, by the last guest's virtual processor or by another."""
        machine, rows = bare or self.bare(), np.zeros((ROWS, 10), np.int64)
        fault, spa = machine.run([self.gva & MASK], [self.access], len(self.guests) - 1 if vp is None else vp, rows)
        kind = int(fault[0]) & (1 << int(DETAIL)) - 1
        trace = Trace(rows[: int(machine.state["rows"][0])])
        return Step(OUTCOMES[kind], int(fault[0]) >> int(DETAIL), int(spa[0]) & MASK, trace)

    @cached_property
    def step(self) -> Step:
        """The access in this world, all caches empty; made once, nothing of it is kept in the world."""
        return self.run()

    def read64(self, spa: int) -> int:
        """Return one word of memory; zero where nothing stands."""
        return self.words.get(spa & ~7, 0) & MASK

    def dump(self) -> str:
        """Return every word that is not zero, by SPA."""
        return "\n".join(f"  {say('spa', spa)}  {say('hex', word)}" for spa, word in sorted(self.words.items()))

    def changed(self, spa: int, word: int) -> "World":
        """Return the same world with another word at an SPA."""
        words = {**self.words, spa: word & MASK}
        return World(words, self.guests, self.gva, self.access, self.accessed_dirty, self.more)


class Look:
    """What a learner may do with a world: read its memory by SPA, as a debugger on the bus does."""

    def __init__(self, world: World) -> None:
        self._world = world

    def read64(self, spa: int) -> int:
        """Return the 64-bit word at an SPA; 0 where nothing stands."""
        number = whole(spa)
        return 0 if number is None else self._world.read64(number)

    def __repr__(self) -> str:
        return self._world.dump()


class Ground:
    """Memory while a world is built: words, and pages that nobody has yet."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.words: dict[int, int] = {}
        self.used: set[int] = set()

    def table(self) -> int:
        """Return the SPA of a page for a table that nobody has."""
        while (spn := self.draw.between(1, TABLE_PAGES - 1)) in self.used:
            pass
        self.used.add(spn)
        return spn << 12

    def data(self, level: int) -> int:
        """Return the SPA of a page for data, aligned to its size."""
        return (1 << DATA_BITS - 1 | self.draw.bits(DATA_BITS - 1)) >> shift_of(level) << shift_of(level)

    def put(self, root: int, levels: int, address: int, target: int, leaf: int, bits: tuple[int, int]) -> bool:
        """Enter a page into tables that lie at SPAs; False where something stands in the way."""
        table = root
        for level in range(levels, leaf, -1):
            at = table + 8 * (address >> shift_of(level) & 511)
            word = self.words.get(at, 0)
            if word & LARGE:
                return False
            if not word:
                self.words[at] = word = self.table() | bits[0]
            table = word & PageTableEntry.mask("frame")
        at = table + 8 * (address >> shift_of(leaf) & 511)
        if at in self.words:
            return False
        self.words[at] = target | bits[1] | (LARGE if leaf > 1 else 0)
        return True


class Guest:
    """A guest while it is built: its tables stand at GPAs, which the second level leads to SPAs.

    Parameters
    ----------
    near
        All GPAs lie in one drawn GiB, so that the second level needs few tables.
    """

    def __init__(self, ground: Ground, levels: int = 4, second_levels: int = 4, near: bool = True) -> None:
        self.ground, self.levels, self.second_levels = ground, levels, second_levels
        self.root = ground.table()
        self.base = ground.draw.between(1, (1 << GPA_BITS - 30) - 1) << 30 if near else None
        self.tables: dict[int, int] = {}  # GPA of the guest's table -> SPA
        self.cr3 = self.page(1)

    @property
    def partition(self) -> Partition:
        return Partition(self.cr3, self.root, self.levels, self.second_levels)

    def gpa(self, level: int, size: int) -> int:
        """Draw a GPA, aligned to a page of this level, for a second-level page of `size`."""
        draw = self.ground.draw
        drawn = draw.bits(30) | self.base if self.base is not None and max(level, size) < 3 else draw.bits(GPA_BITS)
        return drawn >> shift_of(level) << shift_of(level)

    def page(self, size: int) -> int:
        """Return the GPA of a page for a table, backed by a second-level page of level 1 or 2."""
        while True:
            gpa, spa = self.gpa(size, size), self.ground.table()
            inside = (1 << shift_of(size)) - 1
            if self._back(gpa, spa & ~inside, size):
                self.tables[gpa + (spa & inside)] = spa
                return gpa + (spa & inside)

    def _back(self, gpa: int, spa: int, size: int) -> bool:
        return self.ground.put(self.root, self.second_levels, gpa, spa, size, (EPT_OPEN, EPT_LEAF))

    def map(self, gva: int, leaf: int, size: int, table_size: int = 1) -> tuple[int, int] | None:
        """Map the page of a GVA by a leaf of level `leaf`; back the one asked for by a second-level page of `size`.

        Returns (GPA, SPA) of the GVA; None where the GVA is mapped already.
        """
        draw, inside = self.ground.draw, (1 << shift_of(leaf)) - 1
        below = (1 << shift_of(size)) - 1
        while True:
            gpa = self.gpa(leaf, size) | gva & inside
            spa = self.ground.data(size)
            if self._back(gpa & ~below, spa, size):
                break
        table = self.cr3
        for level in range(self.levels, leaf, -1):
            at = self.tables[table] + 8 * (gva >> shift_of(level) & 511)
            word = self.ground.words.get(at, 0)
            if word & LARGE:
                return None
            if not word:
                word = self.page(2 if table_size == 2 and draw.chance(1, 2) else 1) | GUEST_OPEN
                self.ground.words[at] = word
            table = word & PageTableEntry.mask("frame")
        at = self.tables[table] + 8 * (gva >> shift_of(leaf) & 511)
        if at in self.ground.words:
            return None
        self.ground.words[at] = gpa & ~inside | GUEST_LEAF | (LARGE if leaf > 1 else 0)
        return gpa, spa | gpa & below


def draw_gva(draw: Draw, levels: int = 4) -> int:
    """Return an address of the user half, not in its first page."""
    return draw.bits(shift_of(levels + 1) - 1) | 1 << 21


def named(step: Step) -> str:
    """Say what an access came to, with its code and address."""
    if step.outcome == "page_fault":
        return f"#PF, error code {step.detail:#x}"
    if step.outcome == "ept_violation":
        return f"EPT violation, qualification {step.detail:#x}, GPA {say('gpa', step.address)}"
    if step.outcome == "ept_misconfiguration":
        return f"EPT misconfiguration, GPA {say('gpa', step.address)}"
    return plain(step.outcome)
