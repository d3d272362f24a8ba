"""Both ends of a ring, rule by rule, on a ring whose other end acts between any two steps.

`Ends` is the lab's own pair: what exercise 09.E3 asks for. Each rule is a method, so a wrong idea is a class in which
one of them is another. Source: Linux drivers/hv/ring_buffer.c; where it cuts a length that lies, these ends refuse it.

SIMPLER THAN REAL: this ring has some hundred bytes instead of pages, so that it fills and wraps often; and nothing is
reordered, so a routine without barriers behaves as if it had them.
"""

from collections.abc import Callable
from typing import Final

from hvlab.lab.exercise import Meter
from hvlab.wire.ring import GAP, TRAILER, UNIT, PacketDescriptor, PacketTrailer, PacketType

HEAD: Final = PacketDescriptor.size
WORDS: Final = ("write_index", "read_index", "mask", "pending")
Packet = tuple[int, bytes]  # transaction id, data as they lie in the ring: a multiple of eight bytes


class Shared:
    """The pages of a ring: four words of its control page, and the data."""

    def __init__(self, size: int, start: int = 0) -> None:
        self.size, self.data = size, bytearray(size)
        self.words = dict.fromkeys(WORDS, 0) | {"write_index": start, "read_index": start}

    @property
    def used(self) -> int:
        """Bytes that were written and not read yet."""
        return (self.words["write_index"] - self.words["read_index"]) % self.size

    @property
    def available(self) -> int:
        """Bytes that are free, the eight that stay empty among them."""
        return self.size - self.used


class End:
    """What one end may do with its ring; each call is a step, after which the other end may act.

    Parameters
    ----------
    after
        Told after each step by what was done (`load`, `store`, `read`, `write`, `signal`, `refuse`) and where.
    """

    def __init__(self, shared: Shared, meter: Meter, after: Callable[[str, str | int], None]) -> None:
        self._shared, self._meter, self._after = shared, meter, after
        self.size = shared.size

    def load(self, word: str) -> int:
        """Return a word of the control page: write_index, read_index, mask or pending."""
        self._meter.read(0)
        value = self._shared.words[word]
        self._after("load", word)
        return value

    def store(self, word: str, value: int) -> None:
        """Write such a word."""
        self._meter.read(0)
        if word not in WORDS:
            raise KeyError(word)
        self._shared.words[word] = int(value)
        self._after("store", word)

    def read(self, at: int, count: int) -> bytes:
        """Return so many bytes from `at` on; the data end at `size`, and nothing wraps by itself."""
        self._meter.read(0)
        self._inside(at, count)
        found = bytes(self._shared.data[at : at + count])
        self._after("read", at)
        return found

    def write(self, at: int, data: bytes) -> None:
        """Write bytes from `at` on."""
        self._meter.read(0)
        self._inside(at, len(data))
        self._shared.data[at : at + len(data)] = bytes(data)
        self._after("write", at)

    def signal(self) -> None:
        """Ring the other end's doorbell."""
        self._meter.read(0)
        self._after("signal", 0)

    def refuse(self) -> None:
        """Say that what the other end wrote cannot be."""
        self._meter.read(0)
        self._after("refuse", 0)

    def _inside(self, at: int, count: int) -> None:
        if not 0 <= at <= at + count <= self.size:
            raise ValueError(f"bytes {at} to {at + count} of a ring of {self.size}")


