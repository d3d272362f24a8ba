"""A slow, obvious guest that names its pages: one byte after the other, cut where a message is full.

Written from vmbus_messages.json of the reference facts and from Linux drivers/hv/channel.c, create_gpadl_header.
"""

from __future__ import annotations

LONGEST = 240


def little(value: int, count: int) -> list[int]:
    """The bytes of a number, the lowest first."""
    return [value >> 8 * k & 255 for k in range(count)]


def messages(channel: int, handle: int, pages: list[int]) -> list[bytes]:
    """The messages that name these pages as one range of whole pages."""
    data = [*little(4096 * len(pages), 4), *little(0, 4)]
    for page in pages:
        data += little(page, 8)
    said, left = [], data
    head = [*little(8, 4), *little(0, 4), *little(channel, 4), *little(handle, 4), *little(len(data), 2), *little(1, 2)]
    while left or not said:
        message = list(head)
        while left and len(message) + 8 <= LONGEST:
            message += left[:8]
            left = left[8:]
        said.append(bytes(message))
        head = [*little(9, 4), *little(0, 4), *little(0, 4), *little(handle, 4)]
    return said
