"""A partition from its creation to the point where nothing names it any more."""

import numpy as np
import pytest
from invariants import hold

from hvlab.wire.hypercalls import (
    CreatePartitionOutput,
    MemoryBalance,
    PageNumber,
    PartitionIdOutput,
    PropertyOutput,
)
from hvlab.wire.tlfs import EVERY_PRIVILEGE, GUEST_PRIVILEGES, SELF, Property


def deposit(caller, partition_id, gpns):
    return caller("DepositMemory", *[PageNumber.encode(gpn=gpn) for gpn in gpns], partition_id=partition_id)


@pytest.fixture
def created(caller):
    deposit(caller, SELF, [100])
    assert caller("CreatePartition") == ("SUCCESS", 0)
    return caller.out(CreatePartitionOutput).partition_id


def test_creation_wants_memory_from_the_caller_itself(caller):
    assert caller("CreatePartition")[0] == "INSUFFICIENT_MEMORY"
    deposit(caller, SELF, [100])
    assert caller("CreatePartition")[0] == "SUCCESS"
    assert caller.out(CreatePartitionOutput).partition_id == 2


def test_initialization_wants_two_pages_of_the_childs_pool(caller, created):
    assert caller("InitializePartition", partition_id=created)[0] == "INSUFFICIENT_MEMORY"
    deposit(caller, created, [101, 102])
    assert caller("InitializePartition", partition_id=created)[0] == "SUCCESS"
    assert caller("InitializePartition", partition_id=created)[0] == "INVALID_PARTITION_STATE"


def test_a_processor_needs_an_active_partition_a_free_index_and_a_page(caller, created):
    assert caller("CreateVp", partition_id=created)[0] == "INVALID_PARTITION_STATE"
    deposit(caller, created, [101, 102])
    caller("InitializePartition", partition_id=created)
    assert caller("CreateVp", partition_id=created)[0] == "INSUFFICIENT_MEMORY"
    deposit(caller, created, [103])
    assert caller("CreateVp", partition_id=created)[0] == "SUCCESS"
    assert caller("CreateVp", partition_id=created)[0] == "INVALID_VP_INDEX"
    assert caller("CreateVp", partition_id=created, vp_index=64)[0] == "INVALID_VP_INDEX"


def test_privileges_are_set_before_initialization_and_never_beyond_the_parents(caller, created):
    ask = {"partition_id": created, "property": Property.PRIVILEGE_FLAGS}

    assert caller("SetPartitionProperty", **ask, value=1 << 55)[0] == "PROPERTY_VALUE_OUT_OF_RANGE"
    assert caller("SetPartitionProperty", **ask, value=0x60)[0] == "SUCCESS"
    assert caller("GetPartitionProperty", **ask)[0] == "SUCCESS"
    assert caller.out(PropertyOutput).value == 0x60
    deposit(caller, created, [101, 102])
    caller("InitializePartition", partition_id=created)
    assert caller("SetPartitionProperty", **ask, value=0)[0] == "INVALID_PARTITION_STATE"


def test_a_property_that_is_not_there_is_named_so(caller, created):
    assert caller("GetPartitionProperty", partition_id=created, property=5)[0] == "UNKNOWN_PROPERTY"


def test_the_root_holds_every_privilege_and_a_child_what_a_guest_gets(machine, child):
    root, guest = machine.topology()["partitions"]

    assert root["privileges"] == EVERY_PRIVILEGE
    assert guest["privileges"] == GUEST_PRIVILEGES


def test_children_are_listed_in_order(machine, caller):
    first, second = machine.child("a", 8 * 4096), machine.child("b", 8 * 4096)
    listed, previous = [], 0
    while True:
        assert caller("GetNextChildPartition", parent_id=SELF, previous_id=previous)[0] == "SUCCESS"
        previous = caller.out(PartitionIdOutput).partition_id
        if not previous:
            break
        listed.append(previous)

    assert listed == [first.partition_id, second.partition_id]
    assert caller("GetNextChildPartition", parent_id=SELF, previous_id=99)[0] == "INVALID_PARAMETER"


def test_a_child_with_the_privilege_still_has_no_children(machine):
    child = machine.child("l1", 16 * 4096, privileges=GUEST_PRIVILEGES | 1 << 32)
    child.vp.wrmsr(0x40000000, 1)
    child.vp.wrmsr(0x40000001, 1 | 9 << 12)

    assert child.vp.hypercall(0x40, 0x1000, 0x2000) == 0x0C


def test_the_balance_counts_free_and_used_pages(caller, child):
    caller("GetMemoryBalance", partition_id=child.partition_id)
    before = caller.out(MemoryBalance)
    deposit(caller, child.partition_id, [200, 201, 202])
    caller("GetMemoryBalance", partition_id=child.partition_id)
    after = caller.out(MemoryBalance)

    assert (after.available - before.available, after.in_use - before.in_use) == (3, 0)
    assert before.in_use == 6  # top table, hypercall page, message page, three tables below


