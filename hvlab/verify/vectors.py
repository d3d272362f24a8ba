"""Vector files: each case becomes tables and registers of a bare machine, and one access."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from hvlab.capture.vectors import NO_FAULT, NOT_HERE
from hvlab.hardware.bare import LONG_MODE, Bare
from hvlab.hardware.processor import DETAIL, FETCH, IMPLICIT, OUTCOMES, READ, USER, WRITE
from hvlab.hardware.second_level import EPT
from hvlab.hypervisor.partition import STATE
from hvlab.verify.apic import apic_priority, apic_sequences
from hvlab.verify.count import Count
from hvlab.verify.messages import control_messages
from hvlab.verify.ring import gpa_range, ring_hostile
from hvlab.verify.synic import synic_slots
from hvlab.wire.x64 import Cr0, Cr4, Efer, EptEntry, PageTableEntry, Rflags

ACCESSES = [int(a) for a in (READ, WRITE, FETCH, IMPLICIT, IMPLICIT | WRITE, USER, USER | WRITE, USER | FETCH)]
OPEN = PageTableEntry.encode(present=1, writable=1, user=1)
RESERVED = 1 << 51  # a frame bit beyond the 46 address bits of these machines
WIDTH = 46
UNKNOWN = 253  # an outcome that is neither success nor #PF


def entry(frame: int, state: int) -> int:
    """Return an entry from the five state bits P W U NX RSVD of the vector file."""
    p, w, u, nx, rsvd = (state >> k & 1 for k in range(5))
    word = PageTableEntry.encode(present=p, writable=w, user=u, no_execute=nx, frame=frame)
    return word | (RESERVED if rsvd else 0)


def code_of(fault: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return 255 for success, the error code of #PF, 253 for anything else."""
    kind = fault & 255
    return np.where(kind == 0, NO_FAULT, np.where(kind == 1, fault >> DETAIL, UNKNOWN))


def page_access(answers: npt.NDArray[np.uint8]) -> Count:
    """All states of (leaf, upper entry, processor modes, access): 1,024 pages, run once for each mode and access."""
    bare = Bare(np.arange(1, 40), STATE, phys_bits=WIDTH)
    page = np.zeros((40, 512), np.uint64)
    page[1, 0], page[2, 0] = 2 << 12 | OPEN, 3 << 12 | OPEN
    for upper in range(32):
        page[3, upper] = entry(4 + upper, upper)
        page[4 + upper, :32] = [entry(36, leaf) for leaf in range(32)]
    bare.load({spn << 12: page[spn] for spn in range(1, 40)})
    gva = np.array([upper << 21 | leaf << 12 for upper in range(32) for leaf in range(32)])

    given = np.zeros(1 << 18, np.int64)
    for mode in range(32):
        wp, nxe, smep, smap, ac = (mode >> k & 1 for k in range(5))
        bare.set(
            cr0=LONG_MODE["cr0"] & ~Cr0.mask("write_protect") | Cr0.encode(write_protect=wp),
            cr3=1 << 12,
            cr4=LONG_MODE["cr4"] | Cr4.encode(smep=smep, smap=smap),
            efer=LONG_MODE["efer"] & ~Efer.mask("no_execute") | Efer.encode(no_execute=nxe),
            rflags=Rflags.encode(alignment_check=ac),
        )
        for kind, access in enumerate(ACCESSES):
            fault, _ = bare.run(gva, access)
            states = kind << 15 | mode << 10
            given[states : states + 1024] = code_of(fault)
    asked = np.flatnonzero(answers != NOT_HERE)
    count = Count()
    count.add(
        given[asked] == answers[asked],
        lambda k: (
            f"state {asked[k]:#x}: expected {_fault(int(answers[asked[k]]))}, found {_fault(int(given[asked[k]]))}"
        ),
    )
    return count


def _fault(code: int) -> str:
    return "no fault" if code == NO_FAULT else "another fault than #PF" if code == UNKNOWN else f"#PF({code:#x})"


def protection_keys(cases: list[tuple[int, int]]) -> Count:
    """User and supervisor pages under PKRU; the key differs from case to case, so that each position is used."""
    bare = Bare(np.arange(1, 6), STATE, phys_bits=WIDTH)
    bare.load({0x1000: _one(0x2000 | OPEN), 0x2000: _one(0x3000 | OPEN), 0x3000: _one(0x4000 | OPEN)})
    given = []
    for number, (state, _) in enumerate(cases):
        user, writable, wp, pke, access_disable, write_disable = (state >> k & 1 for k in range(6))
        key = number % 16
        bare.memory.write64(0x4000, PageTableEntry.encode(present=1, writable=writable, user=user, key=key, frame=5))
        bare.set(
            cr0=LONG_MODE["cr0"] & ~Cr0.mask("write_protect") | Cr0.encode(write_protect=wp),
            cr3=0x1000,
            cr4=LONG_MODE["cr4"] | Cr4.encode(keys=pke),
            pkru=(access_disable | write_disable << 1) << 2 * key,
        )
        fault, _ = bare.run([0], ACCESSES[state >> 6 & 7])
        code = int(code_of(fault)[0])
        given.append(-1 if code == NO_FAULT else code)
    expected = np.array([answer for _, answer in cases], np.int64)
    count = Count()
    count.add(
        np.array(given, np.int64) == expected,
        lambda k: f"state {cases[k][0]:#x}: expected {expected[k]}, found {given[k]}",
    )
    return count


