"""Lesson 00, E3: control, data or notification. One rule of three questions, asked in order, decides."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from hvlab.lab.answer import Plain, Word
from hvlab.lab.exercise import Construct, Meter, Wrong
from hvlab.lab.items.e00_runs import Programs, base, programs
from hvlab.lab.seed import Draw
from hvlab.lab.whole import NAME, PAGE, PAGES
from hvlab.language import N_, _
from hvlab.story.storyboard import Storyboard
from hvlab.story.system import SystemLens
from hvlab.trace.journal import Trace

CONTROL, NOTIFICATION, DATA = CLASSES = ("control", "notification", "data")
# What each event does: something stays arranged; control passes, or a message is left; a step of one access.
ARRANGES: Final = frozenset(
    {"partition_created", "partition_initialized", "property_set", "vp_created", "memory_deposited", "page_given"}
    | {"page_mapped", "second_level_entry_written", "msr_written", "overlay_placed"}
)
PASSES: Final = frozenset(
    {"hypercall_entered", "hypercall_returned", "cpuid_answered", "ept_violation_raised", "vp_exited"}
    | {"intercept_posted", "page_fault_raised", "exception_raised"}
)
STEPS: Final = frozenset(
    {"access_begun", "tlb_hit", "tlb_missed", "table_entry_read", "second_level_entry_read", "accessed_set"}
    | {"dirty_set", "structure_cache_hit", "nested_cache_hit", "tlb_filled", "translated", "memory_written"}
)
OF_CLASS: Final[dict[str, frozenset[str]]] = {CONTROL: ARRANGES, NOTIFICATION: PASSES, DATA: STEPS}
RUNS: Final = 32
MOST_BEFORE: Final = 9  # events that are shown before the one that is asked about
UNMAPPED: Final = 0x7000_0000_0000  # no program of `programs` has a page there


@dataclass(frozen=True)
class Told:
    """An event as the learner's function gets it.

    Attributes
    ----------
    name, box, says
        The event's name, where it happens, and its sentence.
    actor
        The virtual processor on whose behalf it happened; 0 is the root's.
    facts
        Its numbers, by name.
    """

    name: str
    box: str
    says: str
    actor: int
    facts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Hidden:
    """A row of a run."""

    trace: Trace
    row: int

    @property
    def name(self) -> str:
        return self.trace.event(self.row).name

    @property
    def box(self) -> str:
        return self.trace.event(self.row).box

    def told(self) -> Told:
        """Return a copy that may be changed."""
        actor = int(self.trace.rows[self.row, 2])
        return Told(self.name, self.box, self.trace.sentence(self.row), actor, dict(self.trace.facts(self.row)))


@cache
def whole_run(number: int) -> tuple[Trace, Mapping[str, tuple[int, ...]]]:
    """Return a run of everything: a child is made, two programs work, one stumbles; and its rows by event."""
    draw = Draw(number)
    trace = _made(number) + programs(draw).trace + _stumbled(programs(draw))
    found: dict[str, list[int]] = {}
    for row, name in enumerate(trace.kinds()):
        if any(name in names for names in OF_CLASS.values()) and not _root_prepares(trace, row):
            found.setdefault(name, []).append(row)
    return trace, {name: tuple(rows) for name, rows in found.items()}


def _root_prepares(trace: Trace, row: int) -> bool:
    """The root's own accesses prepare its calls: they belong to an arrangement, and are not dealt."""
    return int(trace.rows[row, 2]) == 0 and trace.event(row).name in STEPS


def _made(number: int) -> Trace:
    """A child is made, and its kernel says who it is and places its hypercall page."""
    from hvlab.lab.calling import established
    from hvlab.machine import Machine

    machine = Machine(seed=number + 1, memory=1 << 20)
    with machine.action():
        machine.child(NAME, memory=PAGES * PAGE)
        established(machine)
    return machine.trace


