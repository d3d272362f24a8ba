"""Compiled, plain and the slow model: three rings that get the same, and stay equal to the last bit."""

import random

import pytest
from model.ring import ModelReader, ModelWriter, Shared, packet

from hvlab.kernel import plain
from hvlab.vmbus.engine import entry
from vmbus.rings import Alone

WORDS = {
    0: "ok",
    1: "empty",
    2: "bad_pointer",
    3: "bad_avail",
    4: "bad_lengths",
    5: "bad_lengths",
    6: "trailer_outside",
    7: "bad_flags",
    8: "bad_type",
    9: "bad_range_count",
}
PAGES = 2
SIZE = 4096 * PAGES


class Three:
    """The same ring three times."""

    def __init__(self, policy, rule, counts):
        self.rings = [Alone(SIZE, policy, rule, counts, operate=how) for how in (entry.operate, plain(entry.operate))]
        self.shared = Shared(SIZE)
        self.writer, self.reader = ModelWriter(self.shared, rule, counts), ModelReader(self.shared, policy)

    def write(self, blocks):
        wanted = self.writer.write(blocks)
        assert [ring.write(*blocks) for ring in self.rings] == [wanted] * 2

    def read(self):
        wanted = self.reader.read()
        for ring in self.rings:
            verdict, block = ring.read()
            assert (WORDS[verdict], block) == wanted
        return wanted[0] == "ok"

    def close(self):
        wanted = self.reader.close()
        assert [ring.close() for ring in self.rings] == [wanted] * 2

    def field(self, name, word, upper, value):
        setattr(self.shared, name, value)
        for ring in self.rings:
            ring.poke_half(word, upper, value)

    def scribble(self, at, block):
        """What a hostile side writes into the data."""
        self.shared.copy_in(at, block)
        for ring in self.rings:
            ring.poke(1 + (at >> 12), at >> 3 & 511, int.from_bytes(block, "little", signed=True))

    def equal(self):
        control, data = self.shared.control_page(), bytes(self.shared.data)
        for ring in self.rings:
            assert ring.control == control
            assert ring.data == data
            assert int(ring.ends["reader"]["index"][0]) == self.reader.index


def some_packet(luck, sound=True):
    kind = luck.choice([6, 6, 11, 9, 7]) if sound else luck.choice([6, 9, 7, 10, 5])
    extra = luck.randbytes(8 * luck.choice([1, 2, 5] if sound and kind in (7, 9) else [0, 0, 1, 4]))
    length = luck.choice([luck.randrange(64), luck.randrange(2000), luck.randrange(4000)])
    return packet(kind, luck.randbytes(length), luck.getrandbits(64), luck.random() < 0.5, extra)


def some_words(luck):
    """The first word of a descriptor, or zeros."""
    if luck.random() < 0.4:
        return bytes(8)
    words = (
        luck.choice([6, 7, 9, 11, 8]),
        luck.choice([0, 2, 3, 3, 9]),
        luck.choice([2, 3, 9, 900]),
        luck.choice([0, 1, 1, 2]),
    )
    return b"".join(word.to_bytes(2, "little") for word in words)


@pytest.mark.parametrize("policy", ["hvlab", "openvmm", "linux"])
@pytest.mark.parametrize("rule, counts", [("empty", True), ("always", False)])
def test_three_rings_that_are_used_well_stay_equal(policy, rule, counts):
    luck, three = random.Random(f"{policy} {rule}"), Three(policy, rule, counts)

    for _ in range(700):
        match luck.randrange(8):
            case 0 | 1 | 2:
                three.write([some_packet(luck) for _ in range(luck.choice([1, 1, 1, 2, 4]))])
            case 3 | 4:
                three.read()
            case 5:
                while three.read():
                    pass
                three.close()
            case 6:
                three.field("interrupt_mask", 1, False, luck.choice([0, 0, 1]))
                three.close()
            case 7:
                three.field("pending_send_size", 1, True, luck.choice([0, luck.randrange(SIZE), SIZE - 1]))
        three.equal()

    writer, reader = (three.rings[0].ends[name] for name in ("writer", "reader"))
    assert min(writer["packets"][0], reader["packets"][0]) > 200
    assert writer["signals"][0] > 20 and reader["signals"][0] > 5


@pytest.mark.parametrize("policy", ["hvlab", "openvmm", "linux"])
def test_three_rings_with_a_hostile_other_side_stay_equal(policy):
    luck, three, verdicts = random.Random(policy), Three(policy, "empty", False), set()

    for _ in range(2500):
        match luck.randrange(6):
            case 0:
                three.write([some_packet(luck, luck.random() < 0.7)])
            case 1:
                near = (three.reader.index + luck.choice([0, 8, 16, 24, 32, 72, 80])) % SIZE
                three.field("write_index", 0, False, luck.choice([near, near, luck.randrange(SIZE) & ~7, near + 4]))
            case 2:
                three.scribble((three.reader.index + luck.choice([0, 0, 16])) % SIZE, some_words(luck))
            case 3 | 4:
                three.read()
                verdicts.add(int(three.rings[0].ends["reader"]["verdict"][0]))
            case 5:
                three.close()
                three.field("feature_bits", 8, False, luck.randrange(2))
        three.equal()

    everything = set(WORDS)
    assert verdicts == {"hvlab": everything, "openvmm": everything - {6}, "linux": {0, 1}}[policy]
