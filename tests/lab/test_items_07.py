"""Lesson 07's exercises: the engine's truths are those of the slow model, and every wrong idea is named."""

from collections import Counter

import pytest
from model.synic import Port, Synic

from hvlab.lab.check import told_of
from hvlab.lab.construct import build
from hvlab.lab.construct import one as run_one
from hvlab.lab.interleavings import always, bench, interleavings, play
from hvlab.lab.items import e07, e07_bugs, e07_routine, exercises_of, find_exercise, shorts
from hvlab.lab.letters import FLAG_COUNT, MESSAGES, OTHER, SIGNALS, letters
from hvlab.lab.receiver import ORDERS
from hvlab.lab.rules import rule
from lab.item_rules import WORLDS, held, holds, seeds
from lab.lesson import named

PARTS = 2


def model(buffers=16):
    """Two partitions of the slow model, wired as `letters()` does."""
    synic = Synic(vps=1)
    synic.vps[0].vector[2] = 0xF3
    synic.ports[MESSAGES] = Port("message", 0, 2, MESSAGES, buffers=buffers)
    synic.ports[OTHER] = Port("message", 0, 3, OTHER)
    synic.ports[SIGNALS] = Port("event", 0, 2, SIGNALS, 0, FLAG_COUNT)
    return synic


class Bytes:
    """The 256 bytes of a slot beside the slow model, which knows messages only: what is written stays."""

    def __init__(self, synic, sint=2):
        self.vp, self.sint, self.data, self.lies = synic.vps[0], sint, bytearray(256), None

    def look(self):
        there = self.vp.slots.get(self.sint)
        if there is not None and there is not self.lies:
            kind, payload, sender = there
            self.data[:16] = kind.to_bytes(4, "little") + bytes([len(payload), 0, 0, 0]) + sender.to_bytes(8, "little")
            self.data[16 : 16 + len(payload)] = payload
        if there is None:
            self.data[:4] = bytes(4)
        self.lies = there
        self.data[5] = self.vp.pending.get(self.sint, 0)


@pytest.mark.parametrize("part", range(PARTS))
def test_e1_is_what_the_model_finds(part):
    for seed in seeds(part, PARTS):
        script = e07.E1.deal(seed)
        synic = model()
        slot = Bytes(synic)
        for act in script.acts:
            if act.what == "post":
                assert synic.post(act.connection, act.kind, act.payload) == 0
            elif act.what == "free":
                synic.vps[0].slots.pop(2, None)
            else:
                synic.eom(0)
            slot.look()

        assert e07.E1.truth(script) == bytes(slot.data), seed


class Receiver:
    """A routine's steps on the slow model, with a sender between them; written anew, apart from the lab's."""

    def __init__(self, acts, bug=""):
        self.synic, self.todo, self.steps, self.bug = model(), sorted(acts), 0, bug
        self.posted, self.got, self.rang, self.seen, self.runs = [], [], Counter(), Counter(), 0

    def due(self):
        while self.todo and self.todo[0][0] <= self.steps:
            _at, kind, number = self.todo.pop(0)
            if kind == "post":
                self.posted.append(number)
                assert self.synic.post(MESSAGES, 1, number.to_bytes(8, "little")) == 0
            else:
                self.rang[number] += (2, number) not in self.synic.vps[0].flags
                self.synic.signal(SIGNALS, number)

    def tick(self):
        self.steps += 1
        self.due()

    def run(self, bug):
        vp = self.synic.vps[0]
        self.tick()
        if bug == "copy-late":
            full = 2 in vp.slots
            self.tick()
            if full:
                last = vp.slots.pop(2)
                self.tick()
                self.got.append(int.from_bytes(vp.slots.get(2, last)[1], "little"))
                self.tick()
                self.tick()
                self.look()
        else:
            message = vp.slots.get(2)
            self.tick()
            if message:
                self.got.append(int.from_bytes(message[1], "little"))
                pending = vp.pending.get(2, 0)
                if bug == "test-then-clear":
                    self.tick()
                vp.slots.pop(2)
                self.tick()
                self.tick()
                if bug == "test-then-clear":
                    if pending:
                        self.synic.eom(0)
                        self.tick()
                else:
                    self.look(bug != "no-eom")
        self.flags(bug)
        self.tick()

    def look(self, write=True):
        pending = self.synic.vps[0].pending.get(2, 0)
        self.tick()
        if pending and write:
            self.synic.eom(0)
            self.tick()

    def flags(self, bug):
        vp = self.synic.vps[0]
        found = sorted(flag for _sint, flag in vp.flags)
        self.tick()
        if bug == "plain-flags":
            self.seen.update(found)
            for word in sorted({flag >> 6 for flag in found}):
                vp.flags = {(sint, flag) for sint, flag in vp.flags if flag >> 6 != word}
                self.tick()
            return
        for flag in found:
            self.seen[flag] += (2, flag) in vp.flags
            vp.flags.discard((2, flag))
            self.tick()

    def all(self, right_run=None):
        raised = self.synic.vps[0].raised
        while True:
            self.due()
            if raised:
                raised.clear()
                self.run("" if self.runs == right_run else self.bug)
                self.runs += 1
            elif self.todo:
                self.steps = self.todo[0][0]
            else:
                return self

    @property
    def whole(self):
        return self.got == self.posted and +self.rang == +self.seen


@pytest.mark.parametrize("part", range(PARTS))
def test_the_run_of_e2_is_the_one_whose_repair_mends_the_model(part):
    for seed in seeds(part, PARTS):
        log = e07.E2.deal(seed)
        end = Receiver(log.acts, log.bug).all()

        mending = [run for run in range(end.runs) if Receiver(log.acts, log.bug).all(run).whole]

        assert not end.whole and mending == list(e07_bugs.harmful(log)), seed


