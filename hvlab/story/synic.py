"""The lens of a SynIC: messages and signals between partitions, timers, and the routine that takes what arrives.

A message goes *post · queue · fill slot · take · free slot*, a signal *signal · set · raise · scan · clear*. Pictures:
the sixteen sources of a virtual processor with slot and queue, its flags, the wires, lanes; and the slots as bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from hvlab.errors import BadRequest
from hvlab.language import N_, _
from hvlab.story.between import CALLS, FOLLOWS, BetweenLens
from hvlab.story.frame import Fact, Frame, Page, spoken
from hvlab.story.gate import Gate
from hvlab.story.host import places
from hvlab.story.hostmap import Drawn
from hvlab.story.lens import GRAINS
from hvlab.story.steps import Step, requests_by_cause
from hvlab.story.storyboard import Storyboard
from hvlab.story.synic_watch import Watch, slots_pages
from hvlab.story.system import kinds_told
from hvlab.story.walk import trace_of
from hvlab.trace.journal import Trace
from hvlab.wire.hypercalls import CODES

MESSAGE_PHASES: Final = ("post", "queue", "fill slot", "take", "free slot")
SIGNAL_PHASES: Final = ("signal", "set", "raise", "scan", "clear")
PHASE_OF: Final = {
    **dict.fromkeys(("message_posted", "message_announced", "message_refused", "timer_expired"), "post"),
    **dict.fromkeys(("message_queued", "timer_skipped", "timer_lost", "messages_dropped"), "queue"),
    **dict.fromkeys(("slot_filled", "message_word_written"), "fill slot"),
    **dict.fromkeys(("message_taken", "message_copied"), "take"),
    **dict.fromkeys(("slot_freed", "barrier_passed", "pending_tested", "eom_written"), "free slot"),
    **dict.fromkeys(("event_flag_set", "event_flag_already_set"), "set"),
    **dict.fromkeys(("signal_refused", "signal_dropped"), "signal"),
    **dict.fromkeys(("flags_read",), "scan"),
    **dict.fromkeys(("event_flag_cleared", "flags_overwritten"), "clear"),
}
ARRIVES: Final = frozenset(
    {"message_posted", "message_announced", "message_refused", "slot_filled", "message_taken", "timer_expired"}
    | {"event_flag_set", "event_flag_already_set", "signal_refused", "signal_dropped", "routine_begun"}
)
AHEAD: Final = {  # go with the row behind them
    "memory_written": frozenset({"slot_freed", "flags_overwritten"}),
    "msr_written": frozenset({"eom_written"}),
}
OPENS: Final = frozenset(
    {"hypercall_entered", "routine_begun", "timer_expired", "timer_started", "timer_stopped", "msr_written"}
    | {"message_taken", "memory_written"}
)
LEADS: Final = (
    *("message_refused", "signal_refused", "signal_dropped", "timer_skipped", "timer_lost", "interrupt_withheld"),
    *("routine_begun", "event_flag_already_set", "event_flag_set"),
    *("eom_written", "slot_freed", "flags_overwritten", "message_taken"),
)
QUEUE_LEADS: Final = ("message_queued", "slot_filled", "timer_expired")
FACTS: Final = (
    Fact("ending", N_("The last message or signal"), "enum:endings", True),
    Fact("posts", N_("Posts"), "dec", True),
    Fact("accepted", N_("Posts accepted"), "dec", True),
    Fact("refused_at", N_("The first post that failed"), "dec", True),
    Fact("taken", N_("Messages taken"), "dec", True),
    Fact("signals", N_("Signals"), "dec", True),
    Fact("merged", N_("Signals for a flag that was set"), "dec", True),
    Fact("interrupts", N_("Interrupts raised"), "dec", True),
    Fact("withheld", N_("Interrupts withheld"), "dec", True),
    Fact("eoms", N_("Writes to EOM"), "dec", True),
    Fact("bits", N_("Flags that are set"), "dec", True),
    Fact("waiting", N_("Messages that wait"), "dec", True),
    Fact("stuck"),  # 1: a message waits, its slot is free
)
ABOUT: Final = N_("A message fills a slot of 256 bytes; a signal sets one bit. Both raise a SINT of the receiver.")


@dataclass(frozen=True)
class SynicLens(BetweenLens):
    """Tell messages, signals and timers.

    Parameters
    ----------
    grain
        `request`: one frame for each call, timer expiry or run of a routine; `event`: its sub-goals one by one; `bit`:
        each recorded row that it tells.
    before
        What was recorded earlier: registers, pages and wires as they are when the story begins.
    """

    def story(
        self, what: Any, title: str = "", gates: Sequence[Gate] = (), token: str = "", about: str = ""
    ) -> Storyboard:
        """Return the story of messages and signals in a trace.

        Raises
        ------
        BadRequest
            If the trace holds no event of a SynIC, or for an unknown grain.
        """
        trace = trace_of(what)
        if self.grain not in GRAINS or not of_synic(trace):
            found = f"the grain {self.grain!r}, {len(trace)} events"
            raise BadRequest("the story of a SynIC", found, f"{', '.join(GRAINS)}; a trace with messages or signals")
        told = self.told(trace)
        seen = Watch(trace, told, self.before)
        drawn = seen.drawn()
        pages = seen.slots_on_show()
        return Storyboard.from_frames(
            title or title_of(trace),
            self.written(trace, told, drawn, seen, pages),
            kinds=kinds_told(self.kinds(), trace),
            facts=[*self.facts(trace), *(fact for one in drawn for fact in one.facts)],
            pictures=[one.picture for one in drawn],
            gates=gates,
            places=places({self.guest: self.name} if self.name else {}, self.cards),
            phases=self.phases(trace),
            pages=pages,
            enums={**self.enums(trace), **seen.enums()},
            token=token,
            about=about or _(ABOUT),
        )

    def told(self, trace: Trace) -> list[Step]:
        """Return the steps of the story: a request is what follows from one event without a cause."""
        found = [replace(step, phase=phase_of(trace, step.rows, step.kind)) for step in super().told(trace)]
        return requests_by_cause(found)

    def lead(self, trace: Trace, rows: Sequence[int]) -> int:
        """Return the row that gives a frame its sentence."""
        names = {trace.event(row).name: row for row in reversed(rows)}
        if self.grain != "request":
            return next((names[name] for name in LEADS if name in names), rows[0])
        order = (*LEADS[:9], *QUEUE_LEADS, *LEADS[9:])
        return next((names[name] for name in order if name in names), rows[0])

    def groups(self, trace: Trace) -> Iterator[tuple[int, ...]]:
        """Yield the rows of each frame: what goes with a row before or behind it makes no frame of its own."""
        pages = slots_pages(trace, self.before)
        kept = [row for row in range(len(trace)) if self.tells(trace, row, pages)]
        frame: list[int] = []
        ahead = False
        for at, row in enumerate(kept):
            name = trace.event(row).name
            following = trace.event(kept[at + 1]).name if at + 1 < len(kept) else ""
            if self.grain == "bit":
                joins = False
            elif self.grain == "request":
                joins = name not in OPENS or (name in AHEAD and following in AHEAD[name])
            else:
                joins = name in FOLLOWS or ahead
            if frame and not joins:
                yield tuple(frame)
                frame = []
            frame.append(row)
            ahead = name in AHEAD and following in AHEAD[name]
        if frame:
            yield tuple(frame)

    def phases(self, trace: Trace) -> tuple[str, ...]:
        """Return the sub-goals of what the trace holds."""
        names = set(trace.kinds())
        signals = bool(names & {"event_flag_set", "event_flag_already_set", "signal_refused", "signal_dropped"})
        messages = bool(names & {"message_posted", "slot_filled", "message_refused", "message_queued"})
        return (*(MESSAGE_PHASES if messages or not signals else ()), *(SIGNAL_PHASES if signals else ()))

    def facts(self, trace: Trace) -> list[Fact]:
        """Return its facts, beside those of the pictures."""
        own = {fact.name for fact in FACTS}
        others = [replace(fact, panel=fact.name == "now") for fact in super().facts(trace) if fact.name not in own]
        return [*others, *spoken(FACTS)]

    def written(
        self, trace: Trace, told: Sequence[Step], drawn: Sequence[Drawn], seen: "Watch", pages: Sequence[Page]
    ) -> Iterator[Frame]:
        """Yield the frames with their facts and the bytes that they write."""
        plain = [replace(step, letter="M") if step.letter == "F" else step for step in told]
        shown = [(page.name, page.address, page.address + page.length) for page in pages]
        for frame, step, facts in zip(super().frames(trace, plain, drawn), told, seen.facts, strict=True):
            writes = []
            for row in step.rows:
                words = trace.facts(row)
                spa = words.get("spa", -1)
                if "new" in words and "old" in words:
                    data = (words["new"] & (1 << 64) - 1).to_bytes(8, "little")
                    writes += [(name, spa - low, data) for name, low, high in shown if low <= spa < high]
                elif trace.event(row).name == "flags_overwritten":
                    writes += [(name, spa - low, bytes(8)) for name, low, high in shown if low <= spa < high]
            yield replace(frame, facts={**frame.facts, **facts}, writes=writes)


def phase_of(trace: Trace, rows: Sequence[int], name: str) -> str:
    """Return the sub-goal of a frame."""
    names = [trace.event(row).name for row in rows]
    if name == "interrupt_withheld" or name in ("vector_raised", "vector_coalesced"):
        kinds = {trace.event(row).name for row in range(max(0, rows[0] - 2), rows[0])}
        return "raise" if kinds & {"event_flag_set", "event_flag_already_set"} else "fill slot"
    if name == "hypercall_entered":
        code = trace.fact(rows[0], "code")
        return "signal" if code == CODES["SignalEvent"] else "post" if code in CALLS else ""
    return next((PHASE_OF[one] for one in (name, *names) if one in PHASE_OF), "")


def of_synic(trace: Trace) -> bool:
    """Whether a trace tells of messages, signals or timers of a SynIC."""
    names = set(trace.kinds())
    return bool(names & (ARRIVES | {"timer_started", "eom_written", "port_created", "message_queued"}))


def title_of(trace: Trace) -> str:
    """Return what a story of this trace is called."""
    names = set(trace.kinds())
    messages, signals = "message_posted" in names or "message_refused" in names, "event_flag_set" in names
    if messages and signals:
        return _("Letters and doorbells between two partitions")
    if messages:
        return _("Letters between two partitions")
    if names & {"event_flag_set", "event_flag_already_set", "signal_refused", "signal_dropped"}:
        return _("Doorbells between two partitions")
    return _("Timers that send letters") if "timer_started" in names else _("A SynIC and its receiver")


def synic_story(what: Any, grain: str = "event", title: str = "", before: Trace | None = None) -> Storyboard:
    """Tell messages, signals and timers of a trace, or of whatever carries one.

    Parameters
    ----------
    grain
        `request`, `event` or `bit`.
    before
        The trace of what was set up earlier; if `what` carries one as `before`, that one is taken.
    """
    earlier = before if before is not None else getattr(what, "before", None)
    return SynicLens(grain, before=earlier).story(what, title)
