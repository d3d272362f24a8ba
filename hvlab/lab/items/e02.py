"""Lesson 02, exercises: most instructions run on the bare processor."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from hvlab.child.program import PARENT, loop, move, special
from hvlab.lab.answer import Listed, Number, Plain, Word, record
from hvlab.lab.exercise import Exercise, Wrong, in_own_words
from hvlab.lab.items.e02_device import E3
from hvlab.lab.items.e02_rig import (
    EMPTY,
    OWN_LEAF,
    PARENTS_LEAF,
    PARENTS_MSR,
    Made,
    Prices,
    again,
    cpuid,
    nanoseconds,
    program,
    run,
    string,
    told,
)
from hvlab.lab.seed import Draw
from hvlab.language import N_, _
from hvlab.root.vdev.uart import COM1

REASONS: Final = ("CPUID", "MSR", "IO", "HLT", "MEMORY", "EXCEPTION")
EXIT: Final = record(rip=Number("hex", high=0xFFFF), reason=Word(REASONS))
FAULTS: Final = N_("an exception goes to the guest's own handler; it leaves the guest only where the parent asked.")
TO_ROOT: Final = N_("the hypervisor answers much by itself; such an exit is one all the same.")
STRINGS: Final = N_("whether a repeated IN is one exit or one for each byte is the emulator's choice: it is given.")
BARE: Final = N_("moves, additions, loads and stores run on the processor itself: nobody looks at them.")


# E1: the exits of a program -------------------------------------------------------------------------------------------


def exits(world: Made) -> Plain:
    """(RIP, reason) of each exit."""
    return tuple((line.rip, line.exit) for line in run(world) if line.exit)


def only_faults(world: Made) -> Plain:
    """The idea that an exit is a fault."""
    rip = world.program.places[-1][0]
    return ((rip, "EXCEPTION"),)


def only_told(world: Made) -> Plain:
    """The idea that every exit goes to the root."""
    return tuple((line.rip, line.exit) for line in run(world) if line.handled == PARENT)


def other_knob(world: Made) -> Plain:
    """The idea that a string is always done in the other way."""
    return exits(replace(world, whole=not world.whole))


def given() -> str:
    """What the learner is told of the machine."""
    return _(
        "The child's parent asked for the ports {first:#x} to {last:#x}, CPUID leaf {leaf:#x} and MSR {msr:#x}. "
        "Whatever else leaves the guest, the hypervisor answers itself. The program ends where it cannot go on."
    ).format(first=COM1, last=COM1 + 7, leaf=PARENTS_LEAF, msr=PARENTS_MSR)


def strings(world: Made) -> str:
    """What the knob says."""
    return (
        _("The worker does a repeated IN whole.") if world.whole else _("The worker does a repeated IN byte by byte.")
    )


def steps(world: Made) -> list[str]:
    """The exits one by one, with who handled them."""
    who = {"parent": _("the parent is told"), "hypervisor": _("the hypervisor answers")}
    return [f"{line.rip:#06x} {line.text}: {line.exit}, {who[line.handled]}" for line in run(world) if line.exit]


def listed(id: str, make: Callable[[Draw], Made], wrong: tuple[Wrong, ...], tested: str) -> Exercise:
    """Return the task to list the exits of a program."""
    return Exercise(
        id=id, version=1, kind="trace", shape=Listed(EXIT, None, "exit"), make=make,
        ask=lambda world: "\n".join([
            given(), strings(world), world.listing(),
            _("Which exits happen, in order? A list of pairs (RIP, reason), such as (0x1000, 'CPUID'); reasons: "
              "{reasons}.").format(reasons=", ".join(REASONS)),
        ]),
        truth=exits, tested=tested,
        hints=(
            N_("Phase *run*: which instructions touch nothing but registers and the guest's own memory?"),
            N_("Sub-goal: list the first three exits. What stands in RCX before a repeated instruction or a LOOP?"),
        ),
        wrong=wrong, steps=steps,
    )  # fmt: skip


FAULT: Final = Wrong(
    "exit-is-a-fault", FAULTS, "exit-instructions", only_faults, asks=N_("Did the parent ask for exceptions?")
)
ROOT: Final = Wrong("all-exits-go-to-root", TO_ROOT, "parent-told", only_told, asks=N_("Who answers port 0x80?"))
KNOB: Final = Wrong(
    "a-string-is-a-string", STRINGS, "worker", other_knob, asks=N_("How many bytes does the worker do for one message?")
)


def short(draw: Draw) -> Made:
    """Draw a few instructions with both kinds of exits."""
    parts = [cpuid(OWN_LEAF), cpuid(PARENTS_LEAF), [move("rbx", draw.bits(16))], string(draw.between(2, 4))]
    return Made((*(one for part in draw.shuffled(parts) for one in part), special("ud2")), draw.chance(1, 2))


def looped(draw: Draw) -> Made:
    """Draw a short program with a loop."""
    parts = [again(draw.between(2, 5), EMPTY), cpuid(PARENTS_LEAF), string(draw.between(2, 4)), string(0)]
    return Made((*(one for part in draw.shuffled(parts) for one in part), special("ud2")), draw.chance(1, 2))


BLANK: Final = listed("02.E1.blank", short, (FAULT, ROOT, KNOB), N_("a short program"))
BLANKS: Final = listed("02.E1.blanks", looped, (FAULT, ROOT, KNOB), N_("a short program with a loop"))
E1: Final = listed(
    "02.E1", program, (FAULT, ROOT, KNOB), N_("one program of 60 instructions; not tested: HLT, memory, exceptions")
)


# E2: three costs ------------------------------------------------------------------------------------------------------


def determinant(rows: tuple[tuple[int, int, int], ...]) -> int:
    """Of three rows: 0 where they do not say enough."""
    (a, b, c), (d, e, f), (g, h, i) = rows
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def prices(draw: Draw) -> Prices:
    """Draw a table of costs, and three runs that tell them apart."""
    while True:
        rows = tuple((draw.between(1, 5), draw.between(1, 5), draw.between(1, 5)) for _k in range(3))
        if determinant(rows):
            break
    table = 10 * draw.between(30, 200), 10 * draw.between(5, 60), draw.between(3, 90), 10 * draw.between(10, 90)
    return Prices(*table, runs=rows)


def each(world: Prices) -> Plain:
    """What one exit of each class costs: a run with that one alone."""
    return tuple(nanoseconds(world, one) for one in ((1, 0, 0), (0, 1, 0), (0, 0, 1)))


def average(world: Prices) -> Plain:
    """The idea that all exits are alike."""
    return (nanoseconds(world, world.runs[0]) // sum(world.runs[0]),) * 3


def by_instruction(world: Prices) -> Plain:
    """The idea that each instruction is interpreted: the time is spread over all of them."""
    return (nanoseconds(world, world.runs[0]) // (2 * sum(world.runs[0])),) * 3


E2: Final = Exercise(
    id="02.E2",
    version=1,
    kind="compute",
    shape=record(hypervisor=Number(), write=Number(), read=Number()),
    make=prices,
    ask=lambda world: _(
        "Three programs on one machine. CPUID is answered by the hypervisor; OUT and IN go to the worker process. The "
        "time of the instructions themselves is left out:\n{runs}\nHow many nanoseconds does one exit of each class "
        "cost? Fields: hypervisor (CPUID), write (OUT), read (IN)."
    ).format(runs=told(world)),
    truth=each,
    tested=N_("three runs, three classes; each class was run alone as well"),
    hints=(
        N_("Phase *exit*: each run is a sum. What do three sums with three unknowns say?"),
        N_("Sub-goal: multiply two runs so that they hold equally many CPUIDs, and take one from the other."),
    ),
    wrong=(
        Wrong("all-exits-go-to-root", N_("an exit that the hypervisor answers costs no message and no worker."),
              "parent-told", average),
        Wrong("vm-interprets", BARE, "exit-instructions", by_instruction),
    ),
    steps=lambda world: [f"run {k}: {a}·hypervisor + {b}·write + {c}·read = {nanoseconds(world, (a, b, c))}"
                         for k, (a, b, c) in enumerate(world.runs, 1)],
)  # fmt: skip


# exit and warm-up -----------------------------------------------------------------------------------------------------


def counted(draw: Draw) -> Made:
    """Draw a loop of a few instructions with one exit in each round, and a string."""
    rounds, size, plain = draw.between(10, 90), draw.between(10, 500), draw.between(3, 9)
    head = [move("rbx", draw.bits(8)) for _k in range(plain)]
    body = [move("rdx", EMPTY), move("rcx", rounds), special("in al, dx"), loop(-3)]
    return Made((*head, *body, *string(size)), True)


def count(world: Made) -> Plain:
    """How often the program leaves the guest."""
    return sum(1 for line in run(world) if line.exit)


def executed(world: Made) -> Plain:
    """How many instructions are executed."""
    return len(run(world))


def bytewise(world: Made) -> Plain:
    """The number of exits if each byte of the string were one."""
    rounds, size = world.code[-7].words[1], world.code[-2].words[1]
    return rounds + size


def number(id: str, kind: str) -> Exercise:
    """Return the question for the number of exits."""
    return Exercise(
        id=id, version=1, kind=kind, shape=Number(high=100_000), make=counted,
        ask=lambda world: _(
            "Nobody asked for port 0x80; the worker has the serial port and does a repeated IN whole. "
            "How often does this program leave the guest?\n{code}"
        ).format(code=world.listing()),
        truth=count, tested=N_("one program"),
        hints=(N_("Which instructions run by themselves?"), N_("How often does IN run, and how often REP INSB leave?")),
        wrong=(
            Wrong("vm-interprets", BARE, "exit-instructions", executed),
            Wrong("a-string-is-a-string", STRINGS, "worker", bytewise),
            Wrong("exit-is-a-fault", FAULTS, "exit-instructions", lambda world: 0),
        ),
    )  # fmt: skip


SHORTS: Final = (number("02.short.exits", "recall"),)
X1: Final = number("02.X1", "exit")
X2: Final = in_own_words(
    "02.X2", N_("The overview says: partitions do not have access to the physical processor. Correct it.")
)
EXERCISES: Final = (BLANK, BLANKS, E1, E2, E3, X1, X2)
