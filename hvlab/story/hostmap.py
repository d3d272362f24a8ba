"""The map of a Hyper-V host: every box of the well-known diagram, and the wires that a story uses.

A wire is shown only if some step of the story travels on it; a token says by shape and letter what travels, and a
number beside it in which order, where one step travels more than once.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from hvlab.language import N_, _
from hvlab.story.frame import LETTERS, Fact
from hvlab.story.host import (
    BOX_HEIGHT,
    BOXES,
    BUS,
    COLUMNS,
    HARDWARE,
    HEIGHT,
    HYPERVISOR,
    KERNEL,
    ROWS,
    USER,
    WIDTH,
    along_the_bus,
    routes,
)
from hvlab.story.picture import Element, Picture, box, group, wire, words
from hvlab.story.steps import Move, Step

SHAPES: Final = {  # around (0, 0), 20 px
    "H": "M0 -9A9 9 0 1 1 -.01 -9Z",
    "X": "M-9 -8H3L9 0L3 8H-9L-4 0Z",
    "I": "M-8 -8H8V8H-8Z",
    "F": "M0 -9L9 8H-9Z",
    "M": "M-11 -7H11V7H-11Z",
    "V": "M0 -10L10 0L0 10L-10 0Z",
    "R": "M-5 -9H5L9.5 0L5 9H-5L-9.5 0Z",
    "A": "M0 -8A8 8 0 1 1 -.01 -8Z",
    "D": "M-5 -7H10L5 7H-10Z",
    "W": "M-5 -7H5A7 7 0 0 1 5 7H-5A7 7 0 0 1 -5 -7Z",
    "!": "M-4 -9H4L9 -4V4L4 9H-4L-9 4V-4Z",
}
NAMES: Final = {
    "H": N_("hypercall"),
    "X": N_("exit"),
    "M": N_("message"),
    "A": N_("memory access"),
    "W": N_("management"),
    "!": N_("fault"),
    "I": N_("interrupt"),
    "F": N_("event flag"),
    "V": N_("channel message"),
    "R": N_("ring packet"),
}
BUSES: Final = ("windows", "linux")
MOST_LIT: Final = 7
APART: Final = 24
MOST_NAME: Final = 8  # letters of a child's name over its column


@dataclass(frozen=True)
class Drawn:
    """A picture with the facts that it reads, and their values at each step."""

    picture: Picture
    facts: list[Fact]
    values: list[dict[str, int]]


@cache
def roads() -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Return the ways on which tokens travel: the wires, and the line of the channels."""
    channels = {("root.VMBus", f"{guest}.VMBus"): along_the_bus("root.VMBus", f"{guest}.VMBus") for guest in BUSES}
    return {**routes(), **channels}


def token(id: str, letter: str, x: float, y: float, order: tuple[int, int, str] | None = None) -> Element:
    """A token: a shape and a letter, for whoever sees no colour; `order` says where its number stands."""
    content = [
        ["path", "", "solid", {"d": SHAPES[letter]}, ""],
        words("", 0, 5 if letter != "F" else 7, "✕" if letter == "!" else letter, "small letter middle"),
    ]
    if order:
        content.append(words(f"{id}n", order[0], order[1], "", f"small title {order[2]}"))
    return group(id, content, f"mark {LETTERS[letter]}", f"translate({x:g} {y:g})")


def host_map(steps: Sequence[Step], name: str = "", guest: str = "windows") -> Drawn:
    """Return the map for a story.

    Parameters
    ----------
    steps
        What `hvlab.story.steps.steps` gave.
    name, guest
        What the child is called, and which column it is.
    """
    moves = sorted({move for step in steps for move in step.moves})
    paths = [pair for pair in roads() if any({move[0], move[1]} == set(pair) for move in moves)]
    used = sorted({place for step in steps for place in step.boxes})
    layer, bind = _ground(name, guest)
    spots = _spots(paths)
    for at, pair in enumerate(paths):
        found = _wire(at, pair, [move for move in moves if {move[0], move[1]} == set(pair)])
        layer += found[0]
        bind += found[1]
    for place in BOXES:
        found = _box(place, used.index(place) if place in used else None)
        layer += found[0]
        bind += found[1]
    for at, pair in enumerate(paths):
        found = _tokens(at, pair, [move for move in moves if {move[0], move[1]} == set(pair)], spots[pair])
        layer += found[0]
        bind += found[1]
    legend, height = _legend({move[2] for move in moves})
    layer += legend
    facts = [Fact(f"lit{at}") for at in range(len(used))] + [Fact(f"count{at}") for at in range(len(used))]
    facts += [Fact(f"way{at}") for at in range(len(paths))] + [Fact(f"order{at}") for at in range(len(paths))]
    facts += [Fact("map_src", kind="enum:box"), Fact("map_dst", kind="enum:box"), Fact("map_tale")]
    alt = {
        "fact": "map_tale",
        "cases": {
            "1": _("Lit: {map_src:enum:box}."),
            "2": _(
                "Lit: {map_src:enum:box} and {map_dst:enum:box}; "
                "a token goes from the first to the second: {letter:enum:token}."
            ),
        },
        "else": _("Nothing is lit."),
    }
    picture = Picture(_("Map"), _("Map of a Hyper-V host"), WIDTH, height, layer, bind, alt)
    return Drawn(picture, facts, list(_values(steps, used, paths)))


