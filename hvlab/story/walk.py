"""The lens of a translation: the square of guest levels and second levels, filled read by read.

The square has a row for each guest level, top first, and a last row for the data; a column for each second-level read,
top first, and a last one for the guest's own entry. With g guest levels and n second levels it has (g+1)(n+1)-1 cells.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hvlab.errors import BadRequest
from hvlab.story.frame import Fact, Frame
from hvlab.story.gate import Gate
from hvlab.story.lens import PLACES, groups, kinds, ruler
from hvlab.story.square import ENUMS, SPLIT_LEVELS, square
from hvlab.story.storyboard import Storyboard
from hvlab.trace.event import by_name
from hvlab.trace.journal import Trace
from hvlab.wire.x64 import EptEntry, EptQualification, PageFaultCode, PageTableEntry

PHASES: Final = ("index", "fetch entry", "check rights", "descend", "deliver")
PHASE_OF: Final = {
    "access_begun": "index",
    "tlb_missed": "index",
    "tlb_hit": "deliver",
    "stale_entry_used": "deliver",
    "structure_cache_hit": "descend",
    "nested_cache_hit": "descend",
    "second_level_entry_read": "descend",
    "table_entry_read": "fetch entry",
    "accessed_set": "check rights",
    "dirty_set": "check rights",
    "page_fault_raised": "check rights",
    "general_protection_raised": "index",
    "ept_violation_raised": "check rights",
    "ept_misconfigured": "check rights",
    "nested_page_fault_raised": "check rights",
    "memory_missing": "fetch entry",
    "tlb_filled": "deliver",
    "translated": "deliver",
    "tlb_flushed": "index",
}
READS: Final = frozenset({"second_level_entry_read", "table_entry_read"})
FAULTS: Final = {
    "page_fault_raised": 1,
    "general_protection_raised": 2,
    "ept_violation_raised": 3,
    "ept_misconfigured": 4,
    "nested_page_fault_raised": 5,
    "memory_missing": 6,
}
ENDS: Final = frozenset({"translated", "tlb_hit", "stale_entry_used", *FAULTS})
OPENS: Final = frozenset({"access_begun", "tlb_flushed"})
JOINS: Final = {"accessed_set": READS, "dirty_set": READS, "tlb_filled": frozenset({"tlb_filled"})}
LETTERS: Final = dict.fromkeys(FAULTS, "!") | {"ept_violation_raised": "X", "nested_page_fault_raised": "X"}
LEFT_OUT: Final = {
    "tlb_hit": "SIMPLER THAN REAL: the set is the low bits of the page number; real processors hash undocumented bits.",
    "nested_cache_hit": "SIMPLER THAN REAL: the nested cache keeps a large page as 4-KiB pieces.",
    "tlb_filled": "SIMPLER THAN REAL: the least recently used entry leaves; real processors approximate that.",
}

UNREAD, READ, STRUCTURE, NESTED, NOT_NEEDED, FAULT, FROM_TLB = range(7)
NOWHERE: Final = 15
FRAME: Final = PageTableEntry.frame.mask
EPT_RIGHTS: Final = EptEntry.read.mask | EptEntry.write.mask | EptEntry.execute.mask | EptEntry.user_execute.mask


@dataclass(frozen=True)
class Shape:
    """How many levels both stages have in a trace; 0 second levels if there is no second level."""

    guest: int
    second: int

    @classmethod
    def of(cls, trace: Trace) -> "Shape":
        """Return the largest shape that the accesses of a trace have."""
        guest = second = 0
        for row in trace.of("access_begun"):
            words = trace.facts(row)
            guest = max(guest, words["levels"])
            second = max(second, words["second_levels"] if words["second_level"] else 0)
        if not 0 <= guest <= SPLIT_LEVELS or not 0 <= second <= SPLIT_LEVELS:
            raise BadRequest(
                f"a walk of {guest} by {second} levels", "", f"at most {SPLIT_LEVELS} levels in each stage"
            )
        return cls(guest, second)

    def cells(self) -> Iterator[tuple[int, int]]:
        """Yield (row, column) of each cell in the order of a full walk; column 0 is the guest's own entry."""
        for row in range(self.guest, -1, -1):
            for column in range(self.second, -1, -1):
                if row or column:
                    yield row, column


