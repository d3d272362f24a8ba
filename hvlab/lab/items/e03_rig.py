"""Lesson 03: the machine on which its exercises run, and the calls that they make there."""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from hvlab.hypervisor.vp import Vp
from hvlab.lab.seed import Draw
from hvlab.machine import Machine, Snapshot
from hvlab.root.winhv import CallFailed, RootMemory, WinHv
from hvlab.trace.journal import Trace
from hvlab.wire.hypercalls import CALLS, FlushGuestPhysical, FlushVirtualAddress
from hvlab.wire.tlfs import FlushFlags, GvaRange, HypercallControl, HypercallMsr, Msr

PAGE: Final = 4096
PAGES: Final = 64  # of the child
CALL_PAGE: Final = 0x30  # where the guest puts its hypercall page
BLOCKS: Final = 0x10  # where the lab's own calls put their blocks
GUEST_ID: Final = 1 << 48
LIST, SPACE, NESTED = 0x0003, 0x0002, 0x00AF


@dataclass(frozen=True)
class Made:
    """One call of a child: which one, its list, and what the guest finds when it makes it.

    Attributes
    ----------
    code, count, start, seed
        The call, its elements (drawn from the seed), and the first that is to be done.
    limit
        Elements that the hypervisor does at a time; 0: all.
    enabled
        Whether the hypercall page is there already.
    free
        GPA from which on the guest's memory is free, up to page `CALL_PAGE`; 0: none is free.
    """

    code: int
    count: int = 0
    start: int = 0
    limit: int = 0
    seed: int = 0
    enabled: bool = True
    free: int = BLOCKS * PAGE

    @property
    def header(self) -> bytes:
        """The fixed part of the input block."""
        if self.code == NESTED:
            return FlushGuestPhysical.encode(space=Draw(self.seed).bits(36) << 12)
        return FlushVirtualAddress.encode(flags=FlushFlags.encode(all_processors=1))

    @property
    def elements(self) -> list[bytes]:
        """The list: one page of the guest's own addresses each."""
        draw = Draw(self.seed)
        return [GvaRange.encode(gvn=draw.bits(35)).to_bytes(8, "little") for _k in range(self.count)]


@cache
def rig() -> tuple[Machine, Snapshot]:
    """A machine with one child, before it has said who it is."""
    machine = Machine(memory=2 << 20)
    machine.child("web", memory=PAGES * PAGE)
    return machine, machine.snapshot()


def guest(world: Made) -> tuple[Machine, Vp]:
    """Bring the machine into the state in which a world's call is made."""
    machine, before = rig()
    machine.restore(before)
    machine.slice_reps = world.limit
    vp = machine.children["web"].vp
    if world.enabled:
        vp.wrmsr(Msr.GUEST_OS_ID, GUEST_ID)
        vp.wrmsr(Msr.HYPERCALL, HypercallMsr.encode(enable=1, gpn=CALL_PAGE))
    return machine, vp


@lru_cache(maxsize=64)
def run(world: Made) -> Trace:
    """Make one call as it stands, its block at the start of a page, and return what was recorded."""
    machine, vp = guest(world)
    gpa = BLOCKS * PAGE
    rcx = HypercallControl.encode(code=world.code, rep_count=world.count, rep_start=world.start)
    with machine.action():
        vp.write_gpa(gpa, world.header + b"".join(world.elements))
        vp.hypercall(rcx, gpa)
    return machine.trace


def whole(world: Made, vp: Vp | None = None) -> Trace:
    """Make a call of any length by WinHv, in as many parts as it takes; `vp` may stand for the guest's processor."""
    machine, own = guest(world)
    free = list(range(BLOCKS, BLOCKS + 3))
    call = CALLS[world.code]
    with machine.action():
        winhv = WinHv(vp or own, RootMemory(free))
        if not world.enabled:
            winhv.hypercall_gpn = CALL_PAGE
            winhv.establish()
        try:
            if call.rep:
                winhv.call_list(call.name, world.elements, flags=FlushFlags.encode(all_processors=1))
            else:
                winhv.raw(call, world.header, [], 0)
        except CallFailed:
            pass  # what the hypervisor answered stands in the trace
    return machine.trace


def outcome(trace: Trace) -> tuple[int, int]:
    """Return (last status, elements done) of what was recorded; no answer is status 0xffff."""
    returned = [trace.fact(row, "status") for row in trace.of("hypercall_returned")]
    return (returned[-1] if returned else 0xFFFF), sum(1 for _row in trace.of("rep_done"))


def effect(trace: Trace) -> int:
    """Return a number that says what took effect, in order: every page that was flushed counts with its place."""
    flushed = (trace.fact(row, "gva") >> 12 for row in trace.of("tlb_flushed") if trace.fact(row, "what") == 1)
    return sum((place + 1) * page for place, page in enumerate(flushed)) & (1 << 64) - 1
