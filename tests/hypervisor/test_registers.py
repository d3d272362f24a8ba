"""Registers from outside, and translation on behalf of a parent."""

import pytest

from hvlab.machine import Machine
from hvlab.wire.hypercalls import (
    RegisterAssociation,
    RegisterName,
    RegisterValue,
    TranslationOutput,
    TranslationOutputEx,
)
from hvlab.wire.tlfs import SELF, THIS_VP, Register, TranslateCode, TranslateFlags, TranslateResult

GVA = 0x7000_0000


def assoc(name, low, high=0):
    return RegisterAssociation.encode(name=name, low=low, high=high)


def test_the_parent_reads_what_it_set(caller, child):
    number = child.partition_id
    caller("SetVpRegisters", assoc(Register.RAX, 1 << 63), assoc(Register.RIP, 0x1000), partition_id=number)

    caller("GetVpRegisters", *[RegisterName.encode(name=n) for n in (Register.RAX, Register.RIP)], partition_id=number)

    assert [caller.out(RegisterValue, k).low for k in (0, 1)] == [1 << 63, 0x1000]


@pytest.mark.parametrize(
    ("name", "low", "high", "expected"),
    [
        (0x12345, 0, 0, "INVALID_PARAMETER"),
        (Register.VP_INDEX, 0, 0, "INVALID_PARAMETER"),
        (Register.RAX, 0, 1, "INVALID_REGISTER_VALUE"),
        (Register.CR0, 1 << 31, 0, "INVALID_REGISTER_VALUE"),
        (Register.CR3, 1 << 46, 0, "INVALID_REGISTER_VALUE"),
        (Register.EFER, 1 << 32, 0, "INVALID_REGISTER_VALUE"),
        (Register.EXPLICIT_SUSPEND, 2, 0, "INVALID_REGISTER_VALUE"),
    ],
)
def test_registers_refuse_what_they_cannot_hold(caller, child, name, low, high, expected):
    answer = caller("SetVpRegisters", assoc(Register.RBX, 1), assoc(name, low, high), partition_id=child.partition_id)

    assert answer == (expected, 1)


def test_a_child_reaches_its_own_registers_with_the_privilege(guest):
    assert (
        guest("GetVpRegisters", RegisterName.encode(name=Register.RIP), partition_id=SELF, vp_index=THIS_VP)[0]
        == "SUCCESS"
    )
    assert guest("GetVpRegisters", RegisterName.encode(name=Register.RIP), partition_id=1)[0] == "ACCESS_DENIED"


def test_a_child_without_the_privilege_does_not(machine):
    from hypervisor.conftest import Caller

    child = machine.child("bare", 16 * 4096, privileges=0x60)
    child.vp.wrmsr(0x40000000, 1)
    child.vp.wrmsr(0x40000001, 1 | 9 << 12)
    answer = Caller(machine, child.vp, 1, 2)("GetVpRegisters", bytes(4), partition_id=SELF)

    assert answer == ("ACCESS_DENIED", 0)


@pytest.fixture(params=["intel", "amd"])
def paged(request):
    machine = Machine(memory=2 << 20, vendor=request.param)
    child = machine.child("paged", 32 * 4096)
    child.enable_paging({GVA + k * 4096: k * 4096 for k in range(8)} | {0: 0}, 16)
    return machine, child


def translate(machine, child, gva, name="TranslateVirtualAddress", **flags):
    kind = TranslationOutputEx if name.endswith("Ex") else TranslationOutput
    machine.root_vp.write_gpa(machine.vid.winhv.output_gpn * 4096, b"\xff" * kind.size)
    answer = machine.vid.winhv.call(
        name, partition_id=child.partition_id, flags=TranslateFlags.encode(**flags), gvn=gva >> 12
    )
    return TranslateCode(TranslateResult.decode(answer.result).code).name, answer.gpn


@pytest.mark.parametrize("name", ["TranslateVirtualAddress", "TranslateVirtualAddressEx"])
def test_a_parent_asks_where_an_address_leads(paged, name):
    machine, child = paged

    assert translate(machine, child, GVA + 0x3000, name, validate_read=1) == ("SUCCESS", 3)
    assert translate(machine, child, 0x1234_5000, name, validate_read=1) == ("PAGE_NOT_PRESENT", 0)


def test_asking_changes_neither_tables_nor_caches(paged):
    machine, child = paged
    processor, pages = machine.state["lp"][0, 1].tobytes(), child.vp.read_gpa(0, 32 * 4096)
    registers = child.vp.registers

    translate(machine, child, GVA, validate_write=1)
    translate(machine, child, 0x1234_5000)

    assert machine.state["lp"][0, 1].tobytes() == processor
    assert child.vp.read_gpa(0, 32 * 4096) == pages
    assert child.vp.registers == registers


def test_the_second_level_is_named_when_it_says_no(paged):
    machine, child = paged
    machine.vid.protect(child.partition, 3, 1)

    assert translate(machine, child, GVA + 0x3000, validate_read=1) == ("SUCCESS", 3)
    assert translate(machine, child, GVA + 0x3000, validate_write=1) == ("GPA_NO_WRITE_ACCESS", 0)
    machine.vid.remove_memory(child.partition, 4, 1)
    assert translate(machine, child, GVA + 0x4000, validate_read=1) == ("GPA_UNMAPPED", 0)


def test_a_supervisor_page_is_a_privilege_violation_for_the_user(machine):
    child = machine.child("kernel", 32 * 4096)
    child.enable_paging({GVA: 0}, 16, user=False)

    assert translate(machine, child, GVA, validate_read=1, user_access=1) == ("PRIVILEGE_VIOLATION", 0)
    assert translate(machine, child, GVA, validate_read=1, supervisor_access=1) == ("SUCCESS", 0)


def test_reserved_bits_are_named(paged):
    machine, child = paged
    entry = int.from_bytes(child.vp.read_gpa(16 * 4096, 8), "little")
    child.vp.write_gpa(16 * 4096, (entry | 1 << 50).to_bytes(8, "little"))

    assert translate(machine, child, GVA, validate_read=1) == ("INVALID_PAGE_TABLE_FLAGS", 0)
