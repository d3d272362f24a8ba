"""Beside the square: the entry of this read, the rights so far, the words of a fault; and the picture in words."""

from collections.abc import Mapping
from typing import Any, Final

from hvlab.story.cells import FAULTS, MOMENTS, Shape
from hvlab.story.picture import Element, box, group, words

GRID_TOP: Final = 126  # where the first row of cells begins
ENTRY_AT: Final = "entry {index} at SPA {spa:spa}"
WHOSE: Final = {
    "second_level_entry_read": "{row:enum:row}, {column:enum:column}",
    "table_entry_read": "{row:enum:row}: its own entry",
    "accessed_set": "the entry is written back",
    "dirty_set": "the entry is written back",
    "structure_cache_hit": "{known:enum:known}",
    "nested_cache_hit": "{known:enum:known}",
    "tlb_hit": "{known:enum:known}",
    "tlb_missed": "no TLB answers: the walk begins",
    "tlb_filled": "kept by {kept:enum:kept}",
    "stale_entry_used": "the tables say otherwise by now",
    "translated": "the data page: {large:enum:page_size}",
    **dict.fromkeys(FAULTS, "{row:enum:row}, {column:enum:column}"),
    "general_protection_raised": "the address is not canonical",
}
WHERE: Final = {
    **dict.fromkeys(("second_level_entry_read", "table_entry_read", "accessed_set", "dirty_set", *FAULTS), ENTRY_AT),
    **dict.fromkeys(("structure_cache_hit", "nested_cache_hit"), "SPA {leads:spa}"),
    **dict.fromkeys(("tlb_hit", "tlb_filled", "stale_entry_used"), "SPA {data_spa:spa}"),
    "translated": "GPA {data_gpa:gpa}",
    "general_protection_raised": "no table is read",
}
COUNTER: Final = {
    **dict.fromkeys(FAULTS, "Stopped after {reads} reads"),
    "translated": "{total} reads in all",
    "tlb_hit": "No read at all",
}
LEADS: Final = {gives: "SPA {leads:spa}" if gives < 4 else "GPA {leads:gpa}" for gives in range(1, 6)}
GUEST_FLAGS: Final = (("P", 0), ("W", 1), ("U", 2), ("A", 5), ("D", 6), ("PS", 7), ("G", 8), ("NX", 63))
EPT_FLAGS: Final = (("R", 0), ("W", 1), ("X", 2), ("LP", 7), ("A", 8), ("D", 9))
FAULT_TITLES: Final = {
    "1": "#PF: the guest handles it",
    "2": "#GP: the guest handles it",
    "3": "EPT violation: exit to the hypervisor",
    "4": "EPT misconfiguration: exit",
    "5": "Nested page fault: exit (#NPF)",
    "6": "No memory at this SPA",
}
PF_LINES: Final = (
    (0, "P 0: an entry is not present", "P 1: a right is missing"),
    (1, "W 0: not a write", "W 1: a write"),
    (2, "U 0: supervisor mode", "U 1: user mode"),
    (3, "RSVD 0: no reserved bit is set", "RSVD 1: a reserved bit is set"),
    (4, "I/D 0: not marked as a fetch", "I/D 1: an instruction fetch"),
    (5, "PK 0: no protection key", "PK 1: a protection key forbids it"),
)
EPT_LINES: Final = (
    (0, "bit 0 = 0: not a read", "bit 0 = 1: a read"),
    (1, "bit 1 = 0: not a write", "bit 1 = 1: a write"),
    (2, "bit 2 = 0: not a fetch", "bit 2 = 1: a fetch"),
    (3, "bit 3 = 0: entries forbid reads", "bit 3 = 1: entries allow reads"),
    (4, "bit 4 = 0: entries forbid writes", "bit 4 = 1: entries allow writes"),
    (5, "bit 5 = 0: entries forbid fetches", "bit 5 = 1: entries allow fetches"),
    (8, "bit 8 = 0: a guest table on the way", "bit 8 = 1: the data itself"),
)
NPF_LINES: Final = (
    *PF_LINES[:2],
    (2, "U 0", "U 1: nested tables are walked as user"),
    *PF_LINES[3:5],
    (32, "bit 32 = 0: not the final address", "bit 32 = 1: the data itself"),
    (33, "bit 33 = 0: not a guest table", "bit 33 = 1: a guest table on the way"),
)


