"""Who must flush what, and what a missing flush leaves behind."""

import pytest
from invariants import hold

from hvlab.hardware.tlb import Geometry
from hvlab.hypervisor import stale
from hvlab.hypervisor.invariants import check_no_stale
from hvlab.machine import Machine
from hvlab.wire.hypercalls import FlushRange
from hvlab.wire.tlfs import FlushFlags, GvaRange

GVA = 0x7000_0000
PAGE = 4096
TABLES = 16  # top table; then levels 3, 2 and 1 of GVA, then those of 0


@pytest.fixture(params=["intel", "amd"])
def machine(request):
    return Machine(memory=2 << 20, vendor=request.param)


@pytest.fixture
def child(machine):
    child = machine.child("web", 40 * PAGE, vps=2)
    child.enable_paging({GVA + k * PAGE: k * PAGE for k in range(8)} | {k * PAGE: k * PAGE for k in range(40)}, TABLES)
    return child


def leaf(child, gva):
    """GPA of the level-1 entry of an address below GVA + 2 MiB."""
    return (TABLES + 3) * PAGE + 8 * (gva >> 12 & 511)


def point(child, gva, gpn):
    """Let the child change its own table."""
    assert child.write(leaf(child, gva), (gpn << 12 | 0x67).to_bytes(8, "little")) is None


def test_the_guest_sees_its_old_page_until_it_flushes(child):
    child.write(GVA + PAGE, b"old")
    child.write(2 * PAGE, b"new")
    point(child, GVA + PAGE, 2)

    assert child.read(GVA + PAGE, 3) == b"old"
    assert "stale_entry_used" in child.vp.trace.kinds()
    child.vp.invlpg(GVA + PAGE)
    assert child.read(GVA + PAGE, 3) == b"new"
    assert "stale_entry_used" not in child.vp.trace.kinds()
    hold(child.machine)


@pytest.mark.parametrize("how", ["invlpg", "cr3", "invpcid 0", "invpcid 1", "invpcid 2", "invpcid 3", "call", "list"])
def test_each_flush_ends_the_stale_answer(machine, child, how):
    child.read(GVA + PAGE)
    point(child, GVA + PAGE, 2)
    machine.hv.settle()
    assert check_no_stale(machine) != []

    vp, cr3 = child.vp, child.vp.registers["cr3"]
    if how.startswith("invpcid"):
        vp.invpcid(int(how[-1]), 0, GVA + PAGE)
    elif how == "invlpg":
        vp.invlpg(GVA + PAGE)
    elif how == "cr3":
        vp.set(cr3=cr3)
    else:
        from hypervisor.conftest import Caller

        vp.wrmsr(0x40000000, 1)
        vp.wrmsr(0x40000001, 1 | 39 << 12)
        call = Caller(machine, vp, 30, 31)
        if how == "call":
            assert call("FlushVirtualAddressSpace", space=cr3, processors=1)[0] == "SUCCESS"
        else:
            element = FlushRange.encode(range=GvaRange.encode(gvn=GVA >> 12, more_pages=3))
            assert call("FlushVirtualAddressList", element, space=cr3, processors=1) == ("SUCCESS", 1)

    assert check_no_stale(machine) == []
    hold(machine)


def test_another_processor_keeps_its_own_stale_copy(machine, child):
    one, two = child.vps
    two.set(cr4=one.registers["cr4"], efer=one.registers["efer"], cr3=one.registers["cr3"], cr0=one.registers["cr0"])
    two.read(GVA + PAGE)
    point(child, GVA + PAGE, 2)

    one.invlpg(GVA + PAGE)

    two.read(GVA + PAGE)
    assert "stale_entry_used" in two.trace.kinds()


def test_a_remote_flush_reaches_the_processors_of_its_mask(machine, child):
    from hypervisor.conftest import Caller

    one, two = child.vps
    two.set(cr4=one.registers["cr4"], efer=one.registers["efer"], cr3=one.registers["cr3"], cr0=one.registers["cr0"])
    one.wrmsr(0x40000000, 1)
    one.wrmsr(0x40000001, 1 | 39 << 12)
    call, cr3 = Caller(machine, one, 30, 31), one.registers["cr3"]
    two.read(GVA + PAGE)
    point(child, GVA + PAGE, 2)

    call("FlushVirtualAddressSpace", space=cr3, processors=1)
    two.read(GVA + PAGE)
    assert "stale_entry_used" in two.trace.kinds()
    call("FlushVirtualAddressSpace", space=cr3, flags=FlushFlags.encode(all_processors=1))
    two.read(GVA + PAGE)
    assert "stale_entry_used" not in two.trace.kinds()


@pytest.mark.parametrize("flags", [1 << 3, 1 << 4, 1 << 63])
def test_flush_flags_that_are_not_there_are_refused(guest_call, flags):
    assert guest_call("FlushVirtualAddressSpace", flags=flags, processors=1)[0] == "INVALID_PARAMETER"


