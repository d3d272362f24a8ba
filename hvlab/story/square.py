"""The square walk as a picture: strips of the split addresses above, the grid of reads, the current entry beside it."""

from collections.abc import Mapping
from typing import Any, Final

from hvlab.story.cells import CODE_BITS, FAULT, FAULTS, FROM_TLB, MOMENTS, NESTED, NOT_NEEDED, READ, STRUCTURE, Shape
from hvlab.story.picture import Element, Picture, box, group, wire, words
from hvlab.trace.journal import Trace

WIDTH: Final = 844
LEFT, HEAD, CELL, CELL_HEIGHT, GRID_TOP = 6, 64, 90, 46, 134  # margin, where cells begin, a cell, the first row
LONGEST_SPA: Final = 1 << 32  # longer addresses do not fit into a cell: the index stands there
NOWHERE: Final = 15


def _granted(bits: int, names: tuple[str, ...]) -> str:
    """Rights in words, from their bits."""
    return ", ".join(name for place, name in enumerate(names) if bits >> place & 1) or "nothing"


ENUMS: Final = {
    "row": {0: "the data", **{k: f"guest level {k}" for k in range(1, 6)}, NOWHERE: "none"},
    "column": {0: "the guest's own entry", **{k: f"nested level {k}" for k in range(1, 6)}, NOWHERE: "none"},
    "yes": {0: "no", 1: "yes"},
    "fault": {
        0: "none",
        1: "#PF, to the guest",
        2: "#GP, to the guest",
        3: "EPT violation, to the hypervisor",
        4: "EPT misconfiguration, to the hypervisor",
        5: "nested page fault, to the hypervisor",
        6: "no memory there",
    },
    "known": {0: "", 1: "L1 TLB", 2: "L2 TLB", 3: "paging-structure cache", 4: "nested cache"},
    "lookup": {0: "for the data page", **{k: f"for the guest's level-{k} table" for k in range(1, 6)}, NOWHERE: ""},
    "gives": {
        0: "is not present: the walk cannot go on",
        1: "leads to the next nested table",
        2: "gives the page of the guest's table",
        3: "gives the page of the data",
        4: "names the guest's next table",
        5: "names the data page",
    },
    "kept": {0: "no TLB", 1: "the L1 TLB", 2: "the L2 TLB", 3: "both TLBs"},
    "marked": {0: "nothing", 1: "the guest's entry", 2: "the second-level entry"},
    "guest_rights": {k: _granted(k, ("write", "user", "fetch")) for k in range(8)},
    "nested_rights": {k: _granted(k, ("read", "write", "fetch")) for k in range(8)},
}
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


def square(trace: Trace, shape: Shape, jumps: Mapping[tuple[int, int], int]) -> Picture:
    """Return the picture of a walk of this shape; `jumps` says which frame a cell leads to."""
    far = max((trace.fact(row, "spa") for row in trace.of("second_level_entry_read", "table_entry_read")), default=0)
    right = max(HEAD + CELL * (shape.second + 1), 300) + 13
    layer, bind = [], []
    for part in (
        _strip("i", "gva", 4, shape.guest, "guest {}"),
        _strip("j", "gpa", 58, shape.second, shape.name + " {}"),
        _grid(shape, 0 <= far < LONGEST_SPA, jumps),
        _detail(right),
        _fault(right),
        _legend(shape),
    ):
        layer += part[0]
        bind += part[1]
    height = GRID_TOP + CELL_HEIGHT * (shape.guest + 1) + 62
    title = f"The square of reads: {shape.guest} guest levels by {shape.second} second levels"
    return Picture("Square", title, WIDTH, max(height, 420), layer, bind, _alt())


def _say(fact: str, cases: Mapping[Any, str], other: str = "") -> dict[str, Any]:
    return {"fact": fact, "cases": {str(key): text for key, text in cases.items()}, "else": other}


