"""Lesson 06: streams of events for one local APIC, drawn from a seed, and what the engine makes of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hvlab.hypervisor import clockwork
from hvlab.hypervisor import virtual_apic as va
from hvlab.lab.interrupting import Bench, Row, Run
from hvlab.lab.seed import Draw
from hvlab.language import _
from hvlab.wire.apic import Offset

RAISE, TAKE, EOI, TPR = range(4)
LOWEST: Final = 0x20


@dataclass(frozen=True)
class Event:
    """One event: a vector raised, the processor takes what it may, an EOI (meant for a vector), TPR written."""

    kind: int
    value: int = 0
    level: int = 0

    def row(self) -> Row:
        """Return it as an operation of the engine."""
        return {
            RAISE: (int(clockwork.RAISE), self.value, self.level, 0),
            TAKE: (int(clockwork.ACCEPT),),
            EOI: (int(clockwork.EOI),),
            TPR: (int(va.APIC_WRITE), int(Offset.TPR), self.value),
        }[self.kind]

    def says(self) -> str:
        """Say it."""
        if self.kind == RAISE:
            told = _("level {vector} is raised") if self.level else _("edge {vector} is raised")
            return told.format(vector=f"{self.value:#04x}")
        if self.kind == EOI:
            return _("the handler of {vector} writes EOI").format(vector=f"{self.value:#04x}")
        if self.kind == TPR:
            return _("TPR is set to {value}").format(value=f"{self.value:#04x}")
        return _("the processor takes what it may")


@dataclass(frozen=True)
class Script:
    """Events in order. `assist`: with the assist page; `eager`: the processor takes what it may after each event."""

    events: tuple[Event, ...]
    assist: bool = False
    eager: bool = False

    def told(self) -> str:
        """Return the events as numbered lines."""
        return "\n".join(f"{number:3}  {event.says()}" for number, event in enumerate(self.events, 1))


@lru_cache(maxsize=64)
def run(script: Script) -> Run:
    """Let the engine do it."""
    bench = Bench(script.assist)
    return bench.run(row for event in script.events for row in rows(script, event))


def rows(script: Script, event: Event) -> list[Row]:
    """Return an event as operations: after it an eager processor takes all that it may."""
    return [event.row(), *([Event(TAKE).row()] * 2 if script.eager else [])]


Done = Callable[[Bench, Event], bool]


def otherwise(script: Script, does: Done) -> Bench:
    """Return the APIC after a run in which an idea does some of the events its own way; `does` says which."""
    bench = Bench(script.assist, record=False)
    for event in script.events:
        if not does(bench, event):
            bench.do(event.row())
    return bench


def vectors(bits: int) -> list[int]:
    """Return the set bits of a register, the lowest first."""
    found = list[int]()
    while bits:
        found.append((bits & -bits).bit_length() - 1)
        bits &= bits - 1
    return found


def forty(draw: Draw, length: int = 40) -> Script:
    """Draw a stream in which the processor takes what it may now and then, and handlers also end in another order."""
    bench, events = Bench(record=False), list[Event]()
    while len(events) < length:
        served, waiting = vectors(bench.bits("isr")), vectors(bench.bits("irr"))
        kind = draw.pick((RAISE, RAISE, RAISE, RAISE, TAKE, TAKE, EOI, TPR))
        if kind == EOI and not served:
            continue
        value = 0
        if kind == RAISE:
            value = _raised(draw, served, waiting)
        elif kind == EOI:
            value = draw.pick(served)
        elif kind == TPR:
            value = draw.pick((0, 0, 0x20, 0x40, 0x60, 0x90))
        events.append(Event(kind, value))
        bench.do(events[-1].row())
    return Script(tuple(events))


def _raised(draw: Draw, served: list[int], waiting: list[int]) -> int:
    """Draw a vector: one that waits already, one of the class in service, or any."""
    which = draw.below(4)
    if which == 0 and waiting:
        return draw.pick(waiting)
    if which == 1 and served:
        return served[-1] & 0xF0 | draw.below(16)
    return draw.between(LOWEST, 255)


def stream(draw: Draw, interrupts: int = 9) -> Script:
    """Draw a stream of edges, levels and EOIs at whose end nothing waits and nothing is in service."""
    bench, events, left = Bench(assist=True, record=False), list[Event](), interrupts
    while True:
        served, waiting = vectors(bench.bits("isr")), vectors(bench.bits("irr"))
        truly = served[:-1] if int(bench.apic["lazy"]) and not _offered(bench) else served
        if not left and not truly and not waiting:
            return Script(tuple(events), assist=True, eager=True)
        if left and (not truly or draw.chance(1, 2)):
            left -= 1
            fresh = draw.between(LOWEST, 255)
            events.append(Event(RAISE, fresh, int(draw.chance(1, 4))))
        else:
            events.append(Event(EOI, truly[-1]))
        bench.do(*rows(Script((), True, True), events[-1]))


def _offered(bench: Bench) -> bool:
    """Whether the assist page says that no EOI is required."""
    return bool(int(bench.mem[int(bench.apic["assist_at"])]) & 1)


@lru_cache(maxsize=256)
def ends(script: Script) -> tuple[tuple[int, bool, bool], ...]:
    """Return of each EOI of a stream: the event's number from 1, whether it left the guest, whether a level ended."""
    bench, found = Bench(script.assist, record=False), []
    for number, event in enumerate(script.events, 1):
        before, level = int(bench.apic["count"]["eoi_exits"]), bench.bits("tmr") >> event.value & 1
        bench.do(*rows(script, event))
        if event.kind == EOI:
            found.append((number, int(bench.apic["count"]["eoi_exits"]) > before, bool(level)))
    return tuple(found)
