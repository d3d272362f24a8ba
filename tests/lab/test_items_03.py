"""The exercises of lesson 03 against a slow model of their own: words as text of bits, calls as arithmetic."""

import pytest

from hvlab.lab.check import check
from hvlab.lab.exercise import Draw
from hvlab.lab.items import e03, e03_call
from hvlab.lab.items.e03_rig import LIST, NESTED, Made, run, whole
from hvlab.wire.tlfs import HypercallControl, HypercallResult
from lab.item_rules import STRIDE, ideas, named_by_check, seeds, sound, steady

SEEDS = seeds()
EVERY = (e03.E1, e03.E2, e03.X1, e03.BLANK, e03.BLANKS, *e03.SHORTS)


def word(*fields):
    """A number from (width, value) pairs, lowest first: the slow way, as text of bits."""
    text = ""
    for width, value in fields:
        text = f"{value:0{width}b}" + text
    return int(text, 2)


def control(code, fast=0, variable=0, count=0, start=0):
    return word((16, code), (1, fast), (10, variable), (5, 0), (12, count), (4, 0), (12, start))


def taken(number, lo, width):
    """Bits of a number, by its text."""
    text = f"{number:064b}"
    return int(text[64 - lo - width : 64 - lo], 2)


def test_the_anchors_of_the_lesson():
    assert HypercallControl.encode(code=3, rep_count=25, rep_start=20) == control(3, count=25, start=20)
    assert control(3, count=25, start=20) == 0x0014001900000003
    assert HypercallControl.encode(code=0x5D, fast=1) == control(0x5D, fast=1) == 0x1005D
    assert -(-1000 // 37) == 28 == len(list(whole(Made(LIST, 509, limit=37)).of("hypercall_entered"))) * 2


def test_control_words_are_those_of_the_slow_way_in_hundreds_of_worlds():
    for seed in SEEDS:
        world = e03.E1.deal(seed)
        assert e03.E1.truth(world) == tuple(
            control(one.code, one.fast, one.variable, one.count, one.start) for one in world
        )


def test_results_are_read_as_the_slow_way_reads_them_in_hundreds_of_worlds():
    for seed in SEEDS:
        world = e03.E2.deal(seed)
        for (rcx, rax), (status, done, resume) in zip(world, e03.E2.truth(world), strict=True):
            count = taken(rcx, 32, 12)
            assert (status, done) == (taken(rax, 0, 16), taken(rax, 32, 12))
            assert resume == (0 if done == count else control(taken(rcx, 0, 16), count=count, start=done))


def test_entries_are_the_slices_of_what_is_left_in_hundreds_of_worlds():
    for seed in SEEDS:
        world = e03.X1.deal(seed)
        done, entries = world.start, 0
        while done < world.count:
            done, entries = done + world.limit, entries + 1
        assert e03.X1.truth(world) == entries


def test_the_short_forms_agree_with_the_slow_way():
    for seed in SEEDS:
        rcx = e03.SHORTS[0].deal(seed)
        assert e03.SHORTS[0].truth(rcx) == taken(rcx, 32, 12) - taken(rcx, 48, 12)
        count, start, done = e03.SHORTS[1].deal(seed)
        assert e03.SHORTS[1].truth((count, start, done)) == done and start < done < count


@pytest.mark.parametrize("item", EVERY, ids=lambda item: item.id)
def test_no_world_is_dealt_in_which_a_wrong_model_is_right_and_each_is_named(item):
    sound(item, 30)


@pytest.mark.parametrize("item", EVERY, ids=lambda item: item.id)
def test_a_seed_deals_the_same_world_for_ever_and_the_task_can_be_read(item):
    steady(item)


@pytest.mark.parametrize(("item", "name"), ideas(EVERY[:3]))
def test_check_names_the_idea_that_was_answered(item, name, capsys):
    named_by_check(item, name, capsys)


# E3 ------------------------------------------------------------------------------------------------------------------


def expected(world):
    """What a call comes to, by arithmetic alone."""
    if world.code == NESTED:
        return 0x1E, 0, 0
    pages = [int.from_bytes(one, "little") >> 12 for one in world.elements]
    return 0, len(pages), sum((k + 1) * page for k, page in enumerate(pages)) & (1 << 64) - 1


def solution(guest, code, header, elements, once=False, anywhere=False, left=False):
    """A right function; with a flag, one that holds a wrong idea."""
    if not guest.rdmsr(0x40000001) & 1:
        guest.wrmsr(0x40000000, 1 << 48)
        guest.wrmsr(0x40000001, guest.call_page << 12 | 1)
    if not elements and len(header) <= 16:
        low, high = (int.from_bytes(header.ljust(16, b"\0")[k : k + 8], "little") for k in (0, 8))
        return guest.enter(code | 1 << 16, low, high)[2] & 0xFFFF, 0
    gpa = guest.free if anywhere else -(-guest.free // 4096) * 4096
    most, done, status = (4096 - len(header)) // 8, 0, 0
    for at in range(0, max(len(elements), 1), most):
        part = elements[at : at + most]
        guest.write(gpa, header + b"".join(part))
        rcx, over = code | len(part) << 32, False
        while not over:
            over, new, rax = guest.enter(rcx, gpa)
            rcx, over = new, over or once
            if left and not over:
                rcx = code | (taken(rcx, 32, 12) - taken(new, 48, 12)) << 32
        status, done = rax & 0xFFFF, done + (rax >> 32 & 0xFFF)
        if status:
            break
    return status, done


def test_the_engine_answers_as_arithmetic_says_in_hundreds_of_guests():
    for seed in range(0, 5, STRIDE):
        for k in range(e03_call.E3.cases):
            world = e03_call.E3.case(seed, k)
            assert e03_call.truth(world) == expected(world), (seed, k)


def test_a_right_function_is_right_and_each_wrong_idea_is_named(capsys):
    assert check("03.E3", solution).right
    for flag, name in (("once", "rip-moves-on"), ("anywhere", "memory-is-memory")):
        verdict = check("03.E3", lambda *given, flag=flag: solution(*given, **{flag: True}))
        assert name in verdict.models, name
    assert "200 guests" in capsys.readouterr().out


def test_each_wrong_idea_fails_somewhere():
    worlds = [e03_call.E3.case(3, k) for k in range(60)]

    for model in e03_call.E3.wrong:
        assert any(model.answer(world) != e03_call.truth(world) for world in worlds), model.name


def test_a_function_that_never_ends_is_stopped_by_its_budget(capsys):
    def forever(guest, code, header, elements):
        while True:
            guest.enter(0xFFFF)

    assert not check("03.E3", forever).right
    assert capsys.readouterr().out


def test_what_a_guest_gets_instead_of_an_answer_is_told(capsys):
    def naive(guest, code, header, elements):
        if guest.rdmsr(0x40000001) & 1:
            return solution(guest, code, header, elements)
        return guest.enter(code, guest.free)[2], 0

    check("03.E3", naive)

    assert "Stopped: #UD" in capsys.readouterr().out


def test_a_call_made_at_a_start_does_only_the_rest():
    trace = run(Made(LIST, 25, start=20))

    assert [trace.fact(row, "rep") for row in trace.of("rep_done")] == [20, 21, 22, 23, 24]
    last = list(trace.of("hypercall_returned"))[-1]
    assert HypercallResult.decode(trace.fact(last, "result")).reps_done == 25
    assert Draw(1).below(5) < 5
