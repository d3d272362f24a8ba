"""A window: pages of a partition's own, as one run of words that compiled code may use for as long as they are there.

The pages lie wherever the second level says; together they are bytes 0, 1, 2 … of the window. What the second level
said is asked again as soon as any second level changed, so that a page that was taken away is a fault and never a
stale address.

SIMPLER THAN REAL: software uses these pages by guest physical address, as `read_gpa` does; no A or D flag is set.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hvlab.errors import BadRequest
from hvlab.hardware.memory import PAGE, PLACE, signed
from hvlab.hardware.processor import WRITE
from hvlab.hypervisor.address import R, W, look_up
from hvlab.hypervisor.core import Hypervisor
from hvlab.hypervisor.intercept import second_level_fault
from hvlab.hypervisor.partition import Fault

BOTH = R | W
T = TypeVar("T")


class Window:
    """Pages that software on a virtual processor reads and writes as one run of bytes.

    Parameters
    ----------
    user : Windows
        The virtual processor that uses it.
    gpas : sequence of int
        Its pages, each aligned to 4 KiB, in the order of the window; a page may stand there twice.
    """

    def __init__(self, user: Windows, hv: Hypervisor, gpas: Sequence[int]) -> None:
        if not gpas or any(gpa < 0 or gpa % PAGE for gpa in gpas):
            raise BadRequest(f"a window of pages {[hex(gpa) for gpa in gpas][:4]}", "", "page addresses, at least one")
        self.user, self.gpas, self.size = user, tuple(gpas), PAGE * len(gpas)
        self._hv, self._gpns = hv, np.array([signed(gpa >> 12) for gpa in gpas], np.int64)
        self._places: npt.NDArray[np.int64] = np.zeros(2 * len(gpas), np.int64)
        self._tables, self._spns = -1, set[int]()

    def resolve(self) -> Fault | None:
        """Ask the second level where the pages are, unless nothing changed since it was asked."""
        hv = self._hv
        if self._tables == hv.tables:
            return None
        spns, rights = look_up(hv, hv.slot_of(self.user.number), self._gpns)
        missing = np.flatnonzero(rights & BOTH != BOTH)
        if len(missing):
            gpa = self.gpas[int(missing[0])]
            return second_level_fault(hv, self.user.number, gpa, gpa, int(WRITE), 0)
        where = hv.mem[spns] >> PLACE
        if not where.all():
            return Fault("memory_missing", 0, self.gpas[int(np.argmin(where != 0))])
        self._places[:] = np.concatenate([where, spns << 12])
        self._tables, self._spns = hv.tables, set(spns.tolist())
        return None

    def run(self, entry: Callable[..., Any], *args: Any, rows: int = 64) -> int | Fault:
        """Call a compiled entry point as ``entry(state, mem, trace, vp, cause, places, *args)``; return its answer.

        `places` holds the word in `mem` at which each page begins, then the SPA of each. `rows` is the most that the
        entry point tells.
        """
        hv = self._hv

        def call() -> int:
            hv.make_room(rows)
            answer = entry(hv.state, hv.mem, hv.trace, self.user.number, hv.cause, self._places, *args)
            if hv.walked_unseen or not hv.walked.isdisjoint(self._spns):
                hv.unsettled = True  # a walker read one of these pages as a table
            return int(answer)

        return self._reaching(call)

    def _reaching(self, use: Callable[[], T]) -> T | Fault:
        """Use the pages, if they are there, as one action of the user's; its cause is the one that held outside."""
        outer = self._hv.cause
        self.user._runs()
        with self._hv.action(self.user.number):
            if fault := self.resolve():
                return fault
            self._hv.cause = outer
            return use()

    @property
    def spas(self) -> list[int]:
        """Where the pages lie, for what is told; the software does not know it."""
        return [] if self.resolve() else [int(spa) for spa in self._places[len(self.gpas) :]]

    def tell(self, name: str, /, **words: int) -> int:
        """Say what its user did, as `Windows.tell`."""
        return self.user.tell(name, **words)

    def read(self, offset: int, count: int) -> bytes | Fault:
        """Read bytes from a place in the window."""
        fetch, parts = self._hv.memory.read, self._parts(offset, count)
        return self._reaching(lambda: b"".join(fetch(spa, size) for spa, _, size, _ in parts))

    def write(self, offset: int, data: bytes) -> Fault | None:
        """Write bytes to a place in the window."""

        def store() -> None:
            for spa, done, size, gpa in self._parts(offset, len(data)):
                self._hv.store(spa, data[done : done + size], gva=gpa)

        return self._reaching(store)

    def _parts(self, offset: int, count: int) -> Iterator[tuple[int, int, int, int]]:
        """Split a range at page borders: (SPA, place in the data, bytes, GPA)."""
        if offset < 0 or count < 0 or offset + count > self.size:
            raise BadRequest(f"bytes {offset} to {offset + count}", f"a window of {self.size} bytes")
        done = 0
        while done < count:
            page, inside = divmod(offset + done, PAGE)
            size = min(count - done, PAGE - inside)
            yield int(self._places[len(self.gpas) + page]) | inside, done, size, self.gpas[page] | inside
            done += size


class Windows:
    """What a virtual processor has for drivers: windows, and a voice of its own in the trace."""

    _hv: Hypervisor
    number: int

    def _runs(self) -> None:
        raise NotImplementedError

    def window(self, gpas: Sequence[int]) -> Window | Fault:
        """Return pages of the partition's own in a row; a page that it does not have, or may not write, is a fault."""
        window = Window(self, self._hv, gpas)
        self._runs()
        with self._hv.action(self.number):
            return window.resolve() or window

    def tell(self, name: str, /, **words: int) -> int:
        """Let software say what it did, with this processor as the actor; return the row, a cause for what follows."""
        cause = self._hv.cause
        if not self._hv.recording:
            return -1
        with self._hv.action(self.number), self._hv.caused_by(cause):
            return self._hv.tell(name, **words)

    def because(self, row: int) -> contextlib.AbstractContextManager[None]:
        """Make a row that was told the cause of what is told, and of what windows do, inside."""
        return self._hv.caused_by(row)
