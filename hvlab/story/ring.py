"""The picture of a channel's two rings: each as a dial and as a strip, with the rule about the signal as a sentence."""

from collections.abc import Iterator, Sequence
from typing import Final

from hvlab.language import N_, _
from hvlab.story.frame import Fact
from hvlab.story.hostmap import Drawn, token
from hvlab.story.picture import Element, Picture, box, faint, group, wire, words
from hvlab.story.ring_facts import (
    BELLS,
    INNER,
    MOST_BLOCKS,
    OUTER,
    facts_of,
    key_of,
    moment,
    parts_of,
    put,
    spot,
)
from hvlab.story.ring_state import COPIED, FOUND, PUBLISHED, READ, Packet, Ring, rings_before
from hvlab.story.steps import Step
from hvlab.trace.journal import Trace
from hvlab.trace.words import told
from hvlab.wire.ring import GAP, PacketDescriptor

WIDTH, HEIGHT, SIDE, HALF = 836, 444, 404, 428  # one ring is SIDE wide; the second begins at HALF
TEXTS: Final = 198  # where the words beside the dial begin
STRIP, HIGH = 266, 26
MOST_CHANNELS: Final = 3
Part = tuple[list[Element], list[Element]]


def rings(trace: Trace, steps: Sequence[Step], before: Trace | None) -> list[Drawn]:
    """Return a picture of both rings for each channel whose rings a story tells of, three at most."""
    named = {trace.fact(row, "channel") for row in range(len(trace)) if "ring" in trace.event(row).fields}
    if not named:
        return []
    seen, values = rings_before(before), list[dict[tuple[int, int], dict[str, int]]]()
    for step in steps:
        for row in step.rows:
            seen.read(trace, row)
        values.append({key: moment(one) for key, one in seen.rings.items()})
        for packet in (packet for one in seen.rings.values() for packet in one.packets if packet.frame < 0):
            packet.frame = len(values) - 1
    found = []
    for channel in sorted(named)[:MOST_CHANNELS]:
        both = [seen.rings.get((channel, ring), Ring(channel, ring)) for ring in (1, 2)]
        found.append(_drawn(channel, both, values))
    return found


def _drawn(channel: int, both: Sequence[Ring], values: Sequence[dict[tuple[int, int], dict[str, int]]]) -> Drawn:
    """The picture of one channel."""
    layer, bind, facts, alt = list[Element](), list[Element](), list[Fact](), list[str]()
    names = list[str]()  # in order: a story is the same in every process
    for one, left in zip(both, (0, HALF), strict=True):
        for part in (_title(one, left), _dial(one, left), _beside(one, left), _strip(one, left), _sentence(one, left)):
            layer += part[0]
            bind += part[1]
        own = facts_of(one)
        names += [fact.name for fact in own]
        facts += own
        alt.append(_alt(one))
    layer.append(faint(HALF - 12, 8, HALF - 12, HEIGHT - 8))
    told_now = [
        {key_of(one) + name: value for one in both for name, value in now.get((channel, one.ring), {}).items()}
        for now in values
    ]
    for one in both:
        first, span = _window(one)
        for now in told_now:
            for mark in "wr":
                index = now.get(f"{key_of(one)}{mark}", 0)
                now[f"{key_of(one)}{mark}in"] = int(
                    bool(now.get(f"{key_of(one)}sound")) and first <= index <= first + span
                )
            now[f"{key_of(one)}pin"] = int(0 < now.get(f"{key_of(one)}wait", 0) <= one.size - GAP)
    told_now = [{name: now.get(name, 0) for name in names} for now in told_now]
    title = _("The two rings of channel {channel}").format(channel=channel)
    picture = Picture(_("Rings {channel}").format(channel=channel), title, WIDTH, HEIGHT, layer, bind, " ".join(alt))
    return Drawn(picture, facts, told_now)


# the picture ----------------------------------------------------------------------------------------------------------


