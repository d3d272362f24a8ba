"""The story of a call: registers, answers and lists as the trace has them; the words that are composed from bits."""

import pytest

from hvlab.errors import BadRequest
from hvlab.lab.bitfields import compose, parts
from hvlab.lab.calling import established, flush_block
from hvlab.machine import Machine
from hvlab.story.call import call_story
from hvlab.wire.tlfs import HypercallControl, HypercallResult


@pytest.fixture(scope="module")
def sliced():
    machine = Machine(memory=2 << 20)
    kernel = established(machine)
    machine.slice_reps = 10
    with machine.action():
        kernel.write_gpa(0x5000, flush_block(pages=25))
        kernel.hypercall(0x19_0000_0003, 0x5000)
    return machine.trace


def test_rip_stays_until_the_call_is_answered(sliced):
    story = call_story(sliced)
    kinds = [story.scene["kinds"][int(k)]["name"] for k in story.columns["kind"]]
    rips = [story.state_at(k)["rip"] for k in range(len(story))]

    assert kinds.count("hypercall_entered") == 3 and kinds[-1] == "hypercall_returned"
    assert rips[-1] == 1 and 1 not in rips[:-1]


def test_each_grain_ends_with_the_same_facts(sliced):
    last = [call_story(sliced, grain).value("done") for grain in ("request", "event", "bit")]

    assert last == [25, 25, 25]
    assert len(call_story(sliced, "request")) < len(call_story(sliced)) < len(call_story(sliced, "bit"))


def test_the_rcx_that_comes_back_is_the_one_that_enters_next(sliced):
    story = call_story(sliced)
    starts = [HypercallControl.decode(story.state_at(k)["rcx"]).rep_start for k in range(2, len(story))]

    assert sorted(set(starts)) == [0, 10, 20]


def test_a_trace_without_a_call_and_an_unknown_grain_are_refused(sliced):
    machine = Machine(memory=2 << 20)
    with pytest.raises(BadRequest):
        call_story(machine.translate(machine.root_vp, 0))
    with pytest.raises(BadRequest, match="request, event, bit"):
        call_story(sliced, "minute")


def test_a_word_is_composed_and_taken_apart():
    made = compose(HypercallControl, code=3, rep_count=25, rep_start=20)

    assert int(made) == 0x0014001900000003 and made.rep_count == 25
    assert int(made.but(rep_start=0)) == 0x0000001900000003
    assert parts(HypercallResult, 0x1_0000_0000).reps_done == 1
    assert "INVALID_CONNECTION_ID" in repr(parts(HypercallResult, 0x12))
    assert "Bits that no field names." in repr(parts(HypercallResult, 0x1_0000))


@pytest.mark.parametrize(
    "ask",
    [
        lambda: compose(HypercallControl, cod=3),
        lambda: compose(HypercallControl, rep_count=4096),
        lambda: compose(HypercallControl, fast=True),
        lambda: compose(int, code=3),
        lambda: parts(HypercallResult, -1),
        lambda: parts(HypercallResult, 1 << 64),
        lambda: parts("HypercallResult", 1),
        lambda: flush_block(510),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(ask):
    with pytest.raises(BadRequest):
        ask()
