"""The SynIC against the slow model: random operations, and the same statuses, slots, flags and interrupts."""

import random

import pytest
from invariants import hold
from model.synic import Port, Synic

from hvlab.hypervisor import synic_ops
from hvlab.kernel import PLAIN
from hvlab.wire.synic import StimerConfig
from hvlab.wire.tlfs import MessageHeader, Msr
from hypervisor.desk import FLAGS, MESSAGES, PAGE, VECTOR, Desk

STEPS = 150 if PLAIN else 600
# connection -> (SINT, processor or None for any, flags)
WIRES = {
    4: (2, 0, None),
    5: (2, 1, None),
    6: (3, 0, None),
    7: (2, None, None),
    8: (2, 0, (64, 64)),
    9: (3, 1, (0, 2048)),
}


class Both:
    """One desk and one model, led by the same dice."""

    def __init__(self, seed):
        self.pick, self.desk, self.model = random.Random(seed), Desk(), Synic(2)
        for number, (sint, vp, flags) in WIRES.items():
            self.desk.wire(number, sint, 0xFFFFFFFF if vp is None else vp, flags)
            base, count = flags or (0, 0)
            self.model.ports[number] = Port("event" if flags else "message", vp, sint, number, base, count)
        for k, vp in enumerate(self.model.vps):
            vp.masked = set(range(16)) - {2, 3}
            vp.vector[2], vp.vector[3] = VECTOR, 0x40
            self.desk.sint(3, k, vector=0x40)
        self.desk.hv.recording = False
        self.page = self.desk.winhv.input_gpn * PAGE + 1024

    def post(self):
        number, size = self.pick.choice((4, 4, 4, 5, 6, 7, 8, 99)), self.pick.choice((0, 1, 8, 13, 240, 241))
        payload, kind = self.pick.randbytes(min(size, 240)), self.pick.choice((1, 1, 5, 0, 1 << 31))
        if payload:
            self.desk.machine.root_vp.write_gpa(self.page, payload)
        ours = int(self.desk.hv.turn([(0, int(synic_ops.POST), 0, number, kind, size, self.page)])[0])
        return ours, self.model.post(number, kind, payload, size)

    def signal(self):
        number, flag = self.pick.choice((8, 9, 9, 4, 99)), self.pick.choice((0, 1, 63, 64, 700))
        ours = int(self.desk.hv.turn([(0, int(synic_ops.SIGNAL), 0, number, flag)])[0])
        return ours, self.model.signal(number, flag)

    def take(self):
        vp, sint = self.pick.randrange(2), self.pick.choice((2, 2, 2, 3))
        return self.desk.take(vp, sint), self.model.take(vp, sint)

    def eom(self):
        vp = self.pick.randrange(2)
        return self.desk.eom(vp), self.model.eom(vp)

    def end(self):
        vp = self.pick.randrange(2)
        self.desk.accept(vp)
        vector = self.desk.eoi(vp)
        return None, self.model.eoi(vp, vector) if vector >= 0 else None

    def clear(self):
        vp, sint = self.pick.randrange(2), self.pick.choice((2, 3))
        return self.desk.do(synic_ops.CLEAR_FLAGS, vp, sint), self.model.clear_flags(vp, sint)

    def mask(self):
        vp, sint, masked = self.pick.randrange(2), self.pick.choice((2, 3)), self.pick.choice((0, 0, 1))
        polling = self.pick.choice((0, 0, 0, 1))
        m = self.model.vps[vp]
        self.desk.sint(sint, vp, vector=m.vector[sint], masked=masked, polling=polling)
        for marks, on in ((m.masked, masked), (m.polling, polling)):
            (marks.add if on else marks.discard)(sint)
        return 0, 0

    def switch(self):
        vp, what = self.pick.randrange(2), self.pick.choice(("on", "message_page", "flags_page"))
        on = self.pick.choice((True, True, False))
        register = {"on": Msr.SCONTROL, "message_page": Msr.SIMP, "flags_page": Msr.SIEFP}[what]
        page = {"on": 0, "message_page": MESSAGES[vp], "flags_page": FLAGS[vp]}[what]
        self.desk.vps[vp].wrmsr(register, page << 12 | on)
        setattr(self.model.vps[vp], what, on)
        return 0, 0

    def time(self):
        self.desk.wait(self.pick.choice((1, 10, 100, 1000)))
        self.model.advance(self.desk.age())
        return 0, 0

    def timer(self):
        vp, number = self.pick.randrange(2), self.pick.randrange(4)
        self.model.advance(self.desk.age())
        fields = {name: self.pick.randrange(2) for name in ("enable", "periodic", "lazy", "auto_enable")}
        value = StimerConfig.encode(
            **fields, sint=self.pick.choice((0, 2, 2, 3)), direct=self.pick.choice((0, 0, 0, 1)), vector=0x90
        )
        self._settle()
        self.desk.hv.turn([(0, int(synic_ops.STIMER_CONFIG), self.desk.number(vp), number, value)])
        return None, self.model.set_timer(vp, number, value)

    def count(self):
        vp, number = self.pick.randrange(2), self.pick.randrange(4)
        self._settle()
        value = self.pick.choice((0, 40, 90, 300, self.model.now + 50, self.model.now + 2000))
        self.desk.hv.turn([(0, int(synic_ops.STIMER_COUNT), self.desk.number(vp), number, value)])
        return None, self.model.set_count(vp, number, value)

    def _settle(self):
        """Bring both clocks to the same unit of reference time."""
        now, born = int(self.desk.hv.state["now"][0]), int(self.desk.hv.state["partition"]["born"][0, 2])
        self.desk.hv.turn((), until=now + (born - now) % 100)
        self.model.advance((int(self.desk.hv.state["now"][0]) - born) // 100)

    def compare(self):
        hv = self.desk.hv
        for k, m in enumerate(self.model.vps):
            s = hv.state["synic"][0, self.desk.number(k)]
            pages = [hv.memory.read(int(s[name]) << 12, PAGE) for name in ("message_spn", "flags_spn")]
            for sint in (2, 3):
                header = MessageHeader.decode(pages[0][256 * sint :])
                body = pages[0][256 * sint + 16 :][: header.payload_size]
                assert int(s["depth"][sint]) == len(m.queues.get(sint, []))
                if sint in m.slots:
                    kind, payload, sender = m.slots[sint]
                    assert (header.type, header.sender, body[: len(payload)][:16]) == (kind, sender, payload[:16])
                    assert header.flags == m.pending.get(sint, 0)
                else:
                    assert header.type == 0
            word = [int.from_bytes(pages[1][256 * sint : 256 * sint + 256], "little") for sint in range(16)]
            assert {(sint, k) for sint in range(16) for k in range(2048) if word[sint] >> k & 1} == m.flags
            assert self.desk.raised(k) == len(m.raised)


ACTIONS = ("post", "post", "post", "signal", "take", "take", "eom", "end", "clear", "mask", "switch", "time", "timer")


@pytest.mark.parametrize("seed", range(4))
def test_random_operations_end_the_same_way(seed):
    both = Both(seed)
    for step in range(STEPS):
        name = both.pick.choice((*ACTIONS, "count"))
        ours, theirs = getattr(both, name)()
        assert ours == theirs, (step, name)
        both.model.advance(both.desk.age())
        both._settle()
        both.compare()
        if step % 50 == 0:
            hold(both.desk.machine)
    hold(both.desk.machine)
