"""Interrupts in one line: a local APIC that does what a text says, and guests that share the processors.

`one_apic` needs no guest: a virtual processor with its local APIC, and nothing else, as the manual has it. `two_guests`
and `busy` are whole machines, with partitions, logical processors and the scheduler between.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hvlab.capture.callog import CallLog
from hvlab.capture.kvmlog import KvmLog
from hvlab.errors import BadRequest, plain
from hvlab.hardware import apic, apic_timer, ioapic
from hvlab.hypervisor import clockwork, scheduler
from hvlab.hypervisor import virtual_apic as va
from hvlab.hypervisor.partition import STATE
from hvlab.hypervisor.vp import Interrupts
from hvlab.hypervisor.workload import MODEL
from hvlab.language import N_, _
from hvlab.machine import Machine
from hvlab.trace.event import COLUMNS
from hvlab.trace.journal import Trace
from hvlab.wire.apic import Icr, Offset, Redirection

BUS: Final = 1
MOST_ROWS: Final = 1 << 13
MOST_STEPS: Final = 400
PIN: Final = 4  # the pin of the script's `pin` steps
ASSIST_WORD: Final = 1  # where in the few words of memory the assist page begins
TEXT: Final = re.compile(r"\s*([a-z]+)(?:\s+(0x[0-9a-fA-F]{1,2}|\d{1,3}))?(?:\s+(level|auto))?\s*")
STEPS: Final = N_(
    "raise 0x51 [level | auto], take, eoi, tpr 0x20, self 0x51 (an IPI to itself), pin 0x51 [level], drop (the pin's "
    "line), mask, unmask, nmi, iret"
)
ALONE: Final = ("take", "eoi", "drop", "mask", "unmask", "nmi", "iret")

Row = tuple[int, ...]


@dataclass(frozen=True)
class Run:
    """What one local APIC did.

    Attributes
    ----------
    trace : Trace
    registers : Interrupts
        What it holds at the end.
    irr, isr, tmr : int
        The same registers as numbers of 256 bits.
    answers : tuple of int
        What each step answered: the vector that was taken or ended, -1 for none.
    """

    trace: Trace
    registers: Interrupts
    irr: int
    isr: int
    tmr: int
    answers: tuple[int, ...]

    @property
    def ppr(self) -> int:
        """The processor priority."""
        return self.registers.ppr

    def __repr__(self) -> str:
        one = self.registers
        deliverable = _("none") if one.deliverable is None else f"{one.deliverable:#x}"
        lines = [f"IRR  {hex256(self.irr)}", f"ISR  {hex256(self.isr)}", f"TMR  {hex256(self.tmr)}"]
        last = _("TPR  {tpr}   PPR  {ppr}   deliverable: {vector}")
        return "\n".join([*lines, last.format(tpr=f"{one.tpr:#04x}", ppr=f"{one.ppr:#04x}", vector=deliverable)])


def hex256(value: int) -> str:
    """Write 256 bits as hex in groups of 64 bits; runs of zeros stay."""
    text = f"{value:064x}"
    return "0x" + "_".join(text[k : k + 16] for k in range(0, 64, 16))


class Bench:
    """A virtual processor's local APIC and an I/O APIC without any software.

    Parameters
    ----------
    assist : bool
        The hypervisor may say "no EOI required" in an assist page.
    virtual : bool
        The processor delivers and ends interrupts by itself (virtual interrupt delivery).
    record : bool
        Keep a trace.
    """

    def __init__(self, assist: bool = False, virtual: bool = False, record: bool = True) -> None:
        self.state, self.mem = np.zeros(1, STATE), np.zeros(8, np.int64)
        self.rows = np.zeros((MOST_ROWS if record else 0, COLUMNS), np.int64)
        apic.switch_on(self.state, 0, 0, BUS)
        ioapic.switch_on(self.state, BUS)
        self.state["scheduler"]["asked"] = -1
        self.apic["virtual"] = int(virtual)
        self.apic["assist_at"] = ASSIST_WORD if assist else 0

    @property
    def apic(self) -> Any:
        """The record of the local APIC."""
        return self.state["apic"][0, 0]

    def do(self, *rows: Row) -> list[int]:
        """Do operations (operation, a, b, c) one after the other; return their answers."""
        work, answer = np.zeros((len(rows), clockwork.COLUMNS), np.int64), np.zeros(len(rows), np.int64)
        for place, (operation, *words) in enumerate(rows):
            work[place, 1] = operation
            work[place, 3 : 3 + len(words)] = [word - (1 << 64) if word >> 63 else word for word in words]
        clockwork.advance(self.state, self.mem, self.rows, work, answer, 0)
        return [int(one) for one in answer]

    def bits(self, name: str) -> int:
        """Return one of the registers of 256 bits."""
        return int.from_bytes(self.apic[name].tobytes(), "little")

    def put(self, name: str, value: int) -> None:
        """Set one of the registers of 256 bits."""
        for k in range(4):
            word = value >> 64 * k & (1 << 64) - 1
            self.apic[name][k] = word - (1 << 64) if word >> 63 else word

    def run(self, rows: Iterable[Row]) -> Run:
        """Do operations, and return what they came to."""
        answers = tuple(self.do(*rows))
        irr, isr = self.bits("irr"), self.bits("isr")
        waiting, served = (tuple(v for v in range(256) if bits >> v & 1) for bits in (irr, isr))
        best = int(apic.deliverable(self.state[0], 0))
        held = Interrupts(waiting, served, int(self.apic["tpr"]), int(apic.ppr(self.apic)), None if best < 0 else best)
        trace = Trace(self.rows[: int(self.state["rows"][0])])
        return Run(trace, held, irr, isr, self.bits("tmr"), answers)


def one_apic(steps: str, assist: bool = False, virtual: bool = False) -> Run:
    """Let one local APIC do what a text says, step by step.

    Parameters
    ----------
    steps
        Such as ``"raise 0x62, take, tpr 0x20, raise 0x6f, take, eoi"``. Known: raise (with `level` or `auto`: SINT with
        auto-EOI), take, eoi, tpr, self, pin, drop, mask, unmask, nmi, iret.
    assist
        The hypervisor may say "no EOI required" in the VP assist page.
    virtual
        The processor does it by itself: virtual interrupt delivery.

    Raises
    ------
    BadRequest
        For a step that is none of these, with its number.
    """
    return Bench(assist, virtual).run(rows_of(steps))


def rows_of(steps: str) -> list[Row]:
    """Return the operations that a text asks for."""
    found: list[Row] = []
    entry: dict[str, int] = {"vector": 0x51, "level": 0, "masked": 0}
    parts = [part for part in plain(steps, 8192).split(",") if part.strip()]
    if not parts or len(parts) > MOST_STEPS:
        raise BadRequest(f"{len(parts)} steps", "", f"1 to {MOST_STEPS}: {_(STEPS)}")
    for number, part in enumerate(parts, 1):
        found += _step(number, part, entry)
    return found


def _step(number: int, part: str, entry: dict[str, int]) -> list[Row]:
    """One step as operations; `entry` is the pin's redirection entry, as the steps left it."""
    read = TEXT.fullmatch(part)
    name, value, kind = read.groups() if read else ("", None, None)
    vector = int(value, 0) if value else 0
    if not read or (name in ALONE) != (value is None) or vector > 255:
        raise BadRequest(f"step {number}, {plain(part.strip(), 30)!r}", "", _(STEPS))
    write = int(va.APIC_WRITE)
    level = int(kind == "level")
    if name == "pin":
        entry |= {"vector": vector, "level": level}
        return [_programmed(entry), (int(va.PIN_LINE), PIN, 1), *([] if level else [(int(va.PIN_LINE), PIN, 0)])]
    if name in ("mask", "unmask"):
        entry["masked"] = int(name == "mask")
        return [_programmed(entry)]
    simple: dict[str, Row] = {
        "raise": (int(clockwork.RAISE), vector, level, int(kind == "auto")),
        "take": (int(clockwork.ACCEPT),),
        "eoi": (int(clockwork.EOI),),
        "tpr": (write, int(Offset.TPR), vector),
        "self": (write, int(Offset.ICR), Icr.encode(vector=vector, shorthand=1)),
        "drop": (int(va.PIN_LINE), PIN, 0),
        "nmi": (int(va.RAISE_NMI),),
        "iret": (int(va.END_NMI),),
    }
    if name not in simple:
        raise BadRequest(f"step {number}, {plain(part.strip(), 30)!r}", "", _(STEPS))
    return [simple[name]]


