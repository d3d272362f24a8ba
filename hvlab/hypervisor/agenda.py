"""The agenda: what is to happen at which simulated time, as a binary heap in the machine's state.

Two entries of one time come out in the order in which they went in, so that a run is the same every time. An entry is
not taken out early: whoever changes its mind counts up a generation, and the entry finds on arrival that it is late.
"""

from hvlab.kernel import I, kernel

ROOM = 512
NONE = I(0)  # the kind of no entry
AGENDA = [
    ("size", I),
    ("order", I),  # how many entries there have been
    ("time", I, (ROOM,)),  # nanoseconds
    ("turn", I, (ROOM,)),  # the order of equal times
    ("kind", I, (ROOM,)),
    ("who", I, (ROOM,)),  # a VP or LP
    ("what", I, (ROOM,)),
    ("generation", I, (ROOM,)),
    ("cause", I, (ROOM,)),  # the row that asked for it, in the trace of this run
]


@kernel
def before(q, a, b):
    """Whether entry `a` of the heap is due before entry `b`."""
    return q["time"][a] < q["time"][b] or q["time"][a] == q["time"][b] and q["turn"][a] < q["turn"][b]


@kernel
def move(q, a, b):
    """Exchange two entries of the heap."""
    q["time"][a], q["time"][b] = q["time"][b], q["time"][a]
    q["turn"][a], q["turn"][b] = q["turn"][b], q["turn"][a]
    q["kind"][a], q["kind"][b] = q["kind"][b], q["kind"][a]
    q["who"][a], q["who"][b] = q["who"][b], q["who"][a]
    q["what"][a], q["what"][b] = q["what"][b], q["what"][a]
    q["generation"][a], q["generation"][b] = q["generation"][b], q["generation"][a]
    q["cause"][a], q["cause"][b] = q["cause"][b], q["cause"][a]


@kernel
def put(m, time, kind, who, what, generation, cause):
    """Enter something for a time; False if the agenda is full."""
    q = m["agenda"]
    at = q["size"]
    if at >= ROOM:
        return False
    q["time"][at], q["turn"][at], q["kind"][at] = time, q["order"], kind
    q["who"][at], q["what"][at], q["generation"][at], q["cause"][at] = who, what, generation, cause
    q["size"], q["order"] = at + 1, q["order"] + 1
    while at > 0 and before(q, at, (at - 1) // 2):
        move(q, at, (at - 1) // 2)
        at = (at - 1) // 2
    return True


@kernel
def take(m):
    """Take out what is due first: (kind, who, what, generation, cause); the clock moves to its time."""
    q = m["agenda"]
    if q["size"] == 0:
        return NONE, I(-1), I(0), I(0), I(-1)
    kind, who, what, generation, cause = q["kind"][0], q["who"][0], q["what"][0], q["generation"][0], q["cause"][0]
    m["now"] = max(m["now"], q["time"][0])
    last = q["size"] - 1
    move(q, 0, last)
    q["size"] = last
    at = 0
    while True:
        child = 2 * at + 1
        if child >= last:
            break
        if child + 1 < last and before(q, child + 1, child):
            child += 1
        if not before(q, child, at):
            break
        move(q, at, child)
        at = child
    return kind, who, what, generation, cause
