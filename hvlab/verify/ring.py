"""Rings: hostile packets and ranges against their verdicts, and a kernel's own ring code operation by operation."""

import hashlib
from typing import Any, Final

import numpy as np

from hvlab.capture.vectors import Vectors
from hvlab.errors import BadRequest
from hvlab.hypervisor.core import SILENT
from hvlab.hypervisor.partition import STATE
from hvlab.hypervisor.vp import Fault
from hvlab.kernel import I
from hvlab.machine import Machine
from hvlab.verify.count import Count
from hvlab.vmbus.engine import entry
from hvlab.vmbus.engine.ranges import judge_range
from hvlab.vmbus.engine.words import END
from hvlab.vmbus.packets import RangeVerdict
from hvlab.vmbus.ring import TO_HOST, Packet, Reader, Verdict, Writer
from hvlab.wire.ring import CONTROL, PacketDescriptor, PacketFlags, RingControl

PAGE: Final = 4096
# of our verdicts: the words of the vector files, which are coarser in one place
SAID: Final = {
    0: "ok",
    1: "empty",
    Verdict.INDEX: "bad_pointer",
    Verdict.SHORT: "bad_avail",
    Verdict.LENGTHS: "bad_lengths",
    Verdict.TOO_LONG: "bad_lengths",
    Verdict.TRAILER_OUTSIDE: "trailer_outside",
    Verdict.FLAGS: "bad_flags",
    Verdict.TYPE: "bad_type",
    Verdict.NO_RANGES: "bad_range_count",
}
RANGES: Final = {
    0: "ok",
    RangeVerdict.TOO_SMALL: "too_small",
    RangeVerdict.OVERFLOW: "overflow",
    RangeVerdict.OFFSET: "offset_too_large",
    RangeVerdict.EMPTY: "empty_range",
    RangeVerdict.NO_BYTES: "empty_count",
}


def ring_hostile(cases: list[Any]) -> Count:
    """Write indices and a descriptor as the other side may, and read: the verdict, and where the reader goes on."""
    given = [_read(case) for case, _ in cases]
    count = Count()
    count.add(
        np.array([list(mine) == answer for mine, (_, answer) in zip(given, cases, strict=True)], bool),
        lambda k: f"{cases[k][0]}: expected {cases[k][1]}, found {list(given[k])}",
    )
    return count


def _read(case: dict[str, int]) -> tuple[str, int]:
    """Read one packet of a ring that stands alone in an array."""
    size, own = case["size"], case["out"]
    mem, end, pages = np.zeros((CONTROL + size) // 8, np.int64), _end(size), np.arange(1 + size // PAGE)
    places = np.concatenate([pages * (PAGE // 8), pages * PAGE])
    end["index"] = end["committed"] = own
    data = mem.view(np.uint8)
    data[: RingControl.size] = np.frombuffer(RingControl.encode(write_index=case["in"], read_index=own), np.uint8)
    head = PacketDescriptor.encode(
        type=case["type"], offset8=case["offset8"], length8=case["length8"], flags=case["flags"]
    )
    packet = head + bytes(4) + case["range_count"].to_bytes(4, "little")
    for k, byte in enumerate(packet if own < size else b""):
        data[CONTROL + (own + k) % size] = byte
    arena = np.zeros(size // 8, np.int64)
    verdict = entry.operate(np.zeros(1, STATE), mem, SILENT, 0, I(-1), places, end, entry.READ, arena, I(0))
    return SAID[int(verdict)], int(end["index"][0])


def _end(size: int) -> Any:
    end = np.zeros(1, END)
    end["size"], end["limit"] = size, size
    return end


def gpa_range(cases: list[Any]) -> Count:
    """Judge the range at the front of some words: the verdict, and how many words it takes."""
    given = []
    for case, _ in cases:
        words = np.array([int(word, 16) for word in case["words"]], np.uint64).view(np.int64)
        verdict, pages = judge_range(words, I(0), I(len(words)))
        given.append([RANGES[int(verdict)], int(pages) + 1 if verdict == 0 else 0])
    count = Count()
    count.add(
        np.array([mine == answer for mine, (_, answer) in zip(given, cases, strict=True)], bool),
        lambda k: f"{cases[k][0]}: expected {cases[k][1]}, found {given[k]}",
    )
    return count


class Replayed:
    """A child with a ring in pages that do not follow each other, to which the operations are done through the door."""

    def __init__(self, size: int) -> None:
        pages = 1 + size // PAGE
        self.child = Machine(memory=4 * PAGE * pages + (4 << 20)).child("replayed", 2 * PAGE * pages)
        window = self.child.vp.window([PAGE * (2 * k + 1) for k in reversed(range(pages))])
        if isinstance(window, Fault):
            raise BadRequest(f"{pages} pages for a ring", window.kind)
        self.window, self.writer = window, Writer(window, 1, TO_HOST)
        self.writer.prepare()
        self.reader = Reader(window, 1, TO_HOST)

    def do(self, op: dict[str, Any]) -> dict[str, Any]:
        """Do one operation; return what is there after it, in the words of the file."""
        answer: dict[str, Any] = getattr(self, "_" + op["op"])(op)
        page, data = self.window.read(0, CONTROL), self.window.read(CONTROL, self.window.size - CONTROL)
        if isinstance(page, Fault) or isinstance(data, Fault):
            raise BadRequest("the ring's bytes", "a fault")
        control = RingControl.decode(page)
        after = {name: getattr(control, name) for name in ("write_index", "read_index", "interrupt_mask")}
        after["pending_send_size"] = control.pending_send_size
        digests = {"sha256_control": page, "sha256_data": data}
        return answer | after | {name: hashlib.sha256(part).hexdigest() for name, part in digests.items()}

    def _write(self, op: dict[str, Any]) -> dict[str, Any]:
        header = bytes.fromhex(op["header_hex"])
        head, size = PacketDescriptor.decode(header), op["payload_len"]
        payload = bytes(op["payload_seed"] + 7 * k & 255 for k in range(size))
        completion = bool(head.flags & PacketFlags.mask("completion_requested"))
        packet = Packet(head.type, payload, op["transaction_id"], completion, header[PacketDescriptor.size :])
        written = self.writer.write_batch([packet])
        return {"result": "ok" if written.ok else "full", "signal": written.signal}

    def _read(self, op: dict[str, Any]) -> dict[str, Any]:
        packets = self.reader.read_all(op["max_packets"])
        return {"packet_lens": [one.length for one in packets], "signal": bool(packets) and packets[-1].signal}

    def _set_pending_send_size(self, op: dict[str, Any]) -> dict[str, Any]:
        self.writer.wait_for(op["value"])
        return {"signal": False}

    def _set_interrupt_mask(self, op: dict[str, Any]) -> dict[str, Any]:
        self.reader.begin() if op["value"] else self.reader.end()
        return {"signal": False}


def golden_ring(vectors: Vectors) -> Count:
    """Do each operation to our ring: indices, signal, and every byte of control page and data after it."""
    ring, given = Replayed(vectors.meta["data_bytes"]), []
    for op, _ in vectors.cases:
        after = ring.do(op)
        given.append({name: (op[name], value) for name, value in after.items() if op[name] != value})
    count = Count(note="after each operation: indices, mask, pending size, signal, SHA-256 of control page and of data")
    count.add(
        np.array([not difference for difference in given], bool),
        lambda k: f"operation {k}, {vectors.cases[k][0]['op']}: (expected, found) {given[k]}",
    )
    return count
