"""Lesson 04, E2: six accesses are refused. At which level does each walk stop, and with which error code?"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from hvlab.hardware.processor import FETCH, READ, USER, WRITE
from hvlab.lab.answer import Listed, Number, Plain, record
from hvlab.lab.exercise import Exercise, Facts, Wrong
from hvlab.lab.items.e04_map import free_frames, page_of
from hvlab.lab.own_tables import KEY, LETTERS, OPEN, PHYS_BITS, PRESENT, Builder, Ended, Tables, shift_of
from hvlab.lab.seed import Draw
from hvlab.lab.tell import lines_of
from hvlab.language import N_, _
from hvlab.story.walk import story_of
from hvlab.trace.journal import Trace
from hvlab.trace.words import ENUMS, say

W, U, NX = LETTERS["W"], LETTERS["U"], LETTERS["N"]
A, D, G = LETTERS["A"], LETTERS["D"], LETTERS["G"]
P_CODE, RESERVED_CODE = 1, 8
USUAL: Final = {"smep": 1, "smap": 1, "pke": 1}
ALLOWED: Final = (0, 0)
Access = tuple[int, int]  # GVA, kind


@dataclass(frozen=True)
class Case:
    """How one access is refused: its kind, the leaf's bits, and which entry is changed how."""

    access: int
    leaf: int
    level: int = 0
    put: int = 0
    take: int = 0


@dataclass(frozen=True, eq=False)
class Six:
    """Tables, and the accesses in order."""

    tables: Tables
    accesses: tuple[Access, ...]
    key: int

    @cached_property
    def made(self) -> tuple[list[Ended], Trace]:
        """What the engine makes of all accesses."""
        return self.tables.run(self.accesses)


def make(draw: Draw) -> Six:
    """Draw six accesses, each refused for another reason."""
    builder, key = Builder(free_frames(draw)), draw.between(1, 15)
    accesses = []
    for top, case in zip(draw.sample(range(1, 255), 6), draw.shuffled(reasons(draw, key)), strict=True):
        gva = top << shift_of(4) | draw.bits(39)
        size = draw.pick((1, 1, 2)) if case.level != 1 else 1
        builder.map(gva, page_of(draw, size), case.leaf, size, OPEN | A)
        for level, at, entry in builder.tables().path(gva):
            if level == case.level:
                builder.words[at] = (entry | case.put) & ~case.take
        accesses.append((gva, case.access))
    return Six(builder.tables(**USUAL, pkru=2 << 2 * key), tuple(accesses), key)


def reasons(draw: Draw, key: int) -> list[Case]:
    """Draw a case of each reason: missing, reserved, upper entry, fetch, kernel, key."""
    user, seen = int(USER), U | A | draw.pick((0, G))
    upper = draw.between(2, 4)
    kinds, odd = (user, user | int(WRITE)), 1 << draw.between(PHYS_BITS, 51)
    missing = Case(draw.pick(kinds), seen | W, draw.between(1, 4), take=PRESENT)
    reserved = Case(draw.pick(kinds), seen | W | D, draw.between(1, 4), put=odd)
    above = draw.pick(
        (Case(user | int(WRITE), seen | W | D, upper, take=W), Case(user | int(READ), seen | W, upper, take=U))
    )
    fetch = draw.pick((Case(user | int(FETCH), seen, upper, put=NX), Case(int(FETCH), seen | W)))
    kernel = draw.pick((Case(int(WRITE), A | G), Case(int(READ), seen | W), Case(int(WRITE), seen | W | D)))
    locked = Case(user | int(WRITE), seen | W | D | key << KEY)
    return [missing, reserved, above, fetch, kernel, locked]


def truth(six: Six) -> Plain:
    """Return what the engine says."""
    return tuple((one.level, one.code) for one in six.made[0])


def ask(six: Six) -> str:
    """Say the task."""
    lines = []
    for number, (gva, kind) in enumerate(six.accesses):
        entries = ", ".join(f"{level}: {say('hex', entry)}" for level, _at, entry in six.tables.path(gva))
        what = ENUMS["access"][kind] if kind & int(USER) else _("kernel {kind}").format(kind=ENUMS["access"][kind])
        lines.append(f"  {number}  {what} of {say('gva', gva)}\n     {entries}")
    return _(
        "Six accesses. CR0.WP, EFER.NXE, SMEP, SMAP and PKE are on, AC is off; PKRU forbids writes to key {key}; "
        "addresses have 46 bits. Below each access stands what its address leads to, level by level, even past an "
        "entry that stops the walk. For each: the level whose entry the walk read last, and the error code of the #PF. "
        "If you think that an access is allowed: level 0, code 0.\n{lines}"
    ).format(key=six.key, lines="\n".join(lines))


