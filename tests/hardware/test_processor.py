"""The processor: what a walk reads, what it forbids, and what it marks in memory."""

import hashlib

import pytest
from hardware.guest import ABOVE, AC, CR0, CR4, EFER, GVA, MARKS, PKE, READS, SMAP, SMEP, Guest
from model.paging import (
    ACCESSED,
    DIRTY,
    EPT_ACCESSED,
    EPT_DIRTY,
    EPT_EXECUTE,
    EPT_USER_EXECUTE,
    EPT_WRITE,
    FETCH,
    IMPLICIT,
    NO_EXECUTE,
    PEEK,
    READ,
    USER,
    USER_PAGE,
    WRITABLE,
    WRITE,
    shift_of,
)

from hvlab.hardware.tlb import Geometry

# ---- what a walk reads


@pytest.mark.parametrize("kind", ["ept", "npt"])
@pytest.mark.parametrize(
    ("levels", "leaf", "nested_leaf", "reads"),
    [(4, 1, 1, 24), (5, 1, 1, 35), (4, 2, 1, 19), (4, 1, 2, 19), (4, 2, 2, 15), (4, 3, 3, 8)],
)
def test_a_walk_in_two_dimensions_reads_the_whole_square(kind, levels, leaf, nested_leaf, reads):
    guest = Guest(kind, levels, leaf, nested_leaf)

    end = guest.go()

    assert (end.kind, end.spa, end.count(*READS)) == ("ok", guest.data, reads)
    assert end.trace.fact(len(end.trace) - 1, "shift") == shift_of(min(leaf, nested_leaf))


def test_without_a_second_level_a_walk_reads_one_entry_for_each_level():
    end = Guest(levels=5).go()

    assert [end.trace.fact(k, "level") for k in end.trace.of(*READS)] == [5, 4, 3, 2, 1]


def test_without_paging_only_the_second_level_is_walked():
    guest = Guest("ept")
    guest.set(cr0=1)

    end = guest.go(WRITE | USER, gva=guest.data + ABOVE)

    assert (end.kind, end.spa, end.count("table_entry_read"), end.count(*READS)) == ("ok", guest.data, 0, 4)


@pytest.mark.parametrize(("levels", "gva"), [(4, 1 << 47), (4, 0xFFFF_7FFF_FFFF_F000), (5, 1 << 56)])
def test_an_address_that_is_not_canonical_is_gp_and_reads_nothing(levels, gva):
    end = Guest("ept", levels).go(gva=gva)

    assert end.trace.kinds() == ["access_begun", "general_protection_raised"]


# ---- what the guest's tables forbid


def test_smap_keeps_the_supervisor_from_user_data_unless_ac_is_set():
    guest = Guest()
    guest.set(cr4=CR4 | SMAP)

    without = guest.ends(READ, WRITE, USER, FETCH)
    guest.set(rflags=AC)
    with_ac = guest.ends(READ, WRITE)

    assert without == [("page_fault", 1), ("page_fault", 3), "ok", "ok"]
    assert with_ac == ["ok", "ok"]


@pytest.mark.parametrize("whoever", [0, USER])
def test_smap_stops_an_implicit_access_whatever_ac_says_and_whoever_runs(whoever):
    guest = Guest()
    guest.set(cr4=CR4 | SMAP, rflags=AC)

    assert guest.ends(IMPLICIT | whoever) == [("page_fault", 1)]


def test_an_implicit_access_may_use_supervisor_pages_while_user_code_runs():
    guest = Guest()
    guest.put(guest.at[-1], off=USER_PAGE)

    assert guest.ends(USER, USER | IMPLICIT) == [("page_fault", 5), "ok"]


def test_smep_keeps_the_supervisor_from_user_code():
    guest = Guest()
    guest.set(cr4=CR4 | SMEP)

    assert guest.ends(FETCH, FETCH | USER, READ) == [("page_fault", 0x11), "ok", "ok"]


def test_wp_decides_whether_the_supervisor_heeds_read_only_pages():
    guest = Guest()
    guest.put(guest.at[1], off=WRITABLE)

    heeded = guest.ends(WRITE, WRITE | USER)
    guest.set(cr0=CR0)
    ignored = guest.ends(WRITE, WRITE | USER)

    assert heeded == [("page_fault", 3), ("page_fault", 7)]
    assert ignored == ["ok", ("page_fault", 7)]


def test_the_no_execute_bit_is_reserved_until_nxe_is_set():
    guest = Guest()
    guest.put(guest.at[-1], on=NO_EXECUTE)

    known = guest.ends(READ, FETCH)
    guest.set(efer=EFER)
    reserved = guest.ends(READ, FETCH)

    assert known == ["ok", ("page_fault", 0x11)]
    assert reserved == [("page_fault", 9), ("page_fault", 9)]


@pytest.mark.parametrize(
    ("rights", "expected"),
    [
        (0, ["ok", "ok", "ok"]),
        (1, [("page_fault", 0x25), ("page_fault", 0x27), "ok"]),
        (2, ["ok", ("page_fault", 0x27), "ok"]),
    ],
)
def test_a_protection_key_forbids_data_but_never_code(rights, expected):
    guest = Guest()
    guest.put(guest.at[-1], on=5 << 59)
    guest.set(cr4=CR4 | PKE, pkru=rights << 10)

    assert guest.ends(USER, USER | WRITE, USER | FETCH) == expected


