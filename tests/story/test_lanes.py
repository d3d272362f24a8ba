"""Lanes: marks where and when their steps happened, the chain of causes, sums, nothing shown before its step."""

import re
from itertools import combinations

import numpy as np
import pytest

from hvlab.story.lanes import (
    BIN,
    HEIGHT,
    LANE,
    LANES,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    axis_of,
    chain,
    lanes,
    placed,
)
from hvlab.story.picture import alt_at, changes_at, elements
from hvlab.story.steps import steps
from hvlab.story.system import SystemLens, create_child, one_intercept, one_load
from hvlab.trace.journal import Trace
from story.machines import runs

NAMES = ["power_on", "create_child", "one_load", "one_intercept"]


def shown(story, k, prefix):
    """The ids of this kind that the lanes show at a frame."""
    picture = next(one for one in story.scene["pictures"] if one["name"] == "Lanes")
    asked = changes_at(picture, story.state_at(k), story.changed_at(k), story.kinds_of_facts, story.enums)
    return [ask[0] for ask in asked if ask[1] == "show" and ask[2] and ask[0].startswith(prefix) and ask[0][-1] != "n"]


def begins(picture):
    """Where the texts of groups begin: of one digit, on its baseline."""
    found = {}
    for group in (one for one in picture["layer"] if one[0] == "g"):
        x, y = map(float, re.findall(r"[\d.]+", group[3].get("transform", "0 0")))
        texts = [one for one in group[4] if one[0] == "text"]
        found |= {one[1]: (x + one[3]["x"] - 8 * (" end" in one[2]), y + one[3]["y"]) for one in texts}
    return found


def shown_texts(story, picture, k):
    """The counts and the numbers of arrows that the lanes show at a frame, by id."""
    asked = changes_at(picture, story.state_at(k), story.changed_at(k), story.kinds_of_facts, story.enums)
    on = {ask[0] for ask in asked if ask[1] == "show" and ask[2]}
    edges = [f"{id}n" for id in on if id.startswith("edge")]
    return edges + [id for id in on if id.startswith("mark") and id.endswith("n")]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("grain", ["request", "event", "bit"])
def test_marks_hold_every_step_once_and_do_not_touch(name, grain):
    found = steps(runs()[name], grain)

    marks = placed(found, axis_of(found), LANES)

    assert sorted(number for mark in marks for number in mark.steps) == list(range(len(found)))
    for mark in marks:
        assert LEFT + 9 <= mark.x <= RIGHT - 9
        assert {found[number].lane for number in mark.steps} == {LANES[mark.lane]}
    for one, other in zip(marks, marks[1:], strict=False):
        if (one.lane, one.row) == (other.lane, other.row):
            assert other.x - one.x >= (34 if len(one.steps) > 1 else 20) - 0.11


@pytest.mark.parametrize("name", NAMES)
def test_a_mark_stands_where_its_time_is(name):
    found = steps(runs()[name])
    axis = axis_of(found)

    for mark in placed(found, axis, LANES):
        for number in mark.steps:
            assert abs(mark.x - axis.at(found[number], number)) <= BIN


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_shown_before_it_happened(name):
    story = SystemLens().story(runs()[name])

    counts = [len(shown(story, k, "mark")) for k in range(len(story))]

    assert counts[0] == 1 and counts == sorted(counts)


def test_a_chain_goes_back_to_the_first_cause_with_numbered_arrows():
    story = one_intercept(runs()["one_intercept"])
    told = steps(runs()["one_intercept"])

    assert chain(told, 3) == [0, 1, 2, 3]
    state = story.state_at(3)
    assert (state["hops"], state["because"], state["chain_time"]) == (3, 0, told[3].time - told[0].time)
    assert sorted(state[f"hop{at}"] for at in range(99) if f"hop{at}" in state if state[f"hop{at}"]) == [1, 2]
    assert len(shown(story, 3, "edge")) == 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("grain", ["request", "event", "bit"])
def test_the_number_of_an_arrow_stands_on_no_count_and_on_no_other_number(name, grain):
    story = SystemLens(grain).story(runs()[name])
    picture = next(one for one in story.scene["pictures"] if one["name"] == "Lanes")
    begin = begins(picture)

    for k in range(0, len(story), 1 + len(story) // 25):
        texts = [begin[id] for id in shown_texts(story, picture, k)]
        met = [(x, y) for (x, y), (to_x, to_y) in combinations(texts, 2) if abs(x - to_x) < 8 and abs(y - to_y) < 9]
        assert met == []


def test_the_sums_of_a_chain_are_its_whole_time():
    for name in NAMES:
        story = SystemLens().story(runs()[name])
        for state in story.states(0, len(story) - 1):
            assert sum(state[f"sum{at}"] for at in range(len(LANES))) == state["chain_time"]


def test_the_lanes_together_spend_the_whole_time():
    for name in NAMES:
        told = steps(runs()[name])
        story = SystemLens().story(runs()[name])
        spent = sum(story.value(f"spent{at}") for at in range(len(LANES)))

        assert spent == told[-1].time - int(runs()[name].rows[0, 1])


def test_time_passes_in_the_hypervisor_while_a_call_is_served():
    story = create_child(runs()["create_child"])

    assert story.value(f"spent{LANES.index('hypervisor')}") > 20 * story.value(f"spent{LANES.index('processor')}")
    assert story.value(f"spent{LANES.index('root kernel')}") == 0


def test_software_lanes_stay_empty_while_the_hardware_walks():
    story = one_load(runs()["one_load"])

    assert {LANES[state["line_lane"] - 1] for state in story.states(1, len(story) - 1)} == {"processor", "TLB"}


def test_very_many_steps_become_columns_with_counts():
    rows = runs()["create_child"].rows
    rows = np.concatenate([rows + [0, 15_000 * k, 0, 0, 0, 0, 0, 0, 0, 0] for k in range(3)])
    rows[:, 3] = -1
    told = steps(Trace(rows), "bit")

    drawn = lanes(told)

    assert len(told) > 1_000
    assert sum(1 for _ in elements(drawn.picture.layer)) < 1_500
    assert not any(element[0] == "path" and element[2] == "hollow" for element in elements(drawn.picture.layer))


def test_a_trace_in_which_no_time_passes_stands_in_order():
    rows = runs()["one_load"].rows.copy()
    rows[:, 1] = 5
    told = steps(Trace(rows))

    axis = axis_of(told)

    assert axis.ordered and axis.ticks() == []
    assert len(placed(told, axis, LANES)) > 5
    assert len(SystemLens().story(Trace(rows))) == len(told)


def test_an_endless_chain_is_cut(monkeypatch):
    told = steps(runs()["one_load"], "bit")
    assert chain(told, len(told) - 1) == list(range(len(told)))

    monkeypatch.setattr("hvlab.story.lanes.MOST_HOPS", 5)

    assert chain(told, len(told) - 1) == list(range(len(told) - 6, len(told)))


def test_the_picture_fits_and_says_where_it_stands():
    story = one_intercept(runs()["one_intercept"])
    picture = story.scene["pictures"][1]

    assert (picture["width"], picture["height"]) == (WIDTH, HEIGHT)
    assert TOP + LANE * len(LANES) + 60 < HEIGHT
    said = alt_at(picture, story.state_at(3), story.kinds_of_facts, story.enums)
    assert said == "At 15.9 µs, in the lane hypervisor; the chain of causes begins at frame 0: arrows 3, time 900 ns."
