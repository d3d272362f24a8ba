"""Second levels: where each guest physical page of a partition lies, as entries in memory.

EPT or nested tables, as the machine's vendor has them. Tables of a child are pages of its own pool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hvlab.hardware.memory import PLACE, WORDS_A_PAGE, signed
from hvlab.hardware.second_level import NPT
from hvlab.wire.x64 import EptEntry, PageTableEntry

if TYPE_CHECKING:
    from hvlab.hypervisor.core import Hypervisor

Words = npt.NDArray[np.int64]
R, W, X, UX = 1, 2, 4, 8  # the bits of MapFlags
FRAME, LARGE = EptEntry.mask("frame"), EptEntry.mask("large")
EPT_PRESENT = 7 | EptEntry.mask("user_execute")
WRITE_BACK = 6
PAGES_2M = 512


def is_npt(state: Any) -> bool:
    return bool(state["hypervisor"]["second_level"][0] == NPT)


def leaf(state: Any, spn: int, rights: int, large: bool = False) -> int:
    """Return the entry that maps a page (4 KiB or 2 MiB) with these rights."""
    if is_npt(state):
        return PageTableEntry.encode(
            present=1, writable=rights >> 1 & 1, user=1, large=int(large), frame=spn, no_execute=0 if rights & X else 1
        )
    mbec = bool(state["hypervisor"]["mbec"][0])
    user_execute = (rights >> 3 if mbec else rights >> 2) & 1
    return EptEntry.encode(
        read=rights & 1,
        write=rights >> 1 & 1,
        execute=rights >> 2 & 1,
        user_execute=user_execute,
        memory_type=WRITE_BACK,
        large=int(large),
        frame=spn,
    )


def table(state: Any, spn: int) -> int:
    """Return the entry that leads to a table one level down, with every right."""
    if is_npt(state):
        return PageTableEntry.encode(present=1, writable=1, user=1, frame=spn)
    return EptEntry.encode(read=1, write=1, execute=1, user_execute=1, frame=spn)


def rights(state: Any, entry: Any) -> Any:
    """Return an entry's rights as MapFlags bits (a number or an array of them); 0 if it is not present."""
    if is_npt(state):
        return (entry & 1) * (R | entry & W | (~entry >> 63 & 1) * (X | UX))
    mbec = bool(state["hypervisor"]["mbec"][0])
    return entry & 7 | ((entry >> 10 & 1) << 3 if mbec else (entry >> 2 & 1) << 3)


def entries(state: Any, mem: Words, root: int, gpns: Words) -> tuple[Words, Words]:
    """Walk a second level for many pages at once: (entries, levels); an entry that is not present ends the walk."""
    gpns = np.asarray(gpns, np.int64)
    levels, pages = int(state["hypervisor"]["levels"][0]), int(state["pages"][0])
    mask = 1 if is_npt(state) else EPT_PRESENT
    at_table, at_level = np.full(len(gpns), root >> 12), np.full(len(gpns), levels)
    found = np.zeros(len(gpns), np.int64)
    going = np.full(len(gpns), root != 0) & (gpns >> 9 * levels == 0) & (gpns >= 0)
    for level in range(levels, 0, -1):
        who = np.flatnonzero(going)
        spn = at_table[who]
        there = (spn < pages) & (mem[np.minimum(spn, pages - 1)] >> PLACE != 0)
        who, spn = who[there], spn[there]
        entry = mem[(mem[spn] >> PLACE) + (gpns[who] >> 9 * (level - 1) & 511)]
        found[who], at_level[who] = np.where(entry & mask != 0, entry, 0), level
        going[:] = False
        if level > 1:
            down = (entry & mask != 0) & ((entry & LARGE == 0) | (level > 3))
            going[who[down]] = True
            at_table[who[down]] = (entry[down] & FRAME) >> 12
            found[who[down]] = 0
    return found, at_level


def look_up(hv: Hypervisor, slot: int, gpns: Words) -> tuple[Words, Words]:
    """Return (pages in memory, rights) of guest pages as the partition sees them; rights 0 where there is none."""
    root = int(hv.state["partition"]["root"][0, slot])
    entry, level = entries(hv.state, hv.mem, root, gpns)
    spn = (entry & FRAME) >> 12
    spn += np.where(level == 2, np.asarray(gpns) & 511, 0) + np.where(level == 3, np.asarray(gpns) & 0x3FFFF, 0)
    return np.where(entry != 0, spn, -1), np.where(entry != 0, rights(hv.state, entry), 0)


def look_up_one(hv: Hypervisor, slot: int, gpn: int) -> tuple[int, int]:
    """Return what `look_up` returns, for one guest page: each access of software in a partition asks it."""
    state, mem = hv.state, hv.mem
    levels, pages = int(state["hypervisor"]["levels"][0]), int(state["pages"][0])
    spn = int(state["partition"]["root"][0, slot]) >> 12
    mask = 1 if is_npt(state) else EPT_PRESENT
    if spn == 0 or gpn < 0 or gpn >> 9 * levels:
        return -1, 0
    for level in range(levels, 0, -1):
        place = int(mem[spn]) >> PLACE if spn < pages else 0
        entry = int(mem[place + (gpn >> 9 * (level - 1) & 511)]) if place else 0
        if entry & mask == 0:
            return -1, 0
        spn = (entry & FRAME) >> 12
        if level == 1 or (level <= 3 and entry & LARGE):
            return spn + (gpn & (1 << 9 * (level - 1)) - 1), int(rights(state, entry))
    return -1, 0


