"""The hypervisor's body: the machine's arrays, one way to tell what happened, and accesses on behalf of a processor."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hvlab.errors import BadRequest
from hvlab.hardware import flush, processor
from hvlab.hardware.memory import PAGE, Memory
from hvlab.hypervisor import clockwork, scheduler, stale
from hvlab.hypervisor.partition import SLOTS, Fault, Life, vpid_of, vps_of
from hvlab.kernel import I
from hvlab.trace.event import CATALOGUE, COLUMNS, append, by_name
from hvlab.trace.journal import Trace

Rows = npt.NDArray[np.int64]
ROOM = 16_384
SILENT: Rows = np.zeros((0, COLUMNS), np.int64)
NOT_HASHED = ("rows", "now", "steps", "count", "exits")
NUMBERS = {declared.name: (declared.number, declared.fields) for declared in CATALOGUE}
TABLE_READ, SPA_OF_ENTRY = by_name("table_entry_read").number, 4 + by_name("table_entry_read").fields.index("spa")


class Hypervisor:
    """State, memory and recorder of one machine; the modules beside this one act on it.

    Attributes
    ----------
    recording : bool
        Whether events are kept.
    last : Trace
        The rows of the last action.
    audit : bool
        For tests: compare the state around each failed call, and note each finding in `findings`.
    """

    def __init__(self, state: Any, mem: Rows) -> None:
        self.state, self.mem = state, mem
        self.memory = Memory(state, mem)
        self.rows: Rows = np.zeros((ROOM, COLUMNS), np.int64)
        self.recording, self.audit, self.findings = True, False, list[str]()
        self.done: list[tuple[int, int, int, int]] = []  # with audit: code, caller's slot and privileges, status
        self.last = Trace(SILENT)
        self.actor, self.cause = -1, -1
        self.walked: set[int] = set()  # pages that a walker read as a guest's tables
        self.walked_unseen = False  # a silent run may have read others
        self.unsettled = False  # tables changed since the caches were last compared with them
        self.tables = 0  # how often a second level changed: what was found in one holds for that long
        self.stale_left = False  # then, some were stale: a walk from one of them fills another stale one
        self.handlers: dict[int, Callable[[int], None]] = {}  # of VPs whose software takes its interrupts itself
        self.chooser: Callable[[], Sequence[clockwork.Row]] = tuple  # the root's own scheduler: rows for the next turn
        self._parts: list[Rows] = []
        self._depth = 0

    # what happened -------------------------------------------------------------------------------------------------

    @property
    def trace(self) -> Rows:
        return self.rows if self.recording else SILENT

    def tell(self, name: str, /, **words: int) -> int:
        """Append an event; return its row, the cause of what follows from it."""
        if not self.recording:
            return -1
        if self.state["rows"][0] > ROOM - 8:
            self._spill()
        number, fields = NUMBERS[name]
        if len(words) != len(fields):
            raise TypeError(f"event {name} has the words {', '.join(fields)}, got {', '.join(words)}")
        values = [I(_signed(words[field])) for field in fields] + [I(0)] * (6 - len(fields))
        return int(append(self.state, self.rows, I(number), I(self.actor), I(self.cause), *values))

    def _spill(self) -> None:
        count = int(self.state["rows"][0])
        if count == 0:  # what is kept of rows counts back already
            self._parts.append(self.rows[:0])
            self.cause = -1
            return
        part, base = self.rows[:count].copy(), sum(map(len, self._parts))
        cause = part[:, 3]
        part[:, 3] = np.where(cause >= 0, cause + base, np.where(cause < -1, np.maximum(cause + 1 + base, -1), -1))
        self._parts.append(part)
        self.state["rows"], self.cause = 0, -1
        for kept in self._kept_causes():  # from now on they count back from the first row of the next part
            kept[...] = np.where(kept >= 0, kept - count - 1, np.where(kept < -1, kept - count, -1))

    def make_room(self, rows: int) -> None:
        """Let so many rows be told without a pause: what a kernel does in one go may not be cut."""
        if self.recording and int(self.state["rows"][0]) + rows > len(self.rows) - 8:
            self._spill()
            if rows > len(self.rows) - 8:
                self.rows = np.zeros((rows + 8, COLUMNS), np.int64)

    def _kept_causes(self) -> tuple[Rows, ...]:
        """Return what the state knows of rows: what is due, and what is to happen to a virtual processor."""
        return self.state["agenda"]["seat"]["cause"], self.state["run"]["cause"]

    def action(self, actor: int = -1) -> "Action":
        """Join everything told inside into one trace, `last`; an action inside an action adds to it."""
        return Action(self, actor)

    def _begin(self, actor: int) -> tuple[int, int]:
        outer = self.actor, self.cause
        if self._depth == 0:
            self.state["rows"], self._parts = 0, []
            for kept in self._kept_causes():
                kept[...] = -1
        self._depth += 1
        self.actor, self.cause = actor, -1
        return outer

    def _end(self, outer: tuple[int, int]) -> None:
        self._depth -= 1
        self.actor, self.cause = outer
        if self._depth == 0:
            self._spill()
            self.last, self._parts = Trace(np.concatenate(self._parts)), []

    def caused_by(self, row: int) -> "Cause":
        """Make `row` the cause of what is told inside."""
        return Cause(self, row)

    @property
    def newest(self) -> int:
        """The row that was told last: the cause of what follows from it at once; -1 if nothing is recorded."""
        return int(self.state["rows"][0]) - 1 if self.recording else -1

    def spend(self, cost: str, times: int = 1) -> None:
        """Let simulated time pass."""
        self.state["now"] += self.state["cost"][cost][0] * times

    def leave(self, vp: int, reason: int) -> None:
        """Count an exit of a virtual processor, and let its time pass."""
        self.state["exits"][0, vp, reason] += 1
        self.spend("exit")

    def hash(self) -> str:
        """Return a SHA-256 of state and memory: without time, recorder and counters, which a failed call may move."""
        copy = self.state.copy()
        for name in NOT_HASHED:
            copy[name] = np.zeros(1, copy.dtype[name])
        key = hashlib.sha256(copy.tobytes())
        key.update(self.mem.tobytes())
        return key.hexdigest()

    # accesses ------------------------------------------------------------------------------------------------------

    def slot_of(self, vp: int) -> int:
        return int(self.state["guest"]["partition"][0, vp])

    def run(self, vp: int, gvas: Rows, access: Rows) -> tuple[Rows, Rows]:
        """Let the processor translate each address in turn; return (faults, SPAs)."""
        self.enter(vp)
        fault, spa = np.zeros(len(gvas), np.int64), np.zeros(len(gvas), np.int64)
        done = 0
        while done < len(gvas):
            if self.recording and self.state["rows"][0] > ROOM - processor.WORST_STEP - 8:
                self._spill()
            before = int(self.state["rows"][0])
            part = slice(done, len(gvas))
            done += int(
                processor.run(self.state, self.mem, self.trace, vp, gvas[part], access[part], fault[part], spa[part])
            )
            self._remember_tables(before)
        self.unsettled |= self.stale_left
        return fault, spa

    def turn(self, rows: Sequence[clockwork.Row] = (), until: int | None = None) -> Rows:
        """Let simulated time pass: do each row (time, operation, VP, …) at its time, and whatever is due meanwhile.

        Parameters
        ----------
        rows : sequence
            As `hypervisor.clockwork` has them, in the order of time; a time that has passed means now.
        until : int, optional
            The time at which it ends; without it, the last row's.

        Returns
        -------
        array of int64
            The answer to each row.
        """
        work = np.zeros((len(rows), clockwork.COLUMNS), np.int64)
        for k, row in enumerate(rows):
            work[k, : len(row)] = row
        answer, s, now = np.zeros(len(work), np.int64), self.state["scheduler"][0], int(self.state["now"][0])
        end, done = max(now, *work[:, 0].tolist(), now if until is None else until), 0
        where = self.state["vp"]["lp"][0].copy()
        while True:
            s["asked"] = self.cause
            done += clockwork.advance(self.state, self.mem, self.trace, work[done:], answer[done:], end)
            if s["stop"] == scheduler.STOP_ROOM:
                self._spill()
            elif s["stop"] == scheduler.STOP_HANDLER:
                self._handle(int(s["stop_vp"]), int(s["stop_vector"]))
            elif s["stop"] == scheduler.STOP_ROOT:
                self.turn(self.chooser())
            else:
                self._moved(where)
                return answer

    def _moved(self, where: Rows) -> None:
        """Forget what a logical processor knows of a virtual one that moves to it: it may have flushed elsewhere."""
        for vp in np.flatnonzero(self.state["vp"]["lp"][0] != where).tolist():
            record = self.state["vp"][0, vp]
            flush.one_tag(self.state["lp"][0, int(record["lp"])]["tlb"], int(record["vpid"]))

    def _handle(self, vp: int, vector: int) -> None:
        """Let the software of a partition handle the interrupt that its virtual processor took."""
        handler, row = self.handlers.get(vp), int(self.state["run"]["cause"][0, vp])
        if handler is not None:
            with self.caused_by(max(row, -1)):
                handler(vector)

    def _remember_tables(self, before: int) -> None:
        """Note which pages were read as a guest's tables: writes to them make cached translations stale."""
        if not self.recording:
            self.walked_unseen = True
            return
        new = self.rows[before : int(self.state["rows"][0])]
        spas = new[new[:, 0] == TABLE_READ, SPA_OF_ENTRY]
        self.walked.update((spas >> 12).tolist())

    def enter(self, vp: int) -> None:
        """Let a processor run a virtual processor: without tags, a change of the latter empties the caches."""
        self.settle()
        tlb = self.state["lp"][0, int(self.state["vp"]["lp"][0, vp])]["tlb"]
        if self.state["hypervisor"]["tags"][0] == 0 and tlb["running"] not in (0, vp + 1):
            flush.everything(tlb)
            self.tell("tlb_flushed", what=flush.EVERYTHING, vpid=0, gva=0)
            self.spend("flush")
        tlb["running"] = vp + 1

    def changed(self, spn: int) -> None:
        """Say that a page changed; if a walker read it as a table, caches are compared before they are used."""
        if self.walked_unseen or spn in self.walked:
            self.unsettled = True

    def settle(self) -> None:
        """Mark what is stale, if tables changed since the last time."""
        if self.unsettled:
            self.unsettled = False
            self.stale_left = stale.mark(self.state, self.mem) > 0

    def lps(self) -> Iterator[Any]:
        for lp in range(processor.LPS):
            yield self.state["lp"][0, lp]["tlb"]

    def flush_partition(self, slot: int) -> None:
        """Drop what any processor cached from a partition's second level: the hypervisor's duty after a change."""
        vpids = [vpid_of(vp) for vp in vps_of(self.state, slot)]
        for tlb in self.lps():
            flush.one_second_level(tlb, slot, vpids)
        self.tell("tlb_flushed", what=flush.ONE_SECOND_LEVEL, vpid=vpids[0] if vpids else 0, gva=0)
        self.spend("flush")

    def owe_flush(self, slot: int) -> None:
        """A second-level entry lost a right or its page: flush, or (as a named mistake) leave stale entries behind."""
        if self.state["hypervisor"]["flush_on_unmap"][0]:
            self.flush_partition(slot)
            return
        count = stale.mark(self.state, self.mem)
        self.stale_left = count > 0
        self.tell("flush_withheld", partition=self.id_of(slot), stale=count)

    def id_of(self, slot: int) -> int:
        return int(self.state["partition"]["id"][0, slot]) if 0 < slot < SLOTS else 0

    def alive(self) -> list[int]:
        """Return the slots in use."""
        return [slot for slot in range(1, SLOTS) if self.state["partition"]["life"][0, slot] != Life.FREE]

    # bytes by SPA ---------------------------------------------------------------------------------------------------

    def store(self, spa: int, data: bytes, event: str = "memory_written", /, **words: int) -> None:
        """Write bytes inside one page, and tell each word that changed with its old and new value."""
        if not data or (spa & PAGE - 1) + len(data) > PAGE:
            raise BadRequest(f"{len(data)} bytes at SPA {spa:#x}", "", "1 or more bytes inside one page")
        first, last = spa >> 3 & 511, (spa & PAGE - 1) + len(data) - 1 >> 3
        page = self.memory.page(spa >> 12)
        old = page[first : last + 1].copy()
        self.memory.write(spa, data)
        for k in np.flatnonzero(page[first : last + 1] != old).tolist():
            at = (spa & ~(PAGE - 1)) + 8 * (first + k)
            self.tell(event, spa=at, old=int(old[k]), new=int(page[first + k]), **words)
        self.changed(spa >> 12)