def _programmed(entry: dict[str, int]) -> Row:
    return int(va.PIN_WRITE), PIN, Redirection.encode(**entry)


# whole machines ------------------------------------------------------------------------------------------------------

KINDS: Final = {"classic": scheduler.CLASSIC, "core": scheduler.CORE}
US, MS = 1_000, 1_000_000
ENDLESS: Final = -1
PACKET: Final = 0x51
SEND_IPI: Final = 0x0B  # HvCallSendSyntheticClusterIpi


def prepared(guests: Sequence[str] = ("A", "B"), lps: int = 1, vps: int = 1, kind: str = "classic") -> Machine:
    """Return a machine with a child for each name, a root that only handles interrupts, and nothing started yet."""
    if kind not in KINDS or not 0 < lps <= 2 or not guests:
        raise BadRequest(f"scheduler {kind!r}, {lps} processors", "", f"{' or '.join(KINDS)}; 1 or 2 processors")
    machine = Machine(lps=lps)
    state = machine.state["scheduler"]
    state["kind"], state["smt"], state["slice"], state["grain"] = int(KINDS[kind]), lps > 1, 200 * US, 20 * US
    for name in guests:
        machine.child(name, memory=16 * 4096, vps=vps)
    return machine


def started(vp: int, burst: int = ENDLESS, pause: int = 0, handler: int = 20 * US) -> Row:
    """Return the row that gives a virtual processor its work at the beginning."""
    return 0, int(clockwork.START), vp, burst, pause, handler, int(MODEL)


