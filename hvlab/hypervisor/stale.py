"""Cached translations against the tables: what no longer says the same gets the stale mark, until a flush drops it.

Hardware has no such mark; it is how this machine can tell that an answer was stale (`invariants.check_no_stale`).

SIMPLER THAN REAL: entries of an address space that is not loaded are compared when it is loaded again.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from hvlab.hardware import processor
from hvlab.hardware.flush import GLOBAL_MARK, page_of, pcid_of, vpid_of
from hvlab.hardware.processor import FETCH, PEEK, READ, USER, WRITE
from hvlab.hardware.tlb import (
    MAY_EXECUTE,
    MAY_READ,
    MAY_USER_EXECUTE,
    MAY_WRITE,
    SIZE_SHIFT,
    STALE,
)
from hvlab.hypervisor.address import FRAME, entries, is_npt, rights
from hvlab.trace.event import COLUMNS, by_name
from hvlab.wire.x64 import Cr4, PageTableEntry

Words = npt.NDArray[np.int64]
KINDS = (READ, WRITE, FETCH, READ | USER, WRITE | USER, FETCH | USER)
RIGHTS = PageTableEntry.mask("writable", "user")
NX = PageTableEntry.mask("no_execute")


def mark(state: Any, mem: Words) -> int:
    """Compare every cached entry with a fresh look at the tables; set or clear its stale mark, and count the stale."""
    count, scratch = 0, None
    for lp in range(processor.LPS):
        tlb = state["lp"][0, lp]["tlb"]
        if not any(np.any(tlb[cache]["tag"]) for cache in ("l1", "l2", "structure", "nested")):
            continue
        scratch = state.copy() if scratch is None else scratch  # walks without caches move counters only, and on a copy
        for vp in range(processor.VPS):
            if int(state["vp"]["lp"][0, vp]) != lp or state["guest"]["partition"][0, vp] == 0:
                continue
            for cache in ("l1", "l2"):
                count += _apply(tlb[cache], *_leaves(scratch, mem, vp, tlb[cache], cache == "l1"))
            count += _apply(tlb["structure"], *_structure(scratch, mem, vp, tlb["structure"]))
        count += _apply(tlb["nested"], *_nested(state, mem, tlb["nested"]))
    return count


def stale(state: Any) -> int:
    """Return how many cached entries bear the mark now."""
    caches = [
        state["lp"][0, lp]["tlb"][cache] for lp in range(processor.LPS) for cache in ("l1", "l2", "structure", "nested")
    ]
    return sum(int(np.count_nonzero((cache["entry"] & STALE != 0) & (cache["tag"] != 0))) for cache in caches)


def _apply(cache: Any, where: tuple[Words, ...], bad: npt.NDArray[np.bool_]) -> int:
    entry = cache["entry"][where] & ~STALE
    cache["entry"][where] = np.where(bad, entry | STALE, entry)
    return int(np.count_nonzero(bad))


def _mine(state: Any, vp: int, tags: Words) -> tuple[Words, ...]:
    """Return where the entries of a virtual processor's present address space stand, its global ones included."""
    record = state["vp"][0, vp]
    pcid = int(record["cr3"]) & 4095 if int(record["cr4"]) & Cr4.mask("pcid") and int(record["cr0"]) >> 31 & 1 else 0
    space = pcid_of(tags)
    return np.nonzero((tags != 0) & (vpid_of(tags) == record["vpid"]) & ((space == pcid) | (space == GLOBAL_MARK)))


def _peek(scratch: Any, mem: Words, vp: int, gvas: Words, wants: Words, rows: int = 0) -> tuple[Words, Words, Words]:
    """Translate without caches on a copy of the state: (faults, SPAs, rows)."""
    trace = np.zeros((rows, COLUMNS), np.int64)
    scratch["rows"] = 0
    fault, spa = np.zeros(len(gvas), np.int64), np.zeros(len(gvas), np.int64)
    processor.run(scratch, mem, trace, vp, gvas, wants | PEEK, fault, spa)
    return fault, spa, trace[: int(scratch["rows"][0])]


