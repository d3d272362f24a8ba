"""Lesson 09, E1: the messages that name the pages of a GPADL, as bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hvlab.hardware.memory import PAGE
from hvlab.lab.answer import Bytes, Number, Plain, record
from hvlab.lab.exercise import Exercise, Wrong
from hvlab.lab.seed import Draw
from hvlab.language import N_, _
from hvlab.vmbus.gpadl import messages
from hvlab.wire import vmbus
from hvlab.wire.ring import GpaRange

HEAD: Final = 36  # of the first message: channel header 8, GPADL header 12, range 8, the first page number 8
MOST_PAGES: Final = vmbus.HEADER_PFNS + 4 * vmbus.BODY_PFNS


@dataclass(frozen=True)
class Pages:
    """A world of E1: two runs of pages that become one GPADL of a channel."""

    channel: int
    handle: int
    first: int
    first_count: int
    second: int
    second_count: int

    @property
    def pfns(self) -> list[int]:
        """The page numbers, in order."""
        return [self.first + k for k in range(self.first_count)] + [self.second + k for k in range(self.second_count)]

    @property
    def said(self) -> list[bytes]:
        """The messages, as the lab's own guest says them."""
        return messages(self.channel, self.handle, self.pfns)


def drawn(draw: Draw) -> Pages:
    """Draw pages whose last message carries one to three numbers."""
    rest = draw.between(1, 3)
    count = vmbus.HEADER_PFNS + vmbus.BODY_PFNS * draw.below(4) + rest
    second = draw.between(rest, count - 1)
    handle = vmbus.FIRST_GPADL + draw.below(200)
    first, apart = draw.between(0x1_0000, 0x3F_FFFF), draw.between(0x40_0000, 0x7F_FFFF)
    return Pages(draw.between(1, 60), handle, first, count - second, apart, second)


def ask(world: Pages) -> str:
    """Say the task."""
    words = {"first": world.first, "last": world.first + world.first_count - 1, "second": world.second}
    return _(
        "A guest names {count} pages to the host: page numbers {first:#x} to {last:#x}, then {second:#x} to {end:#x}, "
        "as one range from its first byte to its last. Channel {channel}, GPADL {handle:#x}. Give the number of "
        "messages (GPADL_HEADER and every GPADL_BODY), the first {head} bytes of the header message, and the last "
        "message whole.\n"
        "All little-endian. Each message begins with type (8 header, 9 body; 4 bytes) and 4 bytes of zero. Header: "
        "channel (4), GPADL (4), bytes of range data in all messages (2), ranges (2); then the range: bytes (4), "
        "offset (4), page numbers (8 each). Body: message number (4; Linux leaves 0), GPADL (4), page numbers. A "
        "message has at most 240 bytes."
    ).format(
        count=len(world.pfns), **words, end=world.second + world.second_count - 1, channel=world.channel,
        handle=world.handle, head=HEAD,
    )  # fmt: skip


def answer(said: list[bytes]) -> Plain:
    """Return what is asked of some messages."""
    return len(said), said[0][:HEAD], said[-1]


def believed(world: Pages, idea: str) -> Plain:
    """Return what somebody says who holds an idea."""
    words = [pfn << 12 if idea == "addresses-not-numbers" else pfn for pfn in world.pfns]
    room = vmbus.BODY_PFNS if idea == "header-holds-28" else vmbus.HEADER_PFNS
    counted = min(len(words), room) if idea == "length-of-this-message" else len(words)
    length = len(words) * (1 if idea == "length-in-pages" else PAGE)
    numbers = b"".join(word.to_bytes(8, "little") for word in words)
    body = vmbus.GpadlHeader.encode(
        channel_id=world.channel, gpadl_id=world.handle, length=8 + 8 * counted, count=1
    ) + GpaRange.encode(length=length)
    said = [head(vmbus.GpadlHeader.number) + body + numbers[: 8 * room]]
    for at in range(8 * room, len(numbers), 8 * vmbus.BODY_PFNS):
        part = numbers[at : at + 8 * vmbus.BODY_PFNS]
        said.append(head(vmbus.GpadlBody.number) + vmbus.GpadlBody.encode(gpadl_id=world.handle) + part)
    return answer(said)


def head(number: int) -> bytes:
    """Return the header of a channel message."""
    return vmbus.ChannelHeader.encode(message_type=number)


def held(idea: str) -> Callable[[Pages], Plain]:
    """Return what somebody who holds an idea answers."""
    return lambda world: believed(world, idea)


def steps(world: Pages) -> list[str]:
    """Return the messages one by one."""
    said = world.said
    left = len(world.pfns) - vmbus.HEADER_PFNS
    lines = [
        _(
            "fill: {count:#x} pages are {bytes:#x} bytes; the range data are 8 and 8 for each page, {data:#x} bytes."
        ).format(count=len(world.pfns), bytes=len(world.pfns) * PAGE, data=8 + 8 * len(world.pfns)),
        _("share pages: message 1 is GPADL_HEADER (0x8) with 26 numbers, of {size:#x} bytes. {left} are left.").format(
            size=len(said[0]), left=left
        ),
        _("It begins {bytes}.").format(bytes=said[0][:HEAD].hex(" ")),
    ]
    for k, one in enumerate(said[1:], 2):
        count = (len(one) - 16) // 8
        left -= count
        text = _(
            "share pages: message {k} is GPADL_BODY (0x9) with {count} numbers, of {size:#x} bytes. {left} are left."
        )
        lines.append(text.format(k=k, count=count, size=len(one), left=left))
    lines.append(_("The last one: {bytes}.").format(bytes=said[-1].hex(" ")))
    return lines


E1: Final = Exercise(
    id="09.E1",
    version=1,
    kind="trace",
    shape=record(messages=Number(high=MOST_PAGES), header=Bytes(HEAD), last=Bytes()),
    make=drawn,
    ask=ask,
    truth=lambda world: answer(world.said),
    tested=N_("one range of whole pages; not tested: several ranges, an offset, refusals"),
    hints=(
        N_("Phase *share pages*: how many numbers of 8 bytes have room in 240 bytes, behind each kind of header?"),
        N_("Sub-goal: 26 numbers go with the header; cut the rest into pieces of 28; the last is the last message."),
    ),
    wrong=(
        Wrong("header-holds-28", N_("header and range take 28 bytes of the first message, so 26 numbers fit."),
              "gpadl-messages", held("header-holds-28"),
              asks=N_("How many bytes stand before the first page number of each message?")),
        Wrong("length-of-this-message", N_("the length counts the range data of all messages: so the host knows when "
              "it has everything."), "gpadl-messages", held("length-of-this-message"),
              asks=N_("How does the host know that a body is still to come?")),
        Wrong("addresses-not-numbers", N_("a page is named by its number: its address without the last 12 bits."),
              "gpadl-pages", held("addresses-not-numbers"), asks=N_("Which bits of a page's address are always 0?")),
        Wrong("length-in-pages", N_("a range counts bytes, since it may begin and end inside a page."),
              "gpadl-pages", held("length-in-pages"), asks=N_("What would a range of 100 bytes say?")),
    ),
    steps=steps,
)  # fmt: skip
