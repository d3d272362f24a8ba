"""What Python calls: an operation on one end of a ring, and a stream of packets through both."""

from typing import Any

from hvlab.kernel import I, entry_point, is_ready, kernel, plain
from hvlab.trace import vmbus_events as events
from hvlab.vmbus.engine.reader import DESCRIPTOR, SOUND, WITH_RANGES, close_read, read_packet
from hvlab.vmbus.engine.words import INDICES, MASK_AND_PENDING, PAGE_WORDS, filled, low, put_high, put_low
from hvlab.vmbus.engine.writer import write_packets

WRITE, READ, CLOSE, MASK, PENDING = (I(k) for k in range(5))
NOT_THERE = I(-1)  # the answer where there is no control page, or no room for a descriptor


@entry_point
def operate(state, mem, trace, vp, cause, places, end, op, arena, value):
    """Do one operation on an end.

    `WRITE`: `value` packets of `arena`, each with a word behind it for the trailer; how many went in. `READ`: into
    `arena`; the verdict. `CLOSE`: whether to signal. `MASK`: set it to `value`; how many bytes wait, looked at
    afterwards. `PENDING`: wait for `value` bytes.
    """
    m, e, control = state[0], end[0], mem[places[0] : places[0] + PAGE_WORDS]
    if control.shape[0] < PAGE_WORDS:
        return NOT_THERE
    if op == WRITE:
        return write_packets(m, mem, control, trace, vp, cause, places, e, arena, value)
    if op == READ:
        return read_packet(m, mem, control, trace, vp, cause, places, e, arena)
    if op == CLOSE:
        return close_read(m, control, trace, vp, cause, places, e)
    if op == MASK:
        put_low(m, control, trace, vp, cause, places, e, MASK_AND_PENDING, value)
        events.interrupt_mask_set(m, trace, vp, cause, e["channel"], e["ring"], value)
        # a full barrier stands here on real processors: who wrote before the mask was 0 did not signal
        return filled(e, low(control, INDICES), e["index"])
    if op == PENDING:
        put_high(m, control, trace, vp, cause, places, e, MASK_AND_PENDING, value)
        events.pending_size_set(m, trace, vp, cause, e["channel"], e["ring"], value)
    return I(0)


FEW = 256  # operations that are done before it pays to compile: as plain Python they take less than half a second
few = [FEW]


def operation() -> Any:
    """Return `operate`, as plain Python until there was enough to do to compile it; which one does not change a bit."""
    if few[0] == FEW and is_ready(operate):
        few[0] = 0
    if few[0] == 0:
        return operate
    few[0] -= 1
    return plain(operate)


@kernel
def bursts(m, mem, control, trace, vp, cause, places, w, r, arena, copy, burst, times):
    """Write some packets, each published, then read as many; return how many bursts went well."""
    rows = (I(16) + (arena[0] >> 32 & 0xFFFF)) * burst
    for k in range(times):
        if 0 < trace.shape[0] < m["rows"] + rows:
            return k
        for _ in range(burst):
            if write_packets(m, mem, control, trace, vp, cause, places, w, arena, I(1)) != 1:
                return k
        for _ in range(burst):
            if read_packet(m, mem, control, trace, vp, cause, places, r, copy) != SOUND:
                return k
            close_read(m, control, trace, vp, cause, places, r)
    return times


@entry_point
def stream(state, mem, trace, vp, cause, places, writer, reader, arena, copy, burst, times):
    """Write the packet in `arena` and read it into `copy`, some in a row, silently or told; return how many rows.

    Stops early where a packet does not come back sound, or where the trace might not hold another burst.
    """
    m, w, r, control = state[0], writer[0], reader[0], mem[places[0] : places[0] + PAGE_WORDS]
    if control.shape[0] < PAGE_WORDS or arena.shape[0] <= DESCRIPTOR or copy.shape[0] < WITH_RANGES:
        return NOT_THERE
    if trace.shape[0] == 0:  # a copy of its own, in which the compiler knows that nobody listens
        return bursts(m, mem, control, trace, vp, cause, places, w, r, arena, copy, burst, times)
    return bursts(m, mem, control, trace, vp, cause, places, w, r, arena, copy, burst, times)
