"""Deposit, withdraw, map, unmap: who owns a page, who still sees it, and what is left in it."""

import pytest
from invariants import hold

from hvlab.hypervisor.vp import Fault
from hvlab.wire.hypercalls import PageNumber
from hvlab.wire.tlfs import SELF, MapFlags

ALL = 15
LARGE = MapFlags.mask("large_page")


def pages(*gpns):
    return [PageNumber.encode(gpn=gpn) for gpn in gpns]


def spn_of(machine, gpn):
    return gpn  # the root's pages lie at their own addresses


def test_a_mapped_page_is_the_childs_and_reads_zero(machine, caller, child):
    machine.root_vp.write(200 * 4096, b"root's secret")

    assert caller("MapGpaPages", *pages(200), partition_id=child.partition_id, gpn=70, flags=ALL) == ("SUCCESS", 1)

    assert child.read(70 * 4096, 16) == bytes(16)
    assert machine.page_map()[200] == child.partition_id
    hold(machine)


def test_the_parent_keeps_a_share(machine, caller, child):
    caller("MapGpaPages", *pages(200), partition_id=child.partition_id, gpn=70, flags=ALL)

    machine.root_vp.write(200 * 4096, b"hello")
    child.write(70 * 4096 + 8, b"world")

    assert child.read(70 * 4096, 16) == b"hello\0\0\0world\0\0\0"
    assert machine.root_vp.read(200 * 4096, 16) == b"hello\0\0\0world\0\0\0"


def test_an_unmapped_page_comes_back_scrubbed(machine, caller, child):
    caller("MapGpaPages", *pages(200), partition_id=child.partition_id, gpn=70, flags=ALL)
    child.write(70 * 4096, b"child's secret")

    assert caller("UnmapGpaPages", count=1, partition_id=child.partition_id, gpn=70) == ("SUCCESS", 1)

    assert machine.root_vp.read(200 * 4096, 16) == bytes(16)
    assert machine.page_map()[200] == 1
    assert child.read(70 * 4096).kind == "intercept"
    hold(machine)


def test_what_is_not_mapped_is_passed_over_and_counts_as_done(machine, caller, child):
    caller("MapGpaPages", *pages(200), partition_id=child.partition_id, gpn=71, flags=ALL)

    assert caller("UnmapGpaPages", count=3, partition_id=child.partition_id, gpn=70) == ("SUCCESS", 3)

    assert list(machine.trace.kinds()).count("page_unmapped") == 1
    assert machine.page_map()[200] == 1
    hold(machine)


def test_a_page_cannot_be_given_twice(machine, caller, child):
    other = machine.child("other", 8 * 4096)
    caller("MapGpaPages", *pages(200), partition_id=child.partition_id, gpn=70, flags=ALL)

    answer = caller("MapGpaPages", *pages(200), partition_id=other.partition_id, gpn=70, flags=ALL)
    deposit = caller("DepositMemory", *pages(200), partition_id=SELF)

    assert answer == deposit == ("ACCESS_DENIED", 0)


def test_the_hypervisors_pages_cannot_be_given_at_all(caller, child):
    for gpn in range(6):
        assert caller("DepositMemory", *pages(gpn), partition_id=child.partition_id) == ("INVALID_PARAMETER", 0)


@pytest.mark.parametrize("flags", [0, 2, 4, 8, 9, ALL | 1 << 16, ALL | 1 << 15, ALL | 1 << 21, ALL | 1 << 4])
def test_mapping_flags_that_this_machine_lacks_are_refused(caller, child, flags):
    answer = caller("MapGpaPages", *pages(200), partition_id=child.partition_id, gpn=70, flags=flags)

    assert answer == ("INVALID_PARAMETER", 0)


def test_a_guest_page_number_must_fit_the_address_space(caller, child):
    for gpn, expected in (((1 << 34) - 1, "SUCCESS"), (1 << 34, "INVALID_PARAMETER"), (1 << 63, "INVALID_PARAMETER")):
        answer = caller("MapGpaPages", *pages(200), partition_id=child.partition_id, gpn=gpn, flags=ALL)
        assert answer[0] in (expected, "INSUFFICIENT_MEMORY")
        if expected == "SUCCESS":
            caller("DepositMemory", *pages(300, 301, 302), partition_id=child.partition_id)
            answer = caller("MapGpaPages", *pages(200), partition_id=child.partition_id, gpn=gpn, flags=ALL)
            assert answer == ("SUCCESS", 1)


