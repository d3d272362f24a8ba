"""Studies: what a TLB and the page sizes make of the memory accesses of a real program.

A study runs an address trace through the engine, in a guest whose tables map the pages that the trace touches. The
program runs in user mode; a modify (a load and a store of one instruction) counts as a read, then a write; an access
that crosses the border of a 4 KiB page counts as two, whatever the page size, so that counts can be compared.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from textwrap import wrap
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hvlab.capture.accesses import FETCH as FETCHES
from hvlab.capture.accesses import MODIFY, STORE, AddressTrace
from hvlab.capture.load import load
from hvlab.capture.samples import sample, samples
from hvlab.errors import BadRequest, plain
from hvlab.hardware.clock import TABLE
from hvlab.hardware.processor import FETCH, READ, USER, WRITE
from hvlab.hardware.tlb import Geometry
from hvlab.kernel import PLAIN
from hvlab.lab.guest import SIZES, Plan, Touched, guest, last_byte, touched
from hvlab.language import N_, _

Trace = AddressTrace | str | os.PathLike[str]
SECONDS: Final = 0.015  # a slice takes so long, or up to twice: then Ctrl-C is heard
FIRST_SLICE: Final = 1 << 12
TLB_SIZES: Final = (8, 16, 32, 64, 128, 256, 512)
PAGE_SIZES: Final = (12, 21, 30)
PAIRS: Final = ((12, None), (12, 12), (21, 12), (12, 21), (21, 21), (30, 30))
PLAIN_LIMIT: Final = 2_000  # accesses for the words of `hvlab open` where nothing is compiled
SAME: Final = "same"

WIDTH: Final = 108  # characters: what a notebook shows at 1280 x 720 without scrolling
CROSSING: Final = N_("An access that crosses a 4 KiB border counts as two; a modify is a read, then a write.")
COSTS_USED: Final = ("table_read", "l2_hit", "memory_write")


@dataclass(frozen=True)
class Row:
    """One run: a trace, the caches, the page sizes, and what was counted."""

    trace: str
    geometry: str
    entries: int
    guest: int
    second: int | None
    accesses: int
    l2_hits: int
    walks: int
    reads: int
    nanoseconds: int

    @property
    def l1_hits(self) -> int:
        """Accesses that the L1 TLB answered."""
        return self.accesses - self.l2_hits - self.walks

    @property
    def hit_rate(self) -> float:
        """Share of the accesses that a TLB answered, the first or the second."""
        return 1 - self.walks / self.accesses

    @property
    def l1_rate(self) -> float:
        """Share of the accesses that the L1 TLB answered."""
        return self.l1_hits / self.accesses

    @property
    def reads_per_access(self) -> float:
        """Table entries read, for each access."""
        return self.reads / self.accesses

    @property
    def reads_per_walk(self) -> float:
        """Table entries read, for each walk; 0 without a walk."""
        return self.reads / self.walks if self.walks else 0.0

    @property
    def reads_per_1000(self) -> float:
        """Table entries read, for 1,000 accesses."""
        return 1000 * self.reads / self.accesses

    @property
    def ns_per_1000(self) -> float:
        """Simulated nanoseconds that translation adds, for 1,000 accesses."""
        return 1000 * self.nanoseconds / self.accesses

    @property
    def ns_per_access(self) -> float:
        """Simulated nanoseconds that translation adds, for each access."""
        return self.nanoseconds / self.accesses

    @property
    def pages(self) -> str:
        """The page sizes in words, the guest's over the second level's."""
        return f"{SIZES[self.guest]} / {_('none') if self.second is None else SIZES[self.second]}"


WORDS: Final = ((N_("trace"), "trace", "{}"), ("TLB", "geometry", "{}"), (N_("guest / second"), "pages", "{}"))
NUMBERS: Final = (
    (N_("accesses"), "accesses", "{:,}"),
    (N_("L1 hits"), "l1_hits", "{:,}"),
    (N_("L2 hits"), "l2_hits", "{:,}"),
    (N_("walks"), "walks", "{:,}"),
    (N_("hit rate"), "hit_rate", "{:.4%}"),
    (N_("reads"), "reads", "{:,}"),
    (N_("reads/walk"), "reads_per_walk", "{:.2f}"),
    (N_("reads/1k"), "reads_per_1000", "{:.2f}"),
    ("ns/1k", "ns_per_1000", "{:.1f}"),
)
MEANING: Final = N_(
    "TLB: entries for each page size, L1 + L2. guest / second: page size of the guest and of the second level. reads: "
    "table entries read. /1k: for 1,000 accesses."
)


@dataclass(frozen=True)
class Table:
    """The rows of a study; printed, a plain table without a measured time, so that it is the same everywhere."""

    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def of(self, trace: str) -> tuple[Row, ...]:
        """The rows of one trace."""
        found = tuple(row for row in self.rows if row.trace == trace)
        if not found:
            raise BadRequest(f"rows of {trace!r}", attempt=", ".join(self.traces()))
        return found

    def traces(self) -> tuple[str, ...]:
        """The names of the traces, in order."""
        return tuple(dict.fromkeys(row.trace for row in self.rows))

    def cells(self) -> list[list[str]]:
        """Head and rows as text; a word that is the same in every row is left to `same`, a column of zeros out."""
        names = (*self._words(), *(one for one in NUMBERS if any(getattr(row, one[1]) for row in self)))
        return [
            [_(name) for name, _of, _form in names],
            *([form.format(getattr(row, of)) for _name, of, form in names] for row in self),
        ]

    def _words(self) -> list[tuple[str, str, str]]:
        return [one for one in WORDS if len({getattr(row, one[1]) for row in self}) > 1]

    def same(self) -> str:
        """What is the same in every row, in words."""
        varying = self._words()
        return "; ".join(f"{_(one[0])}: {getattr(self.rows[0], one[1])}" for one in WORDS if one not in varying)

    def __str__(self) -> str:
        cells, words = self.cells(), len(self._words())
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(cell.ljust(wide) if k < words else cell.rjust(wide) for k, (cell, wide) in enumerate(both))
            for both in (list(zip(row, widths, strict=True)) for row in cells)
        ]
        head = f"{self.title} ({self.same()})" if self.same() else self.title
        notes = [line for note in self.notes for line in wrap(note, WIDTH)]
        return "\n".join([head, "", *(line.rstrip() for line in lines), "", *notes])

    __repr__ = __str__


def study(
    trace: Trace | Sequence[Trace],
    geometries: Mapping[str, Geometry] | Sequence[Geometry] | Geometry | None = None,
    page_sizes: Sequence[int] = PAGE_SIZES,
    second: int | str | None = SAME,
    limit: int | None = None,
    costs: Mapping[str, int] | None = None,
) -> Table:
    """Run traces through the engine, for each geometry of the caches and each page size.

    Parameters
    ----------
    trace : an address trace, the name of one that ships with hvlab, a path; or several of these.
    geometries : sets and ways of the caches, by name or with names made from them; by default those of `Geometry`.
    page_sizes : the guest's page sizes as bits of the offset: 12, 21, 30.
    second : the second level's page size; "same" as the guest's; None for no second level.
    limit : only so many accesses from the start of each trace.
    costs : changes to the table of costs (`hvlab.hardware.clock`).
    """
    plans = [Plan(size, _second(size, second)) for size in page_sizes]
    return _study(_("TLB and walks"), trace, _named(geometries), plans, limit, costs)


def sweep_tlb(
    trace: Trace | Sequence[Trace], sizes: Sequence[int] = TLB_SIZES, page_size: int = 12, limit: int | None = None
) -> Table:
    """The same traces with smaller and larger TLBs of one level, up to 8 ways; the walk caches stay as they are."""
    plans = [Plan(page_size, page_size)]
    return _study(_("TLB size"), trace, {f"{size}": one_level(size) for size in sizes}, plans, limit, None)


def sweep_pages(trace: Trace | Sequence[Trace], geometry: Geometry | None = None, limit: int | None = None) -> Table:
    """The same traces with small and large pages in the guest and in the second level.

    Unless told otherwise with a TLB of one level and 64 entries: behind a large second TLB only the first touch of
    each page would be left to see.
    """
    plans = [Plan(first, second) for first, second in PAIRS]
    return _study(_("Page size"), trace, _named(geometry or one_level(64)), plans, limit, None)


def one_level(entries: int) -> Geometry:
    """A TLB of one level with so many entries for each page size; without a second TLB.

    Raises
    ------
    BadRequest
        If it is not a power of two up to 512.
    """
    if not 0 < entries <= 512 or entries & entries - 1:
        raise BadRequest(f"a TLB of {entries} entries", attempt="a power of two up to 512")
    return Geometry(l1_sets=max(1, entries // 8), l1_ways=min(entries, 8), l2_ways=0)


def _second(size: int, second: int | str | None) -> int | None:
    if isinstance(second, str):
        if second != SAME:
            raise BadRequest(f"second={second!r}", attempt=f'"{SAME}", None, or bits of the offset')
        return size
    return second


def _named(geometries: Mapping[str, Geometry] | Sequence[Geometry] | Geometry | None) -> dict[str, Geometry]:
    if isinstance(geometries, Mapping):
        return dict(geometries)
    several = [Geometry()] if geometries is None else [geometries] if isinstance(geometries, Geometry) else geometries
    return {label(one): one for one in several}


def label(geometry: Geometry) -> str:
    """The sizes of both TLBs: `64 + 1,536`."""
    first, then = geometry.l1_sets * geometry.l1_ways, geometry.l2_sets * geometry.l2_ways
    return f"{first:,} + {then:,}" if then else f"{first:,}"


def _study(
    title: str,
    trace: Trace | Sequence[Trace],
    geometries: Mapping[str, Geometry],
    plans: Sequence[Plan],
    limit: int | None,
    costs: Mapping[str, int] | None,
) -> Table:
    rows: list[Row] = []
    notes = [f"{_(MEANING)} {_(CROSSING)}", _assumed(costs)]
    for one in [trace] if isinstance(trace, (AddressTrace, str, os.PathLike)) else trace:
        name, found = _loaded(one)
        if limit is not None and limit < len(found):
            found = _first(found, limit)
            notes.append(_("{name}: only the first {count} accesses were taken.").format(name=name, count=f"{limit:,}"))
        elif found.note:
            notes.append(f"{name}: {plain(found.note)}.")
        seen = touched(found)
        for words, geometry in geometries.items():
            rows += [run(found, seen, name, words, geometry, plan, costs) for plan in plans]
    return Table(title, tuple(rows), tuple(notes))


def _assumed(costs: Mapping[str, int] | None) -> str:
    now = {name: (costs or {}).get(name, TABLE[name][0]) for name in COSTS_USED}
    told = _(
        "Nanoseconds are simulated; the costs are assumed: {table_read} for reading a table entry, "
        "{l2_hit} for an answer of the L2 TLB, {memory_write} for setting A or D; an L1 answer is free."
    )
    return told.format(**now)


def _loaded(trace: Trace) -> tuple[str, AddressTrace]:
    if isinstance(trace, AddressTrace):
        return plain(trace.name, 24) or _("trace"), trace
    found = load(sample(trace) if isinstance(trace, str) and trace in samples() else trace)
    if not isinstance(found, AddressTrace):
        raise BadRequest(f"a study of {plain(trace)}", "no address trace", "sort, gzip, sqlite or a file of your own")
    return _loaded(found)


def _first(trace: AddressTrace, limit: int) -> AddressTrace:
    if limit < 1:
        raise BadRequest(f"the first {limit} accesses", attempt="1 or more")
    return replace(trace, kind=trace.kind[:limit], size=trace.size[:limit], gva=trace.gva[:limit])


def run(
    trace: AddressTrace,
    seen: Touched,
    name: str,
    words: str,
    geometry: Geometry,
    plan: Plan,
    costs: Mapping[str, int] | None = None,
) -> Row:
    """One run in slices of 15 to 30 ms, so that Ctrl-C is heard; the counts do not depend on the slices."""
    machine = guest(seen, plan, geometry, costs)
    done, size, total = 0, FIRST_SLICE, len(trace)
    while done < total:
        begun = perf_counter()
        fault, _ = machine.run(*accesses(trace, done, min(done + size, total)))
        if fault.any():
            raise RuntimeError(f"fault {int(fault[fault != 0][0]):#x} in a guest that maps every page of its trace")
        done += size
        size *= 2 if perf_counter() - begun < SECONDS else 1
    counts = machine.state["count"][0]
    counted = {word: int(counts[word]) for word in ("accesses", "l2_hits", "walks", "reads")}
    entries = geometry.l1_sets * geometry.l1_ways + geometry.l2_sets * geometry.l2_ways
    return Row(name, words, entries, plan.guest, plan.second, **counted, nanoseconds=int(machine.state["now"][0]))


def accesses(trace: AddressTrace, begin: int, end: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Addresses and kinds of access of one slice of a trace, as the engine takes them: only the slice is expanded."""
    kind, gva = trace.kind[begin:end], trace.gva[begin:end]
    last = last_byte(gva, trace.size[begin:end])
    pieces = 1 + (gva >> 12 != last >> 12)
    times = pieces * (1 + (kind == MODIFY))
    which = np.repeat(np.arange(len(gva)), times)
    number = np.arange(len(which)) - np.repeat(np.cumsum(times) - times, times)
    again, piece = np.divmod(number, pieces[which])
    address = np.where(piece > 0, last[which] & ~4095, gva[which])
    stores = (kind[which] == STORE) | (kind[which] == MODIFY) & (again > 0)
    code = np.where(stores, WRITE, np.where(kind[which] == FETCHES, FETCH, READ)) | USER
    return address.astype(np.int64), code.astype(np.int64)


