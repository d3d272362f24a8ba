"""What packets carry beside their data: ranges of guest pages, pieces of an agreed buffer, the header of a pipe."""

import random

import pytest
from model.ring import gpa_range

from hvlab.errors import BadRequest
from hvlab.vmbus.packets import (
    PagedRange,
    RangeVerdict,
    TransferPages,
    gpa_direct,
    gpa_direct_ranges,
    gpa_ranges,
    pages_of,
    pipe,
    piped,
    transfer_page_ranges,
    transfer_pages,
)
from hvlab.vmbus.ring import Verdict
from hvlab.wire.ring import PacketType, PipeType
from vmbus.rings import PAGE, Rig

SOME = (PagedRange(8192, 512, (0xE3B71, 0x61357, 0x9B531)), PagedRange(1, 4095, (7,)))


def test_a_gpa_direct_packet_names_pages_and_carries_data_beside_them():
    rig = Rig()
    rig.writer.write(b"payload", kind=PacketType.GPA_DIRECT, transaction=5, completion=True, extra=gpa_direct(SOME))

    packet = rig.reader.read()

    assert (packet.kind, packet.data) == (PacketType.GPA_DIRECT, b"payload\0")
    assert gpa_direct_ranges(packet.extra) == SOME


def test_a_transfer_page_packet_names_pieces_of_an_agreed_buffer():
    rig = Rig()
    pieces = ((1514, 74304), (60, 91584))
    rig.writer.write(b"", kind=PacketType.TRANSFER_PAGES, extra=transfer_pages(0xCAFE, pieces))

    packet = rig.reader.read()

    assert transfer_page_ranges(packet.extra, 1 << 20) == TransferPages(0xCAFE, pieces)
    assert packet.extra[:4] == bytes.fromhex("feca 0000")


def test_a_gpa_direct_packet_without_a_range_is_refused():
    rig = Rig()
    rig.writer.write(b"payload", kind=PacketType.GPA_DIRECT, extra=gpa_direct(()))

    assert rig.reader.read_all() == []
    assert rig.reader.refused == Verdict.NO_RANGES


def words(*values):
    return b"".join(value.to_bytes(8, "little") for value in values)


@pytest.mark.parametrize(
    "data, verdict",
    [
        (b"", RangeVerdict.EMPTY),
        (words(0), RangeVerdict.NO_BYTES),
        (words(1 | 4096 << 32, 5), RangeVerdict.OFFSET),
        (words(0xFFFF_F001, 5), RangeVerdict.OVERFLOW),
        (words(0xFFFF_FFFF | 0xFFF << 32, 5), RangeVerdict.OVERFLOW),
        (words(4097), RangeVerdict.TOO_SMALL),
        (words(4096 | 1 << 32, 5), RangeVerdict.TOO_SMALL),
    ],
)
def test_a_range_that_lies_is_refused_with_its_reason(data, verdict):
    assert gpa_ranges(data, 1) == verdict


def test_the_first_bad_range_decides_and_what_follows_the_last_is_not_looked_at():
    good = SOME[0].encode()

    assert gpa_ranges(good + words(0), 1) == SOME[:1]
    assert gpa_ranges(good + words(0), 2) == RangeVerdict.NO_BYTES
    assert gpa_ranges(good, 0) == ()


def test_a_range_names_as_many_pages_as_its_bytes_touch():
    for length, offset, pages in ((1, 0, 1), (4096, 0, 1), (4096, 1, 2), (4097, 4095, 2), (2, 4095, 2), (1, 4095, 1)):
        assert pages_of(length, offset) == pages
        one = PagedRange(length, offset, tuple(range(pages)))
        assert gpa_ranges(one.encode(), 1) == (one,)


def test_random_ranges_get_the_verdict_of_the_model():
    luck = random.Random(4)
    for _ in range(3000):
        head = luck.choice([0, 1, 4096, 8192, luck.getrandbits(32), luck.getrandbits(14)])
        head |= luck.choice([0, 0, 1, 4095, 4096, luck.getrandbits(32)]) << 32
        numbers = [head, *(luck.getrandbits(64) for _ in range(luck.randrange(5)))][: luck.randrange(6)]
        verdict, used = gpa_range(numbers)
        found = gpa_ranges(words(*numbers), 1)
        if verdict == "ok":
            assert found == (PagedRange(head & 0xFFFF_FFFF, head >> 32, tuple(numbers[1:used])),)
        else:
            assert isinstance(found, RangeVerdict)


@pytest.mark.parametrize(
    "extra, verdict",
    [
        (b"", RangeVerdict.EMPTY),
        (transfer_pages(1, [(8, 0)])[:-8], RangeVerdict.TOO_SMALL),
        (transfer_pages(1, [(0, 0)]), RangeVerdict.NO_BYTES),
        (transfer_pages(1, [(8, PAGE - 7)]), RangeVerdict.OFFSET),
        (transfer_pages(1, [(0xFFFF_FFFF, 0xFFFF_FFFF)]), RangeVerdict.OFFSET),
    ],
)
def test_a_piece_outside_the_agreed_buffer_is_refused(extra, verdict):
    assert transfer_page_ranges(extra, PAGE) == verdict


def test_a_pipe_says_how_many_bytes_are_meant_as_rings_count_in_eights():
    rig = Rig()
    rig.writer.write(pipe(b"eleven byte"))

    assert piped(rig.reader.read().data) == (PipeType.DATA, b"eleven byte")


def test_a_pipe_that_says_more_than_is_there_carries_nothing():
    assert piped(pipe(b"12345678")[:-1]) is None
    assert piped(b"1234567") is None
    assert piped(pipe(b"")) == (PipeType.DATA, b"")
    with pytest.raises(BadRequest):
        pipe(bytes(16385))
