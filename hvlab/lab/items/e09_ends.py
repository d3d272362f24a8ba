"""Lesson 09, E3: both ends of a ring, in a thousand hidden worlds with another end that is right, or that lies."""

from collections.abc import Callable
from typing import Any, Final

from hvlab.lab.answer import Listed, Number, Plain, record
from hvlab.lab.ends import HEAD, Ends
from hvlab.lab.exercise import Construct, Meter, Spent, Wrong
from hvlab.lab.rings import World, image, play
from hvlab.lab.seed import Draw
from hvlab.language import N_, _
from hvlab.story.storyboard import Storyboard
from hvlab.wire.ring import TRAILER, UNIT, PacketDescriptor, PacketType

SIZES: Final = (96, 128, 200, 256)
LATEST: Final = 60  # steps after which the other end acts at the latest
BUDGET: Final = 600  # steps of a case; the lab's own pair takes about a hundred
LONGEST: Final = 40  # bytes of a packet


def hidden(draw: Draw, k: int) -> World:
    """Draw hidden world k: of ten, four for the sender, three for the receiver, three in which the other end lies."""
    size = draw.pick(SIZES)
    role = "send" if k % 2 == 0 else "recv"
    if k % 10 >= 7:
        world = lying(draw, role, size)
        while by(TrustsLengths)(world) is None:  # an idea that goes round and round here could not be named
            world = lying(draw, role, size)
        return world
    packets = tuple((draw.bits(48), some(draw, 1, LONGEST)) for _ in range(draw.between(3, 9)))
    acts = read_acts(draw) if role == "send" else write_acts(draw, len(packets))
    return World(role, size, UNIT * draw.below(size // UNIT), packets, acts)


def some(draw: Draw, low: int, high: int) -> bytes:
    """Draw some bytes."""
    return bytes(draw.below(256) for _ in range(draw.between(low, high)))


def read_acts(draw: Draw) -> tuple[tuple[int, str, int], ...]:
    """Draw what a reader does while the sender sends: it sleeps, or is awake, takes, unmasks and looks again."""
    at, acts = 0, list[tuple[int, str, int]]()
    for _turn in range(draw.below(3)):
        at += draw.below(LATEST // 2)
        acts.append((at, "mask", 0))
        for _take in range(draw.below(3)):
            at += draw.below(LATEST // 4)
            acts.append((at, "take", draw.between(1, 4)))
        at += draw.below(LATEST // 2)
        acts.append((at, "unmask", 0))
        at += draw.between(0, 6)
        acts.append((at, "look", 0))
    return tuple(acts)


def write_acts(draw: Draw, count: int) -> tuple[tuple[int, str, int], ...]:
    """Draw when a writer writes how many of its packets."""
    at, acts, left = 0, list[tuple[int, str, int]](), count
    while left:
        part = draw.between(1, min(left, 2))
        acts.append((at, "write", part))
        at += draw.below(draw.pick((12, 12, LATEST)))
        left -= part
    return tuple(acts)


def lying(draw: Draw, role: str, size: int) -> World:
    """Draw a world in which the other end writes what cannot be, or changes what was read."""
    start, bad = UNIT * draw.below(size // UNIT - 2), bad_index(draw, size)  # the first descriptor lies in one piece
    if role == "send":
        return World(role, size, start, ((draw.bits(48), some(draw, 1, 16)),), (), ("read_index", bad))
    packets = tuple((draw.bits(48), some(draw, 1, 16)) for _ in range(draw.between(1, 2)))
    room = size - sum(len(image(*one, 0)) for one in packets) - UNIT
    what = draw.pick(("write_index", "head", "head", "later"))
    if what == "head" and room < HEAD + TRAILER:
        what = "later"
    value = {"write_index": lambda: bad, "head": lambda: bad_head(draw, room), "later": lambda: size // UNIT}[what]()
    return World(role, size, start, packets, (), (what, value))


def bad_index(draw: Draw, size: int) -> int:
    """Draw an index that no honest end writes."""
    return draw.pick(
        (size, size + UNIT * draw.below(99), draw.below(size // UNIT) * UNIT + draw.between(1, 7), 0xFFFFFFF8)
    )


def bad_head(draw: Draw, room: int) -> bytes:
    """Draw a descriptor that cannot be true, with what stands behind it, in so many bytes."""
    there = HEAD + TRAILER + UNIT * draw.below((room - HEAD - TRAILER) // UNIT + 1)
    most = (there - TRAILER) // UNIT
    offset8, length8 = draw.pick(
        ((0, 2), (1, most), (2, 1), (most + 1, most), (2, most + 1), (2, most + 1), (2, most + 2), (2, 0xFFFF))
    )
    head = PacketDescriptor.encode(
        type=PacketType.IN_BAND, offset8=offset8, length8=length8, transaction_id=draw.bits(32)
    )
    return head + some(draw, there - HEAD, there - HEAD)


def judged(world: World, end: Callable[..., Any], meter: Meter) -> Plain:
    """Play a world with a function: (arrived, asleep, needless, refused, write index, read index, pending)."""
    out, shared = play(world, (end, lambda ring: end(ring, None, 0)), meter)
    words = shared.words
    last = words["write_index"], words["read_index"], words["pending"]
    return tuple(out.arrived), out.asleep, out.needless, out.refused, *last


def by(kind: type[Ends]) -> Callable[[World], Plain]:
    """Return what a pair of the lab comes to."""

    def answer(world: World) -> Plain:
        one = kind()
        try:
            return judged(world, one.end, Meter(BUDGET))
        except Spent:  # it goes round and round
            return None

    return answer


# wrong pairs: one rule each is another -------------------------------------------------------------------------------


class FullIsEqual(Ends):
    """A packet may fill the ring."""

    def fits(self, available: int, needed: int) -> bool:
        return available >= needed


class CountsTheTrailer(Ends):
    """The descriptor's length has the trailer in it."""

    def length(self, padded: int) -> int:
        return HEAD + padded + TRAILER


class AlwaysRings(Ends):
    """Each write is signalled."""

    def must_ring(self, mask: int, read_index: int, old: int, new: int) -> bool:
        return True


class IgnoresTheMask(Ends):
    """An empty ring is signalled, whatever the reader wants."""

    def must_ring(self, mask: int, read_index: int, old: int, new: int) -> bool:
        return read_index == old


class ComparesTheNew(Ends):
    """The read index is compared with what the write index is now."""

    def must_ring(self, mask: int, read_index: int, old: int, new: int) -> bool:
        return not mask and read_index == new


class UnmasksAndSleeps(Ends):
    """No look after the mask is 0."""

    def looks_again_for_packets(self) -> bool:
        return False


class WaitsAtOnce(Ends):
    """No look after the pending size is written."""

    def looks_again_for_room(self) -> bool:
        return False


class TellsAllRoom(Ends):
    """Each read is signalled while the writer waits."""

    def makes_room(self, before: int, after: int, pending: int) -> bool:
        return True


class TrustsLengths(Ends):
    """What a descriptor says is taken as it is, as far as there is something."""

    def sound(self, offset: int, length: int, there: int) -> bool:
        return HEAD <= offset <= length <= there


HELD: Final[dict[str, type[Ends]]] = {
    "full-is-equal": FullIsEqual,
    "length-counts-the-trailer": CountsTheTrailer,
    "signal-every-write": AlwaysRings,
    "mask-is-ignored": IgnoresTheMask,
    "compare-new-write-index": ComparesTheNew,
    "unmask-and-sleep": UnmasksAndSleeps,
    "wait-without-a-look": WaitsAtOnce,
    "tell-all-room": TellsAllRoom,
    "trailer-is-not-there": TrustsLengths,
}
SAYS: Final = {
    "full-is-equal": (N_("equal indices say that a ring is empty, so at least eight bytes stay free."), "ring-free"),
    "length-counts-the-trailer": (
        N_("length8 counts descriptor and data; the trailer stands behind what it counts."),
        "ring-packet",
    ),
    "signal-every-write": (N_("a reader that is awake, or was rung already, needs no signal."), "ring-signal"),
    "mask-is-ignored": (N_("a mask of 1 says that the reader is awake and looks by itself."), "ring-signal"),
    "compare-new-write-index": (
        N_("the read index is compared with the write index before this write: equal means the ring was empty."),
        "ring-signal",
    ),
    "unmask-and-sleep": (
        N_("what came while the mask was 1 rang nobody: after the mask is 0 the reader looks once more."),
        "ring-mask",
    ),
    "wait-without-a-look": (
        N_("the reader may have made room before it could see what is waited for: look once more, then wait."),
        "ring-pending",
    ),
    "tell-all-room": (
        N_("the writer is told by the one read that makes its room, not before and not again."),
        "ring-pending",
    ),
    "trailer-is-not-there": (
        N_("the eight bytes of the trailer have to lie inside what is there, too."),
        "ring-hostile",
    ),
}


def ask() -> str:
    """Say the task."""
    return _(
        "Write end(ring, data, transaction), both ends of a ring. With data it sends: one in-band packet, of type 6, "
        "offset8 2, length8, flags 0 (2 bytes each), transaction (8), data padded with 0, and the trailer (4 bytes of "
        "0, 4 of the write index before); it returns whether there was room. With data None it receives: it takes "
        "packets until the ring is empty, and returns them as (transaction, data), padding and all.\n"
        "ring.load(word) and ring.store(word, value) use write_index, read_index, mask and pending; "
        "ring.read(at, count) and ring.write(at, data) the data, which end at ring.size and wrap by your hand; "
        "ring.signal() rings the other end, which acts between any two of these calls.\n"
        "Without room a sender leaves in pending how many bytes its packet takes, trailer included, and returns False; "
        "else pending is 0. A receiver sets mask to 1 while it is awake, publishes the read index after each packet, "
        "and signals if this made the room that pending asks for. What cannot be (an index, a descriptor): "
        "ring.refuse(), return, leave the rest. Nothing may be lost, nobody sleep for ever. check('09.E3', end)."
    )


def tell_case(world: World) -> str:
    """Say what a case is about."""
    sizes = ", ".join(str(len(data)) for _transaction, data in world.packets)
    said = _("{role} on a ring of {size} bytes, indices {start:#x}, packets of {sizes} bytes").format(
        role=world.role, size=world.size, start=world.start, sizes=sizes
    )
    if world.lie:
        value = world.lie[1][:HEAD].hex(" ") if isinstance(world.lie[1], bytes) else f"{world.lie[1]:#x}"
        return _("{said}; a lie: {what} {value}.").format(said=said, what=world.lie[0], value=value)
    acts = ", ".join(f"{at}: {what} {count}" if count else f"{at}: {what}" for at, what, count in world.acts)
    return _("{said}; meanwhile {acts}.").format(said=said, acts=acts or _("nothing"))


def tested(worlds: list[World]) -> str:
    """Say what was tested."""
    lies = sum(world.lie is not None for world in worlds)
    told = _(
        "{count} worlds, {lies} in which the other end lies; not tested: reordering, a peer that writes your index"
    )
    return told.format(count=f"{len(worlds):,}", lies=lies)


def steps() -> list[str]:
    """Return where such a pair stands that can be read."""
    return [
        _("The lab's own pair is there to be read: source('lab.ends.Ends'). send: load both indices; without room"),
        _("write pending and look again; fill, publish the write index, look at mask and read index, ring if due."),
        _("recv: mask, take one by one (copy out, judge, publish, look at pending), unmask, look once more."),
    ]


def story(world: World) -> Storyboard:
    """Return a case as the lab's own pair has it, told by the engine's events."""
    from hvlab.lab.ring_story import told

    return told(world)


E3: Final = Construct(
    id="09.E3",
    version=1,
    shape=record(
        arrived=Listed(Number(), one="packet"),
        asleep=Number(),
        needless_signals=Number(),
        refused=Number(),
        write_index=Number(),
        read_index=Number(),
        pending=Number(),
    ),
    make=hidden,
    ask=ask,
    truth=by(Ends),
    call=lambda function, world, meter: judged(world, function, meter),
    tell=tell_case,
    story=story,
    tested=tested,
    steps=steps,
    budget=BUDGET,
    hints=(
        N_(
            "Phases *publish* and *ring*: what must be in the ring before the index moves, and what is looked at after?"
        ),
        N_("Sub-goal: pad, length8 and the wrap first; then, after each store, ask what the other end may have done."),
    ),
    wrong=tuple(Wrong(name, *SAYS[name], by(kind)) for name, kind in HELD.items()),
)
