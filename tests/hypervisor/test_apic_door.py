"""A guest and its local APIC, through the door: registers as MSRs, the modes, the assist page in its own memory."""

import pytest

from hvlab.errors import BadRequest
from hvlab.hardware import apic_timer
from hvlab.hypervisor import apic_msr, clockwork
from hvlab.hypervisor.invariants import check_all
from hvlab.hypervisor.vp import Fault
from hvlab.wire.apic import X2APIC, ApicBase, ApicMsr, Lvt, Offset, Svr, TimerMode
from hvlab.wire.tlfs import Msr

BASE, DEADLINE = ApicMsr.APIC_BASE, ApicMsr.TSC_DEADLINE
ENABLE, EXTENDED = ApicBase.mask("enable"), ApicBase.mask("x2apic")
ASSIST_GPA = 20 * 4096


def msr(offset):
    return X2APIC + (offset >> 4)


@pytest.fixture
def vp(child):
    return child.vp


def arrive(vp, vector, level=0):
    """Raise a vector in the guest's APIC, as its hypervisor would for a device."""
    return int(vp._hv.turn([(0, int(clockwork.RAISE), vp.number, vector, level, 0)])[0])


def xapic(vp):
    """Let the guest leave x2APIC mode: off, and on again."""
    frame = ApicBase.encode(frame=0xFEE00)
    assert vp.wrmsr(BASE, frame) is None
    assert vp.wrmsr(BASE, frame | ENABLE) is None
    apic_msr.write_page(vp._hv, vp.number, Offset.SVR, Svr.encode(vector=0xFF, enable=1))


def is_gp(answer):
    return isinstance(answer, Fault) and answer.kind == "#GP"


# through the door -----------------------------------------------------------------------------------------------------


def test_a_guest_takes_and_ends_its_interrupt_and_sees_what_its_apic_holds(vp):
    arrive(vp, 0x51)
    arrive(vp, 0x62)

    taken = vp.take_interrupt()
    during = vp.interrupts
    ended = vp.eoi()

    assert (taken, ended) == (0x62, 0x62)
    assert (during.waiting, during.in_service, during.ppr, during.deliverable) == ((0x51,), (0x62,), 0x60, None)
    assert vp.interrupts.deliverable == 0x51
    assert (vp.take_interrupt(), vp.eoi(), vp.take_interrupt(), vp.eoi()) == (0x51, 0x51, None, None)


def test_the_task_priority_holds_back_its_class_and_those_below(vp):
    arrive(vp, 0x55)

    vp.tpr = 0x50
    held = vp.interrupts.deliverable
    vp.tpr = 0x4F

    assert (held, vp.interrupts.deliverable, vp.tpr) == (None, 0x55, 0x4F)
    with pytest.raises(BadRequest):
        vp.tpr = 256


def test_an_ipi_of_a_child_reaches_its_own_processors_only(machine):
    one, other = machine.child("one", memory=32 * 4096), machine.child("two", memory=32 * 4096)

    who = one.vp.icr(vector=0xFB, shorthand=2)

    assert who == 1 << one.vp.number
    assert one.vp.interrupts.waiting == (0xFB,)
    assert other.vp.interrupts.waiting == machine.root_vp.interrupts.waiting == ()
    assert check_all(machine) == []


@pytest.mark.parametrize("x2apic", [True, False])
def test_the_command_register_takes_a_destination_of_the_modes_width(vp, x2apic):
    if not x2apic:
        xapic(vp)

    who = vp.icr(vector=0xFB, destination=0)

    assert (who, vp.interrupts.waiting) == (1 << vp.number, (0xFB,))


# the registers as MSRs ------------------------------------------------------------------------------------------------


def test_the_version_tells_an_apic_inside_the_processor(vp):
    version = vp.rdmsr(msr(Offset.VERSION))

    assert 0x10 <= version & 0xFF <= 0x15


def test_writing_eoi_as_an_x2apic_register_ends_the_interrupt_and_only_zero_may_be_written(vp):
    arrive(vp, 0x51)
    vp.take_interrupt()

    wrong = vp.wrmsr(msr(Offset.EOI), 1)
    still = vp.interrupts.in_service
    right = vp.wrmsr(msr(Offset.EOI), 0)

    assert is_gp(wrong) and still == (0x51,)
    assert right is None and vp.interrupts.in_service == ()


