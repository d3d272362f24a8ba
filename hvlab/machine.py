"""The computer: powers on hardware, hypervisor and root; makes children; each thing that a user does is a method."""

import contextlib
import copy
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Any

import numpy as np
import numpy.typing as npt

from hvlab.capture.tables import NestedTables, PageTables
from hvlab.child.kernel import Kernel
from hvlab.child.program import BUDGET, Program
from hvlab.errors import BadRequest
from hvlab.hardware import clock, processor, recorded
from hvlab.hardware.bare import Bare
from hvlab.hardware.memory import MAX_BYTES, NOBODY, PAGE, Memory, layout, signed
from hvlab.hardware.processor import ACCESS, DETAIL, OUTCOMES, READ
from hvlab.hardware.second_level import EPT, NPT
from hvlab.hardware.tlb import Geometry
from hvlab.hypervisor import clockwork, power
from hvlab.hypervisor.address import leaves
from hvlab.hypervisor.core import SILENT, Hypervisor
from hvlab.hypervisor.partition import AMD, INTEL, ROOT, STATE, vps_of
from hvlab.hypervisor.shares import Timed, choose, share
from hvlab.hypervisor.vp import Fault, Vp
from hvlab.root.vid import EVERY_RIGHT, Partition, Vid
from hvlab.root.vmbus import RootVmbus
from hvlab.root.vmwp import Worker
from hvlab.root.winhv import RootMemory, WinHv
from hvlab.trace.journal import Trace
from hvlab.vmbus import ring
from hvlab.wire.tlfs import GUEST_PRIVILEGES

Words = npt.NDArray[np.int64]
VENDORS = {"intel": (INTEL, EPT), "amd": (AMD, NPT)}
PHYS_BITS = 46
SLICE_SECONDS = 0.015


@dataclass(frozen=True)
class Step:
    """One translation: what came of it, and its rows."""

    outcome: str  # ok, page_fault, general_protection, ept_violation, ept_misconfiguration, nested_page_fault, …
    detail: int  # error code or exit qualification
    spa: int  # of a fault: the address that it is about
    trace: Trace

    @property
    def ok(self) -> bool:
        return self.outcome == "ok"


@dataclass(frozen=True)
class Counts:
    """What a study counted."""

    accesses: int
    l1_hits: int
    l2_hits: int
    walks: int
    reads: int
    faults: int
    nanoseconds: int


@dataclass(frozen=True)
class Snapshot:
    """A machine at one moment; `Machine.restore` takes it back there."""

    state: Any
    mem: Words
    software: Any
    walked: tuple[frozenset[int], bool]
    bus: Any


class Child:
    """A child partition, by the name that its maker gave it.

    Attributes
    ----------
    name : str
    partition_id : int
    vps : list of Vp
        Its virtual processors: the doors that its software uses.
    worker : Worker
        Its worker process in the root, with its virtual devices.
    """

    def __init__(self, machine: "Machine", name: str, partition: Partition) -> None:
        self.machine, self.name, self.partition = machine, name, partition
        self.partition_id = partition.partition_id
        self.vps = machine.vps(partition.partition_id)
        self.worker = Worker(machine.vid, partition)

    @property
    def vp(self) -> Vp:
        return self.vps[0]

    def read(self, gva: int, count: int = 8) -> bytes | Fault:
        """Read bytes by guest virtual address on the first virtual processor."""
        return self.vp.read(gva, count)

    def write(self, gva: int, data: bytes) -> Fault | None:
        """Write bytes by guest virtual address on the first virtual processor."""
        return self.vp.write(gva, data)

    def enable_paging(self, mapping: Mapping[int, int], root_gpn: int, large: bool = False, user: bool = True) -> Trace:
        """Let the child build page tables from page `root_gpn` upwards (GVA -> GPA) and switch paging on."""
        with self.machine.action():
            power.enable_paging(self.vp, mapping, root_gpn, self.machine.levels, large, user)
        return self.machine.trace

    def share(
        self,
        weight: int | None = None,
        cap: float | None = None,
        reserve: float | None = None,
        affinity: Iterable[int] | None = None,
    ) -> None:
        """Set what each of its virtual processors gets: weight (1 to 10,000), cap and reserve (of one processor)."""
        share(self.machine.hv, [vp.number for vp in self.vps], weight, cap, reserve, affinity)

    def run(self, program: Program, budget: int = BUDGET) -> Fault | None:
        """Let the child run a program on its first VP from the start, its worker serving the intercepts.

        None: it came to its end or halted; a `Fault` says what it could not go on after.
        """
        program.start(self.vp)
        with self.machine.action():
            return self.worker.run(lambda: program.run(self.vp, budget), self.vp.index, budget)

    def destroy(self) -> Trace:
        """Take the partition down."""
        with self.machine.action():
            self.machine.vid.destroy(self.partition)
            del self.machine.children[self.name]
            self.machine.kernels.pop(self.name, None)
        return self.machine.trace


