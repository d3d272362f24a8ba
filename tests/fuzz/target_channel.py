"""Channel messages between two ends of a VMBus: each input is a conversation in which either end may lie.

A conversation is a run of lines: one byte says who speaks and how, a second one how many bytes follow, then those.
"""

from collections.abc import Iterator
from functools import cache

from vmbus.world import World

from hvlab.errors import BadRequest
from hvlab.vmbus.gpadl import messages
from hvlab.wire import vmbus

ALLOWED = (BadRequest,)  # a line that a driver cannot do now
MODULES = (
    "hvlab.vmbus.guest",
    "hvlab.vmbus.guest_base",
    "hvlab.vmbus.host",
    "hvlab.vmbus.host_base",
    "hvlab.vmbus.host_pages",
    "hvlab.vmbus.gpadl",
    "hvlab.vmbus.endpoint",
    "hvlab.wire.vmbus",
)
WORDS = tuple(
    vmbus.ChannelHeader.encode(message_type=number).decode("latin-1") for number in (1, 3, 5, 6, 8, 9, 10, 11, 14, 22)
)
MOST_LINES = 12
GUEST, HOST, DRIVER = 0, 1, 2
DRIVER_LINES = ("connect", "offers", "open", "close", "share", "unload", "send", "rescind")


@cache
def bus():
    """The machine of all conversations; the two states in which they begin are kept."""
    world = World(version="6.0", features=0x2F, other="fuzz")
    world.begun("scsi")
    return world, world.machine.snapshot(), world.before


def line(who: int, data: bytes) -> bytes:
    """One line of a conversation."""
    return bytes((who, len(data))) + data


def seeds() -> Iterator[bytes]:
    talk = [
        vmbus.pack(vmbus.InitiateContact5, version=vmbus.V5_3, target_sint=2),
        vmbus.pack(vmbus.RequestOffers),
        *messages(1, 0x77, [20, 21, 22, 23]),
        vmbus.pack(vmbus.Open, channel_id=2, open_id=2, gpadl_id=0x77, downstream_offset=2),
        vmbus.pack(vmbus.ModifyChannel, channel_id=1, target_vp=0),
        vmbus.pack(vmbus.Close, channel_id=1),
        vmbus.pack(vmbus.GpadlTeardown, channel_id=1, gpadl_id=0xE1E10),
        vmbus.pack(vmbus.Unload),
    ]
    yield b"".join(line(GUEST, one) for one in talk)
    for one in talk:
        yield line(GUEST, one)
    for kind in (form for forms in vmbus.FORMS.values() for form in forms):
        yield line(HOST if kind.sender == vmbus.ROOT else GUEST, vmbus.pack(kind))
    yield b"".join(bytes((DRIVER, k)) for k in (2, 6, 4, 3, 5, 0, 1, 2))


def lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Take a conversation apart; of a driver's line the length is which one."""
    at = 0
    for _line in range(MOST_LINES):
        if at + 2 > len(data):
            return
        who, size = data[at] % 3, data[at + 1]
        at += 2
        if who == DRIVER:
            yield who, bytes((size,))
            continue
        size = min(size, vmbus.MAX_MESSAGE)
        yield who, data[at : at + size]
        at += size


def drive(world, which: int) -> None:
    """Let a driver do one of its own lines where it can."""
    name, guest = DRIVER_LINES[which % len(DRIVER_LINES)], world.guest
    known = sorted(guest.offers)
    if name == "rescind":
        world.host.rescind(1)
    elif name == "connect":
        guest.connect()
    elif name == "offers":
        guest.request_offers()
    elif name == "unload":
        guest.unload()
    elif known and name == "open" and guest.offers[known[0]].state == 1:
        guest.open(known[0], (2, 2))
    elif known and name == "close" and guest.offers[known[0]].state == 3:
        guest.close(known[0])
    elif known and name == "share" and len(guest.state.frames) > 8:
        guest.create_gpadl(known[0], guest.frames(2))
    elif name == "send" and guest.ends:
        next(iter(guest.ends.values())).send(b"fuzz")


def one(data: bytes) -> None:
    world, first, before = bus()
    world.machine.restore(first)
    world.before = before
    honest = True
    for who, said in lines(data):
        with world.machine.action():
            if who == DRIVER:
                drive(world, said[0])
            elif who == GUEST:
                world.kernel.boxes[0].post(vmbus.ConnectionId.REDIRECT, said)
            else:
                honest = False
                world.machine.vmbus.box.post(world.host.ground.target(0, vmbus.SINT), said)
            world.rest()
        found = world.breaches(world.machine.trace, honest)
        assert found == [], found
