"""Dropping cached translations: what INVLPG, INVPCID, MOV CR3, INVVPID and INVEPT mean for the caches of one processor.

Sources: Intel SDM vol. 3A 4.10.4 (invalidation), vol. 3C "Caching translation information" (INVVPID, INVEPT); AMD APM
vol. 2, 15.16 (TLB control).

SIMPLER THAN REAL: exactly what an instruction must drop is dropped; a real processor may drop more at any time.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from hvlab.hardware.tlb import PCID_SHIFT, SIZE_SHIFT, VPID_SHIFT

Mask = npt.NDArray[np.bool_]
ONE_ADDRESS, ONE_SPACE, WITH_GLOBALS, ONE_TAG, ONE_SECOND_LEVEL, EVERYTHING = 1, 2, 3, 4, 5, 6
GLOBAL_MARK = 1 << 57 - PCID_SHIFT
PAGE_BITS = (1 << PCID_SHIFT) - 1


def vpid_of(tags: Any) -> Any:
    """Return the virtual processor's part of each tag."""
    return tags >> VPID_SHIFT & 63


def pcid_of(tags: Any) -> Any:
    """Return the address space's part of each tag, the global mark included."""
    return tags >> PCID_SHIFT & 8191


def page_of(tags: Any) -> Any:
    """Return the page number of each tag, signed as an address is."""
    page = tags & PAGE_BITS
    return page - ((page >> PCID_SHIFT - 1 & 1) << PCID_SHIFT)


def drop(cache: Any, which: Mask) -> int:
    """Empty the chosen ways of a cache; return how many held something."""
    count = int(np.count_nonzero(which & (cache["tag"] != 0)))
    for word in ("tag", "entry", "used"):
        cache[word][which] = 0
    return count


def _of_space(tags: Any, vpid: int, pcid: int) -> Mask:
    return np.asarray((tags != 0) & (vpid_of(tags) == vpid) & (pcid_of(tags) == pcid))


def one_address(tlb: Any, vpid: int, pcid: int, gva: int) -> int:
    """INVLPG: one page, whatever its size, global or not; and every paging-structure entry of the address space."""
    count = drop(tlb["structure"], _of_space(tlb["structure"]["tag"], vpid, pcid))
    for cache in (tlb["l1"], tlb["l2"]):
        tags, size = cache["tag"], cache["entry"] >> SIZE_SHIFT & 3
        hit = (tags != 0) & (vpid_of(tags) == vpid) & (page_of(tags) == gva >> 12 + 9 * size)
        count += drop(cache, hit & ((pcid_of(tags) == pcid) | (pcid_of(tags) == GLOBAL_MARK)))
    return count


def one_space(tlb: Any, vpid: int, pcid: int) -> int:
    """MOV CR3, INVPCID type 1: every translation of one address space that is not global."""
    return sum(drop(tlb[cache], _of_space(tlb[cache]["tag"], vpid, pcid)) for cache in ("l1", "l2", "structure"))


def one_tag(tlb: Any, vpid: int, keep_globals: bool = False) -> int:
    """INVVPID type 1, INVPCID types 2 and 3: every address space of one virtual processor, with or without globals."""
    count = 0
    for cache in ("l1", "l2", "structure"):
        tags = tlb[cache]["tag"]
        which = (tags != 0) & (vpid_of(tags) == vpid)
        if keep_globals:
            which &= pcid_of(tags) != GLOBAL_MARK
        count += drop(tlb[cache], which)
    return count


def one_second_level(tlb: Any, space: int, vpids: list[int]) -> int:
    """INVEPT type 1: what came from one second-level table, alone (nested cache) or combined with a guest's tables."""
    count = drop(tlb["nested"], tlb["nested"]["tag"] >> 45 == space + 1)
    return count + sum(one_tag(tlb, vpid) for vpid in vpids)


def everything(tlb: Any) -> int:
    """INVEPT type 2, or a processor without tags at a switch of the virtual processor."""
    return sum(drop(tlb[cache], tlb[cache]["tag"] != 0) for cache in ("l1", "l2", "structure", "nested"))


def held(tlb: Any) -> dict[str, int]:
    """Return how many entries each cache holds."""
    return {cache: int(np.count_nonzero(tlb[cache]["tag"])) for cache in ("l1", "l2", "structure", "nested")}
