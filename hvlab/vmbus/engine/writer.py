"""Write packets: room, bytes, trailer, index, and whether to wake the reader.

Source: Linux drivers/hv/ring_buffer.c (v6.1), hv_ringbuffer_write and hv_signal_on_write; openvmm vmbus_ring,
OutgoingRing. Both refuse a write that would fill the ring: equal indices mean empty.
"""

from hvlab.kernel import I, kernel
from hvlab.trace import vmbus_events as events
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
    put_low,
    put_word,
    put_words,
    room,
)

# `why` of a decision about a signal; the words are in trace.vmbus_events
AWAKE, MASKED, WAS_EMPTY, EACH_TIME = I(1), I(2), I(3), I(8)
SOUND, BAD_INDEX, BAD_LENGTHS = I(0), I(2), I(4)  # of the verdicts
DESCRIPTOR = I(2)  # words


@kernel
def put_packet(m, mem, trace, vp, cause, places, e, at, read, arena, start):
    """Put one packet at `at`; return (bytes that it takes with its trailer, cause), 0 where there is no room for it.

    It stands in `arena`, from its descriptor on; its own length says where it ends.
    """
    words = arena[start] >> 32 & 0xFFFF
    needed, available = words * UNIT + BEHIND, room(e, at, read)
    if available <= needed:
        e["available"], e["refused"] = available, e["refused"] + 1
        return I(0), events.packet_refused(m, trace, vp, cause, e["channel"], e["ring"], needed, available - EMPTY)
    put_words(m, mem, trace, vp, cause, places, e, at, arena, start, words)
    behind = further(e, at, words * UNIT)
    put_word(m, mem, trace, vp, cause, places, e, I(1) + (behind >> 12), behind >> 3 & 511, at << 32)
    return needed, events.packet_written(
        m, trace, vp, cause, e["channel"], e["ring"], at, words * UNIT, arena[start] & 0xFFFF, arena[start + 1]
    )


@kernel
def ring_bell(m, mem, trace, vp, cause, places, e, old):
    """Decide whether the reader must be woken, after the index was published. Source: Linux hv_signal_on_write."""
    # a full barrier stands here on real processors: the index is visible before the mask is read, the mask before
    # the other's index
    mask = low(mem, places, MASK_AND_PENDING)
    read = high(mem, places, INDICES)
    why = MASKED if mask != 0 else WAS_EMPTY if read == old else AWAKE
    why = EACH_TIME if e["rule"] == ALWAYS else why
    signal = I(why in (EACH_TIME, WAS_EMPTY))
    e["signal"], e["why"] = signal, why
    e["signals"] += signal
    e["saved"] += I(1) - signal
    if signal == 0:
        events.doorbell_saved(m, trace, vp, cause, e["channel"], e["ring"], mask, read, old, why)
    elif e["rule"] != MONITOR:
        events.doorbell_rung(m, trace, vp, cause, e["channel"], e["ring"], mask, read, old, why)
    if signal != 0 and e["counts"] != 0:
        count = mem[places[0, 0] + INTERRUPTS]
        put_word(m, mem, trace, vp, cause, places, e, I(0), INTERRUPTS, count + 1)


@kernel
def write_packets(m, mem, trace, vp, cause, places, e, arena, count):
    """Write packets one behind the other, as many as there is room for; publish once, decide once. Return how many."""
    old, read = e["committed"], high(mem, places, INDICES)
    e["seen"], e["at"], e["signal"], e["why"], e["verdict"] = read, old, I(0), I(0), SOUND
    if not inside(e, old) or e["policy"] != LINUX and not inside(e, read):
        e["verdict"] = BAD_INDEX
        return I(0)
    at, start, done, row = old, I(0), I(0), cause
    while done < count:
        words = arena[start] >> 32 & 0xFFFF if start + DESCRIPTOR <= arena.shape[0] else I(0)
        if words < DESCRIPTOR or start + words > arena.shape[0]:
            e["verdict"] = BAD_LENGTHS  # our own mistake: the packets are made by whoever calls
            break
        needed, row = put_packet(m, mem, trace, vp, cause, places, e, at, read, arena, start)
        if needed == 0:
            break
        at, start, done = further(e, at, needed), start + words, done + 1
        e["bytes"] += words * UNIT
    if done > 0:
        e["packets"] += done
        e["index"], e["committed"] = at, at
        put_low(m, mem, trace, vp, row, places, e, INDICES, at)
        cause = events.write_index_published(m, trace, vp, row, e["channel"], e["ring"], old, at)
        ring_bell(m, mem, trace, vp, cause, places, e, old)
    return done
