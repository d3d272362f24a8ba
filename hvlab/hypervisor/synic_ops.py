"""Rows of work for messages, signals and timers: one by one for a picture, in millions for a study.

The columns of a row are those of `clockwork`.
"""

from hvlab.hypervisor import synic, timers
from hvlab.kernel import I, routine

# op: what a, b, c, d are; what the answer is
POST = I(64)  # connection, type, bytes, SPA of the payload; status
SIGNAL = I(65)  # connection, flag; status
EOM = I(66)  # 0
TAKE = I(67)  # SINT; MessagePending, or -1 where no message lies
CLEAR_FLAGS = I(68)  # SINT; how many were set
STIMER_CONFIG = I(69)  # timer, value; 0
STIMER_COUNT = I(70)  # timer, value; 0
ANNOUNCE = I(71)  # SINT, type, bytes, sender, SPA of the payload; status
TRY = I(72)  # SINT; 0
LAST = TRY
WORST_ROWS = synic.WORST_ROWS
ZERO, SINTS = I(0), I(16)


@routine
def operate(m, mem, trace, op, vp, cause, a, b, c, d, e):
    """Do one operation; return its answer."""
    if op == POST:
        return synic.post(m, mem, trace, vp, cause, a, b, c, d)[0]
    if op == SIGNAL:
        return synic.signal(m, mem, trace, vp, cause, a, b)[0]
    if op == EOM:
        synic.end_of_message(m, mem, trace, vp, cause)
        return ZERO
    if op == STIMER_CONFIG:
        timers.set_config(m, mem, trace, vp, cause, a, b)
        return ZERO
    if op == STIMER_COUNT:
        timers.set_count(m, mem, trace, vp, cause, a, b)
        return ZERO
    if op == ANNOUNCE:
        return synic.announce(m, mem, trace, vp, cause, a, b, c, d, e)[0]
    if a < 0 or a >= SINTS:
        return I(-1)
    if op == TAKE:
        return synic.take(m, mem, trace, vp, cause, a)[0]
    if op == CLEAR_FLAGS:
        return synic.clear_flags(m, mem, trace, vp, cause, a)[0]
    synic.try_slot(m, mem, trace, vp, cause, a)
    return ZERO
