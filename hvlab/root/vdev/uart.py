"""A serial port: the register file of a 16550A at eight ports. Source: National Semiconductor PC16550D data sheet.

What is transmitted is kept; what comes in waits in a queue of 16. With loop-back (MCR bit 4) it hears itself.

SIMPLER THAN REAL: a byte is gone as soon as it is written; baud rate, parity and line errors have no effect.
SIMPLER THAN REAL: it raises no interrupt; IIR says what would be pending.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

COM1 = 0x3F8
RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR = range(8)  # THR and the low divisor at 0, the high one at 1, FCR at 2
DLAB = 0x80  # LCR: ports 0 and 1 are the divisor
DATA_READY, OVERRUN, EMPTY, IDLE = 0x01, 0x02, 0x20, 0x40  # LSR
LOOP = 0x10  # MCR
NOTHING_PENDING, RECEIVED, TRANSMITTED, FIFOS = 0x01, 0x04, 0x02, 0xC0  # IIR
FIFO_ON, CLEAR_RECEIVE = 0x01, 0x02  # FCR
ROOM = 16
MODEM_READY = 0xB0  # MSR: CTS, DSR and DCD are there


@dataclass
class Uart:
    """A 16550A.

    Attributes
    ----------
    sent : bytes
        All that was transmitted.
    waiting : bytes
        What came in and was not read yet.
    """

    base: int = COM1
    sent: bytearray = field(default_factory=bytearray)
    waiting: bytearray = field(default_factory=bytearray)
    ier: int = 0
    lcr: int = 0
    mcr: int = 0
    scratch: int = 0
    divisor: int = 0
    fifo: int = 0
    overrun: int = 0
    sent_pending: int = 0  # "transmitter empty" was not looked at yet
    kind: int = 1

    @property
    def ports(self) -> Sequence[int]:
        return range(self.base, self.base + 8)

    def receive(self, data: bytes) -> None:
        """Let bytes arrive from the other end of the line."""
        room = ROOM if self.fifo & FIFO_ON else 1
        for byte in data:
            if len(self.waiting) >= room:
                self.overrun = 1
                if not self.fifo & FIFO_ON:
                    self.waiting[0] = byte  # without a queue the newer byte overwrites the older one
            else:
                self.waiting.append(byte)

    def read(self, port: int, size: int) -> int:
        """Read a register; wider reads see ones behind the first byte."""
        return self._read(port - self.base) | ((1 << 8 * size) - 1 & ~0xFF)

    def _read(self, register: int) -> int:
        if register in (RBR, IER) and self.lcr & DLAB:
            return self.divisor >> 8 * register & 0xFF
        if register == RBR:
            return self.waiting.pop(0) if self.waiting else 0
        if register == IIR:
            return self._identify()
        if register == LSR:
            overrun, self.overrun = self.overrun, 0  # reading clears it
            return EMPTY | IDLE | (DATA_READY if self.waiting else 0) | (OVERRUN if overrun else 0)
        if register == MSR:
            return self._modem()
        return {IER: self.ier, LCR: self.lcr, MCR: self.mcr, SCR: self.scratch}[register]

    def _identify(self) -> int:
        found = FIFOS if self.fifo & FIFO_ON else 0
        if self.ier & 1 and self.waiting:
            return found | RECEIVED
        if self.ier & 2 and self.sent_pending:
            self.sent_pending = 0
            return found | TRANSMITTED
        return found | NOTHING_PENDING

    def _modem(self) -> int:
        if not self.mcr & LOOP:
            return MODEM_READY
        rts, dtr = self.mcr >> 1 & 1, self.mcr & 1  # looped: RTS to CTS, DTR to DSR, OUT1 to RI, OUT2 to DCD
        return rts << 4 | dtr << 5 | (self.mcr >> 2 & 1) << 6 | (self.mcr >> 3 & 1) << 7

    def write(self, port: int, size: int, value: int) -> None:
        """Write a register; of wider writes the first byte counts."""
        register, value = port - self.base, value & 0xFF
        if register in (RBR, IER) and self.lcr & DLAB:
            shift = 8 * register
            self.divisor = self.divisor & ~(0xFF << shift) | value << shift
        elif register == RBR:
            self._transmit(value)
        elif register == IER:
            self.sent_pending |= int(bool(value & 2 and not self.ier & 2))
            self.ier = value & 0x0F
        elif register == IIR:
            self._control(value)
        elif register == LCR:
            self.lcr = value
        elif register == MCR:
            self.mcr = value & 0x1F
        elif register == SCR:
            self.scratch = value

    def _control(self, value: int) -> None:
        """FCR: switch the queue, or empty it."""
        if value & FIFO_ON != self.fifo & FIFO_ON or value & CLEAR_RECEIVE:
            self.waiting.clear()
        self.fifo = value & FIFO_ON

    def _transmit(self, byte: int) -> None:
        self.sent_pending = 1
        if self.mcr & LOOP:
            self.receive(bytes([byte]))
        else:
            self.sent.append(byte)