def _title(one: Ring, left: int) -> Part:
    way = told("ring")[one.ring]
    text = _("{way}: {size} bytes").format(way=way, size=f"{one.size:,}") if one.size else way
    layer: list[Element] = [words("", left + 6, 18, text, "label title", SIDE - 10)]
    key = key_of(one)
    idle = words(f"{key}idle", left + 6, 38, "", "small soft", SIDE - 10)
    cases = {"0": _("nothing of it is known yet"), "2": _("let go: its pages are the child's alone again")}
    bind: list[Element] = [["say", f"{key}idle", {"fact": f"{key}there", "cases": cases, "else": ""}]]
    return [*layer, idle], bind


def _dial(one: Ring, left: int) -> Part:
    """The ring as a ring: what is in it, R inside, W outside, the gap, and how far a waiting writer looks."""
    key, count = key_of(one), parts_of(one.size)
    layer, bind = list[Element](), list[Element]()
    for at in range(count):
        id = f"{key}s{at}"
        layer.append(["path", id, "cell data", {"d": _segment(at, count, left)}, ""])
        bind += [["lit", id, id, [PUBLISHED, READ]], ["class", id, id, {str(COPIED): "dashed", str(READ): "hatched"}]]
    gap = group(f"{key}gap", [["path", "", "solid", {"d": "M0 -6L6 0L0 6L-6 0Z"}, ""]], "signal")
    layer.append(group(f"{key}gapon", [gap]))
    marks = (("w", "W", "sound", "data"), ("r", "R", "sound", "data"), ("p", "P", "pin", "signal"))
    for mark, letter, shown, tone in marks:
        content = [
            ["circle", "", "plain", {"cx": 0, "cy": 0, "r": 9}, ""],
            words("", 0, 4, letter, "small title middle"),
        ]
        id = f"{key}{mark}m"
        layer.append(group(f"{id}on", [group(id, content, tone)]))
        bind += [["attr", id, f"move-{axis}", f"{key}{mark}{axis}", 1, left if axis == "x" else 0] for axis in "xy"]
        bind.append(["show", f"{id}on", f"{key}{shown}"])
    bind += [["attr", f"{key}gap", f"move-{axis}", f"{key}g{axis}", 1, left if axis == "x" else 0] for axis in "xy"]
    bind.append(["show", f"{key}gapon", f"{key}sound"])
    return [group(f"{key}dial", layer)], [*bind, ["show", f"{key}dial", f"{key}there", [1]]]


def _segment(at: int, count: int, left: int) -> str:
    """One part of the dial as a path."""
    begin, end = at / count, (at + 1) / count
    corners = [spot(share, radius) for share, radius in ((begin, OUTER), (end, OUTER), (end, INNER), (begin, INNER))]
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = [(round(x + left, 1), round(y, 1)) for x, y in corners]
    large = int(count == 1)
    return (f"M{ax:g} {ay:g}A{OUTER} {OUTER} 0 {large} 1 {bx:g} {by:g}L{cx:g} {cy:g}"
            f"A{INNER} {INNER} 0 {large} 0 {dx:g} {dy:g}Z")  # fmt: skip


def _beside(one: Ring, left: int) -> Part:
    """Beside the dial: indices, room, mask as an eye, who waits, counters, and an index that lies."""
    key, x = key_of(one), left + TEXTS
    lines = (
        ("read", 52, "label title", _("R read {r:hex}")),
        ("write", 72, "label title", _("W write {w:hex}")),
        ("tally", 186, "small", _("written {writes}, read {reads}, refused {refused}")),
        ("bells", 204, "small", _("signals {signals}, saved {saved}")),
    )
    layer: list[Element] = [words(f"{key}{id}", x, y, "", look, SIDE - TEXTS - 4) for id, y, look, _text in lines]
    bind: list[Element] = [["say", f"{key}{id}", put(text, one)] for id, _y, _look, text in lines]
    layer.append(words(f"{key}room", x, 92, "", "label", SIDE - TEXTS - 4))
    room = {"fact": f"{key}sound", "cases": {"0": _("what is used nobody knows")},
            "else": put(_("used {used}, free {free}"), one)}  # fmt: skip
    bind.append(["say", f"{key}room", room])
    layer += [
        group("", [["path", "", "solid", {"d": f"M{x + 6} 102L{x + 12} 108L{x + 6} 114L{x} 108Z"}, ""]], "signal"),
        words("", x + 18, 112, _("the 8 bytes never filled"), "small soft", SIDE - TEXTS - 22),
        *_eye(key, x, 132),
        words(f"{key}maskt", x + 32, 137, "", "label", SIDE - TEXTS - 36),
        words(f"{key}waitt", x, 160, "", "label", SIDE - TEXTS - 4),
    ]
    bind += [
        ["show", f"{key}open", f"{key}mask", [0]],
        ["show", f"{key}shut", f"{key}mask"],
        ["say", f"{key}maskt", {"fact": f"{key}mask", "cases": {"0": _("mask 0: open")}, "else": _("mask 1: shut")}],
        ["say", f"{key}waitt", {"fact": f"{key}wait", "cases": {"0": _("pending 0: nobody waits")},
                                "else": put(_("P waits for {wait} bytes"), one)}],
    ]  # fmt: skip
    lies = (("w", left + 16, N_("W {w:hex} is no index here")), ("r", x, N_("R {r:hex} is no index here")))
    for mark, at, text in lies:
        id = f"{key}{mark}lie"
        content = [token("", "!", at, 220), words(f"{id}t", at + 16, 225, "", "label fault", 170)]
        layer.append(group(id, content))
        bind += [["say", f"{id}t", put(_(text), one)], ["show", id, f"{key}{mark}lies"]]
    return [group(f"{key}beside", layer)], [*bind, ["show", f"{key}beside", f"{key}there", [1]]]


