"""The model against the vector files, whose answers were compared with other people's expectations."""

import base64
import zlib

import pytest

from model.build import OPEN, Builder
from model.paging import (
    ACCESSED,
    DIRTY,
    FETCH,
    FRAME,
    IMPLICIT,
    LARGE,
    NO_EXECUTE,
    PRESENT,
    READ,
    USER,
    USER_PAGE,
    WRITABLE,
    WRITE,
    Cpu,
    SecondLevel,
    translate,
)
from model.shipped import vectors

GVA = 0x7F12_3456_7000
ACCESSES = [READ, WRITE, FETCH, IMPLICIT, WRITE | IMPLICIT, USER, USER | WRITE, USER | FETCH]
NO_FAULT, NOT_ANSWERED = 255, 254
NO_SECOND_LEVEL = SecondLevel()


def flags_of(state: int, reserved: int) -> int:
    """Turn the five state bits P W U NX RSVD into an entry's flags."""
    flags = [PRESENT, WRITABLE, USER_PAGE, NO_EXECUTE, reserved]
    return sum(flag for bit, flag in enumerate(flags) if state >> bit & 1)


class PageAccess:
    """A four-level path whose upper and leaf entries take the states of the vector file."""

    def __init__(self, upper_level: int = 2, leaf_level: int = 1, levels: int = 4) -> None:
        builder = Builder()
        self.memory, self.levels = builder.memory, levels
        self.root = builder.table()
        self.upper_at = builder.path(self.root, levels, GVA, upper_level)
        self.leaf_at = builder.map(self.root, levels, GVA, 0x4000_0000, leaf_level)
        keep = ~(OPEN | NO_EXECUTE)
        self.upper, self.leaf = (self.memory.read64(at) & keep for at in (self.upper_at, self.leaf_at))

    def answer(self, state: int) -> int:
        """Return 255 or the error code for one 18-bit state."""
        self.memory.write64(self.leaf_at, self.leaf | flags_of(state, 1 << 51))
        self.memory.write64(self.upper_at, self.upper | flags_of(state >> 5, 1 << 51))
        wp, nxe, smep, smap, ac = (bool(state >> bit & 1) for bit in range(10, 15))
        cpu = Cpu(self.root, levels=self.levels, wp=wp, nxe=nxe, smep=smep, smap=smap, ac=ac)
        outcome = translate(self.memory, cpu, NO_SECOND_LEVEL, GVA, ACCESSES[state >> 15])
        return NO_FAULT if outcome.kind == "ok" else outcome.error_code


def page_access_answers() -> bytes:
    return zlib.decompress(base64.b64decode(vectors("x86_page_access")["packed"]))


def differences(shape: PageAccess, states: range) -> tuple[int, list[tuple[int, int, int]]]:
    """Return how many states were compared, and those that differ as (state, expected, answer)."""
    answers = page_access_answers()
    compared = [state for state in states if answers[state] != NOT_ANSWERED]
    given = [(state, answers[state], shape.answer(state)) for state in compared]
    return len(compared), [case for case in given if case[1] != case[2]]


def test_every_answered_page_access_state_agrees():
    compared, different = differences(PageAccess(), range(1 << 18))

    assert compared == 210_232
    assert different == []


@pytest.mark.parametrize(
    ("upper_level", "leaf_level", "levels"), [(4, 1, 4), (3, 2, 4), (4, 3, 4), (5, 1, 5), (3, 1, 5)]
)
def test_the_rights_do_not_depend_on_the_level(upper_level, leaf_level, levels):
    compared, different = differences(PageAccess(upper_level, leaf_level, levels), range(7, 1 << 18, 37))

    assert compared > 5_000
    assert different == []


