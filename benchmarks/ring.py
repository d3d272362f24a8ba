"""Write and read through a ring: the engine against C of the same rules with memcpy, on the same arrays."""

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clock import Row, at_most, paired
from benchmarks.native import build
from hvlab.hypervisor.core import SILENT
from hvlab.hypervisor.partition import STATE
from hvlab.kernel import I
from hvlab.vmbus.engine import entry
from hvlab.vmbus.engine.words import END
from hvlab.wire.ring import PacketDescriptor

SOURCE = Path(__file__).with_name("ring.c")
PAYLOADS = (64, 512, 4096)
PAGES = (9, 0, 4, 1, 2, 8, 3, 16, 12, 5, 7, 15, 6, 10, 14, 13, 11)  # where the control page and the data lie
BURST = 8  # packets that are written before they are read
PAGE = 512  # words


class Side:
    """Memory with a ring in scattered pages, the records of both ends, and a packet: all in one block of pages."""

    def __init__(self, payload: int) -> None:
        ring, end = PAGE * len(PAGES), END.itemsize // 8
        block = np.zeros(4 * ring, np.int64)
        block = block[-block.ctypes.data % (8 * PAGE) // 8 :]
        self.block, self.state = block, np.zeros(1, STATE)
        self.mem, self.copy = block[:ring], block[ring + 64 : 2 * ring + 64 - PAGE]
        self.writer, self.reader = (block[at : at + end].view(END) for at in (2 * ring + 128, 2 * ring + 192))
        self.places = np.array([*(PAGE * k for k in PAGES), *(k << 12 for k in PAGES)], np.int64)
        self.mem[self.places[0] + 8] = 1  # the writer can wait for room
        for one in (self.writer, self.reader):
            one["size"] = one["limit"] = 8 * PAGE * (len(PAGES) - 1)
        head = PacketDescriptor.encode(type=6, offset8=2, length8=2 + payload // 8, flags=1, transaction_id=payload)
        packet = np.frombuffer(head + np.random.default_rng(payload).bytes(payload), "<i8")
        self.arena = block[2 * ring + 320 : 2 * ring + 321 + len(packet)]
        self.arena[:-1] = packet

    def answers(self) -> dict[str, bytes]:
        """Return all that the two sides must agree on."""
        arrays = {"memory": self.mem, "writer": self.writer, "reader": self.reader, "packet read": self.copy}
        return {name: array.tobytes() for name, array in arrays.items()}


class Twin:
    """The C ring, called like the engine."""

    def __init__(self, more: tuple[str, ...] = ()) -> None:
        self._run = build(END, SOURCE, more, "end").stream
        self._run.restype = ctypes.c_int64
        self._run.argtypes = [*[ctypes.c_void_p] * 6, *[ctypes.c_int64] * 4]

    def stream(self, side: Side, times: int) -> int:
        """Do the same as the engine's `stream`."""
        arrays = (side.mem, side.places, side.writer, side.reader, side.arena, side.copy)
        sizes = (len(side.arena) - 1, len(side.copy), BURST, times // BURST)
        return int(self._run(*(array.ctypes.data for array in arrays), *sizes))


def engine(side: Side, times: int) -> int:
    """Write the packet and read it, so many times."""
    ends = side.places, side.writer, side.reader
    return int(
        entry.stream(
            side.state, side.mem, SILENT, I(0), I(-1), *ends, side.arena, side.copy, I(BURST), I(times // BURST)
        )
    )


def compare(payload: int, times: int, twin: Any, pairs: int) -> list[float]:
    """Return the ratios of paired runs; memory, ends and packets must be equal after each of them.

    Both run in the same memory, which is as it was at the start before each run.
    """
    side, done, found = Side(payload), [0, 0], [dict[str, bytes](), dict[str, bytes]()]
    start = side.block.copy()

    def c_runs() -> None:
        side.block[:] = start
        done[0] = twin.stream(side, times)
        found[0] = side.answers()

    def engine_runs() -> None:
        side.block[:] = start
        done[1] = engine(side, times)
        found[1] = side.answers()

    def equal() -> None:
        assert done == [times // BURST] * 2, f"{done} bursts of {times} packets came through"
        for name in found[0]:
            assert found[0][name] == found[1][name], f"{payload} bytes: the {name} of the two sides differ"
        packet = side.arena[:-1].tobytes()
        assert side.copy.tobytes()[: len(packet)] == packet, "another packet was read than written"

    return paired(c_runs, engine_runs, equal, pairs)


def against_c(count: int, pairs: int, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Yield our time / C's, for each size of the data."""
    twin = None
    for payload in PAYLOADS:
        title = f"ring write + read / C with memcpy: {payload} bytes"
        if wanted(title):
            twin = twin or Twin()
            yield at_most(title, compare(payload, count, twin, pairs), 1.0)
