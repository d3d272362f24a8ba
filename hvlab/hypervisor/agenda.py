"""The agenda: what is to happen at which simulated time. A binary heap of seats in the machine's state.

Each thing that can be due has a seat of its own, named by kind, who and what: a timer that is set again moves, and one
that is stopped leaves. So the agenda never fills, and nothing comes late. What one seat holds twice replaces itself.

Two entries of one time come out in the order in which they were put in, so that a run is the same every time.
"""

from hvlab.kernel import I, kernel, routine

# Kinds, `who` 0 to 7 (a VP), `what` 0 to 3.
NONE = I(0)  # the kind of no entry
PAUSE_END, CAP_END, APIC_TIMER, STIMER = I(1), I(2), I(3), I(4)
KINDS, WHO, WHAT = 8, 8, 4
SEATS = KINDS * WHO * WHAT
SEAT_BITS, SEAT_MASK = I(8), I(SEATS - 1)
FOREVER = I(0x7FFF_FFFF_FFFF_FFFF)  # later than all that is due

AGENDA = [
    ("size", I),
    ("order", I),  # how many entries there have been
    ("heap", [("time", I), ("ticket", I)], (SEATS,)),  # nanoseconds; order << 8 | seat
    ("seat", [("place", I), ("generation", I), ("cause", I)], (SEATS,)),  # place in the heap, from 1; 0: not there
]


@kernel
def seat_of(kind, who, what):
    """Return the seat of a kind, its owner and a number; -1 if there is none."""
    if kind < 1 or kind >= KINDS or who < 0 or who >= WHO or what < 0 or what >= WHAT:
        return I(-1)
    return (kind * WHO + who) * WHAT + what


@kernel
def settle_up(q, at, time, ticket):
    """Move the hole at `at` up until the entry may stand in it."""
    heap, seats = q["heap"], q["seat"]
    while at > 0:
        above = at - 1 >> 1
        over = heap[above]
        if over["time"] < time or over["time"] == time and over["ticket"] < ticket:
            break
        here = heap[at]
        here["time"], here["ticket"] = over["time"], over["ticket"]
        seats[over["ticket"] & SEAT_MASK]["place"] = at + 1
        at = above
    here = heap[at]
    here["time"], here["ticket"] = time, ticket
    seats[ticket & SEAT_MASK]["place"] = at + 1


@kernel
def settle_down(q, at, time, ticket):
    """Move the hole at `at` down until the entry may stand in it."""
    heap, seats, size = q["heap"], q["seat"], q["size"]
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        under = heap[below]
        if below + 1 < size:
            other = heap[below + 1]
            if other["time"] < under["time"] or other["time"] == under["time"] and other["ticket"] < under["ticket"]:
                below, under = below + 1, other
        if time < under["time"] or time == under["time"] and ticket < under["ticket"]:
            break
        here = heap[at]
        here["time"], here["ticket"] = under["time"], under["ticket"]
        seats[under["ticket"] & SEAT_MASK]["place"] = at + 1
        at = below
    here = heap[at]
    here["time"], here["ticket"] = time, ticket
    seats[ticket & SEAT_MASK]["place"] = at + 1


@kernel
def holds(m, kind, who, what):
    """Whether a seat holds something."""
    seat = seat_of(kind, who, what)
    return seat >= 0 and m["agenda"]["seat"][seat]["place"] != 0


@routine
def cancel(m, kind, who, what):
    """Take out what a seat holds; False if it held nothing."""
    q, seat = m["agenda"], seat_of(kind, who, what)
    if seat < 0 or q["seat"][seat]["place"] == 0:
        return False
    at, last = q["seat"][seat]["place"] - 1, q["size"] - 1
    gone, moved = q["heap"][at], q["heap"][last]
    time, ticket = moved["time"], moved["ticket"]
    q["seat"][seat]["place"], q["size"] = 0, last
    if at == last:
        return True
    if time < gone["time"] or time == gone["time"] and ticket < gone["ticket"]:
        settle_up(q, at, time, ticket)
    else:
        settle_down(q, at, time, ticket)
    return True


@routine
def put(m, time, kind, who, what, generation, cause):
    """Enter something for a time, in place of what its seat held; False if there is no such seat."""
    q, seat = m["agenda"], seat_of(kind, who, what)
    if seat < 0:
        return False
    mine = q["seat"][seat]
    mine["generation"], mine["cause"] = generation, cause
    ticket, at = q["order"] << SEAT_BITS | seat, mine["place"] - 1
    q["order"] += 1
    if at >= 0 and time >= q["heap"][at]["time"]:
        settle_down(q, at, time, ticket)
        return True
    if at < 0:
        at = q["size"]
        q["size"] = at + 1
    settle_up(q, at, time, ticket)
    return True


@kernel
def due(m):
    """Return the time of what is due first."""
    q = m["agenda"]
    return q["heap"][0]["time"] if q["size"] > 0 else FOREVER


@kernel
def take(m):
    """Take out what is due first: (kind, who, what, generation, cause); the clock moves to its time."""
    q = m["agenda"]
    if q["size"] == 0:
        return NONE, I(-1), I(0), I(0), I(-1)
    first, last = q["heap"][0], q["size"] - 1
    seat = first["ticket"] & SEAT_MASK
    mine, moved = q["seat"][seat], q["heap"][last]
    m["now"] = max(m["now"], first["time"])
    mine["place"], q["size"] = 0, last
    if last > 0:
        settle_down(q, I(0), moved["time"], moved["ticket"])
    return seat // (WHO * WHAT), seat // WHAT % WHO, seat % WHAT, mine["generation"], mine["cause"]
