"""A ring of 64 bytes, a reader, and a writer that may change any word between any two steps of the reader.

The whole reachable set is walked twice: by a model in numbers, written from the reference facts, and by the kernels.
The data are eight words; each is the head of a short packet (16 bytes) or of a long one (48), as the hostile writer
likes. Its index is any of the eight that may stand there, or one of two that may not. The reader's steps: look at the
write index; take the descriptor's first word; judge its copy; publish.
"""

import numpy as np
import pytest
from model.ring import packet

from hvlab.kernel import I, entry_point, plain
from hvlab.vmbus.engine import words
from hvlab.vmbus.engine.reader import SOUND, judge_head
from hvlab.vmbus.engine.words import END, filled, further, inside
from vmbus.rings import Alone

SIZE = 64
INDICES = np.array([0, 8, 16, 24, 32, 40, 48, 56, 4, 64])
SHORT, LONG = 2, 6  # words of a packet; 8 bytes of trailer come with each
HEADS = np.array([6 | 2 << 16 | SHORT << 32, 6 | 2 << 16 | LONG << 32])
ROOMS = 6  # bytes that may be there when a descriptor is looked at: 16, 24 … 56
IDLE, LOOKED, TAKEN, JUDGED, PHASES = 0, 1, 1 + ROOMS, 1 + 3 * ROOMS, 1 + 3 * ROOMS + 2
STATES = len(INDICES) * 256 * 8 * PHASES
PINNED = (430_080, 7_741_440)  # states, all of which can be reached, and steps between them


def model():
    """Walk the set with sets of numbers: (states, steps, read indices that were published)."""
    seen, new = np.zeros(STATES, bool), np.array([0])
    seen[0], steps, published = True, 0, set()
    while len(new):
        rest, phase = np.divmod(new, PHASES)
        rest, own = np.divmod(rest, 8)
        index, data = np.divmod(rest, 256)

        def number(index, data, own, phase):
            return ((index * 256 + data) * 8 + own) * PHASES + phase

        after = [number((index + k) % 10, data, own, phase) for k in range(1, 10)]
        after += [number(index, data ^ 1 << k, own, phase) for k in range(8)]
        after.append(number(index, data, *reader(index, data, own, phase, published)))
        steps += sum(map(len, after))
        new = np.unique(np.concatenate(after))
        new = new[~seen[new]]
        seen[new] = True
    return int(seen.sum()), steps, published


