"""Write packets: room, bytes, trailer, index, and whether to wake the reader.

Source: Linux drivers/hv/ring_buffer.c (v6.1), hv_ringbuffer_write and hv_signal_on_write; openvmm vmbus_ring,
OutgoingRing. Both refuse a write that would fill the ring: equal indices mean empty.
"""

from hvlab.kernel import I, kernel
from hvlab.vmbus.engine import told
from hvlab.vmbus.engine.words import (
    ALWAYS,
    BEHIND,
    EMPTY,
    INDICES,
    INTERRUPTS,
    LINUX,
    MASK_AND_PENDING,
    MONITOR,
    UNIT,
    further,
    high,
    inside,
    low,
    put_control,
    put_low,
    put_words,
    room,
)

# `why` of a decision about a signal; the words are in trace.vmbus_events
AWAKE, MASKED, WAS_EMPTY, EACH_TIME = I(1), I(2), I(3), I(8)
SOUND, BAD_INDEX, BAD_LENGTHS = I(0), I(2), I(4)  # of the verdicts
DESCRIPTOR = I(2)  # words


@kernel
def put_packet(m, mem, trace, vp, cause, places, e, at, read, arena, start, words):
    """Put one packet at `at`; return (bytes that it takes with its trailer, cause), 0 where there is no room for it.

    It is `words` of `arena`, from its descriptor on, and the word behind them: room for the trailer.
    """
    needed, available = words * UNIT + BEHIND, room(e, at, read)
    if available <= needed:
        e["available"], e["refused"] = available, e["refused"] + 1
        return I(0), told.refused(m, trace, vp, cause, e, needed, available - EMPTY) if trace.shape[0] != 0 else cause
    arena[start + words] = at << 32
    put_words(m, mem, trace, vp, cause, places, e, at, arena, start, words + 1)
    if trace.shape[0] != 0:
        cause = told.written(m, trace, vp, cause, e, at, arena[start], arena[start + 1])
    return needed, cause


@kernel
def ring_bell(m, control, trace, vp, cause, places, e, old):
    """Decide whether the reader must be woken, after the index was published. Source: Linux hv_signal_on_write."""
    # a full barrier stands here on real processors: the index is visible before the mask is read, the mask before
    # the other's index
    mask = low(control, MASK_AND_PENDING)
    read = high(control, INDICES)
    why = MASKED if mask != 0 else WAS_EMPTY if read == old else AWAKE
    why = EACH_TIME if e["rule"] == ALWAYS else why
    signal = I(why in (EACH_TIME, WAS_EMPTY))
    e["signal"], e["why"] = signal, why
    e["signals"] += signal
    e["saved"] += I(1) - signal
    if trace.shape[0] != 0 and (signal == 0 or e["rule"] != MONITOR):
        told.bell(m, trace, vp, cause, e, mask, read, old, signal)
    if signal != 0 and e["counts"] != 0:
        put_control(m, control, trace, vp, cause, places, e, INTERRUPTS, control[INTERRUPTS] + 1)


@kernel
def write_packets(m, mem, control, trace, vp, cause, places, e, arena, count):
    """Write packets one behind the other, as many as there is room for; publish once, decide once. Return how many."""
    old, read = e["committed"], high(control, INDICES)
    e["seen"], e["at"], e["signal"], e["why"], e["verdict"] = read, old, I(0), I(0), SOUND
    if not inside(e, old) or e["policy"] != LINUX and not inside(e, read):
        e["verdict"] = BAD_INDEX
        return I(0)
    at, start, done, row = old, I(0), I(0), cause
    while done < count:
        words = arena[start] >> 32 & 0xFFFF if start + DESCRIPTOR < arena.shape[0] else I(0)
        if words < DESCRIPTOR or start + words >= arena.shape[0]:
            e["verdict"] = BAD_LENGTHS  # our own mistake: the packets are made by whoever calls
            break
        needed, row = put_packet(m, mem, trace, vp, cause, places, e, at, read, arena, start, words)
        if needed == 0:
            break
        at, start, done = further(e, at, needed), start + words + 1, done + 1
        e["bytes"] += words * UNIT
    if done > 0:
        e["packets"] += done
        e["index"], e["committed"] = at, at
        put_low(m, control, trace, vp, row, places, e, INDICES, at)
        if trace.shape[0] != 0:
            row = told.write_published(m, trace, vp, row, e, old, at)
        ring_bell(m, control, trace, vp, row, places, e, old)
    return done
