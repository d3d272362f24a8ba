"""Lesson 06's exercises: the engine's truths are those of the slow model, and every wrong idea is named."""

import pytest
from model.apic import LocalApic

from hvlab.lab.interrupting import one_apic
from hvlab.lab.items import e06, e06_build, e06_script, every, exercises_of, find_exercise, l06, shorts
from hvlab.lab.items.e06_script import EOI, RAISE, TAKE, TPR
from hvlab.story.interrupts import interrupt_story
from lab.item_rules import builds, holds, seeds
from lab.lesson import named

PARTS = 4


def play(script):
    """The slow model after a script: the APIC, what each event took, and the EOIs that left the guest."""
    apic, taken, left = LocalApic(0, assist=script.assist), [], []
    for number, event in enumerate(script.events, 1):
        if event.kind == RAISE:
            apic.arrive(event.value, bool(event.level))
        elif event.kind == TPR:
            apic.tpr = event.value
        elif event.kind == TAKE:
            taken.append(apic.take())
        elif apic.guest_eoi():
            left.append(number)
        while script.eager and apic.take() is not None:
            pass
    return apic, taken, tuple(left)


def bits(vectors):
    return sum(1 << vector for vector in vectors)


@pytest.mark.parametrize("part", range(PARTS))
def test_e1_is_what_the_model_holds(part):
    for seed in seeds(part, PARTS):
        script = e06.E1.deal(seed)

        apic, _taken, _left = play(script)

        expected = bits(apic.requested), bits(apic.in_service), apic.processor_priority()
        assert e06.E1.truth(script) == expected, seed


@pytest.mark.parametrize("item", [e06.E2, e06.X1, shorts("06")[0]], ids=lambda item: item.id)
def test_the_eois_that_leave_are_those_of_the_model(item):
    for seed in seeds():
        script = item.deal(seed)

        apic, _taken, left = play(script)

        assert item.truth(script) == (left if item is e06.E2 else len(left)), seed
        assert not apic.requested


def test_the_next_vector_is_the_one_that_the_model_takes():
    item = shorts("06")[1]
    for seed in seeds():
        script = item.deal(seed)

        _apic, taken, _left = play(script)

        assert item.truth(script) == (-1 if taken[-1] is None else taken[-1]), seed


def model_of(state):
    apic = LocalApic(0)
    apic.in_service, apic.requested, apic.tpr = set(state.served), set(state.waiting), state.tpr
    return apic


@pytest.mark.parametrize("part", range(PARTS))
def test_every_hidden_event_of_e3_ends_as_in_the_model(part):
    nothing = 0
    for k in seeds(part, PARTS):
        state, other = e06.E3.case(2026, k), e06.E3_EOI.case(2026, k)

        taken = model_of(state).take() if state.on else None
        apic = model_of(other)
        ended = apic.end(), apic.take()

        assert e06.E3.truth(state) == (-1 if taken is None else taken), k
        assert e06.E3_EOI.truth(other) == (ended[0], -1 if ended[1] is None else ended[1]), k
        nothing += taken is None
    assert len(seeds(part, PARTS)) // 12 < nothing < len(seeds(part, PARTS)) * 11 // 12


def test_two_thousand_hidden_events_are_asked():
    assert e06.E3.cases + e06.E3_EOI.cases == 2000


@pytest.mark.parametrize("item", [e06.E1, e06.E2, e06.X1, *shorts("06")], ids=lambda item: item.id)
def test_the_solution_is_right_and_every_wrong_model_is_wrong_and_named(item):
    holds(item)


def select_vector(irr, isr, tpr, interrupts_on):
    best = irr.bit_length() - 1
    priority = max(tpr >> 4, (isr.bit_length() - 1) >> 4)
    return best if interrupts_on and best >> 4 > priority else -1


def eoi(irr, isr, tpr, vector):
    top = isr.bit_length() - 1
    return top, select_vector(irr, isr & ~(1 << top), tpr, True)


@pytest.mark.parametrize(("item", "right"), [(e06.E3, select_vector), (e06.E3_EOI, eoi)], ids=["E3", "E3.eoi"])
def test_a_right_function_passes_and_every_wrong_model_is_named(item, right):
    builds(item, right)


def test_the_anchor_of_the_lesson_three_of_five():
    steps = "raise 0x50, take, raise 0x40, eoi, take, eoi, raise 0x60 level, take, eoi"
    steps += ", raise 0x41, take, raise 0x81, take, eoi, eoi"

    counts = [interrupt_story(one_apic(steps, assist=assist)) for assist in (True, False)]

    assert [(s.value("eoi_exits"), s.value("eoi_saved")) for s in counts] == [(3, 2), (5, 0)]


def test_every_wrong_answer_to_a_prediction_is_named():
    from hvlab.lab.interrupting import two_guests

    anchor = "raise 0x50, take, raise 0x40, eoi, take, eoi, raise 0x60 level, take, eoi"
    anchor += ", raise 0x41, take, raise 0x81, take, eoi, eoi"
    named("06.class", interrupt_story(one_apic(l06.LADDER)), 8)
    named("06.who", interrupt_story(two_guests()), l06.A)
    named("06.twice", interrupt_story(one_apic("raise 0x51, raise 0x51, take, eoi, take")), 1)
    named("06.exits", interrupt_story(one_apic(anchor, assist=True)), 3)


def test_of_the_interrupt_that_waits_both_reasons_are_told():
    from hvlab.lab.interrupting import two_guests

    story = interrupt_story(two_guests())
    gate = every()["06.lost"].gate(story)

    assert (story.value("lost"), story.value("kept")) == (0, 1)
    assert {(one["value"], one["reason"], one["name"]) for one in gate.wrong} == {
        (0, 2, "running-vm-gets-it"),
        (1, 3, "nobody-listens"),
    }


def test_e1_meets_nesting_merging_and_eois_in_another_order():
    merged = odd = nested = 0
    for seed in range(60):
        run = e06_script.run(e06.E1.deal(seed))
        story = interrupt_story(run)
        merged += story.value("merged") > 0
        nested += bin(run.isr).count("1") > 1
        served = []
        for event, answer in zip(e06.E1.deal(seed).events, run.answers, strict=True):
            odd += event.kind == EOI and answer != event.value
            served.append(answer)
    assert min(merged, odd, nested) > 5


def test_in_e2_levels_and_edges_are_raised_and_everything_ends():
    for seed in range(50):
        script = e06.E2.deal(seed)
        ends = e06_script.ends(script)

        assert sum(event.kind == RAISE for event in script.events) == 9 >= len(ends) >= 5
        assert any(level for *_rest, level in ends) and not all(left for _n, left, _l in ends)


def test_every_hidden_state_can_be_reached_by_events():
    for k in range(300):
        state = e06_build.hidden(e06.Draw(k), k)
        held = e06_build.run(state, ()).registers

        assert (held.waiting, held.in_service, held.tpr) == (state.waiting, state.served, state.tpr)


def test_every_exercise_of_the_lesson_is_found_by_its_id():
    ids = [item.id for item in exercises_of("06")]

    assert ids == ["06.E1", "06.E2", "06.E3", "06.E3.eoi", "06.X1", "06.X2"]
    assert [find_exercise(id).id for id in ids] == ids
