"""Lesson 07, E1: a script of posts, of a receiver that frees its slot, and of EOM; the bytes of the slot at its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hvlab.hypervisor import synic_ops
from hvlab.lab.interleavings import bench
from hvlab.lab.letters import MESSAGES, OTHER, SINT, Bench
from hvlab.lab.seed import Draw
from hvlab.lab.tell import lines_of
from hvlab.language import _
from hvlab.story.storyboard import Storyboard
from hvlab.story.synic import SynicLens
from hvlab.trace.journal import Trace
from hvlab.wire.synic import SynicMessage
from hvlab.wire.tlfs import MessageHeader

SLOT: Final = 256
ROOM: Final = 32  # bytes of a payload's place in the sender's page


@dataclass(frozen=True)
class Act:
    """One line of a script: ``post`` with its connection, type and payload, ``free``, or ``eom``."""

    what: str
    connection: int = 0
    kind: int = 0
    payload: bytes = b""


@dataclass(frozen=True)
class Script:
    """A world of E1."""

    acts: tuple[Act, ...]

    @property
    def trace(self) -> Trace:
        """Its run."""
        return run(self)[1]

    @property
    def slot(self) -> bytes:
        """The 256 bytes at its end, by the engine."""
        return run(self)[0]


def drawn(draw: Draw) -> Script:
    """Draw a script in which messages wait while the slot is freed; a later post brings one; the last is left."""

    def post(connection: int, low: int = 1) -> Act:
        size = draw.between(low, ROOM - 8)
        return Act("post", connection, draw.between(1, 0x7FFF_FFFF), bytes(draw.below(256) for _ in range(size)))

    middle = [post(MESSAGES), post(OTHER), *(post(draw.pick((MESSAGES, OTHER))) for _ in range(draw.below(2)))]
    acts = [post(MESSAGES, 17), *draw.shuffled(middle), Act("free"), post(MESSAGES)]
    if draw.chance(1, 2):
        acts += [post(MESSAGES), Act("free"), Act("eom")]
    acts.append(Act("free"))
    if draw.chance(1, 3):
        acts.append(post(OTHER))
    return Script(tuple(acts))


@lru_cache(maxsize=256)
def run(script: Script) -> tuple[bytes, Trace]:
    """Let the engine do it: the slot at the end, and the trace."""
    on = bench()
    on.put_back()
    desk = on.desk()
    with on.recorded() as traces:
        for k, act in enumerate(script.acts):
            if act.what == "post":
                on.hv.memory.write(on.page + ROOM * k, act.payload.ljust(ROOM, b"\0"))
                words = act.connection, act.kind, len(act.payload), on.page + ROOM * k
                on.op(int(synic_ops.POST), on.sender, *words)
                continue
            with on.hv.action(on.receiver):
                desk.free() if act.what == "free" else desk.eom()
    return slot_of(on), traces[0]


def slot_of(on: Bench) -> bytes:
    """Return the bytes of the receiver's slot."""
    spn = int(on.hv.state["synic"][0, on.receiver]["message_spn"])
    return on.hv.memory.read((spn << 12) + SLOT * SINT, SLOT)


def story(script: Script) -> Storyboard:
    """Return its run as a story."""
    return SynicLens("event", before=bench().before).story(script.trace)


def lines(script: Script) -> list[str]:
    """Return the worked run as lines, and what the slot then holds."""
    header = MessageHeader.decode(script.slot)
    told = _("The slot then begins with type {kind:#x}, {size} bytes, flags {flags}, sender {sender:#x}.")
    words = {"kind": header.type, "size": header.payload_size, "flags": header.flags, "sender": header.sender}
    return [*lines_of(story(script)), told.format(**words)]


def sentences(acts: Sequence[Act]) -> str:
    """Return a script as numbered lines."""
    said = {
        "free": _("web sets the type in its slot of SINT 2 to 0 (four bytes) and does nothing else."),
        "eom": _("web writes EOM."),
    }
    post = _("db posts through connection {connection} ({sint}): type {kind:#x}, {size} bytes: {payload}.")
    found = []
    for k, act in enumerate(acts, 1):
        sint = "SINT 2" if act.connection == MESSAGES else "SINT 3"
        words = {"connection": act.connection, "sint": sint, "kind": act.kind, "size": len(act.payload)}
        text = said.get(act.what) or post.format(**words, payload=act.payload.hex(" "))
        found.append(f"{k}. {text}")
    return "\n".join(found)


# the same script in a machine that works as an idea has it ------------------------------------------------------------


def believed(script: Script, idea: str) -> bytes:
    """Return the slot as somebody has it who holds an idea: one of the names in `e07`."""
    slot, queue = bytearray(SLOT), list[Act]()

    def fill(act: Act) -> None:
        if idea == "slot-is-wiped":
            slot[:] = bytes(SLOT)
        header = MessageHeader.encode(type=act.kind, payload_size=len(act.payload), flags=int(bool(queue)),
                                      sender=act.connection)  # fmt: skip
        slot[: len(header) + len(act.payload)] = header + act.payload

    def deliver() -> None:
        if queue and not any(slot[:4]):
            fill(queue.pop(0))
        elif queue:
            slot[5] |= 1

    for act in script.acts:
        mine = act.connection == MESSAGES or idea == "sint-msrs-are-one"
        if act.what == "post" and mine:
            if idea == "message-is-shared-memory":
                fill(act)
                continue
            empty = not queue
            queue.append(act)
            if empty or idea != "eom-is-always-needed" or any(slot[:4]):
                deliver()
        elif act.what == "free":
            slot[:4] = bytes(4)
            if idea == "free-is-enough":
                deliver()
        elif act.what == "eom":
            deliver()
    return bytes(slot)


assert SynicMessage.size == SLOT
