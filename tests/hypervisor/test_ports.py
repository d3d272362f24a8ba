"""Ports and connections: who may make them, what they take, what becomes of what waits when they go."""

import pytest
from invariants import hold

from hvlab.root.winhv import CallFailed
from hvlab.wire.ports import CreatePort, DeletePort
from hvlab.wire.synic import ConnectionInfo, EventPortInfo, MessagePortInfo
from hvlab.wire.tlfs import SELF, Status
from hypervisor.desk import INPUT, PAGE, Desk


@pytest.fixture
def desk():
    return Desk()


def refused(action, *given, **named):
    with pytest.raises(CallFailed) as failed:
        action(*given, **named)
    return str(failed.value)


def used(desk):
    return int(desk.winhv.call("GetMemoryBalance", partition_id=desk.partition).in_use)


def test_a_message_port_takes_one_page_of_its_owners_pool_and_gives_it_back(desk):
    before = used(desk)

    desk.port(7)
    taken = used(desk)
    desk.winhv.call("DeletePort", port_partition=desk.partition, port_id=7)

    assert (taken - before, used(desk)) == (1, before)
    hold(desk.machine)


def test_a_port_for_signals_takes_nothing(desk):
    before = used(desk)
    desk.port(7, flags=(0, 8))

    assert used(desk) == before


def test_a_pool_without_a_page_asks_for_one(desk):
    desk.winhv.withdraw(desk.partition)
    at = desk.winhv.input_gpn * PAGE
    block = CreatePort.encode(
        port_partition=desk.partition,
        port_id=7,
        connection_partition=1,
        info=MessagePortInfo.encode(type=1, sint=2),
    )
    desk.machine.root_vp.write_gpa(at, block)

    status = desk.machine.root_vp.hypercall(0x95, at)

    assert status == Status.INSUFFICIENT_MEMORY
    desk.port(7)  # the root's library deposits and tries again
    hold(desk.machine)


def test_ids_are_unique_within_their_partition(desk):
    desk.wire(7)

    assert "INVALID_PORT_ID" in refused(desk.port, 7)
    assert "INVALID_CONNECTION_ID" in refused(desk.connect, 7, 7)
    assert "INVALID_PORT_ID" in refused(desk.port, 1 << 24)


def test_only_the_named_sender_may_connect(desk):
    desk.port(7, sender=desk.partition)

    assert "INVALID_PORT_ID" in refused(desk.connect, 7, 7, sender=1)
    desk.connect(7, 7, sender=desk.partition)


def test_a_connection_must_be_of_the_ports_type(desk):
    desk.port(7)

    assert "INVALID_PARAMETER" in refused(desk.connect, 7, 7, kind=2)


@pytest.mark.parametrize(
    "info",
    [
        MessagePortInfo.encode(type=1, sint=16),
        MessagePortInfo.encode(type=1, sint=2, reserved=1),
        MessagePortInfo.encode(type=3, sint=2),
        EventPortInfo.encode(type=2, sint=2, base_flag=2000, flag_count=49),
        EventPortInfo.encode(type=2, sint=2, base_flag=0, flag_count=0),
    ],
)
def test_a_port_that_makes_no_sense_is_refused(desk, info):
    fields = {"port_partition": desk.partition, "port_id": 7, "connection_partition": 1, "info": info}

    assert "INVALID_PARAMETER" in refused(desk.winhv.call, "CreatePort", for_whom=desk.partition, **fields)


def test_a_child_without_the_privilege_may_not_make_ports(desk):
    block = CreatePort.encode(
        port_partition=SELF, port_id=7, connection_partition=1, info=MessagePortInfo.encode(type=1, sint=2)
    )
    desk.vps[0].write_gpa(INPUT * PAGE, block)

    assert desk.vps[0].hypercall(0x95, INPUT * PAGE) == Status.ACCESS_DENIED


def test_a_partition_without_the_privilege_may_not_post_or_signal():
    desk = Desk()
    poor = desk.machine.child("poor", memory=16 * PAGE, privileges=0x7F)
    poor.vp.wrmsr(0x40000000, 1)
    poor.vp.wrmsr(0x40000001, 9 << 12 | 1)

    assert poor.vp.post_message(4, 1, b"x", 2 * PAGE) == Status.ACCESS_DENIED
    assert poor.vp.signal_event(4) == Status.ACCESS_DENIED


def test_deleting_a_port_loses_what_waits_and_leaves_a_useless_connection(desk):
    desk.wire(4)
    for word in (b"first", b"second", b"third"):
        desk.post(4, word)

    desk.winhv.call("DeletePort", port_partition=desk.partition, port_id=4)

    dropped = next(desk.machine.trace.fact(k, "dropped") for k in desk.machine.trace.of("port_deleted"))
    assert dropped == 2
    assert desk.post(4) == Status.INVALID_PORT_ID
    assert desk.slot()[1] == b"first"  # what lies in the slot stays
    hold(desk.machine)


def test_a_new_port_in_the_same_place_is_not_reached_by_the_old_connection(desk):
    desk.wire(4)
    desk.winhv.call("DeletePort", port_partition=desk.partition, port_id=4)
    desk.port(4)

    assert desk.post(4) == Status.INVALID_PORT_ID


def test_cutting_a_connection_does_not_touch_what_waits(desk):
    desk.wire(4)
    desk.post(4, b"first")
    desk.post(4, b"second")

    desk.winhv.call("DisconnectPort", connection_partition=1, connection_id=4)

    assert desk.post(4) == Status.INVALID_CONNECTION_ID
    desk.free()
    desk.eom()
    assert desk.slot()[1] == b"second"


def test_a_port_counts_what_was_posted_through_it(desk):
    desk.wire(4)
    for _ in range(3):
        desk.post(4)

    answer = desk.winhv.call(
        "GetPortProperty", for_whom=desk.partition, port_partition=desk.partition, port_id=4, property=0
    )

    assert answer.value == 3


def test_two_ports_of_one_source_have_buffers_of_their_own(desk):
    desk.wire(4)
    desk.wire(6)
    for _ in range(17):
        assert desk.post(4) == 0
    assert desk.post(4) == Status.INSUFFICIENT_BUFFERS

    assert desk.post(6, b"mine") == 0
    hold(desk.machine)


def test_fewer_buffers_are_a_policy(desk):
    desk.machine.state["messages"]["buffers"] = 3
    desk.wire(4)

    assert [desk.post(4) for _ in range(5)] == [0] * 4 + [Status.INSUFFICIENT_BUFFERS]


def test_a_machine_has_room_for_64_ports_and_connections(desk):
    for number in range(64):
        desk.wire(number, flags=(0, 1))

    assert "NO_RESOURCES" in refused(desk.port, 99, flags=(0, 1))
    assert "NO_RESOURCES" in refused(desk.connect, 99, 0, kind=2)
    hold(desk.machine)


def test_what_is_not_there_cannot_be_deleted(desk):
    block = DeletePort.encode(port_partition=desk.partition, port_id=9)
    words = [int.from_bytes(block[k : k + 8], "little") for k in (0, 8)]

    assert desk.machine.root_vp.hypercall(0x58 | 1 << 16, *words) == Status.INVALID_PORT_ID
    assert ConnectionInfo.size == 32