@pytest.mark.parametrize("offset", [Offset.EOI, Offset.SELF_IPI, Offset.DFR, Offset.ICR_HIGH, Offset.APR, 0x40, 0x3A0])
def test_registers_that_an_x2apic_lacks_or_hides_cannot_be_read(vp, offset):
    assert is_gp(vp.rdmsr(msr(offset)))


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (Offset.ID, 5),
        (Offset.LDR, 5),
        (Offset.PPR, 0),
        (Offset.IRR, 0),
        (Offset.CURRENT_COUNT, 0),
        (Offset.TPR, 0x100),
        (Offset.ESR, 1),
        (Offset.SVR, 1 << 10),
        (Offset.LVT_TIMER, 1 << 12),
        (Offset.INITIAL_COUNT, 1 << 32),
        (Offset.ICR, 1 << 16),
        (Offset.SELF_IPI, 0x100),
    ],
)
def test_read_only_registers_and_reserved_bits_of_an_x2apic_raise_gp(vp, offset, value):
    before = vp._hv.hash()

    assert is_gp(vp.wrmsr(msr(offset), value))
    assert vp._hv.hash() == before


def test_outside_x2apic_mode_its_registers_are_not_there(vp):
    xapic(vp)

    assert is_gp(vp.rdmsr(msr(Offset.TPR)))
    assert is_gp(vp.wrmsr(msr(Offset.TPR), 0))


def test_a_self_ipi_by_msr_is_delivered_once(vp):
    vp.wrmsr(msr(Offset.SELF_IPI), 0xF1)

    assert (vp.take_interrupt(), vp.eoi(), vp.take_interrupt()) == (0xF1, 0xF1, None)


def test_the_deadline_in_the_past_fires_at_once_and_reads_zero(vp):
    vp.wrmsr(msr(Offset.LVT_TIMER), Lvt.encode(vector=0xEF, timer_mode=TimerMode.TSC_DEADLINE))
    now = int(vp._hv.state["now"][0]) * int(apic_timer.TSC_PER_NS)

    vp.wrmsr(DEADLINE, now)

    assert (vp.interrupts.waiting, vp.rdmsr(DEADLINE)) == ((0xEF,), 0)


def test_the_deadline_of_an_apic_that_is_off_raises_nothing(vp):
    vp.wrmsr(msr(Offset.LVT_TIMER), Lvt.encode(vector=0xEF, timer_mode=TimerMode.TSC_DEADLINE))
    vp.wrmsr(BASE, 0xFEE00000)

    vp.wrmsr(DEADLINE, 1)

    assert (vp.interrupts.waiting, vp.rdmsr(DEADLINE)) == ((), 0)


# modes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "allowed"),
    [
        ((EXTENDED,), False),
        ((ENABLE,), False),
        ((0,), True),
        ((0, EXTENDED), False),
        ((0, ENABLE | EXTENDED), False),
        ((0, ENABLE), True),
        ((0, ENABLE, EXTENDED), False),
        ((0, ENABLE, ENABLE | EXTENDED), True),
        ((0, ENABLE, 0), True),
    ],
)
def test_from_x2apic_the_modes_change_only_in_their_order(vp, way, allowed):
    answers = [vp.wrmsr(BASE, 0xFEE00000 | bits) for bits in way]

    assert [is_gp(answer) for answer in answers] == [False] * (len(way) - 1) + [not allowed]


def test_reserved_bits_of_the_base_register_raise_gp(vp):
    base, width = vp.rdmsr(BASE), int(vp._hv.state["vp"]["phys_bits"][0, vp.number])

    assert is_gp(vp.wrmsr(BASE, base | 1))
    assert is_gp(vp.wrmsr(BASE, base | 1 << width))


def test_the_registers_can_be_moved_to_another_page(vp):
    vp.wrmsr(BASE, 0xFED40000)

    vp.wrmsr(BASE, 0xFED40000 | ENABLE)

    assert vp.rdmsr(BASE) == 0xFED40000 | ENABLE
    assert apic_msr.read_page(vp._hv, vp.number, Offset.VERSION) & 0xFF == 0x14


def test_switched_off_the_page_reads_all_ones_and_cr8_still_works(vp):
    vp.wrmsr(BASE, 0xFEE00000)

    vp.tpr = 0xF0

    assert apic_msr.read_page(vp._hv, vp.number, Offset.VERSION) == 0xFFFFFFFF
    assert apic_msr.read_page(vp._hv, vp.number, Offset.TPR) == 0xFFFFFFFF
    assert vp.tpr == 0xF0


