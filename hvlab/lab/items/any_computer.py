"""Short questions about any computer: for a warm-up that has no earlier lesson to ask about."""

from typing import Final

from hvlab.lab.answer import Number
from hvlab.lab.exercise import Exercise, World
from hvlab.lab.seed import Draw
from hvlab.language import N_, _


def _page(draw: Draw) -> World:
    return {"address": draw.bits(36) | 1 << 35, "size": 4096}


def _bits(draw: Draw) -> World:
    return {"bits": draw.between(7, 20)}


def _bytes(draw: Draw) -> World:
    return {"data": bytes(draw.below(256) for _k in range(4))}


def _span(draw: Draw) -> World:
    return {"first": draw.bits(30) | 1 << 29, "count": draw.between(1, 1 << 15), "size": 4096}


STEPS: Final = {  # what a program does: whether the kernel has to run for it
    "adds two registers": False,
    "reads a word that it has read before": False,
    "opens a file": True,
    "compares two numbers": False,
    "sends a packet": True,
    "calls one of its own functions": False,
    "asks for more memory by a system call": True,
    "reads from a file": True,
    "writes a word of its stack again": False,
}


def _steps(draw: Draw) -> World:
    return {"steps": tuple(draw.pick(list(STEPS)) for _k in range(draw.between(7, 12)))}


SHORTS: Final = (
    Exercise(
        id="any.page", version=1, kind="recall", shape=Number("hex"), make=_page,
        ask=lambda world: _("Pages have 4,096 bytes. Which page number has the address {address:#x}?").format(**world),
        truth=lambda world: world["address"] // world["size"],
        tested=N_("one address; pages of 4,096 bytes"),
        hints=(N_("A page number counts whole pages from address 0."), N_("How many hex digits are the place in it?")),
    ),
    Exercise(
        id="any.bits", version=1, kind="recall", shape=Number(), make=_bits,
        ask=lambda world: _("A table has {count:,} entries. How many bits of an address choose one?").format(
            count=1 << world["bits"]
        ),
        truth=lambda world: ((1 << world["bits"]) - 1).bit_length(),
        tested=N_("one table; its size is a power of two"),
        hints=(N_("One bit chooses between two entries."), N_("How often can you halve the table?")),
    ),
    Exercise(
        id="any.bytes", version=1, kind="recall", shape=Number("hex"), make=_bytes,
        ask=lambda world: _("Memory holds the bytes {data}. Which 32-bit number is that, least byte first?").format(
            data=world["data"].hex(" ")
        ),
        truth=lambda world: int.from_bytes(world["data"], "little"),
        tested=N_("one number; least byte first"),
        hints=(N_("x86 stores the least byte first."), N_("Which of the four bytes are the leading hex digits?")),
    ),
    Exercise(
        id="any.span", version=1, kind="recall", shape=Number(), make=_span,
        ask=lambda world: _("Pages have 4,096 bytes. A program reads {count:,} bytes from address {first:#x} on. How "
                            "many pages does it touch?").format(**world),
        truth=lambda world: len({at // world["size"] for at in (*range(
            world["first"], world["first"] + world["count"], world["size"]), world["first"] + world["count"] - 1)}),
        tested=N_("one range; pages of 4,096 bytes"),
        hints=(N_("In which page is the first byte, and in which the last one?"), N_("Subtract, and add one.")),
    ),
    Exercise(
        id="any.kernel", version=1, kind="recall", shape=Number(), make=_steps,
        ask=lambda world: _("A program does this: {steps}. No page is missing. How often does it call its kernel?")
        .format(steps="; ".join(world["steps"])),
        truth=lambda world: sum(STEPS[step] for step in world["steps"]),
        tested=N_("one list; not tested: interrupts"),
        hints=(N_("Arithmetic and memory need no kernel."), N_("Files, packets and more memory are asked for.")),
    ),
)  # fmt: skip
