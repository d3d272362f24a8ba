"""What local APICs hold, followed row by row: IRR and ISR as squares, the ladder of classes between them.

Everything comes from recorded events: a vector was raised, taken, ended, a task priority was written. What would be
taken next follows from these by the rule of the manual alone: a class above that of TPR and of the highest in service.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from hvlab.language import _
from hvlab.story.frame import Fact
from hvlab.story.hostmap import Drawn
from hvlab.story.picture import Element, Picture, box, faint, group, wire, words
from hvlab.story.steps import Step
from hvlab.trace.journal import Trace

WIDTH: Final = 836
CELL, ROW, SIDE = 20, 16, 16  # width and height of a cell, cells of a side
LEFT, LADDER, RIGHT, TOP = 4, 340, 512, 44
BOTTOM: Final = TOP + SIDE * ROW
MOST_APICS: Final = 3
MOST_LISTED: Final = 12  # vectors that a line has room for
HELD, NEXT = 1, 2  # what a vector in IRR is
RAISED, TAKEN = "vector_raised", frozenset({"vector_delivered", "vector_delivered_and_ended"})
OF_APIC: Final = frozenset({RAISED, "vector_ended", "vector_coalesced", "tpr_written", *TAKEN})
ASSIST: Final = {"assist_offered": 1, "assist_withdrawn": 0, "assist_cleared": 0}
IDLE: Final = 0


@dataclass
class Apic:
    """One virtual processor's local APIC, as the trace tells it."""

    irr: set[int] = field(default_factory=set)
    isr: set[int] = field(default_factory=set)
    tpr: int = 0
    assist: int = 0

    def tell(self, name: str, facts: Mapping[str, int]) -> None:
        """Take in one event."""
        if name == RAISED:
            self.irr.add(facts["vector"])
        elif name in TAKEN:
            self.irr.discard(facts["vector"])
            self.isr |= {facts["vector"]} if name == "vector_delivered" else set()
        elif name == "vector_ended":
            self.isr.discard(facts["vector"])
        elif name == "tpr_written":
            self.tpr = facts["value"]
        elif name == "init_received":
            self.irr, self.isr, self.tpr = set(), set(), 0
        self.assist = ASSIST.get(name, self.assist)

    @property
    def isrv(self) -> int:
        """The highest vector in service; 0 for none."""
        return max(self.isr, default=0)

    @property
    def ppr(self) -> int:
        """The processor priority. Source: SDM vol. 3A, local APIC: interrupt, task and processor priority."""
        return self.tpr if self.tpr >> 4 >= self.isrv >> 4 else self.isrv & 0xF0

    @property
    def open(self) -> list[int]:
        """The waiting vectors whose class is above the processor's priority."""
        return [vector for vector in sorted(self.irr) if vector >> 4 > self.ppr >> 4]


