"""Lesson 05, E2: of some thirty entries one has a wrong bit. Which entry, and which bit?"""

from functools import lru_cache
from typing import Final

from hvlab.hardware.processor import FETCH, READ, USER, WRITE
from hvlab.lab.answer import Number, Plain, record
from hvlab.lab.exercise import Exercise, NoWorld, Wrong
from hvlab.lab.seed import Draw
from hvlab.lab.tell import lines_of
from hvlab.lab.worlds import Ground, Guest, Look, World, draw_gva, named
from hvlab.language import N_, _
from hvlab.story.walk import story_of
from hvlab.trace.words import ENUMS, say
from hvlab.wire.x64 import EptEntry, PageTableEntry

ADDRESS: Final = (1 << 52) - 1
OWN, SECOND = "table_entry_read", "second_level_entry_read"
BIT_OF: Final = {int(READ): 2, int(WRITE): 1, int(FETCH): 63}  # what the guest's tables need to grant, beside P
OWN_BITS: Final = (0, 1, 2, 63)  # P, W, U, NX
SECOND_BITS: Final = (0, 1, 2)  # R, W, X
PAGES, FEWEST = 3, 24  # pages of the guest; words that the dump has at least


def broken(draw: Draw) -> World:
    """Draw a guest of three pages, and break the walk to one of them by one bit that alone repairs it."""
    for _attempt in range(100):
        world = sound(draw)
        if len(world.words) < FEWEST or not world.step.ok:
            continue
        rows = [k for k, name in enumerate(world.step.trace.kinds()) if name in (OWN, SECOND)]
        row = draw.pick(rows)
        words = world.step.trace.facts(row)
        bit = draw.pick(OWN_BITS if world.step.trace.event(row).name == OWN else SECOND_BITS)
        refused = world.changed(words["spa"], words["entry"] & (1 << 64) - 1 ^ 1 << bit)
        if not refused.step.ok and len(repairs(refused)) == 1:
            return refused
    raise NoWorld("05.E2: nothing that one bit repairs, in 100 draws")


def sound(draw: Draw) -> World:
    """Draw a guest of three pages that lets the access through; what it does not need is drawn at random."""
    ground = Ground(draw)
    guest, gva = Guest(ground), draw_gva(draw)
    guest.map(gva, draw.pick((1, 1, 2)), draw.pick((1, 2)))
    for _page in range(1, PAGES):
        guest.map(gva ^ draw.between(1, 511) << draw.pick((12, 21, 30)), 1, 1)
    access = draw.pick((int(READ), int(WRITE), int(FETCH))) | int(USER)
    world = World(ground.words, (guest.partition,), gva, access, accessed_dirty=True)
    translated = world.step.address
    words = dict(ground.words)
    for k, name in enumerate(world.step.trace.kinds()):
        facts = world.step.trace.facts(k)
        if name == OWN and not access & int(FETCH) and draw.chance(1, 3):
            words[facts["spa"]] |= PageTableEntry.mask("no_execute")
        if name == OWN and access == int(READ | USER) and draw.chance(1, 4):
            words[facts["spa"]] &= ~PageTableEntry.mask("writable")
        if name == SECOND and not access & int(FETCH) and draw.chance(1, 3):
            words[facts["spa"]] &= ~EptEntry.mask("execute")
    return World(words, world.guests, gva, access, True, {"spa": translated})


@lru_cache(maxsize=64)
def repairs(world: World) -> tuple[tuple[int, int], ...]:
    """Let the engine try each bit of each entry that the walk reads: return those that lead to the page again."""
    found, bare = [], world.bare()
    for k, name in enumerate(world.step.trace.kinds()):
        if name not in (OWN, SECOND):
            continue
        words = world.step.trace.facts(k)
        spa, entry = words["spa"], words["entry"]
        for bit in OWN_BITS if name == OWN else SECOND_BITS:
            bare.memory.write64(spa, entry ^ (1 << bit))
            fault, where = bare.run([world.gva], [world.access])
            if not int(fault[0]) and int(where[0]) == world.more["spa"]:
                found.append((spa, bit))
        bare.memory.write64(spa, entry)
    return tuple(found)


