"""A channel from its offer to its release, in every order that the protocol allows, and the refusals of the others."""

import pytest

from hvlab.errors import BadRequest
from hvlab.vmbus.offer import device
from hvlab.vmbus.states import State
from hvlab.wire import vmbus
from vmbus.world import World

BAD = 0x8000FFFF


def states(world, number=1):
    """Return how a channel stands on the two sides."""
    host = next((one.state for one in world.host.state.channels.values() if one.channel_id == number), None)
    guest = world.guest.offers[number].state if number in world.guest.offers else None
    return host, guest


def test_an_offer_says_class_instance_id_and_connection():
    world = World(devices=("scsi", "video"))
    world.connect()
    world.offers()

    offer = world.guest.offers[2].offer
    assert vmbus.guid_text(offer.interface_type) == "da0a7802-e377-4aac-8e77-0558eb1073f8"
    assert (offer.connection_id, offer.is_dedicated, offer.monitor_id, offer.mmio_megabytes) == (0x2002, 1, 0xFF, 8)
    assert vmbus.PipeOffer.decode(offer.user_defined).mode == 4


def test_open_close_and_open_again():
    world = World().begun()
    for _ in range(3):
        assert world.open("scsi").value
        assert [number for _, number in world.messages()] == [8, 10, 5, 6]
        assert states(world) == (State.OPEN, State.OPEN)
        world.close("scsi")
        assert world.messages() == [("guest", 7), ("guest", 11), ("host", 12)]
        assert states(world) == (State.OFFERED, State.OFFERED)
    world.hold_all()


def test_the_guest_names_its_request_as_linux_does_and_the_answer_repeats_it():
    world = World().begun()
    world.say(vmbus.Open, channel_id=1, open_id=0xABCD, gpadl_id=0x123, downstream_offset=2)

    slot = world.slot()
    assert slot[16 + 12 : 16 + 16] == (0xABCD).to_bytes(4, "little")
    assert world.answers() == [6]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"gpadl_id": 0x123}, "unknown GPADL"),
        ({"gpadl_id": 0xE1E11}, "GPADL of another channel"),
        ({"target_vp": 1}, "no such VP"),
        ({"target_vp": 0xFFFFFFFE}, "no such VP"),
        ({"downstream_offset": 0}, "offset outside the pages"),
        ({"downstream_offset": 1}, "offset outside the pages"),
        ({"downstream_offset": 7}, "offset outside the pages"),
        ({"downstream_offset": 8}, "offset outside the pages"),
        ({"downstream_offset": 0xFFFFFFFF}, "offset outside the pages"),
    ],
)
def test_an_open_with_a_field_that_lies_is_answered_with_a_failure_and_changes_nothing(fields, expected):
    world = World().begun()
    world.share(8, "scsi")
    world.share(8, "net")
    before = world.counts()
    words = {"channel_id": 1, "open_id": 1, "gpadl_id": 0xE1E10, "target_vp": 0, "downstream_offset": 4} | fields
    world.say(vmbus.Open, **words)

    assert world.refusals()[0] == expected and world.answers() == [6]
    sent = next(one for one in world.events("channel_message_sent") if one["number"] == 6)
    assert sent["status"] == BAD and world.host.ends == {} and world.counts() == before


def test_an_open_channel_is_not_opened_again_and_a_closed_one_not_closed():
    world = World().begun("scsi")
    world.say(vmbus.Open, channel_id=1, open_id=1, gpadl_id=0xE1E10, downstream_offset=4)
    assert (world.refusals(), world.answers()) == (["not in this state"], [])

    world.say(vmbus.Close, channel_id=2)
    assert (world.refusals(), world.answers()) == (["not in this state"], [])
    world.say(vmbus.ReleaseChannel, channel_id=1)
    assert (world.refusals(), world.answers()) == (["not in this state"], [])


def test_a_guest_without_interrupts_for_a_channel_is_not_signalled():
    world = World().begun()
    world.open("scsi", vp=vmbus.NO_VP)
    world.reply(b"quiet")

    assert [words for words in world.events("hypercall_entered") if words["code"] == 0x5D] == []
    assert world.end().inbox == []
    assert world.end().reader.used > 0


