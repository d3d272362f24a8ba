"""What both ends of a VMBus know, followed row by row: version, channels, GPADLs, messages on their way.

Everything comes from recorded events; what a message says, from the recorded words of its slot.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from hvlab.trace.journal import Trace
from hvlab.wire import vmbus
from hvlab.wire.guids import CLASSES
from hvlab.wire.tlfs import MessageHeader

Facts = Mapping[str, int]
MASK: Final = (1 << 64) - 1
SLOT: Final = 256
PAGE: Final = 4096
WORDS: Final = frozenset(  # events that say what a word of memory becomes
    {"memory_written", "output_written", "message_word_written", "ring_word_written", "event_flag_set"}
    | {"event_flag_cleared", "message_taken"}
)
ROOT, CHILD = 1, 2  # `side` of an event
ON_ITS_WAY, IN_ITS_SLOT, TAKEN, REFUSED = range(1, 5)  # where a channel message is
ASKED, MAPPED, DENIED, GONE = range(1, 5)  # what became of a GPADL


class Words:
    """Memory as far as it was recorded: each changed word, by its SPA."""

    def __init__(self) -> None:
        self.pages: dict[int, dict[int, int]] = {}  # page -> SPA -> word

    def read(self, name: str, words: Facts) -> bool:
        """Take in a row; return whether it changed a word."""
        if name in WORDS:
            spa = words["spa"] & ~7
            self.pages.setdefault(spa // PAGE, {})[spa] = words["new"] & MASK
        elif name == "page_scrubbed":
            self.pages.pop(words["spa"] // PAGE, None)
        return name in WORDS

    def word(self, spa: int) -> int | None:
        """Return the word at an SPA; None where nobody wrote."""
        return self.pages.get(spa // PAGE, {}).get(spa)

    def bytes(self, spa: int, size: int = SLOT) -> bytes:
        """Return what lies there, of one page; words that nobody wrote are 0."""
        page = self.pages.get(spa // PAGE, {})
        return b"".join(page.get(at, 0).to_bytes(8, "little") for at in range(spa, spa + size, 8))


def changes(old: bytes, new: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield what differs, word by word in runs: where, and the new bytes."""
    old, at = old.ljust(len(new), b"\0"), 0
    while at < len(new):
        end = at
        while end < len(new) and old[end : end + 8] != new[end : end + 8]:
            end += 8
        if end > at:
            yield at, new[at:end]
        at = end + 8


@dataclass
class Letter:
    """One channel message: what the event says of it, and where it is."""

    number: int
    channel: int
    gpadl: int
    connection: int
    side: int
    row: int
    where: int = ON_ITS_WAY
    spa: int = 0
    vp: int = -1
    sint: int = -1
    data: bytes = b""  # the slot while the message was in it
    slot: bytes = b""  # the slot as it is, until it is free
    heard: bool = False

    @property
    def payload(self) -> bytes:
        """Return the channel message itself: what the slot's header says is there."""
        return self.data[MessageHeader.size : MessageHeader.size + min(self.data[4] if self.data else 0, 240)]


@dataclass
class Channel:
    """One channel, as its messages tell it."""

    device: str = ""
    connection: int = 0
    gpadl: int = 0
    target: int = -1
    downstream: int = -1


@dataclass
class Gpadl:
    """Pages under one handle."""

    handle: int
    channel: int
    fate: int = ASKED
    why: int = 0
    word: int = 0
    pages: dict[int, tuple[int, int, int]] = field(default_factory=dict)  # index -> GPA, root's GPA, SPA


