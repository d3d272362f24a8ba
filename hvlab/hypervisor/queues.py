"""The queues of messages behind a busy slot, and the tables of ports, connections and buffers.

A queue holds tickets, from 1: buffer k of port p is 16 p + k + 1; after them the four timers of the virtual processor
itself, then the hypervisor's own buffers. 0 is no ticket. Buffers are real memory: a port's sixteen are one page of its
owner's pool, the hypervisor's own are page 0. Source: TLFS, inter-partition communication: message buffers.
"""

from hvlab.hardware.memory import PLACE
from hvlab.kernel import I, routine
from hvlab.wire.synic import GUEST_BUFFERS, SINTS

PORTS, CONNECTIONS = 64, 64
SLOT_WORDS = 32

SYNIC = [
    ("scontrol", I),
    ("simp", I),
    ("siefp", I),
    ("message_spn", I),  # the pages themselves; 0: never used yet
    ("flags_spn", I),
    ("sint", I, (SINTS,)),
    ("head", I, (SINTS,)),  # tickets
    ("tail", I, (SINTS,)),
    ("depth", I, (SINTS,)),
    ("waiting", I),  # messages in all its queues
]
PORT = [
    *[(name, I) for name in ("owner", "id", "kind", "sint", "target", "base", "count")],  # owner: slot; 0: free
    ("sender", I),  # slot of the partition that may connect
    ("spn", I),  # the page of its buffers
    ("room", I),  # how many of them may be used
    ("used", I),  # bit k: buffer k
    ("serial", I),
    ("posted", I),
    ("link", I, (GUEST_BUFFERS,)),
]
CONNECTION = [(name, I) for name in ("owner", "id", "port", "serial")]  # owner: slot; 0: free
MESSAGES = [
    ("serial", I),
    ("used", I),  # of the hypervisor's own buffers
    ("link", I, (GUEST_BUFFERS,)),
    ("openvmm_signal", I),  # policy: a signal for a masked SINT is dropped without an error
    ("openvmm_vector", I),  # policy: a SINT may hold a vector below 16
    ("buffers", I),  # policy: buffers of the next port; 0: sixteen
    *[(name, I) for name in ("accepted", "delivered", "dropped")],  # I18: accepted = delivered + dropped + waiting
]
TIMER = [
    *[(name, I) for name in ("config", "count")],
    ("due", I),  # reference time; 0: it does not run
    ("queued", I),  # its message waits in the queue of this SINT, from 1
    ("link", I),  # the ticket behind its own
    ("missed", I),  # half periods to hurry
    ("expired", I),
]
OVERLAYS = 32
OVERLAY = [(name, I) for name in ("owner", "kind", "vp", "gpn", "spn", "beneath")]  # owner: slot; 0: free

TIMER_TICKET, OWN_TICKET = PORTS * GUEST_BUFFERS + 1, PORTS * GUEST_BUFFERS + 5
OWN_BUFFERS = 12  # buffers 12 of page 0 is for Python code, 13 to 15 hold what the timers will say
SCRATCH, TIMER_WORDS = 12 * SLOT_WORDS, 13 * SLOT_WORDS  # places in page 0, in words
ZERO, ONE, NOWHERE = I(0), I(1), I(-1)


@routine
def next_of(m, vp, ticket):
    """Return the ticket behind this one in its queue."""
    if ticket < TIMER_TICKET:
        return m["port"][ticket - 1 >> 4]["link"][ticket - 1 & 15]
    if ticket < OWN_TICKET:
        return m["timer"][vp][ticket - TIMER_TICKET]["link"]
    return m["messages"]["link"][ticket - OWN_TICKET]


@routine
def follow(m, vp, ticket, behind):
    """Put a ticket behind another one."""
    if ticket < TIMER_TICKET:
        m["port"][ticket - 1 >> 4]["link"][ticket - 1 & 15] = behind
    elif ticket < OWN_TICKET:
        m["timer"][vp][ticket - TIMER_TICKET]["link"] = behind
    else:
        m["messages"]["link"][ticket - OWN_TICKET] = behind


@routine
def enqueue(m, vp, sint, ticket):
    """Append a ticket to the queue of a SINT."""
    s = m["synic"][vp]
    follow(m, vp, ticket, ZERO)
    if s["head"][sint] == 0:
        s["head"][sint] = ticket
    else:
        follow(m, vp, s["tail"][sint], ticket)
    s["tail"][sint] = ticket
    s["depth"][sint] += 1
    s["waiting"] += 1


@routine
def unlink(m, vp, sint, ticket):
    """Take a ticket out of the queue of a SINT, wherever it stands; False if it is not there."""
    s = m["synic"][vp]
    before, at = ZERO, s["head"][sint]
    while at != ticket:
        if at == 0:
            return False
        before, at = at, next_of(m, vp, at)
    behind = next_of(m, vp, ticket)
    if before == 0:
        s["head"][sint] = behind
    else:
        follow(m, vp, before, behind)
    if behind == 0:
        s["tail"][sint] = before
    s["depth"][sint] -= 1
    s["waiting"] -= 1
    return True


@routine
def release(m, vp, ticket):
    """Give the buffer behind a ticket back."""
    if ticket < TIMER_TICKET:
        m["port"][ticket - 1 >> 4]["used"] &= ~(ONE << (ticket - 1 & 15))
    elif ticket < OWN_TICKET:
        m["timer"][vp][ticket - TIMER_TICKET]["queued"] = 0
    else:
        m["messages"]["used"] &= ~(ONE << (ticket - OWN_TICKET))


@routine
def free_buffer(used, room):
    """Return the lowest buffer that is not in use, or -1."""
    for k in range(room):
        if used >> k & 1 == 0:
            return I(k)
    return NOWHERE


@routine
def place_of(m, mem, vp, ticket):
    """Return where in `mem` the message behind a ticket begins: two words of header, then the payload."""
    own = mem[0] >> PLACE
    if ticket < TIMER_TICKET:
        return (mem[m["port"][ticket - 1 >> 4]["spn"]] >> PLACE) + (ticket - 1 & 15) * SLOT_WORDS
    if ticket < OWN_TICKET:
        return own + TIMER_WORDS + (vp * 4 + ticket - TIMER_TICKET) * 3 - 2
    return own + (ticket - OWN_TICKET) * SLOT_WORDS
