"""The lens of interrupts: what its facts say is what the engine's registers hold, and who runs is who was scheduled."""

import random

import pytest

from hvlab import compare, show, tell
from hvlab.errors import BadRequest
from hvlab.lab.interrupting import Bench, busy, ipi, one_apic, rows_of, timer, two_guests
from hvlab.story.apics import Apic, Sets, listed
from hvlab.story.gantt import GONE, READY, RUNNING, bars_of, gantt, merged, ran_and_waited
from hvlab.story.interrupts import PHASES, InterruptLens, interrupt_story, of_interrupts
from hvlab.story.lanes import Axis
from hvlab.story.walk import story_of
from hvlab.trace.event import CATALOGUE
from hvlab.view.still import svg

LADDER = "raise 0x62, take, tpr 0x20, raise 0x6f, raise 0x71, raise 0x71"


def value(story, name, k=None):
    return story.value(name, len(story) - 1 if k is None else k)


def script(seed, length=60):
    """Random steps, as somebody might write them."""
    deal, steps = random.Random(seed), []
    for _ in range(length):
        vector = deal.choice((deal.randrange(16, 256), deal.choice((0x51, 0x52, 0x61))))
        step = deal.choice(("raise", "raise", "raise", "take", "take", "eoi", "tpr", "self", "pin", "drop"))
        kind = deal.choice(("", "", " level", " auto")) if step == "raise" else ""
        number = deal.randrange(0, 256) if step == "tpr" else vector
        steps.append(step if step in ("take", "eoi", "drop") else f"{step} {number:#x}{kind}")
    return ", ".join(steps)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("assist", [False, True])
def test_the_facts_are_the_registers_of_the_engine_after_every_step(seed, assist):
    bench = Bench(assist)
    followed, done = Apic(), 0
    for row in rows_of(script(seed)):
        run = bench.run([row])
        for k in range(done, len(run.trace)):
            followed.tell(run.trace.event(k).name, run.trace.facts(k))
        done = len(run.trace)

        held = run.registers
        assert (sorted(followed.irr), sorted(followed.isr)) == (list(held.waiting), list(held.in_service))
        assert (followed.tpr, followed.ppr) == (held.tpr, held.ppr)
        assert followed.open[-1:] == ([] if held.deliverable is None else [held.deliverable])


def test_a_story_says_what_waits_and_what_may_come():
    story = interrupt_story(one_apic(LADDER))
    words = story.scene["enums"]["vectors"]

    told = {name: words[str(value(story, f"{name}_0"))] for name in ("irr", "isr", "next", "held")}

    assert told == {"irr": "0x6f, 0x71", "isr": "0x62", "next": "0x71", "held": "0x6f"}
    assert (value(story, "ppr_0"), value(story, "tpr_0"), value(story, "open_0")) == (0x60, 0x20, 0b10)
    assert (value(story, "raised"), value(story, "merged"), value(story, "taken")) == (4, 1, 1)
    assert (value(story, "r71_0"), value(story, "r6f_0"), value(story, "s62_0")) == (2, 1, 2)


def test_the_picture_in_words_names_registers_and_what_is_deliverable():
    story = interrupt_story(one_apic(LADDER))

    drawn = svg(story, len(story) - 1, 0)

    assert "IRR: 0x6f, 0x71. ISR: 0x62. TPR 0x20, PPR 0x60: deliverable now: 0x71; held back: 0x6f." in drawn
    assert drawn.count("<rect") < 60


def test_more_vectors_than_a_line_holds_are_counted():
    assert listed(()) == "none" and listed((0x31, 0x62)) == "0x31, 0x62"
    assert listed(range(0x20, 0x40)) == "0x20, 0x21, 0x22, 0x23, 0x24, 22 more, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f"


def test_equal_sets_have_one_number():
    sets = Sets()

    numbers = [sets.number({0x51, 0x62}), sets.number((0x62, 0x51)), sets.number(())]

    assert numbers[0] == numbers[1] != numbers[2] == 0


def test_an_interrupt_for_a_guest_that_does_not_run_is_kept_and_taken_by_that_guest():
    story = interrupt_story(two_guests())

    assert (value(story, "taker"), value(story, "kept"), value(story, "lost")) == (2, 1, 0)
    assert [name["name"] for name in story.scene["pictures"]] == ["APIC of VP 1", "Scheduler", "Lanes"]
    assert value(interrupt_story(two_guests("A")), "kept") == 0


