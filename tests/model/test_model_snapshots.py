"""The model against page tables of booted kernels, with the answers of the emulator that ran them."""

import json
import random
from functools import cache

import numpy as np
import pytest

from model.build import OPEN
from model.memory import Memory
from model.paging import LARGE, PEEK, READ, USER, WRITE, Cpu, Outcome, SecondLevel, translate
from model.shipped import arrays, table_pages

SNAPSHOTS = [("pt_4lvl_pti", cpu) for cpu in range(4)] + [("pt_5lvl_nopti_1g", cpu) for cpu in range(2)]
UNMAPPED = 2**64 - 1
# the emulator's leaf flags, from bit 0: W U PWT PCD A D PS G NX of the leaf, as bits of the entry
LEAF_FLAGS = [1, 2, 3, 4, 5, 6, 7, 8, 63]
EFER_NXE = 1 << 11


@cache
def snapshot(name: str) -> tuple[dict[str, np.ndarray], Memory, list[dict[str, int]]]:
    found = arrays(name)
    registers = json.loads(found["meta_json"].tobytes())["cpus"]
    return found, Memory(table_pages(found["table_gpa"], found["table_data"])), registers


def look(name: str, cpu: int, gva: int, access: int) -> Outcome:
    """Translate without a mark, as a processor with write protection and without SMAP would."""
    _, memory, registers = snapshot(name)
    now = registers[cpu]
    state = Cpu(now["cr3"], levels=now["levels"], nxe=bool(now["efer"] & EFER_NXE))
    return translate(memory, state, SecondLevel(), gva, access | PEEK)


def sample(name: str, size: int, keep: np.ndarray) -> list[int]:
    """Return positions: all that `keep` marks, and some of the rest (most leaves are one table mapped many times)."""
    picked = np.flatnonzero(keep)
    rest = np.flatnonzero(~keep)
    return sorted(picked.tolist() + random.Random(name).sample(rest.tolist(), min(size, len(rest))))


@pytest.mark.parametrize(("name", "cpu"), SNAPSHOTS)
def test_each_leaf_is_where_the_emulator_lists_it_with_the_same_flags(name, cpu):
    found, _, _ = snapshot(name)
    gvas, gpas, flags = (found[f"tlb_{what}_{cpu}"] for what in ("gva", "gpa", "flags"))
    compared = sample(name, 3_000, gvas < np.uint64(1 << 63))

    for k in compared:
        outcome = look(name, cpu, int(gvas[k]), READ)

        leaf = outcome.reads[-1][3]
        listed = sum((leaf >> bit & 1) << place for place, bit in enumerate(LEAF_FLAGS))
        assert (outcome.kind, outcome.spa, listed) == ("ok", int(gpas[k]), int(flags[k])), hex(gvas[k])
    assert len(compared) > 3_000


@pytest.mark.parametrize(("name", "cpu"), SNAPSHOTS)
def test_each_probe_of_the_emulator_has_the_same_answer(name, cpu):
    found, _, _ = snapshot(name)
    gvas, gpas = found[f"probe_gva_{cpu}"], found[f"probe_gpa_{cpu}"]

    for gva, gpa in zip(gvas.tolist(), gpas.tolist(), strict=True):
        outcome = look(name, cpu, gva, READ)

        if gpa == UNMAPPED:
            assert outcome.kind in ("page_fault", "general_protection"), hex(gva)
        else:
            assert (outcome.kind, outcome.spa) == ("ok", gpa), hex(gva)
    assert len(gvas) > 1_000


@pytest.mark.parametrize("cpu", range(4))
def test_rights_over_all_levels_are_those_of_the_emulator(cpu):
    name = "pt_4lvl_pti"
    found, _, _ = snapshot(name)
    starts, ends, rights = (found[f"mem_{what}_{cpu}"] for what in ("start", "end", "urw"))
    compared = sample(name, 1_000, starts < np.uint64(1 << 63))

    for k in compared:
        for gva in (int(starts[k]), (int(ends[k]) - 4096) % 2**64):
            seen = 2 if look(name, cpu, gva, READ).kind == "ok" else 0
            seen |= 4 if look(name, cpu, gva, READ | USER).kind == "ok" else 0
            seen |= 1 if look(name, cpu, gva, WRITE).kind == "ok" else 0
            both = look(name, cpu, gva, WRITE | USER).kind == "ok"

            assert seen == int(rights[k]), hex(gva)
            assert both == (seen & 5 == 5), hex(gva)
    assert len(compared) > 1_000


