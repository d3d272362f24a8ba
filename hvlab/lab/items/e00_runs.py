"""Lesson 00: the runs that its exercises are about: two children, one of which touches a page that is not there yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Final

from hvlab.lab.seed import Draw
from hvlab.lab.whole import FRESH, PAGE, PAGES, READY, TABLES_GPN, touch
from hvlab.language import _
from hvlab.machine import Child, Machine, Snapshot
from hvlab.story.storyboard import Storyboard
from hvlab.trace.journal import Trace

MEMORY: Final = 1 << 20
NAMES: Final = ("web", "db", "mail", "log", "auth", "build")
LEAVES: Final = (0x4000_0001, 0x4000_0002, 0x4000_0003, 0x4000_0005)
USER_PAGES: Final = 1 << 34  # page numbers below 64 TiB


@cache
def base(seed: int) -> tuple[Machine, Snapshot]:
    """Return a machine with two children, and how it was before they did anything."""
    machine = Machine(seed=seed, memory=MEMORY)
    for name in ("first", "second"):
        machine.child(name, memory=PAGES * PAGE)
    return machine, machine.snapshot()


@dataclass(frozen=True)
class Programs:
    """What two programs do, in order.

    Attributes
    ----------
    seed
        How the root's memory is dealt.
    names
        What the children are called; the first is partition 2, with VP 1, the second partition 3, with VP 2.
    ready, fresh
        For each child the GVA that has memory behind it, and for one of them the GVA that has none yet.
    gpns
        For each child the guest's page behind `ready` and behind `fresh`.
    late
        Which child touches the page that is not there yet: 0 or 1.
    leaf
        The CPUID leaf that the other one asks for.
    first
        Whether the other child does its work first.
    """

    seed: int
    names: tuple[str, str]
    ready: tuple[int, int]
    fresh: tuple[int, int]
    gpns: tuple[tuple[int, int], tuple[int, int]]
    late: int
    leaf: int
    first: bool

    @cached_property
    def trace(self) -> Trace:
        """What happened, from the first access on."""
        machine, before = base(self.seed)
        machine.restore(before)
        children = [machine.children["first"], machine.children["second"]]
        for child, ready, fresh, gpns in zip(children, self.ready, self.fresh, self.gpns, strict=True):
            child.enable_paging({ready & -PAGE: gpns[0] * PAGE, fresh & -PAGE: gpns[1] * PAGE}, root_gpn=TABLES_GPN)
            child.vp.set(cpl=3)
        with machine.action():
            if self.first:
                self._easy(children)
            touch(children[self.late], self.fresh[self.late])
            if not self.first:
                self._easy(children)
        return machine.trace

    def _easy(self, children: Sequence[Child]) -> None:
        other = children[1 - self.late]
        other.read(self.ready[1 - self.late])
        other.vp.cpuid(self.leaf)

    def who(self, row: int) -> str:
        """Return whose virtual processor acts in a row."""
        return ("root", *self.names)[int(self.trace.rows[row, 2])]

    def partition(self, row: int) -> int:
        """Return the partition whose virtual processor acts in a row."""
        return int(self.trace.rows[row, 2]) + 1

    def story(self) -> Storyboard:
        """Tell the run, hop by hop."""
        from hvlab.lab.whole import hops

        return hops(self.trace, "Two children and their parent", self.names[self.late])

    def cast(self) -> str:
        """Say who is who."""
        return _(
            "VP 0: the root, partition 1. VP 1: {first}, partition 2. VP 2: {second}, partition 3. "
            "Inside its own partition each is VP 0."
        ).format(first=self.names[0], second=self.names[1])


def programs(draw: Draw) -> Programs:
    """Draw what two programs do."""
    first, second = draw.sample(NAMES, 2)
    places = [draw.below(USER_PAGES) * PAGE + 8 * draw.below(512) for _k in range(4)]
    gpns = [(draw.between(1, TABLES_GPN - 1), draw.between(PAGES, 511)) for _k in range(2)]
    return Programs(
        seed=draw.between(1, 8),
        names=(first, second),
        ready=(places[0], places[1]),
        fresh=(places[2], places[3]),
        gpns=(gpns[0], gpns[1]),
        late=draw.below(2),
        leaf=draw.pick(LEAVES),
        first=draw.chance(1, 2),
    )


# counting ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """So many of each: loads that find their page, first touches, CPUID instructions, hypercalls."""

    loads: int
    touches: int
    cpuids: int
    calls: int

    @cached_property
    def trace(self) -> Trace:
        """Let a child do it."""
        from hvlab.lab.discovery import try_calls
        from hvlab.wire.tlfs import GuestOsId, HypercallMsr, Msr

        machine, before = base(0)
        machine.restore(before)
        child = machine.children["first"]
        kernel, pages = child.vp, [FRESH + k * PAGE for k in range(self.touches)]
        kernel.wrmsr(Msr.GUEST_OS_ID, GuestOsId.encode(vendor=1, os=4, major=10, build=20348))
        kernel.wrmsr(Msr.HYPERCALL, HypercallMsr.encode(enable=1, gpn=9))
        child.enable_paging(
            {READY: 5 * PAGE, **{page: (PAGES + k) * PAGE for k, page in enumerate(pages)}}, root_gpn=TABLES_GPN
        )
        with machine.action():
            for k in range(self.loads):
                child.read(READY + 8 * k)
            for page in pages:
                touch(child, page)
            for _k in range(self.cpuids):
                kernel.cpuid(LEAVES[0])
            try_calls(kernel, ("FlushVirtualAddressSpace",) * self.calls)
        return machine.trace

    def entered(self) -> int:
        """Return how often control entered the hypervisor, as it was recorded."""
        return sum(1 for _row in self.trace.of("vp_exited", "cpuid_answered", "hypercall_entered"))


def work(draw: Draw) -> Work:
    """Draw some work."""
    return Work(draw.between(3, 9), draw.between(2, 5), draw.between(2, 5), draw.between(2, 5))
