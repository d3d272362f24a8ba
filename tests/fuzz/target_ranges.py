"""What packets and page lists carry beside their data: GPA ranges, transfer pages, the header of a pipe."""

from collections.abc import Iterator

from model.ring import gpa_range

from hvlab.errors import HvlabError
from hvlab.vmbus.packets import (
    PagedRange,
    RangeVerdict,
    gpa_direct,
    gpa_direct_ranges,
    gpa_ranges,
    pages_of,
    pipe,
    piped,
    transfer_page_ranges,
    transfer_pages,
)

ALLOWED = (HvlabError,)
MODULES = ("hvlab.vmbus.packets", "hvlab.vmbus.engine.ranges")
WORDS = tuple(
    (length | offset << 32).to_bytes(8, "little").decode("latin-1")
    for length, offset in ((1, 0), (4096, 0), (4097, 4095), (0xFFFFFFFF, 0), (0xFFFFF001, 4095), (8192, 4096), (0, 1))
)
BUFFER = 1 << 20
SAID = {
    RangeVerdict.EMPTY: "empty_range",
    RangeVerdict.NO_BYTES: "empty_count",
    RangeVerdict.OFFSET: "offset_too_large",
    RangeVerdict.OVERFLOW: "overflow",
    RangeVerdict.TOO_SMALL: "too_small",
}


def seeds() -> Iterator[bytes]:
    some = [PagedRange(100, 5, (7,)), PagedRange(8192, 4095, (1, 2, 3)), PagedRange(4096, 0, (9,))]
    for count in (1, 2, 3):
        yield bytes((count,)) + b"".join(one.encode() for one in some[:count])
        yield bytes((0,)) + gpa_direct(some[:count])
        yield bytes((0,)) + transfer_pages(0xCAFE, [(60, 64 * k) for k in range(count)])
    yield bytes((1,)) + pipe(b"one packet of a pipe")
    for word in WORDS:
        yield bytes((1,)) + word.encode("latin-1") + bytes(24)


def judged(data: bytes, count: int) -> str | int:
    """The model's verdict on so many ranges, or the words that they use."""
    words = [int.from_bytes(data[k : k + 8], "little") for k in range(0, len(data) & ~7, 8)]
    used = 0
    for _ in range(count):
        verdict, more = gpa_range(words[used:])
        if verdict != "ok":
            return verdict
        used += more
    return used


def sound(ranges: tuple[PagedRange, ...]) -> None:
    """I14: bytes, an offset in the first page, and exactly the pages that they touch; the same bytes again."""
    for one in ranges:
        assert one.length > 0 and 0 <= one.offset < 4096
        assert len(one.gpns) == pages_of(one.length, one.offset) == (one.offset + one.length - 1) // 4096 + 1


def one(data: bytes) -> None:
    count, rest = data[0] if data else 0, data[1:]
    found, wanted = gpa_ranges(rest, count), judged(rest, count)
    if isinstance(found, RangeVerdict):
        assert SAID[found] == wanted
    else:
        sound(found)
        assert sum(1 + len(one.gpns) for one in found) == wanted
        assert rest.startswith(b"".join(one.encode() for one in found))
    direct = gpa_direct_ranges(rest)
    if not isinstance(direct, RangeVerdict):
        sound(direct)
        assert gpa_direct(direct)[4:] == rest[4 : len(gpa_direct(direct))]
    pages = transfer_page_ranges(rest, BUFFER)
    if not isinstance(pages, RangeVerdict):
        assert all(length > 0 and offset + length <= BUFFER for length, offset in pages.ranges)
        assert rest[8:].startswith(transfer_pages(pages.set_id, pages.ranges)[8:])
    taken = piped(rest)
    if taken is not None:
        assert pipe(taken[1], taken[0]) == rest[: 8 + len(taken[1])]