def told(machine: Machine, rows: Sequence[Row], until: int) -> Trace:
    """Let time pass in one trace: what is asked for at its time, from now on."""
    now = int(machine.state["now"][0])
    with machine.action():
        machine.hv.turn([(row[0] + now, *row[1:]) for row in rows], until=now + until)
    return machine.trace


def two_guests(runs: str = "B", assist: bool = False, vector: int = PACKET) -> Trace:
    """A packet for guest A arrives at the one logical processor while guest `runs` is there.

    Parameters
    ----------
    runs
        ``"B"``: A has nothing to do and halts, B computes; ``"A"``: A computes itself.
    assist
        A's kernel uses the VP assist page.
    vector
        What the device was told to send.
    """
    if runs not in ("A", "B"):
        raise BadRequest(f"{plain(runs, 20)!r} runs", "", "A or B")
    machine = prepared(("A", "B"))
    a, b = (machine.children[name].vp.number for name in ("A", "B"))
    if assist:
        machine.children["A"].vp.wrmsr(0x4000_0073, 8 * 4096 | 1)
    idle, works = (b, a) if runs == "A" else (a, b)
    rows = [started(works), started(idle, burst=0)]
    rows.append((50 * US, int(clockwork.DEVICE), a, 0, vector))
    return told(machine, rows, 300 * US)