@dataclass(frozen=True)
class Behaviour:
    """What the engine makes of one trace: in words, by page size, by TLB size."""

    words: str
    pages: Table
    tlb: Table


def behaviour(trace: AddressTrace) -> Behaviour:
    """Study one trace with the usual caches, with other page sizes and with other TLBs.

    Raises
    ------
    BadRequest
        If no guest of the lab's machine can hold its pages.
    """
    limit = PLAIN_LIMIT if PLAIN else None
    small, large = study(trace, None, (12, 21), limit=limit).rows
    words = _(
        "TLB and walks, as this engine counts them; with a TLB of {geometry} entries (L1 + L2) and with 4 KiB "
        "pages in the guest and in the second level, the L1 TLB answers {first} of {accesses} "
        "translations, the L2 TLB {second}; {walks} need a walk, which reads "
        "{reads} table entries on average. With 2 MiB pages in both, {large} need a walk."
    ).format(
        geometry=small.geometry,
        first=f"{small.l1_rate:.2%}",
        accesses=f"{small.accesses:,}",
        second=f"{small.l2_hits / small.accesses:.2%}",
        walks=f"{small.walks:,}",
        reads=f"{small.reads_per_walk:.2f}",
        large=f"{large.walks:,}",
    )
    return Behaviour(words, sweep_pages(trace, limit=limit), sweep_tlb(trace, limit=limit))


def describe_study(trace: AddressTrace) -> str:
    """Say what the engine makes of a trace: its TLB and walk behaviour, for `hvlab open`."""
    try:
        found = behaviour(trace)
    except BadRequest as refused:
        return _("TLB and walks: not studied: {problem}.").format(problem=refused)
    return "\n".join([found.words, "", str(replace(found.pages, notes=())), str(found.tlb)])
