"""Messages and signals, as the TLFS and kvm-unit-tests have them; each test is a sentence about Hyper-V."""

import pytest
from invariants import hold

from hvlab.hypervisor import ports
from hvlab.wire.tlfs import MessageType, Msr, Status
from hypervisor.desk import FLAGS, MESSAGES, PAGE, VECTOR, Desk


@pytest.fixture
def desk():
    return Desk()


# kvm-unit-tests x86/hyperv_connections.c -----------------------------------------------------------------------------


@pytest.mark.parametrize("sender", [0, 1], ids=["self", "another"])
def test_a_message_fills_the_slot_and_raises_one_interrupt(desk, sender):
    desk.wire(0x10, sint=8, sender=desk.partition)
    desk.sint(8, vector=0xB0)

    status = desk.post(0x10, (1 << 16).to_bytes(8, "little"), kind=0x12345678, vp=sender)

    header, payload = desk.slot(sint=8)
    assert status == 0
    assert (header.type, header.payload_size, header.flags, header.sender) == (0x12345678, 8, 0, 0x10)
    assert int.from_bytes(payload, "little") == 1 << 16
    assert desk.raised() == 1 and desk.accept() == 0xB0
    hold(desk.machine)


def test_a_post_to_a_busy_slot_succeeds_sets_pending_and_raises_nothing(desk):
    desk.wire(4)
    desk.post(4, b"first")

    status, events = desk.post(4, b"second"), desk.events

    header, payload = desk.slot()
    assert (status, header.flags, payload, desk.raised()) == (0, 1, b"first", 1)
    assert events.count("message_queued") == 1 and "vector_raised" not in events
    hold(desk.machine)


def test_it_arrives_when_the_slot_is_cleared_and_eom_is_written(desk):
    desk.wire(4)
    desk.post(4, b"first")
    desk.post(4, b"second")
    desk.free()

    desk.eom()

    header, payload = desk.slot()
    assert (header.type, header.flags, payload) == (1, 0, b"second")
    assert desk.raised() == 2
    hold(desk.machine)


def test_clearing_the_slot_alone_brings_nothing(desk):
    desk.wire(4)
    desk.post(4, b"first")
    desk.post(4, b"second")

    desk.free()

    assert desk.slot()[0].type == 0 and desk.raised() == 1


def test_a_signal_sets_its_flag_and_raises_one_interrupt(desk):
    desk.wire(0x20, sint=9, flags=(0x20, 1), sender=desk.partition)
    desk.sint(9, vector=0xB1)

    status = desk.signal(0x20, vp=1)

    assert (status, desk.flags(sint=9), desk.raised()) == (0, [0x20], 1)
    assert desk.accept() == 0xB1


def test_a_signal_on_a_set_flag_succeeds_and_raises_nothing(desk):
    desk.wire(5, flags=(0, 2048))
    desk.signal(5, 7)

    status, events = desk.signal(5, 7), desk.events

    assert (status, desk.flags(), desk.raised()) == (0, [7], 1)
    assert "event_flag_already_set" in events


def test_a_cleared_flag_can_be_signalled_again(desk):
    desk.wire(5, flags=(0, 2048))
    desk.signal(5, 7)
    desk.vps[0].write_gpa(FLAGS[0] * PAGE + 512, bytes(8))

    desk.signal(5, 7)

    assert desk.raised() == 2


# kvm-unit-tests x86/hyperv_synic.c -----------------------------------------------------------------------------------


def test_eom_reads_zero(desk):
    assert desk.vps[0].rdmsr(Msr.EOM) == 0
    assert desk.vps[0].rdmsr(Msr.SVERSION) == 1
    assert desk.vps[0].rdmsr(Msr.SCONTROL) == 1


@pytest.mark.parametrize("vp", [0, 1])
def test_sixteen_sources_of_each_processor_arrive_once_each(desk, vp):
    vectors = [0xB0 + k for k in range(16)]
    for k, vector in enumerate(vectors):
        desk.sint(k, vp, vector=vector, auto_eoi=int(k in (3, 8, 10, 14)))
        desk.wire(100 + k, sint=k, vp=vp, flags=(0, 1))

    for k in range(16):
        assert desk.signal(100 + k) == 0

    taken = []
    while (vector := desk.accept(vp)) >= 0:
        taken.append(vector)
        if vector - 0xB0 not in (3, 8, 10, 14):
            desk.eoi(vp)
    assert sorted(taken) == vectors


# limits, statuses, triggers ------------------------------------------------------------------------------------------


