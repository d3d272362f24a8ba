"""Ranges of guest pages, as GPA-direct packets and GPADLs carry them: bytes, offset, and a page number for each page.

Source: openvmm vmbus_ring, gparange.rs; its checks, in its order. All numbers are 32 bits wide there: what would not
fit is refused, and never wraps.
"""

from hvlab.kernel import I, kernel
from hvlab.vmbus.engine.words import LOW

# the numbers are those of trace.vmbus_events, "gpadl_refusal"
SOUND, TOO_SMALL, OVERFLOW, OFFSET, EMPTY, NO_BYTES = I(0), I(1), I(2), I(3), I(4), I(7)
IN_PAGE = I(4095)


@kernel
def judge_range(words, start, end):
    """Return (verdict, pages) of the range that begins at word `start`; nothing from word `end` on is looked at."""
    if start >= end:
        return EMPTY, I(0)
    length, offset = words[start] & LOW, words[start] >> 32 & LOW
    if length == 0:
        return NO_BYTES, I(0)
    if offset > IN_PAGE:
        return OFFSET, I(0)
    whole = length + IN_PAGE + offset
    if whole > LOW:
        return OVERFLOW, I(0)
    pages = whole >> 12
    if end - start - 1 < pages:
        return TOO_SMALL, I(0)
    return SOUND, pages
