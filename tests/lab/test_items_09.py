"""Lesson 09's exercises: the engine's truths are those of the slow model, and every wrong idea is named."""

from collections import Counter

import pytest
from model import gpadl
from model import ring as slow

from hvlab.lab.bus import bus
from hvlab.lab.check import told_of
from hvlab.lab.construct import build
from hvlab.lab.construct import one as run_one
from hvlab.lab.ends import End, Ends, Shared
from hvlab.lab.exercise import Meter
from hvlab.lab.items import e09, e09_ends, e09_gpadl, e09_ops, exercises_of, find_exercise, shorts
from hvlab.lab.rings import image, play
from hvlab.lab.rules import rule
from lab.item_rules import WORLDS, held, holds, seeds
from lab.lesson import named
from lab.ring_pair import end

PARTS = 2
IN_BAND = 6


class Slow:
    """A ring of the slow model with both ends, and what E2 counts."""

    def __init__(self, size=4096):
        self.shared = slow.Shared(size)
        self.writer, self.reader = slow.ModelWriter(self.shared), slow.ModelReader(self.shared)
        self.signals = self.refused = 0

    def write(self, size, count=1):
        done, signal = self.writer.write([slow.packet(IN_BAND, bytes(size), 0, False, b"")] * count)
        self.signals += signal
        self.refused += count - done
        return done

    def read(self, count):
        for _packet in range(count):
            if self.reader.read()[0] != "ok":
                break
        self.reader.close()

    def do(self, op):
        what, a, b = op
        if what == "write":
            self.write(a, b)
        elif what == "read":
            self.read(a)
        else:
            self.shared.interrupt_mask = a


@pytest.mark.parametrize("part", range(PARTS))
def test_the_messages_of_e1_are_those_that_the_model_says(part):
    for seed in seeds(part, PARTS):
        world = e09_gpadl.E1.deal(seed)
        said = gpadl.messages(world.channel, world.handle, world.pfns)

        assert e09_gpadl.E1.truth(world) == (len(said), said[0][:36], said[-1]), seed


def test_the_guest_of_the_machine_says_the_messages_of_e1():
    one = bus()
    one.connect()
    one.offers()

    run = one.share(130)

    handle = run.trace.fact(next(iter(run.trace.of("gpadl_mapped"))), "gpadl")
    pages = one.guest.state.gpadls[handle].gpns
    assert len(gpadl.messages(1, handle, pages)) == 5 == run.story.value("naming")


@pytest.mark.parametrize("part", range(PARTS))
def test_two_hundred_operations_of_e2_end_as_in_the_model(part):
    for seed in seeds(part, PARTS):
        world = e09_ops.E2.deal(seed)
        ring = Slow()
        for op in world.ops:
            ring.do(op)

        last = ring.shared.read_index, ring.shared.write_index, ring.signals, ring.refused
        assert e09_ops.E2.truth(world) == last, seed