@pytest.mark.parametrize("part", range(PARTS))
def test_every_hidden_interleaving_of_e3_ends_as_in_the_model(part):
    for k in seeds(part, PARTS):
        world = e07.E3.case(2026, k)
        end = Receiver(world.acts).all()

        assert end.whole and e07.E3.truth(world) == (tuple(end.got), 0, 0, 0), k


@pytest.mark.parametrize("item", [e07.X1, *shorts("07")], ids=lambda item: item.id)
def test_exit_and_short_forms_are_what_the_model_finds(item):
    for seed in seeds():
        world = item.deal(seed)
        if "buffers" not in world:
            flags = {world[f"s{k}"] for k in range(world["signals"])}
            assert item.truth(world) == len(flags), seed
            continue
        synic, posts = model(world["buffers"]), 0
        while synic.post(MESSAGES, 1, b"x") == 0:
            posts += 1
            if posts <= world["reads"]:
                synic.take(0, 2)
        assert item.truth(world) == posts + 1, seed


@pytest.mark.parametrize("item", [e07.E1, e07.E2, e07.X1, *shorts("07")], ids=lambda item: item.id)
def test_the_solution_is_right_and_every_wrong_model_is_wrong_and_named(item):
    holds(item, 24)


HELD = {
    "test-then-clear": "test-then-clear",
    "auto-eoi-frees": "no-eom",
    "eom-is-always-needed": "always-eom",
    "message-is-shared-memory": "copy-late",
    "flags-without-lock": "plain-flags",
    "flags-count": "one-flag",
}


def routine(slot):
    """An interrupt routine written from the task alone."""
    kind, payload = slot.copy()
    if kind:
        slot.free()
        slot.barrier()
        if slot.pending():
            slot.eom()
    return [payload] * bool(kind), [flag for flag in slot.flags() if slot.clear(flag)]


def test_a_right_routine_passes_e3_in_a_thousand_interleavings():
    one = held(e07.E3, "builder")

    verdict = told_of(one, e07.E3, build(one, e07.E3, routine))

    assert verdict.verdict == "right" and e07.E3.cases == WORLDS


@pytest.mark.parametrize("name", [model.name for model in e07.E3.wrong])
def test_a_routine_that_holds_an_idea_fails_e3_and_is_named(name):
    one = held(e07.E3, "builder")

    verdict = told_of(one, e07.E3, build(one, e07.E3, ORDERS[HELD[name]]))

    assert verdict.verdict == "wrong" and verdict.models == (name,) and len(verdict.lines) <= 6
    model = next(model for model in e07.E3.wrong if model.name == name)
    assert model.says[0].islower() and rule(model.rule).says


def test_a_routine_that_waits_for_the_slot_to_empty_itself_spends_its_budget():
    def spins(slot):
        while slot.kind():
            slot.pending()
        return [], []

    answer, why = run_one(e07.E3, spins, e07.E3.case(1, 0))

    assert answer is None and "more than 400 times" in why


def test_only_the_right_order_loses_nothing_in_any_interleaving():
    rows = {name: rest for name, *rest in interleavings(posts=1).rows}

    assert rows["right"][1:] == rows["always-eom"][1:] == [0, 0, 0]
    assert rows["test-then-clear"][1] > 0 and rows["no-eom"][1] > 0 and rows["copy-late"][3] > 0
    flags = {name: rest for name, *rest in interleavings("right", "plain-flags", "one-flag", posts=0, signals=2).rows}
    assert flags["right"][1:] == [0, 0, 0] and flags["plain-flags"][2] > 0 and flags["one-flag"][2] > 0


def test_an_eoi_does_what_a_forgotten_eom_should_have_done():
    rows = interleavings("no-eom", posts=1, auto_eoi=False).rows

    assert rows[0][2:] == (0, 0, 0)


@pytest.mark.parametrize(
    ("id", "story", "truth"),
    [
        ("07.posts", lambda: letters().post(times=20).story, 18),
        ("07.interrupts", lambda: letters().signal(3, times=2).story, 1),
        ("07.bits", lambda: letters().signal(3, times=2).story, 1),
        ("07.masked", lambda: letters(masked=True).signal(3).story, 5),
        ("07.taken", lambda: _unread("no-eom"), 2),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_each_question_has_its_truth_and_names_its_wrong_ideas(id, story, truth, tmp_path, monkeypatch):
    monkeypatch.setenv("HVLAB_PROGRESS", str(tmp_path / "p.jsonl"))
    named(id, story(), truth)


def _unread(order):
    office = letters(auto_eoi=False)
    return (office.post() + office.post(b"two") + office.read(order)).story


def test_a_bench_is_put_back_to_the_byte():
    on = bench()
    on.put_back()
    before = on.hv.state.tobytes(), on.hv.mem.tobytes()
    play(always(ORDERS["right"]), [(0, "post", 1), (2, "signal", 3)])
    on.put_back()

    assert (on.hv.state.tobytes(), on.hv.mem.tobytes()) == before


def test_e2_has_every_mistake_and_its_log_names_the_event():
    bugs = Counter(e07.E2.deal(seed).bug for seed in range(60))

    assert set(bugs) == set(e07_bugs.BUGS)
    log = e07.E2.deal(3)
    event, bug = e07.E2.truth(log)
    assert e07_bugs.kinds(log)[event] == e07_bugs.BUGS[bug]


def test_every_exercise_of_the_lesson_is_found_by_its_id():
    ids = [item.id for item in exercises_of("07")]

    assert ids == ["07.E1", "07.E2", "07.E3", "07.X1", "07.X2"]
    assert [find_exercise(id).id for id in ids] == ids
    assert e07_routine.steps() and e07.E3.story(e07.E3.case(1, 2)).scene["frames"] > 5