def test_the_eighteenth_post_that_nobody_reads_is_the_first_to_fail(desk):
    desk.wire(4)

    statuses = [desk.post(4, bytes([k])) for k in range(19)]

    assert statuses == [0] * 17 + [Status.INSUFFICIENT_BUFFERS] * 2
    assert Status.INSUFFICIENT_BUFFERS == 0x13
    hold(desk.machine)


def test_messages_arrive_in_the_order_in_which_they_were_posted(desk):
    desk.wire(4)
    for k in range(17):
        desk.post(4, bytes([k]))

    read = []
    for _ in range(17):
        read.append(desk.slot()[1][0])
        if desk.take() == 1:
            desk.eom()

    assert read == list(range(17))
    hold(desk.machine)


def test_an_end_of_interrupt_delivers_the_next_message_too(desk):
    desk.wire(4)
    desk.post(4, b"first")
    desk.post(4, b"second")
    assert desk.accept() == VECTOR
    desk.take()

    assert desk.eoi() == VECTOR

    assert desk.slot()[1] == b"second"


def test_an_automatic_end_of_interrupt_delivers_nothing():
    desk = Desk(auto_eoi=True)
    desk.wire(4)
    desk.post(4, b"first")
    desk.post(4, b"second")
    assert desk.take() == 1

    assert desk.accept() == VECTOR

    assert desk.slot()[0].type == 0
    desk.eom()
    assert desk.slot()[1] == b"second"


def test_the_next_post_delivers_the_older_message(desk):
    desk.wire(4)
    desk.post(4, b"first")
    desk.post(4, b"second")
    desk.free()

    desk.post(4, b"third")

    header, payload = desk.slot()
    assert (payload, header.flags) == (b"second", 1)


def test_pending_stays_set_while_more_messages_wait(desk):
    desk.wire(4)
    for word in (b"first", b"second", b"third"):
        desk.post(4, word)
    desk.free()
    desk.eom()

    header, payload = desk.slot()

    assert (payload, header.flags) == (b"second", 1)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 239, 240])
def test_a_payload_of_any_size_up_to_240_arrives_whole(desk, size):
    desk.wire(4)
    payload = bytes(range(1, 241))[:size]

    assert desk.post(4, payload) == 0

    assert desk.slot()[1] == payload


def test_only_the_payload_is_copied_and_older_bytes_stay_behind_it(desk):
    desk.wire(4)
    desk.post(4, b"ABCDEFGHIJ")
    desk.free()

    desk.post(4, b"xyz")

    assert desk.vps[0].read_gpa(MESSAGES[0] * PAGE + 512 + 16, 10) == b"xyzDEFGHIJ"


@pytest.mark.parametrize(("kind", "size"), [(0, 4), (1 << 31, 4), (1, 241), (1, 0xFFFFFFFF)])
def test_types_of_the_hypervisor_and_too_long_payloads_are_refused(desk, kind, size):
    desk.wire(4)
    at = desk.winhv.input_gpn * PAGE
    words = (4, 0, kind, size)
    desk.machine.root_vp.write_gpa(at, b"".join(word.to_bytes(4, "little") for word in words))

    assert desk.machine.root_vp.hypercall(0x5C, at) & 0xFFFF == Status.INVALID_PARAMETER


def test_what_is_not_wired_is_refused(desk):
    desk.wire(4)
    desk.wire(5, flags=(0, 4))

    assert desk.post(9) == Status.INVALID_CONNECTION_ID
    assert desk.post(5) == Status.INVALID_PORT_ID
    assert desk.signal(4) == Status.INVALID_PORT_ID
    assert desk.signal(5, 4) == Status.INVALID_PARAMETER
    assert desk.post(4, vp=0) == Status.INVALID_CONNECTION_ID  # connections are the sender's own


@pytest.mark.parametrize("register", [Msr.SCONTROL, Msr.SIMP])
def test_a_receiver_that_is_switched_off_cannot_be_posted_to(desk, register):
    desk.wire(4)
    desk.vps[0].wrmsr(register, 0)

    assert desk.post(4) == Status.INVALID_SYNIC_STATE


@pytest.mark.parametrize("register", [Msr.SCONTROL, Msr.SIEFP])
def test_a_receiver_that_is_switched_off_cannot_be_signalled(desk, register):
    desk.wire(5, flags=(0, 4))
    desk.vps[0].wrmsr(register, 0)

    assert desk.signal(5) == Status.INVALID_SYNIC_STATE


def test_a_queue_outlives_a_message_page_that_goes_and_comes(desk):
    desk.wire(4)
    desk.post(4, b"first")
    desk.post(4, b"second")
    held = desk.vps[0].rdmsr(Msr.SIMP)
    desk.vps[0].wrmsr(Msr.SIMP, 0)
    desk.eom()
    desk.vps[0].wrmsr(Msr.SIMP, held)

    assert desk.slot()[1] == b"first"
    desk.free()
    desk.eom()

    assert desk.slot()[1] == b"second"
    hold(desk.machine)


