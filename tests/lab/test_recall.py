"""The warm-up deals three short questions from earlier lessons, with new seeds, and may be skipped."""

import pytest

from hvlab.errors import BadRequest
from hvlab.lab import items, progress, recall, tables
from hvlab.lab.check import check, task
from hvlab.lab.deal import hand
from hvlab.lab.recall import short_of, sources
from lab.item_rules import holds


@pytest.mark.parametrize("lesson", tables.LESSONS)
def test_every_lesson_has_three_questions_and_no_two_are_the_same(lesson):
    found = [hand(id).item.id for id in recall.ids(lesson)]

    assert len(found) == 3 and len(set(found)) >= min(3, len(set(sources(lesson))))
    assert all(repr(task(id)).startswith(f"{lesson}.R") for id in recall.ids(lesson))


def test_questions_come_from_the_lessons_one_three_and_six_back_or_the_nearest_before(monkeypatch):
    asks = {"00", "02", "05", "07"}
    monkeypatch.setattr(items, "shorts", lambda lesson: (1,) if lesson in asks else ())
    sources.cache_clear()

    assert sources("08") == ("07", "05", "02")
    assert sources("07") == ("05", "02", "00")
    assert sources("01") == ("00", "any", "any")
    assert sources("00") == ("any", "any", "any")
    sources.cache_clear()


def test_feedback_comes_at_once_and_an_answer_may_be_left_open(capsys):
    held = hand("00.R2")
    right = held.item.truth(held.world)

    recall.recall("00", [None, right])

    said = capsys.readouterr().out
    assert said.count("00.R") == 4 and "00.R2: right." in said
    assert [(row.item, row.kind, row.verdict) for row in progress.BOOK.memory] == [("00.R2", "recall", "right")]


def test_skipped_it_says_how_to_answer_and_that_nothing_is_marked(capsys):
    recall.recall("05")

    assert capsys.readouterr().out.splitlines()[-1] == "Answer with check('05.R1', …) or go on: nothing is marked."
    assert not progress.BOOK.memory


def test_a_single_answer_need_not_be_a_list(capsys):
    recall.recall("00", 3)

    assert "00.R1:" in capsys.readouterr().out


def test_other_ids_are_no_warm_up():
    assert short_of("05.E1", "demo") is None and short_of("99.R1", "demo") is None and short_of("05.R4", "demo") is None


def test_an_unknown_lesson_and_too_many_answers_are_refused():
    with pytest.raises(BadRequest):
        recall.recall("5")
    with pytest.raises(BadRequest, match="4 answers"):
        recall.recall("05", [1, 2, 3, 4])


def test_two_learners_get_other_numbers():
    assert hand("00.R1", "ada").seed != hand("00.R1", "bob").seed


def test_short_forms_about_any_computer_are_right():
    from hvlab.lab.items import any_computer

    for item in any_computer.SHORTS:
        holds(item)
    page, bits, data, *_more = any_computer.SHORTS
    assert page.truth({"address": 0x12345678, "size": 4096}) == 0x12345
    assert bits.truth({"bits": 9}) == 9
    assert data.truth({"data": b"\x78\x56\x34\x12"}) == 0x12345678


def test_an_answer_to_a_warm_up_is_checked_like_any_other(capsys):
    assert check("00.R1", "nothing").verdict == "unread"
    assert check("00.R1").verdict == "waiting"
