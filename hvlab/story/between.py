"""What the lenses of a SynIC and of a VMBus have in common: what one partition says to another, and what carries it.

Of all that happened they tell the SynIC's events, the interrupts and hypercalls beside them, and the writes to its
registers and pages.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from hvlab.story.frame import Kind
from hvlab.story.steps import Reader, Step
from hvlab.story.synic_state import SYNIC_MSRS
from hvlab.story.system import SystemLens
from hvlab.story.where import SYNIC
from hvlab.trace.journal import Trace
from hvlab.wire.hypercalls import CODES

CALLS: Final = frozenset({CODES["PostMessage"], CODES["SignalEvent"]})
BESIDE: Final = frozenset(
    {"vector_raised", "vector_coalesced", "vector_delivered", "vector_delivered_and_ended", "vector_ended"}
    | {"eoi_written", "eoi_saved", "eoi_without_interrupt", "hypercall_entered", "hypercall_returned"}
)
FOLLOWS: Final = frozenset({"message_word_written", "hypercall_returned", "vector_ended"})  # go with the row before
TELLS: Final = frozenset({*SYNIC, *BESIDE, "memory_written", "msr_written"})
FLAGS: Final = frozenset(
    {"event_flag_set", "event_flag_already_set", "event_flag_cleared", "flags_read", "flags_overwritten"}
)


@dataclass(frozen=True)
class BetweenLens(SystemLens):
    """A lens of what partitions say to each other; a subclass says how rows make frames, and which row leads."""

    before: Trace | None = None
    names: ClassVar[frozenset[str]] = TELLS

    def told(self, trace: Trace) -> list[Step]:
        """Return the steps of the story: each is told by the row that leads it."""
        reader = Reader(trace, self.guest, self.root)
        groups = list(self.groups(trace))
        frame_of = {row: number for number, rows in enumerate(groups) for row in rows}
        found: list[Step] = []
        for rows in groups:
            step = reader.step(rows, frame_of, len(found), "bit")
            lead = self.lead(trace, rows)
            name = trace.event(lead).name
            src, dst, letter = reader.move(lead)
            found.append(
                replace(step, lead=lead, kind=name, words=trace.facts(lead), src=src, dst=dst,
                        letter="F" if name in FLAGS else letter, actor=int(trace.rows[lead, 2]))
            )  # fmt: skip
        return found

    def groups(self, trace: Trace) -> Iterator[tuple[int, ...]]:
        """Yield the rows of each frame."""
        raise NotImplementedError

    def lead(self, trace: Trace, rows: Sequence[int]) -> int:
        """Return the row that gives a frame its sentence."""
        raise NotImplementedError

    def tells(self, trace: Trace, row: int, pages: frozenset[int]) -> bool:
        """Whether a row belongs to the story: of registers only a SynIC's, of stores only those to these pages."""
        name = trace.event(row).name
        if name == "msr_written":
            return trace.fact(row, "msr") in SYNIC_MSRS
        if name == "memory_written":
            return trace.fact(row, "spa") >> 12 in pages
        return name in self.names

    def kinds(self) -> list[Kind]:
        """Return the kinds of its frames: flags have a token of their own."""
        return [replace(kind, letter="F") if kind.name in FLAGS else kind for kind in super().kinds()]
