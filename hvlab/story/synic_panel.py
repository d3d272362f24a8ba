"""The pictures of a SynIC: its sixteen sources with slot and queue, its flags as a strip, the wires that lead to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hvlab.language import N_, _
from hvlab.story.frame import Fact
from hvlab.story.hostmap import Drawn
from hvlab.story.picture import Element, Picture, box, faint, group, words
from hvlab.story.synic_state import AUTO, MASKED, PLAIN, POLLING, STEPS, UNSEEN, Synic
from hvlab.trace.words import ENUMS
from hvlab.wire.synic import GUEST_BUFFERS, SINTS, TIMERS

WIDTH: Final = 836
LEFT, TOP, ROW = 4, 62, 17
VECTOR, MODE, SLOT, PENDING, QUEUE, FLAGS, RAISED = 62, 108, 204, 412, 474, 694, 770  # columns
CELL: Final = 12  # of the queue
BELOW: Final = TOP + SINTS * ROW + 12
STEP_WIDE, STEP_HIGH, TIMERS_AT = (72, 100, 92, 124, 106), 44, 518  # as wide as the words of each step
ACROSS, FLAG_WIDE, FLAG_HIGH, FLAGS_LEFT, FLAGS_TOP = 64, 12, 11, 44, 56
MOST_FLAGS: Final = 8  # that a line names
STEP_TEXTS: Final = (N_("copy"), N_("1 clear type"), N_("2 barrier"), N_("3 test pending"), N_("4 write EOM"))


def modes() -> dict[int, str]:
    """Return what a source does, as words."""
    return {
        UNSEEN: _("not seen"),
        MASKED: _("masked"),
        POLLING: _("polling"),
        AUTO: _("auto-EOI"),
        PLAIN: _("ended by EOI"),
    }


class Slots:
    """What slots hold, as numbers that a fact can have, with their words."""

    def __init__(self) -> None:
        self.seen: dict[int, str] = {0: _("free")}

    def number(self, slot: int) -> int:
        """Return the number of a slot's content, and remember its words."""
        if slot not in self.seen:
            kind, size = slot >> 8, slot & 255
            told = _("{kind}, {size} bytes") if kind in ENUMS["message"] else _("type {kind}, {size} bytes")
            self.seen[slot] = told.format(kind=ENUMS["message"].get(kind, f"{kind:#x}"), size=size)
        return slot


class FlagSets:
    """Sets of flags as numbers, with their words."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[int, ...], int] = {(): 0}

    def number(self, flags: set[int]) -> int:
        """Return the number of a set."""
        return self.numbers.setdefault(tuple(sorted(flags)), len(self.numbers))

    def texts(self) -> dict[int, str]:
        """Return the words for each number."""
        return {number: listed(flags) for flags, number in self.numbers.items()}


def listed(flags: Sequence[int]) -> str:
    """Return flags as text; the end of a long list is counted."""
    if not flags:
        return _("none")
    shown = ", ".join(str(flag) for flag in flags[:MOST_FLAGS])
    more = len(flags) - MOST_FLAGS
    return shown if more <= 0 else _("{flags} and {count} more").format(flags=shown, count=more)


@dataclass(frozen=True)
class Scope:
    """What of a virtual processor's SynIC a story uses."""

    vp: int
    sints: tuple[int, ...]
    flags: tuple[tuple[int, int], ...]  # (SINT, flag), those that are ever set

    def key(self, name: str) -> str:
        """Return the name of one of its facts."""
        return f"v{self.vp}_{name}"


def values(one: Synic, scope: Scope, slots: Slots, sets: FlagSets) -> dict[str, int]:
    """Return the facts of a SynIC at one moment."""
    facts = {"on": one.scontrol, "step": one.step, "sim": one.gpas.get(1, 0), "sief": one.gpas.get(2, 0)}
    facts |= {f"o{k}": came for k, came in enumerate(one.order)}
    for sint in scope.sints:
        source = one.source(sint)
        facts |= {f"vec{sint}": source.vector, f"mode{sint}": source.mode, f"slot{sint}": slots.number(source.slot)}
        facts |= {f"pend{sint}": source.pending, f"wait{sint}": len(source.queue), f"set{sint}": len(source.flags)}
        facts |= {f"rose{sint}": source.raised, f"flags{sint}": sets.number(source.flags)}
    facts |= {f"f{sint}_{flag}": flag in one.source(sint).flags for sint, flag in scope.flags}
    for k, timer in enumerate(one.timers):
        facts |= {f"t{k}on": timer.on + (timer.on & timer.periodic), f"t{k}sint": timer.sint, f"t{k}due": timer.due}
        facts |= {f"t{k}n": timer.expired, f"t{k}skip": timer.skipped}
    return {scope.key(name): int(value) for name, value in facts.items()}


