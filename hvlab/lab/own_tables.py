"""A guest alone: its own page tables in its own memory, nothing below them, every cache off.

Without a second level a GPA is an SPA, so each step of the walk is the guest's own. Tables are built as a kernel builds
them: page by page, each new table in a frame of its own.

SIMPLER THAN REAL: only the tables are there, not the pages that they lead to; a translation never reads those.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from hvlab.capture.tables import Cpu, Leaves, PageTables, Probes, Registers, Rights
from hvlab.errors import BadRequest, plain
from hvlab.hardware.bare import LONG_MODE, UNCACHED, Bare
from hvlab.hardware.memory import signed
from hvlab.hardware.processor import DETAIL, OUTCOMES, WORST_STEP
from hvlab.hypervisor.partition import STATE
from hvlab.lab.walks import shift_of as shift_of_page
from hvlab.machine import Machine
from hvlab.trace.journal import Trace
from hvlab.trace.words import say
from hvlab.wire.x64 import Cr0, Cr4, Efer, PageTableEntry, Rflags

PAGE: Final = 4096
FIRST: Final = 0x1_0000  # GPA of the top table; the other tables follow it
PHYS_BITS: Final = 46
MASK: Final = (1 << 64) - 1
SNAPSHOT: Final = {"phys_bits": PHYS_BITS}

PRESENT, LARGE, FRAME = (PageTableEntry.mask(name) for name in ("present", "large", "frame"))
LETTERS: Final = {
    letter: PageTableEntry.mask(name) & MASK
    for letter, name in (
        ("W", "writable"), ("U", "user"), ("N", "no_execute"), ("G", "global_page"), ("A", "accessed"), ("D", "dirty"),
    )
}  # fmt: skip
OPEN: Final = LETTERS["W"] | LETTERS["U"]
KEY: Final = PageTableEntry.lo("key")
KNOBS: Final = {
    "wp": ("cr0", Cr0.mask("write_protect")),
    "nxe": ("efer", Efer.mask("no_execute")),
    "smep": ("cr4", Cr4.mask("smep")),
    "smap": ("cr4", Cr4.mask("smap")),
    "pke": ("cr4", Cr4.mask("keys")),
    "ac": ("rflags", Rflags.mask("alignment_check")),
}
USUAL: Final = {"wp": 1, "nxe": 1}


def shift_of(level: int) -> int:
    """Return how many bits of an address lie below an entry of this level."""
    return 12 + 9 * (level - 1)


def index_of(gva: int, level: int) -> int:
    """Return the nine bits of an address that choose the entry of a level."""
    return gva >> shift_of(level) & 511


@dataclass(frozen=True)
class Ended:
    """What one access came to: `code` and `level` of a #PF, else the GPA."""

    outcome: str
    code: int
    level: int
    gpa: int

    @property
    def ok(self) -> bool:
        return self.outcome == "ok"


def is_page_fault(fault: int) -> bool:
    """Whether the engine's word for a fault says #PF."""
    return OUTCOMES[fault & (1 << int(DETAIL)) - 1] == "page_fault"


def _ended(fault: int, spa: int, level: int) -> Ended:
    outcome = OUTCOMES[fault & (1 << int(DETAIL)) - 1]
    return Ended(outcome, fault >> int(DETAIL), level, spa & MASK if outcome == "ok" else 0)


