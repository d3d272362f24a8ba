"""The picture of a VMBus: each channel as both sides see it, and the messages between them in their order."""

from collections.abc import Sequence
from typing import Final

from hvlab.language import N_, _
from hvlab.story.channel_state import CHILD, IN_ITS_SLOT, ON_ITS_WAY, REFUSED, ROOT, TAKEN, Bus, Letter, replayed
from hvlab.story.frame import Fact
from hvlab.story.hostmap import Drawn, token
from hvlab.story.picture import Element, Picture, box, faint, group, wire, words
from hvlab.story.steps import Step
from hvlab.trace.journal import Trace
from hvlab.trace.words import ENUMS, told
from hvlab.wire import vmbus

WIDTH: Final = 836
LEFT, TABLE, ROW = 8, 62, 18
NUMBER, DEVICE, ROOT_SIDE, CHILD_SIDE, PAGES, WIRE, VP = 8, 66, 292, 388, 488, 594, 692  # columns
OPEN: Final = 4  # the state of a channel in this picture's numbers
MOST_CHANNELS, MOST_LETTERS, MOST_VPS = 6, 80, 64
RUNGS, RUNG = 10, 25
CHILD_AT, ROOT_AT = 132, 664  # the two lines of the ladder
WHERE: Final = {
    ON_ITS_WAY: N_("on its way"),
    IN_ITS_SLOT: N_("in its slot"),
    TAKEN: N_("taken"),
    REFUSED: N_("could not be posted"),
}
COUNTS: Final = (
    ("said", N_("Channel messages sent")),
    ("heard", N_("Channel messages taken")),
    ("refusals", N_("Messages and GPADLs refused")),
    ("versions_refused", N_("Versions refused")),
    ("gpadls", N_("GPADLs that are mapped")),
    ("pages", N_("Their pages")),
)


def channel_words() -> dict[str, dict[int, str]]:
    """Return the words of this picture's facts."""
    states = {state + 1: text for state, text in told("channel_state").items()}
    versions = {version.value: f"{version.name} ({version.host})" for version in vmbus.VERSIONS}
    vps = {vp + 1: _("VP {vp}").format(vp=vp) for vp in range(MOST_VPS)}
    return {
        "chan": {0: "–", **states},
        "spoken": {0: _("none yet"), **versions},
        "vps": {0: "–", **vps, vmbus.NO_VP + 1: _("nobody")},
    }


def channels(trace: Trace, steps: Sequence[Step], before: Trace | None, root: int = 0) -> Drawn:
    """Return the picture of the channels and of the messages about them."""
    bus = replayed(before, root)
    first, seen = len(bus.letters), list[dict[str, int]]()
    for step in steps:
        for row in step.rows:
            bus.read(trace, row)
        seen.append(_moment(bus, first))
    shown, left_out = _shown(trace, bus)
    letters = bus.letters[first : first + MOST_LETTERS]
    layer, bind = _head(left_out)
    top = TABLE + ROW * max(1, len(shown)) + 34
    for part in (_table(bus, shown), _ladder(letters, top, _sent_at(letters, steps))):
        layer += part[0]
        bind += part[1]
    facts = _facts(shown, len(letters))
    names = [fact.name for fact in facts]  # in order: a story is the same in every process
    values = [{name: now.get(name, 0) for name in names} for now in seen]
    height = top + RUNG * min(RUNGS, max(3, len(letters))) + 12
    picture = Picture(_("Channels"), _("The channels, and the messages about them"), WIDTH, height, layer, bind,
                      _alt(shown))  # fmt: skip
    return Drawn(picture, facts, values)


def _moment(bus: Bus, first: int) -> dict[str, int]:
    """The facts at one moment."""
    now = bus.letters.index(bus.now) - first if bus.now is not None and bus.now in bus.letters[first:] else -1
    found = {"version": bus.version, "connection": bus.connection, **bus.counts}
    found |= {
        "letter_now": now + 1,
        "rungs": max(0, len(bus.letters) - first - 1) // RUNGS if now < 0 else now // RUNGS,
    }
    for number, one in bus.channels.items():
        found |= {f"c{number}_root": bus.states.get((ROOT, number), -1) + 1}
        found |= {f"c{number}_child": bus.states.get((CHILD, number), -1) + 1}
        found |= {f"c{number}_known": int(bool(one.device)), f"c{number}_gpadl": one.gpadl}
        found |= {f"c{number}_wire": one.connection, f"c{number}_vp": one.target + 1}
    return found | {f"m{at}": letter.where for at, letter in enumerate(bus.letters[first : first + MOST_LETTERS])}


