"""Non-interference (I12): what one child keeps to itself changes nothing that another can see."""

import random

import pytest

from hvlab.hypervisor.invariants import check_same
from hvlab.machine import Machine

PAGE = 4096


def life_of(seed, secret, vendor):
    """Two children do things; return everything that A could observe, and its traces."""
    machine, pick = Machine(memory=2 << 20, vendor=vendor), random.Random(seed)
    a, b = machine.child("a", 16 * PAGE), machine.child("b", 16 * PAGE)
    seen, traces = [], []
    for _ in range(60):
        gva = pick.randrange(16 * PAGE) & ~7
        b.write(pick.randrange(16 * PAGE) & ~7, secret[:8])
        seen.append(a.read(gva) if pick.random() < 0.6 else a.write(gva, pick.randbytes(8)))
        traces.append(machine.trace)
        seen.append(a.vp.cpuid(0x40000003))
        seen.append(a.vp.rdmsr(0x40000020))
    number = a.vp.number
    registers = machine.state["vp"][0, number].tobytes() + machine.state["guest"][0, number].tobytes()
    return seen, sum(traces[1:], traces[0]), registers


@pytest.mark.parametrize("vendor", ["intel", "amd"])
@pytest.mark.parametrize("seed", range(3))
def test_the_secret_of_another_child_leaves_no_trace(seed, vendor):
    seen, trace, registers = life_of(seed, b"\x00" * 8, vendor)
    other_seen, other_trace, other_registers = life_of(seed, b"\xffsecret!", vendor)

    assert seen == other_seen
    assert check_same(trace, other_trace, "I12") == []
    assert registers == other_registers


def test_a_page_that_changes_hands_carries_nothing_over():
    machine = Machine(memory=2 << 20)
    b = machine.child("b", 8 * PAGE)
    b.write(0, b"secret" * 100)
    pages = set(b.partition.pages.values())

    b.destroy()
    others = [gpn for gpn in machine.root_memory.free if gpn not in pages]
    machine.root_memory.free[:] = others[:8] + sorted(pages) + others[8:]  # the first 8 become the new child's pool
    a = machine.child("a", 8 * PAGE)

    assert set(a.partition.pages.values()) == pages
    assert a.read(0, 8 * PAGE) == bytes(8 * PAGE)
