"""What the ring tells, apart from what it does: called only where somebody listens, so that silence costs nothing."""

from hvlab.kernel import routine
from hvlab.trace import vmbus_events as events


@routine
def word_changed(m, trace, vp, cause, places, e, page, word, old, new):
    if old != new:
        spa = places[(places.shape[0] >> 1) + page] | word << 3
        events.ring_word_written(m, trace, vp, cause, spa, old, new, e["channel"], e["ring"])


@routine
def words_change(m, mem, trace, vp, cause, places, e, page, word, arena, start, count):
    """Tell what a copy is about to change."""
    for k in range(count):
        word_changed(m, trace, vp, cause, places, e, page, word + k, mem[places[page] + word + k], arena[start + k])


@routine
def refused(m, trace, vp, cause, e, needed, free):
    return events.packet_refused(m, trace, vp, cause, e["channel"], e["ring"], needed, free)


@routine
def written(m, trace, vp, cause, e, at, first, transaction):
    length, kind = (first >> 32 & 0xFFFF) * 8, first & 0xFFFF
    return events.packet_written(m, trace, vp, cause, e["channel"], e["ring"], at, length, kind, transaction)


@routine
def write_published(m, trace, vp, cause, e, old, new):
    return events.write_index_published(m, trace, vp, cause, e["channel"], e["ring"], old, new)


@routine
def bell(m, trace, vp, cause, e, mask, read, old, rung):
    if rung:
        events.doorbell_rung(m, trace, vp, cause, e["channel"], e["ring"], mask, read, old, e["why"])
    else:
        events.doorbell_saved(m, trace, vp, cause, e["channel"], e["ring"], mask, read, old, e["why"])


@routine
def read(m, trace, vp, cause, e, at, first, transaction):
    length, kind = (first >> 32 & 0xFFFF) * 8, first & 0xFFFF
    return events.packet_read(m, trace, vp, cause, e["channel"], e["ring"], at, length, kind, transaction)


@routine
def read_published(m, trace, vp, cause, e, old, new):
    return events.read_index_published(m, trace, vp, cause, e["channel"], e["ring"], old, new)


@routine
def room(m, trace, vp, cause, e, before, free, pending, signal):
    if signal != 0:
        events.room_signalled(m, trace, vp, cause, e["channel"], e["ring"], before, free, pending)
    else:
        events.room_not_signalled(m, trace, vp, cause, e["channel"], e["ring"], before, free, pending, e["why"])