def _stumbled(run: Programs) -> Trace:
    """After all that, a program writes, reads again, and uses an address that its own kernel has not mapped."""
    assert len(run.trace)
    machine, _before = base(run.seed)
    child = machine.children["first"]
    with machine.action():
        child.read(run.ready[0])
        child.write(run.ready[0], bytes(range(1, 9)))
        child.read(run.ready[0])
        child.read(UNMAPPED + run.leaf % PAGE)
    return machine.trace


def hidden(draw: Draw, k: int) -> Hidden:
    """Draw case k: a class first, then an event of it, then a row."""
    trace, rows = whole_run(draw.below(RUNS))
    name = draw.pick(sorted(OF_CLASS[draw.pick(CLASSES)] & set(rows)))
    return Hidden(trace, draw.pick(rows[name]))


def class_of(world: Hidden) -> str:
    """Ask the three questions in order."""
    return CONTROL if world.name in ARRANGES else NOTIFICATION if world.name in PASSES else DATA


def call(function: Callable[..., Any], world: Hidden, meter: Meter) -> Any:
    return function(world.told())


def instead(test: Callable[[Hidden], bool], answer: str) -> Callable[[Hidden], Plain]:
    """Return a wrong model: another class for some events."""
    return lambda world: answer if test(world) else class_of(world)


def moment(world: Hidden) -> Storyboard:
    """Return the few steps up to the event; it is the last frame."""
    first, times = world.row, world.trace.rows[:, 1]
    while first > max(0, world.row - MOST_BEFORE) and times[first - 1] <= times[first]:  # within one machine
        first -= 1
    part = world.trace.rows[first : world.row + 1].copy()
    part[:, 3] = [cause - first if cause >= first else -1 for cause in part[:, 3].tolist()]
    return SystemLens("bit").story(Trace(part), _("The last frame is the event"))


def ask() -> str:
    names = ", ".join(sorted(name for names in OF_CLASS.values() for name in names))
    return _(
        "Write classify(event): it returns 'control', 'notification' or 'data'. Ask in this order.\n"
        "1  Does the event change what somebody owns, may do or may reach from now on? Then control.\n"
        "2  Does control pass to another side, or is a message left for it? Then notification.\n"
        "3  Otherwise it is a step of one access to memory: data.\n"
        "The event has name, box, says (its sentence), actor (0 is the root's processor) and facts.\n"
        "The names that come: {names}."
    ).format(names=names)


def steps() -> list[str]:
    told = _("{klass}: {names}")
    return [told.format(klass=klass, names=", ".join(sorted(names))) for klass, names in OF_CLASS.items()]


E3: Final = Construct(
    id="00.E3",
    version=1,
    shape=Word(CLASSES),
    make=hidden,
    ask=ask,
    truth=class_of,
    call=call,
    tell=lambda world: f"{world.name}: {world.trace.sentence(world.row)}",
    story=moment,
    tested=lambda worlds: _("{count} events of {kinds} kinds; not tested: the events of devices").format(
        count=len(worlds), kinds=len({world.name for world in worlds})
    ),
    steps=steps,
    cases=200,
    hints=(
        N_("Ask of each name: what is different for somebody when this event is over, and does that stay?"),
        N_("Sub-goal: begin with the calls. Which events only carry control there and back, and which act?"),
    ),
    wrong=(
        Wrong(
            "writes-are-data",
            N_("an entry of the second level is a word of memory, but writing it changes what a child may reach."),
            "second-level-entry",
            instead(lambda world: world.name == "second_level_entry_written", DATA),
        ),
        Wrong(
            "hypervisor-is-control",
            N_("an answer or a message of the hypervisor leaves nothing arranged: it tells the other side."),
            "intercept-message",
            instead(lambda world: world.box == "hypervisor", CONTROL),
        ),
        Wrong(
            "processor-is-data",
            N_("where the processor stops an access, control passes to somebody: a kernel, or the hypervisor."),
            "exit",
            instead(lambda world: world.box == "processor", DATA),
        ),
        Wrong(
            "calls-are-control",
            N_("entering a call and returning only pass control; what the hypervisor does in between arranges."),
            "hypercall-enter",
            instead(lambda world: world.name in ("hypercall_entered", "hypercall_returned"), CONTROL),
        ),
    ),
)