def test_the_chain_of_causes_leads_from_the_device_to_the_handler():
    story = interrupt_story(two_guests())
    rows = [row["what"] for row in story.rows()]
    handler = next(k for k, what in enumerate(rows) if "handles vector 0x51" in what)

    chain, at = [], handler
    while at >= 0:
        chain.append(rows[at].split(":")[0])
        at = int(story.columns["cause"][at])

    assert chain[-1].startswith("Device interrupt 0x51 arrives")
    assert [what.split(" ")[2] for what in chain[:2]] == ["handles", "takes"]
    assert value(story, "because", handler) == rows.index(next(what for what in rows if what.startswith("Device")))


@pytest.mark.parametrize(("run", "first"), [(ipi, "sends an IPI"), (timer, "APIC timer (one-shot) reaches zero")])
def test_ipi_and_timer_are_first_causes_as_well(run, first):
    story = interrupt_story(run())
    rows = [row["what"] for row in story.rows()]
    handler = next(k for k, what in enumerate(rows) if "handles vector" in what)

    chain, at = [], handler
    while at >= 0:
        chain.append(rows[at])
        at = int(story.columns["cause"][at])

    assert any(first in what for what in chain)


def test_every_step_has_a_sub_goal_of_interrupts():
    for trace in (one_apic(LADDER, assist=True).trace, two_guests(), ipi(), timer(), busy()):
        assert {step.phase for step in InterruptLens().told(trace)} <= set(PHASES)


def test_bit_by_bit_every_row_is_one_frame():
    trace = two_guests()

    assert [row["what"] for row in interrupt_story(trace, "bit").rows()] == trace.sentences()


def test_traces_of_interrupts_alone_are_told_by_this_lens():
    trace = one_apic("raise 0x51").trace

    assert of_interrupts(trace) and story_of(trace).title == "Interrupts of a local APIC"
    assert story_of(busy()).title == "Who runs when"
    assert story_of(trace, lens=InterruptLens("bit")).digest() == interrupt_story(trace, "bit").digest()


def test_a_trace_without_an_interrupt_is_refused():
    from hvlab import one_walk

    with pytest.raises(BadRequest, match="a trace without one"):
        interrupt_story(one_walk())


def test_show_tell_and_compare_take_a_lens(capsys):
    trace = two_guests()

    player = show(trace, lens=InterruptLens("bit"))
    tell(trace, lens=InterruptLens("bit"))
    found = compare(trace, two_guests("A"), ("B runs", "A runs"), lens=InterruptLens())

    assert len(player.board) == len(trace) == len(capsys.readouterr().out.splitlines())
    assert found.frame == 0 and "VP 1 has run" in repr(found)


def test_assist_changes_the_count_of_exits_and_the_runs_part_where_it_is_offered():
    steps = "raise 0x50, take, eoi, raise 0x51, take, eoi"

    found = compare(one_apic(steps), one_apic(steps, assist=True), ("plain", "assist"))

    counts = {name: pair for name, *pair in found.rows}
    assert counts["EOIs that left the guest"] == [2, 0] and counts["EOIs without an exit"] == [0, 2]
    assert found.frame == 2 and "no EOI required" in found.sides[1]


# the scheduler's strips -----------------------------------------------------------------------------------------------


def test_at_every_moment_one_virtual_processor_runs_on_a_logical_one_and_as_the_trace_says():
    trace = busy(kind="core", lps=2, vps=2)
    on = {}
    for row, name in enumerate(trace.kinds()):
        if name == "vp_scheduled":
            on[trace.fact(row, "lp")] = int(trace.rows[row, 2])
        elif name == "vp_descheduled":
            del on[trace.fact(row, "lp")]
        shown = {bar.lp: bar.vp for bar in bars_of(trace) if bar.lp >= 0 and bar.state_at(row)}
        assert shown == on, row


def test_weight_and_cap_show_in_what_each_had():
    equal, heavy, capped = (ran_and_waited(run) for run in (busy(), busy(weight=300), busy(cap=25)))

    assert 0.9 < equal[1][0] / equal[2][0] < 1.2
    assert 2.5 < heavy[1][0] / heavy[2][0] < 3.6
    assert 0.25 < capped[1][0] / capped[2][0] < 0.4