class Sets:
    """Sets of vectors as words, each with a number: a fact holds the number, the story's enumeration the words."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[int, ...], int] = {(): 0}

    def number(self, vectors: Sequence[int] | set[int]) -> int:
        """Return the number of a set."""
        return self.numbers.setdefault(tuple(sorted(vectors)), len(self.numbers))

    def texts(self) -> dict[int, str]:
        """Return the words for each number."""
        return {number: listed(vectors) for vectors, number in self.numbers.items()}


def listed(vectors: Sequence[int]) -> str:
    """Return vectors as text; the middle of a long list is counted."""
    if not vectors:
        return _("none")
    shown = [f"{vector:#x}" for vector in vectors]
    if len(shown) <= MOST_LISTED:
        return ", ".join(shown)
    half = MOST_LISTED // 2 - 1
    between = _("{count} more").format(count=len(shown) - 2 * half)
    return ", ".join([*shown[:half], between, *shown[-half:]])


@dataclass(frozen=True)
class Seen:
    """Which vectors of a virtual processor a story holds, in IRR and in ISR."""

    vp: int
    irr: tuple[int, ...]
    isr: tuple[int, ...]
    assist: bool

    def key(self, name: str) -> str:
        """Return the name of one of its facts."""
        return f"{name}_{self.vp}"


def seen_in(trace: Trace) -> list[Seen]:
    """Return the virtual processors whose APICs a trace is about, in order; at most `MOST_APICS`."""
    irr: dict[int, set[int]] = {}
    isr: dict[int, set[int]] = {}
    count, assisted = Counter[int](), set[int]()
    for row, name in enumerate(trace.kinds()):
        vp = int(trace.rows[row, 2])
        count[vp] += name in OF_APIC
        if name in ASSIST:
            assisted.add(vp)
        if name == RAISED or name in TAKEN:
            irr.setdefault(vp, set()).add(trace.fact(row, "vector"))
        if name in ("vector_delivered", "vector_ended"):
            isr.setdefault(vp, set()).add(trace.fact(row, "vector"))
    most = sorted(vp for vp, times in count.most_common(MOST_APICS) if times)
    return [Seen(vp, tuple(sorted(irr.get(vp, ()))), tuple(sorted(isr.get(vp, ()))), vp in assisted) for vp in most]


def apics(trace: Trace, steps: Sequence[Step], sets: Sets, lps: int) -> list[Drawn]:
    """Return a picture for each local APIC that a trace is about.

    Parameters
    ----------
    sets
        Takes the sets of vectors that the facts name.
    lps
        How many logical processors the strip at the foot shows; 0 for none.
    """
    found = []
    for one in seen_in(trace):
        values = _values(trace, steps, one, sets)
        name = _("APIC of VP {number}").format(number=one.vp)
        title = _("The local APIC of VP {number}: what waits, what is in service, what may come next")
        layer, bind = _ground(one)
        for part in (_bits(one), _pointers(one), _said(one), _strip(one, lps)):
            layer += part[0]
            bind += part[1]
        height = BOTTOM + 96 + (34 if lps else 0)
        picture = Picture(name, title.format(number=one.vp), WIDTH, height, layer, bind, _alt(one))
        found.append(Drawn(picture, _facts(one), values))
    return found


def _facts(one: Seen) -> list[Fact]:
    """The facts of one APIC; those of the state table have a label."""
    told = (
        ("irr", _("VP {number}: IRR"), "enum:vectors"),
        ("isr", _("VP {number}: ISR"), "enum:vectors"),
        ("tpr", _("VP {number}: TPR"), "hex"),
        ("ppr", _("VP {number}: PPR"), "hex"),
        ("next", _("VP {number}: would take now"), "enum:vectors"),
        ("held", _("VP {number}: held back"), "enum:vectors"),
    )
    facts = [Fact(one.key(name), label.format(number=one.vp), kind, True) for name, label, kind in told]
    facts += [Fact(one.key(name)) for name in ("tpr_class", "ppr_class", "isrv_class", "assist", "open")]
    facts += [Fact(one.key(f"r{vector:x}")) for vector in one.irr]
    return facts + [Fact(one.key(f"s{vector:x}")) for vector in one.isr]


def _values(trace: Trace, steps: Sequence[Step], one: Seen, sets: Sets) -> list[dict[str, int]]:
    apic, found = Apic(), []
    for step in steps:
        for row in step.rows:
            if int(trace.rows[row, 2]) == one.vp:
                apic.tell(trace.event(row).name, trace.facts(row))
        found.append({one.key(name): value for name, value in _now(apic, one, sets).items()})
    return found


def _now(apic: Apic, one: Seen, sets: Sets) -> dict[str, int]:
    """The facts of one APIC at one moment."""
    above = apic.open
    following = above[-1:]
    waiting = sorted(apic.irr)
    facts = {
        "irr": sets.number(apic.irr),
        "isr": sets.number(apic.isr),
        "tpr": apic.tpr,
        "ppr": apic.ppr,
        "next": sets.number(following),
        "held": sets.number([vector for vector in waiting if vector not in above]),
        "tpr_class": apic.tpr >> 4,
        "ppr_class": apic.ppr >> 4,
        "isrv_class": apic.isrv >> 4,
        "assist": apic.assist,
        "open": sum(1 << place for place, vector in enumerate(waiting) if vector in above),
    }
    facts |= {f"r{vector:x}": (HELD, NEXT)[vector in following] if vector in apic.irr else 0 for vector in one.irr}
    return facts | {f"s{vector:x}": (vector in apic.isr) + (vector == apic.isrv) for vector in one.isr}


# the drawing ---------------------------------------------------------------------------------------------------------


def _row(vector_class: int) -> int:
    """The top of a class's row; the highest class stands first."""
    return TOP + ROW * (SIDE - 1 - vector_class)


def _ground(one: Seen) -> tuple[list[Element], list[Element]]:
    """The two squares with their heads, the ladder, and the classes that cannot come."""
    layer: list[Element] = [
        words("", LEFT, 18, _("IRR: what waits"), "label title", 300),
        words("", RIGHT, 18, _("ISR: what is in service"), "label title", 300),
        words("", (LADDER + RIGHT - 16) / 2, 18, _("class"), "label title middle", 150),
        box("held", LEFT, TOP, SIDE * CELL, ROW, "hatched"),
    ]
    for left in (LEFT, RIGHT):
        cross = "".join(f"M{left + CELL * k + 4} {_row(0) + 3}l12 10m0 -10l-12 10" for k in range(SIDE))
        layer += [*_grid(left), wire("", cross, "wire"), box("", left, TOP, SIDE * CELL, SIDE * ROW, "")]
        layer += [
            words("", left + CELL * k + CELL / 2, TOP - 5, f"{k:x}", "small code soft middle") for k in range(SIDE)
        ]
    middle = LADDER + 57
    for vector_class in range(SIDE):
        layer.append(words("", middle, _row(vector_class) + 13, f"{vector_class:x}_", "small code middle"))
    fact = one.key("ppr_class")
    bind: list[Element] = [
        ["attr", "held", "y", fact, -ROW, _row(0)],
        ["attr", "held", "height", fact, ROW, 0],
        ["show", "held", fact],
    ]
    return layer, bind