def reader(index, data, own, phase, published):
    """The reader's step, for many states at once: (read index in words, phase)."""
    write = INDICES[index]
    there = (write - 8 * own) % SIZE
    can_look = (write < SIZE) & (write % 8 == 0) & (there >= 16)
    long = data >> own & 1
    room, kind = np.divmod(phase - TAKEN, 2)
    fits = 8 * np.where(kind == 1, LONG, SHORT) + 8 <= 16 + 8 * room
    moved = (own + np.where(phase - JUDGED == 1, LONG, SHORT) + 1) % 8
    published.update(moved[phase >= JUDGED].tolist())
    cases = [phase == IDLE, phase < TAKEN, phase < JUDGED]
    after = [
        np.where(can_look, LOOKED + (there - 16) // 8, IDLE),
        TAKEN + 2 * (phase - LOOKED) + long,
        np.where(fits, JUDGED + kind, IDLE),
    ]
    return np.where(phase >= JUDGED, moved, own), np.select(cases, after, IDLE)


@entry_point
def walk(end, heads, indices, seen, stack):
    """Walk the set with the kernels of the ring; return (states, steps, invariants broken)."""
    e, top, states, steps, broken = end[0], I(1), I(1), I(0), I(0)
    seen[0], stack[0] = 1, 0
    while top > 0:
        top -= 1
        state = stack[top]
        phase, rest = state % PHASES, state // PHASES
        own, data, index = rest % 8, rest // 8 % 256, rest // 2048
        for k in range(18):
            to_index, to_data, to_own, to_phase = index, data, own, phase
            if k < 9:
                to_index = (index + k + 1) % 10
            elif k < 17:
                to_data = data ^ I(1) << (k - 9)
            elif phase == IDLE:
                available = filled(e, indices[index], own * 8)
                if inside(e, indices[index]) and indices[index] != own * 8 and available >= 16:
                    to_phase = I(LOOKED) + (available - 16 >> 3)
            elif phase < TAKEN:
                to_phase = I(TAKEN) + 2 * (phase - LOOKED) + (data >> own & 1)
            elif phase < JUDGED:
                available = I(16) + 8 * ((phase - TAKEN) // 2)
                verdict = judge_head(e, heads[(phase - TAKEN) % 2], available)
                to_phase = I(JUDGED) + (phase - TAKEN) % 2 if verdict == SOUND else I(IDLE)
            else:
                length = (heads[phase - JUDGED] >> 32 & 0xFFFF) * 8
                moved = further(e, own * 8, length + 8)
                broken += I(not inside(e, moved))
                to_own, to_phase = moved >> 3, I(IDLE)
            steps += 1
            to = ((to_index * 256 + to_data) * 8 + to_own) * PHASES + to_phase
            if seen[to] == 0:
                seen[to] = 1
                stack[top] = to
                top += 1
                states += 1
    return states, steps, broken


@pytest.mark.compiled
def test_every_interleaving_of_a_reader_and_a_hostile_writer_keeps_the_index_in_the_ring():
    end = np.zeros(1, END)
    end["size"] = SIZE
    seen, stack = np.zeros(STATES, np.int64), np.zeros(STATES, np.int64)

    states, steps, broken = walk(end, HEADS, INDICES, seen, stack)
    model_states, model_steps, published = model()

    assert (states, steps, broken) == (*PINNED, 0)
    assert (model_states, model_steps) == PINNED
    assert published == set(range(8))


@pytest.mark.parametrize("long", [False, True])
def test_the_steps_of_the_walk_are_those_of_the_reader(long):
    """Without a writer in between, the four steps do what the reader does at once."""
    for own in range(8):
        for write in INDICES:
            ring = Alone(SIZE, operate=plain(Alone(SIZE).operate))
            ring.ends["reader"]["index"] = ring.ends["reader"]["committed"] = 8 * own
            ring.poke_half(0, False, write)
            ring.poke(1, own, HEADS[int(long)])
            state = np.array([own]), np.array([IDLE])
            index, data = np.array([INDICES.tolist().index(write)]), np.array([int(long) << own])
            for _ in range(4):
                state = reader(index, data, *state, set())
                if state[1][0] == IDLE:
                    break

            verdict, _ = ring.read()
            assert (verdict == 0) == (state[0][0] != own)
            assert int(ring.ends["reader"]["index"][0]) == 8 * state[0][0]


class Fickle:
    """Memory in which each word becomes another as soon as it was read."""

    def __init__(self, words, begin=0, reads=None):
        self.words, self.begin, self.reads = words, begin, [] if reads is None else reads

    @property
    def shape(self):
        return self.words.shape

    def __getitem__(self, where):
        if isinstance(where, slice):
            return Fickle(self.words[where], self.begin + int(where.start), self.reads)
        found = self.words[where]
        self.reads.append(self.begin + int(where))
        self.words[where] = 0x0BAD_0BAD_0BAD_0BAD
        return found


def copied(target, at, source, start, count):
    """Copy word by word."""
    for k in range(int(count)):
        target[at + k] = source[start + k]


@pytest.mark.parametrize("policy", ["hvlab", "openvmm", "linux"])
@pytest.mark.parametrize("extra", [b"", bytes(4) + (1).to_bytes(4, "little")])
def test_a_writer_that_changes_each_word_behind_the_reader_changes_nothing_of_what_was_read(extra, policy, monkeypatch):
    monkeypatch.setattr(words, "copy_words", copied)
    block = packet(9 if extra else 6, b"what was agreed on", 7, True, extra)
    ring = Alone(4096, policy, operate=plain(Alone(4096).operate))
    ring.ends["reader"]["index"] = ring.ends["writer"]["committed"] = 4096 - 32  # so that the packet goes around
    ring.poke_half(0, True, 4096 - 32)
    assert ring.write(block) == (1, True)
    ring.mem = fickle = Fickle(ring.mem)

    assert ring.read() == (0, block)

    first = int(ring.places[1]) + (4096 - 32) // 8
    once = set(fickle.reads)
    assert len(once) == 1 + len(block) // 8, "the write index, and each word of the packet"
    assert sorted([*once, first]) == sorted(fickle.reads), "only the word that is judged is copied as well, and covered"
