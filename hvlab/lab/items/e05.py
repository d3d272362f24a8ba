"""Lesson 05, exercises: every table the guest reads is itself translated."""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, Final

from hvlab.capture.load import load
from hvlab.capture.samples import sample
from hvlab.capture.tables import NestedTables
from hvlab.hardware.processor import PEEK, READ, USER, WRITE
from hvlab.lab.answer import Number, Plain, Word, record
from hvlab.lab.exercise import Exercise, Wrong, in_own_words
from hvlab.lab.items.e05_build import E3
from hvlab.lab.items.e05_repair import E2
from hvlab.lab.items.l05 import shown
from hvlab.lab.seed import Draw
from hvlab.lab.tell import lines_of
from hvlab.lab.worlds import TAGS_ONLY, Ground, Guest, Look, Step, World, draw_gva
from hvlab.language import N_, _
from hvlab.machine import Machine
from hvlab.story.storyboard import Storyboard
from hvlab.story.walk import story_of
from hvlab.trace.journal import Trace
from hvlab.trace.words import say

ADDRESS: Final = (1 << 52) - 1
LOAD: Final = int(READ | USER)
WALKED: Final = record(gpa=Number("gpa", high=ADDRESS), spa=Number("spa", high=ADDRESS), reads=Number(high=999))
READS: Final = ("table_entry_read", "second_level_entry_read")
PLACES: Final = {1: "4 KiB", 2: "2 MiB", 3: "1 GiB"}


# E1: two children, one GVA -------------------------------------------------------------------------------------------


def two_children(draw: Draw) -> World:
    """Draw two children whose tables map the same GVA by leaves of drawn sizes."""
    ground, gva = Ground(draw), draw_gva(draw)
    guests = []
    for _name in ("web", "db"):
        guest = Guest(ground)
        guest.map(gva, draw.pick((1, 1, 2)), draw.pick((1, 2)), draw.pick((1, 2)))
        guests.append(guest.partition)
    return World(ground.words, tuple(guests), gva, LOAD)


@lru_cache(maxsize=64)
def _second(world: World) -> Step:
    """The walk that is asked about: after the first child's, on a TLB whose entries carry a tag."""
    bare = world.bare(TAGS_ONLY)
    world.run(bare, 0)
    return world.run(bare, 1)


def walked(step: Step) -> tuple[int, int, int]:
    """Return GPA, SPA and number of reads of a finished walk."""
    last = step.trace.facts(next(iter(step.trace.of("translated"))))
    return last["gpa"], last["spa"], last["reads"]


def counted(trace: Trace) -> tuple[int, int, int]:
    """Return how many reads a walk made: the guest's own entries, second-level ones for its tables, for its data."""
    rows = list(trace.of("second_level_entry_read"))
    data = sum(trace.fact(row, "guest_level") == 0 for row in rows)
    return sum(1 for _row in trace.of("table_entry_read")), len(rows) - data, data


def ask_two(world: World) -> str:
    """Say the task of E1."""
    web, db = world.guests
    return _(
        "The children web and db both load from the GVA {gva}. Four levels of tables in each guest, four of EPT below. "
        "TLB entries carry the VPID; there is no other cache. web's load is done; now db loads.\n"
        "web: CR3 {web_cr3}, EPT from {web_root}. db: CR3 {db_cr3}, EPT from {db_root}.\n"
        "Give db's GPA, its SPA and the number of table entries read now. Every word of memory that is not 0:\n{dump}"
    ).format(
        gva=say("gva", world.gva), web_cr3=say("gpa", web.cr3), web_root=say("spa", web.root),
        db_cr3=say("gpa", db.cr3), db_root=say("spa", db.root), dump=world.dump(),
    )  # fmt: skip


def models(steps: Callable[[Any], Step]) -> tuple[Wrong, ...]:
    """Return the wrong models of a walk; they read what the engine recorded of the right one."""

    def said(count: Callable[[int, int, int], int], spa_is_gpa: bool = False) -> Callable[[Any], Plain]:
        def answer(world: Any) -> Plain:
            gpa, spa, _reads = walked(steps(world))
            return gpa, gpa if spa_is_gpa else spa, count(*counted(steps(world).trace))

        return answer

    def run(keep: Callable[[int, int], bool]) -> Callable[[Any], Storyboard]:
        return lambda world: story_of(thinned(steps(world).trace, keep))

    return (
        Wrong(
            "one-after-the-other",
            N_("this is the guest's walk and then one second-level walk; each of the guest's tables needs one, too."),
            "walk-cost",
            said(lambda own, tables, data: own + data),
            shown(lambda row, column: row > 0 and column > 0),
            N_("How many entries are read before the guest's first own entry?"),
            run(lambda level, column: level == 0 or column == 0),
        ),
        Wrong(
            "forgot-the-last",
            N_("this ends at the guest's leaf. What stands there is a GPA: it is translated once more."),
            "ept-walk",
            said(lambda own, tables, data: own + tables, spa_is_gpa=True),
            shown(lambda row, column: row == 0),
            N_("Is what the guest's leaf holds an address of memory, or of what the guest takes for memory?"),
            run(lambda level, column: level > 0),
        ),
        Wrong(
            "iommu-does-it",
            N_("the processor's own walker reads the second level; an IOMMU serves devices only."),
            "ept-walk",
            said(lambda own, tables, data: own),
            shown(lambda row, column: column > 0),
            N_("Which device asks for memory in this load?"),
            run(lambda level, column: column == 0),
        ),
    )


