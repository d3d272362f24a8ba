"""Lesson 04, exercises: a guest address is four indexes and an offset."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from hvlab.hardware.processor import FETCH, READ, USER, WRITE
from hvlab.lab.answer import Listed, Number, Plain, Sentence
from hvlab.lab.exercise import Exercise, Facts, World, Wrong
from hvlab.lab.items.e04_map import E3, free_frames, other, page_of
from hvlab.lab.items.e04_refused import E2
from hvlab.lab.own_tables import FRAME, LETTERS, MASK, OPEN, PAGE, PRESENT, Builder, Ended, Tables, shift_of
from hvlab.lab.seed import Draw
from hvlab.lab.worlds import Ground, Guest, draw_gva
from hvlab.lab.worlds import World as Nested
from hvlab.language import N_, _
from hvlab.story.tell import told
from hvlab.story.walk import story_of
from hvlab.trace.journal import Trace
from hvlab.trace.words import ENUMS, say

W, U, NX = LETTERS["W"], LETTERS["U"], LETTERS["N"]
A, D, G = LETTERS["A"], LETTERS["D"], LETTERS["G"]
LOAD: Final = int(READ | USER)
PAGES: Final = {1: "4 KiB", 2: "2 MiB", 3: "1 GiB"}


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


def at_leaf(facts: Facts) -> bool:
    """Whether a frame shows that a leaf was read."""
    return facts["gives"] == 5


BYTE: Final = N_("the bits 51 to 12 are a page number: the page begins at 4,096 times that.")
FULL: Final = N_("only bits 51 to 12 of an entry are the address; the rest are flags and have to be cleared.")

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
            N_("the offset has 21 bits in a 2 MiB page and 30 in a 1 GiB page: what is no index belongs to it."),
            "walk",
            each(lambda gva, level, entry: entry & FRAME & -(1 << shift_of(level)) | gva & PAGE - 1),
            lambda facts: facts["large"] > 12,
        ),
    ),
    story=lambda world: story_of(world.made[1]),
    steps=lambda world: told(story_of(world.made[1])).splitlines(),
    look=lambda world: world.tables,
)  # fmt: skip


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

X2: Final = Exercise(
    id="04.X2",
    version=1,
    kind="exit",
    shape=Sentence(),
    make=lambda draw: {},
    ask=lambda world: _(
        'The overview says that a partition has a private "virtual memory address region". Correct the sentence in '
        "your own words: which address space is private, and who makes the virtual ones?"
    ),
    truth=lambda world: "",
    tested=N_("nothing: it is kept for your teacher"),
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

EXERCISES: Final = (E1, E2, E3, X1, X2)
