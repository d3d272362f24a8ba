"""Read packets: nothing is looked at twice in shared pages; then give the room back, and wake a writer that waits.

Three readers. `OPENVMM` refuses what is not as it should be (vmbus_ring, IncomingRing and parse_packet, in that order).
`HVLAB` does the same, and wants the trailer inside the bytes that are there: openvmm compares the length without the
trailer, and then moves on by both, past the writer. `LINUX` cuts lengths to what is there and goes on
(drivers/hv/ring_buffer.c, hv_pkt_iter_first, hv_pkt_iter_next, v6.1).

Each word of the ring is used once: the write index; the descriptor's first word, which is judged; then the packet is
copied, and that first word is put over its copy, as Linux does.
"""

from hvlab.kernel import I, kernel
from hvlab.trace import vmbus_events as events
from hvlab.vmbus.engine import told
from hvlab.vmbus.engine.words import (
    BEHIND,
    EMPTY,
    FEATURES,
    HVLAB,
    INDICES,
    LINUX,
    LOW,
    MASK_AND_PENDING,
    OPENVMM,
    UNIT,
    filled,
    further,
    high,
    inside,
    low,
    put_high,
    room,
    take_words,
    word_of,
)

# verdicts and reasons; the words are in trace.vmbus_events
SOUND, NOTHING, BAD_INDEX, SHORT, BAD_LENGTHS, TOO_LONG, NO_TRAILER, BAD_FLAGS, BAD_TYPE, NO_RANGES = map(I, range(10))
NOT_WAITING, NOT_ENOUGH, ENOUGH_BEFORE, ENOUGH_NOW, NO_FEATURE = I(4), I(5), I(6), I(7), I(9)
IN_BAND, TRANSFER_PAGES, GPA_DIRECT, COMPLETION = I(6), I(7), I(9), I(11)
DESCRIPTOR, WITH_RANGES = I(2), I(3)  # words: the shortest descriptor, and the shortest with ranges


@kernel
def judge_head(e, first, available):
    """Return the verdict on a descriptor's first word. Source: openvmm vmbus_ring, parse_packet."""
    kind, offset8, length8, flags = first & 0xFFFF, first >> 16 & 0xFFFF, first >> 32 & 0xFFFF, first >> 48 & 0xFFFF
    if length8 < offset8 or offset8 < DESCRIPTOR:
        return BAD_LENGTHS
    if available < length8 * UNIT:
        return TOO_LONG
    if e["policy"] == HVLAB and available < length8 * UNIT + BEHIND:
        return NO_TRAILER
    if flags & ~1 != 0:
        return BAD_FLAGS
    if kind in (IN_BAND, COMPLETION):
        return SOUND
    if kind not in (TRANSFER_PAGES, GPA_DIRECT):
        return BAD_TYPE
    return SOUND if offset8 >= WITH_RANGES else BAD_LENGTHS


@kernel
def reject(m, trace, vp, cause, e, verdict):
    """Leave everything as it is, and say why."""
    e["verdict"], e["length"] = verdict, 0
    if verdict != NOTHING:
        e["refused"] += 1
        events.packet_rejected(m, trace, vp, cause, e["channel"], e["ring"], e["index"], verdict, e["policy"])
    return verdict


@kernel
def clamp(m, trace, vp, cause, e, first, available):
    """Return a descriptor's first word with lengths that fit what is there, and Linux's buffer of one packet.

    Source: Linux hv_pkt_iter_first, whose two conditions these are; it clamps in silence.
    """
    available = min(available, e["limit"])
    length, offset = (first >> 32 & 0xFFFF) * UNIT, (first >> 16 & 0xFFFF) * UNIT
    if length < DESCRIPTOR * UNIT or length > available:
        events.packet_clamped(m, trace, vp, cause, e["channel"], e["ring"], e["index"], length, available)
        length = available
    if offset < DESCRIPTOR * UNIT or offset > length:
        events.packet_clamped(m, trace, vp, cause, e["channel"], e["ring"], e["index"], offset, DESCRIPTOR * UNIT)
        offset = DESCRIPTOR * UNIT
    return first & ~(LOW << 16) | (offset >> 3) << 16 | (length >> 3) << 32


