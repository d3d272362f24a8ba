"""Lesson 01, exercises: Windows itself runs in a partition."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hvlab.lab.answer import Collection, Number, Plain
from hvlab.lab.exercise import Exercise, World, Wrong, in_own_words
from hvlab.lab.items.e01_dump import BITS, BLANK, BLANKS, E1, HALF, REAL, SWAPPED, swapped
from hvlab.lab.permits import BY_CODE, CALLS, CHILD, PARENT_OR_SELF, REGISTERS, ROOT, Permit, allowed, least
from hvlab.lab.seed import Draw
from hvlab.language import N_, _
from hvlab.trace.words import grouped
from hvlab.wire.tlfs import PrivilegeMask

RELATION: Final = N_("a call may ask for being the parent, or the root: no bit of a mask gives that.")
# E2: two masks -------------------------------------------------------------------------------------------------------

TRAPS: Final = PrivilegeMask.mask("access_memory_pool", "cpu_management")
TOSSED: Final = tuple(sorted({one.bit for one in CALLS if one.bit >= 0 and one.related(CHILD)}))


def two_masks(draw: Draw) -> World:
    """Draw two masks from those of two real guests, with some bits turned; some bits of A need a relation besides."""
    first, second = draw.shuffled(REAL)
    flip = [sum(1 << bit for bit in draw.sample(TOSSED, draw.between(3, 5))) for _k in range(2)]
    return (first ^ flip[0]) | TRAPS, (second ^ flip[1]) & ~TRAPS


def only_a(world: World, allows: Callable[[Permit, int], bool]) -> Plain:
    """Codes of the calls that A may make and B may not, by some rule."""
    first, second = world
    return tuple(one.code for one in CALLS if allows(one, first) and not allows(one, second))


def by_mask(one: Permit, mask: int) -> bool:
    """The rule that looks at bits alone."""
    return one.given(mask)


E2: Final = Exercise(
    id="01.E2",
    version=1,
    kind="compute",
    shape=Collection(Number("hex", high=0xFFFF)),
    make=two_masks,
    ask=lambda world: _(
        "Two children, A and B; each names itself in every call.\n  A: {first}\n  B: {second}\n"
        "Which of the {count} calls that inspect(0) lists may A make and B not? Give their codes, in any order."
    ).format(first=grouped(world[0], 16), second=grouped(world[1], 16), count=len(CALLS)),
    truth=lambda world: tuple(code for code in allowed(world[0]) if code not in allowed(world[1])),
    tested=N_("forty calls, one pair of masks; not tested: what the parent may do for a child"),
    hints=(
        N_("In which bits do the two masks differ, and which calls ask for those bits?"),
        N_("Sub-goal: take one such call. Does it ask for anything besides the bit?"),
    ),
    wrong=(
        Wrong("mask-alone-decides", RELATION, "hypercall-denied", lambda world: only_a(world, by_mask),
              asks=N_("Whose parent is a child that names itself?")),
        Wrong("all-of-a", N_("calls that B may make as well are left out."), "hypercall-denied",
              lambda world: tuple(allowed(world[0]))),
        Wrong("halves-swapped", SWAPPED, "discovery",
              lambda world: only_a((swapped(world[0]), swapped(world[1])), lambda one, mask: one.allows(mask, CHILD))),
    ),
    steps=lambda world: [f"{code:#06x} {BY_CODE[code].name}: bit {BY_CODE[code].bit}"
                         for code in allowed(world[0]) if code not in allowed(world[1])],
)  # fmt: skip


# E3: the smallest mask -----------------------------------------------------------------------------------------------

FIRST: Final = REGISTERS[0]


@dataclass(frozen=True)
class Script:
    """What the software of the root does, line by line."""

    lines: tuple[Permit, ...]

    def finishes(self, mask: int) -> bool:
        """Whether every line is allowed to a root with this mask."""
        return all(line.allows(mask, ROOT) for line in self.lines)

    def tell(self) -> str:
        told = (_("uses register") if line.code >> 16 else _("calls") for line in self.lines)
        return "\n".join(f"  {k}: {how} {line.code:#x} {line.name}" for k, (how, line) in
                         enumerate(zip(told, self.lines, strict=True)))  # fmt: skip


LIFE: Final = tuple(one for one in CALLS if not one.privilege and one.caller != "anyone")
FREE: Final = tuple(one for one in CALLS if not one.privilege and one.caller == "anyone")
ASKING: Final = tuple(one for one in CALLS if one.privilege and one.caller != PARENT_OR_SELF)
USED: Final = tuple(one for one in REGISTERS[1:] if one.name != "RESET")


def script(draw: Draw) -> World:
    """Draw a script of the root: registers, calls that ask for a bit, and calls that ask for a relation alone."""
    lines = draw.sample(USED, 3) + draw.sample(ASKING, 4) + draw.sample(LIFE, 2) + [draw.pick(FREE)]
    return Script((FIRST, *draw.shuffled(lines)))


def one_bit_each(world: Script) -> Plain:
    """The idea that each call of the partition's life has a bit, too."""
    more = PrivilegeMask.mask("create_partitions", "access_memory_pool")
    return least(world.finishes) | more


