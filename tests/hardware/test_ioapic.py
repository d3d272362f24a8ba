"""The I/O APIC: edge and level, masks, Remote IRR, destinations, its own registers."""

import pytest
from hardware.controllers import Controllers

from hvlab.hardware import ioapic
from hvlab.hypervisor import virtual_apic as va
from hvlab.hypervisor.interrupt_invariants import check_apic
from hvlab.wire.apic import Offset, Redirection, Svr

PIN, EDGE, LEVEL = 0x0E, 0, 1


def quiet(vector):
    """A handler that has nothing to do with the device."""


def pulse(machine, pin=PIN):
    machine.line(pin, 1)
    machine.line(pin, 0)


@pytest.fixture
def one():
    return Controllers()


def lowers(machine, pin=PIN):
    return lambda vector: machine.line(pin, 0)


def test_the_version_register_is_read_only(one):
    before = ioapic.read_register(one.state, 1)

    done = ioapic.entry_after(one.state, 1, before ^ 0xFFFFFFFF)

    assert (done, ioapic.read_register(one.state, 1)) == (None, before)
    assert before >> 16 & 0xFF == 23


def test_of_the_id_register_only_four_bits_can_be_written(one):
    ioapic.entry_after(one.state, 0, 0xFFFFFFFF)

    assert ioapic.read_register(one.state, 0) == 0x0F000000


def test_the_arbitration_id_follows_the_id_and_cannot_be_written(one):
    ioapic.entry_after(one.state, 0, 0x05000000)
    ioapic.entry_after(one.state, 2, 0)

    assert ioapic.read_register(one.state, 2) == 0x05000000


def test_an_entry_is_two_registers_of_32_bits(one):
    one.program(PIN, 0x77, destination=3)

    halves = [ioapic.read_register(one.state, 0x10 + 2 * PIN + k) for k in (0, 1)]
    pin, word = ioapic.entry_after(one.state, 0x10 + 2 * PIN + 1, 0x81 << 24)

    assert halves == [0x77, 3 << 24]
    assert (pin, Redirection.decode(word)) == (PIN, Redirection(vector=0x77, destination=0x81))
    assert ioapic.read_register(one.state, 0x10 + 2 * 24) == 0


def test_an_edge_sends_one_interrupt(one):
    one.program(PIN, 0x76)

    pulse(one)

    assert one.handle(quiet) == [0x76]


def test_a_pin_that_stays_asserted_is_no_second_edge(one):
    one.program(PIN, 0x76)

    answers = [one.line(PIN, 1), one.line(PIN, 1)]

    assert answers == [1, 0]
    assert one.handle(quiet) == [0x76]


def test_a_level_sends_one_interrupt_that_its_handler_ends(one):
    one.program(PIN, 0x77, LEVEL)

    one.line(PIN, 1)
    sent = one.entry(PIN).remote_irr
    taken = one.handle(lowers(one))

    assert (sent, taken, one.entry(PIN).remote_irr) == (1, [0x77], 0)


def test_of_two_at_the_same_time_the_higher_class_comes_first(one):
    one.program(0x0E, 0x78)
    one.program(0x0F, 0x66)

    pulse(one, 0x0F)
    pulse(one, 0x0E)

    assert one.handle(quiet) == [0x78, 0x66]


def test_a_level_that_falls_and_rises_during_its_handler_comes_once(one):
    one.program(PIN, 0x98, LEVEL)

    def handler(vector):
        one.line(PIN, 0)
        one.line(PIN, 1)
        one.line(PIN, 0)

    one.line(PIN, 1)

    assert one.handle(handler) == [0x98]


def test_one_level_after_the_other_is_two_interrupts(one):
    one.program(PIN, 0x99, LEVEL)

    one.line(PIN, 1)
    first = one.handle(lowers(one))
    one.line(PIN, 1)

    assert first + one.handle(lowers(one)) == [0x99, 0x99]


def test_a_level_that_is_still_asserted_at_the_eoi_comes_again(one):
    one.program(PIN, 0x9A, LEVEL)
    handled = []

    def handler(vector):
        handled.append(vector)
        if len(handled) == 2:
            one.line(PIN, 0)

    one.line(PIN, 1)

    assert one.handle(handler) == [0x9A, 0x9A]


def test_while_remote_irr_is_set_an_asserted_level_is_held_back(one):
    one.program(PIN, 0x9A, LEVEL)
    one.line(PIN, 1)
    one.take()

    answer = one.line(PIN, 1)

    assert (answer, one.vectors("irr")) == (-2, set())


def test_an_edge_on_a_masked_pin_is_lost(one):
    one.program(PIN, 0x81, masked=1)
    answer = one.line(PIN, 1)
    one.line(PIN, 0)

    one.program(PIN, 0x81)
    lost = one.pending()
    one.line(PIN, 1)

    assert (answer, lost, one.pending()) == (-1, None, 0x81)


def test_a_level_on_a_masked_pin_comes_when_the_mask_goes(one):
    one.program(PIN, 0x82, LEVEL, masked=1)
    one.line(PIN, 1)
    masked = one.pending()

    one.program(PIN, 0x82, LEVEL)

    assert (masked, one.handle(lowers(one))) == (None, [0x82])


def test_a_handler_that_masks_the_pin_gets_the_level_again_with_the_mask_off(one):
    one.program(PIN, 0x83, LEVEL)

    def handler(vector):
        one.program(PIN, 0x83, LEVEL, masked=1)

    one.line(PIN, 1)
    first = one.handle(handler)
    one.program(PIN, 0x83, LEVEL)

    assert first + one.handle(handler) == [0x83, 0x83]