def _leaves(scratch: Any, mem: Words, vp: int, cache: Any, by_size: bool) -> tuple[tuple[Words, ...], Any]:
    """Which finished translations differ from a walk, for any access that they grant."""
    tags = cache["tag"]
    where = _mine(scratch, vp, tags)
    entry = cache["entry"][where]
    size = where[0] if by_size else entry >> SIZE_SHIFT & 3
    gvas = np.ascontiguousarray(page_of(tags[where]) << 12 + 9 * size)
    bad = np.zeros(len(gvas), np.bool_)
    if len(gvas) == 0:
        return where, bad
    wants = np.repeat(np.array(KINDS), len(gvas))
    faults, spas, _ = _peek(scratch, mem, vp, np.tile(gvas, len(KINDS)), wants)
    record = scratch["vp"][0, vp]
    for k, access in enumerate(KINDS):
        kind = int(access & WRITE) >> 1 | int(access & FETCH) >> 3 | int(access & USER)
        need, bar = int(record["needs"][kind]), int(record["bars"][kind])
        grants = (entry & need == need) & (entry & bar == 0) & ~_key_forbids(record, entry, int(access))
        mine = slice(k * len(gvas), (k + 1) * len(gvas))
        bad |= grants & ((faults[mine] != 0) | (spas[mine] & FRAME != entry & FRAME))
    return where, bad


def _key_forbids(record: Any, entry: Words, access: int) -> Any:
    if not int(record["cr4"]) & Cr4.mask("keys") or access & int(FETCH):
        return np.zeros(len(entry), np.bool_)
    key = int(record["pkru"]) >> 2 * (entry >> PageTableEntry.lo("key") & 15)
    write = bool(access & int(WRITE)) and (bool(access & int(USER)) or bool(int(record["cr0"]) >> 16 & 1))
    return (entry & PageTableEntry.mask("user") != 0) & ((key & 1 != 0) | (key & 2 != 0) & write)


def _structure(scratch: Any, mem: Words, vp: int, cache: Any) -> tuple[tuple[Words, ...], Any]:
    """Which paging-structure entries lead to another table than a walk would, or grant more than the levels above."""
    tags = cache["tag"]
    where = _mine(scratch, vp, tags)
    level, entry = where[0], cache["entry"][where]
    gvas = np.ascontiguousarray(page_of(tags[where]) << 12 + 9 * level)
    bad = np.ones(len(gvas), np.bool_)
    if len(gvas) == 0:
        return where, bad
    wants = np.full(len(gvas), READ)
    rows = _peek(scratch, mem, vp, gvas, wants, rows=processor.WORST_STEP * (len(gvas) + 1))[2]
    which = np.cumsum(rows[:, 0] == by_name("access_begun").number) - 1
    read = rows[:, 0] == by_name("table_entry_read").number
    which, at, index, spa, word = which[read], rows[read, 4], rows[read, 5], rows[read, 7], rows[read, 8]
    for k in range(len(gvas)):
        mine = which == k
        above = word[mine & (at > level[k])]
        here = spa[mine & (at == level[k])] - 8 * index[mine & (at == level[k])]
        allowed = int(np.bitwise_and.reduce(above)) & RIGHTS if len(above) else RIGHTS
        forbids = int(np.bitwise_or.reduce(above)) & NX if len(above) else 0
        more = int(entry[k]) & RIGHTS & ~allowed or forbids & ~int(entry[k])
        bad[k] = len(here) == 0 or int(here[0]) != int(entry[k]) & FRAME or bool(more)
    return where, bad


def _nested(state: Any, mem: Words, cache: Any) -> tuple[tuple[Words, ...], Any]:
    """Which guest physical pages in the nested cache lie elsewhere by now, or have fewer rights."""
    tags = cache["tag"]
    where = np.nonzero(tags)
    slots, gpns, entry = (tags[where] >> 45) - 1, tags[where] & (1 << 45) - 1, cache["entry"][where]
    bad = np.ones(len(gpns), np.bool_)
    for slot in np.unique(slots).tolist():
        mine = slots == slot
        fresh, level = entries(state, mem, int(state["partition"]["root"][0, slot]), gpns[mine])
        within = (np.int64(1) << 9 * (level - 1)) - 1
        spa = (fresh & FRAME & ~(within << 12)) | (gpns[mine] & within) << 12
        allowed = rights(state, fresh)
        cached = entry[mine]
        more = (cached & MAY_READ != 0) & (allowed & 1 == 0) | (cached & MAY_WRITE != 0) & (allowed & 2 == 0)
        more |= (cached & MAY_EXECUTE != 0) & (allowed & 4 == 0)
        more |= (
            (cached & MAY_USER_EXECUTE != 0)
            & (allowed & 8 == 0)
            & bool(is_npt(state) or state["hypervisor"]["mbec"][0])
        )
        bad[mine] = (fresh == 0) | (spa != cached & FRAME) | more
    return where, bad
