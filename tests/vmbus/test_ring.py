"""A ring between two ends: what is refused, who is woken when, and what is told of it."""

import numpy as np
import pytest

from hvlab.errors import BadRequest
from hvlab.hypervisor.vp import Fault
from hvlab.kernel import PLAIN
from hvlab.vmbus.engine import entry
from hvlab.vmbus.ring import Packet, Reader, Verdict, Writer
from hvlab.wire.ring import PacketType, RingControl
from vmbus.rings import PAGE, Rig

AWAKE, MASKED, WAS_EMPTY, NOT_WAITING, NOT_ENOUGH, ENOUGH_BEFORE, ENOUGH_NOW, EACH_TIME, NO_FEATURE = range(1, 10)


def test_a_new_ring_is_empty_and_its_writer_can_wait_for_room():
    rig = Rig()

    control = rig.writer.control()

    assert control == RingControl(feature_bits=1)
    assert (rig.writer.size, rig.writer.used, rig.writer.free) == (2 * PAGE, 0, 2 * PAGE - 8)
    assert rig.reader.read() is None


def test_a_packet_stands_in_the_ring_as_descriptor_data_padding_and_trailer():
    rig = Rig()
    rig.writer.write(b"before")

    written = rig.writer.write(b"eleven byte", transaction=0x1234, completion=True)

    found = rig.window.read(PAGE + written.at, 40)
    assert found[:8] == bytes.fromhex("0600 0200 0400 0100")
    assert found[8:16] == (0x1234).to_bytes(8, "little")
    assert found[16:32] == b"eleven byte" + bytes(5)
    assert found[32:] == bytes(4) + written.at.to_bytes(4, "little"), "the trailer: where the packet began"
    assert (written.ok, written.length, rig.writer.used) == (True, 40, written.at + 40)


@pytest.mark.parametrize("kind", [PacketType.IN_BAND, PacketType.COMPLETION])
def test_what_was_written_is_read_with_its_kind_and_transaction(kind):
    rig = Rig()
    rig.writer.write(b"12345678", kind=kind, transaction=(1 << 64) - 2, completion=kind == PacketType.IN_BAND)

    packet = rig.reader.read()

    assert (packet.kind, packet.data, packet.transaction) == (kind, b"12345678", (1 << 64) - 2)
    assert packet.completion == (kind == PacketType.IN_BAND)


def test_a_cancel_packet_is_read_by_linux_and_refused_by_the_two_strict_readers():
    for policy, wanted in (("linux", PacketType.CANCEL), ("openvmm", Verdict.TYPE), ("hvlab", Verdict.TYPE)):
        rig = Rig(policy=policy)
        rig.writer.write(b"", kind=PacketType.CANCEL)
        found = rig.reader.read()
        assert (found.kind if isinstance(found, Packet) else found) == wanted


def test_8_bytes_always_stay_empty_as_equal_indices_mean_an_empty_ring():
    rig = Rig(pages=1)
    assert rig.writer.write(bytes(PAGE - 8 - 24 - 40)).ok
    assert rig.writer.free == 40

    assert rig.writer.write(bytes(16)).ok, "a packet that takes the 40 bytes"

    assert rig.writer.free == 0
    assert (rig.writer.write_index - rig.writer.read_index) % PAGE == PAGE - 8


def test_a_packet_one_byte_of_data_too_long_is_refused_and_changes_nothing():
    rig = Rig(pages=1)
    rig.writer.write(bytes(PAGE - 8 - 24 - 40))
    before = rig.window.read(0, rig.window.size)

    told = rig.told(lambda: rig.writer.write(bytes(17)))

    assert told == ["packet_refused"]
    assert rig.window.read(0, rig.window.size) == before


def test_a_packet_that_can_never_fit_is_the_callers_mistake():
    rig = Rig(pages=1)

    with pytest.raises(BadRequest):
        rig.writer.write(bytes(PAGE - 24))


def test_the_data_go_on_at_the_beginning_where_the_end_comes():
    rig = Rig(pages=1)
    for k in range(9):
        data = bytes([k]) * 488  # 512 bytes a packet with head and trailer: none ends where the ring does
        assert rig.writer.write(data + bytes(40)).ok
        assert rig.reader.read(close=True).data == data + bytes(40)

    assert rig.reader.read_index == 9 * 552 % PAGE


# who is woken ---------------------------------------------------------------------------------------------------------


