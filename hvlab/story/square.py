"""The square walk as a picture: strips of the split addresses above, the grid of reads, the current entry beside it."""

from collections.abc import Mapping
from typing import Final

from hvlab.language import N_, _
from hvlab.story.beside import GRID_TOP, alt, detail, fault, said_by
from hvlab.story.cells import FAULT, FROM_TLB, NESTED, NOT_NEEDED, READ, STRUCTURE, Shape
from hvlab.story.picture import Element, Picture, box, group, wire, words
from hvlab.trace.journal import Trace

WIDTH: Final = 844
LEFT, HEAD, CELL = 6, 64, 90  # margin, where cells begin, how wide a cell is
BESIDE: Final = 260  # the height of the words of a fault, beside the grid
LONGEST_SPA: Final = 1 << 32  # longer addresses do not fit into a cell: the index stands there
NOWHERE: Final = 15
EPT_LEVEL, NESTED_LEVEL = N_("EPT {level}"), N_("nested {level}")


def _granted(bits: int, names: tuple[str, ...]) -> str:
    """Rights in words, from their bits."""
    return ", ".join(_(name) for place, name in enumerate(names) if bits >> place & 1) or _("nothing")


def _levels(zero: str, told: str, nowhere: str) -> dict[int, str]:
    """The words of a level: 0, 1 to 5, and none."""
    return {0: _(zero), **{k: _(told).format(level=k) for k in range(1, 6)}, NOWHERE: _(nowhere)}


WORDS: Final[dict[str, dict[int, str]]] = {
    "yes": {0: N_("no"), 1: N_("yes")},
    "fault": {
        0: N_("none"),
        1: N_("#PF, to the guest"),
        2: N_("#GP, to the guest"),
        3: N_("EPT violation, to the hypervisor"),
        4: N_("EPT misconfiguration, to the hypervisor"),
        5: N_("nested page fault, to the hypervisor"),
        6: N_("no memory there"),
    },
    "known": {0: "", 1: "L1 TLB", 2: "L2 TLB", 3: N_("paging-structure cache"), 4: N_("nested cache")},
    "gives": {
        0: N_("is not present: the walk cannot go on"),
        1: N_("leads to the next nested table"),
        2: N_("gives the page of the guest's table"),
        3: N_("gives the page of the data"),
        4: N_("names the guest's next table"),
        5: N_("names the data page"),
    },
    "kept": {0: N_("no TLB"), 1: N_("the L1 TLB"), 2: N_("the L2 TLB"), 3: N_("both TLBs")},
    "marked": {0: N_("nothing"), 1: N_("the guest's entry"), 2: N_("the second-level entry")},
}


def enums() -> dict[str, dict[int, str]]:
    """The story's own words, in the learner's language."""
    return {
        "row": _levels(N_("the data"), N_("guest level {level}"), N_("none")),
        "column": _levels(N_("the guest's own entry"), N_("nested level {level}"), N_("none")),
        "lookup": _levels(N_("for the data page"), N_("for the guest's level-{level} table"), ""),
        "guest_rights": {k: _granted(k, (N_("write"), N_("user"), N_("fetch"))) for k in range(8)},
        "nested_rights": {k: _granted(k, (N_("read"), N_("write"), N_("fetch"))) for k in range(8)},
        **{name: {value: _(text) for value, text in words.items()} for name, words in WORDS.items()},
    }


def square(trace: Trace, shape: Shape, jumps: Mapping[tuple[int, int], int]) -> Picture:
    """Return the picture of a walk of this shape; `jumps` says which frame a cell leads to."""
    far = max((trace.fact(row, "spa") for row in trace.of("second_level_entry_read", "table_entry_read")), default=0)
    right = max(HEAD + CELL * (shape.second + 1), 300) + 13
    layer, bind = [], []
    for part in (
        _grid(shape, 0 <= far < LONGEST_SPA, jumps),
        _strip("i", "gva", 2, shape.guest, _("guest {level}")),
        _strip("j", "gpa", 54, shape.second, _(NESTED_LEVEL if shape.name == "nested" else EPT_LEVEL)),
        detail(shape, right),
        fault(right),
        _legend(shape),
    ):
        layer += part[0]
        bind += part[1]
    height = foot(shape) + 48
    title = _("The square of reads: {guest} guest levels by {second} second levels")
    title = (title if shape.second else _("The reads of a walk of {guest} levels")).format(
        guest=shape.guest, second=shape.second
    )
    return Picture(_("Square"), title, WIDTH, max(height, 420), layer, bind, alt(shape))


def tall(shape: Shape) -> int:
    """Return how tall a cell is: six rows still fill a screen at a scale that the last row of a room can read."""
    return 46 if shape.guest < 5 else 41


