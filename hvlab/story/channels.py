"""The lens of a VMBus: channel messages from post to EOM, pages that a GPADL names, packets in rings, and bells.

A handshake goes *contact · offer · share pages · open · talk · close*. One frame a message or packet, or its way
through the SynIC step by step. Pictures: channels with their messages, lanes, the map, a message as it lies in its
slot, rings, pages; and slots, packets and control pages as bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from hvlab.errors import BadRequest
from hvlab.language import N_, _
from hvlab.story.between import CALLS, FOLLOWS, BetweenLens
from hvlab.story.between import TELLS as OF_SYNIC
from hvlab.story.channel_panel import channel_words, channels
from hvlab.story.frame import Fact, Frame, Kind
from hvlab.story.gate import Gate
from hvlab.story.host import BOXES, places
from hvlab.story.hostmap import Drawn, host_map
from hvlab.story.lanes import lanes
from hvlab.story.lens import GRAINS
from hvlab.story.message import Shown, messages
from hvlab.story.pages import gpadl_pages, page_words
from hvlab.story.ring import rings
from hvlab.story.ring_facts import ring_words
from hvlab.story.ring_state import ring_bytes
from hvlab.story.steps import Step
from hvlab.story.storyboard import Storyboard
from hvlab.story.synic_watch import slots_pages
from hvlab.story.walk import of_bus, trace_of
from hvlab.story.where import VMBUS
from hvlab.trace.journal import Trace
from hvlab.wire.tlfs import GuestOsId, Msr

PHASES: Final = ("contact", "offer", "share pages", "open", "talk", "close")
PHASE_OF_MESSAGE: Final = {
    **dict.fromkeys((14, 15, 25, 26), "contact"),
    **dict.fromkeys((1, 3, 4, 21, 23), "offer"),
    **dict.fromkeys((8, 9, 10), "share pages"),
    **dict.fromkeys((5, 6, 18, 22, 24), "open"),
    **dict.fromkeys((27, 28, 29), "talk"),
    **dict.fromkeys((2, 7, 11, 12, 13, 16, 17, 19, 20), "close"),
}
OF_RINGS: Final = frozenset(name for name, at in VMBUS.items() if at[2] in "RF" or name.startswith("packet_"))
PHASE_OF: Final = {
    **dict.fromkeys(("version_accepted", "version_refused"), "contact"),
    **dict.fromkeys(("gpadl_page_mapped", "gpadl_mapped", "gpadl_refused"), "share pages"),
    **dict.fromkeys(OF_RINGS, "talk"),
    **dict.fromkeys(("guest_throttled", "trigger_set", "trigger_found"), "talk"),
    "ring_begun": "open",
    "gpadl_unmapped": "close",
}
TELLS: Final = OF_SYNIC | VMBUS.keys()
AHEAD: Final = {  # go with the row behind them
    "ring_word_written": frozenset(
        {"packet_written", "write_index_published", "read_index_published", "interrupt_mask_set", "pending_size_set"}
    ),
    "memory_written": frozenset({"slot_freed", "flags_overwritten", "channel_message_taken"}),
    "msr_written": frozenset({"eom_written"}),
}
RUNS: Final = {
    "gpadl_page_mapped": frozenset({"gpadl_page_mapped", "gpadl_mapped", "gpadl_refused"}),
    "memory_written": frozenset({"memory_written"}),
}
OPENS: Final = frozenset(
    {"channel_message_sent", "packet_written", "packet_refused", "packet_read", "packet_rejected", "timer_expired"}
    | {"trigger_found", "guest_throttled"}
)
LEADS: Final = (
    *("message_refused", "gpadl_refused", "channel_message_refused", "packet_rejected", "packet_refused"),
    *("channel_message_sent", "packet_written", "packet_read", "trigger_found", "guest_throttled", "gpadl_mapped"),
    *("eom_written", "slot_freed", "channel_message_taken", "write_index_published", "read_index_published"),
    *("interrupt_mask_set", "pending_size_set"),
)
PLAIN: Final = {  # of messages that are about no channel: the name and sentence of their frames
    "channel_message_sent": (
        "bus_message_sent",
        N_("VP {actor} sends {number:enum:channel_message} on connection {connection:hex}."),
    ),
    "channel_message_taken": (
        "bus_message_taken",
        N_("VP {actor} takes {number:enum:channel_message} out of its slot."),
    ),
}
ABOUT: Final = N_("Both sides share nothing but memory, hypercalls and interrupts; every message lies in a slot first.")


@dataclass(frozen=True)
class ChannelLens(BetweenLens):
    """Tell channel messages, shared pages, rings and doorbells.

    Parameters
    ----------
    grain
        `request`: one frame for each channel message or packet, with all that carries it; `event`: post, queue, slot,
        interrupt, copy, EOM one by one; `bit`: each recorded row that it tells.
    guest
        ``linux`` or ``windows``: whose VMBus it is; by default what the guest said of itself.
    before
        What was recorded earlier: channels, pages and rings as they are when the story begins.
    """

    guest: str = ""
    names: ClassVar = TELLS

    def story(
        self, what: Any, title: str = "", gates: Sequence[Gate] = (), token: str = "", about: str = ""
    ) -> Storyboard:
        """Return the story of a VMBus in a trace.

        Raises
        ------
        BadRequest
            If the trace holds no event of VMBus, or for an unknown grain.
        """
        trace = trace_of(what)
        if not self.guest:
            return replace(self, guest=guest_of(trace, self.before)).story(trace, title, gates, token, about)
        if self.grain not in GRAINS or not of_bus(trace):
            found = f"the grain {self.grain!r}, {len(trace)} events"
            raise BadRequest("the story of a VMBus", found, f"{', '.join(GRAINS)}; a trace with channels or rings")
        told = self.told(trace)
        drawn, shown = self.drawn(trace, told), messages(trace, told, self.before, self.root)
        drawn.insert(min(3, len(drawn)), shown.drawn) if shown.pages else None
        pages, writes = ring_bytes(trace, told, self.before)
        return Storyboard.from_frames(
            title or title_of(trace),
            self.written(trace, told, drawn, shown, writes),
            kinds=[kind for kind in self.kinds() if kind.name in {step.kind for step in told}],
            facts=[*self.facts(trace), *(fact for one in drawn for fact in one.facts)],
            pictures=[one.picture for one in drawn],
            gates=gates,
            places=places({self.guest: self.name} if self.name else {}, self.cards),
            phases=[phase for phase in PHASES if any(step.phase == phase for step in told)],
            pages=[*shown.pages, *pages],
            enums={**self.enums(trace), **channel_words(), **ring_words(), **page_words(), **shown.words},
            token=token,
            about=about or _(ABOUT),
        )

    def drawn(self, trace: Trace, told: Sequence[Step]) -> list[Drawn]:
        """Return the pictures but that of the messages."""
        names = set(trace.kinds())
        found = list[Drawn]()
        if names & OF_CHANNELS:
            found = [channels(trace, told, self.before, self.root), lanes(told), host_map(told, self.name, self.guest)]
        found += rings(trace, told, self.before)
        found += gpadl_pages(trace, told, self.before, self.root)
        return found if names & OF_CHANNELS else [*found, lanes(told), host_map(told, self.name, self.guest)]

    def told(self, trace: Trace) -> list[Step]:
        """Return the steps of the story."""
        if not self.guest:
            return replace(self, guest=guest_of(trace, self.before)).told(trace)
        phases, requests = course(trace)
        return [
            replace(step, kind=kind_of(trace, step.lead), phase=phases[step.lead], lane=BOXES[step.src].lane,
                    request=requests[step.lead])
            for step in super().told(trace)
        ]  # fmt: skip

    def lead(self, trace: Trace, rows: Sequence[int]) -> int:
        """Return the row that gives a frame its sentence."""
        names = {trace.event(row).name: row for row in reversed(rows)}
        return next((names[name] for name in LEADS if name in names), rows[0])

    def groups(self, trace: Trace) -> Iterator[tuple[int, ...]]:
        """Yield the rows of each frame: words go with the row that they are told by."""
        slots, shared = slots_pages(trace, self.before), shared_pages(trace, self.before)
        kept = [row for row in range(len(trace)) if self.tells(trace, row, slots | shared)]
        if self.grain == "bit":
            yield from ((row,) for row in kept)
            return
        frame, ahead = list[int](), list[int]()
        for row in kept:
            name = trace.event(row).name
            waits = name in AHEAD and not (name == "memory_written" and trace.fact(row, "spa") >> 12 in shared)
            if waits:
                if ahead and trace.event(ahead[-1]).name != name:
                    frame += ahead
                    ahead = []
                ahead.append(row)
                continue
            carries = bool(ahead) and name in AHEAD[trace.event(ahead[0]).name]
            if ahead and not carries:
                frame += ahead
                ahead = []
            if frame and not self._joins(trace, frame, row):
                yield tuple(frame)
                frame = []
            frame += [*ahead, row]
            ahead = []
        if frame or ahead:
            yield (*frame, *ahead)

    def _joins(self, trace: Trace, frame: Sequence[int], row: int) -> bool:
        """Whether a row belongs to the frame before it."""
        name, before = trace.event(row).name, trace.event(frame[-1]).name
        if self.grain == "request":
            return name not in OPENS
        return name in FOLLOWS or name in RUNS.get(before, ())

    def tells(self, trace: Trace, row: int, pages: frozenset[int]) -> bool:
        """Whether a row belongs to the story: of hypercalls only those that carry messages and signals."""
        if trace.event(row).name in ("hypercall_entered", "hypercall_returned"):
            return trace.fact(row, "code") in CALLS
        return super().tells(trace, row, pages)

    def kinds(self) -> list[Kind]:
        """Return the kinds of its frames: a message that is about no channel says none."""
        found = super().kinds()
        by_name = {kind.name: kind for kind in found}
        return found + [replace(by_name[name], name=plain, says=_(says)) for name, (plain, says) in PLAIN.items()]

    def facts(self, trace: Trace) -> list[Fact]:
        """Return its facts, beside those of the pictures."""
        return [replace(fact, panel=fact.name == "now") for fact in super().facts(trace)]

    def written(
        self, trace: Trace, told: Sequence[Step], drawn: Sequence[Drawn], shown: Shown,
        writes: Sequence[Sequence[tuple[str, int, bytes]]],
    ) -> Iterator[Frame]:  # fmt: skip
        """Yield the frames with their facts and the bytes that they write."""
        frames = super().frames(trace, told, drawn)
        for frame, *both in zip(frames, shown.writes, writes, strict=True):
            yield replace(frame, writes=[one for some in both for one in some])


OF_CHANNELS: Final = frozenset(VMBUS) - OF_RINGS - {"ring_word_written", "ring_begun", "guest_throttled"}


def guest_of(trace: Trace, before: Trace | None) -> str:
    """Return which column of the map the guest is: as it wrote to its identity register, else ``linux``."""
    for part in (before, trace):
        for row in part.of("msr_written") if part is not None else ():
            assert part is not None
            if part.fact(row, "msr") == Msr.GUEST_OS_ID and part.fact(row, "held"):
                return "linux" if GuestOsId.decode(part.fact(row, "held")).open_source else "windows"
    return "linux"


def shared_pages(trace: Trace, before: Trace | None) -> frozenset[int]:
    """Return the page numbers of rings and GPADLs: whoever writes there without a ring's rules is told, too."""
    found = set[int]()
    for part in (before, trace):
        rows = part.of("ring_word_written", "gpadl_page_mapped") if part is not None else ()
        found |= {part.fact(row, "spa") >> 12 for row in rows if part is not None}
    return frozenset(found)


