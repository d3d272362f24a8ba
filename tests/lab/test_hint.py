"""Hints come in stages and cost nothing; the solution deals a new world; a teacher may see more."""

import pytest

from hvlab.errors import BadRequest
from hvlab.lab import progress
from hvlab.lab.check import check, task
from hvlab.lab.deal import deals, hand
from hvlab.lab.hint import hint
from hvlab.lab.teacher import solution, wrong_run
from hvlab.story.walk import story_of

E1 = "05.E1"


def text(shown):
    """What is shown, on one line, however it was wrapped."""
    return " ".join(repr(shown).split())


def test_the_first_two_stages_name_a_phase_and_a_sub_goal_and_no_number_of_this_world():
    first, second = hint(E1), hint(E1)

    assert (first.stage, second.stage) == (1, 2)
    assert "*index*" in repr(first) and "Sub-goal:" in repr(second)
    assert first.story is None


def test_the_third_is_a_full_run_of_another_seed():
    third = hint(E1, 3)
    held = hand(E1)

    mine, other = (" ".join(held.item.ask(one.world).split()) for one in (held, held.other()))
    assert third.story is story_of(third) and len(third.story) > 15
    assert held.other().seed != held.seed and other in text(third) and mine not in text(third)


def test_the_solution_waits_for_three_attempts_unless_it_is_asked_for():
    for _ in range(5):
        last = hint(E1)
    assert last.stage == 3

    for _ in range(3):
        check(E1, [0, 0, 0])

    assert hint(E1).stage == 4


def test_the_solution_is_right_and_then_another_world_is_dealt():
    before, held = repr(task(E1)), hand(E1)
    gpa, spa, reads = held.item.truth(held.world)

    said = text(hint(E1, 4))

    assert f"after {reads} table reads" in said and "A new world is dealt" in said
    assert deals(E1, "demo") == 1 and repr(task(E1)) != before
    assert hint(E1).stage == 1  # of the new world


def test_each_stage_is_kept_and_shown_once_more_on_request():
    assert repr(hint(E1, 2)) == repr(hint(E1, 2))
    assert [(row.kind, row.hint) for row in progress.BOOK.memory] == [("hint", 2), ("hint", 2)]


def test_a_construction_has_hints_too():
    assert "second(gpa)" in repr(hint("05.E3", 1))
    assert len(hint("05.E3", 3).story) > 1
    assert "source('hardware.processor.walk')" in repr(hint("05.E3", 4))


def test_short_forms_have_worked_runs():
    assert "The answer:" in repr(hint("00.R1", 3)) and hint("00.R1", 3).story is None


@pytest.mark.parametrize("asked", [("05.E9", 1), (E1, 5), (E1, 0), (E1, "1"), (E1, True)])
def test_what_is_not_there_is_refused_with_what_is(asked):
    with pytest.raises(BadRequest) as caught:
        hint(*asked)

    assert caught.value.attempt in ("1 to 4", "05.E3, 05.E2, 05.E1")


# a teacher


def test_only_a_teacher_sees_solutions_and_wrong_runs(learning):
    for refused in (lambda: solution(E1), lambda: wrong_run(E1, "forgot-the-last")):
        with pytest.raises(BadRequest, match="HVLAB_MODE=teach"):
            refused()


def test_a_teacher_sees_the_solution_of_any_learner_and_nobody_gets_a_new_world(monkeypatch):
    monkeypatch.setenv("HVLAB_MODE", "teach")

    said, other = solution(E1, "ada"), solution(E1, "bob")

    assert said.startswith("05.E1 of ada, seed ") and said.splitlines()[1:] != other.splitlines()[1:]
    assert "A new world" not in repr(hint(E1, 4)) and deals(E1, "demo") == 0


def test_a_wrong_idea_runs_beside_the_machine(monkeypatch):
    monkeypatch.setenv("HVLAB_MODE", "teach")

    right, wrong = wrong_run(E1, "one-after-the-other", "ada")

    assert len(wrong) < len(right)
    with pytest.raises(BadRequest, match="one-after-the-other, forgot-the-last, iommu-does-it"):
        wrong_run(E1, "lower-is-higher")
