"""Translation caches of one logical processor: L1 and L2 TLB, paging-structure caches, nested cache.

Each is set-associative with true LRU. The tables have room for the largest geometry; `Geometry` says how much of it
is used, so that a student can vary sets and ways of the same compiled code. An unused way holds the tag 0, which
nothing asks for.

SIMPLER THAN REAL: real processors use pseudo-LRU and undocumented hashes for the set; here it is the page number's
low bits.
SIMPLER THAN REAL: the nested cache keeps large second-level pages as 4-KiB pieces.
SIMPLER THAN REAL: 63 tags (VPID or ASID) instead of 65,535.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from hvlab.errors import BadRequest
from hvlab.kernel import I, kernel

# The room in the tables (sets, ways); the loops below are over these constants, so that they unroll.
L1_SETS, L1_WAYS = 64, 8
L2_SETS, L2_WAYS = 256, 16
NESTED_SETS, NESTED_WAYS = 64, 8
STRUCTURE_SETS, STRUCTURE_WAYS = 8, 4


def _cache(*shape: int) -> list[tuple[Any, ...]]:
    return [(name, I, shape) for name in ("tag", "entry", "used")]


TLB = np.dtype(
    [
        ("l1", _cache(3, L1_SETS, L1_WAYS)),  # one array for each page size: 4 KiB, 2 MiB, 1 GiB
        ("l2", _cache(L2_SETS, L2_WAYS)),
        ("structure", _cache(5, STRUCTURE_SETS, STRUCTURE_WAYS)),  # by level of the table it leads to
        ("nested", _cache(NESTED_SETS, NESTED_WAYS)),
        *[(f"{cache}_{word}", I) for cache in ("l1", "l2", "structure", "nested") for word in ("sets", "ways")],
        ("tick", I),
        ("running", I),  # the VP whose translations were last asked for, for processors without tags
    ]
)

# A tag: page number (45 bits), PCID or the global mark (13 bits), VPID (6 bits). VPID 0 is the hypervisor's: no tag
# is 0.
PCID_SHIFT, VPID_SHIFT = 45, 58
GLOBAL = I(1 << 57)
PAGE_NUMBERS = I((1 << 45) - 1)

# An entry looks like a leaf of the guest's table: effective W U NX D, key, frame; and the second level's rights above
# it.
SIZE_SHIFT = 10  # bits 10-11: 0 for 4 KiB, 1 for 2 MiB, 2 for 1 GiB
MAY_READ, MAY_WRITE, MAY_EXECUTE, MAY_USER_EXECUTE = I(1 << 52), I(1 << 53), I(1 << 54), I(1 << 55)
SECOND_DIRTY = I(1 << 56)
STALE = I(1 << 57)


@dataclass(frozen=True)
class Geometry:
    """Sets and ways of each cache; 0 ways switch it off.

    Defaults are of the order of a current server core (assumed).
    """

    l1_sets: int = 16
    l1_ways: int = 4
    l2_sets: int = 128
    l2_ways: int = 12
    structure_sets: int = 8
    structure_ways: int = 4
    nested_sets: int = 16
    nested_ways: int = 4

    def __post_init__(self) -> None:
        rooms = {
            "l1": (L1_SETS, L1_WAYS),
            "l2": (L2_SETS, L2_WAYS),
            "structure": (STRUCTURE_SETS, STRUCTURE_WAYS),
            "nested": (NESTED_SETS, NESTED_WAYS),
        }
        for cache, (most_sets, most_ways) in rooms.items():
            sets, ways = getattr(self, f"{cache}_sets"), getattr(self, f"{cache}_ways")
            if not 0 < sets <= most_sets or sets & sets - 1:
                raise BadRequest(f"{cache}_sets: asked for {sets}; a power of two up to {most_sets} is possible")
            if not 0 <= ways <= most_ways:
                raise BadRequest(f"{cache}_ways: asked for {ways}; 0 to {most_ways} are possible")

    def into(self, tlb: Any) -> None:
        """Write the geometry into a TLB record and empty its caches."""
        for cache in ("l1", "l2", "structure", "nested"):
            for word in ("tag", "entry", "used"):
                tlb[cache][word] = 0
        for field in fields(self):
            tlb[field.name] = getattr(self, field.name)


@kernel
def oldest(used, ways):
    """Return the way to give up: a free one (its `used` is 0), else the least recently used; the lowest of equals."""
    way = I(0)
    for w in range(1, ways):
        if used[w] < used[way]:
            way = I(w)
    return way


@kernel
def l1_lookup(t, size, page, mine, everyone):
    """Return (way, set) of a translation in the L1 TLB for one page size; way -1 if it is not there.

    If an entry of this address space and a global one both serve the page, the way of the higher number answers.
    """
    s = page & t["l1_sets"] - 1
    tags = t["l1"]["tag"][size, s]
    way = I(-1)
    for w in range(L1_WAYS):
        if tags[w] == mine | page or tags[w] == everyone | page:
            way = I(w)
    return way, s


@kernel
def l2_lookup(t, size, page, mine, everyone):
    """Return (way, set) of a translation in the L2 TLB, which all page sizes share; way -1 if it is not there."""
    s = page & t["l2_sets"] - 1
    tags, entries = t["l2"]["tag"][s], t["l2"]["entry"][s]
    way = I(-1)
    for w in range(L2_WAYS):
        if (tags[w] == mine | page or tags[w] == everyone | page) and entries[w] >> SIZE_SHIFT & 3 == size:
            way = I(w)
    return way, s


@kernel
def l1_fill(t, size, tag, entry, mine, everyone):
    """Keep a translation in the L1 TLB, in the place of the one that served its page until now.

    Return 1 if a translation of another page had to leave, -1 if the cache is switched off.
    """
    if t["l1_ways"] == 0:
        return I(-1)
    w, s = l1_lookup(t, size, tag & PAGE_NUMBERS, mine, everyone)
    evicted = I(0)
    if w < 0:
        w = oldest(t["l1"]["used"][size, s], t["l1_ways"])
        evicted = I(t["l1"]["tag"][size, s, w] != 0)
    t["l1"]["tag"][size, s, w] = tag
    t["l1"]["entry"][size, s, w] = entry
    t["l1"]["used"][size, s, w] = t["tick"]
    return evicted


@kernel
def l2_fill(t, tag, entry, mine, everyone):
    """Keep a translation in the L2 TLB, as `l1_fill` does."""
    if t["l2_ways"] == 0:
        return I(-1)
    size = entry >> SIZE_SHIFT & 3
    w, s = l2_lookup(t, size, tag & PAGE_NUMBERS, mine, everyone)
    evicted = I(0)
    if w < 0:
        w = oldest(t["l2"]["used"][s], t["l2_ways"])
        evicted = I(t["l2"]["tag"][s, w] != 0)
    t["l2"]["tag"][s, w] = tag
    t["l2"]["entry"][s, w] = entry
    t["l2"]["used"][s, w] = t["tick"]
    return evicted


@kernel
def forget(t, mine, everyone, gva):
    """Drop all that would serve one address, so that a fault cannot come back from a cache alone.

    Sources: SDM vol. 3A 4.10.4.1 (page faults), vol. 3C, operations that invalidate cached mappings (EPT violations).
    """
    for size in range(3):
        page = gva >> 12 + 9 * size & PAGE_NUMBERS
        s = page & t["l1_sets"] - 1
        for w in range(L1_WAYS):
            tag = t["l1"]["tag"][size, s, w]
            if tag == mine | page or tag == everyone | page:
                t["l1"]["tag"][size, s, w] = t["l1"]["entry"][size, s, w] = t["l1"]["used"][size, s, w] = 0
        s = page & t["l2_sets"] - 1
        for w in range(L2_WAYS):
            tag = t["l2"]["tag"][s, w]
            if (tag == mine | page or tag == everyone | page) and t["l2"]["entry"][s, w] >> SIZE_SHIFT & 3 == size:
                t["l2"]["tag"][s, w] = t["l2"]["entry"][s, w] = t["l2"]["used"][s, w] = 0
    for level in range(1, 5):
        prefix = gva >> 12 + 9 * level & PAGE_NUMBERS
        s = prefix & t["structure_sets"] - 1
        for w in range(STRUCTURE_WAYS):
            if t["structure"]["tag"][level, s, w] == mine | prefix:
                t["structure"]["tag"][level, s, w] = t["structure"]["entry"][level, s, w] = 0
                t["structure"]["used"][level, s, w] = 0