def _one(word: int) -> npt.NDArray[np.uint64]:
    page = np.zeros(512, np.uint64)
    page[0] = word
    return page


ALL, TESTED_TABLE, DATA = EptEntry.encode(read=1, write=1, execute=1, user_execute=1), 0x40_0000, 0x80_0000
ROOT_GPA, EPT_ROOT, GUEST_ROOT, GUEST_TABLE = 0, 0x1000, 0x8000, 0x9000
ACCESSED = PageTableEntry.mask("accessed")


def ept_permissions(cases: list[tuple[dict[str, Any], tuple[Any, ...]]]) -> Count:
    """Two EPT entries on the way to a data page, or to the guest table that maps it as a 1-GiB page."""
    bare = Bare(np.arange(1, 16), STATE, phys_bits=WIDTH)
    given = [_ept_answer(bare, case) for case, _ in cases]
    count = Count()
    count.add(
        np.array([one == tuple(answer) for one, (_, answer) in zip(given, cases, strict=True)], bool),
        lambda k: f"{cases[k][0]}: expected {list(cases[k][1])}, found {list(given[k])}",
    )
    return count


def _ept_answer(bare: Bare, case: dict[str, Any]) -> tuple[Any, ...]:
    walk, user = case["kind"] == "walk", case["access"] == "XU"
    upper, leaf = (_ept_rights(int(case[name])) for name in ("upper", "leaf"))
    upper |= 1 << EptEntry.lo("memory_type") if case.get("upper_rsvd") else 0  # reserved in an entry that is no leaf
    leaf |= EptEntry.encode(memory_type=int(case.get("mt", 6)))
    data, table = (ALL | 6 << 3, leaf) if walk else (leaf, ALL | 6 << 3)
    above_data, above_table = (ALL, upper) if walk else (upper, ALL)
    guest = OPEN if user else OPEN & ~PageTableEntry.mask("user")
    # GPA pages: 0 the guest's top table, TESTED_TABLE its second, DATA the page; each below its own level-2 entry
    level2, rows = np.zeros(512, np.uint64), ((ROOT_GPA, 4, ALL), (TESTED_TABLE, 5, above_table), (DATA, 6, above_data))
    for gpa, spn, word in rows:
        level2[gpa >> 21] = spn << 12 | word
    bare.load(
        {
            EPT_ROOT: _one(0x2000 | ALL),
            0x2000: _one(0x3000 | ALL),
            0x3000: level2,
            0x4000: _one(GUEST_ROOT | ALL | 6 << 3),
            0x5000: _one(GUEST_TABLE | table),
            0x6000: _one(0xA000 | data),
            GUEST_ROOT: _one(TESTED_TABLE | guest | ACCESSED),
            GUEST_TABLE: _one(guest | PageTableEntry.mask("large") | (0 if case.get("need_set") else ACCESSED)),
        }
    )
    bare.set(cr3=ROOT_GPA, second_level=int(EPT), root=EPT_ROOT, second_levels=4)
    bare.set(accessed_dirty=int(case.get("ad", 0)), execute_only=int(case["xo"]), mbec=int(case["mbec"]))
    access = {"R": READ, "W": WRITE, "X": FETCH, "XU": FETCH}[case["access"]]
    fault, _ = bare.run([DATA], int(access))
    kind, detail = OUTCOMES[int(fault[0]) & 255], int(fault[0]) >> int(DETAIL)
    words = {"ept_violation": ("violation", detail), "ept_misconfiguration": ("misconfig",)}
    return words.get(kind, (kind,))


def _ept_rights(rights: int) -> int:
    return EptEntry.encode(read=rights & 1, write=rights >> 1 & 1, execute=rights >> 2 & 1, user_execute=rights >> 3)


VECTORS: dict[str, Callable[[Any], Count]] = {
    "x86_page_access": page_access,
    "x86_pkeys": protection_keys,
    "ept_permissions": ept_permissions,
    "apic_priority": apic_priority,
    "apic_sequences": apic_sequences,
    "synic_slots": synic_slots,
    "vmbus_ring_hostile": ring_hostile,
    "vmbus_gpa_range": gpa_range,
    "golden-control": control_messages,
}
