"""The complete life of two channels: every state that can be reached, every action in each, beside a small model."""

import numpy as np
from model import channels as model

from hvlab.machine import Machine
from hvlab.vmbus.gpadl import messages
from hvlab.vmbus.invariants import check_bus
from hvlab.vmbus.offer import Device
from hvlab.vmbus.states import Connection, Gpadl, State
from hvlab.wire import vmbus

PAGE = 4096
NAMES = {State.RELEASED: "unknown", State.OFFERED: "closed", State.OPEN: "open", State.RESCINDED: "revoked"}
MESSAGES = {
    "contact": (vmbus.InitiateContact5, {"version": vmbus.V5_3, "target_sint": 2}),
    "unload": (vmbus.Unload, {}),
    "offers": (vmbus.RequestOffers, {}),
}


class Walker:
    """A guest that says one message at a time and throws every answer away, and its host."""

    def __init__(self):
        self.machine = Machine(memory=1 << 20)
        child = self.machine.child("web", memory=64 * PAGE, pool=24)
        self.machine.vmbus.host(child.partition_id)
        self.machine.boot_kernel(child)
        self.machine.hv.recording = False
        self.refused, self.posted = [], []
        self.tell, self.host.vp.tell = self.host.vp.tell, self.hear
        self.machine.vmbus.box.posted = self.posted
        self.base = self.machine.state.view(np.int64).copy(), self.machine.mem.copy()

    def hear(self, name, **words):
        """Note what the host refuses, which is not recorded here."""
        if name == "channel_message_refused":
            self.refused.append(words["why"])
        return self.tell(name, **words)

    @property
    def host(self):
        return next(iter(self.machine.vmbus.hosts.values()))

    def save(self):
        """Return where state and memory differ from the beginning, and what the drivers hold."""
        now = self.machine.state.view(np.int64), self.machine.mem
        parts = [(np.flatnonzero(one != base), one) for one, base in zip(now, self.base, strict=True)]
        software = self.machine.snapshot()
        pinned = dict(self.machine.children["web"].partition.pinned)
        return [(where, one[where].copy()) for where, one in parts], software.bus, software.software, pinned

    def load(self, saved):
        """Go back to what `save` returned."""
        parts, bus, software, pinned = saved
        for (where, values), one, base in zip(
            parts, (self.machine.state.view(np.int64), self.machine.mem), self.base, strict=True
        ):
            one[:] = base
            one[where] = values
        self.machine.hv.tables += 1
        self.machine.vid.winhv.memory.free = list(software[0])
        self.machine._restore_bus(bus)
        self.machine.children["web"].partition.pinned = dict(pinned)
        self.machine.vid.partitions[self.machine.children["web"].partition_id].pinned = dict(pinned)

    def do(self, action):
        """Do one action; return (the host's messages, whether it was refused)."""
        name, what = action
        self.refused.clear(), self.posted.clear()
        with self.machine.action():
            if name == "offer":
                self.host.offer(
                    Device(what, f"{ord(what):08x}-0000-0000-0000-000000000000", vmbus.guid_text(bytes(16)))
                )
            elif name == "rescind":
                there = self.host.state.channels.values()
                self.host.rescind(next(one.number for one in there if one.device.name == what and not one.gone))
            else:
                self.machine.kernels["web"].boxes[0].post(self.connection(name), self.message(name, what))
            while self.machine.vmbus.service() or self.drop():
                pass
        return [int.from_bytes(data[:4], "little") for _, data, _ in self.posted], bool(self.refused)

    def connection(self, name):
        return 4 if name == "contact" else int(vmbus.ConnectionId.REDIRECT)

    def message(self, name, what):
        if name in MESSAGES:
            kind, fields = MESSAGES[name]
            return vmbus.pack(kind, **fields)
        if name == "pages":
            return messages(what, 0x100 + what, range(40, 44))[0]
        words = {"channel_id": what}
        if name in ("teardown", "open"):
            words |= {"gpadl_id": 0x100 + what}
        if name == "open":
            words |= {"open_id": what, "downstream_offset": 2}
        kinds = {
            "teardown": vmbus.GpadlTeardown,
            "open": vmbus.Open,
            "close": vmbus.Close,
            "release": vmbus.ReleaseChannel,
        }
        return vmbus.pack(kinds[name], **words)

    def drop(self):
        """Throw away what the guest was told; whether there was anything."""
        box, dropped = self.machine.kernels["web"].boxes[0], False
        while box.waits():
            box.interrupt(lambda: None)
        while box.take() is not None:
            dropped = True
        return dropped

    def state(self):
        """Return the host's state in the model's words."""
        host = self.host.state
        connected = 0 if host.connection == Connection.DISCONNECTED else 2 if host.offered else 1
        found = []
        for one in host.channels.values():
            pages = [p for p in host.gpadls.values() if p.channel == one.number and p.state == Gpadl.LIVE]
            used = any(p.in_use for p in pages)
            found.append((one.device.name, one.gone, NAMES[one.state], one.channel_id, bool(pages), used))
        return connected, tuple(found)


def test_every_reachable_state_of_two_channels_and_every_action_in_it_agree_with_the_model():
    wanted, transitions = model.reachable()
    walker = Walker()
    assert walker.state() == model.FIRST
    seen, todo, steps = {model.FIRST: walker.save()}, [model.FIRST], 0
    while todo:
        at = todo.pop()
        for action in model.actions():
            expected = model.step(at, action)
            if expected is None:
                continue
            walker.load(seen[at])
            answers, refused = walker.do(action)
            found, steps = walker.state(), steps + 1
            assert (found, answers, refused) == expected, f"{action} in {at}"
            assert check_bus(walker.machine) == [], f"{action} in {at}"
            if found not in seen:
                seen[found] = walker.save()
                todo.append(found)
    assert set(seen) == wanted
    assert (len(seen), steps, transitions) == (223, 3185, 3185)


def test_the_model_says_what_openvmm_says_of_a_close_that_was_not_open():
    state = (2, (("A", False, "closed", 1, True, False),))

    assert model.step(state, ("close", 1)) == (state, [], True)
    assert model.step(state, ("open", 1))[1:] == ([6], False)
    assert model.step(state, ("release", 1))[0] == (2, (("A", False, "unknown", 0, False, False),))