def over(hv: Hypervisor, slot: int, gpn: int) -> Any:
    """Return the record of the overlay that lies on a guest page (its `beneath` is what lies below), or None."""
    record = hv.state["partition"][0, slot]
    if int(record["overlay_gpn"]) == gpn:
        return record
    table = hv.state["overlay"][0]
    found = np.flatnonzero((table["owner"] == slot) & (table["gpn"] == gpn))
    return table[int(found[0])] if len(found) else None


def own(hv: Hypervisor, slot: int, gpn: int) -> tuple[int, int, int]:
    """Return (page number, rights, level) of one guest page as it was mapped, below an overlay if there is one."""
    covering = over(hv, slot, gpn)
    if covering is not None:
        entry, level = int(covering["beneath"]), 1
    else:
        root = int(hv.state["partition"]["root"][0, slot])
        found, at = entries(hv.state, hv.mem, root, np.array([gpn]))
        entry, level = int(found[0]), int(at[0])
    if entry == 0:
        return -1, 0, level
    spn = (entry & FRAME) >> 12
    return spn + (gpn & (1 << 9 * (level - 1)) - 1), int(rights(hv.state, entry)), level


def tables_missing(hv: Hypervisor, slot: int, gpn: int, level: int = 1) -> int:
    """Return how many pages it takes until an entry of this level exists for a guest page; a split counts too."""
    spn, top = int(hv.state["partition"]["root"][0, slot]) >> 12, int(hv.state["hypervisor"]["levels"][0])
    for at in range(top, level, -1):
        entry = int(hv.memory.page(spn)[gpn >> 9 * (at - 1) & 511])
        if rights(hv.state, entry) == 0:
            return at - level
        if at <= 3 and entry & LARGE:
            return at - level
        spn = (entry & FRAME) >> 12
    return 0


def write_entry(hv: Hypervisor, spn: int, index: int, new: int, level: int, gpn: int) -> None:
    """Change one entry of a second-level table in memory."""
    page = hv.memory.page(spn)
    old, page[index] = int(page[index]), signed(new)
    hv.tables += 1
    hv.tell("second_level_entry_written", spa=spn << 12 | index << 3, old=old, new=new, level=level, gpa=gpn << 12)


def set_entry(hv: Hypervisor, slot: int, gpn: int, new: int, take: Any, level: int = 1) -> None:
    """Set the entry of a guest page; missing tables are made of pages from `take`, a large page on the way is split.

    The caller has made sure, with `tables_missing`, that `take` has enough.
    """
    spn, top = int(hv.state["partition"]["root"][0, slot]) >> 12, int(hv.state["hypervisor"]["levels"][0])
    for at in range(top, level, -1):
        index = gpn >> 9 * (at - 1) & 511
        entry = int(hv.memory.page(spn)[index])
        below = (entry & FRAME) >> 12
        if rights(hv.state, entry) == 0 or (at <= 3 and entry & LARGE):
            below = take()
            if entry & LARGE:
                _split(hv, entry, below, at, gpn)
            write_entry(hv, spn, index, table(hv.state, below), at, gpn)
        spn = below
    write_entry(hv, spn, gpn >> 9 * (level - 1) & 511, new, level, gpn)


def map_page(hv: Hypervisor, slot: int, gpn: int, new: int, take: Any, level: int = 1) -> None:
    """Set the entry of a guest page; below an overlay, if one lies there."""
    covering = over(hv, slot, gpn)
    if covering is not None:
        covering["beneath"] = signed(new)
    else:
        set_entry(hv, slot, gpn, new, take, level)


def _split(hv: Hypervisor, entry: int, below: int, level: int, gpn: int) -> None:
    """Fill a new table with the 512 smaller pages of a large one, with its rights."""
    first, allowed = (entry & FRAME) >> 12, int(rights(hv.state, entry))
    step = 1 << 9 * (level - 2)
    for k in range(WORDS_A_PAGE):
        word = leaf(hv.state, first + k * step, allowed, large=level > 2)
        write_entry(hv, below, k, word, level - 1, (gpn & -(step * 512)) + k * step)


def leaves(state: Any, mem: Words, root: int) -> tuple[Words, Words, Words, Words]:
    """Return every mapping of a second level: (guest pages, pages in memory, rights, pages that hold its tables)."""
    levels = int(state["hypervisor"]["levels"][0])
    tables, bases = np.array([root >> 12] if root else [], np.int64), np.zeros(1 if root else 0, np.int64)
    gpns, spns, allowed, all_tables = [], [], [], [tables]
    index = np.arange(WORDS_A_PAGE)
    for level in range(levels, 0, -1):
        if len(tables) == 0:
            break
        words = mem[(mem[tables] >> PLACE)[:, None] + index]
        base = bases[:, None] + (index << 9 * (level - 1))
        present = rights(state, words) != 0
        last = present & ((words & LARGE != 0) & (level <= 3) | (level == 1))
        size = 1 << 9 * (level - 1)
        for part in range(size) if np.any(last) and size <= PAGES_2M else range(0):
            gpns.append(base[last] + part)
            spns.append(((words[last] & FRAME) >> 12) + part)
            allowed.append(rights(state, words[last]))
        down = present & ~last
        tables, bases = (words[down] & FRAME) >> 12, base[down]
        all_tables.append(tables)
    join = [np.concatenate(part) if part else np.zeros(0, np.int64) for part in (gpns, spns, allowed, all_tables)]
    return join[0], join[1], join[2], join[3]
