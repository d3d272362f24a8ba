"""What a capture holds, as numbers: for the words of `describe` and for the pictures of a page."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hvlab.capture.accesses import FETCH, LETTERS, STORE, AddressTrace
from hvlab.capture.counts import (
    NestedSummary,
    Region,
    SlotUse,
    Space,
    Summary,
    TablesSummary,
    TraceSummary,
    VectorsSummary,
)
from hvlab.capture.regions import AREAS, ENTRIES_CAP, MOVED, MOVING, R_FETCH, R_USER, R_WRITE, Walk, moved, walk
from hvlab.capture.tables import NOWHERE, Cpu, NestedTables, PageTables
from hvlab.capture.vectors import NOT_HERE, Vectors
from hvlab.language import _

WINDOWS: Final = 100
TOPS: Final = (1, 4, 16, 64, 256)
NO_EXECUTE: Final = 1 << 11


def summary(capture: PageTables | NestedTables | AddressTrace | Vectors) -> Summary:
    """The numbers of any capture."""
    if isinstance(capture, PageTables):
        return _page_tables(capture)
    if isinstance(capture, NestedTables):
        return _nested(capture)
    return _trace(capture) if isinstance(capture, AddressTrace) else _vectors(capture)


# --- page tables -----------------------------------------------------------------------------------------------------


def _page_tables(snapshot: PageTables) -> TablesSummary:
    ways: dict[tuple[int, int, bool], list[int]] = {}
    for number, cpu in enumerate(snapshot.cpus):
        r = cpu.registers
        ways.setdefault((r.root, r.levels, bool(r.efer & NO_EXECUTE)), []).append(number)
    spaces = tuple(_space(snapshot, numbers, ENTRIES_CAP // len(ways)) for numbers in ways.values())
    counts = [(len(c.leaves.gva), len(c.rights.start), len(c.probes.gva)) for c in snapshot.cpus]
    leaves, rights, probes = (sum(column) for column in zip(*counts, strict=True))
    return TablesSummary(
        snapshot.name,
        snapshot.levels,
        len(snapshot.cpus),
        len(snapshot.table_gpa),
        snapshot.ram_bytes,
        spaces,
        leaves,
        rights,
        probes,
    )


def _space(snapshot: PageTables, numbers: list[int], most: int) -> Space:
    cpus: list[Cpu] = [snapshot.cpus[number] for number in numbers]
    registers = cpus[0].registers
    areas = AREAS.get(registers.levels, AREAS[4])
    found = walk(
        snapshot.table_gpa,
        snapshot.table_data,
        registers.root,
        registers.levels,
        no_execute=bool(registers.efer & NO_EXECUTE),
        areas=areas,
        most=most,
    )
    upper = found.gva >> np.uint64(63) != 0
    wx = (found.rights & (R_WRITE | R_FETCH)) == R_WRITE | R_FETCH
    shifted = moved(found)
    regions = _regions(found, areas, shifted)
    large = [r for r in regions if r.upper and (21 in r.sizes or 30 in r.sizes)]
    user, kernel = int((~upper).sum()), int(upper.sum())
    shared, large_too = _sharing(found)
    return Space(
        cpus=tuple(numbers),
        cpls=tuple(cpu.registers.cpl for cpu in cpus),
        root=registers.root,
        levels=registers.levels,
        regions=regions,
        tables=found.tables,
        user_leaves=user,
        kernel_leaves=kernel,
        times=int(found.times.sum()),
        writable_code={"user": int((wx & ~upper).sum()), "kernel": int((wx & upper).sum())},
        shared_frames=shared,
        large_too=large_too,
        missing=found.missing,
        kept=found.kept,
        moved=shifted,
        isolated=user > 0 and 0 < kernel < 1000 and sum(r.mapped for r in large) < 64 << 20,
        cut=found.cut,
    )


def _regions(found: Walk, areas: tuple[tuple[int, str], ...], shifted: bool) -> tuple[Region, ...]:
    """One region for each named area that maps anything; areas that KASLR moves become one, once it has moved them."""
    names = [
        MOVED if shifted and name in MOVING | {"(hole)"} and 0 < i < 11 else name for i, (_, name) in enumerate(areas)
    ]
    names = [
        "kernel image" if shifted and start == 0xFFFFFFFF_A0000000 else n
        for n, (start, _) in zip(names, areas, strict=True)
    ]
    regions = []
    for name in dict.fromkeys(names):
        inside = np.isin(found.area, [i for i, n in enumerate(names) if n == name])
        if not inside.any():
            continue
        for part in _halves(found, inside) if name.startswith("(") else [inside]:
            regions.append(_region(name, found, part))
    return tuple(sorted(regions, key=lambda region: region.first))


def _halves(found: Walk, inside: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Holes of one name in different places stay apart."""
    return [inside & (found.area == area) for area in np.unique(found.area[inside])]


