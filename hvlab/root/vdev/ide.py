"""A disk on the first IDE channel: the task file, and IDENTIFY DEVICE by PIO. Source: ATA/ATAPI-6, sections 7 to 9.

SIMPLER THAN REAL: IDENTIFY, INITIALIZE DEVICE PARAMETERS and SET FEATURES only; no sectors, DMA, interrupts.
SIMPLER THAN REAL: a command is done at once, so BSY is never seen set but in a reset.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

DATA, FEATURES, COUNT, LOW, MID, HIGH, DEVICE, COMMAND = range(0x1F0, 0x1F8)
CONTROL = 0x3F6
BSY, DRDY, DSC, DRQ, ERR = 0x80, 0x40, 0x10, 0x08, 0x01  # status
ABORTED, PASSED = 0x04, 0x01  # error register: ABRT; after a reset: no error
SECOND, OBSOLETE = 0x10, 0xA0  # device register: which of two; two bits that read 1
RESET = 0x04  # control register: SRST
IDENTIFY, INITIALIZE, SET_FEATURES = 0xEC, 0x91, 0xEF
WORDS = 256


@dataclass
class Identity:
    """What a disk says of itself."""

    serial: str = "HVLAB0001"
    firmware: str = "1.0"
    model: str = "hvlab virtual disk"
    sectors: int = 65536

    def encode(self) -> bytes:
        """Return the 256 words of IDENTIFY DEVICE data: text has its bytes swapped in each word."""
        words = [0] * WORDS
        cylinders = min(self.sectors // (16 * 63), 16383)
        words[0], words[1], words[3], words[6] = 0x0040, cylinders, 16, 63
        for first, last, text in ((10, 20, self.serial), (23, 27, self.firmware), (27, 47, self.model)):
            data = text.encode("ascii", "replace")[: 2 * (last - first)].ljust(2 * (last - first))
            words[first:last] = [data[k] << 8 | data[k + 1] for k in range(0, len(data), 2)]
        words[49] = 0x0200  # LBA
        words[53] = 0x0001  # words 54 to 58 are valid
        words[54:57] = [cylinders, 16, 63]
        there = cylinders * 16 * 63
        words[57:59] = [there & 0xFFFF, there >> 16]
        words[60:62] = [self.sectors & 0xFFFF, self.sectors >> 16]
        words[80] = 0x007E  # ATA-1 to ATA-6
        return b"".join(word.to_bytes(2, "little") for word in words)


@dataclass
class Ide:
    """One disk as device 0 of the channel; device 1 is not there.

    Attributes
    ----------
    buffer : bytes
        What the data port still has to give.
    """

    identity: Identity = field(default_factory=Identity)
    error: int = PASSED
    features: int = 0
    file: list[int] = field(default_factory=lambda: [1, 1, 0, 0])  # count, low, mid, high: the signature of a disk
    device: int = OBSOLETE
    status: int = DRDY | DSC
    control: int = 0
    buffer: bytearray = field(default_factory=bytearray)
    kind: int = 2

    @property
    def ports(self) -> Sequence[int]:
        return (*range(DATA, COMMAND + 1), CONTROL)

    def read(self, port: int, size: int) -> int:
        """Read a register; the data port gives as many bytes as are asked for."""
        if self.device & SECOND:
            return 0  # the channel is driven by nobody; device 0 answers with zeros (ATA-6, 9.16)
        if port == DATA:
            return self._data(size)
        value = {
            FEATURES: self.error,
            DEVICE: self.device,
            COMMAND: self.status,
            CONTROL: self.status,
        }.get(port)
        return self.file[port - COUNT] if value is None else value

    def _data(self, size: int) -> int:
        if not self.status & DRQ:
            return (1 << 8 * size) - 1
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        if not self.buffer:
            self.status &= ~DRQ
        return int.from_bytes(bytes(data).ljust(size, b"\0"), "little")

    def write(self, port: int, size: int, value: int) -> None:
        """Write a register; a write to the last one of the task file is a command."""
        value &= 0xFF
        if port == CONTROL:
            self._reset(value)
        elif self.status & BSY:
            return
        elif port == FEATURES:
            self.features = value
        elif port == DEVICE:
            self.device = value | OBSOLETE
        elif port == COMMAND:
            self._command(value)
        elif port != DATA:
            self.file[port - COUNT] = value

    def _reset(self, value: int) -> None:
        """SRST: busy while the bit is set; then the signature of a disk."""
        was, self.control = self.control, value
        if value & RESET:
            self.status = BSY
        elif was & RESET:
            self.file, self.error, self.device = [1, 1, 0, 0], PASSED, OBSOLETE
            self.buffer.clear()
            self.status = DRDY | DSC

    def _command(self, code: int) -> None:
        if self.device & SECOND:
            return
        self.buffer.clear()
        self.error, self.status = 0, DRDY | DSC
        if code == IDENTIFY:
            self.buffer += self.identity.encode()
            self.status |= DRQ
        elif code not in (INITIALIZE, SET_FEATURES):
            self.error, self.status = ABORTED, DRDY | DSC | ERR
