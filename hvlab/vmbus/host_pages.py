"""The host's end: page lists, rings and the packets in them.

A page of a GPADL is the child's, and the root finds it among the pages that it gave: by its own address, through its
own second level. While a GPADL lives, none of its pages can be taken from the child (I14): the VID keeps count.
"""

from typing import Any

from hvlab.hypervisor.vp import Fault
from hvlab.vmbus.channel import Channel
from hvlab.vmbus.gpadl import PAGE, Pages, ranges
from hvlab.vmbus.host_base import HostBase, HostChannel
from hvlab.vmbus.monitor import offset_of
from hvlab.vmbus.states import Gpadl, GpadlRefusal, Refusal, State
from hvlab.wire import vmbus
from hvlab.wire.monitor import MonitorPage, MonitorParameter

BAD = int(vmbus.ChannelStatus.UNSUCCESSFUL)
LEAST_RING = 2  # pages: control page and data
Answer = Refusal | None


class HostPages(HostBase):
    """Page lists, rings, and what comes through them."""

    # page lists ------------------------------------------------------------------------------------------------------

    def gpadl_header(self, channel: HostChannel, body: Any, tail: bytes) -> Answer:
        """GPADL_HEADER: a new handle, with as much of its pages as one message carries."""
        if channel.reserved is not None:  # bodies do not name their channel: handles must not collide
            return Refusal.NOT_NOW
        if (body.gpadl_id, channel.number) in self.state.gpadls or body.gpadl_id in self.state.incomplete:
            return Refusal.HANDLE_IN_USE
        if len(self.state.gpadls) >= vmbus.MAX_GPADLS:
            self._created(channel, body.gpadl_id, BAD)
            return Refusal.TOO_MANY
        pages = Pages(body.gpadl_id, channel.number, body.count, body.length // 8)
        self.state.gpadls[body.gpadl_id, channel.number] = pages
        self.state.incomplete[body.gpadl_id] = channel.number
        return self._append(channel, pages, tail)

    def gpadl_body(self, body: Any, tail: bytes) -> Answer:
        """GPADL_BODY: more pages of a handle that is not complete yet."""
        number = self.state.incomplete.get(body.gpadl_id)
        if number is None:
            return Refusal.UNKNOWN_GPADL
        return self._append(self.state.channels[number], self.state.gpadls[body.gpadl_id, number], tail)

    def gpadl_of_nobody(self, channel: HostChannel, body: Any, tail: bytes) -> Answer:
        """GPADL_HEADER for a channel that is going away: openvmm answers that it failed."""
        self._created(channel, body.gpadl_id, BAD)
        return Refusal.RESCINDED

    def gpadl_teardown(self, channel: HostChannel, body: Any, tail: bytes) -> Answer:
        """GPADL_TEARDOWN: not while the rings of an open channel lie there, and not of a reserved channel.

        Source: openvmm handle_gpadl_teardown; that pages in use are refused, and not let go of later, is ours.
        """
        pages = self.state.gpadls.get((body.gpadl_id, channel.number))
        if pages is None:
            known = any(handle == body.gpadl_id for handle, _ in self.state.gpadls)
            return Refusal.GPADL_OF_ANOTHER if known else Refusal.UNKNOWN_GPADL
        if pages.state != Gpadl.LIVE or channel.reserved is not None:
            return Refusal.NOT_NOW
        if pages.in_use:
            return Refusal.GPADL_IN_USE
        self._drop(channel, pages)
        self.say(vmbus.GpadlTorndown, gpadl_id=body.gpadl_id)
        return None

    def _append(self, channel: HostChannel, pages: Pages, data: bytes) -> Answer:
        if not pages.append(data):
            return None
        del self.state.incomplete[pages.gpadl_id]
        found, why, word = ranges(pages.count, pages.words)
        if why is None:
            pages.found = found
            why, word = self._map(channel, pages)
        if why is not None:
            del self.state.gpadls[pages.gpadl_id, channel.number]
            self.vp.tell("gpadl_refused", gpadl=pages.gpadl_id, channel=channel.channel_id, why=why, word=word)
            self._created(channel, pages.gpadl_id, BAD)
            return None
        self._created(channel, pages.gpadl_id, 0)
        return None

    def _map(self, channel: HostChannel, pages: Pages) -> tuple[GpadlRefusal | None, int]:
        """Find the root's page behind each of the guest's, all of them or none; from now on they stay."""
        if len(pages.pfns) > 0xFFFF // 8:
            return GpadlRefusal.TOO_MANY, len(pages.pfns)
        gpns = [self.ground.page(pfn) for pfn in pages.pfns]
        if None in gpns:
            return GpadlRefusal.NOT_THE_GUESTS, pages.pfns[gpns.index(None)]
        pages.gpns = [gpn for gpn in gpns if gpn is not None]
        window = self.vp.window([gpn * PAGE for gpn in pages.gpns])
        if isinstance(window, Fault):
            return GpadlRefusal.NOT_THE_GUESTS, window.gpa
        self.ground.pin(pages.pfns, 1)
        pages.state = Gpadl.LIVE
        words = {"gpadl": pages.gpadl_id, "channel": channel.channel_id}
        for k, (pfn, gpn, spa) in enumerate(zip(pages.pfns, pages.gpns, window.spas, strict=True)):
            self.vp.tell(
                "gpadl_page_mapped",
                gpadl=pages.gpadl_id,
                index=k,
                gpa=pfn * PAGE,
                root_gpa=gpn * PAGE,
                spa=spa,
            )
        first = pages.found[0]
        length = sum(one.length for one in pages.found)
        self.vp.tell("gpadl_mapped", **words, pages=len(pages.gpns), length=length, offset=first.offset)
        return None, 0

    def _created(self, channel: HostChannel, gpadl_id: int, status: int) -> None:
        self.say(vmbus.GpadlCreated, channel_id=channel.channel_id, gpadl_id=gpadl_id, status=status)

    def _drop(self, channel: HostChannel, pages: Pages) -> None:
        """Let go of a page list."""
        del self.state.gpadls[pages.gpadl_id, pages.channel]
        if pages.state == Gpadl.IN_PROGRESS:
            del self.state.incomplete[pages.gpadl_id]
            return
        self.ground.pin(pages.pfns, -1)
        self.vp.tell("gpadl_unmapped", gpadl=pages.gpadl_id, channel=channel.channel_id, pages=len(pages.gpns))

    def drop_gpadls(self, channel: HostChannel) -> None:
        """Let go of all page lists of a channel."""
        for pages in [one for one in self.state.gpadls.values() if one.channel == channel.number]:
            self._drop(channel, pages)

    def drop_incomplete(self, channel: HostChannel) -> None:
        """Answer that a page list of a channel that goes away will not be complete."""
        for pages in [one for one in self.state.gpadls.values() if one.channel == channel.number]:
            if pages.state == Gpadl.IN_PROGRESS:
                self._drop(channel, pages)
                self._created(channel, pages.gpadl_id, BAD)

    # rings -----------------------------------------------------------------------------------------------------------

    def open_rings(
        self, channel: HostChannel, gpadl_id: int, split: int, target_vp: int, connection: int, flag: int
    ) -> Answer:
        """Take both rings into use: one aligned range of this channel's, split at a page."""
        pages = self.state.gpadls.get((gpadl_id, channel.number))
        if pages is None or pages.state != Gpadl.LIVE:
            known = any(handle == gpadl_id for handle, _ in self.state.gpadls)
            return Refusal.GPADL_OF_ANOTHER if known and pages is None else Refusal.UNKNOWN_GPADL
        if target_vp >= self.ground.vps and target_vp != vmbus.NO_VP:
            return Refusal.NO_SUCH_VP
        one = pages.found[0]
        aligned = len(pages.found) == 1 and one.offset == 0 and one.length % PAGE == 0
        if not aligned or not LEAST_RING <= split <= len(pages.gpns) - LEAST_RING or not 0 < flag < 2048:
            return Refusal.OFFSET_OUTSIDE
        if not self.ground.open_signal(connection, channel.channel_id):
            return Refusal.TOO_MANY
        pages.in_use, channel.ring = True, gpadl_id
        channel.target_vp, channel.flag, channel.needless, channel.deaf_until = target_vp, flag, 0, 0
        channel.counted = 0
        gpas = [gpn * PAGE for gpn in pages.gpns]
        self.ends[channel.channel_id] = Channel(
            self.vp, channel.channel_id, gpas, split, True, lambda: self._wake(channel.number), self.knobs
        )
        return None

    def close_rings(self, channel: HostChannel) -> None:
        """Let go of both rings; the page list stays."""
        self.ends.pop(channel.channel_id, None)
        self.ground.close_signal(channel.channel_id)
        pages = self.state.gpadls.get((channel.ring, channel.number))
        if pages is not None:
            pages.in_use = False
        channel.ring = 0

    def _wake(self, number: int) -> None:
        """Signal the guest; a channel without interrupts is not signalled."""
        channel = self.state.channels.get(number)
        if channel is not None and channel.state == State.OPEN and channel.target_vp != vmbus.NO_VP:
            self.ground.signal(channel.target_vp, channel.flag)

    # packets ---------------------------------------------------------------------------------------------------------

    def signalled(self, channel_id: int) -> None:
        """The guest signalled a channel: take what is there, unless nobody listens just now."""
        channel = self.state.channels.get(self.state.ids.get(channel_id, 0))
        if channel is None or channel.state != State.OPEN or self.lazy:
            return
        if self.throttle is not None and self.ground.now() < channel.deaf_until:
            return
        there = self.drain(channel_id)
        if self.throttle is not None:
            self._needless(channel, there)

    def drain(self, channel_id: int) -> int:
        """Take all packets of a channel, and let its device answer; return how many there were."""
        end = self.ends[channel_id]
        packets = end.receive()
        channel = self.state.channels[self.state.ids[channel_id]]
        answer = self.answers.get(channel.device.name)
        for packet in packets if answer is not None else ():
            assert answer is not None
            answer(end, packet)
        return len(packets)

    def _needless(self, channel: HostChannel, there: int) -> None:
        """Count signals that nobody needed; too many of them, and the guest is not listened to for a while.

        One signal is needed for what was there. Others set a flag that was set already, so that only the guest's own
        count in the control page tells of them, if it counts.
        """
        assert self.throttle is not None
        counted = self.ends[channel.channel_id].reader.control().guest_to_host_interrupt_count
        signals, channel.counted = max(counted - channel.counted, 1), counted
        channel.needless += signals - (there > 0)
        if channel.needless < self.throttle[0]:
            return
        channel.deaf_until = self.ground.now() + self.throttle[1]
        words = {"channel": channel.channel_id, "signals": channel.needless}
        self.vp.tell("guest_throttled", **words, nanoseconds=self.throttle[1])
        channel.needless = 0

    def wake_due(self) -> list[int]:
        """Return the channels whose time of not being listened to is over, and listen again."""
        now, found = self.ground.now(), list[int]()
        for channel in self.state.channels.values():
            if channel.deaf_until and channel.deaf_until <= now:
                channel.deaf_until = 0
                found.append(channel.channel_id)
        return found

    # monitor pages ---------------------------------------------------------------------------------------------------

    def watch_pages(self, parent_to_child: int, child_to_parent: int) -> bool:
        """Watch the guest's monitor page, or none; both pages are named, and they are the guest's, or nothing is."""
        gpns = [gpa >> 12 for gpa in (parent_to_child, child_to_parent)]
        if not parent_to_child and not child_to_parent:
            self._watch(0, [])
            return True
        found = [self.ground.page(gpn) for gpn in gpns]
        if not parent_to_child or not child_to_parent or None in found or (parent_to_child | child_to_parent) % PAGE:
            return False
        self._watch((found[1] or 0) * PAGE, gpns)
        return True

    def _watch(self, gpa: int, gpns: list[int]) -> None:
        watch = self.state.watch
        self.ground.pin(watch.pages, -1)
        self.ground.pin(gpns, 1)
        watch.gpa, watch.pages = gpa, gpns
        watch.since.clear()

    def write_trigger(self, channel: HostChannel) -> None:
        """Write into the guest's monitor page what a trigger stands for, and how long it may wait."""
        gpa = self.state.watch.gpa
        if gpa:
            known = MonitorParameter.encode(connection_id=channel.connection_id)
            self.vp.write_gpa(gpa + offset_of(MonitorPage, "parameters") + 8 * channel.trigger, known)
            latency = channel.device.latency.to_bytes(2, "little")
            self.vp.write_gpa(gpa + offset_of(MonitorPage, "latency") + 2 * channel.trigger, latency)

    def look(self) -> list[int]:
        """Look at the monitor page in the hypervisor's name, if that is due; return the channels that it signals."""
        now, due = self.ground.now(), self.state.watch.due()
        return self.state.watch.look(self.vp, now) if due is not None and due <= now else []

    def notice(self) -> int | None:
        """Note which triggers are set; return when the page is looked at, or a channel listened to again (in ns)."""
        self.state.watch.notice(self.vp, self.ground.now())
        times = [channel.deaf_until for channel in self.state.channels.values() if channel.deaf_until]
        due = self.state.watch.due()
        return min(times + ([] if due is None else [due]), default=None)
