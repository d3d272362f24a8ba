"""A long rep call in slices: how often it is entered, and how long the guest waits each time."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hvlab.errors import BadRequest
from hvlab.language import _
from hvlab.machine import Machine, Snapshot
from hvlab.trace.journal import Trace
from hvlab.trace.words import say

PAGE: Final = 4096
AIM: Final = 50_000  # nanoseconds; TLFS, hypercall continuation
MOST: Final = 2048


@dataclass(frozen=True)
class Stay:
    """One stay in the hypervisor: the first element, how many were done, and how long it took, in nanoseconds."""

    first: int
    done: int
    time: int


@dataclass(frozen=True)
class Stays:
    """All stays of one long call, in order."""

    rows: tuple[Stay, ...]
    most: int = 8

    def __repr__(self) -> str:
        head = (_("entry"), _("first element"), _("done"), _("stay"))
        lines = [(str(k), str(one.first), str(one.done), say("time", one.time)) for k, one in enumerate(self.rows, 1)]
        left = len(lines) - self.most
        shown = lines if left <= 1 else [*lines[: self.most - 1], lines[-1]]
        wide = [max(len(line[k]) for line in [head, *shown]) for k in range(len(head))]
        told = ["  ".join(cell.rjust(w) for cell, w in zip(line, wide, strict=True)) for line in [head, *shown]]
        if left > 1:
            told.insert(-1, _("… {count} more entries …").format(count=len(lines) - self.most))
        return "\n".join(told)


@dataclass(frozen=True)
class Sliced:
    """One long call.

    Attributes
    ----------
    reps, limit : int
        Elements of the list, and how many the hypervisor does before it lets the guest run; 0: all.
    entries, longest, total : int
        Times that the call was entered; the longest time until the guest ran again; all of it, in nanoseconds.
    trace : Trace
    """

    reps: int
    limit: int
    entries: int
    longest: int
    total: int
    trace: Trace

    @property
    def stays(self) -> Stays:
        """Each stay of the call as a row, read from the trace."""
        found: list[Stay] = []
        kinds, first, done, begun = self.trace.kinds(), 0, 0, 0
        for row, kind in enumerate(kinds):
            at = int(self.trace.rows[row, 1])
            if kind == "hypercall_entered":
                first, done, begun = first + done, 0, at
            elif kind == "rep_done":
                done += 1
            elif kind in ("hypercall_continued", "hypercall_returned"):
                found.append(Stay(first, done, at - begun))
        return Stays(tuple(found))

    def __repr__(self) -> str:
        return (
            f"Sliced({self.reps} elements, {self.limit or 'no'} limit: {self.entries} entries, "
            f"longest {say('time', self.longest)})"
        )


def long_call(reps: int = 1000, limit: int = 37) -> Sliced:
    """Let the root take so many pages back from a child in one call (UnmapGpaPages), in slices of `limit` elements.

    Raises
    ------
    BadRequest
        For a number of elements that one call cannot name in this machine.
    """
    if not 0 < reps <= MOST or not 0 <= limit <= 4095:
        raise BadRequest(f"{reps} elements, {limit} at a time", "", f"1 to {MOST} elements, a limit of 0 to 4095")
    machine, before = _with_child(reps)
    machine.restore(before)
    machine.slice_reps = limit
    machine.vid.remove_memory(machine.children["web"].partition, gpn=0, pages=reps)
    trace = machine.trace
    entered = [int(trace.rows[row, 1]) for row in trace.of("hypercall_entered")]
    left = [int(trace.rows[row, 1]) for row in trace.of("hypercall_continued", "hypercall_returned")]
    stays = [end - begin for begin, end in zip(entered, left, strict=True)]
    return Sliced(reps, limit, len(entered), max(stays), left[-1] - entered[0], trace)


@lru_cache(maxsize=2)
def _with_child(reps: int) -> tuple[Machine, Snapshot]:
    """A machine whose child has so many pages, and how it was before anything was taken back."""
    machine = Machine(memory=(4 << 20) + reps * PAGE)
    machine.child("web", memory=reps * PAGE)
    return machine, machine.snapshot()


@dataclass(frozen=True)
class Slices:
    """The same call with several limits."""

    rows: tuple[Sliced, ...]

    def __repr__(self) -> str:
        head = ("limit", "entries", "longest stay", "all of it", f"within {AIM // 1000} µs")
        lines = [
            (str(row.limit or "none"), str(row.entries), say("time", row.longest), say("time", row.total),
             "yes" if row.longest <= AIM else "no")
            for row in self.rows
        ]  # fmt: skip
        wide = [max(len(line[k]) for line in [head, *lines]) for k in range(len(head))]
        padded = ([cell.rjust(w) for cell, w in zip(line, wide, strict=True)] for line in [head, *lines])
        return "\n".join("  ".join(line) for line in padded)


def sweep_slices(limits: Sequence[int] = (10, 37, 100, 250, 500, 0), reps: int = 1000) -> Slices:
    """Make the same long call with several limits."""
    return Slices(tuple(long_call(reps, limit) for limit in limits))
