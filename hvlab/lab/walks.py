"""One access to one page, through tables of any shape: what a lesson compares when it turns a single knob."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hvlab.errors import BadRequest
from hvlab.hardware.bare import UNCACHED
from hvlab.hardware.processor import DETAIL, OUTCOMES, READ, USER
from hvlab.hardware.tlb import Geometry
from hvlab.lab.guest import SIZES, Plan, Touched, guest
from hvlab.trace.journal import Trace

GVA = 0x7F12_3456_7ABC
ROWS = 1 << 14
READ_BY_USER = int(READ | USER)


@dataclass(frozen=True)
class Walked:
    """What came of the last access, and the rows of all."""

    outcome: str
    detail: int
    spa: int
    trace: Trace

    def __repr__(self) -> str:
        return f"Walked({self.outcome}, {len(self.trace)} events)"


def one_walk(
    guest_page: int | str = 12,
    second_page: int | str | None = 12,
    levels: int = 4,
    caches: Geometry | None = None,
    accesses: Sequence[int] = (READ_BY_USER,),
    accessed_dirty: bool = True,
    gva: int = GVA,
) -> Walked:
    """Build a guest that maps one page, and access it.

    Parameters
    ----------
    guest_page, second_page
        Page sizes of the guest and of the second level: 12, 21 and 30 bits of offset, or ``"4 KiB"``, ``"2 MiB"``,
        ``"1 GiB"``; `second_page` None is a machine without a second level.
    levels
        4 or 5 levels of the guest's tables.
    caches
        Their geometry; by default there are none.
    accesses
        The kinds of access, one after the other.
    accessed_dirty
        Whether the EPT pointer asks for A and D bits.
    """
    if levels not in (4, 5):
        raise BadRequest(f"{levels} levels", "", "4 or 5")
    plan = Plan(shift_of(guest_page), None if second_page is None else shift_of(second_page))
    bare = guest(Touched(np.array([gva >> 12], np.int64), levels), plan, caches or UNCACHED)
    bare.set(accessed_dirty=accessed_dirty)
    rows = np.zeros((ROWS, 10), np.int64)
    fault, spa = bare.run([gva] * len(accesses), list(accesses), trace=rows)
    kind = int(fault[-1]) & (1 << int(DETAIL)) - 1
    trace = Trace(rows[: int(bare.state["rows"][0])])
    return Walked(OUTCOMES[kind], int(fault[-1]) >> int(DETAIL), int(spa[-1]), trace)


def shift_of(page: int | str) -> int:
    """Return a page size as bits of the offset.

    Raises
    ------
    BadRequest
        If there is no such page size.
    """
    for shift, words in SIZES.items():
        if page in (shift, words):
            return shift
    raise BadRequest(f"a page size of {page!r}", "", ", ".join(f"{words!r}" for words in SIZES.values()))