def test_a_masked_source_gets_its_message_and_loses_its_interrupt(desk):
    desk.wire(4)
    desk.sint(2, masked=1)

    assert desk.post(4) == 0
    assert "interrupt_withheld" in desk.events

    assert desk.slot()[1] == b"hello" and desk.raised() == 0


def test_a_signal_for_a_masked_source_is_refused_or_dropped_by_policy(desk):
    desk.wire(5, flags=(0, 4))
    desk.sint(2, masked=1)

    assert desk.signal(5) == Status.INVALID_SYNIC_STATE
    desk.machine.state["messages"]["openvmm_signal"] = 1

    assert desk.signal(5) == 0
    assert desk.flags() == [] and desk.raised() == 0


def test_polling_unmasks_a_source_and_raises_nothing(desk):
    desk.wire(5, flags=(0, 4))
    desk.sint(2, masked=1, polling=1)

    assert desk.signal(5, 3) == 0

    assert desk.flags() == [3] and desk.raised() == 0


def test_a_port_for_any_processor_takes_one_that_can_receive(desk):
    desk.wire(4, vp=0xFFFFFFFF)
    desk.vps[0].wrmsr(Msr.SCONTROL, 0)

    assert desk.post(4) == 0
    assert desk.slot(vp=1)[1] == b"hello"
    desk.vps[1].wrmsr(Msr.SCONTROL, 0)

    assert desk.post(4) == Status.INVALID_VP_INDEX


def test_a_software_disabled_apic_drops_the_interrupt_and_keeps_the_message(desk):
    desk.wire(4)
    desk.hv.state["apic"][0, desk.number(0)]["svr"] = 0xFF

    assert desk.post(4) == 0

    assert desk.slot()[1] == b"hello" and desk.accept() == -1


def test_the_hypervisor_has_messages_and_buffers_of_its_own(desk):
    vp = desk.number(0)
    desk.sint(0, vector=0x40)
    kind = MessageType.UNMAPPED_GPA

    with desk.hv.action():
        statuses = [ports.post_from_hypervisor(desk.hv, vp, 0, kind, bytes([k]), sender=7) for k in range(14)]

    header, payload = desk.slot(sint=0)
    assert statuses == [Status.SUCCESS] * 13 + [Status.INSUFFICIENT_BUFFERS]
    assert (header.type, header.sender, payload) == (kind, 7, b"\0")
    hold(desk.machine)


def test_pages_keep_their_content_when_they_move(desk):
    desk.wire(4)
    desk.vps[0].write_gpa(30 * PAGE, b"mine")
    desk.post(4, b"stay")

    desk.vps[0].wrmsr(Msr.SIMP, 30 << 12 | 1)

    assert desk.vps[0].read_gpa(30 * PAGE + 512 + 16, 4) == b"stay"
    desk.vps[0].wrmsr(Msr.SIMP, 0)
    assert desk.vps[0].read_gpa(30 * PAGE, 4) == b"mine"
    hold(desk.machine)


def test_two_overlays_do_not_lie_on_one_page(desk):
    assert desk.vps[0].wrmsr(Msr.SIMP, FLAGS[0] << 12 | 1).kind == "#GP"
    assert desk.vps[0].wrmsr(Msr.SIEFP, MESSAGES[1] << 12 | 1).kind == "#GP"
    hold(desk.machine)


def test_a_page_out_of_reach_still_takes_messages(desk):
    desk.wire(4)
    desk.vps[0].wrmsr(Msr.SIMP, 1 << 40 << 12 | 1)

    assert desk.post(4) == 0

    desk.vps[0].wrmsr(Msr.SIMP, 30 << 12 | 1)
    assert desk.vps[0].read_gpa(30 * PAGE + 512, 1) == b"\1"


def test_a_processor_that_goes_frees_the_buffers_of_its_queues(desk):
    desk.wire(4)
    for _ in range(5):
        desk.post(4)

    desk.winhv.call("DeleteVp", partition_id=desk.partition, vp_index=0)

    assert "messages_dropped" in desk.events
    assert desk.post(4) == Status.INVALID_VP_INDEX
    hold(desk.machine)


def test_a_partition_goes_with_its_ports_queues_and_pages(desk):
    desk.wire(4)
    desk.wire(5, flags=(0, 4))
    for _ in range(5):
        desk.post(4)

    desk.child.destroy()

    hold(desk.machine)
    assert desk.post(4) == Status.INVALID_PORT_ID  # the root's connection remains, and is useless
