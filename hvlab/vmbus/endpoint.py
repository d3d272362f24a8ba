"""What both ends of a VMBus do alike: a SINT's slot and flags, messages that travel, and messages that wait.

Nothing of the other end is reachable from here but by hypercalls, by memory and by interrupts.
"""

import struct
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from hvlab.errors import BadRequest
from hvlab.hypervisor.vp import Fault, Vp
from hvlab.vmbus.states import Refusal, State
from hvlab.wire import vmbus
from hvlab.wire.struct import Message
from hvlab.wire.synic import SLOT
from hvlab.wire.tlfs import MessageHeader, Msr, Status

AGAIN: Final = frozenset({Status.INSUFFICIENT_BUFFERS, Status.INSUFFICIENT_MEMORY})  # Linux tries again after these
ALIVE_BEFORE_CONTACT: Final = frozenset({14, 16, 19})  # contact, UNLOAD, and closing a reserved channel
SHORTEST: Final = {number: min(form.size for form in forms) for number, forms in vmbus.FORMS.items()}
SINCE: Final = {form: vmbus.BY_NAME[form.since].value for forms in vmbus.FORMS.values() for form in forms}
ROOT_SIDE, CHILD_SIDE = 1, 2  # of an event
PAGE: Final = 4096


@dataclass(frozen=True)
class Letter:
    """A message that a driver took out of its slot.

    Attributes
    ----------
    port : int
        The receiver's port that it came to.
    data : bytes
    slot : int
        Where it lay, by the receiver's address.
    """

    port: int
    data: bytes
    slot: int


@dataclass(frozen=True)
class Read:
    """A message taken apart: its number, its body or why there is none, and what follows the body."""

    number: int
    body: Message | None
    tail: bytes
    why: Refusal | None = None

    def words(self) -> dict[str, int]:
        """Return what an event says of it."""
        return words_of(self.number, self.body.__dict__ if self.body is not None else {})


def words_of(number: int, given: Mapping[str, Any]) -> dict[str, int]:
    """Return channel, GPADL, value and status out of a message's fields: 0 where it has none."""
    value = next((given[name] for name in VALUES.get(number, ()) if name in given), 0)
    status = given.get("status", given.get("connection_state", 0))
    return {
        "number": number,
        "channel": given.get("channel_id", 0),
        "gpadl": given.get("gpadl_id", 0),
        "value": value,
        "status": status,
    }


VALUES: Final[dict[int, tuple[str, ...]]] = {
    1: ("sub_channel_index",),
    5: ("downstream_offset",),
    9: ("message_number",),
    14: ("version",),
    15: ("supported",),
    18: ("downstream_offset",),
    19: ("target_vp",),
    22: ("target_vp",),
}


def read(data: bytes, sender: str, version: int) -> Read:
    """Take a message apart that claims to come from `sender`; each field of it may lie.

    The longest form that fits and that the version knows is taken: some guests send 240 bytes always. The order of the
    checks is openvmm's: number, sender, version, size.
    """
    if len(data) < vmbus.ChannelHeader.size:
        return Read(0, None, b"", Refusal.TOO_SHORT)
    number, body = int.from_bytes(data[:4], "little"), data[vmbus.ChannelHeader.size :]
    forms = vmbus.FORMS.get(number)
    if forms is None:
        return Read(number, None, b"", Refusal.UNKNOWN_MESSAGE)
    if forms[0].sender != sender:
        return Read(number, None, b"", Refusal.WRONG_SENDER)
    if number == vmbus.InitiateContact.number:
        version = int.from_bytes(body[:4], "little")
    elif version == 0 and number not in ALIVE_BEFORE_CONTACT and sender == vmbus.CHILD:
        return Read(number, None, b"", Refusal.BEFORE_CONTACT)
    longest = _form(number, len(body), version)
    if longest is not None:
        return Read(number, longest.decode(body), body[longest.size :])
    too_short = len(body) < SHORTEST[number]
    return Read(number, None, b"", Refusal.TOO_SHORT if too_short else Refusal.NOT_IN_THIS_VERSION)


@lru_cache(maxsize=1024)
def _form(number: int, size: int, version: int) -> type[Message] | None:
    """Return the longest form of a message that fits into so many bytes and that the version knows."""
    forms = [one for one in vmbus.FORMS[number] if one.size <= size and (not version or SINCE[one] <= version)]
    return max(forms, key=lambda one: (one.size, SINCE[one]), default=None)