def facts_of(scope: Scope) -> list[Fact]:
    """Return the declarations of these facts; those of the state table have a label."""
    vp, key, found = scope.vp, scope.key, list[Fact]()
    for sint in scope.sints:
        for name, label, kind in (
            ("slot", _("VP {vp}, SINT {sint}: slot"), "enum:slots"),
            ("pend", _("VP {vp}, SINT {sint}: MessagePending"), "dec"),
            ("wait", _("VP {vp}, SINT {sint}: messages that wait"), "dec"),
            ("flags", _("VP {vp}, SINT {sint}: flags"), "enum:flag_sets"),
            ("rose", _("VP {vp}, SINT {sint}: interrupts raised"), "dec"),
        ):
            found.append(Fact(key(f"{name}{sint}"), label.format(vp=vp, sint=sint), kind, True))
        found += [Fact(key(f"vec{sint}"), kind="hex"), Fact(key(f"mode{sint}"), kind="enum:modes")]
        found.append(Fact(key(f"set{sint}")))
    found += [Fact(key(name)) for name in ("on", "step", *(f"o{k}" for k in range(len(STEPS))))]
    found += [Fact(key("sim"), kind="gpa"), Fact(key("sief"), kind="gpa")]
    found += [Fact(key(f"f{sint}_{flag}")) for sint, flag in scope.flags]
    for k in range(TIMERS):
        found += [Fact(key(f"t{k}{name}")) for name in ("on", "sint", "due", "n", "skip")]
    return found


# the table of sources ------------------------------------------------------------------------------------------------


def panel(scope: Scope, values: list[dict[str, int]]) -> Drawn:
    """Return the picture of a SynIC: sources, slots, queues, the routine's order, timers."""
    layer, bind = _head(scope)
    for sint in range(SINTS):
        part = _used(scope, sint) if sint in scope.sints else _idle(sint)
        layer += part[0]
        bind += part[1]
    for part in (_routine(scope), _timers(scope)):
        layer += part[0]
        bind += part[1]
    title = _("The SynIC of VP {number}: sources, slots, queues, timers").format(number=scope.vp)
    name = _("SynIC of VP {number}").format(number=scope.vp)
    return Drawn(Picture(name, title, WIDTH, BELOW + 112, layer, bind, _alt(scope)), facts_of(scope), values)


def _head(scope: Scope) -> tuple[list[Element], list[Element]]:
    layer: list[Element] = [words("pages", LEFT, 18, "", "label title", WIDTH - 8)]
    columns = (
        (LEFT, "SINT"), (VECTOR, _("vector")), (MODE, _("set to")), (SLOT, _("slot")), (PENDING, _("pending")),
        (QUEUE, _("queue behind it: 16 buffers a port")), (FLAGS, _("flags")), (RAISED, _("raised")),
    )  # fmt: skip
    rooms = (56, 44, 90, 202, 58, 216, 72, 64)
    layer += [words("", x, TOP - 8, text, "small soft", room) for (x, text), room in zip(columns, rooms, strict=True)]
    layer.append(faint(LEFT, TOP - 2, WIDTH - 4, TOP - 2))
    on = _("SynIC on. Message page at GPA {sim}, event flags at GPA {sief}.")
    off = _("SynIC off (SCONTROL): nothing can be queued for this virtual processor.")
    said = {"fact": scope.key("on"), "cases": {"0": off}, "else": _put(on, scope, {"sim": "gpa", "sief": "gpa"})}
    return layer, [["say", "pages", said]]


def _put(text: str, scope: Scope, kinds: Mapping[str, str]) -> str:
    """Put a SynIC's facts into a sentence."""
    for name, kind in kinds.items():
        text = text.replace(f"{{{name}}}", f"{{{scope.key(name)}:{kind}}}")
    return text


def _line(sint: int) -> int:
    """The top of a source's row."""
    return TOP + ROW * sint


def _idle(sint: int) -> tuple[list[Element], list[Element]]:
    y = _line(sint) + 13
    return [words("", LEFT, y, f"SINT {sint}", "small soft", 56), words("", VECTOR, y, "–", "small soft")], []


