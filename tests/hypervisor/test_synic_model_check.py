"""Every state of one SINT with a queue of three: nothing is lost, nobody waits for ever, and a known wrong guest does.

The whole reachable set is walked. A state is the slot, MessagePending, the queue, whether an interrupt waits, and where
the guest's handler stands. Messages are numbered modulo what can be outstanding, so that order and loss can be
seen while the set stays finite.
"""

from collections import deque

import numpy as np
from invariants import hold

from hvlab.hypervisor import clockwork, synic_ops
from hypervisor.desk import Desk

BUFFERS = 3
LABELS = BUFFERS + 3  # more than can be under way at once: slot, three buffers, and the one that the handler holds
PINNED = {"right": (168, 288), "wrong": (198, 318), "stuck": 18}  # states and steps; states that wait for ever
IDLE, TOOK, FREED, SAW = range(4)  # the handler: not running; copied the message; set the type to 0; looked at pending

# slot (label or -1), pending, queue (labels), interrupt waits, handler, what it saw, next label, next expected
START = (-1, 0, (), 0, IDLE, 0, 0, 0)


def deliver(slot, pending, queue, irq):
    """What EOM, and a new post, make the hypervisor do."""
    if not queue:
        return slot, pending, queue, irq
    if slot >= 0:
        return slot, 1, queue, irq
    return queue[0], 1 if len(queue) > 1 else 0, queue[1:], 1


def post(state):
    slot, pending, queue, irq, at, saw, label, expected = state
    if len(queue) == BUFFERS:
        return None  # INSUFFICIENT_BUFFERS: nothing changes
    slot, pending, queue, irq = deliver(slot, pending, (*queue, label), irq)
    return slot, pending, queue, irq, at, saw, (label + 1) % LABELS, expected


def right(state):
    """The next step of a handler that keeps the rules: copy, type 0, look at pending, EOM if it was set."""
    slot, pending, queue, irq, at, saw, label, expected = state
    if at == IDLE:
        if not irq:
            return None
        if slot < 0:
            return slot, pending, queue, 0, IDLE, 0, label, expected
        assert slot == expected, "out of order"
        return slot, pending, queue, 0, TOOK, 0, label, (expected + 1) % LABELS
    if at == TOOK:
        return -1, pending, queue, irq, FREED, 0, label, expected
    if at == FREED:
        return slot, pending, queue, irq, SAW, pending, label, expected
    if saw:
        slot, pending, queue, irq = deliver(slot, pending, queue, irq)
    return slot, pending, queue, irq, IDLE, 0, label, expected


def wrong(state):
    """The same, but it looks at pending before it sets the type to 0."""
    slot, pending, queue, irq, at, saw, label, expected = state
    if at == TOOK:
        return slot, pending, queue, irq, FREED, pending, label, expected
    if at == FREED:
        return -1, pending, queue, irq, SAW, saw, label, expected
    return right(state)


def reachable(handler):
    """Return every state, and those in which a message waits though nothing is going to happen by itself."""
    seen, stuck, todo, edges = {START}, [], deque([START]), 0
    while todo:
        state = todo.popleft()
        slot, _, queue, irq, at, *_ = state
        if queue and slot < 0 and at == IDLE and not irq:
            stuck.append(state)
        for after in (post(state), handler(state)):
            if after is not None:
                edges += 1
                if after not in seen:
                    seen.add(after)
                    todo.append(after)
    return seen, stuck, edges


def test_the_right_handler_loses_nothing_in_any_reachable_state():
    seen, stuck, edges = reachable(right)

    assert stuck == []
    assert (len(seen), edges) == PINNED["right"]


def test_the_handler_that_looks_first_leaves_a_message_waiting():
    seen, stuck, edges = reachable(wrong)

    assert (len(seen), edges) == PINNED["wrong"]
    assert len(stuck) == PINNED["stuck"]


def test_without_a_new_post_every_message_is_read_within_bounded_steps():
    for state in reachable(right)[0]:
        steps = 0
        while (after := right(state)) is not None:
            state, steps = after, steps + 1
            assert steps <= 4 * (BUFFERS + 3)
        assert state[0] < 0 and state[2] == ()


# the engine does the same in each of these states -------------------------------------------------------------------


class Bench:
    """One SINT of the engine, with a port of three buffers, brought to a state by the actions that lead there."""

    def __init__(self):
        self.desk = Desk(vps=1, auto_eoi=True)
        self.desk.hv.state["messages"]["buffers"] = BUFFERS
        self.desk.wire(4)
        self.desk.hv.recording = False
        self.page = self.desk.winhv.input_gpn * 4096 + 1024
        self.labels = [self.page + 8 * k for k in range(LABELS)]
        for k, at in enumerate(self.labels):
            self.desk.machine.root_vp.write_gpa(at, k.to_bytes(8, "little"))
        self.simp = int(self.desk.hv.state["synic"][0, self.desk.number(0)]["message_spn"])
        self.start = self.take_picture()

    def take_picture(self):
        pages = (0, self.simp, int(self.desk.hv.state["port"]["spn"][0, 0]))
        return self.desk.hv.state.copy(), {spn: self.desk.hv.memory.page(spn).copy() for spn in pages}

    def put_back(self, picture):
        self.desk.hv.state[:] = picture[0]
        for spn, words in picture[1].items():
            self.desk.hv.memory.page(spn)[:] = words

    def op(self, op, *words):
        return int(self.desk.hv.turn([(0, int(op), *words)])[0])

    def observe(self):
        """Return slot, pending, queue, interrupt, as the model has them."""
        hv, vp = self.desk.hv, self.desk.number(0)
        words = hv.memory.page(self.simp)[64:68].tolist()
        slot = words[2] if words[0] & 0xFFFFFFFF else -1
        s = hv.state["synic"][0, vp]
        waits = int(np.any(hv.state["apic"][0, vp]["irr"] != 0))
        return slot, words[0] >> 40 & 1, int(s["depth"][2]), waits


def engine_step(bench, before, after, handler_moved):
    """Do in the engine what leads from one state of the model to the next."""
    vp = bench.desk.number(0)
    if not handler_moved:
        assert bench.op(synic_ops.POST, 0, 4, 1, 8, bench.labels[before[6]]) == 0
    elif before[4] == IDLE:
        bench.op(clockwork.ACCEPT, vp)
    elif before[4] == TOOK:
        bench.op(synic_ops.TAKE, vp, 2)
    elif before[4] == SAW and before[5]:
        bench.op(synic_ops.EOM, vp)


def test_the_engine_goes_through_the_same_states():
    bench, seen, todo = Bench(), {START}, deque()
    todo.append((START, bench.start))
    while todo:
        state, picture = todo.popleft()
        for moved, after in ((False, post(state)), (True, right(state))):
            bench.put_back(picture)
            if after is None:
                if not moved:
                    assert bench.op(synic_ops.POST, 0, 4, 1, 8, bench.labels[state[6]]) == 0x13
                continue
            engine_step(bench, state, after, moved)
            slot, pending, queue, irq = after[0], after[1], len(after[2]), after[3]
            found = bench.observe()
            assert found == (slot, pending, queue, irq)
            if after not in seen:
                seen.add(after)
                todo.append((after, bench.take_picture()))
    hold(bench.desk.machine)
    assert len(seen) == PINNED["right"][0]