def busy(
    weight: int = 100, cap: int = 100, kind: str = "classic", lps: int = 1, vps: int = 1, milliseconds: int = 4
) -> Trace:
    """Two guests that always have something to compute share the logical processors.

    Parameters
    ----------
    weight
        The weight of guest A; B has 100.
    cap
        How much of a logical processor each virtual processor of A may have, in percent.
    kind
        ``"classic"`` or ``"core"``: the scheduler. With two logical processors, these are threads of one core.
    vps
        Virtual processors of each guest.
    """
    if not 1 <= weight <= 10_000 or not 1 <= cap <= 100 or not 0 < milliseconds <= 20 or not 0 < vps <= 3:
        raise BadRequest(
            f"weight {weight}, cap {cap} %, {milliseconds} ms, {vps} VPs", "", "1 to 10000, 1 to 100, 1 to 20"
        )
    machine = prepared(("A", "B"), lps, vps, kind)
    machine.state["scheduler"]["period"] = MS
    for vp in machine.children["A"].vps:
        run = machine.state["run"]
        run["weight"][0, vp.number], run["cap"][0, vp.number] = weight, (1 << 16) * cap // 100
    vps_of_both = [vp.number for name in ("A", "B") for vp in machine.children[name].vps]
    rows = [*map(started, vps_of_both), *((milliseconds * MS, int(clockwork.STOP), vp) for vp in vps_of_both)]
    return told(machine, rows, milliseconds * MS)


def ipi(vector: int = 0xFB, runs: bool = True) -> Trace:
    """One virtual processor of a guest sends an interprocessor interrupt to the other.

    Parameters
    ----------
    runs
        False: the other one halts when it is sent.
    """
    machine = prepared(("A",), lps=2, vps=2)
    first, second = (vp.number for vp in machine.children["A"].vps)
    command = Icr.encode(vector=vector, destination=1)
    command -= 1 << 64 if command >> 63 else 0
    rows = [started(first), started(second, burst=ENDLESS if runs else 0)]
    rows.append((50 * US, int(va.APIC_WRITE), first, int(Offset.ICR), command))
    return told(machine, rows, 150 * US)


def timer(vector: int = 0xEF, due: int = 60) -> Trace:
    """A guest's own APIC timer expires, in `due` microseconds, while the guest halts."""
    machine = prepared(("A",))
    vp = machine.children["A"].vp.number
    write = int(va.APIC_WRITE)
    rows = [
        started(vp, burst=0),
        (1, write, vp, int(Offset.LVT_TIMER), vector),
        (1, write, vp, int(Offset.DIVIDE), 0b1011),
        (2, write, vp, int(Offset.INITIAL_COUNT), due * US // int(apic_timer.TICK)),
    ]
    return told(machine, rows, (due + 60) * US)


def to_the_root(vector: int = PACKET) -> Trace:
    """A device of the root interrupts while a child runs, and later the child's own APIC timer expires."""
    machine = prepared(("A",))
    child, write = machine.children["A"].vp.number, int(va.APIC_WRITE)
    rows = [
        started(machine.root_vp.number, burst=0),
        started(child),
        (1, write, child, int(Offset.LVT_TIMER), 0xEF),
        (1, write, child, int(Offset.DIVIDE), 0b1011),
        (2, write, child, int(Offset.INITIAL_COUNT), 100 * US // int(apic_timer.TICK)),
        (50 * US, int(clockwork.DEVICE), machine.root_vp.number, 0, vector),
    ]
    return told(machine, rows, 200 * US)


def seen_vectors(hypercalls: CallLog, notes: KvmLog) -> list[tuple[str, int, int]]:
    """Return the interrupts in what KVM recorded of a real guest: (how they came, vector, how often).

    Parameters
    ----------
    hypercalls, notes
        What `call_log` and `kvm_log` read.
    """
    sent = (call.rdx & 0xFF for call in hypercalls.calls if call.rcx & 0xFFFF == SEND_IPI)
    counts = Counter([("IPI by hypercall", vector) for vector in sent])
    for event in notes.events:
        if event.kind == "synic_set_irq":
            counts[f"SINT {event.words['sint']}", event.words["vector"]] += 1
    return [(how, vector, times) for (how, vector), times in sorted(counts.items())]
