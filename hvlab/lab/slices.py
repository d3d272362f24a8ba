"""A long rep call in slices: how often it is entered, and how long the guest waits each time."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hvlab.errors import BadRequest
from hvlab.machine import Machine, Snapshot
from hvlab.trace.journal import Trace
from hvlab.trace.words import say

PAGE: Final = 4096
AIM: Final = 50_000  # nanoseconds; TLFS, hypercall continuation
MOST: Final = 2048


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
