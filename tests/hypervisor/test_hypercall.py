"""The shape of a call: control word, blocks, order of checks, repetition and continuation."""

from dataclasses import replace

import pytest

from hvlab.hypervisor.vp import Fault
from hvlab.wire.hypercalls import CODES, PageNumber, PartitionIdOutput, RegisterName, RegisterValue
from hvlab.wire.tlfs import SELF, HypercallControl, HypercallResult, Register, Status

RIP = RegisterName.encode(name=Register.RIP)


def status_of(answer):
    return Status(HypercallResult.decode(answer).status).name


def test_the_root_learns_its_own_id(caller):
    assert caller("GetPartitionId") == ("SUCCESS", 0)
    assert caller.out(PartitionIdOutput).partition_id == 1


@pytest.mark.parametrize("code", [0, 0x5E, 0xFFFF])
def test_a_code_that_is_not_there_is_the_first_thing_refused(machine, code):
    rest = 0xF << 60 | code

    assert status_of(machine.root_vp.hypercall(rest, 3, 5)) == "INVALID_HYPERCALL_CODE"


@pytest.mark.parametrize("bits", [1 << 27, 1 << 31, 1 << 44, 1 << 60, 1 << 17, 1 << 32, 1 << 48])
def test_reserved_bits_and_counts_are_refused_before_addresses_are_looked_at(machine, bits):
    answer = machine.root_vp.hypercall(CODES["GetPartitionId"] | bits, 3, 5)

    assert status_of(answer) == "INVALID_HYPERCALL_INPUT"


@pytest.mark.parametrize(("count", "start"), [(0, 0), (3, 3), (3, 4)])
def test_a_rep_call_needs_a_count_beyond_its_start(caller, count, start):
    assert caller("GetVpRegisters", count=count, start=start, partition_id=SELF)[0] == "INVALID_HYPERCALL_INPUT"


@pytest.mark.parametrize(("rdx", "r8"), [(4, 0), (0, 4), (4096 - 8, 0), (0, 4096 - 4), (64, 64), (64, 72)])
def test_blocks_are_aligned_within_a_page_and_apart(machine, rdx, r8):
    base = machine.vid.winhv.input_gpn * 4096
    shift = 0 if rdx == 64 else 4096

    answer = machine.root_vp.hypercall(CODES["GetNextChildPartition"], base + rdx, base + shift + r8)

    assert status_of(answer) == "INVALID_ALIGNMENT"


def test_a_missing_privilege_is_told_before_anything_about_the_target(guest):
    for name in ("DepositMemory", "WithdrawMemory"):
        assert guest(name, *[PageNumber.encode(gpn=1)], count=1, partition_id=4711)[0] == "ACCESS_DENIED"
    assert "call_denied" in guest.machine.trace.kinds()


@pytest.mark.parametrize("partition_id", [1, 2, 3, 77])
def test_a_child_cannot_find_out_which_partitions_exist(guest, partition_id):
    answers = {guest(name, partition_id=partition_id)[0] for name in ("InitializePartition", "FinalizePartition")}

    assert answers == {"ACCESS_DENIED"}


def test_the_root_is_told_that_a_partition_does_not_exist(caller):
    assert caller("InitializePartition", partition_id=77)[0] == "INVALID_PARTITION_ID"


def test_user_mode_gets_undefined_opcode(machine):
    machine.root_vp.set(cpl=3)

    assert machine.root_vp.hypercall(0x46) == Fault("#UD")


def test_without_an_enabled_page_the_instruction_is_undefined(child):
    assert child.vp.hypercall(0x46) == Fault("#UD")


def test_fast_input_beyond_two_registers_is_undefined_without_the_feature(caller):
    assert caller("CreateVp", fast=1, partition_id=1) == ("#UD", 0)


def test_fast_and_slow_input_mean_the_same(caller, child):
    slow = caller("InitializePartition", partition_id=child.partition_id)
    fast = caller("InitializePartition", fast=1, partition_id=child.partition_id)

    assert slow == fast == ("INVALID_PARTITION_STATE", 0)


