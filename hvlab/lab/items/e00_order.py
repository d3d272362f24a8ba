"""Lesson 00, E1: fourteen events of a run, shuffled; every order that keeps what happens before what is right."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from hvlab.lab.answer import Listed, Number, Plain
from hvlab.lab.exercise import Exercise, Facts, Wrong
from hvlab.lab.items.e00_runs import Programs, programs
from hvlab.lab.seed import Draw
from hvlab.language import N_, _
from hvlab.story.hops import RESUMED, TOLD
from hvlab.trace.journal import Trace
from hvlab.wire.hypercalls import CODES

COUNT: Final = 14
EASY: Final = ("access_begun", "table_entry_read", "translated", "cpuid_answered")
LATE: Final = (
    *("access_begun", "table_entry_read", "ept_violation_raised", "vp_exited", "intercept_posted"),
    "translated",
)
SERVED: Final = ("hypercall_entered", "page_mapped", "hypercall_returned", "vp_resumed")


def happens_before(trace: Trace) -> list[int]:
    """Return for each row the set of rows that happen before it, as bits.

    One processor's events keep their order; an event follows its cause; a message is posted before it is read; a
    processor that was stopped runs after it was let go.
    """
    found: list[int] = []
    last: dict[int, int] = {}
    sources = [*_sources(trace)]
    for row in range(len(trace)):
        actor, before = int(trace.rows[row, 2]), 0
        for source in (last.get(actor, -1), int(trace.rows[row, 3]), sources[row]):
            before |= found[source] | 1 << source if source >= 0 else 0
        found.append(before)
        last[actor] = row
    return found


def _sources(trace: Trace) -> Iterator[int]:
    """Yield for each row the message that it reads, or the release that it waited for; -1 for neither."""
    posted: dict[int, int] = {}
    freed: dict[int, int] = {}
    for row, name in enumerate(trace.kinds()):
        words, actor = trace.facts(row), int(trace.rows[row, 2])
        if name == "intercept_posted":
            posted[words["spa"] >> 12] = row
        elif name == "vp_resumed":
            freed[words["partition"] - 1] = row
        reads = name in ("tlb_hit", "translated") and words["spa"] >> 12 in posted
        yield posted[words["spa"] >> 12] if reads else freed.pop(actor, -1)


@dataclass(frozen=True, eq=False)
class Shuffled:
    """A run, and its events by their numbers on the sheet: row `sheet[k - 1]` of the trace is event k."""

    run: Programs
    sheet: tuple[int, ...]

    @cached_property
    def before(self) -> list[int]:
        return happens_before(self.run.trace)

    def rows(self, order: Sequence[int]) -> list[int]:
        return [self.sheet[k - 1] for k in order]

    def order(self, rows: Sequence[int]) -> Plain:
        """Return rows of the trace as numbers on the sheet."""
        return tuple(self.sheet.index(row) + 1 for row in rows)

    def early(self, order: Sequence[int]) -> int | None:
        """Return the first place whose event needs one that comes later in this order; None if there is none."""
        rows = self.rows(order)
        places = range(len(rows))
        return next((k for k in places if any(self.before[rows[k]] >> row & 1 for row in rows[k + 1 :])), None)


def chosen(run: Programs) -> list[int]:
    """Return the rows of the fourteen events, in the order in which they were recorded."""
    names, actors = run.trace.kinds(), run.trace.rows[:, 2].tolist()
    late, easy = run.late + 1, 2 - run.late
    maps = next(row for row in run.trace.of("hypercall_entered") if run.trace.fact(row, "code") == CODES["MapGpaPages"])
    rows: list[int] = []
    for wanted, actor, since in ((EASY, easy, 0), (LATE, late, 0), (SERVED, 0, maps)):
        for name in wanted:
            there = [row for row in range(since, len(names)) if names[row] == name and actors[row] == actor]
            rows.append(_one(run.trace, name, there))
    return sorted(rows)


def _one(trace: Trace, name: str, rows: Sequence[int]) -> int:
    """Of the guest's entries the last one of the first walk, of the rest the first."""
    return next(row for row in rows if name != "table_entry_read" or trace.fact(row, "level") == 1)