def _region(name: str, found: Walk, inside: NDArray[np.bool_]) -> Region:
    shift, gva = found.shift[inside], found.gva[inside]
    size = np.int64(1) << shift.astype(np.int64)
    rights, counts = np.unique(found.rights[inside], return_counts=True)
    return Region(
        name=name,
        first=int(gva.min()),
        last=int((gva + size.astype(np.uint64) - np.uint64(1)).max()),
        leaves=len(gva),
        times=int(found.times[inside].sum()),
        mapped=int(size.sum()),
        sizes=_counts(shift),
        rights={spell(int(right)): int(count) for right, count in zip(rights, counts, strict=True)},
    )


def _counts(values: NDArray[Any]) -> dict[int, int]:
    """How often each value occurs."""
    listed, counts = np.unique(values, return_counts=True)
    return {int(value): int(count) for value, count in zip(listed, counts, strict=True)}


def spell(rights: int) -> str:
    """Effective rights as four letters, such as `ur-x`."""
    letters = (("u", R_USER), ("r", 0), ("w", R_WRITE), ("x", R_FETCH))
    return "".join(letter if not bit or rights & bit else "-" for letter, bit in letters)


def _sharing(found: Walk) -> tuple[int, int]:
    """Frames that more than one distinct 4 KiB leaf maps, and frames of user pages that a large page maps as well."""
    small = found.frame[found.shift == 12]
    _, counts = np.unique(small, return_counts=True)
    large = found.shift > 12
    low = found.frame[large]
    order = np.argsort(low)
    ends = np.maximum.accumulate((low + (np.uint64(1) << found.shift[large].astype(np.uint64)))[order])
    user = np.unique(found.frame[(found.shift == 12) & (found.rights & R_USER != 0)])
    at = np.searchsorted(low[order], user, "right") - 1
    inside = int(((at >= 0) & (user < ends[np.maximum(at, 0)])).sum()) if len(ends) else 0
    return int((counts > 1).sum()), inside


# --- nested tables ---------------------------------------------------------------------------------------------------


def _nested(snapshot: NestedTables) -> NestedSummary:
    found = walk(snapshot.table_spa, snapshot.table_data, snapshot.ncr3, snapshot.levels)
    fixed = found.rights & R_WRITE == 0
    size = np.int64(1) << found.shift.astype(np.int64)
    slots, covered = _slots(snapshot, found, size, fixed)
    return NestedSummary(
        name=snapshot.name,
        levels=snapshot.levels,
        tables=found.tables,
        sizes=_counts(found.shift),
        mapped=int(size.sum()),
        leaves=len(found.gva),
        not_writable=int(fixed.sum()),
        user=int((found.rights & R_USER != 0).sum()),
        slots=slots,
        outside=len(found.gva) - covered,
        l2_tables=len(snapshot.l2_gpa),
        l2_tables_backed=int((_leads(found, snapshot.l2_gpa) == snapshot.l2_spa).sum()),
        l2_levels=snapshot.registers.levels,
        asid=snapshot.control.asid,
        exit_code=snapshot.control.exit_code,
        np_enable=snapshot.control.np_enable,
        same_root=snapshot.control.ncr3 & 0x000F_FFFF_FFFF_F000 == snapshot.ncr3,
        moved_pages=int((found.gva != found.frame).sum()),
        pagemap=len(snapshot.pagemap_gpa),
        touched=len(snapshot.touched_gva),
        missing=found.missing,
        cut=found.cut,
    )


