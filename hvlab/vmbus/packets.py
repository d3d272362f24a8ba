"""What packets carry between descriptor and data, and the header of a pipe: made and taken apart, each field checked.

Source: openvmm vmbus_ring (lib.rs, gparange.rs); Linux include/linux/hyperv.h.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from hvlab.errors import BadRequest
from hvlab.vmbus.engine.ranges import judge_range
from hvlab.wire.ring import GpaDirectHeader, GpaRange, PipeHeader, PipeType, TransferPagesHeader, TransferRange

PAGE = 4096
MOST_PIPE = 16384  # bytes of a pipe's packet; openvmm MAXIMUM_PIPE_PACKET_SIZE


class RangeVerdict(IntEnum):
    """Why ranges are refused. The numbers are those of the event `gpadl_refused`."""

    TOO_SMALL = 1  # fewer page numbers than the bytes need
    OVERFLOW = 2  # bytes and offset do not fit into 32 bits
    OFFSET = 3  # not inside the first page
    EMPTY = 4  # not even a header
    NO_BYTES = 7


@dataclass(frozen=True)
class PagedRange:
    """Bytes that lie in guest pages: `length` bytes from `offset` of the first page on."""

    length: int
    offset: int
    gpns: tuple[int, ...]

    def encode(self) -> bytes:
        """Return the header and the page numbers; the range itself is not checked, it may be a lie."""
        numbers = b"".join(gpn.to_bytes(8, "little") for gpn in self.gpns)
        return GpaRange.encode(length=self.length, offset=self.offset) + numbers


@dataclass(frozen=True)
class TransferPages:
    """Bytes of a buffer that was agreed on before: (bytes, where they begin), some times."""

    set_id: int
    ranges: tuple[tuple[int, int], ...]


def pages_of(length: int, offset: int) -> int:
    """Return how many pages so many bytes from an offset on touch."""
    return -(-(length + offset) // PAGE)


def gpa_ranges(data: bytes, count: int) -> tuple[PagedRange, ...] | RangeVerdict:
    """Take `count` ranges apart; the first bad one decides, and what is behind the last one is not looked at."""
    words = np.frombuffer(data[: len(data) & ~7], "<i8").astype(np.int64)
    start, ranges = 0, list[PagedRange]()
    for _ in range(count):
        verdict, pages = judge_range(words, start, len(words))
        if verdict:
            return RangeVerdict(int(verdict))
        head = GpaRange.decode(data[8 * start :])
        behind = start + 1 + int(pages)
        gpns = tuple(int(word) & (1 << 64) - 1 for word in words[start + 1 : behind])
        ranges.append(PagedRange(head.length, head.offset, gpns))
        start = behind
    return tuple(ranges)


def gpa_direct(ranges: Sequence[PagedRange]) -> bytes:
    """Return what a GPA-direct packet has between its descriptor and its data."""
    return GpaDirectHeader.encode(range_count=len(ranges)) + b"".join(one.encode() for one in ranges)


def gpa_direct_ranges(extra: bytes) -> tuple[PagedRange, ...] | RangeVerdict:
    """Take apart what a GPA-direct packet has between its descriptor and its data."""
    if len(extra) < GpaDirectHeader.size:
        return RangeVerdict.EMPTY
    count = GpaDirectHeader.decode(extra).range_count
    return gpa_ranges(extra[GpaDirectHeader.size :], count) if count else RangeVerdict.EMPTY


def transfer_pages(set_id: int, ranges: Sequence[tuple[int, int]]) -> bytes:
    """Return what a transfer-page packet has between its descriptor and its data."""
    head = TransferPagesHeader.encode(set_id=set_id, range_count=len(ranges))
    return head + b"".join(TransferRange.encode(length=length, offset=offset) for length, offset in ranges)


def transfer_page_ranges(extra: bytes, buffer: int) -> TransferPages | RangeVerdict:
    """Take apart what a transfer-page packet has between its descriptor and its data.

    Parameters
    ----------
    extra : bytes
    buffer : int
        Bytes of the buffer that was agreed on: each range must lie inside it.
    """
    if len(extra) < TransferPagesHeader.size:
        return RangeVerdict.EMPTY
    head = TransferPagesHeader.decode(extra)
    if head.range_count > (len(extra) - TransferPagesHeader.size) // TransferRange.size:
        return RangeVerdict.TOO_SMALL
    ranges = list[tuple[int, int]]()
    for k in range(head.range_count):
        one = TransferRange.decode(extra[TransferPagesHeader.size + k * TransferRange.size :])
        if one.length == 0:
            return RangeVerdict.NO_BYTES
        if one.offset + one.length > buffer:
            return RangeVerdict.OFFSET
        ranges.append((one.length, one.offset))
    return TransferPages(head.set_id, tuple(ranges))


def pipe(data: bytes, kind: int = PipeType.DATA) -> bytes:
    """Return data with the header of a pipe, which tells their length: ring lengths are multiples of 8."""
    if len(data) > MOST_PIPE:
        raise BadRequest(f"{len(data)} bytes in one packet of a pipe", "", f"at most {MOST_PIPE}")
    return PipeHeader.encode(type=kind, length=len(data)) + data


def piped(data: bytes) -> tuple[int, bytes] | None:
    """Take the header of a pipe off: (type, data); None where the length is more than what is there."""
    if len(data) < PipeHeader.size:
        return None
    head = PipeHeader.decode(data)
    there = data[PipeHeader.size :]
    return (head.type, there[: head.length]) if head.length <= min(len(there), MOST_PIPE) else None