def shuffle(draw: Draw) -> Shuffled:
    run = programs(draw)
    return Shuffled(run, tuple(draw.shuffled(chosen(run))))


def fits(world: Shuffled, answer: Plain) -> bool:
    """Whether an order names each event once and keeps what happens before what."""
    return sorted(answer) == list(range(1, COUNT + 1)) and world.early(answer) is None


def place(world: Shuffled, answer: Plain) -> str:
    """Say what cannot stand as it is."""
    if sorted(answer) != list(range(1, COUNT + 1)):
        return _("each of the numbers 1 to {count} stands in the list once").format(count=COUNT)
    early = world.early(answer)
    return "" if early is None else _("event {event} stands before one that it needs").format(event=answer[early])


def ask(world: Shuffled) -> str:
    wide = max(len(world.run.who(row)) for row in world.sheet)
    lines = "\n".join(
        f"  {k:2}  {world.run.who(row).ljust(wide)}  {world.run.trace.sentence(row)}"
        for k, row in enumerate(world.sheet, 1)
    )
    return _(
        "Put these events into an order in which they can have happened: a list of the numbers 1 to {count}. Of "
        "events that do not need each other, either may come first. {easy} asks CPUID after its load.\n{cast}\n{lines}"
    ).format(count=COUNT, cast=world.run.cast(), lines=lines, easy=world.run.names[1 - world.run.late])


def moved(key: Callable[[Shuffled, int], int]) -> Callable[[Shuffled], Plain]:
    """Return an order that somebody gives who sorts by something else first."""
    return lambda world: world.order(sorted(sorted(world.sheet), key=lambda row: key(world, row)))


def whose(world: Shuffled, row: int) -> int:
    """The children one after the other, then the root."""
    actor = int(world.run.trace.rows[row, 2])
    return actor if actor else 3


def parents_first(world: Shuffled, row: int) -> int:
    """The root, and then everybody else."""
    return int(int(world.run.trace.rows[row, 2]) > 0)


def exit_at_once(world: Shuffled) -> Plain:
    """The exit right behind the request, before any table is read."""
    rows, names = sorted(world.sheet), world.run.trace.kinds()
    leaves = next(row for row in rows if names[row] == "vp_exited")
    rows.remove(leaves)
    asks = next(at for at, row in enumerate(rows) if whose(world, row) == world.run.late + 1)
    rows.insert(asks + 1, leaves)
    return world.order(rows)


def steps(world: Shuffled) -> list[str]:
    told = [f"  {world.order([row])[0]:2}  {world.run.trace.sentence(row)}" for row in sorted(world.sheet)]
    return [_("One right order: {order}.").format(order=list(world.order(sorted(world.sheet)))), *told]


def told_parent(facts: Facts) -> bool:
    return facts["order"] & 15 == TOLD


E1: Final = Exercise(
    id="00.E1",
    version=1,
    kind="trace",
    shape=Listed(Number(low=1, high=COUNT), COUNT, "event"),
    make=shuffle,
    ask=ask,
    truth=lambda world: world.order(sorted(world.sheet)),
    fits=fits,
    place=place,
    tested=N_("one run; any order that keeps each processor's own order, causes, messages and pauses"),
    hints=(
        N_("Phases *run · exit · tell the parent · emulate · resume*: which event begins each of them?"),
        N_("Sub-goal: order the child that is stopped alone, then put the root's events into its pause."),
    ),
    wrong=(
        Wrong(
            "one-world-at-a-time",
            N_("a child that is stopped cannot finish before its parent has acted; the worlds take turns."),
            "resume",
            moved(whose),
            lambda facts: facts["order"] & 15 == RESUMED,
        ),
        Wrong(
            "the-parent-goes-first",
            N_("here the parent acts because it was told: the message comes before the page."),
            "intercept-message",
            moved(parents_first),
            told_parent,
        ),
        Wrong(
            "every-load-exits",
            N_("the processor reads the tables first; only what it finds there can make it leave the guest."),
            "ept-walk",
            exit_at_once,
            lambda facts: facts["reads"] > 0,
        ),
    ),
    story=lambda world: world.run.story(),
    steps=steps,
)
