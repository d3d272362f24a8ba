"""The lens of a translation: the trace of one access, or of several, as a story of the square.

The square has a row for each guest level, top first, and a last row for the data; a column for each second-level read,
top first, and a last one for the guest's own entry. With g guest levels and n second levels it has (g+1)(n+1)-1 cells.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hvlab.errors import BadRequest
from hvlab.language import N_, _
from hvlab.story.cells import FAULTS, Shape, Walk, declared_facts
from hvlab.story.frame import Frame, spoken
from hvlab.story.gate import Gate
from hvlab.story.lens import PLACES, groups, kinds, ruler
from hvlab.story.square import enums, square
from hvlab.story.storyboard import Storyboard
from hvlab.story.where import INTERRUPTS, SCHEDULING, VMBUS
from hvlab.trace.journal import Trace
from hvlab.wire.x64 import EptEntry, EptQualification, PageFaultCode, PageTableEntry

PHASES: Final = ("index", "fetch entry", "check rights", "descend", "deliver")
PHASE_OF: Final = {
    "access_begun": "index",
    "tlb_missed": "index",
    "tlb_hit": "deliver",
    "stale_entry_used": "deliver",
    "structure_cache_hit": "descend",
    "nested_cache_hit": "descend",
    "second_level_entry_read": "descend",
    "table_entry_read": "fetch entry",
    "accessed_set": "check rights",
    "dirty_set": "check rights",
    "page_fault_raised": "check rights",
    "general_protection_raised": "index",
    "ept_violation_raised": "check rights",
    "ept_misconfigured": "check rights",
    "nested_page_fault_raised": "check rights",
    "memory_missing": "fetch entry",
    "tlb_filled": "deliver",
    "translated": "deliver",
    "tlb_flushed": "index",
}
READS: Final = frozenset({"second_level_entry_read", "table_entry_read"})
ENDS: Final = frozenset({"translated", "tlb_hit", "stale_entry_used", *FAULTS})
OPENS: Final = frozenset({"access_begun", "tlb_flushed"})
JOINS: Final = {"accessed_set": READS, "dirty_set": READS, "tlb_filled": frozenset({"tlb_filled"})}
LETTERS: Final = dict.fromkeys(FAULTS, "!") | {"ept_violation_raised": "X", "nested_page_fault_raised": "X"}
LEFT_OUT: Final = {
    "tlb_hit": N_(
        "SIMPLER THAN REAL: the set is the low bits of the page number; real processors hash undocumented bits."
    ),
    "nested_cache_hit": N_("SIMPLER THAN REAL: the nested cache keeps a large page as 4-KiB pieces."),
    "tlb_filled": N_("SIMPLER THAN REAL: the least recently used entry leaves; real processors approximate that."),
}
OF_LETTERS: Final = frozenset(
    {"message_posted", "message_refused", "slot_filled", "event_flag_set", "event_flag_already_set"}
    | {"signal_refused", "signal_dropped", "timer_started", "timer_expired", "eom_written", "message_taken"}
)
OF_MACHINE: Final = frozenset(
    {"partition_created", "hypercall_entered", "msr_written", "msr_read", "cpuid_answered", "vp_exited"}
)

WORDS: Final = (PageTableEntry, EptEntry, PageFaultCode, EptQualification)


@dataclass(frozen=True)
class WalkLens:
    """Tell translations: one frame for each access (`request`), table read (`event`) or recorded row (`bit`)."""

    grain: str = "event"

    def story(self, trace: Trace, title: str = "", gates: Sequence[Gate] = (), token: str = "") -> Storyboard:
        """Return the story of every access in a trace.

        Raises
        ------
        BadRequest
            If the trace holds no translation, or the grain is not one of `GRAINS`.
        """
        shape = Shape.of(trace)
        frames = list(self.frames(trace, shape))
        if not frames:
            raise BadRequest("the story of a translation", "a trace without one", "the trace of machine.translate(...)")
        return Storyboard.from_frames(
            title or shape.title(),
            frames,
            kinds=kinds(tuple(PHASE_OF), LETTERS, LEFT_OUT),
            facts=spoken(declared_facts(shape)),
            pictures=[square(trace, shape, cell_frames(frames))],
            gates=gates,
            places=spoken(PLACES),
            phases=PHASES,
            words={word.__name__: ruler(word) for word in WORDS},
            enums=enums(),
            token=token,
            about=_("Each cell is one read of a table in memory; its number is the order of the reads."),
        )

    def frames(self, trace: Trace, shape: Shape) -> Iterator[Frame]:
        """Yield the frames: the rows of each, its facts, and the earlier frame that caused it."""
        walk, frame_of = Walk(shape), dict[int, int]()
        for number, group in enumerate(self.groups(trace)):
            lead = self.lead(trace, group)
            name, declared = trace.event(lead).name, trace.event(lead)
            walk.open()
            for row in group:
                walk.tell(trace.event(row).name, trace.facts(row))
                frame_of[row] = number
            _, time, actor, cause = (int(word) for word in trace.rows[lead, :4])
            because = frame_of.get(int(trace.rows[group[0], 3]))
            yield Frame(
                kind=name,
                words=trace.facts(lead),
                facts=walk.close(name),
                phase=PHASE_OF[name],
                src=declared.box,
                dst="memory" if name in READS else "",
                actor=actor,
                cause=because if because is not None and because < number else None,
                time=time,
            )

    def groups(self, trace: Trace) -> Iterator[tuple[int, ...]]:
        """Yield the rows of each frame."""
        yield from groups(trace, self.grain, frozenset(PHASE_OF), OPENS, JOINS)

    def lead(self, trace: Trace, group: Sequence[int]) -> int:
        """Return the row that gives a frame its sentence: what the access came to, or the first row of the frame."""
        if self.grain != "request":
            return group[0]
        ends = [row for row in group if trace.event(row).name in ENDS]
        return ends[-1] if ends else group[-1]


def cell_frames(frames: Sequence[Frame]) -> dict[tuple[int, int], int]:
    """Return the frame that first filled each cell."""
    found: dict[tuple[int, int], int] = {}
    for number, frame in enumerate(frames):
        if frame.kind in READS:
            found.setdefault((frame.facts["row"], frame.facts["column"]), number)
    return found


def trace_of(what: Any) -> Trace:
    """Return a trace as it is, or the trace that a step of the machine carries.

    Raises
    ------
    BadRequest
        If there is none.
    """
    trace = getattr(what, "trace", what)
    if not isinstance(trace, Trace):
        raise BadRequest(
            "a story", f"a {type(what).__name__}", "what machine.translate(...) gave, its trace or a story"
        )
    return trace


def story_of(what: Any, grain: str = "event", title: str = "", lens: Any = None) -> Storyboard:
    """Return a story as it is (also one that a hint or a run carries), or tell a trace (also that of a step).

    Without a lens that is the one of a VMBus where there is one, of the whole machine where software takes part, of
    interrupts where only an interrupt controller or the scheduler does, else that of a translation.
    """
    held = getattr(what, "story", what)
    if lens is None and isinstance(held, Storyboard):
        return held
    trace = trace_of(what)
    if lens is not None:
        told: Storyboard = lens.story(trace, title)
        return told
    if of_bus(trace):
        from hvlab.story.channels import ChannelLens  # that lens reads this module

        return ChannelLens(grain, before=getattr(what, "before", None)).story(trace, title)
    if of_interrupts(trace):
        from hvlab.story.interrupts import InterruptLens  # that lens reads this module

        return InterruptLens(grain).story(trace, title)
    if of_letters(trace):
        from hvlab.story.synic import SynicLens  # that lens reads this module

        return SynicLens(grain, before=getattr(what, "before", None)).story(trace, title)
    if of_machine(trace):
        from hvlab.story.system import SystemLens  # that lens reads this module

        return SystemLens(grain).story(trace, title)
    return WalkLens(grain).story(trace, title)


def of_interrupts(trace: Trace) -> bool:
    """Whether a trace tells of interrupts or of the scheduler, and of nothing else that software does."""
    names = set(trace.kinds())
    return bool(names & {*INTERRUPTS, *SCHEDULING}) and not names & (OF_MACHINE | frozenset(PHASE_OF))


def of_bus(trace: Trace) -> bool:
    """Whether a trace tells of a VMBus: of channels, shared pages or rings."""
    return bool(VMBUS.keys() & set(trace.kinds()))


def of_letters(trace: Trace) -> bool:
    """Whether a trace tells of messages, signals or timers, and not of an intercept that travels as a message."""
    names = set(trace.kinds())
    return bool(names & OF_LETTERS) and not names & {"intercept_posted", "parent_told", "partition_created"}


def of_machine(trace: Trace) -> bool:
    """Whether a trace tells more than translations: calls, registers, intercepts, partitions."""
    return bool(OF_MACHINE & set(trace.kinds()))