def _used(scope: Scope, sint: int) -> tuple[list[Element], list[Element]]:
    """A source that the story uses: a row with its register, its slot, its queue and its flags."""
    y, key = _line(sint), scope.key
    base, row = y + 13, f"s{sint}"
    layer: list[Element] = [
        words("", LEFT, base, f"SINT {sint}", "small title", 56),
        words(f"{row}v", VECTOR, base, "", "small code"),
        words(f"{row}m", MODE, base, "", "small", 90),
        group(f"{row}s", [box(f"{row}b", SLOT - 4, y + 1, PENDING - SLOT - 2, ROW - 2, "cell"),
                          words(f"{row}t", SLOT + 2, base, "", "small", PENDING - SLOT - 12)], "data"),
        words(f"{row}p", PENDING, base, "", "small", 58),
        words(f"{row}q", QUEUE + GUEST_BUFFERS * CELL + 6, base, "", "small title"),
        words(f"{row}f", FLAGS + 8, base, "", "small"),
        words(f"{row}r", RAISED + 12, base, "", "small title"),
    ]  # fmt: skip
    bind: list[Element] = [
        ["text", f"{row}v", key(f"vec{sint}"), "hex"],
        ["text", f"{row}m", key(f"mode{sint}"), "enum:modes"],
        ["text", f"{row}t", key(f"slot{sint}"), "enum:slots"],
        ["lit", f"{row}s", key(f"slot{sint}")],
        ["changed", f"{row}s", key(f"slot{sint}")],
        ["say", f"{row}p", {"fact": key(f"pend{sint}"), "cases": {"0": "0"}, "else": _("1: more")}],
        ["text", f"{row}q", key(f"wait{sint}"), "dec"],
        ["text", f"{row}f", key(f"set{sint}"), "dec"],
        ["text", f"{row}r", key(f"rose{sint}"), "dec"],
    ]
    wide = CELL * GUEST_BUFFERS
    layer.append(box("", QUEUE, y + 2, wide, ROW - 4, "plain"))
    layer += [faint(x, y + 2, x, y + ROW - 2) for x in range(QUEUE + CELL, QUEUE + wide, CELL)]
    fill = group(f"{row}w", [box(f"{row}bar", QUEUE, y + 4, 0, ROW - 8, "box")], "data")
    layer.append(fill)
    bind += [["attr", f"{row}bar", "width", key(f"wait{sint}"), CELL, 0], ["show", f"{row}w", key(f"wait{sint}")]]
    bind.append(["lit", f"{row}w", key(f"wait{sint}")])
    return layer, bind


def _routine(scope: Scope) -> tuple[list[Element], list[Element]]:
    """The steps of the routine that empties the slot, in the order that loses nothing, and when each of them came."""
    key = scope.key
    layer: list[Element] = [words("", LEFT, BELOW + 12, _("The routine at the slot: the order that loses nothing"),
                                  "small title", 440)]  # fmt: skip
    bind: list[Element] = []
    for k, text in enumerate(STEP_TEXTS):
        x, y, id, wide = LEFT + sum(STEP_WIDE[:k]) + 2 * k, BELOW + 20, f"step{k}", STEP_WIDE[k]
        content = [
            box(f"{id}b", x, y, wide, STEP_HIGH, "box"),
            words("", x + wide / 2, y + 18, _(text), "small middle", wide - 6),
            words(f"{id}n", x + wide / 2, y + 36, "", "small title middle", wide - 6),
        ]
        layer.append(group(id, content, "signal"))
        came = _("came {order}.").replace("{order}", f"{{{key(f'o{k}')}}}")
        bind += [
            ["say", f"{id}n", {"fact": key(f"o{k}"), "cases": {"0": _("not yet")}, "else": came}],
            ["lit", id, key("step"), [k + 1]],
        ]
    layer.append(words("tally", LEFT, BELOW + 84, "", "small", 460))
    layer.append(words("tally2", LEFT, BELOW + 104, "", "small soft", 460))
    first = _("Posts accepted {accepted} of {posts}; messages taken {taken}; EOM written {eoms}.")
    second = _("Interrupts raised {interrupts}, withheld {withheld}; signals {signals}.")
    bind += [["say", "tally", first], ["say", "tally2", second]]
    return layer, bind


