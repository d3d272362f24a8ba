"""A slow, obvious ring: a list of bytes, one rule after the other, with no thought of speed.

Written from ring_buffer.json and vmbus_packets.json of the reference facts and from the sources that they name
(Linux drivers/hv/ring_buffer.c, openvmm vmbus_ring), not from the kernels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

TYPES = {6: 16, 7: 24, 9: 24, 11: 16}  # packet types in use, with the least offset of the data
COMPLETION_REQUESTED = 1


@dataclass
class Shared:
    """What both sides see: the control page's fields and the data."""

    size: int
    write_index: int = 0
    read_index: int = 0
    interrupt_mask: int = 0
    pending_send_size: int = 0
    feature_bits: int = 1
    signals_counted: int = 0
    data: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.data = self.data or bytearray(self.size)

    def control_page(self) -> bytes:
        page = bytearray(4096)
        fields = (self.write_index, self.read_index, self.interrupt_mask, self.pending_send_size)
        page[0:16] = b"".join(value.to_bytes(4, "little") for value in fields)
        page[64:68] = self.feature_bits.to_bytes(4, "little")
        page[4088:4096] = self.signals_counted.to_bytes(8, "little")
        return bytes(page)

    def avail_to_write(self) -> int:
        return self.size - self.avail_to_read()

    def avail_to_read(self) -> int:
        return (self.write_index - self.read_index) % self.size

    def copy_in(self, at: int, block: bytes) -> None:
        for k, byte in enumerate(block):
            self.data[(at + k) % self.size] = byte

    def copy_out(self, at: int, count: int) -> bytes:
        return bytes(self.data[(at + k) % self.size] for k in range(count))


def packet(kind: int, data: bytes, transaction: int, completion: bool, extra: bytes) -> bytes:
    """The bytes of a packet without its trailer."""
    padded = data + bytes(-len(data) % 8)
    offset, length = 16 + len(extra), 16 + len(extra) + len(padded)
    words = (kind, offset // 8, length // 8, COMPLETION_REQUESTED if completion else 0)
    head = b"".join(word.to_bytes(2, "little") for word in words) + transaction.to_bytes(8, "little")
    return head + extra + padded


@dataclass
class ModelWriter:
    shared: Shared
    rule: str = "empty"
    counts: bool = False
    index: int = 0

    def write(self, packets: list[bytes]) -> tuple[int, bool]:
        """(packets written, whether to signal)."""
        s, old, done, at = self.shared, self.index, 0, self.index
        for block in packets:
            free = s.size - (at - s.read_index) % s.size
            if free <= len(block) + 8:
                break
            s.copy_in(at, block)
            s.copy_in((at + len(block)) % s.size, (at << 32).to_bytes(8, "little"))
            at = (at + len(block) + 8) % s.size
            done += 1
        if done == 0:
            return 0, False
        s.write_index = self.index = at
        signal = self.rule == "always" or s.interrupt_mask == 0 and s.read_index == old
        s.signals_counted += int(signal and self.counts)
        return done, signal


@dataclass
class ModelReader:
    shared: Shared
    policy: str = "hvlab"
    buffer: int = 4096
    index: int = 0

    def read(self) -> tuple[str, bytes]:
        """(verdict, the packet's bytes without the trailer)."""
        s = self.shared
        if self.policy == "linux":
            return self._read_as_linux()
        for index in (self.index, s.write_index):
            if index >= s.size or index % 8:
                return "bad_pointer", b""
        if self.index == s.write_index:
            return "empty", b""
        available = (s.write_index - self.index) % s.size
        if available < 16:
            return "bad_avail", b""
        verdict, length = self._judge(s.copy_out(self.index, 16), available)
        if verdict != "ok":
            return verdict, b""
        block = s.copy_out(self.index, length)
        if block[0] == 9 and int.from_bytes(block[20:24], "little") == 0:
            return "bad_range_count", b""
        self.index = (self.index + length + 8) % s.size
        return "ok", block

    def _judge(self, head: bytes, available: int) -> tuple[str, int]:
        kind, offset8, length8, flags = (int.from_bytes(head[k : k + 2], "little") for k in (0, 2, 4, 6))
        offset, length = offset8 * 8, length8 * 8
        if not 16 <= offset <= length or length > available:
            return "bad_lengths", 0
        if self.policy == "hvlab" and length + 8 > available:
            return "trailer_outside", 0
        if flags not in (0, COMPLETION_REQUESTED):
            return "bad_flags", 0
        if kind not in TYPES:
            return "bad_type", 0
        if offset < TYPES[kind]:
            return "bad_lengths", 0
        return "ok", length

    def _read_as_linux(self) -> tuple[str, bytes]:
        """hv_pkt_iter_first and hv_pkt_iter_next: no check of the indices, lengths are cut."""
        s, written = self.shared, self.shared.write_index
        available = written - self.index if written >= self.index else s.size - self.index + written
        if available < 16:
            return "empty", b""
        available = min(self.buffer, available)
        head = s.copy_out(self.index, 16)
        offset, length = (int.from_bytes(head[k : k + 2], "little") * 8 for k in (2, 4))
        if length < 16 or length > available:
            length = available
        if offset < 16 or offset > length:
            offset = 16
        length8, offset8 = length // 8, offset // 8
        block = bytearray(s.copy_out(self.index, length8 * 8))
        block[2:6] = offset8.to_bytes(2, "little") + length8.to_bytes(2, "little")
        self.index = (self.index + length8 * 8 + 8) % s.size
        return "ok", bytes(block)

    def close(self) -> bool:
        """Publish the read index; whether to signal."""
        s, old = self.shared, self.shared.read_index
        if old == self.index:
            return False
        s.read_index = self.index
        if s.write_index >= s.size or s.write_index % 8:
            return False
        if self.policy != "openvmm" and not s.feature_bits & 1:
            return False
        pending = s.pending_send_size & ~7
        before, after = (s.size - (s.write_index - index) % s.size for index in (old, self.index))
        return pending != 0 and before <= pending < after


def gpa_range(words: list[int]) -> tuple[str, int]:
    """(verdict, words used) of the range at the front of `words`."""
    if not words:
        return "empty_range", 0
    length, offset = words[0] & 0xFFFFFFFF, words[0] >> 32
    if length == 0:
        return "empty_count", 0
    if offset > 0xFFF:
        return "offset_too_large", 0
    if length + 4095 + offset > 0xFFFFFFFF:
        return "overflow", 0
    pages = (length + offset + 4095) // 4096
    if len(words) - 1 < pages:
        return "too_small", 0
    return "ok", 1 + pages
