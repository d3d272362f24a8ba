"""Lesson 04, exercises: a guest address is four indexes and an offset."""

from collections.abc import Callable
from typing import Final

from hvlab.hardware.processor import FETCH, READ, USER, WRITE
from hvlab.lab.answer import Number, Plain
from hvlab.lab.exercise import Exercise, World, Wrong, in_own_words
from hvlab.lab.items.e04_map import E3, free_frames, page_of
from hvlab.lab.items.e04_refused import E2
from hvlab.lab.items.e04_walk import BLANK, BLANKS, BYTE, E1, FULL, LOAD
from hvlab.lab.own_tables import FRAME, LETTERS, MASK, OPEN, PAGE, PRESENT, Builder, Ended
from hvlab.lab.seed import Draw
from hvlab.lab.worlds import Ground, Guest, draw_gva
from hvlab.lab.worlds import World as Nested
from hvlab.language import N_, _
from hvlab.story.walk import story_of
from hvlab.trace.words import ENUMS, say

W, U, NX = LETTERS["W"], LETTERS["U"], LETTERS["N"]
A, D, G = LETTERS["A"], LETTERS["D"], LETTERS["G"]
PAGES: Final = {1: "4 KiB", 2: "2 MiB", 3: "1 GiB"}


# exit: whose address is in the leaf? ----------------------------------------------------------------------------------


def in_a_child(draw: Draw) -> Nested:
    """Draw a child with one page, and what its second level says about four GPAs."""
    ground, gva = Ground(draw), draw_gva(draw)
    guest = Guest(ground)
    found = guest.map(gva, 1, 1)
    gpa, spa = found if found is not None else (0, 0)
    rows = {gpa & -PAGE: spa & -PAGE} | {guest.gpa(1, 1): ground.data(1) for _row in range(3)}
    return Nested(ground.words, (guest.partition,), gva, LOAD, more={f"{a:x}": b for a, b in sorted(rows.items())})


def leaf_of(world: Nested) -> int:
    """Return the guest's leaf, as the engine read it."""
    trace = world.step.trace
    return trace.fact(list(trace.of("table_entry_read"))[-1], "entry") & MASK


def ask_child(world: Nested) -> str:
    """Say the task of the exit item."""
    rows = "\n".join(f"  GPA {say('gpa', int(a, 16))}: SPA {say('spa', b)}" for a, b in world.more.items())
    return _(
        "A program in a child loads from the GVA {gva}. The child's kernel maps its page by the level-1 entry {entry}. "
        "What the hypervisor's second level says about four of the child's pages stands below. "
        "At which SPA is the byte?\n{rows}"
    ).format(gva=say("gva", world.gva), entry=say("hex", leaf_of(world)), rows=rows)


def of_leaf(answer: Callable[[int, int], int]) -> Callable[[Nested], Plain]:
    """Return a wrong model of the exit item: from the leaf and the offset."""
    return lambda world: answer(leaf_of(world), world.gva & PAGE - 1)


X1: Final = Exercise(
    id="04.X1",
    version=1,
    kind="exit",
    shape=Number("spa"),
    make=in_a_child,
    ask=ask_child,
    truth=lambda world: world.step.address,
    tested=N_("one page of 4 KiB in both levels"),
    hints=(
        N_("Which kind of address does a guest's leaf hold?"),
        N_("Sub-goal: the GPA of the page; then its line in the list; the offset stays."),
    ),
    wrong=(
        Wrong(
            "gpa-is-physical",
            N_("this is the GPA: what the guest takes for physical. The second level moves it once more."),
            "ept-walk",
            of_leaf(lambda entry, offset: entry & FRAME | offset),
            lambda facts: facts["data_gpa"] > 0,
        ),
        Wrong("byte-not-page", BYTE, "walk", of_leaf(lambda entry, offset: ((entry & FRAME) >> 12) + offset)),
        Wrong("entry-holds-a-full-address", FULL, "walk", of_leaf(lambda entry, offset: entry + offset & MASK)),
    ),
    story=lambda world: story_of(world.step.trace),
)  # fmt: skip

X2: Final = in_own_words(
    "04.X2",
    N_(
        'The overview says that a partition has a private "virtual memory address region". Correct the sentence in '
        "your own words: which address space is private, and who makes the virtual ones?"
    ),
)


