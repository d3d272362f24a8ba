"""Lesson 04 as a learner runs it: part by part, twice, before and after each prediction; each exercise by hand."""

import pytest

from hvlab.capture import load, sample, summary
from hvlab.hardware.processor import USER, WRITE
from hvlab.lab import check as checking
from hvlab.lab import deal, items
from hvlab.lab import predict as asking
from hvlab.lab.check import check, task
from hvlab.lab.hint import hint
from hvlab.lab.items import e04
from hvlab.lab.knobs import every_knob
from hvlab.lab.left_out import left_out
from hvlab.lab.own_tables import bits_of, own_tables
from hvlab.lab.tree import tree
from hvlab.machine import Machine
from hvlab.story.gate import judge
from hvlab.story.walk import story_of
from lab.lesson import Lesson
from lab.lesson_rules import *  # noqa: F403  its tests are this lesson's, too

LESSON = Lesson("04-guest-page-tables")
PAGE, GVA = {0x7F12_3456_7000: 0x5000}, 0x7F12_3456_7ABC
ASKED = LESSON.questions


@pytest.fixture
def learner(monkeypatch, tmp_path):
    monkeypatch.setenv("HVLAB_MODE", "learn")
    monkeypatch.setenv("HVLAB_PROGRESS", str(tmp_path / "progress.jsonl"))
    monkeypatch.setenv("HVLAB_LEARNER", "somebody")


PARTS = [
    ("04-warm-up", "04-warm-up"), ("04-predict-marks", "04-entry"), ("04-predict-upper", "04-edit-facts"),
    ("04-predict-canonical", "04-canonical-facts"), ("04-predict-large", "04-large-facts"),
    ("04-predict-huge", "04-huge-facts"), ("04-isolation", "04-isolation"), ("04-knob", "04-knob"),
    ("04-knobs", "04-knobs"), ("04-spread", "04-spread"), ("04-spread-plot", "04-spread-facts"),
    ("04-answer", "04-answer"), ("04-worked", "04-W2"), ("04-E1-task", "04-E1"), ("04-E2-task", "04-E2"),
    ("04-E3-task", "04-E3"), ("04-X1-task", "04-X2"), ("04-left-out", "04-left-out"),
]  # fmt: skip


# gates


STORIES = {
    "04.marks": ("04-act", "04-watch", "04-facts"),
    "04.upper": ("04-edit", "04-edit-facts"),
    "04.canonical": ("04-canonical", "04-canonical-facts"),
    "04.large": ("04-large", "04-large-facts"),
    "04.huge": ("04-huge", "04-huge-facts"),
}
SAID = {
    "04.marks": (
        5,
        {8: "dirty-all-the-way", 4: "forgot-the-dirty-bit", 2: "marks-the-leaf-only", 1: "a-write-sets-d-alone"},
    ),
    "04.upper": (True, {False: "leaf-decides"}),
    "04.canonical": (0, {1: "walks-until-something-is-missing", 4: "upper-bits-are-ignored"}),
    "04.large": (3, {4: "as-many-as-levels or counted-the-data", 2: "forgot-the-leaf"}),
    "04.huge": (3, {5: "as-many-as-levels", 4: "counted-the-data", 2: "forgot-the-leaf"}),
}  # fmt: skip


def test_every_question_of_the_lesson_is_tried_here():
    assert list(STORIES) == list(SAID) == ASKED


@pytest.mark.parametrize("id", ASKED)
def test_a_learner_who_has_not_answered_sees_no_fact(id, learner, tmp_path, capsys):
    LESSON.run(tmp_path, *STORIES[id])

    assert capsys.readouterr().out.splitlines()[0] == f"Answer {id} first, then run this cell again."


@pytest.mark.parametrize(("id", "answer"), [(id, answer) for id, (_right, wrong) in SAID.items() for answer in wrong])
def test_a_wrong_prediction_is_told_by_name(id, answer, learner, tmp_path, capsys):
    asking.predict(id, answer, "sure")

    LESSON.run(tmp_path, *STORIES[id])

    assert f"{SAID[id][1][answer]}:" in capsys.readouterr().out


