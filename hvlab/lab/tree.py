"""A guest's tables as a tree of text: each entry with its place, its eight bytes, its rights and where it leads."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hvlab.machine import Machine
from hvlab.trace.words import say
from hvlab.wire.x64 import Cr3, Cr4, PageTableEntry

MOST_LINES: Final = 40
FLAGS: Final = (
    ("P", "present"), ("W", "writable"), ("U", "user"), ("A", "accessed"), ("D", "dirty"), ("NX", "no_execute"),
)  # fmt: skip
MASK: Final = (1 << 64) - 1


@dataclass(frozen=True)
class Tree:
    """The tables of one address space, one line for each entry that is not zero.

    Attributes
    ----------
    lines : tuple of str
    entries : int
        How many entries there are; a table that is reached twice is told once.
    """

    lines: tuple[str, ...]
    entries: int

    def __repr__(self) -> str:
        more = self.entries + 1 - len(self.lines)
        return "\n".join([*self.lines, *([f"… {more:,} more entries …"] if more > 0 else [])])


def letters(entry: int) -> str:
    """Return the flags of an entry that are set, such as ``P W U A``."""
    word = PageTableEntry.decode(entry)
    return " ".join(letter for letter, name in FLAGS if getattr(word, name))


def tree(machine: Machine, vp: int = 0, most: int = MOST_LINES) -> Tree:
    """Return the tables that a virtual processor's CR3 names, as a tree.

    Parameters
    ----------
    machine
        A bare machine: a guest without a second level.
    most
        So many lines at most; the rest is counted.
    """
    record = machine.state["vp"][0, vp]
    cr3, levels = int(record["cr3"]) & Cr3.mask("frame"), 5 if int(record["cr4"]) & Cr4.mask("la57") else 4
    head = f"CR3 names the level-{levels} table at GPA {say('gpa', cr3)}"
    lines, count = [head], 0
    for line in _table(machine, cr3, levels, levels, 0, set()):
        count += 1
        if len(lines) < most:
            lines.append(line)
    return Tree(tuple(lines), count)


def _table(machine: Machine, table: int, level: int, top: int, gva: int, seen: set[int]) -> Iterator[str]:
    if table in seen or not machine.memory.exists(table >> 12):
        return
    seen.add(table)
    for index in range(512):
        at = table + 8 * index
        entry = machine.memory.read64(at) & MASK
        if not entry:
            continue
        word, begins = PageTableEntry.decode(entry), gva | index << 12 + 9 * (level - 1)
        leaf = level == 1 or level <= 3 and bool(word.large)
        leads = "page" if leaf else f"level-{level - 1} table"
        if not word.present:
            leads, leaf = "not present", True
        else:
            leads = f"{leads} at GPA {say('gpa', word.frame << 12)}"
        raw = entry.to_bytes(8, "little").hex(" ")
        yield f"{'  ' * (top - level + 1)}[{index}] at GPA {say('gpa', at)}: {raw}  {letters(entry)}  {leads}"
        if not leaf:
            yield from _table(machine, word.frame << 12, level - 1, top, begins, seen)
