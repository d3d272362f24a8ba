"""Two runs side by side: what each did how often, and the first step at which they part."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from hvlab.errors import BadRequest
from hvlab.language import N_, _
from hvlab.story.gantt import ran_and_waited
from hvlab.story.steps import steps
from hvlab.story.walk import WalkLens, of_interrupts, of_machine, trace_of
from hvlab.trace.journal import Trace
from hvlab.trace.words import say


def _count(*names: str) -> Callable[[Trace], int]:
    return lambda trace: sum(1 for _ in trace.of(*names))


LEDGER: Final[tuple[tuple[str, Callable[[Trace], int]], ...]] = (
    (N_("accesses"), _count("access_begun")),
    (N_("answered by a TLB"), _count("tlb_hit")),
    (N_("answered by a paging-structure cache"), _count("structure_cache_hit")),
    (N_("answered by the nested cache"), _count("nested_cache_hit")),
    (N_("guest entries read"), _count("table_entry_read")),
    (N_("second-level entries read"), _count("second_level_entry_read")),
    (N_("table reads in all"), _count("table_entry_read", "second_level_entry_read")),
    (N_("A or D written to memory"), _count("accessed_set", "dirty_set")),
    (N_("exceptions in the guest"), _count("page_fault_raised", "general_protection_raised")),
    (N_("exits to the hypervisor"), _count("ept_violation_raised", "ept_misconfigured", "nested_page_fault_raised")),
    (N_("hypercalls"), _count("hypercall_entered")),
    (N_("pages that change owner"), _count("page_given")),
    (N_("messages posted"), _count("message_posted", "message_refused")),
    (N_("posts that failed"), _count("message_refused")),
    (N_("messages that waited in a queue"), _count("message_queued")),
    (N_("messages that came into a slot"), _count("slot_filled")),
    (N_("signals that set a flag"), _count("event_flag_set")),
    (N_("signals that changed nothing"), _count("event_flag_already_set", "signal_dropped")),
    (N_("signals that failed"), _count("signal_refused")),
    (N_("interrupts withheld"), _count("interrupt_withheld")),
    (N_("EOM written"), _count("eom_written")),
    (N_("interrupts raised"), _count("vector_raised", "vector_coalesced")),
    (N_("merged with one that waited"), _count("vector_coalesced")),
    (N_("interrupts taken"), _count("vector_delivered", "vector_delivered_and_ended")),
    (N_("EOIs that left the guest"), _count("eoi_written")),
    (N_("EOIs without an exit"), _count("eoi_saved")),
    (N_("channel messages"), _count("channel_message_sent")),
    (N_("channel messages refused"), _count("channel_message_refused")),
    (N_("versions refused"), _count("version_refused")),
    (N_("pages mapped for a GPADL"), _count("gpadl_page_mapped")),
    (N_("GPADLs refused"), _count("gpadl_refused")),
    (N_("packets written"), _count("packet_written")),
    (N_("packets for which there was no room"), _count("packet_refused")),
    (N_("packets read"), _count("packet_read")),
    (N_("packets that a reader refused"), _count("packet_rejected")),
    (N_("signals for a ring"), _count("doorbell_rung", "room_signalled")),
    (N_("signals for a ring that were saved"), _count("doorbell_saved")),
    (N_("triggers set in a monitor page"), _count("trigger_set")),
    (N_("triggers found there"), _count("trigger_found")),
    (N_("times a guest was not listened to"), _count("guest_throttled")),
    (N_("guests left for an interrupt or a halt"), _count("vp_interrupted", "vp_halted")),
    (N_("times a VP was put on a processor"), _count("vp_scheduled")),
)


@dataclass(frozen=True)
class Comparison:
    """Two runs, told by the same lens.

    Attributes
    ----------
    names : tuple of str
        What the runs are called.
    rows : tuple of (str, int, int)
        The ledger: what was counted, in the first run and in the second.
    frame : int or None
        The first frame that holds a row whose kind, place or words differ, time apart; None if there is none.
    """

    names: tuple[str, str]
    rows: tuple[tuple[str, int, int], ...]
    frame: int | None
    sides: tuple[str, str]
    nanoseconds: tuple[int, int]

    def __repr__(self) -> str:
        shown = [row for row in self.rows if row[1] or row[2]]
        time, differs = _("simulated time"), _("differs")
        wide = max(len(time), *(len(_(row[0])) for row in shown))
        columns = [max(len(name), 6) for name in self.names]
        names = (name.rjust(column) for name, column in zip(self.names, columns, strict=True))
        head = " ".join(["".ljust(wide), *names, differs.rjust(9)])
        lines = [head.rstrip()]
        for name, first, second in shown:
            change = f"{second - first:+d}" if first != second else ""
            lines.append(f"{_(name).ljust(wide)} {first:>{columns[0]}} {second:>{columns[1]}} {change:>9}".rstrip())
        times = [say("time", time) for time in self.nanoseconds]
        lines.append(f"{time.ljust(wide)} {times[0]:>{columns[0]}} {times[1]:>{columns[1]}}")
        return "\n".join([*lines, "", *self._parting()])

    def _parting(self) -> list[str]:
        if self.frame is None:
            return [_("Both runs are the same, step by step.")]
        wide = max(len(name) for name in self.names)
        told = (f"  {name.ljust(wide)}  {side}" for name, side in zip(self.names, self.sides, strict=True))
        before = _("Equal up to frame {frame}.").format(frame=self.frame - 1) + " " if self.frame else ""
        return [before + _("They part at frame {frame}:").format(frame=self.frame), *told]


def compare(first: Any, second: Any, names: tuple[str, str] = ("first", "second"), lens: Any = None) -> Comparison:
    """Set two runs side by side.

    Parameters
    ----------
    first, second : traces, or steps of the machine that carry one
    names
        What the columns are called, best by the one knob that differs.
    lens
        Another lens than the one that the traces have by themselves; it has ``told(trace)``.

    Raises
    ------
    BadRequest
        If one of them holds nothing that a lens tells.
    """
    if len(names) != 2:
        raise BadRequest(f"{len(names)} names for two runs", "", 'names=("4 KiB", "2 MiB")')
    traces = trace_of(first), trace_of(second)
    rows = tuple((name, count(traces[0]), count(traces[1])) for name, count in LEDGER)
    rows += tuple(shares(*traces))
    lenses = [lens if lens is not None else getattr(one, "lens", None) for one in (first, second)]
    told = [list(lens_rows(trace, lens)) for trace, lens in zip(traces, lenses, strict=True)]
    place = parting(
        *(
            [trace.rows[row, [0, 2, *range(4, 10)]].tolist() for row, _ in of]
            for trace, of in zip(traces, told, strict=True)
        )
    )
    frame = None if place is None else next(of[place][1] for of in told if place < len(of))
    sides = [_side(trace, of, place) for trace, of in zip(traces, told, strict=True)]
    times = [int(trace.rows[-1, 1] - trace.rows[0, 1]) for trace in traces]
    return Comparison((names[0], names[1]), rows, frame, (sides[0], sides[1]), (times[0], times[1]))


def shares(first: Trace, second: Trace) -> Iterator[tuple[str, int, int]]:
    """Yield what each virtual processor had of the logical ones, in microseconds, in both runs."""
    had = [ran_and_waited(trace) for trace in (first, second)]
    for vp in sorted({vp for one in had for vp in one}):
        pairs = [one.get(vp, (0, 0)) for one in had]
        yield _("VP {number} has run, µs").format(number=vp), pairs[0][0] // 1000, pairs[1][0] // 1000
        yield _("VP {number} was ready and waited, µs").format(number=vp), pairs[0][1] // 1000, pairs[1][1] // 1000


def lens_rows(trace: Trace, lens: Any = None) -> Iterator[tuple[int, int]]:
    """Yield each row of a trace that its lens tells, with the frame that tells it."""
    if lens is not None:
        frames = [step.rows for step in lens.told(trace)]
    elif of_machine(trace) or of_interrupts(trace):
        frames = [step.rows for step in steps(trace)]
    else:
        frames = list(WalkLens().groups(trace))
    if not frames:
        raise BadRequest("a comparison of translations", "a trace without one", "what machine.translate(...) gave")
    for number, frame in enumerate(frames):
        yield from ((row, number) for row in frame)


def parting(first: Sequence[Any], second: Sequence[Any]) -> int | None:
    """Return the first place at which two runs differ in kind, place or words; None if they never do."""
    pairs = zip_longest(first, second)
    return next((place for place, (one, other) in enumerate(pairs) if one != other), None)


def _side(trace: Trace, told: Sequence[tuple[int, int]], place: int | None) -> str:
    if place is None:
        return ""
    return trace.sentence(told[place][0]) if place < len(told) else _("has ended.")
