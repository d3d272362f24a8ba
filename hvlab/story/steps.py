"""A trace of the whole machine as steps: who does what where, in which sub-goal, because of which earlier step.

What happens where is a table (`where.AT`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from hvlab.errors import BadRequest
from hvlab.story.host import BOXES, GUESTS, bus_of, caller_of, kernel_of, user_of
from hvlab.story.lens import GRAINS
from hvlab.story.where import AT, PROCESSORS, TABLES, WALK
from hvlab.trace.journal import Trace

CALL_PHASES: Final = ("set up", "enter", "check", "act", "return")
WALK_PHASES: Final = ("index", "descend", "fetch entry", "check rights", "deliver")
INTERCEPT_PHASES: Final = ("run", "exit", "tell the parent", "emulate", "resume")
WALK_PHASE: Final = {
    **dict.fromkeys(("access_begun", "tlb_missed", "general_protection_raised", "tlb_flushed"), "index"),
    **dict.fromkeys(("second_level_entry_read", "structure_cache_hit", "nested_cache_hit"), "descend"),
    **dict.fromkeys(("table_entry_read", "memory_missing"), "fetch entry"),
    **dict.fromkeys(("accessed_set", "dirty_set", "page_fault_raised", "ept_violation_raised"), "check rights"),
    **dict.fromkeys(("ept_misconfigured", "nested_page_fault_raised"), "check rights"),
    **dict.fromkeys(("tlb_hit", "stale_entry_used", "tlb_filled", "translated", "memory_written"), "deliver"),
}
OPENS: Final = frozenset(
    {"access_begun", "instruction_exited", "msr_written", "msr_read", "cpuid_answered", "control_register_written"}
)
RUNS: Final = frozenset({"memory_written", "device_read", "device_written"})  # told together
TOLD: Final = frozenset({"intercept_posted", "parent_told"})
USER: Final = 4  # the bit of an access that says user mode
# Which event of several gives a step its sentence: the first of these that it holds.
LEADS: Final = (
    *(
        "call_made",
        "intercept_posted",
        "parent_told",
        "instruction_exited",
        "vp_exited",
        "exception_raised",
        "msr_written",
        "msr_read",
        "cpuid_answered",
    ),
    *("page_fault_raised", "general_protection_raised", "ept_violation_raised", "ept_misconfigured"),
    *("nested_page_fault_raised", "memory_missing", "vp_resumed", "page_given", "page_mapped", "page_unmapped"),
    *("memory_deposited", "memory_withdrawn", "register_set", "memory_written", "translated", "stale_entry_used"),
    *("tlb_hit", "control_register_written", "tlb_flushed", "rep_done"),
)
Move = tuple[str, str, str]


@dataclass(frozen=True)
class Step:
    """One step of a story of the machine.

    Attributes
    ----------
    rows
        Its rows of the trace; `lead` is the one that gives the sentence, `kind` its event (or ``call_made``).
    src, dst, letter
        Where it happens, what it reaches, its token.
    moves, boxes
        Everything in its rows that went from box to box, in order, and every box that is lit.
    lane, waits
        Who runs; and the simulated time that passes in it: (lane, begin, end), row by row.
    request
        The number of the request that it belongs to.
    cause
        The earlier step that holds the recorded cause of its first caused row.
    """

    rows: tuple[int, ...]
    lead: int
    kind: str
    words: dict[str, int]
    phase: str
    src: str
    dst: str
    letter: str
    actor: int
    cause: int | None
    time: int
    lane: str
    waits: tuple[tuple[str, int, int], ...]
    request: int
    moves: tuple[Move, ...]
    boxes: tuple[str, ...] = field(default=())


def steps(trace: Trace, grain: str = "event", guest: str = "windows", root: int = 0) -> list[Step]:
    """Return the steps of a trace.

    Parameters
    ----------
    grain : str
        `request`: one step for each hypercall, access, register access or intercept; `event`: one step for each event,
        but each access with its walk, each element of a rep call and each run of writes is one; `bit`: each row.
    guest : str
        Which column of the drawing is the child: one of `GUESTS`.
    root : int
        The root's virtual processor; -1 for a recorded machine, which has none.

    Raises
    ------
    BadRequest
        For another grain or guest, or a trace without rows.
    """
    if grain not in GRAINS or guest not in GUESTS:
        raise BadRequest(f"the grain {grain!r}, the guest {guest!r}", "", f"{', '.join(GRAINS)}; {', '.join(GUESTS)}")
    if not len(trace):
        raise BadRequest("the story of a machine", "a trace without rows", "machine.boot, or machine.trace")
    reader = Reader(trace, guest, root)
    groups = list(reader.groups(grain))
    frame_of = {row: number for number, rows in enumerate(groups) for row in rows}
    found: list[Step] = []
    for rows in groups:
        found.append(reader.step(rows, frame_of, len(found), grain))
    return found


def requests_by_cause(told: Iterable[Step]) -> list[Step]:
    """Return steps whose request is what follows from one event without a recorded cause."""
    found: list[Step] = []
    for step in told:
        before = found[-1].request if found else -1
        found.append(replace(step, request=before + (step.cause is None or not found)))
    return found


class Reader:
    """Reads a trace once: names, requests, phases, boxes of each row."""

    def __init__(self, trace: Trace, guest: str, root: int = 0) -> None:
        self.trace, self.guest, self.root = trace, guest, root
        self.names = trace.kinds()
        self.actors = trace.rows[:, 2].tolist()
        self.causes = trace.rows[:, 3].tolist()
        self.calls = "hypercall_entered" in self.names
        self.request = self._requests()
        self.phases = self._intercept() if TOLD & set(self.names) else self._calls()

    # who and where ---------------------------------------------------------------------------------------------------

    def column(self, row: int) -> str:
        return self.guest if self.actors[row] > self.root else "root"

    def place(self, name: str, row: int) -> str:
        """Return the box that a name of `AT` stands for at this row."""
        column = self.column(row)
        if name == "@software":
            name = "@user" if self.trace.fact(row, "access") & USER else "@kernel"
        if name == "@flusher":
            return TABLES if self.causes[row] >= 0 else PROCESSORS
        of = {"@caller": caller_of, "@kernel": kernel_of, "@user": user_of, "@bus": bus_of}
        if name == "@peer":
            return bus_of(self.guest if column == "root" else "root")
        return of[name](column) if name in of else name

    def move(self, row: int) -> Move:
        src, dst, letter = AT[self.names[row]]
        found = self.place(src, row)
        if found == TABLES and src == "@flusher":
            dst = PROCESSORS
        return found, self.place(dst, row) if dst else "", letter

    def lane(self, row: int) -> str:
        if self.trace.event(row).box == "tlb" and self.causes[row] >= 0 and self.names[row] == "tlb_flushed":
            return "hypervisor"
        return "TLB" if self.trace.event(row).box == "tlb" else BOXES[self.move(row)[0]].lane

    # requests and phases ---------------------------------------------------------------------------------------------

    def _next_call(self) -> list[bool]:
        """Whether the accesses at a row set up a hypercall: the same actor calls before anything else happens."""
        found, ahead, actor = [False] * len(self.names), False, -2
        for row in range(len(self.names) - 1, -1, -1):
            name = self.names[row]
            if name == "hypercall_entered":
                ahead, actor = True, self.actors[row]
            elif name not in WALK and name not in ("memory_written", "tlb_flushed") or self.actors[row] != actor:
                ahead = False
            found[row] = ahead
        return found

    def _requests(self) -> list[int]:
        found, number, setting, calling = [], -1, False, -1
        sets_up = self._next_call()
        for row, name in enumerate(self.names):
            inside = calling >= 0 and self.causes[row] >= 0
            own = name in OPENS or name == "hypercall_entered"
            if number < 0 or (own and not inside and not (setting and sets_up[row])):
                number, calling = number + 1, -1
            if name == "hypercall_entered":
                calling = row
            elif name in ("hypercall_returned", "hypercall_continued"):
                calling = -1
            setting = sets_up[row] and name != "hypercall_entered"
            found.append(number)
        return found

    def _calls(self) -> list[str]:
        found, calling = [], False
        sets_up = self._next_call()
        for row, name in enumerate(self.names):
            phase = "act"
            if name == "hypercall_entered":
                calling, phase = True, "enter"
            elif name in ("hypercall_returned", "hypercall_continued"):
                calling, phase = False, "return"
            elif name == "call_denied":
                phase = "check"
            elif sets_up[row] and not calling:
                phase = "set up"
            elif name in ("msr_written", "msr_read", "cpuid_answered"):
                phase = "enter"
            elif not self.calls and (name in WALK or name == "memory_written" or self.causes[row] < 0):
                phase = WALK_PHASE.get(name, "act")
            found.append(phase)
        return found

    def _intercept(self) -> list[str]:
        found, phase = [], "run"
        resuming = self._requests_with("vp_resumed")
        for row, name in enumerate(self.names):
            if name in ("ept_violation_raised", "nested_page_fault_raised", "vp_exited", "instruction_exited"):
                phase = "exit"
            elif name in TOLD:
                phase = "tell the parent"
            elif self.column(row) != "root" and phase in ("resume", "emulate"):
                phase = "run"
            elif self.request[row] in resuming:
                phase = "resume"
            elif self.column(row) == "root" and phase != "run":
                phase = "emulate"
            found.append(phase)
        return found

    def _requests_with(self, name: str) -> set[int]:
        return {self.request[row] for row, found in enumerate(self.names) if found == name}

    # steps -----------------------------------------------------------------------------------------------------------

    def groups(self, grain: str) -> Iterator[tuple[int, ...]]:
        """Yield the rows of each step."""
        group: list[int] = []
        for row in range(len(self.names)):
            if group and not self._joins(group, row, grain):
                yield tuple(group)
                group = []
            group.append(row)
        if group:
            yield tuple(group)

    def _joins(self, group: Sequence[int], row: int, grain: str) -> bool:
        if grain == "bit":
            return False
        if grain == "request":
            return self.request[row] == self.request[group[0]]
        name, before = self.names[row], self.names[group[-1]]
        if self.request[row] != self.request[group[-1]]:
            return False
        if name == before and name in RUNS:
            return True
        if self.calls and name in WALK and name != "access_begun":
            return self.names[group[0]] == "access_begun" and name != "ept_violation_raised"
        if not self.calls and name in ("accessed_set", "dirty_set", "tlb_filled"):
            return before in ("second_level_entry_read", "table_entry_read", "tlb_filled", "accessed_set")
        return self.of_element[row] >= 0 and self.of_element[row] == self.of_element[group[-1]]

    @property
    def of_element(self) -> list[int]:
        """The number of the rep call's element that a row belongs to, -1 for the others."""
        if not hasattr(self, "_elements"):
            self._elements = [-1] * len(self.names)
            last = 0
            for row, name in enumerate(self.names):
                if name == "hypercall_entered":
                    last = row + 1
                elif name == "rep_done":
                    first = next((k for k in range(last, row) if self.names[k] != "tlb_flushed"), row)
                    self._elements[first : row + 1] = [row] * (row + 1 - first)
                    last = row + 1
        return self._elements

    def waits(self, rows: Sequence[int]) -> Iterator[tuple[str, int, int]]:
        """Yield who lets time pass in these rows, from when to when: it passes before a row is told."""
        times = self.trace.rows[:, 1]
        lane, begin, end = "", 0, 0
        for row in rows:
            before, now = int(times[max(row - 1, 0)]), int(times[row])
            if now <= before:
                continue
            if self.lane(row) == lane and before == end:
                end = now
                continue
            if lane:
                yield lane, begin, end
            lane, begin, end = self.lane(row), before, now
        if lane:
            yield lane, begin, end

    def step(self, rows: tuple[int, ...], frame_of: Mapping[int, int], number: int, grain: str) -> Step:
        """Return one step: what its rows do together."""
        lead, kind, words = self._lead(rows, grain)
        moves = tuple(dict.fromkeys(self.move(row) for row in rows))
        asks = rows[0] if self.names[rows[0]] == "access_begun" and kind != "call_made" and kind in WALK else lead
        src, dst, letter = self.move(asks)
        causes = (frame_of.get(self.causes[row], number) for row in rows if self.causes[row] >= 0)
        return Step(
            rows=rows,
            lead=lead,
            kind=kind,
            words=words,
            phase="" if grain == "request" and self.calls else self.phases[lead],
            src=src,
            dst=dst,
            letter=letter,
            actor=self.actors[lead],
            cause=next((cause for cause in causes if cause < number), None),
            time=int(self.trace.rows[rows[-1], 1]),
            lane=self.lane(asks),
            waits=tuple(self.waits(rows)),
            request=self.request[lead],
            moves=tuple(move for move in moves if move[1]),
            boxes=tuple(dict.fromkeys(place for move in moves for place in move[:2] if place)),
        )

    def _lead(self, rows: Sequence[int], grain: str) -> tuple[int, str, dict[str, int]]:
        """Return the row that gives a step its sentence, its kind, and its words."""
        names = {self.names[row]: row for row in reversed(rows)}
        returned = [row for row in rows if self.names[row] == "hypercall_returned"]
        if grain == "request" and returned:
            facts = self.trace.facts(returned[-1])
            told = {"code": facts["code"], "status": facts["status"], "reps": facts["reps"]}
            told["pages"] = sum(self.names[row] == "page_given" for row in rows)
            told["writes"] = sum(self.names[row] == "second_level_entry_written" for row in rows)
            return names["hypercall_entered"] if "hypercall_entered" in names else returned[-1], "call_made", told
        lead = next((names[name] for name in LEADS if name in names), rows[0])
        return lead, self.names[lead], self.trace.facts(lead)
