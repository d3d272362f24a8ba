"""Walk all tables of an address space at once, and name the areas of it.

A table page that is reached in many ways is expanded once for each different way (level, rights, area) and counted as
often as it is reached: Linux's espfix area maps one table page 65,536 times and costs one expansion.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hvlab.language import N_

PRESENT, WRITE, USER, LARGE = 0x1, 0x2, 0x4, 0x80
R_WRITE, R_USER, R_FETCH = 1, 2, 4
ADDRESS: Final = 0x000F_FFFF_FFFF_F000
ENTRIES_CAP: Final = 2_000_000
BLOCK: Final = 128
TOP: Final = (1 << 64) - 1

# Where Linux on x86-64 puts things, without the shifts of KASLR: start, name. Source: Linux,
# Documentation/arch/x86/x86_64/mm.rst. A name in parentheses is a hole. The kernel image may take 1 GiB, to
# 0xffffffffc0000000, in kernels built for KASLR; mm.rst prints the border without it.
SHARED: Final = (
    (0xFFFFFC00_00000000, N_("(hole)")),
    (0xFFFFFE00_00000000, N_("processor entry areas")),
    (0xFFFFFE80_00000000, N_("(hole)")),
    (0xFFFFFF00_00000000, N_("espfix stacks")),
    (0xFFFFFF80_00000000, N_("(hole)")),
    (0xFFFFFFEF_00000000, N_("EFI services")),
    (0xFFFFFFFF_00000000, N_("(hole)")),
    (0xFFFFFFFF_80000000, N_("kernel image")),
    (0xFFFFFFFF_A0000000, N_("modules")),
    (0xFFFFFFFF_C0000000, N_("modules")),
    (0xFFFFFFFF_FF000000, N_("fixmap")),
    (0xFFFFFFFF_FF600000, N_("vsyscall page")),
    (0xFFFFFFFF_FF800000, N_("(hole)")),
)
AREAS: Final[dict[int, tuple[tuple[int, str], ...]]] = {
    4: (
        (0, N_("user")),
        (0x00008000_00000000, N_("(not canonical)")),
        (0xFFFF8000_00000000, N_("(guard hole)")),
        (0xFFFF8800_00000000, N_("LDT remap for isolation")),
        (0xFFFF8880_00000000, N_("direct map")),
        (0xFFFFC880_00000000, N_("(hole)")),
        (0xFFFFC900_00000000, N_("vmalloc")),
        (0xFFFFE900_00000000, N_("(hole)")),
        (0xFFFFEA00_00000000, N_("page structures (vmemmap)")),
        (0xFFFFEB00_00000000, N_("(hole)")),
        (0xFFFFEC00_00000000, N_("KASAN shadow")),
        *SHARED,
    ),
    5: (
        (0, N_("user")),
        (0x01000000_00000000, N_("(not canonical)")),
        (0xFF000000_00000000, N_("(guard hole)")),
        (0xFF100000_00000000, N_("LDT remap for isolation")),
        (0xFF110000_00000000, N_("direct map")),
        (0xFF910000_00000000, N_("(hole)")),
        (0xFFA00000_00000000, N_("vmalloc")),
        (0xFFD20000_00000000, N_("(hole)")),
        (0xFFD40000_00000000, N_("page structures (vmemmap)")),
        (0xFFD60000_00000000, N_("(hole)")),
        (0xFFDF0000_00000000, N_("KASAN shadow")),
        *SHARED,
    ),
}
MOVED: Final = N_("direct map, vmalloc and page structures, moved")
MOVING: Final = {"direct map", "vmalloc", "page structures (vmemmap)", "KASAN shadow"}
ONE_AREA: Final = ((0, "all"),)


@dataclass(frozen=True, eq=False)
class Walk:
    """Every leaf that the tables lead to, in parallel arrays, and what was seen on the way.

    `times` counts how often a leaf is reached; `rights` are the effective ones (R_WRITE, R_USER, R_FETCH); `area` is an
    index into the list of areas; `gva` is the lowest address that reaches it.
    """

    gva: NDArray[np.uint64]
    frame: NDArray[np.uint64]
    shift: NDArray[np.uint8]
    rights: NDArray[np.uint8]
    area: NDArray[np.int16]
    times: NDArray[np.int64]
    tables: dict[int, int]
    missing: int
    kept: int
    cut: bool


Found = tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class _Front:
    """The tables to expand at one level."""

    table: NDArray[np.int64]
    gva: NDArray[np.uint64]
    rights: NDArray[np.uint8]
    times: NDArray[np.int64]

    def part(self, chosen: slice | NDArray[np.bool_]) -> _Front:
        return _Front(self.table[chosen], self.gva[chosen], self.rights[chosen], self.times[chosen])


def walk(
    gpas: NDArray[np.uint64],
    data: NDArray[np.uint64],
    root: int,
    levels: int,
    *,
    no_execute: bool = True,
    areas: tuple[tuple[int, str], ...] = ONE_AREA,
    most: int = ENTRIES_CAP,
) -> Walk:
    """Walk the tables below `root`. Entries that lead to a page that is not among `gpas` are counted as missing.

    It stops after `most` present entries: tables that lead to each other in circles have no end worth waiting for.
    With a list of areas the addresses are a processor's, sign-extended; without one they are physical.
    """
    order = np.argsort(gpas)
    known = gpas[order]
    starts = np.array([start for start, _ in areas], np.uint64)
    top = order[np.searchsorted(known, np.array([root], np.uint64))].astype(np.int64)
    front = _Front(top, np.zeros(1, np.uint64), np.full(1, 7, np.uint8), np.ones(1, np.int64))
    leaves: list[Found] = []
    tables: dict[int, int] = {}
    missing = kept = seen = 0
    for level in range(levels, 0, -1):
        tables[level] = len(np.unique(front.table))
        children: list[_Front] = []
        for first in range(0, len(front.table), BLOCK):
            if seen >= most:
                break
            block = front.part(slice(first, first + BLOCK))
            entries = data[block.table]
            kept += int(np.count_nonzero((entries & np.uint64(PRESENT) == 0) & (entries != 0)))
            found, child, below = _expand(entries, block, level, no_execute, level == levels and len(areas) > 1)
            leaves.append(found)
            seen += len(below) + len(found[0])
            at = np.minimum(np.searchsorted(known, below), len(known) - 1)
            there = known[at] == below
            missing += int(np.count_nonzero(~there))
            children.append(replace(child.part(there), table=order[at[there]].astype(np.int64)))
        front = _merge(children, starts, 12 + 9 * (level - 1))
    gva, frame, shift, rights, times = (np.concatenate(part) for part in zip(*leaves, strict=True))
    area = (np.searchsorted(starts, gva, "right") - 1).astype(np.int16)
    return Walk(gva, frame, shift, rights, area, times, tables, missing, kept, seen >= most)


def _expand(
    entries: NDArray[np.uint64], block: _Front, level: int, no_execute: bool, signed: bool
) -> tuple[Found, _Front, NDArray[np.uint64]]:
    """The leaves in a block of tables, and the tables that its other entries point at."""
    row, column = np.nonzero(entries & np.uint64(PRESENT))
    entry = entries[row, column]
    shift = 12 + 9 * (level - 1)
    gva = block.gva[row] | column.astype(np.uint64) << np.uint64(shift)
    if signed:
        gva |= np.where(column >= 256, np.uint64(TOP << (shift + 9) & TOP), np.uint64(0))
    rights = block.rights[row]
    for bit, right in ((WRITE, R_WRITE), (USER, R_USER)):
        rights[entry & np.uint64(bit) == 0] &= np.uint8(7 - right)
    if no_execute:
        rights[entry >> np.uint64(63) != 0] &= np.uint8(7 - R_FETCH)
    large = entry & np.uint64(LARGE) != 0
    leaf = large & (level in (2, 3)) if level > 1 else np.ones(len(entry), np.bool_)
    below = ~leaf & ~large
    frame = entry & np.uint64(ADDRESS)
    size = np.uint64(ADDRESS & (TOP << shift & TOP))
    times = block.times[row]
    shifts = np.full(int(leaf.sum()), shift, np.uint8)
    found = (gva[leaf], frame[leaf] & size, shifts, rights[leaf], times[leaf])
    return found, _Front(block.table[row], gva, rights, times).part(below), frame[below]


def _merge(parts: list[_Front], starts: NDArray[np.uint64], shift: int) -> _Front:
    """Tables reached more than once in the same way become one, counted as often.

    A table whose span of addresses crosses the border of an area is kept apart for each address.
    """
    if not parts:
        return _Front(np.zeros(0, np.int64), np.zeros(0, np.uint64), np.zeros(0, np.uint8), np.zeros(0, np.int64))
    table, gva, rights, times = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("table", "gva", "rights", "times")
    )
    if not len(table):
        return _Front(table, gva, rights, times)
    low = np.searchsorted(starts, gva, "right")
    high = np.searchsorted(starts, gva | np.uint64((1 << shift) - 1), "right")
    way = table << 16 | rights.astype(np.int64) << 8 | low
    apart = np.where(low != high, gva, np.uint64(0))
    order = np.lexsort((gva, apart, way))
    way, apart = way[order], apart[order]
    first = np.concatenate(([True], (way[1:] != way[:-1]) | (apart[1:] != apart[:-1])))
    at = np.flatnonzero(first)
    return _Front(table[order][at], gva[order][at], rights[order][at], np.add.reduceat(times[order], at))


def moved(found: Walk) -> bool:
    """Whether the kernel image stands elsewhere than at 0xffffffff81000000: then KASLR has shifted this guest."""
    spots = (found.gva >= np.uint64(0xFFFFFFFF_80000000)) & (found.gva < np.uint64(0xFFFFFFFF_C0000000))
    return bool(spots.any()) and int(found.gva[spots].min()) not in (0xFFFFFFFF_80000000, 0xFFFFFFFF_81000000)
