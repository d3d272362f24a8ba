"""What a SynIC holds, followed row by row: sources, slots, queues, flags, timers, wires, and where a routine stands.

Everything comes from recorded events: words of the message page, registers that were written, what was queued.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hvlab.trace.journal import Trace
from hvlab.wire.synic import SINTS, TIMERS, Scontrol, Simp, Sint, StimerConfig
from hvlab.wire.tlfs import MessageType, Msr, Status

Facts = Mapping[str, int]
MASK: Final = (1 << 64) - 1
TYPE: Final = (1 << 32) - 1
SLOT: Final = 256
UNSEEN, MASKED, POLLING, AUTO, PLAIN = range(5)  # what a source does when something arrives
STEPS: Final = {"message_copied": 0, "slot_freed": 1, "barrier_passed": 2, "pending_tested": 3, "eom_written": 4}
BY_FLAG: Final = frozenset({"event_flag_set", "event_flag_already_set", "signal_refused", "signal_dropped"})
MESSAGE_PAGE, FLAGS_PAGE = 1, 2
# how the last post or signal ended
DELIVERED, QUEUED, NO_INTERRUPT, MERGED, NOT_READY, NO_BUFFER, DROPPED, REFUSED = range(1, 9)
SYNIC_MSRS: Final = frozenset(range(Msr.SCONTROL, Msr.SINT0 + SINTS)) | frozenset(
    range(Msr.STIMER0_CONFIG, Msr.STIMER0_CONFIG + 2 * TIMERS)
)


@dataclass
class Source:
    """One SINT of one virtual processor."""

    vector: int = 0
    mode: int = UNSEEN
    header: int = 0  # first word of its slot: type, size, flags
    queue: list[int] = field(default_factory=list)  # whose messages wait: ports, or -1 - timer
    flags: set[int] = field(default_factory=set)
    raised: int = 0
    withheld: int = 0

    @property
    def slot(self) -> int:
        """Type and size of the message in the slot as one number; 0: the slot is free."""
        return (self.header & TYPE) << 8 | self.header >> 32 & 255 if self.header & TYPE else 0

    @property
    def pending(self) -> int:
        """MessagePending: bit 0 of the flags of the header."""
        return self.header >> 40 & 1


@dataclass
class Timer:
    """One synthetic timer."""

    on: int = 0
    periodic: int = 0
    sint: int = 0
    due: int = 0
    count: int = 0
    expired: int = 0
    skipped: int = 0


@dataclass
class Synic:
    """One virtual processor's SynIC."""

    scontrol: int = 0
    pages: dict[int, int] = field(default_factory=dict)  # MESSAGE_PAGE, FLAGS_PAGE -> SPA
    gpas: dict[int, int] = field(default_factory=dict)
    sources: dict[int, Source] = field(default_factory=dict)
    timers: list[Timer] = field(default_factory=lambda: [Timer() for _ in range(TIMERS)])
    order: list[int] = field(default_factory=lambda: [0] * len(STEPS))  # when the routine came to each of its steps
    step: int = 0  # the step of this moment, from 1
    about: int = 0  # the source that something just arrived for

    def source(self, sint: int) -> Source:
        """Return a source."""
        return self.sources.setdefault(sint, Source())

    def came(self, step: int) -> None:
        """Note that the routine came to a step."""
        if not self.order[step]:
            self.order[step] = 1 + max(self.order)
        self.step = step + 1

    def word(self, spa: int, new: int) -> None:
        """Take in a word of the message page."""
        base = self.pages.get(MESSAGE_PAGE, -1)
        if base >= 0 and spa >> 12 == base >> 12 and spa & SLOT - 1 == 0:
            self.source(spa >> 8 & 15).header = new & MASK

    def written(self, msr: int, value: int) -> None:
        """Take in a register."""
        if msr == Msr.SCONTROL:
            self.scontrol = value & Scontrol.mask("enable")
        elif msr in (Msr.SIMP, Msr.SIEFP):
            kind = MESSAGE_PAGE if msr == Msr.SIMP else FLAGS_PAGE
            self.gpas[kind] = value & ~0xFFF if value & Simp.mask("enable") else 0
        elif Msr.SINT0 <= msr < Msr.SINT0 + SINTS:
            word, source = Sint.decode(value & MASK), self.source(msr - Msr.SINT0)
            source.vector = word.vector
            source.mode = POLLING if word.polling else MASKED if word.masked else AUTO if word.auto_eoi else PLAIN
        elif Msr.STIMER0_CONFIG <= msr < Msr.STIMER0_CONFIG + 2 * TIMERS:
            timer, number = self.timers[msr - Msr.STIMER0_CONFIG >> 1], msr - Msr.STIMER0_CONFIG
            if number & 1:
                timer.count = value
            else:
                word2 = StimerConfig.decode(value & MASK)
                timer.sint = word2.sint