def test_destruction_gives_every_page_back(machine):
    before, free = machine.page_map(), len(machine.root_memory.free)
    child = machine.child("gone", memory=40 * 4096, vps=2)
    child.write(0, b"secret")

    child.destroy()

    lent = [spn for spn in np.flatnonzero(before != machine.page_map()).tolist()]
    assert len(lent) == free - len(machine.root_memory.free) == 4  # deposited to the root itself, for the next child
    hold(machine)


def test_ids_are_never_used_again_though_slots_are(machine):
    numbers = []
    for k in range(9):
        child = machine.child(f"c{k}", memory=4096)
        numbers.append(child.partition_id)
        child.destroy()

    assert numbers == list(range(2, 11))


def test_deletion_waits_for_finalization_and_an_empty_pool(caller, child):
    number = child.partition_id

    assert caller("DeletePartition", partition_id=number)[0] == "INVALID_PARTITION_STATE"
    assert caller("FinalizePartition", partition_id=number)[0] == "SUCCESS"
    assert caller("DeletePartition", partition_id=number)[0] == "OPERATION_DENIED"
    assert caller("WithdrawMemory", count=100, partition_id=number)[0] == "NO_RESOURCES"
    assert caller("DeletePartition", partition_id=number)[0] == "SUCCESS"
    assert caller("GetMemoryBalance", partition_id=number)[0] == "INVALID_PARTITION_ID"
    hold(caller.machine)


def test_a_finalized_partition_takes_nothing_more(caller, child):
    caller("FinalizePartition", partition_id=child.partition_id)

    assert deposit(caller, child.partition_id, [200])[0] == "INVALID_PARTITION_STATE"
    assert caller("CreateVp", partition_id=child.partition_id)[0] == "INVALID_PARTITION_STATE"
    assert caller("GetVpRegisters", bytes(4), partition_id=child.partition_id)[0] == "INVALID_VP_INDEX"


def test_there_is_room_for_six_children_and_no_more(machine, caller):
    for k in range(6):
        deposit(caller, SELF, [100 + k])
        assert caller("CreatePartition")[0] == "SUCCESS"
    deposit(caller, SELF, [110])

    assert caller("CreatePartition")[0] == "NO_RESOURCES"
    hold(machine)


def test_calls_that_need_a_privilege_are_denied_without_it(guest):
    assert guest("GetPartitionId") == ("ACCESS_DENIED", 0)
    assert guest("CreatePartition") == ("ACCESS_DENIED", 0)


def test_a_child_with_the_privilege_learns_its_own_id(machine):
    from hypervisor.conftest import Caller

    child = machine.child("knows", 16 * 4096, privileges=GUEST_PRIVILEGES | 1 << 33)
    child.vp.wrmsr(0x40000000, 1)
    child.vp.wrmsr(0x40000001, 1 | 9 << 12)
    call = Caller(machine, child.vp, 1, 2)

    assert call("GetPartitionId") == ("SUCCESS", 0)
    assert call.out(PartitionIdOutput).partition_id == child.partition_id


def test_what_a_partition_leaves_behind_reads_zero(machine):
    child = machine.child("gone", 8 * 4096)
    pages = list(child.partition.pages.values())
    for gpn in child.partition.pages:
        child.write(gpn * 4096, b"secret" * 600)

    child.destroy()

    assert all(machine.root_vp.read(gpn * 4096, 4096) == bytes(4096) for gpn in pages)


def test_a_page_in_a_pool_waits_to_be_scrubbed(machine, caller, child):
    deposit(caller, child.partition_id, [200])

    record = machine.hv.memory.record(200)
    assert (record.owner, record.deposited, record.dirty) == (0, 2, 1)


def test_deleting_a_processor_returns_its_page_and_its_parents_view_of_it(machine, caller, child):
    page = child.partition.message_gpns[0]
    machine.root_vp.read(page * 4096)  # the root's caches know it now
    caller("GetMemoryBalance", partition_id=child.partition_id)
    before = caller.out(MemoryBalance)

    assert caller("DeleteVp", partition_id=child.partition_id) == ("SUCCESS", 0)

    caller("GetMemoryBalance", partition_id=child.partition_id)
    after = caller.out(MemoryBalance)
    assert (after.available - before.available, after.in_use - before.in_use) == (1, -1)
    assert machine.root_vp.read(page * 4096).kind == "#GP"
    assert caller("DeleteVp", partition_id=child.partition_id) == ("INVALID_VP_INDEX", 0)
    hold(machine)
