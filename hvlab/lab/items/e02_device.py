"""Lesson 02, E3: the register file of a serial port, which a driver's transcript tries."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from hvlab.lab.answer import Bytes, Plain
from hvlab.lab.exercise import Construct, Meter, Wrong
from hvlab.lab.seed import Draw
from hvlab.language import N_, _
from hvlab.root.vdev.uart import COM1, Uart
from hvlab.story.storyboard import Storyboard
from hvlab.story.system import SystemLens

CELLS: Final = 16  # of the list in which a learner's device keeps what must last
DATA, INTERRUPTS, LINE, MODEM, STATUS, SCRATCH = 0, 1, 3, 4, 5, 7
DLAB, LOOP = 0x80, 0x10


@dataclass(frozen=True)
class Transcript:
    """What a driver does: (register, value) for a write, (register, None) for a read."""

    steps: tuple[tuple[int, int | None], ...]


def _divisor(draw: Draw) -> list[tuple[int, int | None]]:
    word = draw.bits(7)
    return [
        (LINE, DLAB | word), (DATA, draw.bits(8)), (INTERRUPTS, draw.bits(8)), (DATA, None), (INTERRUPTS, None),
        (LINE, word), (INTERRUPTS, None), (LINE, None),
    ]  # fmt: skip


def _echo(draw: Draw) -> list[tuple[int, int | None]]:
    """Loop-back: what is sent comes back, and the line status says when."""
    byte = draw.bits(8)
    return [
        (LINE, 3), (MODEM, LOOP), (STATUS, None), (DATA, byte), (STATUS, None), (DATA, None), (STATUS, None),
        (DATA, None), (MODEM, 0),
    ]  # fmt: skip


def _send(draw: Draw) -> list[tuple[int, int | None]]:
    return [(LINE, 3), (MODEM, 0), (STATUS, None), (DATA, draw.between(1, 255)), (STATUS, None), (DATA, None)]


def _scratch(draw: Draw) -> list[tuple[int, int | None]]:
    return [(SCRATCH, draw.bits(8)), (SCRATCH, None), (INTERRUPTS, draw.bits(4)), (INTERRUPTS, None)]


def hidden(draw: Draw, k: int) -> Transcript:
    """Draw hidden case k: first each part alone, then all of them in a drawn order."""
    parts = [_scratch, _divisor, _send, _echo]
    chosen = [parts[k % 4]] if k < 8 else draw.shuffled([*parts, draw.pick(parts)])
    return Transcript(tuple(step for part in chosen for step in part(draw)))


def reads(world: Transcript, read: Callable[[int], int], write: Callable[[int, int], Any]) -> bytes:
    """Play a transcript; return what its reads gave."""
    found = bytearray()
    for register, value in world.steps:
        if value is None:
            found.append(read(register))
        else:
            write(register, value)
    return bytes(found)


def truth(world: Transcript) -> Plain:
    """Return what the lab's own device answers."""
    device = Uart()
    return reads(world, lambda at: device.read(COM1 + at, 1), lambda at, value: device.write(COM1 + at, 1, value))


def call(function: Callable[..., Any], world: Transcript, meter: Meter) -> Any:
    """Play the transcript on the learner's function, one call for each access; all that lasts is one list."""
    held = [0] * CELLS

    def read(at: int) -> int:
        value = int(function(held, at, None))
        if not 0 <= value < 256:
            raise ValueError(f"a read of register {at} gave {value:#x}: a register holds 8 bits")
        return value

    return reads(world, read, lambda at, value: function(held, at, value))


class Other(Uart):
    """A device as a wrong idea has it."""

    def __init__(self, idea: str) -> None:
        super().__init__()
        self.idea, self.last = idea, 0

    def read(self, port: int, size: int) -> int:
        register = port - self.base
        if self.idea == "no-latch" and register in (DATA, INTERRUPTS) and self.lcr & DLAB:
            return self.waiting.pop(0) if register == DATA and self.waiting else self.ier if register else 0
        if self.idea == "one-data-register" and register == DATA and not self.lcr & DLAB:
            return self.last
        if self.idea == "always-ready" and register == STATUS:
            return 0x60
        return super().read(port, size)

    def write(self, port: int, size: int, value: int) -> None:
        register = port - self.base
        if self.idea == "no-latch" and register == INTERRUPTS and self.lcr & DLAB:
            self.ier = value & 15
        elif self.idea == "no-latch" and register == DATA and self.lcr & DLAB:
            return
        else:
            if register == DATA and not self.lcr & DLAB:
                self.last = value & 255
            super().write(port, size, value)


