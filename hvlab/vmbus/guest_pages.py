"""The guest's end: its page lists.

Source: Linux drivers/hv/channel.c, vmbus_establish_gpadl and vmbus_teardown_gpadl.
"""

from collections.abc import Sequence
from typing import Any

from hvlab.vmbus.gpadl import messages
from hvlab.vmbus.guest_base import GuestBase, Named, Offered
from hvlab.vmbus.states import Gpadl, Refusal
from hvlab.wire import vmbus

Answer = Refusal | None


class GuestPages(GuestBase):
    """Which of its pages the guest named to the host."""

    def create_gpadl(
        self, channel_id: int, gpns: Sequence[int], byte_count: int | None = None, byte_offset: int = 0
    ) -> Named:
        """Name pages to the host; return the list, whose state says whether the host took it.

        Source: Linux vmbus_establish_gpadl: handles count up from 0xE1E10.
        """
        handle = self.state.next_gpadl
        self.state.next_gpadl += 1
        named = self.state.gpadls[handle] = Named(handle, channel_id, list(gpns))
        for data in messages(channel_id, handle, gpns, byte_count, byte_offset):
            self.say_bytes(data)
        self.idle()
        return named

    def teardown_gpadl(self, named: Named) -> bool:
        """Take a page list back; whether the host let go of it. Source: vmbus_teardown_gpadl."""
        channel = self.state.offers.get(named.channel_id)
        if channel is not None and not channel.rescinded:
            named.state = Gpadl.TEARING_DOWN
            self.say(vmbus.GpadlTeardown, channel_id=named.channel_id, gpadl_id=named.gpadl_id)
            self.idle()
            return named.gpadl_id not in self.state.gpadls
        self.drop(named)
        return True

    def drop(self, named: Named) -> None:
        """Forget a page list: its pages are free."""
        self.state.gpadls.pop(named.gpadl_id, None)
        self.give_back(named.gpns)

    def created(self, body: Any) -> Answer:
        """GPADL_CREATED: one answer to each request. Source: vmbus_ongpadl_created."""
        named = self.state.gpadls.get(body.gpadl_id)
        if named is None:
            return Refusal.UNKNOWN_GPADL
        if named.channel_id != body.channel_id:
            return Refusal.GPADL_OF_ANOTHER
        if named.state != Gpadl.IN_PROGRESS:
            return Refusal.NOT_NOW
        named.status = body.status
        if body.status:
            self.drop(named)
        else:
            named.state = Gpadl.LIVE
        return None

    def torndown(self, body: Any) -> Answer:
        """GPADL_TORNDOWN. Source: vmbus_ongpadl_torndown."""
        named = self.state.gpadls.get(body.gpadl_id)
        if named is None:
            return Refusal.UNKNOWN_GPADL
        if named.state != Gpadl.TEARING_DOWN:
            return Refusal.NOT_NOW
        self.drop(named)
        return None

    def let_go(self, channel: Offered) -> None:
        """Ask for the pages of the rings back; a rescinded channel's come back by themselves."""
        named, channel.gpadl = self.state.gpadls.get(channel.gpadl), 0
        if named is None:
            return
        if channel.rescinded:
            self.drop(named)
        else:
            named.state = Gpadl.TEARING_DOWN
            self.say(vmbus.GpadlTeardown, channel_id=channel.channel_id, gpadl_id=named.gpadl_id)
