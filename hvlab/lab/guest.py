"""A guest whose tables map exactly the pages that a recorded program touched, for studies of its accesses.

SIMPLER THAN REAL: only the tables are there, not the program's own memory; a translation never reads the page that it
leads to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hvlab.capture.accesses import AddressTrace
from hvlab.errors import BadRequest
from hvlab.hardware.bare import LONG_MODE, Bare
from hvlab.hardware.clock import set_costs
from hvlab.hardware.second_level import EPT
from hvlab.hardware.tlb import Geometry
from hvlab.hypervisor.partition import STATE
from hvlab.trace.words import ENUMS
from hvlab.wire.x64 import Cr4, EptEntry, PageTableEntry

Numbers = NDArray[np.int64]

PAGE: Final = 4096
FIRST_TABLE: Final = 0x1000  # GPA of the guest's top table, and SPA of the second level's
MOVED: Final = 1 << 30  # SPA = GPA + 1 GiB: aligned for every size of a second-level page
PART: Final = 1 << 16  # accesses looked at at once, so that a study needs no memory in proportion to its trace
MOST_TABLES: Final = 1 << 14  # 64 MiB
GUEST_BITS: Final = 48  # a second level of four levels reaches so far
EDGE: Final = 1 << 56  # five levels reach from its negative up to here
SIZES: Final = ENUMS["page_size"]

GUEST_INNER: Final = PageTableEntry.encode(present=1, writable=1, user=1)
EPT_INNER: Final = EptEntry.encode(read=1, write=1, execute=1)
EPT_LEAF: Final = EPT_INNER | EptEntry.encode(memory_type=6)
LARGE: Final = PageTableEntry.mask("large")  # the same bit in both kinds of entries


@dataclass(frozen=True, eq=False)
class Touched:
    """The 4 KiB pages that a trace touches, as page numbers in the order of first touch, and the levels they need."""

    pages: Numbers
    levels: int


def touched(trace: AddressTrace) -> Touched:
    """Find the pages of a trace, and how many levels of tables its addresses need.

    Raises
    ------
    BadRequest
        If the trace is empty, or an address lies outside of what five levels can map.
    """
    if not len(trace):
        raise BadRequest("a study of a trace without an access", attempt="a longer trace")
    pages, low, high = np.zeros(0, np.int64), EDGE, -EDGE
    for begin in range(0, len(trace), PART):
        first = trace.gva[begin : begin + PART]
        last = last_byte(first, trace.size[begin : begin + PART])
        low, high = int(min(low, first.min(), last.min())), int(max(high, first.max(), last.max()))
        pages, _ = _in_order(np.concatenate([pages, np.stack([first >> 12, last >> 12], axis=1).ravel()]))
    if not -EDGE <= low <= high < EDGE:
        raise BadRequest("a study of addresses that no table maps", f"{low:#x} to {high:#x}", "at most 57 bits")
    half = EDGE >> 9
    return Touched(pages, 4 if -half <= low <= high < half else 5)


def last_byte(gva: Numbers, size: NDArray[np.uint16]) -> Numbers:
    """Return the address of the last byte of each access."""
    return np.asarray(gva + np.maximum(size, 1).astype(np.int64) - 1)


def _in_order(numbers: Numbers) -> tuple[Numbers, Numbers]:
    """The different numbers in the order of their first appearance; and for each number its place among them."""
    values, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return np.asarray(values[order]), np.asarray(place[inverse])


@dataclass(frozen=True)
class Plan:
    """Page sizes of a guest and of the second level below it, as bits of the offset.

    Without a second level (`second` None) a GPA is an SPA.
    """

    guest: int = 12
    second: int | None = 12

    def __post_init__(self) -> None:
        for shift in (self.guest, 12 if self.second is None else self.second):
            if shift not in SIZES:
                sizes = ", ".join(f"{bits} ({words})" for bits, words in SIZES.items())
                raise BadRequest(f"pages with {shift} bits of offset", attempt=f"one of {sizes}")


def guest(seen: Touched, plan: Plan, geometry: Geometry, costs: Mapping[str, int] | None = None) -> Bare:
    """Build a machine whose VP 0 runs a guest that maps the pages `seen`, in the order of their first touch.

    The second level (EPT of four levels, A and D bits kept) maps what the guest uses: its tables and these pages.

    Raises
    ------
    BadRequest
        If the tables would not fit into the lab's machine.
    """
    leaf = level_of(plan.guest)
    pages, place = _in_order(seen.pages >> plan.guest - 12)
    own = sum(len(level) for level in _tables(pages, leaf, seen.levels))
    first = (FIRST_TABLE + PAGE * own - 1 >> plan.guest) + 1  # data begins behind the tables
    if first + len(pages) > 1 << GUEST_BITS - plan.guest:
        raise BadRequest(f"{len(pages):,} pages of {SIZES[plan.guest]}", attempt=f"a guest of {GUEST_BITS} bits")
    frames = first + np.arange(len(pages), dtype=np.int64) << plan.guest
    words = tree(pages, frames, leaf, seen.levels, FIRST_TABLE, (GUEST_INNER, GUEST_INNER))
    stored = {FIRST_TABLE + PAGE * at: table for at, table in enumerate(words)}
    control: dict[str, int] = {}
    if plan.second is not None:
        used = np.concatenate([np.array(list(stored)), frames[place] + (seen.pages << 12 & (1 << plan.guest) - 1)])
        gpns = np.unique(used >> plan.second)
        spas = (gpns << plan.second) + MOVED
        below = tree(gpns, spas, level_of(plan.second), 4, FIRST_TABLE, (EPT_INNER, EPT_LEAF))
        stored = {gpa + MOVED: table for gpa, table in stored.items()}
        stored |= {FIRST_TABLE + PAGE * at: table for at, table in enumerate(below)}
        control = {"second_level": int(EPT), "root": FIRST_TABLE, "second_levels": 4, "accessed_dirty": 1}
    # the type of a whole machine's state, so that one compiled engine serves both
    bare = Bare(np.array(sorted(stored)) >> 12, STATE, geometry)
    bare.load(stored)
    set_costs(bare.state, costs)
    five = Cr4.mask("la57") if seen.levels == 5 else 0
    bare.set(cr3=FIRST_TABLE, cr4=LONG_MODE["cr4"] | five, **control)
    return bare


def level_of(shift: int) -> int:
    """Return the level of the tables whose leaves map pages of this size."""
    return (shift - 12) // 9 + 1


def _tables(numbers: Numbers, leaf: int, levels: int) -> list[Numbers]:
    """For each level from the leaves' up: the different upper parts of the page numbers, one for each table.

    Raises
    ------
    BadRequest
        If that is more tables than the lab gives to one guest.
    """
    keys = numbers & (1 << 9 * (levels - leaf + 1)) - 1
    found = [np.unique(keys >> 9 * (level - leaf + 1)) for level in range(leaf, levels + 1)]
    if (count := sum(len(level) for level in found)) > MOST_TABLES:
        raise BadRequest(f"a guest with {count:,} table pages", attempt=f"at most {MOST_TABLES:,}: larger pages")
    return found


def tree(
    numbers: Numbers, frames: Numbers, leaf: int, levels: int, base: int, bits: tuple[int, int]
) -> NDArray[np.int64]:
    """Build tables that map page numbers to frames; return their words, the top table first.

    Parameters
    ----------
    numbers, frames : the page numbers, counted in pages of the leaves' size; and the address of each page.
    leaf, levels : the level of the leaves, and that of the top table.
    base : the address of the top table; the others follow it, page by page.
    bits : what an entry holds besides its address, for entries that lead to a table and for leaves.
    """
    parents = _tables(numbers, leaf, levels)[::-1]
    starts = np.cumsum([0, *(len(level) for level in parents)])
    words = np.zeros((int(starts[-1]), 512), np.int64)
    for depth, tables in enumerate(parents):
        if depth + 1 < len(parents):
            keys = parents[depth + 1]
            entries = base + PAGE * (starts[depth + 1] + np.arange(len(keys))) | bits[0]
        else:
            keys = numbers & (1 << 9 * (levels - leaf + 1)) - 1
            entries = frames | bits[1] | (LARGE if leaf > 1 else 0)
        words[starts[depth] + np.searchsorted(tables, keys >> 9), keys & 511] = entries
    return words
