"""What a ring holds, followed row by row: indices, packets, mask, who waits, who was woken and why; and its bytes.

Where its pages are follows from recorded events: from the pages of a GPADL, else from the words that a write changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from hvlab.language import _
from hvlab.story.channel_state import CHILD, MASK, WORDS, Words, changes
from hvlab.story.frame import Page
from hvlab.story.steps import Step
from hvlab.trace.journal import Trace
from hvlab.trace.words import told
from hvlab.wire.ring import (
    CONTROL,
    GAP,
    TRAILER,
    UNIT,
    GpaDirectHeader,
    PacketDescriptor,
    PacketTrailer,
    PacketType,
    TransferPagesHeader,
)
from hvlab.wire.ring import RingControl as Control
from hvlab.wire.struct import Struct

Facts = Mapping[str, int]
LOW: Final = (1 << 32) - 1
FRAME: Final = 4096
COPIED, PUBLISHED, READ = 1, 2, 3  # of a packet; 0: its room is free
TRIGGER, FOUND = 10, 11  # reasons beside those of the events: the monitor page
TO_HOST: Final = 1
TOUCHES: Final = WORDS | {"packet_written", "packet_read", "page_scrubbed"}  # what may change the bytes on show
MOST_PACKETS: Final = 24  # whose bytes are on show
EXTRA: Final[dict[int, type[Struct]]] = {
    PacketType.GPA_DIRECT: GpaDirectHeader,
    PacketType.TRANSFER_PAGES: TransferPagesHeader,
}


@dataclass
class Packet:
    """One packet in a ring: where, how long without its trailer, what kind; and how far it is."""

    number: int
    at: int
    length: int
    kind: int
    transaction: int
    phase: int = COPIED
    frame: int = -1  # that told of it first

    @property
    def whole(self) -> int:
        """Return its length with the trailer."""
        return self.length + TRAILER


@dataclass
class Ring:
    """One ring of one channel."""

    channel: int
    ring: int
    size: int = 0
    write: int = 0
    read: int = 0
    mask: int = 0
    pending: int = 0
    packets: list[Packet] = field(default_factory=list)
    now: Packet | None = None
    why: int = 0
    inputs: tuple[int, int, int] = (0, 0, 0)  # of the last decision about a signal
    verdict: int = 0
    wrong: int = 0  # where the reader stood, or what was cut
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("writes", "reads", "signals", "saved", "refused"), 0)
    )
    places: dict[int, int] = field(default_factory=dict)  # page, control page first -> SPA
    handle: int = 0  # of the GPADL that names its pages
    gone: bool = False  # its pages are the child's alone again

    @property
    def used(self) -> int:
        """Return how many bytes wait to be read."""
        return (self.write - self.read) % self.size if self.size else 0

    @property
    def free(self) -> int:
        """Return how many bytes may be written: 8 stay empty."""
        return max(self.size - GAP - self.used, 0)

    def lies(self, index: int) -> bool:
        """Whether an index is none of this ring's."""
        return bool(self.size) and (index >= self.size or index % UNIT != 0)

    def live(self) -> list[Packet]:
        """Return the packets whose room is not free."""
        return [one for one in self.packets if one.phase]

    def spa(self, at: int) -> int | None:
        """Return where a byte of the data is."""
        base = self.places.get(1 + at // FRAME)
        return None if base is None else base + at % FRAME


class Rings:
    """All rings, as a trace tells them."""

    def __init__(self) -> None:
        self.words = Words()
        self.rings: dict[tuple[int, int], Ring] = {}
        self.handles: dict[int, dict[int, int]] = {}  # GPADL -> page -> SPA
        self.named: dict[tuple[int, int], tuple[int, int]] = {}  # side and GPA -> GPADL, page
        self.changed = list[int]()  # SPAs of a ring's words since the last row that tells what they are
        self.triggers: dict[int, int] = {}

    def ring(self, words: Facts) -> Ring:
        """Return the ring that a row is about."""
        key = words["channel"], words.get("ring", TO_HOST)
        return self.rings.setdefault(key, Ring(*key))

    def read(self, trace: Trace, row: int) -> None:
        """Take in a row."""
        name, words = trace.event(row).name, trace.facts(row)
        changed = self.words.read(name, words)
        tell = getattr(self, f"on_{name}", None)
        if tell is not None:
            tell(words)
        if name == "ring_word_written":
            self.changed.append(words["spa"])
        elif "ring" in words:
            self.changed = []
        if changed:
            self._follow(words["spa"])

    def _follow(self, spa: int) -> None:
        """Whoever wrote it: indices, mask and pending size are what the control page says."""
        for one in self.rings.values():
            base = one.places.get(0)
            if base is not None and spa & ~(FRAME - 1) == base:
                indices, asks = self.words.word(base), self.words.word(base + 8)
                if indices is not None:
                    one.write, one.read = indices & LOW, indices >> 32
                if asks is not None:
                    one.mask, one.pending = asks & LOW, asks >> 32

    # where it is -----------------------------------------------------------------------------------------------------

    def on_gpadl_page_mapped(self, words: Facts) -> None:
        handle, index = words["gpadl"], words["index"]
        if index == 0:
            self.handles[handle] = {}
        self.handles.setdefault(handle, {})[index] = words["spa"] & ~(FRAME - 1)
        self.named[1, words["root_gpa"]] = self.named[2, words["gpa"]] = (handle, index)

    def on_ring_begun(self, words: Facts) -> None:
        one = self.ring(words)
        if one.size != words["size"] or words["side"] == CHILD:  # the child makes new rings, and says so first
            one.write = one.read = one.mask = one.pending = 0
            one.places = {}
            for packet in one.packets:
                packet.phase = 0
        one.size, one.gone = words["size"], False
        found = self.named.get((words["side"], words["gpa"]))
        if found is not None:
            pages, one.handle = self.handles[found[0]], found[0]
            reach = range(1 + one.size // FRAME)
            one.places |= {page: pages[found[1] + page] for page in reach if found[1] + page in pages}

    def on_gpadl_unmapped(self, words: Facts) -> None:
        for one in self.rings.values():
            if one.handle == words["gpadl"]:
                one.gone, one.places = True, {}
                for packet in one.packets:
                    packet.phase = 0

    def _control(self, one: Ring) -> None:
        if self.changed:
            one.places[0] = self.changed[-1] & ~(FRAME - 1)

    # what is written and read ----------------------------------------------------------------------------------------

    def on_packet_written(self, words: Facts) -> None:
        one = self.ring(words)
        at, offset = words["at"], words["at"]
        if one.size:
            for spa in self.changed:
                offset += (spa - offset) % FRAME
                one.places[1 + offset % one.size // FRAME] = spa & ~(FRAME - 1)
        one.now = Packet(len(one.packets) + 1, at, words["length"], words["kind"], words["transaction"])
        one.packets.append(one.now)
        one.counts["writes"] += 1

    def on_packet_refused(self, words: Facts) -> None:
        one = self.ring(words)
        one.counts["refused"] += 1

    def on_write_index_published(self, words: Facts) -> None:
        one = self.ring(words)
        self._control(one)
        one.write = words["new"]
        for packet in one.live():
            packet.phase = PUBLISHED if packet.phase == COPIED else packet.phase

    def on_packet_read(self, words: Facts) -> None:
        one = self.ring(words)
        one.counts["reads"] += 1
        one.verdict = 0
        found = [packet for packet in one.live() if packet.at == words["at"]]
        if not found:  # a hostile writer's, or from before the story
            found = [Packet(len(one.packets) + 1, words["at"], words["length"], words["kind"], words["transaction"])]
            one.packets += found
        one.now = found[-1]
        one.now.phase = READ

    def on_read_index_published(self, words: Facts) -> None:
        one = self.ring(words)
        self._control(one)
        one.read = words["new"]
        for packet in one.live():
            packet.phase = 0 if packet.phase == READ else packet.phase

    def on_packet_rejected(self, words: Facts) -> None:
        one = self.ring(words)
        one.verdict, one.wrong = words["verdict"], words["at"]
        one.counts["refused"] += 1

    def on_packet_clamped(self, words: Facts) -> None:
        one = self.ring(words)
        one.wrong = words["field"]

    def on_interrupt_mask_set(self, words: Facts) -> None:
        one = self.ring(words)
        self._control(one)
        one.mask = words["value"]

    def on_pending_size_set(self, words: Facts) -> None:
        one = self.ring(words)
        self._control(one)
        one.pending = words["size"]

    # who is woken ----------------------------------------------------------------------------------------------------

    def on_doorbell_rung(self, words: Facts) -> None:
        one = self.ring(words)
        one.why, one.inputs = words["why"], (words["mask"], words["read_index"], words["old_index"])
        one.counts["signals"] += 1

    def on_doorbell_saved(self, words: Facts) -> None:
        one = self.ring(words)
        one.why, one.inputs = words["why"], (words["mask"], words["read_index"], words["old_index"])
        one.counts["saved"] += 1

    def on_room_signalled(self, words: Facts) -> None:
        one = self.ring(words)
        one.why, one.inputs = 7, (words["before"], words["free"], words["pending"])
        one.counts["signals"] += 1

    def on_room_not_signalled(self, words: Facts) -> None:
        one = self.ring(words)
        one.why, one.inputs = words["why"], (words["before"], words["free"], words["pending"])

    def on_trigger_set(self, words: Facts) -> None:
        one = self.ring(words)
        one.why, one.inputs = TRIGGER, (words["trigger"], words["latency"], 0)

    def on_trigger_found(self, words: Facts) -> None:
        one = self.ring(words)
        one.why, one.inputs = FOUND, (words["trigger"], words["waited"], 0)
        one.counts["signals"] += 1

    # bytes -----------------------------------------------------------------------------------------------------------

    def bytes_of(self, one: Ring, packet: Packet) -> bytes | None:
        """Return a packet as it lies in the ring, with its trailer; None where its place is not known."""
        found = bytearray()
        for at in range(packet.at, packet.at + packet.whole, UNIT):
            spa = one.spa(at % one.size) if one.size else None
            if spa is None:
                return None
            found += (self.words.word(spa) or 0).to_bytes(8, "little")
        return bytes(found)


def rings_before(before: Trace | None) -> Rings:
    """Return the rings as they are when a story begins; what was counted earlier is not counted again."""
    found = Rings()
    for row in range(len(before) if before is not None else 0):
        assert before is not None
        found.read(before, row)
    for one in found.rings.values():
        one.counts = dict.fromkeys(one.counts, 0)
        one.packets = one.live()
        for number, packet in enumerate(one.packets, 1):
            packet.number = number
        one.now, one.why, one.verdict = None, 0, 0
    return found


Writes = list[tuple[str, int, bytes]]


def ring_bytes(trace: Trace, steps: Sequence[Step], before: Trace | None) -> tuple[list[Page], list[Writes]]:
    """Return control pages and packets as bytes: the pages, and what each frame writes to them."""
    seen, writes = rings_before(before), list[Writes]()
    pages = {name: replace(page, start=data) for name, page, data in _on_show(seen)}
    held = {name: page.start for name, page in pages.items()}
    for step in steps:
        touched = False
        for row in step.rows:
            seen.read(trace, row)
            touched |= trace.event(row).name in TOUCHES
        now = Writes()
        for name, page, data in _on_show(seen) if touched else ():
            if name not in pages and len(pages) < MOST_PACKETS + 2 * len(seen.rings):
                pages[name] = page
            if name in pages and held.get(name) != data:
                now += [(name, at, part) for at, part in changes(held.get(name, b""), data)]
                held[name] = data
        writes.append(now)
    return list(pages.values()), writes


def _on_show(seen: Rings) -> list[tuple[str, Page, bytes]]:
    """Control pages and live packets: name, page and bytes of each."""
    found = []
    for (channel, number), one in sorted(seen.rings.items()):
        way = told("ring")[number]
        base = one.places.get(0)
        if base is not None:
            name = _("control page, {way}, channel {channel}").format(way=way, channel=channel)
            fields = _fields(Control, 0)
            data = seen.words.bytes(base, CONTROL)
            found.append((name, Page(name, base, CONTROL, "spa", b"", fields), data))
        for packet in (packet for packet in one.live() if packet.number <= MOST_PACKETS):
            data = seen.bytes_of(one, packet) or b""
            if data:
                name = _("packet {number}, {way}, channel {channel}").format(
                    number=packet.number, way=way, channel=channel
                )
                page = Page(name, packet.at, packet.whole, "hex", b"", packet_fields(packet, data))
                found.append((name, page, data))
    return found


def packet_fields(packet: Packet, data: bytes) -> list[tuple[str, int, int, str, str]]:
    """Return a packet's fields as the byte view wants them: descriptor, what its type adds, data, trailer."""
    fields = _fields(PacketDescriptor, 0)
    begins = PacketDescriptor.decode(data).offset8 * UNIT
    at = PacketDescriptor.size
    if packet.kind in EXTRA and begins >= at + EXTRA[packet.kind].size:
        fields += _fields(EXTRA[packet.kind], at)
        at += EXTRA[packet.kind].size
    if at < begins <= packet.length:
        fields.append((_("ranges"), at, begins - at, _("Where the bytes are that the packet only names."), "bytes"))
    if begins < packet.length and begins >= PacketDescriptor.size:
        says = _("What the packet carries, padded to 8 bytes.")
        fields.append((_("data"), begins, packet.length - begins, says, "bytes"))
    return [*fields, *_fields(PacketTrailer, packet.length, "trailer_")]


def _fields(kind: type[Struct], base: int, before: str = "") -> list[tuple[str, int, int, str, str]]:
    return [
        (before + one.name, base + one.offset, one.bytes, _(one.doc), "bytes" if one.raw or one.count > 1 else one.kind)
        for one in kind.fields
    ]


__all__ = ["COPIED", "MASK", "PUBLISHED", "READ", "Packet", "Ring", "Rings", "ring_bytes", "rings_before"]
