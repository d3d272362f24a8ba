"""What page tables themselves cost: the same number of pages side by side, or far apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hvlab.errors import BadRequest
from hvlab.hardware.processor import USER
from hvlab.lab.own_tables import FIRST, OPEN, PAGE, Builder
from hvlab.language import _

PAGES: Final = 128
MOST_PAGES: Final = 256  # so many steps of 512 GiB has the lower half of four levels
DATA: Final = 0x400_0000  # GPA of the first page that is mapped
LEVELS: Final = (4, 3, 2, 1)
DISTANCES: Final = (1 << 12, 1 << 16, 1 << 21, 1 << 25, 1 << 30, 1 << 34, 1 << 39)
UNITS: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


@dataclass(frozen=True)
class Spread:
    """Pages at one distance from each other.

    Attributes
    ----------
    apart, pages : int
        Bytes from one page's address to the next, and how many pages there are.
    tables : tuple of int
        Table pages of levels 4, 3, 2, 1 that the processor read when it used every page once.
    reads : int
        Entries that it read for that.
    """

    apart: int
    pages: int
    tables: tuple[int, ...]
    reads: int

    @property
    def bytes(self) -> int:
        """Memory that the tables take."""
        return PAGE * sum(self.tables)


@dataclass(frozen=True)
class Spreads:
    """The same pages at several distances."""

    rows: tuple[Spread, ...]

    def __repr__(self) -> str:
        head = (_("apart"), *(_("level {level}").format(level=level) for level in LEVELS), _("tables"),
                _("memory for tables"), _("entries read"))  # fmt: skip
        lines = [
            (size(one.apart), *map(str, one.tables), str(sum(one.tables)), size(one.bytes), str(one.reads))
            for one in self.rows
        ]
        wide = [max(len(line[k]) for line in [head, *lines]) for k in range(len(head))]
        padded = ([cell.rjust(w) for cell, w in zip(line, wide, strict=True)] for line in [head, *lines])
        return "\n".join("  ".join(line) for line in padded)


def size(count: int) -> str:
    """Write a number of bytes in its largest whole unit."""
    unit, name = next((one for one in UNITS if count >= one[0] and count % one[0] == 0), (1, "B"))
    return f"{count // unit:,} {name}"


def spread(apart: int, pages: int = PAGES) -> Spread:
    """Map so many pages of 4 KiB, each so many bytes above the one before, and let the processor use each once.

    Which pages are tables is not computed here: it is what the walker read.

    Raises
    ------
    BadRequest
        For a distance that is no multiple of a page, or pages that leave the lower half of the address space.
    """
    if not 0 < pages <= MOST_PAGES or apart < PAGE or apart % PAGE or apart * (pages - 1) >= 1 << 47:
        asked = f"{pages} pages, {apart:#x} apart"
        raise BadRequest(asked, "", f"1 to {MOST_PAGES} pages, multiples of 0x1000, below 0x8000_0000_0000")
    builder = Builder(range(FIRST, DATA, PAGE))
    for k in range(pages):
        builder.map(k * apart, DATA + k * PAGE, OPEN)
    _ended, trace = builder.tables().run([(k * apart, int(USER)) for k in range(pages)])
    found: dict[int, set[int]] = {level: set() for level in LEVELS}
    for row in trace.of("table_entry_read"):
        found[trace.fact(row, "level")].add(trace.fact(row, "spa") // PAGE)
    return Spread(
        apart, pages, tuple(len(found[level]) for level in LEVELS), sum(1 for _row in trace.of("table_entry_read"))
    )


def sweep_spread(distances: Sequence[int] = DISTANCES, pages: int = PAGES) -> Spreads:
    """Map the same number of pages at several distances."""
    return Spreads(tuple(spread(apart, pages) for apart in distances))