# wrong models ---------------------------------------------------------------------------------------------------------


def opened(six: Six) -> Six:
    """Return the same accesses, where every entry above a leaf grants everything."""
    words = dict(six.tables.words)
    for gva, _kind in six.accesses:
        for _level, at, entry in six.tables.path(gva)[:-1]:
            words[at] = entry & ~NX | OPEN
    return Six(Tables(words, six.tables.root, 4, six.tables.knobs), six.accesses, six.key)


def by_the_leaf(six: Six) -> Plain:
    """Return what the engine makes of them then."""
    return tuple((one.level, one.code) if not one.ok else ALLOWED for one in opened(six).made[0])


def coded(change: int, only: int = 0) -> Callable[[Six], Plain]:
    """Return the truth with bits of the error code turned, where the code has the bits `only`."""
    return lambda six: tuple((level, code ^ change if code & only == only else code) for level, code in truth(six))


def at_the_first_refusal(six: Six) -> Plain:
    """The level of the first entry that lacks a right, as if each level were judged when it is read."""
    found = []
    for (level, code), (gva, kind) in zip(truth(six), six.accesses, strict=True):
        judged = code & P_CODE and not code & RESERVED_CODE
        refusing = [at for at, _gpa, entry in six.tables.path(gva) if judged and refuses(entry, kind)]
        found.append((refusing[0] if refusing else level, code))
    return tuple(found)


def refuses(entry: int, kind: int) -> bool:
    """Whether an entry alone refuses an access of the user's, or a kernel's write."""
    if kind & int(FETCH) and entry & NX:
        return True
    return bool(kind & int(USER) and not entry & U or kind & int(WRITE) and not entry & W)


def rights_taken(facts: Facts) -> bool:
    """Whether the entries read so far take a right away."""
    return facts["reads"] > 0 and not (facts["guest_w"] and facts["guest_u"] and facts["guest_x"])


E2: Final = Exercise(
    id="04.E2",
    version=1,
    kind="compute",
    shape=Listed(record(level=Number(high=5), code=Number("hex", high=0xFFFF)), 6, "access"),
    make=make,
    ask=ask,
    truth=truth,
    tested=N_("six accesses of 4 levels, pages of 4 KiB and 2 MiB; not tested: 5 levels, WP or NXE off"),
    hints=(
        N_("Phase *check rights*: P and reserved bits are looked at entry by entry; rights once the leaf is known."),
        N_("Sub-goal: for each access write down P, W, U and NX of every entry, and join them: one refusal counts."),
    ),
    wrong=(
        Wrong(
            "leaf-decides",
            N_("an entry above the leaf takes a right away; a right counts only if every level grants it."),
            "page-fault",
            by_the_leaf,
            rights_taken,
            N_("May a user write below a level-3 entry with W=0?"),
            lambda six: story_of(opened(six).made[1]),
        ),
        Wrong(
            "reserved-bit-is-not-present",
            N_("an entry with a reserved bit is present: the code has RSVD (8) together with P (1)."),
            "page-fault",
            coded(P_CODE, RESERVED_CODE),
            lambda facts: facts["fault"] == 1 and facts["c3"] == 1,
            N_("The entry has P=1 and a reserved bit. Was an entry missing?"),
        ),
        Wrong(
            "p-means-missing",
            N_("bit 0 of the code is 1 when all entries were present and a right was missing, else 0."),
            "page-fault",
            coded(P_CODE),
            lambda facts: facts["fault"] == 1,
            N_("A page is not mapped at all, and a user program reads it: is the code 4 or 5?"),
        ),
        Wrong(
            "stops-at-the-first-refusal",
            N_("rights are joined on the way and judged at the leaf; only a missing or malformed entry stops a walk."),
            "page-fault",
            at_the_first_refusal,
            rights_taken,
            N_("Level 3 has W=0, level 2 has P=0. Which code has a write?"),
        ),
    ),
    story=lambda six: story_of(six.made[1]),
    steps=lambda six: lines_of(story_of(six.made[1])),
    look=lambda six: six.tables,
)