def _strip(letter: str, kind: str, top: int, levels: int, name: str) -> tuple[list[Element], list[Element]]:
    """One address and its indexes; the part in use is underlined."""
    if levels == 0 and letter == "j":
        return [], []
    step, left = (104, 220) if levels > 4 else (120, 240)
    layer = [
        words("", LEFT, top + 30, kind.upper(), "label title"),
        words(f"{letter}whole", 44, top + 30, "", "label code"),
    ]
    bind: list[Element] = [["text", f"{letter}whole", kind, kind]]
    used = "row" if letter == "i" else "column"
    for place, level in enumerate(range(levels, -1, -1)):
        x, key = left + step * place, f"{letter}{level}"
        label = name.format(level) if level else "offset"
        layer += [
            words("", x + step / 2 - 3, top + 10, label, "small soft middle"),
            box(f"{key}box", x, top + 15, step - 6, 24, "cell"),
            words(f"{key}text", x + step / 2 - 3, top + 32, "", "label code middle"),
        ]
        bind.append(["say", f"{key}text", f"{{{key}:hex}} · {{{key}}}" if level else f"{{{key}:hex}}"])
        layer.append(wire(f"{key}use", f"M{x} {top + 43}h{step - 6}", "wire memory lit"))
        bind += [["show", f"{key}use", used, [level]], ["lit", f"{key}box", used, [level]]]
    if letter == "i":
        return layer, bind
    layer.append(words("lookup", 44, top + 12, "", "small soft"))
    bind += [["say", "lookup", "{row:enum:lookup}"], ["show", "strip-gpa", "has_gpa"]]
    return [group("strip-gpa", layer)], bind


def _grid(shape: Shape, short: bool, jumps: Mapping[tuple[int, int], int]) -> tuple[list[Element], list[Element]]:
    """The cells, with the titles of rows and columns; hidden until the first step."""
    layer: list[Element] = []
    bind: list[Element] = [
        ["show", "grid", "shown"],
        ["show", "closed", "shown", [0]],
        ["say", "closed-begun", "One access: {access:enum:access}"],
        ["say", "closed-tables", "CR3 {cr3:hex} names the guest's top table, by a guest physical address."],
        ["say", "closed-below", "Second level: {second:enum:second_level}"],
        ["say", "closed-next", "The next step begins the walk."],
    ]
    for column in range(shape.second, -1, -1):
        x = HEAD + CELL * (shape.second - column) + CELL / 2
        layer.append(
            words("", x, GRID_TOP - 8, f"{shape.name} {column}" if column else "guest entry", "small soft middle")
        )
    for row in range(shape.guest, -1, -1):
        y = GRID_TOP + CELL_HEIGHT * (shape.guest - row)
        layer.append(words(f"head{row}", LEFT, y + 28, f"guest {row}" if row else "data", "label"))
        bind.append(["lit", f"head{row}", "row", [row]])
    for row, column in shape.cells():
        x, y = HEAD + CELL * (shape.second - column), GRID_TOP + CELL_HEIGHT * (shape.guest - row)
        found = _cell(row, column, x, y, short)
        layer += found[0]
        bind += found[1]
        if (row, column) in jumps:
            bind.append(["jump", f"cell{row}{column}", jumps[row, column]])
    stop = "M-7 -17H7L17 -7V7L7 17H-7L-17 7V-7Z"
    cross = wire("", "M-6 -6L6 6M6 -6L-6 6", "wire fault lit")
    layer.append(group("stop", [["path", "", "box fault lit", {"d": stop}, ""], cross]))
    far = HEAD + CELL / 2
    bind += [
        ["show", "stop", "here_fault"],
        ["attr", "stop", "move-x", "fault_column", CELL, far],
        ["attr", "stop", "move-y", "fault_row", CELL_HEIGHT, GRID_TOP + CELL_HEIGHT / 2],
    ]
    return [group("grid", layer), group("closed", _closed())], bind


def _closed() -> list[Element]:
    """What stands where the square will be: nothing that tells how many reads there are."""
    lines = (
        ("begun", "label title"),
        ("tables", "label"),
        ("below", "label"),
        ("next", "label soft"),
    )
    return [
        words(f"closed-{name}", LEFT, GRID_TOP + 26 * place, "", classes) for place, (name, classes) in enumerate(lines)
    ]