def test_the_reader_is_woken_only_when_the_ring_was_empty():
    rig = Rig()

    found = [rig.writer.write(b"x") for _ in range(3)]

    assert [(one.signal, one.why) for one in found] == [(True, WAS_EMPTY), (False, AWAKE), (False, AWAKE)]
    rig.reader.read_all()
    assert rig.writer.write(b"x").signal


def test_taking_packets_without_publishing_the_index_lets_no_writer_ring_again():
    rig = Rig()
    rig.writer.write(b"x")
    assert isinstance(rig.reader.read(), Packet)

    assert not rig.writer.write(b"x").signal
    rig.reader.close()
    assert isinstance(rig.reader.read(), Packet)


def test_a_mask_keeps_the_bell_still():
    rig = Rig()
    rig.reader.begin()

    written = rig.writer.write(b"x")

    assert (written.signal, written.why, rig.writer.mask) == (False, MASKED, 1)


def test_the_reader_looks_again_after_it_cleared_its_mask():
    rig = Rig()
    rig.reader.begin()
    assert rig.reader.read() is None
    assert not rig.writer.write(b"in between").signal

    assert rig.reader.end() == 16 + 16 + 8, "what came while nobody would have been woken"
    assert rig.reader.mask == 0


def test_several_packets_are_published_together_with_one_decision():
    rig = Rig()

    told = rig.told(lambda: rig.writer.write_batch([Packet(6, bytes([k])) for k in range(4)]))

    names = [name for name in told if name != "ring_word_written"]
    assert names == ["packet_written"] * 4 + ["write_index_published", "doorbell_rung"]
    assert [packet.data[0] for packet in rig.reader.read_all()] == [0, 1, 2, 3]


def test_of_a_batch_those_go_in_that_have_room():
    rig = Rig(pages=1)

    written = rig.writer.write_batch([Packet(6, bytes(1000)) for _ in range(5)])

    assert (written.ok, written.count, written.length, written.signal) == (False, 3, 3 * 1024, True)


@pytest.mark.parametrize(
    "rule, rung", [("always", [True] * 3), ("empty", [True, False, False]), ("monitor", [True, False, False])]
)
def test_the_rule_of_a_channel_decides_how_often_the_bell_rings(rule, rung):
    rig = Rig(rule=rule)

    told, found = [], []
    for _ in range(3):
        told += rig.told(lambda: found.append(rig.writer.write(b"x")))

    assert [one.signal for one in found] == rung
    assert told.count("doorbell_rung") == (0 if rule == "monitor" else sum(rung))
    assert told.count("doorbell_saved") == 3 - sum(rung)


def test_signals_are_counted_in_the_control_page_only_where_that_was_agreed_on():
    for counts, wanted in ((True, 1), (False, 0)):
        rig = Rig(counts=counts)
        rig.writer.write(b"x")
        rig.writer.write(b"x")
        assert rig.writer.control().guest_to_host_interrupt_count == wanted


def filled(policy="hvlab"):
    """A ring with three packets of 1,024 bytes and one of 1,000; 16 bytes are free."""
    rig = Rig(pages=1, policy=policy)
    rig.writer.write_batch([Packet(6, bytes(1000))] * 3 + [Packet(6, bytes(976))])
    return rig


@pytest.mark.parametrize("policy", ["hvlab", "openvmm", "linux"])
def test_a_waiting_writer_is_woken_by_the_read_that_crosses_what_it_waits_for_and_by_no_other(policy):
    rig = filled(policy)
    rig.writer.wait_for(2048)

    found = []
    for _ in range(4):
        assert isinstance(rig.reader.read(), Packet)
        found.append((rig.reader.close(), int(rig.reader.record["why"][0])))

    assert found == [(False, NOT_ENOUGH), (True, ENOUGH_NOW), (False, ENOUGH_BEFORE), (False, ENOUGH_BEFORE)]


def test_nobody_is_woken_who_does_not_wait():
    rig = filled()
    assert isinstance(rig.reader.read(), Packet)

    assert (rig.reader.close(), int(rig.reader.record["why"][0])) == (False, NOT_WAITING)


def test_a_writer_without_the_feature_bit_is_not_woken_but_by_openvmm():
    for policy, wanted in (("hvlab", False), ("linux", False), ("openvmm", True)):
        rig = filled(policy)
        rig.poke(64, bytes(4))
        rig.writer.wait_for(24)
        rig.reader.read()
        assert rig.reader.close() == wanted


