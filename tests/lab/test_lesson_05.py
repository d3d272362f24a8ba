"""Lesson 05 as a learner runs it: part by part, twice, before and after the prediction."""

from hvlab.lab import predict as asking
from lab.lesson import Lesson
from lab.lesson_rules import *  # noqa: F403  its tests are this lesson's, too

DRAWN = {"05-study-tlb", "05-study-tlb-facts", "05-study-pages", "05-study-pages-facts"}
LESSON = Lesson("05-second-level", frozenset(DRAWN))
PARTS = [
    ("05-warm-up", "05-warm-up"), ("05-predict-reads", "05-beside-facts"), ("05-predict-large", "05-kvm-facts"),
    ("05-predict-huge", "05-huge"), ("05-knob", "05-knob"), ("05-cache", "05-cache"), ("05-readonly", "05-readonly"),
    ("05-stale", "05-stale"), ("05-two", "05-two"), ("05-W0", "05-W2"), ("05-E1-task", "05-E1-real"),
    ("05-E2-task", "05-E3"), ("05-X1-task", "05-X2"), ("05-left-out", "05-left-out"),
]  # fmt: skip


def test_a_learner_who_has_not_answered_sees_no_fact(tmp_path, learning, capsys):
    LESSON.run(tmp_path, "05-act", "05-watch", "05-facts")

    assert capsys.readouterr().out == "Answer 05.reads first, then run this cell again.\n"


def test_a_learner_who_answered_by_rote_is_told_by_name(tmp_path, learning, capsys):
    asking.predict("05.large", 24)
    asking.predict("05.reads", 8, "sure")

    LESSON.run(tmp_path, "05-act", "05-facts", "05-kvm", "05-kvm-facts")

    said = capsys.readouterr().out
    assert "You said 8, sure. The machine made 24 reads. one-after-the-other:" in said
    assert "You said 24. The machine made 19 reads.\n" in said


def test_the_lesson_finds_what_it_promises(tmp_path, capsys):
    found = LESSON.run(tmp_path, *LESSON.between("05-predict-reads", "05-kvm"))

    assert (found["step"].outcome, found["blocked"].outcome, found["unmapped"].outcome) == (
        "ok",
        "ept_violation",
        "page_fault",
    )
    assert (found["real"].spa, found["real"].ok) == (0xE347_1A9, True)
    assert capsys.readouterr().out


def test_reads_of_a_read_only_table_and_forgotten_flushes_are_told(tmp_path, capsys):
    LESSON.run(tmp_path, "05-readonly", "05-stale", "05-two")

    lines = capsys.readouterr().out.splitlines()
    assert "EPT violation at GPA 0x0001_3b38 (the guest's level-1 table)" in lines[0]
    assert "stale, a flush is owed" in lines[1]
    gpas, spas = zip(*((line.split()[4], line.split()[7]) for line in lines[2:]), strict=True)
    assert len(set(gpas)) == 1 and len(set(spas)) == 2


def test_what_is_stored_gives_no_answer_before_its_gate():
    """Cells above the facts show the first frame only, and facts are folded."""
    assert LESSON.given_away("table reads", "raises") == []