def _cell(row: int, column: int, x: float, y: float, short: bool) -> tuple[list[Element], list[Element]]:
    """One cell: its number, and its address or how it was got without a read."""
    key, state = f"{row}{column}", f"s{row}{column}"
    middle = x + CELL / 2
    layer = [
        box(f"cell{key}", x + 1, y + 1, CELL - 2, CELL_HEIGHT - 2, "cell"),
        wire(
            f"cross{key}",
            f"M{x + 1} {y + 1}l{CELL - 2} {CELL_HEIGHT - 2}M{x + CELL - 1} {y + 1}l{2 - CELL} {CELL_HEIGHT - 2}",
        ),
        box(f"chip{key}", x + 8, y + 5, CELL - 16, CELL_HEIGHT - 10, "cell"),
        words(f"number{key}", middle, y + 20, "", "label title middle"),
        words(f"how{key}", middle, y + 37, "", "small code middle"),
    ]
    address = f"{{a{key}:spa}}" if short else "read"
    how = {READ: address, STRUCTURE: "structure", NESTED: "nested", FROM_TLB: "TLB"}
    number = {READ: f"{{k{key}}}", STRUCTURE: "cached", NESTED: "cached", FROM_TLB: "cached"}
    tones = {
        READ: "memory",
        STRUCTURE: "hatched",
        NESTED: "hatched",
        FROM_TLB: "hatched",
        NOT_NEEDED: "ghost",
        FAULT: "fault",
    }
    bind: list[Element] = [
        ["class", f"cell{key}", state, {str(value): tone for value, tone in tones.items()}],
        ["lit", f"cell{key}", "here", [8 * row + column + 1]],
        ["show", f"cross{key}", state, [NOT_NEEDED]],
        ["show", f"chip{key}", state, [STRUCTURE, NESTED, FROM_TLB]],
        ["say", f"number{key}", _say(state, number)],
        ["say", f"how{key}", _say(state, how)],
    ]
    return layer, bind


def _flags(prefix: str, flags: tuple[tuple[str, int], ...], x: float, y: float) -> tuple[list[Element], list[Element]]:
    """The bits of the entry that matter to a walk: a thick square is a 1."""
    layer, bind = [], []
    for place, (letter, bit) in enumerate(flags):
        at, key = x + 28 * place, f"{prefix}{bit}"
        layer += [box(key, at, y, 25, 24, "cell memory"), words(f"{key}t", at + 12.5, y + 17, letter, "small middle")]
        bind += [["lit", key, f"e{bit}"], ["lit", f"{key}t", f"e{bit}"]]
    return layer, bind


def _detail(x: float) -> tuple[list[Element], list[Element]]:
    """Beside the grid: what this frame reads, what the entry says, who may do what, A and D, the count."""
    top = GRID_TOP
    faults = {MOMENTS[name]: name for name in FAULTS}
    counter = dict.fromkeys(faults, "Stopped after {reads} reads")
    counter |= {MOMENTS["translated"]: "{total} reads in all", MOMENTS["tlb_hit"]: "No read at all"}
    nested, guest = MOMENTS["second_level_entry_read"], MOMENTS["table_entry_read"]
    cached = {MOMENTS["structure_cache_hit"], MOMENTS["nested_cache_hit"], MOMENTS["tlb_hit"]}
    marked = MOMENTS["accessed_set"], MOMENTS["dirty_set"]
    entry = {moment: "entry {index} at SPA {spa:spa}" for moment in (nested, guest, *marked)}
    entry |= dict.fromkeys(faults, "entry {index} at SPA {spa:spa}")
    entry[MOMENTS["general_protection_raised"]] = "no table is read"
    result = {MOMENTS[name]: "SPA {data_spa:spa}" for name in ("tlb_hit", "stale_entry_used", "tlb_filled")}
    result |= {MOMENTS[name]: "SPA {leads:spa}" for name in ("structure_cache_hit", "nested_cache_hit")}
    result[MOMENTS["translated"]] = "GPA {data_gpa:gpa}"
    whose = {nested: "{row:enum:row}, {column:enum:column}", guest: "{row:enum:row}: its own entry"}
    whose |= {moment: "{known:enum:known}" for moment in cached}
    whose |= {
        MOMENTS["translated"]: "the data page: {large:enum:page_size}",
        MOMENTS["stale_entry_used"]: "the tables say otherwise by now",
    }
    whose |= {
        MOMENTS["tlb_filled"]: "kept by {kept:enum:kept}",
        MOMENTS["tlb_missed"]: "no TLB answers: the walk begins",
    }
    whose |= dict.fromkeys(faults, "{row:enum:row}, {column:enum:column}")
    whose[MOMENTS["general_protection_raised"]] = "the address is not canonical"
    whose |= dict.fromkeys(marked, "the entry is written back")
    layer = [
        words("counter", x, top - 8, "", "label title"),
        words("whose", x, top + 14, "", "label"),
        words("where", x, top + 34, "", "label"),
        words("word", x, top + 56, "", "label code"),
        words("gives", x, top + 112, "", "label soft"),
        words("leads", x, top + 132, "", "label code"),
    ]
    guest_flags, nested_flags = _flags("g", GUEST_FLAGS, x, top + 68), _flags("n", EPT_FLAGS, x, top + 68)
    layer += [group("guest-flags", guest_flags[0]), group("nested-flags", nested_flags[0])]
    leads = {
        1: "SPA {leads:spa}",
        2: "SPA {leads:spa}",
        3: "SPA {leads:spa}",
        4: "GPA {leads:gpa}",
        5: "GPA {leads:gpa}",
    }
    bind: list[Element] = [
        ["say", "counter", _say("moment", counter, "Read {number} of up to {most}")],
        ["say", "whose", _say("moment", whose)],
        ["say", "where", _say("moment", entry | result)],
        ["say", "word", _say("which", {1: "{entry:hex}", 2: "{entry:hex}", 3: "{entry:hex}", 4: "SPA {data_spa:spa}"})],
        ["say", "gives", _say("which", {1: "{gives:enum:gives}", 2: "{gives:enum:gives}", 3: "{gives:enum:gives}"})],
        ["show", "guest-flags", "which", [1, 3]],
        ["show", "nested-flags", "which", [2]],
        ["ruler", "entry", "entry", _say("which", {1: "PageTableEntry", 2: "EptEntry", 3: "PageTableEntry"})],
    ]
    bind.append(["say", "leads", _say("onward", leads)])
    more = _rights(x, top + 152)
    shown = group("detail", layer + [group("rights", more[0])])
    return [shown], [
        *bind,
        *guest_flags[1],
        *nested_flags[1],
        *more[1],
        ["show", "detail", "shown"],
        ["show", "rights", "fault", [0]],
    ]