def test_the_core_scheduler_never_lets_two_partitions_share_a_core():
    mixed = set()
    for kind in ("core", "classic"):
        run = busy(kind=kind, lps=2, vps=3)
        whose = {int(run.rows[row, 2]): run.fact(row, "partition") for row in run.of("vp_scheduled")}
        bars = [bar for bar in bars_of(run) if bar.lp >= 0]
        for one in bars:
            for other in bars:
                together = one.lp != other.lp and max(one.begin, other.begin) < min(one.end, other.end)
                if together and whose[one.vp] != whose[other.vp]:
                    mixed.add(kind)
    assert mixed == {"classic"}


def test_bars_grow_with_the_story_and_books_are_kept():
    trace = busy()
    story = interrupt_story(trace)
    widths = [story.value("bar0", k) for k in range(len(story))]
    last = len(story) - 1

    assert widths == sorted(widths) and widths[-1] > widths[1] > 0
    had = ran_and_waited(trace)
    assert {vp: (value(story, f"ran{vp}"), value(story, f"stolen{vp}")) for vp in had} == had
    states = {value(story, f"does{vp}", last) for vp in had}
    assert states == {GONE, READY}  # both are suspended in the end: one while it ran, one while it waited
    assert {value(story, f"does{vp}", last - 1) for vp in had} <= {0, READY, RUNNING}


def test_many_bars_become_few_but_none_is_lost():
    trace = busy(milliseconds=20)
    axis = Axis(int(trace.rows[0, 1]), int(trace.rows[-1, 1]), left=128, right=140)

    bars = bars_of(trace)
    few = merged(bars * 3, axis)

    assert len(few) <= 400 < len(bars * 3)
    assert max(bar.end for bar in few) == max(bar.end for bar in bars)


def test_a_trace_without_time_or_scheduler_has_no_strips():
    trace = one_apic("raise 0x51").trace

    assert gantt(trace, InterruptLens().told(trace)) == []


def test_every_event_of_interrupts_and_scheduling_belongs_to_a_sub_goal_or_is_handled():
    from hvlab.story.interrupts import OF_INTERRUPTS, PHASE_OF

    assert {event.name for event in CATALOGUE} >= OF_INTERRUPTS
    assert set(PHASE_OF) == OF_INTERRUPTS


# what a learner writes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "steps", ["", "jump", "take 3", "raise", "raise 0x100", "raise 51 sideways", "tpr", "take," * 500]
)
def test_a_step_that_is_none_is_refused_with_those_that_are(steps):
    with pytest.raises(BadRequest, match="raise 0x51|1 to 400"):
        one_apic(steps)


def test_a_level_sends_again_until_its_line_is_dropped():
    run = one_apic("pin 0x60 level, take, eoi, take, drop, eoi")

    assert run.trace.kinds().count("pin_sent") == 2 and run.registers.waiting == ()


def test_a_masked_pin_loses_an_edge_and_keeps_a_level():
    edge = one_apic("mask, pin 0x60, unmask")
    level = one_apic("mask, pin 0x60 level, unmask")

    assert (edge.registers.waiting, level.registers.waiting) == ((), (0x60,))
    assert (
        repr(level).splitlines()[0]
        == "IRR  " + "0x" + "0" * 16 + "_" + "0" * 16 + "_" + "0000000100000000" + "_" + "0" * 16
    )


def test_a_logical_processor_on_which_nothing_ran_has_a_strip_where_the_lens_knows_of_it():
    trace = busy(kind="core", lps=2)  # threads of one core; each guest has one virtual processor
    names, every = (
        {one["name"] for one in lens.story(trace).scene["facts"]} for lens in (InterruptLens(), InterruptLens(lps=2))
    )
    story = InterruptLens(lps=2).story(trace)
    drawn = next(one for one in story.scene["pictures"] if one["name"] == "Scheduler")

    assert every - names == {"on1"} and story.value("on1") == 0
    assert [one[4] for one in drawn["layer"] if one[4] in ("processor 0", "processor 1")] == [
        "processor 0",
        "processor 1",
    ]


@pytest.mark.parametrize(
    "wrong", [lambda: busy(weight=0), lambda: busy(kind="root"), lambda: two_guests("C"), lambda: busy(lps=3)]
)
def test_a_knob_outside_its_range_is_refused(wrong):
    with pytest.raises(BadRequest):
        wrong()
