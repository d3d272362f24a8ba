"""The lens of one request hop by hop, and the walk through the house."""

import pytest

from hvlab.lab.runs.r00 import SCENARIOS
from hvlab.lab.whole import FRESH, READY, hops, house, program, touch
from hvlab.machine import Machine
from hvlab.story.hops import DIGITS, HopLens
from hvlab.story.host import BOXES
from hvlab.story.tour import ASKED, STOPS


@pytest.fixture(scope="module")
def touched():
    return touch(program(Machine()), FRESH + 0xABC)


def test_every_row_is_told_once_in_order(touched):
    told = [row for step in HopLens().told(touched) for row in step.rows]

    assert told == list(range(len(touched)))


def test_a_walk_is_one_hop_that_counts_its_reads():
    machine = Machine()
    program(machine).read(READY)
    told = [row["what"] for row in hops(machine).rows()]

    assert len(told) == 3
    assert told[1] == "Table entries that the processor itself reads: 4 of the guest's and 20 of the hypervisor's."


def test_the_parent_reads_writes_and_calls_one_after_the_other(touched):
    kinds = [step.kind for step in HopLens().told(touched)]
    served = kinds[kinds.index("intercept_posted") + 1 : kinds.index("vp_resumed")]

    assert served == [
        "message_read", "input_written", "hypercall_entered", "page_given", "hypercall_returned", "input_written",
        "hypercall_entered",
    ]  # fmt: skip


def test_each_hop_of_a_question_is_counted_at_its_first_time(touched):
    story = hops(touched)
    digits = [int(digit) for digit in f"{story.value('order'):x}"]

    assert sorted(digits) == sorted(DIGITS.values()) and digits != sorted(digits)
    assert digits == [DIGITS[k] for k in ("tables_read", "vp_exited", "intercept_posted", "page_given", "vp_resumed")]


def test_several_traces_become_one_story():
    machine = Machine()
    web = program(machine)
    first, second = touch(web, READY), touch(web, READY)

    assert len(hops([first, second])) == len(hops(first)) + len(hops(second)) == 5


def test_a_hop_causes_the_next_one_within_an_access(touched):
    told = HopLens().told(touched)

    assert all(step.cause is None or step.cause < number for number, step in enumerate(told))
    assert [step.cause for step in told[:5]] == [None, 0, 1, 2, 3]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_a_scenario_is_told_by_hops(scenario):
    story = scenario.story(scenario.run(0, scenario.values({})), "token")

    assert {"order", "writer"} <= {fact["name"] for fact in story.scene["facts"]} and story.scene["token"] == "token"


def test_the_walk_names_every_box_once():
    named = [box for stop in STOPS for box in stop.boxes]

    assert len(named) == len(set(named)) == len(BOXES)
    assert all(len(stop.says) <= 140 and len(stop.boxes) <= 7 for stop in STOPS)


def test_each_stop_tells_the_place_of_its_boxes():
    modes = {1: {"user mode"}, 2: {"kernel mode"}, 3: {"hypervisor"}, 4: {"hardware"}, 5: {"user mode", "kernel mode"}}
    for stop in STOPS:
        assert {BOXES[box].where.split(", ")[-1] for box in stop.boxes} == modes[stop.privilege], stop.name


def test_the_house_draws_no_token_and_its_twin_names_what_is_lit():
    story = house()
    alt = story.scene["pictures"][0]["alt"]

    assert [part[1] for part in story.scene["pictures"][0]["layer"] if part[1].startswith("token")] == []
    assert set(alt["cases"]) == {str(number) for number in range(len(STOPS))}
    assert alt["cases"]["4"] == "Lit: VID of root, WinHv of root."
    assert story.value("inside") == sum(bit for bit, box in ASKED.items() if BOXES[box].where == "hypervisor") == 8