def _slots(
    snapshot: NestedTables, found: Walk, size: NDArray[np.int64], fixed: NDArray[np.bool_]
) -> tuple[tuple[SlotUse, ...], int]:
    """How much of each slot is mapped, and how many leaves lie in any slot."""
    order = np.argsort(found.gva)
    at = found.gva[order]
    mapped, kept = (np.concatenate(([0], np.cumsum(part[order]))) for part in (size, fixed))
    edges = np.zeros(len(at) + 1, np.int64)
    slots = []
    for slot in snapshot.slots:
        low, high = np.searchsorted(at, np.array([slot.gpa, slot.gpa + slot.size], np.uint64))
        edges[low] += 1
        edges[high] -= 1
        bytes_, pages = int(mapped[high] - mapped[low]), int(kept[high] - kept[low])
        slots.append(SlotUse(slot.gpa, slot.size, slot.read_only, bytes_, pages))
    return tuple(slots), int((np.cumsum(edges)[:-1] > 0).sum())


def _leads(found: Walk, gpas: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The SPA of each GPA, by the leaves of the nested tables; 2**64-1 where there is none."""
    spas = np.full(len(gpas), NOWHERE, np.uint64)
    for shift in (12, 21, 30):
        pages = found.shift == shift
        order = np.argsort(found.gva[pages])
        known, frames = found.gva[pages][order], found.frame[pages][order]
        base = gpas >> np.uint64(shift) << np.uint64(shift)
        at = np.minimum(np.searchsorted(known, base), max(0, len(known) - 1))
        hit = known[at] == base if len(known) else np.zeros(len(gpas), np.bool_)
        spas[hit] = frames[at[hit]] + (gpas - base)[hit]
    return spas


# --- traces and vectors ----------------------------------------------------------------------------------------------


def _trace(trace: AddressTrace) -> TraceSummary:
    page = trace.gva >> 12
    last = (trace.gva + np.maximum(trace.size, 1) - 1) >> 12
    crosses = page != last
    pages, counts = np.unique(page, return_counts=True)
    fetch = trace.kind == FETCH
    every = np.union1d(pages, last[crosses])
    window = max(1, -(-len(trace) // WINDOWS))
    falling = np.sort(counts)[::-1]
    return TraceSummary(
        name=trace.name,
        accesses=len(trace),
        mix={letter: int((trace.kind == code).sum()) for code, letter in enumerate(LETTERS)},
        pages=len(every),
        code_pages=_pages(page, last, fetch),
        data_pages=_pages(page, last, ~fetch),
        written_pages=_pages(page, last, trace.kind >= STORE),
        large_pages=len(np.unique(every >> 9)),
        crossing=int(crosses.sum()),
        low=int(trace.gva.min()),
        high=int(trace.gva.max()),
        window=window,
        working_set=tuple(len(np.unique(page[k : k + window])) for k in range(0, len(page), window)),
        top_share={top: float(falling[:top].sum() / len(trace)) for top in TOPS if top <= len(pages)},
        same_page={"fetches": _stays(page[fetch]), "data": _stays(page[~fetch])},
        note=trace.note,
    )


def _pages(page: NDArray[np.int64], last: NDArray[np.int64], chosen: NDArray[np.bool_]) -> int:
    return len(np.union1d(page[chosen], last[chosen & (page != last)]))


def _stays(page: NDArray[np.int64]) -> float:
    """Share of a stream's accesses that stay on the page of the one before."""
    return float((page[1:] == page[:-1]).mean()) if len(page) > 1 else 0.0


def _answer(name: str, case: Any) -> str:
    """Say the answer of one case in a word or two."""
    if name == "apic_sequences":
        final = case["final"]
        left = final["irr"] or final["isr"]
        return _("vectors are left at the end") if left else _("nothing is left at the end")
    answer = case[1]
    if name == "apic_priority":
        return _("delivered") if answer["deliver"] else _("held back")
    if name == "x86_pkeys":
        return _("no fault") if answer == -1 else _fault(answer)
    return str(answer[0]) if isinstance(answer, (tuple, list)) and answer else str(answer)


def _fault(code: int) -> str:
    return _("#PF code {code}").format(code=f"{code:#x}")


def _vectors(vectors: Vectors) -> VectorsSummary:
    if vectors.name == "x86_page_access":
        codes = _counts(vectors.cases[vectors.cases != NOT_HERE])
        answers = {_("no fault") if code == 255 else _fault(code): count for code, count in codes.items()}
        return VectorsSummary(vectors.name, sum(codes.values()), answers)
    answers = {}
    for case in vectors.cases:
        word = _answer(vectors.name, case)
        answers[word] = answers.get(word, 0) + 1
    return VectorsSummary(vectors.name, len(vectors.cases), answers)