def test_an_input_block_outside_memory_is_an_intercept_and_no_status(guest):
    answer = guest.vp.hypercall(CODES["GetNextChildPartition"], 0x7000_0000, 0x2000)

    assert answer.kind == "intercept"
    assert guest.vp.suspended
    assert "hypercall_returned" not in guest.machine.trace.kinds()


def test_output_into_the_hypercall_page_is_a_protection_fault(guest):
    assert guest.vp.hypercall(CODES["FlushVirtualAddressSpace"], 9 << 12, 0) == 0  # reading it is allowed
    assert guest.vp.hypercall(CODES["GetNextChildPartition"], 0x1000, 9 << 12).kind == "#GP"


def test_a_rep_call_that_fails_keeps_what_was_done(caller, child):
    pages = [PageNumber.encode(gpn=gpn) for gpn in (200, 201, 1 << 30, 202)]

    answer = caller("DepositMemory", *pages, partition_id=child.partition_id)

    assert answer == ("INVALID_PARAMETER", 2)
    assert caller("DepositMemory", *pages[:2], partition_id=child.partition_id) == ("INVALID_PARAMETER", 0)


def test_reps_done_count_from_the_first_element(caller):
    registers = [RIP] * 5

    assert caller("GetVpRegisters", *registers, start=3, partition_id=SELF) == ("SUCCESS", 5)


def test_a_time_slice_returns_to_the_same_instruction(machine, caller):
    machine.slice_reps = 37
    for k in range(100):
        machine.root_vp.write_gpa(caller.input + 16 + 4 * k, RIP)
    machine.root_vp.write_gpa(caller.input, SELF.to_bytes(8, "little") + bytes(8))
    rcx = HypercallControl.encode(code=0x50, rep_count=100)

    first = machine.root_vp.hypercall_once(rcx, caller.input, caller.output)
    second = machine.root_vp.hypercall_once(first.rcx, caller.input, caller.output)
    third = machine.root_vp.hypercall_once(second.rcx, caller.input, caller.output)

    assert [HypercallControl.decode(entry.rcx).rep_start for entry in (first, second)] == [37, 74]
    assert not first.finished and not second.finished and third.finished
    assert HypercallResult.decode(third.result).reps_done == 100


@pytest.mark.parametrize(("reps", "entries"), [(36, 1), (37, 1), (38, 2), (100, 3)])
def test_a_continued_call_enters_as_often_as_it_must(machine, caller, reps, entries):
    machine.slice_reps = 37
    machine.root_vp.write_gpa(caller.input, SELF.to_bytes(8, "little") + bytes(8) + RIP * reps)

    machine.root_vp.hypercall(HypercallControl.encode(code=0x50, rep_count=reps), caller.input, caller.output)

    kinds = machine.trace.kinds()
    assert kinds.count("hypercall_entered") == entries
    assert kinds.count("hypercall_continued") == entries - 1
    assert kinds.count("rep_done") == reps


def test_register_values_come_back_element_by_element(caller):
    names = [RegisterName.encode(name=name) for name in (Register.VP_INDEX, Register.CR0, Register.RIP)]

    caller("GetVpRegisters", *names, partition_id=SELF)

    assert caller.out(RegisterValue, 1).low == caller.machine.root_vp.registers["cr0"]
    assert caller.out(RegisterValue, 2).low == 0xFFF0


def test_a_failed_simple_call_leaves_the_machine_as_it_was(machine, caller, child):
    machine.root_vp.write_gpa(caller.input, (77).to_bytes(8, "little"))
    before = machine.hash()

    answer = machine.root_vp.hypercall(CODES["FinalizePartition"], caller.input)

    assert status_of(answer) == "INVALID_PARTITION_ID"
    assert machine.hash() == before


def test_a_step_of_the_result_can_be_compared(machine):
    entry = machine.root_vp.hypercall_once(0x46, 0, 0x8000)

    assert replace(entry, rcx=0) == replace(machine.root_vp.hypercall_once(0x46, 0, 0x8000), rcx=0)
