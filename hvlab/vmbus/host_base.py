"""What the host's end keeps of one guest, and how it sends, takes and refuses messages.

SIMPLER THAN REAL: a device opens, closes and takes pages at once; openvmm asks it, and waits.
SIMPLER THAN REAL: one trust level; a contact for another one is refused, openvmm hands it on.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from hvlab.errors import BadRequest
from hvlab.hypervisor.vp import Vp
from hvlab.vmbus.channel import Channel, Knobs
from hvlab.vmbus.endpoint import (
    ALIVE_BEFORE_CONTACT,
    ROOT_SIDE,
    Letter,
    Outbox,
    read,
    told_refusal,
    told_state,
    words_of,
)
from hvlab.vmbus.gpadl import Pages
from hvlab.vmbus.monitor import Watch
from hvlab.vmbus.offer import Device
from hvlab.vmbus.states import Connection, Refusal, State
from hvlab.wire import vmbus
from hvlab.wire.struct import Message
from hvlab.wire.tlfs import Status

SPOKEN: Final = ("6.0", "5.3", "5.2", "5.1", "5.0", "4.1", "4.0", "3.0", "2.4")
FEATURES: Final = vmbus.FeatureFlags.mask(
    "guest_specified_signal_parameters", "modify_connection", "client_id", "pause_resume"
)
FAILED: Final = 2  # connection state: openvmm ConnectionState::FAILED_UNKNOWN_FAILURE
MOST_WAITING: Final = 2 * vmbus.MAX_GPADLS  # answers that a guest may let pile up (I18); openvmm has no bound


class Ground(Protocol):
    """What the root gives to the driver of one child: its own calls and what its VID knows. Nothing of the child."""

    vp: Vp

    @property
    def vps(self) -> int:
        """How many virtual processors the child has."""

    def page(self, gpn: int) -> int | None:
        """Return the root's page that the child sees as `gpn`, if that page is the child's."""

    def pin(self, gpns: Iterable[int], count: int) -> None:
        """Note that pages of the child are in `count` more GPADLs: none of them may be taken away."""

    def target(self, vp: int, sint: int) -> int:
        """Return the connection for messages to a SINT of the child."""

    def post(self, connection: int, outbox: Outbox, data: bytes) -> Status:
        """Send a message to the child."""

    def signal(self, vp: int, flag: int) -> Status:
        """Set a flag of a virtual processor of the child."""

    def open_signal(self, connection: int, channel: int) -> bool:
        """Let the child signal a channel through this connection."""

    def close_signal(self, channel: int) -> None:
        """Take that connection away."""

    def now(self) -> int:
        """Return the time, in nanoseconds."""


@dataclass
class HostChannel:
    """What the host keeps of one channel: plain data."""

    device: Device
    number: int  # of the offer, ours
    state: State = State.RELEASED
    channel_id: int = 0
    connection_id: int = 0
    trigger: int = -1
    open_id: int = 0
    ring: int = 0  # the GPADL of its rings
    target_vp: int = 0
    flag: int = 0
    reserved: tuple[int, int] | None = None  # where answers go: it was opened as a reserved channel
    gone: bool = False
    deaf_until: int = 0
    counted: int = 0  # the guest's own count of its signals, when we looked last
    needless: int = 0  # signals that were not needed, since it was last throttled


@dataclass
class HostState:
    """All that the host keeps of one guest's connection: plain data."""

    connection: Connection = Connection.DISCONNECTED
    version: int = 0
    features: int = 0
    target_vp: int = 0
    offered: bool = False
    client_id: bytes = bytes(16)
    channels: dict[int, HostChannel] = field(default_factory=dict)
    ids: dict[int, int] = field(default_factory=dict)  # channel id -> number of the offer
    gpadls: dict[tuple[int, int], Pages] = field(default_factory=dict)  # (handle, number of the offer)
    incomplete: dict[int, int] = field(default_factory=dict)  # handle -> number of the offer
    outbox: Outbox = field(default_factory=Outbox)
    watch: Watch = field(default_factory=Watch)
    offers: int = 0


