"""Lesson 01, exercises: Windows itself runs in a partition."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hvlab.lab.answer import Collection, Number, Plain, Sentence, record
from hvlab.lab.discovery import LEAVES, Leaves
from hvlab.lab.exercise import Exercise, World, Wrong
from hvlab.lab.permits import BY_CODE, CALLS, CHILD, PARENT_OR_SELF, REGISTERS, ROOT, Permit, allowed, least
from hvlab.lab.seed import Draw
from hvlab.language import N_, _
from hvlab.trace.words import grouped
from hvlab.wire import cpuid
from hvlab.wire.cpuid import HardwareBits, RecommendationBits
from hvlab.wire.tlfs import GUEST_PRIVILEGES, PrivilegeMask

HALF: Final = (1 << 32) - 1
REAL: Final = (GUEST_PRIVILEGES, 0x30_0000_0AFF)  # two boot logs: a WSL2 guest, a guest of KVM
BITS: Final = tuple(one.lo for one in PrivilegeMask.fields)
RELATION: Final = N_("a call may ask for being the parent, or the root: no bit of a mask gives that.")
SWAPPED: Final = N_("EAX of leaf 0x40000003 is the mask's low half, bits 31 to 0; EBX is the high half.")


def swapped(mask: int) -> int:
    """Exchange the halves of a mask."""
    return mask >> 32 | (mask & HALF) << 32


# E1: a CPUID dump ----------------------------------------------------------------------------------------------------

DECODED: Final = record(
    hyperv=Number(high=1), build=Number(high=HALF), privileges=Number("hex"), hints=Collection(Number(high=63)),
    hardware=Collection(Number(high=63)),
)  # fmt: skip
OTHERS: Final = (b"Linux KVM Hv", b"KVMKVMKVM\0\0\0", b"HvlabHvlab\0\0")
NOT_IT: Final = (b"Hv#0", b"Xv#1", b"\0\0\0\0")


def word(data: bytes) -> int:
    return int.from_bytes(data, "little")


def dump(draw: Draw) -> World:
    """Draw eight leaves in which vendor and interface tell two different stories."""
    conforms = draw.chance(1, 2)
    vendor = draw.pick(OTHERS) if conforms else cpuid.VENDOR_NAME
    interface = cpuid.INTERFACE_NAME if conforms else draw.pick(NOT_IT)
    mask = draw.pick(REAL) ^ sum(1 << bit for bit in draw.sample(BITS, 6))
    hints = sum(1 << bit for bit in draw.sample([one.lo for one in RecommendationBits.fields], draw.between(4, 8)))
    hardware = sum(1 << bit for bit in draw.sample([one.lo for one in HardwareBits.fields], draw.between(3, 6)))
    names = [word(vendor[k : k + 4]) for k in (0, 4, 8)]
    rows: dict[int, tuple[int, int, int, int]] = {
        cpuid.PRESENT_LEAF: (draw.bits(24), draw.bits(32), cpuid.HYPERVISOR_PRESENT | draw.bits(28), draw.bits(32)),
        cpuid.VENDOR: (cpuid.HARDWARE + draw.below(4), names[0], names[1], names[2]),
        cpuid.INTERFACE: (word(interface), 0, 0, 0),
        cpuid.VERSION: (draw.between(9200, 26100), 0x000A0000, draw.below(4), draw.bits(16)),
        cpuid.FEATURES: (mask & HALF, mask >> 32, draw.below(8), draw.bits(31)),
        cpuid.RECOMMENDATIONS: (hints, draw.between(1, 4096), draw.between(39, 52), 0),
        cpuid.LIMITS: (draw.between(8, 240), draw.between(8, 320), draw.between(100, 4000), 0),
        cpuid.HARDWARE: (hardware, 0, 0, 0),
    }
    return Leaves(tuple((leaf, rows[leaf]) for leaf in LEAVES))


def in_use(world: Leaves) -> tuple[int, ...]:
    """The numbers among 3, 4, 5 that leaf 0x40000006 sets: SLAT, DMA remapping, interrupt remapping."""
    found = HardwareBits.decode(world[cpuid.HARDWARE][0])
    known = ("second_level", "dma_remapping", "interrupt_remapping")
    return tuple(HardwareBits.lo(name) for name in known if getattr(found, name))


def set_bits(value: int) -> tuple[int, ...]:
    return tuple(bit for bit in range(64) if value >> bit & 1)


def decoded(world: Leaves, hyperv: int | None = None, mask: int | None = None, shift: int = 0) -> Plain:
    """The answer, or what a wrong idea makes of it."""
    conforms = int(world[cpuid.INTERFACE][0] == word(cpuid.INTERFACE_NAME))
    return (
        conforms if hyperv is None else hyperv,
        world[cpuid.VERSION][0],
        world.privileges if mask is None else mask,
        tuple(bit + shift for bit in set_bits(world[cpuid.RECOMMENDATIONS][0])),
        tuple(bit + shift for bit in in_use(world)),
    )


def by_vendor(world: Leaves) -> int:
    """Whether the vendor's name is Microsoft's."""
    return int(b"".join(part.to_bytes(4, "little") for part in world[cpuid.VENDOR][1:]) == cpuid.VENDOR_NAME)


E1: Final = Exercise(
    id="01.E1",
    version=1,
    kind="trace",
    shape=DECODED,
    make=dump,
    ask=lambda world: _(
        "A guest reads these CPUID leaves. Give a dictionary: hyperv (1 if it may use Microsoft's interface, else 0), "
        "build (decimal), privileges (64 bits), hints (the numbers of the bits that are set in leaf 0x40000004 EAX), "
        "hardware (which of the bits 3, 4, 5 are set in leaf 0x40000006 EAX).\n{rows}"
    ).format(rows=repr(world).split("\n\n")[0].replace("        as text", "").replace("  as text", "")),
    truth=decoded,
    tested=N_("one dump of eight leaves; vendor and interface disagree in it on purpose"),
    hints=(
        N_("Which leaf holds the name of the interface, and which only the name of its maker?"),
        N_("Sub-goal: write leaf 0x40000001 EAX as four letters, least byte first. Then build the mask."),
    ),
    wrong=(
        Wrong(
            "vendor-string-decides",
            N_("leaf 0x40000001 names the interface. Linux looks at the vendor's name; the TLFS says not to."),
            "discovery", lambda world: decoded(world, hyperv=by_vendor(world)),
            asks=N_("What would you decide if another maker offered the same interface?"),
        ),
        Wrong("halves-swapped", SWAPPED, "discovery", lambda world: decoded(world, mask=swapped(world.privileges))),
        Wrong("bits-from-one", N_("bits are counted from 0."), "discovery", lambda world: decoded(world, shift=1)),
    ),
    steps=lambda world: [
        _("interface {name}, build {build}, mask {mask}, hints {hints}, hardware {hardware}").format(
            name=world[cpuid.INTERFACE][0].to_bytes(4, "little"), build=world[cpuid.VERSION][0],
            mask=grouped(world.privileges, 16), hints=set_bits(world[cpuid.RECOMMENDATIONS][0]),
            hardware=in_use(world),
        )
    ],
)  # fmt: skip


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
X2: Final = Exercise(
    id="01.X2",
    version=1,
    kind="exit",
    shape=Sentence(),
    make=lambda draw: None,
    ask=lambda world: _(
        "The overview says: there is at least one parent, or root, partition, running Windows. Correct the sentence."
    ),
    truth=lambda world: "",
    tested=N_("nothing; your sentence is kept"),
)

EXERCISES: Final = (E1, E2, E3, X1, X2)