@pytest.fixture
def guest_call(machine, child):
    from hypervisor.conftest import Caller

    child.vp.wrmsr(0x40000000, 1)
    child.vp.wrmsr(0x40000001, 1 | 39 << 12)
    return Caller(machine, child.vp, 30, 31)


def test_flushes_for_a_guests_own_second_level_are_for_hypervisors_in_partitions(guest_call):
    assert guest_call("FlushGuestPhysicalAddressSpace", space=0)[0] == "FEATURE_UNAVAILABLE"
    assert guest_call("FlushGuestPhysicalAddressList", FlushRange.encode(), space=0)[0] == "FEATURE_UNAVAILABLE"


def test_the_second_level_is_the_hypervisors_duty(machine, child):
    child.read(GVA + 3 * PAGE)

    machine.vid.remove_memory(child.partition, 3, 1)

    assert "tlb_flushed" in machine.trace.kinds()
    assert child.read(GVA + 3 * PAGE).kind == "intercept"


def test_a_hypervisor_that_forgets_it_lets_the_child_read_anothers_page(machine, child):
    machine.flush_on_unmap = 0
    child.read(GVA + 3 * PAGE)
    gpn = child.partition.pages[3]

    machine.vid.remove_memory(child.partition, 3, 1)
    machine.root_vp.write(gpn * PAGE, b"root's secret")

    assert child.read(GVA + 3 * PAGE, 13) == b"root's secret"
    assert "stale_entry_used" in child.vp.trace.kinds()
    hold(machine)  # each stale entry bears its mark: the flush is owed
    assert check_no_stale(machine) != []


def test_stale_entries_of_every_cache_are_found(machine, child):
    machine.flush_on_unmap = 0
    child.read(GVA + 3 * PAGE)

    machine.vid.remove_memory(child.partition, 3, 1)
    machine.vid.remove_memory(child.partition, TABLES + 3, 1)

    marks = {
        cache: int((machine.state["lp"][0, 1]["tlb"][cache]["entry"] >> 57 & 1).sum())
        for cache in ("l1", "l2", "structure", "nested")
    }
    assert all(count > 0 for count in marks.values()), marks


def test_a_walk_from_a_stale_cache_fills_another_stale_entry(machine, child):
    child.read(GVA)
    point_level_2 = (TABLES + 2) * PAGE + 8 * (GVA >> 21 & 511)
    child.write(point_level_2, bytes(8))

    child.read(GVA + 5 * PAGE)  # through the paging-structure cache, which still knows the level-1 table
    machine.hv.settle()

    assert stale.stale(machine.state) > 1
    hold(machine)


def test_mov_to_cr3_may_keep_translations_with_process_ids(machine, child):
    vp = child.vp
    vp.set(cr4=vp.registers["cr4"] | 1 << 17)
    cr3 = vp.registers["cr3"]
    vp.read(GVA)

    vp.set(cr3=cr3 | 1 << 63)
    vp.read(GVA)
    assert "tlb_hit" in vp.trace.kinds()
    vp.set(cr3=cr3)
    vp.read(GVA)
    assert "tlb_missed" in vp.trace.kinds()


def test_two_children_with_equal_addresses_do_not_mix(machine):
    one, two = machine.child("one", 40 * PAGE), machine.child("two", 40 * PAGE)
    for child, text in ((one, b"one"), (two, b"two")):
        child.enable_paging({GVA: 5 * PAGE, 0: 0}, TABLES)
        child.write(GVA, text)

    assert [one.read(GVA, 3), two.read(GVA, 3), one.read(GVA, 3)] == [b"one", b"two", b"one"]
    assert "tlb_hit" in one.vp.trace.kinds()


def test_without_tags_a_switch_of_the_processor_empties_the_caches():
    machine = Machine(memory=2 << 20, lps=1)
    one, two = machine.child("one", 8 * PAGE), machine.child("two", 8 * PAGE)
    machine.tags = 0
    one.read(0)
    two.read(0)

    one.read(0)

    assert machine.trace.kinds()[0] == "tlb_flushed"
    assert "tlb_missed" in machine.trace.kinds()


def test_without_caches_nothing_is_ever_stale():
    none = Geometry(l1_ways=0, l2_ways=0, structure_ways=0, nested_ways=0)
    machine = Machine(memory=2 << 20, geometry=none)
    child = machine.child("web", 40 * PAGE)
    child.enable_paging({GVA: 0, 0: 0, TABLES * PAGE + 3 * PAGE: (TABLES + 3) * PAGE}, TABLES)
    child.read(GVA)
    child.write((TABLES + 3) * PAGE, (2 << 12 | 0x67).to_bytes(8, "little"))

    child.read(GVA)

    assert "stale_entry_used" not in machine.trace.kinds()