def say_by(fact: str, cases: Mapping[Any, str], other: str = "") -> dict[str, Any]:
    """Return a text that is chosen by the value of a fact."""
    return {"fact": fact, "cases": {str(key): text for key, text in cases.items()}, "else": other}


def by_moment(cases: Mapping[str, str], other: str = "") -> dict[str, Any]:
    """Return a text that is chosen by the event that tells the frame."""
    return say_by("moment", {MOMENTS[name]: text for name, text in cases.items()}, other)


def _flags(prefix: str, flags: tuple[tuple[str, int], ...], x: float, y: float) -> tuple[list[Element], list[Element]]:
    """The bits of the entry that matter to a walk: a thick square is a 1."""
    layer, bind = [], []
    for place, (letter, bit) in enumerate(flags):
        at, key = x + 28 * place, f"{prefix}{bit}"
        layer += [box(key, at, y, 25, 24, "cell memory"), words(f"{key}t", at + 12.5, y + 17, letter, "small middle")]
        bind += [["lit", key, f"e{bit}"], ["lit", f"{key}t", f"e{bit}"]]
    return layer, bind


def detail(shape: Shape, x: float) -> tuple[list[Element], list[Element]]:
    """Beside the grid: what this frame reads, what the entry says, who may do what, A and D, the count."""
    top, entry = GRID_TOP, dict.fromkeys((1, 2, 3), "{entry:hex}")
    gives = dict.fromkeys((1, 2, 3), "{gives:enum:gives}")
    gives[4] = "as two separate walks: {sequential} reads" if shape.second else ""
    lines: tuple[tuple[str, int, str, Any], ...] = (
        ("counter", -8, "label title", by_moment(COUNTER, "Read {number} of up to {most}")),
        ("whose", 14, "label", by_moment(WHOSE)),
        ("where", 34, "label", by_moment(WHERE)),
        ("word", 56, "label code", say_by("which", entry | {4: "SPA {data_spa:spa}"})),
        ("gives", 112, "label soft", say_by("which", gives)),
        ("leads", 132, "label code", say_by("onward", LEADS)),
    )
    layer = [words(id, x, top + y, "", classes) for id, y, classes, _ in lines]
    bind: list[Element] = [["say", id, text] for id, _, _, text in lines]
    guest, nested = _flags("g", GUEST_FLAGS, x, top + 68), _flags("n", EPT_FLAGS, x, top + 68)
    rights = _rights(shape, x, top + 152)
    layer += [group("guest-flags", guest[0]), group("nested-flags", nested[0]), group("rights", rights[0])]
    bind += [
        *guest[1],
        *nested[1],
        *rights[1],
        ["show", "guest-flags", "which", [1, 3]],
        ["show", "nested-flags", "which", [2]],
        ["show", "detail", "shown"],
        ["show", "rights", "fault", [0]],
        ["ruler", "entry", "entry", say_by("which", {1: "PageTableEntry", 2: "EptEntry", 3: "PageTableEntry"})],
    ]
    return [group("detail", layer)], bind


def _rights(shape: Shape, x: float, y: float) -> tuple[list[Element], list[Element]]:
    """Who may read, write and execute by the entries read so far; and what was written into the entry."""
    layer = [words("", x, y + 8, "Granted by the entries so far", "small soft")]
    bind: list[Element] = []
    rows = (
        ("guest tables", (("write", "guest_w"), ("user", "guest_u"), ("fetch", "guest_x"))),
        ("second level", (("read", "nested_r"), ("write", "nested_w"), ("fetch", "nested_x"))),
    )
    for line, (name, rights) in enumerate(rows if shape.second else rows[:1]):
        top = y + 16 + 30 * line
        layer.append(words("", x, top + 17, name, "small"))
        for place, (right, fact) in enumerate(rights):
            at = x + 80 + 49 * place
            layer += [box(fact, at, top, 45, 24, "cell"), words(f"{fact}t", at + 22.5, top + 17, right, "small middle")]
            bind += [["class", fact, fact, {"0": "ghost", "1": "data"}], ["lit", fact, fact]]
            bind.append(["class", f"{fact}t", fact, {"0": "soft"}])
    layer.append(words("mark", x, y + 100, "", "label"))
    text = "A {a_old} → {a_new}, D {d_old} → {d_new}: written back"
    bind.append(["say", "mark", say_by("marked", {1: text, 2: text})])
    return layer, bind