def thinned(trace: Trace, keep: Callable[[int, int], bool]) -> Trace:
    """Return a wrong model's run: of the machine's reads those that the model makes, by (guest level, level)."""
    rows = []
    for k, name in enumerate(trace.kinds()):
        facts = trace.facts(k)
        at = (facts["level"], 0) if name == READS[0] else (facts.get("guest_level", 0), facts.get("level", 0))
        if name not in READS or keep(*at):
            rows.append(k)
    place = {old: new for new, old in enumerate(rows)}
    kept = trace.rows[rows].copy()
    for new, old in enumerate(rows):
        kept[new, 3] = place.get(int(trace.rows[old, 3]), new - 1)
    return Trace(kept)


def of_the_other(world: World) -> Plain:
    """Return what a TLB without tags would answer: the first child's page, and no read."""
    gpa, spa, _reads = walked(world.run(world.bare(), 0))
    return gpa, spa, 0


def lines(step: Step) -> list[str]:
    """Return the worked walk as lines."""
    return lines_of(story_of(step.trace))


TAGS: Final = Wrong(
    "gva-tag-is-enough",
    N_("this is the page of web. A TLB entry answers only for the virtual processor whose tag it carries."),
    "tlb-hit",
    of_the_other,
    lambda facts: facts["number"] > 0,
    N_("What would web and db see if one TLB entry answered for both?"),
)
HINTS: Final = (
    N_("Phases *index* and *descend*: from which GPA is each of the guest's entries read, and what makes it an SPA?"),
    N_("Sub-goal: take CR3, a GPA. Walk the second level with it, and read the guest's level-4 entry at that SPA."),
)

E1: Final = Exercise(
    id="05.E1",
    version=1,
    kind="trace",
    shape=WALKED,
    make=two_children,
    ask=ask_two,
    truth=lambda world: walked(_second(world)),
    tested=N_("one walk of 4 by 4 levels, pages of 4 KiB and 2 MiB; not tested: 5 levels, walk caches, faults"),
    hints=HINTS,
    wrong=(*models(_second), TAGS),
    story=lambda world: story_of(_second(world).trace),
    steps=lambda world: lines(_second(world)),
    look=Look,
)


# E1 on the tables that KVM built -------------------------------------------------------------------------------------


@cache
def kvm() -> tuple[NestedTables, Machine]:
    """Return the recorded tables and a machine that holds them; only looked at, so that nothing changes."""
    tables = load(sample("npt_4lvl"))
    assert isinstance(tables, NestedTables)
    return tables, Machine.from_nested(tables)


@lru_cache(maxsize=64)
def _real(gva: int) -> Step:
    step = kvm()[1].translate(0, gva, int(READ | PEEK))
    return Step(step.outcome, step.detail, step.spa, step.trace)


def real_address(draw: Draw) -> int:
    """Draw an address in one of the pages that the real guest touched."""
    touched = kvm()[0].touched_gva
    return int(touched[draw.below(len(touched))]) & -4096 | draw.bits(12)


class RealLook:
    """Memory of the recorded machine by SPA."""

    def read64(self, spa: int) -> int:
        """Return the 64-bit word at an SPA; 0 where nothing was recorded."""
        memory = kvm()[1].memory
        return memory.read64(spa) if memory.exists(spa >> 12) else 0


def ask_real(gva: int) -> str:
    """Say the task of E1 on real tables."""
    tables = kvm()[0]
    return _(
        "KVM built these tables for a small guest on an AMD processor; the guest touched the page of the GVA {gva}. "
        "CR3 is {cr3}, the nested tables begin at {root}. Nothing is cached. Give the GPA, the SPA and the number of "
        "table entries read. task('05.E1.real').look.read64(spa) reads the recorded memory."
    ).format(gva=say("gva", gva), cr3=say("gpa", tables.registers.cr3), root=say("spa", tables.ncr3))


REAL: Final = Exercise(
    id="05.E1.real",
    version=1,
    kind="trace",
    shape=WALKED,
    make=real_address,
    ask=ask_real,
    truth=lambda gva: walked(_real(gva)),
    tested=N_("one of the addresses that the real guest touched, on the tables as KVM left them"),
    hints=HINTS,
    wrong=models(_real),
    story=lambda gva: story_of(_real(gva).trace),
    steps=lambda gva: lines(_real(gva)),
    look=lambda gva: RealLook(),
)


