"""The runs of lesson 05."""

from collections.abc import Mapping
from typing import Final

from hvlab.capture.load import load
from hvlab.capture.samples import sample
from hvlab.capture.tables import NestedTables
from hvlab.hardware.bare import UNCACHED
from hvlab.hardware.processor import PEEK, READ, USER, WRITE
from hvlab.hardware.tlb import Geometry
from hvlab.lab.runs import Scenario
from hvlab.lab.seed import Draw
from hvlab.lab.walks import GVA, one_walk
from hvlab.language import N_
from hvlab.machine import Child, Machine
from hvlab.tokens import Knob
from hvlab.trace.journal import Trace
from hvlab.wire.x64 import EptEntry

Values = Mapping[str, int]
PAGE_OF_DATA, ROOT_GPN = 0x5000, 16
CACHES: Final = (UNCACHED, Geometry(l1_ways=0, l2_ways=0, structure_ways=0), Geometry())
ACCESSES: Final = (int(READ), int(WRITE), int(READ | USER), int(WRITE | USER))
ACCESS: Final = Knob("a", "access", ACCESSES, int(READ | USER))
VENDOR: Final = Knob("v", "amd", (0, 1), 0)


def gva_of(seed: int) -> int:
    """Return the lesson's own address for seed 0, else one of the user half."""
    return GVA if seed == 0 else Draw(seed).bits(47) | 1 << 21


def walk(seed: int, knobs: Values) -> Trace:
    """One access, or several, through tables of the shape that the knobs say; `second_page` 0: no second level."""
    return one_walk(
        knobs["guest_page"],
        knobs["second_page"] or None,
        knobs["levels"],
        CACHES[knobs["caches"]],
        [knobs["access"]] * knobs["times"],
        bool(knobs["accessed_dirty"]),
        gva_of(seed),
    ).trace


def child_of(machine: Machine, seed: int, name: str = "web") -> tuple[Child, int]:
    """Return a child that maps one page by its own tables, and the address of that page."""
    gva, child = gva_of(seed), machine.child(name)
    child.enable_paging({gva & -4096: PAGE_OF_DATA}, root_gpn=ROOT_GPN)
    return child, gva


def machine_of(knobs: Values) -> Machine:
    """Return a machine by one of both makers."""
    return Machine(vendor="amd" if knobs["amd"] else "intel")


def one_child(seed: int, knobs: Values) -> Trace:
    """One access of a child; `refused`: the second level's last entry has lost its W."""
    machine = machine_of(knobs)
    child, gva = child_of(machine, seed)
    if knobs["refused"]:
        looked = machine.translate(child.vp, gva, int(READ | PEEK)).trace
        spa = looked.fact(list(looked.of("second_level_entry_read"))[-1], "spa")
        machine.memory.write64(spa, machine.memory.read64(spa) & ~EptEntry.mask("write"))
    return machine.translate(child.vp, gva, knobs["access"]).trace


def read_only_table(seed: int, knobs: Values) -> Trace:
    """The guest's level-1 table becomes read-only in the second level."""
    machine = machine_of(knobs)
    child, gva = child_of(machine, seed)
    machine.vid.protect(child.partition, gpn=ROOT_GPN + 3, rights=1)
    return machine.translate(child.vp, gva, knobs["access"]).trace


def stale_page(seed: int, knobs: Values) -> Trace:
    """The root takes a page back after the child used it; `flush` 0: the hypervisor forgets the flush that it owes."""
    machine = machine_of(knobs)
    machine.flush_on_unmap = knobs["flush"]
    child, gva = child_of(machine, seed)
    first = machine.translate(child.vp, gva, knobs["access"]).trace
    machine.vid.remove_memory(child.partition, gpn=PAGE_OF_DATA >> 12, pages=1)
    return first + machine.translate(child.vp, gva, knobs["access"]).trace


def two_children(seed: int, knobs: Values) -> Trace:
    """Two children, one GVA, one GPA."""
    machine, trace = machine_of(knobs), None
    for name in ("web", "db"):
        child, gva = child_of(machine, seed, name)
        step = machine.translate(child.vp, gva, knobs["access"]).trace
        trace = step if trace is None else trace + step
    assert trace is not None
    return trace


def kvm_walk(seed: int, knobs: Values) -> Trace:
    """One access on the tables that KVM built: the lesson's address for seed 0, else one that the guest touched."""
    tables = load(sample("npt_4lvl"))
    assert isinstance(tables, NestedTables)
    touched = tables.touched_gva
    gva = 0x4028_F1A9 if seed == 0 else int(touched[Draw(seed).below(len(touched))])
    return Machine.from_nested(tables).translate(0, gva, knobs["access"]).trace


SCENARIOS: Final = (
    Scenario(
        "second-level",
        N_("One access through the guest's tables and the second level."),
        (
            Knob("g", "guest_page", (12, 21, 30), 12),
            Knob("s", "second_page", (0, 12, 21, 30), 12),
            Knob("x", "levels", (4, 5), 4),
            Knob("c", "caches", (0, 1, 2), 0),
            Knob("d", "accessed_dirty", (0, 1), 1),
            Knob("t", "times", (1, 2, 3), 1),
            ACCESS,
        ),
        walk,
    ),
    Scenario(
        "one-child",
        N_("A child's own tables, and the hypervisor's below."),
        (ACCESS, VENDOR, Knob("w", "refused", (0, 1), 0)),
        one_child,
    ),
    Scenario("read-only-table", N_("A table page that the second level protects."), (ACCESS, VENDOR), read_only_table),
    Scenario(
        "stale-page",
        N_("A page taken back while a TLB knows it."),
        (ACCESS, VENDOR, Knob("f", "flush", (0, 1), 0)),
        stale_page,
    ),
    Scenario("two-children", N_("Two children, one GVA, one GPA."), (ACCESS, VENDOR), two_children),
    Scenario("kvm-walk", N_("One access on tables that KVM built."), (ACCESS,), kvm_walk),
)
