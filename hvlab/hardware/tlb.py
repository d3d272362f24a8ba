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
from hvlab.kernel import I, kernel, leading_zeros, matches

# The room in the tables (sets, ways); the loops below are over these constants, so that they unroll.
L1_SETS, L1_WAYS = 64, 8
L2_SETS, L2_WAYS = 256, 16
NESTED_SETS, NESTED_WAYS = 64, 8
STRUCTURE_SETS, STRUCTURE_WAYS = 8, 4


def _set(ways: int) -> list[tuple[Any, ...]]:
    # Side by side: with one array for each, an age and a tag of the same set would always stand 4096 bytes apart or a
    # multiple of that, where a load waits for the store before it as if they were the same word.
    return [(name, I, (ways,)) for name in ("tag", "entry", "used")]


TLB = np.dtype(
    [
        ("l1", _set(L1_WAYS), (3, L1_SETS)),  # one array for each page size: 4 KiB, 2 MiB, 1 GiB
        ("l2", _set(L2_WAYS), (L2_SETS,)),
        ("structure", _set(STRUCTURE_WAYS), (5, STRUCTURE_SETS)),  # by level of the table it leads to
        ("nested", _set(NESTED_WAYS), (NESTED_SETS,)),
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
def highest(bits):
    """Return the number of the highest bit that is set, -1 if none is."""
    return 63 - leading_zeros(bits)


@kernel
def keep(held, way, tag, entry, tick):
    """Write one way of a set."""
    held["tag"][way] = tag
    held["entry"][way] = entry
    held["used"][way] = tick


@kernel
def drop(held, ways):
    """Empty the ways of a set whose bits are set."""
    while ways != 0:
        way = highest(ways)
        keep(held, way, I(0), I(0), I(0))
        ways ^= I(1) << way


@kernel
def l1_hits(held, page, mine, everyone):
    """Return which ways of an L1 set serve a page, bit k for way k: an entry of this address space, or a global one."""
    return matches(held["tag"], L1_WAYS, mine | page) | matches(held["tag"], L1_WAYS, everyone | page)


@kernel
def l1_lookup(t, size, page, mine, everyone):
    """Return (way, set) of a translation in the L1 TLB for one page size; way -1 if it is not there.

    If an entry of this address space and a global one both serve the page, the way of the higher number answers.
    """
    s = page & t["l1_sets"] - 1
    return highest(l1_hits(t["l1"][size, s], page, mine, everyone)), s


@kernel
def l2_lookup(t, size, page, mine, everyone):
    """Return (way, set) of a translation in the L2 TLB, which all page sizes share; way -1 if it is not there."""
    s = page & t["l2_sets"] - 1
    held = t["l2"][s]
    hits = matches(held["tag"], L2_WAYS, mine | page) | matches(held["tag"], L2_WAYS, everyone | page)
    while hits != 0:
        way = highest(hits)
        if held["entry"][way] >> SIZE_SHIFT & 3 == size:
            return way, s
        hits ^= I(1) << way
    return I(-1), s


@kernel
def l1_fill(t, size, tag, entry, mine, everyone):
    """Keep a translation in the L1 TLB, in the place of the one that served its page until now.

    Return 1 if a translation of another page had to leave, -1 if the cache is switched off.
    """
    if t["l1_ways"] == 0:
        return I(-1)
    way, s = l1_lookup(t, size, tag & PAGE_NUMBERS, mine, everyone)
    held, evicted = t["l1"][size, s], I(0)
    if way < 0:
        way = oldest(held["used"], t["l1_ways"])
        evicted = I(held["tag"][way] != 0)
    keep(held, way, tag, entry, t["tick"])
    return evicted


@kernel
def l2_fill(t, tag, entry, mine, everyone):
    """Keep a translation in the L2 TLB, as `l1_fill` does."""
    if t["l2_ways"] == 0:
        return I(-1)
    way, s = l2_lookup(t, entry >> SIZE_SHIFT & 3, tag & PAGE_NUMBERS, mine, everyone)
    held, evicted = t["l2"][s], I(0)
    if way < 0:
        way = oldest(held["used"], t["l2_ways"])
        evicted = I(held["tag"][way] != 0)
    keep(held, way, tag, entry, t["tick"])
    return evicted


@kernel
def forget(t, mine, everyone, gva):
    """Drop all that would serve one address, so that a fault cannot come back from a cache alone.

    Sources: SDM vol. 3A 4.10.4.1 (page faults), vol. 3C, operations that invalidate cached mappings (EPT violations).
    """
    for size in range(3):
        page = gva >> 12 + 9 * size & PAGE_NUMBERS
        held = t["l1"][size, page & t["l1_sets"] - 1]
        drop(held, l1_hits(held, page, mine, everyone))
        way, s = l2_lookup(t, size, page, mine, everyone)
        while way >= 0:
            drop(t["l2"][s], I(1) << way)
            way, s = l2_lookup(t, size, page, mine, everyone)
    for level in range(1, 5):
        prefix = gva >> 12 + 9 * level & PAGE_NUMBERS
        known = t["structure"][level, prefix & t["structure_sets"] - 1]
        drop(known, matches(known["tag"], STRUCTURE_WAYS, mine | prefix))
