"""Pages change hands: one owner for each, zeros before anybody else sees it, and the pools that partitions live on.

SIMPLER THAN REAL: on a real machine MapGpaPages lets a child see pages that stay the parent's, and nobody scrubs them.
Here the page becomes the child's, the parent keeps a share of it, and each change of owner fills it with zeros.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hvlab.hardware.memory import NOBODY, PLACE
from hvlab.hypervisor.address import Words

if TYPE_CHECKING:
    from hvlab.hypervisor.core import Hypervisor

EVERY_RIGHT = 15


def scrub(hv: Hypervisor, spn: int) -> None:
    """Fill a page with zeros."""
    hv.memory.page(spn)[:] = 0
    hv.memory.mark(spn, dirty=0)
    hv.changed(spn)
    hv.spend("scrub")
    hv.tell("page_scrubbed", spa=spn << 12)


def give(hv: Hypervisor, spn: int, slot: int, sharer: int = NOBODY, share_rights: int = 0) -> None:
    """Make a partition the owner of a page, which is scrubbed first; it may be shared with one other."""
    old = hv.memory.record(spn).owner
    if old != slot:
        scrub(hv, spn)
        hv.tell("page_given", spa=spn << 12, old=hv.id_of(old), new=hv.id_of(slot))
    hv.memory.mark(spn, owner=slot, sharer=sharer, share_rights=share_rights, table=0, deposited=0, dirty=0)


def take_in(hv: Hypervisor, spn: int, slot: int) -> None:
    """Make a page the hypervisor's, in a partition's pool; it is zeroed when it is used or leaves the pool."""
    old = hv.memory.record(spn).owner
    if old != 0:
        hv.tell("page_given", spa=spn << 12, old=hv.id_of(old), new=0)
    hv.memory.mark(spn, owner=0, sharer=NOBODY, share_rights=0, table=0, deposited=slot, dirty=1)


def pool(hv: Hypervisor, slot: int) -> tuple[Words, Words]:
    """Return (free pages, pages in use) of a partition's pool."""
    words = hv.mem[: hv.memory.pages]
    ours = (words & 0xFF == 0) & (words >> 21 & 0xFF == slot) & (words >> PLACE != 0)
    free = ours & (words >> 20 & 1 == 0) & (words >> 8 & 0xFF == NOBODY)
    return np.flatnonzero(free), np.flatnonzero(ours & ~free)


def take(hv: Hypervisor, slot: int) -> int:
    """Take the lowest free page of a pool for the hypervisor, full of zeros. The caller checked that there is one."""
    spn = int(pool(hv, slot)[0][0])
    scrub(hv, spn)
    hv.memory.mark(spn, table=1)
    return spn


def put_back(hv: Hypervisor, spn: int) -> None:
    """Return a page that the hypervisor used to the pool that it came from."""
    hv.memory.mark(spn, table=0, sharer=NOBODY, share_rights=0, dirty=1)
    hv.changed(spn)
