"""Rings for tests: one in a child's pages, through the door, and one alone in an array, without a machine."""

import numpy as np

from hvlab.hypervisor.core import SILENT
from hvlab.hypervisor.partition import STATE
from hvlab.kernel import I
from hvlab.machine import Machine
from hvlab.vmbus.engine import entry
from hvlab.vmbus.engine.words import END
from hvlab.vmbus.ring import POLICIES, RULES, TO_HOST, Reader, Writer

PAGE = 4096
SCATTERED = (0x5000, 0x9000, 0x7000, 0x6000, 0x12000)  # the control page, then the data


class Rig:
    """A child with a ring in scattered pages, and both ends of it."""

    def __init__(self, pages=2, policy="hvlab", counts=False, rule="empty", **machine):
        self.machine = Machine(memory=4 << 20, **machine)
        self.child = self.machine.child("web", memory=64 * PAGE)
        self.gpas = SCATTERED[: 1 + pages]
        self.window = self.child.vp.window(self.gpas)
        self.writer = Writer(self.window, 5, TO_HOST, policy=policy, count=counts, rule=rule)
        assert self.writer.prepare() is None
        self.reader = Reader(self.window, 5, TO_HOST, policy=policy)

    def poke(self, offset, data):
        assert self.window.write(offset, data) is None

    def told(self, action):
        """Do something, and return the names of the events that it told."""
        with self.machine.action():
            action()
        return self.machine.trace.kinds()


class Alone:
    """A ring in an array: pages in any order, both ends, operations compiled or by the source as plain Python."""

    def __init__(self, size, policy="hvlab", rule="empty", counts=False, limit=4096, operate=entry.operate):
        pages = -(-size // PAGE)
        order = np.random.default_rng(size).permutation(pages + 1)
        self.mem = np.zeros(512 * (pages + 1), np.int64)
        self.places = np.concatenate([512 * order, 0x10_0000 + (order << 12)]).astype(np.int64)
        self.state, self.size, self.operate = np.zeros(1, STATE), size, operate
        self.ends = {}
        for name in ("writer", "reader"):
            end = self.ends[name] = np.zeros(1, END)
            end["size"], end["policy"], end["rule"] = size, POLICIES[policy], RULES[rule]
            end["counts"], end["limit"] = int(counts), min(limit, size)
        self.arena = np.zeros(-(-size // 8), np.int64)
        self.mem[self.places[0] + 8] = 1  # the writer can wait for room

    def do(self, end, op, value=0, arena=None, trace=SILENT):
        arena = self.arena if arena is None else arena
        with np.errstate(over="ignore"):
            return int(
                self.operate(
                    self.state, self.mem, trace, I(0), I(-1), self.places, self.ends[end], I(op), arena, I(value)
                )
            )

    def write(self, *blocks, trace=SILENT):
        """Write packets (bytes without trailers): (how many, whether to signal)."""
        words = np.frombuffer(b"".join(block + bytes(8) for block in blocks), "<i8").astype(np.int64)
        done = self.do("writer", entry.WRITE, len(blocks), words, trace)
        return done, bool(self.ends["writer"]["signal"][0])

    def read(self, trace=SILENT):
        """Read the next packet: (verdict, its bytes)."""
        verdict = self.do("reader", entry.READ, trace=trace)
        length = int(self.ends["reader"]["length"][0]) if verdict == 0 else 0
        return verdict, self.arena[: length // 8].astype("<i8").tobytes()

    def close(self, trace=SILENT):
        return bool(self.do("reader", entry.CLOSE, trace=trace))

    def page(self, number):
        at = self.places[number]
        return self.mem[at : at + 512].astype("<i8").tobytes()

    @property
    def control(self):
        return self.page(0)

    @property
    def data(self):
        return b"".join(self.page(k) for k in range(1, len(self.places) // 2))[: self.size]

    def poke(self, page, word, value):
        self.mem[self.places[page] + word] = I(value)

    def poke_half(self, word, upper, value):
        """Write one 32-bit field of the control page, as the other side may."""
        at = self.places[0] + word
        halves = self.mem[at : at + 1].view("<u4")
        halves[1 if upper else 0] = value
