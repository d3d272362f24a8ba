"""Local APICs and an I/O APIC without any software, driven by the operations of the event kernel."""

import numpy as np

from hvlab.hardware import apic, ioapic
from hvlab.hypervisor import clockwork
from hvlab.hypervisor import virtual_apic as va
from hvlab.hypervisor.partition import STATE
from hvlab.trace.journal import Trace
from hvlab.wire.apic import ApicBase, Icr, Offset, Redirection

BUS, PAGE_WORDS = 1, 512
MODES = {"fixed": 0, "lowest": 1, "nmi": 4, "init": 5, "startup": 6}
SHORTHANDS = {"none": 0, "self": 1, "all": 2, "others": 3}


class Controllers:
    """`count` processors on one bus; `assist` gives each of them an assist page in a few words of memory."""

    def __init__(self, count=1, x2apic=True, assist=False, virtual=False, trace=True):
        self.state, self.mem = np.zeros(1, STATE), np.zeros(16, np.int64)
        self.rows = np.zeros((1 << 13 if trace else 0, 10), np.int64)
        for vp in range(count):
            apic.switch_on(self.state, vp, vp, BUS)
            if not x2apic:
                self[vp]["base"] = ApicBase.encode(enable=1, frame=0xFEE00)
            self[vp]["virtual"] = int(virtual)
            self[vp]["assist_at"] = 1 + vp if assist else 0
        ioapic.switch_on(self.state, BUS)
        self.state["cost"]["exit"] = 600

    def __getitem__(self, vp):
        return self.state["apic"][0, vp]

    def do(self, *rows, until=None):
        """Do rows of (operation, vp, a, b, …) at once, then let time pass; return the answers."""
        work, now = np.zeros((len(rows), clockwork.COLUMNS), np.int64), int(self.state["now"][0])
        for row, words in zip(work, rows, strict=True):
            row[0], row[1 : 1 + len(words)] = now, [int(word) for word in words]
        answer = np.zeros(len(rows), np.int64)
        end = np.int64(now if until is None else until)
        assert clockwork.advance(self.state, self.mem, self.rows, work, answer, end) == len(rows)
        return answer.tolist()

    def raise_vector(self, vector, vp=0, level=0, auto_eoi=0):
        return self.do((clockwork.RAISE, vp, vector, level, auto_eoi))[0]

    def take(self, vp=0):
        return self.do((clockwork.ACCEPT, vp))[0]

    def eoi(self, vp=0):
        return self.do((clockwork.EOI, vp))[0]

    def write(self, offset, value, vp=0):
        return self.do((va.APIC_WRITE, vp, offset, value))[0]

    def ipi(self, vector, to=0, sender=0, mode="fixed", shorthand="none", logical=False, x2apic=True, **fields):
        command = Icr.encode(
            vector=vector,
            delivery_mode=MODES[mode],
            logical=int(logical),
            shorthand=SHORTHANDS[shorthand],
            destination=to if x2apic else 0,
            **fields,
        )
        command -= 1 << 64 if command >> 63 else 0
        if x2apic:
            return self.write(Offset.ICR, command, sender)
        return self.do(
            (va.APIC_WRITE, sender, Offset.ICR_HIGH, to << 24), (va.APIC_WRITE, sender, Offset.ICR, command)
        )[-1]

    def line(self, pin, level):
        return self.do((va.PIN_LINE, 0, pin, level))[0]

    def program(self, pin, vector, level=0, masked=0, destination=0, logical=0, **fields):
        word = Redirection.encode(
            vector=vector, level=level, masked=masked, destination=destination, logical=logical, **fields
        )
        self.do((va.PIN_WRITE, 0, pin, word - (1 << 64) if word >> 63 else word))

    def entry(self, pin):
        return Redirection.decode(int(self.state["ioapic"]["entry"][0, pin]))

    def pending(self, vp=0):
        vector = int(apic.deliverable(self.state[0], vp))
        return None if vector < 0 else vector

    def vectors(self, name, vp=0):
        words = self[vp][name]
        return {64 * k + bit for k in range(4) for bit in range(64) if int(words[k]) >> bit & 1}

    def count(self, name, vp=0):
        return int(self[vp]["count"][name])

    def handle(self, handler, vp=0, most=20):
        """Let a processor take and handle interrupts until none is deliverable; return the vectors in their order."""
        taken = []
        while len(taken) < most and (vector := self.take(vp)) >= 0:
            taken.append(vector)
            handler(vector)
            self.eoi(vp)
        return taken

    @property
    def trace(self):
        return Trace(self.rows[: int(self.state["rows"][0])])
