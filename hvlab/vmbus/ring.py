"""The two ends of a ring: a `Writer` and a `Reader`, each with a window on the ring's pages and its own index.

Neither knows anything of the other but what stands in those pages. Whoever holds an end does the signalling: `signal`
says whether the other side must be woken.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from hvlab.errors import BadRequest
from hvlab.hypervisor.vp import Fault, Window
from hvlab.kernel import I
from hvlab.vmbus.engine import entry
from hvlab.vmbus.engine.words import ALWAYS, EMPTY_ONLY, END, HVLAB, LINUX, MONITOR, OPENVMM
from hvlab.wire.ring import CONTROL, TRAILER, UNIT, FeatureBits, PacketDescriptor, PacketFlags, PacketType, RingControl

POLICIES = {"hvlab": HVLAB, "openvmm": OPENVMM, "linux": LINUX}
RULES = {"empty": EMPTY_ONLY, "always": ALWAYS, "monitor": MONITOR}
TO_HOST, TO_GUEST = 1, 2  # `ring`
ROOT_SIDE, CHILD_SIDE = 1, 2  # `side` of an event
LINUX_BUFFER = (
    4096  # what Linux copies of one packet at most, unless a driver asks for more; VMBUS_DEFAULT_MAX_PKT_SIZE
)
LONGEST = 0xFFFF * UNIT
HEAD = PacketDescriptor.size
NOTHING = np.zeros(0, np.int64)


class Verdict(IntEnum):
    """What was wrong with a packet. Source: openvmm vmbus_ring, Error; TRAILER_OUTSIDE is ours."""

    INDEX = 2
    SHORT = 3
    LENGTHS = 4
    TOO_LONG = 5
    TRAILER_OUTSIDE = 6
    FLAGS = 7
    TYPE = 8
    NO_RANGES = 9
    ENDLESS = 10


@dataclass(frozen=True)
class Packet:
    """One packet, as its reader copied it.

    Attributes
    ----------
    kind : int
        `PacketType`, or any other number where the reader keeps Linux's rules.
    data : bytes
        With the padding to 8 bytes.
    transaction : int
    completion : bool
        The sender wants an answer with this transaction id.
    extra : bytes
        Between the descriptor and the data: ranges of a GPA-direct or transfer-page packet.
    at, length : int
        Its place in the ring, and its length without the trailer.
    signal : bool
        Whether the writer must be woken, if the index was published with it.
    """

    kind: int
    data: bytes
    transaction: int = 0
    completion: bool = False
    extra: bytes = b""
    at: int = 0
    length: int = 0
    signal: bool = False


@dataclass(frozen=True)
class Written:
    """What came of a write: `count` packets at `at`, `length` bytes with trailers; `ok` if all of them went in.

    `signal`: the reader must be woken; `why` is the reason for that or against it (ENUMS, "bell"). `fault`: the page
    that was not there. `verdict`: the ring's read index is none.
    """

    ok: bool
    signal: bool = False
    at: int = 0
    length: int = 0
    count: int = 0
    why: int = 0
    fault: Fault | None = None
    verdict: Verdict | None = None


class Ring:
    """One end of one ring.

    Parameters
    ----------
    window : Window
        The control page, then the pages of the data.
    channel, ring : int
        Names for the trace; `ring` is `TO_HOST` or `TO_GUEST`.
    policy : str
        Whose rules: ``"hvlab"``, ``"openvmm"`` or ``"linux"``.
    count : bool
        Count signals in the control page (guest_to_host_interrupt_count); Linux leaves that 0.
    rule : str
        When the reader is woken: ``"empty"``, ``"always"``, or ``"monitor"``: as "empty", but not told as a doorbell.
    """

    writes = False

    def __init__(
        self,
        window: Window,
        channel: int,
        ring: int,
        *,
        policy: str = "hvlab",
        count: bool = False,
        rule: str = "empty",
    ) -> None:
        if policy not in POLICIES or rule not in RULES or ring not in (TO_HOST, TO_GUEST):
            raise BadRequest(
                f"policy {policy!r}, rule {rule!r}, ring {ring}", "", f"{list(POLICIES)}, {list(RULES)}, 1 or 2"
            )
        if window.size < 2 * CONTROL:
            raise BadRequest(f"a ring of {window.size} bytes", "", "the control page and at least one page of data")
        self.window, self.channel, self.ring = window, channel, ring
        self.record = np.zeros(1, END)
        e, size = self.record[0], window.size - CONTROL
        e["channel"], e["ring"], e["size"], e["counts"] = channel, ring, size, int(count)
        e["policy"], e["rule"] = POLICIES[policy], RULES[rule]
        e["limit"] = min(LINUX_BUFFER, size)
        self.arena = np.zeros(size // UNIT, np.int64)
        self.fault = self.attach()
        side = CHILD_SIDE if self.writes == (ring == TO_HOST) else ROOT_SIDE
        window.tell("ring_begun", channel=channel, ring=ring, size=size, gpa=window.gpas[0], side=side)

    # what stands in the control page --------------------------------------------------------------------------------

    def control(self) -> RingControl:
        """Return the control page as it is now (all zeros where the page is not there)."""
        data = self.window.read(0, CONTROL)
        return RingControl.decode(bytes(CONTROL) if isinstance(data, Fault) else data)

    @property
    def size(self) -> int:
        """Bytes of data."""
        return int(self.record["size"][0])

    @property
    def read_index(self) -> int:
        return self.control().read_index

    @property
    def write_index(self) -> int:
        return self.control().write_index

    @property
    def mask(self) -> int:
        return self.control().interrupt_mask

    @property
    def pending(self) -> int:
        return self.control().pending_send_size

    @property
    def used(self) -> int:
        """Bytes that wait to be read; meaningless where an index lies."""
        control = self.control()
        return (control.write_index - control.read_index) % self.size

    @property
    def free(self) -> int:
        """Bytes that may be written: the ring is never filled, 8 bytes stay empty."""
        return self.size - UNIT - self.used

    def prepare(self) -> Fault | None:
        """Make the control page of a new ring, as a guest does: indices 0, mask 0, and the writer can wait for room.

        Source: Linux drivers/hv/ring_buffer.c, hv_ringbuffer_init.
        """
        self.fault = self.window.write(0, RingControl.encode(feature_bits=FeatureBits.encode(pending_send_size=1)))
        return self.fault or self.attach()

    def attach(self) -> Fault | None:
        """Go on at the index that stands in the control page: only here is it read from there."""
        control = self.window.read(0, RingControl.size)
        if isinstance(control, Fault):
            return control
        found = RingControl.decode(control)
        own = found.write_index if self.writes else found.read_index
        self.record["index"], self.record["committed"] = own, own
        return None

    def _do(self, op: int, arena: npt.NDArray[np.int64], value: int = 0, rows: int = 64) -> int | Fault:
        return self.window.run(entry.operation(), self.record, I(op), arena, I(value), rows=rows)


class Writer(Ring):
    """The end that writes."""

    writes = True

    def write(
        self,
        data: bytes,
        *,
        kind: int = PacketType.IN_BAND,
        transaction: int = 0,
        completion: bool = False,
        extra: bytes = b"",
    ) -> Written:
        """Write one packet, publish it, and decide whether the reader must be woken."""
        return self.write_batch([Packet(kind, data, transaction, completion, extra)])

    def write_batch(self, packets: Iterable[Packet]) -> Written:
        """Write packets as long as there is room, with one index update and one decision for all of them."""
        blocks = [self._block(packet) for packet in packets]
        arena = np.frombuffer(b"".join(block + bytes(TRAILER) for block in blocks), "<i8").astype(np.int64)
        done = self._do(int(entry.WRITE), arena, len(blocks), rows=len(arena) + 4 * len(blocks) + 16)
        if isinstance(done, Fault):
            return Written(False, fault=done)
        e = self.record[0]
        length = sum(len(block) + TRAILER for block in blocks[:done])
        verdict = Verdict(int(e["verdict"])) if e["verdict"] else None
        return Written(
            done == len(blocks), bool(e["signal"]), int(e["at"]), length, done, int(e["why"]), verdict=verdict
        )

    def _block(self, packet: Packet) -> bytes:
        """Return a packet as it stands in the ring, without the trailer."""
        if len(packet.extra) % UNIT:
            raise BadRequest(f"{len(packet.extra)} bytes between descriptor and data", "", "a multiple of 8")
        length = HEAD + len(packet.extra) + -(-len(packet.data) // UNIT) * UNIT
        if length > LONGEST or length + TRAILER > self.size - UNIT:
            most = min(LONGEST, self.size - UNIT - TRAILER)
            raise BadRequest(f"a packet of {length} bytes", f"a ring for packets of at most {most}")
        head = PacketDescriptor.encode(
            type=packet.kind,
            offset8=(HEAD + len(packet.extra)) // UNIT,
            length8=length // UNIT,
            flags=PacketFlags.encode(completion_requested=int(packet.completion)),
            transaction_id=packet.transaction,
        )
        return (head + packet.extra + packet.data).ljust(length, b"\0")

    def wait_for(self, size: int) -> Fault | None:
        """Ask the reader for a signal once so many bytes are free; 0: no more."""
        answer = self._do(int(entry.PENDING), NOTHING, size)
        return answer if isinstance(answer, Fault) else None


class Reader(Ring):
    """The end that reads."""

    def read(self, *, close: bool = False) -> Packet | Verdict | Fault | None:
        """Take the next packet; None: there is none. Its room is the writer's after `close`, here or later."""
        verdict = self._do(int(entry.READ), self.arena)
        if isinstance(verdict, Fault):
            return verdict
        if verdict:
            return None if verdict == 1 else Verdict(verdict)
        e = self.record[0]
        at, length = int(e["at"]), int(e["length"])
        data = self.arena[: length // UNIT].astype("<i8").tobytes()
        head = PacketDescriptor.decode(data)
        signal = self.close() if close else False
        if isinstance(signal, Fault):
            return signal
        begins = head.offset8 * UNIT
        completion = bool(head.flags & PacketFlags.mask("completion_requested"))
        return Packet(head.type, data[begins:], head.transaction_id, completion, data[HEAD:begins], at, length, signal)

    @property
    def refused(self) -> Verdict | None:
        """Why the last read took no packet; None: it did, or there was none."""
        verdict = int(self.record["verdict"][0])
        return Verdict(verdict) if verdict > 1 else None

    def read_all(self, most: int = 1 << 16) -> list[Packet]:
        """Take all packets that are there and give their room back at once; one that is refused ends it (`refused`)."""
        packets: list[Packet] = []
        while len(packets) < most and isinstance(packet := self.read(), Packet):
            packets.append(packet)
        signal = self.close()
        return [*packets[:-1], replace(packets[-1], signal=signal is True)] if packets else packets

    def give_up(self) -> Verdict:
        """Say that there were more packets than a ring can hold: this end has lost its place."""
        words = {"channel": self.channel, "ring": self.ring, "at": int(self.record["index"][0])}
        self.window.tell("packet_rejected", verdict=Verdict.ENDLESS, policy=int(self.record["policy"][0]), **words)
        return Verdict.ENDLESS

    def close(self) -> bool | Fault:
        """Give the room of what was read back to the writer; return whether it must be woken."""
        answer = self._do(int(entry.CLOSE), NOTHING)
        return answer if isinstance(answer, Fault) else bool(answer)

    def begin(self) -> Fault | None:
        """Set the mask: the reader is awake, and no signal is needed. Source: Linux hv_begin_read."""
        answer = self._do(int(entry.MASK), NOTHING, 1)
        return answer if isinstance(answer, Fault) else None

    def end(self) -> int | Fault:
        """Clear the mask, then look again: return how many bytes came meanwhile, without a signal (hv_end_read)."""
        return self._do(int(entry.MASK), NOTHING, 0)


def warm(window: Window) -> None:
    """Compile what an end does, by letting one write."""
    entry.few[0] = 0
    writer = Writer(window, 0, TO_HOST)
    writer.prepare()
    writer.write(b"")
