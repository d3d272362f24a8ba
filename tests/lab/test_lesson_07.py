"""Lesson 07 as a learner runs it: part by part, twice, before and after the prediction."""

import pytest

from hvlab.lab import predict as asking
from lab.lesson import Lesson
from lab.lesson_rules import *  # noqa: F403  its tests are this lesson's, too

LESSON = Lesson("07-synic")
PARTS = [
    ("07-warm-up", "07-warm-up"), ("07-predict-posts", "07-flood-facts"), ("07-wiring", "07-letter"),
    ("07-wiring", "07-bit"), ("07-predict-interrupts", "07-bells-facts"), ("07-predict-masked", "07-policies"),
    ("07-right", "07-right"), ("07-wrong", "07-wrong"), ("07-every", "07-every"), ("07-every-flags", "07-every-flags"),
    ("07-predict-taken", "07-eoi"), ("07-eoi-knob", "07-eoi-knob"), ("07-timers", "07-timers"),
    ("07-real", "07-real"), ("07-W0", "07-W2"), ("07-E1-task", "07-E1"), ("07-E2-task", "07-E2"),
    ("07-E3-task", "07-E3"), ("07-X1-task", "07-X2"), ("07-left-out", "07-left-out"),
]  # fmt: skip
GATES = {
    "07.posts": ("07-flood", "07-flood-facts"),
    "07.interrupts": ("07-bells", "07-bells-facts"),
}


@pytest.mark.parametrize("id", GATES)
def test_a_learner_who_has_not_answered_sees_no_fact(id, tmp_path, learning, capsys):
    LESSON.run(tmp_path, *GATES[id])

    assert capsys.readouterr().out == f"Answer {id} first, then run this cell again.\n"


def test_a_learner_who_takes_the_slot_for_the_last_buffer_is_told_by_name(tmp_path, learning, capsys):
    asking.predict("07.posts", 17, "sure")
    asking.predict("07.interrupts", 2)

    LESSON.run(tmp_path, "07-flood", "07-flood-facts", "07-bells", "07-bells-facts")

    said = capsys.readouterr().out
    assert "You said 17, sure. The machine refused post 18. slot-keeps-its-buffer:" in said
    assert "You said 2. The machine raised 1 interrupt. flags-count:" in said


def test_the_status_of_a_full_port_is_0x13_and_not_the_0x33_of_the_appendix(tmp_path, capsys):
    LESSON.run(tmp_path, "07-flood", "07-status")

    assert capsys.readouterr().out == "INSUFFICIENT_BUFFERS: 0x13, 3 times\nSUCCESS: 0x0, 17 times\n"


def test_the_letter_lies_in_the_slot_and_the_next_one_sets_pending(tmp_path, capsys):
    found = LESSON.run(tmp_path, "07-wiring", "07-letter", "07-bytes", "07-bit")

    assert "01 00 00 00 05 01 00 00 04" in capsys.readouterr().out
    assert found["office"].slot[16:22] == b"second" and found["office"].waiting == 0


def test_two_policies_of_a_masked_source_part_at_the_signal(tmp_path, capsys):
    found = LESSON.run(tmp_path, "07-masked")
    refused = found["refused"].statuses

    assert [status.name for status in refused] == ["INVALID_SYNIC_STATE"]
    stored = LESSON.shown("07-policies")
    assert "INVALID_SYNIC_STATE" in stored and "dropped without an error" in stored


def test_the_wrong_order_leaves_a_letter_and_eom_is_not_always_needed(tmp_path, capsys):
    LESSON.run(tmp_path, "07-wrong", "07-eoi-knob")

    said = capsys.readouterr().out
    assert "left in the queue: 0 and 1" in said and "auto-EOI: 1 message waits, and its slot is free" in said


def test_the_recorded_guest_sets_sint2_with_auto_eoi(tmp_path, capsys):
    found = LESSON.run(tmp_path, "07-real")

    assert found["mine"][0].words["data"] == 0x200F3
    assert "Sint(vector=243, auto_eoi=1)" in capsys.readouterr().out
    stored = LESSON.shown("07-real")
    assert "its slot was full" in stored and "EOM by the guest" in stored


def test_what_is_stored_gives_no_answer_before_its_gate():
    """Cells above the facts show the first frame only, and facts are folded."""
    assert LESSON.given_away("INSUFFICIENT_BUFFERS", "is set already") == []