# warm-ups of later lessons --------------------------------------------------------------------------------------------


def one_page(draw: Draw) -> World:
    """Draw one page of any size, 4 or 5 levels, and an access."""
    levels, leaf = draw.pick((4, 5)), draw.pick((1, 2, 3))
    builder, gva = Builder(free_frames(draw), levels), draw_gva(draw, levels)
    builder.map(gva, page_of(draw, leaf), OPEN | A, leaf)
    return {"tables": builder.tables(), "gva": gva, "leaf": leaf, "levels": levels, "level": draw.between(leaf, levels)}


def reads(world: World) -> list[dict[str, int]]:
    """Return the entries that the engine reads, top first."""
    trace = world["tables"].run([(world["gva"], LOAD)])[1]
    return [trace.facts(row) for row in trace.of("table_entry_read")]


def refused(draw: Draw) -> World:
    """Draw a 4 KiB page that lacks one right, or is not there, and a user's access that needs it."""
    builder, gva = Builder(free_frames(draw)), draw_gva(draw)
    access, flags = draw.pick(((WRITE, U), (READ, W), (WRITE, W), (FETCH, U | W | NX), (READ, 0), (WRITE, 0)))
    builder.map(gva, page_of(draw, 1), flags | A | D)
    if not flags:
        builder.words[builder.tables().path(gva)[-1][1]] &= ~PRESENT
    return {"tables": builder.tables(), "gva": gva, "access": int(access) | int(USER)}


def ask_refused(world: World) -> str:
    """Say the task of a short form."""
    entry, access = world["tables"].path(world["gva"])[-1][2], ENUMS["access"][world["access"]]
    told = _("The level-1 entry is {entry}; all above it grant everything, EFER.NXE is on. Error code of a {access}?")
    return told.format(entry=say("hex", entry), access=access)


def code_of(world: World) -> int:
    """Return the error code that the engine raises."""
    ended: list[Ended] = world["tables"].run([(world["gva"], world["access"])])[0]
    return ended[0].code


SHORTS: Final = (
    Exercise(
        id="04.index",
        version=1,
        kind="recall",
        shape=Number(high=511),
        make=one_page,
        ask=lambda world: _("The GVA is {gva}. Which entry of its level-{level} table does the processor read?").format(
            gva=say("gva", world["gva"]), level=world["level"]
        ),
        truth=lambda world: next(one["index"] for one in reads(world) if one["level"] == world["level"]),
        tested=N_("one address"),
        hints=(
            N_("The offset has 12 bits, each index above it nine."),
            N_("Shift by 12 + 9 * (level - 1); keep nine bits."),
        ),
    ),
    Exercise(
        id="04.reads",
        version=1,
        kind="recall",
        shape=Number(high=9),
        make=one_page,
        ask=lambda world: _(
            "{levels} levels of tables, no second level; a page of {page}. How many entries does a walk read?"
        ).format(levels=world["levels"], page=PAGES[world["leaf"]]),
        truth=lambda world: len(reads(world)),
        tested=N_("one walk without caches"),
        hints=(
            N_("A walk reads one entry a level, down to the leaf."),
            N_("At which level stands the leaf of such a page?"),
        ),
        wrong=(
            Wrong(
                "counted-the-data",
                N_("the walk ends where the data's address is known."),
                "walk",
                lambda world: len(reads(world)) + 1,
            ),
        ),
    ),
    Exercise(
        id="04.code",
        version=1,
        kind="recall",
        shape=Number("hex", high=0xFFFF),
        make=refused,
        ask=ask_refused,
        truth=code_of,
        tested=N_("one access to one page"),
        hints=(
            N_("Bits: 0 present, 1 write, 2 user, 3 reserved, 4 fetch."),
            N_("Is bit 0 of the entry set? What did the access want?"),
        ),
        wrong=(
            Wrong(
                "p-means-missing",
                N_("bit 0 of the code is 1 when the entry was present."),
                "page-fault",
                lambda world: code_of(world) ^ 1,
            ),
        ),
    ),
)

EXERCISES: Final = (BLANK, BLANKS, E1, E2, E3, X1, X2)