@pytest.mark.parametrize("id", ASKED)
def test_a_right_prediction_is_told_to_be_what_the_machine_did(id, learner, tmp_path, capsys):
    asking.predict(id, SAID[id][0])

    found = LESSON.run(tmp_path, *STORIES[id])

    said = capsys.readouterr().out
    assert "You said" in said and not any(f"{name}:" in said for name in SAID[id][1].values())
    story = story_of(found[{"04.marks": "step", "04.upper": "refused", "04.canonical": "odd"}.get(id, id[3:])])
    gate = items.find(id).gate(story).as_json(len(story) - 1)
    assert judge(gate, int(SAID[id][0]), story.value(gate["fact"], gate["at"])).right


def test_what_is_stored_gives_no_answer_before_its_gate():
    assert LESSON.given_away("table reads", "raises") == []


# the anchors


def test_isolation_leaves_98_kernel_leaves_of_8797_in_sight(tmp_path, capsys):
    LESSON.run(tmp_path, "04-isolation")

    assert [line.split()[-3] for line in capsys.readouterr().out.splitlines()] == ["98", "8,797"]
    for name, leaves in (("pt_4lvl_pti", 98), ("pt_5lvl_nopti_1g", 8_797)):
        assert {space.kernel_leaves for space in summary(load(sample(name))).spaces} == {leaves}


@pytest.mark.parametrize(("name", "cpu"), [("pt_4lvl_pti", 1), ("pt_5lvl_nopti_1g", 0)])
def test_addresses_of_the_lesson_lead_where_the_emulator_says(name, cpu, tmp_path):
    found = LESSON.run(tmp_path, "04-large", "04-huge")
    tables = load(sample(name))
    step = found["large"] if cpu else found["huge"]
    words = step.trace.facts(next(iter(step.trace.of("translated"))))
    leaves = tables.cpus[cpu].leaves
    gva = words["gva"] & (1 << 64) - 1

    row = leaves.gva.tolist().index(gva >> words["shift"] << words["shift"])

    assert step.ok and words["gpa"] == int(leaves.gpa[row]) | gva & (1 << words["shift"]) - 1
    assert (words["shift"], words["reads"]) == ((21, 3) if cpu else (30, 3))


def test_a_child_that_is_sure_of_address_zero_writes_elsewhere(tmp_path, capsys):
    LESSON.run(tmp_path, "04-answer")

    own, real = capsys.readouterr().out.splitlines()
    assert own == "GPA 0: b'mine, at zero'" and "mine" not in real


# what the lesson is built of


def test_every_knob_changes_what_it_is_said_to_change():
    rows = {(knob, access): (off, on) for knob, _page, access, off, on in every_knob().rows}

    assert rows == {
        ("CR0.WP", "kernel write"): ("allowed", "#PF, 0x3"),
        ("EFER.NXE", "user fetch"): ("#PF, 0xd", "#PF, 0x15"),
        ("EFER.NXE", "user read"): ("#PF, 0xd", "allowed"),
        ("CR4.SMEP", "kernel fetch"): ("allowed", "#PF, 0x11"),
        ("CR4.SMAP", "kernel read"): ("allowed", "#PF, 0x1"),
        ("EFLAGS.AC", "kernel read, SMAP on"): ("#PF, 0x1", "allowed"),
        ("CR4.PKE", "user write"): ("allowed", "#PF, 0x27"),
        ("CR4.PKE", "user read"): ("allowed", "allowed"),
    }
    assert repr(every_knob()).count("\n") == 8


@pytest.mark.parametrize(
    ("page", "levels", "reads"),
    [("4 KiB", 4, 4), ("2 MiB", 4, 3), ("1 GiB", 4, 2), ("4 KiB", 5, 5), ("2 MiB", 5, 4), ("1 GiB", 5, 3)],
)
def test_own_tables_of_every_shape_are_walked(page, levels, reads):
    machine = own_tables({0x7F00_0000_0000: 0x4000_0000}, page=page, levels=levels)

    step = machine.translate(0, 0x7F00_0000_0ABC, WRITE | USER)

    assert (step.outcome, step.spa) == ("ok", 0x4000_0ABC)
    assert len(list(step.trace.of("table_entry_read"))) == reads == tree(machine).entries


@pytest.mark.parametrize(
    "asked",
    [{"levels": 3}, {"page": "8 KiB"}, {"flags": "Q"}, {"upper": "WX"}, {"turbo": 1}],
)
def test_tables_that_cannot_be_are_refused_by_what_can(asked):
    with pytest.raises(Exception, match="4 or 5|4 KiB|letters of|wp, nxe") as caught:
        own_tables(PAGE, **asked)

    assert type(caught.value).__name__ == "BadRequest"


