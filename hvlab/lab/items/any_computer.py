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
)  # fmt: skip
