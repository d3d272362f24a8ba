"""Single rules of translation, each in the smallest tables that show it."""

import pytest

from model.build import EPT_OPEN, OPEN, Builder
from model.paging import (
    ACCESSED,
    DIRTY,
    EPT_ACCESSED,
    EPT_DIRTY,
    FETCH,
    IMPLICIT,
    LARGE,
    PEEK,
    PRESENT,
    READ,
    USER,
    WRITABLE,
    WRITE,
    Cpu,
    SecondLevel,
    translate,
)

GVA, DATA = 0x12_3456_7000, 0x55_5555_5000
GPAS = 0x4000_0000  # the guest's tables lie at these guest-physical addresses and up


class Nested:
    """A guest whose tables and one page are mapped by a second level, one small page each."""

    def __init__(self, kind: str, levels: int = 4, guest_leaf: int = 1, nested_leaf: int = 1) -> None:
        self.kind, self.levels, self.builder = kind, levels, Builder(0x10_0000)
        self.memory = self.builder.memory
        self.second = SecondLevel(kind, root=self.builder.table(), levels=levels)
        self.tables = [self.builder.table() for _ in range(levels - guest_leaf + 1)]
        self.gpas = [GPAS + k * 0x1000 for k in range(len(self.tables))]
        map_nested = self.builder.map_ept if kind == "ept" else self.builder.map
        self.nested_at = [
            map_nested(self.second.root, levels, gpa, spa) for gpa, spa in zip(self.gpas, self.tables, strict=True)
        ]
        self.guest_at = []
        for k, level in enumerate(range(levels, guest_leaf - 1, -1)):
            at = self.tables[k] + 8 * (GVA >> 12 + 9 * (level - 1) & 511)
            large = LARGE if guest_leaf > 1 else 0
            target = DATA >> 30 << 30 | large if level == guest_leaf else self.gpas[k + 1]
            self.memory.write64(at, (DATA if guest_leaf == level == 1 else target) | OPEN)
            self.guest_at.append(at)
        self.gpa = DATA if guest_leaf == 1 else DATA >> 30 << 30 | GVA & (1 << 30) - 1
        spa = 0x2000_0000 if nested_leaf == 1 else 0x4000_0000
        size = (1 << 12 + 9 * (nested_leaf - 1)) - 1
        self.nested_at.append(map_nested(self.second.root, levels, self.gpa & ~size, spa, nested_leaf))
        self.cpu = Cpu(self.gpas[0], levels=levels)

    def go(self, access: int = READ):
        return translate(self.memory, self.cpu, self.second, GVA, access)

    def clear(self, at: int, flags: int) -> None:
        self.memory.write64(at, self.memory.read64(at) & ~flags)

    def set(self, at: int, flags: int) -> None:
        self.memory.write64(at, self.memory.read64(at) | flags)


@pytest.mark.parametrize("kind", ["ept", "npt"])
@pytest.mark.parametrize(
    ("levels", "guest_leaf", "nested_leaf", "references"),
    [(4, 1, 1, 24), (5, 1, 1, 35), (4, 3, 1, 14), (4, 1, 3, 22), (5, 3, 3, 21), (4, 3, 2, 13)],
)
def test_references_of_the_two_dimensional_walk(kind, levels, guest_leaf, nested_leaf, references):
    outcome = Nested(kind, levels, guest_leaf, nested_leaf).go()

    assert (outcome.kind, len(outcome.reads)) == ("ok", references)
    assert outcome.shift == 12 + 9 * (min(guest_leaf, nested_leaf) - 1)


@pytest.mark.parametrize("levels", [4, 5])
def test_without_a_second_level_one_reference_per_level(levels):
    builder = Builder()
    root = builder.table()
    builder.map(root, levels, GVA, DATA)

    outcome = translate(builder.memory, Cpu(root | 0xABC, levels=levels), SecondLevel(), GVA | 0x123, READ)

    assert (outcome.kind, outcome.gpa, outcome.spa) == ("ok", DATA | 0x123, DATA | 0x123)
    assert [read[:2] for read in outcome.reads] == [(level, None) for level in range(levels, 0, -1)]


