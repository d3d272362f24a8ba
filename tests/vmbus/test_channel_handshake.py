"""The connection: which version two ends agree on, where messages go afterwards, and how it ends."""

import pytest

from hvlab.wire import vmbus
from hvlab.wire.tlfs import Status
from vmbus.world import World

VERSIONS = ["6.0", "5.3", "5.2", "5.1", "5.0", "4.1", "4.0", "3.0", "2.4"]
LATE = 0x800074


@pytest.mark.parametrize("spoken", VERSIONS)
def test_both_ends_agree_on_the_newest_version_that_both_speak(spoken):
    world = World(version="6.0", speaks=spoken)

    assert world.connect().value == spoken
    assert world.host.state.version == world.guest.state.version == vmbus.BY_NAME[spoken].value
    asked = [words["value"] for words in world.events("channel_message_sent") if words["number"] == 14]
    assert [vmbus.BY_VALUE[one].name for one in asked] == VERSIONS[: VERSIONS.index(spoken) + 1]
    assert world.answers() == [15] * len(asked)
    world.hold_all()


@pytest.mark.parametrize(("version", "contact", "afterwards"), [("5.0", 4, LATE), ("5.3", 4, LATE), ("4.1", 1, 1)])
def test_from_5_0_on_contact_is_on_connection_4_and_all_else_on_the_one_that_the_host_returns(
    version, contact, afterwards
):
    world = World(version=version)
    world.connect()
    assert [words["connection"] for words in world.events("channel_message_sent")][0] == contact

    world.offers()
    assert world.events("channel_message_sent")[0]["connection"] == afterwards


def test_a_host_without_connection_4_is_found_by_going_down_to_4_1():
    world = World(version="5.3", connections=(1,))

    assert world.connect().value == "4.1"
    posted = [words["status"] for words in world.events("hypercall_returned")]
    assert posted[:5] == [Status.INVALID_CONNECTION_ID] * 4 + [Status.SUCCESS]
    assert world.answers() == [15]


def test_a_host_that_speaks_no_version_of_the_guests_leaves_it_without_a_bus():
    world = World(version="4.1", speaks="4.1")

    assert world.connect(refuse=("4.1", "4.0", "3.0", "2.4")).value is None
    assert world.refusals() == []
    assert [words["version"] for words in world.events("version_refused")] == [
        vmbus.BY_NAME[name].value for name in ("4.1", "4.1", "4.0", "4.0", "3.0", "3.0", "2.4", "2.4")
    ]
    world.post(vmbus.pack(vmbus.RequestOffers))
    assert world.refusals() == ["before contact"]


def test_the_lists_of_features_are_cut_to_what_both_know_and_only_from_6_0_on():
    client, unknown = vmbus.FeatureFlags.mask("client_id"), 1 << 30
    world = World(version="6.0", features=client | unknown)

    world.connect()
    assert world.host.state.features == world.guest.state.features == client
    assert world.host.state.client_id == world.guest.client_id
    older = World(version="5.3", features=client)
    older.connect()
    assert older.host.state.features == 0


def test_a_windows_guest_begins_with_6_0_and_says_another_identity_and_reads_the_interface():
    world = World(version="6.0", guest="windows")

    assert world.kernel.found.interface == b"Hv#1"
    assert world.connect().value == "6.0"
    assert world.host.state.features & vmbus.FeatureFlags.mask("client_id")


def test_all_messages_but_contact_and_unload_are_refused_before_contact():
    world = World()
    for kind in (vmbus.RequestOffers, vmbus.Open, vmbus.Close, vmbus.GpadlHeader, vmbus.ReleaseChannel):
        world.say(kind, connection=1)
        assert (world.refusals(), world.answers()) == (["before contact"], [])


def test_offers_come_once_for_each_contact():
    world = World().begun()
    assert world.answers() == [1, 1, 4]

    world.say(vmbus.RequestOffers)
    assert (world.refusals(), world.answers()) == (["not in this state"], [])


