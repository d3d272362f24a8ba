"""Beside the square: the entry of this read, the rights so far, the words of a fault; and the picture in words."""

from collections.abc import Mapping
from typing import Any, Final

from hvlab.language import N_, _
from hvlab.story.cells import FAULTS, MOMENTS, Shape
from hvlab.story.picture import Element, box, group, words

WIDTH: Final = 844
GRID_TOP: Final = 126  # where the first row of cells begins
ENTRY_AT: Final = N_("entry {index} at SPA {spa:spa}")
WHOSE: Final = {
    "second_level_entry_read": "{row:enum:row}, {column:enum:column}",
    "table_entry_read": N_("{row:enum:row}: its own entry"),
    "accessed_set": N_("the entry is written back"),
    "dirty_set": N_("the entry is written back"),
    "structure_cache_hit": "{known:enum:known}",
    "nested_cache_hit": "{known:enum:known}",
    "tlb_hit": "{known:enum:known}",
    "tlb_missed": N_("no TLB answers: the walk begins"),
    "tlb_filled": N_("kept by {kept:enum:kept}"),
    "stale_entry_used": N_("the tables say otherwise by now"),
    "translated": N_("the data page: {large:enum:page_size}"),
    **dict.fromkeys(FAULTS, "{row:enum:row}, {column:enum:column}"),
    "general_protection_raised": N_("the address is not canonical"),
}
WHERE: Final = {
    **dict.fromkeys(("second_level_entry_read", "table_entry_read", "accessed_set", "dirty_set", *FAULTS), ENTRY_AT),
    **dict.fromkeys(("structure_cache_hit", "nested_cache_hit"), "SPA {leads:spa}"),
    **dict.fromkeys(("tlb_hit", "tlb_filled", "stale_entry_used"), "SPA {data_spa:spa}"),
    "translated": "GPA {data_gpa:gpa}",
    "general_protection_raised": N_("no table is read"),
}
COUNTER: Final = {
    **dict.fromkeys(FAULTS, N_("Stopped after {reads} reads")),
    "translated": N_("{total} reads in all"),
    "tlb_hit": N_("No read at all"),
}
LEADS: Final = {gives: "SPA {leads:spa}" if gives < 4 else "GPA {leads:gpa}" for gives in range(1, 6)}
GUEST_FLAGS: Final = (("P", 0), ("W", 1), ("U", 2), ("A", 5), ("D", 6), ("PS", 7), ("G", 8), ("NX", 63))
EPT_FLAGS: Final = (("R", 0), ("W", 1), ("X", 2), ("LP", 7), ("A", 8), ("D", 9))
FAULT_TITLES: Final = {
    "1": N_("#PF: the guest handles it"),
    "2": N_("#GP: the guest handles it"),
    "3": N_("EPT violation: exit to the hypervisor"),
    "4": N_("EPT misconfiguration: exit"),
    "5": N_("Nested page fault: exit (#NPF)"),
    "6": N_("No memory at this SPA"),
}
FAULT_CODES: Final = {
    1: N_("error code {code:hex}"),
    3: N_("exit qualification {code:hex}"),
    4: N_("the entry is {code:hex}"),
    5: N_("error code {code:hex}"),
}
PF_LINES: Final = (
    (0, N_("P 0: an entry is not present"), N_("P 1: a right is missing")),
    (1, N_("W 0: not a write"), N_("W 1: a write")),
    (2, N_("U 0: supervisor mode"), N_("U 1: user mode")),
    (3, N_("RSVD 0: no reserved bit is set"), N_("RSVD 1: a reserved bit is set")),
    (4, N_("I/D 0: not marked as a fetch"), N_("I/D 1: an instruction fetch")),
    (5, N_("PK 0: no protection key"), N_("PK 1: a protection key forbids it")),
)
EPT_LINES: Final = (
    (0, N_("bit 0 = 0: not a read"), N_("bit 0 = 1: a read")),
    (1, N_("bit 1 = 0: not a write"), N_("bit 1 = 1: a write")),
    (2, N_("bit 2 = 0: not a fetch"), N_("bit 2 = 1: a fetch")),
    (3, N_("bit 3 = 0: entries forbid reads"), N_("bit 3 = 1: entries allow reads")),
    (4, N_("bit 4 = 0: entries forbid writes"), N_("bit 4 = 1: entries allow writes")),
    (5, N_("bit 5 = 0: entries forbid fetches"), N_("bit 5 = 1: entries allow fetches")),
    (8, N_("bit 8 = 0: a guest table on the way"), N_("bit 8 = 1: the data itself")),
)
NPF_LINES: Final = (
    *PF_LINES[:2],
    (2, N_("U 0"), N_("U 1: nested tables are walked as user")),
    *PF_LINES[3:5],
    (32, N_("bit 32 = 0: not the final address"), N_("bit 32 = 1: the data itself")),
    (33, N_("bit 33 = 0: not a guest table"), N_("bit 33 = 1: a guest table on the way")),
)