class Action:
    """What `Hypervisor.action` returns: everything inside is one action. A class of its own is entered often."""

    __slots__ = ("actor", "hv", "outer")

    def __init__(self, hv: Hypervisor, actor: int) -> None:
        self.hv, self.actor = hv, actor

    def __enter__(self) -> None:
        self.outer = self.hv._begin(self.actor)

    def __exit__(self, *trouble: object) -> None:
        self.hv._end(self.outer)


class Cause:
    """What `Hypervisor.caused_by` returns: what is told inside follows from one row."""

    __slots__ = ("hv", "outer", "row")

    def __init__(self, hv: Hypervisor, row: int) -> None:
        self.hv, self.row = hv, row

    def __enter__(self) -> None:
        self.outer, self.hv.cause = self.hv.cause, self.row

    def __exit__(self, *trouble: object) -> None:
        self.hv.cause = self.outer if int(self.hv.state["rows"][0]) > self.outer else -1


def _signed(value: int) -> int:
    value = int(value) & (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def fault_of(number: int, gva: int, gpa: int) -> Fault:
    """Name what the processor returned."""
    kinds = {1: "#PF", 2: "#GP", 3: "intercept", 4: "ept_misconfiguration", 5: "intercept", 6: "memory_missing"}
    kind = number & (1 << int(processor.DETAIL)) - 1
    return Fault(kinds[kind], number >> int(processor.DETAIL), gva, gpa)
