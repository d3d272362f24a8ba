"""A ring whose other side writes what it likes, against the slow model after each step.

The first byte says whose rules the reader keeps; then each step is a byte that says what happens, and what it needs.
"""

from collections.abc import Iterator

from model.ring import ModelReader, ModelWriter, Shared, packet
from vmbus.rings import Alone
from vmbus.test_ring_model import WORDS as VERDICTS

from hvlab.errors import HvlabError

ALLOWED = (HvlabError,)
MODULES = (
    "hvlab.vmbus.engine.words",
    "hvlab.vmbus.engine.writer",
    "hvlab.vmbus.engine.reader",
    "hvlab.vmbus.engine.entry",
    "hvlab.vmbus.engine.told",
)
WORDS = tuple(
    b"".join(word.to_bytes(2, "little") for word in head).decode("latin-1")
    for head in ((6, 2, 2, 0), (9, 3, 4, 1), (7, 3, 3, 1), (11, 2, 3, 0), (6, 2, 0xFFFF, 0), (9, 2, 3, 0))
)
SIZE, MOST_STEPS = 4096, 40
POLICIES = ("hvlab", "openvmm", "linux")
FIELDS = (
    ("write_index", 0, False),
    ("interrupt_mask", 1, False),
    ("pending_send_size", 1, True),
    ("feature_bits", 8, False),
)
WRITE, READ, CLOSE, POKE, WORD, FROM_READER = range(6)


def seeds() -> Iterator[bytes]:
    index = bytes((POKE, 0))
    head = b"".join(word.to_bytes(2, "little") for word in (6, 2, 3, 0))
    for policy in range(3):
        yield bytes((policy, WRITE, 20, 0, READ, CLOSE, WRITE, 200, 3, READ, READ, CLOSE))
        for there in (0, 8, 16, 24, 32, 4092, 4096, 1 << 31):
            step = bytes((WORD, 0)) + head + index + there.to_bytes(4, "little")
            yield bytes((policy,)) + step + bytes((READ, CLOSE)) + bytes((POKE, 2)) + (64).to_bytes(4, "little")
        yield bytes((policy, POKE, 1, 1, 0, 0, 0, WRITE, 8, 1)) + bytes((READ,) * 3)


class Steps:
    """What a run of bytes lets the two sides do."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        policy = POLICIES[self.number(1) % 3]
        self.ring, self.shared = Alone(SIZE, policy), Shared(SIZE)
        self.writer, self.reader = ModelWriter(self.shared), ModelReader(self.shared, policy)

    def number(self, count: int) -> int:
        self.at += count
        return int.from_bytes(self.data[self.at - count : self.at].ljust(count, b"\0"), "little")

    def step(self) -> None:
        what = self.number(1) % 6
        if what == WRITE:
            size, how = self.number(1), self.number(1)
            kind, extra = (6, b"") if how & 3 else (9, bytes(8 * (how >> 6)))
            block = packet(kind, bytes(size * (1 + (how >> 4 & 3))), how, bool(how & 4), extra)
            assert self.ring.write(block) == self.writer.write([block])
        elif what == READ:
            verdict, block = self.ring.read()
            assert (VERDICTS[verdict], block) == self.reader.read()
        elif what == CLOSE:
            assert self.ring.close() == self.reader.close()
        elif what == POKE:
            name, word, upper = FIELDS[self.number(1) % 4]
            value = self.number(4)
            setattr(self.shared, name, value)
            self.ring.poke_half(word, upper, value)
        else:
            place = self.number(1) if what == WORD else (self.reader.index >> 3) + self.number(1) % 4
            value = self.data[self.at : self.at + 8].ljust(8, b"\0")
            self.at += 8
            at = 8 * place % SIZE
            self.shared.copy_in(at, value)
            self.ring.poke(1, at >> 3, int.from_bytes(value, "little", signed=True))


def one(data: bytes) -> None:
    steps = Steps(data)
    for _ in range(MOST_STEPS):
        if steps.at >= len(data):
            break
        steps.step()
        own = int(steps.ring.ends["reader"]["index"][0])
        assert own == steps.reader.index and 0 <= own < SIZE and own % 8 == 0
    assert steps.ring.control == steps.shared.control_page()
    assert steps.ring.data == bytes(steps.shared.data)