def _rights(x: float, y: float) -> tuple[list[Element], list[Element]]:
    """Who may read, write and execute by the entries read so far; and what was written into the entry."""
    layer = [words("", x, y + 8, "Granted by the entries so far", "small soft")]
    bind: list[Element] = []
    rows = (
        ("guest tables", (("write", "guest_w"), ("user", "guest_u"), ("fetch", "guest_x"))),
        ("second level", (("read", "nested_r"), ("write", "nested_w"), ("fetch", "nested_x"))),
    )
    for line, (name, rights) in enumerate(rows):
        top = y + 16 + 30 * line
        layer.append(words("", x, top + 17, name, "small"))
        for place, (right, fact) in enumerate(rights):
            at = x + 80 + 49 * place
            layer += [box(fact, at, top, 45, 24, "cell"), words(f"{fact}t", at + 22.5, top + 17, right, "small middle")]
            bind += [["class", fact, fact, {"0": "ghost", "1": "data"}], ["lit", fact, fact]]
            bind.append(["class", f"{fact}t", fact, {"0": "soft"}])
    layer.append(words("mark", x, y + 100, "", "label"))
    text = "A {a_old} → {a_new}, D {d_old} → {d_new}: written back"
    bind.append(["say", "mark", _say("marked", {1: text, 2: text})])
    return layer, bind


