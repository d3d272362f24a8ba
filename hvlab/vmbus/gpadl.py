"""Lists of guest pages (GPADL): how a guest says them in messages, and how a host reads them.

A range is a word (length in bytes, offset of the first byte) and the page numbers behind it. What is refused, and in
which order, is that of openvmm vmbus_ring/src/gparange.rs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from hvlab.errors import BadRequest
from hvlab.vmbus.states import Gpadl, GpadlRefusal
from hvlab.wire import vmbus

PAGE: Final = 4096
WORD: Final = 8
LOW: Final = (1 << 32) - 1
MOST_BYTES: Final = 0xFFFF // WORD * WORD  # what the length of a header can say


def messages(
    channel_id: int, gpadl_id: int, pfns: Sequence[int], byte_count: int | None = None, byte_offset: int = 0
) -> list[bytes]:
    """Return the channel messages that name these pages as one range: GPADL_HEADER, and GPADL_BODY for what is left.

    The header carries up to 26 page numbers, each body up to 28; Linux leaves the number of a body 0.

    Source: Linux drivers/hv/channel.c, create_gpadl_header.
    """
    length = len(pfns) * PAGE - byte_offset if byte_count is None else byte_count
    size = WORD * (1 + len(pfns))
    if size > MOST_BYTES or not 0 <= length <= LOW or not 0 <= byte_offset <= LOW:
        raise BadRequest(f"a GPADL of {len(pfns)} pages", "", f"at most {MOST_BYTES // WORD - 1} pages")
    words = [pfn.to_bytes(WORD, "little") for pfn in pfns]
    head = (byte_offset << 32 | length).to_bytes(WORD, "little") + b"".join(words[: vmbus.HEADER_PFNS])
    found = [
        vmbus.pack(vmbus.GpadlHeader, head, channel_id=channel_id, gpadl_id=gpadl_id, length=size & 0xFFFF, count=1)
    ]
    for at in range(vmbus.HEADER_PFNS, len(words), vmbus.BODY_PFNS):
        part = b"".join(words[at : at + vmbus.BODY_PFNS])
        found.append(vmbus.pack(vmbus.GpadlBody, part, gpadl_id=gpadl_id))
    return found


@dataclass(frozen=True)
class Range:
    """One range: bytes, the offset of the first one in the first page, and the pages."""

    length: int
    offset: int
    pfns: tuple[int, ...]


def ranges(count: int, words: Sequence[int]) -> tuple[list[Range], GpadlRefusal | None, int]:
    """Read `count` ranges: (ranges, why not, the word that was wrong)."""
    found, at = list[Range](), 0
    if count == 0:
        return [], GpadlRefusal.NO_RANGE, 0
    for _ in range(count):
        if at >= len(words):
            return [], GpadlRefusal.PAGES_MISSING, 0
        head = words[at]
        length, offset = head & LOW, head >> 32
        why = _why(length, offset)
        pages = (length + 4095 + offset) // PAGE
        if why is None and len(words) - at - 1 < pages:
            why = GpadlRefusal.TOO_SMALL
        if why is not None:
            return [], why, head
        found.append(Range(length, offset, tuple(words[at + 1 : at + 1 + pages])))
        at += 1 + pages
    return found, None, 0


def _why(length: int, offset: int) -> GpadlRefusal | None:
    if length == 0:
        return GpadlRefusal.EMPTY
    if offset >= PAGE:
        return GpadlRefusal.OFFSET_TOO_LARGE
    if length + 4095 + offset > LOW:
        return GpadlRefusal.TOO_LARGE
    return None


@dataclass
class Pages:
    """What a host keeps of one GPADL: plain data.

    Attributes
    ----------
    gpadl_id, channel : int
        Its handle, and the key of the channel that it was made for.
    count, room : int
        Ranges, and words of range data, that the header promised.
    words : list of int
        What has come of them.
    found : list of Range
        The ranges, once all is there and sound.
    gpns : list of int
        The root's pages, one for each page number.
    in_use : bool
        Whether an open channel's rings lie there.
    """

    gpadl_id: int
    channel: int
    count: int
    room: int
    words: list[int] = field(default_factory=list)
    state: Gpadl = Gpadl.IN_PROGRESS
    found: list[Range] = field(default_factory=list)
    gpns: list[int] = field(default_factory=list)
    in_use: bool = False

    def append(self, data: bytes) -> bool:
        """Take further range data; whether all is there. What is longer than promised is left (UEFI pads messages)."""
        size = min(len(data) // WORD, self.room - len(self.words))
        self.words += [int.from_bytes(data[WORD * k : WORD * (k + 1)], "little") for k in range(size)]
        return len(self.words) == self.room

    @property
    def pfns(self) -> list[int]:
        """The guest's page numbers, in order."""
        return [pfn for one in self.found for pfn in one.pfns]