class Mailbox:
    """One SINT of one virtual processor: the slot for messages and the flags, as its driver handles them.

    Parameters
    ----------
    vp : Vp
    message_gpa, flags_gpa, input_gpa : int
        The SIM page, the SIEF page, and a page for the input of calls.
    auto_eoi : bool
        Whether the SINT ends its interrupts by itself.
    """

    def __init__(
        self,
        vp: Vp,
        message_gpa: int,
        flags_gpa: int,
        input_gpa: int,
        auto_eoi: bool = True,
        sint: int = vmbus.SINT,
    ) -> None:
        self.vp, self.input_gpa, self.auto_eoi = vp, input_gpa, auto_eoi
        self.slot, self.flag_area = message_gpa + SLOT * sint, flags_gpa + SLOT * sint
        self._pages = vp.window([message_gpa])
        self.posted: list[tuple[int, bytes, Status]] | None = None  # a list: all that is posted is noted there
        self.signals: list[tuple[int, int, Status]] | None = None

    @property
    def spa(self) -> int:
        """Where the slot lies, for what is told; the driver does not know it."""
        pages = self._pages
        return 0 if isinstance(pages, Fault) else pages.spas[0] + self.slot % PAGE

    def post(self, connection: int, data: bytes) -> Status:
        """Make HvCallPostMessage."""
        status = _status(self.vp.post_message(connection, vmbus.MESSAGE_TYPE, data, self.input_gpa))
        if self.posted is not None:
            self.posted.append((connection, data, status))
        return status

    def signal(self, connection: int, flag: int = 0) -> Status:
        """Make HvCallSignalEvent."""
        status = _status(self.vp.signal_event(connection, flag))
        if self.signals is not None:
            self.signals.append((connection, flag, status))
        return status

    def waits(self) -> bool:
        """Whether an interrupt can be taken."""
        return self.vp.interrupted

    def interrupt(self, handler: Callable[[], None]) -> int | None:
        """Take an interrupt, run its handler, and end it; return its vector."""
        vector = self.vp.take_interrupt()
        if vector is not None:
            handler()
            if not self.auto_eoi:
                self.vp.eoi()
        return vector

    def take(self) -> Letter | None:
        """Copy the message, free its slot, and only then look at MessagePending: EOM if another one waits."""
        data = self._read(self.slot, SLOT)
        if data[:4] == bytes(4):
            return None
        header = MessageHeader.decode(data)
        self.vp.write_gpa(self.slot, bytes(4))
        if self._read(self.slot + 5, 1)[0] & 1:
            self.vp.wrmsr(Msr.EOM, 0)
        return Letter(header.sender, data[MessageHeader.size :][: header.payload_size], self.slot)

    def flags(self) -> list[int]:
        """Take the flags that are set, and clear them.

        SIMPLER THAN REAL: read and write are two steps, with nobody between them; a driver uses a locked operation.
        """
        words = struct.unpack("<32Q", self._read(self.flag_area, SLOT))
        found = list[int]()
        for k, word in enumerate(words):
            if word:
                found += [64 * k + bit for bit in range(64) if word >> bit & 1]
                self.vp.write_gpa(self.flag_area + 8 * k, bytes(8))
        return found

    def _read(self, gpa: int, count: int) -> bytes:
        data = self.vp.read_gpa(gpa, count)
        if isinstance(data, Fault):
            raise BadRequest(f"the SynIC's page at GPA {gpa:#x}", data.kind, "a page of its own")
        return data


def _status(answer: int | Fault) -> Status:
    if isinstance(answer, Fault):
        raise BadRequest("a hypercall of a VMBus driver", answer.kind, "a kernel with its hypercall page")
    return Status(answer & 0xFFFF)


@dataclass
class Outbox:
    """Messages of one end, in order; those for which there is no buffer wait here. Plain data."""

    waiting: deque[tuple[int, bytes]] = field(default_factory=deque)
    held: bool = False  # paused: nothing leaves

    def __len__(self) -> int:
        return len(self.waiting)

    def send(self, box: Mailbox, connection: int, data: bytes) -> Status:
        """Post a message, or keep it until there is a buffer; any other failure is the caller's."""
        if self.held or self.waiting:
            self.waiting.append((connection, data))
            return Status.SUCCESS
        status = box.post(connection, data)
        if status in AGAIN:
            self.waiting.append((connection, data))
            return Status.SUCCESS
        return status

    def flush(self, box: Mailbox) -> bool:
        """Post what waits, as far as there are buffers; whether anything left."""
        left = False
        while self.waiting and not self.held:
            status = box.post(*self.waiting[0])
            if status in AGAIN:
                break
            self.waiting.popleft()
            left = True
        return left


def told_refusal(vp: Vp, found: Read, why: Refusal) -> None:
    """Tell that a message changes nothing."""
    words = found.words()
    vp.tell("channel_message_refused", **{name: words[name] for name in ("number", "channel", "gpadl")}, why=why)


def told_state(vp: Vp, side: int, channel: int, old: State, new: State) -> None:
    """Tell that one side's state of a channel changed."""
    if old != new:
        vp.tell("channel_state_changed", side=side, channel=channel, old=old, new=new)
