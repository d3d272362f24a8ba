"""Lesson 00 as a learner runs it: part by part, twice, before and after the predictions."""

import re

import pytest

from hvlab import notebooks
from hvlab.lab import glossary
from hvlab.lab import predict as asking
from hvlab.lab.check import check
from hvlab.lab.deal import hand
from hvlab.lab.hint import hint
from hvlab.lab.items import exercises_of, find
from hvlab.story.hops import EXIT, GIVEN, READ, RESUMED, TOLD
from hvlab.view import show
from lab.lesson import Lesson, named
from lab.lesson_rules import *  # noqa: F403  its tests are this lesson's, too

LESSON = Lesson("00-the-whole-picture")
ORDER = int("".join(str(digit) for digit in (READ, EXIT, TOLD, GIVEN, RESUMED)), 16)
TRUTH = {"00.inside": 8, "00.load": 0, "00.writer": 6, "00.hops": ORDER, "00.touch": 3, "00.mixed": 3}
STORY = {
    "00.inside": ("map_of_all", "00-house"), "00.load": ("load", "00-load"), "00.writer": ("store", "00-store"),
    "00.hops": ("first", "00-touch"), "00.touch": ("first", "00-touch"),
}  # fmt: skip
PARTS = [
    ("00-warm-up", "00-warm-up"), ("00-predict-inside", "00-house-facts"), ("00-card", "00-card"),
    ("00-predict-load", "00-load-facts"), ("00-predict-writer", "00-store-facts"),
    ("00-predict-hops", "00-touch-facts"), ("00-entry", "00-entry"), ("00-bits", "00-bits"),
    ("00-predict-mixed", "00-mixed-facts"), ("00-knob", "00-knob"), ("00-boxes-task", "00-boxes"), ("00-W", "00-W"),
    ("00-E1-task", "00-E1"), ("00-E2-task", "00-E2"), ("00-E3-task", "00-E3"), ("00-X1-task", "00-X2"),
    ("00-left-out", "00-left-out"),
]  # fmt: skip
ASKED = [item for item in exercises_of("00") if item.wrong]


@pytest.mark.parametrize(
    ("id", "cells"),
    [
        ("00.inside", ("00-house", "00-house-facts")),
        ("00.load", ("00-load", "00-load-facts")),
        ("00.writer", ("00-store", "00-store-facts")),
        ("00.touch", ("00-touch", "00-touch-facts")),
    ],
)
def test_a_learner_who_has_not_answered_sees_no_fact(id, cells, tmp_path, learning, capsys):
    LESSON.run(tmp_path, *cells)

    assert capsys.readouterr().out == f"Answer {id} first, then run this cell again.\n"


def story_about(id, folder):
    if id == "00.mixed":
        from hvlab.lab.whole import hops

        return hops(LESSON.run(folder, "00-mixed")["machine"])
    name, cell = STORY[id]
    return LESSON.run(folder, cell)[name]


@pytest.mark.parametrize("id", TRUTH)
def test_the_machine_answers_each_question_and_each_wrong_model_is_told_by_its_name(id, tmp_path, learning):
    named(id, story_about(id, tmp_path), TRUTH[id])


def test_every_question_of_the_lesson_is_tried_here():
    assert set(LESSON.questions) == set(TRUTH)


def test_a_wrong_answer_and_then_the_right_one_open_the_story(tmp_path, learning):
    load = story_about("00.load", tmp_path)
    player = show(load, asking.predict("00.load"))
    assert player.answers == {}

    asking.predict("00.load", 1, "sure")
    said = str(asking.predict("00.load").outcome(load))
    assert "You said 1, sure. Control entered the hypervisor 0 times. every-load-exits:" in said

    asking.again("00.load").give(0)
    assert asking.predict("00.load").outcome(load).right


def test_two_questions_close_one_story_and_the_order_may_be_typed(tmp_path, learning):
    first = story_about("00.hops", tmp_path)
    asking.predict("00.hops", [READ, EXIT, TOLD, GIVEN, RESUMED])

    assert asking.predict("00.hops").outcome(first).right
    assert [gate["id"] for gate in show(first, [asking.predict("00.hops"), asking.predict("00.touch")]).scene["gates"]]
    assert [digit for digit in find("00.hops").choices] == sorted(find("00.hops").choices)


