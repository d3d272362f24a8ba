"""Lesson 05, E3: the two-dimensional walker, against the engine on a thousand hidden worlds."""

from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

from hvlab.hardware.processor import FETCH, READ, USER, WRITE
from hvlab.hardware.second_level import NONE
from hvlab.lab.answer import Number, Plain, Word, record
from hvlab.lab.exercise import Construct, Meter, Wrong
from hvlab.lab.seed import Draw
from hvlab.lab.worlds import LARGE, Ground, Guest, Step, World, draw_gva
from hvlab.language import N_, _
from hvlab.story.walk import story_of
from hvlab.trace.words import ENUMS, say
from hvlab.wire.x64 import Cr0, PageTableEntry

OUTCOMES: Final = ("ok", "page_fault", "ept_violation")
ACCESSES: Final = tuple(int(kind | mode) for kind in (READ, WRITE, FETCH) for mode in (READ, USER))
P, W, U = (PageTableEntry.mask(name) for name in ("present", "writable", "user"))
NX, RIGHTS = PageTableEntry.mask("no_execute"), 7
SECOND_RIGHTS: Final = (0, 1, 3, 5)  # what EPT may grant instead of everything; W without R would be no right at all


def hidden(draw: Draw, k: int) -> World:
    """Draw hidden world k: half of them calm, the rest with a few rights taken away, some GVAs not mapped at all."""
    ground = Ground(draw)
    guest, gva = Guest(ground, near=draw.chance(1, 2)), draw_gva(draw)
    leaf, size = draw.pick((1, 1, 1, 2, 3)), draw.pick((1, 1, 1, 2, 3))
    guest.map(gva, leaf, size, draw.pick((1, 1, 2)))
    words = {spa: word & (1 << 64) - 1 for spa, word in ground.words.items()}
    own = {spa for spa in words if spa & -4096 in guest.tables.values()}
    if draw.chance(1, 2):
        for spa in draw.sample(sorted(words), draw.between(1, 3)):
            words[spa] = worse(draw, words[spa], spa in own)
    if draw.chance(1, 12):
        gva ^= 1 << draw.between(12, 46)
    return World(words, (guest.partition,), gva, draw.pick(ACCESSES))


def worse(draw: Draw, word: int, own: bool) -> int:
    """Take rights from an entry of the guest's, or of the second level."""
    if own:
        return word ^ draw.pick((P, W, W, U, U, NX, NX))
    return word & ~RIGHTS | draw.pick(SECOND_RIGHTS)


def ended(step: Step) -> Plain:
    """Return how an access ended, in the answer's form."""
    if step.outcome == "page_fault":
        return step.outcome, step.detail
    return step.outcome, step.address


def truth(world: World) -> Plain:
    """Return what the engine says."""
    return ended(world.step)


def call(function: Callable[..., Any], world: World, meter: Meter) -> Any:
    """Call the learner's function; it sees memory through a counted read."""
    words, one = dict(world.words), world.guests[0]

    def read(spa: int) -> int:
        """Return the 64-bit word at an SPA; 0 where nothing stands."""
        return meter.read(words.get(int(spa) & ~7, 0))

    return function(read, one.cr3, one.root, world.gva, world.access)


def ask() -> str:
    """Say the task."""
    return _(
        "Write walk(read, cr3, root, gva, access). read(spa) gives the 64-bit word at an SPA, 0 where nothing stands; "
        "cr3 is a GPA, root the SPA of the top EPT table; four levels each, pages of 4 KiB, 2 MiB, 1 GiB. access adds "
        "up 2 write, 4 user, 16 fetch; CR0.WP and EFER.NXE are set, SMEP and SMAP are not; the guest's A and D "
        "are set, EPT keeps none of its own: to look up a guest's table takes the right to read, no more.\n"
        "Return ('ok', spa), ('page_fault', error_code) or ('ept_violation', gpa), the GPA that was looked up, to the "
        "byte. EPT rights are judged at the leaf, over all entries used.\n"
        "check('05.E3', walk) runs it in 1,000 hidden worlds."
    )


def tell_case(world: World) -> str:
    """Say what a case is about."""
    one = world.guests[0]
    return _("{kind} of {gva}, cr3 {cr3}, root {root}.").format(
        kind=ENUMS["access"][world.access] if world.access in ENUMS["access"] else _("fetch"),
        gva=say("gva", world.gva), cr3=say("gpa", one.cr3), root=say("spa", one.root),
    )  # fmt: skip


def tested(worlds: list[World]) -> str:
    """Say what was tested."""
    large = sum(any(word & LARGE and word & P for word in world.words.values()) for world in worlds)
    refused = sum(not world.step.ok for world in worlds)
    return _(
        "{count} worlds, {large} with large pages, {refused} that refuse the access; "
        "not tested: 5 levels, AMD, reserved bits"
    ).format(count=f"{len(worlds):,}", large=large, refused=refused)