def say_by(fact: str, cases: Mapping[Any, str], other: str = "") -> dict[str, Any]:
    """Return a text that is chosen by the value of a fact."""
    return {"fact": fact, "cases": {str(key): text for key, text in cases.items()}, "else": other}


def said_by(fact: str, cases: Mapping[Any, str], other: str = "") -> dict[str, Any]:
    """Return such a text in the learner's language."""
    return say_by(fact, {key: _(text) for key, text in cases.items()}, _(other))


def by_moment(cases: Mapping[str, str], other: str = "") -> dict[str, Any]:
    """Return a text that is chosen by the event that tells the frame."""
    return said_by("moment", {MOMENTS[name]: text for name, text in cases.items()}, other)


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
    gives[4] = N_("as two separate walks: {sequential} reads") if shape.second else ""
    lines: tuple[tuple[str, int, str, Any], ...] = (
        ("counter", -8, "label title", by_moment(COUNTER, N_("Read {number} of up to {most}"))),
        ("whose", 14, "label", by_moment(WHOSE)),
        ("where", 34, "label", by_moment(WHERE)),
        ("word", 56, "label code", say_by("which", entry | {4: "SPA {data_spa:spa}"})),
        ("gives", 112, "label soft", said_by("which", gives)),
        ("leads", 132, "label code", say_by("onward", LEADS)),
    )
    layer = [words(id, x, top + y, "", classes, WIDTH - x) for id, y, classes, _text in lines]
    bind: list[Element] = [["say", id, text] for id, _y, _classes, text in lines]
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
    layer = [words("", x, y + 8, _("Granted by the entries so far"), "small soft", WIDTH - x)]
    bind: list[Element] = []
    rows = (
        (N_("guest tables"), ((N_("write"), "guest_w"), (N_("user"), "guest_u"), (N_("fetch"), "guest_x"))),
        (N_("second level"), ((N_("read"), "nested_r"), (N_("write"), "nested_w"), (N_("fetch"), "nested_x"))),
    )
    for line, (name, rights) in enumerate(rows if shape.second else rows[:1]):
        top = y + 16 + 30 * line
        layer.append(words("", x, top + 17, _(name), "small", 76))
        for place, (right, fact) in enumerate(rights):
            at = x + 80 + 49 * place
            label = words(f"{fact}t", at + 22.5, top + 17, _(right), "small middle", 41)
            layer += [box(fact, at, top, 45, 24, "cell"), label]
            bind += [["class", fact, fact, {"0": "ghost", "1": "data"}], ["lit", fact, fact]]
            bind.append(["class", f"{fact}t", fact, {"0": "soft"}])
    layer.append(words("mark", x, y + 100, "", "label", WIDTH - x))
    text = N_("A {a_old} → {a_new}, D {d_old} → {d_new}: written back")
    bind.append(["say", "mark", said_by("marked", {1: text, 2: text})])
    return layer, bind