def _values(steps: Sequence[Step], used: list[str], paths: list[tuple[str, str]]) -> list[dict[str, int]]:
    """The facts of the map at each step: lit boxes, counts, what travels on each wire and in which order."""
    seen, found, names = Counter[str](), [], list(BOXES)
    for step in steps:
        seen.update(step.boxes)
        facts = {f"lit{at}": int(place in step.boxes[:MOST_LIT]) for at, place in enumerate(used)}
        facts |= {f"count{at}": seen[place] for at, place in enumerate(used)}
        for at, pair in enumerate(paths):
            on = [(k, move) for k, move in enumerate(step.moves, 1) if {move[0], move[1]} == set(pair)]
            facts[f"way{at}"] = code(on[0][1]) if on else 0
            facts[f"order{at}"] = on[0][0] if on and len(step.moves) > 1 else 0
        facts["map_src"] = names.index(step.src) + 1
        facts["map_dst"] = names.index(step.dst) + 1 if step.dst else 0
        facts["map_tale"] = 2 if step.dst else 1
        found.append(facts)
    return found


def code(move: Move) -> int:
    """Return a number for a token and its direction on a wire."""
    return 1 + 2 * list(LETTERS).index(move[2]) + (list(BOXES).index(move[0]) > list(BOXES).index(move[1]))


def _ground(name: str, guest: str) -> tuple[list[Element], list[Element]]:
    """Columns, regions and their titles; the line along which channels share memory."""
    layer: list[Element] = []
    for column, (title, left, width) in COLUMNS.items():
        mine = _(title)
        if column == guest and name:
            mine = f"{_(title.removesuffix(' child')) if len(title) > 15 else mine} · {name[:MOST_NAME]}"
        layer.append(words(f"title-{column}", left + 6, 14, mine, "label title", width - 10))
        for text, (top, height), down in ((N_("user mode"), USER, 13), (N_("kernel mode"), KERNEL, 14)):
            layer.append(box("", left, top, width, height, "plain region"))
            layer.append(words("", left + 8, top + down, _(text), "small soft", 70))
    for text, (top, height) in ((N_("hypervisor"), HYPERVISOR), (N_("hardware"), HARDWARE)):
        layer.append(box("", 2, top, 833, height, "plain region"))
        layer.append(words("", 812, top + 15, _(text), "small soft end", 110))
    bus = sorted((b.x + b.width / 2, b.y + BOX_HEIGHT) for b in BOXES.values() if b.label == "VMBus")
    drops = "".join(f"M{x:g} {y:g}V{BUS}" for x, y in bus)
    layer.append(wire("", f"{drops}M{bus[0][0]:g} {BUS}H{bus[-1][0]:g}", "dashed"))
    left = COLUMNS["unenlightened"][1] + 8
    layer.append(box("", left, ROWS["bus"], 160, BOX_HEIGHT, "ghost"))
    layer.append(words("", left + 80, ROWS["bus"] + 17, _("no VMBus here"), "small soft middle", 150))
    return layer, []


def _box(place: str, used: int | None) -> tuple[list[Element], list[Element]]:
    """A box, whose card a pointer opens; those that the story uses are lit and counted."""
    drawn = BOXES[place]
    x, y = drawn.x, drawn.y
    rectangle = box("", x, y, drawn.width, BOX_HEIGHT, "box")
    if drawn.label == "VMBus":
        rectangle[3] |= {"rx": 13}
    label = words("", x + drawn.width / 2, y + 17, _(drawn.label), "label middle", drawn.width - 6)
    if used is None:
        key = f"idle{list(BOXES).index(place)}"
        return [group(key, [rectangle, label])], [["card", key, place]]
    key = f"box{used}"
    badge = group(
        f"{key}badge",
        [
            box("", x + drawn.width - 21, y - 11, 24, 16, "box badge"),
            words(f"{key}count", x + drawn.width - 9, y + 1, "", "small middle"),
        ],
    )
    tone = "memory" if drawn.lane in ("memory", "processor") else "call"
    bind: list[Element] = [
        ["lit", key, f"lit{used}"],
        ["card", key, place],
        ["text", f"{key}count", f"count{used}", "dec"],
        ["show", f"{key}badge", f"count{used}"],
    ]
    return [group(key, [rectangle, label], tone), badge], bind


def _wire(at: int, pair: tuple[str, str], moves: Sequence[Move]) -> tuple[list[Element], list[Element]]:
    """A wire: a thin line, thick while something travels on it, with a head at the end that it reaches."""
    points = roads()[pair]
    d = "M" + "L".join(f"{x} {y}" for x, y in points)
    layer: list[Element] = [wire(f"way{at}", d, "wire dashed" if pair[1].endswith(".VMBus") else "wire")]
    bind: list[Element] = [["lit", f"way{at}", f"way{at}"]]
    tones = {str(code(move)): LETTERS[move[2]] for move in moves}
    bind.append(["class", f"way{at}", f"way{at}", tones])
    for end, (tip, before) in enumerate(((points[-1], points[-2]), (points[0], points[1]))):
        reached = pair[1 - end]
        there = [code(move) for move in moves if move[1] == reached]
        if there:
            layer.append(["path", f"head{at}{end}", "solid", {"d": _head(tip, before)}, ""])
            bind += [["show", f"head{at}{end}", f"way{at}", there], ["class", f"head{at}{end}", f"way{at}", tones]]
    return layer, bind


