"""Lesson 06 as a learner runs it: part by part, twice, before and after the prediction."""

import pytest

from hvlab.lab import predict as asking
from hvlab.lab.runs import r06
from hvlab.lab.scenario import scenario, token
from lab.lesson import Lesson
from lab.lesson_rules import *  # noqa: F403  its tests are this lesson's, too

LESSON = Lesson("06-interrupts")
PARTS = [
    ("06-warm-up", "06-warm-up"), ("06-predict-who", "06-alone"), ("06-predict-class", "06-tpr"),
    ("06-predict-twice", "06-mask"), ("06-predict-exits", "06-auto"), ("06-weight", "06-core-watch"),
    ("06-ipi", "06-ipi"), ("06-real", "06-real-apic"), ("06-W0", "06-W2"), ("06-E1-task", "06-E3-eoi"),
    ("06-X1-task", "06-X2"), ("06-left-out", "06-left-out"),
]  # fmt: skip


def test_a_learner_who_has_not_answered_sees_no_fact(tmp_path, learning, capsys):
    LESSON.run(tmp_path, "06-act", "06-watch", "06-facts", "06-lost-facts")

    said = "Answer 06.who first, then run this cell again.\nAnswer 06.lost first, then run this cell again.\n"
    assert capsys.readouterr().out == said


def test_a_learner_who_thought_of_the_running_guest_is_told_by_name(tmp_path, learning, capsys):
    asking.predict("06.who", 3, "sure")
    asking.predict("06.class", 12)

    LESSON.run(tmp_path, "06-act", "06-facts", "06-ladder", "06-registers")

    said = capsys.readouterr().out
    assert "running-vm-gets-it: the vector goes to the virtual processor that it belongs to" in said
    assert "compare-vectors: these are the vectors above 0x62." in said


def test_the_lesson_finds_what_it_promises(tmp_path, capsys):
    found = LESSON.run(tmp_path, "06-act", "06-ladder", "06-exits")

    assert [found["packet"].rows[row, 2] for row in found["packet"].of("handler_entered")] == [1]
    assert found["ladder"].registers.deliverable == 0x71 and found["ladder"].ppr == 0x60
    kinds = found["assisted"].trace.kinds()
    assert (kinds.count("eoi_written"), kinds.count("eoi_saved")) == (3, 2)


def test_what_the_real_guest_got_is_counted(tmp_path, capsys):
    found = LESSON.run(tmp_path, "06-real")["found"]

    assert ("IPI by hypercall", 0xFB, 5) in found and ("SINT 2", 0xF3, 501) in found


def test_weight_and_core_scheduler_change_what_each_guest_had():
    shown = LESSON.shown("06-weight-facts") + LESSON.shown("06-core")

    assert "VP 2 was ready and waited" in shown and "They part at frame" in shown


def test_what_is_stored_gives_no_answer_before_its_gate():
    """Cells above the facts show the first frame only, and facts are folded."""
    assert LESSON.given_away("handles vector", "takes vector", "in its assist page") == []


@pytest.mark.parametrize("one", r06.SCENARIOS, ids=lambda one: one.name)
def test_each_knob_of_a_run_changes_it_and_its_token_brings_it_back(one):
    plain = scenario(token(one.name))
    for knob in one.knobs:
        others = [value for value in knob.values if value != knob.start]
        changed = [scenario(token(one.name, **{knob.name: value})).digest for value in others]
        if (one.name, knob.name) != ("shared-processor", "core"):  # with one processor both kinds are the same
            assert plain.digest not in changed, knob.name
    assert scenario(plain.token).digest == plain.digest