def test_every_protection_key_state_agrees():
    cases = vectors("x86_pkeys")["cases"]
    for key in (0, 5, 15):
        shape = PageAccess()
        for state, expected in cases:
            user, writable, wp, pke, access_disabled, write_disabled = (bool(state >> bit & 1) for bit in range(6))
            flags = PRESENT | (USER_PAGE if user else 0) | (WRITABLE if writable else 0) | key << 59
            shape.memory.write64(shape.leaf_at, shape.leaf | flags)
            shape.memory.write64(shape.upper_at, shape.upper | OPEN)
            pkru = (access_disabled | write_disabled << 1) << 2 * key
            cpu = Cpu(shape.root, wp=wp, pke=pke, pkru=pkru)

            outcome = translate(shape.memory, cpu, NO_SECOND_LEVEL, GVA, ACCESSES[state >> 6])

            assert (-1 if outcome.kind == "ok" else outcome.error_code) == expected, (state, key)
    assert len(cases) == 398


def ept_bits(rights: int) -> int:
    """Turn R W X XU in bits 0 to 3 into the bits of an EPT entry."""
    return rights & 7 | (1 << 10 if rights & 8 else 0)


class EptCase:
    """Two EPT entries, upper and leaf, in the way of a data page or of a guest table.

    The guest has two tables: the root, whose entry has its A flag, and the one that maps the data as a 1 GiB page.
    """

    GUEST_ROOT, GUEST_TABLE, DATA = 0x1000, 0x40_2000, 0x12_3456_7000

    def __init__(self, kind: str, user_page: bool) -> None:
        builder = Builder()
        self.memory, self.kind = builder.memory, kind
        self.ept, root, table = builder.table(), builder.table(), builder.table()
        for gpa, spa in ((self.GUEST_ROOT, root), (self.GUEST_TABLE, table), (self.DATA, 0x7_0000_0000)):
            builder.map_ept(self.ept, 4, gpa, spa)

        flags, in_page = OPEN if user_page else PRESENT | WRITABLE, (1 << 30) - 1
        self.gva = self.DATA & in_page
        self.memory.write64(root, self.GUEST_TABLE | flags | ACCESSED)
        self.guest_leaf_at, self.guest_leaf = table, self.DATA & ~in_page | flags | LARGE

        tested = self.GUEST_TABLE if kind == "walk" else self.DATA
        self.leaf_at, self.upper_at = (builder.path(self.ept, 4, tested, level) for level in (1, 2))
        self.leaf, self.upper = (self.memory.read64(at) & FRAME for at in (self.leaf_at, self.upper_at))

    def answer(self, case: dict[str, object]) -> list[object]:
        """Return the verdict in the words of the vector file."""
        upper, leaf = int(case["upper"]), int(case["leaf"])
        self.memory.write64(self.upper_at, self.upper | ept_bits(upper) | (1 << 4 if case.get("upper_rsvd") else 0))
        self.memory.write64(self.leaf_at, self.leaf | ept_bits(leaf) | int(case.get("mt", 6)) << 3)
        self.memory.write64(self.guest_leaf_at, self.guest_leaf | (0 if case.get("need_set") else ACCESSED))
        second = SecondLevel(
            "ept",
            self.ept,
            ad=bool(case.get("ad", 0)),
            execute_only=bool(case["xo"]),
            mbec=bool(case["mbec"]),
        )
        access = {"R": READ, "W": WRITE, "X": FETCH, "XU": FETCH}[str(case["access"])]
        outcome = translate(self.memory, Cpu(self.GUEST_ROOT), second, self.gva, access)
        if outcome.kind == "ept_violation":
            assert (outcome.guest_level > 0) == (self.kind == "walk")
            return ["violation", outcome.qualification]
        return ["misconfig" if outcome.kind == "ept_misconfiguration" else outcome.kind]


def test_every_ept_permission_case_agrees():
    cases = vectors("ept_permissions")["cases"]
    different = []
    for case, expected in cases:
        answer = EptCase(case["kind"], user_page=case["access"] == "XU").answer(case)
        if answer != expected:
            different.append((case, expected, answer))

    assert len(cases) == 2_005
    assert different == []


def test_the_dirty_flag_of_a_guest_leaf_also_needs_a_writable_table_page():
    setup = EptCase("walk", user_page=True)
    case = {"upper": 7, "leaf": 1, "access": "W", "xo": 1, "mbec": 0, "ad": 0, "need_set": 0}

    assert setup.answer(case) == ["violation", 139]
    setup.guest_leaf |= DIRTY
    assert setup.answer(case) == ["ok"]
