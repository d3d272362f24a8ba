"""Runs that show a sentence of the overview to be loose: the evidence of the hunt, made anew each time it is asked for.

Each run says which events it is about, and when a run of the learner's own shows the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hvlab.trace.journal import Trace

GVA: Final = 0x7F12_3456_7ABC
DATA: Final = 0x40_0000  # GVA of a child's page
PLACE: Final = 0x5000  # the GPA to which its kernel maps it
ROOT_GPN: Final = 16
HOLE: Final = 0x700_0000  # a GPA that no child here has
ROOT_PAGE: Final = 0x80_0000  # a GPA of the root
SMALL: Final = 64 * 4096  # memory of a child that does little
SYNTHETIC: Final = 0x4000_0000  # Hyper-V's own registers begin here
LONG: Final = 500  # elements: more than eight bits count


@dataclass(frozen=True)
class Demo:
    """A run.

    Parameters
    ----------
    make
        Makes it.
    kinds
        The events that it is about: a run without one of them does not touch the sentence.
    shows
        Whether a run that has them shows what this one shows.
    """

    make: Callable[[], Trace]
    kinds: tuple[str, ...]
    shows: Callable[[Trace], bool] = lambda trace: True

    def __call__(self) -> Trace:
        return self.make()


def one_load() -> Trace:
    """Load once through the guest's tables and the second level: what a plain memory access consists of."""
    # The engine is loaded only when a run is asked for.
    import numpy as np

    from hvlab.hardware.bare import UNCACHED
    from hvlab.hardware.processor import READ, USER
    from hvlab.lab.guest import Plan, Touched, guest
    from hvlab.trace.event import COLUMNS

    trace = np.zeros((256, COLUMNS), np.int64)
    bare = guest(Touched(np.array([GVA >> 12]), 4), Plan(), UNCACHED)
    bare.run([GVA], [READ | USER], trace=trace)
    return Trace(trace[: int(bare.state["rows"][0])])


def registers() -> Trace:
    """A child writes and reads a synthetic register, and tries the number of one that is not there."""
    from hvlab.machine import Machine
    from hvlab.wire.tlfs import GuestOsId, Msr

    machine = Machine()
    kernel = machine.child("web").vp
    with machine.action():
        kernel.wrmsr(Msr.GUEST_OS_ID, GuestOsId.encode(vendor=1, os=4, major=10, build=20348))
        kernel.rdmsr(Msr.GUEST_OS_ID)
        kernel.rdmsr(SYNTHETIC | 0xFFFF)
    return machine.trace


def own_steps() -> Trace:
    """A child uses its page three times, then touches an address at which its parent has put nothing."""
    from hvlab.machine import Machine

    machine = Machine()
    child = machine.child("web")
    child.enable_paging({DATA: PLACE}, root_gpn=ROOT_GPN)
    child.write(DATA, b"mine")
    with machine.action():
        for _time in range(3):
            child.read(DATA, 4)
        child.vp.read_gpa(HOLE, 8)
    return machine.trace


def two_children() -> Trace:
    """Two children use one GVA, and both kernels map it to one GPA."""
    from hvlab.machine import Machine

    machine = Machine()
    steps = []
    for name in ("web", "db"):
        child = machine.child(name)
        child.enable_paging({DATA: PLACE}, root_gpn=ROOT_GPN)
        steps.append(machine.translate(child.vp, DATA).trace)
    return steps[0] + steps[1]


def identity() -> Trace:
    """The root reads a page of its own, then one that the hypervisor keeps for its tables."""
    from hvlab.machine import Machine

    machine = Machine()
    tables = int(machine.state["partition"]["root"][0, 1])
    with machine.action():
        machine.root_vp.read(ROOT_PAGE, 8)
        machine.root_vp.read(tables, 8)
    return machine.trace


def family() -> Trace:
    """Power on, make two children, and let one of them ask for what only a parent may do."""
    from hvlab.lab.calling import established
    from hvlab.lab.discovery import try_calls
    from hvlab.machine import Machine

    machine = Machine()
    made = machine.boot
    for name in ("db", "web"):
        machine.child(name, memory=SMALL)
        made = made + machine.trace
    return made + try_calls(established(machine), ("InitializePartition",))


