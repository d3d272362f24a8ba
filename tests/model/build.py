"""Lay out page tables by hand for the model's tests."""

from __future__ import annotations

from model.memory import Memory
from model.paging import FRAME, LARGE, PRESENT, USER_PAGE, WRITABLE, shift_of

OPEN = PRESENT | WRITABLE | USER_PAGE
EPT_OPEN = 7 | 1 << 10
WRITE_BACK = 6 << 3


class Builder:
    """Memory that gives out table pages in order."""

    def __init__(self, first_spa: int = 0x1000) -> None:
        self.memory, self.next_spa = Memory(), first_spa

    def table(self) -> int:
        """Return the address of a new page of zeros."""
        self.next_spa += 0x1000
        return self.memory.add_page(self.next_spa - 0x1000)

    def path(self, root: int, levels: int, address: int, leaf_level: int = 1, upper: int = OPEN) -> int:
        """Make the tables down to leaf_level where they are missing; return the SPA of the leaf's entry."""
        table = root
        for level in range(levels, leaf_level, -1):
            spa = table + 8 * (address >> shift_of(level) & 511)
            if not self.memory.read64(spa):
                self.memory.write64(spa, self.table() | upper)
            table = self.memory.read64(spa) & FRAME
        return table + 8 * (address >> shift_of(leaf_level) & 511)

    def map(self, root: int, levels: int, address: int, target: int, leaf_level: int = 1, flags: int = OPEN) -> int:
        """Map one page to target; return the SPA of the leaf's entry."""
        spa = self.path(root, levels, address, leaf_level)
        large = LARGE if leaf_level > 1 else 0
        self.memory.write64(spa, target | flags | large)
        return spa

    def map_ept(self, root: int, levels: int, gpa: int, spa: int, leaf_level: int = 1, rights: int = EPT_OPEN) -> int:
        """Map one guest-physical page with these EPT rights; return the SPA of the leaf's entry."""
        at = self.path(root, levels, gpa, leaf_level, upper=EPT_OPEN)
        large = LARGE if leaf_level > 1 else 0
        self.memory.write64(at, spa | rights | WRITE_BACK | large)
        return at
