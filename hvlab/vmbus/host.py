"""The host's end: the root's driver for one child. Two tables say what each message does in each state.

A message that stands in no table, or whose fields do not fit, changes nothing, and an event says why. What each does
follows openvmm vmbus_server/src/channels.rs; names of messages are Linux's. A refused request has no answer, as there,
but where the answer can say so: contact, page lists, OPENCHANNEL, MODIFYCHANNEL, MODIFY_CONNECTION, sockets.
"""

from collections.abc import Callable
from typing import Any, Final

from hvlab.errors import BadRequest
from hvlab.vmbus.host_base import FAILED, HostChannel
from hvlab.vmbus.host_pages import HostPages
from hvlab.vmbus.monitor import TRIGGERS
from hvlab.vmbus.offer import NO_MONITOR, Device
from hvlab.vmbus.states import Connection, Refusal, State
from hvlab.wire import vmbus

__all__ = ["Host", "HostChannel"]
CONNECTED, APART = Connection.CONNECTED, Connection.DISCONNECTED
BAD: Final = int(vmbus.ChannelStatus.UNSUCCESSFUL)
Answer = Refusal | None


class Host(HostPages):
    """The root's VMBus driver for one child.

    Parameters
    ----------
    ground : Ground
        What the root gives to it.
    speaks : iterable of str
        The versions of the protocol that it accepts.
    features : int
        Its FeatureFlags.
    knobs : Knobs
        How its ends of rings behave.
    connection_base : int
        What is added to a channel's id to make its connection: 0x2000 as openvmm does.
    message_connection : int
        Where a guest of version 5.0 or later posts from its contact on.
    services : iterable of str
        GUIDs of the sockets that somebody listens to.
    throttle : tuple of int, optional
        (signals, nanoseconds): after so many signals in a row that nobody needed, the guest is not listened to for so
        long.
    align : int
        Messages are padded to a multiple of so many bytes (8: as QEMU does).
    selects : bool
        Whether VERSION_RESPONSE repeats the version below 5.0.
    """

    # what the machine's configuration does ---------------------------------------------------------------------------

    def offer(self, device: Device) -> int:
        """Offer a device; return our number of the offer. A guest that knows the others hears of it at once."""
        channels = self.state.channels.values()
        if any(one.device.key == device.key and not one.gone for one in channels):
            raise BadRequest(f"the device {device.name}", "it is offered already", "another instance or index")
        if len(self.state.channels) >= vmbus.CHANNELS:
            raise BadRequest(f"the device {device.name}", f"{vmbus.CHANNELS} channels")
        self.state.offers += 1
        channel = self.state.channels[self.state.offers] = HostChannel(device, self.state.offers)
        if self.state.connection == CONNECTED and self.state.offered:
            self._announce(channel)
        return channel.number

    def rescind(self, number: int) -> None:
        """Take a device away. A second time changes nothing."""
        channel = self.state.channels.get(number)
        if channel is None or channel.gone:
            return
        channel.gone = True
        if channel.state == State.RELEASED:
            del self.state.channels[number]
            return
        self._end(channel)
        channel.reserved = None
        self.enter(channel, State.RESCINDED)
        self.drop_incomplete(channel)
        self.say(vmbus.Rescind, channel_id=channel.channel_id)

    def forget(self) -> None:
        """Forget the guest and all that it has: it is taken down."""
        for channel in list(self.state.channels.values()):
            self._end(channel)
            self._release(channel)
        self.state.connection, self.state.version, self.state.offered = APART, 0, False
        self.state.outbox.waiting.clear()

    def _announce(self, channel: HostChannel) -> None:
        """Give a channel the lowest free id, and offer it."""
        channel.channel_id = next(k for k in range(1, vmbus.CHANNELS + 1) if k not in self.state.ids)
        channel.connection_id = self.connection_base + channel.channel_id
        self.state.ids[channel.channel_id] = channel.number
        device, taken = channel.device, set(self.state.watch.triggers)
        if device.monitored:
            channel.trigger = next((t for t in range(TRIGGERS) if t not in taken), -1)
            if channel.trigger >= 0:
                self.state.watch.triggers[channel.trigger] = (channel.channel_id, device.latency)
                self.write_trigger(channel)
        self.enter(channel, State.OFFERED)
        self.say(
            vmbus.Offer,
            interface_type=vmbus.guid(device.interface),
            interface_instance=vmbus.guid(device.instance),
            flags=device.flags,
            mmio_megabytes=device.mmio,
            user_defined=device.user_defined,
            sub_channel_index=device.index,
            channel_id=channel.channel_id,
            monitor_id=channel.trigger if channel.trigger >= 0 else NO_MONITOR,
            monitor_allocated=int(channel.trigger >= 0),
            is_dedicated=1,
            connection_id=channel.connection_id,
        )

    # the connection --------------------------------------------------------------------------------------------------

    def _contact(self, body: Any, tail: bytes) -> Answer:
        """INITIATE_CONTACT: whatever there was before is reset first, unless the contact is not for us or too short.

        Source: openvmm handle_initiate_contact and initiate_contact.
        """
        version, late = body.version, isinstance(body, vmbus.InitiateContact5 | vmbus.InitiateContact6)
        sint = body.target_sint if late else vmbus.SINT
        target = body.target_vp if version >= vmbus.BY_NAME["3.0"].value else 0
        wanted = body.feature_flags if late and version >= vmbus.V6 else 0
        if wanted & vmbus.FeatureFlags.mask("client_id") and not isinstance(body, vmbus.InitiateContact6):
            return Refusal.TOO_SHORT
        if late and (sint != vmbus.SINT or body.target_vtl):
            known = 0 < sint < 16 and target < self.ground.vps and not body.target_vtl
            return self._answer(0, (target, sint) if known else None)
        self._reset()
        self.state.outbox.waiting.clear()
        if version not in self.speaks:
            self.vp.tell("version_refused", version=version)
            return self._answer(0, None if target >= self.ground.vps else (target, vmbus.SINT))
        if target >= self.ground.vps:
            self._answer(version, None, 0, FAILED)
            return Refusal.NO_SUCH_VP
        self.state.target_vp, features = target, wanted & self.features
        if not self.watch_pages(body.parent_to_child, body.child_to_parent):
            return self._answer(version, None, features, FAILED)
        self.state.connection, self.state.version, self.state.features = CONNECTED, version, features
        self.state.client_id = getattr(body, "client_id", bytes(16))
        self.vp.tell("version_accepted", version=version, connection=self._connection())
        return self._answer(version, None, features)

    def _connection(self) -> int:
        """Return where the guest posts from now on."""
        return self.message_connection if self.state.version >= vmbus.V5 else int(vmbus.ConnectionId.MESSAGES)

    def _answer(self, version: int, to: tuple[int, int] | None, features: int = 0, state: int = 0) -> Answer:
        """Say VERSION_RESPONSE; `version` 0: try another one.

        Below 5.0 its last word repeats the version (openvmm), or is 0 (QEMU).
        """
        late = self.message_connection if version >= vmbus.V5 else version * self.selects
        words = {"supported": int(version > 0), "connection_state": state, "connection_id": late}
        if version >= vmbus.V6:
            self.say(vmbus.VersionResponse6, to, **words, feature_flags=features)
        else:
            self.say(vmbus.VersionResponse, to, **words)
        return None

    def _request_offers(self, body: Any, tail: bytes) -> Answer:
        """REQUESTOFFERS: once for each contact, in the order of class, then instance."""
        if self.state.offered:
            return Refusal.NOT_NOW
        self.state.offered = True
        waiting = [one for one in self.state.channels.values() if one.state == State.RELEASED and not one.gone]
        for channel in sorted(waiting, key=lambda one: (one.device.interface, one.number)):
            self._announce(channel)
        self.say(vmbus.AllOffers)
        return None

    def _unload(self, body: Any, tail: bytes) -> Answer:
        """UNLOAD: also a second time, and before any contact."""
        self._reset()
        self.state.outbox.waiting.clear()
        self.say(vmbus.UnloadComplete)
        return None

    def _reset(self) -> None:
        """Release all channels and their pages; a reserved channel stays."""
        for channel in list(self.state.channels.values()):
            if channel.reserved is None:
                self._end(channel)
                self._release(channel)
        state = self.state
        state.connection, state.version, state.features, state.offered = APART, 0, 0, False
        state.outbox.held, state.target_vp = False, 0
        self.watch_pages(0, 0)

    def _socket(self, body: Any, tail: bytes) -> Answer:
        """TL_CONNECT_REQUEST: an offer, if somebody listens; else TL_CONNECT_RESULT from 4.1 on.

        Source: openvmm send_tl_connect_result, which answers nothing but failures.
        """
        service, endpoint = vmbus.guid_text(body.service_id), vmbus.guid_text(body.endpoint_id)
        if body.service_id in self.services:
            flags = vmbus.OfferFlags.mask("tlnpi_provider")
            try:
                self.offer(Device("socket", service, endpoint, int(flags)))
                return None
            except BadRequest:
                pass
        if self.state.version >= vmbus.V4_1:
            refused = int(vmbus.ChannelStatus.CONNECTION_REFUSED)
            self.say(vmbus.SocketResult, endpoint_id=body.endpoint_id, service_id=body.service_id, status=refused)
        return None

    def _modify_connection(self, body: Any, tail: bytes) -> Answer:
        if not self.state.features & vmbus.FeatureFlags.mask("modify_connection"):
            return Refusal.NOT_IN_THIS_VERSION
        done = self.watch_pages(body.parent_to_child, body.child_to_parent)
        self.say(vmbus.ModifyConnectionResponse, connection_state=0 if done else FAILED)
        return None

    def _pause(self, body: Any, tail: bytes) -> Answer:
        """PAUSE: the answer is the last message until RESUME."""
        if not self.state.features & vmbus.FeatureFlags.mask("pause_resume"):
            return Refusal.NOT_IN_THIS_VERSION
        if self.state.outbox.held:
            return Refusal.NOT_NOW
        self.say(vmbus.PauseResponse)
        self.state.outbox.held = True
        return None

    def _resume(self, body: Any, tail: bytes) -> Answer:
        if not self.state.features & vmbus.FeatureFlags.mask("pause_resume"):
            return Refusal.NOT_IN_THIS_VERSION
        if not self.state.outbox.held:
            return Refusal.NOT_NOW
        self.state.outbox.held = False
        return None

    # a channel -------------------------------------------------------------------------------------------------------

    def _channel(self, body: Any, tail: bytes) -> Answer:
        """Find the channel, then what its state does with the message.

        A move has an answer always (openvmm handle_modify_channel), all else that fits nowhere has none.
        """
        number = self.state.ids.get(body.channel_id)
        why, moves = Refusal.UNKNOWN_CHANNEL, isinstance(body, vmbus.ModifyChannel)
        if number is not None:
            channel = self.state.channels[number]
            handler = CHANNELS.get((channel.state, type(body).number))
            if handler is not None:
                return handler(self, channel, body, tail)
            why = Refusal.RESCINDED if channel.state == State.RESCINDED and not moves else Refusal.NOT_NOW
        return self._not_modified(body.channel_id, why) if moves else why

    def _open(self, channel: HostChannel, body: Any, tail: bytes) -> Answer:
        """OPENCHANNEL: rings in a page list of this channel, a VP that exists, and a connection to signal it."""
        signals = self.state.features & vmbus.FeatureFlags.mask("guest_specified_signal_parameters")
        own = signals and isinstance(body, vmbus.OpenExtended)
        channel.open_id = body.open_id
        connection, flag = (body.connection_id, body.event_flag) if own else (channel.connection_id, channel.channel_id)
        why = self.open_rings(channel, body.gpadl_id, body.downstream_offset, body.target_vp, connection, flag)
        status = 0 if why is None else BAD
        if why is None:
            self.enter(channel, State.OPEN)
        self.say(vmbus.OpenResult, channel_id=channel.channel_id, open_id=body.open_id, status=status)
        return why

    def _open_reserved(self, channel: HostChannel, body: Any, tail: bytes) -> Answer:
        """OPEN_RESERVED_CHANNEL: no interrupts, and the answer goes where the guest says."""
        if body.target_vp >= self.ground.vps or not 0 < body.target_sint < 16:
            return Refusal.NO_SUCH_VP
        why = self.open_rings(
            channel, body.gpadl_id, body.downstream_offset, vmbus.NO_VP, channel.connection_id, channel.channel_id
        )
        target = (body.target_vp, body.target_sint)
        if why is None:
            channel.reserved = target
            self.enter(channel, State.OPEN)
        status = 0 if why is None else BAD
        self.say(vmbus.OpenResult, target, channel_id=channel.channel_id, open_id=0, status=status)
        return why

    def _close(self, channel: HostChannel, body: Any, tail: bytes) -> Answer:
        """CLOSECHANNEL: nobody answers."""
        if channel.reserved is not None:
            return Refusal.NOT_NOW
        self._end(channel)
        self.enter(channel, State.OFFERED)
        return None

    def _close_reserved(self, channel: HostChannel, body: Any, tail: bytes) -> Answer:
        """CLOSE_RESERVED_CHANNEL: answered while the guest is connected; else the channel is released."""
        if channel.reserved is None:
            return Refusal.NOT_NOW
        if body.target_vp >= self.ground.vps or not 0 < body.target_sint < 16:
            return Refusal.NO_SUCH_VP
        self._end(channel)
        channel.reserved = None
        if self.state.connection == CONNECTED:
            self.enter(channel, State.OFFERED)
            self.say(vmbus.CloseReservedResponse, (body.target_vp, body.target_sint), channel_id=channel.channel_id)
        else:
            self._release(channel)
        return None

    def _modify(self, channel: HostChannel, body: Any, tail: bytes) -> Answer:
        """MODIFYCHANNEL: from here on another VP is signalled."""
        if channel.reserved is not None or (body.target_vp >= self.ground.vps and body.target_vp != vmbus.NO_VP):
            return self._not_modified(body.channel_id, Refusal.NOT_NOW if channel.reserved else Refusal.NO_SUCH_VP)
        channel.target_vp = body.target_vp
        if self.state.version >= vmbus.V5_3:
            self.say(vmbus.ModifyChannelResponse, channel_id=channel.channel_id, status=0)
        return None

    def _not_modified(self, channel_id: int, why: Refusal) -> Answer:
        if self.state.version >= vmbus.V5_3:
            self.say(vmbus.ModifyChannelResponse, channel_id=channel_id, status=BAD)
        return why

    def _released(self, channel: HostChannel, body: Any, tail: bytes) -> Answer:
        """RELID_RELEASED: the id may be used again, and the pages are the guest's alone."""
        self._release(channel)
        return None

    def _end(self, channel: HostChannel) -> None:
        """Close this end: rings, signals."""
        if channel.state == State.OPEN:
            self.close_rings(channel)

    def _release(self, channel: HostChannel) -> None:
        """Drop all that the guest had of a channel."""
        self.drop_gpadls(channel)
        if channel.state != State.RELEASED:
            self.enter(channel, State.RELEASED)
            del self.state.ids[channel.channel_id]
        self.state.watch.triggers.pop(channel.trigger, None)
        self.state.watch.since.pop(channel.trigger, None)
        channel.channel_id, channel.trigger, channel.reserved = 0, -1, None
        if channel.gone or channel.device.name == "socket":
            del self.state.channels[channel.number]

    table = {
        (APART, 14): _contact, (CONNECTED, 14): _contact,
        (APART, 16): _unload, (CONNECTED, 16): _unload,
        (APART, 19): _channel, (CONNECTED, 19): _channel,
        (CONNECTED, 3): _request_offers, (CONNECTED, 5): _channel, (CONNECTED, 7): _channel,
        (CONNECTED, 8): _channel, (CONNECTED, 9): HostPages.gpadl_body, (CONNECTED, 11): _channel,
        (CONNECTED, 13): _channel, (CONNECTED, 18): _channel, (CONNECTED, 21): _socket,
        (CONNECTED, 22): _channel, (CONNECTED, 25): _modify_connection, (CONNECTED, 27): _pause,
        (CONNECTED, 29): _resume,
    }  # fmt: skip


# What a message about a channel does, by the state of the channel; what stands nowhere is refused.
CHANNELS: Final[dict[tuple[State, int], Callable[..., Answer]]] = {
    (State.OFFERED, 5): Host._open,
    (State.OFFERED, 8): Host.gpadl_header,
    (State.OPEN, 8): Host.gpadl_header,
    (State.RESCINDED, 8): Host.gpadl_of_nobody,
    (State.OFFERED, 11): Host.gpadl_teardown,
    (State.OPEN, 11): Host.gpadl_teardown,
    (State.RESCINDED, 11): Host.gpadl_teardown,
    (State.OPEN, 7): Host._close,
    (State.OPEN, 22): Host._modify,
    (State.OFFERED, 18): Host._open_reserved,
    (State.OPEN, 19): Host._close_reserved,
    (State.OFFERED, 13): Host._released,
    (State.RESCINDED, 13): Host._released,
}
