"""The local APIC: priorities, acceptance, EOI, errors, NMIs, INIT, and the exits that two helpers save."""

import numpy as np
import pytest
from hardware.controllers import Controllers
from model.apic import may_deliver

from hvlab.hardware import apic, apic_registers
from hvlab.hypervisor import clockwork
from hvlab.hypervisor import virtual_apic as va
from hvlab.hypervisor.interrupt_invariants import check_apic
from hvlab.wire.apic import Esr, Lvt, Offset, Svr

ON = Svr.encode(vector=0xFF, enable=1)


@pytest.fixture
def one():
    return Controllers()


def test_all_3840_triples_of_classes_deliver_as_the_slow_model_says():
    wrong, one = [], Controllers()
    a = one[0]
    for requested in range(1, 16):
        for in_service in range(16):
            for task in range(16):
                a["isr"][:], a["irr"][:] = 0, 0
                a["tpr"] = task << 4
                a["irr"][requested >> 2] = np.int64(1) << (requested << 4 & 63)
                if in_service:
                    a["isr"][in_service >> 2] = np.int64(1) << (in_service << 4 & 63)
                expected = may_deliver(task, in_service, requested)
                if (one.pending() is not None) != expected:
                    wrong.append((requested, in_service, task))

    assert wrong == []


def test_priority_is_the_class_in_service_or_the_task_whichever_is_higher(one):
    one.do((clockwork.RAISE, 0, 0x62), (clockwork.ACCEPT, 0))
    one.write(Offset.TPR, 0x20)

    one.raise_vector(0x6F)
    held = one.pending()
    one.raise_vector(0x71)

    assert int(apic.ppr(one[0])) == 0x60
    assert (held, one.pending()) == (None, 0x71)


def test_at_equal_class_the_low_bits_of_the_priority_are_those_of_the_task(one):
    one.do((clockwork.RAISE, 0, 0x62), (clockwork.ACCEPT, 0))

    one.write(Offset.TPR, 0x69)

    assert int(apic.ppr(one[0])) == 0x69


def test_a_vector_raised_twice_before_it_is_taken_comes_once(one):
    answers = one.do((clockwork.RAISE, 0, 0x50), (clockwork.RAISE, 0, 0x50))

    assert answers == [int(apic.QUEUED), int(apic.COALESCED)]
    assert one.handle(lambda vector: None) == [0x50]


def test_a_vector_raised_again_while_it_is_handled_waits_once(one):
    one.do((clockwork.RAISE, 0, 0x50), (clockwork.ACCEPT, 0), (clockwork.RAISE, 0, 0x50), (clockwork.RAISE, 0, 0x50))

    assert (one.vectors("irr"), one.vectors("isr"), one.pending()) == ({0x50}, {0x50}, None)


def test_the_highest_vector_comes_first_and_a_higher_class_comes_between(one):
    one.do((clockwork.RAISE, 0, 0x41), (clockwork.RAISE, 0, 0x4F))
    first = one.take()
    one.raise_vector(0x81)
    second = one.take()

    assert (first, second, one.vectors("isr")) == (0x4F, 0x81, {0x4F, 0x81})
    assert [one.eoi(), one.eoi(), one.take(), one.eoi(), one.eoi()] == [0x81, 0x4F, 0x41, 0x41, -1]


def test_an_eoi_names_no_vector_and_ends_the_highest_in_service(one):
    one.do((clockwork.RAISE, 0, 0x40), (clockwork.ACCEPT, 0), (clockwork.RAISE, 0, 0x80), (clockwork.ACCEPT, 0))

    assert one.eoi() == 0x80
    assert one.vectors("isr") == {0x40}


@pytest.mark.parametrize("vector", [0x10, 0x3F, 0x40, 0x7F, 0x80, 0xBF, 0xC0, 0xFF])
def test_every_word_of_256_bits_is_searched_to_its_ends(one, vector):
    one.raise_vector(vector)

    assert (one.vectors("irr"), one.take(), one.eoi(), one.vectors("isr")) == ({vector}, vector, vector, set())


def test_an_illegal_vector_waits_nowhere_and_is_shown_by_the_next_write_to_the_error_register(one):
    answer = one.raise_vector(15)
    before = apic_registers.read(one.state, 0, Offset.ESR)
    one.write(Offset.ESR, 0)
    shown = apic_registers.read(one.state, 0, Offset.ESR)
    one.write(Offset.ESR, 0)

    assert (answer, one.vectors("irr"), before) == (int(apic.ILLEGAL), set(), 0)
    assert Esr.decode(shown).receive_illegal_vector == 1
    assert apic_registers.read(one.state, 0, Offset.ESR) == 0