def test_a_protection_key_says_nothing_about_supervisor_pages():
    guest = Guest()
    guest.put(guest.at[-1], on=5 << 59, off=USER_PAGE)
    guest.set(cr4=CR4 | PKE, pkru=0xFFFF_FFFF)

    assert guest.ends(READ, WRITE) == ["ok", "ok"]


# ---- what the second level forbids


@pytest.mark.parametrize("kind", ["ept", "npt"])
def test_what_the_second_level_forbids_leaves_the_guest_and_is_never_pf(kind):
    guest = Guest(kind)
    guest.put(guest.nested_at[-1], off=7)
    guest.set(cr2=0x1234)

    end = guest.go(WRITE | USER)

    assert end.kind == {"ept": "ept_violation", "npt": "nested_page_fault"}[kind]
    assert end.count("page_fault_raised") == 0
    assert int(guest.rig.state["vp"]["cr2"][0, 0]) == 0x1234


def test_an_execute_only_page_runs_and_cannot_be_read():
    guest = Guest("ept")
    guest.put(guest.nested_at[-1], off=3)
    guest.set(execute_only=1)

    fetch, read = guest.go(FETCH), guest.go(READ)

    assert (fetch.kind, read.kind) == ("ok", "ept_violation")
    assert read.code == 1 | 4 << 3 | 3 << 7  # a read; X alone is allowed; the final page of a linear address


def test_execute_only_is_a_misconfiguration_where_the_processor_lacks_it():
    guest = Guest("ept")
    guest.put(guest.nested_at[-1], off=3)

    assert guest.ends(FETCH) == [("ept_misconfiguration", 0)]


@pytest.mark.parametrize("user_page", [True, False])
@pytest.mark.parametrize("right", [EPT_EXECUTE, EPT_USER_EXECUTE])
def test_mode_based_execute_control_asks_the_right_of_the_kind_of_page(user_page, right):
    guest = Guest("ept")
    guest.set(mbec=1)
    guest.put(guest.nested_at[-1], off=EPT_EXECUTE | EPT_USER_EXECUTE)
    guest.put(guest.nested_at[-1], on=right)
    guest.put(guest.at[-1], off=0 if user_page else USER_PAGE)

    end = guest.go(FETCH | (USER if user_page else 0))

    assert end.kind == ("ok" if user_page == (right == EPT_USER_EXECUTE) else "ept_violation")


@pytest.mark.parametrize("kind", ["ept", "npt"])
def test_a_guest_table_in_a_read_only_page_stops_even_a_read(kind):
    guest = Guest(kind)
    guest.put(guest.nested_at[2], off=EPT_WRITE if kind == "ept" else WRITABLE)

    end = guest.go(READ)

    last = end.trace.facts(len(end.trace) - 1)
    assert (last["guest_level"], last["gpa"]) == (2, guest.at[2] + ABOVE)


def test_without_ept_flags_a_read_only_guest_table_stops_only_the_setting_of_a():
    guest = Guest("ept")
    guest.put(guest.nested_at[2], off=EPT_WRITE)
    guest.set(accessed_dirty=0)

    first = guest.go(READ)
    guest.put(guest.at[2], on=ACCESSED)
    second = guest.go(READ)

    assert (first.kind, second.kind) == ("ept_violation", "ok")


# ---- accessed and dirty


@pytest.mark.parametrize(("access", "of_data"), [(READ, EPT_ACCESSED), (WRITE, EPT_ACCESSED | EPT_DIRTY)])
def test_a_walk_marks_each_entry_it_uses_and_writes_make_leaves_dirty(access, of_data):
    guest = Guest("ept")

    end = guest.go(access)

    leaf = ACCESSED | (DIRTY if access == WRITE else 0)
    assert guest.flags(*guest.at, of=ACCESSED | DIRTY) == [ACCESSED] * 3 + [leaf]
    tables = [EPT_ACCESSED | EPT_DIRTY] * 4
    assert guest.flags(*guest.nested_at, of=EPT_ACCESSED | EPT_DIRTY) == [*tables, of_data]
    used = {end.trace.fact(k, "spa") for k in end.trace.of(*READS)}
    marked = [end.trace.fact(k, "spa") for k in end.trace.of(*MARKS)]
    assert set(marked) == used
    assert len(marked) == len(used)


@pytest.mark.parametrize("kind", ["none", "ept", "npt"])
def test_what_is_marked_is_not_written_again(kind):
    guest = Guest(kind)

    first, again = guest.go(WRITE), guest.go(WRITE)

    assert (first.count(*MARKS) > 0, again.count(*MARKS)) == (True, 0)


def test_a_refused_access_marks_the_way_but_not_the_leaf():
    guest = Guest()
    guest.put(guest.at[-1], off=WRITABLE)

    guest.go(WRITE)

    assert guest.flags(*guest.at, of=ACCESSED | DIRTY) == [ACCESSED] * 3 + [0]


@pytest.mark.parametrize("kind", ["none", "ept", "npt"])
@pytest.mark.parametrize("gva", [GVA, GVA + 0x1000])
def test_peek_answers_like_the_access_and_changes_nothing(kind, gva):
    guest = Guest(kind, geometry=Geometry())

    def digest():
        parts = (guest.rig.mem, guest.rig.state["lp"], guest.rig.state["vp"]["cr2"])
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()

    guest.set(cr2=0x1234)
    guest.rig.run([], [])  # derives what hangs on the registers
    before, peek = digest(), guest.go(WRITE | PEEK, gva)

    assert digest() == before
    assert guest.go(WRITE, gva)[:3] == peek[:3]
    assert peek.kind == ("ok" if gva == GVA else "page_fault")