def _grid(left: float) -> list[Element]:
    """The faint lines between the cells of a square."""
    ends = [(left, TOP + ROW * k, left + SIDE * CELL, TOP + ROW * k) for k in range(1, SIDE)]
    ends += [(left + CELL * k, TOP, left + CELL * k, BOTTOM) for k in range(1, SIDE)]
    return [faint(*four) for four in ends]


def _bits(one: Seen) -> tuple[list[Element], list[Element]]:
    """A square for each vector that the story knows, with its number."""
    layer, bind = [], list[Element]()
    for register, left, vectors, tone in (("r", LEFT, one.irr, "signal"), ("s", RIGHT, one.isr, "call")):
        for vector in vectors:
            x, y, fact = left + CELL * (vector & 15), _row(vector >> 4), one.key(f"{register}{vector:x}")
            content = [
                box(f"{fact}c", x, y, CELL, ROW, "cell"),
                words("", x + CELL / 2, y + 13, f"{vector:02x}", "small code middle"),
            ]
            layer.append(group(fact, content, tone))
            bind += [["show", fact, fact], ["lit", fact, fact, [NEXT]], ["changed", fact, fact]]
    return layer, bind


def _pointers(one: Seen) -> tuple[list[Element], list[Element]]:
    """TPR, PPR and the highest in service, each beside the class that it stands at."""
    layer, bind = [], list[Element]()
    for key, text, x, tone in (
        ("ppr", "PPR", LADDER, "signal"),
        ("tpr", "TPR", LADDER + 73, "data"),
        ("isrv", "ISRV", LADDER + 117, "call"),
    ):
        wide = 10 * len(text) + 11
        content = [box("", x, 1, wide, 14, "box"), words("", x + wide / 2, 12, text, "small title middle")]
        layer.append(group(key, content, tone))
        bind.append(["attr", key, "move-y", one.key(f"{key}_class"), -ROW, _row(0)])
    bind.append(["show", "isrv", one.key("isrv_class")])
    return layer, bind


def _said(one: Seen) -> tuple[list[Element], list[Element]]:
    """The same in words, below the squares."""
    y = BOTTOM + 22
    layer = [words("inwords", LEFT, y, "", "label", WIDTH - 8), words("served", LEFT, y + 22, "", "label", 480)]
    layer += [words("priority", LEFT, y + 44, "", "label", WIDTH - 8)]
    layer += [words("counts", LEFT, y + 66, "", "small soft", WIDTH - 8)]
    names = {name: one.key(name) for name in ("irr", "isr", "tpr", "ppr", "next", "held")}
    said = {
        "inwords": _("Waiting: {irr}. Held back: {held}."),
        "served": _("In service: {isr}."),
        "priority": _("Task priority {tpr}, so the processor's priority is {ppr}. Would be taken now: {next}."),
    }
    bind: list[Element] = [["say", id, _renamed(text, names)] for id, text in said.items()]
    counts = _(
        "Raised {raised}, merged {merged}, taken {taken}. EOIs that left the guest {eoi_exits}, saved {eoi_saved}."
    )
    bind.append(["say", "counts", counts])
    if one.assist:
        layer.append(words("assist", WIDTH - 4, y + 22, "", "label end", 340))
        cases = {"1": _("The assist page says: no EOI required.")}
        told = {"fact": one.key("assist"), "cases": cases, "else": _("The assist page says nothing.")}
        bind += [["say", "assist", told], ["lit", "assist", one.key("assist")]]
    return layer, bind


def _renamed(text: str, names: Mapping[str, str]) -> str:
    """Put the facts of one APIC into a sentence."""
    kinds = {"tpr": "hex", "ppr": "hex"}
    for name, fact in names.items():
        text = text.replace(f"{{{name}}}", f"{{{fact}:{kinds.get(name, 'enum:vectors')}}}")
    return text


def _strip(one: Seen, lps: int) -> tuple[list[Element], list[Element]]:
    """Who runs now, on each logical processor."""
    layer, bind = [], list[Element]()
    wide = min(264, (WIDTH - 4) // max(lps, 1))
    for lp in range(lps):
        x, key = LEFT + wide * lp, f"lp{lp}"
        layer += [box(f"{key}b", x, BOTTOM + 98, wide - 8, 24), words(key, x + 8, BOTTOM + 115, "", "label", wide - 24)]
        said = _("Processor {lp}: {who}").replace("{lp}", str(lp)).replace("{who}", f"{{on{lp}:enum:runner}}")
        bind += [["say", key, said], ["lit", f"{key}b", f"on{lp}", [one.vp + 1]]]
    return layer, bind


def _alt(one: Seen) -> str:
    """The picture in words."""
    names = {name: one.key(name) for name in ("irr", "isr", "tpr", "ppr", "next", "held")}
    told = _("IRR: {irr}. ISR: {isr}. TPR {tpr}, PPR {ppr}: deliverable now: {next}; held back: {held}.")
    return _renamed(told, names)