def test_an_e2_has_masks_refusals_batches_and_writes_that_would_fill_the_ring():
    brim, kinds = 0, Counter()
    for seed in range(20):
        world, ring = e09_ops.E2.deal(seed), Slow()
        for op in world.ops:
            brim += op[0] == "write" and 24 + -(-op[1] // 8) * 8 == ring.shared.avail_to_write()
            kinds[op[0], op[2] > 1] += 1
            ring.do(op)

    assert brim > 20 and all(kinds[key] > 20 for key in (("write", False), ("write", True), ("mask", False)))


def slow_send(world):
    """What the packets of a world come to, by counting: where the indices end."""
    return (world.start + sum(24 + -(-len(data) // 8) * 8 for _transaction, data in world.packets)) % world.size


@pytest.mark.parametrize("part", range(PARTS))
def test_every_hidden_world_of_e3_ends_as_the_model_says(part):
    for k in seeds(part, PARTS):
        world = e09_ends.E3.case(2026, k)
        arrived, asleep, needless, refused, write, read, pending = e09_ends.E3.truth(world)

        everything = tuple(range(1, len(world.packets) + 1))
        assert (asleep, needless, pending) == (0, 0, 0), k
        if world.lie is None or world.lie[0] == "later":
            assert (arrived, refused, write, read) == (everything, 0, slow_send(world), slow_send(world)), k
        elif world.lie[0] == "head":
            assert (arrived, refused, read) == (everything, 1, slow_send(world)), k
        else:
            other = write if world.role == "recv" else read
            assert (arrived, refused, other) == ((), 1, world.lie[1]), k


def test_what_cannot_be_in_e3_is_refused_by_the_model_s_reader_too():
    heads = 0
    for k in range(WORLDS):
        world = e09_ends.E3.case(2027, k)
        if world.lie is None or world.lie[0] != "head":
            continue
        shared = slow.Shared(world.size, world.start, world.start)
        at = world.start
        for transaction, data in world.packets:
            block = image(transaction, data, at)
            shared.copy_in(at, block)
            at = (at + len(block)) % world.size
        shared.copy_in(at, world.lie[1])
        shared.write_index = (at + len(world.lie[1])) % world.size
        reader = slow.ModelReader(shared, index=world.start)
        found = [reader.read()[0] for _packet in world.packets]

        assert set(found) == {"ok"} and reader.read()[0] in ("bad_lengths", "trailer_outside"), k
        heads += 1
    assert heads > 50


def test_the_lab_s_pair_writes_the_bytes_of_the_model_and_reads_them():
    shared, model = Shared(256, 0), Slow(256)
    ring, ends = End(shared, Meter(1 << 30), lambda _what, _where: None), Ends()
    for k in range(40):
        data = bytes((k + at) & 255 for at in range(1 + 7 * k % 50))
        assert ends.send(ring, data, k) and model.writer.write([slow.packet(IN_BAND, data, k, False, b"")])[0] == 1
        assert (shared.data, shared.words["write_index"]) == (model.shared.data, model.shared.write_index)
        assert ends.recv(ring) == [(k, data + bytes(-len(data) % 8))]
        model.read(1)
        assert shared.words["read_index"] == model.shared.read_index


@pytest.mark.parametrize("item", [e09.X1, *shorts("09")], ids=lambda item: item.id)
def test_exit_and_short_forms_are_what_the_model_finds(item):
    for seed in seeds():
        world = item.deal(seed)
        if "pages" in world:
            expected = len(gpadl.messages(1, 2, list(range(world["pages"]))))
        elif "size" in world:
            expected = (world["size"] - 8) // (24 + -(-world["data"] // 8) * 8)
        else:
            ring = Slow()
            steps = [("mask", 1, 0), ("write", 8, 1), ("mask", 0, 0), ("write", 8, 1), ("read", 99, 0), ("write", 8, 1)]
            times = [1, world["masked"], 1, world["open"]]
            todo = [step for step, count in zip(steps[:4], times, strict=True) for _ in range(count)]
            for op in todo + [steps[4], steps[5], steps[5]] * world["reads"]:
                ring.do(op)
            expected = ring.signals
        assert item.truth(world) == expected, seed


@pytest.mark.parametrize("item", [e09.E1, e09.E2, e09.X1, *shorts("09")], ids=lambda item: item.id)
def test_the_solution_is_right_and_every_wrong_model_is_wrong_and_named(item):
    holds(item, 24)


def test_a_right_pair_passes_e3_in_a_thousand_worlds():
    one = held(e09.E3, "builder")

    verdict = told_of(one, e09.E3, build(one, e09.E3, Ends().end))

    assert verdict.verdict == "right" and e09.E3.cases == WORLDS


def test_a_pair_written_apart_from_the_lab_passes_in_three_thousand_worlds():
    for learner in ("one", "two", "three"):
        one = held(e09.E3, learner)

        assert told_of(one, e09.E3, build(one, e09.E3, end)).verdict == "right"


@pytest.mark.parametrize("name", [model.name for model in e09.E3.wrong])
def test_a_pair_that_holds_an_idea_fails_e3_and_is_named(name):
    one, kind = held(e09.E3, "builder"), e09_ends.HELD[name]

    verdict = told_of(one, e09.E3, build(one, e09.E3, kind().end))

    assert verdict.verdict == "wrong" and verdict.models == (name,) and len(verdict.lines) <= 6
    model = next(model for model in e09.E3.wrong if model.name == name)
    assert model.says[0].islower() and rule(model.rule).says


def test_a_receiver_that_reads_a_length_twice_is_caught_by_the_end_that_changes_it():
    class Twice(Ends):
        """It looks at the shared descriptor again after it has judged it."""

        def give_back(self, ring, at, count):
            again = int.from_bytes(ring.read((at + 4) % ring.size, 2), "little")
            super().give_back(ring, at, 8 * again + 8)

    worlds = [e09_ends.E3.case(5, k) for k in range(200)]
    lies = [world for world in worlds if world.lie and world.lie[0] == "later"]

    assert lies and all(e09_ends.by(Twice)(world) != e09.E3.truth(world) for world in lies)


def test_a_sender_that_spins_until_there_is_room_spends_its_budget():
    def spins(ring, data, transaction):
        while ring.load("read_index") < ring.size:
            pass

    answer, why = run_one(e09.E3, spins, e09.E3.case(1, 0))

    assert answer is None and "more than 600 times" in why


@pytest.mark.parametrize("made", [None, 7, [1], [(1, 2, 3)]], ids=["nothing", "a number", "no pair", "three"])
def test_what_is_no_list_of_packets_is_not_what_arrived(made):
    world = next(world for k in range(99) if (world := e09.E3.case(1, k)).role == "recv" and not world.lie)

    answer, why = run_one(e09.E3, lambda ring, data, transaction: made, world)

    assert why.startswith("Your function raised") or answer != e09.E3.truth(world)


def test_a_case_of_e3_is_told_by_the_words_that_change():
    world = next(world for world in map(lambda k: e09.E3.case(1, k), range(99)) if world.lie is None)

    story = e09_ends.story(world)

    out, shared = play(world, (Ends().send, Ends().recv), Meter(1 << 30))
    assert out.arrived and story.value(f"k1r{1 if world.role == 'send' else 2}_w") == shared.words["write_index"]


def unread(pages=(2, 2)):
    one = bus(lazy=True)
    one.connect()
    one.offers()
    one.open("scsi", pages)
    return one


def shared_pages():
    one = bus()
    one.connect()
    one.offers()
    return one.share(130).story


def masked():
    one = unread()
    return (one.mask() + one.send(b"x", times=10)).story


@pytest.mark.parametrize(
    ("id", "story", "truth"),
    [
        ("09.messages", shared_pages, 5),
        ("09.full", lambda: (lambda one: (one.send(bytes(52)) + one.send(bytes(3992))).story)(unread()), 1),
        ("09.masked", masked, 0),
        ("09.closed", lambda: unread().close().story, 0),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_each_question_has_its_truth_and_names_its_wrong_ideas(id, story, truth):
    named(id, story(), truth)


def test_sixty_packets_of_52_bytes_into_an_empty_ring_are_51_taken_9_refused_and_1_signal():
    one, model = unread(), Slow()

    run = one.send(bytes(52), times=60)
    for _packet in range(60):
        model.write(52)

    counts = [run.count(name) for name in ("packet_written", "packet_refused", "doorbell_rung")]
    assert counts == [51, 9, 1] == [60 - model.refused, model.refused, model.signals]
    assert one.ring().control.write_index == 4080 == model.shared.write_index


def test_every_exercise_of_the_lesson_is_found_by_its_id():
    ids = [item.id for item in exercises_of("09")]

    assert ids == ["09.E1", "09.E2", "09.E3", "09.X1", "09.X2"]
    assert [find_exercise(id).id for id in ids] == ids
    assert e09_ends.steps() and e09_gpadl.steps(e09.E1.deal(1)) and len(list(e09_ops.lines(e09.E2.deal(1)))) > 5