@kernel
def read_packet(m, mem, control, trace, vp, cause, places, e, arena):
    """Copy the next packet into `arena`, if it is sound, and move on behind it; return the verdict."""
    own, written = e["index"], low(control, INDICES)
    e["seen"], e["at"] = written, own
    strict = e["policy"] != LINUX
    if arena.shape[0] < max(e["size"] >> 3, WITH_RANGES) or not inside(e, own) or strict and not inside(e, written):
        return reject(m, trace, vp, cause, e, BAD_INDEX)
    available = filled(e, written, own)
    e["available"] = available
    if written == own or available < DESCRIPTOR * UNIT and not strict:
        return reject(m, trace, vp, cause, e, NOTHING)
    if available < DESCRIPTOR * UNIT:
        return reject(m, trace, vp, cause, e, SHORT)
    first = word_of(mem, places, own)
    if strict:
        verdict = judge_head(e, first, available)
        if verdict != SOUND:
            return reject(m, trace, vp, cause, e, verdict)
    else:
        first = clamp(m, trace, vp, cause, e, first, available)
    kind, words = first & 0xFFFF, first >> 32 & 0xFFFF
    take_words(mem, places, e, own, arena, I(0), words)
    arena[0] = first  # as it was judged, and not as it may have become meanwhile
    if strict and kind == GPA_DIRECT and arena[DESCRIPTOR] >> 32 & LOW == 0:
        return reject(m, trace, vp, cause, e, NO_RANGES)
    e["index"] = further(e, own, words * UNIT + BEHIND)
    e["verdict"], e["length"] = SOUND, words * UNIT
    e["packets"] += 1
    e["bytes"] += words * UNIT
    if trace.shape[0] != 0:
        told.read(m, trace, vp, cause, e, own, first, arena[1])
    return SOUND


@kernel
def tell_room(m, control, trace, vp, cause, places, e, old):
    """Decide whether a writer that waits for room must be woken, after the index was published; return 1 or 0.

    Only at the read that crosses the pending size. Linux hv_pkt_iter_close compares what could be written (strictly
    more), openvmm commit_read what is free, 8 less, with at least the size: the same. Low bits of the size are masked,
    since Windows may set the ring's size less 1 (openvmm).
    """
    # a full barrier stands here on real processors: the index is visible before the pending size is read
    pending, written = high(control, MASK_AND_PENDING) & ~I(7), low(control, INDICES)
    if not inside(e, written):
        return I(0)
    before, free = room(e, written, old) - EMPTY, room(e, written, e["index"]) - EMPTY
    why = ENOUGH_NOW
    if e["policy"] != OPENVMM and low(control, FEATURES) & 1 == 0:
        why = NO_FEATURE
    elif pending == 0:
        why = NOT_WAITING
    elif before >= pending:
        why = ENOUGH_BEFORE
    elif free < pending:
        why = NOT_ENOUGH
    e["why"] = why
    signal = I(why == ENOUGH_NOW)
    if trace.shape[0] != 0:
        told.room(m, trace, vp, cause, e, before, free, pending, signal)
    return signal


@kernel
def close_read(m, control, trace, vp, cause, places, e):
    """Publish the read index, if packets were read since the last time; return 1 where the writer must be woken."""
    old, new = e["committed"], e["index"]
    e["signal"], e["why"] = I(0), NOT_WAITING
    if new == old:
        return I(0)
    put_high(m, control, trace, vp, cause, places, e, INDICES, new)
    if trace.shape[0] != 0:
        cause = told.read_published(m, trace, vp, cause, e, old, new)
    signal = tell_room(m, control, trace, vp, cause, places, e, old)
    e["committed"], e["signal"] = new, signal
    e["signals"] += signal
    e["saved"] += I(1) - signal
    return signal