def test_windows_may_wait_for_the_size_less_one_and_is_woken_when_the_ring_is_empty():
    rig = filled()
    rig.writer.wait_for(PAGE - 1)

    assert [packet.signal for packet in rig.reader.read_all()] == [False, False, False, True]


# what lies -----------------------------------------------------------------------------------------------------------


def test_without_the_stricter_rule_a_packet_without_trailer_moves_the_reader_past_the_writer():
    """Openvmm compares the length with what is there, and moves on by the length and the trailer."""
    for policy, wanted in (("openvmm", 24), ("hvlab", 0)):
        rig = Rig(policy=policy)
        rig.poke(PAGE, bytes.fromhex("0600 0200 0200 0000"))
        rig.poke(0, (16).to_bytes(4, "little"))
        found = rig.reader.read(close=True)
        assert isinstance(found, Packet) == (policy == "openvmm")
        assert rig.reader.read_index == wanted


def test_linux_cuts_a_length_that_lies_to_what_is_there():
    rig = Rig(policy="linux")
    rig.writer.write(bytes(range(32)))
    rig.poke(PAGE + 2, bytes.fromhex("0000 ffff"))

    told = []
    told += rig.told(lambda: told.append(rig.reader.read()))

    packet = told.pop(0)
    assert told == ["packet_clamped", "packet_clamped", "packet_read"]
    assert (packet.length, packet.data[:32]) == (56, bytes(range(32))), "with the trailer: all that was there"


def test_a_refused_packet_stays_where_it_is():
    rig = Rig()
    rig.writer.write(b"x")
    rig.poke(PAGE + 4, bytes(2))

    told = rig.told(lambda: rig.reader.read(close=True))

    assert told == ["packet_rejected"]
    assert (rig.reader.read(), rig.reader.read_index) == (Verdict.LENGTHS, 0)


def test_a_writer_does_not_write_while_the_read_index_is_none():
    rig = Rig()
    rig.poke(4, (12).to_bytes(4, "little"))

    written = rig.writer.write(b"x")

    assert (written.ok, written.verdict, rig.writer.write_index) == (False, Verdict.INDEX, 0)


def test_an_end_believes_its_own_index_and_not_the_one_in_the_page():
    rig = Rig()
    rig.writer.write(b"first")
    rig.poke(0, bytes(4))

    rig.writer.write(b"second")
    first, second = rig.reader.read_all()

    assert first.data.startswith(b"first") and second.data.startswith(b"second")


# what is told --------------------------------------------------------------------------------------------------------


def test_each_changed_word_is_told_with_its_address_and_both_values():
    rig = Rig()

    with rig.machine.action():
        rig.writer.write(b"seven78!")
    trace = rig.machine.trace

    words = [trace.facts(k) for k in trace.of("ring_word_written")]
    assert [word["new"] for word in words[:3]] == [6 | 2 << 16 | 3 << 32, int.from_bytes(b"seven78!", "little"), 32]
    for word in words:
        assert rig.machine.memory.read64(word["spa"]) == word["new"]
        assert (word["old"], word["channel"], word["ring"]) == (0, 5, 1)


def test_a_packet_larger_than_the_recorder_is_told_whole():
    rig = Rig()
    pages = [k << 12 for k in range(16, 60)]
    window = rig.child.vp.window(pages)
    writer = Writer(window, 5, 2)
    writer.prepare()
    data = np.random.default_rng(1).bytes(40 * PAGE)

    with rig.machine.action():
        assert writer.write(data).ok
    trace = rig.machine.trace

    assert len(data) // 8 > 16_384, "rows of the recorder"
    changed = {trace.fact(k, "spa"): trace.fact(k, "new") for k in trace.of("ring_word_written")}
    assert len(changed) >= len(data) // 8


def test_publishing_is_caused_by_the_packet_and_the_bell_by_publishing():
    rig = Rig()

    with rig.machine.action():
        rig.writer.write(b"x")
    trace = rig.machine.trace

    (packet,), (index,), (bell,) = (
        trace.of(name) for name in ("packet_written", "write_index_published", "doorbell_rung")
    )
    assert (trace.rows[index, 3], trace.rows[bell, 3]) == (packet, index)
    assert trace.rows[bell, 2] == rig.child.vp.number


def test_software_says_what_it_did_and_why_and_its_ring_goes_on_from_there():
    rig = Rig()
    vp = rig.child.vp

    with rig.machine.action():
        row = vp.tell("guest_throttled", channel=5, signals=9, nanoseconds=1000)
        with vp.because(row):
            rig.writer.write(b"x")
    trace = rig.machine.trace

    (packet,) = trace.of("packet_written")
    assert (trace.kinds()[row], trace.rows[row, 2]) == ("guest_throttled", vp.number)
    assert trace.rows[packet, 3] == row


