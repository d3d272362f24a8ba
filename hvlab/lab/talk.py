"""A channel that is open, and what both sides may do there beside the rules: lie, and name pages of their own."""

from collections.abc import Sequence

from hvlab.errors import BadRequest
from hvlab.hardware.memory import PAGE
from hvlab.hypervisor.vp import Fault
from hvlab.lab.bus import Bus, Run
from hvlab.vmbus.packets import PagedRange, RangeVerdict, gpa_direct, gpa_direct_ranges
from hvlab.vmbus.ring import Packet
from hvlab.wire.ring import PacketType


class Talk(Bus):
    """A bus with an open channel."""

    def poke(self, offset: int, data: bytes) -> Run:
        """Let the guest write over its outgoing ring, the control page first, without the rules of a ring."""
        window = self.end().writer.window
        with self._line():
            window.write(offset, data)
        return self._run(channel=self.end().channel_id)

    def wait_for(self, size: int) -> Run:
        """Let the guest leave word that it waits until `size` bytes are free; 0: it waits no more."""
        with self._line():
            self.end().writer.wait_for(size)
        return self._run(channel=self.end().channel_id)

    def fill(self, data: bytes) -> int:
        """Let the guest write into a page of its own that nobody shares; return its number."""
        page = self.guest.frames(1)[0]
        self.web.vp.write_gpa(page * PAGE, data)
        return page

    def send_pages(self, data: bytes, pages: Sequence[int], length: int | None = None) -> Run:
        """Let the guest send a GPA-direct packet: it names pages, and the bytes stay where they are."""
        named = PagedRange(PAGE * len(pages) if length is None else length, 0, tuple(pages))
        end = self.end()
        with self._line():
            written = end.send(data, kind=PacketType.GPA_DIRECT, extra=gpa_direct([named]))
        return self._run(written, channel=end.channel_id)

    def fetch(self) -> tuple[Packet, bytes]:
        """Let the host take the next packet, and read the pages that it names where they are.

        Raises
        ------
        BadRequest
            If there is none, or it names nothing that is the guest's.
        """
        packet = self.end(host=True).reader.read(close=True)
        if not isinstance(packet, Packet):
            raise BadRequest("the next packet", repr(packet), "a send before it")
        ranges = gpa_direct_ranges(packet.extra)
        if isinstance(ranges, RangeVerdict):
            raise BadRequest("the pages of a packet", ranges.name, "send_pages")
        return packet, b"".join(self._read(one) for one in ranges)

    def _read(self, one: PagedRange) -> bytes:
        pages = [self.host.ground.page(gpn) for gpn in one.gpns]
        found = [None if page is None else self.host.vp.read_gpa(page * PAGE, PAGE) for page in pages]
        if any(data is None or isinstance(data, Fault) for data in found):
            raise BadRequest("a page that a packet names", "not the guest's", "pages of its own")
        data = b"".join(part for part in found if isinstance(part, bytes))
        return data[one.offset : one.offset + one.length]


def ready(
    device: str = "scsi",
    pages: tuple[int, int] = (2, 2),
    lazy: bool = True,
    rule: str = "empty",
    policy: str = "hvlab",
) -> Talk:
    """Return a bus with one open channel: contact, offers and pages are done.

    Parameters
    ----------
    device, pages
        What is opened, and how many pages each of its rings has, the control page among them.
    lazy
        Whether the host reads only when it is told.
    rule
        When the guest rings.
    policy
        Whose rules the host's reader keeps.
    """
    one = Talk(lazy=lazy, rule=rule, policy=policy)
    one.connect()
    one.offers()
    one.open(device, pages)
    return one
