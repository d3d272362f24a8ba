"""The hypercall page: an overlay that MSRs place over a guest page."""

import pytest
from invariants import hold

from hvlab.hypervisor.vp import Fault
from hvlab.machine import Machine
from hvlab.wire.tlfs import HypercallMsr, Msr

PAGE = 4096


def enable(vp, gpn, **more):
    return vp.wrmsr(Msr.HYPERCALL, HypercallMsr.encode(enable=1, gpn=gpn, **more))


@pytest.fixture
def vp(child):
    child.vp.wrmsr(Msr.GUEST_OS_ID, 1)
    return child.vp


def test_the_enable_bit_does_not_stick_before_the_guest_says_who_it_is(child):
    enable(child.vp, 9)

    assert child.vp.rdmsr(Msr.HYPERCALL) == 9 << 12
    assert child.vp.read_gpa(9 * PAGE, 4) == bytes(4)


@pytest.mark.parametrize(("vendor", "code"), [("intel", "0f01c1c3"), ("amd", "0f01d9c3")])
def test_the_page_holds_the_vendors_instruction(vendor, code):
    child = Machine(memory=2 << 20, vendor=vendor).child("web", 16 * PAGE)
    child.vp.wrmsr(Msr.GUEST_OS_ID, 1)
    enable(child.vp, 9)

    assert child.vp.fetch(9 * PAGE, 4) == bytes.fromhex(code)


def test_the_guests_own_page_waits_underneath(machine, vp):
    vp.write(9 * PAGE, b"mine")
    enable(vp, 9)
    hold(machine)

    assert vp.read(9 * PAGE, 4) == bytes.fromhex("0f01c1c3")
    vp.wrmsr(Msr.HYPERCALL, 0)
    assert vp.read(9 * PAGE, 4) == b"mine"
    hold(machine)


def test_a_write_to_the_page_is_a_protection_fault_and_not_an_exit_to_the_parent(vp):
    enable(vp, 9)

    assert vp.write(9 * PAGE, b"x").kind == "#GP"
    assert not vp.suspended


def test_the_page_moves(machine, vp):
    vp.write(9 * PAGE, b"nine")
    enable(vp, 9)
    enable(vp, 10)

    assert vp.read(9 * PAGE, 4) == b"nine"
    assert vp.read(10 * PAGE, 1) == b"\x0f"
    hold(machine)


def test_forgetting_who_one_is_disables_the_page(vp):
    enable(vp, 9)
    vp.wrmsr(Msr.GUEST_OS_ID, 0)

    assert vp.rdmsr(Msr.HYPERCALL) == 9 << 12
    assert vp.hypercall(0x46) == Fault("#UD")


def test_a_locked_register_stays_as_it_is(vp):
    enable(vp, 9, locked=1)

    refused = enable(vp, 10)

    assert refused == Fault("#GP")
    assert vp.rdmsr(Msr.HYPERCALL) == 9 << 12 | 3
    assert vp.read(9 * PAGE, 1) == b"\x0f"


def test_it_may_lie_where_the_guest_has_no_memory(machine, vp):
    enable(vp, 400)

    assert vp.read(400 * PAGE, 1) == b"\x0f"
    vp.wrmsr(Msr.HYPERCALL, 0)
    assert vp.read(400 * PAGE).kind == "intercept"
    hold(machine)


def test_the_parent_may_change_the_page_underneath(machine, child, vp):
    enable(vp, 9)
    machine.vid.remove_memory(child.partition, 9, 1)
    hold(machine)

    assert vp.read(9 * PAGE, 1) == b"\x0f"
    vp.wrmsr(Msr.HYPERCALL, 0)
    assert vp.read(9 * PAGE).kind == "intercept"


def test_beyond_physical_memory_it_is_a_protection_fault(vp):
    assert enable(vp, 1 << 34).kind == "#GP"


def test_a_large_page_underneath_is_split():
    machine = Machine(memory=8 << 20)
    child = machine.child("big", 2 << 20, large=True)
    child.write(8 * PAGE, b"eight")
    child.write(9 * PAGE, b"nine")
    child.vp.wrmsr(Msr.GUEST_OS_ID, 1)

    enable(child.vp, 9)
    hold(machine)

    assert child.read(8 * PAGE, 5) == b"eight"
    child.vp.wrmsr(Msr.HYPERCALL, 0)
    assert child.read(9 * PAGE, 4) == b"nine"


def test_registers_that_are_not_there_or_not_allowed_are_protection_faults(machine, child):
    plain = machine.child("plain", 4 * PAGE, privileges=0)

    assert child.vp.rdmsr(0x1C).kind == "#GP"
    assert child.vp.wrmsr(Msr.VP_INDEX, 0).kind == "#GP"
    assert plain.vp.wrmsr(Msr.GUEST_OS_ID, 1).kind == "#GP"
    assert plain.vp.rdmsr(Msr.VP_INDEX).kind == "#GP"
    assert child.vp.rdmsr(Msr.VP_INDEX) == 0


def test_user_mode_may_not_touch_them(child):
    child.vp.set(cpl=3)

    assert child.vp.rdmsr(Msr.GUEST_OS_ID).kind == "#GP"
    assert child.vp.wrmsr(Msr.GUEST_OS_ID, 1).kind == "#GP"


def test_a_page_that_is_taken_away_is_the_hypervisors_alone(machine, vp):
    spn = int(machine.state["partition"]["overlay_spn"][0, 2])
    enable(vp, 9)
    assert (machine.hv.memory.record(spn).sharer, machine.hv.memory.record(spn).share_rights) == (2, 5)

    vp.wrmsr(Msr.HYPERCALL, 0)

    assert (machine.hv.memory.record(spn).sharer, machine.hv.memory.record(spn).table) == (255, 1)