def test_tmr_tells_edge_from_level_and_changes_with_the_next_interrupt(one):
    seen = []
    for trigger in (EDGE, LEVEL, LEVEL, EDGE):
        one.program(PIN, 0x79, trigger)
        before = 0x79 in one.vectors("tmr")
        one.line(PIN, 1)
        one.handle(lambda vector, before=before: (seen.append((before, 0x79 in one.vectors("tmr"))), one.line(PIN, 0)))

    assert seen == [(False, False), (False, True), (True, True), (True, False)]


def test_a_handler_may_change_its_own_entry_and_remote_irr_still_goes_with_the_eoi():
    two = Controllers(2)
    two.program(PIN, 0x84, LEVEL)

    def handler(vector):
        two.line(PIN, 0)
        two.program(PIN, 0x84, LEVEL, destination=1)
        assert two.entry(PIN).remote_irr == 1

    two.line(PIN, 1)

    assert two.handle(handler) == [0x84]
    assert (two.entry(PIN).remote_irr, two.entry(PIN).destination) == (0, 1)


def test_remote_irr_cannot_be_written_but_an_edge_entry_has_none(one):
    one.program(PIN, 0x85, LEVEL, remote_irr=1)
    unset = one.entry(PIN).remote_irr
    one.line(PIN, 1)
    one.take()
    one.program(PIN, 0x86, LEVEL)  # the EOI of 0x85 will not find this entry any more
    one.eoi()
    stuck = one.entry(PIN).remote_irr

    one.program(PIN, 0x86, EDGE)
    one.program(PIN, 0x86, LEVEL)

    assert (unset, stuck) == (0, 1)
    assert one.pending() == 0x86


def test_a_physical_destination_is_one_processor():
    two = Controllers(2)
    two.program(PIN, 0x85, LEVEL, destination=1)

    two.line(PIN, 1)

    assert (two.pending(0), two.handle(lowers(two), vp=1)) == (None, [0x85])


@pytest.mark.parametrize("x2apic", [False, True])
def test_a_logical_destination_is_three_processors_of_four(x2apic):
    four = Controllers(4, x2apic=x2apic)
    if not x2apic:
        for vp in range(4):
            four.write(Offset.LDR, 1 << 24 + vp, vp)
    four.program(PIN, 0x86, LEVEL, destination=0xD, logical=1)

    four.line(PIN, 1)

    assert [four.pending(vp) for vp in range(4)] == [0x86, None, 0x86, 0x86]
    assert four.handle(lowers(four), vp=0) == [0x86]


def test_with_three_receivers_of_a_level_the_first_eoi_lets_it_come_again():
    four = Controllers(4)
    four.program(PIN, 0x86, LEVEL, destination=0xD, logical=1)
    four.line(PIN, 1)
    four.take(0)

    four.eoi(0)

    assert four.pending(0) == 0x86
    assert four.count("coalesced", 2) == four.count("coalesced", 3) == 1


def test_an_nmi_entry_sends_an_nmi(one):
    one.program(PIN, 0, delivery_mode=4)

    pulse(one)

    assert one.pending() == 2


def test_an_illegal_vector_in_an_entry_is_an_error_of_who_receives_it(one):
    one.program(PIN, 9)

    pulse(one)

    assert (one.pending(), int(one[0]["errors"])) == (None, 1 << 6)


def test_an_eoi_is_not_told_to_the_io_apic_if_svr_suppresses_it(one):
    one.write(Offset.SVR, Svr.encode(vector=0xFF, enable=1, suppress_eoi_broadcast=1))
    one.program(PIN, 0x87, LEVEL)
    one.line(PIN, 1)
    one.handle(lowers(one))
    still = one.entry(PIN).remote_irr

    one.do((va.PIN_EOI, 0, 0x87))

    assert (still, one.entry(PIN).remote_irr) == (1, 0)


def test_an_eoi_on_another_bus_is_not_heard():
    two = Controllers(2)
    two[1]["bus"] = 2
    two.program(PIN, 0x87, LEVEL)
    two.line(PIN, 1)
    two.raise_vector(0x87, vp=1, level=1)
    two.take(1)

    two.eoi(1)

    assert two.entry(PIN).remote_irr == 1


def test_a_level_that_nobody_takes_does_not_wait_for_an_eoi(one):
    one.program(PIN, 0x88, LEVEL, destination=9)

    one.line(PIN, 1)
    unheard = one.entry(PIN).remote_irr
    one.program(PIN, 0x88, LEVEL)

    assert (unheard, one.pending()) == (0, 0x88)


@pytest.mark.parametrize("pin", [-1, 24, 1 << 40])
def test_a_pin_that_is_not_there_changes_nothing(one, pin):
    before = one.state.tobytes()

    assert one.line(pin, 1) == -3
    one.program(pin, 0x50)

    assert one.state.tobytes() == before


def test_24_pins_at_once_are_24_interrupts_in_the_order_of_their_classes(one):
    for pin in range(24):
        one.program(pin, 0x30 + 8 * pin, LEVEL)

    one.do(*((va.PIN_LINE, 0, pin, 1) for pin in range(24)))

    assert one.handle(lambda vector: one.line(vector - 0x30 >> 3, 0), most=30) == [
        0x30 + 8 * p for p in range(23, -1, -1)
    ]
    assert check_apic(one[0]) == []