def test_large_pages_of_both_sizes_are_met():
    shifts = {look("pt_5lvl_nopti_1g", 0, int(gva), READ).shift for gva in snapshot("pt_5lvl_nopti_1g")[0]["tlb_gva_0"]}

    assert shifts == {12, 21, 30}


@cache
def nested() -> tuple[dict[str, np.ndarray], Memory, Cpu, SecondLevel]:
    found = arrays("npt_4lvl")
    pages = table_pages(found["table_gpa"], found["table_data"]) | table_pages(found["l2pt_spa"], found["l2pt_data"])
    guest_cr3 = int(found["vmcb"][0x550 // 8])
    second = SecondLevel("npt", root=int(found["ncr3"]), levels=int(found["levels"]), phys_bits=40)
    return found, Memory(pages), Cpu(guest_cr3, phys_bits=40), second


def test_each_page_of_the_nested_guest_is_where_its_host_says():
    found, memory, cpu, second = nested()
    table_spa = dict(zip(found["l2pt_gpa"].tolist(), found["l2pt_spa"].tolist(), strict=True))
    root, table = cpu.cr3, 0x11000
    # two of the guest's table pages are written anew, so that any guest-physical address can be asked for
    pages = dict(memory.pages)
    for gpa in (root, table):
        pages[table_spa[gpa] >> 12] = [0] * 512
    asking = Memory(pages)
    asking.write64(table_spa[root], table | OPEN)

    kinds = {"ok": 0, "nested_page_fault": 0}
    for gpa, spa in zip(found["pagemap_l2gpa"].tolist(), found["pagemap_spa"].tolist(), strict=True):
        asking.write64(table_spa[table], gpa >> 30 << 30 | OPEN | LARGE)
        outcome = translate(asking, cpu, second, gpa % 2**30, READ | PEEK)

        kinds[outcome.kind] += 1
        assert outcome.gpa == gpa
        assert outcome.kind == "nested_page_fault" or outcome.spa == spa
    assert kinds["ok"] == 165  # the leaves that its host had built when the snapshot was taken


def test_each_touched_address_takes_nineteen_reads_to_its_page():
    found, memory, cpu, second = nested()
    pagemap = dict(zip(found["pagemap_l2gpa"].tolist(), found["pagemap_spa"].tolist(), strict=True))
    for gva in found["touched_l2gva"].tolist():
        outcome = translate(memory, cpu, second, gva, READ | PEEK)

        assert outcome.kind == "ok", (hex(gva), outcome)
        assert outcome.spa & ~0xFFF == pagemap[outcome.gpa & ~0xFFF]
        assert (len(outcome.reads), outcome.shift) == (19, 12)
    assert len(found["touched_l2gva"]) == 160


def test_the_address_that_the_first_lesson_follows():
    _, memory, cpu, second = nested()

    outcome = translate(memory, cpu, second, 0x4028_F1A9, READ | PEEK)

    assert (outcome.gpa, outcome.spa) == (0x4028_F1A9, 0xE34_71A9)
    assert [read[:2] for read in outcome.reads[:5]] == [(4, 4), (4, 3), (4, 2), (4, 1), (4, None)]
    assert [read[:2] for read in outcome.reads[-4:]] == [(0, 4), (0, 3), (0, 2), (0, 1)]


def test_a_write_to_the_read_only_slot_is_a_nested_page_fault_of_the_final_page():
    found, memory, cpu, second = nested()
    read_only = next((gpa, size) for _, gpa, size, _, flags in found["slots"].tolist() if flags)
    touched = [gva for gva in found["touched_l2gva"].tolist() if 0 <= gva - read_only[0] < read_only[1]]
    for gva in touched:
        outcome = translate(memory, cpu, second, gva, WRITE | PEEK)

        assert (outcome.kind, outcome.guest_level, outcome.level) == ("nested_page_fault", 0, 1)
        assert outcome.error_code == 1 << 32 | 7
    assert touched