def test_a_new_contact_on_a_live_connection_resets_all_channels_first():
    world = World().begun("scsi", "net")
    ports = World(other=1).begun().counts()["port"]
    assert world.host.state.gpadls and world.web.partition.pinned

    world.connect()
    assert world.host.state.ids == {} and world.host.state.gpadls == {} and world.host.ends == {}
    watched = [gpa >> 12 for gpa in world.guest.monitor[1:]]
    assert sorted(world.web.partition.pinned) == sorted(watched)
    assert world.counts()["port"] == ports
    world.offers()
    assert [one.channel_id for one in world.guest.offers.values()] == [1, 2]
    assert world.open("scsi").value
    world.hold_all()


def test_unload_is_answered_also_a_second_time_and_before_any_contact():
    world = World()
    world.say(vmbus.Unload, connection=1)
    assert world.answers() == [17]

    world.begun("scsi")
    for _ in range(2):
        assert world.unload().value
        assert world.answers() == [17]
    assert world.host.state.channels.keys() == {1, 2} and world.host.state.ids == {}
    world.begun("scsi", "net")
    world.hold_all()


@pytest.mark.parametrize(
    ("fields", "supported", "state", "refused"),
    [
        ({"parent_to_child": 0x1000}, 1, 2, []),
        ({"parent_to_child": 0x1000, "child_to_parent": 0x7FFF000}, 1, 2, []),
        ({"target_vp": 5}, 1, 2, ["no such VP"]),
        ({"target_sint": 7}, 0, 0, []),
        ({"target_vtl": 2}, 0, 0, []),
        ({"version": 0x00050009}, 0, 0, []),
        ({"version": 0xFFFFFFFF}, 0, 0, []),
        ({"version": 0x00010001}, 0, 0, []),
    ],
)
def test_a_contact_with_a_field_that_lies_is_answered_and_connects_nobody(fields, supported, state, refused):
    world = World()
    world.say(vmbus.InitiateContact5, connection=4, **({"version": vmbus.V5_3, "target_sint": 2} | fields))

    assert world.answers() == [15] and world.refusals()[: len(refused)] == refused
    sent = next(words for words in world.events("channel_message_sent") if words["number"] == 15)
    assert (sent["value"], sent["status"]) == (supported, state)
    assert world.host.state.version == 0


def test_features_with_a_client_id_need_the_long_contact():
    world = World()
    flags = vmbus.FeatureFlags.mask("client_id")
    world.say(vmbus.InitiateContact5, connection=4, version=vmbus.V6, target_sint=2, feature_flags=flags)

    assert world.refusals() == ["too short"] and world.host.state.version == 0


@pytest.mark.parametrize(
    ("fields", "answers"),
    [
        ({"target_sint": 7}, [15]),
        ({"target_vtl": 2}, [15]),
        ({"version": vmbus.V6, "feature_flags": int(vmbus.FeatureFlags.mask("client_id"))}, []),
    ],
)
def test_a_contact_that_is_not_for_this_host_or_too_short_leaves_the_connection_as_it_is(fields, answers):
    world = World().begun("scsi")
    before = repr(world.host.state)
    world.say(vmbus.InitiateContact5, connection=4, **({"version": vmbus.V5_3, "target_sint": 2} | fields))

    assert world.answers() == answers and repr(world.host.state) == before
    world.send(b"still there")
    assert world.host.ends[1].inbox[0].data[:11] == b"still there"


def test_messages_go_to_the_virtual_processor_that_the_contact_named():
    world = World(vps=2)
    world.guest.cpu = 1
    world.connect()
    world.guest.cpu = 0

    taken = [
        int(world.trace.rows[k, 2]) for k, name in enumerate(world.trace.kinds()) if name == "channel_message_taken"
    ]
    assert taken == [world.machine.root_vp.number, world.web.vps[1].number]
    world.offers()


@pytest.mark.parametrize("length", [8, 16, 100, 240])
def test_a_guest_may_send_more_bytes_than_a_message_has(length):
    world = World().begun()
    data = vmbus.pack(vmbus.Unload).ljust(length, b"\xee")
    world.post(data)

    assert world.answers() == [17]


def test_every_message_lies_in_the_receivers_slot_byte_for_byte():
    world = World()
    world.connect()
    slot = world.slot()

    assert slot[:4] == bytes(4)  # it was taken
    assert slot[16:28] == vmbus.pack(vmbus.VersionResponse, supported=1, connection_id=LATE)[:12]
    assert int.from_bytes(slot[28:32], "little") == LATE
    host = world.slot(host=True)
    assert host[16:24] == vmbus.ChannelHeader.encode(message_type=14)