def _fault(x: float) -> tuple[list[Element], list[Element]]:
    """The words of a fault: what it is, who handles it, its code bit by bit."""
    y = GRID_TOP + 138
    layer: list[Element] = [
        words("fault-title", x, y, "", "label title fault"),
        words("fault-code", x, y + 19, "", "label"),
    ]
    bind: list[Element] = [
        ["say", "fault-title", _say("fault", FAULT_TITLES)],
        [
            "say",
            "fault-code",
            _say(
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
        ["ruler", "code", "code", _say("fault", {1: "PageFaultCode", 3: "EptQualification", 5: "PageFaultCode"})],
    ]
    lines = {1: PF_LINES, 3: EPT_LINES, 5: NPF_LINES}
    for place in range(max(len(found) for found in lines.values())):
        layer.append(words(f"fault{place}", x, y + 38 + 16 * place, "", "small"))
        for kind, found in lines.items():
            if place < len(found):
                bit, clear, is_set = found[place]
                layer[-1:] = [words(f"fault{kind}{place}", x, y + 38 + 16 * place, "", "small"), layer[-1]]
                bind.append(["say", f"fault{kind}{place}", _say(f"c{bit}", {0: clear, 1: is_set})])
                bind.append(["show", f"fault{kind}{place}", "fault", [kind]])
        layer.pop()
    assert all(line[0] in CODE_BITS for found in lines.values() for line in found)
    return [group("fault-words", layer)], bind


def _legend(shape: Shape) -> tuple[list[Element], list[Element]]:
    """What the cells mean."""
    y = GRID_TOP + CELL_HEIGHT * (shape.guest + 1) + 16
    layer: list[Element] = []
    rows = (
        ("cell memory lit", "this read", 0),
        ("cell memory", "read", 100),
        ("cell hatched", "served by a cache", 172),
        ("cell ghost", "not needed: large page", 318),
    )
    for classes, text, left in rows:
        x = LEFT + left
        layer += [box("", x, y, 18, 14, classes), words("", x + 24, y + 12, text, "small soft")]
    layer.append(wire("", f"M{x} {y}l18 14M{x + 18} {y}l-18 14"))
    return [group("legend", layer)], [["show", "legend", "shown"]]


def _alt() -> dict[str, Any]:
    """The picture in words."""
    nested, guest = MOMENTS["second_level_entry_read"], MOMENTS["table_entry_read"]
    read = "the entry at SPA {spa:spa} is {entry:hex}; it {gives:enum:gives}."
    cases = {
        MOMENTS["access_begun"]: "GVA {gva:gva}, cut into indexes and offset. No table is read yet.",
        MOMENTS["tlb_missed"]: "No TLB knows GVA {gva:gva}. An empty square of up to {most} reads.",
        MOMENTS["tlb_hit"]: "The {known:enum:known} knows GVA {gva:gva}: SPA {data_spa:spa}. The square stays empty.",
        MOMENTS[
            "stale_entry_used"
        ]: "A stale cached translation gives SPA {data_spa:spa}; the tables say otherwise by now.",
        MOMENTS["structure_cache_hit"]: "The paging-structure cache spares all reads above the {row:enum:row} entry.",
        MOMENTS[
            "nested_cache_hit"
        ]: "The nested cache spares the second-level reads {row:enum:lookup}: SPA {leads:spa}.",
        nested: "Read {number} of up to {most}: {row:enum:lookup}, nested level {column:dec}: " + read,
        guest: "Read {number} of up to {most}: {row:enum:row}, its own entry: " + read,
        MOMENTS["tlb_filled"]: "The translation is kept by {kept:enum:kept}, as a {large:enum:page_size} page.",
        MOMENTS["translated"]: "{total} reads in all. GVA {gva:gva} is GPA {data_gpa:gpa} is SPA {data_spa:spa}.",
        MOMENTS["tlb_flushed"]: "Cached translations are dropped; no table is read.",
    }
    written = " A {a_old} to {a_new}, D {d_old} to {d_new}: written to memory."
    for name in ("accessed_set", "dirty_set"):
        cases[MOMENTS[name]] = "The entry at SPA {spa:spa} is written: A {a_old} to {a_new}, D {d_old} to {d_new}."
    stop = (
        "Reads so far: {reads}. {fault:enum:fault}. "
        "Stopped for {row:enum:row}, at {column:enum:column}; code {code:hex}."
    )
    cases |= {MOMENTS[name]: stop for name in ("page_fault_raised", "ept_violation_raised", "nested_page_fault_raised")}
    cases[MOMENTS["general_protection_raised"]] = "GVA {gva:gva} is not canonical: #GP to the guest, no table is read."
    cases[MOMENTS["ept_misconfigured"]] = (
        "Reads so far: {reads}. The entry {code:hex} is one that no table may hold: exit."
    )
    cases[MOMENTS["memory_missing"]] = "Reads so far: {reads}. There is no memory at SPA {spa:spa}."
    told = {4 * moment: text for moment, text in cases.items()}
    for stage in (1, 2):
        told |= {4 * moment + stage: cases[moment] + written for moment in (nested, guest)}
        told |= {4 * MOMENTS[name] + stage: cases[MOMENTS[name]] for name in ("accessed_set", "dirty_set")}
    return _say("tale", told)