def _facts(shown: Sequence[int], letters: int) -> list[Fact]:
    found = [Fact("version", _("Version"), "enum:spoken", True), Fact("connection", kind="hex")]
    found += [Fact(name, _(label), "dec", True) for name, label in COUNTS]
    for number in shown:
        for side, label in (
            ("root", N_("Channel {number}, the root's side")),
            ("child", N_("Channel {number}, the child's side")),
        ):
            found.append(Fact(f"c{number}_{side}", _(label).format(number=number), "enum:chan", True))
        found += [Fact(f"c{number}_{name}", kind="hex") for name in ("known", "gpadl", "wire")]
        found.append(Fact(f"c{number}_vp"))
    return [
        *found,
        Fact("naming"),
        Fact("closed_answers"),
        Fact("letter_now"),
        Fact("rungs"),
        *(Fact(f"m{at}") for at in range(letters)),
    ]


def _shown(trace: Trace, bus: Bus) -> tuple[list[int], int]:
    """Which channels have a row: those that the story is about first; and how many have none."""
    about = {trace.fact(row, "channel") for row in range(len(trace)) if "channel" in trace.event(row).fields}
    every = sorted((number for number in bus.channels if number), key=lambda number: (number not in about, number))
    return sorted(every[:MOST_CHANNELS]), len(every[MOST_CHANNELS:])


def _head(left_out: int) -> tuple[list[Element], list[Element]]:
    layer: list[Element] = [
        words("spoken", LEFT, 18, "", "label title", 440),
        words("posts", LEFT + 452, 18, "", "label", 376),
        words("tally", LEFT, 38, "", "small", WIDTH - 16),
    ]
    on = _("The guest posts on connection {connection:hex}.")
    tally = _("Sent {said}, taken {heard}, refused {refusals}; GPADLs mapped {gpadls}, pages {pages}.")
    if left_out:
        tally += " " + _("Channels without a row here: {count}.").replace("{count}", str(left_out))
    bind: list[Element] = [
        ["say", "spoken", _("Version: {version:enum:spoken}")],
        ["say", "posts", {"fact": "connection", "cases": {"0": ""}, "else": on}],
        ["say", "tally", tally],
    ]
    return layer, bind


def _table(bus: Bus, shown: Sequence[int]) -> tuple[list[Element], list[Element]]:
    """One row for each channel: what both sides think of it."""
    heads = (
        (NUMBER, _("channel"), 54), (DEVICE, _("device"), 216), (ROOT_SIDE, _("root's side"), 90),
        (CHILD_SIDE, _("child's side"), 90), (PAGES, _("GPADL"), 100), (WIRE, _("connection"), 90),
        (VP, _("interrupts"), 120),
    )  # fmt: skip
    layer: list[Element] = [words("", x, TABLE - 4, text, "small soft", room) for x, text, room in heads]
    layer.append(faint(LEFT, TABLE, WIDTH - 8, TABLE))
    bind: list[Element] = []
    for at, number in enumerate(shown):
        y, id = TABLE + ROW * at, f"c{number}"
        layer += [
            words("", NUMBER, y + 14, str(number), "small title"),
            words(f"{id}d", DEVICE, y + 14, "", "small", 218),
            words(f"{id}p", PAGES, y + 14, "", "small code"),
            words(f"{id}w", WIRE, y + 14, "", "small code"),
            words(f"{id}v", VP, y + 14, "", "small"),
        ]
        for side, x in (("root", ROOT_SIDE), ("child", CHILD_SIDE)):
            fact = f"{id}_{side}"
            cell = box(f"{fact}b", x - 4, y + 1, 88, ROW - 2, "cell")
            layer.append(group(fact, [cell, words(f"{fact}t", x + 2, y + 14, "", "small", 78)], "data"))
            bind += [["text", f"{fact}t", fact, "enum:chan"], ["changed", fact, fact], ["lit", fact, fact, [OPEN]]]
        device = {"fact": f"{id}_known", "cases": {"0": "–"}, "else": bus.channels[number].device}
        bind += [["say", f"{id}d", device], ["text", f"{id}v", f"{id}_vp", "enum:vps"]]
        for mark, fact in (("p", "gpadl"), ("w", "wire")):
            name = f"{id}_{fact}"
            bind.append(["say", f"{id}{mark}", {"fact": name, "cases": {"0": "–"}, "else": f"{{{name}:hex}}"}])
    return layer, bind


