"""A ring in the pages of a child, both ends at hand, nothing recorded: for runs by the thousand."""

from functools import cache
from typing import Final

from hvlab.hypervisor.vp import Fault, Window
from hvlab.machine import Machine
from hvlab.vmbus.ring import TO_HOST, Packet, Reader, Verdict, Writer
from hvlab.wire.ring import CONTROL, TRAILER, PacketDescriptor, PacketType

HEAD: Final = PacketDescriptor.size
FIRST: Final = 0x8000  # where the child's ring begins
SMALL: Final = 64 * 4096
PACKET: Final = HEAD + TRAILER  # bytes of one without data


@cache
def _window(pages: int) -> Window:
    """Return a child's pages; each bench of this size uses the same ones."""
    machine = Machine(memory=4 << 20)
    machine.hv.recording = False
    child = machine.child("web", memory=SMALL)
    window = child.vp.window([FIRST + 4096 * k for k in range(1 + pages)])
    assert isinstance(window, Window)
    return window


@cache
def _packets(size: int, count: int) -> tuple[Packet, ...]:
    return (Packet(PacketType.IN_BAND, bytes(size)),) * count


class Bench:
    """One empty ring with both ends.

    Attributes
    ----------
    signals, refused : int
        How often the reader was signalled, and how many packets found no room.
    """

    def __init__(self, size: int = 4096) -> None:
        self._window = _window(size // CONTROL)
        self._writer = Writer(self._window, 1, TO_HOST)
        self._writer.prepare()
        self._reader = Reader(self._window, 1, TO_HOST)
        self.signals = self.refused = 0

    def write(self, size: int, count: int = 1) -> int:
        """Write packets of so many bytes with one update of the index, as far as there is room; return how many."""
        written = self._writer.write_batch(_packets(size, count))
        self.refused += count - written.count
        self.signals += written.signal
        return written.count

    def read(self, count: int = 1) -> int:
        """Read at most so many packets, then give their room back at once; return how many."""
        return len(self._reader.read_all(count))

    def mask(self, value: int) -> None:
        """Set the reader's mask; nobody looks again."""
        self._reader.begin() if value else self._reader.end()

    @property
    def write_index(self) -> int:
        return self._index(0)

    @property
    def read_index(self) -> int:
        return self._index(4)

    def _index(self, at: int) -> int:
        found = self._window.read(at, 4)
        assert not isinstance(found, Fault | Verdict)
        return int.from_bytes(found, "little")
