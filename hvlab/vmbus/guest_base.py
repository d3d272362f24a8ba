"""What the guest's end keeps of its connection, and how it sends, takes and refuses messages.

SIMPLER THAN REAL: a driver that waits lets everybody else run until nobody has anything to do; if no answer came by
then, it says so to its caller.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hvlab.errors import BadRequest
from hvlab.hypervisor.vp import Vp
from hvlab.vmbus.channel import Channel, Knobs
from hvlab.vmbus.endpoint import CHILD_SIDE, Letter, Mailbox, Outbox, read, told_refusal, told_state, words_of
from hvlab.vmbus.states import Connection, Gpadl, Refusal, State
from hvlab.wire import vmbus
from hvlab.wire.struct import Message
from hvlab.wire.tlfs import Status

LINUX_LIST: Final = ("5.3", "5.2", "5.1", "5.0", "4.1", "4.0", "3.0", "2.4")  # Linux 6.1; newer ones begin with 6.0
FEATURES: Final = vmbus.FeatureFlags.mask("client_id", "modify_connection", "pause_resume")


@dataclass
class Offered:
    """What the guest keeps of one channel: the offer, and what became of it. Plain data."""

    offer: Any
    state: State = State.OFFERED
    gpadl: int = 0  # of its rings
    status: int | None = None  # of the last OPENCHANNEL_RESULT or MODIFYCHANNEL_RESPONSE
    waiting: int = 0  # the message that it waits for
    target_vp: int = 0
    rescinded: bool = False
    reserved: bool = False

    @property
    def channel_id(self) -> int:
        return int(self.offer.channel_id)

    @property
    def interface(self) -> str:
        return vmbus.guid_text(self.offer.interface_type)

    @property
    def instance(self) -> str:
        return vmbus.guid_text(self.offer.interface_instance)


@dataclass
class Named:
    """A page list that the guest made: plain data."""

    gpadl_id: int
    channel_id: int
    gpns: list[int]
    state: Gpadl = Gpadl.IN_PROGRESS
    status: int | None = None


@dataclass
class GuestState:
    """All that the guest keeps of its connection: plain data."""

    connection: Connection = Connection.DISCONNECTED
    asked: int = 0  # the version that it waits to hear of
    version: int = 0
    features: int = 0
    post_to: int = 0
    supported: int | None = None
    all_offers: bool = False
    unloaded: bool = False
    paused: bool = False
    offers: dict[int, Offered] = field(default_factory=dict)
    gpadls: dict[int, Named] = field(default_factory=dict)
    next_gpadl: int = vmbus.FIRST_GPADL
    sockets: dict[bytes, int | None] = field(default_factory=dict)  # endpoint -> status
    modified: int | None = None  # of MODIFY_CONNECTION_RESPONSE
    outbox: Outbox = field(default_factory=Outbox)
    frames: list[int] = field(default_factory=list)  # pages that nobody uses


class GuestBase:
    """State, sending, refusing: what all handlers use.

    Parameters
    ----------
    boxes : sequence of Mailbox
        The SINT of each virtual processor.
    frames : sequence of int
        Pages of its own that it may use.
    versions : sequence of str
        In the order in which it asks.
    features : int
        What it asks for from 6.0 on.
    monitor : tuple of int
        GPAs of interrupt page, the host's monitor page and its own.
    knobs : Knobs
    idle : callable
        What happens while it waits.
    """

    def __init__(
        self,
        boxes: Sequence[Mailbox],
        frames: Sequence[int],
        versions: Sequence[str] = LINUX_LIST,
        features: int = int(FEATURES),
        monitor: tuple[int, int, int] = (0, 0, 0),
        knobs: Knobs | None = None,
        idle: Callable[[], object] = lambda: None,
        client_id: bytes = bytes(16),
    ) -> None:
        self.boxes, self.idle, self.knobs = list(boxes), idle, knobs or Knobs()
        self.versions = [vmbus.BY_NAME[name].value for name in versions]
        self.features, self.monitor, self.client_id = features, monitor, client_id
        self.state = GuestState(frames=list(frames))
        self.ends: dict[int, Channel] = {}
        self.drivers: dict[str, Callable[[Channel, Any], None]] = {}  # interface -> what takes a packet
        self.cpu = 0  # on which virtual processor its threads run

    @property
    def vp(self) -> Vp:
        """The virtual processor on which its threads run."""
        return self.boxes[self.cpu].vp

    @property
    def offers(self) -> dict[int, Offered]:
        """The channels that it knows, by id."""
        return self.state.offers

    # sending ---------------------------------------------------------------------------------------------------------

    def say(self, kind: type[Message], connection: int | None = None, **fields: Any) -> Status:
        """Send a message to the host."""
        return self._say(vmbus.pack(kind, **fields), words_of(kind.number, fields), connection)

    def say_bytes(self, data: bytes) -> Status:
        """Send a message that is there as bytes."""
        return self._say(data, read(data, vmbus.CHILD, vmbus.V6).words(), None)

    def _say(self, data: bytes, words: dict[str, int], connection: int | None) -> Status:
        to = self.state.post_to if connection is None else connection
        row = self.vp.tell("channel_message_sent", **words, connection=to)
        with self.vp.because(row):
            return self.state.outbox.send(self.boxes[self.cpu], to, data)

    def enter(self, channel: Offered, state: State) -> None:
        """Move a channel to a state, and tell it."""
        old, channel.state = channel.state, state
        told_state(self.vp, CHILD_SIDE, channel.channel_id, old, state)

    # receiving -------------------------------------------------------------------------------------------------------

    def service(self) -> bool:
        """Let each virtual processor take an interrupt that waits, and post what waits; whether anything was done."""
        done = bool(self.state.outbox.waiting) and self.state.outbox.flush(self.boxes[self.cpu])
        for cpu, box in enumerate(self.boxes):
            if box.waits():
                was, self.cpu = self.cpu, cpu
                box.interrupt(self._interrupt)
                self.cpu, done = was, True
        return done

    def _interrupt(self) -> None:
        """Look at the flags first, then at the message; each further one brings an interrupt of its own.

        Source: Linux drivers/hv/vmbus_drv.c, vmbus_isr and vmbus_on_msg_dpc.
        """
        box = self.boxes[self.cpu]
        for flag in box.flags():
            self.signalled(flag)
        if (letter := box.take()) is not None:
            self.take(letter, box.spa)

    def signalled(self, flag: int) -> None:
        """The host set a flag."""
        raise NotImplementedError

    table: dict[tuple[Connection, int], Callable[..., Refusal | None]] = {}

    def take(self, letter: Letter, spa: int = 0) -> None:
        """Take a message of the host."""
        found = read(letter.data, vmbus.ROOT, self.state.version)
        row = self.vp.tell("channel_message_taken", **found.words(), spa=spa)
        with self.vp.because(row):
            if found.why is not None or found.body is None:
                return told_refusal(self.vp, found, found.why or Refusal.TOO_SHORT)
            handler = self.table.get((self.state.connection, found.number))
            if handler is None:
                why = Refusal.NOT_NOW if self.state.version else Refusal.BEFORE_CONTACT
                return told_refusal(self.vp, found, why)
            why_not = handler(self, found.body)
            if why_not is not None:
                told_refusal(self.vp, found, why_not)

    # pages -----------------------------------------------------------------------------------------------------------

    def frames(self, count: int) -> list[int]:
        """Take pages that nobody uses."""
        if count > len(self.state.frames):
            raise BadRequest(f"{count} pages of the guest", f"{len(self.state.frames)} free ones", "a larger guest")
        taken = self.state.frames[:count]
        del self.state.frames[:count]
        return taken

    def give_back(self, gpns: Sequence[int]) -> None:
        """Return pages."""
        self.state.frames = sorted([*self.state.frames, *gpns])

    # a machine that is saved -----------------------------------------------------------------------------------------

    def saved(self) -> Any:
        """Return what the driver holds, as a copy; the ends of channels stay the objects that they are."""
        ends = {number: (end, end.saved()) for number, end in self.ends.items()}
        return copy.deepcopy(self.state), ends

    def restore(self, saved: Any) -> None:
        """Go back to what `saved` returned."""
        state, ends = saved
        self.state, self.ends = copy.deepcopy(state), {number: end for number, (end, _) in ends.items()}
        for end, record in ends.values():
            end.restore(record)
