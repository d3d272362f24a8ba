"""Hostile peers: each field of each message may lie, in any order, on either side; nothing breaks and nothing hangs."""

import random

import pytest

from hvlab.errors import BadRequest
from hvlab.vmbus.gpadl import messages
from hvlab.vmbus.invariants import check_bus
from hvlab.vmbus.offer import device
from hvlab.vmbus.ring import Verdict
from hvlab.vmbus.states import Connection, State
from hvlab.wire import vmbus
from vmbus.world import World

NUMBERS = [0, 1, 2, 3, 7, 0xFF, 0xE1E10, 0xE1E11, 2047, 2048, 4095, 4096, 0xFFFE, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 63]
# what a field may well be, so that a lie gets further than the first check
NEAR = {
    "version": [one.value for one in vmbus.VERSIONS],
    "target_sint": [2, 2, 3],
    "channel_id": [1, 1, 2, 2, 3, 4],
    "gpadl_id": [0xE1E10 + k for k in range(4)] + [0x77],
    "target_vp": [0, 0, 1, vmbus.NO_VP],
    "downstream_offset": [2, 2, 3, 4],
    "status": [0, 0x8000FFFF],
    "supported": [0, 1],
    "connection_state": [0, 2],
}
LINES = ("connect", "offers", "open", "close", "share", "unload", "offer", "rescind", "modify", "send")


def lie(luck, kind):
    """Return a message of a kind with fields that lie."""
    fields = {}
    for one in kind.fields:
        if one.raw:
            fields[one.name] = luck.randbytes(one.count)
        else:
            fields[one.name] = min(luck.choice([*NUMBERS, luck.getrandbits(8 * one.size)]), one.limit - 1)
            if one.name in NEAR and luck.random() < 0.8:
                fields[one.name] = luck.choice(NEAR[one.name])
    tail = luck.randbytes(8 * luck.randrange(0, 5)) if luck.random() < 0.3 else b""
    return vmbus.pack(kind, tail, **fields)


def mangle(luck, data):
    """Return bytes that are almost a message."""
    data = bytearray(data)
    what = luck.randrange(4)
    if what == 0:
        del data[luck.randrange(len(data)) :]
    elif what == 1 and data:
        data[luck.randrange(len(data))] ^= 1 << luck.randrange(8)
    elif what == 2:
        data = bytearray(luck.randbytes(luck.randrange(0, 241)))
    else:
        data = data.ljust(240, b"\xff")[:240]
    return bytes(data)


def some(luck, sender):
    kinds = [form for forms in vmbus.FORMS.values() for form in forms if luck.random() < 0.1 or form.sender == sender]
    rare = [form for form in kinds if form.number not in (14, 15, 16, 17)]
    return luck.choice(kinds if luck.random() < 0.1 else rare)


def guest_says(world, luck):
    """Let the guest post something that its driver would not."""
    data = lie(luck, some(luck, vmbus.CHILD))
    if luck.random() < 0.3:
        pfns = [luck.choice([20, 30, 100, 250, 255, 256, 1 << 40]) for _ in range(luck.randrange(1, 60))]
        data = luck.choice(messages(luck.randrange(4), luck.choice(NUMBERS[:8]), pfns))
    data = mangle(luck, data) if luck.random() < 0.3 else data
    world.kernel.boxes[0].post(luck.choice([1, 1, 4, 4, vmbus.ConnectionId.REDIRECT, 2, 99]), data)


def host_says(world, luck):
    """Let the host post something that its driver would not."""
    data = lie(luck, some(luck, vmbus.ROOT))
    data = mangle(luck, data) if luck.random() < 0.3 else data
    box, ground = world.machine.vmbus.box, world.host.ground
    box.post(ground.target(0, vmbus.SINT), data)


def line(world, luck):
    """Let a driver do one of its own lines, if it can."""
    name = luck.choice(LINES) if luck.random() < 0.7 else luck.choice(("open", "share", "send"))
    if world.guest.state.connection != Connection.CONNECTED:
        world.guest.connect()
        world.guest.request_offers()
    known = sorted(world.guest.offers)
    number = luck.choice(known) if known else 0
    if name == "offer":
        if len(world.host.state.channels) < 5:
            world.host.offer(device("kbd", luck.randrange(1000)))
    elif name == "rescind":
        world.host.rescind(luck.choice([0, *world.host.state.channels]))
    elif name == "connect":
        world.guest.connect()
    elif name == "offers":
        world.guest.request_offers()
    elif name == "unload":
        world.guest.unload()
    elif known and name == "open" and world.guest.offers[number].state == State.OFFERED:
        world.guest.open(number, luck.choice([(2, 2), (3, 2)]))
    elif known and name == "close" and world.guest.offers[number].state == State.OPEN:
        world.guest.close(number)
    elif known and name == "share" and len(world.guest.state.frames) > 8:
        world.guest.create_gpadl(number, world.guest.frames(luck.randrange(1, 4)))
    elif known and name == "modify":
        world.guest.modify(number, luck.choice([0, 0, 1, 77]))
    elif name == "send" and number in world.guest.ends:
        world.guest.ends[number].send(b"x" * luck.randrange(200))


def play(world, luck, steps, *hostile):
    """Let hostile ends and drivers act in any order; look at everything after each step."""
    for step in range(steps):
        with world.machine.action():
            (luck.choice(hostile) if luck.random() < 0.6 else line)(world, luck)
            if luck.random() < 0.7:
                world.rest()
        found = world.breaches(world.machine.trace, host_says not in hostile)
        assert found == [], f"step {step}: " + "\n".join(found)
    with world.machine.action():
        world.rest()