# exit and warm-up: the cost of one miss ------------------------------------------------------------------------------


def situation(draw: Draw) -> World:
    """Draw a guest with one page: levels of both stages, sizes of the guest's page and of the second level's."""
    levels, second = draw.pick(((4, 4), (5, 4), (4, 5), (5, 5)))
    leaf, size = draw.pick(((1, 1), (2, 1), (1, 2), (2, 2)))
    return _one_page(draw, levels, second, leaf, size)


def plain_situation(draw: Draw) -> World:
    """Draw a guest of four by four levels."""
    leaf, size = draw.pick(((1, 1), (2, 1), (1, 2)))
    return _one_page(draw, 4, 4, leaf, size)


def _one_page(draw: Draw, levels: int, second: int, leaf: int, size: int) -> World:
    ground, gva = Ground(draw), draw_gva(draw, levels)
    guest = Guest(ground, levels, second)
    guest.map(gva, leaf, size)
    return World(ground.words, (guest.partition,), gva, LOAD, more={"leaf": leaf, "size": size})


def ask_situation(world: World) -> str:
    """Say what the warm-up and the exit ask."""
    one = world.guests[0]
    return _(
        "A guest has {levels} levels of tables and maps a page of {page}; the second level has {second} levels and "
        "backs it by a page of {below}, the guest's tables by pages of 4 KiB. Nothing is cached. "
        "How many table entries are read?"
    ).format(
        levels=one.levels, second=one.second_levels, page=PLACES[world.more["leaf"]], below=PLACES[world.more["size"]]
    )


def reads_of(world: World) -> int:
    """Return the reads that the engine makes."""
    return walked(world.step)[2]


def _reads_only(model: Wrong) -> Wrong:
    """Return a model of the walk as one of the number of reads alone."""

    def answer(world: World) -> Plain | None:
        said = model.answer(world)
        return None if said is None else said[2]

    return Wrong(model.name, model.says, model.rule, answer, model.parts, model.asks, model.story)


def of_situation(id: str, kind: str, make: Callable[[Draw], World]) -> Exercise:
    """Return the question for the reads of one miss."""
    return Exercise(
        id=id,
        version=1,
        kind=kind,
        shape=Number(high=999),
        make=make,
        ask=ask_situation,
        truth=reads_of,
        tested=N_("one situation; nothing is cached"),
        hints=(
            N_("Each entry that the guest's walk reads stands at a GPA."),
            N_("Count the levels that are really read in each stage, then the rows of the square."),
        ),
        wrong=tuple(_reads_only(model) for model in models(lambda world: world.step)),
        story=lambda world: story_of(world.step.trace),
        steps=lambda world: lines(world.step),
    )


def faulty(draw: Draw) -> World:
    """Draw a store that one of the two levels of tables refuses."""
    world = _one_page(draw, 4, 4, 1, 1)
    rows = list(world.step.trace.of(draw.pick(READS)))
    words = world.step.trace.facts(rows[-1])
    refused = world.changed(words["spa"], words["entry"] & ~2)
    return World(refused.words, refused.guests, refused.gva, int(WRITE | USER))


SHORTS: Final = (
    of_situation("05.short.reads", "recall", plain_situation),
    Exercise(
        id="05.short.who",
        version=1,
        kind="recall",
        shape=Word(("guest", "hypervisor")),
        make=faulty,
        ask=lambda world: _(
            "A program stores to the GVA {gva}. The only right that is missing is W, in an entry of {where}. "
            "Who handles it, guest or hypervisor?"
        ).format(gva=say("gva", world.gva), where=_where(world)),
        truth=lambda world: "guest" if world.step.outcome == "page_fault" else "hypervisor",
        tested=N_("one store that one level of tables refuses"),
        hints=(N_("Whose table is it?"), N_("Who may change the entry in which the right is missing?")),
        wrong=(
            Wrong(
                "violation-is-page-fault",
                N_("what the second level refuses leaves the guest: its kernel never hears of it."),
                "ept-violation",
                lambda world: "guest" if world.step.outcome == "ept_violation" else None,
            ),
        ),
        story=lambda world: story_of(world.step.trace),
    ),
)


def _where(world: World) -> str:
    last = [k for k, name in enumerate(world.step.trace.kinds()) if name in READS][-1]
    own = world.step.trace.event(last).name == READS[0]
    return _("the guest's own tables") if own else _("the second level")


X1: Final = of_situation("05.X1", "exit", situation)
X2: Final = in_own_words(
    "05.X2", N_("The overview says: an IOMMU accelerates the translation of guest addresses. Correct the sentence.")
)

EXERCISES: Final = (E1, REAL, E2, E3, X1, X2)
