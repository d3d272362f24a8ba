"""Worked runs fade: whole, then with blanks that can be filled in; never in the learner's own world."""

import re

import pytest

from hvlab.errors import BadRequest
from hvlab.lab.check import task
from hvlab.lab.worked import faded, worked

E1 = "05.E1"


def test_a_whole_run_has_every_number_and_another_world():
    run = worked(E1)

    assert "____" not in repr(run) and repr(task(E1))[7:] not in repr(run) and not run.said
    assert len(run.lines) > 15


@pytest.mark.parametrize("blanks", [1, 2, 3])
def test_blanks_are_counted_and_spread_and_each_number_of_them_is_another_world(blanks):
    run, whole = worked(E1, blanks), worked(E1)

    assert sum("____" in line for line in run.lines) == blanks
    assert run.task != whole.task and run.said[-1] == f"Fill it in: worked('05.E1', {blanks}, […])."


def test_a_blank_is_told_from_its_filling_and_not_given_away():
    lines = ["0  SPA 0x0010 is 0x00ab_c000.", "1  nothing", "2  level 4 at 0x0020"]

    told, hidden = faded(lines, 2)

    assert told == ["0  SPA 0x0010 is ____ (1).", "1  nothing", "2  level 4 at ____ (2)"]
    assert hidden == [0xABC000, 0x20]
    assert faded(lines, 0) == (lines, [])


def test_what_is_filled_in_is_answered_number_by_number():
    run = worked(E1, 2, [5, "x"])

    assert run.said == ("(1) 5: not what the machine has there.", "(2) x: not what the machine has there.")
    blank = next(line for line in run.lines if "____ (1)" in line)
    before = re.escape(blank.split("____")[0])
    from hvlab.lab.deal import Dealt, hand
    from hvlab.lab.hint import steps

    held = hand(E1)
    right = next(line for line in steps(Dealt(E1, held.item, " worked 2", 0)) if re.match(before, line))
    number = re.findall(r"0x[0-9a-f_]+", right)[-1]
    assert worked(E1, 2, [number]).said == (f"(1) {number}: as in the machine.",)


@pytest.mark.parametrize("asked", [("05.E3",), ("05.X2",), (E1, 5), (E1, True), ("05.E8",)])
def test_what_has_no_steps_is_refused(asked):
    with pytest.raises(BadRequest):
        worked(*asked)