@dataclass
class Walk:
    """The facts while a trace goes by; every number comes from a recorded word."""

    shape: Shape
    facts: dict[str, int] = field(default_factory=dict)

    def open(self) -> None:
        """Begin a frame: what was true of the last frame only is over."""
        self.facts |= {"marked": 0, "a_old": 0, "a_new": 0, "d_old": 0, "d_new": 0, "here": 0, "evicted": 0}

    def tell(self, name: str, words: dict[str, int]) -> None:
        """Take in one event."""
        self.facts["moment"] = by_name(name).number
        if name in FAULTS:
            self.fault(name, words)
        else:
            getattr(self, name)(**words)

    def access_begun(self, gva: int, access: int, cr3: int, levels: int, second_level: int, second_levels: int) -> None:
        second = second_levels if second_level else 0
        for row, column in self.shape.cells():
            self.facts |= {f"s{row}{column}": UNREAD, f"k{row}{column}": 0, f"a{row}{column}": 0}
        for kept in ("number", "reads", "total", "known", "gpa", "spa", "entry", "which", "gives", "leads", "shown",
                     "fault", "code", "data_gpa", "data_spa", "large", "kept"):  # fmt: skip
            self.facts[kept] = 0
        self.facts |= {"gva": gva, "access": access, "cr3": cr3, "levels": levels, "second": second_level}
        self.facts |= {"count": self.facts.get("count", 0) + 1, "most": (levels + 1) * (second + 1) - 1}
        self.facts |= {"row": NOWHERE, "column": NOWHERE, "index": 0, "guest_w": 1, "guest_u": 1, "guest_x": 1}
        self.facts |= {"flag_p": 0, "nested_r": 1, "nested_w": 1, "nested_x": 1}
        self.split("i", gva)

    def split(self, letter: str, address: int) -> None:
        """Cut an address into indexes of nine bits and an offset of twelve."""
        for level in range(1, SPLIT_LEVELS + 1):
            self.facts[f"{letter}{level}"] = address >> 12 + 9 * (level - 1) & 511
        self.facts[f"{letter}0"] = address & 4095

    def tlb_hit(self, cache: int, gva: int, spa: int, shift: int) -> None:
        self.facts |= {"shown": 1, "data_spa": spa, "large": shift, "known": cache}
        for row, column in self.shape.cells():
            self.facts[f"s{row}{column}"] = FROM_TLB

    def tlb_missed(self, gva: int) -> None:
        self.facts["shown"] = 1

    def stale_entry_used(self, cache: int, gva: int, spa: int) -> None:
        self.facts |= {"shown": 1, "data_spa": spa}

    def structure_cache_hit(self, level: int, gva: int, table: int) -> None:
        self.facts |= {"shown": 1, "row": level, "column": 0, "known": 3, "leads": table}
        for row, column in self.shape.cells():
            if row > level or row == level and column:
                self.facts[f"s{row}{column}"] = STRUCTURE

    def nested_cache_hit(self, guest_level: int, gpa: int, spa: int) -> None:
        self.facts |= {"shown": 1, "row": guest_level, "column": NOWHERE, "gpa": gpa, "known": 4, "leads": spa}
        self.facts |= {"has_gpa": 1}
        self.split("j", gpa)
        for column in range(1, self.shape.second + 1):
            self.facts[f"s{guest_level}{column}"] = NESTED

    def second_level_entry_read(self, guest_level: int, level: int, index: int, spa: int, entry: int, gpa: int) -> None:
        npt = self.facts.get("second") == 2
        word, whole = (PageTableEntry, PageTableEntry.present.mask) if npt else (EptEntry, EPT_RIGHTS)
        leaf = level == 1 or level <= 3 and entry & word.large.mask != 0
        gives = 0 if entry & whole == 0 else 1 if not leaf else 2 if guest_level else 3
        self.read(guest_level, level, index, spa, entry, 3 if npt else 2, gives)
        self.facts |= {"gpa": gpa, "has_gpa": 1}
        self.split("j", gpa)
        if level == self.shape.second:
            self.facts |= {"nested_r": 1, "nested_w": 1, "nested_x": 1}
        if npt:
            own = entry & 1, entry >> PageTableEntry.writable.lo & 1, 1 - (entry >> PageTableEntry.no_execute.lo & 1)
        else:
            own = entry & 1, entry >> EptEntry.write.lo & 1, entry >> EptEntry.execute.lo & 1
        for name, right in zip(("nested_r", "nested_w", "nested_x"), own, strict=True):
            self.facts[name] &= right
        if leaf and gives:
            for column in range(1, level):
                self.facts[f"s{guest_level}{column}"] = NOT_NEEDED

    def table_entry_read(self, level: int, index: int, gpa: int, spa: int, entry: int) -> None:
        leaf = level == 1 or level <= 3 and entry & PageTableEntry.large.mask != 0
        gives = 0 if entry & 1 == 0 else 5 if leaf else 4
        self.read(level, 0, index, spa, entry, 1, gives)
        if gpa == -1 or not self.shape.second:
            self.facts["has_gpa"] = 0
        self.facts["guest_w"] &= entry >> PageTableEntry.writable.lo & 1
        self.facts["guest_u"] &= entry >> PageTableEntry.user.lo & 1
        self.facts["guest_x"] &= 1 - (entry >> PageTableEntry.no_execute.lo & 1)
        if leaf and gives:
            self.facts["large"] = 12 + 9 * (level - 1)
            for row, column in self.shape.cells():
                if 0 < row < level:
                    self.facts[f"s{row}{column}"] = NOT_NEEDED

    def read(self, row: int, column: int, index: int, spa: int, entry: int, which: int, gives: int) -> None:
        """Fill a cell."""
        number = self.facts["reads"] + 1
        self.facts |= {"shown": 1, "row": row, "column": column, "index": index, "spa": spa, "entry": entry}
        self.facts |= {"which": which, "gives": gives, "leads": entry & FRAME, "known": 0}
        self.facts |= {"number": number, "reads": number, "here": 8 * row + column + 1}
        self.facts |= {f"s{row}{column}": READ, f"k{row}{column}": number, f"a{row}{column}": spa}

    def accessed_set(self, stage: int, level: int, spa: int, old: int, new: int) -> None:
        guest = stage == 1 or self.facts.get("second") == 2
        word: Any = PageTableEntry if guest else EptEntry
        for name, declared in (("a", word.accessed), ("d", word.dirty)):
            self.facts |= {f"{name}_old": old >> declared.lo & 1, f"{name}_new": new >> declared.lo & 1}
        self.facts |= {"marked": stage, "here": 8 * self.facts["row"] + self.facts["column"] + 1}

    dirty_set = accessed_set

    def tlb_filled(self, cache: int, gva: int, spa: int, shift: int, evicted: int) -> None:
        self.facts |= {"kept": self.facts["kept"] | cache, "large": shift, "evicted": self.facts["evicted"] | evicted}

    def translated(self, gva: int, gpa: int, spa: int, shift: int, reads: int, access: int) -> None:
        self.facts |= {"shown": 1, "data_gpa": gpa, "data_spa": spa, "large": shift, "total": reads, "leads": spa}

    def tlb_flushed(self, what: int, vpid: int, gva: int) -> None:
        self.facts["flush"] = what

    def fault(self, name: str, words: dict[str, int]) -> None:
        """Stop the walk where the event says."""
        row = words.get("guest_level", words.get("level", NOWHERE))
        column = words["level"] if "guest_level" in words else 0 if "level" in words else NOWHERE
        code = words.get("error_code", words.get("qualification", words.get("entry", 0)))
        self.facts |= {"shown": 1, "fault": FAULTS[name], "code": code, "row": row, "column": column}
        for bit in (0, 1, 2, 3, 4, 5, 6, 7, 8, 32, 33):
            self.facts[f"c{bit}"] = code >> bit & 1
        if "gpa" in words:
            self.facts |= {"gpa": words["gpa"], "has_gpa": 1}
            self.split("j", words["gpa"])
        if "spa" in words:
            self.facts["spa"] = words["spa"]
        if (row, column) in set(self.shape.cells()):
            self.facts |= {f"s{row}{column}": FAULT, "here": 8 * row + column + 1}
            self.facts |= {"fault_row": self.shape.guest - row}
            self.facts |= {"fault_column": self.shape.second - column}