def fault(x: float) -> tuple[list[Element], list[Element]]:
    """The words of a fault: what it is, who handles it, its code bit by bit."""
    y = GRID_TOP + 138
    layer: list[Element] = [
        words("fault-title", x, y, "", "label title fault", WIDTH - x),
        words("fault-code", x, y + 19, "", "label", WIDTH - x),
    ]
    bind: list[Element] = [
        ["say", "fault-title", said_by("fault", FAULT_TITLES)],
        ["say", "fault-code", said_by("fault", FAULT_CODES)],
        ["show", "fault-words", "fault", [1, 2, 3, 4, 5, 6]],
        ["ruler", "code", "code", say_by("fault", {1: "PageFaultCode", 3: "EptQualification", 5: "PageFaultCode"})],
    ]
    lines = {1: PF_LINES, 3: EPT_LINES, 5: NPF_LINES}
    for place in range(max(len(found) for found in lines.values())):
        layer.append(words(f"fault{place}", x, y + 38 + 16 * place, "", "small", WIDTH - x))
        for kind, found in lines.items():
            if place < len(found):
                bit, clear, is_set = found[place]
                line = words(f"fault{kind}{place}", x, y + 38 + 16 * place, "", "small", WIDTH - x)
                layer[-1:] = [line, layer[-1]]
                bind.append(["say", f"fault{kind}{place}", said_by(f"c{bit}", {0: clear, 1: is_set})])
                bind.append(["show", f"fault{kind}{place}", "fault", [kind]])
        layer.pop()
    return [group("fault-words", layer)], bind


STOP_SAYS: Final = N_(
    "Reads so far: {reads}. {fault:enum:fault}. Stopped for {row:enum:row}, at {column:enum:column}; code {code:hex}."
)
WRITTEN_SAYS: Final = N_("The entry at SPA {spa:spa} is written: A {a_old} to {a_new}, D {d_old} to {d_new}.")
ALT: Final = {
    "access_begun": N_("GVA {gva:gva}, cut into indexes and offset. No table is read yet."),
    "tlb_missed": N_("No TLB knows GVA {gva:gva}. An empty square of up to {most} reads."),
    "tlb_hit": N_("The {known:enum:known} knows GVA {gva:gva}: SPA {data_spa:spa}. The square stays empty."),
    "stale_entry_used": N_("A stale cached translation gives SPA {data_spa:spa}; the tables say otherwise by now."),
    "structure_cache_hit": N_("The paging-structure cache spares all reads above the {row:enum:row} entry."),
    "nested_cache_hit": N_("The nested cache spares the second-level reads {row:enum:lookup}: SPA {leads:spa}."),
    "second_level_entry_read": N_(
        "Read {number} of up to {most}: {row:enum:lookup}, nested level {column:dec}: "
        "the entry at SPA {spa:spa} is {entry:hex}; it {gives:enum:gives}."
    ),
    "table_entry_read": N_(
        "Read {number} of up to {most}: {row:enum:row}, its own entry: "
        "the entry at SPA {spa:spa} is {entry:hex}; it {gives:enum:gives}."
    ),
    "accessed_set": WRITTEN_SAYS,
    "dirty_set": WRITTEN_SAYS,
    "tlb_filled": N_("The translation is kept by {kept:enum:kept}, as a {large:enum:page_size} page."),
    "translated": N_("{total} reads in all. GVA {gva:gva} is GPA {data_gpa:gpa} is SPA {data_spa:spa}."),
    "tlb_flushed": N_("Cached translations are dropped; no table is read."),
    **dict.fromkeys(FAULTS, STOP_SAYS),
    "general_protection_raised": N_("GVA {gva:gva} is not canonical: #GP to the guest, no table is read."),
    "ept_misconfigured": N_("Reads so far: {reads}. The entry {code:hex} is one that no table may hold: exit."),
    "memory_missing": N_("Reads so far: {reads}. There is no memory at SPA {spa:spa}."),
}


def alt(shape: Shape) -> dict[str, Any]:
    """The picture in words: by the event that tells the frame, and by what was written into the entry with it."""
    said = {name: _(text) for name, text in ALT.items()}
    written = _("A {a_old} to {a_new}, D {d_old} to {d_new}: written to memory.")
    told = {4 * MOMENTS[name]: text for name, text in said.items()}
    if shape.second:
        told[4 * MOMENTS["translated"]] += " " + _("As two separate walks it would be {sequential}.")
    for stage in (1, 2):
        both = ("second_level_entry_read", "table_entry_read")
        told |= {4 * MOMENTS[name] + stage: f"{said[name]} {written}" for name in both}
        told |= {4 * MOMENTS[name] + stage: said[name] for name in ("accessed_set", "dirty_set")}
    return say_by("tale", told)