def long_list() -> Trace:
    """A child makes one call with a list of 500 elements, and gets one result word."""
    from hvlab.lab.calling import established, flush_block
    from hvlab.machine import Machine
    from hvlab.wire.tlfs import HypercallControl

    machine = Machine()
    kernel = established(machine)
    with machine.action():
        kernel.write_gpa(PLACE, flush_block(pages=LONG))
        kernel.hypercall(HypercallControl.encode(code=3, rep_count=LONG), PLACE)
    return machine.trace


def whose_interrupt() -> Trace:
    """A device interrupts the root while a child runs; the child's own interrupt comes from its virtual APIC."""
    from hvlab.lab.interrupting import to_the_root

    return to_the_root()


def classes() -> Trace:
    """A local APIC with one vector in service takes one of a higher class, and holds one of the same class back."""
    from hvlab.lab.interrupting import one_apic

    return one_apic("raise 0x62, take, raise 0x6f, raise 0x71, take").trace


def serial_port() -> Trace:
    """A child writes one byte to an emulated serial port: the root is told, and its worker process plays the device."""
    from hvlab.lab.tiny import hello, run_tiny

    return run_tiny(hello(b"H")).trace


def facts(trace: Trace, kind: str, *names: str) -> list[tuple[int, ...]]:
    """Return some facts of every event of a kind."""
    return [tuple(trace.fact(row, name) for name in names) for row in trace.of(kind)]


def _apart(trace: Trace) -> bool:
    """Whether one GPA led to two SPAs."""
    found = set(facts(trace, "translated", "gpa", "spa"))
    return len({gpa for gpa, _spa in found}) < len(found)


def _mapped_as_itself(trace: Trace) -> bool:
    return any(gpa == spa for gpa, spa in facts(trace, "translated", "gpa", "spa"))


def _one_root(trace: Trace) -> bool:
    """Whether one partition was made by nobody, and every other by a partition."""
    parents = [parent for (parent,) in facts(trace, "partition_created", "parent")]
    return parents.count(0) == 1 and len(parents) > 1


def _no_channel(trace: Trace) -> bool:
    """Whether the parent finished each instruction that it was told of, and nothing went over a VMBus."""
    told, done = (len(facts(trace, kind)) for kind in ("parent_told", "instruction_emulated"))
    return told == done and not any(name.startswith(("channel_", "packet_")) for name in trace.kinds())


def _synthetic(trace: Trace) -> bool:
    return any(msr >= SYNTHETIC for (msr,) in facts(trace, "msr_written", "msr"))


def _more_than_eight_bits(trace: Trace) -> bool:
    return any(result >> 40 & 0xF for (result,) in facts(trace, "hypercall_returned", "result"))


def _owners_apart(trace: Trace) -> bool:
    """Whether the root got the devices' interrupts, and another virtual processor got one that no device sent."""
    owners = {owner for (owner,) in facts(trace, "device_interrupt", "owner")}
    raised = {int(trace.rows[row, 2]) for row in trace.of("vector_raised")}
    return owners == {0} and bool(raised - owners)


def _held_by_class(trace: Trace) -> bool:
    """Whether something of the class in service waited while a higher class was taken."""
    raised, taken = (facts(trace, kind, "vector") for kind in ("vector_raised", "vector_delivered"))
    first = {vector >> 4 for (vector,) in taken[:1]}
    held = {vector for (vector,) in raised} - {vector for (vector,) in taken}
    return len(taken) > 1 and any(vector >> 4 in first for vector in held)


RUNS: Final[dict[str, Demo]] = {
    "one-load": Demo(one_load, ("table_entry_read", "second_level_entry_read", "translated")),
    "registers": Demo(registers, ("msr_written", "msr_read"), _synthetic),
    "own-steps": Demo(own_steps, ("tlb_hit", "vp_exited")),
    "two-children": Demo(two_children, ("translated",), _apart),
    "identity": Demo(identity, ("second_level_entry_read", "translated", "vp_exited"), _mapped_as_itself),
    "family": Demo(family, ("partition_created", "call_denied"), _one_root),
    "serial-port": Demo(serial_port, ("instruction_exited", "parent_told", "device_written"), _no_channel),
    "whose-interrupt": Demo(whose_interrupt, ("device_interrupt", "vector_raised"), _owners_apart),
    "classes": Demo(classes, ("vector_raised", "vector_delivered"), _held_by_class),
    "long-list": Demo(long_list, ("rep_done", "hypercall_returned"), _more_than_eight_bits),
}