def ask(world: World) -> str:
    """Say the task."""
    one = world.guests[0]
    kind = ENUMS["access"][world.access]
    return _(
        "Yesterday a {kind} of the GVA {gva} led to the SPA {spa}. Since then one bit of one entry has changed; today "
        "the same access ends with: {fault}. CR3 {cr3}, EPT from {root}, its A and D bits are kept: every access to a "
        "table of the guest counts as a write. Give the entry's SPA and the number of its bit (0 to 63). "
        "Every word of memory that is not 0:\n{dump}"
    ).format(
        kind=kind, gva=say("gva", world.gva), spa=say("spa", world.more["spa"]), fault=named(world.step),
        cr3=say("gpa", one.cr3), root=say("spa", one.root), dump=world.dump(),
    )  # fmt: skip


def in_the_guest(world: World) -> Plain | None:
    """Return where one looks who takes what the second level refused for a page fault: the guest's last entry."""
    rows = list(world.step.trace.of(OWN))
    if world.step.outcome == "page_fault" or not rows:
        return None
    return world.step.trace.fact(rows[-1], "spa"), BIT_OF[world.access & ~int(USER)]


def by_its_gpa(world: World) -> Plain | None:
    """Return the entry by the address that the guest has for it."""
    spa, bit = repairs(world)[0]
    rows = (world.step.trace.facts(k) for k in world.step.trace.of(OWN))
    gpa = next((words["gpa"] for words in rows if words["spa"] == spa), spa)
    return (gpa, bit) if gpa != spa else None


def at_the_leaf(world: World) -> Plain | None:
    """Return the same bit in the last entry of the same kind: the leaf where one stands above it."""
    spa, bit = repairs(world)[0]
    for name in (OWN, SECOND):
        found = [world.step.trace.facts(k) for k in world.step.trace.of(name)]
        mine = next((words for words in found if words["spa"] == spa), None)
        if mine is not None:
            same = [words for words in found if words.get("guest_level") == mine.get("guest_level")]
            return (same[-1]["spa"], bit) if same[-1]["spa"] != spa else None
    return None


E2: Final = Exercise(
    id="05.E2",
    version=1,
    kind="compute",
    shape=record(spa=Number("spa", high=ADDRESS), bit=Number(high=63)),
    make=broken,
    ask=ask,
    truth=lambda world: repairs(world)[0],
    tested=N_("one changed bit; the engine tried P, W, U, NX, R, W, X of every entry that the walk reads"),
    hints=(
        N_("Phase *check rights*: which level of tables stopped the walk, the guest's or the second? The fault tells."),
        N_("Sub-goal: walk until the entry that the fault is about; then ask what each entry above it takes away."),
    ),
    wrong=(
        Wrong(
            "violation-is-page-fault",
            N_("the guest's own tables are as they were: what stopped this walk is the hypervisor's second level."),
            "ept-violation",
            in_the_guest,
            lambda facts: facts["fault"] > 2,
            N_("Who hears of it: the guest's kernel by #PF, or the hypervisor by an exit?"),
        ),
        Wrong(
            "named-the-gpa",
            N_("this is the entry's GPA, where the guest finds it; its SPA is asked, where it lies in memory."),
            "ept-walk",
            by_its_gpa,
            None,
            N_("Which tables lead from this number to memory?"),
        ),
        Wrong(
            "leaf-decides",
            N_("this is the leaf. A right counts only if every entry above the leaf grants it, too."),
            "walk",
            at_the_leaf,
            None,
            N_("Read the leaf once more: is the right missing in it?"),
        ),
    ),
    story=lambda world: story_of(world.step.trace),
    steps=lambda world: [*lines_of(story_of(world.step.trace)), mended(world)],
    look=Look,
)


def mended(world: World) -> str:
    """Say which bit it is."""
    spa, bit = repairs(world)[0]
    return _("Flip bit {bit} of the entry at SPA {spa}, and the access leads to its page again.").format(
        bit=bit, spa=say("spa", spa)
    )
