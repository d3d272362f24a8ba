"""VMBus from Python: a whole handshake and one packet, silent; and the same recorded."""

from collections.abc import Callable, Iterator
from time import process_time

from benchmarks.clock import Row, at_most, measured
from hvlab.lab.bus import Bus
from hvlab.machine import warm

HANDSHAKE = "VMBus: handshake and one packet, silent, from Python, ms"
RECORDED = "VMBus: handshake and one packet, recorded, from Python, ms"
MOST_MS = 5.0


def handshake(bus: Bus) -> None:
    """Contact, offers, pages, open, one packet, and everybody at rest."""
    with bus.machine.action():
        bus.guest.connect()
        bus.guest.request_offers()
        end = bus.guest.open(1)
        assert end is not None
        end.send(b"hello")
        bus.rest()


def times(recording: bool, count: int) -> list[float]:
    """Return the CPU milliseconds of handshakes, each on a machine of its own; the packet arrived each time."""
    found = []
    for _ in range(count + 1):
        bus = Bus(recording=recording, pages=256)
        begun = process_time()
        handshake(bus)
        found.append(1000 * (process_time() - begun))
        assert [packet.data for packet in bus.host.ends[1].inbox] == [b"hello\0\0\0"]
        assert len(bus.machine.trace) == 0 or recording
    return found[1:]


def everything(quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Yield the rows of VMBus that are not about rings alone."""
    count = 7 if quick else 31
    if wanted(HANDSHAKE) or wanted(RECORDED):
        warm()
    if wanted(HANDSHAKE):
        yield at_most(HANDSHAKE, times(False, count), MOST_MS)
    if wanted(RECORDED):
        yield measured(RECORDED, times(True, count))
