"""The local APIC's timer: one-shot, periodic, TSC deadline, and what a change of mode does to a running count."""

import pytest
from hardware.controllers import Controllers

from hvlab.hardware import apic_registers, apic_timer
from hvlab.trace.event import by_name
from hvlab.wire.apic import Lvt, Offset, TimerMode

TICK, TSC = int(apic_timer.TICK), int(apic_timer.TSC_PER_NS)
BY_ONE, VECTOR = 0b1011, 0xEE


def timer(mode=TimerMode.ONE_SHOT, divide=BY_ONE, masked=0, vector=VECTOR):
    one = Controllers()
    one.write(Offset.LVT_TIMER, Lvt.encode(vector=vector, timer_mode=mode, masked=masked))
    one.write(Offset.DIVIDE, divide)
    return one


def count(one):
    return apic_registers.read(one.state, 0, Offset.CURRENT_COUNT)


def change(one, mode):
    one.write(Offset.LVT_TIMER, Lvt.encode(vector=VECTOR, timer_mode=mode))


def wait(one, nanoseconds):
    one.do(until=int(one.state["now"][0]) + nanoseconds)


def test_one_shot_raises_its_vector_once_and_not_before_its_time():
    one = timer()

    one.write(Offset.INITIAL_COUNT, 0x10000)
    wait(one, 0x10000 * TICK - 1)
    early = one.pending()
    wait(one, 1)
    taken = one.handle(lambda vector: None)
    wait(one, 0x30000 * TICK)

    assert (early, taken, one.pending()) == (None, [VECTOR], None)


@pytest.mark.parametrize(("code", "divisor"), [(0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64), (10, 128), (11, 1)])
def test_the_divide_register_slows_the_count(code, divisor):
    one = timer(divide=code)

    one.write(Offset.INITIAL_COUNT, 1000)
    wait(one, 100 * divisor * TICK)

    assert count(one) == 900


def test_a_periodic_timer_comes_again_at_equal_distances():
    one = timer(TimerMode.PERIODIC)
    one.write(Offset.INITIAL_COUNT, 1000)

    times = []
    for _ in range(3):
        wait(one, 1000 * TICK)
        times.append(one.handle(lambda vector: None))

    assert times == [[VECTOR]] * 3
    expired = by_name("apic_timer_expired").number
    assert [row[1] for row in one.trace.rows.tolist() if row[0] == expired] == [1000 * TICK, 2000 * TICK, 3000 * TICK]


def test_a_masked_timer_counts_and_raises_nothing():
    one = timer(TimerMode.PERIODIC, masked=1)
    one.write(Offset.INITIAL_COUNT, 1000)

    wait(one, 2500 * TICK)

    assert (one.pending(), count(one)) == (None, 500)


def test_writing_the_initial_count_again_begins_anew_and_zero_stops():
    one = timer()
    one.write(Offset.INITIAL_COUNT, 1000)
    wait(one, 900 * TICK)

    one.write(Offset.INITIAL_COUNT, 1000)
    wait(one, 900 * TICK)
    left, pending = count(one), one.pending()
    one.write(Offset.INITIAL_COUNT, 0)
    wait(one, 1000 * TICK)

    assert (left, pending) == (100, None)
    assert (count(one), one.pending()) == (0, None)


def test_the_initial_count_stays_readable_while_the_mode_changes():
    one = timer()
    one.write(Offset.INITIAL_COUNT, 0x999999)

    change(one, TimerMode.PERIODIC)

    assert apic_registers.read(one.state, 0, Offset.INITIAL_COUNT) == 0x999999


def test_one_shot_becomes_periodic_without_losing_its_count_and_then_wraps():
    one = timer()
    one.write(Offset.INITIAL_COUNT, 1000)
    wait(one, 600 * TICK)

    change(one, TimerMode.PERIODIC)
    kept = count(one)
    wait(one, 500 * TICK)

    assert (kept, count(one)) == (400, 900)


def test_periodic_becomes_one_shot_counts_down_and_stays_at_zero():
    one = timer(TimerMode.PERIODIC)
    one.write(Offset.INITIAL_COUNT, 1000)
    wait(one, 1600 * TICK)

    change(one, TimerMode.ONE_SHOT)
    kept = count(one)
    wait(one, 5000 * TICK)
    change(one, TimerMode.PERIODIC)
    wait(one, 5000 * TICK)

    assert (kept, count(one)) == (400, 0)


def test_a_new_divisor_goes_on_from_the_count_that_is_left():
    one = timer()
    one.write(Offset.INITIAL_COUNT, 1000)
    wait(one, 400 * TICK)

    one.write(Offset.DIVIDE, 0)
    kept = count(one)
    wait(one, 600 * 2 * TICK)

    assert (kept, one.pending()) == (600, VECTOR)


def deadline(one, value):
    one.write(int(apic_registers.DEADLINE), value)


def test_a_tsc_deadline_raises_its_vector_and_is_zero_afterwards():
    one = timer(TimerMode.TSC_DEADLINE)

    deadline(one, 1000 * TSC)
    armed = int(one[0]["deadline"])
    wait(one, 999)
    early = one.pending()
    wait(one, 1)

    assert (armed, early, one.pending(), int(one[0]["deadline"])) == (1000 * TSC, None, VECTOR, 0)


def test_a_deadline_that_has_passed_comes_at_once():
    one = timer(TimerMode.TSC_DEADLINE)
    wait(one, 5000)

    deadline(one, 4000 * TSC)

    assert (one.pending(), int(one[0]["deadline"])) == (VECTOR, 0)


def test_a_deadline_of_zero_disarms_the_timer():
    one = timer(TimerMode.TSC_DEADLINE)
    deadline(one, 1000 * TSC)

    deadline(one, 0)
    wait(one, 2000)

    assert one.pending() is None


def test_in_deadline_mode_the_counts_are_zero_and_the_initial_count_cannot_be_written():
    one = timer(TimerMode.TSC_DEADLINE)

    one.write(Offset.INITIAL_COUNT, 1000)
    wait(one, 2000 * TICK)

    assert (apic_registers.read(one.state, 0, Offset.INITIAL_COUNT), count(one), one.pending()) == (0, 0, None)


def test_in_the_other_modes_the_deadline_cannot_be_written():
    one = timer()

    deadline(one, 1000)
    wait(one, 2000)

    assert (int(one[0]["deadline"]), one.pending()) == (0, None)


@pytest.mark.parametrize("first", [TimerMode.TSC_DEADLINE, TimerMode.PERIODIC])
def test_a_change_to_or_from_deadline_mode_stops_the_timer(first):
    one = timer(first)
    one.write(Offset.INITIAL_COUNT, 1000)
    deadline(one, 1000 * TSC)

    change(one, TimerMode.ONE_SHOT if first == TimerMode.TSC_DEADLINE else TimerMode.TSC_DEADLINE)
    wait(one, 10_000 * TICK)

    assert (one.pending(), int(one[0]["deadline"])) == (None, 0)


def test_a_timer_with_an_illegal_vector_is_an_error():
    one = timer(vector=5)
    one.write(Offset.INITIAL_COUNT, 10)

    wait(one, 10 * TICK)

    assert (one.pending(), int(one[0]["errors"])) == (None, 1 << 6)


def test_a_timer_of_an_apic_that_is_switched_off_raises_nothing():
    one = timer()
    one.write(Offset.SVR, 0xFF)
    one.write(Offset.INITIAL_COUNT, 10)

    wait(one, 100 * TICK)

    assert one.pending() is None
