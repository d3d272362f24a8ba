"""The square of a translation as facts: which cell was read, served or not needed, and what the walk knows so far.

A fact is a recorded word, a count of recorded rows, or bits cut out of a recorded word; nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from hvlab.errors import BadRequest
from hvlab.language import _
from hvlab.story.frame import Fact
from hvlab.trace.journal import Trace
from hvlab.wire.x64 import EptEntry, PageTableEntry

MOST_LEVELS: Final = 5
FAULTS: Final = {
    "page_fault_raised": 1,
    "general_protection_raised": 2,
    "ept_violation_raised": 3,
    "ept_misconfigured": 4,
    "nested_page_fault_raised": 5,
    "memory_missing": 6,
}
MOMENTS: Final = {
    name: number
    for number, name in enumerate(
        (
            "access_begun",
            "tlb_missed",
            "tlb_hit",
            "stale_entry_used",
            "structure_cache_hit",
            "nested_cache_hit",
            "second_level_entry_read",
            "table_entry_read",
            "accessed_set",
            "dirty_set",
            "tlb_filled",
            "translated",
            "tlb_flushed",
            *FAULTS,
        )
    )
}  # what a frame tells, as a number that does not change when the catalogue grows

EXCEPTIONS: Final = frozenset({"page_fault_raised", "general_protection_raised"})  # the guest learns of these
MARKED: Final = frozenset({"second_level_entry_read", "table_entry_read", "accessed_set", "dirty_set"})

UNREAD, READ, STRUCTURE, NESTED, NOT_NEEDED, FAULT, FROM_TLB = range(7)
NOWHERE: Final = 15
NPT: Final = 2  # the value of `second_level` for AMD nested paging
CODE_BITS: Final = (0, 1, 2, 3, 4, 5, 6, 7, 8, 32, 33)
ENTRY_BITS: Final = (0, 1, 2, 5, 6, 7, 8, 9, 63)


OF_ONE_ACCESS: Final = (
    *("number", "reads", "total", "known", "gpa", "spa", "entry", "which", "gives", "onward", "leads", "shown"),
    *("fault", "code", "data_gpa", "data_spa", "large", "kept", "here_fault", "to_guest", "sequential", "marks"),
)  # facts that begin at 0 again with each access
HIDDEN: Final = (
    *("moment", "tale", "levels", "number", "guest_w", "guest_u", "guest_x", "nested_r", "nested_w", "nested_x"),
    *("most", "total", "known", "which", "gives", "onward", "shown", "count", "here", "has_gpa"),
    *("a_old", "a_new", "d_old", "d_new", "evicted", "kept", "flush", "here_fault", "to_guest"),
    *("fault_row", "fault_column", "sequential", "marks"),
)  # facts that the picture needs and the state table does not show


@dataclass(frozen=True)
class Shape:
    """How many levels both stages have in a trace; 0 second levels if there is no second level."""

    guest: int
    second: int
    name: str = "EPT"

    @classmethod
    def of(cls, trace: Trace) -> "Shape":
        """Return the largest shape that the accesses of a trace have."""
        guest = second = 0
        name = "EPT"
        for row in trace.of("access_begun"):
            words = trace.facts(row)
            guest = max(guest, words["levels"])
            second = max(second, words["second_levels"] if words["second_level"] else 0)
            name = "nested" if words["second_level"] == 2 else name
        if not 0 <= guest <= MOST_LEVELS or not 0 <= second <= MOST_LEVELS:
            raise BadRequest(f"a walk of {guest} by {second} levels", "", f"at most {MOST_LEVELS} levels in each stage")
        return cls(guest, second, name)

    def title(self) -> str:
        """Return what a story of such a walk is called."""
        if not self.second:
            return _("One access, {guest} levels of tables").format(guest=self.guest)
        told = _("One access, {guest} guest levels by {second} second levels")
        return told.format(guest=self.guest, second=self.second)

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
    facts: dict[str, int] = field(default_factory=lambda: {"second": 0, "reads": 0, "kept": 0})

    def open(self) -> None:
        """Begin a frame: what was true of the last frame only is over."""
        self.facts |= {"marked": 0, "a_old": 0, "a_new": 0, "d_old": 0, "d_new": 0, "here": 0, "evicted": 0}

    def tell(self, name: str, words: dict[str, int]) -> None:
        """Take in one event."""
        if name in FAULTS:
            self.fault(name, words)
        else:
            getattr(self, name)(**words)

    def close(self, name: str) -> dict[str, int]:
        """Return the facts of a frame that the event `name` tells."""
        for stage, rights in (("guest", "wux"), ("nested", "rwx")):
            bits = (self.facts[f"{stage}_{right}"] << place for place, right in enumerate(rights))
            self.facts[f"{stage}_rights"] = sum(bits) if self.facts["reads"] else 0
        written = self.facts["marked"] if name in MARKED else 0
        self.facts |= {"moment": MOMENTS[name], "tale": 4 * MOMENTS[name] + written, "marked": written}
        return dict(self.facts)

    def access_begun(self, gva: int, access: int, cr3: int, levels: int, second_level: int, second_levels: int) -> None:
        second = second_levels if second_level else 0
        for row, column in self.shape.cells():
            self.facts |= {f"s{row}{column}": UNREAD, f"k{row}{column}": 0, f"a{row}{column}": 0}
        self.facts |= dict.fromkeys(OF_ONE_ACCESS, 0)
        self.facts |= {"gva": gva, "access": access, "cr3": cr3, "levels": levels, "second": second_level}
        self.facts |= {"count": self.facts.get("count", 0) + 1, "most": (levels + 1) * (second + 1) - 1}
        self.facts |= {"row": NOWHERE, "column": NOWHERE, "index": 0, "guest_w": 1, "guest_u": 1, "guest_x": 1}
        self.facts |= {"nested_r": 1, "nested_w": 1, "nested_x": 1, "has_gpa": 0}
        self.split("i", gva)

    def split(self, letter: str, address: int) -> None:
        """Cut an address into indexes of nine bits and an offset of twelve."""
        for level in range(1, MOST_LEVELS + 1):
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
        self.facts |= {"shown": 1, "row": level, "column": 0, "known": 3, "leads": table, "which": 0, "onward": 0}
        for row, column in self.shape.cells():
            if row > level or row == level and column:
                self.facts[f"s{row}{column}"] = STRUCTURE

    def nested_cache_hit(self, guest_level: int, gpa: int, spa: int) -> None:
        self.facts |= {
            "shown": 1,
            "row": guest_level,
            "column": NOWHERE,
            "gpa": gpa,
            "known": 4,
            "leads": spa,
            "which": 0,
            "onward": 0,
        }
        self.facts |= {"has_gpa": 1}
        self.split("j", gpa)
        for column in range(1, self.shape.second + 1):
            self.facts[f"s{guest_level}{column}"] = NESTED

    def second_level_entry_read(self, guest_level: int, level: int, index: int, spa: int, entry: int, gpa: int) -> None:
        word: PageTableEntry | EptEntry
        if self.facts["second"] == NPT:
            word = guest = PageTableEntry.decode(entry)
            present, own, which = guest.present, (guest.present, guest.writable, 1 - guest.no_execute), 3
        else:
            word = ept = EptEntry.decode(entry)
            own, which = (ept.read, ept.write, ept.execute), 2
            present = ept.read | ept.write | ept.execute | ept.user_execute
        leaf = level == 1 or level <= 3 and word.large == 1
        gives = 0 if not present else 1 if not leaf else 2 if guest_level else 3
        self.read(guest_level, level, index, spa, entry, which, gives)
        self.facts |= {"gpa": gpa, "has_gpa": 1, "leads": word.frame << 12}
        self.split("j", gpa)
        if level == self.shape.second:
            self.facts |= {"nested_r": 1, "nested_w": 1, "nested_x": 1}
        for name, right in zip(("nested_r", "nested_w", "nested_x"), own, strict=True):
            self.facts[name] &= right
        if leaf and gives:
            for column in range(1, level):
                self.facts[f"s{guest_level}{column}"] = NOT_NEEDED

    def table_entry_read(self, level: int, index: int, gpa: int, spa: int, entry: int) -> None:
        word = PageTableEntry.decode(entry)
        leaf = level == 1 or level <= 3 and word.large == 1
        gives = 0 if not word.present else 5 if leaf else 4
        self.read(level, 0, index, spa, entry, 1, gives)
        self.facts["leads"] = word.frame << 12
        if gpa == -1 or not self.shape.second:
            self.facts["has_gpa"] = 0
        self.facts["guest_w"] &= word.writable
        self.facts["guest_u"] &= word.user
        self.facts["guest_x"] &= 1 - word.no_execute
        if leaf and gives:
            self.facts["large"] = 12 + 9 * (level - 1)
            for row, column in self.shape.cells():
                if 0 < row < level:
                    self.facts[f"s{row}{column}"] = NOT_NEEDED

    def read(self, row: int, column: int, index: int, spa: int, entry: int, which: int, gives: int) -> None:
        """Fill a cell."""
        number = self.facts["reads"] + 1
        self.facts |= {"shown": 1, "row": row, "column": column, "index": index, "spa": spa, "entry": entry}
        self.facts |= {"which": which, "gives": gives, "known": 0, "onward": gives}
        self.facts |= {"number": number, "reads": number, "here": 8 * row + column + 1}
        self.facts |= {f"s{row}{column}": READ, f"k{row}{column}": number, f"a{row}{column}": spa}
        self.facts["sequential"] += row == 0 or column == 0  # as if the guest's walk came first, then one below it
        self.facts |= {f"e{bit}": entry >> bit & 1 for bit in ENTRY_BITS}

    def accessed_set(self, stage: int, level: int, spa: int, old: int, new: int) -> None:
        word = PageTableEntry if stage == 1 or self.facts["second"] == NPT else EptEntry
        before, after = word.decode(old), word.decode(new)
        self.facts |= {"a_old": before.accessed, "a_new": after.accessed, "d_old": before.dirty, "d_new": after.dirty}
        self.facts |= {"marked": stage, "here": 8 * self.facts["row"] + self.facts["column"] + 1}
        self.facts["marks"] += (old ^ new).bit_count()  # A and D bits that this access set

    dirty_set = accessed_set

    def tlb_filled(self, cache: int, gva: int, spa: int, shift: int, evicted: int) -> None:
        self.facts |= {
            "kept": self.facts["kept"] | cache,
            "large": shift,
            "data_spa": spa,
            "which": 0,
            "onward": 0,
            "evicted": self.facts["evicted"] | evicted,
        }

    def translated(self, gva: int, gpa: int, spa: int, shift: int, reads: int, access: int) -> None:
        self.facts |= {
            "shown": 1,
            "data_gpa": gpa,
            "data_spa": spa,
            "large": shift,
            "total": reads,
            "which": 4,
            "onward": 0,
        }
        self.facts |= {"row": 0, "column": NOWHERE, "here": 0}

    def tlb_flushed(self, what: int, vpid: int, gva: int) -> None:
        self.facts["flush"] = what

    def fault(self, name: str, words: dict[str, int]) -> None:
        """Stop the walk where the event says."""
        row = words.get("guest_level", words.get("level", NOWHERE))
        column = words["level"] if "guest_level" in words else 0 if "level" in words else NOWHERE
        code = words.get("error_code", words.get("qualification", words.get("entry", 0)))
        self.facts |= {"shown": 1, "fault": FAULTS[name], "code": code, "onward": 0, "row": row, "column": column}
        self.facts["to_guest"] = int(name in EXCEPTIONS)
        for bit in CODE_BITS:
            self.facts[f"c{bit}"] = code >> bit & 1
        if "gpa" in words:
            self.facts |= {"gpa": words["gpa"], "has_gpa": 1}
            self.split("j", words["gpa"])
        if "spa" in words:
            self.facts["spa"] = words["spa"]
        if (row, column) in set(self.shape.cells()):
            self.facts |= {f"s{row}{column}": FAULT, "here": 8 * row + column + 1}
            self.facts |= {"fault_row": self.shape.guest - row, "here_fault": 1}
            self.facts |= {"fault_column": self.shape.second - column}


def declared_facts(shape: Shape) -> list[Fact]:
    """Return every fact of the square; those with `panel` stand in the state table."""
    below = bool(shape.second)
    shown = [
        Fact("gva", "GVA", "gva", True),
        Fact("access", "Access", "enum:access", True),
        Fact("second", "Second level", "enum:second_level", True),
        Fact("row", "Read for", "enum:row", True, NOWHERE),
        Fact("column", "Entry of", "enum:column", below, NOWHERE),
        Fact("reads", "Reads so far", "dec", True),
        Fact("gpa", "GPA looked up", "gpa", below),
        Fact("index", "Index", "dec", True),
        Fact("spa", "Entry at SPA", "spa", True),
        Fact("entry", "Entry", "hex", True),
        Fact("guest_rights", "Guest entries so far grant", "enum:guest_rights", True),
        Fact("nested_rights", "Second-level entries grant", "enum:nested_rights", below),
        Fact("marked", "A or D written into", "enum:marked", True),
        Fact("data_gpa", "GPA of the data", "gpa", True),
        Fact("data_spa", "SPA of the data", "spa", True),
        Fact("fault", "Fault", "enum:fault", True),
        Fact("code", "Error code or qualification", "hex", True),
    ]
    hidden = list(HIDDEN)
    hidden += [f"c{bit}" for bit in CODE_BITS] + [f"e{bit}" for bit in ENTRY_BITS]
    hidden += [f"{letter}{level}" for letter in "ij" for level in range(MOST_LEVELS + 1)]
    hidden += [f"{letter}{row}{column}" for row, column in shape.cells() for letter in "sk"]
    more = [Fact(f"a{row}{column}", kind="spa") for row, column in shape.cells()]
    more += [Fact("leads", kind="gpa"), Fact("cr3", kind="hex"), Fact("large", kind="enum:page_size")]
    return [*shown, *(Fact(name) for name in hidden), *more]