E3: Final = Exercise(
    id="01.E3",
    version=1,
    kind="construct",
    shape=Number("hex"),
    make=script,
    ask=lambda world: _(
        "The root's software does this, for a child of its own where a partition is named:\n{lines}\n"
        "Give the smallest privilege mask, 64 bits, with which every line is allowed. inspect(mask, who='root') helps."
    ).format(lines=world.tell()),
    truth=lambda world: least(world.finishes),
    tested=N_("one script; each bit was taken away in turn, and the script run again"),
    hints=(
        N_("Which lines ask for a bit, and which only for being the parent?"),
        N_("Sub-goal: write the bit of line 0. Registers have bits below 32, calls from 32 on."),
    ),
    wrong=(
        Wrong("mask-alone-decides", RELATION, "hypercall-denied", one_bit_each),
        Wrong("halves-swapped", SWAPPED, "discovery", lambda world: swapped(least(world.finishes))),
        Wrong(
            "calls-only",
            N_("synthetic registers are behind bits of the same mask; the call page is one of them."),
            "msr-write", lambda world: least(world.finishes) >> 32 << 32,
        ),
    ),
    steps=lambda world: [f"{k}: {line.name}: {'bit ' + str(line.bit) if line.privilege else 'no bit'}"
                         for k, line in enumerate(world.lines)],
)  # fmt: skip


# exit and warm-up ----------------------------------------------------------------------------------------------------


def some_calls(draw: Draw) -> World:
    """Draw a mask, and eight calls of a child about itself."""
    mask = draw.pick(REAL) ^ sum(1 << bit for bit in draw.sample(TOSSED, 3)) | TRAPS
    calls = draw.sample(LIFE, 2) + draw.sample(ASKING, 4) + draw.sample(FREE, 2)
    return mask, tuple(draw.shuffled(calls))


def count(who: str) -> Callable[[World], Plain]:
    """Return how many of the calls are allowed."""
    return lambda world: sum(one.allows(world[0], who) for one in world[1])


def counting(id: str, kind: str) -> Exercise:
    """Return the question for the number of calls that succeed."""
    return Exercise(
        id=id, version=1, kind=kind, shape=Number(high=99), make=some_calls,
        ask=lambda world: _("A child has the mask {mask} and names itself in each of these calls: {calls}. "
                            "How many are not refused?").format(
            mask=grouped(world[0], 16),
            calls=", ".join(f"{one.name} ({_asks(one)})" for one in world[1]),
        ),
        truth=count(CHILD),
        tested=N_("one mask, eight calls"),
        hints=(N_("A call may ask for a bit, a relation, both, or nothing."), N_("Is a child its own parent?")),
        wrong=(
            Wrong("mask-alone-decides", RELATION, "hypercall-denied",
                  lambda world: sum(one.given(world[0]) for one in world[1])),
            Wrong("a-child-may-not-call", N_("what a guest needs for its own work is open to it."), "hypercall-denied",
                  lambda world: 0),
        ),
    )  # fmt: skip


def _asks(one: Permit) -> str:
    parts = [_("bit {bit}").format(bit=one.bit) if one.privilege else "", one.caller if one.caller != "anyone" else ""]
    return " + ".join(part for part in parts if part) or _("nothing")


def halves(draw: Draw) -> World:
    """Draw the two registers of leaf 0x40000003."""
    mask = draw.pick(REAL) ^ sum(1 << bit for bit in draw.sample(BITS, 5))
    return mask & HALF, mask >> 32


SHORTS: Final = (
    Exercise(
        id="01.short.mask", version=1, kind="recall", shape=Number("hex"), make=halves,
        ask=lambda world: _("CPUID 0x40000003 answers EAX {eax:#x}, EBX {ebx:#x}. Which 64-bit privilege mask is that?")
        .format(eax=world[0], ebx=world[1]),
        truth=lambda world: world[1] << 32 | world[0],
        tested=N_("one mask"),
        hints=(N_("One register is the low half."), N_("CreatePartitions is bit 32, and EBX bit 0.")),
        wrong=(Wrong("halves-swapped", SWAPPED, "discovery", lambda world: world[0] << 32 | world[1]),),
    ),
    counting("01.short.calls", "recall"),
)  # fmt: skip
X1: Final = counting("01.X1", "exit")
X2: Final = in_own_words(
    "01.X2",
    N_("The overview says: there is at least one parent, or root, partition, running Windows. Correct the sentence."),
)

EXERCISES: Final = (BLANK, BLANKS, E1, E2, E3, X1, X2)