def test_packets_arrive_in_both_directions_on_the_target_vp():
    world = World(vps=2).begun()
    world.open("scsi", vp=1)
    world.send(b"question", completion=True)
    world.reply(b"answer", transaction=0)

    assert world.host.ends[1].inbox[0].data == b"question" and world.host.ends[1].inbox[0].completion
    assert (world.end().inbox[0].kind, world.end().inbox[0].data) == (11, b"answer\0\0")
    readers = {
        int(world.trace.rows[k, 2]) for k, name in enumerate(world.trace.kinds()) if name == "interrupt_accepted"
    }
    assert readers <= {world.web.vps[1].number, world.machine.root_vp.number}


@pytest.mark.parametrize(("version", "answered"), [("5.3", [24]), ("6.0", [24]), ("5.2", []), ("4.1", [])])
def test_a_moved_channel_signals_the_other_vp_and_is_answered_from_5_3_on(version, answered):
    world = World(version=version, vps=2).begun("scsi")
    world.modify(1, "scsi")
    assert world.answers() == answered and world.guest.offers[1].target_vp == 1

    world.reply(b"over there")
    flags = world.events("event_flag_set")
    assert flags and world.end().inbox


def test_moves_are_unknown_below_4_1():
    world = World(version="4.0").begun("scsi")
    world.say(vmbus.ModifyChannel, channel_id=1, target_vp=0)

    assert (world.refusals(), world.answers()) == (["not in this version"], [])


@pytest.mark.parametrize(
    ("channel", "vp", "why"), [(1, 7, "no such VP"), (2, 0, "not in this state"), (9, 0, "unknown channel")]
)
def test_a_move_that_cannot_be_is_answered_with_a_failure(channel, vp, why):
    world = World().begun("scsi")
    world.say(vmbus.ModifyChannel, channel_id=channel, target_vp=vp)

    assert world.refusals()[0] == why and world.answers() == [24]
    answer = world.events("channel_message_sent")[-1]
    assert (answer["channel"], answer["status"]) == (channel, BAD)


def test_further_channels_of_a_device_have_its_instance_an_index_and_vps_of_their_own():
    world = World(vps=2).begun("scsi")
    first, second = world.subchannels("scsi", 2).value
    assert (first, second) == (3, 4)
    assert world.answers() == [1, 1]
    offers = world.guest.offers
    assert [offers[n].offer.sub_channel_index for n in (1, 3, 4)] == [0, 1, 2]
    assert offers[1].instance == offers[3].instance == offers[4].instance != offers[2].instance

    world.open(3, vp=1)
    world.open(4, vp=0)
    world.send(b"on the second", 3)
    assert world.host.ends[3].inbox and not world.host.ends[1].inbox
    for number in (4, 3, 1):
        world.close(number)
    world.hold_all()


def test_two_children_with_several_channels_each_share_one_root():
    world = World(vps=2, devices=("scsi", "net", "dm")).begun("scsi", "net", "dm")
    world.subchannels("scsi", 3)
    other = world.machine.child("db", memory=256 * 4096, vps=2, pool=40)
    host = world.machine.vmbus.host(other.partition_id)
    for name in ("scsi", "net", "heartbeat"):
        host.offer(device(name))
    kernel = world.machine.boot_kernel(other)
    world.parties.append(kernel.service)
    kernel.guest.idle = world.rest
    with world.machine.action():
        kernel.guest.connect()
        kernel.guest.request_offers()
        ends = [kernel.guest.open(number) for number in kernel.guest.offers]
        ends[1].send(b"from the other")
        world.rest()
    assert all(ends) and host.ends[2].inbox and not any(end.inbox for end in world.host.ends.values())
    for number in (4, 5, 6):
        assert world.open(number).value
    world.send(b"from the first", "net")
    assert len(world.end("net", host=True).inbox) == len(host.ends[2].inbox) == 1
    other.destroy()
    world.hold_all()


# taken away ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opened", [False, True])
def test_a_rescinded_channel_is_released_by_the_guest_and_its_id_may_come_again(opened):
    world = World().begun(*["scsi"] * opened)
    world.rescind("scsi")

    sent = [number for _, number in world.messages()]
    assert sent == ([2, 7, 13] if opened else [2, 13])
    assert 1 not in world.host.state.ids and 1 not in world.guest.offers
    assert [one.device.name for one in world.host.state.channels.values()] == ["net"]
    assert world.offer("kbd").value == 1
    world.hold_all()


def test_an_id_is_not_given_again_before_it_is_released():
    world = World().begun()
    with world.machine.action():
        world.host.rescind(1)  # nobody else runs yet
        number = world.host.offer(device("kbd"))
        assert world.host.state.channels[number].channel_id == 3
        world.rest()
    world._run()
    assert world.offer("mouse").value == 1


