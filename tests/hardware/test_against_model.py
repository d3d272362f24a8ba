"""The compiled engine against the slow model: outcome, table reads and memory writes, access by access."""

import numpy as np
import pytest
from hardware.rig import SECOND, Rig
from model.paging import translate
from model.worlds import World, make_world

from hvlab.hardware.processor import DETAIL, OUTCOMES
from hvlab.hardware.tlb import Geometry
from hvlab.kernel import PLAIN

WORLDS = 300 if PLAIN else 1500
PAGES = 4096
MASK = (1 << 64) - 1


def rig_of(world: World, geometry: Geometry) -> Rig:
    """Give the engine what the model is given."""
    rig = Rig(PAGES, 0, geometry)
    for spn, words in world.memory.pages.items():
        rig.memory.page(spn)[:] = np.array(words, np.uint64).astype(np.int64)
    cpu, second = world.cpu, world.second
    rig.state["phys_bits"] = second.phys_bits if second.kind != "none" else cpu.phys_bits
    rig.set(
        cr0=1 << 31 | 1 | cpu.wp << 16,
        cr3=cpu.cr3,
        cr4=1 << 5 | cpu.la57 << 12 | cpu.pcide << 17 | cpu.smep << 20 | cpu.smap << 21 | cpu.pke << 22 | 1 << 7,
        efer=1 << 8 | 1 << 10 | cpu.nxe << 11,
        rflags=cpu.ac << 18,
        pkru=cpu.pkru,
        phys_bits=cpu.phys_bits,
        second_level=SECOND[second.kind],
        root=second.root,
        second_levels=second.levels,
        accessed_dirty=int(second.kind == "ept" and second.ad),
        execute_only=second.execute_only,
        mbec=second.kind == "ept" and second.mbec,
        host_nxe=second.nxe,
    )
    return rig


def told(trace):
    """Return the reads and writes that a trace tells, in the model's form."""
    reads, writes = [], []
    for k, name in enumerate(trace.kinds()):
        fact = trace.facts(k)
        if name == "second_level_entry_read":
            reads.append((fact["guest_level"], fact["level"], fact["spa"], fact["entry"] & MASK))
        elif name == "table_entry_read":
            reads.append((fact["level"], None, fact["spa"], fact["entry"] & MASK))
        elif name in ("accessed_set", "dirty_set"):
            writes.append((fact["spa"], fact["old"] & MASK, fact["new"] & MASK))
    return reads, writes


def fault_of(outcome):
    """Return the model's outcome as the engine's fault number."""
    kind = {name: number for number, name in OUTCOMES.items()}[outcome.kind]
    return kind | (outcome.error_code or outcome.qualification or 0) << int(DETAIL)


@pytest.mark.parametrize("part", range(6))
def test_engine_and_model_agree_on_random_worlds(part):
    kinds = set()
    for seed in range(part * WORLDS // 6, (part + 1) * WORLDS // 6):
        world = make_world(seed, PAGES)
        if not (world.second.large_2m and world.second.large_1g):
            continue  # every processor that the lab models has both sizes
        rig = rig_of(world, Geometry(l1_ways=0, l2_ways=0, structure_ways=0, nested_ways=0))
        for gva, access in world.accesses:
            expected = translate(world.memory, world.cpu, world.second, gva, access)
            fault, spa, trace = rig.run([gva], [access], trace=True)
            where = f"world {seed}, {gva:#x}, access {access}: {expected}"
            kinds.add(expected.kind)
            assert int(fault[0]) == fault_of(expected), where
            assert told(trace) == (expected.reads, expected.writes), where
            if expected.kind == "ok":
                assert int(spa[0]) == expected.spa, where
                assert trace.fact(len(trace) - 1, "shift") == expected.shift, where
                assert trace.fact(len(trace) - 1, "reads") == len(expected.reads), where
        for spn, words in world.memory.pages.items():
            assert (rig.memory.page(spn).astype(np.uint64) == np.array(words, np.uint64)).all(), f"world {seed}"
    assert kinds >= {"ok", "page_fault", "ept_violation", "nested_page_fault", "general_protection"}


@pytest.mark.parametrize("part", range(2))
def test_caches_change_the_cost_and_nothing_else(part):
    saved = 0
    for seed in range(part * WORLDS // 2, (part + 1) * WORLDS // 2, 3):
        world = make_world(seed, PAGES)
        plain, cached = (
            rig_of(world, Geometry(l1_ways=0, l2_ways=0, structure_ways=0, nested_ways=0)),
            rig_of(world, Geometry(l1_sets=2, l1_ways=2, l2_sets=4, l2_ways=2, nested_sets=4)),
        )
        gva, access = [g for g, _ in world.accesses] * 2, [a for _, a in world.accesses] * 2
        one, two = plain.run(gva, access), cached.run(gva, access)

        assert one[0].tolist() == two[0].tolist(), f"world {seed}"
        assert one[1].tolist() == two[1].tolist(), f"world {seed}"
        assert (plain.mem == cached.mem).all(), f"world {seed}"
        saved += int(plain.state["count"]["reads"][0]) - int(cached.state["count"]["reads"][0])
    assert saved > WORLDS


def test_one_by_one_and_all_at_once_are_the_same_run():
    world = make_world(7, PAGES)
    one, two = rig_of(world, Geometry()), rig_of(world, Geometry())
    gva, access = [g for g, _ in world.accesses], [a for _, a in world.accesses]
    for g, a in zip(gva, access, strict=True):
        one.run([g], [a])
    two.run(gva, access)
    one.state["rows"] = two.state["rows"] = 0
    assert one.state.tobytes() == two.state.tobytes()
    assert one.mem.tobytes() == two.mem.tobytes()
