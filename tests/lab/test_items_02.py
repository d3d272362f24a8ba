"""The exercises of lesson 02 against a slow reader of listings, fractions, and a device of the test's own."""

from fractions import Fraction

import pytest

from hvlab.lab.exercise import Meter
from hvlab.lab.items import e02, e02_device
from hvlab.lab.items.e02_rig import LENGTH
from lab.item_rules import builds, holds, ideas, named_by_check, seeds, sound, steady

SEEDS = seeds()
PARENTS = {("cpuid", 1), ("rdmsr", 0x1B0)} | {("port", port) for port in range(0x3F8, 0x400)}


def exits(world):
    """Read the listing as text and walk through it: (RIP, reason, asked for) of each exit."""
    lines = [line.split(maxsplit=1) for line in world.listing().splitlines()]
    code = [(int(rip.replace("_", ""), 16), text) for rip, text in lines]
    registers, at, found = {}, 0, []
    while True:
        rip, text = code[at]
        at += 1
        if text.startswith("mov r") and "[" not in text:
            name, value = text[4:].split(", ")
            registers[name] = int(value, 16)
        elif text == "cpuid":
            found.append((rip, "CPUID", ("cpuid", registers["rax"]) in PARENTS))
            registers["rax"] = registers["rbx"] = 0
        elif text == "rdmsr":
            found.append((rip, "MSR", ("rdmsr", registers["rcx"]) in PARENTS))
        elif text in ("in al, dx", "out dx, al"):
            found.append((rip, "IO", ("port", registers["rdx"]) in PARENTS))
        elif text == "rep insb" and registers["rcx"]:
            found += [(rip, "IO", True)] * (1 if world.whole else registers["rcx"])
            registers["rcx"] = 0
        elif text.startswith("loop"):
            registers["rcx"] -= 1
            at -= 2 if registers["rcx"] else 0
        elif text == "ud2":
            return found
        if at == len(code):
            return found


@pytest.mark.parametrize("item", [e02.E1, e02.BLANK, e02.BLANKS], ids=lambda item: item.id)
def test_the_exits_are_those_that_the_slow_reader_finds_in_hundreds_of_worlds(item):
    for seed in SEEDS:
        world = item.deal(seed)
        slow = exits(world)
        assert item.truth(world) == tuple((rip, reason) for rip, reason, _asked in slow), seed
        assert e02.only_told(world) == tuple((rip, reason) for rip, reason, asked in slow if asked), seed
        assert {asked for _rip, _reason, asked in slow} == {True, False}
        assert len(world.code) == LENGTH or item is not e02.E1


def solved(world):
    """Solve three sums by elimination in fractions; the sums are read from the task."""
    told = [line for line in e02.E2.ask(world).splitlines() if line.startswith("  run")]
    rows = []
    for line in told:
        counts, total = line.split(": ")[1].split("; ")
        rows.append([Fraction(part.split(" ")[0]) for part in counts.split(", ")] + [Fraction(total[:-3])])
    for k in range(3):
        pivot = next(j for j in range(k, 3) if rows[j][k])
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [value / rows[k][k] for value in rows[k]]
        for j in range(3):
            if j != k:
                rows[j] = [a - rows[j][k] * b for a, b in zip(rows[j], rows[k], strict=True)]
    return tuple(row[3] for row in rows)


def test_the_three_costs_are_what_the_three_sums_say_in_hundreds_of_worlds():
    for seed in SEEDS:
        world = e02.E2.deal(seed)
        assert solved(world) == e02.E2.truth(world), seed


def test_an_exit_that_goes_to_the_root_costs_more_than_one_that_does_not():
    for seed in range(100):
        here, write, read = e02.E2.truth(e02.E2.deal(seed))
        assert here < write < read


def test_the_number_of_exits_is_the_slow_reader_s_in_hundreds_of_worlds():
    for item in (e02.X1, e02.SHORTS[0]):
        for seed in SEEDS:
            world = item.deal(seed)
            assert item.truth(world) == len(exits(world))


def uart(held, register, value):
    """A device written from the task alone: 8 registers, the divisor, whether a byte waits, and that byte."""
    latch = held[3] & 0x80 and register < 2
    if value is None:
        if latch:
            return held[8 + register]
        if register == 0:
            waits, held[10] = held[10], 0
            return held[11] if waits else 0
        return 0x60 | held[10] if register == 5 else held[register]
    if latch:
        held[8 + register] = value
    elif register:
        held[register] = value & 15 if register == 1 else value
    elif held[4] & 0x10:
        held[10:12] = 1, value
    return None


def test_a_device_written_from_the_task_passes_and_each_idea_is_named():
    builds(e02.E3, uart)


def test_the_lab_s_own_device_answers_hundreds_of_transcripts_as_the_test_s_device_does():
    for k in SEEDS:
        world = e02_device.hidden(e02.Draw(k), k)
        assert e02_device.truth(world) == e02_device.call(uart, world, Meter(0)), k


@pytest.mark.parametrize(
    "device",
    [lambda *given: None, lambda *given: -1, lambda *given: (1, 2), lambda *given: 1 / 0, lambda: 0],
    ids=["nothing", "below 0", "a pair", "an error", "nothing given"],
)
def test_a_device_that_does_not_work_is_told_and_never_raises(device, capsys):
    from hvlab.lab.check import check

    assert not check("02.E3", device).right
    assert "Traceback" not in capsys.readouterr().out


def test_a_case_can_be_played_in_the_machine():
    story = e02.E3.story(e02.E3.case(5, 3))

    assert len(story) > 5


EVERY = (e02.BLANK, e02.BLANKS, e02.E1, e02.E2, e02.X1, *e02.SHORTS)


@pytest.mark.parametrize("item", EVERY, ids=lambda item: item.id)
def test_no_world_is_dealt_in_which_a_wrong_model_is_right_and_each_is_named(item):
    sound(item, 100)
    holds(item, 20)


@pytest.mark.parametrize("item", EVERY, ids=lambda item: item.id)
def test_a_seed_deals_the_same_world_for_ever_and_the_task_can_be_read(item):
    steady(item)


@pytest.mark.parametrize(("item", "name"), ideas(EVERY[:5]))
def test_check_names_the_idea_that_was_answered(item, name, capsys):
    named_by_check(item, name, capsys)
