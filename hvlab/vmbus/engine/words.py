"""What both ends of a ring share: the record of an end, the words of the control page, copying with wrap.

`places` says where the pages of the ring are, control page first: the word in `mem` at which each begins, then the SPA
of each. `control` is the control page. Everything in those pages may change at any moment and is read once for each
use. An end's own index is in its record, which nobody else reaches.

SIMPLER THAN REAL: two 32-bit fields of the control page are one 64-bit word here, read, changed and written at once;
this machine's processors do not reorder reads and writes, so where the real code has a barrier there is a comment.
"""

import numpy as np

from hvlab.kernel import I, copy_words, kernel
from hvlab.vmbus.engine import told
from hvlab.wire.ring import GAP, TRAILER, RingControl

HVLAB, OPENVMM, LINUX = I(0), I(1), I(2)  # whose rules the reader keeps
EMPTY_ONLY, ALWAYS, MONITOR = I(0), I(1), I(2)  # when the writer wakes the reader
LOW = I((1 << 32) - 1)
# words of the control page, each with one field in its lower and one in its upper half
INDICES, MASK_AND_PENDING, FEATURES, INTERRUPTS = (
    I(next(field.offset for field in RingControl.fields if field.name == name) >> 3)
    for name in ("write_index", "interrupt_mask", "feature_bits", "guest_to_host_interrupt_count")
)
UNIT, BEHIND, EMPTY = I(8), I(TRAILER), I(GAP)
PAGE_WORDS = I(512)
PAGES = I((1 << 20) - 1)  # an index has 32 bits: a page number that is masked is no negative one, which costs a check

END = np.dtype(
    [
        (name, I)
        for name in (
            *("channel", "ring", "size", "policy", "rule", "counts", "limit"),  # what it is
            *("index", "committed", "seen"),  # where it goes on; what it published; the other's index when it looked
            *("verdict", "at", "length", "available", "signal", "why"),  # what came of the last operation
            *("packets", "bytes", "signals", "saved", "refused"),  # counted
        )
    ]
)


@kernel
def inside(e, index):
    """Whether an index may stand in a control page: in the ring, and a multiple of 8. Source: openvmm, validate."""
    return 0 <= index < e["size"] and index & 7 == 0


@kernel
def further(e, index, count):
    """Return the index so many bytes further on.

    SIMPLER THAN REAL: a remainder. Linux (`__hv_pkt_iter_next`, v6.1) takes the size off once, so that a length that
    lies can leave its private read index behind the end: `hv_pkt_iter_first` believes a write index of any size.
    """
    index += count
    if index >= e["size"]:
        index -= e["size"]
    return index if index < e["size"] else index % e["size"]


@kernel
def filled(e, write, read):
    """Return how many bytes wait to be read. Source: Linux hv_pkt_iter_avail."""
    return write - read if write >= read else e["size"] - read + write


@kernel
def room(e, write, read):
    """Return how many bytes could be written if the ring might be filled. Source: Linux hv_get_bytes_to_write."""
    return e["size"] - (write - read) if write >= read else read - write


@kernel
def put_low(m, control, trace, vp, cause, places, e, word, value):
    """Change the 32-bit field in the lower half of a word of the control page."""
    put_control(m, control, trace, vp, cause, places, e, word, control[word] & ~LOW | value)


@kernel
def put_high(m, control, trace, vp, cause, places, e, word, value):
    """Change the 32-bit field in the upper half of a word of the control page."""
    put_control(m, control, trace, vp, cause, places, e, word, control[word] & LOW | value << 32)


@kernel
def put_control(m, control, trace, vp, cause, places, e, word, new):
    """Change one word of the control page."""
    old = control[word]
    control[word] = new
    if trace.shape[0] != 0:
        told.word_changed(m, trace, vp, cause, places, e, I(0), word, old, new)


@kernel
def low(control, word):
    """Read the 32-bit field in the lower half of a word of the control page: write index, mask, feature bits."""
    return control[word] & LOW


@kernel
def high(control, word):
    """Read the 32-bit field in the upper half of a word of the control page: read index, pending send size."""
    return control[word] >> 32 & LOW


@kernel
def put_words(m, mem, trace, vp, cause, places, e, at, arena, start, count):
    """Copy words into the data from byte `at` on; behind the last one comes the first.

    The caller checked `at` and that `arena` has the words.
    """
    where, end = at >> 3, e["size"] >> 3
    while count > 0:
        page, word = I(1) + (where >> 9 & PAGES), where & 511
        run = min(count, PAGE_WORDS - word, end - where)
        if trace.shape[0] != 0:
            told.words_change(m, mem, trace, vp, cause, places, e, page, word, arena, start, run)
        copy_words(mem, places[page] + word, arena, start, run)
        start += run
        count -= run
        where = where + run if where + run < end else I(0)


@kernel
def word_of(mem, places, at):
    """Read one word of the data. The caller checked `at`."""
    return mem[places[I(1) + (at >> 12 & PAGES)] + (at >> 3 & 511)]


@kernel
def take_words(mem, places, e, at, arena, start, count):
    """Copy words out of the data, from byte `at` on. The caller checked `at` and that `arena` has room."""
    where, end = at >> 3, e["size"] >> 3
    while count > 0:
        page, word = I(1) + (where >> 9 & PAGES), where & 511
        run = min(count, PAGE_WORDS - word, end - where)
        copy_words(arena, start, mem, places[page] + word, run)
        start += run
        count -= run
        where = where + run if where + run < end else I(0)
