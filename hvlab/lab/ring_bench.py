"""A ring alone, without a machine: the engine's own kernels on an array, silent, for runs by the thousand."""

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from hvlab.kernel import I
from hvlab.trace.event import COLUMNS
from hvlab.vmbus.engine import entry
from hvlab.vmbus.engine.words import END
from hvlab.vmbus.storm import STATE
from hvlab.wire.ring import UNIT, PacketDescriptor, PacketType

SILENT: Final[npt.NDArray[np.int64]] = np.zeros((0, COLUMNS), np.int64)
PAGE_WORDS: Final = 512
FEATURES: Final = 8  # the word of the control page with the feature bits
HEAD: Final = PacketDescriptor.size


@cache
def block(size: int) -> npt.NDArray[np.int64]:
    """Return an in-band packet with so many bytes of data, all zero, as words without the trailer."""
    length = HEAD + -(-size // UNIT) * UNIT
    data = PacketDescriptor.encode(type=PacketType.IN_BAND, offset8=HEAD // UNIT, length8=length // UNIT)
    return np.frombuffer(data.ljust(length, b"\0"), "<i8").astype(np.int64)


class Bench:
    """One ring with both ends.

    Attributes
    ----------
    signals, refused : int
        How often the reader was signalled, and how many packets found no room.
    """

    def __init__(self, size: int = 4096, rule: int = 0) -> None:
        pages = 1 + size // (8 * PAGE_WORDS)
        self._mem, self._state = np.zeros(PAGE_WORDS * pages, np.int64), np.zeros(1, STATE)
        self._places = np.stack([PAGE_WORDS * np.arange(pages), 4096 * np.arange(pages)]).astype(np.int64)
        self._ends = np.zeros(2, END)
        self._ends["size"], self._ends["limit"], self._ends["rule"] = size, size, rule
        self._arena, self._mem[FEATURES] = np.zeros(size // UNIT, np.int64), 1
        self.signals = self.refused = 0

    def _do(self, end: int, op: int, arena: npt.NDArray[np.int64], value: int = 0) -> int:
        ends = self._ends[end : end + 1]
        words = self._state, self._mem, SILENT, I(0), I(-1), self._places, ends
        return int(entry.operation()(*words, I(op), arena, I(value)))

    def write(self, size: int, count: int = 1) -> int:
        """Write packets of so many bytes with one update of the index, as far as there is room; return how many."""
        done = self._do(0, int(entry.WRITE), np.tile(block(size), count), count)
        self.refused += count - done
        self.signals += int(self._ends["signal"][0])
        return done

    def read(self, count: int = 1) -> int:
        """Read at most so many packets, then give their room back at once; return how many."""
        done = 0
        while done < count and self._do(1, int(entry.READ), self._arena) == 0:
            done += 1
        self._do(1, int(entry.CLOSE), self._arena)
        return done

    def mask(self, value: int) -> None:
        """Set the reader's mask."""
        self._do(1, int(entry.MASK), self._arena, value)

    @property
    def write_index(self) -> int:
        return int(self._mem[0]) & 0xFFFFFFFF

    @property
    def read_index(self) -> int:
        return int(self._mem[0]) >> 32