def _eye(key: str, x: float, y: float) -> list[Element]:
    """The reader's mask as an eye: open, or shut."""
    lid = f"M{x} {y}Q{x + 12} {y - 12} {x + 24} {y}"
    shut = f"M{x} {y}Q{x + 12} {y + 10} {x + 24} {y}M{x + 4} {y + 4}l-3 5M{x + 12} {y + 6}v6M{x + 20} {y + 4}l3 5"
    whole = [["path", "", "plain", {"d": f"{lid}Q{x + 12} {y + 12} {x} {y}Z"}, ""]]
    whole.append(["circle", "", "solid", {"cx": x + 12, "cy": y, "r": 4}, ""])
    return [group(f"{key}open", whole, "signal"), group(f"{key}shut", [wire("", shut, "")], "signal")]


def _window(one: Ring) -> tuple[int, int]:
    """Which bytes of the ring the strip draws: those that its packets use, all of them if they wrap."""
    drawn = [packet for packet in one.packets if packet.number <= MOST_BLOCKS]
    if not drawn or any(packet.at + packet.whole > one.size for packet in drawn):
        return 0, max(one.size, 1)
    first = min(packet.at for packet in drawn)
    last = max(packet.at + packet.whole for packet in drawn)
    return first, max(last - first, 64)


def _strip(one: Ring, left: int) -> Part:
    """The ring as a strip: packets as blocks with descriptor, data and trailer; R below, W above."""
    key, (first, span) = key_of(one), _window(one)
    begin, wide = left + 6, SIDE - 30
    scale = wide / span
    said = _("packets in the ring, from {first} to {last}").format(first=f"{first:#x}", last=f"{first + span:#x}")
    layer: list[Element] = [
        words("", begin, STRIP - 23, said, "small soft", wide),
        box("", begin, STRIP, wide, HIGH, "plain"),
    ]
    bind: list[Element] = []
    for packet in one.packets:
        if packet.number > MOST_BLOCKS:
            break
        id = f"{key}b{packet.number}"
        layer.append(group(id, list(_block(packet, one, begin, first, scale)), "data"))
        bind += [["show", id, id], ["lit", id, f"{key}p", [packet.number]], ["jump", id, max(packet.frame, 0)]]
        bind += [["class", f"{id}p{k}", id, {str(COPIED): "dashed", str(READ): "hatched"}]
                 for k in range(len(_pieces(packet.at, packet.whole, one)))]  # fmt: skip
    low, high = STRIP + HIGH + 4, STRIP - 4
    for mark, y, turn in (("w", high, -1), ("r", low, 1)):
        id = f"{key}{mark}s"
        shape = ["path", "", "solid", {"d": f"M0 {y}l-5 {8 * turn}h10Z"}, ""]
        name = words("", 8, y + (9 if turn > 0 else -1), mark.upper(), "small title")
        layer.append(group(f"{id}on", [group(id, [shape, name], "data")]))
        bind.append(["attr", id, "move-x", f"{key}{mark}", round(scale, 4), round(begin - first * scale, 2)])
        bind.append(["show", f"{id}on", f"{key}{mark}in"])
    lines = (
        _("packet {p} at {pat:hex}: {pkind:enum:packet}, transaction {ptid:hex}"),
        _("descriptor 16, data and padding {plen}, trailer 8"),
        _("now: {pphase:enum:packet_phase}"),
    )
    for at, text in enumerate(lines):
        id = f"{key}pl{at}"
        layer.append(words(id, begin, STRIP + 60 + 18 * at, "", "small", SIDE - 12))
        bind.append(["say", id, {"fact": f"{key}p", "cases": {"0": ""}, "else": put(text, one)}])
    return [group(f"{key}strip", layer)], [*bind, ["show", f"{key}strip", f"{key}there", [1]]]