class Machine(Timed):
    """A whole machine, powered on: hypervisor, root partition with one virtual processor, no child yet.

    Parameters
    ----------
    seed : int
        0 deals the root's pages in order; any other number shuffles them.
    memory : int
        Bytes of physical memory.
    vendor : str
        ``"intel"`` (EPT) or ``"amd"`` (nested paging).
    levels : int
        4 or 5, of the second levels and of the root's own tables.
    geometry : Geometry
        Sizes of the translation caches.
    costs : mapping, optional
        Changes to the table of costs (`hardware.clock`), in nanoseconds.
    smt : bool
        Logical processors 2k and 2k + 1 are two threads of one core.
    scheduler : str
        ``"classic"``, ``"core"`` or ``"root"``.
    """

    def __init__(
        self,
        seed: int = 0,
        memory: int = 16 << 20,
        lps: int = 2,
        vendor: str = "intel",
        levels: int = 4,
        geometry: Geometry | None = None,
        costs: Mapping[str, int] | None = None,
        mbec: bool = False,
        smt: bool = False,
        scheduler: str = "classic",
    ) -> None:
        if (
            vendor not in VENDORS
            or levels not in (4, 5)
            or not 0 < lps <= processor.LPS
            or memory % PAGE
            or memory > MAX_BYTES
        ):
            raise BadRequest(
                f"vendor {vendor!r}, {levels} levels, {lps} processors, {memory} bytes",
                "",
                f"intel or amd, 4 or 5 levels, 1 to {processor.LPS} processors, whole pages, at most {MAX_BYTES} bytes",
            )
        pages = memory // PAGE
        state = np.zeros(1, STATE)
        state["pages"], state["phys_bits"] = pages, PHYS_BITS
        mem = layout(np.arange(pages), pages)
        clock.set_costs(state, costs)
        self._adopt(state, mem, geometry or Geometry(), seed)
        maker, second_level = VENDORS[vendor]
        with self.action():
            self._power_on(maker, int(second_level), levels, lps, mbec)
        self.boot = self.trace
        choose(self.hv, scheduler, smt)

    def _power_on(self, maker: int, second_level: int, levels: int, lps: int, mbec: bool) -> None:
        """Start the hypervisor and the root, whose WinHv then asks for the hypercall page."""
        power.on(self.hv, maker, second_level, levels, lps, mbec)
        pages = self.hv.memory.pages
        free = list(range(power.first_free(self.hv), pages))
        if self.seed:
            random.Random(self.seed).shuffle(free)
        self.root_memory = RootMemory(free)
        self.vid = Vid(WinHv(self.root_vp, self.root_memory))
        self.vid.winhv.establish()

    def _adopt(self, state: Any, mem: Words, geometry: Geometry, seed: int) -> None:
        self.seed, self.bare = seed, False
        self.hv = Hypervisor(state, mem)
        for lp in range(processor.LPS):
            geometry.into(state["lp"][0, lp]["tlb"])
        self.children: dict[str, Child] = {}
        self.kernels: dict[str, Kernel] = {}
        self._vmbus: RootVmbus | None = None

    # what it consists of ---------------------------------------------------------------------------------------------

    @property
    def state(self) -> Any:
        return self.hv.state

    @property
    def mem(self) -> Words:
        return self.hv.mem

    @property
    def memory(self) -> Memory:
        """Physical memory by SPA, as a debugger on the bus sees it: nothing is translated, no owner is asked."""
        return self.hv.memory

    @property
    def levels(self) -> int:
        return int(self.state["hypervisor"]["levels"][0])

    @property
    def vendor(self) -> str:
        return "amd" if self.state["hypervisor"]["vendor"][0] == AMD else "intel"

    @property
    def trace(self) -> Trace:
        """The rows of the last action."""
        return self.hv.last

    @contextlib.contextmanager
    def action(self) -> Iterator["Machine"]:
        """Join all that is done inside into one trace."""
        with self.hv.action():
            yield self

    @property
    def root_vp(self) -> Vp:
        """The root's virtual processor."""
        return self.vps(1)[0]

    def vps(self, partition_id: int) -> list[Vp]:
        """Return a partition's virtual processors."""
        slot = next((slot for slot in self.hv.alive() if self.hv.id_of(slot) == partition_id), 0)
        if slot == 0:
            raise BadRequest(f"partition {partition_id}", f"partitions {[self.hv.id_of(s) for s in self.hv.alive()]}")
        return [Vp(self.hv, number) for number in vps_of(self.state, slot)]

    def child(
        self,
        name: str,
        memory: int = 1 << 20,
        vps: int = 1,
        privileges: int = GUEST_PRIVILEGES,
        large: bool = False,
        rights: int = EVERY_RIGHT,
        pool: int = 0,
    ) -> Child:
        """Return the child of this name; make it, with so much memory from GPA 0 on, if it is not there.

        `pool`: pages that its pool gets besides, for what it will switch on: message and flag pages, TSC page, ports.
        """
        if name in self.children:
            return self.children[name]
        if self.bare or not name or memory % PAGE or memory <= 0:
            raise BadRequest(
                f"child {name!r} of {memory} bytes", "", "a name, whole pages, a machine with a hypervisor"
            )
        with self.action():
            partition = self.vid.create_partition(memory // PAGE, vps, privileges, large, rights)
            if pool:
                self.vid.winhv.deposit(partition.partition_id, pool)
            self.children[name] = Child(self, name, partition)
        return self.children[name]

    @property
    def vmbus(self) -> RootVmbus:
        """The root's VMBus, switched on when somebody asks for it first."""
        if self._vmbus is None:
            with self.action():
                self._vmbus = RootVmbus(self.vid)
        return self._vmbus

    def boot_kernel(self, child: Child, kind: str = "linux", **how: Any) -> Kernel:
        """Let a child boot a kernel that knows VMBus (`child.kernel.Kernel`)."""
        pages = 1 + max(child.partition.pages)
        with self.action():
            self.kernels[child.name] = Kernel(child.vps, pages, kind, **how)
        return self.kernels[child.name]

    # knobs of scenarios ----------------------------------------------------------------------------------------------

    def _knob(name: str, doc: str) -> Any:  # type: ignore[misc]
        def get(self: "Machine") -> int:
            return int(self.state["hypervisor"][name][0])

        def put(self: "Machine", value: int) -> None:
            self.state["hypervisor"][name][0] = int(value)

        return property(get, put, doc=doc)

    flush_on_unmap = _knob("flush_on_unmap", "0: the hypervisor forgets the flush that a changed second level is owed.")
    tags = _knob("tags", "0: processors without VPID or ASID; each switch of the virtual processor empties the caches.")
    tell_halt = _knob("tell_halt", "1: HLT of a child becomes a message to its parent; 0: the processor sleeps.")
    slice_reps = _knob("slice", "Elements of a rep call before it returns to the guest, to be continued; 0: no limit.")

    # translation -----------------------------------------------------------------------------------------------------

    def translate(self, vp: Vp | int, gva: int, access: int = int(READ)) -> Step:
        """Let the processor translate one address, and no more: a fault is told but not handled."""
        number = vp if isinstance(vp, int) else vp.number
        self._check(number)
        with self.hv.action(number):
            words = np.array([signed(gva)]), np.array([access & int(ACCESS)], np.int64)
            fault, spa = self.hv.run(number, *words)
        kind = int(fault[0]) & (1 << int(DETAIL)) - 1
        return Step(OUTCOMES[kind], int(fault[0]) >> int(DETAIL), int(spa[0]) & (1 << 64) - 1, self.trace)

    def _check(self, number: int) -> None:
        there = range(processor.VPS) if self.bare else np.flatnonzero(self.state["guest"]["partition"][0]).tolist()
        if number not in there:
            raise BadRequest(f"VP {number}", f"VPs {list(there)}")

    def study(self, vp: Vp | int, gva: npt.ArrayLike, access: npt.ArrayLike) -> Counts:
        """Translate many addresses silently and count; Ctrl-C stops between slices and loses nothing."""
        number = vp if isinstance(vp, int) else vp.number
        self._check(number)
        gvas, wants = np.asarray(gva), np.asarray(access)
        before, began = self.state["count"][0].copy(), int(self.state["now"][0])
        size, done = 1 << 12, 0
        self.hv.walked_unseen = True
        while done < len(gvas):
            self.hv.enter(number)
            part, begun = slice(done, done + size), perf_counter()
            words = np.ascontiguousarray(gvas[part].astype(np.uint64, copy=False).view(np.int64))
            kinds = np.ascontiguousarray(
                np.broadcast_to(wants if wants.ndim == 0 else wants[part], words.shape), np.int64
            )
            fault, spa = np.empty(len(words), np.int64), np.empty(len(words), np.int64)
            done += int(processor.run(self.state, self.mem, SILENT, number, words, kinds, fault, spa))
            size = size * 2 if perf_counter() - begun < SLICE_SECONDS and size < 1 << 20 else size
        after = self.state["count"][0]
        gone = {name: int(after[name]) - int(before[name]) for name in after.dtype.names}
        hits = gone["accesses"] - gone["l2_hits"] - gone["walks"] - gone["not_canonical"]
        nanoseconds = int(self.state["now"][0]) - began
        return Counts(
            gone["accesses"], hits, gone["l2_hits"], gone["walks"], gone["reads"], gone["faults"], nanoseconds
        )

    # the whole -------------------------------------------------------------------------------------------------------

    def hash(self) -> str:
        """Return a SHA-256 of state and memory, without time, recorder and counters."""
        return self.hv.hash()

    def snapshot(self) -> Snapshot:
        """Return the machine as it is now, its software included."""
        vid = None if self.bare else self.vid
        names = {name: child.partition_id for name, child in self.children.items()}
        workers = {name: child.worker.saved() for name, child in self.children.items()}
        software = (list(vid.winhv.memory.free), copy.deepcopy((vid.partitions, names, workers))) if vid else None
        walked = frozenset(self.hv.walked), self.hv.walked_unseen
        kernels = {name: (kernel, kernel.saved()) for name, kernel in self.kernels.items()}
        bus = (self._vmbus, self._vmbus.saved() if self._vmbus else None), kernels
        return Snapshot(self.state.copy(), self.mem.copy(), software, walked, bus)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot of this machine."""
        if snapshot.mem.shape != self.mem.shape:
            raise BadRequest("a snapshot of another machine", f"{len(snapshot.mem)} words of memory")
        self.state[:], self.mem[:] = snapshot.state, snapshot.mem
        walked, self.hv.walked_unseen = snapshot.walked
        self.hv.walked, self.hv.unsettled = set(walked), True
        self.hv.tables += 1
        if snapshot.software is not None:
            free, others = snapshot.software
            self.vid.winhv.memory.free = list(free)
            self.vid.partitions, names, workers = copy.deepcopy(others)
            self.children = {name: Child(self, name, self.vid.partitions[number]) for name, number in names.items()}
            for name, saved in workers.items():
                self.children[name].worker.restore(saved)
        self._restore_bus(snapshot.bus)

    def _restore_bus(self, bus: Any) -> None:
        """Put back what the drivers of VMBus hold."""
        (self._vmbus, saved), kernels = bus
        if self._vmbus is not None:
            self._vmbus.restore(saved)
        self.kernels = {name: kernel for name, (kernel, _) in kernels.items()}
        for kernel, record in kernels.values():
            kernel.restore(record)

    def page_map(self) -> Words:
        """Return the owner of each page: a partition's id, 0 for the hypervisor, -1 where there is no memory."""
        ids = np.array([self.hv.id_of(slot) for slot in range(256)], np.int64)
        owner = self.hv.memory.column("owner")
        return np.where(self.hv.memory.column("words") == 0, -1, ids[owner])

    def topology(self) -> dict[str, Any]:
        """Return partitions, what each maps (guest page, page, rights), and shares (page, owner, sharer, rights)."""
        partitions, names = [], {child.partition_id: name for name, child in self.children.items()}
        for slot in self.hv.alive():
            record = self.state["partition"][0, slot]
            gpns, spns, rights, tables = leaves(self.state, self.mem, int(record["root"]))
            partitions.append(
                {
                    "id": int(record["id"]),
                    "name": "root" if slot == ROOT else names.get(int(record["id"]), ""),
                    "parent": self.hv.id_of(int(record["parent"])),
                    "privileges": int(record["privileges"]) & (1 << 64) - 1,
                    "vps": [int(self.state["guest"]["index"][0, vp]) for vp in vps_of(self.state, slot)],
                    "maps": np.stack([gpns, spns, rights], axis=1).tolist(),
                    "tables": sorted(set(tables.tolist())),
                }
            )
        owner, sharer, rights = (self.hv.memory.column(field) for field in ("owner", "sharer", "share_rights"))
        shared = np.flatnonzero(sharer != NOBODY).tolist()
        ids = [self.hv.id_of(slot) for slot in range(NOBODY)]
        shares = [[spn, ids[owner[spn]], ids[sharer[spn]], int(rights[spn])] for spn in shared]
        return {"pages": self.hv.memory.pages, "partitions": partitions, "shares": shares}

    # recorded machines -----------------------------------------------------------------------------------------------

    @classmethod
    def _of(cls, bare: Bare, geometry: Geometry) -> "Machine":
        machine = cls.__new__(cls)
        clock.set_costs(bare.state)
        machine._adopt(bare.state, bare.mem, geometry, 0)
        machine.bare = True
        return machine

    @classmethod
    def from_snapshot(cls, tables: PageTables, cpu: int = 0, geometry: Geometry | None = None) -> "Machine":
        """Return a bare machine that holds a guest's recorded page tables at their addresses, and nothing else."""
        return cls._of(recorded.guest(tables, cpu, STATE), geometry or Geometry())

    @classmethod
    def from_nested(cls, tables: NestedTables, geometry: Geometry | None = None) -> "Machine":
        """Return a bare machine that holds a recorded second level and its guest's tables, at their addresses."""
        return cls._of(recorded.nested(tables, STATE), geometry or Geometry())


def warm() -> float:
    """Compile every entry point by using each once; return the seconds that it took."""
    begun = perf_counter()
    warm_parts()
    machine = Machine(memory=2 << 20)
    window = machine.root_vp.window([gpn << 12 for gpn in machine.root_memory.take(2)])
    if not isinstance(window, Fault):
        ring.warm(window)
    return perf_counter() - begun


def warm_parts() -> dict[str, float]:
    """Compile every entry point; return the CPU seconds of each part: the recorder, the walker, the event kernel."""
    spent, begun = dict[str, float](), process_time()
    machine = Machine(memory=2 << 20)
    spent["recorder"] = process_time() - begun
    machine.translate(machine.root_vp, 0)
    spent["walker"] = process_time() - begun - spent["recorder"]
    clockwork.compile_now()
    machine.turn()
    spent["event kernel"] = process_time() - begun - spent["recorder"] - spent["walker"]
    return spent