def test_an_error_raises_the_error_interrupt_once_until_the_register_is_written(one):
    one.write(Offset.LVT_ERROR, 0xE3)

    one.raise_vector(3)
    taken = one.handle(lambda vector: None)
    one.raise_vector(4)

    assert (taken, one.pending()) == ([0xE3], None)
    one.write(Offset.ESR, 0)
    one.raise_vector(5)
    assert one.pending() == 0xE3


def test_an_illegal_vector_in_the_error_entry_itself_ends_there(one):
    one.write(Offset.LVT_ERROR, 7)

    assert one.raise_vector(3) == int(apic.ILLEGAL)
    assert one.vectors("irr") == set()


def test_an_apic_that_software_switched_off_drops_fixed_interrupts_and_masks_its_own(one):
    one.write(Offset.LVT_LINT0, 0x30)
    one.write(Offset.SVR, 0xFF)

    answer = one.raise_vector(0x50)
    one.write(Offset.LVT_ERROR, 0xE3)

    assert (answer, one.vectors("irr")) == (int(apic.DROPPED), set())
    assert all(Lvt.decode(int(entry)).masked for entry in one[0]["lvt"])
    one.write(Offset.SVR, ON)
    assert one.raise_vector(0x50) == int(apic.QUEUED)


def test_an_auto_eoi_interrupt_is_delivered_and_never_in_service(one):
    one.raise_vector(0xF3, auto_eoi=1)

    assert (one.take(), one.vectors("isr"), one.vectors("irr")) == (0xF3, set(), set())
    assert one.trace.kinds() == ["vector_raised", "vector_delivered_and_ended"]


def test_tmr_says_of_each_vector_how_it_came_last(one):
    one.raise_vector(0x60, level=1)
    level = one.vectors("tmr")
    one.do((clockwork.ACCEPT, 0), (clockwork.EOI, 0))

    one.raise_vector(0x60)

    assert (level, one.vectors("tmr")) == ({0x60}, set())


def test_the_bitmaps_are_eight_registers_of_32_bits_each(one):
    one.raise_vector(0x21, level=1)
    one.raise_vector(0xE4)
    one.take()

    read = {at: apic_registers.read(one.state, 0, at) for at in range(Offset.ISR, Offset.ESR, 16)}

    assert {at: word for at, word in read.items() if word} == {
        Offset.ISR + 0x70: 1 << 4,
        Offset.TMR + 0x10: 1 << 1,
        Offset.IRR + 0x10: 1 << 1,
    }


# NMI, INIT and start-up -----------------------------------------------------------------------------------------------


def test_an_nmi_comes_whatever_the_task_priority(one):
    one.write(Offset.TPR, 0xFF)

    one.do((va.RAISE_NMI, 0))

    assert (one.take(), one.vectors("isr")) == (2, set())


def test_two_nmis_sent_before_the_first_is_handled_are_both_handled(one):
    answers = one.do((va.RAISE_NMI, 0), (va.RAISE_NMI, 0), (va.RAISE_NMI, 0))

    first, blocked = one.take(), one.take()
    one.do((va.END_NMI, 0))

    assert answers == [1, 1, 0]
    assert (first, blocked, one.take()) == (2, -1, 2)


def test_ten_nmis_during_an_nmi_handler_are_one_afterwards(one):
    one.do((va.RAISE_NMI, 0), (clockwork.ACCEPT, 0))

    one.do(*[(va.RAISE_NMI, 0)] * 10)
    handled = 1
    while True:
        one.do((va.END_NMI, 0))
        if one.take() != 2:
            break
        handled += 1

    assert handled == 2


def test_init_resets_the_apic_but_for_its_identity_and_waits_for_a_start_up_ipi():
    two = Controllers(2)
    two.raise_vector(0x50, vp=1)
    two.write(Offset.TPR, 0x30, vp=1)

    two.ipi(0, to=1, mode="init")
    reset = int(two[1]["waits"]), two.vectors("irr", 1), int(two[1]["tpr"]), int(two[1]["svr"]), int(two[1]["id"])
    two.ipi(0x9A, to=1, mode="startup")
    two.ipi(0x9B, to=1, mode="startup")

    assert reset == (1, set(), 0, 0xFF, 1)
    assert (int(two[1]["waits"]), int(two[1]["start_page"])) == (0, 0x9A)
    assert two.trace.kinds()[-1] == "startup_ignored"
    assert (two.count("lost", 1), check_apic(two[1])) == (1, [])


# exits and what saves them --------------------------------------------------------------------------------------------

