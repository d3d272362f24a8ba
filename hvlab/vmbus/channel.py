"""An end of an open channel: a ring to write to, a ring to read from, and the way in which the other end is woken."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hvlab.errors import BadRequest
from hvlab.hypervisor.vp import Fault, Vp, Window
from hvlab.vmbus.ring import TO_GUEST, TO_HOST, Packet, Reader, Verdict, Writer, Written

PAGE: Final = 4096
MOST_ROUNDS: Final = 64  # a reader that is fed while it reads stops after so many; the mask is then open
SMALLEST: Final = 24  # bytes of a packet without data: descriptor and trailer


@dataclass(frozen=True)
class Knobs:
    """How an end treats its rings.

    Attributes
    ----------
    rule : str
        When the other end is woken: ``"empty"``, ``"always"`` or ``"monitor"``.
    policy : str
        Whose rules the reader keeps: ``"hvlab"``, ``"openvmm"`` or ``"linux"``.
    masks : bool
        Whether the reader sets the mask while it reads.
    count : bool
        Whether signals are counted in the control page.
    """

    rule: str = "empty"
    policy: str = "hvlab"
    masks: bool = True
    count: bool = False


class Channel:
    """One end of an open channel.

    Parameters
    ----------
    vp : Vp
        Whose driver it is.
    channel_id : int
    gpas : sequence of int
        The pages of both rings, by this partition's addresses: first the ring from guest to host.
    split : int
        At which page the ring from host to guest begins.
    host : bool
        Whether this is the host's end.
    ring : callable
        Wakes the other end.
    knobs : Knobs

    Attributes
    ----------
    writer, reader : Writer, Reader
    inbox : list of Packet
        What was received and nobody took yet.
    verdict : Verdict or None
        Why the reader stopped: the other end lies.
    """

    def __init__(
        self,
        vp: Vp,
        channel_id: int,
        gpas: Sequence[int],
        split: int,
        host: bool,
        ring: Callable[[], object],
        knobs: Knobs,
    ) -> None:
        self.channel_id, self.host, self.knobs, self._ring = channel_id, host, knobs, ring
        to_host, to_guest = _window(vp, gpas[:split]), _window(vp, gpas[split:])
        write, read = (to_guest, to_host) if host else (to_host, to_guest)
        self.writer = Writer(
            write,
            channel_id,
            TO_GUEST if host else TO_HOST,
            policy=knobs.policy,
            count=knobs.count and not host,
            rule=knobs.rule,
        )
        self.reader = Reader(read, channel_id, TO_HOST if host else TO_GUEST, policy=knobs.policy)
        self.inbox = list[Packet]()
        self.verdict: Verdict | None = None
        self.rung = self.refused = 0

    def prepare(self) -> None:
        """Write the control pages of new rings; the guest does so before it names them."""
        for end in (self.writer, self.reader):
            end.prepare()

    def send(
        self, data: bytes, *, kind: int = 6, transaction: int = 0, completion: bool = False, extra: bytes = b""
    ) -> Written:
        """Write one packet, and wake the other end if the rule says so."""
        return self._published(
            self.writer.write(data, kind=kind, transaction=transaction, completion=completion, extra=extra)
        )

    def send_batch(self, packets: Iterable[Packet]) -> Written:
        """Write several packets with one index update and one decision."""
        return self._published(self.writer.write_batch(packets))

    def _published(self, written: Written) -> Written:
        self.refused += not written.ok
        if written.signal:
            self.rung += 1
            self._ring()
        return written

    def receive(self) -> list[Packet]:
        """Take all packets that are there; the last look is after the mask is open again.

        Source: Linux drivers/hv/connection.c, vmbus_on_event; ring_buffer.c, hv_begin_read and hv_end_read.
        """
        found = list[Packet]()
        for _ in range(MOST_ROUNDS):
            if self.knobs.masks:
                self.reader.begin()
            new = self._read()
            found += new
            if not self.knobs.masks or not self.reader.end() or not new or self.verdict is not None:
                break
        self.inbox += found
        return found

    def _read(self) -> list[Packet]:
        """Take all packets that are there.

        SIMPLER THAN REAL: a reader with Linux's rules that a lie has led past the writer goes round for ever; ours
        stops when it has taken more packets than a ring can hold.
        """
        found, most = list[Packet](), self.reader.size // SMALLEST
        while len(found) <= most and isinstance(packet := self.reader.read(), Packet):
            found.append(packet)
        if len(found) > most:
            self.verdict = self.reader.give_up()
        elif isinstance(packet, Verdict):
            self.verdict = packet
        if self.reader.close() is True:
            self._ring()
        return found

    # a machine that is saved -----------------------------------------------------------------------------------------

    def saved(self) -> Any:
        """Return what this end holds, as a copy."""
        records = self.writer.record.copy(), self.reader.record.copy()
        return records, list(self.inbox), self.verdict, self.rung, self.refused, self.knobs

    def restore(self, saved: Any) -> None:
        """Go back to what `saved` returned."""
        (self.writer.record[:], self.reader.record[:]), inbox, self.verdict, self.rung, self.refused, self.knobs = saved
        self.inbox = list(inbox)


def _window(vp: Vp, gpas: Sequence[int]) -> Window:
    found = vp.window(gpas)
    if isinstance(found, Fault):
        raise BadRequest(f"{len(gpas)} pages of a ring", found.kind, "pages of the partition's own")
    return found