def kind_of(trace: Trace, row: int) -> str:
    """Return the kind of a frame that a row leads."""
    name = trace.event(row).name
    return PLAIN[name][0] if name in PLAIN and not trace.fact(row, "channel") else name


def course(trace: Trace) -> tuple[list[str], list[int]]:
    """Return the sub-goal of each row, and the number of the message or packet that it belongs to."""
    phases, requests, phase, request = list[str](), list[int](), "", 0
    for row, name in enumerate(trace.kinds()):
        if name == "channel_message_sent":
            phase = PHASE_OF_MESSAGE.get(trace.fact(row, "number"), phase)
        phase = PHASE_OF.get(name, phase)
        request += name in OPENS and row > 0
        phases.append(phase)
        requests.append(request)
    return phases, requests


def title_of(trace: Trace) -> str:
    """Return what a story of this trace is called."""
    numbers = {trace.fact(row, "number") for row in trace.of("channel_message_sent")}
    if {14, 5} <= numbers:
        return _("A VMBus, from contact to open channel")
    if numbers:
        return _("Messages about channels")
    return _("Packets in the rings of a channel")


def bus_story(what: Any, grain: str = "event", title: str = "", before: Trace | None = None) -> Storyboard:
    """Tell the VMBus of a trace, or of whatever carries one.

    Parameters
    ----------
    grain
        `request`, `event` or `bit`.
    before
        The trace of what was set up earlier; if `what` carries one as `before`, that one is taken.
    """
    earlier = before if before is not None else getattr(what, "before", None)
    return ChannelLens(grain, before=earlier).story(what, title)


__all__ = ["PHASES", "ChannelLens", "bus_story", "of_bus"]
