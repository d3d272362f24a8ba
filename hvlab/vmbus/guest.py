"""The guest's end: a child's driver. One table says what each message does in each state of the connection.

What it sends, and in which order, is what Linux does (drivers/hv/connection.c, channel_mgmt.c, channel.c).

Of a Windows guest the references tell: who it says that it is (TLFS, guest OS identity), that it decides on the
interface and not on the vendor's name, and, through openvmm's tests and comments, that it asks for 6.0 first, with
feature flags and a client id. Not known: its handles of page lists, its vector, when it moves channels.
"""

from collections.abc import Sequence
from typing import Any, Final

from hvlab.errors import BadRequest
from hvlab.vmbus.channel import Channel
from hvlab.vmbus.gpadl import PAGE
from hvlab.vmbus.guest_base import Named, Offered
from hvlab.vmbus.guest_pages import GuestPages
from hvlab.vmbus.monitor import set_trigger
from hvlab.vmbus.states import Connection, Gpadl, Refusal, State
from hvlab.wire import vmbus
from hvlab.wire.tlfs import Status

__all__ = ["Guest", "Offered"]
APART, ASKING, THERE, LEAVING = Connection
KNOWN: Final = range(1, vmbus.CHANNELS + 1)
Answer = Refusal | None


class Guest(GuestPages):
    """The child's VMBus driver."""

    # the connection --------------------------------------------------------------------------------------------------

    def connect(self) -> vmbus.Version | None:
        """Ask for one version after the other; return the one that the host speaks. Source: vmbus_connect."""
        for version in self.versions:
            if self.contact(version) == Status.SUCCESS:
                self.idle()
            if self.state.connection == THERE:
                return vmbus.BY_VALUE[version]
        self.state.connection = APART
        return None

    def contact(self, version: int) -> Status:
        """Say INITIATE_CONTACT: on connection 4 from 5.0 on. Source: vmbus_negotiate_version."""
        state, (interrupts, to_child, to_parent) = self.state, self.monitor
        self._forget()
        state.connection, state.asked, state.supported = ASKING, version, None
        late = version >= vmbus.V5
        words: dict[str, int | bytes] = {
            "version": version,
            "target_vp": self.boxes[self.cpu].vp.index,
            "parent_to_child": to_child,
            "child_to_parent": to_parent,
        }
        if not late:
            return self.say(vmbus.InitiateContact, vmbus.ConnectionId.MESSAGES, **words, interrupt_page=interrupts)
        words |= {"target_sint": vmbus.SINT}
        if version >= vmbus.V6:
            words |= {"feature_flags": self.features, "client_id": self.client_id}
            return self.say(vmbus.InitiateContact6, vmbus.ConnectionId.MESSAGES_5, **words)
        return self.say(vmbus.InitiateContact5, vmbus.ConnectionId.MESSAGES_5, **words)

    def request_offers(self) -> list[Offered]:
        """Ask for all offers; return what is there. Source: vmbus_request_offers."""
        self.say(vmbus.RequestOffers)
        self.idle()
        return list(self.state.offers.values())

    def unload(self) -> bool:
        """Say UNLOAD, and wait for the answer; whether it came. Source: vmbus_initiate_unload."""
        self.state.connection, self.state.unloaded = LEAVING, False
        self.say(vmbus.Unload)
        self.idle()
        return self.state.unloaded

    def pause(self) -> None:
        """Ask the host to send nothing until `resume`."""
        self.say(vmbus.Pause)
        self.idle()

    def resume(self) -> None:
        """Let the host send again."""
        self.state.paused = False
        self.say(vmbus.Resume)
        self.idle()

    def connect_socket(self, endpoint: str, service: str) -> int | None:
        """Ask for a socket; return the status of a failure, None if an offer came or nothing. hv_sock does so."""
        end = vmbus.guid(endpoint)
        self.state.sockets[end] = None
        self.say(vmbus.SocketConnect, endpoint_id=end, service_id=vmbus.guid(service))
        self.idle()
        return self.state.sockets.pop(end)

    def modify_connection(self, to_child: int, to_parent: int) -> int | None:
        """Name other monitor pages, or none; return the state that the host answers."""
        self.state.modified = None
        self.say(vmbus.ModifyConnection, parent_to_child=to_child, child_to_parent=to_parent)
        self.idle()
        return self.state.modified

    def _forget(self) -> None:
        """Forget all channels: the connection begins anew, or is over."""
        state = self.state
        kept = {number: one for number, one in state.offers.items() if one.reserved}
        for named in [one for one in state.gpadls.values() if one.channel_id not in kept]:
            self.drop(named)
        state.offers, state.version, state.features = kept, 0, 0
        state.all_offers, state.paused, state.post_to = False, False, int(vmbus.ConnectionId.MESSAGES)
        state.outbox.waiting.clear()
        self.ends = {number: end for number, end in self.ends.items() if number in kept}

    def _version(self, body: Any) -> Answer:
        """VERSION_RESPONSE."""
        state, asked = self.state, self.state.asked
        state.supported = body.supported
        if not body.supported or body.connection_state:
            state.connection = APART
            self.vp.tell("version_refused", version=asked)
            return None
        state.connection, state.version = THERE, asked
        late = asked >= vmbus.V5
        state.post_to = body.connection_id if late else int(vmbus.ConnectionId.MESSAGES)
        state.features = getattr(body, "feature_flags", 0) & self.features if asked >= vmbus.V6 else 0
        self.vp.tell("version_accepted", version=asked, connection=state.post_to)
        return None

    def _unloaded(self, body: Any) -> Answer:
        """UNLOAD_RESPONSE: nothing is left."""
        self._forget()
        self.state.connection, self.state.unloaded = APART, True
        return None

    def _all_offers(self, body: Any) -> Answer:
        if self.state.all_offers:
            return Refusal.NOT_NOW
        self.state.all_offers = True
        return None

    def _offer(self, body: Any) -> Answer:
        """OFFERCHANNEL: a channel whose id is not in use. Source: vmbus_onoffer."""
        if body.channel_id not in KNOWN:
            return Refusal.UNKNOWN_CHANNEL
        if body.channel_id in self.state.offers:
            return Refusal.HANDLE_IN_USE
        channel = self.state.offers[body.channel_id] = Offered(body, State.RELEASED)
        self.enter(channel, State.OFFERED)
        return None

    def _paused(self, body: Any) -> Answer:
        if self.state.paused:
            return Refusal.NOT_NOW
        self.state.paused = True
        return None

    def _modified(self, body: Any) -> Answer:
        self.state.modified = body.connection_state
        return None

    def _socket(self, body: Any) -> Answer:
        if self.state.sockets.get(body.endpoint_id, 0) is not None:
            return Refusal.UNKNOWN_CHANNEL
        self.state.sockets[body.endpoint_id] = body.status
        return None

    # channels --------------------------------------------------------------------------------------------------------

    def open(self, channel_id: int, pages: tuple[int, int] = (4, 4), target_vp: int | None = None) -> Channel | None:
        """Open a channel with rings of so many pages each, control page included; None: it was not opened.

        Source: Linux vmbus_open: pages, page list, OPENCHANNEL, and the page list goes back where that fails.
        """
        channel = self._known(channel_id)
        if channel.state != State.OFFERED:
            raise BadRequest(f"to open channel {channel_id}", f"it is {channel.state.name.lower()}")
        gpns = self.frames(sum(pages))
        end = self._end(channel, gpns, pages[0])
        named = self.create_gpadl(channel_id, gpns)
        if named.state != Gpadl.LIVE or channel.rescinded:
            self._not_opened(channel, named)
            return None
        channel.gpadl, channel.target_vp = named.gpadl_id, self.cpu if target_vp is None else target_vp
        self.enter(channel, State.OPENING)
        self.ends[channel_id] = end
        self.say_open(channel, named.gpadl_id, pages[0])
        self.idle()
        return self.ends.get(channel_id)

    def say_open(self, channel: Offered, gpadl_id: int, split: int) -> None:
        """Say OPENCHANNEL; the guest's own number of the request is the channel's."""
        channel.waiting, channel.status = vmbus.OpenResult.number, None
        self.say(
            vmbus.Open,
            channel_id=channel.channel_id,
            open_id=channel.channel_id,
            gpadl_id=gpadl_id,
            target_vp=channel.target_vp,
            downstream_offset=split,
        )

    def _not_opened(self, channel: Offered, named: Named) -> None:
        if named.state == Gpadl.LIVE and not channel.rescinded:
            self.teardown_gpadl(named)

    def _known(self, channel_id: int) -> Offered:
        if channel_id not in self.state.offers:
            raise BadRequest(f"channel {channel_id}", "", f"{sorted(self.state.offers)}")
        return self.state.offers[channel_id]

    def _end(self, channel: Offered, gpns: Sequence[int], split: int) -> Channel:
        gpas, number = [gpn * PAGE for gpn in gpns], channel.channel_id
        end = Channel(self.vp, number, gpas, split, False, lambda: self._wake(number), self.knobs)
        end.prepare()
        return end

    def _wake(self, channel_id: int) -> None:
        """Wake the host: through the monitor page if the channel has a place there and the rule is that one.

        Source: Linux vmbus_setevent.
        """
        offer = self.state.offers[channel_id].offer
        if self.knobs.rule == "monitor" and offer.monitor_allocated & 1 and self.monitor[2]:
            set_trigger(self.vp, self.monitor[2], offer.monitor_id, channel_id)
        else:
            self.boxes[self.cpu].signal(offer.connection_id)

    def _opened(self, body: Any) -> Answer:
        """OPENCHANNEL_RESULT. Source: vmbus_onopen_result."""
        channel = self.state.offers.get(body.channel_id)
        if channel is None:
            return Refusal.UNKNOWN_CHANNEL
        if channel.state != State.OPENING or body.open_id != (0 if channel.reserved else channel.channel_id):
            return Refusal.NOT_NOW
        channel.status, channel.waiting = body.status, 0
        if not body.status:
            self.enter(channel, State.OPEN)
            return None
        self.enter(channel, State.OFFERED)
        channel.reserved = False
        self.ends.pop(channel.channel_id, None)
        self.let_go(channel)
        return None

    def open_reserved(self, channel_id: int, pages: tuple[int, int] = (4, 4)) -> Channel | None:
        """Open a channel that stays over an UNLOAD; nobody is interrupted for it."""
        channel = self._known(channel_id)
        gpns = self.frames(sum(pages))
        end = self._end(channel, gpns, pages[0])
        named = self.create_gpadl(channel_id, gpns)
        if named.state != Gpadl.LIVE:
            return None
        channel.gpadl, channel.reserved = named.gpadl_id, True
        self.enter(channel, State.OPENING)
        self.ends[channel_id] = end
        self.say(
            vmbus.OpenReserved,
            channel_id=channel_id,
            target_vp=self.vp.index,
            target_sint=vmbus.SINT,
            gpadl_id=named.gpadl_id,
            downstream_offset=pages[0],
        )
        self.idle()
        return self.ends.get(channel_id)

    def close_reserved(self, channel_id: int) -> bool:
        """Close such a channel; whether the host answered: it does so while we are connected."""
        channel = self._known(channel_id)
        self.enter(channel, State.CLOSING)
        self.ends.pop(channel_id, None)
        words = {"channel_id": channel_id, "target_vp": self.vp.index, "target_sint": vmbus.SINT}
        self.say(vmbus.CloseReserved, **words)
        self.idle()
        if channel.reserved:  # nobody answered
            self._forget_reserved(channel)
            return False
        return True

    def _closed_reserved(self, body: Any) -> Answer:
        """CLOSE_RESERVED_RESPONSE: its pages can be asked back."""
        channel = self.state.offers.get(body.channel_id)
        if channel is None:
            return Refusal.UNKNOWN_CHANNEL
        if channel.state != State.CLOSING or not channel.reserved:
            return Refusal.NOT_NOW
        channel.reserved = False
        self.enter(channel, State.OFFERED)
        self.let_go(channel)
        return None

    def _forget_reserved(self, channel: Offered) -> None:
        for named in [one for one in self.state.gpadls.values() if one.channel_id == channel.channel_id]:
            self.drop(named)
        self.enter(channel, State.RELEASED)
        del self.state.offers[channel.channel_id]

    def close(self, channel_id: int) -> None:
        """Close a channel: CLOSECHANNEL, which nobody answers, then its pages. Source: vmbus_close_internal."""
        channel = self._known(channel_id)
        if channel.state != State.OPEN:
            raise BadRequest(f"to close channel {channel_id}", f"it is {channel.state.name.lower()}")
        self.ends.pop(channel_id, None)
        self.enter(channel, State.CLOSING)
        self.say(vmbus.Close, channel_id=channel_id)
        self.let_go(channel)
        self.idle()
        self._closed(channel)

    def _closed(self, channel: Offered) -> None:
        """The channel can be opened again, unless it went away meanwhile."""
        if channel.state == State.CLOSING:
            self.enter(channel, State.OFFERED)

    def modify(self, channel_id: int, vp: int) -> int | None:
        """Let another virtual processor take a channel's interrupts; return the host's status, from 5.3 on.

        Source: Linux vmbus_send_modifychannel.
        """
        channel = self._known(channel_id)
        channel.status = None
        channel.waiting = vmbus.ModifyChannelResponse.number if self.state.version >= vmbus.V5_3 else 0
        self.say(vmbus.ModifyChannel, channel_id=channel_id, target_vp=vp)
        self.idle()
        if self.state.version < vmbus.V5_3 or channel.status == 0:
            channel.target_vp = vp
        return channel.status

    def _moved(self, body: Any) -> Answer:
        """MODIFYCHANNEL_RESPONSE."""
        channel = self.state.offers.get(body.channel_id)
        if channel is None:
            return Refusal.UNKNOWN_CHANNEL
        if channel.waiting != vmbus.ModifyChannelResponse.number:
            return Refusal.NOT_NOW
        channel.waiting, channel.status = 0, body.status
        return None

    def _rescind(self, body: Any) -> Answer:
        """RESCIND_CHANNELOFFER: it may overtake our OPENCHANNEL; whoever waits for an answer waits no more.

        An open channel is closed (nobody listens), its pages are not asked back, then the id is released.
        Source: Linux vmbus_onoffer_rescind.
        """
        channel = self.state.offers.get(body.channel_id)
        if channel is None:
            return Refusal.UNKNOWN_CHANNEL
        if channel.rescinded:
            return Refusal.RESCINDED
        channel.rescinded, channel.waiting = True, 0
        was_open = channel.state == State.OPEN
        self.enter(channel, State.RESCINDED)
        self.ends.pop(channel.channel_id, None)
        if was_open:
            self.say(vmbus.Close, channel_id=channel.channel_id)
        self.release(channel.channel_id)
        return None

    def release(self, channel_id: int) -> None:
        """Say RELID_RELEASED: the host may use the id again. Source: vmbus_release_relid."""
        channel = self._known(channel_id)
        for named in [one for one in self.state.gpadls.values() if one.channel_id == channel_id]:
            self.drop(named)
        self.say(vmbus.ReleaseChannel, channel_id=channel_id)
        self.enter(channel, State.RELEASED)
        del self.state.offers[channel_id]

    def signalled(self, flag: int) -> None:
        """The host set a channel's flag: take what is there. Flag 0 is no channel's, and Linux does not look at it."""
        end = self.ends.get(flag)
        if end is None:
            return
        driver = self.drivers.get(self.state.offers[flag].interface)
        for packet in end.receive():
            if driver is not None:
                driver(end, packet)

    table = {
        (ASKING, 15): _version,
        (THERE, 1): _offer, (THERE, 2): _rescind, (THERE, 4): _all_offers, (THERE, 6): _opened,
        (THERE, 10): GuestPages.created, (THERE, 12): GuestPages.torndown, (THERE, 20): _closed_reserved,
        (THERE, 23): _socket, (THERE, 24): _moved,
        (THERE, 26): _modified, (THERE, 28): _paused, (LEAVING, 17): _unloaded,
    }  # fmt: skip
