"""Lesson 02 as a learner runs it: part by part, twice, before and after the predictions."""

import pytest

from hvlab.lab import tiny
from lab.lesson import Lesson, named
from lab.lesson_rules import *  # noqa: F403  its tests are this lesson's, too

LESSON = Lesson("02-intercepts")
TRUTH = {"02.exits": 1, "02.cpuid": 2, "02.strings": 1}
PARTS = [
    ("02-warm-up", "02-warm-up"), ("02-predict-exits", "02-facts"), ("02-predict-cpuid", "02-cpuid-facts"),
    ("02-hello", "02-hello-facts"), ("02-message", "02-resume"), ("02-predict-strings", "02-strings-facts"),
    ("02-compare", "02-compare-strip"), ("02-switch", "02-others"), ("02-costs", "02-costs"), ("02-real", "02-real"),
    ("02-worked", "02-W2"), ("02-E1-task", "02-E1"), ("02-E2-task", "02-E3"), ("02-X1-task", "02-X2"),
    ("02-left-out", "02-left-out"),
]  # fmt: skip


@pytest.mark.parametrize(("id", "cells"), [
    ("02.exits", ("02-act", "02-facts")), ("02.cpuid", ("02-cpuid", "02-cpuid-facts")),
    ("02.strings", ("02-strings", "02-strings-facts")),
])  # fmt: skip
def test_a_learner_who_has_not_answered_sees_no_fact(id, cells, tmp_path, learning, capsys):
    LESSON.run(tmp_path, *cells)

    assert capsys.readouterr().out == f"Answer {id} first, then run this cell again.\n"


@pytest.mark.parametrize("id", TRUTH)
def test_the_machine_answers_each_question_and_each_wrong_model_is_told_by_its_name(id, tmp_path, learning):
    name, cells = {
        "02.exits": ("story", ("02-act",)),
        "02.cpuid": ("asked", ("02-cpuid",)),
        "02.strings": ("read", ("02-strings",)),
    }[id]

    named(id, LESSON.run(tmp_path, *cells)[name], TRUTH[id])


def test_every_question_of_the_lesson_is_tried_here():
    assert set(LESSON.questions) == set(TRUTH)


def test_the_knob_takes_one_exit_or_one_for_each_byte():
    runs = [tiny.run_tiny(tiny.identify(16), tiny.child_with_devices(whole=whole)) for whole in (True, False)]

    assert [ran.exits for ran in runs] == [2, 17]
    assert runs[0].time < runs[1].time


def test_the_strip_lights_the_instruction_and_says_who_answered():
    story = tiny.run_tiny([*tiny.adding(), *tiny.hello(b"x")]).story()
    states = list(story.states(0, len(story) - 1))

    assert story.scene["pictures"][0]["name"] == "Program"
    assert [states[-1][f"by{k}"] for k in (1, 8, 11)] == [0, 2, 1]
    assert states[-1]["left"] == 2 and states[-1]["line"] == 11


def test_the_five_parts_of_an_intercept_are_the_phases():
    story = tiny.run_tiny(tiny.hello(b"x")).story()

    assert list(story.scene["phases"]) == ["run", "exit", "tell the parent", "emulate", "resume"]
    met = [row["phase"] for row in story.rows()]
    assert list(dict.fromkeys(met)) == ["exit", "tell the parent", "emulate", "resume"]


def test_costs_grow_by_the_same_amount_for_each_byte():
    times = [tiny.run_tiny(tiny.hello(b"x" * count)).time for count in (2, 3, 4, 5)]

    assert len({b - a for a, b in zip(times, times[1:], strict=False)}) == 1


def test_the_message_shows_port_place_and_length():
    shown = LESSON.shown("02-message")

    assert "0x03f8" in shown and "instruction_length" in shown and "ee" in shown


def test_what_is_real_is_counted_from_the_shipped_trace():
    shown = LESSON.shown("02-real")

    assert "kvm_hv_synic_set_irq" in shown and "501" in shown and "701" in shown


def test_what_is_stored_gives_no_answer_before_its_gate():
    assert LESSON.given_away("IO_PORT_INTERCEPT", "CPUID 0x4000_0001 answers") == []