def test_a_table_that_is_missing_comes_from_the_childs_pool(caller, child):
    far = 1 << 30
    while (answer := caller("MapGpaPages", *pages(210), partition_id=child.partition_id, gpn=far, flags=ALL))[
        0
    ] == "SUCCESS":
        caller("UnmapGpaPages", count=1, partition_id=child.partition_id, gpn=far)
        far += 1 << 18  # each needs two tables more

    assert answer == ("INSUFFICIENT_MEMORY", 0)
    caller("DepositMemory", *pages(300, 301), partition_id=child.partition_id)
    assert caller("MapGpaPages", *pages(210), partition_id=child.partition_id, gpn=far, flags=ALL) == ("SUCCESS", 1)


def test_mapping_over_a_page_gives_the_old_one_back(machine, caller, child):
    caller("MapGpaPages", *pages(200, 201), partition_id=child.partition_id, gpn=70, flags=ALL)

    assert caller("MapGpaPages", *pages(202), partition_id=child.partition_id, gpn=71, flags=ALL) == ("SUCCESS", 1)

    assert [machine.page_map()[gpn] for gpn in (200, 201, 202)] == [child.partition_id, 1, child.partition_id]
    hold(machine)


def test_rights_change_without_losing_the_content(machine, caller, child):
    caller("MapGpaPages", *pages(200), partition_id=child.partition_id, gpn=70, flags=ALL)
    child.write(70 * 4096, b"kept")

    assert caller("MapGpaPages", *pages(200), partition_id=child.partition_id, gpn=70, flags=1) == ("SUCCESS", 1)

    assert child.read(70 * 4096, 4) == b"kept"
    assert child.write(70 * 4096, b"lost").kind == "intercept"
    assert "page_scrubbed" not in machine.trace.kinds()


def test_a_deposited_page_is_out_of_the_roots_reach(machine, caller, child):
    machine.root_vp.write(200 * 4096, b"x")

    caller("DepositMemory", *pages(200), partition_id=child.partition_id)

    assert machine.root_vp.read(200 * 4096).kind == "#GP"
    assert machine.page_map()[200] == 0


def test_a_withdrawn_page_reads_zero(machine, caller, child):
    machine.root_vp.write(200 * 4096, b"x" * 4096)
    caller("DepositMemory", *pages(200), partition_id=child.partition_id)

    status, done = caller("WithdrawMemory", count=50, partition_id=child.partition_id)

    found = [caller.out(PageNumber, k).gpn for k in range(done)]
    assert status == "NO_RESOURCES" and 200 in found
    assert machine.root_vp.read(200 * 4096, 4096) == bytes(4096)
    hold(machine)


@pytest.fixture
def roomy():
    from hvlab.machine import Machine

    return Machine(memory=8 << 20)


def test_a_large_page_is_one_entry(roomy):
    child = roomy.child("big", memory=4 << 20, large=True)

    step = roomy.translate(child.vp, 0x123456)

    reads = [step.trace.fact(k, "level") for k in step.trace.of("second_level_entry_read")]
    assert step.ok and reads == [4, 3, 2]
    hold(roomy)


def test_unmapping_a_part_splits_a_large_page(roomy):
    child = roomy.child("big", memory=2 << 20, large=True)
    child.write(0x5000, b"stays")

    roomy.vid.remove_memory(child.partition, 7, 1)

    assert child.read(0x5000, 5) == b"stays"
    assert child.read(0x7000).kind == "intercept"
    hold(roomy)


def test_a_large_page_needs_aligned_neighbours(roomy):
    partition = roomy.child("big", memory=4096).partition
    for first, gpn, expected in (
        (512, 513, "INVALID_PARAMETER"),
        (513, 512, "INVALID_PARAMETER"),
        (512, 0, "OBJECT_IN_USE"),
    ):
        with pytest.raises(Exception, match=expected):
            roomy.vid.winhv.call_list(
                "MapGpaPages", pages(first), partition_id=partition.partition_id, gpn=gpn, flags=ALL | LARGE
            )


def test_the_root_cannot_unmap_itself(caller):
    assert caller("UnmapGpaPages", count=1, partition_id=SELF, gpn=200) == ("ACCESS_DENIED", 0)


def test_five_hundred_and_nine_pages_fit_one_call(machine):
    from hvlab.wire.hypercalls import CALLS

    assert machine.vid.winhv.batch(CALLS[0x4B]) == 509


def test_what_a_child_writes_stays_in_its_own_pages(machine):
    one, two = machine.child("one", 16 * 4096), machine.child("two", 16 * 4096)
    for k in range(16):
        one.write(k * 4096, b"\xaa" * 4096)

    assert all(two.read(k * 4096, 4096) == bytes(4096) for k in range(16))
    assert isinstance(one.read(16 * 4096), Fault)