def _sent_at(letters: Sequence[Letter], steps: Sequence[Step]) -> dict[int, int]:
    """Return the frame of each message, by its row."""
    rows = {letter.row for letter in letters}
    return {row: number for number, step in enumerate(steps) for row in step.rows if row in rows}


def _ladder(letters: Sequence[Letter], top: int, frames: dict[int, int]) -> tuple[list[Element], list[Element]]:
    """The messages as rungs between the two sides, ten at a time; a pointer on one goes to its frame."""
    foot = top + RUNG * min(RUNGS, max(3, len(letters)))
    layer: list[Element] = [
        words("", CHILD_AT, top - 8, _("child"), "small title middle", 120),
        words("", ROOT_AT, top - 8, _("root"), "small title middle", 120),
        wire("", f"M{CHILD_AT} {top}V{foot}M{ROOT_AT} {top}V{foot}"),
    ]
    bind: list[Element] = []
    for at, letter in enumerate(letters):
        id, y = f"m{at}", top + RUNG * (at % RUNGS)
        part = _rung(id, at, letter, y)
        layer.append(group(f"{id}page", [part]))
        cases = {str(where): _(text) for where, text in WHERE.items()}
        bind += [
            ["show", f"{id}page", "rungs", [at // RUNGS]],
            ["show", id, id],
            ["lit", f"{id}a", "letter_now", [at + 1]],
            ["lit", f"{id}n", "letter_now", [at + 1]],
            ["say", f"{id}s", {"fact": id, "cases": cases, "else": ""}],
            ["jump", id, frames.get(letter.row, 0)],
        ]
    return layer, bind


def _rung(id: str, at: int, letter: Letter, y: float) -> Element:
    """One message: from whom to whom, which, and where it is."""
    begin, end = (CHILD_AT, ROOT_AT) if letter.side == CHILD else (ROOT_AT, CHILD_AT)
    way = 1 if end > begin else -1
    name = ENUMS["channel_message"].get(letter.number) or _("message {number}").format(number=letter.number)
    if letter.channel:
        name = _("{name}, channel {channel}").format(name=name, channel=letter.channel)
    elif letter.gpadl:
        name = f"{name}, {letter.gpadl:#x}"
    tip = end - 4 * way
    arrow = wire(f"{id}a", f"M{begin + 12 * way} {y + 17}H{tip}m{-8 * way} -5l{8 * way} 5l{-8 * way} 5")
    content = [
        words("", 38, y + 20, str(at + 1), "small soft end"),
        arrow,
        token("", "V", begin, y + 15),
        words(f"{id}n", (CHILD_AT + ROOT_AT) / 2, y + 13, name, "small middle", 480),
        words(f"{id}s", ROOT_AT + 18, y + 19, "", "small soft", WIDTH - ROOT_AT - 22),
    ]
    return group(id, content, "data")


def _alt(shown: Sequence[int]) -> str:
    """The picture in words."""
    parts = [_("Version {version:enum:spoken}; messages sent {said}, taken {heard}, refused {refusals}.")]
    for number in shown:
        told = _("Channel {number}: {root} on the root's side, {child} on the child's.").replace(
            "{number}", str(number)
        )
        for side in ("root", "child"):
            told = told.replace(f"{{{side}}}", f"{{c{number}_{side}:enum:chan}}")
        parts.append(told)
    return " ".join(parts)