def test_to_rescind_twice_changes_nothing():
    world = World().begun()
    with world.machine.action():
        world.host.rescind(1)
        world.host.rescind(1)
        world.rest()
    world._run()
    assert [number for who, number in world.messages() if who == "host"] == [2]


def test_a_rescind_that_overtakes_the_open_leaves_a_guest_that_waits_no_more():
    world = World().begun()
    world.share(8)
    channel = world.guest.offers[1]
    with world.machine.action():
        world.guest.enter(channel, State.OPENING)
        world.guest.say_open(channel, 0xE1E10, 4)
        world.host.rescind(1)
        world.rest()
    world._run()

    assert world.refusals() == ["rescinded"] and 6 not in world.answers()
    assert 1 not in world.guest.offers and channel.waiting == 0
    assert world.host.state.gpadls == {}


def test_messages_for_a_rescinded_channel_are_refused_and_a_page_list_fails():
    world = World().begun()
    with world.machine.action():
        world.host.rescind(1)  # the guest has not heard of it
        box, to = world.kernel.boxes[0], world.guest.state.post_to
        for kind in (vmbus.Close, vmbus.Open):
            box.post(to, vmbus.pack(kind, channel_id=1))
        box.post(to, vmbus.pack(vmbus.GpadlHeader, bytes(16), channel_id=1, gpadl_id=5, length=16, count=1))
        while world.machine.vmbus.service():
            pass
    world._run()
    assert world.refusals() == ["rescinded"] * 3
    assert world.answers() == [2, 10]


def test_a_device_that_was_not_offered_yet_goes_without_a_word():
    world = World()
    world.connect()
    world.rescind("scsi")
    assert world.messages() == []
    world.offers()
    assert [one.interface for one in world.guest.offers.values()] == ["f8615163-df3e-46c5-913f-f2d2f965ed0e"]


def test_a_released_channel_that_was_not_rescinded_is_offered_with_the_next_contact():
    world = World().begun()
    world.say(vmbus.ReleaseChannel, channel_id=1)
    assert world.host.state.ids == {2: 2}

    world.begun()
    assert sorted(world.host.state.ids) == [1, 2]


def test_no_more_than_2047_channels_are_offered():
    world = World(devices=())
    for number in range(2047):
        world.host.offer(device("scsi", number))
    with pytest.raises(BadRequest, match="2047"):
        world.host.offer(device("net"))


def test_the_same_device_is_not_offered_twice():
    world = World()
    with pytest.raises(BadRequest, match="offered already"):
        world.host.offer(device("scsi"))


# reserved channels, sockets, pause, other pages ----------------------------------------------------------------------


def test_a_reserved_channel_stays_over_an_unload_and_nobody_is_interrupted():
    world = World().begun("net")
    with world._line():
        end = world.guest.open_reserved(1)
    world._run()
    assert end is not None and world.answers() == [10, 6]

    world.unload()
    assert list(world.host.ends) == [1] and world.host.state.channels[1].reserved == (0, 2)
    with world._line():
        end.send(b"crash dump")
    assert world.host.ends[1].inbox[0].data[:10] == b"crash dump"
    world.connect()
    world.offers()
    assert sorted(world.guest.offers) == [1, 2]
    with world._line():
        assert world.guest.close_reserved(1)
    world._run()
    assert world.answers() == [20, 12] and world.host.ends == {}


def test_a_reserved_channel_that_is_closed_after_an_unload_is_released_without_an_answer():
    world = World().begun()
    with world._line():
        world.guest.open_reserved(1)
    world.unload()
    with world._line():
        assert not world.guest.close_reserved(1)
    world._run()

    assert world.host.state.ids == {} and world.host.state.gpadls == {} and world.web.partition.pinned == {}
    world.begun("scsi", "net")


@pytest.mark.parametrize("kind", [vmbus.Close, vmbus.GpadlTeardown])
def test_ordinary_messages_do_not_touch_a_reserved_channel(kind):
    world = World().begun()
    with world._line():
        world.guest.open_reserved(1)
    fields = {"gpadl_id": 0xE1E10} if kind is vmbus.GpadlTeardown else {}
    world.say(kind, channel_id=1, **fields)

    assert world.refusals() == ["not in this state"]
    assert list(world.host.ends) == [1]


def test_no_page_list_of_a_reserved_channel_is_torn_down_even_one_that_holds_no_rings():
    world = World().begun()
    world.share(4)
    with world._line():
        world.guest.open_reserved(1)
    world.say(vmbus.GpadlTeardown, channel_id=1, gpadl_id=0xE1E10)

    assert (world.refusals(), world.answers()) == (["not in this state"], [])
    assert not world.host.state.gpadls[0xE1E10, 1].in_use