class HostBase:
    """State, sending, refusing: what all handlers use."""

    def __init__(
        self,
        ground: Ground,
        speaks: Iterable[str] = SPOKEN,
        features: int = int(FEATURES),
        knobs: Knobs | None = None,
        connection_base: int = 0x2000,
        message_connection: int = vmbus.ConnectionId.REDIRECT,
        services: Iterable[str] = (),
        throttle: tuple[int, int] | None = None,
        align: int = 1,
        selects: bool = True,
    ) -> None:
        if unknown := [name for name in speaks if name not in vmbus.BY_NAME]:
            raise BadRequest(f"versions {unknown}", "", ", ".join(SPOKEN))
        self.ground, self.state = ground, HostState()
        self.speaks = frozenset(vmbus.BY_NAME[name].value for name in speaks)
        self.features, self.knobs = features, knobs or Knobs()
        self.connection_base, self.message_connection = connection_base, message_connection
        self.services = frozenset(vmbus.guid(service) for service in services)
        self.throttle, self.align, self.selects, self.lazy = throttle, align, selects, False
        self.ends: dict[int, Channel] = {}  # channel id -> the open channel's end
        self.answers: dict[str, Callable[[Channel, Any], None]] = {}  # device -> what it does with a packet

    @property
    def vp(self) -> Vp:
        return self.ground.vp

    # sending ---------------------------------------------------------------------------------------------------------

    def say(self, kind: type[Message], to: tuple[int, int] | None = None, **fields: Any) -> Status:
        """Send a message to the guest, by default to the VP that it named in its contact."""
        data = vmbus.pack(kind, **fields)
        data += bytes(-len(data) % self.align)
        vp, sint = to or (self.state.target_vp, vmbus.SINT)
        words = words_of(kind.number, fields)
        connection = self.ground.target(vp, sint)
        row = self.vp.tell("channel_message_sent", **words, connection=connection)
        with self.vp.because(row):
            return self.ground.post(connection, self.state.outbox, data)

    def enter(self, channel: HostChannel, state: State) -> None:
        """Move a channel to a state, and tell it."""
        old, channel.state = channel.state, state
        told_state(self.vp, ROOT_SIDE, channel.channel_id, old, state)

    # receiving -------------------------------------------------------------------------------------------------------

    def take(self, letter: Letter, spa: int = 0) -> None:
        """Take a message of the guest."""
        found = read(letter.data, vmbus.CHILD, self.state.version)
        row = self.vp.tell("channel_message_taken", **found.words(), spa=spa)
        with self.vp.because(row):
            if len(self.state.outbox) >= MOST_WAITING and found.number not in ALIVE_BEFORE_CONTACT:
                return told_refusal(self.vp, found, Refusal.TOO_MANY)
            if found.why is not None or found.body is None:
                return told_refusal(self.vp, found, found.why or Refusal.TOO_SHORT)
            handler = self.table.get((self.state.connection, found.number))
            if handler is None:
                why = Refusal.NOT_NOW if self.state.version else Refusal.BEFORE_CONTACT
                return told_refusal(self.vp, found, why)
            why_not = handler(self, found.body, found.tail)
            if why_not is not None:
                told_refusal(self.vp, found, why_not)

    table: dict[tuple[Connection, int], Callable[..., Refusal | None]] = {}

    # a machine that is saved -----------------------------------------------------------------------------------------

    def saved(self) -> Any:
        """Return what the driver holds, as a copy; the ends of channels stay the objects that they are."""
        ends = {number: (end, end.saved()) for number, end in self.ends.items()}
        return copy.deepcopy(self.state), ends, self.lazy, self.throttle

    def restore(self, saved: Any) -> None:
        """Go back to what `saved` returned."""
        state, ends, self.lazy, self.throttle = saved
        self.state, self.ends = copy.deepcopy(state), {number: end for number, (end, _) in ends.items()}
        for end, record in ends.values():
            end.restore(record)
