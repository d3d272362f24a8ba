"""A made-up machine that uses every part of a story: a counter of three digits, base 4, that carries.

One tick adds 1 to the lowest digit. A digit that is full is cleared and carries to the next. The word `Register`
holds the digits and an overflow bit, and the page `Counter page` holds the same as bytes.
"""

from hvlab.story.gate import Gate
from hvlab.story.picture import Picture, box, group, wire, words
from hvlab.story.storyboard import Fact, Frame, Kind, Page, Place, Storyboard

REGISTER = [
    {"name": "low", "lo": 0, "width": 2, "doc": "Digit 0."},
    {"name": "middle", "lo": 2, "width": 2, "doc": "Digit 1."},
    {"name": "high", "lo": 4, "width": 2, "doc": "Digit 2."},
    {"name": "page", "lo": 12, "width": 40, "doc": "Page number of the counter page.", "kind": "page"},
    {"name": "overflow", "lo": 63, "width": 1, "doc": "The counter ran over.", "kind": "enum:yes"},
]
KINDS = [
    Kind(
        "tick_begun",
        "User code asks for tick {number} at {at:gva}.",
        ("number", "at"),
        ("dec", "gva"),
        letter="H",
        rule="Counter manual 1.1: a tick adds 1.",
    ),
    Kind(
        "digit_raised",
        "Digit {digit} goes from {old} to {new}; the counter is {count}.",
        ("digit", "old", "new"),
        ("dec", "dec", "dec"),
        letter="A",
        rule="Counter manual 1.2: a digit counts 0 to 3.",
    ),
    Kind(
        "digit_cleared",
        "Digit {digit} is full: it is cleared and carries.",
        ("digit",),
        ("dec",),
        letter="R",
        rule="Counter manual 1.3",
        left_out="SIMPLER THAN REAL: the carry takes no time.",
    ),
    Kind(
        "overflowed",
        "The highest digit carries: {state:enum:state}, register {register:hex}.",
        ("register",),
        ("hex",),
        letter="!",
        rule="Counter manual 1.4",
    ),
    Kind(
        "tick_done",
        "Tick {number} is done after {writes} writes at SPA {spa:spa}.",
        ("number", "spa"),
        ("dec", "spa"),
        letter="W",
        rule="Counter manual 1.5",
    ),
]
PLACES = [
    Place("user", "User code", "The program that ticks.", "child, user mode", "Counter manual 1"),
    Place("logic", "Counter logic", "Adds and carries.", "hypervisor", "Counter manual 2"),
    Place("memory", "Memory", "Keeps the digits.", "hardware", "Counter manual 3"),
]
FACTS = [
    Fact("count", "Counter", panel=True),
    Fact("writes", "Writes so far", panel=True),
    Fact("register", "Register", "word:Register", panel=True, start=0x1DC4 << 12),
    Fact("state", "State", "enum:state", panel=True),
    Fact("spa", "Counter page", "spa", panel=True, start=0x1DC4000),
    *(Fact(f"digit{k}", f"Digit {k}", panel=True) for k in range(3)),
    *(Fact(f"on{k}", f"Digit {k} in use") for k in range(3)),
]
ENUMS = {"state": {0: "at rest", 1: "counting", 2: "run over"}, "yes": {0: "no", 1: "yes"}}
GATE = Gate(
    "counter.writes",
    6,
    "How many writes do all ticks take?",
    "int",
    "writes",
    wrong=[{"value": 20, "name": "one write a tick", "says": "each carry is a write as well.", "frame": 13}],
    tells="The machine made {value} writes.",
)