@pytest.mark.parametrize(
    ("levels", "gva", "kind"),
    [
        (4, 0x0000_8000_0000_0000, "general_protection"),
        (4, 0xFFFF_7FFF_FFFF_F000, "general_protection"),
        (4, 0xFFFF_8000_0000_0000, "page_fault"),
        (4, 0x0000_7FFF_FFFF_FFFF, "page_fault"),
        (5, 0x0000_8000_0000_0000, "page_fault"),
        (5, 0x0100_0000_0000_0000, "general_protection"),
        (5, 0xFF00_0000_0000_0000, "page_fault"),
    ],
)
def test_an_address_that_is_not_canonical_reads_nothing(levels, gva, kind):
    builder = Builder()

    outcome = translate(builder.memory, Cpu(builder.table(), levels=levels), SecondLevel(), gva, READ)

    assert outcome.kind == kind
    assert bool(outcome.reads) == (kind == "page_fault")


def test_a_fault_keeps_the_flags_of_upper_entries_and_sets_none_in_the_leaf():
    builder = Builder()
    root = builder.table()
    leaf_at = builder.map(root, 4, GVA, DATA, flags=PRESENT)

    outcome = translate(builder.memory, Cpu(root), SecondLevel(), GVA, WRITE)

    assert (outcome.kind, outcome.error_code, outcome.level) == ("page_fault", 3, 1)
    assert [new ^ old for _, old, new in outcome.writes] == [ACCESSED] * 3
    assert builder.memory.read64(leaf_at) == DATA | PRESENT


def test_a_write_sets_dirty_in_the_leaf_only_and_the_second_time_nothing():
    builder = Builder()
    root = builder.table()
    builder.map(root, 4, GVA, DATA)

    first, second = (translate(builder.memory, Cpu(root), SecondLevel(), GVA, WRITE) for _ in range(2))

    assert [new ^ old for _, old, new in first.writes] == [ACCESSED, ACCESSED, ACCESSED, ACCESSED | DIRTY]
    assert second.writes == []


def test_peek_changes_no_memory():
    for kind in ("ept", "npt"):
        outcome = Nested(kind).go(WRITE | PEEK)

        assert (outcome.kind, outcome.writes) == ("ok", [])


def test_with_ept_flags_a_guest_table_is_dirty_once_it_is_read():
    nested = Nested("ept")

    nested.go()

    flags = [nested.memory.read64(at) & (EPT_ACCESSED | EPT_DIRTY) for at in nested.nested_at]
    assert flags == [EPT_ACCESSED | EPT_DIRTY] * 4 + [EPT_ACCESSED]


def test_without_ept_flags_the_second_level_is_never_written():
    nested = Nested("ept")
    nested.second.ad = False

    outcome = nested.go(WRITE)

    assert [spa for spa, _, _ in outcome.writes] == nested.guest_at


def test_nested_tables_mark_guest_tables_as_written():
    nested = Nested("npt")

    nested.go()

    flags = [nested.memory.read64(at) & (ACCESSED | DIRTY) for at in nested.nested_at]
    assert flags == [ACCESSED | DIRTY] * 4 + [ACCESSED]


@pytest.mark.parametrize(("flag", "code"), [(PRESENT, 6), (WRITABLE, 7), (4, 7)])
def test_a_guest_table_is_walked_as_a_user_write_in_nested_tables(flag, code):
    nested = Nested("npt")
    nested.clear(nested.nested_at[2], flag)

    outcome = nested.go(FETCH)

    assert (outcome.kind, outcome.guest_level, outcome.level) == ("nested_page_fault", 2, 1)
    assert outcome.error_code == 1 << 33 | code
    assert outcome.gpa == nested.gpas[2] + 8 * (GVA >> 21 & 511)


