"""Synthetic registers: which there are, for whom, what sticks."""

import pytest
from invariants import hold

from hvlab.hypervisor.vp import Fault
from hvlab.wire.msrs import CRASH, REGISTERS
from hvlab.wire.tlfs import GUEST_PRIVILEGES, Msr, PrivilegeMask

PAGE = 4096
QUIET = {Msr.HYPERCALL, Msr.SIMP, Msr.SIEFP, Msr.REFERENCE_TSC, Msr.VP_ASSIST_PAGE}  # have pages, tested elsewhere


@pytest.mark.parametrize("register", REGISTERS.values(), ids=lambda one: one.msr.name)
def test_a_guest_without_the_privilege_gets_a_protection_fault(machine, register):
    poor = machine.child("poor", 16 * PAGE, privileges=GUEST_PRIVILEGES & ~register.bit)
    able = register.privilege == CRASH

    assert isinstance(poor.vp.rdmsr(register.msr), Fault) == (not able or "R" not in register.access)
    assert isinstance(poor.vp.wrmsr(register.msr, 0), Fault) == (not able or "W" not in register.access)


@pytest.mark.parametrize("register", REGISTERS.values(), ids=lambda one: one.msr.name)
def test_a_guest_with_the_privilege_reads_the_value_after_reset(machine, child, register):
    machine.hv.state["partition"]["privileges"][0, 2] |= register.bit
    value = child.vp.rdmsr(register.msr)

    if "R" not in register.access:
        assert value == Fault("#GP")
    elif register.access == "R/W":
        assert value == register.reset
    else:
        assert isinstance(value, int)


@pytest.mark.parametrize("register", REGISTERS.values(), ids=lambda one: one.msr.name)
def test_a_register_takes_what_it_is_for(machine, child, register):
    machine.hv.state["partition"]["privileges"][0, 2] |= register.bit
    bits = [field for field in register.word.fields if field.name != "enable"] if register.word else []
    value = sum(field.mask & 0x50 << field.lo for field in bits) if bits else 0x40

    answer = child.vp.wrmsr(register.msr, value)

    if "W" not in register.access:
        assert answer == Fault("#GP")
    else:
        assert answer is None
        kept = 0 if register.msr == Msr.EOM else value
        assert "R" not in register.access or child.vp.rdmsr(register.msr) == kept
    hold(machine)


@pytest.mark.parametrize("number", [0x40000003, 0x40000040, 0x400000A0, 0x400000B8, 0x40000114, 0x40001080, 0x10])
def test_a_register_that_is_not_there_gets_a_protection_fault(machine, child, number):
    for vp in (child.vp, machine.root_vp):
        assert vp.rdmsr(number) == Fault("#GP")
        assert vp.wrmsr(number, 0) == Fault("#GP")


def test_each_processor_has_its_own_synic_and_timers(machine):
    child = machine.child("two", 32 * PAGE, vps=2)
    child.vps[0].wrmsr(Msr.SINT2, 0x200F3)
    child.vps[0].wrmsr(Msr.STIMER0_COUNT, 77)

    assert child.vps[1].rdmsr(Msr.SINT2) == 0x10000
    assert child.vps[1].rdmsr(Msr.STIMER0_COUNT) == 0
    assert child.vps[1].rdmsr(Msr.VP_INDEX) == 1


@pytest.mark.parametrize("vector", [0, 1, 15])
def test_an_unmasked_source_takes_no_vector_below_16_but_by_policy(machine, child, vector):
    assert child.vp.wrmsr(Msr.SINT5, vector) == Fault("#GP")
    assert child.vp.wrmsr(Msr.SINT5, vector | 0x10000) is None
    machine.state["messages"]["openvmm_vector"] = 1

    assert child.vp.wrmsr(Msr.SINT5, vector) is None


def test_reserved_bits_of_a_source_are_preserved(child):
    child.vp.wrmsr(Msr.SINT5, 0xABCD << 40 | 0x20)

    assert child.vp.rdmsr(Msr.SINT5) == 0xABCD << 40 | 0x20


def test_a_write_without_pages_in_the_pool_is_a_protection_fault_that_changes_nothing(machine, child):
    machine.vid.winhv.withdraw(child.partition_id)
    before = machine.hash()

    assert child.vp.wrmsr(Msr.SIMP, 5 << 12 | 1) == Fault("#GP")
    assert machine.hash() == before


def test_a_crash_is_reported_with_five_words(machine, child):
    for k in range(5):
        child.vp.wrmsr(Msr.CRASH_P0 + k, 0x1000 + k)
    child.vp.wrmsr(Msr.CRASH_CTL, 1 << 63)

    row = next(iter(machine.trace.of("crash_reported")))
    assert [machine.trace.fact(row, f"p{k}") for k in range(5)] == [0x1000 + k for k in range(5)]


def test_reading_guest_idle_halts_the_processor(machine, child):
    assert child.vp.rdmsr(Msr.GUEST_IDLE) == 0

    assert "vp_halted" in machine.trace.kinds()


def test_the_table_names_real_privileges():
    names = {field.name for field in PrivilegeMask.fields} | {CRASH}

    assert {register.privilege for register in REGISTERS.values()} <= names