class Ends:
    """The pair that loses nothing."""

    # the rules -------------------------------------------------------------------------------------------------------

    def fits(self, available: int, needed: int) -> bool:
        """Whether a packet has room: at least eight bytes stay empty, since equal indices mean an empty ring."""
        return available > needed

    def length(self, padded: int) -> int:
        """Return what the descriptor counts: itself and the data, without the trailer."""
        return HEAD + padded

    def must_ring(self, mask: int, read_index: int, old: int, new: int) -> bool:
        """Whether a reader must be woken: it wants signals, and it had taken all there was before this write."""
        return not mask and read_index == old

    def looks_again_for_room(self) -> bool:
        """Whether a writer looks once more after it has said what it waits for."""
        return True

    def looks_again_for_packets(self) -> bool:
        """Whether a reader looks once more after it has unmasked."""
        return True

    def makes_room(self, before: int, after: int, pending: int) -> bool:
        """Whether this read made the room that the writer waits for."""
        return before <= pending < after

    def sound(self, offset: int, length: int, there: int) -> bool:
        """Whether a descriptor can be true: data behind it, all of it and its trailer inside what is there."""
        return HEAD <= offset <= length and length + TRAILER <= there

    def sound_index(self, index: int, size: int) -> bool:
        """Whether the other end's index can be true."""
        return index < size and index % UNIT == 0

    def end(self, ring: End, data: bytes | None, transaction: int) -> bool | list[Packet]:
        """Send data, or with None receive."""
        return self.recv(ring) if data is None else self.send(ring, data, transaction)

    # sending ---------------------------------------------------------------------------------------------------------

    def send(self, ring: End, data: bytes, transaction: int) -> bool:
        """Put a packet into a ring; return whether there was room."""
        data = data + bytes(-len(data) % UNIT)
        length = self.length(len(data))
        needed = HEAD + len(data) + TRAILER
        old = ring.load("write_index")
        room = self.room(ring, old, needed)
        if room == 0:
            ring.store("pending", needed)
            room = self.room(ring, old, needed) if self.looks_again_for_room() else 0
        if room < 0:
            ring.refuse()
        if room <= 0:
            return False
        if ring.load("pending"):
            ring.store("pending", 0)
        head = PacketDescriptor.encode(
            type=PacketType.IN_BAND, offset8=HEAD // UNIT, length8=length // UNIT, transaction_id=transaction
        )
        put(ring, old, head + data + PacketTrailer.encode(offset=old))
        new = (old + needed) % ring.size
        ring.store("write_index", new)
        mask = ring.load("mask")
        if self.must_ring(mask, ring.load("read_index"), old, new):
            ring.signal()
        return True

    def room(self, ring: End, write_index: int, needed: int) -> int:
        """Return 1 if a packet has room, 0 if not, -1 if the reader's index cannot be true."""
        read_index = ring.load("read_index")
        if not self.sound_index(read_index, ring.size):
            return -1
        return int(self.fits(ring.size - (write_index - read_index) % ring.size, needed))

    # receiving -------------------------------------------------------------------------------------------------------

    def recv(self, ring: End) -> list[Packet]:
        """Take all packets, awake and masked; sleep only after a last look."""
        found = list[Packet]()
        ring.store("mask", 1)
        while True:
            one = self.take(ring)
            if one is None:
                return found
            if one:
                found.append(one[0])
                continue
            ring.store("mask", 0)
            if not self.looks_again_for_packets() or ring.load("write_index") == ring.load("read_index"):
                return found
            ring.store("mask", 1)

    def take(self, ring: End) -> list[Packet] | None:
        """Take one packet: a list of it, an empty one if there is none, None for what cannot be true."""
        at, end = ring.load("read_index"), ring.load("write_index")
        if not self.sound_index(end, ring.size):
            ring.refuse()
            return None
        there = (end - at) % ring.size
        if there == 0:
            return []
        head = PacketDescriptor.decode(get(ring, at, HEAD)) if there >= HEAD + TRAILER else None
        if head is None or not self.sound(head.offset8 * UNIT, head.length8 * UNIT, there):
            ring.refuse()
            return None
        offset, length = head.offset8 * UNIT, head.length8 * UNIT
        data = get(ring, at + offset, length - offset)
        self.give_back(ring, at, length + TRAILER)
        return [(head.transaction_id, data)]

    def give_back(self, ring: End, at: int, count: int) -> None:
        """Publish the read index, and wake a writer that waits if this made its room."""
        index = (at + count) % ring.size
        ring.store("read_index", index)
        pending = ring.load("pending")
        if pending:
            after = ring.size - (ring.load("write_index") - index) % ring.size
            if self.makes_room(after - count, after, pending):
                ring.signal()


def put(ring: End, at: int, data: bytes) -> None:
    """Write bytes that may go over the end."""
    at %= ring.size
    first = data[: ring.size - at]
    ring.write(at, first)
    if len(first) < len(data):
        ring.write(0, data[len(first) :])


def get(ring: End, at: int, count: int) -> bytes:
    """Read bytes that may go over the end."""
    at %= ring.size
    first = ring.read(at, min(count, ring.size - at))
    return first if len(first) == count else first + ring.read(0, count - len(first))


assert GAP == UNIT