@dataclass
class Wire:
    """A port, and the connection that leads to it."""

    owner: int = 0
    sint: int = -1
    vp_index: int = -1
    kind: int = 0
    connection: int = -1
    sender: int = 0
    posts: int = 0
    there: int = 0


class Office:
    """All of a machine's SynICs and wires, as a trace tells them."""

    def __init__(self) -> None:
        self.synics: dict[int, Synic] = {}
        self.wires: dict[int, Wire] = {}  # by port
        self.connections: dict[tuple[int, int], int] = {}
        self.counts = dict.fromkeys(
            ("posts", "refused_at", "accepted", "signals", "interrupts", "withheld", "eoms", "taken", "merged"), 0
        )
        self.ending, self.lit, self.posted = 0, set[int](), 0
        self.timer = 0

    def synic(self, vp: int) -> Synic:
        """Return the SynIC of a virtual processor."""
        return self.synics.setdefault(vp, Synic())

    def wire(self, port: int) -> Wire:
        """Return the wire of a port."""
        return self.wires.setdefault(port, Wire())

    def open(self) -> None:
        """Begin a frame."""
        self.lit = set()
        for one in self.synics.values():
            one.step = 0

    def read(self, trace: Trace, row: int) -> None:
        """Take in a row."""
        name, words, actor = trace.event(row).name, trace.facts(row), int(trace.rows[row, 2])
        tell = getattr(self, f"on_{name}", None)
        if tell is not None:
            tell(actor, words)
        if name in STEPS:
            self.synic(actor).came(STEPS[name])
        if name in BY_FLAG:
            self.counts["signals"] += 1

    # wires -----------------------------------------------------------------------------------------------------------

    def on_port_created(self, actor: int, words: Facts) -> None:
        wire = self.wire(words["port"])
        wire.owner, wire.sint, wire.vp_index = words["partition"], words["sint"], words["vp_index"]
        wire.kind, wire.there = words["kind"], 1
        self.lit.add(words["port"])

    def on_port_deleted(self, actor: int, words: Facts) -> None:
        self.wire(words["port"]).there = 0
        self.lit.add(words["port"])
        for one in self.synics.values():
            for source in one.sources.values():
                source.queue = [port for port in source.queue if port != words["port"]]

    def on_connection_made(self, actor: int, words: Facts) -> None:
        wire = self.wire(words["port"])
        wire.connection, wire.sender = words["connection"], words["partition"]
        self.connections[words["partition"], words["connection"]] = words["port"]
        self.lit.add(words["port"])

    def on_connection_removed(self, actor: int, words: Facts) -> None:
        port = self.connections.pop((words["partition"], words["connection"]), None)
        if port is not None:
            self.wire(port).connection = -1
            self.lit.add(port)

    def _through(self, connection: int) -> None:
        self.lit |= {port for (_, number), port in self.connections.items() if number == connection}

    # registers and pages ---------------------------------------------------------------------------------------------

    def on_msr_written(self, actor: int, words: Facts) -> None:
        if words["msr"] in SYNIC_MSRS:
            self.synic(actor).written(words["msr"], words["held"])

    def on_page_overlaid(self, actor: int, words: Facts) -> None:
        if words["page"] in (MESSAGE_PAGE, FLAGS_PAGE):
            self.synic(actor).pages[words["page"]] = words["spa"]

    def on_message_word_written(self, actor: int, words: Facts) -> None:
        self.synic(actor).word(words["spa"], words["new"])

    def on_memory_written(self, actor: int, words: Facts) -> None:
        for one in self.synics.values():
            one.word(words["spa"], words["new"])

    # messages --------------------------------------------------------------------------------------------------------

    def on_message_posted(self, actor: int, words: Facts) -> None:
        wire = self.wire(words["port"])
        wire.posts += 1
        wire.sint = words["sint"] if wire.sint < 0 else wire.sint
        if wire.connection < 0:
            wire.connection = words["connection"]
        self.posted = words["port"]
        self.counts["posts"] += 1
        self.counts["accepted"] += 1
        self.lit.add(words["port"])

    def on_message_refused(self, actor: int, words: Facts) -> None:
        self.counts["posts"] += 1
        if not self.counts["refused_at"]:
            self.counts["refused_at"] = self.counts["posts"]
        self.ending = NO_BUFFER if words["status"] == Status.INSUFFICIENT_BUFFERS else REFUSED
        self._through(words["connection"])

    def on_message_queued(self, actor: int, words: Facts) -> None:
        by_timer = words["kind"] & TYPE == MessageType.TIMER_EXPIRED
        self.synic(actor).source(words["sint"]).queue.append(-1 - self.timer if by_timer else self.posted)
        self.ending = QUEUED

    def on_slot_filled(self, actor: int, words: Facts) -> None:
        synic = self.synic(actor)
        synic.pages.setdefault(MESSAGE_PAGE, words["spa"] & ~0xFFF)
        synic.about, source = words["sint"], synic.source(words["sint"])
        del source.queue[: max(0, len(source.queue) - words["waiting"])]
        self.ending = DELIVERED

    def on_message_taken(self, actor: int, words: Facts) -> None:
        synic = self.synic(actor)
        synic.source(words["sint"]).header = words["new"] & MASK
        for step in (1, 2, 3):
            synic.came(step)
        self.counts["taken"] += 1

    def on_message_copied(self, actor: int, words: Facts) -> None:
        self.counts["taken"] += words["kind"] != 0

    def on_routine_begun(self, actor: int, words: Facts) -> None:
        self.synic(actor).order = [0] * len(STEPS)

    def on_eom_written(self, actor: int, words: Facts) -> None:
        self.counts["eoms"] += 1

    def on_interrupt_withheld(self, actor: int, words: Facts) -> None:
        self.synic(actor).source(words["sint"]).withheld += 1
        self.counts["withheld"] += 1
        self.ending = NO_INTERRUPT

    def on_vector_raised(self, actor: int, words: Facts) -> None:
        synic = self.synics.get(actor)
        if synic is not None:
            source = synic.source(synic.about)
            if source.vector in (0, words["vector"]):
                source.raised += 1
                self.counts["interrupts"] += 1

    on_vector_coalesced = on_vector_raised

    # signals ---------------------------------------------------------------------------------------------------------

    def on_event_flag_set(self, actor: int, words: Facts) -> None:
        synic = self.synic(actor)
        synic.pages.setdefault(FLAGS_PAGE, words["spa"] & ~0xFFF)
        synic.about = words["sint"]
        synic.source(words["sint"]).flags.add(words["flag"])
        self.ending = DELIVERED
        self.lit.add(words["port"])
        self.wire(words["port"]).posts += 1

    def on_event_flag_already_set(self, actor: int, words: Facts) -> None:
        self.ending = MERGED
        self.counts["merged"] += 1
        self.lit.add(words["port"])
        self.wire(words["port"]).posts += 1

    def on_event_flag_cleared(self, actor: int, words: Facts) -> None:
        self.synic(actor).source(words["sint"]).flags.discard(words["flag"])

    def on_flags_overwritten(self, actor: int, words: Facts) -> None:
        source = self.synic(actor).source(words["sint"])
        source.flags = {flag for flag in source.flags if flag >> 6 != words["word"]}

    def on_signal_refused(self, actor: int, words: Facts) -> None:
        self.ending = NOT_READY if words["status"] == Status.INVALID_SYNIC_STATE else REFUSED
        self._through(words["connection"])

    def on_signal_dropped(self, actor: int, words: Facts) -> None:
        self.ending = DROPPED
        self.lit.add(words["port"])

    # timers ----------------------------------------------------------------------------------------------------------

    def on_timer_started(self, actor: int, words: Facts) -> None:
        timer = self.synic(actor).timers[words["timer"]]
        timer.on, timer.periodic = 1, words["periodic"]
        timer.due, timer.count = words["due"], words["count"]

    def on_timer_stopped(self, actor: int, words: Facts) -> None:
        synic = self.synic(actor)
        synic.timers[words["timer"]].on = 0
        for source in synic.sources.values():
            source.queue = [who for who in source.queue if who != -1 - words["timer"]]

    def on_timer_expired(self, actor: int, words: Facts) -> None:
        timer = self.synic(actor).timers[words["timer"]]
        timer.expired += 1
        timer.on, self.timer = timer.periodic, words["timer"]
        timer.due = words["due"] + timer.count if timer.periodic else 0

    def on_timer_skipped(self, actor: int, words: Facts) -> None:
        self.synic(actor).timers[words["timer"]].skipped += 1