def held(idea: str) -> Callable[[Transcript], Plain]:
    """Return what a device that holds the idea answers."""

    def answer(world: Transcript) -> Plain:
        device = Other(idea)
        return reads(world, lambda at: device.read(COM1 + at, 1), lambda at, value: device.write(COM1 + at, 1, value))

    return answer


def ask() -> str:
    """Say the task."""
    return _(
        "Write uart(held, register, value), the register file of a 16550 without its queue: one call for each access. "
        "A number as value is written; with value None the register is read, and its value returned. held is the "
        "device's own memory, a list of 16 numbers, all 0 when a driver begins. Registers 0 to 7: 0 data, 1 interrupt "
        "enable (4 bits), 3 line control, 4 modem control, 5 line status, 7 scratch; 2 and 6 are not used, and all "
        "begin with 0. While line control has bit 7, registers 0 and 1 are the two bytes of the divisor. Line status "
        "is 0x60, and 0x61 while a byte waits to be read. A byte written to register 0 leaves at once; with bit 4 of "
        "modem control it comes back and waits. Reading register 0 takes what waits, else gives 0."
        "\nA hidden driver plays 200 transcripts on it: check('02.E3', uart)."
    )


def tell_case(world: Transcript) -> str:
    """Say what a case is about."""
    shown = (f"r{at}" if value is None else f"w{at}={value:#x}" for at, value in world.steps[:12])
    more = _(", … {count} more").format(count=len(world.steps) - 12) if len(world.steps) > 12 else ""
    return _("Steps: {steps}{more}.").format(steps=", ".join(shown), more=more)


def played(world: Transcript) -> Storyboard:
    """Tell the transcript's accesses as a child makes them: each leaves the guest."""
    from hvlab.lab.items.e02_rig import fresh

    child = fresh()
    child.machine.hv.recording = True
    with child.machine.action():
        for register, value in world.steps[:6]:
            fault = child.vp.in_port(COM1 + register) if value is None else child.vp.out_port(COM1 + register, value)
            if not isinstance(fault, int) and fault is not None:
                child.worker.handle()
    return SystemLens().story(child.machine.trace, _("A driver's accesses leave the guest"))


def steps() -> list[str]:
    """Return where such a device stands that can be read."""
    return [
        _("The worker's own device is there to be read: hvlab/root/vdev/uart.py. read() and write() look at the latch"),
        _("bit first, then at the register. What was transmitted and what waits are two things, not one register."),
    ]


def tested(worlds: list[Transcript]) -> str:
    """Say what was tested."""
    count, accesses = len(worlds), sum(len(world.steps) for world in worlds)
    return _("{count} transcripts, {accesses} accesses; not tested: the queue, interrupts, modem status").format(
        count=count, accesses=accesses
    )


E3: Final = Construct(
    id="02.E3",
    version=2,
    shape=Bytes(),
    make=hidden,
    ask=ask,
    truth=truth,
    call=call,
    tell=tell_case,
    story=played,
    tested=tested,
    steps=steps,
    cases=200,
    hints=(
        N_("Phase *emulate*: which registers share a number, and which bit says which of them is meant?"),
        N_("Sub-goal: let scratch and the divisor work. Then one byte that waits, and the status that shows it."),
    ),
    wrong=(
        Wrong("no-latch", N_("bit 7 of line control puts the divisor in place of registers 0 and 1."), "worker",
              held("no-latch")),
        Wrong("one-data-register", N_("register 0 is two: what is written leaves, what is read has arrived."), "worker",
              held("one-data-register")),
        Wrong("always-ready", N_("bit 0 of line status says whether a byte waits."), "worker", held("always-ready")),
    ),
)  # fmt: skip