@pytest.mark.parametrize(
    ("access", "change", "code"),
    [(READ, 4, 5), (WRITE, WRITABLE, 7), (FETCH, PRESENT, 0x14), (USER, PRESENT, 4)],
)
def test_the_data_page_faults_with_its_own_access(access, change, code):
    nested = Nested("npt")
    nested.clear(nested.nested_at[-1], change)

    outcome = nested.go(access)

    assert (outcome.kind, outcome.gpa, outcome.guest_level) == ("nested_page_fault", DATA, 0)
    assert outcome.error_code == 1 << 32 | code


def test_no_execute_in_nested_tables_belongs_to_the_host():
    nested = Nested("npt")
    nested.cpu.nxe = False
    nested.set(nested.nested_at[-1], 1 << 63)

    assert nested.go(READ).kind == "ok"
    assert nested.go(FETCH).error_code == 1 << 32 | 0x15
    nested.second.nxe = False
    assert nested.go(READ).error_code == 1 << 32 | 0xD
    assert nested.go(FETCH).error_code == 1 << 32 | 0xD


def test_user_execute_rights_follow_the_page_and_not_the_mode():
    nested = Nested("ept")
    nested.second.mbec = True
    nested.clear(nested.nested_at[-1], EPT_OPEN & ~3)
    nested.set(nested.nested_at[-1], 1 << 10)

    assert nested.go(FETCH).kind == "ok"  # the supervisor fetches from a user page
    nested.clear(nested.guest_at[-1], 4)
    outcome = nested.go(FETCH)
    assert (outcome.kind, outcome.qualification) == ("ept_violation", 0b1_1101_1100)


def test_a_large_ept_page_without_the_capability_is_misconfigured():
    nested = Nested("ept", nested_leaf=3)
    nested.second.large_1g = False

    outcome = nested.go()

    assert (outcome.kind, outcome.level, outcome.guest_level) == ("ept_misconfiguration", 3, 0)


@pytest.mark.parametrize("bit", [12, 20, 29])
def test_low_address_bits_of_a_large_ept_page_are_reserved(bit):
    nested = Nested("ept", nested_leaf=3)
    nested.set(nested.nested_at[-1], 1 << bit)

    assert nested.go().kind == "ept_misconfiguration"


def test_bit_twelve_of_a_large_page_is_pat_and_bit_thirteen_reserved():
    nested = Nested("npt", guest_leaf=3)
    nested.set(nested.guest_at[-1], 1 << 12)
    assert nested.go().kind == "ok"

    nested.set(nested.guest_at[-1], 1 << 13)
    outcome = nested.go()
    assert (outcome.kind, outcome.error_code, outcome.level) == ("page_fault", 9, 3)


@pytest.mark.parametrize(("kind", "told"), [("ept", "ept_violation"), ("npt", "nested_page_fault")])
def test_a_guest_physical_address_beyond_the_tables_is_refused_without_a_reference(kind, told):
    nested = Nested(kind)
    nested.cpu.phys_bits = 52
    nested.set(nested.guest_at[0], 1 << 50)

    outcome = nested.go()

    assert (outcome.kind, outcome.guest_level, outcome.level) == (told, 3, 4)
    assert len(outcome.reads) == 5


def test_memory_that_is_not_there_ends_the_walk():
    nested = Nested("ept")
    nested.clear(nested.nested_at[1], 0xF_FFFF_F000)
    nested.set(nested.nested_at[1], 0x7_0000_0000)

    outcome = nested.go()

    assert (outcome.kind, outcome.spa) == ("memory_missing", 0x7_0000_0000 + 8 * (GVA >> 30 & 511))
    assert outcome.reads[-1][:2] == (3, 1)


def test_an_implicit_access_is_the_supervisors_and_ignores_ac():
    builder = Builder()
    root = builder.table()
    builder.map(root, 4, GVA, DATA)
    cpu = Cpu(root, smap=True, ac=True)

    explicit, implicit = (translate(builder.memory, cpu, SecondLevel(), GVA, a) for a in (READ, USER | IMPLICIT))

    assert explicit.kind == "ok"
    assert (implicit.kind, implicit.error_code) == ("page_fault", 1)