def test_software_stays_out_of_a_load_and_a_store(tmp_path):
    for name, cell in (("load", "00-load"), ("store", "00-store")):
        story = LESSON.run(tmp_path, cell)[name]
        lit = {story.scene["places"][int(src)]["name"] for src in story.columns["src"]}

        assert lit == {"windows.applications", "processors"}
        assert story.value("exits") == 0 and story.value("reads") == 24


def test_a_first_touch_goes_through_all_four_worlds(tmp_path):
    story = LESSON.run(tmp_path, "00-touch")["first"]
    told = [row["what"] for row in story.rows()]
    lanes = {story.state_at(k)["line_lane"] for k in range(len(story))}

    assert {1, 3, 4} < lanes  # the child's program, the hypervisor, the root's kernel
    assert len(told) <= 18 and told[0] == told[-3]  # the same instruction, tried again
    assert "VP 0 reads the message in memory." in told


def test_the_bits_that_are_cleared_make_the_difference(tmp_path, capsys):
    LESSON.run(tmp_path, "00-entry", "00-bits")

    said = capsys.readouterr().out
    assert said.splitlines()[0] == "37 44 02 00 00 00 00 00"
    assert "VP 1 leaves the guest: read of GPA 0x0000_5abc." in said
    assert "exits to the hypervisor        0         1        +1" in LESSON.shown("00-knob")


def test_the_missing_half_is_said_to_be_missing():
    book = notebooks.read(notebooks.shipped()[0].parent / "00-the-whole-picture.ipynb")
    title, *_rest, last = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "markdown"]

    assert "**Not in it yet**" in title and "no disk" in re.sub(r"<[^>]+>", "", title)
    assert "The disk's half" in last


def test_every_word_of_the_overview_that_begins_here_stands_in_the_lesson_s_terms():
    book = notebooks.read(notebooks.shipped()[0].parent / "00-the-whole-picture.ipynb")
    due = {card.term for card in glossary.cards() if "00" in card.lessons}

    assert set(book["metadata"]["hvlab"]["terms"]) == due


@pytest.mark.parametrize("item", ASKED, ids=lambda item: item.id)
def test_each_stage_of_a_hint_is_there_and_the_third_can_be_seen(item):
    told = [hint(item.id, stage) for stage in (1, 2, 3, 4)]

    assert all(len(one.text) > 60 and one.text.startswith(f"{item.id}, hint {one.stage}") for one in told)
    if item.story is not None:
        assert len(told[2].story) == show(told[2].story).scene["frames"] > 1


@pytest.mark.parametrize("id", ["00.boxes", "00.E1", "00.E2", "00.X1"])
def test_a_learner_answers_wrong_then_right(id, learning, capsys):
    held = hand(id)
    for model in held.item.wrong:
        verdict = check(id, _typed(model.answer(held.world)))
        assert verdict.verdict == "wrong" and model.name in verdict.models, model.name

    assert check(id, _typed(held.item.truth(held.world))).right
    assert "frame" in capsys.readouterr().out or id in ("00.boxes", "00.X1")


def _typed(answer):
    return list(answer) if isinstance(answer, tuple) else answer


def test_an_order_that_no_idea_explains_is_told_which_event_stands_too_early(capsys):
    held = hand("00.E1")
    right = list(held.item.truth(held.world))

    check("00.E1", right[::-1])

    said = capsys.readouterr().out
    assert f"event {right[-1]} stands before one that it needs" in said
    check("00.E1", [right[0]] * 14)
    assert "each of the numbers 1 to 14 stands in the list once" in capsys.readouterr().out


def test_the_sentence_of_the_exit_is_kept(capsys):
    assert check("00.X2", "Loads pass the second level in hardware.").verdict == "kept"


def test_what_is_stored_gives_no_answer_before_its_gate():
    assert LESSON.given_away("24 table reads", "MapGpaPages", "leaves the guest", "CPUID 0x4000") == []
