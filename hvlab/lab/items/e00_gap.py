"""Lesson 00, E2: one hop of a run is missing from its list: its kind, its partition, its GPA."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from hvlab.lab.answer import Number, Plain, Word, record
from hvlab.lab.exercise import Exercise, Wrong
from hvlab.lab.items.e00_runs import Programs, programs
from hvlab.lab.seed import Draw
from hvlab.language import N_, _
from hvlab.trace.words import say

PAGE: Final = 4096
KINDS: Final = ("ept_violation_raised", "vp_exited", "intercept_posted", "page_mapped", "translated")
SHOWN: Final = frozenset(
    {"access_begun", "cpuid_answered", "hypercall_entered", "page_given", "hypercall_returned", "vp_resumed", *KINDS}
)


@dataclass(frozen=True)
class Gap:
    """A run, and the row that was taken out of its list."""

    run: Programs
    row: int

    @property
    def partition(self) -> int:
        """The partition that the hop is about."""
        return self.run.trace.facts(self.row).get("partition", self.run.partition(self.row))

    @property
    def gpa(self) -> int:
        return self.run.trace.fact(self.row, "gpa")

    @property
    def kind(self) -> str:
        return self.run.trace.event(self.row).name

    def lands(self) -> int:
        """Where the address of the hop lies in memory, as the run says somewhere else."""
        trace, part = self.run.trace, self.gpa % PAGE
        row = next(
            row
            for row in trace.of("translated")
            if self.run.partition(row) == self.partition and trace.fact(row, "gpa") // PAGE == self.gpa // PAGE
        )
        return trace.fact(row, "spa") & -PAGE | part


def rows_of(run: Programs) -> list[int]:
    """Return the rows that the list shows: of the root's accesses none, of a walk the last entry of the guest."""
    trace, found = run.trace, []
    for row, name in enumerate(trace.kinds()):
        root = int(trace.rows[row, 2]) == 0
        entry = name == "table_entry_read" and trace.fact(row, "level") == 1
        access = name in ("access_begun", "translated")
        if entry or name in SHOWN and not (root and access):
            found.append(row)
    return found


def remove(draw: Draw) -> Gap:
    run = programs(draw)
    kind = draw.pick(KINDS)
    return Gap(run, draw.pick([row for row in rows_of(run) if run.trace.event(row).name == kind]))


def listed(run: Programs, rows: Sequence[int]) -> str:
    """Return events, one a line, each with whose processor acts."""
    wide = max(len(run.who(row)) for row in rows)
    return "\n".join(f"  {run.who(row).ljust(wide)}  {run.trace.sentence(row)}" for row in rows)


def ask(world: Gap) -> str:
    left = [row for row in rows_of(world.run) if row != world.row]
    return _(
        "One event is missing from this list. Give a dictionary: kind (one of {kinds}), partition (the number of the "
        "partition that it is about), gpa (of an access the byte's, of a mapping the page's first).\n{cast}\n{lines}"
    ).format(kinds=", ".join(KINDS), cast=world.run.cast(), lines=listed(world.run, left))


def otherwise(partition: Callable[[Gap], int]) -> Callable[[Gap], Plain]:
    """Return what somebody answers who takes another partition."""
    return lambda world: (world.kind, partition(world), world.gpa)


def every_load(world: Gap) -> Plain:
    """An exit that is missing behind the load that found its page."""
    run = world.run
    easy = 2 - run.late
    row = next(row for row in run.trace.of("translated") if int(run.trace.rows[row, 2]) == easy)
    return "vp_exited", run.partition(row), run.trace.fact(row, "gpa")


def steps(world: Gap) -> list[str]:
    before = [row for row in rows_of(world.run) if row < world.row][-1:]
    after = [row for row in rows_of(world.run) if row > world.row][:1]
    return [
        *(_("Before it: {event}").format(event=world.run.trace.sentence(row)) for row in before),
        _("Missing: {event}").format(event=world.run.trace.sentence(world.row)),
        *(_("Behind it: {event}").format(event=world.run.trace.sentence(row)) for row in after),
        _("kind {kind}, partition {partition}, gpa {gpa}").format(
            kind=world.kind, partition=world.partition, gpa=say("gpa", world.gpa)
        ),
    ]


E2: Final = Exercise(
    id="00.E2",
    version=1,
    kind="compute",
    shape=record(kind=Word(KINDS), partition=Number(high=63), gpa=Number("gpa", high=(1 << 52) - 1)),
    make=remove,
    ask=ask,
    truth=lambda world: (world.kind, world.partition, world.gpa),
    tested=N_("one run with one event taken out"),
    hints=(
        N_("Follow each child through *run · exit · tell the parent · emulate · resume*. Where does a phase lack?"),
        N_("Sub-goal: take the line behind the gap. Which event must have caused it, and of which address?"),
    ),
    wrong=(
        Wrong(
            "vp-is-the-partition",
            N_("a virtual processor has a number of its own; the first line says to which partition it belongs."),
            "vp-create",
            otherwise(lambda world: world.partition - 1),
        ),
        Wrong(
            "caller-for-partition",
            N_("the hop is about the child. The root only acts for it."),
            "map-page",
            otherwise(lambda world: 1),
        ),
        Wrong(
            "host-address",
            N_("that is the SPA, where the byte lies in memory. The child's own address for it is the GPA."),
            "ept-walk",
            lambda world: (world.kind, world.partition, world.lands()),
            asks=N_("Who uses this address: the child's kernel, or the memory?"),
        ),
        Wrong(
            "every-load-exits",
            N_("that load found its page: the processor translated it alone, and no exit is missing there."),
            "walk-cost",
            every_load,
            lambda facts: facts["reads"] > 0,
        ),
    ),
    story=lambda world: world.run.story(),
    steps=steps,
)