def race(worlds: list[World]) -> float:
    """Return the seconds that the engine takes for as many accesses, each a walk."""
    bare, gvas = worlds[0].bare(), [worlds[0].gva] * len(worlds)
    bare.run(gvas[:1], [worlds[0].access])
    begun = perf_counter()
    bare.run(gvas, [worlds[0].access] * len(worlds))
    return perf_counter() - begun


# wrong models: the engine in a machine that works as the idea has it -------------------------------------------------


def alone(world: World) -> Plain:
    """The guest's tables alone: a GPA is an SPA; where nothing stands, an entry is not present."""
    bare = world.bare()
    bare.set(second_level=int(NONE))
    step = world.run(bare)
    return ended(step) if step.outcome != "memory_missing" else ("page_fault", world.access & int(WRITE | USER | FETCH))


def one_after_the_other(world: World) -> Plain:
    """The guest's walk as on a machine of its own, then one second-level walk of what it gives."""
    first = alone(world)
    if first[0] != "ok":
        return first
    bare = world.bare()
    bare.set(cr0=Cr0.mask("protection"))
    below = World(world.words, world.guests, first[1], world.access & ~int(USER), world.accessed_dirty)
    return ended(below.run(bare))


def without_the_last(world: World) -> Plain:
    """All but the second-level walk of the data page."""
    step = world.step
    if step.ok:
        return "ok", step.last()["gpa"]
    rows = list(step.trace.of("ept_violation_raised"))
    if rows and step.trace.fact(rows[0], "guest_level") == 0:
        return "ok", step.address
    return ended(step)


def as_page_fault(world: World) -> Plain:
    """What the second level refuses, raised in the guest."""
    step = world.step
    if step.outcome != "ept_violation":
        return ended(step)
    present = 1 if step.detail >> 3 & RIGHTS else 0
    return "page_fault", present | world.access & int(WRITE | USER | FETCH)


def by_the_leaf(world: World) -> Plain:
    """The rights of leaves only: every entry above them grants all."""
    words = dict(world.words)
    for k, name in enumerate(world.step.trace.kinds()):
        facts = world.step.trace.facts(k)
        spa, level = facts.get("spa", 0), facts.get("level", 0)
        if name == "table_entry_read" and level > 1 and not words.get(spa, 0) & LARGE and words.get(spa, 0) & P:
            words[spa] = words[spa] & ~NX | W | U
        if (
            name == "second_level_entry_read"
            and level > 1
            and not words.get(spa, 0) & LARGE
            and words.get(spa, 0) & RIGHTS
        ):
            words[spa] |= RIGHTS
    return ended(World(words, world.guests, world.gva, world.access).step)


def steps() -> list[str]:
    """Return where a walker stands that can be read."""
    return [
        _("The engine's own walker is there to be read: source('hardware.processor.walk') reads the guest's tables,"),
        _("source('hardware.second_level.second_level_walk') walks below each of them. Without caches and traces they"),
        _("are these steps: index, fetch entry (through the second level), check rights, descend, deliver."),
    ]


E3: Final = Construct(
    id="05.E3",
    version=1,
    shape=record(outcome=Word(OUTCOMES), number=Number("hex")),
    make=hidden,
    ask=ask,
    truth=truth,
    call=call,
    tell=tell_case,
    story=lambda world: story_of(world.step.trace),
    tested=tested,
    steps=steps,
    budget=64,
    race=race,
    hints=(
        N_("Write second(gpa) first: it walks EPT and gives an SPA, or says that a right is missing."),
        N_("Sub-goal: read each of the guest's entries at second(table + 8 * index); the page needs it once more."),
    ),
    wrong=(
        Wrong(
            "one-after-the-other",
            N_("the guest's tables lie at GPAs, and each read of one goes through EPT first."),
            "ept-walk",
            one_after_the_other,
        ),
        Wrong(
            "forgot-the-last",
            N_("the address in the guest's leaf is a GPA, and EPT has not been asked about it yet."),
            "ept-walk",
            without_the_last,
        ),
        Wrong(
            "iommu-does-it",
            N_("no device takes part: the processor itself walks EPT, for tables and data."),
            "ept-walk",
            alone,
        ),
        Wrong(
            "violation-is-page-fault",
            N_("what EPT refuses leaves the guest as an EPT violation with its GPA."),
            "ept-violation",
            as_page_fault,
        ),
        Wrong(
            "leaf-decides",
            N_("a right counts only if every entry on the way grants it, in both levels of tables."),
            "walk",
            by_the_leaf,
        ),
    ),
)