def _timers(scope: Scope) -> tuple[list[Element], list[Element]]:
    """The four timers; times in units of 100 ns."""
    layer: list[Element] = [
        words("", TIMERS_AT, BELOW + 12, _("Synthetic timers (times in 100 ns)"), "small title", 314)
    ]
    bind: list[Element] = []
    for k in range(TIMERS):
        y, id = BELOW + 32 + 18 * k, f"timer{k}"
        layer.append(group(f"{id}g", [words(id, TIMERS_AT, y, "", "small", 314)], "signal"))
        names = {name: scope.key(f"t{k}{name}") for name in ("due", "sint", "n", "skip")}
        off = _("{k}: off; expired {n} times").replace("{k}", str(k))
        once = _("{k}: once, due {due}, SINT {sint}; expired {n}").replace("{k}", str(k))
        again = _("{k}: periodic, due {due}; expired {n}, skipped {skip}").replace("{k}", str(k))
        for name, fact in names.items():
            off, once, again = (text.replace(f"{{{name}}}", f"{{{fact}}}") for text in (off, once, again))
        bind.append(["say", id, {"fact": scope.key(f"t{k}on"), "cases": {"0": off, "1": once}, "else": again}])
        bind.append(["changed", f"{id}g", scope.key(f"t{k}n")])
    return layer, bind


def _alt(scope: Scope) -> str:
    """The picture in words."""
    parts = []
    for sint in scope.sints:
        told = _(
            "SINT {n}: vector {vec}, {mode}; slot {slot}, pending {pend}, {wait} wait, {set} flags, {rose} raised."
        )
        told = told.replace("{n}", str(sint))
        kinds = {"vec": "hex", "mode": "enum:modes", "slot": "enum:slots"}
        for name in ("vec", "mode", "slot", "pend", "wait", "set", "rose"):
            fact = scope.key(f"{name}{sint}")
            told = told.replace(f"{{{name}}}", f"{{{fact}:{kinds.get(name, 'dec')}}}")
        parts.append(told)
    return " ".join(parts)


# the flags of one source as a strip ----------------------------------------------------------------------------------


def strip(scope: Scope, sint: int) -> Drawn:
    """Return the picture of the 2,048 flags of a source: 64 a row, as the words of the page have them."""
    layer: list[Element] = [
        words("", LEFT, 18, _("Event flags of SINT {sint}, VP {vp}: one bit each, of 2,048").format(
            sint=sint, vp=scope.vp), "label title", WIDTH - 8),
        words("now", LEFT, 38, "", "label", WIDTH - 8),
    ]  # fmt: skip
    wide, high = ACROSS * FLAG_WIDE, 2048 // ACROSS * FLAG_HIGH
    right, bottom = FLAGS_LEFT + wide, FLAGS_TOP + high
    layer.append(box("", FLAGS_LEFT, FLAGS_TOP, wide, high, "plain"))
    layer += [faint(x, FLAGS_TOP, x, bottom) for x in range(FLAGS_LEFT + 8 * FLAG_WIDE, right, 8 * FLAG_WIDE)]
    layer += [faint(FLAGS_LEFT, y, right, y) for y in range(FLAGS_TOP + FLAG_HIGH, bottom, FLAG_HIGH)]
    for row in range(0, 2048 // ACROSS, 4):
        y = FLAGS_TOP + FLAG_HIGH * row + 11
        layer.append(words("", FLAGS_LEFT - 6, y, f"{row * ACROSS}", "small code soft end"))
    bind: list[Element] = [["say", "now", _("Set now: {flags}.").replace("{flags}", _flags_of(scope, sint))]]
    for at, flag in scope.flags:
        if at != sint:
            continue
        x, y = FLAGS_LEFT + FLAG_WIDE * (flag % ACROSS), FLAGS_TOP + FLAG_HIGH * (flag // ACROSS)
        id, fact = f"flag{flag}", scope.key(f"f{sint}_{flag}")
        layer.append(group(id, [box(f"{id}b", x + 1, y + 1, FLAG_WIDE - 2, FLAG_HIGH - 2, "box")], "signal"))
        bind += [["show", id, fact], ["lit", id, fact]]
    alt = _("Flags of SINT {sint} that are set: {flags}.").replace("{sint}", str(sint))
    alt = alt.replace("{flags}", _flags_of(scope, sint))
    foot = _("Flag n is bit n % 64 of word n / 64. Counted from 0, the lowest bit stands at the left here.")
    layer.append(words("", FLAGS_LEFT, FLAGS_TOP + high + 18, foot, "small soft", wide))
    name = _("Flags of SINT {sint}").format(sint=sint)
    title = _("The event flags of SINT {sint}").format(sint=sint)
    return Drawn(Picture(name, title, WIDTH, FLAGS_TOP + high + 28, layer, bind, alt), [], [])


def _flags_of(scope: Scope, sint: int) -> str:
    return f"{{{scope.key(f'flags{sint}')}:enum:flag_sets}}"
