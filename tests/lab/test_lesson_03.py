"""Lesson 03 as a learner runs it: part by part, twice, before and after the predictions."""

import pytest

from hvlab.lab.slices import long_call, sweep_slices
from hvlab.story.call import call_story
from lab.lesson import Lesson, named
from lab.lesson_rules import *  # noqa: F403  its tests are this lesson's, too

LESSON = Lesson("03-hypercalls")
PARTS = [
    ("03-warm-up", "03-warm-up"), ("03-predict-enable", "03-facts"), ("03-order", "03-order"),
    ("03-predict-page", "03-page-facts"), ("03-compose", "03-fast"), ("03-composer", "03-composer"),
    ("03-call", "03-cpl-facts"), ("03-predict-rip", "03-rip"), ("03-predict-entries", "03-entries-facts"),
    ("03-compare", "03-compare"), ("03-stays", "03-stays"), ("03-sweep", "03-sweep-facts"), ("03-real", "03-real"),
    ("03-worked", "03-W2"), ("03-E1-task", "03-E3"), ("03-X1-task", "03-X2"), ("03-left-out", "03-left-out"),
]  # fmt: skip


def test_a_learner_who_has_not_answered_sees_no_fact(tmp_path, learning, capsys):
    LESSON.run(tmp_path, "03-act", "03-facts", "03-entries", "03-entries-facts")

    assert capsys.readouterr().out.splitlines() == [
        "Answer 03.enable first, then run this cell again.",
        "Answer 03.entries first, then run this cell again.",
    ]


STORIES = {
    "03.enable": ("03-act", "early"),
    "03.border": ("03-call", "03-border", "across"),
    "03.unmapped": ("03-unmapped", "hole"),
    "03.cpl": ("03-cpl", "program"),
}
TRUTH = {"03.enable": 0, "03.border": 4, "03.unmapped": 0, "03.cpl": 0, "03.page": 13, "03.rip": 0, "03.entries": 28}


def story_about(id, folder):
    if id in STORIES:
        *cells, name = STORIES[id]
        return LESSON.run(folder, *cells)[name]
    if id == "03.entries":
        return call_story(long_call())
    return call_story(LESSON.run(folder, {"03.page": "03-page", "03.rip": "03-rip"}[id])["machine"])


@pytest.mark.parametrize("id", TRUTH)
def test_the_machine_answers_each_question_and_each_wrong_model_is_told_by_its_name(id, tmp_path, learning):
    named(id, story_about(id, tmp_path), TRUTH[id])


def test_the_first_frame_of_each_story_tells_nothing_of_what_follows(tmp_path):
    for id in TRUTH:
        assert story_about(id, tmp_path).describe(0).endswith("is about to begin.")


def test_the_anchors_stand_in_the_lesson():
    shown = {id: LESSON.shown(id) for id in LESSON.cells}

    assert "0x0014_0019_0000_0003" in shown["03-compose"] and "0x0000_0000_0001_005d" in shown["03-fast"]
    assert "0f 01 c1 c3" in shown["03-order"]
    assert "0x100000003" in shown["03-real"] and shown["03-real"].count("INVALID_CONNECTION_ID") == 4


def test_the_composer_stands_in_the_lesson_and_tells_no_answer_of_a_gate():
    shown = LESSON.shown("03-composer")

    assert "rep_count" in shown and "input lies in one page" in shown and "0x0000_0019_0000_0003" in shown
    assert not any(word in shown for word in ("INVALID", "ALIGNMENT (", "#GP", "#UD", "status"))


def test_two_slices_part_where_the_shorter_one_lets_the_guest_run(tmp_path):
    shown = LESSON.shown("03-compare")

    assert "They part at frame 38" in shown and "-18" in shown
    assert "28            999     1  1150 ns" in LESSON.shown("03-stays")


def test_a_thousand_elements_at_thirty_seven_take_twenty_eight_entries_and_none_twice():
    trace = long_call(1000, 37).trace

    assert sum(1 for _row in trace.of("hypercall_entered")) == 28
    assert [trace.fact(row, "rep") for row in trace.of("rep_done")] == list(range(1000))


def test_a_sweep_says_which_slices_stay_within_the_aim():
    rows = sweep_slices((37, 400, 0), reps=600).rows

    assert [row.entries for row in rows] == [17, 2, 1]
    assert [row.longest <= 50_000 for row in rows] == [True, False, False]


def test_every_question_of_the_lesson_is_tried_here():
    assert set(LESSON.questions) == set(TRUTH)


def test_what_is_stored_gives_no_answer_before_its_gate():
    assert LESSON.given_away("INVALID", "#GP", "#UD") == []
