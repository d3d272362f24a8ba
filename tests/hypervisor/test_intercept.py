"""An access outside the mapping becomes a message to the parent, as data."""

import pytest

from hvlab.errors import BadRequest
from hvlab.machine import Machine
from hvlab.wire.tlfs import ExecutionState, MessageType, Register


@pytest.fixture(params=["intel", "amd"])
def pair(request):
    machine = Machine(memory=2 << 20, vendor=request.param)
    return machine, machine.child("web", 16 * 4096)


def test_the_parent_reads_where_and_why_the_child_stopped(pair):
    machine, child = pair
    machine.vid.set_registers(child.partition, 0, {Register.RIP: 0x1234})

    fault = child.write(0x8000_1238, b"x")

    header, body = machine.vid.message(child.partition, 0)
    assert fault.kind == "intercept"
    assert (header.type, header.payload_size) == (MessageType.UNMAPPED_GPA, 80)
    assert (body.vp_index, body.access_type, body.rip) == (0, 1, 0x1234)
    assert (body.gpa, body.gva) == (0x8000_1238, 0x8000_1238)
    assert ExecutionState.decode(body.execution_state).cr0_pe == 1


def test_a_missing_right_is_told_apart_from_a_missing_page(pair):
    machine, child = pair
    machine.vid.protect(child.partition, 3, 1)

    child.write(0x3000, b"x")

    assert machine.vid.message(child.partition, 0)[0].type == MessageType.GPA_INTERCEPT


@pytest.mark.parametrize(("access", "kind"), [("read", 0), ("write", 1), ("fetch", 2)])
def test_the_message_says_what_was_tried(pair, access, kind):
    machine, child = pair
    {"read": child.vp.read, "write": lambda gva: child.vp.write(gva, b"x"), "fetch": child.vp.fetch}[access](0x80_0000)

    assert machine.vid.message(child.partition, 0)[1].access_type == kind


def test_the_child_waits_until_its_parent_resumes_it(pair):
    machine, child = pair
    child.read(0x80_0000)

    with pytest.raises(BadRequest, match="suspended"):
        child.read(0)
    machine.vid.add_memory(child.partition, 0x800, 1)
    machine.vid.resume(child.partition, 0)

    assert child.read(0x80_0000) == bytes(8)


def test_exit_post_and_resume_are_told_in_order(pair):
    machine, child = pair
    with machine.action():
        child.read(0x80_0000)
        machine.vid.resume(child.partition, 0)

    kinds = [k for k in machine.trace.kinds() if k in ("vp_exited", "intercept_posted", "vp_resumed")]
    assert kinds == ["vp_exited", "intercept_posted", "vp_resumed"]


def test_another_processor_of_the_child_runs_on():
    machine = Machine(memory=2 << 20)
    child = machine.child("two", 16 * 4096, vps=2)

    child.vps[0].read(0x80_0000)

    assert child.vps[0].suspended and not child.vps[1].suspended
    assert child.vps[1].read(0) == bytes(8)


def test_the_message_page_cannot_be_written_by_anyone(pair):
    machine, child = pair
    page = child.partition.message_gpns[0] * 4096

    assert machine.root_vp.read(page, 16) == bytes(16)
    assert machine.root_vp.write(page, b"x").kind == "#GP"


def test_the_guests_own_page_fault_is_no_exit(pair):
    machine, child = pair
    child.enable_paging({0: 0}, 8)

    fault = child.read(0x7000_0000)

    assert (fault.kind, fault.error_code) == ("#PF", 0)
    assert "vp_exited" not in machine.trace.kinds()
    assert child.vp.registers["cr2"] == 0x7000_0000


def test_the_second_levels_no_while_walking_names_the_table(pair):
    machine, child = pair
    child.enable_paging({0x7000_0000: 0, 0: 0}, 8)
    machine.vid.remove_memory(child.partition, 8, 1)  # its top table

    fault = child.read(0x7000_0000)

    assert fault.kind == "intercept"
    assert machine.vid.message(child.partition, 0)[1].gpa >> 12 == 8
    assert machine.vid.message(child.partition, 0)[1].gva == 0x7000_0000


def test_the_root_has_nobody_above_it():
    machine = Machine(memory=2 << 20)

    assert machine.root_vp.read(0).kind == "#GP"
    assert machine.root_vp.write(0x3000, b"x").kind == "#GP"
    assert not machine.root_vp.suspended
