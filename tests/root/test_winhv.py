"""WinHv: hypercalls as functions."""

import copy
import pickle

import pytest

from hvlab.errors import BadRequest
from hvlab.machine import Machine
from hvlab.root.winhv import CallFailed, RootMemory
from hvlab.wire.hypercalls import CALLS
from hvlab.wire.tlfs import SELF

PAGE = 4096


@pytest.fixture
def machine():
    return Machine(memory=8 << 20)


def test_the_root_says_who_it_is_before_it_enables_the_page(machine):
    told = [machine.boot.sentence(k) for k in machine.boot.of("msr_written", "overlay_placed")]

    assert [sentence.split()[4:7:2] for sentence in told[:2]] == [["to", "GUEST_OS_ID:"], ["to", "HYPERCALL:"]]
    assert "covers GPA" in told[2]


def test_an_unexpected_status_is_an_error_with_its_facts(machine):
    with pytest.raises(CallFailed, match="DeletePartition: INVALID_PARTITION_ID") as failed:
        machine.vid.winhv.call("DeletePartition", partition_id=99)

    assert (failed.value.call, failed.value.status, failed.value.done) == ("DeletePartition", "INVALID_PARTITION_ID", 0)
    assert str(copy.copy(failed.value)) == str(pickle.loads(pickle.dumps(failed.value))) == str(failed.value)


def test_memory_is_deposited_when_the_hypervisor_asks(machine):
    free = len(machine.root_memory.free)

    with machine.action():
        machine.vid.winhv.call("CreatePartition", for_whom=SELF)

    assert free - len(machine.root_memory.free) == machine.vid.winhv.deposit_step
    wanted = {"hypercall_returned", "memory_deposited", "partition_created"}
    told = [kind for kind in machine.trace.kinds() if kind in wanted]
    assert told == [
        "hypercall_returned",
        *["memory_deposited"] * 4,
        "hypercall_returned",
        "partition_created",
        told[-1],
    ]


def test_a_list_longer_than_a_page_goes_in_batches(machine):
    with machine.action():
        child = machine.child("long", memory=1100 * PAGE)

    entered = [
        machine.trace.fact(k, "control") >> 32 & 0xFFF
        for k in machine.trace.of("hypercall_entered")
        if machine.trace.fact(k, "code") == 0x4B
    ]
    assert [count for count in entered if count != 0][:3] == [509, 509, 82]
    assert child.read(1099 * PAGE) == bytes(8)


def test_mapping_goes_on_from_the_elements_that_are_done(machine):
    machine.vid.deposit = 4  # too little for the tables of 1,100 pages
    machine.vid.winhv.deposit_step = 1

    child = machine.child("poor", memory=1100 * PAGE)

    entered = [k for k in machine.trace.of("hypercall_entered") if machine.trace.fact(k, "code") == 0x4B]
    starts = [machine.trace.fact(k, "control") >> 48 & 0xFFF for k in entered]
    assert any(starts)  # a retry that did not begin at 0
    done = [k for k in machine.trace.of("page_mapped") if machine.trace.fact(k, "partition") == child.partition_id]
    assert len(done) == 1100


def test_batches_are_what_fits_a_page(machine):
    sizes = {
        name: machine.vid.winhv.batch(CALLS[code]) for name, code in (("map", 0x4B), ("deposit", 0x48), ("set", 0x51))
    }

    assert sizes == {"map": 509, "deposit": 511, "set": 127}


def test_the_roots_memory_runs_out_with_a_clear_line():
    memory = RootMemory([1, 2])

    with pytest.raises(BadRequest, match="3 pages of the root; found 2 free ones"):
        memory.take(3)
    with pytest.raises(BadRequest, match="2 MiB border"):
        memory.take_large()
    assert memory.free == [1, 2]