@pytest.mark.parametrize("seed", range(12))
def test_a_hostile_guest_breaks_nothing_on_the_hosts_side(seed):
    world = World(version="6.0", features=0x2F, services=("00000400-facb-11e6-bd58-64006a7986d3",))
    play(world, random.Random(seed), 120, guest_says)

    world.begin()
    world.begun("scsi", "net")


@pytest.mark.parametrize("seed", range(8))
def test_a_hostile_host_breaks_nothing_on_the_guests_side(seed):
    world = World(version="6.0", features=0x2F)
    play(world, random.Random(100 + seed), 120, host_says)


@pytest.mark.parametrize("seed", range(4))
def test_both_ends_hostile_at_once(seed):
    world = World(version="6.0", features=0x2F, vps=2)
    play(world, random.Random(200 + seed), 150, guest_says, host_says)
    world.begin()
    world.begun("scsi", "net")


@pytest.mark.parametrize(
    "kind", [form for forms in vmbus.FORMS.values() for form in forms], ids=lambda kind: kind.__name__
)
def test_each_field_of_each_message_may_lie_after_a_handshake(kind):
    luck = random.Random(kind.__name__)
    for sender in (vmbus.CHILD, vmbus.ROOT):
        world = World(version="6.0", features=0x2F).begun("scsi")
        for _ in range(20):
            with world.machine.action():
                if sender == vmbus.CHILD:
                    world.kernel.boxes[0].post(vmbus.ConnectionId.REDIRECT, lie(luck, kind))
                else:
                    world.machine.vmbus.box.post(world.host.ground.target(0, 2), lie(luck, kind))
                world.rest()
            assert world.breaches(world.machine.trace, sender == vmbus.CHILD) == []
            told = world.machine.trace.kinds()
            assert "channel_message_taken" in told
            if kind.sender != sender:
                assert told.count("channel_message_refused") == 1


def test_a_message_from_the_wrong_end_is_refused_as_such():
    world = World().begun()
    world.say(vmbus.Rescind, channel_id=1)
    assert world.refusals() == ["wrong sender"]
    world.tell(vmbus.Unload)
    assert world.refusals(host=False) == ["wrong sender"]


@pytest.mark.parametrize(
    ("kind", "fields", "why"),
    [
        (vmbus.Offer, {"channel_id": 1}, "handle in use"),
        (vmbus.Offer, {"channel_id": 0}, "unknown channel"),
        (vmbus.Offer, {"channel_id": 2048}, "unknown channel"),
        (vmbus.Rescind, {"channel_id": 9}, "unknown channel"),
        (vmbus.OpenResult, {"channel_id": 1, "open_id": 1}, "not in this state"),
        (vmbus.OpenResult, {"channel_id": 77}, "unknown channel"),
        (vmbus.GpadlCreated, {"channel_id": 1, "gpadl_id": 0xE1E10}, "not in this state"),
        (vmbus.GpadlCreated, {"channel_id": 2, "gpadl_id": 0xE1E10}, "GPADL of another channel"),
        (vmbus.GpadlTorndown, {"gpadl_id": 0xE1E10}, "not in this state"),
        (vmbus.GpadlTorndown, {"gpadl_id": 1}, "unknown GPADL"),
        (vmbus.ModifyChannelResponse, {"channel_id": 1}, "not in this state"),
        (vmbus.AllOffers, {}, "not in this state"),
        (vmbus.VersionResponse, {"supported": 1}, "not in this state"),
        (vmbus.UnloadComplete, {}, "not in this state"),
    ],
)
def test_answers_that_nobody_asked_for_change_nothing_on_the_guests_side(kind, fields, why):
    world = World().begun("scsi")
    before = repr(world.guest.state.offers), repr(world.guest.state.gpadls), world.guest.state.version
    world.tell(kind, **fields)

    assert world.refusals(host=False) == [why]
    assert before == (repr(world.guest.state.offers), repr(world.guest.state.gpadls), world.guest.state.version)


def test_a_host_that_never_answers_leaves_a_guest_that_says_so():
    world = World()
    world.parties = [world.kernel.service]
    with world.machine.action():
        assert world.guest.connect() is None
        assert world.guest.unload() is False


def test_a_guest_that_never_reads_cannot_let_answers_pile_up_without_a_bound():
    world = World().begun()
    box, to = world.kernel.boxes[0], world.guest.state.post_to
    most = 0
    for _ in range(700):
        with world.machine.action():
            box.post(to, vmbus.pack(vmbus.ModifyChannel, channel_id=1))
            world.machine.vmbus.service()
        most = max(most, len(world.host.state.outbox))
    assert 500 <= most <= 512
    assert check_bus(world.machine) == []
    world.rest()
    assert len(world.host.state.outbox) == 0
    world.open("scsi")


def test_two_ends_that_answer_each_answer_without_end_are_stopped(monkeypatch):
    from hvlab.vmbus import pump

    monkeypatch.setattr(pump, "MOST_ROUNDS", 50)
    world = World().begun("scsi")
    world.host.answers["scsi"] = lambda end, packet: end.send(b"again")
    world.guest.drivers[world.guest.offers[1].interface] = lambda end, packet: end.send(b"again")
    with world.machine.action(), pytest.raises(BadRequest, match="without an end"):
        world.end().send(b"once")
        world.rest()
    world.host.answers.clear(), world.guest.drivers.clear()


def test_a_reader_with_linuxs_rules_that_a_lie_leads_past_the_writer_stops_after_what_a_ring_can_hold():
    world = World(policy="linux", lazy=True).begun("scsi")
    world.send(b"hello", "scsi")
    end = world.end("scsi", host=True)
    end.reader.window.write(4096 + 4, bytes([7]))  # length8: 56 bytes, and 32 are there

    assert len(end.receive()) == end.reader.size // 24 + 1
    assert end.verdict == Verdict.ENDLESS
