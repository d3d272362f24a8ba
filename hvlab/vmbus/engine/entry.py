"""What Python calls: an operation on one end of a ring, and a stream of packets through both."""

from typing import Any

from hvlab.kernel import I, entry_point, is_ready, plain
from hvlab.trace import vmbus_events as events
from hvlab.vmbus.engine.reader import SOUND, close_read, read_packet
from hvlab.vmbus.engine.words import INDICES, MASK_AND_PENDING, filled, low, put_high, put_low
from hvlab.vmbus.engine.writer import write_packets

WRITE, READ, CLOSE, MASK, PENDING = (I(k) for k in range(5))


@entry_point
def operate(state, mem, trace, vp, cause, places, end, op, arena, value):
    """Do one operation on an end.

    `WRITE`: `value` packets of `arena`; how many went in. `READ`: into `arena`; the verdict. `CLOSE`: whether to
    signal. `MASK`: set it to `value`; how many bytes wait, looked at afterwards. `PENDING`: wait for `value` bytes.
    """
    m, e = state[0], end[0]
    if op == WRITE:
        return write_packets(m, mem, trace, vp, cause, places, e, arena, value)
    if op == READ:
        return read_packet(m, mem, trace, vp, cause, places, e, arena)
    if op == CLOSE:
        return close_read(m, mem, trace, vp, cause, places, e)
    if op == MASK:
        put_low(m, mem, trace, vp, cause, places, e, MASK_AND_PENDING, value)
        events.interrupt_mask_set(m, trace, vp, cause, e["channel"], e["ring"], value)
        # a full barrier stands here on real processors: who wrote before the mask was 0 did not signal
        return filled(e, low(mem, places, INDICES), e["index"])
    if op == PENDING:
        put_high(m, mem, trace, vp, cause, places, e, MASK_AND_PENDING, value)
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


@entry_point
def stream(state, mem, trace, vp, cause, places, writer, reader, arena, copy, times):
    """Write the packet in `arena` and read it into `copy`, again and again, silently or told; return how often.

    Stops early where the packet does not come back sound, or where the trace might not hold another one.
    """
    m, w, r = state[0], writer[0], reader[0]
    rows = I(8) + (arena[0] >> 32 & 0xFFFF) + 8
    for k in range(times):
        if 0 < trace.shape[0] < m["rows"] + rows:
            return k
        if write_packets(m, mem, trace, vp, cause, places, w, arena, I(1)) != 1:
            return k
        if read_packet(m, mem, trace, vp, cause, places, r, copy) != SOUND:
            return k
        close_read(m, mem, trace, vp, cause, places, r)
    return times
