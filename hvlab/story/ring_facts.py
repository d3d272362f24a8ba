"""What is told of a ring at each moment: its facts, where marks stand on its dial, the words for a signal."""

from math import cos, pi, sin
from typing import Final

from hvlab.language import N_, _
from hvlab.story.frame import Fact
from hvlab.story.ring_state import COPIED, FOUND, PUBLISHED, READ, TRIGGER, Ring
from hvlab.trace.words import told
from hvlab.wire.ring import GAP, PacketDescriptor

CENTRE, MIDDLE, OUTER, INNER = 98, 132, 66, 48  # of the dial
READ_AT, WRITE_AT, WAIT_AT = 32, 82, 14  # radii of the marks
MOST_PARTS: Final = 32
MOST_BLOCKS: Final = 40  # packets of a ring that the strip draws
PHASES: Final = {
    0: N_("its room is free again"),
    COPIED: N_("copied, not yet published"),
    PUBLISHED: N_("published"),
    READ: N_("read, its room not yet given back"),
}
BELLS: Final = {  # why a signal is made or saved: the inputs, and what follows
    0: ("", N_("no decision about a signal yet")),
    1: (N_("mask {a}, but read index {b:hex} is not the old write index {c:hex}"),
        N_("no signal: the reader is awake")),
    2: (N_("mask {a}: nothing else is looked at"), N_("no signal: the reader has masked it")),
    3: (N_("mask {a}, and read index {b:hex} = old write index {c:hex}"), N_("signal: the ring was empty")),
    4: (N_("pending {c}"), N_("no signal about room: nobody waits")),
    5: (N_("free {b}, {c} are waited for"), N_("no signal about room: not enough yet")),
    6: (N_("free before {a}, {c} are waited for"), N_("no signal about room: there was room before")),
    7: (N_("free {a} before, {b} now; {c} are waited for"), N_("signal: now there is room")),
    8: (N_("mask {a}, read index {b:hex}, old write index {c:hex}"), N_("signal: this rule signals always")),
    9: (N_("feature bit 0 is not set"), N_("no signal about room: the writer cannot wait")),
    TRIGGER: (N_("trigger {a} set in the monitor page; it may wait {b:time}"),
              N_("no hypercall: the hypervisor looks later")),
    FOUND: (N_("trigger {a} found set after {b:time}"), N_("signal: the hypervisor looked at the page")),
}  # fmt: skip


def ring_words() -> dict[str, dict[int, str]]:
    """Return the words of these pictures' facts."""
    refused = _("Refused: {why}.")
    return {
        "packet_phase": {phase: _(text) for phase, text in PHASES.items()},
        "bell_said": {why: _(text[1]) for why, text in BELLS.items()},
        "refusal": {why: refused.format(why=text) if why else "" for why, text in told("verdict").items()},
    }


def key_of(one: Ring) -> str:
    """Return how the names of a ring's facts begin."""
    return f"k{one.channel}r{one.ring}_"


def parts_of(size: int) -> int:
    """Return in how many parts a dial is drawn: one for each 8 bytes of a short ring."""
    return max(1, min(MOST_PARTS, size // GAP))


def moment(one: Ring) -> dict[str, int]:
    """The facts of a ring at one moment, without its key."""
    found = {
        "there": 2 if one.gone else int(one.size > 0),
        "w": one.write,
        "r": one.read,
        "mask": min(one.mask, 1),
        "wait": one.pending,
    }
    lies = {"wlies": int(one.lies(one.write)), "rlies": int(one.lies(one.read))}
    sound = not any(lies.values())
    found |= {**lies, "used": one.used if sound else 0, "free": one.free if sound else 0, "sound": int(sound)}
    found |= {**one.counts, "why": one.why, "verdict": one.verdict, "wrong": one.wrong}
    found |= dict(zip("abc", one.inputs, strict=True))
    now = one.now
    found |= {"p": now.number if now else 0, "pat": now.at if now else 0, "pphase": now.phase if now else 0}
    found |= {"plen": now.length - PacketDescriptor.size if now else 0, "pkind": now.kind if now else 0}
    found["ptid"] = now.transaction if now else 0
    size = one.size or 1
    for name, index, radius in (("w", one.write, WRITE_AT), ("r", one.read, READ_AT),
                                ("p", one.write + one.pending + GAP, WAIT_AT),
                                ("g", one.read - GAP // 2, (OUTER + INNER) // 2)):  # fmt: skip
        x, y = spot(index % size / size, radius)
        found |= {f"{name}x": round(x), f"{name}y": round(y)}
    found |= {f"s{at}": state for at, state in enumerate(cover(one))}
    return found | {f"b{packet.number}": packet.phase for packet in one.packets if packet.number <= MOST_BLOCKS}


def spot(share: float, radius: float) -> tuple[float, float]:
    """A place on the dial: share of the way round, clockwise from the top."""
    turn = 2 * pi * share
    return CENTRE + radius * sin(turn), MIDDLE - radius * cos(turn)


def cover(one: Ring) -> list[int]:
    """What each part of the dial holds: 0 nothing, else `COPIED`, `PUBLISHED` or `READ`."""
    count = parts_of(one.size)
    found = [0] * count
    if not one.size or one.lies(one.write) or one.lies(one.read):
        return found
    spans = [(one.read, one.used, PUBLISHED)]
    spans += [(packet.at, packet.whole, packet.phase) for packet in one.live()]
    spans.sort(key=lambda span: span[2] != COPIED)  # what is only copied hides nothing
    for begin, length, phase in spans:
        if length > 0:
            first, last = begin * count // one.size, (begin + length - 1) * count // one.size
            for at in range(first, last + 1):
                found[at % count] = phase
    return found


def facts_of(one: Ring) -> list[Fact]:
    """The declarations of a ring's facts; those of the state table have a label."""
    key, way = key_of(one), told("ring")[one.ring]
    shown = (
        ("r", N_("{way} {channel}: read index"), "hex"),
        ("w", N_("{way} {channel}: write index"), "hex"),
        ("used", N_("{way} {channel}: bytes used"), "dec"),
        ("mask", N_("{way} {channel}: mask"), "dec"),
        ("wait", N_("{way} {channel}: pending size"), "dec"),
        ("signals", N_("{way} {channel}: signals"), "dec"),
        ("saved", N_("{way} {channel}: signals saved"), "dec"),
    )
    found = [Fact(key + name, _(label).format(channel=one.channel, way=way), kind, True) for name, label, kind in shown]
    kinds = {"verdict": "enum:verdict", "wrong": "hex", "pat": "hex", "pkind": "enum:packet", "ptid": "hex"}
    names = [
        *("there", "win", "rin", "pin", "wlies", "rlies", "free", "sound", "writes", "reads", "refused"),
        *("why", "verdict", "wrong", "a", "b", "c", "p", "pat", "pphase", "plen", "pkind", "ptid"),
    ]
    names += [f"{mark}{axis}" for mark in "wrpg" for axis in "xy"]
    names += [f"s{at}" for at in range(parts_of(one.size))]
    names += [f"b{packet.number}" for packet in one.packets if packet.number <= MOST_BLOCKS]
    return found + [Fact(key + name, kind=kinds.get(name, "dec")) for name in names]


def put(text: str, one: Ring) -> str:
    """Put a ring's facts into a sentence: ``{used}`` becomes the fact of this ring."""
    return text.replace("{", f"{{{key_of(one)}")