@dataclass(frozen=True, eq=False)
class Tables:
    """A guest's tables as words by GPA (what is not there is zero), and the knobs of its processor."""

    words: Mapping[int, int]
    root: int = FIRST
    levels: int = 4
    knobs: Mapping[str, int] = field(default_factory=dict)

    def registers(self) -> dict[str, int]:
        """Return the registers that these tables and knobs make."""
        found = {**LONG_MODE, "rflags": 0, "cr3": self.root, "pkru": self.knobs.get("pkru", 0)}
        found["cr4"] |= Cr4.mask("la57") if self.levels == 5 else 0
        for name, (register, bit) in KNOBS.items():
            on = self.knobs.get(name, USUAL.get(name, 0))
            found[register] = found[register] | bit if on else found[register] & ~bit
        return found

    def pages(self) -> dict[int, list[int]]:
        """Return the table pages: GPA -> 512 words."""
        pages: dict[int, list[int]] = {self.root: [0] * 512}
        for gpa, word in self.words.items():
            pages.setdefault(gpa & -PAGE, [0] * 512)[gpa >> 3 & 511] = word & MASK
        return pages

    def bare(self) -> Bare:
        """Return the engine with these tables in its memory."""
        pages = self.pages()
        bare = Bare(np.array(sorted(pages)) >> 12, STATE, UNCACHED, PHYS_BITS)
        bare.load({gpa: np.array(words, np.uint64) for gpa, words in pages.items()})
        bare.set(**{name: signed(value) for name, value in self.registers().items()})
        return bare

    def machine(self) -> Machine:
        """Return a machine that holds these tables and nothing else."""
        pages, nothing, r = self.pages(), np.zeros(0, np.uint64), self.registers()
        seen = Registers(r["cr0"], r["cr3"], r["cr4"], r["efer"], self.levels, 3)
        cpu = Cpu(
            seen,
            Leaves(nothing, nothing, np.zeros(0, np.uint16)),
            Rights(nothing, nothing, np.zeros(0, np.uint8)),
            Probes(nothing, nothing),
        )
        gpas = sorted(pages)
        data = np.array([pages[gpa] for gpa in gpas], np.uint64)
        tables = PageTables("", "own tables", (cpu,), np.array(gpas, np.uint64), data, dict(SNAPSHOT))
        machine = Machine.from_snapshot(tables, geometry=UNCACHED)
        for name in ("rflags", "pkru"):
            machine.state["vp"][name][0, 0] = r[name]
        return machine

    def run(self, accesses: Sequence[tuple[int, int]]) -> tuple[list[Ended], Trace]:
        """Let the engine make accesses (GVA, kind) in order, each by a walk of its own."""
        bare, rows = self.bare(), np.zeros((WORST_STEP * (len(accesses) + 1), 10), np.int64)
        fault, spa = bare.run([gva & MASK for gva, _kind in accesses], [int(kind) for _gva, kind in accesses], 0, rows)
        trace = Trace(rows[: int(bare.state["rows"][0])])
        levels = iter([trace.fact(row, "level") for row in trace.of("page_fault_raised")])
        pairs = zip(fault.tolist(), spa.tolist(), strict=True)
        return [_ended(word, where, next(levels) if is_page_fault(word) else 0) for word, where in pairs], trace

    def silent(self, accesses: Sequence[tuple[int, int]]) -> list[Ended]:
        """Let the engine make accesses without a trace; the level of a fault is then not known, and 0."""
        fault, spa = self.bare().run([gva & MASK for gva, _kind in accesses], [int(kind) for _gva, kind in accesses])
        pairs = zip(fault.tolist(), spa.tolist(), strict=True)
        return [_ended(word, where, 0) for word, where in pairs]

    def read64(self, gpa: int) -> int:
        """Return one word of the guest's memory; zero where nothing stands."""
        return self.words.get(gpa & ~7, 0) & MASK

    def dump(self) -> str:
        """Return every eight bytes that are not zero, by GPA, as they stand in memory."""
        lines = (
            f"  {say('gpa', gpa)}  {(word & MASK).to_bytes(8, 'little').hex(' ')}"
            for gpa, word in sorted(self.words.items())
            if word
        )
        return "\n".join(lines)

    def path(self, gva: int) -> list[tuple[int, int, int]]:
        """Return what stands in the tables for an address, whatever its bits say: (level, GPA, entry), top first."""
        found, table = [], self.root
        for level in range(self.levels, 0, -1):
            at = table + 8 * index_of(gva, level)
            entry = self.read64(at)
            found.append((level, at, entry))
            if level < 4 and entry & LARGE and level > 1 or not entry & FRAME:
                break
            table = entry & (1 << PHYS_BITS) - 1 & FRAME
        return found


class Builder:
    """Enters pages into tables; each new table takes the next frame.

    Parameters
    ----------
    frames
        GPAs of free pages; the first becomes the top table.
    """

    def __init__(self, frames: Iterable[int], levels: int = 4) -> None:
        self.frames: Iterator[int] = iter(frames)
        self.levels, self.root = levels, next(self.frames)
        self.words: dict[int, int] = {}

    def map(self, gva: int, gpa: int, bits: int, leaf: int = 1, upper: int = OPEN) -> bool:
        """Map one page by a leaf of level `leaf`; False where something stands in the way."""
        table = self.root
        for level in range(self.levels, leaf, -1):
            at = table + 8 * index_of(gva, level)
            word = self.words.get(at, 0)
            if word & LARGE:
                return False
            if not word:
                word = self.words[at] = next(self.frames) | upper | PRESENT
            table = word & FRAME
        at = table + 8 * index_of(gva, leaf)
        if at in self.words:
            return False
        self.words[at] = gpa >> shift_of(leaf) << shift_of(leaf) | bits | PRESENT | (LARGE if leaf > 1 else 0)
        return True

    def tables(self, **knobs: int) -> Tables:
        """Return what was built."""
        return Tables(self.words, self.root, self.levels, knobs)


def bits_of(letters: str) -> int:
    """Return the bits of an entry for letters such as ``"WU"``: W, U, N (no execute), G, A, D.

    Raises
    ------
    BadRequest
        For another letter.
    """
    odd = [letter for letter in letters if letter not in LETTERS]
    if odd:
        raise BadRequest(f"the flags {plain(letters, 20)!r}", "", f"letters of {''.join(LETTERS)}")
    return sum(LETTERS[letter] for letter in set(letters))


def own_tables(
    pages: Mapping[int, int],
    flags: str = "WU",
    page: int | str = "4 KiB",
    levels: int = 4,
    key: int = 0,
    upper: str = "WU",
    **knobs: int,
) -> Machine:
    """Return a machine with one guest that has no second level below it: its tables map these pages, GVA -> GPA.

    Parameters
    ----------
    pages
        Such as ``{0x40_0000: 0x5000}``.
    flags, upper
        What the leaves grant, and what the entries above them grant: letters of W, U, N (no execute), G, A, D.
    page
        ``"4 KiB"``, ``"2 MiB"`` or ``"1 GiB"``.
    levels
        4 or 5.
    key
        The protection key of the leaves.
    knobs
        ``wp`` and ``nxe`` (on unless 0), ``smep``, ``smap``, ``ac``, ``pke`` (off unless 1), ``pkru`` (a number).
    """
    if levels not in (4, 5):
        raise BadRequest(f"{levels} levels", "", "4 or 5")
    unknown = [name for name in knobs if name not in (*KNOBS, "pkru")]
    if unknown:
        raise BadRequest(f"the knob {plain(unknown[0], 20)!r}", "", ", ".join((*KNOBS, "pkru")))
    builder = Builder(range(FIRST, FIRST << 8, PAGE), levels)
    leaf = (shift_of_page(page) - 12) // 9 + 1
    for gva, gpa in pages.items():
        builder.map(gva, gpa, bits_of(flags) | key << KEY, leaf, bits_of(upper))
    return builder.tables(**knobs).machine()