def foot(shape: Shape) -> int:
    """Return where the grid ends; without a second level it is narrow, and what is beside it is taller."""
    return GRID_TOP + (tall(shape) * (shape.guest + 1) if shape.second else BESIDE)


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
        label = name.format(level=level) if level else _("offset")
        layer += [
            words("", x + step / 2 - 3, top + 10, label, "small soft middle", step - 6),
            box(f"{key}box", x, top + 15, step - 6, 24, "cell"),
            words(f"{key}text", x + step / 2 - 3, top + 32, "", "label code middle"),
        ]
        bind.append(["say", f"{key}text", f"{{{key}:hex}} · {{{key}}}" if level else f"{{{key}:hex}}"])
        layer.append(box(f"{key}use", x, top + 42, step - 6, 3, "solid memory"))
        bind += [["show", f"{key}use", used, [level]], ["lit", f"{key}box", used, [level]]]
        if letter == "i" and level:  # below a large leaf these bits belong to the offset
            bind.append(["class", f"{key}box", f"s{level}0", {str(NOT_NEEDED): "ghost"}])
    if letter == "i":
        return layer, bind
    layer.append(words("lookup", 44, top + 12, "", "small soft", left - 50))
    bind += [["say", "lookup", "{row:enum:lookup}"], ["show", "strip-gpa", "has_gpa"]]
    return [group("strip-gpa", layer)], bind


def _grid(shape: Shape, short: bool, jumps: Mapping[tuple[int, int], int]) -> tuple[list[Element], list[Element]]:
    """The cells, with the titles of rows and columns; hidden until the first step."""
    layer: list[Element] = []
    bind: list[Element] = [
        ["show", "grid", "shown"],
        ["show", "closed", "shown", [0]],
        ["say", "closed-begun", _("One access: {access:enum:access}")],
        ["say", "closed-tables", _("CR3 {cr3:hex} names the guest's top table, by a guest physical address.")],
        ["say", "closed-below", _("Second level: {second:enum:second_level}")],
        ["say", "closed-next", _("The next step begins the walk.")],
    ]
    for row, column in shape.cells():
        x, y = HEAD + CELL * (shape.second - column), GRID_TOP + tall(shape) * (shape.guest - row)
        found = _cell(row, column, (x, y, tall(shape)), short)
        layer += found[0]
        bind += found[1]
        if (row, column) in jumps:
            bind.append(["jump", f"at{row}{column}", jumps[row, column]])
    for column in range(shape.second, -1, -1):
        middle = HEAD + CELL * (shape.second - column) + CELL / 2
        name = _(NESTED_LEVEL if shape.name == "nested" else EPT_LEVEL).format(level=column)
        label = name if column else _("guest entry")
        layer.append(words("", middle, GRID_TOP - 8, label, "small soft middle", CELL - 6))
    for row in range(shape.guest, -1, -1):
        y = GRID_TOP + tall(shape) * (shape.guest - row)
        label = _("guest {level}").format(level=row) if row else _("data")
        layer.append(words(f"head{row}", LEFT, y + 28, label, "label", HEAD - LEFT - 4))
        bind.append(["lit", f"head{row}", "row", [row]])
    stop = "M-7 -17H7L17 -7V7L7 17H-7L-17 7V-7Z"
    cross = wire("", "M-6 -6L6 6M6 -6L-6 6", "wire fault")
    layer.append(group("stop", [["path", "", "box fault", {"d": stop}, ""], cross]))
    far = HEAD + CELL / 2
    bind += [
        ["show", "stop", "here_fault"],
        ["lit", "stop", "here_fault"],
        ["attr", "stop", "move-x", "fault_column", CELL, far],
        ["attr", "stop", "move-y", "fault_row", tall(shape), GRID_TOP + tall(shape) / 2],
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


def _cell(row: int, column: int, place: tuple[int, int, int], short: bool) -> tuple[list[Element], list[Element]]:
    """One cell: its number, and its address or how it was got without a read."""
    (x, y, high), key, state = place, f"{row}{column}", f"s{row}{column}"
    middle = x + CELL / 2
    layer = [
        box(f"cell{key}", x + 1, y + 1, CELL - 2, high - 2, "cell"),
        wire(
            f"cross{key}",
            f"M{x + 1} {y + 1}l{CELL - 2} {high - 2}M{x + CELL - 1} {y + 1}l{2 - CELL} {high - 2}",
        ),
        box(f"chip{key}", x + 8, y + 5, CELL - 16, high - 10, "cell"),
        words(f"number{key}", middle, y + high // 2 - 3, "", "label title middle", CELL - 18),
        words(f"how{key}", middle, y + high // 2 + 14, "", "small code middle", CELL - 18),
    ]
    address = f"{{a{key}:spa}}" if short else N_("read")
    how = {READ: address, STRUCTURE: N_("structure"), NESTED: N_("nested"), FROM_TLB: "TLB"}
    number = {READ: f"{{k{key}}}", **dict.fromkeys((STRUCTURE, NESTED, FROM_TLB), N_("cached"))}
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
        ["say", f"number{key}", said_by(state, number)],
        ["say", f"how{key}", said_by(state, how)],
    ]
    return [group(f"at{key}", layer)], bind


def _legend(shape: Shape) -> tuple[list[Element], list[Element]]:
    """What the cells mean."""
    y = foot(shape) + 16
    layer: list[Element] = []
    rows = (
        ("cell memory lit", N_("this read"), 0, 100),
        ("cell memory", N_("read"), 100, 172),
        ("cell hatched", N_("served by a cache"), 172, 318),
        ("cell ghost", N_("not needed: large page"), 318, 500),
    )
    for classes, text, left, end in rows:
        x = LEFT + left
        label = words("", x + 24, y + 12, _(text), "small soft", end - left - 30)
        layer += [box("", x, y, 18, 14, classes), label]
    layer.append(wire("", f"M{x} {y}l18 14M{x + 18} {y}l-18 14"))
    return [group("legend", layer)], [["show", "legend", "shown"]]