def test_an_open_channel_is_not_closed_as_a_reserved_one():
    world = World().begun("scsi")
    world.say(vmbus.CloseReserved, channel_id=1, target_vp=0, target_sint=2)
    assert (world.refusals(), world.answers()) == (["not in this state"], [])


SERVICE, END = "00000400-facb-11e6-bd58-64006a7986d3", "11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize(("version", "status"), [("4.0", None), ("4.1", 0xC0000236), ("6.0", 0xC0000236)])
def test_a_socket_that_nobody_listens_to_is_refused_with_a_result_from_4_1_on(version, status):
    world = World(version=version).begun()
    with world._line():
        assert world.guest.connect_socket(END, SERVICE) == status
    world._run()
    assert world.answers() == ([] if status is None else [23])


def test_a_socket_that_somebody_listens_to_is_an_offer():
    world = World(services=(SERVICE,)).begun()
    with world._line():
        world.guest.connect_socket(END, SERVICE)
    world._run()

    assert world.answers() == [1]
    offered = world.guest.offers[3]
    assert (offered.interface, offered.instance) == (SERVICE, END)
    assert offered.offer.flags & vmbus.OfferFlags.mask("tlnpi_provider")


def test_after_pause_the_host_says_nothing_until_resume():
    world = World(version="6.0", features=int(vmbus.FeatureFlags.mask("pause_resume"))).begun()
    with world._line():
        world.guest.pause()
    world._run()
    assert world.answers() == [28]
    with world._line():
        world.host.offer(device("kbd"))
    assert len(world.host.state.outbox) == 1 and 3 not in world.guest.offers
    with world._line():
        world.guest.resume()
    world._run()
    assert 3 in world.guest.offers and len(world.host.state.outbox) == 0


@pytest.mark.parametrize("kind", [vmbus.Pause, vmbus.Resume, vmbus.ModifyConnection])
def test_what_needs_a_feature_is_refused_without_it(kind):
    world = World(version="6.0", features=0).begun()
    world.say(kind)
    assert (world.refusals(), world.answers()) == (["not in this version"], [])
    older = World(version="5.3").begun()
    older.say(kind)
    assert (older.refusals(), older.answers()) == (["not in this version"], [])


def test_other_monitor_pages_may_be_named_or_none_but_not_one():
    world = World(version="6.0", features=int(vmbus.FeatureFlags.mask("modify_connection"))).begun()
    old = dict(world.web.partition.pinned)
    for pages, state in (((0x64000, 0x65000), 0), ((0x64000, 0), 2), ((0x64008, 0x65000), 2), ((0, 0), 0)):
        with world._line():
            assert world.guest.modify_connection(*pages) == state
        world._run()
        assert world.answers() == [26]
    assert old and world.web.partition.pinned == {}


def test_the_guests_own_signal_parameters_count_from_6_0_on_if_both_know_them():
    flags = int(vmbus.FeatureFlags.mask("guest_specified_signal_parameters"))
    world = World(version="6.0", features=flags).begun()
    world.share(8)
    words = {"channel_id": 1, "open_id": 1, "gpadl_id": 0xE1E10, "downstream_offset": 4}
    world.say(vmbus.OpenExtended, connection_id=0x3333, event_flag=77, **words)
    assert world.answers() == [6] and world.host.state.channels[1].flag == 77
    assert 0x3333 in {int(one) for one in world.machine.state["connection"]["id"][0]}

    older = World(version="5.3").begun()
    older.share(8)
    older.say(vmbus.OpenExtended, connection_id=0x3333, event_flag=77, **words)
    assert older.host.state.channels[1].flag == 1


@pytest.mark.parametrize("connection", [1, 2, 3, 4, 0x800074, 1 << 24])
def test_a_guest_cannot_take_a_connection_that_is_in_use_for_its_channel(connection):
    flags = int(vmbus.FeatureFlags.mask("guest_specified_signal_parameters"))
    world = World(version="6.0", features=flags).begun()
    world.share(8)
    before = world.counts()
    words = {"channel_id": 1, "open_id": 1, "gpadl_id": 0xE1E10, "downstream_offset": 4}
    world.say(vmbus.OpenExtended, connection_id=connection, event_flag=5, **words)

    assert world.refusals()[0] == "too many" and world.answers() == [6] and world.counts() == before
