"""Lesson 02: the tiny programs of its exercises, and the machine on which they run."""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from hvlab.child.program import Instruction, Line, Program, add, load, loop, move, special, store
from hvlab.hardware import clock
from hvlab.lab.seed import Draw
from hvlab.language import _
from hvlab.machine import Child, Machine, Snapshot
from hvlab.root.vdev.uart import COM1, Uart
from hvlab.trace.words import grouped

PAGES: Final = 32
LENGTH: Final = 60
EMPTY: Final = 0x80  # a port that no parent asked for
OWN_LEAF, PARENTS_LEAF = 0x4000_0001, 1
OWN_MSR, PARENTS_MSR = 0x4000_0002, 0x1B0
DATA: Final = 0x3000
FREE: Final = ("rbx", "rbp", "rsi", "rdi")
UNIT: Final = ("add", "load", "store", "move", "nothing")


@dataclass(frozen=True)
class Made:
    """A program of `LENGTH` instructions, and whether the worker does a repeated one whole."""

    code: tuple[Instruction, ...]
    whole: bool

    @property
    def program(self) -> Program:
        """The program, ready to run."""
        return Program(self.code)

    def listing(self) -> str:
        """The program as a learner reads it."""
        return "\n".join(f"  {grouped(rip, 4)}  {text}" for rip, text in self.program.places)


def _plain(draw: Draw) -> list[Instruction]:
    """Instructions that nobody else sees."""
    kind = draw.pick(UNIT)
    if kind == "add":
        return [add(draw.pick(FREE[:2]), draw.pick(FREE))]
    if kind in ("load", "store"):
        place = move("rsi", DATA + 8 * draw.below(400))
        return [place, load("rbx", "rsi") if kind == "load" else store("rsi", "rbx")]
    return [move(draw.pick(FREE[:2]), draw.bits(32))]


def cpuid(leaf: int) -> list[Instruction]:
    """CPUID of a leaf."""
    return [move("rax", leaf), special("cpuid")]


def msr(number: int) -> list[Instruction]:
    """RDMSR of a register."""
    return [move("rcx", number), special("rdmsr")]


def port(number: int, text: str) -> list[Instruction]:
    """IN or OUT at a port."""
    return [move("rdx", number), special(text)]


def again(count: int, number: int) -> list[Instruction]:
    """IN, so many times: LOOP jumps back over IN and itself."""
    return [move("rdx", number), move("rcx", count), special("in al, dx"), loop(-3)]


def string(count: int) -> list[Instruction]:
    """REP INSB from the serial port."""
    return [move("rdx", COM1), move("rdi", DATA), move("rcx", count), special("rep insb")]


def program(draw: Draw) -> Made:
    """Draw a program of 60 instructions that ends in one that does not exist."""
    parts = [
        cpuid(OWN_LEAF),
        cpuid(PARENTS_LEAF),
        msr(OWN_MSR),
        msr(PARENTS_MSR),
        port(COM1 + draw.below(8), draw.pick(("in al, dx", "out dx, al"))),
        port(EMPTY, draw.pick(("in al, dx", "out dx, al"))),
        again(draw.between(2, 4), draw.pick((COM1 + 7, EMPTY))),
        string(draw.between(2, 6)),
        string(0),
    ]
    room = LENGTH - 1 - sum(map(len, parts))
    while room > 0:
        more = _plain(draw)[:room]
        parts.append(more)
        room -= len(more)
    code = [one for part in draw.shuffled(parts) for one in part]
    return Made((*code, special("ud2")), draw.chance(1, 2))


@cache
def rig() -> tuple[Machine, Snapshot]:
    """A machine whose child has a serial port, and whose parent answers one leaf and one register."""
    machine = Machine(memory=2 << 20)
    worker = machine.child("web", memory=PAGES * 4096).worker
    worker.add_device(Uart())
    worker.answer_cpuid(PARENTS_LEAF, (0, 0, 0, 0))
    worker.answer_msr(PARENTS_MSR, 0)
    return machine, machine.snapshot()


def fresh() -> Child:
    """The child of the exercises, as it was made."""
    machine, before = rig()
    machine.restore(before)
    return machine.children["web"]


@lru_cache(maxsize=16384)
def run(world: Made) -> tuple[Line, ...]:
    """Run a program, and return its strip."""
    child, made = fresh(), world.program
    child.worker.whole_strings = world.whole
    child.run(made)
    return tuple(made.lines)


# three runs, three costs ----------------------------------------------------------------------------------------------

CLASSES: Final = ("hypervisor", "write", "read")


def body(counts: tuple[int, int, int]) -> tuple[Instruction, ...]:
    """A program with so many exits of each class: CPUID, OUT and IN at a device's port."""
    first = [part for _k in range(counts[0]) for part in cpuid(OWN_LEAF)]
    write = [part for _k in range(counts[1]) for part in port(COM1 + 7, "out dx, al")]
    read = [part for _k in range(counts[2]) for part in port(COM1 + 7, "in al, dx")]
    return (*first, *write, *read)


@dataclass(frozen=True)
class Prices:
    """A table of costs in nanoseconds, as a machine has it, and three programs."""

    exit: int
    hypercall: int
    rep: int
    message: int
    runs: tuple[tuple[int, int, int], ...]

    @property
    def costs(self) -> dict[str, int]:
        """The changes to the table."""
        names = ("exit", "hypercall", "rep", "message")
        return {name: getattr(self, name) for name in names}


@lru_cache(maxsize=4096)
def nanoseconds(prices: Prices, counts: tuple[int, int, int]) -> int:
    """Let a program run on a warm machine; return how long its exits took, without its own instructions."""
    child = fresh()
    machine = child.machine
    clock.set_costs(machine.state, {**prices.costs, "table_read": 0, "l2_hit": 0, "memory_write": 0})
    made = Program(body(counts))
    begun = int(machine.state["now"][0])
    child.run(made)
    own = len(made.lines) * int(machine.state["cost"]["instruction"][0])
    return int(machine.state["now"][0]) - begun - own


def told(prices: Prices) -> str:
    """The three runs as lines."""
    form = _("  run {number}: {cpuid} × CPUID, {out} × OUT, {into} × IN; {total} ns")
    rows = ((k, one, nanoseconds(prices, one)) for k, one in enumerate(prices.runs, 1))
    return "\n".join(form.format(number=k, cpuid=a, out=b, into=c, total=t) for k, (a, b, c), t in rows)
