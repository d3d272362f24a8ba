"""Random steps on four processors and an I/O APIC: the engine and the slow model of sets agree after every batch."""

import random

import pytest
from hardware.controllers import MODES, SHORTHANDS, Controllers
from model.apic import Machine

from hvlab.hypervisor import clockwork
from hvlab.hypervisor import virtual_apic as va
from hvlab.hypervisor.interrupt_invariants import check_apic
from hvlab.kernel import PLAIN
from hvlab.wire.apic import Icr, Offset, Redirection, Svr

CPUS, BATCH = 4, 40
VECTORS = [0x0F, 0x10, 0x1F, 0x30, 0x3F, 0x40, 0x41, 0x52, 0x53, 0x7F, 0x80, 0x81, 0x95, 0xBF, 0xC0, 0xE1, 0xFE, 0xFF]
STEPS = 2_000 if PLAIN else 60_000
WEIGHTS = {
    "arrive": 22,
    "take": 22,
    "eoi": 18,
    "tpr": 6,
    "ipi": 10,
    "line": 10,
    "program": 3,
    "nmi": 2,
    "end_nmi": 3,
    "software_enable": 12,
    "write_esr": 1,
    "ldr": 1,
}


def signed(word):
    return word - (1 << 64) if word >> 63 else word


class Pair:
    """One machine twice: rows for the engine, calls for the model."""

    def __init__(self, seed, x2apic, assist):
        self.luck, self.x2apic = random.Random(seed), x2apic
        self.engine = Controllers(CPUS, x2apic=x2apic, assist=assist, trace=False)
        self.model = Machine(CPUS, x2apic)
        for apic in self.model.apics:
            apic.assist = assist
        self.rows, self.answers = [], []

    def row(self, operation, vp, *words, answer=None):
        self.rows.append((operation, vp, *words))
        self.answers.append(answer)

    def arrive(self, vp):
        vector, level, auto = self.luck.choice(VECTORS), self.luck.random() < 0.2, self.luck.random() < 0.1
        said = {"waits": 1, "merged": 0, "illegal": -1, "dropped": -2}
        said = said[self.model.apics[vp].arrive(vector, level, auto)]
        self.row(clockwork.RAISE, vp, vector, int(level), int(auto), answer=said)

    def take(self, vp):
        vector = self.model.apics[vp].take()
        self.row(clockwork.ACCEPT, vp, answer=-1 if vector is None else vector)

    def eoi(self, vp):
        self.model.eoi(vp)
        self.row(clockwork.EOI, vp)

    def tpr(self, vp):
        value = self.luck.choice([0, 0, 0x10, 0x2F, 0x40, 0x75, 0xFF])
        self.model.apics[vp].tpr = value
        self.row(va.APIC_WRITE, vp, Offset.TPR, value)

    def ipi(self, vp):
        mode = self.luck.choice(["fixed"] * 6 + ["lowest"] * 2 + ["nmi", "init", "startup"])
        shorthand = self.luck.choice(["none"] * 4 + ["self", "all", "others"])
        logical, vector = self.luck.random() < 0.5, self.luck.choice(VECTORS)
        wide = [0, 1, 2, 3, 5, 9, 0xF, 0x10001, 0xFFFFFFFF, 0xFF]
        narrow = [0, 1, 2, 3, 5, 0x0C, 0x11, 0x21, 0x23, 0xFF, 0x2F]
        to = self.luck.choice(wide if self.x2apic else narrow)
        meant = self.model.ipi(vp, vector, mode, to, logical, shorthand)
        word = Icr.encode(
            vector=vector,
            delivery_mode=MODES[mode],
            logical=int(logical),
            shorthand=SHORTHANDS[shorthand],
            destination=to if self.x2apic else 0,
        )
        if not self.x2apic:
            self.row(va.APIC_WRITE, vp, Offset.ICR_HIGH, to << 24)
        self.row(va.APIC_WRITE, vp, Offset.ICR, signed(word), answer=sum(1 << k for k in meant))

    def line(self, vp):
        pin, asserted = self.luck.randrange(3), self.luck.random() < 0.5
        self.model.line(pin, asserted)
        self.row(va.PIN_LINE, 0, pin, int(asserted))

    def program(self, vp):
        pin, vector, to = self.luck.randrange(3), self.luck.choice(VECTORS[1:]), self.luck.choice([0, 1, 2, 7, 0xFF])
        logical, level, masked = (self.luck.random() < odds for odds in (0.4, 0.6, 0.2))
        self.model.program(pin, vector, to, logical, level, masked)
        words = {"logical": int(logical), "level": int(level), "masked": int(masked)}
        self.row(va.PIN_WRITE, 0, pin, signed(Redirection.encode(vector=vector, destination=to, **words)))

    def nmi(self, vp):
        self.row(va.RAISE_NMI, vp, answer=int(self.model.apics[vp].nmi()))

    def end_nmi(self, vp):
        self.model.apics[vp].end_nmi()
        self.row(va.END_NMI, vp)

    def software_enable(self, vp):
        enabled = self.luck.random() < 0.8
        self.model.apics[vp].enabled = enabled
        self.row(va.APIC_WRITE, vp, Offset.SVR, Svr.encode(vector=0xFF, enable=int(enabled)))

    def write_esr(self, vp):
        apic = self.model.apics[vp]
        apic.shown, apic.collected = apic.collected, set()
        self.row(va.APIC_WRITE, vp, Offset.ESR, 0)

    def ldr(self, vp):
        if self.x2apic:
            return
        flat, mine = self.luck.random() < 0.5, self.luck.choice([1, 2, 4, 8, 0x21, 0x22, 0x11])
        self.model.apics[vp].flat, self.model.apics[vp].ldr = flat, mine << 24
        self.row(va.APIC_WRITE, vp, Offset.LDR, mine << 24)
        self.row(va.APIC_WRITE, vp, Offset.DFR, 0xFFFFFFFF if flat else 0x0FFFFFFF)

    def flush(self):
        """Let the engine do what the model did, and compare answers and all that is left."""
        given = self.engine.do(*self.rows)
        for k, (row, mine, theirs) in enumerate(zip(self.rows, given, self.answers, strict=True)):
            assert theirs is None or mine == theirs, (k, [int(word) for word in row], mine, theirs)
        self.rows, self.answers = [], []
        for vp, apic in enumerate(self.model.apics):
            assert self.seen(vp) == self.wanted(apic), vp
            assert check_apic(self.engine[vp], vp) == []
        pins = [self.engine.entry(pin).remote_irr for pin in range(3)]
        assert pins == [int(pin.remote_irr) for pin in self.model.pins[:3]]

    def seen(self, vp):
        a, errors = self.engine[vp], ("send illegal vector", "received illegal vector")
        return {
            **{name: self.engine.vectors(name, vp) for name in ("irr", "isr", "tmr")},
            "pending": self.engine.pending(vp),
            "nmi": (int(a["nmi"]), bool(a["nmi_runs"]), bool(a["waits"])),
            "errors": {text for bit, text in enumerate(errors, 5) if int(a["errors"]) >> bit & 1},
            "shown": {text for bit, text in enumerate(errors, 5) if int(a["esr"]) >> bit & 1},
            "assist": (bool(a["lazy"]), bool(int(self.engine.mem[1 + vp]) & 1)),
            "exits": (int(a["count"]["eoi_exits"]), int(a["count"]["eoi_assisted"])),
        }

    @staticmethod
    def wanted(apic):
        return {
            "irr": apic.requested,
            "isr": apic.in_service,
            "tmr": apic.level,
            "pending": apic.pending(),
            "nmi": (apic.nmis, apic.in_nmi, apic.waits_for_startup),
            "errors": apic.collected,
            "shown": apic.shown,
            "assist": (apic.owed, apic.no_eoi_required),
            "exits": (apic.exits, apic.saved),
        }


@pytest.mark.parametrize("assist", [False, True], ids=["plain", "assist"])
@pytest.mark.parametrize("x2apic", [False, True], ids=["xapic", "x2apic"])
def test_random_steps_leave_the_engine_and_the_model_alike(x2apic, assist):
    pair = Pair(f"{x2apic} {assist}", x2apic, assist)
    names, weights = list(WEIGHTS), list(WEIGHTS.values())

    for number, name in enumerate(pair.luck.choices(names, weights, k=STEPS)):
        getattr(pair, name)(pair.luck.randrange(CPUS))
        if number % BATCH == BATCH - 1:
            pair.flush()

    delivered = sum(pair.engine.count("delivered", vp) for vp in range(CPUS))
    assert delivered > STEPS // 20
