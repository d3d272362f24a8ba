"""The lens of the whole machine: what is told, where, in which sub-goal, because of what."""

from pathlib import Path

import numpy as np
import pytest

from hvlab.errors import BadRequest
from hvlab.story.host import BOXES, caller_of
from hvlab.story.steps import CALL_PHASES, INTERCEPT_PHASES, steps
from hvlab.story.system import SystemLens, create_child, one_intercept, one_load, power_on
from hvlab.story.walk import story_of
from hvlab.story.where import AT
from hvlab.trace.event import CATALOGUE, COLUMNS
from hvlab.trace.journal import Trace
from story.machines import runs

GOLDEN = Path(__file__).parents[1] / "golden"
TOLD = {"power_on": power_on, "create_child": create_child, "one_load": one_load, "one_intercept": one_intercept}


@pytest.mark.parametrize("name", TOLD)
def test_each_story_is_the_same_text_as_ever(name):
    story = TOLD[name](runs()[name], SystemLens(name="web"))

    assert story.table() + "\n" == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("event", CATALOGUE, ids=lambda event: event.name)
def test_every_event_has_a_place_and_is_told(event):
    row = np.zeros((1, COLUMNS), np.int64)
    row[0, :4] = event.number, 7, 1, -1

    story = SystemLens("bit").story(Trace(row))

    assert set(AT) == {one.name for one in CATALOGUE}
    assert story.scene["kinds"][int(story.columns["kind"][0])]["name"] == event.name
    assert story.scene["places"][int(story.columns["src"][0])]["name"] in BOXES


@pytest.mark.parametrize("name", TOLD)
def test_bit_by_bit_every_row_is_one_frame_with_its_own_sentence(name):
    trace = runs()[name]

    story = SystemLens("bit").story(trace)

    assert [row["what"] for row in story.rows()] == trace.sentences()


@pytest.mark.parametrize("name", TOLD)
@pytest.mark.parametrize("grain", ["request", "event", "bit"])
def test_each_row_is_in_one_step_and_causes_are_those_recorded(name, grain):
    trace = runs()[name]

    found = steps(trace, grain)

    assert [row for step in found for row in step.rows] == list(range(len(trace)))
    holder = {row: number for number, step in enumerate(found) for row in step.rows}
    for number, step in enumerate(found):
        recorded = {holder[int(trace.rows[row, 3])] for row in step.rows if trace.rows[row, 3] >= 0} - {number}
        assert step.cause in recorded if recorded else step.cause is None


def test_a_request_is_one_hypercall_with_what_it_changed():
    story = create_child(runs()["create_child"], SystemLens("request"))

    last = [row["what"] for row in story.rows()][8]
    assert len(story) == len(list(runs()["create_child"].of("hypercall_entered"))) == story.value("calls")
    assert last == (
        "VP 0 calls MapGpaPages: SUCCESS, 16 elements; 16 pages change owner, 19 second-level entries are written."
    )


def test_a_hypercall_goes_through_its_sub_goals_in_order():
    found = [step.phase for step in steps(runs()["create_child"]) if step.request == 1]

    assert list(dict.fromkeys(found)) == [phase for phase in CALL_PHASES if phase != "check"]


def test_an_intercept_goes_through_its_sub_goals_in_order_and_the_child_runs_again():
    found = [step.phase for step in steps(runs()["one_intercept"])]

    assert list(dict.fromkeys(found)) == list(INTERCEPT_PHASES)
    assert found[-1] == "run"


def test_an_exit_is_caused_by_the_violation_and_the_message_by_the_exit():
    found = steps(runs()["one_intercept"])
    kinds = [step.kind for step in found]
    violation, left, told = (kinds.index(k) for k in ("ept_violation_raised", "vp_exited", "intercept_posted"))

    assert (found[violation].cause, found[left].cause, found[told].cause) == (0, violation, left)
    assert found[0].cause is None and found[0].src == "windows.kernel"


def test_a_load_lights_no_box_of_the_hypervisor():
    for name in ("one_load", "load_again"):
        lit = {BOXES[place].where for step in steps(runs()[name]) for place in step.boxes}

        assert lit <= {"hardware", "Windows child, kernel mode"}


def test_the_tlb_answers_the_second_load_without_a_read():
    first, second = one_load(runs()["one_load"]), one_load(runs()["load_again"])

    assert (first.value("reads"), second.value("reads")) == (24, 0)
    assert first.value("exits") == second.value("exits") == 0


@pytest.mark.parametrize("guest", ["windows", "linux", "unenlightened"])
def test_the_child_may_be_each_kind_of_guest(guest):
    story = one_intercept(runs()["one_intercept"], SystemLens(guest=guest, name="web"))

    assert story.rows()[0]["where"] == "kernel of web"
    assert caller_of(guest) in BOXES


def test_a_call_that_takes_a_partition_down_is_told_page_by_page():
    story = SystemLens(name="second").story(runs()["destroyed"])

    assert story.value("to_root") >= 4
    assert "deletes" in story.table()


@pytest.mark.parametrize(
    ("grain", "guest", "trace"),
    [("word", "windows", "power_on"), ("event", "beos", "power_on"), ("event", "windows", "nothing")],
)
def test_what_cannot_be_told_is_refused(grain, guest, trace):
    given = runs().get(trace, Trace(np.zeros((0, COLUMNS), np.int64)))

    with pytest.raises(BadRequest):
        SystemLens(grain, guest).story(given)


def test_a_story_without_its_event_is_refused():
    with pytest.raises(BadRequest, match="a trace without intercept_posted"):
        one_intercept(runs()["one_load"])


def test_a_trace_is_told_by_its_own_lens():
    assert story_of(runs()["create_child"]).scene["pictures"][0]["name"] == "Map"
    assert story_of(runs()["one_load"]).scene["pictures"][0]["name"] == "Square"
