"""Two runs on one clock: what they share, where they part, and the ledger of each."""

from functools import cache

import numpy as np
import pytest

from hvlab.errors import BadRequest
from hvlab.lab.interrupting import one_apic
from hvlab.machine import Machine
from hvlab.story.pairs import first_divergence, two_runs
from hvlab.story.picture import alt_at
from hvlab.story.steps import steps
from hvlab.trace.journal import Trace
from story.machines import runs
from story.walks import GVA, USER, sized


@cache
def made(vps):
    machine = Machine(memory=4 << 20)
    machine.child("web", memory=16 << 12, vps=vps)
    return machine.trace


def test_equal_runs_are_one_story_that_never_parts():
    story = two_runs(made(1), made(1))

    assert first_divergence(story) is None
    assert len(story) == len(steps(made(1)))
    assert story.scene["about"] == "Both runs are the same, step by step."


def test_a_second_processor_parts_two_runs_after_the_first_one():
    story = two_runs(made(1), made(2), ("one", "two"), "processors of the child")
    apart = first_divergence(story)

    alone = [story.describe(k) for k in range(apart, len(story)) if story.value("side", k) == 2]
    assert alone[1] == "Only two: VP 0 calls the hypervisor: CreateVp, RCX 0x4e."
    assert story.scene["about"] == f"What differs: processors of the child. They part at frame {apart}."
    assert [story.value(f"l{at}_0") for at in (0, 1)] == [len(list(made(k).of("hypercall_entered"))) for k in (1, 2)]
    assert story.value("d_0") == story.value("l1_0") - story.value("l0_0") == 4


def test_runs_come_together_again_after_they_parted():
    story = two_runs(made(1), made(2))
    sides = [story.value("side", k) for k in range(len(story))]

    assert 0 in sides[first_divergence(story) :]
    assert len(story) < len(steps(made(1))) + len(steps(made(2)))


def test_each_step_of_each_run_is_one_frame():
    story = two_runs(made(1), made(2))
    sides = [story.value("side", k) for k in range(len(story))]

    assert len(steps(made(1))) == sum(side in (0, 1) for side in sides)
    assert len(steps(made(2))) == sum(side in (0, 2) for side in sides)


def test_a_large_page_saves_five_reads():
    first, second = sized(0, 0).go((GVA, USER)), sized(1, 0).go((GVA, USER))

    story = two_runs(first, second, ("4 KiB", "2 MiB"), "the guest's page size", root=-1)

    assert first_divergence(story) == 16
    assert (story.value("l0_2"), story.value("l1_2"), story.value("d_2")) == (24, 19, -5)
    said = alt_at(story.scene["pictures"][0], story.state_at(32), story.kinds_of_facts, story.enums)
    assert said.startswith("This step: only 2 MiB. hypercalls 0 and 0, exits 0 and 0, table reads 24 and 19,")


def test_time_alone_does_not_part_two_runs():
    later = runs()["one_load"].rows.copy()
    later[:, 1] = later[:, 1] * 2 + 7

    story = two_runs(runs()["one_load"], Trace(later))

    assert first_divergence(story) is None
    assert story.value("d_5") == story.value("l0_5")


def test_runs_that_share_nothing_part_at_the_first_frame():
    story = two_runs(runs()["power_on"], runs()["one_load"])

    assert first_divergence(story) == 0
    assert len(story) == len(steps(runs()["power_on"])) + len(steps(runs()["one_load"]))


def test_very_long_runs_are_only_compared_up_to_where_they_part(monkeypatch):
    monkeypatch.setattr("hvlab.story.pairs.MOST_MATCHED", 10)

    story = two_runs(made(1), made(2))

    sides = [story.value("side", k) for k in range(len(story))]
    assert 0 not in sides[first_divergence(story) :]
    assert len(two_runs(made(1), made(1))) == len(steps(made(1)))


def test_two_runs_want_two_names_and_rows():
    with pytest.raises(BadRequest, match="for two runs"):
        two_runs(made(1), made(2), ("same", "same"))
    with pytest.raises(BadRequest, match="without rows"):
        two_runs(made(1), Trace(np.zeros((0, 10), np.int64)))


def test_the_ledger_of_interrupts_counts_what_an_assist_page_saves():
    steps_of = "raise 0x50, take, eoi, raise 0x60 level, take, eoi"
    story = two_runs(one_apic(steps_of), one_apic(steps_of, assist=True), ("no help", "assist page"), "assist page")

    rows = ["exits", "interrupts", "EOIs saved"]
    last = len(story) - 1
    ledger = {name: [story.value(f"{side}_{row}", last) for side in ("l0", "l1", "d")] for row, name in enumerate(rows)}
    said = alt_at(story.scene["pictures"][0], story.state_at(last), story.kinds_of_facts, story.enums)
    assert said.endswith("exits 2 and 1, interrupts 2 and 2, EOIs saved 0 and 1, time 0 ns and 0 ns.")
    assert ledger == {"exits": [2, 1, -1], "interrupts": [2, 2, 0], "EOIs saved": [0, 1, 1]}
    assert story.describe(first_divergence(story)).startswith("Only no help: VP 0 writes EOI and leaves")


def test_a_local_apic_that_stands_alone_is_no_roots():
    story = two_runs(one_apic("raise 0x50, take, eoi"), one_apic("tpr 0x80, raise 0x50, take"))

    lanes = [element[4] for element in story.scene["pictures"][0]["layer"] if element[0] == "text"]
    assert "child kernel" in lanes and "root kernel" not in lanes
