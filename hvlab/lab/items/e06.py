"""Lesson 06, exercises: an interrupt finds the virtual processor it belongs to."""

from collections.abc import Callable
from typing import Final

from hvlab.hardware import apic
from hvlab.lab.answer import Collection, Number, Plain, record
from hvlab.lab.exercise import Exercise, Wrong, in_own_words
from hvlab.lab.interrupting import Bench, Run
from hvlab.lab.items.e06_build import E3, E3_EOI
from hvlab.lab.items.e06_script import EOI, RAISE, TAKE, Event, Script, ends, forty, otherwise, run, stream, vectors
from hvlab.lab.seed import Draw
from hvlab.lab.tell import lines_of, shortened
from hvlab.language import N_, _
from hvlab.story.interrupts import interrupt_story

WIDE: Final = (1 << 256) - 1
REGISTERS: Final = record(irr=Number("hex", high=WIDE), isr=Number("hex", high=WIDE), ppr=Number("hex", high=255))
MOST_LINES: Final = 60


# E1: registers after forty events ------------------------------------------------------------------------------------


def registers(held: Bench | Run) -> Plain:
    """Return IRR, ISR and PPR."""
    if isinstance(held, Run):
        return held.irr, held.isr, held.ppr
    return held.bits("irr"), held.bits("isr"), int(apic.ppr(held.apic))


def ask_forty(script: Script) -> str:
    """Say the task of E1."""
    return _(
        "One virtual processor, its local APIC empty, TPR 0, all interrupts fixed; the processor takes one only "
        "where the list says so. Give IRR and ISR as numbers of 256 bits (vector 0 is bit 0; sum(1 << v for v in …) "
        "makes one) and PPR, after these {count} events:\n{events}"
    ).format(count=len(script.events), events=script.told())


def took(bench: Bench, vector: int) -> None:
    """Move a vector from IRR to ISR, whatever its priority."""
    bench.put("irr", bench.bits("irr") & ~(1 << vector))
    bench.put("isr", bench.bits("isr") | 1 << vector)


def by_vectors(bench: Bench, event: Event) -> bool:
    """Take the highest vector if it is above TPR and above the one in service, as numbers."""
    if event.kind != TAKE:
        return False
    waiting, served = vectors(bench.bits("irr")), vectors(bench.bits("isr"))
    if waiting and waiting[-1] > max(int(bench.apic["tpr"]), *served[-1:], 0):
        took(bench, waiting[-1])
    return True


def lowest_first(bench: Bench, event: Event) -> bool:
    """Take the lowest vector if it is below the one in service."""
    if event.kind != TAKE:
        return False
    waiting, served = vectors(bench.bits("irr")), vectors(bench.bits("isr"))
    if waiting and (not served or waiting[0] < served[0]):
        took(bench, waiting[0])
    return True


def by_name(bench: Bench, event: Event) -> bool:
    """End the vector whose handler writes EOI."""
    if event.kind == EOI:
        bench.put("isr", bench.bits("isr") & ~(1 << event.value))
    return event.kind == EOI


def counting() -> Callable[[Bench, Event], bool]:
    """Return an APIC that counts what is raised: what came twice waits twice."""
    times: dict[int, int] = {}

    def does(bench: Bench, event: Event) -> bool:
        if event.kind == RAISE:
            times[event.value] = times.get(event.value, 0) + 1
        if event.kind != TAKE:
            return False
        (vector,) = bench.do(event.row())
        if vector >= 0:
            times[vector] -= 1
            if times[vector]:
                bench.put("irr", bench.bits("irr") | 1 << vector)
        return True

    return does


E1: Final = Exercise(
    id="06.E1",
    version=1,
    kind="trace",
    shape=REGISTERS,
    make=forty,
    ask=ask_forty,
    truth=lambda script: registers(run(script)),
    tested=N_("40 events of one local APIC; not tested: NMIs, levels, several processors"),
    hints=(
        N_("Phase *deliver*: at each *takes*, which class is the highest that waits, and which stands against it?"),
        N_("Sub-goal: after each event write down PPR: the higher of TPR and the class of the highest in service."),
    ),
    wrong=(
        Wrong(
            "compare-vectors",
            N_("classes are compared: what is of the class in service, or of TPR's, waits, however high its number."),
            "apic-priority",
            lambda script: registers(otherwise(script, by_vectors)),
            None,
            N_("0x62 is in service: does 0x6f interrupt it?"),
        ),
        Wrong(
            "lower-is-higher",
            N_("of what waits, the highest class comes first."),
            "apic-priority",
            lambda script: registers(otherwise(script, lowest_first)),
            None,
            N_("0x31 and 0x71 wait, and nothing is in service: which one comes?"),
        ),
        Wrong(
            "eoi-names-its-vector",
            N_("a write to EOI carries no vector: it ends the highest in service, whoever writes it."),
            "apic-eoi",
            lambda script: registers(otherwise(script, by_name)),
            None,
            N_("0x41 and 0x81 are in service, and the handler of 0x41 writes EOI: which bit of ISR falls?"),
        ),
        Wrong(
            "irr-counts",
            N_("a vector has one bit in IRR: what is raised again while it waits becomes one with it."),
            "apic-accept",
            lambda script: registers(otherwise(script, counting())),
            None,
            N_("0x51 is raised twice, then taken once: does it still wait?"),
        ),
    ),
    story=lambda script: interrupt_story(run(script)),
    steps=lambda script: shortened(lines_of(interrupt_story(run(script))), MOST_LINES),
)


# E2: which EOIs leave the guest --------------------------------------------------------------------------------------