def picture() -> Picture:
    """Three digits as boxes, the carry as wires, the number of writes as a bar."""
    layer, bind = [words("head", 20, 34, "Counter at rest", "label title"), box("bar", 20, 300, 1, 14, "box data")], []
    for k in range(3):
        x = 560 - 240 * k
        cell = [box(f"box{k}", x, 90, 160, 90, "box memory"), words(f"text{k}", x + 80, 142, "0", "label code middle")]
        layer += [group(f"digit{k}", cell), words("", x + 80, 82, f"digit {k}", "label soft middle")]
        bind += [
            ["text", f"text{k}", f"digit{k}", "dec"],
            ["lit", f"digit{k}", f"on{k}"],
            ["changed", f"digit{k}", f"digit{k}"],
            ["jump", f"box{k}", k],
        ]
        if k < 2:
            layer.append(wire(f"carry{k}", f"M{x} 135H{x - 80}"))
            bind.append(["class", f"carry{k}", f"digit{k}", {"0": "lit", "*": ""}])
    layer += [words("over", 20, 240, "ran over", "label fault"), words("sum", 20, 340, "0 writes")]
    bind += [
        ["say", "head", {"fact": "state", "cases": {"1": "Counter {state}: {count}"}, "else": "Counter {state}"}],
        ["show", "over", "state", [2]],
        ["attr", "bar", "width", "writes", 8, 1],
        ["say", "sum", "{writes} writes, page {spa:spa}"],
        ["ruler", "register", "register", "Register"],
    ]
    alt = "Digits {digit2}, {digit1}, {digit0}; the counter is {count}; {writes} writes."
    return Picture("Digits", "The digits of the counter", 844, 380, layer, bind, alt)


def ticks(count: int):
    """The frames of so many ticks."""
    digits, writes, total, time = [0, 0, 0], 0, 0, 0
    number = 0

    def facts(state: int, on: int = -1) -> dict[str, int]:
        register = digits[0] | digits[1] << 2 | digits[2] << 4 | 0x1DC4 << 12 | (1 << 63 if state == 2 else 0)
        found = {"count": total, "writes": writes, "register": register, "state": state}
        found |= {f"digit{k}": digits[k] for k in range(3)} | {f"on{k}": int(k == on) for k in range(3)}
        return found

    for tick in range(count):
        begun, time = number, time + 100
        words = {"number": tick, "at": 0x7FFF_1000 + tick}
        yield Frame("tick_begun", words, facts(1), "ask", "user", "logic", actor=0, time=time)
        number, place, cause, over = number + 1, 0, begun, False
        while place < 3 and digits[place] == 3:
            digits[place], writes, time = 0, writes + 1, time + 250
            yield Frame(
                "digit_cleared",
                (place,),
                facts(1, place),
                "carry",
                "logic",
                "memory",
                0,
                cause,
                time,
                [("Counter page", place * 4, bytes(4))],
            )
            cause, number, place = number, number + 1, place + 1
        if place < 3:
            old, digits[place], writes, time = digits[place], digits[place] + 1, writes + 1, time + 250
            total += 1
            yield Frame(
                "digit_raised",
                (place, old, old + 1),
                facts(1, place),
                "add",
                "logic",
                "memory",
                0,
                cause,
                time,
                [("Counter page", place * 4, digits[place].to_bytes(4, "little"))],
            )
        else:
            total, over = 0, True
            yield Frame("overflowed", (facts(2)["register"],), facts(2), "carry", "logic", "user", 0, cause, time)
        cause, number = number, number + 1
        text = f"tick {tick}".encode().ljust(16, b"\0")
        yield Frame(
            "tick_done",
            {"number": tick, "spa": 0x1DC4000},
            facts(2 if over else 0),
            "answer",
            "logic",
            "user",
            0,
            cause,
            time + 50,
            [("Counter page", 16, text)],
        )
        number += 1


def counter(count: int = 20, gates=(GATE,), **more) -> Storyboard:
    """The story of so many ticks."""
    fields = [(f"digit{k}", 4 * k, 4, f"Digit {k}.", "dec") for k in range(3)] + [
        ("note", 16, 16, "Last tick.", "text")
    ]
    return Storyboard.from_frames(
        **{
            "title": "A counter that carries",
            "frames": ticks(count),
            "kinds": KINDS,
            "facts": FACTS,
            "pictures": [picture()],
            "gates": list(gates),
            "places": PLACES,
            "words": {"Register": REGISTER},
            "pages": [Page("Counter page", 0x1DC4000, 64, fields=fields)],
            "enums": ENUMS,
            "about": "Three digits, base 4; a full digit is cleared and carries.",
            "token": "counter-20",
        }
        | more
    )
