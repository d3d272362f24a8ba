"""A small model of what a host does with the channels of one guest: written from the protocol, apart from hvlab.

A state is (connection, records); a record is (device, gone, state, id, list, used) in the order of the offers. `list`:
whether its one page list lives; `used`: whether rings lie in it. Each action returns the next state, the
numbers of the host's messages, and whether the message was refused.

Source: openvmm vmbus_server/src/channels.rs (ChannelState and its handlers), Linux drivers/hv/channel_mgmt.c.
"""

APART, CONNECTED, OFFERED_ALL = 0, 1, 2
UNKNOWN, CLOSED, OPEN, REVOKED = "unknown", "closed", "open", "revoked"
DEVICES = ("A", "B")
MOST = 2  # records
IDS = (1, 2)
FIRST = (APART, ())


def record(device, gone=False, state=UNKNOWN, number=0, pages=False, used=False):
    return (device, gone, state, number, pages, used)


def actions():
    """Return every action: (name, argument)."""
    found = [("contact", 0), ("unload", 0), ("offers", 0)]
    found += [(name, one) for name in ("offer", "rescind") for one in DEVICES]
    found += [(name, k) for name in ("pages", "teardown", "open", "close", "release") for k in IDS]
    return found


def step(state, action):
    """Return (next state, answers, refused); None where the action cannot be done."""
    (connection, records), (name, what) = state, action
    if name in ("contact", "unload"):
        left = tuple(record(one[0]) for one in records if not one[1])
        return (CONNECTED if name == "contact" else APART, left), [15 if name == "contact" else 17], False
    if name in ("offer", "rescind"):
        return configure(connection, records, name, what)
    if connection == APART or (name == "offers" and connection == OFFERED_ALL):
        return state, [], True
    if name == "offers":
        answers, new = [], list(records)
        for k in sorted(range(len(new)), key=lambda k: (new[k][0], k)):
            new[k] = record(new[k][0], False, CLOSED, free_id(new))
            answers.append(1)
        return (OFFERED_ALL, tuple(new)), [*answers, 4], False
    return channel(connection, records, name, what)


def free_id(records):
    """Return the lowest id that no channel has that the guest knows."""
    taken = {one[3] for one in records if one[2] != UNKNOWN}
    return next(k for k in range(1, 10) if k not in taken)


def configure(connection, records, name, device):
    """The machine's configuration changes: a device comes or goes."""
    there = [k for k, one in enumerate(records) if one[0] == device and not one[1]]
    if name == "offer":
        if there or len(records) == MOST:
            return None
        if connection != OFFERED_ALL:
            return (connection, (*records, record(device))), [], False
        return (connection, (*records, record(device, False, CLOSED, free_id(records)))), [1], False
    if not there:
        return None
    one, rest = records[there[0]], list(records)
    if one[2] == UNKNOWN:
        del rest[there[0]]
        return (connection, tuple(rest)), [], False
    rest[there[0]] = record(device, True, REVOKED, one[3], one[4])
    return (connection, tuple(rest)), [2], False


def channel(connection, records, name, number):
    """The guest says something of a channel."""
    k = next((k for k, one in enumerate(records) if one[2] != UNKNOWN and one[3] == number), None)
    if k is None:
        return (connection, records), [], True
    device, gone, state, _, pages, used = records[k]
    new = list(records)

    def done(answers, **changes):
        fields = {"device": device, "gone": gone, "state": state, "number": number, "pages": pages, "used": used}
        new[k] = record(**(fields | changes))
        return (connection, tuple(new)), answers, False

    refused = (connection, records), [], True
    if name == "pages":
        if state == REVOKED:
            return (connection, records), [10], True
        return refused if pages else done([10], pages=True)
    if name == "teardown":
        return done([12], pages=False) if pages and not used else refused
    if name == "open":
        if state != CLOSED:
            return refused
        return done([6], state=OPEN, used=True) if pages else ((connection, records), [6], True)
    if name == "close":
        return done([], state=CLOSED, used=False) if state == OPEN else refused
    if state == OPEN:
        return refused
    if gone:
        del new[k]
        return (connection, tuple(new)), [], False
    return done([], state=UNKNOWN, number=0, pages=False)


def reachable():
    """Return every state that can be reached, and the number of steps between them."""
    seen, todo, steps = {FIRST}, [FIRST], 0
    while todo:
        state = todo.pop()
        for action in actions():
            found = step(state, action)
            if found is None:
                continue
            steps += 1
            if found[0] not in seen:
                seen.add(found[0])
                todo.append(found[0])
    return seen, steps
