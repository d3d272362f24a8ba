"""Lesson 01 as a learner runs it: part by part, twice, before and after the predictions."""

import pytest

from hvlab.story.system import one_load
from lab.lesson import Lesson, named
from lab.lesson_rules import *  # noqa: F403  its tests are this lesson's, too

LESSON = Lesson("01-partitions")
TRUTH = {"01.present": 1, "01.identity": 19, "01.owner": 20, "01.calls": 2}
PARTS = [
    ("01-warm-up", "01-warm-up"), ("01-predict-present", "01-facts"), ("01-predict-identity", "01-identity-facts"),
    ("01-predict-owner", "01-owner-facts"), ("01-leaves", "01-mask"), ("01-predict-calls", "01-calls-facts"),
    ("01-bit", "01-bit"), ("01-inspector", "01-inspector"), ("01-inspect", "01-inspect-root"), ("01-log", "01-own"),
    ("01-worked", "01-W2"), ("01-E1-task", "01-E1"), ("01-E2-task", "01-E3"), ("01-X1-task", "01-X2"),
    ("01-left-out", "01-left-out"),
]  # fmt: skip


def test_a_learner_who_has_not_answered_sees_no_fact(tmp_path, learning, capsys):
    LESSON.run(tmp_path, "01-calls", "01-calls-facts")

    assert capsys.readouterr().out == "Answer 01.calls first, then run this cell again.\n"


def story_about(id, folder):
    found = {"01.present": ("01-act",), "01.identity": ("01-identity",), "01.owner": ("01-owner",)}
    left = LESSON.run(folder, *found.get(id, ("01-calls",)))
    if id == "01.identity":
        return one_load(left["machine"])
    return left[{"01.present": "asked", "01.owner": "made", "01.calls": "six"}[id]]


@pytest.mark.parametrize("id", TRUTH)
def test_the_machine_answers_each_question_and_each_wrong_model_is_told_by_its_name(id, tmp_path, learning):
    named(id, story_about(id, tmp_path), TRUTH[id])


def test_every_question_of_the_lesson_is_tried_here():
    assert set(LESSON.questions) == set(TRUTH)


def test_more_rights_change_the_answer_and_not_the_depth(tmp_path, capsys):
    LESSON.run(tmp_path, "01-bit")

    said = capsys.readouterr().out
    assert "PARTITION_TOO_DEEP" in said and "denies" not in said


def test_the_real_guest_is_told_with_its_numbers():
    shown = LESSON.shown("01-log")

    assert "0x003b_8030_0000_ae7f" in shown and "0xc2c: bits 2, 3, 5, 10, 11" in shown
    assert "create_partitions (32)" in shown and "access_reset_msr (7)" in shown


def test_the_inspector_stands_in_the_lesson_with_every_call_in_words():
    shown = LESSON.shown("01-inspector")

    assert shown.count("<tr class=") == 51 and "no: a child is not its own parent" in shown
    assert "no: bit 32 is 0" in shown and shown.count(">may<") == shown.count('<tr class="on">')


def test_what_is_stored_gives_no_answer_before_its_gate():
    assert LESSON.given_away("19 table reads", "denies", "0x8000_0000") == []