def ask_stream(script: Script) -> str:
    """Say the task of E2."""
    return _(
        "The hypervisor offers the assist page, the guest's kernel uses it. TPR is 0; the processor takes what it may "
        "at once, after each event. Which of the EOIs leave the guest? Give their numbers in the list.\n{events}"
    ).format(events=script.told())


def leave(script: Script) -> Plain:
    """Return the numbers of the EOIs that left the guest."""
    return tuple(number for number, left, _level in ends(script) if left)


E2: Final = Exercise(
    id="06.E2",
    version=1,
    kind="compute",
    shape=Collection(Number()),
    make=stream,
    ask=ask_stream,
    truth=leave,
    tested=N_("9 interrupts, edges and levels, some nested, with the assist page; not tested: virtual delivery"),
    hints=(
        N_("Phase *deliver*: when does the hypervisor write *no EOI required*? Look at what waits, at the trigger."),
        N_("Sub-goal: note the one bit of the page after each event; it speaks of the interrupt that was taken last."),
    ),
    wrong=(
        Wrong(
            "assist-saves-all",
            N_("the page has one bit: of nested interrupts, and where another one waits, an EOI is required."),
            "eoi-assist",
            lambda script: tuple(number for number, _left, level in ends(script) if level),
            None,
            N_("Edge 0x81 interrupts the handler of edge 0x41: which of the two EOIs can the bit stand for?"),
        ),
        Wrong(
            "every-eoi-exits",
            N_("where the page says that no EOI is required, the guest clears a bit in its own memory and stays."),
            "eoi-assist",
            lambda script: tuple(number for number, _left, _level in ends(script)),
            None,
            N_("Who intercepts a locked instruction on a page of the guest's own memory?"),
        ),
        Wrong(
            "level-is-an-edge",
            N_("the I/O APIC waits for the end of a level: that EOI must be seen, so it is never offered to be saved."),
            "eoi-exit",
            lambda script: tuple(number for number, left, level in ends(script) if left and not level),
            None,
            N_("How would the I/O APIC learn that it may send the level again?"),
        ),
    ),
    story=lambda script: interrupt_story(run(script)),
    steps=lambda script: shortened(lines_of(interrupt_story(run(script))), MOST_LINES),
)


# exit and warm-up ----------------------------------------------------------------------------------------------------


def count_of(id: str, kind: str, interrupts: int) -> Exercise:
    """Return the question for the number of EOIs that leave the guest."""

    def counted(answer: Callable[[Script], Plain]) -> Callable[[Script], Plain]:
        return lambda script: len(answer(script))

    return Exercise(
        id=id,
        version=1,
        kind=kind,
        shape=Number(high=99),
        make=lambda draw: stream(draw, interrupts),
        ask=lambda script: _(
            "With the assist page, and a processor that takes what it may at once: how many of these EOIs leave the "
            "guest?\n{events}"
        ).format(events=script.told()),
        truth=lambda script: len(leave(script)),
        tested=N_("one stream with the assist page"),
        hints=(
            N_("The page has one bit, for the interrupt that was taken last."),
            N_("An EOI is required of a level, and where something waits or was interrupted."),
        ),
        wrong=tuple(Wrong(model.name, model.says, model.rule, counted(model.answer)) for model in E2.wrong[:2]),
        story=lambda script: interrupt_story(run(script)),
        steps=lambda script: lines_of(interrupt_story(run(script))),
    )


def ladder(draw: Draw) -> Script:
    """Draw an APIC with a vector in service, a task priority, and two that wait, one of the class in service."""
    low = draw.between(3, 12)
    served = low << 4 | draw.between(0, 8)
    same = low << 4 | draw.between(9, 15)
    other = draw.between(low + 1, 15) << 4 | draw.below(16)
    task = draw.below(low) << 4
    waits = [same, other] if draw.chance(1, 2) else [same, draw.between(2, low - 1) << 4 | draw.below(16)]
    events = [Event(RAISE, served), Event(TAKE), Event(3, task), *(Event(RAISE, vector) for vector in sorted(waits))]
    return Script((*events, Event(TAKE)))


def taken_last(script: Script) -> Plain:
    """Return what the processor took in the end; -1 for nothing."""
    return run(script).answers[-1]


def numerically(script: Script) -> Plain:
    """Return what would be taken if numbers were compared."""
    before = Script(script.events[:-1])
    served, waiting = run(before).registers.in_service, run(before).registers.waiting
    return waiting[-1] if waiting[-1] > served[-1] else -1


SHORTS: Final = (
    count_of("06.short.exits", "recall", 3),
    Exercise(
        id="06.short.next",
        version=1,
        kind="recall",
        shape=Number("hex", low=-1, high=255),
        make=ladder,
        ask=lambda script: _(
            "A local APIC, at first empty. Which vector does the processor take in the last event? (-1: none)\n{events}"
        ).format(events=script.told()),
        truth=taken_last,
        tested=N_("one situation"),
        hints=(
            N_("Compare classes: the upper hex digits."),
            N_("PPR is the higher of TPR and the class in service."),
        ),
        wrong=(
            Wrong(
                "compare-vectors",
                N_("classes are compared, not vectors: what is of the class in service waits."),
                "apic-priority",
                numerically,
            ),
            Wrong(
                "lower-is-higher",
                N_("of what waits, the highest class comes first, if it is above the priority."),
                "apic-priority",
                lambda script: run(Script(script.events[:-1])).registers.waiting[0],
            ),
        ),
        story=lambda script: interrupt_story(run(script)),
    ),
)

X1: Final = count_of("06.X1", "exit", 5)
X2: Final = in_own_words(
    "06.X2", N_("The overview says: an APIC assigns priority levels to its interrupt outputs. Correct the sentence.")
)

EXERCISES: Final = (E1, E2, E3, E3_EOI, X1, X2)