FIVE = ["+50", "-", "+40", ".", "-", ".", "+60L", "-", ".", "+41", "-", "+81", "-", ".", "."]


def follow(one, script):
    """`+50` raise edge, `+60L` raise level, `-` take, `.` EOI."""
    for word in script:
        if word[0] == "+":
            one.raise_vector(int(word[1:3], 16), level=int(word.endswith("L")))
        elif word == "-":
            assert one.take() > 0
        else:
            assert one.eoi() > 0


@pytest.mark.parametrize(("helpers", "exits"), [({}, 5), ({"assist": True}, 3), ({"virtual": True}, 1)])
def test_five_interrupts_cost_five_exits_three_with_the_assist_page_one_with_virtual_delivery(helpers, exits):
    one = Controllers(**helpers)

    follow(one, FIVE)

    assert (one.count("eoi_exits"), one.count("exits_saved")) == (exits, 5 - exits)
    assert one.count("eoi_assisted") + one.count("eoi_virtual") == 5 - exits
    assert one.vectors("irr") == one.vectors("isr") == set()


def test_with_the_assist_page_the_hypervisor_learns_of_an_eoi_when_the_next_interrupt_comes():
    one = Controllers(assist=True)
    follow(one, ["+50", "-", "."])
    unknown = one.vectors("isr")

    one.raise_vector(0x30)

    assert (unknown, one.vectors("isr"), one.pending()) == ({0x50}, set(), 0x30)


def test_nested_only_the_first_eoi_is_saved():
    one = Controllers(assist=True)

    follow(one, ["+41", "-", "+81", "-", ".", "."])

    assert (one.count("eoi_assisted"), one.count("eoi_exits")) == (1, 1)
    assert [kind for kind in one.trace.kinds() if kind == "vector_ended"] == ["vector_ended"] * 2


def test_no_eoi_required_is_taken_back_as_soon_as_something_waits():
    one = Controllers(assist=True)
    follow(one, ["+50", "-"])
    offered = int(one.mem[1])

    one.raise_vector(0x40)

    assert (offered, int(one.mem[1])) == (1, 0)
    assert one.trace.kinds()[-2:] == ["vector_raised", "assist_withdrawn"]


def test_a_level_interrupt_is_never_offered():
    one = Controllers(assist=True)

    follow(one, ["+60L", "-"])

    assert int(one.mem[1]) == 0


def test_the_assist_page_keeps_its_other_bits():
    one = Controllers(assist=True)
    one.mem[1] = 0x1234_5678_9ABC_DEF0

    follow(one, ["+50", "-"])
    offered = int(one.mem[1])
    follow(one, ["."])

    assert (offered, int(one.mem[1])) == (0x1234_5678_9ABC_DEF1, 0x1234_5678_9ABC_DEF0)


def test_a_write_to_eoi_in_spite_of_the_offer_ends_the_interrupt_too():
    one = Controllers(assist=True)
    follow(one, ["+50", "-"])

    one.write(Offset.EOI, 0)

    assert (one.vectors("isr"), one.count("eoi_exits")) == (set(), 1)


@pytest.mark.parametrize(("virtual", "exits"), [(False, 3), (True, 1)])
def test_virtual_delivery_saves_tpr_writes_and_ipis_to_oneself_but_not_those_to_others(virtual, exits):
    two = Controllers(2, virtual=virtual)

    two.write(Offset.TPR, 0x20)
    two.write(Offset.SELF_IPI, 0x51)
    two.ipi(0x52, to=1)

    assert (two.count("exits"), two.count("exits_saved")) == (exits, 3 - exits)


def test_the_caption_of_each_step_says_what_changed(one):
    follow(one, ["+50", "-", "."])

    assert one.trace.sentences() == [
        "VP 0's APIC notes vector 0x50 (edge): it waits in IRR.",
        "VP 0 takes vector 0x50: it moves from IRR to ISR.",
        "VP 0 writes EOI and leaves the guest for it.",
        "VP 0's APIC ends vector 0x50 (edge), its highest in service.",
    ]
    causes = one.trace.rows[:, 3].tolist()
    assert causes[3] == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"irr": 1 << 9}, "I10: vector 0x9 is in IRR of VP 0"),
        ({"isr": 3 << 48}, "I10: VP 0 has two of class 3 in service"),
        ({"irr": 1 << 40}, "I10: VP 0 was raised 0 interrupts, 1 are accounted for"),
    ],
)
def test_the_invariant_names_each_breach(one, words, sentence):
    for name, word in words.items():
        one[0][name][0] = word

    assert sentence in check_apic(one[0])