def _head(tip: tuple[int, int], before: tuple[int, int]) -> str:
    x, y = tip
    dx, dy = (x > before[0]) - (x < before[0]), (y > before[1]) - (y < before[1])
    return f"M{x} {y}L{x - 9 * dx + 5 * dy} {y - 9 * dy + 5 * dx}L{x - 9 * dx - 5 * dy} {y - 9 * dy - 5 * dx}Z"


def _tokens(
    at: int, pair: tuple[str, str], moves: Sequence[Move], spot: tuple[float, float]
) -> tuple[list[Element], list[Element]]:
    """The tokens that travel on a wire; each is shown while its event is told."""
    layer, bind = [], list[Element]()
    order = _beside(pair, spot)
    for letter in sorted({move[2] for move in moves}):
        key = f"token{at}{'f' if letter == '!' else letter}"
        layer.append(token(key, letter, *spot, order=order))
        bind.append(["show", key, f"way{at}", sorted({code(move) for move in moves if move[2] == letter})])
        bind += [["text", f"{key}n", f"order{at}", "dec"], ["show", f"{key}n", f"order{at}"]]
    return layer, bind


def _beside(pair: tuple[str, str], spot: tuple[float, float]) -> tuple[int, int, str]:
    """Where a token's number stands: over a level wire, else on the side of an upright one that is free."""
    x, y = spot
    points = roads()[pair]
    if any(a[1] == b[1] == y for a, b in zip(points, points[1:], strict=False)):
        return 0, -12, "middle"
    right = any(b.x - 26 < x < b.x and b.y - 14 < y < b.y + BOX_HEIGHT + 14 for b in BOXES.values())
    return (-12, -5, "end") if right else (12, -5, "start")


def _spots(paths: Sequence[tuple[str, str]]) -> dict[tuple[str, str], tuple[float, float]]:
    """Where each wire's token stands: as near to the middle as there is room, 24 px from every other token."""
    taken: list[tuple[float, float]] = []
    found = {}
    barred = [(b.x - 4, b.y - 4, b.x + b.width + 4, b.y + BOX_HEIGHT + 4) for b in BOXES.values()]
    for pair in sorted(paths, key=lambda pair: (_length(pair), pair)):
        tries = sorted((abs(share - 0.5), share) for share in (k / 40 for k in range(3, 38)))
        places = [along(roads()[pair], share) for _, share in tries]

        def room(spot: tuple[float, float]) -> tuple[bool, float]:
            x, y = spot
            near = min((max(abs(x - a), abs(y - b)) for a, b in taken), default=1e9)
            over = any(a - 6 < x < c + 6 and b - 6 < y < d + 6 for a, b, c, d in barred)
            return near >= APART and not over, near

        good = [spot for spot in places if room(spot)[0]]
        found[pair] = good[0] if good else max(places, key=lambda spot: room(spot)[1])
        taken.append(found[pair])
    return found


def _length(pair: tuple[str, str]) -> float:
    points = roads()[pair]
    return sum(abs(a[0] - b[0]) + abs(a[1] - b[1]) for a, b in zip(points, points[1:], strict=False))


def along(points: Sequence[tuple[int, int]], share: float) -> tuple[float, float]:
    """Return the point at a share of the way along a wire."""
    parts = [(a, b, abs(a[0] - b[0]) + abs(a[1] - b[1])) for a, b in zip(points, points[1:], strict=False)]
    left = share * sum(length for _, _, length in parts)
    for (ax, ay), (bx, by), length in parts:
        if left <= length and length:
            return ax + (bx - ax) * left / length, ay + (by - ay) * left / length
        left -= length
    return points[-1]


def _legend(letters: set[str]) -> tuple[list[Element], int]:
    """What the tokens and the dashed line mean, in a second line where one is too short; and the picture's height."""
    layer: list[Element] = []
    x, y = 12.0, HEIGHT - 9
    for letter in sorted(letters & set(NAMES), key=list(LETTERS).index):
        name = _(NAMES[letter])
        if x + 20 + 7 * len(name) > WIDTH:
            x, y = 12.0, y + 20
        layer += [token("", letter, x + 2, y - 4), words("", x + 16, y, name, "small soft")]
        x += 40 + 7 * len(name)
    channel = _("channel: shared memory and signals, no wire")
    if x + 32 + 6 * len(channel) > WIDTH:
        x, y = 12.0, y + 20
    layer.append(wire("", f"M{x} {y - 4}h26", "dashed"))
    layer.append(words("", x + 32, y, channel, "small soft"))
    return layer, y + 9
