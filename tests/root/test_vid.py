"""VID: a partition is built and taken down in the order of a real root driver."""

import pytest
from invariants import hold

from hvlab.errors import BadRequest
from hvlab.machine import Machine
from hvlab.wire.hypercalls import CALLS
from hvlab.wire.tlfs import Register

PAGE = 4096


def calls(trace):
    """Names of the calls that succeeded, repeats left out."""
    names = []
    for k in trace.of("hypercall_returned"):
        if trace.fact(k, "status") == 0:
            name = CALLS[trace.fact(k, "code")].name
            if not names or names[-1] != name:
                names.append(name)
    return names


@pytest.fixture
def machine():
    return Machine(memory=4 << 20)


def test_the_order_of_creation(machine):
    machine.child("web", 16 * PAGE)

    assert calls(machine.trace) == [
        "DepositMemory",
        "CreatePartition",
        "SetPartitionProperty",
        "DepositMemory",
        "InitializePartition",
        "CreateVp",
        "MapVpStatePage",
        "MapGpaPages",
        "SetVpRegisters",
    ]


def test_the_order_of_destruction(machine):
    child = machine.child("web", 16 * PAGE)

    trace = child.destroy()

    names = [CALLS[trace.fact(k, "code")].name for k in trace.of("hypercall_returned")]
    assert names == ["FinalizePartition", "WithdrawMemory", "WithdrawMemory", "DeletePartition"]
    hold(machine)


def test_intercept_suspend_is_cleared_before_explicit_suspend(machine):
    machine.child("web", 16 * PAGE)

    names = [machine.trace.fact(k, "name") for k in machine.trace.of("register_set")]
    assert names[-2:] == [Register.INTERCEPT_SUSPEND, Register.EXPLICIT_SUSPEND]


def test_every_processor_is_ready_to_run(machine):
    child = machine.child("smp", 16 * PAGE, vps=3)

    assert [vp.index for vp in child.vps] == [0, 1, 2]
    assert not any(vp.suspended for vp in child.vps)
    assert machine.vid.registers(child.partition, 2, [Register.VP_INDEX]) == {Register.VP_INDEX: 2}


def test_memory_comes_and_goes(machine):
    child = machine.child("web", 16 * PAGE)
    free = len(machine.root_memory.free)

    machine.vid.add_memory(child.partition, 100, 5)
    machine.vid.remove_memory(child.partition, 100, 5)

    assert len(machine.root_memory.free) == free
    assert 100 not in child.partition.pages
    hold(machine)


def test_large_pages_are_whole(machine):
    with pytest.raises(BadRequest, match="multiple of 512"):
        machine.child("odd", 100 * PAGE, large=True)


def test_too_many_processors_are_refused_by_the_hypervisor(machine):
    with pytest.raises(Exception, match="CreateVp: NO_RESOURCES"):
        machine.child("huge", PAGE, vps=9)