def test_in_x2apic_mode_the_page_answers_nobody(vp):
    assert apic_msr.read_page(vp._hv, vp.number, Offset.VERSION) == 0xFFFFFFFF


def test_an_xapic_id_can_be_written_an_x2apic_id_cannot_and_a_reset_restores_it(vp):
    hv, number = vp._hv, vp.number
    before = vp.rdmsr(msr(Offset.ID))
    fixed = is_gp(vp.wrmsr(msr(Offset.ID), before + 1))
    xapic(vp)

    apic_msr.write_page(hv, number, Offset.ID, before + 1 << 24)
    written = apic_msr.read_page(hv, number, Offset.ID) >> 24
    xapic(vp)

    assert (fixed, written) == (True, before + 1)
    assert apic_msr.read_page(hv, number, Offset.ID) >> 24 == before


def test_a_register_that_an_xapic_lacks_is_noted_in_the_error_register(vp):
    hv, number = vp._hv, vp.number
    xapic(vp)

    apic_msr.write_page(hv, number, 0x40, 1)
    apic_msr.write_page(hv, number, Offset.ESR, 0)

    assert apic_msr.read_page(hv, number, Offset.ESR) == 1 << 7


def test_a_write_to_a_read_only_register_of_an_xapic_is_ignored(vp):
    hv, number = vp._hv, vp.number
    xapic(vp)

    apic_msr.write_page(hv, number, Offset.VERSION, 0)

    assert apic_msr.read_page(hv, number, Offset.VERSION) & 0xFF == 0x14


# the hypervisor's own registers and the assist page -------------------------------------------------------------------


def test_the_synthetic_registers_are_short_cuts_to_the_same_apic(vp):
    vp.wrmsr(Msr.TPR, 0x30)
    vp.wrmsr(Msr.ICR, 0xFB | 1 << 18)
    vp.take_interrupt()

    vp.wrmsr(Msr.EOI, 0)

    assert (vp.rdmsr(msr(Offset.TPR)), vp.tpr, vp.interrupts.in_service) == (0x30, 0x30, ())


def test_in_xapic_mode_the_synthetic_command_register_has_the_destination_in_its_highest_byte(vp):
    xapic(vp)

    vp.wrmsr(Msr.ICR, 0xFF << 56 | 0xFB)

    assert vp.interrupts.waiting == (0xFB,)
    assert vp.rdmsr(Msr.ICR) == 0xFF << 56 | 0xFB


def assist_bit(vp):
    return vp.read_gpa(ASSIST_GPA)[0] & 1


def test_no_eoi_required_stands_in_the_guests_own_page(vp):
    assert vp.wrmsr(Msr.VP_ASSIST_PAGE, ASSIST_GPA | 1) is None
    arrive(vp, 0x50)

    vp.take_interrupt()
    offered = assist_bit(vp)
    vp.eoi()

    assert (offered, assist_bit(vp)) == (1, 0)
    assert "eoi_written" not in vp.trace.kinds()
    assert check_all(vp._hv) == []


def test_the_real_guests_bytes_are_enough_to_save_an_eoi(vp):
    vp.wrmsr(Msr.VP_ASSIST_PAGE, ASSIST_GPA | 1)
    arrive(vp, 0x50)
    vp.take_interrupt()

    vp.write_gpa(ASSIST_GPA, b"\0")
    arrive(vp, 0x31)

    assert (vp.interrupts.in_service, vp.interrupts.deliverable) == ((), 0x31)


def test_switching_the_page_off_settles_what_was_saved(vp):
    vp.wrmsr(Msr.VP_ASSIST_PAGE, ASSIST_GPA | 1)
    arrive(vp, 0x50)
    vp.take_interrupt()
    vp.eoi()
    unknown = vp.interrupts.in_service

    vp.wrmsr(Msr.VP_ASSIST_PAGE, 0)

    assert (unknown, vp.interrupts.in_service) == ((0x50,), ())


def test_a_deleted_partition_leaves_an_empty_apic(machine):
    child = machine.child("web", memory=32 * 4096)
    arrive(child.vp, 0x50)
    number = child.vp.number

    child.destroy()

    assert not machine.state["apic"][0, number].tobytes().strip(b"\0")