class Bus:
    """All of it, as a trace tells it.

    Parameters
    ----------
    root
        The root's virtual processor: the others are the child's.
    """

    def __init__(self, root: int = 0) -> None:
        self.root = root
        self.words = Words()
        self.version, self.refused, self.connection = 0, list[int](), 0
        self.states: dict[tuple[int, int], int] = {}  # (side, channel) -> state
        self.channels: dict[int, Channel] = {}
        self.gpadls: list[Gpadl] = []
        self.letters: list[Letter] = []
        self.now: Letter | None = None  # the message that the last row was about
        self.fills: dict[int, list[tuple[int, int, int]]] = {ROOT: [], CHILD: []}
        self.counts = dict.fromkeys(("said", "heard", "refusals", "versions_refused", "gpadls", "pages"), 0)
        self.counts |= {"naming": 0, "closed_answers": 0}  # messages that name pages; what CLOSECHANNEL gets back
        self.closing = False  # CLOSECHANNEL is the last message that the host took

    def side(self, actor: int) -> int:
        """Return whose virtual processor it is."""
        return ROOT if actor <= self.root else CHILD

    def read(self, trace: Trace, row: int) -> None:
        """Take in a row."""
        name, words, actor = trace.event(row).name, trace.facts(row), int(trace.rows[row, 2])
        changed = self.words.read(name, words)
        tell = getattr(self, f"on_{name}", None)
        if tell is not None:
            tell(actor, words, row)
        for letter in self.letters if changed else ():
            if letter.where == IN_ITS_SLOT and letter.spa <= words["spa"] < letter.spa + SLOT:
                self._look(letter)

    def channel(self, number: int) -> Channel:
        """Return a channel."""
        return self.channels.setdefault(number, Channel())

    def gpadl(self, handle: int, channel: int = 0) -> Gpadl:
        """Return the pages that a handle names now."""
        alive = [one for one in self.gpadls if one.handle == handle and one.fate in (ASKED, MAPPED)]
        if not alive:
            alive = [Gpadl(handle, channel)]
            self.gpadls += alive
        return alive[-1]

    # messages --------------------------------------------------------------------------------------------------------

    def on_channel_message_sent(self, actor: int, words: Facts, row: int) -> None:
        self.counts["said"] += 1
        side = self.side(actor)
        self.counts["naming"] += words["number"] in (vmbus.GpadlHeader.number, vmbus.GpadlBody.number)
        self.counts["closed_answers"] += side == ROOT and self.closing
        self.now = letter = Letter(words["number"], words["channel"], words["gpadl"], words["connection"], side, row)
        self.letters.append(letter)
        if self.fills[side]:
            self._fill(letter, *self.fills[side].pop(0))

    def on_slot_filled(self, actor: int, words: Facts, row: int) -> None:
        if words["kind"] != vmbus.MESSAGE_TYPE:
            return
        sender = ROOT if self.side(actor) == CHILD else CHILD
        waits = [one for one in self.letters if one.side == sender and one.where == ON_ITS_WAY]
        if waits:
            self._fill(waits[0], words["spa"], actor, words["sint"])
            self.now = waits[0]
        else:
            self.fills[sender].append((words["spa"], actor, words["sint"]))

    def _fill(self, letter: Letter, spa: int, vp: int, sint: int) -> None:
        letter.where, letter.spa, letter.vp, letter.sint = IN_ITS_SLOT, spa, vp, sint

    def _look(self, letter: Letter) -> None:
        """Read what lies in the slot, and learn from it what the events do not say."""
        data = self.words.bytes(letter.spa)
        if data == letter.slot:
            return
        letter.slot = data
        if letter.data and letter.data[0] == vmbus.MESSAGE_TYPE != data[0]:
            letter.where = TAKEN
            return
        letter.data = data
        if data[0] != vmbus.MESSAGE_TYPE:
            return
        try:
            body, _tail = vmbus.unpack(letter.payload)
        except ValueError:
            return
        if isinstance(body, vmbus.Offer):
            known = CLASSES.get(vmbus.guid_text(body.interface_type))
            one = self.channel(body.channel_id)
            one.device = known.name if known else vmbus.guid_text(body.interface_type)
            one.connection = body.connection_id
        elif isinstance(body, vmbus.Open | vmbus.OpenExtended):
            one = self.channel(body.channel_id)
            one.gpadl, one.target, one.downstream = body.gpadl_id, body.target_vp, body.downstream_offset
        elif isinstance(body, vmbus.ModifyChannel):
            self.channel(body.channel_id).target = body.target_vp

    def on_channel_message_taken(self, actor: int, words: Facts, row: int) -> None:
        self.counts["heard"] += 1
        if self.side(actor) == ROOT:
            self.closing = words["number"] == vmbus.Close.number
        sender = ROOT if self.side(actor) == CHILD else CHILD
        there = [one for one in self.letters if one.side == sender and one.where in (IN_ITS_SLOT, TAKEN)]
        there = [one for one in there if not one.heard]
        if there:
            self.now = there[0]
            self.now.where, self.now.heard = TAKEN, True

    def on_message_refused(self, actor: int, words: Facts, row: int) -> None:
        mine = [one for one in self.letters if one.side == self.side(actor) and one.where == ON_ITS_WAY]
        if mine:
            self.now = mine[-1]
            self.now.where = REFUSED

    def on_channel_message_refused(self, actor: int, words: Facts, row: int) -> None:
        self.counts["refusals"] += 1

    # version and channels --------------------------------------------------------------------------------------------

    def on_version_accepted(self, actor: int, words: Facts, row: int) -> None:
        self.version, self.connection = words["version"], words["connection"]

    def on_version_refused(self, actor: int, words: Facts, row: int) -> None:
        if words["version"] not in self.refused:  # both sides say so
            self.counts["versions_refused"] += 1
            self.refused.append(words["version"])

    def on_channel_state_changed(self, actor: int, words: Facts, row: int) -> None:
        self.channel(words["channel"])
        self.states[words["side"], words["channel"]] = words["new"]

    # pages -----------------------------------------------------------------------------------------------------------

    def on_gpadl_page_mapped(self, actor: int, words: Facts, row: int) -> None:
        found = words["gpa"], words["root_gpa"], words["spa"]
        self.gpadl(words["gpadl"]).pages[words["index"]] = found

    def on_gpadl_mapped(self, actor: int, words: Facts, row: int) -> None:
        one = self.gpadl(words["gpadl"], words["channel"])
        one.fate, one.channel = MAPPED, words["channel"]
        self.counts["gpadls"] += 1
        self.counts["pages"] += words["pages"]

    def on_gpadl_refused(self, actor: int, words: Facts, row: int) -> None:
        one = self.gpadl(words["gpadl"], words["channel"])
        one.fate, one.channel, one.why, one.word = DENIED, words["channel"], words["why"], words["word"]
        self.counts["refusals"] += 1

    def on_gpadl_unmapped(self, actor: int, words: Facts, row: int) -> None:
        one = self.gpadl(words["gpadl"], words["channel"])
        one.fate = GONE
        self.counts["gpadls"] -= 1
        self.counts["pages"] -= words["pages"]


def replayed(before: Trace | None, root: int = 0) -> Bus:
    """Return a bus as it was when a story begins; what was counted earlier is not counted again."""
    bus = Bus(root)
    for row in range(len(before) if before is not None else 0):
        assert before is not None
        bus.read(before, row)
    bus.counts |= dict.fromkeys(("said", "heard", "refusals", "versions_refused"), 0)
    bus.now = None
    return bus