def _pieces(at: int, length: int, one: Ring) -> list[tuple[int, int]]:
    """A stretch of the ring as places and lengths; two where it wraps (never, while its size is not known)."""
    at = at % one.size if one.size else at
    left = one.size - at if one.size else length
    return [(at, length)] if length <= left else [(at, left), (0, length - left)]


def _block(packet: Packet, one: Ring, begin: float, first: int, scale: float) -> Iterator[Element]:
    """One packet: descriptor, what it carries, and trailer apart where there is room; its number stands there once."""
    id, head = f"{key_of(one)}b{packet.number}", PacketDescriptor.size
    for k, (at, length) in enumerate(_pieces(packet.at, packet.whole, one)):
        x, wide = round(begin + (at - first) * scale, 1), round(max(length * scale, 2), 1)
        yield box(f"{id}p{k}", x, STRIP + 2, wide, HIGH - 4, "cell")
    carries = _pieces(packet.at, packet.whole, one)
    if packet.whole * scale > 60 and packet.length >= head:
        cuts = [begin + (_pieces(packet.at + at, 0, one)[0][0] - first) * scale for at in (head, packet.length)]
        yield wire("", "".join(f"M{cut:.1f} {STRIP + 2}v{HIGH - 4}" for cut in cuts))
        carries = _pieces(packet.at + head, packet.length - head, one)
    at, length = max(carries, key=lambda piece: piece[1])
    if length * scale >= 9 + 7 * len(str(packet.number)):
        yield words("", begin + (at - first + length / 2) * scale, STRIP + 18, str(packet.number), "small title middle")


def _sentence(one: Ring, left: int) -> Part:
    """The rule about the signal with its inputs and what follows; and what a reader refused."""
    key, x, wide = key_of(one), left + 6, SIDE - 12
    inputs = {str(why): put(_(text[0]), one) if text[0] else "" for why, text in BELLS.items()}
    verdicts = {str(why): _(text[1]) for why, text in BELLS.items()}
    layer: list[Element] = [
        words(f"{key}rule", x, 388, "", "small", wide),
        group(f"{key}bell", [words(f"{key}bellt", x, 407, "", "label title", wide)]),
        group(f"{key}no", [token("", "!", x + 8, 424), words(f"{key}not", x + 24, 429, "", "label fault", wide - 26)]),
    ]
    refused = put(_("at {wrong:hex}: {verdict:enum:verdict}"), one)
    bind: list[Element] = [
        ["say", f"{key}rule", {"fact": f"{key}why", "cases": inputs, "else": ""}],
        ["say", f"{key}bellt", {"fact": f"{key}why", "cases": verdicts, "else": ""}],
        ["class", f"{key}bellt", f"{key}why", {str(why): "signal" for why in (3, 7, 8, FOUND)}],
        ["say", f"{key}not", refused],
        ["show", f"{key}no", f"{key}verdict"],
        ["show", f"{key}bell", f"{key}there", [1]],
    ]
    return layer, bind


def _alt(one: Ring) -> str:
    """The picture in words, with the last decision about a signal."""
    way = told("ring")[one.ring]
    said = _(
        "{way}: read {r:hex}, write {w:hex}, {used} bytes used, {free} free, mask {mask}, pending {wait}; "
        "{why:enum:bell_said}. {verdict:enum:refusal}"
    )
    return put(said.replace("{way}", way[:1].upper() + way[1:]), one)