def declared_facts(shape: Shape) -> list[Fact]:
    """Return every fact of the square; those with `panel` stand in the state table."""
    shown = [
        Fact("gva", "GVA", "gva", True),
        Fact("access", "Access", "enum:access", True),
        Fact("levels", "Guest levels", "dec", True),
        Fact("second", "Second level", "enum:second_level", True),
        Fact("cr3", "CR3", "hex", True),
        Fact("row", "Guest level", "enum:row", True, NOWHERE),
        Fact("column", "Second level read", "enum:column", True, NOWHERE),
        Fact("number", "Number of this read", "dec", True),
        Fact("reads", "Reads so far", "dec", True),
        Fact("gpa", "GPA looked up", "gpa", True),
        Fact("index", "Index", "dec", True),
        Fact("spa", "Entry at SPA", "spa", True),
        Fact("entry", "Entry", "hex", True),
        Fact("guest_w", "Guest entries so far: write", "enum:yes", True, 1),
        Fact("guest_u", "Guest entries so far: user", "enum:yes", True, 1),
        Fact("guest_x", "Guest entries so far: fetch", "enum:yes", True, 1),
        Fact("nested_r", "Second level here: read", "enum:yes", True, 1),
        Fact("nested_w", "Second level here: write", "enum:yes", True, 1),
        Fact("nested_x", "Second level here: fetch", "enum:yes", True, 1),
        Fact("data_gpa", "GPA of the data", "gpa", True),
        Fact("data_spa", "SPA of the data", "spa", True),
        Fact("fault", "Fault", "enum:fault", True),
        Fact("code", "Error code or qualification", "hex", True),
    ]
    hidden = ["moment", "most", "total", "known", "which", "gives", "shown", "count", "marked", "here", "has_gpa",
              "a_old", "a_new", "d_old", "d_new", "evicted", "kept", "flush", "flag_p", "fault_row", "fault_column"]  # fmt: skip
    hidden += [f"c{bit}" for bit in (0, 1, 2, 3, 4, 5, 6, 7, 8, 32, 33)]
    hidden += [f"{letter}{level}" for letter in "ij" for level in range(SPLIT_LEVELS + 1)]
    hidden += [f"{letter}{row}{column}" for row, column in shape.cells() for letter in "sk"]
    more = [Fact(f"a{row}{column}", kind="spa") for row, column in shape.cells()]
    more += [Fact("leads", kind="gpa"), Fact("large", kind="enum:page_size")]
    return [*shown, *(Fact(name) for name in hidden), *more]
