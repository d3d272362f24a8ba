"""A slow, obvious SynIC: dicts and lists, written from the TLFS. It knows nothing of memory, tickets or words.

Source: TLFS, inter-partition communication, timers; kvm-unit-tests x86/hyperv_connections.c (order of events).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SUCCESS, INVALID_PARAMETER, INVALID_VP, NO_PORT, NO_CONNECTION, NO_BUFFERS, SYNIC_OFF = (
    0,
    5,
    0xE,
    0x11,
    0x12,
    0x13,
    0x18,
)


@dataclass
class Message:
    kind: int
    payload: bytes
    sender: int
    buffer: Any  # who owns the buffer that it waits in


@dataclass
class Timer:
    enabled: bool = False
    periodic: bool = False
    lazy: bool = False
    auto: bool = False
    direct: bool = False
    vector: int = 0
    sint: int = 0
    count: int = 0
    due: int | None = None
    waiting: bool = False
    hurry: int = 0
    ticket: Any = None
    order: int = 0  # of two timers due at once, the one that was set first


@dataclass
class Vp:
    """One virtual processor: what it has switched on, its slots, queues and flags, and what was raised."""

    on: bool = True
    message_page: bool = True
    flags_page: bool = True
    vector: list[int] = field(default_factory=lambda: [0x30 + k for k in range(16)])
    masked: set[int] = field(default_factory=set)
    polling: set[int] = field(default_factory=set)
    slots: dict[int, tuple[int, bytes, int]] = field(default_factory=dict)
    pending: dict[int, int] = field(default_factory=dict)
    queues: dict[int, list[Message]] = field(default_factory=dict)
    flags: set[tuple[int, int]] = field(default_factory=set)
    raised: list[int] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=lambda: [Timer() for _ in range(4)])


@dataclass
class Port:
    kind: str
    vp: int | None  # None: any
    sint: int
    number: int
    base: int = 0
    count: int = 0
    buffers: int = 16
    used: int = 0


class Synic:
    """All virtual processors of a partition, with the ports of it."""

    def __init__(self, vps: int = 2, drop_masked: bool = False) -> None:
        self.vps = [Vp() for _ in range(vps)]
        self.ports: dict[int, Port] = {}  # by connection
        self.drop_masked = drop_masked
        self.now = 0  # reference time
        self.orders = 0

    # interrupts and slots --------------------------------------------------------------------------------------------

    def _raise(self, vp: Vp, sint: int) -> None:
        if sint not in vp.polling and sint not in vp.masked:
            vp.raised.append(vp.vector[sint])

    def _deliver(self, vp: Vp, sint: int) -> None:
        """The three triggers end here: the first message goes to the slot, if there is room."""
        queue = vp.queues.get(sint, [])
        if not queue or not vp.message_page:
            return
        if sint in vp.slots:
            vp.pending[sint] = 1
            return
        message = queue.pop(0)
        message.buffer()
        vp.slots[sint] = message.kind, message.payload, message.sender
        vp.pending[sint] = 1 if queue else 0
        self._raise(vp, sint)

    def _accept(self, vp: Vp, sint: int, message: Message) -> None:
        vp.queues.setdefault(sint, []).append(message)
        self._deliver(vp, sint)

    # calls -----------------------------------------------------------------------------------------------------------

    def _target(self, port: Port, page: str) -> Vp | int:
        if port.vp is None:
            ready = [vp for vp in self.vps if vp.on and getattr(vp, page)]
            return ready[0] if ready else INVALID_VP
        if port.vp >= len(self.vps):
            return INVALID_VP
        vp = self.vps[port.vp]
        return vp if vp.on and getattr(vp, page) else SYNIC_OFF

    def post(self, connection: int, kind: int, payload: bytes, size: int | None = None) -> int:
        port = self.ports.get(connection)
        if port is None:
            return NO_CONNECTION
        if port.kind != "message":
            return NO_PORT
        if not 0 < kind < 1 << 31 or (len(payload) if size is None else size) > 240:
            return INVALID_PARAMETER
        vp = self._target(port, "message_page")
        if isinstance(vp, int):
            return vp
        if port.used == port.buffers:
            return NO_BUFFERS
        port.used += 1

        def give_back() -> None:
            port.used -= 1

        self._accept(vp, port.sint, Message(kind, payload, port.number, give_back))
        return SUCCESS

    def signal(self, connection: int, flag: int) -> int:
        port = self.ports.get(connection)
        if port is None:
            return NO_CONNECTION
        if port.kind != "event":
            return NO_PORT
        if flag >= port.count:
            return INVALID_PARAMETER
        vp = self._target(port, "flags_page")
        if isinstance(vp, int):
            return vp
        if port.sint in vp.masked and port.sint not in vp.polling:
            return SUCCESS if self.drop_masked else SYNIC_OFF
        at = port.sint, port.base + flag
        if at not in vp.flags:
            vp.flags.add(at)
            self._raise(vp, port.sint)
        return SUCCESS

    # what the guest does ---------------------------------------------------------------------------------------------

    def eom(self, vp: int) -> None:
        for sint in range(16):
            self._deliver(self.vps[vp], sint)

    def eoi(self, vp: int, vector: int) -> None:
        for sint in range(16):
            if self.vps[vp].vector[sint] == vector and sint not in self.vps[vp].masked:
                self._deliver(self.vps[vp], sint)

    def take(self, vp: int, sint: int) -> int:
        if sint not in self.vps[vp].slots or not self.vps[vp].message_page:
            return -1
        del self.vps[vp].slots[sint]
        return self.vps[vp].pending.get(sint, 0)

    def clear_flags(self, vp: int, sint: int) -> int:
        if not self.vps[vp].flags_page:
            return 0
        gone = {at for at in self.vps[vp].flags if at[0] == sint}
        self.vps[vp].flags -= gone
        return len(gone)

    # timers ----------------------------------------------------------------------------------------------------------

    def set_timer(self, vp: int, number: int, config: int) -> None:
        t = self.vps[vp].timers[number]
        self._stop(vp, number)
        t.enabled, t.periodic, t.lazy, t.auto, t.direct = (bool(config >> bit & 1) for bit in (0, 1, 2, 3, 12))
        t.vector, t.sint = config >> 4 & 255, config >> 16 & 15
        self._start(vp, number)

    def set_count(self, vp: int, number: int, count: int) -> None:
        t = self.vps[vp].timers[number]
        self._stop(vp, number)
        t.count, t.enabled = count, t.enabled or t.auto
        self._start(vp, number)

    def _stop(self, vp: int, number: int) -> None:
        t = self.vps[vp].timers[number]
        for queue in self.vps[vp].queues.values():
            queue[:] = [message for message in queue if message.buffer is not t.ticket]
        t.due, t.waiting, t.hurry = None, False, 0

    def _start(self, vp: int, number: int) -> None:
        t = self.vps[vp].timers[number]
        if t.count == 0 or t.sint == 0 and not t.direct:
            t.enabled = False
        if t.enabled:
            t.due = self.now + t.count if t.periodic else t.count
            self._order(t)
            if t.due <= self.now:
                self._expire(vp, number)

    def _order(self, timer: Timer) -> None:
        self.orders += 1
        timer.order = self.orders

    def advance(self, now: int) -> None:
        """Let reference time pass; timers expire in the order of their times."""
        while True:
            due = [
                (t.due, t.order, vp, k)
                for vp, v in enumerate(self.vps)
                for k, t in enumerate(v.timers)
                if t.due is not None
            ]
            if not due or min(due)[0] > now:
                break
            self.now, _, vp, number = min(due)
            self._expire(vp, number)
        self.now = now

    def _expire(self, vp: int, number: int) -> None:
        v = self.vps[vp]
        t = v.timers[number]
        if t.direct:
            v.raised.append(t.vector)
        elif t.waiting:
            t.hurry = t.hurry if t.lazy else min(t.hurry + 2, 8)
        elif v.on and v.message_page:
            t.waiting = True

            def free() -> None:
                t.waiting = False

            t.ticket = free
            payload = number.to_bytes(8, "little") + t.due.to_bytes(8, "little")
            self._accept(v, t.sint, Message(0x80000010, payload, 0, free))
        self._order(t)
        if not t.periodic:
            t.enabled, t.due = False, None
        elif t.hurry and not t.waiting and t.count > 1:
            t.hurry, t.due = t.hurry - 1, t.due + t.count // 2
        else:
            t.due += t.count
