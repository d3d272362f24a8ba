"""Lesson 04, E1: walks by hand from a hex dump; before it one with a single blank, and one with two."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from hvlab.hardware.processor import READ, USER
from hvlab.lab.answer import Listed, Number, Plain, record
from hvlab.lab.exercise import Exercise, Facts, Wrong
from hvlab.lab.items.e04_map import free_frames, other, page_of
from hvlab.lab.own_tables import FRAME, LETTERS, MASK, OPEN, PAGE, PRESENT, Builder, Ended, Tables, index_of, shift_of
from hvlab.lab.seed import Draw
from hvlab.lab.tell import lines_of
from hvlab.lab.worlds import draw_gva
from hvlab.language import N_, _
from hvlab.story.walk import story_of
from hvlab.trace.journal import Trace
from hvlab.trace.words import say

W, U, NX = LETTERS["W"], LETTERS["U"], LETTERS["N"]
A, D, G = LETTERS["A"], LETTERS["D"], LETTERS["G"]
LOAD: Final = int(READ | USER)


# E1: five addresses by hand -------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Five:
    """Tables, and the addresses to be translated."""

    tables: Tables
    gvas: tuple[int, ...]

    @cached_property
    def made(self) -> tuple[list[Ended], Trace]:
        """What the engine makes of all addresses."""
        return self.tables.run([(gva, LOAD) for gva in self.gvas])

    def leaf(self, gva: int) -> tuple[int, int]:
        """Return level and word of the leaf of an address."""
        level, _gpa, entry = self.tables.path(gva)[-1]
        return level, entry


def five(draw: Draw) -> Five:
    """Draw tables that map five addresses by leaves of all three sizes, with other entries beside them."""
    builder, gva = Builder(free_frames(draw)), draw_gva(draw)
    sizes = {gva: 1, other(draw, gva, 1): 1, other(draw, gva, 2): 2, other(draw, gva, 3): 3}
    sizes[gva & -PAGE ^ draw.between(1, 255) << shift_of(4) | draw.bits(12)] = draw.pick((1, 2))
    for address, leaf in sizes.items():
        more = sum(bit for bit in (W, D, G, NX) if draw.chance(1, 2)) | draw.bits(3) << 9
        builder.map(address, page_of(draw, leaf), U | A | more, leaf, OPEN | A)
    for table in {at & -PAGE for at in builder.words}:
        at = table + 8 * draw.below(512)
        builder.words.setdefault(at, page_of(draw, 1) | OPEN | A | PRESENT)
    return Five(builder.tables(), tuple(draw.shuffled(list(sizes))))


def ask_five(world: Five) -> str:
    """Say the task of E1."""
    return _(
        "CR3 is {cr3}, four levels of tables. Give the five GPAs, in order, of the GVAs\n{gvas}\n"
        "Every eight bytes of the tables that are not 0, at their GPA, least byte first:\n{dump}"
    ).format(
        cr3=say("gpa", world.tables.root),
        gvas="\n".join(f"  {number}  {say('gva', gva)}" for number, gva in enumerate(world.gvas)),
        dump=world.tables.dump(),
    )


def each(answer: Callable[[int, int, int], int]) -> Callable[[Five], Plain]:
    """Return a wrong model of E1: from GVA, leaf level and leaf to what it takes for the GPA."""
    return lambda world: tuple(answer(gva, *world.leaf(gva)) for gva in world.gvas)


def below(gva: int, level: int) -> int:
    """Return the offset of an address in a page of this level."""
    return gva & (1 << shift_of(level)) - 1


def as_a_byte(gva: int, level: int, entry: int) -> int:
    """The page number taken for the address of the page."""
    return ((entry & FRAME) >> 12) + below(gva, level)


def as_it_stands(gva: int, level: int, entry: int) -> int:
    """The whole entry taken for the address of the page."""
    return entry + below(gva, level) & MASK


def offset_of_12(gva: int, level: int, entry: int) -> int:
    """Twelve bits of offset, whatever the size of the page."""
    return entry & FRAME & -(1 << shift_of(level)) | gva & PAGE - 1


def at_leaf(facts: Facts) -> bool:
    """Whether a frame shows that a leaf was read."""
    return facts["gives"] == 5


BYTE: Final = N_("the bits 51 to 12 are a page number: the page begins at 4,096 times that.")
FULL: Final = N_("only bits 51 to 12 of an entry are the address; the rest are flags and have to be cleared.")
SMALL: Final = N_("the offset has 21 bits in a 2 MiB page and 30 in a 1 GiB page: what is no index belongs to it.")

E1: Final = Exercise(
    id="04.E1",
    version=1,
    kind="trace",
    shape=Listed(Number("gpa"), 5, "GPA"),
    make=five,
    ask=ask_five,
    truth=lambda world: tuple(one.gpa for one in world.made[0]),
    tested=N_("five addresses of 4 levels, pages of 4 KiB, 2 MiB and 1 GiB; not tested: 5 levels, faults"),
    hints=(
        N_("Phase *index*: cut the GVA into 9, 9, 9, 9, 12 bits. Entry k stands 8 * k bytes after the table begins."),
        N_("Sub-goal: find the eight bytes of the level-4 entry in the dump; read them from last to first."),
    ),
    wrong=(
        Wrong("byte-not-page", BYTE, "walk", each(as_a_byte), at_leaf),
        Wrong("entry-holds-a-full-address", FULL, "walk", each(as_it_stands), at_leaf),
        Wrong(
            "large-page-offset-12",
            SMALL,
            "walk",
            each(offset_of_12),
            lambda facts: facts["large"] > 12,
        ),
    ),
    story=lambda world: story_of(world.made[1]),
    steps=lambda world: lines_of(story_of(world.made[1])),
    look=lambda world: world.tables,
)  # fmt: skip


# before it: one blank, two blanks -------------------------------------------------------------------------------------


def one_of(leaf: int) -> Callable[[Draw], Five]:
    """Return the generator of one address in a page of this size."""

    def make(draw: Draw) -> Five:
        world = five(draw)
        gva = next(gva for gva in world.gvas if world.leaf(gva)[0] == leaf)
        return Five(world.tables, (gva,))

    return make


def lines(world: Five, given: int) -> str:
    """Say the walk of an address, the first entries whole, the rest with blanks."""
    gva, rows = world.gvas[0], []
    path = world.tables.path(gva)
    for number, (level, at, entry) in enumerate(path):
        place = say("gpa", at) if number < given else "____"
        rows.append(
            _("  level {level}: index {index}, entry at GPA {place}: {entry}").format(
                level=level, index=index_of(gva, level), place=place, entry=say("hex", entry)
            )
        )
    return "\n".join([*rows, _("  the data: GPA ____")])


def ask_blank(world: Five) -> str:
    """Say the task with one blank."""
    return _("A user reads the GVA {gva}; CR3 is {cr3}. Fill the blank: the GPA of the data.\n{lines}").format(
        gva=say("gva", world.gvas[0]), cr3=say("gpa", world.tables.root), lines=lines(world, 4)
    )


def ask_blanks(world: Five) -> str:
    """Say the task with two blanks."""
    return _(
        "A user reads the GVA {gva}; CR3 is {cr3}. The level-2 entry has PS=1. Fill both blanks: the GPA of that entry "
        "and the GPA of the data.\n{lines}"
    ).format(gva=say("gva", world.gvas[0]), cr3=say("gpa", world.tables.root), lines=lines(world, 2))


def first(answer: Callable[[int, int, int], int]) -> Callable[[Five], Plain]:
    """Return a wrong model of the walk with one blank."""
    return lambda world: answer(world.gvas[0], *world.leaf(world.gvas[0]))


def second(answer: Callable[[int, int, int], int]) -> Callable[[Five], Plain]:
    """Return a wrong model of the walk with two blanks: it finds the entry, and misreads it."""
    return lambda world: (entry_of(world), first(answer)(world))


def entry_of(world: Five) -> int:
    """Return the GPA of the leaf, as the engine read it."""
    trace = world.made[1]
    return trace.fact(list(trace.of("table_entry_read"))[-1], "spa")


def index_as_bytes(world: Five) -> Plain:
    """The index taken for the distance in bytes."""
    gva, at = world.gvas[0], entry_of(world)
    return at & -PAGE | index_of(gva, world.leaf(gva)[0]), world.made[0][0].gpa


HINTS: Final = (
    N_("Phase *deliver*: which bits of the leaf are the address, and which bits of the GVA were no index?"),
    N_("Sub-goal: clear bits 63 to 52 and 11 to 0 of the leaf. In a 2 MiB page the offset has 21 bits."),
)

BLANK: Final = Exercise(
    id="04.E1.blank",
    version=1,
    kind="trace",
    shape=Number("gpa"),
    make=one_of(1),
    ask=ask_blank,
    truth=lambda world: world.made[0][0].gpa,
    tested=N_("one address in a 4 KiB page"),
    hints=HINTS,
    wrong=(
        Wrong("byte-not-page", BYTE, "walk", first(as_a_byte), at_leaf),
        Wrong("entry-holds-a-full-address", FULL, "walk", first(as_it_stands), at_leaf),
    ),
    story=E1.story,
    steps=E1.steps,
)

BLANKS: Final = Exercise(
    id="04.E1.blanks",
    version=1,
    kind="trace",
    shape=record(entry=Number("gpa"), gpa=Number("gpa")),
    make=one_of(2),
    ask=ask_blanks,
    truth=lambda world: (entry_of(world), world.made[0][0].gpa),
    tested=N_("one address in a 2 MiB page"),
    hints=HINTS,
    wrong=(
        Wrong("byte-not-page", BYTE, "walk", second(as_a_byte), at_leaf),
        Wrong("entry-holds-a-full-address", FULL, "walk", second(as_it_stands), at_leaf),
        Wrong("large-page-offset-12", SMALL, "walk", second(offset_of_12), lambda facts: facts["large"] > 12),
        Wrong(
            "index-is-bytes",
            N_("an entry has eight bytes: entry k stands 8 * k bytes after the table begins."),
            "walk",
            index_as_bytes,
            at_leaf,
        ),
    ),
    story=E1.story,
    steps=E1.steps,
)