def test_a_tree_tells_what_is_not_present_and_counts_what_it_leaves_out():
    machine = own_tables({0x40_0000: 0x5000, 0x40_1000: 0x6000, 0x8000_0000: 0x7000}, "WU")
    machine.memory.write64(0x1_3008, machine.memory.read64(0x1_3008) & ~1)

    whole, short = tree(machine), tree(machine, most=3)

    assert sum("not present" in line for line in whole.lines) == 1
    assert whole.entries == 8 and repr(short).endswith("… 6 more entries …")
    assert tree(Machine.from_snapshot(load(sample("pt_4lvl_pti")))).entries > 500


def test_letters_are_the_bits_of_an_entry():
    assert bits_of("WU") == 6 and bits_of("NAD") == 1 << 63 | 0x60 and bits_of("") == 0


def test_the_lesson_tells_what_it_leaves_out():
    assert {file for file, _text in left_out("04").rows} == {"hardware/processor.py", "lab/own_tables.py"}


# exercises as somebody works on them


ONES = [item for item in e04.EXERCISES if item.id not in ("04.E3", "04.X2")]


@pytest.mark.parametrize("item", ONES, ids=lambda item: item.id)
def test_a_learner_is_told_of_each_idea_then_hinted_then_right(item, learner, capsys):
    world = deal.hand(item.id).world
    for model in item.wrong:
        verdict = check(item.id, model.answer(world))
        assert verdict.verdict == "wrong" and model.name in verdict.models
        assert verdict.frame is None or verdict.frame < len(item.story(world))
    assert [hint(item.id, stage).stage for stage in (1, 2)] == [1, 2]
    worked = hint(item.id, 3)
    assert (worked.story is None) == (item.story is None) and item.ask(world) not in worked.text

    assert check(item.id, item.truth(world)).right
    assert capsys.readouterr().out.count("not yet") == len(item.wrong)


def test_the_solution_is_shown_after_three_attempts_and_another_world_is_dealt(learner):
    before = repr(task("04.E2"))

    for _attempt in range(3):
        check("04.E2", [(1, 1)] * 6)
    last = [hint("04.E2") for _stage in range(4)][-1]

    assert last.stage == 4 and "error code" in last.text
    assert repr(task("04.E2")) != before


@pytest.mark.parametrize(
    ("id", "given", "says"),
    [
        ("04.E1", [1, 2], "2 elements: wanted 5"),
        ("04.E1", 5, "wanted a list of 5"),
        ("04.E2", [(1, 2, 3)] * 6, "wanted the fields"),
        ("04.E1.blanks", {"entry": 1}, "the field 'gpa' is not there yet"),
        ("04.X1", "somewhere", "wanted an address (SPA)"),
        ("04.X2", 7, "wanted a sentence"),
        ("04.E3", 7, "wanted a function"),
    ],
)
def test_what_cannot_be_read_is_no_attempt(id, given, says, learner, capsys):
    verdict = check(id, given)

    assert verdict.verdict == "unread" and says in capsys.readouterr().out


def test_the_sentence_is_kept_and_nothing_else(learner, capsys):
    assert check("04.X2", "The GPA space is private; the guest makes virtual ones.").verdict == "kept"
    assert "Nothing is marked" in capsys.readouterr().out


def test_the_skeleton_of_e3_waits_and_the_case_can_be_shown(tmp_path, learner, capsys):
    LESSON.run(tmp_path, "04-E3")

    assert "04.E3 waits for your function" in capsys.readouterr().out
    assert len(checking.case("04.E3", 17)) > 8


def test_a_learner_reads_the_dump_by_address(learner):
    world = deal.hand("04.E1").world
    at, word = next(iter(world.tables.words.items()))

    assert task("04.E1").look.read64(at) == word & (1 << 64) - 1
    assert repr(task("04.E1")).count("\n") >= len(world.tables.words)


def test_tasks_and_hints_fit_the_page_and_their_tables_stay_whole(learner):
    for item in e04.EXERCISES:
        told = [repr(task(item.id)), *(repr(hint(item.id, stage)) for stage in (1, 2, 3))]
        assert all(len(line) <= 100 or line.startswith(" ") for text in told for line in text.splitlines()), item.id
    assert "  0  0x" in repr(task("04.E1"))
