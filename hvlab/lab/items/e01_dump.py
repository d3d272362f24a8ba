"""Lesson 01, E1: a CPUID dump, decoded; and the same with one answer to be given, and with two."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from hvlab.lab.answer import Collection, Number, Plain, record
from hvlab.lab.discovery import LEAVES, Leaves
from hvlab.lab.exercise import Exercise, World, Wrong
from hvlab.lab.seed import Draw
from hvlab.language import N_, _
from hvlab.trace.words import grouped
from hvlab.wire import cpuid
from hvlab.wire.cpuid import HardwareBits, RecommendationBits
from hvlab.wire.tlfs import GUEST_PRIVILEGES, PrivilegeMask

HALF: Final = (1 << 32) - 1
REAL: Final = (GUEST_PRIVILEGES, 0x30_0000_0AFF)  # two boot logs: a WSL2 guest, a guest of KVM
BITS: Final = tuple(one.lo for one in PrivilegeMask.fields)
SWAPPED: Final = N_("EAX of leaf 0x40000003 is the mask's low half, bits 31 to 0; EBX is the high half.")


def swapped(mask: int) -> int:
    """Exchange the halves of a mask."""
    return mask >> 32 | (mask & HALF) << 32


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


FIELDS: Final = ("hyperv", "build", "privileges", "hints", "hardware")
BLANK_LINE: Final = "____"


def captions(world: Leaves, blank: Sequence[str] = ()) -> list[str]:
    """Say field by field where it stands and what it is; the fields in `blank` are left open."""
    letters, build = world[cpuid.INTERFACE][0], world[cpuid.VERSION][0]
    eax, ebx = world[cpuid.FEATURES][:2]
    hints, hardware = world[cpuid.RECOMMENDATIONS][0], world[cpuid.HARDWARE][0]
    hyperv = int(letters == word(cpuid.INTERFACE_NAME))
    where = {
        "hyperv": _("leaf 0x40000001 EAX, least byte first: {bytes}").format(
            bytes=letters.to_bytes(4, "little").hex(" ")
        ),
        "build": _("leaf 0x40000002 EAX {eax:#x}, as a decimal number").format(eax=build),
        "privileges": _("leaf 0x40000003, EBX {ebx:#x} above EAX {eax:#x}").format(ebx=ebx, eax=eax),
        "hints": _("leaf 0x40000004 EAX {eax:#x}, its bits that are 1, from 0").format(eax=hints),
        "hardware": _("leaf 0x40000006 EAX {eax:#x}, of its bits 3, 4, 5 those that are 1").format(eax=hardware),
    }
    found = {
        "hyperv": _("{letters}: {hyperv}; the maker's name decides nothing").format(
            letters=repr(letters.to_bytes(4, "little"))[1:], hyperv=hyperv
        ),
        "build": str(build),
        "privileges": grouped(world.privileges, 16),
        "hints": str(list(set_bits(hints))),
        "hardware": str(list(in_use(world))),
    }
    return [f"  {name}: {where[name]}: {BLANK_LINE if name in blank else found[name]}" for name in FIELDS]


def table(world: Leaves) -> str:
    """Return the leaves as numbers only; which of them are letters is the reader's to find."""
    return Leaves.table(world.rows)


VENDOR: Final = N_("leaf 0x40000001 names the interface. Linux looks at the vendor's name; the TLFS says not to.")
OFFER: Final = N_("What would you decide if another maker offered the same interface?")
FROM_ZERO: Final = N_("bits are counted from 0.")
HINTS: Final = (
    N_("Which leaf holds the name of the interface, and which only the name of its maker?"),
    N_("Sub-goal: write leaf 0x40000001 EAX as four letters, least byte first. Then build the mask."),
)


def part_of(fields: tuple[str, ...], **other: Any) -> Callable[[World], Plain]:
    """Return an answer that holds some fields only: the value of one, or a record of several."""

    def answer(world: World) -> Plain:
        whole = dict(zip(FIELDS, decoded(world, **{name: make(world) for name, make in other.items()}), strict=True))
        return whole[fields[0]] if len(fields) == 1 else tuple(whole[name] for name in fields)

    return answer


def ideas(fields: tuple[str, ...]) -> tuple[Wrong, ...]:
    """Return the wrong ideas that give another answer in these fields."""
    found = {
        "hyperv": Wrong("vendor-string-decides", VENDOR, "discovery", part_of(fields, hyperv=by_vendor), asks=OFFER),
        "privileges": Wrong(
            "halves-swapped", SWAPPED, "discovery", part_of(fields, mask=lambda world: swapped(world.privileges))
        ),
        "hints": Wrong("bits-from-one", FROM_ZERO, "discovery", part_of(fields, shift=lambda world: 1)),
    }
    return tuple(model for name, model in found.items() if name in fields)


def faded(id: str, shape: Any, blank: tuple[str, ...], what: str) -> Exercise:
    """Return a worked dump in which some answers are left open."""
    return Exercise(
        id=id,
        version=1,
        kind="trace",
        shape=shape,
        make=dump,
        ask=lambda world: _("A worked dump; fill in what is left open ({blank}).\n{rows}\n{lines}").format(
            blank=", ".join(blank), rows=table(world), lines="\n".join(captions(world, blank))
        ),
        truth=part_of(blank),
        tested=what,
        hints=HINTS,
        wrong=ideas(blank),
        steps=captions,
    )


BLANK: Final = faded("01.E1.blank", Number("hex"), ("privileges",), N_("one mask of one dump"))
BLANKS: Final = faded(
    "01.E1.blanks",
    record(hyperv=Number(high=1), hints=Collection(Number(high=63))),
    ("hyperv", "hints"),
    N_("two fields of one dump; vendor and interface disagree in it on purpose"),
)
E1: Final = Exercise(
    id="01.E1",
    version=2,
    kind="trace",
    shape=DECODED,
    make=dump,
    ask=lambda world: _(
        "A guest reads these CPUID leaves. Give a dictionary: hyperv (1 if it may use Microsoft's interface, else 0), "
        "build (decimal), privileges (64 bits), hints (the numbers of the bits that are set in leaf 0x40000004 EAX), "
        "hardware (which of the bits 3, 4, 5 are set in leaf 0x40000006 EAX).\n{rows}"
    ).format(rows=table(world)),
    truth=decoded,
    tested=N_("one dump of eight leaves; vendor and interface disagree in it on purpose"),
    hints=HINTS,
    wrong=ideas(FIELDS),
    steps=captions,
)