def fault(x: float) -> tuple[list[Element], list[Element]]:
    """The words of a fault: what it is, who handles it, its code bit by bit."""
    y = GRID_TOP + 138
    layer: list[Element] = [
        words("fault-title", x, y, "", "label title fault"),
        words("fault-code", x, y + 19, "", "label"),
    ]
    bind: list[Element] = [
        ["say", "fault-title", say_by("fault", FAULT_TITLES)],
        [
            "say",
            "fault-code",
            say_by(
                "fault",
                {
                    1: "error code {code:hex}",
                    3: "exit qualification {code:hex}",
                    4: "the entry is {code:hex}",
                    5: "error code {code:hex}",
                },
            ),
        ],  # fmt: skip
        ["show", "fault-words", "fault", [1, 2, 3, 4, 5, 6]],
        ["ruler", "code", "code", say_by("fault", {1: "PageFaultCode", 3: "EptQualification", 5: "PageFaultCode"})],
    ]
    lines = {1: PF_LINES, 3: EPT_LINES, 5: NPF_LINES}
    for place in range(max(len(found) for found in lines.values())):
        layer.append(words(f"fault{place}", x, y + 38 + 16 * place, "", "small"))
        for kind, found in lines.items():
            if place < len(found):
                bit, clear, is_set = found[place]
                layer[-1:] = [words(f"fault{kind}{place}", x, y + 38 + 16 * place, "", "small"), layer[-1]]
                bind.append(["say", f"fault{kind}{place}", say_by(f"c{bit}", {0: clear, 1: is_set})])
                bind.append(["show", f"fault{kind}{place}", "fault", [kind]])
        layer.pop()
    return [group("fault-words", layer)], bind


READ_SAYS: Final = "the entry at SPA {spa:spa} is {entry:hex}; it {gives:enum:gives}."
STOP_SAYS: Final = (
    "Reads so far: {reads}. {fault:enum:fault}. Stopped for {row:enum:row}, at {column:enum:column}; code {code:hex}."
)
WRITTEN_SAYS: Final = "The entry at SPA {spa:spa} is written: A {a_old} to {a_new}, D {d_old} to {d_new}."
ALT: Final = {
    "access_begun": "GVA {gva:gva}, cut into indexes and offset. No table is read yet.",
    "tlb_missed": "No TLB knows GVA {gva:gva}. An empty square of up to {most} reads.",
    "tlb_hit": "The {known:enum:known} knows GVA {gva:gva}: SPA {data_spa:spa}. The square stays empty.",
    "stale_entry_used": "A stale cached translation gives SPA {data_spa:spa}; the tables say otherwise by now.",
    "structure_cache_hit": "The paging-structure cache spares all reads above the {row:enum:row} entry.",
    "nested_cache_hit": "The nested cache spares the second-level reads {row:enum:lookup}: SPA {leads:spa}.",
    "second_level_entry_read": "Read {number} of up to {most}: {row:enum:lookup}, nested level {column:dec}: "
    + READ_SAYS,
    "table_entry_read": "Read {number} of up to {most}: {row:enum:row}, its own entry: " + READ_SAYS,
    "accessed_set": WRITTEN_SAYS,
    "dirty_set": WRITTEN_SAYS,
    "tlb_filled": "The translation is kept by {kept:enum:kept}, as a {large:enum:page_size} page.",
    "translated": "{total} reads in all. GVA {gva:gva} is GPA {data_gpa:gpa} is SPA {data_spa:spa}.",
    "tlb_flushed": "Cached translations are dropped; no table is read.",
    **dict.fromkeys(FAULTS, STOP_SAYS),
    "general_protection_raised": "GVA {gva:gva} is not canonical: #GP to the guest, no table is read.",
    "ept_misconfigured": "Reads so far: {reads}. The entry {code:hex} is one that no table may hold: exit.",
    "memory_missing": "Reads so far: {reads}. There is no memory at SPA {spa:spa}.",
}


def alt(shape: Shape) -> dict[str, Any]:
    """The picture in words: by the event that tells the frame, and by what was written into the entry with it."""
    apart = " As two separate walks it would be {sequential}." if shape.second else ""
    written = " A {a_old} to {a_new}, D {d_old} to {d_new}: written to memory."
    told = {4 * MOMENTS[name]: text for name, text in ALT.items()}
    told[4 * MOMENTS["translated"]] += apart
    for stage in (1, 2):
        told |= {4 * MOMENTS[n] + stage: ALT[n] + written for n in ("second_level_entry_read", "table_entry_read")}
        told |= {4 * MOMENTS[n] + stage: ALT[n] for n in ("accessed_set", "dirty_set")}
    return say_by("tale", told)