def test_nothing_is_told_of_a_silent_machine_and_the_bytes_are_the_same():
    loud, silent = Rig(), Rig()
    silent.machine.hv.recording = False

    for rig in (loud, silent):
        for k in range(20):
            rig.writer.write(bytes([k]) * (100 * k))
            if k % 3 == 0:
                rig.reader.read_all()

    assert silent.machine.hash() == loud.machine.hash()
    assert len(silent.machine.trace) == 0 < len(loud.machine.trace)


@pytest.mark.compiled
def test_one_step_and_a_million_share_one_compiled_function():
    entry.few[0] = 0
    rig = Rig()
    for _ in range(3):
        rig.writer.write(b"x")
        rig.reader.read(close=True)

    assert not PLAIN and len(entry.operate.signatures) == 1


# pages that go away --------------------------------------------------------------------------------------------------


def test_a_window_on_a_page_that_is_not_there_is_a_fault_and_the_parent_hears_of_it():
    rig = Rig()

    found = rig.child.vp.window([0x5000, 100 * PAGE])

    assert isinstance(found, Fault) and found.gpa == 100 * PAGE
    assert rig.child.vp.suspended


def test_a_page_that_was_taken_away_is_a_fault_and_its_bytes_are_never_touched_again():
    rig = Rig()
    rig.writer.write(b"kept")
    spa = next(facts["spa"] for facts in map(rig.machine.trace.facts, rig.machine.trace.of("ring_word_written")))
    rig.machine.vid.remove_memory(rig.child.partition, rig.gpas[1] >> 12, 1)
    before = rig.machine.memory.read(spa & -PAGE, PAGE)

    written = rig.writer.write(b"lost")

    assert isinstance(written.fault, Fault) and written.fault.gpa == rig.gpas[1]
    assert not written.ok and rig.child.vp.suspended
    assert rig.machine.memory.read(spa & -PAGE, PAGE) == before


def test_a_page_that_may_only_be_read_is_no_page_of_a_window():
    rig = Rig()
    rig.machine.vid.protect(rig.child.partition, rig.gpas[2] >> 12, 1)

    assert isinstance(rig.window.read(0, 8), Fault)


def test_an_end_goes_on_where_a_restored_machine_is():
    rig = Rig()
    rig.writer.write(b"first")
    then = rig.machine.snapshot()
    rig.writer.write(b"second")

    rig.machine.restore(then)
    assert rig.writer.attach() is None
    rig.writer.write(b"other")

    assert [packet.data[:6] for packet in rig.reader.read_all()] == [b"first\0", b"other\0"]


def test_who_does_not_run_neither_reads_nor_writes_a_window():
    rig = Rig()
    rig.child.vp.window([100 * PAGE])

    for attempt in (lambda: rig.window.read(0, 8), lambda: rig.window.write(0, b"x"), lambda: rig.writer.write(b"x")):
        with pytest.raises(BadRequest):
            attempt()


def test_a_window_is_bytes_in_a_row_wherever_its_pages_lie():
    rig = Rig()
    data = bytes(range(256)) * 20

    assert rig.window.write(PAGE - 100, data) is None

    assert rig.window.read(PAGE - 100, len(data)) == data
    assert rig.child.vp.read_gpa(rig.gpas[0] + PAGE - 100, 100) == data[:100]
    assert rig.child.vp.read_gpa(rig.gpas[1], PAGE) == data[100 : 100 + PAGE]
    for place in (-1, rig.window.size - 7):
        with pytest.raises(BadRequest):
            rig.window.read(place, 8)


def test_a_ring_in_a_page_that_a_walker_read_makes_cached_translations_stale():
    """What a window writes may be a page table: it is noticed as any other write is."""
    rig = Rig()
    rig.machine.hv.walked.add(next(iter(rig.window._spns)))
    rig.machine.hv.unsettled = False

    rig.writer.write(b"x")

    assert rig.machine.hv.unsettled


def test_pages_must_be_named_by_their_beginning():
    with pytest.raises(BadRequest):
        Rig().child.vp.window([0x5008])


def test_a_ring_needs_a_page_of_data():
    rig = Rig()

    with pytest.raises(BadRequest):
        Reader(rig.child.vp.window([0x5000]), 1, 1)
